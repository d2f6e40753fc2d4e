//! From the policy's `[firewall]` to what the packet filter's compiler takes.

use std::net::SocketAddr;

use host::Facts;
use packet_filter::{FilterPolicy, ForwardEntry, InterfaceName, LogRate, Per, PolicyRule, PortRange, Rules};
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
    /// A rule of the policy's own cannot be had as it is.
    #[error("policy.toml:{line}: {what}; `active = false` keeps the rule without loading it")]
    Rule {
        /// Its line.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
}

/// What the packet filter is to let in on this host: services by their ports, and `ssh` by those where its own sshd
/// listens or will.
///
/// # Errors
/// An unknown service; or `ssh` is allowed and where sshd listens could not be read.
pub fn filter_policy(policy: &Policy, facts: &Facts) -> Result<FilterPolicy, Unresolved> {
    let firewall = &policy.firewall;
    let ssh = known_ssh_ports(facts);
    let allow = firewall.allow.iter().map(|allow| entry(allow, &ssh)).collect::<Result<_, _>>()?;
    Ok(FilterPolicy {
        inbound: refusal(firewall.inbound),
        forward: refusal(firewall.forwarded),
        ping: firewall.ping,
        ipv6: match firewall.ipv6 {
            policy::Ipv6::Same => packet_filter::Ipv6::Same,
            policy::Ipv6::Reject => packet_filter::Ipv6::Reject,
        },
        log: rate(firewall.log),
        allow,
        forwards: firewall.forward.iter().map(forwarded).collect(),
        rules: rules(firewall)?,
    })
}

/// The TCP ports of this host's SSH server: where it listens, and where it will once it starts anew; 22 where there is
/// none or that is not known.
pub fn ssh_ports(facts: &Facts) -> Vec<u16> {
    known_ssh_ports(facts).unwrap_or_else(|_| vec![REGISTERED])
}

fn known_ssh_ports(facts: &Facts) -> Result<Vec<u16>, String> {
    let sshd = Sshd::read(facts);
    let running =
        facts.ssh.servers.known().into_iter().flatten().flat_map(|server| server.listens.iter().copied());
    let mut found: Vec<u16> = running.filter(|socket| !socket.ip().is_loopback()).map(port_of).collect();
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
        place: place(allow.line),
    })
}

fn forwarded(forward: &policy::Forward) -> ForwardEntry {
    let interfaces = |names: &[String]| names.iter().map(|name| InterfaceName::from(name.as_str())).collect();
    ForwardEntry {
        input: interfaces(&forward.input),
        output: interfaces(&forward.output),
        from: forward.from.clone(),
        to: forward.to.clone(),
        ports: forward.port.iter().map(|spec| range(*spec)).collect(),
        comment: forward.comment.clone(),
        place: place(forward.line),
    }
}

fn rules(firewall: &policy::Firewall) -> Result<Rules, Unresolved> {
    let active: Vec<&policy::Rule> = firewall.rule.iter().filter(|rule| rule.active).collect();
    let mut rules = Vec::new();
    for rule in &active {
        let families = rule
            .families()
            .map_err(|error| Unresolved::Rule { line: rule.line, what: error.message().to_owned() })?;
        rules.push(PolicyRule {
            chain: rule.chain.clone(),
            ipv4: families.ipv4,
            ipv6: families.ipv6,
            text: rule.rule.clone(),
            comment: rule.comment.clone(),
            place: place(rule.line),
        });
    }
    let made = match firewall.backend {
        policy::Backend::Auto | policy::Backend::Nftables => Rules::new(rules),
        policy::Backend::Iptables => Rules::for_iptables(rules),
    };
    made.map_err(|problem| Unresolved::Rule { line: active[problem.index].line, what: problem.what })
}

fn place(line: usize) -> Option<String> {
    (line > 0).then(|| format!("policy.toml:{line}"))
}

