//! What the policy's own rules do with a packet, read from their words.
//!
//! A condition that is not known of the packet (a rate, the hour, the sender's user) may hold or not, and both ways are
//! followed. On the usual one no rate is exceeded, and what is not known does not hold.

use std::collections::BTreeSet;

use iptables_syntax::extension::{PortSide, RejectWith};
use iptables_syntax::{AddressSpec, Family, Interface, Interval, Masked, Match, PortRange, Rule, Target};

use super::parts::Question;
use super::{Answer, Ending, Manner};
use crate::facts::{Facts, Field, Need, interface_number};
use crate::iptables::{Held, held_by};
use crate::packet::Hook;
use crate::policy::FilterPolicy;
use crate::ranges::{Ranges, address_number};

/// What the rules of a base chain say of a packet, and `rest` where they say nothing.
pub(super) fn before(
    policy: &FilterPolicy,
    chain: &str,
    hook: Hook,
    facts: &impl Facts,
    rest: impl FnOnce() -> Result<Answer, Need>,
) -> Result<Answer, Need> {
    if policy.rules.of(chain).next().is_none() {
        return rest();
    }
    let family = if facts.is_ipv6()? { Family::Ipv6 } else { Family::Ipv4 };
    let mut walk = Walk { policy, hook, family, facts, endings: Vec::new() };
    let left = walk.chain(chain, vec![World { mark: Mark::AsItCame, usual: true }])?;
    let mut endings = walk.endings;
    if !left.is_empty() {
        let rest = rest()?;
        if endings.is_empty() {
            return Ok(rest);
        }
        let usual = left.iter().any(|world| world.usual);
        match rest {
            Answer::Accept => endings.push((Ending::Accept, usual)),
            Answer::Refuse(manner) => endings.push((Ending::Refuse(manner), usual)),
            Answer::AcceptWithin { otherwise, .. } => {
                endings.extend([(Ending::Accept, usual), (Ending::Refuse(otherwise), false)]);
            }
            Answer::Open { usual: rest, possible } => {
                endings.extend(possible.into_iter().map(|ending| (ending, usual && ending == rest)));
            }
        }
    }
    let possible: BTreeSet<Ending> = endings.iter().map(|(ending, _)| *ending).collect();
    let usual = endings.iter().find(|(_, usual)| *usual).map_or(Ending::Accept, |(ending, _)| *ending);
    Ok(match usual {
        Ending::Accept if possible.len() == 1 => Answer::Accept,
        Ending::Refuse(manner) if possible.len() == 1 => Answer::Refuse(manner),
        _ => Answer::Open { usual, possible },
    })
}

/// One of the ways that a packet may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct World {
    mark: Mark,
    /// Every condition so far went as it usually does.
    usual: bool,
}

/// The packet's mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    AsItCame,
    Set(u32),
    Unknown,
}

/// A packet with the mark that a rule has given it.
struct Marked<'f, F> {
    facts: &'f F,
    mark: Mark,
}

impl<F: Facts> Facts for Marked<'_, F> {
    fn get(&self, field: Field) -> Result<Option<u128>, Need> {
        match (field, self.mark) {
            (Field::Mark, Mark::Set(mark)) => Ok(Some(mark.into())),
            (Field::Mark, Mark::Unknown) => Ok(None),
            _ => self.facts.get(field),
        }
    }
}

struct Walk<'w, F> {
    policy: &'w FilterPolicy,
    hook: Hook,
    family: Family,
    facts: &'w F,
    endings: Vec<(Ending, bool)>,
}

