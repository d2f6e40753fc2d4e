//! Where sshd, or the socket unit that starts it, takes connections.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use host::facts::{Source, Unit};
use host::{Fact, Facts};
use policy::Transport;
use sshd_config::Keyword;

use super::view::{Sshd, Unread, options};
use crate::finding::Severity;
use crate::judgement::{Fault, Judged, NotKnown, Subject, Verdict};

/// A place where connections to sshd are taken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Listen {
    /// Local address; unspecified for any of its family.
    pub address: IpAddr,
    /// TCP port.
    pub port: u16,
    /// An unspecified IPv6 address that takes IPv4 too.
    pub dual: bool,
    /// What decides it: `/etc/ssh/sshd_config:14`, `ssh.socket`.
    pub decided_by: String,
}

impl Listen {
    /// Whether a connection to that address and port is taken here.
    pub fn takes(&self, local: IpAddr, port: u16) -> bool {
        let any = self.address.is_unspecified() && (self.address.is_ipv4() == local.is_ipv4() || self.dual);
        self.port == port && (any || self.address == local)
    }
}

/// Where sshd takes connections, or will once it runs with the configuration as it is: what its socket unit says
/// where one is active, otherwise `Port` and `ListenAddress`. Empty where that is not known.
pub fn listens(facts: &Facts) -> Vec<SocketAddr> {
    let listening = listening(facts, &Sshd::read(facts)).unwrap_or_default();
    let mut sockets = Vec::new();
    for listen in listening {
        sockets.push(SocketAddr::new(listen.address, listen.port));
        if listen.dual {
            sockets.push(SocketAddr::from(([0, 0, 0, 0], listen.port)));
        }
    }
    sockets.sort_unstable();
    sockets.dedup();
    sockets
}

/// The same, with what decides.
pub(crate) fn listening(facts: &Facts, sshd: &Result<Sshd, Unread>) -> Result<Vec<Listen>, NotKnown> {
    let sockets = socket_units(facts)?;
    if !sockets.is_empty() {
        return Ok(sockets.into_iter().flat_map(of_unit).collect());
    }
    let sshd = sshd.as_ref().map_err(NotKnown::from)?;
    Ok(of_configuration(facts, sshd))
}

/// The socket units in whose hands the ports are.
fn socket_units(facts: &Facts) -> Result<Vec<&Unit>, NotKnown> {
    let units = match &facts.ssh.units {
        Fact::Known(units) => units,
        Fact::Unknown(reason) => {
            return Err(NotKnown::new("whether a socket unit listens for sshd is not known", reason.clone()));
        }
    };
    let in_force = |unit: &&Unit| match facts.source {
        Source::Live => unit.active == "active",
        Source::Image => unit.enabled == "enabled",
    };
    Ok(units.iter().filter(|unit| unit.name.ends_with(".socket") && unit.loaded).filter(in_force).collect())
}

fn of_unit(unit: &Unit) -> impl Iterator<Item = Listen> {
    unit.listens.iter().filter_map(|text| {
        let text = text.split_whitespace().next()?;
        let socket = match text.parse::<SocketAddr>() {
            Ok(socket) => socket,
            Err(_) => {
                SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), text.trim_start_matches("*:").parse().ok()?)
            }
        };
        let dual = socket.is_ipv6() && socket.ip().is_unspecified();
        Some(Listen { address: socket.ip(), port: socket.port(), dual, decided_by: unit.name.clone() })
    })
}

fn of_configuration(facts: &Facts, sshd: &Sshd) -> Vec<Listen> {
    let ports = ports_of_command_line(facts);
    let start = sshd.at_start();
    let mut listens = Vec::new();
    let values =
        start.inner().known(Keyword::ListenAddress).map(sshd_config::Setting::values).unwrap_or_default();
    for value in values {
        let Some(socket) = value.text.split(' ').next().and_then(|text| text.parse::<SocketAddr>().ok())
        else {
            continue;
        };
        let decided_by = match &value.origin {
            Some(origin) => origin.to_string(),
            None => format!("the default of {}", sshd.configuration.defaults().release()),
        };
        let at = |port, decided_by| Listen { address: socket.ip(), port, dual: false, decided_by };
        match &ports {
            Some((ports, place)) => listens.extend(ports.iter().map(|port| at(*port, place.clone()))),
            None => listens.push(at(socket.port(), decided_by)),
        }
    }
    listens.sort();
    listens.dedup();
    listens
}

/// `-p` on the command line replaces every `Port` of the files (sshd(8)).
fn ports_of_command_line(facts: &Facts) -> Option<(Vec<u16>, String)> {
    let server = facts.ssh.servers.known()?.first()?;
    let words: Vec<&str> = server.argv.iter().flat_map(|word| word.split_whitespace()).collect();
    let mut ports = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let port = match word.strip_prefix("-p") {
            Some("") => words.get(at + 1).copied(),
            attached => attached,
        };
        ports.extend(port.and_then(|port| port.parse::<u16>().ok()));
    }
    (!ports.is_empty()).then(|| (ports, format!("/proc/{}/cmdline", server.pid)))
}

