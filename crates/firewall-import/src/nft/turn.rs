//! What was read of a rule, as rules of iptables for one family.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use iptables_syntax::extension::{
    AddressTypes, Addrtype, Comment, Comparison, Conntrack, CtStates, Icmp, IcmpType, Iprange, Limit, Log,
    LogFlags, Mark, Multiport, Nflog, PacketType, Pkttype, PortSide, Reject, RejectWith, Tcp, TcpFlags, Ttl,
    Udp,
};
use iptables_syntax::{
    AddressSpec, Family, Interface, Interval, Masked, Match, Negatable, PortRange, Protocol, Rate, Rule,
    Target, TimeUnit,
};
use nf_tables::{IcmpxCode, MetaKey, Verdict};

use super::read::{Atom, Branch, End, Field, Read};
use crate::shape::{TCP, UDP};

/// Rules that one rule may become at most.
const MOST: usize = 2_000;
/// Ports that one match of iptables lists at most; a range counts as two.
const MOST_PORTS: usize = 15;

/// A condition in words of iptables.
#[derive(Debug, Clone)]
enum Piece {
    Protocol(Negatable<Protocol>),
    Source(Negatable<AddressSpec>),
    Destination(Negatable<AddressSpec>),
    Input(Negatable<Interface>),
    Output(Negatable<Interface>),
    Matches(Vec<Match>),
    /// What the first bytes behind the network header mean depends on the protocol.
    Ports(PortSide, Negatable<Vec<PortRange>>),
    Icmp(Negatable<IcmpType>),
    TcpFlags(Negatable<TcpFlags>),
}

/// The rules in which packets of one family are matched: none where no packet of it is.
///
/// # Errors
/// What has no equal.
pub(super) fn turn(
    read: &Read,
    family: Family,
    comment: Option<&str>,
    chain: &dyn Fn(&str) -> String,
) -> Result<Vec<Rule>, String> {
    let mut rules = Vec::new();
    for branch in product(read)? {
        let atoms = split(&branch.atoms);
        if !atoms.iter().all(|atom| may_be(atom, family)) {
            continue;
        }
        let mut ways: Vec<Vec<Piece>> = vec![Vec::new()];
        for atom in &atoms {
            let choices = pieces(atom, family)?;
            if choices.len().saturating_mul(ways.len()) > MOST {
                return Err(format!("it would be more than {MOST} rules"));
            }
            ways = ways
                .iter()
                .flat_map(|way| choices.iter().map(move |choice| [way.as_slice(), choice].concat()))
                .collect();
        }
        let mut drafts = Vec::new();
        for way in ways {
            drafts.extend(rule(way, family)?);
        }
        for draft in drafts {
            finish(draft, read, branch.verdict.as_ref(), (family, comment, chain), &mut rules)?;
        }
    }
    let conditions = if read.log.is_some() && read.end.is_some() { rules.len() / 2 } else { rules.len() };
    if read.limit.is_some() && conditions > 1 {
        return Err("one limit would become several, one for each of its rules".to_owned());
    }
    if rules.len() > MOST {
        return Err(format!("it would be more than {MOST} rules"));
    }
    Ok(rules)
}

/// Every way to take one branch of each choice.
fn product(read: &Read) -> Result<Vec<Branch>, String> {
    let mut all = vec![Branch { atoms: read.atoms.clone(), verdict: None }];
    for choice in &read.choices {
        if all.len().saturating_mul(choice.len()) > MOST {
            return Err(format!("it would be more than {MOST} rules"));
        }
        let with = |before: &Branch, branch: &Branch| Branch {
            atoms: [before.atoms.as_slice(), &branch.atoms].concat(),
            verdict: branch.verdict.clone().or_else(|| before.verdict.clone()),
        };
        all = all.iter().flat_map(|before| choice.iter().map(move |branch| with(before, branch))).collect();
    }
    Ok(all)
}

