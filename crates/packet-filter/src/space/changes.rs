//! What rules have changed about packets so far, as functions of the packet that arrived.
//!
//! A packet takes one way only, for given answers to what is not known. So a change on some packets is the new value on
//! these and the old one on the others, and no way has to be followed by itself.

use std::collections::BTreeMap;

use super::Space;
use super::bdd::{Arena, Bdd};
use super::registers::Bit;
use crate::facts::Field;
use crate::packet::State;

/// The packets as they are now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Changes {
    /// In which packets each state is theirs, in the order of [`State::ALL`].
    pub(super) states: [Bdd; 5],
    pub(super) state_known: Bdd,
    pub(super) mark: Vec<Bit>,
    pub(super) hop_limit: Vec<Bit>,
    /// Of IPv4 packets, and of IPv6 packets.
    pub(super) destination: [Vec<Bit>; 2],
    pub(super) port: Vec<Bit>,
    /// The destination was translated.
    pub(super) published: Bit,
    /// Packets whose bytes were written.
    pub(super) bytes: Bdd,
    /// Translations of the source, by what they say.
    pub(super) labels: BTreeMap<String, Bdd>,
}

/// A change, and of which packets.
#[derive(Debug, Clone)]
pub(super) enum Update {
    Mark(Bdd, Vec<Bit>),
    HopLimit(Bdd, Vec<Bit>),
    /// `None` for a state that is not known.
    State(Bdd, Option<State>),
    /// Whether it is an IPv6 address, and the address; `None` for one that is not known.
    Destination(Bdd, Option<(bool, Vec<Bit>)>),
    Port(Bdd, Vec<Bit>),
    Published(Bdd),
    Bytes(Bdd),
    Label(Bdd, String),
}

impl Changes {
    /// Packets as they arrive.
    pub(super) fn none(space: &mut Space) -> Self {
        let states = State::ALL.map(|state| space.is(Field::State, false, u128::from(state.bit())));
        let published = space.field(Field::Status, false);
        Self {
            states,
            state_known: Bdd::TRUE,
            mark: space.field(Field::Mark, false),
            hop_limit: space.field(Field::HopLimit, false),
            destination: [false, true].map(|ipv6| space.field(Field::Destination, ipv6)),
            port: space.field(Field::DestinationPort, false),
            published: published.first().copied().unwrap_or(Bit::UNKNOWN),
            bytes: Bdd::FALSE,
            labels: BTreeMap::new(),
        }
    }

    /// Applies a change to those packets of it that are in `set`.
    pub(super) fn apply(&mut self, arena: &mut Arena, set: Bdd, update: &Update) {
        let replace = |arena: &mut Arena, bits: &mut Vec<Bit>, on: Bdd, new: &[Bit]| {
            for (nth, bit) in bits.iter_mut().enumerate() {
                *bit = new.get(nth).copied().unwrap_or(Bit::UNKNOWN).or_else(arena, on, *bit);
            }
        };
        match update {
            Update::Mark(on, bits) => {
                let on = arena.and(*on, set);
                // A register holds the number in this machine's order.
                let bits: Vec<Bit> = if cfg!(target_endian = "little") {
                    bits.chunks(8).rev().flatten().copied().collect()
                } else {
                    bits.clone()
                };
                replace(arena, &mut self.mark, on, &bits);
            }
            Update::HopLimit(on, bits) => {
                let on = arena.and(*on, set);
                replace(arena, &mut self.hop_limit, on, bits);
            }
            Update::State(on, state) => {
                let on = arena.and(*on, set);
                for (of, is) in State::ALL.iter().zip(&mut self.states) {
                    *is = arena.ite(on, Bdd::constant(*state == Some(*of)), *is);
                }
                self.state_known = arena.ite(on, Bdd::constant(state.is_some()), self.state_known);
            }
            Update::Destination(on, address) => {
                let on = arena.and(*on, set);
                match address {
                    Some((ipv6, bits)) => replace(arena, &mut self.destination[usize::from(*ipv6)], on, bits),
                    None => self.destination.iter_mut().for_each(|bits| replace(arena, bits, on, &[])),
                }
            }
            Update::Port(on, bits) => {
                let on = arena.and(*on, set);
                replace(arena, &mut self.port, on, bits);
            }
            Update::Published(on) => {
                let on = arena.and(*on, set);
                self.published = Bit::constant(true).or_else(arena, on, self.published);
            }
            Update::Bytes(on) => {
                let on = arena.and(*on, set);
                self.bytes = arena.or(self.bytes, on);
            }
            Update::Label(on, text) => {
                let on = arena.and(*on, set);
                if !on.is_false() {
                    let before = self.labels.get(text).copied().unwrap_or(Bdd::FALSE);
                    self.labels.insert(text.clone(), arena.or(before, on));
                }
            }
        }
    }

    /// The number that `ct state` loads, highest bit first.
    pub(super) fn state_bits(&self) -> Vec<Bit> {
        let mut bits = vec![Bit { value: Bdd::FALSE, known: self.state_known }; 32];
        for (state, &value) in State::ALL.iter().zip(&self.states) {
            bits[31 - state.bit().trailing_zeros() as usize].value = value;
        }
        bits
    }

    pub(super) fn is_state(&self, wanted: State) -> Bdd {
        State::ALL
            .iter()
            .zip(self.states)
            .find(|(state, _)| **state == wanted)
            .map_or(Bdd::FALSE, |(_, is)| is)
    }

    /// Packets that are known to be invalid or untracked.
    pub(super) fn is_without_connection(&self, arena: &mut Arena) -> Bdd {
        let mut without = Bdd::FALSE;
        for (state, &value) in State::ALL.iter().zip(&self.states) {
            if matches!(state, State::Invalid | State::Untracked) {
                without = arena.or(without, value);
            }
        }
        arena.and(without, self.state_known)
    }
}
