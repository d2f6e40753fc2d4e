//! What was seen from outside, beside what the policy says: rows for a report. Pure.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use host::Facts;
use host::facts::{Listener, Protocol};
use packet_filter::{Answer, DecidedBy, Ending, FilterPolicy, Hook, Packet, decide, policy_decides};
use probe::scan;
use report::verification::{Agreement, Check, Difference};

use super::{Reach, ShouldAnswer, Target};

/// The interface by which probes arrive. Policies name none but `lo`.
pub(crate) const CABLE: &str = "gabion-probe0";

/// What a host is judged by.
pub(crate) struct Expected<'a> {
    pub(crate) policy: &'a FilterPolicy,
    pub(crate) facts: &'a Facts,
}

impl Expected<'_> {
    /// The rows for one address.
    pub(crate) fn checks(&self, target: Target, seen: &Reach, before: Option<&Reach>) -> Vec<Check> {
        let udp = (!seen.udp.is_empty()).then(|| self.udp(target, seen, before));
        let (tcp, ping) = (self.tcp(target, seen, before), self.ping(target, seen, before));
        [Some(tcp), udp, Some(ping)].into_iter().flatten().collect()
    }

    /// What the policy lets in and something listens for.
    pub(crate) fn should_answer(&self, target: Target) -> ShouldAnswer {
        ShouldAnswer { tcp: self.open(target), ping: self.pinged(target) }
    }

    /// The TCP ports that should accept a connection.
    fn open(&self, target: Target) -> BTreeSet<u16> {
        let mut listening = self.listening(Protocol::Tcp, target.to);
        listening.retain(|port| self.allows(Protocol::Tcp, target, *port));
        listening
    }

    fn pinged(&self, target: Target) -> bool {
        Packet::ping(target.from, target.to).is_ok_and(|packet| self.accepts(packet))
    }

    fn tcp(&self, target: Target, seen: &Reach, before: Option<&Reach>) -> Check {
        let wanted = self.open(target);
        let mut differences = Vec::new();
        for port in seen.tcp.open.iter().filter(|port| !self.allows(Protocol::Tcp, target, **port)) {
            differences.push(self.difference(Protocol::Tcp, target, *port, "open", "refused"));
        }
        for port in wanted.difference(&seen.tcp.open).filter(|port| usize::from(**port) <= seen.tcp.tried) {
            differences.push(self.difference(Protocol::Tcp, target, *port, "closed", "open"));
        }
        Check {
            what: format!("TCP ports 1-{}, {}", seen.tcp.tried, family(target.to)),
            before: before.map(|before| open(&before.tcp.open)),
            seen: open(&seen.tcp.open),
            wanted: open(&wanted),
            agrees: agreement(differences),
        }
    }

    /// The row for one port at an address where nothing else is tried.
    pub(crate) fn single_tcp(&self, target: Target, port: u16, seen: &scan::Scan) -> Check {
        let wanted = self.allows(Protocol::Tcp, target, port);
        let is_open = seen.open.contains(&port);
        let word = |open: bool| if open { "open" } else { "closed" }.to_owned();
        let differences = if is_open == wanted {
            Vec::new()
        } else {
            vec![self.difference(Protocol::Tcp, target, port, &word(is_open), &word(wanted))]
        };
        Check {
            what: format!("tcp/{port} of {}", target.to),
            before: None,
            seen: word(is_open),
            wanted: word(wanted),
            agrees: agreement(differences),
        }
    }

    /// Silence of a UDP port is no evidence: only what answered is judged.
    fn udp(&self, target: Target, seen: &Reach, before: Option<&Reach>) -> Check {
        let answered = |reach: &Reach| -> BTreeSet<u16> {
            reach.udp.iter().filter(|udp| udp.answer == scan::Answer::Open).map(|udp| udp.port).collect()
        };
        let now = answered(seen);
        let refused = now.iter().filter(|port| !self.allows(Protocol::Udp, target, **port));
        let differences: Vec<Difference> =
            refused.map(|port| self.difference(Protocol::Udp, target, *port, "answers", "refused")).collect();
        let wanted: BTreeSet<u16> = seen
            .udp
            .iter()
            .map(|udp| udp.port)
            .filter(|port| self.allows(Protocol::Udp, target, *port))
            .collect();
        let wanted =
            if wanted.is_empty() { "no answer".to_owned() } else { format!("at most {}", ports(&wanted)) };
        Check {
            what: format!("UDP, {} ports that matter, {}", seen.udp.len(), family(target.to)),
            before: before.map(|before| answers(&answered(before))),
            seen: answers(&now),
            wanted,
            agrees: agreement(differences),
        }
    }

    fn ping(&self, target: Target, seen: &Reach, before: Option<&Reach>) -> Check {
        let wanted = self.pinged(target);
        let word = |answered: bool| if answered { "answered" } else { "no answer" }.to_owned();
        let differences = if seen.ping == wanted {
            Vec::new()
        } else {
            vec![Difference {
                what: format!("echo request from {}", target.from),
                seen: word(seen.ping),
                wanted: word(wanted),
                decided_by: Packet::ping(target.from, target.to)
                    .ok()
                    .and_then(|packet| self.decided_by(packet)),
            }]
        };
        Check {
            what: format!("ping, {}", family(target.to)),
            before: before.map(|before| word(before.ping)),
            seen: word(seen.ping),
            wanted: word(wanted),
            agrees: agreement(differences),
        }
    }

    fn difference(
        &self,
        protocol: Protocol,
        target: Target,
        port: u16,
        seen: &str,
        wanted: &str,
    ) -> Difference {
        let packet = packet(protocol, target, port);
        let name = match protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        Difference {
            what: format!("{name}/{port} of {} from {}", target.to, target.from),
            seen: seen.to_owned(),
            wanted: wanted.to_owned(),
            decided_by: packet.and_then(|packet| self.decided_by(packet)),
        }
    }

    fn allows(&self, protocol: Protocol, target: Target, port: u16) -> bool {
        packet(protocol, target, port).is_some_and(|packet| self.accepts(packet))
    }

    fn accepts(&self, packet: Packet) -> bool {
        let answer = policy_decides(self.policy, Hook::Input, &packet.arriving_on(CABLE));
        match answer {
            Answer::Accept | Answer::AcceptWithin { .. } => true,
            Answer::Open { usual, .. } => usual == Ending::Accept,
            Answer::Refuse(_) => false,
        }
    }

    /// The rule in the kernel that has the last word on a packet.
    fn decided_by(&self, packet: Packet) -> Option<String> {
        let ruleset = self.facts.firewall.ruleset.known()?;
        match decide(&ruleset.tables, Hook::Input, &packet.arriving_on(CABLE)).decided_by {
            DecidedBy::Rule(rule) => {
                let comment = rule.comment.map(|comment| format!(" ({comment})")).unwrap_or_default();
                Some(format!("rule {} of {} {}: {}{comment}", rule.number, rule.table, rule.chain, rule.text))
            }
            DecidedBy::Policy { table, chain } => Some(format!("the policy of {table} {chain}")),
            DecidedBy::Nobody => Some("no rule: nothing filters it".to_owned()),
        }
    }

    /// The ports on which something takes packets that come to this address from outside.
    fn listening(&self, protocol: Protocol, to: IpAddr) -> BTreeSet<u16> {
        let listeners = self.facts.network.listeners.known().map(Vec::as_slice).unwrap_or_default();
        let takes = |listener: &&Listener| {
            let any_v4 = listener.address.is_ipv6() && !listener.v6_only && to.is_ipv4();
            listener.protocol == protocol
                && listener.link.is_none()
                && (listener.address == to
                    || (listener.address.is_unspecified()
                        && (listener.address.is_ipv4() == to.is_ipv4() || any_v4)))
        };
        listeners.iter().filter(takes).map(|listener| listener.port).collect()
    }
}