/// Takes apart what `nft` loads at once: both addresses, both ports.
fn split(atoms: &[Atom]) -> Vec<Atom> {
    let mut out = Vec::new();
    for atom in atoms {
        let parts = match atom.field {
            Field::Network(12, 8) => Some((4, Field::Network(12, 4), Field::Network(16, 4))),
            Field::Transport(0, 4) => Some((2, Field::Transport(0, 2), Field::Transport(2, 2))),
            _ => None,
        };
        match (parts, atom.ranges.as_slice()) {
            (Some((at, one, other)), [(first, last)])
                if first == last && atom.mask.is_none() && !atom.negated =>
            {
                let (head, tail) = first.split_at(at.min(first.len()));
                for (field, bytes) in [(one, head), (other, tail)] {
                    let ranges = vec![(bytes.to_vec(), bytes.to_vec())];
                    out.push(Atom { field, mask: None, negated: false, ranges });
                }
            }
            _ => out.push(atom.clone()),
        }
    }
    out
}

/// Whether a condition on the family holds in this one; every other condition may.
fn may_be(atom: &Atom, family: Family) -> bool {
    let number: Vec<u8> = match (atom.field, family) {
        (Field::Meta(MetaKey::NfProtocol), Family::Ipv4) => vec![2],
        (Field::Meta(MetaKey::NfProtocol), Family::Ipv6) => vec![10],
        (Field::Meta(MetaKey::Protocol), Family::Ipv4) => vec![0x08, 0x00],
        (Field::Meta(MetaKey::Protocol), Family::Ipv6) => vec![0x86, 0xdd],
        _ => return true,
    };
    atom.ranges.iter().any(|(first, last)| *first <= number && number <= *last) != atom.negated
}

/// The ways in which a condition can be met, of each all pieces.
fn pieces(atom: &Atom, family: Family) -> Result<Vec<Vec<Piece>>, String> {
    match atom.field {
        Field::Meta(MetaKey::NfProtocol | MetaKey::Protocol) => Ok(vec![Vec::new()]),
        Field::Meta(MetaKey::L4Protocol) => protocols(atom),
        Field::Meta(MetaKey::InputName) => interfaces(atom, Piece::Input),
        Field::Meta(MetaKey::OutputName) => interfaces(atom, Piece::Output),
        Field::Meta(MetaKey::InputIndex) => by_index(atom, Piece::Input),
        Field::Meta(MetaKey::OutputIndex) => by_index(atom, Piece::Output),
        Field::Meta(MetaKey::PacketType) => one_by_one(atom, |negated, key| {
            let kind = match key {
                [0] => PacketType::Unicast,
                [1] => PacketType::Broadcast,
                [2] => PacketType::Multicast,
                _ => return None,
            };
            Some(Piece::Matches(vec![Match::Pkttype(Pkttype { kind: Negatable { negated, value: kind } })]))
        }),
        Field::Meta(MetaKey::Mark) => {
            let mask = match &atom.mask {
                None => u32::MAX,
                Some(mask) => number(mask),
            };
            one_by_one(atom, |negated, key| {
                let value = Masked { value: number(key), mask };
                Some(Piece::Matches(vec![Match::Mark(Mark { mark: Negatable { negated, value } })]))
            })
        }
        Field::Meta(_) => Err(unequal("this part of `meta`")),
        Field::CtState => states(atom),
        Field::CtStatus => statuses(atom),
        Field::AddressType(of_source) => address_types(atom, of_source),
        Field::Network(offset, length) => match (family, offset, length) {
            (Family::Ipv4, 9, 1) | (Family::Ipv6, 6, 1) => protocols(atom),
            (Family::Ipv4, 12, 1..=4) | (Family::Ipv6, 8, 1..=16) => addresses(atom, family, true),
            (Family::Ipv4, 16, 1..=4) | (Family::Ipv6, 24, 1..=16) => addresses(atom, family, false),
            (Family::Ipv4, 8, 1) | (Family::Ipv6, 7, 1) => one_by_one(atom, |negated, key| {
                let comparison = if negated { Comparison::NotEqual } else { Comparison::Equal };
                let ttl = Ttl { comparison, value: *key.first()? };
                Some(Piece::Matches(vec![match family {
                    Family::Ipv4 => Match::Ttl(ttl),
                    Family::Ipv6 => Match::Hl(ttl),
                }]))
            }),
            _ => Err(unequal("this part of the network header")),
        },
        Field::Transport(0, 2) => ports(atom, PortSide::Source),
        Field::Transport(2, 2) => ports(atom, PortSide::Destination),
        Field::Transport(0, 1) => icmp_types(atom),
        Field::Transport(13, 1) => tcp_flags(atom),
        Field::Transport(..) => Err(unequal("this part of the transport header")),
    }
}