/// The socket unit and sshd's own configuration name the same ports, the running server listens there, and there is
/// one port unless the policy names the others. Source: systemd.socket(5), `sshd_config(5)` `Port`.
pub(crate) fn sh31_ports(subject: &Subject<'_>) -> Judged {
    let sshd = subject.sshd()?;
    let mut faults = Vec::new();
    let configured = ports(&of_configuration(subject.facts, sshd));
    let listening = listening(subject.facts, &Ok(sshd.clone()))?;
    for unit in socket_units(subject.facts)? {
        let ports = ports(&of_unit(unit).collect::<Vec<_>>());
        if ports != configured {
            faults.push(
                Fault::new(format!(
                    "{} listens on {}, while sshd_config says {}",
                    unit.name,
                    shown(&ports),
                    shown(&configured)
                ))
                .decided_by(unit.name.clone())
                .decided_by_all(sshd.at_start().place(Keyword::ListenAddress))
                .ask(format!(
                    "make them the same: systemctl edit {} (ListenStream=), or Port in sshd_config",
                    unit.name
                )),
            );
        }
    }
    if faults.is_empty() && socket_units(subject.facts)?.is_empty() {
        faults.extend(running_elsewhere(subject, &configured));
    }
    faults.extend(several(subject, &listening));
    faults.extend(unresolved_options(subject));
    Ok(Verdict::Judged(faults))
}

fn running_elsewhere(subject: &Subject<'_>, configured: &[u16]) -> Option<Fault> {
    let servers = subject.facts.ssh.servers.known()?;
    let mut running: Vec<u16> =
        servers.iter().flat_map(|server| &server.listens).map(SocketAddr::port).collect();
    running.sort_unstable();
    running.dedup();
    (!running.is_empty() && running != configured).then(|| {
        Fault::new(format!(
            "sshd listens on {}, and will on {} once it starts anew",
            shown(&running),
            shown(configured)
        ))
        .severity(Severity::High)
        .decided_by_all(servers.iter().map(|server| format!("process {}", server.pid)))
        .ask("set Port to where it should listen, or restart it")
    })
}

/// Every port is a door of its own, and scanners, firewalls and people know of one.
fn several(subject: &Subject<'_>, listening: &[Listen]) -> Option<Fault> {
    let named = |port: u16| {
        subject
            .policy
            .firewall
            .allow
            .iter()
            .flat_map(|allow| &allow.port)
            .any(|spec| spec.transport == Transport::Tcp && (spec.first..=spec.last).contains(&port))
    };
    let unnamed: Vec<u16> = ports(listening).into_iter().filter(|port| !named(*port)).collect();
    if unnamed.len() < 2 {
        return None;
    }
    let mut places: Vec<String> = listening.iter().map(|listen| listen.decided_by.clone()).collect();
    places.sort();
    places.dedup();
    let second = unnamed.last().copied().unwrap_or_default();
    Some(
        Fault::new(format!(
            "sshd takes connections on several ports: {}",
            shown(&unnamed)
        ))
        .severity(Severity::Medium)
        .decided_by_all(places)
        .ask(format!(
            "take out the Port lines that are not needed, or name them in the policy: port = \"tcp/{second}\""
        )),
    )
}

fn unresolved_options(subject: &Subject<'_>) -> Option<Fault> {
    let servers = subject.facts.ssh.servers.known()?;
    let server =
        servers.iter().find(|server| options(&server.argv).iter().any(|option| is_about_ports(option)))?;
    Some(
        Fault::new("sshd's command line decides where it listens, whatever its files say")
            .severity(Severity::Low)
            .decided_by(format!("/proc/{}/cmdline", server.pid))
            .ask("move the option from the unit or init script into sshd_config"),
    )
}

fn is_about_ports(option: &str) -> bool {
    let name = option.split(['=', ' ']).next().unwrap_or_default().to_ascii_lowercase();
    matches!(name.as_str(), "port" | "listenaddress" | "addressfamily")
}

/// The distinct ports, sorted.
pub(crate) fn ports(listening: &[Listen]) -> Vec<u16> {
    let mut ports: Vec<u16> = listening.iter().map(|listen| listen.port).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn shown(ports: &[u16]) -> String {
    let texts: Vec<String> = ports.iter().map(ToString::to_string).collect();
    match texts.as_slice() {
        [] => "no port".to_owned(),
        [one] => format!("port {one}"),
        many => format!("ports {}", many.join(", ")),
    }
}
