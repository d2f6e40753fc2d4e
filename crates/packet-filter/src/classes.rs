//! Classes of packets: values of a field that nobody tells apart.
//!
//! A question is a set of values of a field that a ruleset or a policy asks about. Two values that are inside and outside
//! of the same questions get the same answers to all of them, so one of them speaks for both.

use std::collections::{BTreeMap, HashMap};

use nf_tables::{
    BitwiseOp, CmpOp, CtDirection, CtKey, Data, Family, MetaKey, PayloadBase, RangeOp, TableDump,
};

use crate::contents::Contents;
use crate::facts::{DNAT, Field, IPV4, IPV6, interface_number, network_layout, transport_layout};
use crate::packet::{State, protocol};
use crate::ranges::Ranges;
use crate::statement::{Change, Operand, Part, Source, Statement, Target, statements};

/// What is asked of a field: the values, in packets of which family (both, if `None`).
pub(crate) type Question = (Field, Option<bool>, Ranges);

/// A match that does not split a field into ranges, so that its classes cannot be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unsplittable {
    pub(crate) chain: String,
    pub(crate) rule: usize,
}

/// Classes by field and family: one value of each.
#[derive(Debug, Default)]
pub(crate) struct Classes(BTreeMap<(Field, bool), Vec<u128>>);

impl Classes {
    pub(crate) fn new(questions: &[Question]) -> Self {
        let mut classes = BTreeMap::new();
        for field in Field::ALL {
            for ipv6 in [false, true] {
                let asked = questions
                    .iter()
                    .filter(|(of, family, _)| *of == field && family.is_none_or(|family| family == ipv6))
                    .map(|(.., ranges)| ranges);
                classes.insert((field, ipv6), representatives(field, ipv6, asked));
            }
        }
        Self(classes)
    }

    /// One value of each class.
    pub(crate) fn of(&self, field: Field, ipv6: bool) -> &[u128] {
        self.0.get(&(field, ipv6)).map_or(&[], Vec::as_slice)
    }
}

fn representatives<'q>(field: Field, ipv6: bool, asked: impl Iterator<Item = &'q Ranges>) -> Vec<u128> {
    match field {
        Field::Family => return vec![IPV4, IPV6],
        Field::State => return State::ALL.iter().map(|state| u128::from(state.bit())).collect(),
        Field::Status => return vec![0, DNAT],
        _ => {}
    }
    let highest = match field.bytes(ipv6) {
        16 => u128::MAX,
        bytes => (1 << (bytes * 8)) - 1,
    };
    // Where membership in a question begins or ends.
    let mut turns: BTreeMap<u128, Vec<usize>> = BTreeMap::from([(0, Vec::new())]);
    let mut questions = 0;
    for ranges in asked {
        for &(first, last) in ranges.as_slice() {
            turns.entry(first).or_default().push(questions);
            if let Some(after) = last.checked_add(1).filter(|after| *after <= highest) {
                turns.entry(after).or_default().push(questions);
            }
        }
        questions += 1;
    }
    let favourites = favourites(field, ipv6);
    let mut memberships = vec![0_u64; usize::div_ceil(questions, 64)];
    let mut found: HashMap<Vec<u64>, usize> = HashMap::new();
    let mut values: Vec<u128> = Vec::new();
    let starts: Vec<u128> = turns.keys().copied().collect();
    for (nth, (&start, turned)) in turns.iter().enumerate() {
        for &question in turned {
            memberships[question / 64] ^= 1 << (question % 64);
        }
        let last = starts.get(nth + 1).map_or(highest, |next| next - 1);
        let favourite = favourites.iter().copied().find(|value| start <= *value && *value <= last);
        match found.get(&memberships) {
            None => {
                found.insert(memberships.clone(), values.len());
                values.push(favourite.unwrap_or(start));
            }
            // A value that looks like a real one makes a better witness.
            Some(&at) => values[at] = favourite.unwrap_or(values[at]),
        }
    }
    values
}

/// Values that look like real ones.
fn favourites(field: Field, ipv6: bool) -> Vec<u128> {
    let address = |v4: u128, v6: u128| vec![if ipv6 { 0x2001_0db8 << 96 | v6 } else { v4 }];
    match field {
        Field::InputName | Field::OutputName => vec![interface_number("eth0"), interface_number("lo")],
        Field::Source => address(0xc633_6407, 7),
        Field::Destination | Field::OriginalDestination => address(0xc000_0201, 1),
        Field::SourcePort => vec![40_000],
        Field::DestinationPort | Field::OriginalPort => vec![9],
        Field::HopLimit => vec![64],
        Field::Protocol => vec![132],
        Field::TcpFlags => vec![2],
        Field::Family | Field::State | Field::Status | Field::IcmpKind | Field::IcmpCode | Field::Mark => {
            Vec::new()
        }
    }
}