impl<F: Facts> Walk<'_, F> {
    /// Gives the ways that come to the end of the chain, or return from it.
    fn chain(&mut self, chain: &str, mut worlds: Vec<World>) -> Result<Vec<World>, Need> {
        let (policy, family) = (self.policy, self.family);
        let mut left = Vec::new();
        for rule in policy.rules.of(chain).flat_map(|rule| rule.of(family)) {
            // What is only counted or logged goes on, whether it matches or not.
            let Some(target) =
                rule.target.as_ref().filter(|t| !matches!(t, Target::Log(_) | Target::Nflog(_)))
            else {
                continue;
            };
            let mut next = Vec::new();
            for world in worlds {
                let packet = Marked { facts: self.facts, mark: world.mark };
                let (matched, passed) = match held_by(rule, self.hook, &packet)? {
                    Held::No => (None, Some(world)),
                    Held::Yes => (Some(world), None),
                    Held::Depends { assumed } => (
                        Some(World { usual: world.usual && assumed, ..world }),
                        Some(World { usual: world.usual && !assumed, ..world }),
                    ),
                };
                passed.into_iter().for_each(|world| add(&mut next, world));
                if let Some(world) = matched {
                    self.decide(target, world, &mut next, &mut left)?;
                }
            }
            worlds = next;
            if worlds.is_empty() {
                break;
            }
        }
        left.into_iter().for_each(|world| add(&mut worlds, world));
        Ok(worlds)
    }

    fn decide(
        &mut self,
        target: &Target,
        world: World,
        next: &mut Vec<World>,
        left: &mut Vec<World>,
    ) -> Result<(), Need> {
        match target {
            Target::Accept => self.endings.push((Ending::Accept, world.usual)),
            Target::Drop => self.endings.push((Ending::Refuse(Manner::Silently), world.usual)),
            Target::Reject(reject) => {
                let manner = match reject.with {
                    RejectWith::TcpReset => Manner::Reset,
                    _ => Manner::Unreachable,
                };
                self.endings.push((Ending::Refuse(manner), world.usual));
            }
            Target::Return => add(left, world),
            Target::Mark(mark) => {
                let Masked { value, mask } = mark.xmark;
                let before = match world.mark {
                    // Of a mark that is written over whole, nothing has to be known.
                    _ if mask == u32::MAX => Some(0),
                    Mark::AsItCame => self.facts.get(Field::Mark)?.and_then(|mark| u32::try_from(mark).ok()),
                    Mark::Set(mark) => Some(mark),
                    Mark::Unknown => None,
                };
                let mark = before.map_or(Mark::Unknown, |before| Mark::Set(before & !mask ^ value));
                add(next, World { mark, ..world });
            }
            Target::Jump(chain) => {
                for world in self.chain(chain, vec![world])? {
                    add(next, world);
                }
            }
            Target::Goto(chain) => {
                for world in self.chain(chain, vec![world])? {
                    add(left, world);
                }
            }
            // `Rules` holds none of these.
            Target::Log(_)
            | Target::Nflog(_)
            | Target::Queue
            | Target::Connmark(_)
            | Target::Ct(_)
            | Target::Dnat(_)
            | Target::Hl(_)
            | Target::Masquerade(_)
            | Target::Notrack
            | Target::Redirect(_)
            | Target::Set(_)
            | Target::Snat(_)
            | Target::Tcpmss(_)
            | Target::Ttl(_)
            | Target::Unknown(_) => add(next, world),
        }
        Ok(())
    }
}

fn add(worlds: &mut Vec<World>, world: World) {
    match worlds.iter_mut().find(|known| known.mark == world.mark) {
        Some(known) => known.usual |= world.usual,
        None => worlds.push(world),
    }
}

/// What a rule asks of fields; see [`super::parts::questions`].
pub(crate) fn questions(rule: &Rule, ipv6: bool) -> Vec<Question> {
    let mut asked = Vec::new();
    of_rule(rule, ipv6, &mut asked);
    asked
}

/// What the rule asks of the mark, where that makes too many ranges to be among its [`questions`].
pub(crate) fn mark_under_mask(rule: &Rule) -> Option<(u32, u32)> {
    let mut asked = rule.matches.iter().filter_map(|matched| match matched {
        Match::Mark(mark) => Some(mark.mark.value),
        _ => None,
    });
    match (asked.next(), asked.next()) {
        (Some(Masked { value, mask }), None) => {
            (ranges_of_mask(mask.into(), 32) > MASK_RANGES).then_some((value, mask))
        }
        _ => None,
    }
}

