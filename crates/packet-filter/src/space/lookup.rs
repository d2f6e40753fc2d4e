//! Which packets have their key in a set or map, and under which element.

use nf_tables::{Element, SetFlags};

use super::Space;
use super::bdd::{Arena, Bdd};
use super::fields::within;
use crate::contents::{Contents, Entry};
use crate::machine::keeps_a_rate;

/// Elements that lead to the same, and the packets whose key is one of theirs.
#[derive(Debug)]
pub(super) struct Group<'a> {
    pub(super) set: Bdd,
    /// One of them.
    pub(super) element: &'a Element,
    /// Where they keep a rate: whether packets go on as long as it is kept.
    pub(super) keeps_a_rate: Option<bool>,
}

/// The elements with the packets that find each, and all packets that find any. `by_data`: whether it matters what they lead
/// to.
pub(super) fn groups<'a>(
    space: &mut Space,
    contents: &Contents<'a>,
    key: &[Bdd],
    by_data: bool,
) -> (Vec<Group<'a>>, Bdd) {
    let mut groups: Vec<(&'a Element, Option<bool>, Vec<usize>)> = Vec::new();
    let mut by_hash: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
    for (nth, entry) in contents.entries.iter().enumerate() {
        let rate = entry.element.expressions.iter().find_map(keeps_a_rate);
        let leads_to = match &entry.element.data {
            Some(data) if by_data => format!("{rate:?} {data:?}"),
            _ => format!("{rate:?}"),
        };
        let at = *by_hash.entry(leads_to).or_insert_with(|| {
            groups.push((entry.element, rate, Vec::new()));
            groups.len() - 1
        });
        groups[at].2.push(nth);
    }
    let is_ranges = !contents.set.flags.contains(SetFlags::CONCAT) && key.len() <= 128;
    let mut found = Bdd::FALSE;
    let mut sets = Vec::new();
    for (element, rate, entries) in groups {
        let set = if is_ranges {
            ranges(&mut space.arena, contents, key, &entries)
        } else {
            // What is only true of sets that overlap: the first one counts.
            let set = fields(&mut space.arena, contents, key, &entries);
            let set = space.arena.minus(set, found);
            found = space.arena.or(found, set);
            set
        };
        sets.push(Group { set, element, keeps_a_rate: rate });
    }
    if is_ranges {
        found = match sets.as_slice() {
            [one] => one.set,
            _ => ranges(&mut space.arena, contents, key, &(0..contents.entries.len()).collect::<Vec<_>>()),
        };
    }
    if let Some(element) = contents.catch_all {
        let rate = element.expressions.iter().find_map(keeps_a_rate);
        sets.push(Group { set: !found, element, keeps_a_rate: rate });
        found = Bdd::TRUE;
    }
    (sets, found)
}

/// Keys of one field: of those that begin before a key the last one counts.
fn ranges(arena: &mut Arena, contents: &Contents<'_>, key: &[Bdd], entries: &[usize]) -> Bdd {
    let length = key.len() / 8;
    let ranges: Vec<(u128, u128)> = entries
        .iter()
        .filter_map(|&nth| {
            let entry = &contents.entries[nth];
            let (first, mut last) = (number(&entry.first, length)?, number(&entry.last, length)?);
            if let Some(next) = contents.entries.get(nth + 1) {
                last = last.min(number(&next.first, length)?.checked_sub(1)?);
            }
            (first <= last).then_some((first, last))
        })
        .collect();
    // Neighbours become one, which spares nodes that would be taken away again.
    let ranges = crate::ranges::Ranges::new(ranges);
    within(arena, key, ranges.as_slice())
}

/// Keys of several fields.
fn fields(arena: &mut Arena, contents: &Contents<'_>, key: &[Bdd], entries: &[usize]) -> Bdd {
    let mut spans: Vec<(usize, usize)> =
        contents.field_spans().filter(|span| span.0 < span.1 && span.1 * 8 <= key.len()).collect();
    // The field that is decided first comes first.
    spans.sort_by_key(|span| key[span.0 * 8..span.1 * 8].iter().map(|&bit| arena.variable(bit)).min());
    let exact = |entry: &Entry<'_>| entry.first == entry.last;
    let all_exact = entries.iter().all(|&nth| exact(&contents.entries[nth]));
    if all_exact {
        let key: Vec<Bdd> = spans.iter().flat_map(|span| &key[span.0 * 8..span.1 * 8]).copied().collect();
        let mut keys: Vec<Vec<u8>> = entries
            .iter()
            .filter_map(|&nth| {
                let first = &contents.entries[nth].first;
                let parts = spans.iter().map(|span| first.get(span.0..span.1));
                parts.collect::<Option<Vec<_>>>().map(|parts| parts.concat())
            })
            .collect();
        keys.sort_unstable();
        keys.dedup();
        return one_of(arena, &key, &keys, 0);
    }
    let mut found = Vec::new();
    for &nth in entries {
        let entry = &contents.entries[nth];
        let mut set = Bdd::TRUE;
        for span in spans.iter().rev() {
            let length = span.1 - span.0;
            let bounds = entry.first.get(span.0..span.1).zip(entry.last.get(span.0..span.1));
            let inside =
                match bounds.and_then(|(first, last)| number(first, length).zip(number(last, length))) {
                    Some((first, last)) if first <= last => {
                        within(arena, &key[span.0 * 8..span.1 * 8], &[(first, last)])
                    }
                    _ => Bdd::FALSE,
                };
            set = arena.and(inside, set);
        }
        found.push(set);
    }
    arena.union(found)
}

/// Where the bits are those of one of the sorted keys, which agree in the first `depth` bits.
fn one_of(arena: &mut Arena, bits: &[Bdd], keys: &[Vec<u8>], depth: usize) -> Bdd {
    if keys.is_empty() {
        return Bdd::FALSE;
    }
    let Some(&bit) = bits.get(depth) else { return Bdd::TRUE };
    let is_set = |key: &Vec<u8>| key[depth / 8] >> (7 - depth % 8) & 1 == 1;
    let split = keys.partition_point(|key| !is_set(key));
    let low = if bit.is_true() { Bdd::FALSE } else { one_of(arena, bits, &keys[..split], depth + 1) };
    let high = if bit.is_false() { Bdd::FALSE } else { one_of(arena, bits, &keys[split..], depth + 1) };
    arena.ite(bit, high, low)
}

/// Bytes as a number; `None` where they are not as many as they should be.
fn number(bytes: &[u8], length: usize) -> Option<u128> {
    (bytes.len() == length && length <= 16)
        .then(|| bytes.iter().fold(0, |number, &byte| number << 8 | u128::from(byte)))
}
