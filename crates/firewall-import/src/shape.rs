//! What a rule looks at and what it does, as far as an import has to tell rules apart.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use iptables_syntax::extension::{Comparison, CtStates, HashRate, PortSide, TcpFlags};
use iptables_syntax::{AddressSpec, Family, Match, Negatable, Rule, Target};
use policy::{PortSpec, Transport};

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
const EVERY_STATE: u8 = 0x1f;

/// A rule, seen through the conditions that an import understands. Each `None` is: no such condition.
#[derive(Debug, Clone)]
pub(crate) struct Shape<'r> {
    pub(crate) source: Option<IpNet>,
    pub(crate) destination: Option<IpNet>,
    pub(crate) input: Option<&'r Negatable<iptables_syntax::Interface>>,
    pub(crate) output: Option<&'r Negatable<iptables_syntax::Interface>>,
    pub(crate) protocol: Option<u8>,
    pub(crate) states: Option<CtStates>,
    pub(crate) ports: Option<Vec<(u16, u16)>>,
    pub(crate) icmp: Option<u8>,
    pub(crate) syn: bool,
    pub(crate) limited: bool,
    /// New connections a minute from one source, where that is all that a hashlimit counts.
    pub(crate) per_minute: Option<u32>,
    pub(crate) comment: Option<&'r str>,
    /// Its hop limit is 255: no router passed it on.
    pub(crate) near: bool,
    /// There are conditions that none of the above says.
    pub(crate) other: bool,
}

impl<'r> Shape<'r> {
    pub(crate) fn of(rule: &'r Rule, family: Family) -> Self {
        let mut shape = Self {
            source: None,
            destination: None,
            input: rule.input.as_ref(),
            output: rule.output.as_ref(),
            protocol: None,
            states: None,
            ports: None,
            icmp: None,
            syn: false,
            limited: false,
            per_minute: None,
            comment: None,
            near: false,
            other: rule.fragment.is_some(),
        };
        for (spec, place) in [(&rule.source, &mut shape.source), (&rule.destination, &mut shape.destination)]
        {
            match spec {
                None => {}
                Some(spec) => match network(spec) {
                    Some(net) => *place = Some(net).filter(|net| net.prefix_len() != 0),
                    None => shape.other = true,
                },
            }
        }
        match rule.protocol {
            Some(Negatable { negated: false, value }) => shape.protocol = Some(value.0),
            Some(_) => shape.other = true,
            None => {}
        }
        for matched in &rule.matches {
            shape.note(matched, family);
        }
        shape
    }

    fn note(&mut self, matched: &'r Match, family: Family) {
        match matched {
            Match::Comment(comment) => self.comment = Some(&comment.text),
            Match::State(state) => self.note_states(state.states),
            Match::Conntrack(conntrack) => {
                let bare = iptables_syntax::extension::Conntrack { states: None, ..(**conntrack).clone() };
                match conntrack.states {
                    Some(states) if bare == iptables_syntax::extension::Conntrack::default() => {
                        self.note_states(states);
                    }
                    _ => self.other = true,
                }
            }
            Match::Tcp(tcp) => {
                self.other |= tcp.source_ports.is_some() || tcp.option.is_some();
                self.note_ports(tcp.destination_ports.map(|ports| Negatable {
                    negated: ports.negated,
                    value: vec![(ports.value.first, ports.value.last)],
                }));
                match tcp.flags {
                    None => {}
                    Some(Negatable { negated: false, value: TcpFlags::SYN }) => self.syn = true,
                    Some(_) => self.other = true,
                }
            }
            Match::Udp(udp) => {
                self.other |= udp.source_ports.is_some();
                self.note_ports(udp.destination_ports.map(|ports| Negatable {
                    negated: ports.negated,
                    value: vec![(ports.value.first, ports.value.last)],
                }));
            }
            Match::Multiport(ports) if ports.side == PortSide::Destination => {
                let value = ports.ports.value.iter().map(|range| (range.first, range.last)).collect();
                self.note_ports(Some(Negatable { negated: ports.ports.negated, value }));
            }
            Match::Icmp(icmp) | Match::Icmp6(icmp) => {
                let whole = icmp.kind.value.codes.first == 0 && icmp.kind.value.codes.last == 255;
                match icmp.kind.value.number {
                    None if !icmp.kind.negated => {}
                    Some(number) if whole && !icmp.kind.negated && self.icmp.is_none() => {
                        self.icmp = Some(number);
                    }
                    _ => self.other = true,
                }
            }
            Match::Hl(hops) if hops.comparison == Comparison::Equal && hops.value == 255 => self.near = true,
            Match::Limit(_) => self.limited = true,
            Match::Hashlimit(limit) => match per_minute(limit, family) {
                Some(count) if self.per_minute.is_none() => self.per_minute = Some(count),
                _ => self.other = true,
            },
            _ => self.other = true,
        }
    }

