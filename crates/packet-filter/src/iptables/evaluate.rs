//! Whether a rule matches a packet, read from its syntax and from nothing else.
//!
//! This is the second opinion that a translated rule is held against. It shares no code with the translation, nor with the
//! machine. Sources: `iptables-extensions(8)`, `net/netfilter/xt_*.c`.

use std::net::IpAddr;

use iptables_syntax::extension::{
    AddressTypes, Addrtype, Comparison, Conntrack, CtStates, Icmp, Multiport, PortSide, RecentAction, Tcp,
};
use iptables_syntax::{
    AddressSpec, Interface, Interval, Masked, Match, Negatable, PortRange, Protocol, Rule,
};

use crate::facts::{Facts, Field, Need, interface_number};
use crate::packet::{Hook, State, protocol};
use crate::ranges::address_number;

/// Whether a rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// It does not.
    No,
    /// It does.
    Yes,
    /// It depends on a rate, or on something that is not known of the packet.
    Depends {
        /// Whether it matches as long as rates are kept and what is not known does not match.
        assumed: bool,
    },
}

const UNKNOWN: Held = Held::Depends { assumed: false };

impl Held {
    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, held) | (held, Self::Yes) => held,
            (Self::Depends { assumed: a }, Self::Depends { assumed: b }) => Self::Depends { assumed: a && b },
        }
    }

    fn of(known: Option<bool>) -> Self {
        known.map_or(UNKNOWN, |yes| if yes { Self::Yes } else { Self::No })
    }

    const fn not_if(self, negated: bool) -> Self {
        match self {
            Self::Yes if negated => Self::No,
            Self::No if negated => Self::Yes,
            same => same,
        }
    }
}

/// Whether the rule matches the packet at the hook. Of the family it asks only where the rule names an address.
pub(crate) fn held_by(rule: &Rule, hook: Hook, packet: &impl Facts) -> Result<Held, Need> {
    let mut held = Held::Yes;
    let mut all = |next: Held| {
        held = held.and(next);
        held == Held::No
    };
    if let Some(Negatable { negated, value: Protocol(number) }) = rule.protocol
        && all(is(packet, Field::Protocol, number.into())?.not_if(negated))
    {
        return Ok(Held::No);
    }
    for (asked, field) in [(&rule.source, Field::Source), (&rule.destination, Field::Destination)] {
        if let Some(asked) = asked
            && all(address(packet, field, asked)?)
        {
            return Ok(Held::No);
        }
    }
    for (asked, field) in [(&rule.input, Field::InputName), (&rule.output, Field::OutputName)] {
        if let Some(Negatable { negated, value }) = asked
            && all(interface(packet, field, value)?.not_if(*negated))
        {
            return Ok(Held::No);
        }
    }
    if rule.fragment.is_some() {
        all(UNKNOWN);
    }
    for matched in &rule.matches {
        if all(condition(matched, hook, packet)?) {
            return Ok(Held::No);
        }
    }
    Ok(held)
}