fn unequal(what: &str) -> String {
    format!("rules of the policy have no equal of {what}")
}

fn number(bytes: &[u8]) -> u32 {
    bytes.try_into().map(u32::from_ne_bytes).unwrap_or_default()
}

/// The single keys, where there are no ranges and, if they are excluded, only one.
fn one_by_one(atom: &Atom, piece: impl Fn(bool, &[u8]) -> Option<Piece>) -> Result<Vec<Vec<Piece>>, String> {
    if atom.negated && atom.ranges.len() != 1 {
        return Err(unequal("several values with `!=`"));
    }
    let one = |(first, last): &(Vec<u8>, Vec<u8>)| {
        let piece = if first == last { piece(atom.negated, first) } else { None };
        piece.map(|piece| vec![piece]).ok_or_else(|| unequal("one of its values"))
    };
    atom.ranges.iter().map(one).collect()
}

fn unmasked(atom: &Atom) -> Result<(), String> {
    if atom.mask.is_some() { Err(unequal("a mask on this field")) } else { Ok(()) }
}

fn protocols(atom: &Atom) -> Result<Vec<Vec<Piece>>, String> {
    unmasked(atom)?;
    one_by_one(atom, |negated, key| {
        Some(Piece::Protocol(Negatable { negated, value: Protocol(*key.first()?) }))
    })
}

/// A name of 16 bytes is whole, a shorter one is how names begin.
fn interfaces(atom: &Atom, piece: fn(Negatable<Interface>) -> Piece) -> Result<Vec<Vec<Piece>>, String> {
    unmasked(atom)?;
    one_by_one(atom, |negated, key| {
        let end = key.iter().position(|&byte| byte == 0).unwrap_or(key.len());
        let mut name = String::from_utf8(key.get(..end)?.to_vec()).ok()?;
        if name.is_empty() || name.ends_with('+') {
            return None;
        }
        if key.len() < 16 {
            name.push('+');
        }
        Some(piece(Negatable { negated, value: Interface(name) }))
    })
}

/// Loopback has the first index everywhere; others mean something only where the rules are loaded.
fn by_index(atom: &Atom, piece: fn(Negatable<Interface>) -> Piece) -> Result<Vec<Vec<Piece>>, String> {
    unmasked(atom)?;
    let named = one_by_one(atom, |negated, key| {
        let value = Interface("lo".to_owned());
        (number(key) == 1).then(|| piece(Negatable { negated, value }))
    });
    named.map_err(|_| "it names an interface by its number (`iif`, `oif`), not its name".to_owned())
}

/// `ct state` in the kernel's bits (`NF_CT_STATE_BIT`) to those of `--ctstate`.
fn states(atom: &Atom) -> Result<Vec<Vec<Piece>>, String> {
    const BITS: [(u32, CtStates); 5] = [
        (1, CtStates::INVALID),
        (2, CtStates::ESTABLISHED),
        (4, CtStates::RELATED),
        (8, CtStates::NEW),
        (64, CtStates::UNTRACKED),
    ];
    let (bits, negated) = any_of(atom)?;
    if bits & !0x4f != 0 || bits == 0 {
        return Err(unequal("one of its connection states"));
    }
    let of = BITS.iter().filter(|(bit, _)| bits & bit != 0);
    let value = CtStates(of.fold(0, |all, (_, state)| all | state.0));
    Ok(vec![vec![conntrack(negated, value)]])
}

fn conntrack(negated: bool, value: CtStates) -> Piece {
    let states = Some(Negatable { negated, value });
    Piece::Matches(vec![Match::Conntrack(Box::new(Conntrack { states, ..Conntrack::default() }))])
}

fn statuses(atom: &Atom) -> Result<Vec<Vec<Piece>>, String> {
    match (&atom.mask, any_of(atom)?) {
        (Some(_), (0x10, negated)) => Ok(vec![vec![conntrack(negated, CtStates::SNAT)]]),
        (Some(_), (0x20, negated)) => Ok(vec![vec![conntrack(negated, CtStates::DNAT)]]),
        _ => Err(unequal("`ct status` but for dnat and snat")),
    }
}

