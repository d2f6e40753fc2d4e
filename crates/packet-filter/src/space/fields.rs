//! The variables of a packet: which bit of which field each is, in the order in which sets are decided.
//!
//! Interfaces are coded by classes: names that no match of the ruleset tells apart are one class, so that a name takes a
//! few variables and not 128. Addresses of both families share variables; the family comes first of all.

use std::collections::{BTreeMap, HashMap};

use nf_tables::{Expression, Lookup, MetaKey, Register, Rule, TableDump};

use super::bdd::{Arena, Bdd};
use crate::contents::Contents;
use crate::facts::{Field, IPV4, IPV6, has_input, has_output, interface_number};
use crate::packet::{Hook, State};

/// Which variables a field has.
#[derive(Debug)]
pub(crate) struct Layout {
    first: [u32; Field::COUNT],
    names: [Names; 2],
    end: u32,
}

/// The order of the fields: what rulesets dispatch on first, and what has many values last.
const ORDER: [Field; Field::COUNT] = [
    Field::Family,
    Field::State,
    Field::InputName,
    Field::OutputName,
    Field::Protocol,
    Field::Status,
    Field::DestinationPort,
    Field::IcmpKind,
    Field::IcmpCode,
    Field::TcpFlags,
    Field::SourcePort,
    Field::Destination,
    Field::OriginalPort,
    Field::OriginalDestination,
    Field::Source,
    Field::HopLimit,
    Field::Mark,
];

impl Layout {
    pub(crate) fn new(names: [Names; 2]) -> Self {
        let mut layout = Self { first: [0; Field::COUNT], names, end: 0 };
        for field in ORDER {
            layout.first[field.index()] = layout.end;
            layout.end += layout.width(field, true);
        }
        layout
    }

    /// How many variables the field has, in packets of that family.
    pub(crate) fn width(&self, field: Field, ipv6: bool) -> u32 {
        match field {
            Field::Family | Field::Status => 1,
            Field::State => 3,
            Field::InputName => self.names[0].width(),
            Field::OutputName => self.names[1].width(),
            Field::Protocol
            | Field::Source
            | Field::Destination
            | Field::SourcePort
            | Field::DestinationPort
            | Field::IcmpKind
            | Field::IcmpCode
            | Field::TcpFlags
            | Field::HopLimit
            | Field::Mark
            | Field::OriginalDestination
            | Field::OriginalPort => u32::try_from(field.bytes(ipv6) * 8).unwrap_or(0),
        }
    }

    /// The variable of the field's highest bit.
    pub(crate) const fn first(&self, field: Field) -> u32 {
        self.first[field.index()]
    }

    /// The first number that is no field's.
    pub(crate) const fn end(&self) -> u32 {
        self.end
    }

    pub(crate) const fn names(&self, field: Field) -> &Names {
        &self.names[if matches!(field, Field::OutputName) { 1 } else { 0 }]
    }

    /// The field that a variable belongs to; `None` for what is not of the packet.
    pub(crate) fn field_of(&self, variable: u32) -> Option<Field> {
        ORDER.into_iter().find(|&field| {
            let first = self.first(field);
            (first..first + self.width(field, true)).contains(&variable)
        })
    }

    /// Where variables take these values: the value of the field.
    pub(crate) fn decode(&self, field: Field, ipv6: bool, value: impl Fn(u32) -> bool) -> u128 {
        let first = self.first(field);
        let code = (0..self.width(field, ipv6))
            .fold(0_u128, |number, nth| number << 1 | u128::from(value(first + nth)));
        match field {
            Field::Family => [IPV4, IPV6][usize::from(code == 1)],
            Field::State => {
                let nth = usize::try_from(code).unwrap_or(0).min(State::ALL.len() - 1);
                u128::from(State::ALL[nth].bit())
            }
            Field::InputName | Field::OutputName => self.names(field).decode(code),
            _ => code,
        }
    }

    /// The variables' values that stand for a value of the field, highest bit first.
    pub(crate) fn encode(&self, field: Field, value: u128) -> u128 {
        match field {
            Field::Family => u128::from(value == IPV6),
            Field::State => {
                let nth = State::ALL.iter().position(|state| u128::from(state.bit()) == value);
                nth.map_or(0, |nth| nth as u128)
            }
            Field::InputName | Field::OutputName => self.names(field).encode(value),
            Field::Status => u128::from(value != 0),
            _ => value,
        }
    }