/// Every question that the rules of a table can ask.
pub(crate) fn questions(dump: &TableDump) -> Result<Vec<Question>, Unsplittable> {
    let key_length = |name: &str| dump.set(name).and_then(|dump| usize::try_from(dump.set.key_length).ok());
    let mut found = Vec::new();
    for chain in &dump.chains {
        for (nth, rule) in chain.rules.iter().enumerate() {
            let mut asker = Asker { dump, family: table_family(dump), protocol: None, found: &mut found };
            for statement in statements(rule, &key_length) {
                if asker.ask(&statement).is_none() {
                    return Err(Unsplittable { chain: chain.chain.name.clone(), rule: nth + 1 });
                }
            }
        }
    }
    Ok(found)
}

const fn table_family(dump: &TableDump) -> Option<bool> {
    match dump.table.family {
        Family::Ip => Some(false),
        Family::Ip6 => Some(true),
        Family::Inet | Family::Arp | Family::Netdev | Family::Bridge => None,
    }
}

/// The first and the last of a range of values, as they stand in registers.
type ByteRange = (Vec<u8>, Vec<u8>);

struct Asker<'d, 'f> {
    dump: &'d TableDump,
    /// The family that packets are known to be of here.
    family: Option<bool>,
    /// The transport protocol that packets are known to have here.
    protocol: Option<u8>,
    found: &'f mut Vec<Question>,
}

impl Asker<'_, '_> {
    /// `None` where the statement does not split a field into ranges.
    fn ask(&mut self, statement: &Statement<'_>) -> Option<()> {
        match statement {
            Statement::Compare { value, op, data } => {
                let [part] = value.parts.as_slice() else {
                    return None;
                };
                self.ask_part(part, &[compared(*op, data)])?;
                match (&part.source, op, *data) {
                    (Source::Meta(MetaKey::NfProtocol), CmpOp::Eq, &[family]) => {
                        self.family = Some(u128::from(family) == IPV6);
                    }
                    (Source::Meta(MetaKey::L4Protocol), CmpOp::Eq, &[protocol]) => {
                        self.protocol = Some(protocol);
                    }
                    _ => {}
                }
                Some(())
            }
            Statement::Within { value, op: RangeOp::In | RangeOp::NotIn, from, to } => {
                let [part] = value.parts.as_slice() else {
                    return None;
                };
                self.ask_part(part, &[(from.to_vec(), to.to_vec())])
            }
            Statement::Lookup { value, lookup } => self.ask_set(value, &lookup.set),
            Statement::Store { into, .. } => match into {
                Target::Meta(_) | Target::Ct(_) => Some(()),
                Target::Payload(..) | Target::Exthdr => None,
            },
            // Matches of x_tables ask in a language of their own.
            Statement::Translate { .. } | Statement::Plain(nf_tables::Expression::Match(_)) => None,
            // Nothing is asked of what is counted; the element is the limit's own affair.
            Statement::Dynset { .. } | Statement::Plain(_) => Some(()),
        }
    }

    fn ask_set(&mut self, value: &Operand<'_>, set: &str) -> Option<()> {
        let dump = self.dump.set(set)?;
        let contents = Contents::new(&dump.set, &dump.elements);
        if let [part] = value.parts.as_slice() {
            // Keys that lead to the same need not be told apart.
            let mut by_data: Vec<(Option<&Data>, Vec<ByteRange>)> = Vec::new();
            for entry in &contents.entries {
                let range = (entry.first.clone(), entry.last.clone());
                let data = entry.element.data.as_ref();
                match by_data.iter_mut().find(|(other, _)| *other == data) {
                    Some((_, ranges)) => ranges.push(range),
                    None => by_data.push((data, vec![range])),
                }
            }
            return by_data.into_iter().try_for_each(|(_, ranges)| self.ask_part(part, &ranges));
        }
        let spans: Vec<_> = contents.field_spans().collect();
        let whole = spans.len() == 1;
        let mut start = 0;
        for (nth, part) in value.parts.iter().enumerate() {
            let span = if whole { (start, start + part.length) } else { *spans.get(nth)? };
            start += part.length.next_multiple_of(4);
            for entry in &contents.entries {
                let range =
                    (entry.first.get(span.0..span.1)?.to_vec(), entry.last.get(span.0..span.1)?.to_vec());
                self.ask_part(part, &[range])?;
            }
        }
        Some(())
    }