/// Bits of which any is set, or none: a mask that leaves something (`!= 0`) or nothing, or one of several values of one bit each.
fn any_of(atom: &Atom) -> Result<(u32, bool), String> {
    let other = || unequal("this comparison of bits");
    match (&atom.mask, atom.ranges.as_slice()) {
        (Some(mask), [(first, last)]) if first == last && number(first) == 0 => {
            Ok((number(mask), !atom.negated))
        }
        (Some(_), _) => Err(other()),
        (None, ranges) => {
            let mut bits = 0;
            for (first, last) in ranges {
                if first != last || number(first).count_ones() != 1 {
                    return Err(other());
                }
                bits |= number(first);
            }
            Ok((bits, atom.negated))
        }
    }
}

fn address_types(atom: &Atom, of_source: bool) -> Result<Vec<Vec<Piece>>, String> {
    unmasked(atom)?;
    let mut bits = 0;
    for (first, last) in &atom.ranges {
        if first != last || number(first) > 11 {
            return Err(unequal("one of its kinds of addresses"));
        }
        bits |= 1 << number(first);
    }
    let types = Some(Negatable { negated: atom.negated, value: AddressTypes(bits) });
    let (source, destination) = if of_source { (types, None) } else { (None, types) };
    let addrtype = Addrtype { source, destination, limit_input: false, limit_output: false };
    Ok(vec![vec![Piece::Matches(vec![Match::Addrtype(addrtype)])]])
}

fn addresses(atom: &Atom, family: Family, of_source: bool) -> Result<Vec<Vec<Piece>>, String> {
    let whole = match family {
        Family::Ipv4 => 4,
        Family::Ipv6 => 16,
    };
    let piece = |spec| if of_source { Piece::Source(spec) } else { Piece::Destination(spec) };
    let spec = |negated: bool, address: &[u8], mask: &[u8]| -> Result<Piece, String> {
        let value = match (ip(address, whole), ip(mask, whole)) {
            (Some(IpAddr::V4(address)), Some(IpAddr::V4(mask))) => AddressSpec::V4 { address, mask },
            (Some(IpAddr::V6(address)), Some(IpAddr::V6(mask))) => AddressSpec::V6 { address, mask },
            _ => return Err(unequal("an address of another length")),
        };
        Ok(piece(Negatable { negated, value }))
    };
    if let Some(mask) = &atom.mask {
        return match atom.ranges.as_slice() {
            [(first, last)] if first == last => Ok(vec![vec![spec(atom.negated, first, mask)?]]),
            _ => Err(unequal("a set of masked addresses")),
        };
    }
    let mut found = Vec::new();
    for (first, last) in &atom.ranges {
        let mask: Vec<u8> = first.iter().zip(last).map(|(first, last)| !(first ^ last)).collect();
        let is_prefix = mask.iter().fold((true, true), |(so_far, ones), &byte| {
            let fits = byte.leading_ones() + byte.trailing_zeros() == 8 || byte == 0xff;
            (so_far && fits && (ones || byte == 0), ones && byte == 0xff)
        });
        let within = first.iter().zip(&mask).all(|(byte, mask)| byte & !mask == 0);
        let first_piece = if is_prefix.0 && within {
            spec(atom.negated, first, &mask)?
        } else {
            let ends = ip(first, whole).zip(ip(&filled(last, whole), whole));
            let (first, last) = ends.ok_or_else(|| unequal("a range of addresses of another length"))?;
            let range = Some(Negatable { negated: atom.negated, value: Interval { first, last } });
            let (source, destination) = if of_source { (range, None) } else { (None, range) };
            Piece::Matches(vec![Match::Iprange(Box::new(Iprange { source, destination }))])
        };
        found.push(first_piece);
    }
    if !atom.negated {
        return Ok(found.into_iter().map(|piece| vec![piece]).collect());
    }
    // Outside all of them: the first by `! -s`, the others by ranges.
    if found.len() > 8 {
        return Err(unequal("a long list of excluded addresses"));
    }
    Ok(vec![
        found
            .into_iter()
            .enumerate()
            .map(|(nth, piece)| if nth == 0 { piece } else { ranged(piece) })
            .collect(),
    ])
}

