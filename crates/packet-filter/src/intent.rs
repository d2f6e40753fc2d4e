//! What a policy says of a packet, read from the policy alone.
//!
//! This is the second opinion that a compiled ruleset is held against ([`prove`](crate::prove())): it shares no code with
//! the compiler or the machine. Its order is the normative one of `docs/src/firewall-semantics.md`.

use std::collections::BTreeSet;

pub(crate) mod rules;

use crate::facts::{DNAT, Facts, Field, Need, interface_number};
use crate::packet::{Hook, Packet, State, protocol};
use crate::policy::{
    FilterPolicy, ForwardEntry, InterfaceName, Ipv6, PINGS_PER_SECOND, PortRange, Refusal, Transport,
};
use crate::ranges::{Ranges, addresses};

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is let through.
    Accept,
    /// It is let through as long as one of the rates is kept, and refused otherwise.
    AcceptWithin {
        /// Each of them lets it through.
        rates: BTreeSet<Rate>,
        /// How it is refused when none does.
        otherwise: Manner,
    },
    /// It is refused.
    Refuse(Manner),
    /// It depends on what a rule of the policy's own asks and the packet does not tell: a rate, the hour, the sender's user.
    Open {
        /// What becomes of it as long as no rate is exceeded and what is not known does not hold.
        usual: Ending,
        /// All that may become of it: no more than this, and perhaps less where one condition rules out another.
        possible: BTreeSet<Ending>,
    },
}

/// How a packet's way ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ending {
    /// It is let through.
    Accept,
    /// It is refused.
    Refuse(Manner),
}

/// How the sender of a refused packet is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Manner {
    /// No answer.
    Silently,
    /// By a TCP reset.
    Reset,
    /// By an ICMP error.
    Unreachable,
}

/// At most `count` packets in `seconds`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Rate {
    /// How many.
    pub count: u64,
    /// In how many seconds.
    pub seconds: u64,
    /// How many at once before the rate begins to count.
    pub burst: u32,
    /// What it is counted for, such as `ip saddr`; `None` where it is counted for all together.
    pub of: Option<String>,
}

