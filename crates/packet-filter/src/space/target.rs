//! The targets of `x_tables`, for all packets at once.

use nf_tables::Target;

use super::bdd::Bdd;
use super::changes::Update;
use super::fields::within;
use super::registers::{Bit, bits_of};
use super::rule::{Rule, machine_order};
use crate::machine::{
    Effect, hop_limit, mark_of, only_goes_on, queue, reject, restores_mark, takes_tracking_away,
};
use crate::packet::State;

impl Rule<'_, '_, '_> {
    /// A target of the old `x_tables`.
    pub(super) fn target(&mut self, nth: usize, target: &Target) {
        match target.name.as_str() {
            name if only_goes_on(name) => {}
            "CONNMARK" => {
                if restores_mark(target) {
                    self.update(Update::Mark(self.here, vec![Bit::UNKNOWN; 32]));
                }
            }
            "MARK" => {
                let before = self.current().mark.clone();
                let bits = self.reworked(&before, |before| {
                    let before = u32::try_from(before).unwrap_or(0);
                    mark_of(target, before).map(u128::from)
                });
                self.update(Update::Mark(self.here, machine_order(&bits)));
            }
            "TTL" | "HL" => self.change_hop_limit(target),
            "NOTRACK" => self.update(Update::State(self.here, Some(State::Untracked))),
            "CT" => {
                let untracked = takes_tracking_away(target).then_some(State::Untracked);
                self.update(Update::State(self.here, untracked));
            }
            "REJECT" => {
                let ipv6 = self.space.is_ipv6();
                self.end_of(ipv6, Effect::Reject(reject(target, true)));
                self.end_of(!ipv6, Effect::Reject(reject(target, false)));
            }
            "DNAT" | "REDIRECT" | "NETMAP" => {
                self.update(Update::Published(self.here));
                self.update(Update::Destination(self.here, None));
                self.update(Update::Port(self.here, vec![Bit::UNKNOWN; 16]));
                self.end(Effect::Accept);
            }
            "NFQUEUE" => self.end(Effect::Queue(queue(target))),
            "SNAT" | "MASQUERADE" => {
                self.label(nth, &[]);
                self.end(Effect::Accept);
            }
            _ => {
                let text = self.space.text_through(self.program, self.at, nth, &[]);
                for (which, effect) in [(0, Effect::Accept), (1, Effect::Drop)] {
                    let so = self.space.one_of(&text, self.at, nth, which);
                    self.end_of(so, effect);
                }
                self.end(Effect::Continue);
            }
        }
    }

    /// What a target of `x_tables` makes of a mark: each bit is kept, turned or set, whatever the others are, so what it makes of
    /// all ones and of all zeros says it all. `None`: it is not known.
    pub(super) fn reworked(&mut self, before: &[Bit], change: impl Fn(u128) -> Option<u128>) -> Vec<Bit> {
        let width = before.len();
        let (Some(zeros), Some(ones)) = (change(0), change((1 << width) - 1)) else {
            return vec![Bit::UNKNOWN; width];
        };
        // A mark is known as a whole or not at all.
        let known = before.iter().fold(Bdd::TRUE, |all, bit| self.space.arena.and(all, bit.known));
        let after = before.iter().enumerate().map(|(nth, bit)| {
            let of = |number: u128| number >> (width - 1 - nth) & 1 == 1;
            let value = match (of(zeros), of(ones)) {
                (false, false) => Bdd::FALSE,
                (true, true) => Bdd::TRUE,
                (false, true) => bit.value,
                (true, false) => !bit.value,
            };
            Bit { value, known }
        });
        after.collect()
    }

    /// What `TTL` and `HL` make of each hop limit.
    pub(super) fn change_hop_limit(&mut self, target: &Target) {
        let before = self.current().hop_limit.clone();
        let values: Vec<Bdd> = before.iter().map(|bit| bit.value).collect();
        let known = before.iter().fold(Bdd::TRUE, |all, bit| self.space.arena.and(all, bit.known));
        let mut after = match hop_limit(target, None) {
            // Whatever it was.
            Some(value) => constant_byte(value),
            None => vec![Bit::UNKNOWN; 8],
        };
        if hop_limit(target, None).is_none() {
            for value in 0..=255_u128 {
                let Some(becomes) = hop_limit(target, Some(value)) else { break };
                let is = within(&mut self.space.arena, &values, &[(value, value)]);
                let is = self.space.arena.and(is, known);
                for (bit, new) in after.iter_mut().zip(constant_byte(becomes)) {
                    *bit = new.or_else(&mut self.space.arena, is, *bit);
                }
            }
        }
        self.update(Update::HopLimit(self.here, after));
    }
}

fn constant_byte(value: u128) -> Vec<Bit> {
    bits_of(u8::try_from(value).unwrap_or(255)).map(Bit::constant).collect()
}