    /// Packets that can be at one of the hooks.
    pub(crate) fn possible(&self, arena: &mut Arena, hooks: &[Hook]) -> Bdd {
        let state = Bits::of(arena, self, Field::State, false);
        let last = State::ALL.len() as u128 - 1;
        let mut possible = within(arena, &state.0, &[(0, last)]);
        for (field, has) in [
            (Field::InputName, hooks.iter().any(|&hook| has_input(hook))),
            (Field::OutputName, hooks.iter().any(|&hook| has_output(hook))),
        ] {
            let code = Bits::of(arena, self, field, false);
            if matches!(self.names(field), Names::Bits) {
                let real = ends_in_zeros(arena, &code.0);
                possible = arena.and(possible, real);
            }
            let ranges: Vec<(u128, u128)> = match self.names(field) {
                Names::Classes { names, .. } => {
                    let fits = |name: u128| (name != 0) == has;
                    let codes = names.iter().enumerate().filter(|(_, name)| fits(**name));
                    codes.map(|(code, _)| (code as u128, code as u128)).collect()
                }
                Names::Bits => vec![if has { (1, u128::MAX) } else { (0, 0) }],
            };
            let named = within(arena, &code.0, &ranges);
            possible = arena.and(possible, named);
        }
        possible
    }
}

/// A value as sets of packets: for each of its bits, highest first, the packets in which it is set.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Bits(pub(crate) Vec<Bdd>);

impl Bits {
    /// The variables of a field.
    pub(crate) fn of(arena: &mut Arena, layout: &Layout, field: Field, ipv6: bool) -> Self {
        let first = layout.first(field);
        Self((0..layout.width(field, ipv6)).map(|nth| arena.literal(first + nth)).collect())
    }
}

/// The packets in which the number of these bits is in one of the ranges, which are sorted and apart.
pub(crate) fn within(arena: &mut Arena, bits: &[Bdd], ranges: &[(u128, u128)]) -> Bdd {
    let Some((&bit, rest)) = bits.split_first() else {
        return Bdd::constant(!ranges.is_empty());
    };
    // What the bits from here on can be.
    let highest = if bits.len() == 128 { u128::MAX } else { (1 << bits.len()) - 1 };
    match ranges {
        [] => return Bdd::FALSE,
        [(0, last)] if *last >= highest => return Bdd::TRUE,
        _ => {}
    }
    let half = 1_u128 << rest.len();
    let split = ranges.partition_point(|&(first, _)| first < half);
    let (low, high) = (&ranges[..split], &ranges[split..]);
    let over = low.last().filter(|&&(_, last)| last >= half).map(|&(_, last)| last - half);
    let with_zero = if bit.is_true() {
        Bdd::FALSE
    } else if over.is_some() {
        let mut low = low.to_vec();
        if let Some(range) = low.last_mut() {
            range.1 = half - 1;
        }
        within(arena, rest, &low)
    } else {
        within(arena, rest, low)
    };
    let with_one = if bit.is_false() {
        Bdd::FALSE
    } else {
        let over = over.map(|last| (0, last));
        let high: Vec<_> =
            over.into_iter().chain(high.iter().map(|&(first, last)| (first - half, last - half))).collect();
        within(arena, rest, &high)
    };
    arena.ite(bit, with_one, with_zero)
}

/// How the names of interfaces are coded.
#[derive(Debug)]
pub(crate) enum Names {
    /// By classes: one name of each, and for the bounds of ranges of names the class of each.
    Classes {
        /// A name of each class, as a number.
        names: Vec<u128>,
        /// From which number on names are of which class.
        bounds: Vec<(u128, usize)>,
    },
    /// By all their bits, since a rule takes names apart.
    Bits,
}

/// Which names rules ask for.
#[derive(Debug, Default)]
pub(crate) struct AskedNames {
    ranges: [Vec<(u128, u128)>; 2],
    taken_apart: [bool; 2],
}