fn condition(matched: &Match, hook: Hook, packet: &impl Facts) -> Result<Held, Need> {
    Ok(match matched {
        Match::Comment(_) => Held::Yes,
        Match::Addrtype(addrtype) => address_types(addrtype, hook, packet)?,
        Match::Conntrack(conntrack) => self::conntrack(conntrack, packet)?,
        Match::State(asked) => in_states(packet, asked.states)?,
        Match::Connmark(connmark) => match has_connection(packet)? {
            Some(false) => Held::No,
            Some(true) | None => masked(None, connmark.mark),
        },
        Match::Mark(mark) => masked(packet.get(Field::Mark)?, mark.mark),
        // A rate is kept, or a number not reached, unless the rule asks for the opposite.
        Match::Limit(_) => Held::Depends { assumed: true },
        Match::Hashlimit(hashlimit) => Held::Depends { assumed: !hashlimit.above },
        Match::Connlimit(connlimit) => Held::Depends { assumed: !connlimit.above },
        Match::Quota(quota) => Held::Depends { assumed: !quota.negated },
        Match::Hl(ttl) | Match::Ttl(ttl) => match packet.get(Field::HopLimit)? {
            None => UNKNOWN,
            Some(value) => {
                let order = value.cmp(&ttl.value.into());
                Held::of(Some(match ttl.comparison {
                    Comparison::Equal => order.is_eq(),
                    Comparison::NotEqual => order.is_ne(),
                    Comparison::Less => order.is_lt(),
                    Comparison::Greater => order.is_gt(),
                }))
            }
        },
        Match::Icmp(icmp) => icmp_type(packet, protocol::ICMP, *icmp)?,
        Match::Icmp6(icmp) => icmp_type(packet, protocol::ICMPV6, *icmp)?,
        Match::Iprange(iprange) => {
            let mut held = Held::Yes;
            for (asked, field) in [(iprange.source, Field::Source), (iprange.destination, Field::Destination)]
            {
                if let Some(Negatable { negated, value: Interval { first, last } }) = asked {
                    let ends = Interval::new(address_number(first), address_number(last));
                    let is_in =
                        packet.get(field)?.map(|address| ends.first <= address && address <= ends.last);
                    let of_family = packet.is_ipv6()? == first.is_ipv6();
                    held = held.and(if of_family { Held::of(is_in).not_if(negated) } else { Held::No });
                }
            }
            held
        }
        Match::Multiport(multiport) => self::multiport(packet, multiport)?,
        Match::Tcp(tcp) => self::tcp(packet, tcp)?,
        Match::Udp(udp) => {
            let held = is(packet, Field::Protocol, protocol::UDP.into())?;
            held.and(ports(packet, udp.source_ports, udp.destination_ports)?)
        }
        Match::Sctp(sctp) => {
            const SCTP: u128 = 132;
            let held = is(packet, Field::Protocol, SCTP)?;
            let held = held.and(ports(packet, sctp.source_ports, sctp.destination_ports)?);
            if sctp.chunks.is_some() { held.and(UNKNOWN) } else { held }
        }
        Match::Ecn(ecn) => {
            let mut held = Held::Yes;
            for (asked, bit) in [(ecn.cwr, 0x80), (ecn.ece, 0x40)] {
                if let Some(set) = asked {
                    held = held.and(is(packet, Field::Protocol, protocol::TCP.into())?);
                    let flags = packet.get(Field::TcpFlags)?;
                    held = held.and(Held::of(flags.map(|flags| (flags & bit != 0) == set)));
                }
            }
            if ecn.ect.is_some() { held.and(UNKNOWN) } else { held }
        }
        Match::Recent(recent) if recent.action == RecentAction::Set => Held::Yes.not_if(recent.negated),
        Match::Length(length) => none_in_empty(length.bytes.value).not_if(length.bytes.negated),
        Match::Tos(tos) => masked_byte(tos.value),
        Match::Cpu(_)
        | Match::Dscp(_)
        | Match::Mac(_)
        | Match::Owner(_)
        | Match::Physdev(_)
        | Match::Pkttype(_)
        | Match::Policy(_)
        | Match::Recent(_)
        | Match::Rpfilter(_)
        | Match::Set(_)
        | Match::Socket(_)
        | Match::Statistic(_)
        | Match::String(_)
        | Match::Tcpmss(_)
        | Match::Time(_)
        | Match::U32(_)
        | Match::Unknown(_) => UNKNOWN,
    })
}

fn is(packet: &impl Facts, field: Field, value: u128) -> Result<Held, Need> {
    Ok(Held::of(packet.get(field)?.map(|found| found == value)))
}

/// A value that is not known is in no empty range.
fn none_in_empty(range: Interval<u16>) -> Held {
    if range.first > range.last { Held::No } else { UNKNOWN }
}

/// Under a mask of no bits every value is 0.
fn masked_byte(asked: Negatable<Masked<u8>>) -> Held {
    let Negatable { negated, value: Masked { value, mask } } = asked;
    if mask == 0 { Held::of(Some(value == 0)).not_if(negated) } else { UNKNOWN }
}

fn masked(found: Option<u128>, asked: Negatable<Masked<u32>>) -> Held {
    let Negatable { negated, value: Masked { value, mask } } = asked;
    let found = if mask == 0 { Some(0) } else { found };
    Held::of(found.map(|found| found & u128::from(mask) == u128::from(value))).not_if(negated)
}

fn address(packet: &impl Facts, field: Field, asked: &Negatable<AddressSpec>) -> Result<Held, Need> {
    let (address, mask): (IpAddr, IpAddr) = match asked.value {
        AddressSpec::V4 { address, mask } => (address.into(), mask.into()),
        AddressSpec::V6 { address, mask } => (address.into(), mask.into()),
        AddressSpec::Name(_) => return Ok(UNKNOWN),
    };
    if packet.is_ipv6()? != address.is_ipv6() {
        return Ok(Held::No);
    }
    let (address, mask) = (address_number(address), address_number(mask));
    let found = if mask == 0 { Some(0) } else { packet.get(field)? };
    Ok(Held::of(found.map(|found| found & mask == address)).not_if(asked.negated))
}

