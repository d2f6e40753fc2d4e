//! All packets at once: a ruleset as a function from sets of packets to what becomes of them.
//!
//! Sets of packets are binary decision diagrams over the bits of the packet (`Layout`) and over one more variable for
//! each thing that is not known of a packet: whether a rate is kept, what an expression finds that is not understood.
//! Equal expressions are one variable. So what is decided here is decided for every packet, exactly, with every
//! combination of answers to what is not known.
//!
//! It is not a second machine: what one packet meets is decided by [`Machine`], and every answer
//! that is given here can be tried there.

use std::collections::HashMap;

use crate::decide::{Machine, Reason};
use crate::facts::{Field, IPV6, interface_name};
use crate::machine::{At, Cause, Program};
use crate::packet::{Addresses, Packet, Payload, State, protocol};

mod ask;
pub(crate) mod bdd;
mod changes;
mod compare;
mod dispatch;
pub(crate) mod explore;
pub(crate) mod fields;
mod load;
mod lookup;
pub(crate) mod names;
mod probe;
mod reach;
pub(crate) mod registers;
mod rule;
mod shadowed;
mod target;
#[cfg(test)]
mod tests;
pub(crate) mod walk;

pub use compare::{Assumption, Comparison, Parting, compare_rulesets};
pub use reach::{Certainty, IpFamily, Reach, reach};
pub use shadowed::{HIDERS, Shadow, Shadowed, shadowed};

use bdd::{Arena, Bdd};
use fields::{Bits, Layout, within};
use registers::Bit;

/// The ruleset is too intricate to be decided for all packets at once within the memory that is granted to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the ruleset is too intricate to be decided for all packets at once ({nodes} decisions are needed at least)"
)]
pub struct TooIntricate {
    /// How many decisions its diagrams had when the limit was reached.
    pub nodes: usize,
}

/// How many nodes diagrams may have together: 12 bytes each and 8 to find it, so less than 300 MB while they grow.
const NODES: usize = 8_000_000;

/// The variables, and the sets made of them.
#[derive(Debug)]
pub(crate) struct Space {
    pub(crate) arena: Arena,
    pub(crate) layout: Layout,
    /// What is not known of a packet, in the order of the variables.
    opaque: Vec<Opaque>,
    by_text: HashMap<String, Bdd>,
    /// Whether equal rates of different rules are different ones, as in the kernel they are.
    tells_rates_apart: bool,
    /// The ruleset that is walked.
    pub(crate) ruleset: usize,
    names: [Option<Vec<Bit>>; 2],
    /// Where each expression goes on of which that is not known.
    #[cfg(test)]
    asked: HashMap<Cause, Bdd>,
}

/// Something that is not known of a packet.
#[derive(Debug, Clone)]
pub(crate) struct Opaque {
    /// Where it is asked for, first: of which ruleset, by which expression.
    pub(crate) ruleset: usize,
    pub(crate) cause: Cause,
    /// What it is unless something is exceeded: whether the variable is usually set.
    usual: bool,
}