    fn note_states(&mut self, states: Negatable<CtStates>) {
        let bits = if states.negated { !states.value.0 & EVERY_STATE } else { states.value.0 };
        let before = self.states.map_or(0x7f, |states| states.0);
        self.states = Some(CtStates(bits & before));
    }

    fn note_ports(&mut self, ports: Option<Negatable<Vec<(u16, u16)>>>) {
        match ports {
            None => {}
            Some(Negatable { negated: false, value }) if self.ports.is_none() => self.ports = Some(value),
            Some(_) => self.other = true,
        }
    }

    /// No condition at all.
    pub(crate) fn is_unconditional(&self) -> bool {
        self.is_only_protocol() && self.protocol.is_none()
    }

    /// No condition but on the protocol.
    pub(crate) fn is_only_protocol(&self) -> bool {
        self.source.is_none()
            && self.destination.is_none()
            && self.input.is_none()
            && self.output.is_none()
            && self.states.is_none_or(|states| states.0 & EVERY_STATE == EVERY_STATE)
            && self.ports.is_none()
            && self.icmp.is_none()
            && !self.syn
            && !self.limited
            && !self.near
            && self.per_minute.is_none()
            && !self.other
    }

    /// Whether every packet that it matches is in one of these states.
    pub(crate) fn is_within(&self, states: CtStates) -> bool {
        self.states.is_some_and(|own| own.0 & !states.0 == 0)
    }

    /// Whether it matches packets that begin flows.
    pub(crate) fn takes_new(&self) -> bool {
        self.states.is_none_or(|states| states.contains(CtStates::NEW))
    }

    /// Comes in by this interface alone.
    pub(crate) fn is_from(&self, interface: &str) -> bool {
        self.input.is_some_and(|input| !input.negated && input.value.0 == interface)
    }

    /// Leaves by this interface alone.
    pub(crate) fn is_to(&self, interface: &str) -> bool {
        self.output.is_some_and(|output| !output.negated && output.value.0 == interface)
    }

    /// The ports as an entry of the policy writes them.
    pub(crate) fn port_specs(&self) -> Option<Vec<PortSpec>> {
        let transport = match self.protocol? {
            TCP => Transport::Tcp,
            UDP => Transport::Udp,
            _ => return None,
        };
        let ports = self.ports.as_ref()?;
        let spec = |&(first, last): &(u16, u16)| {
            (first <= last && first != 0).then_some(PortSpec { transport, first, last })
        };
        ports.iter().map(spec).collect()
    }