fn of_rule(rule: &Rule, ipv6: bool, asked: &mut Vec<Question>) {
    let mut ask = |field: Field, ranges: Ranges| {
        let of_family = matches!(field, Field::Source | Field::Destination | Field::OriginalDestination);
        asked.push((field, of_family.then_some(ipv6), ranges));
    };
    let one = |number: u8| Ranges::one(number.into());
    if let Some(protocol) = &rule.protocol {
        ask(Field::Protocol, one(protocol.value.0));
    }
    for (named, field) in [(&rule.source, Field::Source), (&rule.destination, Field::Destination)] {
        if let Some(named) = named {
            ask(field, of_address(&named.value));
        }
    }
    for (named, field) in [(&rule.input, Field::InputName), (&rule.output, Field::OutputName)] {
        if let Some(named) = named {
            ask(field, of_interface(&named.value));
        }
    }
    for matched in &rule.matches {
        let mut ports = |source: Option<PortRange>, destination: Option<PortRange>| {
            source.into_iter().for_each(|range| ask(Field::SourcePort, of_ports(&[range])));
            destination.into_iter().for_each(|range| ask(Field::DestinationPort, of_ports(&[range])));
        };
        match matched {
            Match::Tcp(tcp) => {
                ports(tcp.source_ports.map(|p| p.value), tcp.destination_ports.map(|p| p.value));
                if let Some(flags) = tcp.flags {
                    let is = |flags_of: u8| flags_of & flags.value.mask == flags.value.set;
                    ask(Field::TcpFlags, bytes(is));
                }
                ask(Field::Protocol, one(6));
            }
            Match::Udp(udp) => {
                ports(udp.source_ports.map(|p| p.value), udp.destination_ports.map(|p| p.value));
                ask(Field::Protocol, one(17));
            }
            Match::Sctp(sctp) => {
                ports(sctp.source_ports.map(|p| p.value), sctp.destination_ports.map(|p| p.value));
                ask(Field::Protocol, one(132));
            }
            Match::Multiport(multiport) => {
                let ranges = || of_ports(&multiport.ports.value);
                if multiport.side != PortSide::Destination {
                    ask(Field::SourcePort, ranges());
                }
                if multiport.side != PortSide::Source {
                    ask(Field::DestinationPort, ranges());
                }
            }
            Match::Icmp(icmp) | Match::Icmp6(icmp) => {
                ask(Field::Protocol, one(1));
                ask(Field::Protocol, one(58));
                let kind = icmp.kind.value;
                kind.number.into_iter().for_each(|number| ask(Field::IcmpKind, one(number)));
                let codes = (u128::from(kind.codes.first), u128::from(kind.codes.last));
                ask(Field::IcmpCode, Ranges::new([codes]));
            }
            Match::Hl(ttl) | Match::Ttl(ttl) => {
                ask(Field::HopLimit, one(ttl.value));
                ask(Field::HopLimit, Ranges::new([(0, ttl.value.into())]));
            }
            Match::Iprange(iprange) => {
                for (named, field) in
                    [(iprange.source, Field::Source), (iprange.destination, Field::Destination)]
                {
                    if let Some(Interval { first, last }) = named.map(|named| named.value) {
                        ask(field, Ranges::new([(address_number(first), address_number(last))]));
                    }
                }
            }
            Match::Mark(mark) => {
                let Masked { value, mask } = mark.mark.value;
                if mark_under_mask(rule).is_none() {
                    ask(Field::Mark, masked(value.into(), mask.into(), 32));
                }
            }
            Match::Ecn(_) => {
                ask(Field::Protocol, one(6));
                ask(Field::TcpFlags, bytes(|flags| flags & 0x80 != 0));
                ask(Field::TcpFlags, bytes(|flags| flags & 0x40 != 0));
            }
            Match::Addrtype(_) => {
                ask(Field::Destination, Ranges::one(if ipv6 { u128::MAX } else { 0xffff_ffff }));
                let multicast = if ipv6 { (0xff << 120, u128::MAX) } else { (0xe000_0000, 0xefff_ffff) };
                ask(Field::Destination, Ranges::new([multicast]));
            }
            Match::Conntrack(conntrack) => {
                conntrack.protocol.iter().for_each(|protocol| ask(Field::Protocol, one(protocol.value.0)));
                let original = conntrack.original_destination.iter();
                original.for_each(|address| ask(Field::OriginalDestination, of_address(&address.value)));
                let ports = conntrack.original_destination_ports.iter();
                ports.for_each(|ports| ask(Field::OriginalPort, of_ports(&[ports.value])));
            }
            // Of these nothing is known, or all of what is known is told apart anyway.
            Match::Comment(_)
            | Match::Connlimit(_)
            | Match::Connmark(_)
            | Match::Cpu(_)
            | Match::Dscp(_)
            | Match::Hashlimit(_)
            | Match::Length(_)
            | Match::Limit(_)
            | Match::Mac(_)
            | Match::Owner(_)
            | Match::Physdev(_)
            | Match::Pkttype(_)
            | Match::Policy(_)
            | Match::Quota(_)
            | Match::Recent(_)
            | Match::Rpfilter(_)
            | Match::Set(_)
            | Match::Socket(_)
            | Match::State(_)
            | Match::Statistic(_)
            | Match::String(_)
            | Match::Tcpmss(_)
            | Match::Time(_)
            | Match::Tos(_)
            | Match::U32(_)
            | Match::Unknown(_) => {}
        }
    }
}

