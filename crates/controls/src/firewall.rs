//! FW: the packet filter, judged by what becomes of packets and never by counting rules.

mod iptables;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use host::facts::{EntryKind, Listener, Protocol};
use nf_tables::{Family, TableDump};
use packet_filter::{Compiled, DEFAULT_TABLE, compare_loaded};
use policy::{PortSpec, Transport};

use crate::finding::Severity;
use crate::judgement::{Fault, Judged, NotKnown, Subject, Verdict};
use crate::packets::{Fate, Filter, both_families, own_addresses, somebody_like};
use crate::people::known;
use crate::way_in::{Condition, Connection, Holds, filter_lets_in, likely_connections};

/// Where the ruleset is saved that the boot loads.
pub(crate) const SAVED: &str = "/var/lib/gabion/firewall.json";
/// What loads it at boot.
const UNIT: &str = "gabion-firewall.service";
/// Links that have it loaded: by systemd, and by init scripts.
pub(crate) const LINKS: &[&str] = &[
    "/etc/systemd/system/sysinit.target.wants/gabion-firewall.service",
    "/etc/rcS.d/S00gabion-firewall",
    "/etc/rc.d/rc3.d/S00gabion-firewall",
    "/etc/runlevels/boot/gabion-firewall",
];
/// Managers that an apply stands down.
const STANDS_DOWN: [&str; 6] = [
    "ufw.service",
    "firewalld.service",
    "netfilter-persistent.service",
    "iptables.service",
    "ip6tables.service",
    "nftables.service",
];
/// Ports at which nothing is expected: low, high, and one that programs choose from.
const PROBES: [u16; 3] = [4, 29_876, 61_897];
/// systemd-resolved's and others' ways of naming what a program is called are chosen by the program itself.
const NOBODY: &str = "an unknown program";

fn not_running(subject: &Subject<'_>) -> Option<Verdict> {
    subject.is_image().then(|| Verdict::silent("an image that is not running has no packet filter in force"))
}

fn filter<'a>(subject: &Subject<'a>) -> Result<Filter<'a>, NotKnown> {
    Filter::of(subject.facts).map_err(|reason| NotKnown::new("the packet filter is not known", reason))
}

/// A packet to a port that nothing allows is refused, over TCP and UDP, in IPv4 and IPv6. Source: nft(8) `policy`;
/// CIS Debian 12 4.2.7, 4.3.8.
pub(crate) fn fw1_default_deny(subject: &Subject<'_>) -> Judged {
    if let Some(silent) = not_running(subject) {
        return Ok(silent);
    }
    let filter = filter(subject)?;
    let mut open: Vec<(String, String)> = Vec::new();
    let mut unknown: Option<Fault> = None;
    for local in both_families(subject.facts) {
        let family = if local.is_ipv4() { "IPv4" } else { "IPv6" };
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            match unexpected(subject, &filter, protocol, local) {
                Fate::Stopped(_) => {}
                Fate::Passes(by) => open.push((format!("{} over {family}", transport_name(protocol)), by)),
                Fate::Unknown(reason) => {
                    let what = "whether packets that nothing allows are refused is not known";
                    unknown.get_or_insert(Fault::unknown(what, reason));
                }
            }
        }
    }
    let open_fault = (!open.is_empty()).then(|| {
        let kinds: Vec<&str> = open.iter().map(|(kind, _)| kind.as_str()).collect();
        let mut places: Vec<String> = open.iter().map(|(_, by)| by.clone()).collect();
        places.dedup();
        Fault::new(format!("packets that nothing allows are let in: {}", kinds.join(", ")))
            .decided_by_all(places)
            .apply()
    });
    Ok(open_fault.into_iter().chain(unknown).collect::<Vec<_>>().into())
}