    /// Whether some packet may match both. What is not understood counts as anything.
    pub(crate) fn meets(&self, other: &Shape<'_>) -> bool {
        let nets = |a: Option<IpNet>, b: Option<IpNet>| match (a, b) {
            (Some(a), Some(b)) => a.contains(&b) || b.contains(&a),
            _ => true,
        };
        let same = |a: Option<u8>, b: Option<u8>| a.is_none() || b.is_none() || a == b;
        let interfaces = |a: Option<&Negatable<iptables_syntax::Interface>>,
                          b: Option<&Negatable<iptables_syntax::Interface>>| {
            match (a, b) {
                (Some(a), Some(b)) if !a.negated && !b.negated => {
                    a.value.0 == b.value.0
                        || a.value.is_prefix() && b.value.name().starts_with(a.value.name())
                        || b.value.is_prefix() && a.value.name().starts_with(b.value.name())
                }
                (Some(a), Some(b)) if a.negated != b.negated => a.value.0 != b.value.0,
                _ => true,
            }
        };
        let ports = match (&self.ports, &other.ports) {
            (Some(a), Some(b)) => a.iter().any(|a| b.iter().any(|b| a.0 <= b.1 && b.0 <= a.1)),
            _ => true,
        };
        let states = match (self.states, other.states) {
            (Some(a), Some(b)) => a.0 & b.0 != 0,
            _ => true,
        };
        nets(self.source, other.source)
            && nets(self.destination, other.destination)
            && same(self.protocol, other.protocol)
            && same(self.icmp, other.icmp)
            && interfaces(self.input, other.input)
            && interfaces(self.output, other.output)
            && ports
            && states
    }
}

/// The addresses of a condition that is no `!` and whose mask is a prefix.
fn network(spec: &Negatable<AddressSpec>) -> Option<IpNet> {
    let length = spec.value.prefix()?;
    if spec.negated {
        return None;
    }
    match spec.value {
        AddressSpec::V4 { address, .. } => Ipv4Net::new(address, length).ok().map(IpNet::V4),
        AddressSpec::V6 { address, .. } => Ipv6Net::new(address, length).ok().map(IpNet::V6),
        AddressSpec::Name(_) => None,
    }
}

/// The rate, where it is what `new-per-minute` says: packets of one source, as many at once as in a minute.
fn per_minute(limit: &iptables_syntax::extension::Hashlimit, family: Family) -> Option<u32> {
    let HashRate::Packets(rate) = limit.rate else { return None };
    let mask = match family {
        Family::Ipv4 => 32,
        Family::Ipv6 => 64,
    };
    let by_source = limit.source_address
        && !limit.source_port
        && !limit.destination_address
        && !limit.destination_port
        && limit.source_mask == mask
        && !limit.above
        && !limit.rate_match;
    let count = rate.packets.checked_mul(60)?.checked_div(rate.per.seconds())?;
    let exact = u64::from(rate.packets) * 60 == u64::from(count) * u64::from(rate.per.seconds());
    (by_source && exact && limit.burst == Some(u64::from(count)) && count > 0).then_some(count)
}

/// What a target does to the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    Accept,
    Refuse {
        told: bool,
    },
    Return,
    /// It writes something down, and the packet goes on.
    Log,
    /// It changes the packet, and the packet goes on.
    Change,
    Chain,
    /// Nothing.
    Count,
    /// It is not known here.
    Unknown,
}

pub(crate) fn does(target: Option<&Target>) -> Does {
    match target {
        None => Does::Count,
        Some(Target::Accept) => Does::Accept,
        Some(Target::Drop) => Does::Refuse { told: false },
        Some(Target::Reject(_)) => Does::Refuse { told: true },
        Some(Target::Return) => Does::Return,
        Some(Target::Jump(_) | Target::Goto(_)) => Does::Chain,
        Some(Target::Log(_) | Target::Nflog(_)) => Does::Log,
        Some(
            Target::Connmark(_)
            | Target::Ct(_)
            | Target::Hl(_)
            | Target::Mark(_)
            | Target::Notrack
            | Target::Set(_)
            | Target::Tcpmss(_)
            | Target::Ttl(_),
        ) => Does::Change,
        Some(
            Target::Queue
            | Target::Dnat(_)
            | Target::Masquerade(_)
            | Target::Redirect(_)
            | Target::Snat(_)
            | Target::Unknown(_),
        ) => Does::Unknown,
    }
}