fn interface(packet: &impl Facts, field: Field, asked: &Interface) -> Result<Held, Need> {
    let Some(found) = packet.get(field)? else { return Ok(UNKNOWN) };
    if !asked.is_prefix() {
        return Ok(Held::of(Some(found == interface_number(asked.name()))));
    }
    let bits = u32::try_from(asked.name().len().min(16) * 8).unwrap_or(128);
    let beginning = |name: u128| name.checked_shr(128 - bits).unwrap_or(0);
    Ok(Held::of(Some(beginning(found) == beginning(interface_number(asked.name())))))
}

/// What the routing table says is known only of the destination of a packet for this host.
fn address_types(asked: &Addrtype, hook: Hook, packet: &impl Facts) -> Result<Held, Need> {
    let mut held = Held::Yes;
    for (types, field) in [(asked.source, Field::Source), (asked.destination, Field::Destination)] {
        let Some(Negatable { negated, value: AddressTypes(kinds) }) = types else { continue };
        let is_routed_here = hook == Hook::Input && field == Field::Destination;
        let is_known = is_routed_here && !asked.limit_input && !asked.limit_output;
        let address = packet.get(field)?;
        let is_one = match (packet.is_ipv6()?, address) {
            (true, address) => ipv6_types(kinds, address, is_known),
            (false, Some(address)) if is_known => {
                let kind = match address {
                    0xffff_ffff => 3,
                    0xe000_0000..=0xefff_ffff => 5,
                    _ => 2,
                };
                Held::of(Some(kinds & 1 << kind != 0))
            }
            (false, _) => UNKNOWN,
        };
        held = held.and(is_one.not_if(negated));
    }
    Ok(held)
}

/// `match_type6` of `net/netfilter/xt_addrtype.c`: every kind that the address shows by itself must be so, and one of those that
/// the routing table knows.
fn ipv6_types(kinds: u16, address: Option<u128>, is_routed_here: bool) -> Held {
    let Some(address) = address else { return UNKNOWN };
    let is_multicast = address >> 120 == 0xff;
    let is_mapped = address >> 32 == 0xffff;
    let mut held = Held::Yes;
    for (bit, is_so) in
        [(1, address == 0), (1 << 1, !is_multicast && !is_mapped && address != 0), (1 << 5, is_multicast)]
    {
        if kinds & bit != 0 {
            held = held.and(Held::of(Some(is_so)));
        }
    }
    let routed = kinds & !(1 | 1 << 1 | 1 << 5);
    match (routed, is_routed_here) {
        (0, _) => held,
        (_, true) => held.and(Held::of(Some(routed & 1 << 2 != 0 && !is_multicast))),
        (_, false) => held.and(UNKNOWN),
    }
}

/// `None` where it is not known.
fn has_connection(packet: &impl Facts) -> Result<Option<bool>, Need> {
    let without = [State::Invalid, State::Untracked].map(|state| u128::from(state.bit()));
    Ok(packet.get(Field::State)?.map(|state| !without.contains(&state)))
}

fn in_states(packet: &impl Facts, asked: Negatable<CtStates>) -> Result<Held, Need> {
    let names = [
        (State::Invalid, CtStates::INVALID),
        (State::New, CtStates::NEW),
        (State::Related, CtStates::RELATED),
        (State::Established, CtStates::ESTABLISHED),
        (State::Untracked, CtStates::UNTRACKED),
    ];
    let Negatable { negated, value: states } = asked;
    let is_one = packet.get(Field::State)?.map(|state| {
        names.iter().any(|(one, name)| u128::from(one.bit()) == state && states.contains(*name))
    });
    let translated = states.contains(CtStates::SNAT) || states.contains(CtStates::DNAT);
    if is_one == Some(true) || !translated || has_connection(packet)? == Some(false) {
        return Ok(Held::of(is_one).not_if(negated));
    }
    let destination = packet.get(Field::Status)?.map(|status| status != 0);
    let is_translated = match (states.contains(CtStates::DNAT), states.contains(CtStates::SNAT)) {
        (true, _) if destination == Some(true) => Some(true),
        (_, true) => None,
        _ => destination,
    };
    let is_either = if is_translated == Some(true) { Some(true) } else { is_one.and(is_translated) };
    // A negated translation of a packet that may have no connection is not told from others.
    Ok(Held::of(is_either).not_if(negated))
}

