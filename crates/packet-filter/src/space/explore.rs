//! A question asked of packets one class at a time: whatever reads a packet by its fields becomes sets of packets.

use std::collections::{BTreeMap, HashMap};

use super::Space;
use super::bdd::Bdd;
use super::fields::{Bits, within};
use super::registers::Bit;
use crate::facts::{DNAT, Facts, Field, IPV4, IPV6, Need};
use crate::intent::parts::Question;
use crate::packet::State;
use crate::ranges::Ranges;

/// Asks `ask` of packets of all classes that the questions tell apart; hands over its answers with the packets of each, and
/// gives how often it was asked.
pub(crate) fn explore<T>(
    space: &mut Space,
    questions: &[Question],
    mark: &Mark<'_>,
    ask: impl Fn(&Known) -> Result<T, Need>,
    mut answered: impl FnMut(&mut Space, Bdd, T),
) -> usize {
    let mut classes = HashMap::new();
    let mut open = vec![(Known::default(), Bdd::TRUE)];
    let mut asked = 0;
    while let Some((known, set)) = open.pop() {
        match ask(&known) {
            Ok(answer) => {
                asked += 1;
                answered(space, set, answer);
            }
            Err(Need(field)) => {
                let ipv6 = known.0[Field::Family.index()] == Some(Some(IPV6));
                let classes = classes
                    .entry((field, ipv6))
                    .or_insert_with(|| self::classes(space, questions, mark, field, ipv6));
                for &(value, class) in &*classes {
                    let set = space.arena.and(set, class);
                    if !set.is_false() {
                        let mut known = known.clone();
                        known.0[field.index()] = Some(value);
                        open.push((known, set));
                    }
                }
            }
        }
    }
    asked
}

/// The mark that packets have by now, and what is asked of it.
#[derive(Debug)]
pub(crate) struct Mark<'m> {
    /// Its bits, the highest first.
    pub(crate) bits: &'m [Bit],
    /// Whether it is this value under this mask, where that is all that is asked: a mask may make more ranges than can be named.
    pub(crate) asked: Option<(u32, u32)>,
}

/// A packet of which some fields are settled.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known([Option<Option<u128>>; Field::COUNT]);

impl Facts for Known {
    fn get(&self, field: Field) -> Result<Option<u128>, Need> {
        // A class of addresses is one of a family.
        if matches!(field, Field::Source | Field::Destination | Field::OriginalDestination) {
            self.get(Field::Family)?;
        }
        self.0[field.index()].ok_or(Need(field))
    }
}

/// One value of each class, and its packets; no value for packets that have no such field.
fn classes(
    space: &mut Space,
    questions: &[Question],
    mark: &Mark<'_>,
    field: Field,
    ipv6: bool,
) -> Vec<(Option<u128>, Bdd)> {
    if let (Field::Mark, Some((value, mask))) = (field, mark.asked) {
        return classes_of_mask(space, mark.bits, value, mask);
    }
    let values: &[u128] = match field {
        Field::Family => &[IPV4, IPV6],
        Field::State => &State::ALL.map(|state| u128::from(state.bit())),
        Field::Status => &[0, DNAT],
        _ => return classes_of_ranges(space, questions, mark.bits, field, ipv6),
    };
    values.iter().map(|&value| (Some(value), space.is(field, ipv6, value))).collect()
}

/// Marks that are the value under the mask, and those that are not.
fn classes_of_mask(space: &mut Space, bits: &[Bit], value: u32, mask: u32) -> Vec<(Option<u128>, Bdd)> {
    let known = bits.iter().fold(Bdd::TRUE, |all, bit| space.arena.and(all, bit.known));
    let mut inside = known;
    for (nth, bit) in bits.iter().rev().enumerate().filter(|(nth, _)| mask >> nth & 1 == 1) {
        let is_so = if value >> nth & 1 == 1 { bit.value } else { !bit.value };
        inside = space.arena.and(inside, is_so);
    }
    let outside = space.arena.minus(known, inside);
    let other = value ^ (mask & mask.wrapping_neg());
    vec![(None, !known), (Some(value.into()), inside), (Some(other.into()), outside)]
}

type Stretches = Vec<(u128, u128)>;

fn classes_of_ranges(
    space: &mut Space,
    questions: &[Question],
    mark: &[Bit],
    field: Field,
    ipv6: bool,
) -> Vec<(Option<u128>, Bdd)> {
    let highest = match field.bytes(ipv6) {
        16 => u128::MAX,
        bytes => (1 << (bytes * 8)) - 1,
    };
    let asked = questions
        .iter()
        .filter(|(of, family, _)| *of == field && family.is_none_or(|family| family == ipv6))
        .map(|(.., ranges)| ranges);
    // By the questions that they are in: a value, and all ranges.
    let mut classes: BTreeMap<Vec<u64>, (u128, Stretches)> = BTreeMap::new();
    for (inside, first, last) in stretches(asked, highest) {
        classes.entry(inside).or_insert((first, Vec::new())).1.push((first, last));
    }
    let (has, bits) = match field {
        Field::OriginalPort | Field::OriginalDestination => {
            let bits = space.original(field, ipv6);
            let known = bits.first().map_or(Bdd::FALSE, |bit| bit.known);
            (known, bits.into_iter().map(|bit| bit.value).collect())
        }
        Field::Mark => {
            let known = mark.iter().fold(Bdd::TRUE, |all, bit| space.arena.and(all, bit.known));
            (known, mark.iter().map(|bit| bit.value).collect())
        }
        Field::InputName | Field::OutputName => {
            (Bdd::TRUE, space.name(field).into_iter().map(|bit| bit.value).collect())
        }
        _ => (space.has(field), Bits::of(&mut space.arena, &space.layout, field, ipv6).0),
    };
    let mut left = has;
    let mut found = vec![(None, !has)];
    let count = classes.len();
    // The largest class is what is left.
    let mut classes: Vec<_> = classes.into_values().collect();
    classes.sort_by_key(|(_, ranges)| ranges.len());
    for (nth, (value, ranges)) in classes.into_iter().enumerate() {
        let class = if nth + 1 == count {
            left
        } else {
            let class = within(&mut space.arena, &bits, &ranges);
            space.arena.and(class, has)
        };
        left = space.arena.minus(left, class);
        found.push((Some(value), class));
    }
    found.retain(|(_, class)| !class.is_false());
    found
}

/// The values from 0 to `highest`, cut where membership in one of the ranges begins or ends, with a bit for each that they
/// are in.
fn stretches<'q>(
    asked: impl Iterator<Item = &'q Ranges>,
    highest: u128,
) -> impl Iterator<Item = (Vec<u64>, u128, u128)> {
    let mut turns: BTreeMap<u128, Vec<usize>> = BTreeMap::from([(0, Vec::new())]);
    let mut count = 0;
    for ranges in asked {
        for &(first, last) in ranges.as_slice() {
            turns.entry(first).or_default().push(count);
            if let Some(after) = last.checked_add(1).filter(|after| *after <= highest) {
                turns.entry(after).or_default().push(count);
            }
        }
        count += 1;
    }
    let mut inside = vec![0_u64; usize::div_ceil(count, 64)];
    let ends: Vec<u128> = turns.keys().skip(1).map(|next| next - 1).chain([highest]).collect();
    turns.into_iter().zip(ends).map(move |((first, turned), last)| {
        for question in turned {
            inside[question / 64] ^= 1 << (question % 64);
        }
        (inside.clone(), first, last)
    })
}