    /// Asks whether a part is in one of the ranges of bytes.
    fn ask_part(&mut self, part: &Part<'_>, ranges: &[ByteRange]) -> Option<()> {
        for (field, family, at) in self.fields(part)? {
            // States are all told apart anyway, and the family is always known.
            if matches!(field, Field::State | Field::Family | Field::Status) {
                continue;
            }
            let size = field.bytes(family == Some(true));
            if at != 0 || part.length > size {
                return None;
            }
            let asked = match part.changes.as_slice() {
                [] => {
                    ranges.iter().map(|(first, last)| widen(first, last, size)).collect::<Option<Vec<_>>>()?
                }
                [Change::Bits(BitwiseOp::MaskXor { mask, xor })] if xor.iter().all(|&byte| byte == 0) => {
                    masked(mask, ranges, size)?
                }
                _ => return None,
            };
            self.found.push((field, family, machine_order(field, Ranges::new(asked))?));
        }
        Some(())
    }

    /// Which fields a part may be, in packets of which family, and where in the field it starts. Empty where it is
    /// nothing that a packet here has.
    fn fields(&self, part: &Part<'_>) -> Option<Vec<(Field, Option<bool>, usize)>> {
        let families: &[bool] = match self.family {
            Some(true) => &[true],
            Some(false) => &[false],
            None => &[false, true],
        };
        Some(match &part.source {
            Source::Meta(key) => match key {
                MetaKey::InputName => vec![(Field::InputName, None, 0)],
                MetaKey::OutputName => vec![(Field::OutputName, None, 0)],
                MetaKey::NfProtocol => vec![(Field::Family, None, 0)],
                MetaKey::L4Protocol => vec![(Field::Protocol, None, 0)],
                MetaKey::Mark => vec![(Field::Mark, None, 0)],
                MetaKey::InputIndex | MetaKey::OutputIndex | MetaKey::Protocol => return None,
                _ => Vec::new(),
            },
            Source::Ct(ct) if ct.key == CtKey::State => vec![(Field::State, None, 0)],
            Source::Ct(ct) if ct.key == CtKey::Status => vec![(Field::Status, None, 0)],
            Source::Ct(ct) if ct.direction == Some(CtDirection::Original) => match ct.key {
                CtKey::ProtocolDestination => vec![(Field::OriginalPort, None, 0)],
                CtKey::DestinationIp => vec![(Field::OriginalDestination, Some(false), 0)],
                CtKey::DestinationIp6 => vec![(Field::OriginalDestination, Some(true), 0)],
                _ => Vec::new(),
            },
            Source::Payload { base: PayloadBase::Network, offset, .. } => {
                let mut found = Vec::new();
                for &ipv6 in families {
                    found.extend(overlapping(network_layout(ipv6), ipv6, *offset, part.length)?);
                }
                found
            }
            Source::Payload { base: PayloadBase::Transport, offset, .. } => {
                let mut found = Vec::new();
                for protocol in self.protocol.map_or(vec![protocol::TCP, protocol::ICMP], |known| vec![known])
                {
                    let layout = transport_layout(u128::from(protocol));
                    let fields = overlapping(layout, false, *offset, part.length)?;
                    found.extend(fields.into_iter().map(|(field, _, at)| (field, None, at)));
                }
                found
            }
            // What routing says of an address has classes of its own.
            Source::Loaded(nf_tables::Expression::Fib(_)) | Source::Missing => return None,
            Source::Payload { base: PayloadBase::Link | PayloadBase::Inner, .. }
            | Source::Ct(_)
            | Source::Loaded(_)
            | Source::Constant(_)
            | Source::Mapped { .. } => Vec::new(),
        })
    }
}

/// The one field of a layout that the bytes are in; empty for none; `None` where they are in more than one.
fn overlapping(
    layout: &[(Field, usize)],
    ipv6: bool,
    offset: u32,
    length: usize,
) -> Option<Vec<(Field, Option<bool>, usize)>> {
    let offset = usize::try_from(offset).ok()?;
    let mut found = Vec::new();
    for &(field, at) in layout {
        let size = field.bytes(ipv6);
        if offset >= at + size || at >= offset + length {
            continue;
        }
        if offset < at || offset + length > at + size || !found.is_empty() {
            return None;
        }
        found.push((field, Some(ipv6), offset - at));
    }
    Some(found)
}

