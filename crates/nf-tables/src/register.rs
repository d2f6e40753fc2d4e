//! The registers of the `nf_tables` machine.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A register: where an expression puts or finds a value.
///
/// The same 64 bytes have two numberings (`enum nft_registers`): 1 to 4 name 16 bytes each, 8 to 23 name 4 bytes
/// each; 8 is the start of 1, 12 of 2, 16 of 3, 20 of 4. Both are taken and made equal here by the rule that
/// the kernel dumps by: the number below 5 where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Register(u32);

impl Register {
    /// Holds the verdict.
    pub const VERDICT: Self = Self(0);
    /// Bytes 0 to 15.
    pub const R1: Self = Self(1);
    /// Bytes 16 to 31.
    pub const R2: Self = Self(2);
    /// Bytes 32 to 47.
    pub const R3: Self = Self(3);
    /// Bytes 48 to 63.
    pub const R4: Self = Self(4);

    /// The register of that number, in either numbering; none where there is no such register.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        match number {
            8 | 12 | 16 | 20 => Some(Self(number / 4 - 1)),
            0..=4 | 8..=23 => Some(Self(number)),
            _ => None,
        }
    }

    /// The register that starts at the 4-byte slot, 0 to 15.
    #[must_use]
    pub const fn slot(slot: u32) -> Option<Self> {
        if slot < 16 { Self::new(8 + slot) } else { None }
    }

    /// The number on the wire: 0 to 4 where that names it, else 9 to 23.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The first of its 4-byte slots, 0 to 15; none for the verdict.
    #[must_use]
    pub const fn first_slot(self) -> Option<u32> {
        match self.0 {
            0 => None,
            number @ 1..=4 => Some((number - 1) * 4),
            number => Some(number - 8),
        }
    }
}

impl fmt::Display for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reg {}", self.0)
    }
}

impl From<Register> for u32 {
    fn from(register: Register) -> Self {
        register.0
    }
}

impl TryFrom<u32> for Register {
    type Error = netlink::DecodeError;

    fn try_from(number: u32) -> Result<Self, Self::Error> {
        Self::new(number).ok_or(netlink::DecodeError::Unknown { what: "register", value: u64::from(number) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_numberings_name_the_same_register() {
        assert_eq!(Register::new(8), Some(Register::R1));
        assert_eq!(Register::new(12), Some(Register::R2));
        assert_eq!(Register::new(16), Some(Register::R3));
        assert_eq!(Register::new(20), Some(Register::R4));
        assert_eq!(Register::new(9), Register::slot(1));
        assert_eq!([5, 6, 7, 24].map(Register::new), [None; 4]);
        for slot in 0..16 {
            assert_eq!(Register::slot(slot).and_then(Register::first_slot), Some(slot));
        }
    }
}