/// A network as a range, so that a rule can hold several.
fn ranged(piece: Piece) -> Piece {
    let (of_source, spec) = match piece {
        Piece::Source(spec) => (true, spec),
        Piece::Destination(spec) => (false, spec),
        other => return other,
    };
    let (first, last): (IpAddr, IpAddr) = match spec.value {
        AddressSpec::V4 { address, mask } => {
            (address.into(), Ipv4Addr::from(u32::from(address) | !u32::from(mask)).into())
        }
        AddressSpec::V6 { address, mask } => {
            (address.into(), Ipv6Addr::from(u128::from(address) | !u128::from(mask)).into())
        }
        AddressSpec::Name(_) => return Piece::Matches(Vec::new()),
    };
    let range = Some(Negatable { negated: spec.negated, value: Interval { first, last } });
    let (source, destination) = if of_source { (range, None) } else { (None, range) };
    Piece::Matches(vec![Match::Iprange(Box::new(Iprange { source, destination }))])
}

/// An address of which the first bytes are said: the rest is zero.
fn ip(bytes: &[u8], whole: usize) -> Option<IpAddr> {
    let mut all = bytes.to_vec();
    all.resize(whole, 0);
    match whole {
        4 => <[u8; 4]>::try_from(all).ok().map(|all| Ipv4Addr::from(all).into()),
        _ => <[u8; 16]>::try_from(all).ok().map(|all| Ipv6Addr::from(all).into()),
    }
}

fn filled(bytes: &[u8], whole: usize) -> Vec<u8> {
    let mut all = bytes.to_vec();
    all.resize(whole, 0xff);
    all
}

fn ports(atom: &Atom, side: PortSide) -> Result<Vec<Vec<Piece>>, String> {
    unmasked(atom)?;
    let port = |bytes: &[u8]| bytes.try_into().map(u16::from_be_bytes).ok();
    let range = |(first, last): &(Vec<u8>, Vec<u8>)| Some(Interval::new(port(first)?, port(last)?));
    let all: Option<Vec<PortRange>> = atom.ranges.iter().map(range).collect();
    let all = all.ok_or_else(|| unequal("a port of another length"))?;
    let mut chunks: Vec<Vec<PortRange>> = vec![Vec::new()];
    let mut room = MOST_PORTS;
    for range in all {
        let takes = if range.is_one() { 1 } else { 2 };
        if takes > room {
            chunks.push(Vec::new());
            room = MOST_PORTS;
        }
        room -= takes;
        if let Some(chunk) = chunks.last_mut() {
            chunk.push(range);
        }
    }
    chunks.retain(|chunk| !chunk.is_empty());
    let pieces =
        chunks.into_iter().map(|value| Piece::Ports(side, Negatable { negated: atom.negated, value }));
    Ok(if atom.negated { vec![pieces.collect()] } else { pieces.map(|piece| vec![piece]).collect() })
}

fn icmp_types(atom: &Atom) -> Result<Vec<Vec<Piece>>, String> {
    unmasked(atom)?;
    let mut single = Atom { ranges: Vec::new(), ..atom.clone() };
    for (first, last) in &atom.ranges {
        let ends = first.first().zip(last.first());
        let (&first, &last) = ends.ok_or_else(|| unequal("an ICMP type of another length"))?;
        single.ranges.extend((first..=last).map(|one| (vec![one], vec![one])));
    }
    one_by_one(&single, |negated, key| {
        let value = IcmpType { number: key.first().copied(), codes: Interval::new(0, u8::MAX) };
        Some(Piece::Icmp(Negatable { negated, value }))
    })
}

fn tcp_flags(atom: &Atom) -> Result<Vec<Vec<Piece>>, String> {
    const FLAGS: u8 = 0x3f;
    let mask = match atom.mask.as_deref() {
        Some([mask]) if mask & !FLAGS == 0 => *mask,
        _ => return Err(unequal("`tcp flags` without a mask, or with ECN's")),
    };
    one_by_one(atom, |negated, key| {
        let set = *key.first()?;
        (set & !mask == 0).then_some(Piece::TcpFlags(Negatable { negated, value: TcpFlags { mask, set } }))
    })
}

