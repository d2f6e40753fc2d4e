//! The matches of `x_tables` on all packets at once: the machine is asked about one packet of each class.
//!
//! A match compares a field with the numbers in its data, so values that no number of the data stands between are
//! one class. Only of TCP flags does it compare a part.

use std::collections::BTreeSet;

use nf_tables::Match;

use super::Space;
use super::bdd::Bdd;
use super::changes::Changes;
use super::fields::within;
use super::registers::Bit;
use crate::facts::{Facts, Field, IPV4, IPV6, Need};
use crate::machine::{Matched, Program, Tri};
use crate::packet::{Hook, State, protocol};

/// How a match goes.
#[derive(Debug)]
pub(super) struct Probed {
    /// Packets that do not match.
    pub(super) no: Bdd,
    /// Packets that may match, and usually do.
    pub(super) assumed_yes: Bdd,
    /// Packets that may match, and usually do not.
    pub(super) assumed_no: Bdd,
}

pub(super) fn compat_match(
    space: &mut Space,
    program: &Program<'_>,
    hook: Hook,
    changes: &Changes,
    here: Bdd,
    matched: &Match,
) -> Probed {
    let probed = Probed { no: Bdd::FALSE, assumed_yes: Bdd::FALSE, assumed_no: Bdd::FALSE };
    let facts = Known([const { None }; Field::COUNT]);
    let mut probe = Probe { space, program, hook, changes, matched, facts, probed };
    probe.explore(here);
    probe.probed
}

struct Probe<'s, 'p, 'a> {
    space: &'s mut Space,
    program: &'p Program<'a>,
    hook: Hook,
    changes: &'s Changes,
    matched: &'s Match,
    facts: Known,
    probed: Probed,
}

/// What is settled of a packet so far.
struct Known([Option<Option<u128>>; Field::COUNT]);

impl Facts for Known {
    fn get(&self, field: Field) -> Result<Option<u128>, Need> {
        self.0[field.index()].ok_or(Need(field))
    }
}

impl Probe<'_, '_, '_> {
    fn explore(&mut self, set: Bdd) {
        if set.is_false() {
            return;
        }
        match self.program.compat_match(self.hook, &self.facts, self.matched) {
            Ok(matched) => {
                let into = match matched {
                    Matched::Known(Tri::Yes) => return,
                    Matched::Known(Tri::No) => &mut self.probed.no,
                    Matched::Known(Tri::Maybe) | Matched::Depends(false) => &mut self.probed.assumed_no,
                    Matched::Depends(true) => &mut self.probed.assumed_yes,
                };
                *into = self.space.arena.or(*into, set);
            }
            Err(Need(field)) => {
                for (value, class) in self.classes(field) {
                    let inside = self.space.arena.and(set, class);
                    self.facts.0[field.index()] = Some(value);
                    self.explore(inside);
                }
                self.facts.0[field.index()] = None;
            }
        }
    }

    /// Values of which each speaks for its class of packets; `None` for packets that have no such field.
    fn classes(&mut self, field: Field) -> Vec<(Option<u128>, Bdd)> {
        let ipv6 = self.facts.0[Field::Family.index()] == Some(Some(IPV6));
        let is_ipv6 = self.space.is_ipv6();
        match field {
            Field::Family => return vec![(Some(IPV4), !is_ipv6), (Some(IPV6), is_ipv6)],
            Field::State => {
                let known = self.changes.state_known;
                let mut classes = vec![(None, !known)];
                for (state, is) in State::ALL.into_iter().zip(self.changes.states) {
                    classes.push((Some(u128::from(state.bit())), self.space.arena.and(is, known)));
                }
                return classes;
            }
            _ => {}
        }
        let bits = match field {
            Field::Destination => self.changes.destination[usize::from(ipv6)].clone(),
            Field::DestinationPort => self.changes.port.clone(),
            Field::HopLimit => self.changes.hop_limit.clone(),
            Field::InputName | Field::OutputName => self.space.name(field),
            Field::Mark => self.changes.mark.clone(),
            _ => self.space.field(field, ipv6),
        };
        let arena = &mut self.space.arena;
        let known = bits.iter().fold(!self.changes.bytes, |all, bit| arena.and(all, bit.known));
        let has = self.space.has(field);
        let arena = &mut self.space.arena;
        let known = arena.and(known, has);
        let value: Vec<Bdd> = bits.iter().map(|bit: &Bit| bit.value).collect();
        let mut classes = vec![(None, !known)];
        for (first, last) in self.ranges(field, ipv6) {
            let class = within(&mut self.space.arena, &value, &[(first, last)]);
            classes.push((Some(first), self.space.arena.and(class, known)));
        }
        if field == Field::TcpFlags && self.matched.name == "tcp" {
            return self.flag_classes(&value, known);
        }
        classes
    }

    /// Flags of which the part that `struct xt_tcp` masks is what it compares with, and others.
    fn flag_classes(&mut self, value: &[Bdd], known: Bdd) -> Vec<(Option<u128>, Bdd)> {
        let byte = |at: usize| self.matched.info.get(at).copied().unwrap_or(0);
        let (mask, wanted) = (byte(9), byte(10));
        let arena = &mut self.space.arena;
        let mut agrees = known;
        for (nth, &bit) in value.iter().enumerate().filter(|(nth, _)| mask >> (7 - nth) & 1 == 1) {
            let bit = if wanted >> (7 - nth) & 1 == 1 { bit } else { !bit };
            agrees = arena.and(agrees, bit);
        }
        if wanted & !mask != 0 {
            agrees = Bdd::FALSE;
        }
        let differs = arena.minus(known, agrees);
        // Any flags that differ in the mask speak for all that do.
        let other = if wanted & !mask != 0 { 0 } else { !wanted };
        vec![(None, !known), (Some(u128::from(wanted)), agrees), (Some(u128::from(other)), differs)]
    }

    /// Ranges between the numbers in the match's data.
    fn ranges(&self, field: Field, ipv6: bool) -> Vec<(u128, u128)> {
        let size = field.bytes(ipv6);
        let highest = if size == 16 { u128::MAX } else { (1 << (size * 8)) - 1 };
        let mut starts = BTreeSet::from([0_u128]);
        let mut add = |number: u128| {
            starts.insert(number);
            starts.extend(number.checked_add(1).filter(|next| *next <= highest));
        };
        for at in (0..self.matched.info.len()).step_by(size.min(4)) {
            let Some(bytes) = self.matched.info.get(at..at + size) else { break };
            let number = |bytes: &mut dyn Iterator<Item = &u8>| {
                bytes.fold(0_u128, |number, &byte| number << 8 | u128::from(byte))
            };
            add(number(&mut bytes.iter()));
            add(number(&mut bytes.iter().rev()));
        }
        match field {
            Field::Destination if ipv6 => add((0xff << 120) - 1),
            Field::Destination => [0xdfff_ffff, 0xefff_ffff, 0xffff_fffe].into_iter().for_each(add),
            Field::Protocol => {
                for number in [protocol::ICMP, protocol::TCP, protocol::UDP, protocol::ICMPV6] {
                    add(u128::from(number) - 1);
                    add(u128::from(number));
                }
            }
            _ => {}
        }
        let starts: Vec<u128> = starts.into_iter().collect();
        let ends = starts.iter().skip(1).map(|next| next - 1).chain([highest]);
        starts.iter().copied().zip(ends).collect()
    }
}