impl AskedNames {
    pub(crate) fn add(&mut self, field: Field, ranges: &[(u128, u128)]) {
        let nth = usize::from(field == Field::OutputName);
        self.ranges[nth].extend(ranges);
    }

    /// Adds what the rules of a table ask for.
    pub(crate) fn add_table(&mut self, table: &TableDump) {
        for rule in table.chains.iter().flat_map(|chain| &chain.rules) {
            for (nth, key) in [MetaKey::InputName, MetaKey::OutputName].into_iter().enumerate() {
                let loads = |expression: &Expression| matches!(expression, Expression::Meta(meta) if meta.key == key);
                if rule.expressions.iter().any(loads) && self.add_rule(table, rule, key, nth).is_none() {
                    self.taken_apart[nth] = true;
                }
            }
        }
    }

    /// Adds what a rule asks of a name; `None` where it asks for anything but ranges of it.
    fn add_rule(&mut self, table: &TableDump, rule: &Rule, key: MetaKey, nth: usize) -> Option<()> {
        // Where the registers hold the name.
        let mut held: Option<usize> = None;
        let overlaps = |held: Option<usize>, register: Register, length: usize| {
            let Some((start, at)) = held.zip(bytes_before(register)) else { return false };
            at < start + 16 && at + length > start
        };
        for expression in &rule.expressions {
            match expression {
                Expression::Cmp(cmp) if overlaps(held, cmp.sreg, cmp.data.len()) => {
                    (bytes_before(cmp.sreg) == held).then_some(())?;
                    self.ranges[nth].push(name_range(&cmp.data, &cmp.data));
                }
                Expression::Range(range) if overlaps(held, range.sreg, range.from.len()) => {
                    (bytes_before(range.sreg) == held).then_some(())?;
                    self.ranges[nth].push(name_range(&range.from, &range.to));
                }
                Expression::Bitwise(bitwise) if overlaps(held, bitwise.sreg, bytes(bitwise.length)) => return None,
                Expression::Byteorder(order) if overlaps(held, order.sreg, bytes(order.length)) => return None,
                Expression::MetaSet(set) if overlaps(held, set.sreg, 4) => return None,
                Expression::PayloadWrite(write) if overlaps(held, write.sreg, bytes(write.length)) => return None,
                Expression::Lookup(lookup) => self.add_set(table, lookup, held, nth)?,
                _ => {}
            }
            match expression {
                Expression::Meta(meta) if meta.key == key => held = bytes_before(meta.dreg),
                _ if stores(expression).is_some_and(|register| overlaps(held, register, 16)) => held = None,
                _ => {}
            }
        }
        Some(())
    }

    /// Adds the names that a set holds, where they stand in its keys.
    fn add_set(&mut self, table: &TableDump, lookup: &Lookup, held: Option<usize>, nth: usize) -> Option<()> {
        let (Some(start), Some(before)) = (held, bytes_before(lookup.sreg)) else { return Some(()) };
        let Some(dump) = table.set(&lookup.set) else { return Some(()) };
        let length = usize::try_from(dump.set.key_length).ok()?;
        if before + length <= start || before >= start + 16 {
            return Some(());
        }
        let contents = Contents::new(&dump.set, &dump.elements);
        let offset = start.checked_sub(before)?;
        let (from, to) = contents.field_spans().find(|span| span.0 == offset)?;
        for entry in &contents.entries {
            let (first, last) = (entry.first.get(from..to)?, entry.last.get(from..to)?);
            self.ranges[nth].push(name_range(first, last));
        }
        Some(())
    }

    pub(crate) fn names(mut self) -> [Names; 2] {
        let ranges = std::mem::take(&mut self.ranges);
        let mut nth = 0;
        ranges.map(|ranges| {
            nth += 1;
            if self.taken_apart[nth - 1] { Names::Bits } else { Names::classes(ranges) }
        })
    }
}

