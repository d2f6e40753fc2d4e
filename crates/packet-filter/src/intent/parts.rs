//! The parts of a policy: what each says of a packet, and what it asks for that.

use ipnet::IpNet;

use super::{Answer, Manner, Rate};
use crate::facts::{DNAT, Facts, Field, IPV4, IPV6, Need, interface_number};
use crate::packet::{Hook, State, protocol};
use crate::policy::{
    Allow, FilterPolicy, ForwardEntry, InterfaceName, Ipv6, PINGS_PER_SECOND, PortRange, Refusal, Transport,
};
use crate::ranges::{Ranges, addresses};

/// A part of what a policy says at a hook. The parts are asked one after the other, each for itself, until one says what
/// becomes of the packet: so the prover can take them one by one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part<'p> {
    /// Loopback, spoofing, the states: what comes before anything that is listed.
    First,
    /// The policy's own rules in that chain; [`rules`](super::rules) has what they say.
    Rules(&'p str),
    /// Echo requests.
    Ping,
    /// An `allow` entry.
    Entry(&'p Allow),
    /// An `allow` entry, for what others publish.
    Published(&'p Allow),
    /// A `forward` entry.
    Forward(&'p ForwardEntry),
    /// What nothing lists.
    Last,
}

/// What a part says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// Nothing: the next part is asked.
    Nothing,
    /// The packet is let through as long as the rate is kept; otherwise the next part is asked.
    Within(Rate),
    /// This.
    Is(Answer),
}

/// The parts of the policy at the hook, in order. The last of them always says something.
pub(crate) fn parts(policy: &FilterPolicy, hook: Hook) -> Vec<Part<'_>> {
    let mut parts = vec![Part::First];
    match hook {
        Hook::Input => {
            parts.extend([Part::Rules("input"), Part::Ping]);
            parts.extend(policy.allow.iter().map(Part::Entry));
        }
        Hook::Forward => {
            parts.push(Part::Rules("forward"));
            parts.extend(policy.allow.iter().map(Part::Published));
            parts.extend(policy.forwards.iter().map(Part::Forward));
        }
        Hook::Output => parts.push(Part::Rules("output")),
        Hook::Prerouting | Hook::Postrouting => {}
    }
    parts.push(Part::Last);
    parts
}

/// What a part of the policy says of a packet. Of [`Part::Rules`] it is not asked.
pub(crate) fn say(
    policy: &FilterPolicy,
    hook: Hook,
    part: Part<'_>,
    facts: &impl Facts,
) -> Result<Said, Need> {
    match part {
        Part::First => match hook {
            Hook::Input => inbound(policy, facts),
            Hook::Forward => forwarded(policy, facts),
            Hook::Output => outbound(policy, facts),
            Hook::Prerouting | Hook::Postrouting => Ok(Said::Is(Answer::Accept)),
        },
        Part::Rules(_) => Ok(Said::Nothing),
        Part::Ping => ping(policy, facts),
        Part::Entry(_) | Part::Published(_) | Part::Forward(_) => {
            for way in ways(part) {
                if way.is_taken_by(facts)? {
                    return Ok(way.said);
                }
            }
            Ok(Said::Nothing)
        }
        Part::Last => Ok(Said::Is(match hook {
            Hook::Input => Answer::Refuse(manner(policy.inbound, facts)?),
            Hook::Forward => Answer::Refuse(manner(policy.forward, facts)?),
            Hook::Output | Hook::Prerouting | Hook::Postrouting => Answer::Accept,
        })),
    }
}

const LOOPBACK: &str = "lo";
const ERRORS: (u128, u128) = (1, 4);
const NEIGHBOUR_DISCOVERY: (u128, u128) = (133, 136);
const LISTENER: [(u128, u128); 2] = [(130, 132), (143, 143)];
const ECHO_REQUEST: u128 = 8;
const ECHO_REQUEST_V6: u128 = 128;
const DHCPV6_CLIENT: u128 = 546;
const LOOPBACK_V4: (u128, u128) = (0x7f00_0000, 0x7fff_ffff);
const LOOPBACK_V6: u128 = 1;
const LINK_LOCAL: (u128, u128) = (0xfe80 << 112, (0xfe80 << 112) | ((1 << 118) - 1));

fn inbound(policy: &FilterPolicy, facts: &impl Facts) -> Result<Said, Need> {
    if facts.get(Field::InputName)? == Some(interface_number(LOOPBACK)) {
        return Ok(Said::Is(Answer::Accept));
    }
    let ipv6 = facts.is_ipv6()?;
    if ipv6 && policy.ipv6 == Ipv6::Reject {
        return Ok(Said::Is(Answer::Refuse(manner(policy.inbound, facts)?)));
    }
    if is(facts, Field::Source, &loopback(ipv6))? || is(facts, Field::Destination, &loopback(ipv6))? {
        return Ok(Said::Is(Answer::Refuse(Manner::Silently)));
    }
    let state = facts.get(Field::State)?.unwrap_or(0);
    if state == bit(State::Established) || state == bit(State::Related) {
        return Ok(Said::Is(Answer::Accept));
    }
    let is_icmpv6 = ipv6 && facts.get(Field::Protocol)? == Some(u128::from(protocol::ICMPV6));
    if is_icmpv6 && is(facts, Field::IcmpKind, &Ranges::new([ERRORS]))? {
        return Ok(Said::Is(Answer::Accept));
    }
    if state == bit(State::Invalid) {
        return Ok(Said::Is(Answer::Refuse(Manner::Silently)));
    }
    let goes_on = ipv6 && keeps_ipv6_going(facts)?;
    Ok(if goes_on { Said::Is(Answer::Accept) } else { Said::Nothing })
}

/// Neighbour discovery, multicast listeners and answers of `DHCPv6`, all from this link only.
fn keeps_ipv6_going(facts: &impl Facts) -> Result<bool, Need> {
    let transport = facts.get(Field::Protocol)?;
    if transport == Some(u128::from(protocol::UDP)) {
        return Ok(facts.get(Field::DestinationPort)? == Some(DHCPV6_CLIENT)
            && is(facts, Field::Source, &Ranges::new([LINK_LOCAL]))?
            && is(facts, Field::Destination, &Ranges::new([LINK_LOCAL]))?);
    }
    if transport != Some(u128::from(protocol::ICMPV6)) {
        return Ok(false);
    }
    let kind = facts.get(Field::IcmpKind)?;
    let kind_is =
        |ranges: &[(u128, u128)]| kind.is_some_and(|kind| ranges.iter().any(|r| r.0 <= kind && kind <= r.1));
    if kind_is(&[NEIGHBOUR_DISCOVERY]) {
        return Ok(facts.get(Field::HopLimit)? == Some(255));
    }
    Ok(kind_is(&LISTENER) && is(facts, Field::Source, &Ranges::new([LINK_LOCAL]))?)
}

fn ping(policy: &FilterPolicy, facts: &impl Facts) -> Result<Said, Need> {
    let (number, kind) =
        if facts.is_ipv6()? { (protocol::ICMPV6, ECHO_REQUEST_V6) } else { (protocol::ICMP, ECHO_REQUEST) };
    let is_ping = policy.ping
        && facts.get(Field::Protocol)? == Some(u128::from(number))
        && facts.get(Field::IcmpKind)? == Some(kind);
    let rate = || Rate { count: u64::from(PINGS_PER_SECOND), seconds: 1, burst: PINGS_PER_SECOND, of: None };
    Ok(if is_ping { Said::Within(rate()) } else { Said::Nothing })
}

fn forwarded(policy: &FilterPolicy, facts: &impl Facts) -> Result<Said, Need> {
    if policy.ipv6 == Ipv6::Reject && facts.is_ipv6()? {
        return Ok(Said::Is(Answer::Refuse(manner(policy.forward, facts)?)));
    }
    let state = facts.get(Field::State)?.unwrap_or(0);
    if state == bit(State::Established) || state == bit(State::Related) {
        return Ok(Said::Is(Answer::Accept));
    }
    Ok(if state == bit(State::Invalid) { Said::Is(Answer::Refuse(Manner::Silently)) } else { Said::Nothing })
}

/// A way of an entry: packets of which all this is so.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) all: Vec<Question>,
    pub(crate) said: Said,
}