/// One rule of the pieces; none where they exclude each other.
fn rule(pieces: Vec<Piece>, family: Family) -> Result<Option<Rule>, String> {
    let mut rule = Rule::default();
    let mut behind = Vec::new();
    for piece in pieces {
        let twice = |what: &str| Err(format!("two conditions on its {what}"));
        match piece {
            Piece::Protocol(protocol) => match rule.protocol {
                None => rule.protocol = Some(protocol),
                Some(before) if before == protocol => {}
                Some(before) => match (before.negated, protocol.negated) {
                    (false, false) => return Ok(None),
                    (false, true) | (true, false) if before.value == protocol.value => return Ok(None),
                    (false, true) => {}
                    (true, false) => rule.protocol = Some(protocol),
                    (true, true) => return twice("protocol"),
                },
            },
            Piece::Source(spec) if rule.source.is_none() => rule.source = Some(spec),
            Piece::Destination(spec) if rule.destination.is_none() => rule.destination = Some(spec),
            Piece::Source(_) | Piece::Destination(_) => match ranged(piece) {
                Piece::Matches(matches) => rule.matches.extend(matches),
                _ => return twice("address"),
            },
            Piece::Input(interface) if rule.input.is_none() => rule.input = Some(interface),
            Piece::Output(interface) if rule.output.is_none() => rule.output = Some(interface),
            Piece::Input(_) | Piece::Output(_) => return twice("interface"),
            Piece::Matches(matches) => rule.matches.extend(matches),
            Piece::Ports(..) | Piece::Icmp(_) | Piece::TcpFlags(_) => behind.push(piece),
        }
    }
    let protocol = rule.protocol.filter(|protocol| !protocol.negated).map(|protocol| protocol.value.0);
    for piece in behind {
        match (piece, protocol) {
            (Piece::Ports(side, ports), Some(TCP | UDP | 33 | 132 | 136)) => {
                rule.matches.push(port_match(side, ports, protocol));
            }
            (Piece::Icmp(kind), Some(1)) if family == Family::Ipv4 => {
                rule.matches.push(Match::Icmp(Icmp { kind }));
            }
            (Piece::Icmp(kind), Some(58)) if family == Family::Ipv6 => {
                rule.matches.push(Match::Icmp6(Icmp { kind }));
            }
            // IPv6 has no packets of ICMP for IPv4 that anybody answers, nor the other way round.
            (Piece::Icmp(_), Some(1 | 58)) => return Ok(None),
            (Piece::TcpFlags(flags), Some(TCP)) => rule.matches.push(Match::Tcp(Tcp {
                source_ports: None,
                destination_ports: None,
                flags: Some(flags),
                option: None,
            })),
            _ => return Err("what it looks at depends on a protocol that it does not name".to_owned()),
        }
    }
    Ok(Some(rule))
}

fn port_match(side: PortSide, ports: Negatable<Vec<PortRange>>, protocol: Option<u8>) -> Match {
    if let [range] = ports.value.as_slice() {
        let one = Some(Negatable { negated: ports.negated, value: *range });
        let (source_ports, destination_ports) =
            if side == PortSide::Source { (one, None) } else { (None, one) };
        match protocol {
            Some(TCP) => {
                return Match::Tcp(Tcp { source_ports, destination_ports, flags: None, option: None });
            }
            Some(UDP) => return Match::Udp(Udp { source_ports, destination_ports }),
            _ => {}
        }
    }
    Match::Multiport(Multiport { side, ports })
}

/// The family, the rule's comment, and what its chains are called.
type Circumstances<'a> = (Family, Option<&'a str>, &'a dyn Fn(&str) -> String);

/// Puts the limit, the log and the verdict behind the conditions.
fn finish(
    mut rule: Rule,
    read: &Read,
    verdict: Option<&Verdict>,
    (family, comment, chain): Circumstances<'_>,
    rules: &mut Vec<Rule>,
) -> Result<(), String> {
    if let Some(comment) = comment {
        rule.matches.push(Match::Comment(Comment { text: comment.to_owned() }));
    }
    if let Some(limit) = &read.limit {
        if read.log.is_some() && read.end.is_some() {
            return Err("one limit of a log and of a verdict would become two".to_owned());
        }
        let per = match limit.seconds {
            1 => TimeUnit::Second,
            60 => TimeUnit::Minute,
            3_600 => TimeUnit::Hour,
            86_400 => TimeUnit::Day,
            _ => return Err(unequal("a limit for each week")),
        };
        let packets = u32::try_from(limit.rate).map_err(|_| unequal("so high a limit"))?;
        rule.matches.push(Match::Limit(Limit { rate: Rate { packets, per }, burst: limit.burst.max(1) }));
    }
    let target = match &read.end {
        None => None,
        Some(End::Map) => verdict.map(|verdict| target(verdict, chain)).transpose()?.flatten(),
        Some(End::Verdict(verdict)) => target(verdict, chain)?,
        Some(End::Reject(reject)) => Some(refusal(*reject, family)?),
    };
    if let Some(log) = &read.log {
        rules.push(Rule { target: Some(logged(log)), ..rule.clone() });
    }
    if target.is_some() || read.log.is_none() {
        rules.push(Rule { target, ..rule });
    }
    Ok(())
}

