//! What is looked up in sets and maps, for all packets at once.

use nf_tables::{Data, Dynset, DynsetOp, Lookup, Register};

use super::bdd::Bdd;
use super::lookup;
use super::registers::{Answer, Bit, Registers, bits_of};
use super::rule::Rule;
use crate::machine::{Effect, effect, keeps_a_rate};

impl<'a> Rule<'_, '_, 'a> {
    pub(super) fn look_up(&mut self, nth: usize, lookup: &'a Lookup) {
        let Some(contents) = self.program.tables[self.at.table].sets.get(lookup.set.as_str()) else {
            return self.depends(nth, false);
        };
        let length = usize::try_from(contents.set.key_length).unwrap_or(64).min(Registers::left(lookup.sreg));
        let key = self.registers.value(lookup.sreg, length);
        let made_by = self.registers.made_by(lookup.sreg, length);
        let known = key.iter().fold(Bdd::TRUE, |all, bit| self.space.arena.and(all, bit.known));
        let key: Vec<Bdd> = key.into_iter().map(|bit| bit.value).collect();
        let (groups, found) = lookup::groups(self.space, contents, &key, lookup.dreg.is_some());
        let mut unknown = self.space.arena.minus(self.here, known);
        if lookup.dreg.is_some() && !unknown.is_false() && !self.space.arena.intersects(unknown, self.arrived)
        {
            // Keys that no packet brings here need not be told from what they may be.
            self.outcome.only_for = Some(self.arrived);
            self.here = self.space.arena.and(self.here, known);
            unknown = Bdd::FALSE;
        }
        let is_empty = contents.entries.is_empty() && contents.catch_all.is_none();
        if lookup.dreg.is_none() {
            let yes = self.space.arena.and(found, known);
            let answer = Answer { yes, unknown: if is_empty { Bdd::FALSE } else { !known } };
            let held_up: Vec<_> =
                groups.iter().filter_map(|group| Some((group.set, group.keeps_a_rate?))).collect();
            let answer = answer.not_if(&mut self.space.arena, lookup.inverse);
            self.require(answer, &made_by, nth);
            if !lookup.inverse {
                for (set, usual) in held_up {
                    self.depends_within(set, nth, usual);
                }
            }
            return;
        }
        if unknown.is_false() || is_empty {
            self.here = self.space.arena.and(self.here, found);
        } else {
            // Which element it is, if any, is not known.
            let so = self.space.opaque(self.program, self.at, nth, &made_by, false);
            let may = self.space.arena.ite(known, found, so);
            self.here = self.space.arena.and(self.here, may);
        }
        for group in &groups {
            if let Some(usual) = group.keeps_a_rate {
                let set = self.space.arena.and(group.set, known);
                self.depends_within(set, nth, usual);
            }
        }
        if lookup.dreg == Some(Register::VERDICT) {
            self.dispatch(nth, &groups, known, &made_by);
        } else if let Some(dreg) = lookup.dreg {
            let mut bits = vec![Bit::UNKNOWN; 128];
            for group in &groups {
                let set = self.space.arena.and(group.set, known);
                let value = match group.element.data.as_ref() {
                    Some(Data::Value(value)) => value.as_slice(),
                    Some(Data::Verdict(_)) | None => continue,
                };
                bits.truncate(value.len().next_multiple_of(4).max(4) * 8);
                let bytes = value.iter().copied().chain(std::iter::repeat(0)).take(bits.len() / 8);
                for (at, value) in bytes.flat_map(bits_of).enumerate() {
                    bits[at] = Bit::constant(value).or_else(&mut self.space.arena, set, bits[at]);
                }
            }
            let mut made_by = made_by;
            made_by.push(nth);
            self.registers.store(dreg, &bits, &made_by);
        }
    }

    /// Ends as the elements of a verdict map say.
    pub(super) fn dispatch(
        &mut self,
        nth: usize,
        groups: &[lookup::Group<'a>],
        known: Bdd,
        made_by: &[usize],
    ) {
        let (here, unknown) = (self.here, self.space.arena.minus(self.here, known));
        let mut goes_on = vec![unknown];
        for group in groups {
            let set = self.space.arena.and(group.set, known);
            let set = self.space.arena.and(set, here);
            match &group.element.data {
                Some(Data::Verdict(verdict)) if !set.is_false() => match effect(verdict) {
                    Some(effect) => self.outcome.effects.push((set, effect)),
                    None => goes_on.push(set),
                },
                Some(_) | None => goes_on.push(set),
            }
        }
        self.here = self.space.arena.union(goes_on);
        if unknown.is_false() {
            return;
        }
        // One of the verdicts it must be: the last, unless something says it is one before.
        let mut verdicts: Vec<Effect<'a>> = Vec::new();
        for group in groups {
            if let Some(Data::Verdict(verdict)) = &group.element.data
                && let Some(effect) = effect(verdict)
                && !verdicts.contains(&effect)
            {
                verdicts.push(effect);
            }
        }
        let count = verdicts.len();
        let text = self.space.text_through(self.program, self.at, nth, made_by);
        for (which, effect) in verdicts.into_iter().enumerate() {
            let so =
                if which + 1 == count { Bdd::TRUE } else { self.space.one_of(&text, self.at, nth, which) };
            let set = self.space.arena.and(unknown, so);
            self.end_of(set, effect);
        }
    }

    pub(super) fn dynset(&mut self, nth: usize, dynset: &Dynset) {
        let rate = dynset.expressions.iter().find_map(keeps_a_rate);
        match (dynset.op, rate) {
            (DynsetOp::Add | DynsetOp::Update, None) if dynset.inverse => self.depends(nth, false),
            (DynsetOp::Delete, _) | (DynsetOp::Add | DynsetOp::Update, None) => {}
            (DynsetOp::Add | DynsetOp::Update, Some(usual)) => self.depends(nth, usual != dynset.inverse),
        }
    }
}