/// The values that a comparison tells from the others.
fn compared(op: CmpOp, data: &[u8]) -> (Vec<u8>, Vec<u8>) {
    match op {
        CmpOp::Eq | CmpOp::Ne => (data.to_vec(), data.to_vec()),
        CmpOp::Le | CmpOp::Gt => (vec![0; data.len()], data.to_vec()),
        CmpOp::Ge | CmpOp::Lt => (data.to_vec(), vec![0xff; data.len()]),
    }
}

/// Bytes from the start of a field as values of the whole field.
fn widen(first: &[u8], last: &[u8], size: usize) -> Option<(u128, u128)> {
    let (mut low, mut high) = (first.to_vec(), last.to_vec());
    low.resize(size.max(low.len()), 0);
    high.resize(size.max(high.len()), 0xff);
    (low.len() == size && high.len() == size).then(|| (number(&low), number(&high)))
}

fn number(bytes: &[u8]) -> u128 {
    bytes.iter().fold(0, |number, &byte| number << 8 | u128::from(byte))
}

/// The values of a field that are in the ranges once the mask is on them.
fn masked(mask: &[u8], ranges: &[ByteRange], size: usize) -> Option<Vec<(u128, u128)>> {
    if let (1, &[mask]) = (size, mask) {
        let inside = |value: u8| {
            ranges.iter().any(|(first, last)| *first <= vec![value & mask] && vec![value & mask] <= *last)
        };
        return Some(
            (0..=255)
                .filter(|&value| inside(value))
                .map(|value| (u128::from(value), u128::from(value)))
                .collect(),
        );
    }
    let mut mask = mask.to_vec();
    mask.resize(size, 0);
    let free = !number(&mask) & if size == 16 { u128::MAX } else { (1 << (size * 8)) - 1 };
    if free & (free.wrapping_add(1)) != 0 {
        return None;
    }
    ranges
        .iter()
        .map(|(first, last)| {
            let (low, high) = (widen(first, first, size)?.0, widen(last, last, size)?.0);
            // The lowest value that the mask leaves at `low` or above, and the highest that it leaves at `high` or below.
            Some((low.checked_add(free)? & !free, (high & !free) | free))
        })
        .collect()
}

/// Marks stand in the machine's byte order: only single values have a meaning as ranges.
fn machine_order(field: Field, ranges: Ranges) -> Option<Ranges> {
    if field != Field::Mark || cfg!(target_endian = "big") {
        return Some(ranges);
    }
    let swap = |&(first, last): &(u128, u128)| {
        let swapped = u128::from(u32::try_from(first).ok()?.swap_bytes());
        (first == last).then_some((swapped, swapped))
    };
    Some(Ranges::new(ranges.as_slice().iter().map(swap).collect::<Option<Vec<_>>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_no_question_tells_apart_are_one_class() {
        let questions = [
            (Field::DestinationPort, None, Ranges::new([(22, 22), (80, 90), (1000, 65535)])),
            (Field::DestinationPort, None, Ranges::new([(85, 85)])),
            (Field::Source, Some(true), Ranges::new([(1, 1)])),
        ];
        let classes = Classes::new(&questions);
        let ports = classes.of(Field::DestinationPort, false);
        assert_eq!(ports.len(), 3, "{ports:?}");
        assert!(ports.contains(&85) && ports.contains(&9));
        assert_eq!(classes.of(Field::Source, true).len(), 2);
        assert_eq!(classes.of(Field::Source, false).len(), 1);
        assert_eq!(classes.of(Field::State, false).len(), 5);
    }

    #[test]
    fn a_prefix_mask_widens_a_value_to_its_block() {
        let mask = [0xff, 0xc0];
        let (first, last) = (vec![0xfe, 0x80], vec![0xfe, 0x80]);
        assert_eq!(masked(&mask, &[(first, last)], 2), Some(vec![(0xfe80, 0xfebf)]));
        assert_eq!(masked(&[0xf0, 0x0f], &[(vec![0, 1], vec![0, 1])], 2), None);
        let syn_only = masked(&[0x17], &[(vec![2], vec![2])], 1).unwrap();
        assert!(
            syn_only.contains(&(2, 2))
                && syn_only.contains(&(0x0a, 0x0a))
                && !syn_only.contains(&(0x12, 0x12))
        );
    }
}