/// The register that an expression loads something into.
const fn stores(expression: &Expression) -> Option<Register> {
    match expression {
        Expression::Meta(meta) => Some(meta.dreg),
        Expression::Ct(ct) => Some(ct.dreg),
        Expression::Payload(payload) => Some(payload.dreg),
        Expression::Exthdr(exthdr) => exthdr.dreg,
        Expression::Fib(fib) => Some(fib.dreg),
        Expression::Hash(hash) => Some(hash.dreg),
        Expression::Numgen(numgen) => Some(numgen.dreg),
        Expression::Routing(routing) => Some(routing.dreg),
        Expression::Socket(socket) => Some(socket.dreg),
        Expression::Immediate(immediate) => Some(immediate.dreg),
        Expression::Bitwise(bitwise) => Some(bitwise.dreg),
        Expression::Byteorder(byteorder) => Some(byteorder.dreg),
        Expression::Lookup(lookup) => lookup.dreg,
        _ => None,
    }
}

fn bytes(length: u32) -> usize {
    usize::try_from(length).unwrap_or(64)
}

fn bytes_before(register: Register) -> Option<usize> {
    register.first_slot().and_then(|slot| usize::try_from(slot * 4).ok())
}

/// The names from one beginning to another, as numbers.
fn name_range(first: &[u8], last: &[u8]) -> (u128, u128) {
    let padded = |bytes: &[u8], pad: u8| {
        let mut all = [pad; 16];
        let length = bytes.len().min(16);
        all[..length].copy_from_slice(&bytes[..length]);
        u128::from_be_bytes(all)
    };
    (padded(first, 0), padded(last, 0xff))
}

impl Names {
    /// Classes of names that no range tells apart.
    fn classes(mut ranges: Vec<(u128, u128)>) -> Self {
        let lo = interface_number("lo");
        ranges.extend([(0, 0), (lo, lo)]);
        ranges.sort_unstable();
        ranges.dedup();
        let mut turns: BTreeMap<u128, Vec<usize>> = BTreeMap::from([(0, Vec::new())]);
        for (nth, &(first, last)) in ranges.iter().enumerate().filter(|(_, range)| range.0 <= range.1) {
            turns.entry(first).or_default().push(nth);
            if let Some(after) = last.checked_add(1) {
                turns.entry(after).or_default().push(nth);
            }
        }
        let starts: Vec<u128> = turns.keys().copied().collect();
        let mut inside = vec![false; ranges.len()];
        let mut classes: HashMap<Vec<bool>, usize> = HashMap::new();
        let (mut names, mut bounds) = (Vec::new(), Vec::new());
        for (nth, (&start, turned)) in turns.iter().enumerate() {
            turned.iter().for_each(|&range| inside[range] = !inside[range]);
            let last = starts.get(nth + 1).map_or(u128::MAX, |next| next - 1);
            // Where no name can be, nothing has to be told apart.
            let Some(name) = name_between(start, last) else { continue };
            let class = *classes.entry(inside.clone()).or_insert_with(|| {
                names.push(name);
                names.len() - 1
            });
            if name == interface_number(USUAL) {
                names[class] = name;
            }
            bounds.push((start, class));
        }
        Self::Classes { names, bounds }
    }

    fn width(&self) -> u32 {
        match self {
            Self::Classes { names, .. } => usize::BITS - names.len().saturating_sub(1).leading_zeros(),
            Self::Bits => 128,
        }
    }

    fn decode(&self, code: u128) -> u128 {
        match self {
            Self::Classes { names, .. } => {
                usize::try_from(code).ok().and_then(|code| names.get(code)).copied().unwrap_or(0)
            }
            Self::Bits => code,
        }
    }

    fn encode(&self, name: u128) -> u128 {
        match self {
            Self::Classes { bounds, .. } => {
                let after = bounds.partition_point(|&(start, _)| start <= name);
                after.checked_sub(1).map_or(0, |at| bounds[at].1 as u128)
            }
            Self::Bits => name,
        }
    }

    /// The bits of the name, highest first.
    pub(crate) fn bits(&self, arena: &mut Arena, code: &Bits) -> Vec<Bdd> {
        match self {
            Self::Classes { names, .. } => (0..128)
                .map(|bit| {
                    let set: Vec<bool> = names.iter().map(|name| name >> (127 - bit) & 1 == 1).collect();
                    by_code(arena, &code.0, &set)
                })
                .collect(),
            Self::Bits => code.0.clone(),
        }
    }
}