impl Way {
    fn is_taken_by(&self, facts: &impl Facts) -> Result<bool, Need> {
        for (field, _, ranges) in &self.all {
            if !is(facts, *field, ranges)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The ways of an entry, of which no two are for one packet; none for parts that are no entries.
pub(crate) fn ways(part: Part<'_>) -> Vec<Way> {
    let accept = |_| Said::Is(Answer::Accept);
    match part {
        Part::First | Part::Rules(_) | Part::Ping | Part::Last => Vec::new(),
        Part::Entry(allow) => of_allow(allow, &[], Field::DestinationPort),
        // A flow that a NAT rule of somebody's sends through this host, as to a published port of a container: the entries
        // decide by the port that its sender asked for.
        Part::Published(allow) => {
            let published = [
                (Field::State, None, Ranges::one(bit(State::New))),
                (Field::Status, None, Ranges::one(DNAT)),
            ];
            of_allow(allow, &published, Field::OriginalPort)
        }
        Part::Forward(entry) => {
            let mut names = Vec::new();
            for (field, asked) in [(Field::InputName, &entry.input), (Field::OutputName, &entry.output)] {
                if !asked.is_empty() {
                    names.push((field, None, interfaces(asked)));
                }
            }
            let by_address =
                by_family(&[(Field::Source, &entry.from), (Field::Destination, &entry.to)], false);
            if entry.ports.is_empty() {
                return joined(&names, &[Vec::new()], &by_address, accept);
            }
            joined(&names, &by_port(&entry.ports, Field::DestinationPort), &by_address, accept)
        }
    }
}

fn of_allow(allow: &Allow, first: &[Question], port: Field) -> Vec<Way> {
    let by_address = by_family(&[(Field::Source, &allow.from)], allow.limit().is_some());
    joined(first, &by_port(&allow.ports, port), &by_address, |ipv6| match allow.limit() {
        None => Said::Is(Answer::Accept),
        Some(count) => Said::Within(new_connections(count, ipv6)),
    })
}

/// Every combination of a port's and an address's questions, after those that all have.
fn joined(
    first: &[Question],
    by_port: &[Vec<Question>],
    by_address: &[(bool, Vec<Question>)],
    said: impl Fn(bool) -> Said,
) -> Vec<Way> {
    let mut ways = Vec::new();
    for ports in by_port {
        for (ipv6, addresses) in by_address {
            let all = [first, ports, addresses].concat();
            ways.push(Way { all, said: said(*ipv6) });
        }
    }
    ways
}

/// For each transport that has any of the ports: the transport, and these.
fn by_port(ranges: &[PortRange], field: Field) -> Vec<Vec<Question>> {
    let of = |(transport, number): (Transport, u8)| {
        let ports = ports(ranges, transport);
        (!ports.is_empty())
            .then(|| vec![(Field::Protocol, None, Ranges::one(number.into())), (field, None, ports)])
    };
    [(Transport::Tcp, protocol::TCP), (Transport::Udp, protocol::UDP)].into_iter().filter_map(of).collect()
}

/// For each family of which all lists that are not empty have a prefix: the family, and these. One for both families where
/// there is no list, and nothing else that `differs`.
fn by_family(lists: &[(Field, &Vec<IpNet>)], differs: bool) -> Vec<(bool, Vec<Question>)> {
    if !differs && lists.iter().all(|(_, list)| list.is_empty()) {
        return vec![(false, Vec::new())];
    }
    let mut found = Vec::new();
    for (ipv6, number) in [(false, IPV4), (true, IPV6)] {
        let mut all = vec![(Field::Family, None, Ranges::one(number))];
        let listed = lists.iter().filter(|(_, list)| !list.is_empty());
        all.extend(listed.map(|(field, list)| (*field, Some(ipv6), addresses(list, ipv6))));
        if all.iter().all(|(.., ranges)| !ranges.is_empty()) {
            found.push((ipv6, all));
        }
    }
    found
}

/// The names of interfaces as numbers: a beginning is a range of them.
fn interfaces(names: &[InterfaceName]) -> Ranges {
    Ranges::new(names.iter().map(|name| {
        let first = interface_number(&name.name);
        let free = 128 - 8 * name.name.len().min(15);
        let rest = 1_u128.checked_shl(u32::try_from(free).unwrap_or(128)).map_or(u128::MAX, |end| end - 1);
        (first, if name.is_prefix { first | rest } else { first })
    }))
}

fn outbound(policy: &FilterPolicy, facts: &impl Facts) -> Result<Said, Need> {
    let has_rules = policy.rules.of("output").next().is_some();
    if policy.ipv6 == Ipv6::Same && !has_rules {
        return Ok(Said::Is(Answer::Accept));
    }
    if facts.get(Field::OutputName)? == Some(interface_number(LOOPBACK)) {
        return Ok(Said::Is(Answer::Accept));
    }
    if policy.ipv6 == Ipv6::Reject && facts.is_ipv6()? {
        return Ok(Said::Is(Answer::Refuse(manner(Refusal::Reject, facts)?)));
    }
    if !has_rules {
        return Ok(Said::Is(Answer::Accept));
    }
    let state = facts.get(Field::State)?.unwrap_or(0);
    let is_known = state == bit(State::Established) || state == bit(State::Related);
    Ok(if is_known { Said::Is(Answer::Accept) } else { Said::Nothing })
}

fn is(facts: &impl Facts, field: Field, ranges: &Ranges) -> Result<bool, Need> {
    Ok(!ranges.is_empty() && facts.get(field)?.is_some_and(|value| ranges.contains(value)))
}

fn loopback(ipv6: bool) -> Ranges {
    Ranges::new([if ipv6 { (LOOPBACK_V6, LOOPBACK_V6) } else { LOOPBACK_V4 }])
}

fn bit(state: State) -> u128 {
    u128::from(state.bit())
}

fn manner(refusal: Refusal, facts: &impl Facts) -> Result<Manner, Need> {
    Ok(match refusal {
        Refusal::Drop => Manner::Silently,
        Refusal::Reject if facts.get(Field::Protocol)? == Some(u128::from(protocol::TCP)) => Manner::Reset,
        Refusal::Reject => Manner::Unreachable,
    })
}

fn new_connections(count: u32, ipv6: bool) -> Rate {
    let of = if ipv6 { "ip6 saddr & ffff:ffff:ffff:ffff::" } else { "ip saddr" };
    Rate { count: u64::from(count), seconds: 60, burst: count, of: Some(of.to_owned()) }
}

fn ports(ports: &[PortRange], transport: Transport) -> Ranges {
    let ranges = ports.iter().filter(|range| range.transport == transport);
    Ranges::new(ranges.map(|range| (u128::from(range.first), u128::from(range.last))))
}

/// What is asked of a field: the values, in packets of which family (both, if `None`).
pub(crate) type Question = (Field, Option<bool>, Ranges);

/// Every question that a part can ask of a field: the sets of values that it tells apart. The prover must know them all to
/// know that two values of no difference here are of none to the part. [`rules`](super::rules) has those of rules.
pub(crate) fn questions(part: Part<'_>) -> Vec<Question> {
    match part {
        Part::First | Part::Ping | Part::Last => constant_questions(),
        Part::Rules(_) => Vec::new(),
        Part::Entry(_) | Part::Published(_) | Part::Forward(_) => {
            ways(part).into_iter().flat_map(|way| way.all).collect()
        }
    }
}

/// The questions that do not depend on what a policy lists.
fn constant_questions() -> Vec<Question> {
    let lo = interface_number(LOOPBACK);
    let mut asked = vec![
        (Field::InputName, None, Ranges::one(lo)),
        (Field::OutputName, None, Ranges::one(lo)),
        (Field::HopLimit, None, Ranges::one(255)),
        (Field::DestinationPort, None, Ranges::one(DHCPV6_CLIENT)),
    ];
    for number in [protocol::ICMP, protocol::TCP, protocol::UDP, protocol::ICMPV6] {
        asked.push((Field::Protocol, None, Ranges::one(u128::from(number))));
    }
    for kinds in [
        &[ERRORS][..],
        &[NEIGHBOUR_DISCOVERY],
        &LISTENER,
        &[(ECHO_REQUEST, ECHO_REQUEST), (ECHO_REQUEST_V6, ECHO_REQUEST_V6)],
    ] {
        for &kind in kinds {
            asked.push((Field::IcmpKind, None, Ranges::new([kind])));
        }
    }
    for field in [Field::Source, Field::Destination] {
        asked.push((field, Some(false), loopback(false)));
        asked.push((field, Some(true), loopback(true)));
        asked.push((field, Some(true), Ranges::new([LINK_LOCAL])));
    }
    asked
}
