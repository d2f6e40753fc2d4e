//! The registers of the machine, for all packets at once: each bit is the set of packets that have it set.

use nf_tables::Register;

use super::bdd::{Arena, Bdd};

/// A bit: in which packets it is set, and in which that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bit {
    pub(crate) value: Bdd,
    pub(crate) known: Bdd,
}

impl Bit {
    pub(crate) const UNKNOWN: Self = Self { value: Bdd::FALSE, known: Bdd::FALSE };
    pub(super) const ZERO: Self = Self::known(Bdd::FALSE);

    pub(crate) const fn known(value: Bdd) -> Self {
        Self { value, known: Bdd::TRUE }
    }

    pub(crate) fn constant(value: bool) -> Self {
        Self::known(Bdd::constant(value))
    }

    /// This one where `condition` holds, the other where not.
    pub(crate) fn or_else(self, arena: &mut Arena, condition: Bdd, other: Self) -> Self {
        Self {
            value: arena.ite(condition, self.value, other.value),
            known: arena.ite(condition, self.known, other.known),
        }
    }
}

/// In which packets something is so, and in which that is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub(super) yes: Bdd,
    pub(super) unknown: Bdd,
}

/// The 64 bytes of the registers.
#[derive(Debug, Clone)]
pub(super) struct Registers {
    /// Eight for each byte, the highest first.
    bits: Vec<Bit>,
    /// For each slot of four bytes: the expressions that made what is in it.
    made_by: [Vec<usize>; 16],
    /// Here is the index of an interface, of which it is known whether it is loopback's.
    interface: Option<usize>,
}

impl Registers {
    pub(super) fn new() -> Self {
        Self { bits: vec![Bit::UNKNOWN; 512], made_by: Default::default(), interface: None }
    }

    /// Stores bits, and zeros up to the end of the last 4-byte slot.
    pub(super) fn store(&mut self, register: Register, bits: &[Bit], made_by: &[usize]) {
        let Some(start) = start(register) else { return };
        let end = (start + bits.len().next_multiple_of(32)).min(512);
        self.interface = self.interface.filter(|&at| at < start || at >= end);
        for at in start..end {
            self.bits[at] = bits.get(at - start).copied().unwrap_or(Bit::ZERO);
        }
        for slot in start / 32..end / 32 {
            self.made_by[slot] = made_by.to_vec();
        }
    }

    pub(super) fn store_bytes(&mut self, register: Register, bytes: &[u8], made_by: &[usize]) {
        let bits: Vec<Bit> =
            bytes.iter().take(64).flat_map(|&byte| bits_of(byte)).map(Bit::constant).collect();
        self.store(register, &bits, made_by);
    }

    pub(super) fn store_unknown(&mut self, register: Register, length: usize, made_by: &[usize]) {
        self.store(register, &vec![Bit::UNKNOWN; length.min(64) * 8], made_by);
    }

    /// Says that what was just stored there is the index of an interface.
    pub(super) fn note_interface(&mut self, register: Register) {
        self.interface = start(register);
    }

    pub(super) fn is_interface(&self, register: Register) -> bool {
        self.interface.is_some() && self.interface == start(register)
    }

    /// What the register holds; beyond the last one nothing is known.
    pub(super) fn value(&self, register: Register, length: usize) -> Vec<Bit> {
        let start = start(register).unwrap_or(512);
        let length = length.min(64) * 8;
        let held = &self.bits[start..(start + length).min(512)];
        let mut bits = held.to_vec();
        bits.resize(length, Bit::UNKNOWN);
        bits
    }

    /// How many bytes there are from the register on.
    pub(super) fn left(register: Register) -> usize {
        64 - start(register).unwrap_or(512) / 8
    }

    /// The expressions that made what is there.
    pub(super) fn made_by(&self, register: Register, length: usize) -> Vec<usize> {
        let Some(start) = start(register) else { return Vec::new() };
        let slots = self.made_by[start / 32..].iter().take(length.div_ceil(4).max(1));
        let mut all: Vec<usize> = slots.flatten().copied().collect();
        all.dedup();
        all
    }
}

fn start(register: Register) -> Option<usize> {
    register.first_slot().and_then(|slot| usize::try_from(slot * 32).ok())
}

pub(super) fn bits_of(byte: u8) -> impl Iterator<Item = bool> {
    (0..8).map(move |bit| byte >> (7 - bit) & 1 == 1)
}

/// Where the bits are those of `data`.
pub(super) fn equals(arena: &mut Arena, bits: &[Bit], data: &[u8]) -> Answer {
    let wanted: Vec<bool> = data.iter().flat_map(|&byte| bits_of(byte)).collect();
    let (mut possible, mut known) = (Bdd::TRUE, Bdd::TRUE);
    for (bit, &wanted) in bits.iter().zip(&wanted).rev() {
        let agrees = if wanted { bit.value } else { !bit.value };
        if bit.known.is_true() {
            possible = arena.and(agrees, possible);
        } else {
            let agrees = arena.or(agrees, !bit.known);
            possible = arena.and(agrees, possible);
            known = arena.and(bit.known, known);
        }
    }
    Answer { yes: arena.and(possible, known), unknown: arena.and(possible, !known) }
}

/// Where the bits are below `data`, and where they are below it or equal.
pub(super) fn below(arena: &mut Arena, bits: &[Bit], data: &[u8], or_equal: bool) -> Answer {
    let wanted: Vec<bool> = data.iter().flat_map(|&byte| bits_of(byte)).collect();
    let (mut yes, mut unknown) = (Bdd::constant(or_equal), Bdd::FALSE);
    for (bit, &wanted) in bits.iter().zip(&wanted).rev() {
        let on_one = if wanted { yes } else { Bdd::FALSE };
        let on_zero = if wanted { Bdd::TRUE } else { yes };
        yes = arena.ite(bit.value, on_one, on_zero);
        let equal = if wanted { bit.value } else { !bit.value };
        unknown = arena.and(equal, unknown);
        if !bit.known.is_true() {
            yes = arena.and(yes, bit.known);
            unknown = arena.or(unknown, !bit.known);
        }
    }
    Answer { yes: arena.and(yes, !unknown), unknown }
}

impl Answer {
    pub(super) fn not_if(self, arena: &mut Arena, inverse: bool) -> Self {
        if !inverse {
            return self;
        }
        let either = arena.or(self.yes, self.unknown);
        Self { yes: !either, unknown: self.unknown }
    }

    pub(super) fn and(self, arena: &mut Arena, other: Self) -> Self {
        let yes = arena.and(self.yes, other.yes);
        let (a, b) = (arena.or(self.yes, self.unknown), arena.or(other.yes, other.unknown));
        let possible = arena.and(a, b);
        Self { yes, unknown: arena.minus(possible, yes) }
    }
}