fn conntrack(asked: &Conntrack, packet: &impl Facts) -> Result<Held, Need> {
    let mut held = match asked.states {
        Some(states) => in_states(packet, states)?,
        None => Held::Yes,
    };
    let connected = has_connection(packet)?;
    if connected == Some(false) {
        // What has no connection is decided by its state alone, and by nothing where that is not asked for.
        return Ok(if asked.states.is_some() { held } else { Held::No });
    }
    if let Some(Negatable { negated, value: Protocol(number) }) = asked.protocol {
        // What is related may be an error about a flow of another protocol.
        let is_related = packet.get(Field::State)? == Some(State::Related.bit().into());
        let of_packet = is(packet, Field::Protocol, number.into())?.not_if(negated);
        held = held.and(if is_related { UNKNOWN } else { of_packet });
    }
    if let Some(original) = &asked.original_destination {
        held = held.and(address(packet, Field::OriginalDestination, original)?);
    }
    if let Some(Negatable { negated, value }) = asked.original_destination_ports {
        held = held.and(port(packet, Field::OriginalPort, &[value])?.not_if(negated));
    }
    if let Some(Negatable { negated, value }) = asked.statuses {
        // `NONE`, which is no bit, is found in nothing.
        held = held.and(if value.0 >> 1 == 0 { Held::No.not_if(negated) } else { UNKNOWN });
    }
    let is_asked_more = asked.original_source.is_some()
        || asked.reply_source.is_some()
        || asked.reply_destination.is_some()
        || asked.original_source_ports.is_some()
        || asked.reply_source_ports.is_some()
        || asked.reply_destination_ports.is_some()
        || asked.expire.is_some()
        || asked.direction.is_some();
    Ok(if is_asked_more { held.and(UNKNOWN) } else { held })
}

fn icmp_type(packet: &impl Facts, number: u8, asked: Icmp) -> Result<Held, Need> {
    let of_protocol = is(packet, Field::Protocol, number.into())?;
    let Negatable { negated, value } = asked.kind;
    let Some(kind) = value.number else { return Ok(of_protocol.and(Held::Yes.not_if(negated))) };
    let found = packet.get(Field::IcmpKind)?.zip(packet.get(Field::IcmpCode)?);
    let codes = u128::from(value.codes.first)..=u128::from(value.codes.last);
    let is_kind = found.map(|(found, code)| found == u128::from(kind) && codes.contains(&code));
    Ok(of_protocol.and(Held::of(is_kind).not_if(negated)))
}

fn tcp(packet: &impl Facts, asked: &Tcp) -> Result<Held, Need> {
    let mut held = is(packet, Field::Protocol, protocol::TCP.into())?;
    held = held.and(ports(packet, asked.source_ports, asked.destination_ports)?);
    if let Some(Negatable { negated, value }) = asked.flags {
        let flags = packet.get(Field::TcpFlags)?;
        let are = flags.map(|flags| flags & u128::from(value.mask) == u128::from(value.set));
        held = held.and(Held::of(are).not_if(negated));
    }
    Ok(if asked.option.is_some() { held.and(UNKNOWN) } else { held })
}

fn ports(
    packet: &impl Facts,
    source: Option<Negatable<PortRange>>,
    destination: Option<Negatable<PortRange>>,
) -> Result<Held, Need> {
    let mut held = Held::Yes;
    for (asked, field) in [(source, Field::SourcePort), (destination, Field::DestinationPort)] {
        if let Some(Negatable { negated, value }) = asked {
            held = held.and(port(packet, field, &[value])?.not_if(negated));
        }
    }
    Ok(held)
}

fn port(packet: &impl Facts, field: Field, ranges: &[PortRange]) -> Result<Held, Need> {
    if ranges.iter().all(|range| range.first > range.last) {
        return Ok(Held::No);
    }
    let is_in = |port: u128| {
        ranges.iter().any(|range| u128::from(range.first) <= port && port <= u128::from(range.last))
    };
    Ok(Held::of(packet.get(field)?.map(is_in)))
}

fn multiport(packet: &impl Facts, asked: &Multiport) -> Result<Held, Need> {
    let Negatable { negated, value } = &asked.ports;
    let held = match asked.side {
        PortSide::Source => port(packet, Field::SourcePort, value)?,
        PortSide::Destination => port(packet, Field::DestinationPort, value)?,
        PortSide::Either => {
            let one = port(packet, Field::SourcePort, value)?;
            match (one, port(packet, Field::DestinationPort, value)?) {
                (Held::Yes, _) | (_, Held::Yes) => Held::Yes,
                (Held::No, Held::No) => Held::No,
                _ => UNKNOWN,
            }
        }
    };
    Ok(held.not_if(*negated))
}