fn of_ports(ranges: &[PortRange]) -> Ranges {
    Ranges::new(ranges.iter().map(|range| (range.first.into(), range.last.into())))
}

fn of_interface(interface: &Interface) -> Ranges {
    let first = interface_number(interface.name());
    let free = 128 - 8 * interface.name().len().min(15);
    let rest = 1_u128.checked_shl(u32::try_from(free).unwrap_or(128)).map_or(u128::MAX, |end| end - 1);
    Ranges::new([(first, if interface.is_prefix() { first | rest } else { first })])
}

fn of_address(address: &AddressSpec) -> Ranges {
    match *address {
        AddressSpec::V4 { address, mask } => masked(address.to_bits().into(), mask.to_bits().into(), 32),
        AddressSpec::V6 { address, mask } => masked(address.to_bits(), mask.to_bits(), 128),
        AddressSpec::Name(_) => Ranges::new([]),
    }
}

/// How many ranges a mask with holes may make. [`Rules`](crate::Rules) refuses one that makes more.
pub(crate) const MASK_RANGES: u32 = 1 << 12;

/// How many ranges the values are under a mask.
pub(crate) const fn ranges_of_mask(mask: u128, bits: u32) -> u32 {
    let holes = bits - mask.count_ones() - if mask == 0 { bits } else { mask.trailing_zeros() };
    if holes >= 32 { u32::MAX } else { 1 << holes }
}

/// The values of so many bits that are this one under a mask.
fn masked(value: u128, mask: u128, bits: u32) -> Ranges {
    let highest = if bits == 128 { u128::MAX } else { (1 << bits) - 1 };
    if mask == 0 {
        return if value == 0 { Ranges::new([(0, highest)]) } else { Ranges::new([]) };
    }
    let low = (1_u128 << mask.trailing_zeros()) - 1;
    let holes: Vec<u32> = (mask.trailing_zeros()..bits).filter(|bit| mask >> bit & 1 == 0).collect();
    let count = ranges_of_mask(mask, bits).min(MASK_RANGES);
    Ranges::new((0..count).map(|nth| {
        let filled = holes.iter().enumerate().filter(|(at, _)| nth >> at & 1 == 1);
        let first = filled.fold(value, |number, (_, bit)| number | 1 << bit);
        (first, first | low)
    }))
}

/// The bytes of which something is so.
fn bytes(is: impl Fn(u8) -> bool) -> Ranges {
    Ranges::new((0..=u8::MAX).filter(|byte| is(*byte)).map(|byte| (byte.into(), byte.into())))
}