/// What becomes of a packet to a port at which nothing is expected: the worst of several.
fn unexpected(subject: &Subject<'_>, filter: &Filter<'_>, protocol: Protocol, local: IpAddr) -> Fate {
    let mut unknown = None;
    let mut stopped = Fate::Unknown("every port that could be tried is allowed by the policy".to_owned());
    for port in PROBES.into_iter().filter(|port| !is_allowed(subject, protocol, *port)) {
        match filter.fate(protocol, somebody_like(local), SocketAddr::new(local, port)) {
            passes @ Fate::Passes(_) => return passes,
            other @ Fate::Unknown(_) => unknown = Some(other),
            other @ Fate::Stopped(_) => stopped = other,
        }
    }
    unknown.unwrap_or(stopped)
}

fn is_allowed(subject: &Subject<'_>, protocol: Protocol, port: u16) -> bool {
    let transport = transport(protocol);
    allowed_ports(subject)
        .iter()
        .any(|spec| spec.transport == transport && (spec.first..=spec.last).contains(&port))
}

/// Every port that the policy lets somebody in at.
fn allowed_ports(subject: &Subject<'_>) -> Vec<PortSpec> {
    let ssh = crate::filter::ssh_ports(subject.facts);
    subject.policy.firewall.allow.iter().flat_map(|allow| allow.ports(&ssh).unwrap_or_default()).collect()
}

/// The filter lets the administrator's connection in: from the address of the person who asks, or from somewhere.
/// Source: the policy.
#[expect(clippy::unnecessary_wraps, reason = "every control answers in this form")]
pub(crate) fn fw2_admin_port(subject: &Subject<'_>) -> Judged {
    if let Some(silent) = not_running(subject) {
        return Ok(silent);
    }
    let candidates = match subject.connection() {
        Some(connection) => vec![connection],
        None => subject.likely_connections(),
    };
    let mut worst: Option<Condition> = None;
    for connection in &candidates {
        let condition = filter_lets_in(subject.facts, connection);
        match condition.holds {
            Holds::Yes => return Ok(Verdict::holds()),
            Holds::No | Holds::Unknown(_) => worst = worst.or(Some(condition)),
        }
    }
    let fault = worst.as_ref().and_then(crate::ssh::condition_fault);
    Ok(fault
        .map(|fault| if is_stopped(worst.as_ref()) { fault.apply() } else { fault })
        .into_iter()
        .collect::<Vec<_>>()
        .into())
}

fn is_stopped(condition: Option<&Condition>) -> bool {
    condition.is_some_and(|condition| condition.holds == Holds::No)
}

/// What is in force is in force again after a boot. Source: systemd(1); CIS Debian 12 4.3.10.
pub(crate) fn fw3_persistent(subject: &Subject<'_>) -> Judged {
    let live = ours(subject);
    let through_iptables = subject.facts.file(iptables::SAVED).entry().is_some();
    let is_ours = live.is_some() || is_enabled(subject) || subject.facts.file(SAVED).entry().is_some();
    let faults = if through_iptables {
        let stopped = (!is_enabled(subject)).then(not_loaded_at_boot);
        stopped.into_iter().chain(iptables::lags_behind(subject)).collect()
    } else if is_ours {
        ours_persists(subject, live)
    } else {
        foreign_persists(subject)?
    };
    Ok(faults.into())
}

/// Our table, in the kernel.
fn ours<'a>(subject: &Subject<'a>) -> Option<&'a TableDump> {
    subject.facts.firewall.ruleset.known()?.table(Family::Inet, DEFAULT_TABLE)
}

fn is_enabled(subject: &Subject<'_>) -> bool {
    let units = subject.facts.system.units.known().map(Vec::as_slice).unwrap_or_default();
    let by_unit = units.iter().any(|unit| unit.name == UNIT && unit.enabled == "enabled");
    let by_link = LINKS.iter().any(|link| {
        subject
            .facts
            .file(Path::new(link))
            .entry()
            .is_some_and(|entry| matches!(entry.kind, EntryKind::Symlink(_)))
    });
    by_unit || by_link
}