/// What the policy says of a packet at a hook.
#[must_use]
pub fn policy_decides(policy: &FilterPolicy, hook: Hook, packet: &Packet) -> Answer {
    match answer(policy, hook, packet) {
        Ok(answer) => answer,
        Err(Need(_)) => unreachable!("a whole packet needs nothing more"),
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

pub(crate) fn answer(policy: &FilterPolicy, hook: Hook, facts: &impl Facts) -> Result<Answer, Need> {
    match hook {
        Hook::Input => inbound(policy, facts),
        Hook::Forward => forwarded(policy, facts),
        Hook::Output => outbound(policy, facts),
        Hook::Prerouting | Hook::Postrouting => Ok(Answer::Accept),
    }
}

fn inbound(policy: &FilterPolicy, facts: &impl Facts) -> Result<Answer, Need> {
    if facts.get(Field::InputName)? == Some(interface_number(LOOPBACK)) {
        return Ok(Answer::Accept);
    }
    let ipv6 = facts.is_ipv6()?;
    if ipv6 && policy.ipv6 == Ipv6::Reject {
        return Ok(Answer::Refuse(manner(policy.inbound, facts)?));
    }
    if is(facts, Field::Source, &loopback(ipv6))? || is(facts, Field::Destination, &loopback(ipv6))? {
        return Ok(Answer::Refuse(Manner::Silently));
    }
    let state = facts.get(Field::State)?.unwrap_or(0);
    if state == bit(State::Established) || state == bit(State::Related) {
        return Ok(Answer::Accept);
    }
    let transport = facts.get(Field::Protocol)?;
    let refused = manner(policy.inbound, facts)?;
    let is_icmpv6 = ipv6 && transport == Some(u128::from(protocol::ICMPV6));
    if is_icmpv6 && is(facts, Field::IcmpKind, &Ranges::new([ERRORS]))? {
        return Ok(Answer::Accept);
    }
    if state == bit(State::Invalid) {
        return Ok(Answer::Refuse(Manner::Silently));
    }
    if ipv6 && keeps_ipv6_going(facts)? {
        return Ok(Answer::Accept);
    }
    rules::before(policy, "input", Hook::Input, facts, || allowed(policy, ipv6, refused, facts))
}

/// What is let in by protocol and port.
fn allowed(policy: &FilterPolicy, ipv6: bool, refused: Manner, facts: &impl Facts) -> Result<Answer, Need> {
    let transport = facts.get(Field::Protocol)?;
    let pings = |kind: u128| -> Result<Answer, Need> {
        let wanted = policy.ping && facts.get(Field::IcmpKind)? == Some(kind);
        Ok(if wanted { ping(refused) } else { Answer::Refuse(refused) })
    };
    if ipv6 && transport == Some(u128::from(protocol::ICMPV6)) {
        pings(ECHO_REQUEST_V6)
    } else if !ipv6 && transport == Some(u128::from(protocol::ICMP)) {
        pings(ECHO_REQUEST)
    } else if transport == Some(u128::from(protocol::TCP)) {
        service(policy, Transport::Tcp, ipv6, refused, facts)
    } else if transport == Some(u128::from(protocol::UDP)) {
        service(policy, Transport::Udp, ipv6, refused, facts)
    } else {
        Ok(Answer::Refuse(refused))
    }
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

fn service(
    policy: &FilterPolicy,
    transport: Transport,
    ipv6: bool,
    refused: Manner,
    facts: &impl Facts,
) -> Result<Answer, Need> {
    let port = facts.get(Field::DestinationPort)?;
    entries(policy, transport, port, ipv6, refused, facts)
}

/// What the `allow` entries say of a packet to that port.
fn entries(
    policy: &FilterPolicy,
    transport: Transport,
    port: Option<u128>,
    ipv6: bool,
    refused: Manner,
    facts: &impl Facts,
) -> Result<Answer, Need> {
    let mut rates = BTreeSet::new();
    for allow in &policy.allow {
        let ports = ports(&allow.ports, transport);
        if !port.is_some_and(|port| ports.contains(port)) {
            continue;
        }
        if !allow.from.is_empty() && !is(facts, Field::Source, &addresses(&allow.from, ipv6))? {
            continue;
        }
        match allow.limit() {
            None => return Ok(Answer::Accept),
            Some(count) => rates.insert(new_connections(count, ipv6)),
        };
    }
    if rates.is_empty() {
        return Ok(Answer::Refuse(refused));
    }
    Ok(Answer::AcceptWithin { rates, otherwise: refused })
}

fn forwarded(policy: &FilterPolicy, facts: &impl Facts) -> Result<Answer, Need> {
    if policy.ipv6 == Ipv6::Reject && facts.is_ipv6()? {
        return Ok(Answer::Refuse(manner(policy.forward, facts)?));
    }
    let state = facts.get(Field::State)?.unwrap_or(0);
    if state == bit(State::Established) || state == bit(State::Related) {
        return Ok(Answer::Accept);
    }
    if state == bit(State::Invalid) {
        return Ok(Answer::Refuse(Manner::Silently));
    }
    rules::before(policy, "forward", Hook::Forward, facts, || let_through(policy, state, facts))
}

/// What passes by the entries of the policy.
fn let_through(policy: &FilterPolicy, state: u128, facts: &impl Facts) -> Result<Answer, Need> {
    let refused = manner(policy.forward, facts)?;
    let is_published = state == bit(State::New) && facts.get(Field::Status)? == Some(DNAT);
    let listed = if is_published { published(policy, refused, facts)? } else { Answer::Refuse(refused) };
    if listed == Answer::Accept {
        return Ok(Answer::Accept);
    }
    for entry in &policy.forwards {
        if passes(entry, facts)? {
            return Ok(Answer::Accept);
        }
    }
    Ok(listed)
}

/// Whether a `forward` entry lets the packet through.
fn passes(entry: &ForwardEntry, facts: &impl Facts) -> Result<bool, Need> {
    let named = |names: &[InterfaceName], field| -> Result<bool, Need> {
        Ok(names.is_empty() || is(facts, field, &interfaces(names))?)
    };
    if !named(&entry.input, Field::InputName)? || !named(&entry.output, Field::OutputName)? {
        return Ok(false);
    }
    let among = |prefixes: &[ipnet::IpNet], field| -> Result<bool, Need> {
        Ok(prefixes.is_empty() || is(facts, field, &addresses(prefixes, facts.is_ipv6()?))?)
    };
    if !among(&entry.from, Field::Source)? || !among(&entry.to, Field::Destination)? {
        return Ok(false);
    }
    if entry.ports.is_empty() {
        return Ok(true);
    }
    let protocol = facts.get(Field::Protocol)?;
    for (transport, number) in [(Transport::Tcp, protocol::TCP), (Transport::Udp, protocol::UDP)] {
        if protocol == Some(u128::from(number)) {
            return is(facts, Field::DestinationPort, &ports(&entry.ports, transport));
        }
    }
    Ok(false)
}

/// The names of interfaces as numbers: a beginning is a range of them.
fn interfaces(names: &[InterfaceName]) -> Ranges {
    Ranges::new(names.iter().map(|name| {
        let first = interface_number(&name.name);
        let free = 128 - 8 * name.name.len().min(15);
        (first, if name.is_prefix { first | ((1_u128 << free) - 1) } else { first })
    }))
}

/// A flow that a NAT rule of somebody's sends through this host, as to a published port of a container: the entries decide
/// by the port that its sender asked for.
fn published(policy: &FilterPolicy, refused: Manner, facts: &impl Facts) -> Result<Answer, Need> {
    let transport = facts.get(Field::Protocol)?;
    let transport = if transport == Some(u128::from(protocol::TCP)) {
        Transport::Tcp
    } else if transport == Some(u128::from(protocol::UDP)) {
        Transport::Udp
    } else {
        return Ok(Answer::Refuse(refused));
    };
    let port = facts.get(Field::OriginalPort)?;
    entries(policy, transport, port, facts.is_ipv6()?, refused, facts)
}

fn outbound(policy: &FilterPolicy, facts: &impl Facts) -> Result<Answer, Need> {
    let has_rules = policy.rules.of("output").next().is_some();
    if policy.ipv6 == Ipv6::Same && !has_rules {
        return Ok(Answer::Accept);
    }
    if facts.get(Field::OutputName)? == Some(interface_number(LOOPBACK)) {
        return Ok(Answer::Accept);
    }
    if policy.ipv6 == Ipv6::Reject && facts.is_ipv6()? {
        return Ok(Answer::Refuse(manner(Refusal::Reject, facts)?));
    }
    if !has_rules {
        return Ok(Answer::Accept);
    }
    let state = facts.get(Field::State)?.unwrap_or(0);
    if state == bit(State::Established) || state == bit(State::Related) {
        return Ok(Answer::Accept);
    }
    rules::before(policy, "output", Hook::Output, facts, || Ok(Answer::Accept))
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

fn ping(refused: Manner) -> Answer {
    let rate = Rate { count: u64::from(PINGS_PER_SECOND), seconds: 1, burst: PINGS_PER_SECOND, of: None };
    Answer::AcceptWithin { rates: BTreeSet::from([rate]), otherwise: refused }
}

fn new_connections(count: u32, ipv6: bool) -> Rate {
    let of = if ipv6 { "ip6 saddr & ffff:ffff:ffff:ffff::" } else { "ip saddr" };
    Rate { count: u64::from(count), seconds: 60, burst: count, of: Some(of.to_owned()) }
}

fn ports(ports: &[PortRange], transport: Transport) -> Ranges {
    let ranges = ports.iter().filter(|range| range.transport == transport);
    Ranges::new(ranges.map(|range| (u128::from(range.first), u128::from(range.last))))
}

/// Every question that [`answer`] can ask of a field: the sets of values that it tells apart. The prover must know them
/// all to know that two values of no difference here are of none to the policy.
pub(crate) fn questions(policy: &FilterPolicy) -> Vec<(Field, Option<bool>, Ranges)> {
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
    for allow in &policy.allow {
        for transport in [Transport::Tcp, Transport::Udp] {
            asked.push((Field::DestinationPort, None, ports(&allow.ports, transport)));
            asked.push((Field::OriginalPort, None, ports(&allow.ports, transport)));
        }
        for ipv6 in [false, true] {
            asked.push((Field::Source, Some(ipv6), addresses(&allow.from, ipv6)));
        }
    }
    for entry in &policy.forwards {
        asked.push((Field::InputName, None, interfaces(&entry.input)));
        asked.push((Field::OutputName, None, interfaces(&entry.output)));
        for transport in [Transport::Tcp, Transport::Udp] {
            asked.push((Field::DestinationPort, None, ports(&entry.ports, transport)));
        }
        for ipv6 in [false, true] {
            asked.push((Field::Source, Some(ipv6), addresses(&entry.from, ipv6)));
            asked.push((Field::Destination, Some(ipv6), addresses(&entry.to, ipv6)));
        }
    }
    rules::questions(policy, &mut asked);
    asked
}