fn range(spec: PortSpec) -> PortRange {
    let transport = match spec.transport {
        policy::Transport::Tcp => packet_filter::Transport::Tcp,
        policy::Transport::Udp => packet_filter::Transport::Udp,
    };
    PortRange { transport, first: spec.first, last: spec.last }
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

#[cfg(test)]
mod tests {
    use host::Fact;
    use packet_filter::{Refusal, Transport};
    use policy::{Allow, LogRate as Rate};

    use super::*;
    use crate::fixture::{Build, debian, unit};

    fn ssh_of(facts: &Facts) -> Vec<PortRange> {
        filter_policy(&Policy::default(), facts).unwrap().allow[0].ports.clone()
    }

    #[test]
    fn ssh_means_where_sshd_listens_or_will() {
        assert_eq!(ssh_of(&debian()), [PortRange::tcp(22)]);

        let mut facts = debian();
        facts.sshd_config("Port 2222\n");
        // It still listens on 22 until it starts anew.
        assert_eq!(ssh_ports(&facts), [22, 2222]);
        facts.ssh.servers = Fact::Known(Vec::new());
        assert_eq!(ssh_of(&facts), [PortRange::tcp(2222)]);

        facts.ssh.units =
            Fact::Known(vec![unit("ssh.socket", "active", "enabled", &["0.0.0.0:2022", "[::]:2022"])]);
        assert_eq!(ssh_of(&facts), [PortRange::tcp(2022)]);

        facts.ssh.units = Fact::Known(Vec::new());
        facts.ssh.program = Fact::Known(None);
        assert_eq!(ssh_of(&facts), [PortRange::tcp(22)]);
    }

    #[test]
    fn ssh_is_no_guess_where_its_ports_are_not_known() {
        let facts = Facts::default();
        assert!(matches!(filter_policy(&Policy::default(), &facts), Err(Unresolved::SshPorts(_))));
        let mut policy = Policy::default();
        policy.firewall.allow = vec![Allow { service: vec!["http".to_owned()], ..Allow::default() }];
        assert!(filter_policy(&policy, &facts).is_ok());
        policy.firewall.allow[0].service[0] = "gopher".to_owned();
        assert!(matches!(filter_policy(&policy, &facts), Err(Unresolved::Service(_))));
    }

    #[test]
    fn a_rule_that_cannot_be_loaded_is_named_by_its_line_unless_it_is_not_active_or_iptables_loads_it() {
        let rule = |text: &str, line| policy::Rule {
            chain: "input".to_owned(),
            rule: text.to_owned(),
            line,
            ..policy::Rule::default()
        };
        let mut policy = Policy::default();
        policy.firewall.rule =
            vec![rule("-s 192.0.2.1 -j DROP", 7), rule("-m recent --update --seconds 60 -j DROP", 9)];
        let error = filter_policy(&policy, &debian()).unwrap_err();
        assert!(
            error.to_string().starts_with("policy.toml:9: nf_tables has no equal of `-m recent"),
            "{error}"
        );
        policy.firewall.backend = policy::Backend::Iptables;
        assert_eq!(filter_policy(&policy, &debian()).unwrap().rules.as_slice().len(), 2);
        policy.firewall.backend = policy::Backend::Auto;
        policy.firewall.rule[1].active = false;
        let filter = filter_policy(&policy, &debian()).unwrap();
        let [only] = filter.rules.as_slice() else { panic!("{:?}", filter.rules) };
        assert_eq!((only.place.as_deref(), only.ipv4.len(), only.ipv6.len()), (Some("policy.toml:7"), 1, 0));
    }

    #[test]
    fn every_part_of_the_policy_is_carried_over() {
        let mut policy = Policy::default();
        policy.firewall.inbound = policy::Refusal::Drop;
        policy.firewall.ping = false;
        policy.firewall.ipv6 = policy::Ipv6::Reject;
        policy.firewall.log = Rate::PerHour(3);
        policy.firewall.allow = vec![Allow {
            service: vec!["dns".to_owned(), "https".to_owned()],
            port: vec!["udp/60000-61000".parse().unwrap()],
            from: vec!["192.168.255.0/24".parse().unwrap()],
            new_per_minute: Some(30),
            comment: Some("load balancer".to_owned()),
            line: 31,
        }];
        let filter = filter_policy(&policy, &debian()).unwrap();
        assert_eq!((filter.inbound, filter.forward), (Refusal::Drop, Refusal::Reject));
        assert_eq!((filter.ping, filter.ipv6), (false, packet_filter::Ipv6::Reject));
        assert_eq!(filter.log, Some(LogRate { count: 3, per: Per::Hour }));
        let allow = &filter.allow[0];
        assert_eq!(allow.name, "dns https udp/60000-61000");
        let range = PortRange { transport: Transport::Udp, first: 60000, last: 61000 };
        assert_eq!(allow.ports, [PortRange::tcp(53), PortRange::tcp(443), PortRange::udp(53), range]);
        assert_eq!(
            (allow.from.len(), allow.new_per_minute, allow.place.as_deref()),
            (1, Some(30), Some("policy.toml:31"))
        );
        policy.firewall.log = Rate::Off;
        assert_eq!(filter_policy(&policy, &debian()).unwrap().log, None);
    }
}