fn packet(protocol: Protocol, target: Target, port: u16) -> Option<Packet> {
    let (from, to) = (SocketAddr::new(target.from, 61_111), SocketAddr::new(target.to, port));
    match protocol {
        Protocol::Tcp => Packet::tcp(from, to).ok(),
        Protocol::Udp => Packet::udp(from, to).ok(),
    }
}

/// Yes where there is no difference.
pub(crate) fn agreement(differences: Vec<Difference>) -> Agreement {
    if differences.is_empty() { Agreement::Yes } else { Agreement::No(differences) }
}

/// `IPv4` or `IPv6`.
pub(crate) fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

fn open(open: &BTreeSet<u16>) -> String {
    if open.is_empty() { "none open".to_owned() } else { format!("{} open", ports(open)) }
}

fn answers(answering: &BTreeSet<u16>) -> String {
    if answering.is_empty() { "no answer".to_owned() } else { format!("{} answer", ports(answering)) }
}

/// The first few ports, and how many more.
fn ports(ports: &BTreeSet<u16>) -> String {
    const SHOWN: usize = 6;
    let mut text = ports.iter().take(SHOWN).map(u16::to_string).collect::<Vec<_>>().join(", ");
    if ports.len() > SHOWN {
        text.push_str(&format!(" and {} more", ports.len() - SHOWN));
    }
    text
}