impl Space {
    pub(crate) fn new(layout: Layout, tells_rates_apart: bool) -> Self {
        Self {
            arena: Arena::new(NODES),
            layout,
            opaque: Vec::new(),
            by_text: HashMap::new(),
            tells_rates_apart,
            ruleset: 0,
            names: [None, None],
            #[cfg(test)]
            asked: HashMap::new(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), TooIntricate> {
        if self.arena.is_full() { Err(TooIntricate { nodes: self.arena.nodes() }) } else { Ok(()) }
    }

    /// The bits of a field as packets arrive with it.
    pub(crate) fn field(&mut self, field: Field, ipv6: bool) -> Vec<Bit> {
        Bits::of(&mut self.arena, &self.layout, field, ipv6).0.into_iter().map(Bit::known).collect()
    }

    /// The bits of an interface's name.
    fn name(&mut self, field: Field) -> Vec<Bit> {
        let nth = usize::from(field == Field::OutputName);
        if self.names[nth].is_none() {
            let code = Bits::of(&mut self.arena, &self.layout, field, false);
            let bits = self.layout.names(field).bits(&mut self.arena, &code);
            self.names[nth] = Some(bits.into_iter().map(Bit::known).collect());
        }
        self.names[nth].clone().unwrap_or_default()
    }

    /// Packets whose interface is that one.
    fn name_is(&mut self, field: Field, name: u128) -> Bdd {
        let code = Bits::of(&mut self.arena, &self.layout, field, false);
        let number = self.layout.encode(field, name);
        within(&mut self.arena, &code.0, &[(number, number)])
    }

    /// Packets in which the field has this value.
    pub(crate) fn is(&mut self, field: Field, ipv6: bool, value: u128) -> Bdd {
        let code = self.layout.encode(field, value);
        let bits = Bits::of(&mut self.arena, &self.layout, field, ipv6);
        within(&mut self.arena, &bits.0, &[(code, code)])
    }

    pub(crate) fn is_ipv6(&mut self) -> Bdd {
        self.is(Field::Family, false, IPV6)
    }

    /// The family as a byte: 2 or 10.
    fn family(&mut self) -> Vec<Bit> {
        let ipv6 = self.is_ipv6();
        let mut bits = vec![Bit::ZERO; 8];
        bits[4] = Bit::known(ipv6);
        bits[6] = Bit::constant(true);
        bits
    }

    /// Packets that have such a field.
    pub(crate) fn has(&mut self, field: Field) -> Bdd {
        let protocols: &[u8] = match field {
            Field::SourcePort | Field::DestinationPort | Field::OriginalPort => {
                &[protocol::TCP, protocol::UDP]
            }
            Field::TcpFlags => &[protocol::TCP],
            Field::IcmpKind | Field::IcmpCode => &[protocol::ICMP, protocol::ICMPV6],
            _ => return Bdd::TRUE,
        };
        let mut has = Bdd::FALSE;
        for &number in protocols {
            let is = self.is(Field::Protocol, false, u128::from(number));
            has = self.arena.or(has, is);
        }
        has
    }

    /// What the sender of the flow's first packet had written, where that is known.
    fn original(&mut self, field: Field, ipv6: bool) -> Vec<Bit> {
        let now = if field == Field::OriginalPort { Field::DestinationPort } else { Field::Destination };
        let published = self.is(Field::Status, false, 1);
        let opens = self.is(Field::State, false, u128::from(State::New.bit()));
        let has = self.has(field);
        let known = self.arena.or(published, opens);
        let known = self.arena.and(known, has);
        let (original, now) = (self.field(field, ipv6), self.field(now, ipv6));
        let mut bits = Vec::with_capacity(original.len());
        for (original, now) in original.into_iter().zip(now) {
            bits.push(Bit { value: self.arena.ite(published, original.value, now.value), known });
        }
        bits
    }

    /// Packets for which an expression goes on, of which that is not known; `usual`: whether it does in the main case.
    fn opaque(&mut self, program: &Program<'_>, at: At, nth: usize, made_by: &[usize], usual: bool) -> Bdd {
        let goes_on = self.goes_on(program, at, nth, made_by, usual);
        #[cfg(test)]
        self.asked.insert(Cause::Expression(at, nth), goes_on);
        goes_on
    }

    fn goes_on(&mut self, program: &Program<'_>, at: At, nth: usize, made_by: &[usize], usual: bool) -> Bdd {
        let expression = &program.rule(at).expressions[nth];
        // A rate is one variable, kept or not, whether packets go on within it or over it.
        if let Some(rate) = Machine::rate_of(program, at, nth) {
            let kept = self.variable(rate_key(&rate), at, nth, true, true);
            return if usual { kept } else { !kept };
        }
        let text = self.text_through(program, at, nth, made_by);
        let of_rule = &program.rule(at).expressions;
        let counts = is_counting(expression) || made_by.iter().any(|&nth| is_drawn(&of_rule[nth]));
        self.variable(text, at, nth, usual, counts)
    }

    /// The same for one of several things that may happen, none of which does in the main case.
    fn one_of(&mut self, text: &str, at: At, nth: usize, which: usize) -> Bdd {
        self.variable(format!("{which}: {text}"), at, nth, false, false)
    }

    /// An expression as text, after those that made what it looks at.
    fn text_through(&self, program: &Program<'_>, at: At, nth: usize, made_by: &[usize]) -> String {
        let mut through = made_by.to_vec();
        through.push(nth);
        self.text(program, at, &through)
    }

    fn variable(&mut self, mut key: String, at: At, nth: usize, usual: bool, counts: bool) -> Bdd {
        if counts && self.tells_rates_apart {
            use std::fmt::Write as _;
            let _ = write!(key, " in {at:?} {nth}");
        }
        self.named(key, Cause::Expression(at, nth), usual)
    }

    fn named(&mut self, key: String, cause: Cause, usual: bool) -> Bdd {
        if let Some(&known) = self.by_text.get(&key) {
            return known;
        }
        let variable = self.layout.end() + u32::try_from(self.opaque.len()).unwrap_or(0);
        let literal = self.arena.literal(variable);
        // Full arenas give nothing: then nothing here counts.
        self.opaque.push(Opaque { ruleset: self.ruleset, cause, usual });
        self.by_text.insert(key, literal);
        literal
    }

    /// Whether a rate is kept, as the policy speaks of it.
    pub(crate) fn rate(&mut self, rate: &crate::Rate) -> Bdd {
        self.named(rate_key(rate), Cause::TooLong, true)
    }

    /// Something that the policy does not know of a packet and that is nothing that a ruleset asks.
    pub(crate) fn unnamed(&mut self, usual: bool) -> Bdd {
        let key = format!("unnamed {}", self.opaque.len());
        self.named(key, Cause::TooLong, usual)
    }

    /// Expressions as text without the numbers of registers, and with what is in sets instead of their names.
    fn text(&self, program: &Program<'_>, at: At, expressions: &[usize]) -> String {
        let mut text = String::new();
        for &nth in expressions {
            let expression = &program.rule(at).expressions[nth];
            let set = match expression {
                nf_tables::Expression::Lookup(lookup) => Some((&lookup.set, lookup.inverse)),
                _ => None,
            };
            let contents = set.and_then(|(name, inverse)| {
                program.tables[at.table].sets.get(name.as_str()).map(|contents| (contents, inverse))
            });
            match contents {
                Some((contents, inverse)) => {
                    let entries = contents.entries.iter().map(|e| (&e.first, &e.last, &e.element.data));
                    let rest = contents.catch_all.map(|element| &element.data);
                    text.push_str(&format!("{:?} {rest:?} {inverse}", entries.collect::<Vec<_>>()));
                }
                None => text.push_str(&without_registers(&format!("{expression:?}"))),
            }
            text.push(';');
        }
        text
    }

    /// The main case: no rate is exceeded, and what is not known does not match.
    pub(crate) fn usually(&mut self, set: Bdd) -> Bdd {
        let end = self.layout.end();
        let usual: Vec<bool> = self.opaque.iter().map(|opaque| opaque.usual).collect();
        self.arena.without(set, &|variable| match variable.checked_sub(end) {
            Some(nth) => bdd::Settle::Is(usual.get(nth as usize).copied().unwrap_or(false)),
            None => bdd::Settle::Keep,
        })
    }

    /// Packets that can be in the set, whatever is not known may be, but for what `kept` names.
    pub(crate) fn possibly(&mut self, set: Bdd, kept: &[Bdd]) -> Bdd {
        let end = self.layout.end();
        let kept: Vec<u32> = kept.iter().map(|&literal| self.arena.variable(literal)).collect();
        self.arena.without(set, &|variable| {
            if variable < end || kept.contains(&variable) { bdd::Settle::Keep } else { bdd::Settle::Either }
        })
    }

    /// The same where only what is `dropped` may be anything.
    pub(crate) fn either_way(&mut self, set: Bdd, dropped: &[Bdd]) -> Bdd {
        let dropped: Vec<u32> = dropped.iter().map(|&literal| self.arena.variable(literal)).collect();
        self.arena.without(set, &|variable| {
            if dropped.contains(&variable) { bdd::Settle::Either } else { bdd::Settle::Keep }
        })
    }

    /// What is not known, of a variable; `None` for a bit of the packet.
    pub(crate) fn opaque_of(&self, variable: u32) -> Option<&Opaque> {
        variable.checked_sub(self.layout.end()).and_then(|nth| self.opaque.get(nth as usize))
    }

    /// A packet of the set, one that looks real, and what has to be so of what is not known (in the order of the variables,
    /// without what is usual).
    pub(crate) fn witness(&self, set: Bdd) -> (Packet, Vec<(u32, bool)>) {
        let (packet, unusual) = self.witness_like(set, false);
        match packet.addresses {
            Addresses::Ipv4 { .. } => (packet, unusual),
            Addresses::Ipv6 { .. } => self.witness_like(set, true),
        }
    }

    fn witness_like(&self, set: Bdd, ipv6: bool) -> (Packet, Vec<(u32, bool)>) {
        let favourite = self.favourites(ipv6);
        let usual = |variable: u32| match self.opaque_of(variable) {
            Some(opaque) => opaque.usual,
            None => favourite.get(variable as usize).copied().unwrap_or(false),
        };
        let values = self.arena.pick(set, usual);
        let value = |variable: u32| values.get(&variable).copied().unwrap_or_else(|| usual(variable));
        let mut unusual: Vec<(u32, bool)> = values
            .iter()
            .filter(|(variable, value)| {
                self.opaque_of(**variable).is_some_and(|opaque| opaque.usual != **value)
            })
            .map(|(&variable, &value)| (variable, value))
            .collect();
        unusual.sort_unstable();
        (self.packet(value), unusual)
    }

    /// For each variable of the packet, the value in a packet that looks real.
    fn favourites(&self, ipv6: bool) -> Vec<bool> {
        let mut favourites = vec![false; self.layout.end() as usize];
        // IPv4 addresses are the first 32 variables.
        let address = |v4: u128, v6: u128| if ipv6 { 0x2001_0db8 << 96 | v6 } else { v4 << 96 };
        let usual = |field: Field| -> u128 {
            match field {
                Field::State => u128::from(State::New.bit()),
                Field::InputName | Field::OutputName => crate::facts::interface_number("eth0"),
                Field::Protocol => u128::from(protocol::TCP),
                Field::DestinationPort | Field::OriginalPort => 9,
                Field::SourcePort => 40_000,
                Field::TcpFlags => u128::from(crate::packet::SYN),
                Field::Source => address(0xc633_6407, 7),
                Field::Destination => address(0xc000_0201, 1),
                Field::OriginalDestination => address(0xc000_0202, 2),
                Field::HopLimit => 64,
                Field::Family => {
                    if ipv6 {
                        IPV6
                    } else {
                        crate::facts::IPV4
                    }
                }
                Field::IcmpKind | Field::IcmpCode | Field::Mark | Field::Status => 0,
            }
        };
        for field in Field::ALL {
            let (first, width) = (self.layout.first(field), self.layout.width(field, true));
            let code = self.layout.encode(field, usual(field));
            for nth in 0..width {
                favourites[(first + nth) as usize] = code >> (width - 1 - nth) & 1 == 1;
            }
        }
        favourites
    }

    /// The packet of which the variables have these values.
    pub(crate) fn packet(&self, value: impl Fn(u32) -> bool) -> Packet {
        let ipv6 = self.layout.decode(Field::Family, false, &value) == IPV6;
        let get = |field: Field| self.layout.decode(field, ipv6, &value);
        let small = |field: Field| u8::try_from(get(field)).unwrap_or(0);
        let port = |field: Field| u16::try_from(get(field)).unwrap_or(0);
        let v4 = |field: Field| std::net::Ipv4Addr::from_bits(u32::try_from(get(field)).unwrap_or(0));
        let v6 = |field: Field| std::net::Ipv6Addr::from_bits(get(field));
        let addresses = if ipv6 {
            Addresses::Ipv6 { source: v6(Field::Source), destination: v6(Field::Destination) }
        } else {
            Addresses::Ipv4 { source: v4(Field::Source), destination: v4(Field::Destination) }
        };
        let (source, destination) = (port(Field::SourcePort), port(Field::DestinationPort));
        let (kind, code) = (small(Field::IcmpKind), small(Field::IcmpCode));
        let payload = match small(Field::Protocol) {
            protocol::TCP => Payload::Tcp { source, destination, flags: small(Field::TcpFlags) },
            protocol::UDP => Payload::Udp { source, destination },
            protocol::ICMP => Payload::Icmp { kind, code },
            protocol::ICMPV6 => Payload::Icmpv6 { kind, code },
            other => Payload::Other(other),
        };
        let state = State::ALL.into_iter().find(|state| get(Field::State) == u128::from(state.bit()));
        let original: std::net::IpAddr =
            if ipv6 { v6(Field::OriginalDestination).into() } else { v4(Field::OriginalDestination).into() };
        Packet {
            input: interface_name(get(Field::InputName)),
            output: interface_name(get(Field::OutputName)),
            addresses,
            payload,
            state: state.unwrap_or(State::New),
            hop_limit: small(Field::HopLimit),
            mark: u32::try_from(get(Field::Mark)).unwrap_or(0),
            published_from: (get(Field::Status) != 0)
                .then(|| std::net::SocketAddr::new(original, port(Field::OriginalPort))),
        }
    }

    #[cfg(test)]
    /// Whether the packet is in the set, where what is not known is as `opaque` says.
    pub(crate) fn contains(&self, set: Bdd, packet: &Packet, opaque: impl Fn(u32) -> bool) -> bool {
        use crate::facts::Facts as _;
        let ipv6 = matches!(packet.addresses, Addresses::Ipv6 { .. });
        let mut values = vec![false; self.layout.end() as usize];
        for field in Field::ALL {
            let value = packet.get(field).ok().flatten().unwrap_or(0);
            let code = self.layout.encode(field, value);
            let (first, width) = (self.layout.first(field), self.layout.width(field, ipv6));
            for nth in 0..width {
                values[(first + nth) as usize] = code >> (width - 1 - nth) & 1 == 1;
            }
        }
        self.arena.contains(set, |variable| match values.get(variable as usize) {
            Some(value) => *value,
            None => opaque(variable),
        })
    }
}

/// What a rate is called: equal rates are one.
fn rate_key(rate: &crate::Rate) -> String {
    format!("rate {} {} {} {:?}", rate.count, rate.seconds, rate.burst, rate.of)
}

/// Whether the expression keeps count, so that an equal one of another rule may find otherwise.
fn is_counting(expression: &nf_tables::Expression) -> bool {
    use nf_tables::Expression;
    match expression {
        Expression::Limit(_)
        | Expression::Connlimit(_)
        | Expression::Quota(_)
        | Expression::Dynset(_)
        | Expression::Objref(_)
        | Expression::Numgen(_)
        | Expression::Unknown { .. }
        | Expression::Target(_) => true,
        Expression::Match(matched) => matches!(
            matched.name.as_str(),
            "limit" | "hashlimit" | "recent" | "statistic" | "quota" | "connlimit" | "connbytes" | "rateest"
        ),
        _ => false,
    }
}

/// Whether each packet and each rule gets another value, as of a die.
fn is_drawn(expression: &nf_tables::Expression) -> bool {
    use nf_tables::{Expression, Meta, MetaKey};
    matches!(expression, Expression::Numgen(_) | Expression::Meta(Meta { key: MetaKey::Random, .. }))
}

/// Text of expressions without the numbers of registers.
fn without_registers(text: &str) -> String {
    let mut parts = text.split("Register(");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    out
}

/// Why something is not known, for people.
pub(crate) fn reason(machines: &[&Machine<'_>], opaque: &Opaque) -> Option<Reason> {
    machines.get(opaque.ruleset).map(|machine| machine.reason(opaque.cause))
}