fn ours_persists(subject: &Subject<'_>, live: Option<&TableDump>) -> Vec<Fault> {
    let mut faults = Vec::new();
    if !is_enabled(subject) {
        faults.push(not_loaded_at_boot());
    }
    match saved(subject) {
        Err(reason) => faults.push(
            Fault::unknown("the ruleset of the next boot is not known", reason).decided_by(SAVED).apply(),
        ),
        Ok(saved) => faults.extend(lags_behind(subject, &saved, live)),
    }
    faults
}

fn not_loaded_at_boot() -> Fault {
    Fault::new("the ruleset is not loaded at boot").decided_by(UNIT).apply()
}

/// The saved ruleset is not the one in force.
fn lags_behind(subject: &Subject<'_>, saved: &Compiled, live: Option<&TableDump>) -> Option<Fault> {
    let Some(live) = live else {
        let is_known = !subject.is_image() && subject.facts.firewall.ruleset.known().is_some();
        return is_known.then(|| Fault::new("the saved ruleset is not in force").decided_by(SAVED).apply());
    };
    let differences = compare_loaded(saved, live);
    let first = differences.first()?;
    Some(
        Fault::new("the ruleset that the next boot loads is not the one in force")
            .decided_by(SAVED)
            .decided_by(first.to_string())
            .apply(),
    )
}

fn saved(subject: &Subject<'_>) -> Result<Compiled, String> {
    let file = subject.facts.file(SAVED);
    let bytes = file.bytes().ok_or_else(|| format!("{SAVED} is not there, or was not read"))?;
    serde_json::from_slice(bytes).map_err(|error| format!("{SAVED}: {error}"))
}

fn foreign_persists(subject: &Subject<'_>) -> Result<Vec<Fault>, NotKnown> {
    let managers = known(&subject.facts.firewall.managers, "what loads a packet filter at boot")?;
    if managers.iter().any(|manager| manager.enabled) {
        return Ok(Vec::new());
    }
    let what = match managers.first() {
        Some(manager) => format!("{} runs, and does not start at boot", manager.name),
        None => "nothing loads a packet filter at boot".to_owned(),
    };
    let places = match managers.is_empty() {
        true => vec![UNIT.to_owned()],
        false => managers.iter().map(|manager| manager.name.clone()).collect(),
    };
    Ok(vec![Fault::new(what).decided_by_all(places).apply()])
}

/// One program manages the rules, so that none undoes what another did. Source: CIS Debian 12 4.1.1.
pub(crate) fn fw4_one_manager(subject: &Subject<'_>) -> Judged {
    let managers = known(&subject.facts.firewall.managers, "who manages the packet filter")?;
    let through_iptables = subject.facts.file(iptables::SAVED).entry().is_some();
    // They load our own rules out of their files then.
    let is_ours = |name: &str| through_iptables && iptables::LOADERS.contains(&name);
    let names = managers.iter().map(|manager| manager.name.as_str());
    let mut names: Vec<&str> = names.filter(|name| !is_ours(name)).collect();
    if ours(subject).is_some() || is_enabled(subject) {
        names.push(UNIT);
    }
    if names.len() < 2 {
        return Ok(Verdict::holds());
    }
    let others: Vec<&str> = names.iter().copied().filter(|name| *name != UNIT).collect();
    let stop = others.iter().skip(usize::from(others.len() == names.len()));
    let stop: Vec<&str> = stop.copied().collect();
    let fault = Fault::new(format!("several programs manage the packet filter: {}", names.join(", ")))
        .decided_by_all(names.iter().map(|name| (*name).to_owned()));
    let fault = match subject.policy.firewall.exclusive {
        true if others.iter().any(|name| STANDS_DOWN.contains(name)) => fault.apply(),
        true => fault.ask(format!("keep one: systemctl disable --now {}", stop.join(" "))),
        false => fault.ask("set firewall.exclusive = true in the policy, and apply it"),
    };
    Ok(fault.into())
}

