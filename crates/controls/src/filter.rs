//! From the policy's `[firewall]` to what the packet filter's compiler takes.

use std::net::SocketAddr;

use host::Facts;
use packet_filter::{FilterPolicy, LogRate, Per, PortRange};
use policy::{Policy, PortSpec};

use crate::ssh::{Sshd, Unread, listening, ports};

/// The port of SSH where no sshd says another (IANA).
const REGISTERED: u16 = 22;

/// Why the policy could not be converted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// A name that is in no table of services.
    #[error(transparent)]
    Service(#[from] policy::services::UnknownService),
    /// Where sshd listens is not known, so `ssh` names no port.
    #[error("where sshd listens is not known: {0}")]
    SshPorts(String),
}

/// What the packet filter is to let in on this host: services by their ports, and `ssh` by those where its own sshd
/// listens or will.
///
/// # Errors
/// An unknown service; or `ssh` is allowed and where sshd listens could not be read.
pub fn filter_policy(policy: &Policy, facts: &Facts) -> Result<FilterPolicy, Unresolved> {
    let firewall = &policy.firewall;
    let ssh = known_ssh_ports(facts);
    let allow = firewall
        .allow
        .iter()
        .map(|allow| entry(allow, &ssh))
        .collect::<Result<_, _>>()?;
    Ok(FilterPolicy {
        inbound: refusal(firewall.inbound),
        forward: refusal(firewall.forward),
        ping: firewall.ping,
        ipv6: match firewall.ipv6 {
            policy::Ipv6::Same => packet_filter::Ipv6::Same,
            policy::Ipv6::Reject => packet_filter::Ipv6::Reject,
        },
        log: rate(firewall.log),
        allow,
    })
}

/// The TCP ports of this host's SSH server: where it listens, and where it will once it starts anew; 22 where there is
/// none or that is not known.
pub fn ssh_ports(facts: &Facts) -> Vec<u16> {
    known_ssh_ports(facts).unwrap_or_else(|_| vec![REGISTERED])
}

fn known_ssh_ports(facts: &Facts) -> Result<Vec<u16>, String> {
    let sshd = Sshd::read(facts);
    let running = facts
        .ssh
        .servers
        .known()
        .into_iter()
        .flatten()
        .flat_map(|server| server.listens.iter().copied());
    let mut found: Vec<u16> = running
        .filter(|socket| !socket.ip().is_loopback())
        .map(port_of)
        .collect();
    match listening(facts, &sshd) {
        Ok(listens) => found.extend(ports(&listens)),
        Err(_) if matches!(sshd, Err(Unread::NotInstalled)) => {}
        Err(unknown) if found.is_empty() => return Err(unknown.reason),
        // The running server itself is the better witness.
        Err(_) => {}
    }
    if found.is_empty() {
        found.push(REGISTERED);
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn port_of(socket: SocketAddr) -> u16 {
    socket.port()
}

fn entry(allow: &policy::Allow, ssh: &Result<Vec<u16>, String>) -> Result<packet_filter::Allow, Unresolved> {
    let names_ssh = allow.service.iter().any(|name| name == "ssh");
    let ssh = match ssh {
        Ok(ports) => ports.as_slice(),
        Err(_) if !names_ssh => &[],
        Err(reason) => return Err(Unresolved::SshPorts(reason.clone())),
    };
    let ports = allow.ports(ssh)?;
    let mut names: Vec<String> = allow.service.clone();
    names.extend(allow.port.iter().map(ToString::to_string));
    Ok(packet_filter::Allow {
        name: names.join(" "),
        ports: ports.into_iter().map(range).collect(),
        from: allow.from.clone(),
        new_per_minute: allow.new_per_minute,
        comment: allow.comment.clone(),
        place: (allow.line > 0).then(|| format!("policy.toml:{}", allow.line)),
    })
}

fn range(spec: PortSpec) -> PortRange {
    let transport = match spec.transport {
        policy::Transport::Tcp => packet_filter::Transport::Tcp,
        policy::Transport::Udp => packet_filter::Transport::Udp,
    };
    PortRange {
        transport,
        first: spec.first,
        last: spec.last,
    }
}

fn refusal(refusal: policy::Refusal) -> packet_filter::Refusal {
    match refusal {
        policy::Refusal::Reject => packet_filter::Refusal::Reject,
        policy::Refusal::Drop => packet_filter::Refusal::Drop,
    }
}

fn rate(rate: policy::LogRate) -> Option<LogRate> {
    let (count, per) = match rate {
        policy::LogRate::Off => return None,
        policy::LogRate::PerSecond(count) => (count, Per::Second),
        policy::LogRate::PerMinute(count) => (count, Per::Minute),
        policy::LogRate::PerHour(count) => (count, Per::Hour),
    };
    Some(LogRate { count, per })
}