/// The packets whose code is of a class that has the bit. What no code stands for is as the class before.
fn by_code(arena: &mut Arena, code: &[Bdd], set: &[bool]) -> Bdd {
    let Some((&bit, rest)) = code.split_first() else {
        return Bdd::constant(set.first().copied().unwrap_or(false));
    };
    let half = (1 << rest.len()).min(set.len());
    let low = by_code(arena, rest, &set[..half]);
    let high = if half < set.len() { by_code(arena, rest, &set[half..]) } else { low };
    arena.ite(bit, high, low)
}

/// Names after whose end there is nothing, which is after 15 bytes at the latest.
fn ends_in_zeros(arena: &mut Arena, bits: &[Bdd]) -> Bdd {
    let (mut real, mut rest_is_zero) = (Bdd::TRUE, Bdd::TRUE);
    for (nth, byte) in bits.chunks(8).enumerate().rev() {
        let zero = within(arena, byte, &[(0, 0)]);
        let goes_on = if nth == 15 { Bdd::FALSE } else { real };
        rest_is_zero = arena.and(zero, rest_is_zero);
        let goes_on = arena.minus(goes_on, zero);
        real = arena.or(rest_is_zero, goes_on);
    }
    real
}

/// A name that most hosts have.
const USUAL: &str = "eth0";

/// A name that an interface can have, in a range of numbers; 0 for none.
fn name_between(first: u128, last: u128) -> Option<u128> {
    if first == 0 {
        return Some(0).filter(|_| last == 0).or_else(|| name_between(1, last));
    }
    let usual = interface_number(USUAL);
    if first <= usual && usual <= last {
        return Some(usual);
    }
    let mut bytes = first.to_be_bytes();
    let end = bytes.iter().position(|&byte| !is_printable(byte)).unwrap_or(15).min(15);
    if bytes[end..].iter().any(|&byte| byte != 0) {
        // The next one above: a letter more, or a higher one before.
        if bytes[end] < LOWEST && end < 15 {
            bytes[end..].fill(0);
            bytes[end] = LOWEST;
        } else {
            bytes[end..].fill(0);
            let higher = (0..end).rev().find(|&at| bytes[at] < HIGHEST)?;
            bytes[higher + 1..].fill(0);
            bytes[higher] = (bytes[higher] + 1..=HIGHEST).find(|&byte| is_printable(byte))?;
        }
    }
    Some(u128::from_be_bytes(bytes)).filter(|name| first <= *name && *name <= last)
}

const LOWEST: u8 = b'!';
const HIGHEST: u8 = b'~';

const fn is_printable(byte: u8) -> bool {
    LOWEST <= byte && byte <= HIGHEST && byte != b'/' && byte != b':'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_nothing_tells_apart_are_one_class() {
        let exact = |name: &str| (interface_number(name), interface_number(name));
        let ranges =
            vec![exact("eth1"), name_range(b"docker", b"docker"), exact("docker0"), name_range(b"e", b"e")];
        let names = Names::classes(ranges);
        let class = |name: &str| names.encode(interface_number(name));
        assert_eq!(class("docker1"), class("docker"));
        assert_eq!(class("wg0"), class("bond0"));
        assert_eq!(class("eth0"), class("enp1s0"));
        let told_apart = ["docker0", "docker1", "eth1", "eth0", "lo", "wg0", ""].map(class);
        assert_eq!(told_apart.iter().collect::<std::collections::BTreeSet<_>>().len(), told_apart.len());
        for name in ["docker0", "docker7", "eth1", "eth3", "lo", "wg0", ""] {
            assert_eq!(names.encode(names.decode(class(name))), class(name), "{name}");
        }
    }

    #[test]
    fn a_number_is_within_ranges_bit_by_bit() {
        let mut arena = Arena::new(1 << 16);
        let bits: Vec<Bdd> = (0..8).map(|bit| arena.literal(bit)).collect();
        let ranges = [(0, 3), (100, 199), (255, 255)];
        let set = within(&mut arena, &bits, &ranges);
        for number in 0..256_u128 {
            let inside = ranges.iter().any(|range| range.0 <= number && number <= range.1);
            assert_eq!(arena.contains(set, |bit| number >> (7 - bit) & 1 == 1), inside, "{number}");
        }
    }
}