/// What is reachable is allowed by the policy, and what it allows is there. Source: the policy.
pub(crate) fn fw5_listeners_and_rules(subject: &Subject<'_>) -> Judged {
    if let Some(silent) = not_running(subject) {
        return Ok(silent);
    }
    let listeners = known(&subject.facts.network.listeners, "who listens on the network")?;
    let filter = filter(subject)?;
    let mut faults: Vec<Fault> = Vec::new();
    for listener in listeners.iter().filter(|listener| listener.is_exposed()) {
        let fault = reachable_without_rule(subject, &filter, listener);
        faults.extend(fault.filter(|fault| !faults.contains(fault)));
    }
    faults.extend(rules_without_listener(subject, listeners));
    Ok(faults.into())
}

fn reachable_without_rule(subject: &Subject<'_>, filter: &Filter<'_>, listener: &Listener) -> Option<Fault> {
    if is_allowed(subject, listener.protocol, listener.port) {
        return None;
    }
    let (name, port) = (transport_name(listener.protocol), listener.port);
    let program = listener.owners.first().map_or(NOBODY, |owner| owner.name.as_str());
    for local in addresses_of(subject, listener) {
        match filter.fate(listener.protocol, somebody_like(local), SocketAddr::new(local, port)) {
            Fate::Stopped(_) => {}
            Fate::Passes(by) => {
                let what =
                    format!("{program} is reachable at {name}/{port}, which the policy does not allow");
                return Some(Fault::new(what).decided_by(by).apply());
            }
            Fate::Unknown(reason) => {
                let what = format!("whether {program} is reachable at {name}/{port} is not known");
                return Some(Fault::unknown(what, reason));
            }
        }
    }
    None
}

/// The addresses at which others reach a listener.
fn addresses_of(subject: &Subject<'_>, listener: &Listener) -> Vec<IpAddr> {
    if !listener.address.is_unspecified() {
        return vec![listener.address];
    }
    let takes = |address: &IpAddr| {
        address.is_ipv4() == listener.address.is_ipv4() || (address.is_ipv4() && !listener.v6_only)
    };
    own_addresses(subject.facts).into_iter().filter(takes).collect()
}

fn rules_without_listener(subject: &Subject<'_>, listeners: &[Listener]) -> Vec<Fault> {
    let ssh = crate::filter::ssh_ports(subject.facts);
    let mut faults = Vec::new();
    for allow in &subject.policy.firewall.allow {
        for spec in allow.ports(&ssh).unwrap_or_default() {
            let serves = |listener: &&Listener| {
                transport(listener.protocol) == spec.transport
                    && (spec.first..=spec.last).contains(&listener.port)
                    && listener.is_exposed()
            };
            if listeners.iter().find(serves).is_none() {
                let place = (allow.line > 0).then(|| format!("policy.toml:{}", allow.line));
                faults.push(
                    Fault::new(format!("the policy allows {spec}, and nothing listens there"))
                        .severity(Severity::Info)
                        .decided_by_all(place)
                        .ask("take it out of the policy if nothing will"),
                );
            }
        }
    }
    faults
}

fn transport(protocol: Protocol) -> Transport {
    match protocol {
        Protocol::Tcp => Transport::Tcp,
        Protocol::Udp => Transport::Udp,
    }
}

fn transport_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}

/// The connections by which an administrator may come, where the policy names from where.
pub(crate) fn sources_of_ssh(subject: &Subject<'_>) -> Vec<IpAddr> {
    let ssh = crate::filter::ssh_ports(subject.facts);
    let is_ssh = |spec: &PortSpec| {
        spec.transport == Transport::Tcp && ssh.iter().any(|port| (spec.first..=spec.last).contains(port))
    };
    let entries = subject.policy.firewall.allow.iter();
    let for_ssh = entries.filter(|allow| allow.ports(&ssh).unwrap_or_default().iter().any(is_ssh));
    for_ssh.flat_map(|allow| &allow.from).map(|net| net.hosts().next().unwrap_or(net.addr())).collect()
}

/// Every connection that may be an administrator's.
pub(crate) fn connections(subject: &Subject<'_>) -> Vec<Connection> {
    likely_connections(subject.facts, subject.read_sshd(), &sources_of_ssh(subject))
}

#[cfg(test)]
mod tests;
