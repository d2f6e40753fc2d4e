//! The names of interfaces by classes: names that no match tells apart are one.

use std::collections::{BTreeMap, HashMap};

use nf_tables::{Expression, Lookup, MetaKey, Register, Rule, TableDump};

use super::bdd::{Arena, Bdd};
use super::fields::{Bits, within};
use crate::contents::Contents;
use crate::facts::{Field, interface_number};

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
                let loads =
                    |expression: &Expression| matches!(expression, Expression::Meta(meta) if meta.key == key);
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
                Expression::Bitwise(bitwise) if overlaps(held, bitwise.sreg, bytes(bitwise.length)) => {
                    return None;
                }
                Expression::Byteorder(order) if overlaps(held, order.sreg, bytes(order.length)) => {
                    return None;
                }
                Expression::MetaSet(set) if overlaps(held, set.sreg, 4) => return None,
                Expression::PayloadWrite(write) if overlaps(held, write.sreg, bytes(write.length)) => {
                    return None;
                }
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

    pub(super) fn width(&self) -> u32 {
        match self {
            Self::Classes { names, .. } => usize::BITS - names.len().saturating_sub(1).leading_zeros(),
            Self::Bits => 128,
        }
    }

    pub(super) fn decode(&self, code: u128) -> u128 {
        match self {
            Self::Classes { names, .. } => {
                usize::try_from(code).ok().and_then(|code| names.get(code)).copied().unwrap_or(0)
            }
            Self::Bits => code,
        }
    }

    pub(super) fn encode(&self, name: u128) -> u128 {
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
pub(super) fn ends_in_zeros(arena: &mut Arena, bits: &[Bdd]) -> Bdd {
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
}