/// What `LOG` can say of it: its prefix has 29 bytes at most.
fn logged(log: &nf_tables::Log) -> Target {
    let prefix = log.prefix.as_deref().unwrap_or_default();
    let end = (0..=29).rev().find(|&end| prefix.is_char_boundary(end)).unwrap_or(0);
    if let Some(group) = log.group {
        let size = log.snaplen.filter(|&size| size != 0);
        let prefix = log.prefix.clone().unwrap_or_default();
        return Target::Nflog(Nflog { prefix, group, range: None, size, threshold: log.threshold });
    }
    let flags = log.flags.unwrap_or(0);
    let has = |bit: u32| flags & bit != 0;
    Target::Log(Log {
        prefix: prefix.get(..end).unwrap_or(prefix).to_owned(),
        level: log.level.and_then(|level| u8::try_from(level).ok()).unwrap_or(4),
        flags: LogFlags {
            tcp_sequence: has(1),
            tcp_options: has(2),
            ip_options: has(4),
            uid: has(8),
            mac: has(32),
        },
    })
}

fn target(verdict: &Verdict, chain: &dyn Fn(&str) -> String) -> Result<Option<Target>, String> {
    Ok(Some(match verdict {
        Verdict::Accept => Target::Accept,
        Verdict::Drop => Target::Drop,
        Verdict::Return => Target::Return,
        Verdict::Jump(to) => Target::Jump(chain(to)),
        Verdict::Goto(to) => Target::Goto(chain(to)),
        Verdict::Continue => return Ok(None),
        Verdict::Queue(_) | Verdict::Break => return Err(unequal("its verdict")),
    }))
}

fn refusal(reject: nf_tables::Reject, family: Family) -> Result<Target, String> {
    use RejectWith as With;
    let with = match (reject, family) {
        (nf_tables::Reject::TcpReset, _) => With::TcpReset,
        (nf_tables::Reject::Icmpx(code), Family::Ipv4) => match code {
            IcmpxCode::NoRoute => With::NetUnreachable,
            IcmpxCode::PortUnreachable => With::PortUnreachable,
            IcmpxCode::HostUnreachable => With::HostUnreachable,
            IcmpxCode::AdminProhibited => With::AdminProhibited,
        },
        (nf_tables::Reject::Icmpx(code), Family::Ipv6) => match code {
            IcmpxCode::NoRoute => With::NoRoute6,
            IcmpxCode::PortUnreachable => With::PortUnreachable6,
            IcmpxCode::HostUnreachable => With::AddressUnreachable6,
            IcmpxCode::AdminProhibited => With::AdminProhibited6,
        },
        (nf_tables::Reject::Icmp(code), Family::Ipv4) => match code {
            0 => With::NetUnreachable,
            1 => With::HostUnreachable,
            2 => With::ProtocolUnreachable,
            3 => With::PortUnreachable,
            9 => With::NetProhibited,
            10 => With::HostProhibited,
            13 => With::AdminProhibited,
            _ => return Err(unequal("its ICMP code")),
        },
        (nf_tables::Reject::Icmp(code), Family::Ipv6) => match code {
            0 => With::NoRoute6,
            1 => With::AdminProhibited6,
            3 => With::AddressUnreachable6,
            4 => With::PortUnreachable6,
            5 => With::PolicyFail6,
            6 => With::RejectRoute6,
            _ => return Err(unequal("its ICMP code")),
        },
    };
    Ok(Target::Reject(Reject { with }))
}
