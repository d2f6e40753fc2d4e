use nf_tables::Register;

/// The 64 bytes of the machine's registers, with a note which of them are known.
#[derive(Debug, Clone)]
pub(super) struct Registers {
    bytes: [u8; 64],
    known: u64,
    /// Here is the index of an interface that is not loopback: unknown, but not 1.
    other_interface: Option<usize>,
    /// Of this byte, these bits are known and no others.
    known_bits: Option<(usize, u8)>,
}

/// Bytes of which not all may be known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'r> {
    pub(super) bytes: &'r [u8],
    known: u64,
    known_bits: Option<(usize, u8)>,
    pub(super) is_other_interface: bool,
}

/// Yes, no, or it depends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tri {
    Yes,
    No,
    Maybe,
}

impl Tri {
    pub(super) const fn not_if(self, inverse: bool) -> Self {
        match (self, inverse) {
            (Self::Yes, true) => Self::No,
            (Self::No, true) => Self::Yes,
            (same, _) => same,
        }
    }

    pub(super) const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            _ => Self::Maybe,
        }
    }
}

impl From<Option<bool>> for Tri {
    fn from(known: Option<bool>) -> Self {
        known.map_or(Self::Maybe, Self::from)
    }
}

impl From<bool> for Tri {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

impl Registers {
    pub(super) const fn new() -> Self {
        Self { bytes: [0; 64], known: 0, other_interface: None, known_bits: None }
    }

    /// Stores bytes, and zeros up to the end of the last 4-byte slot, as the kernel does.
    pub(super) fn store(&mut self, register: Register, bytes: &[u8]) {
        self.store_partly(register, bytes, u64::MAX);
    }

    /// Stores bytes of which those with a set bit in `known` are known.
    pub(super) fn store_partly(&mut self, register: Register, bytes: &[u8], known: u64) {
        let Some(start) = start(register) else { return };
        let end = (start + bytes.len().next_multiple_of(4)).min(64);
        self.other_interface = self.other_interface.filter(|&at| at < start || at >= end);
        self.known_bits = self.known_bits.filter(|&(at, _)| at < start || at >= end);
        for at in start..end {
            let nth = at - start;
            self.bytes[at] = bytes.get(nth).copied().unwrap_or(0);
            let is_known = nth >= bytes.len() || known >> nth & 1 == 1;
            self.known = self.known & !(1 << at) | u64::from(is_known) << at;
        }
    }

    pub(super) fn store_unknown(&mut self, register: Register, length: usize) {
        self.store_partly(register, &[0; 64][..length.min(64)], 0);
    }

    /// Stores the unknown index of an interface other than loopback.
    pub(super) fn store_other_interface(&mut self, register: Register) {
        self.store_unknown(register, 4);
        self.other_interface = start(register);
    }

    /// Stores a number of the machine's order of which only one bit is known: that of `bit`, which is set in `number` or not.
    pub(super) fn store_bit(&mut self, register: Register, number: u32, bit: u32) {
        self.store_unknown(register, 4);
        let place = bit.to_ne_bytes().iter().position(|byte| *byte != 0);
        if let (Some(start), Some(nth)) = (start(register), place) {
            let at = (start + nth).min(63);
            self.bytes[at] = number.to_ne_bytes()[nth];
            self.known_bits = Some((at, bit.to_ne_bytes()[nth]));
        }
    }

    /// What the register holds; shorter than `length` where it goes beyond the last.
    pub(super) fn value(&self, register: Register, length: usize) -> Value<'_> {
        let start = start(register).unwrap_or(64);
        let bytes = &self.bytes[start..(start + length).min(64)];
        let known = self.known.checked_shr(u32::try_from(start).unwrap_or(64)).unwrap_or(0);
        let known_bits = self.known_bits.and_then(|(at, bits)| at.checked_sub(start).map(|nth| (nth, bits)));
        Value { bytes, known, known_bits, is_other_interface: self.other_interface == Some(start) }
    }
}

fn start(register: Register) -> Option<usize> {
    register.first_slot().and_then(|slot| usize::try_from(slot * 4).ok())
}

impl Value<'_> {
    pub(super) fn is_known_at(&self, at: usize) -> bool {
        at < self.bytes.len() && self.known >> at & 1 == 1
    }

    /// The bytes that are known once `mask` is on them, a bit each.
    pub(super) fn known_under(&self, mask: &[u8]) -> u64 {
        let mut known = self.known;
        for at in 0..self.bytes.len() {
            let known_bits = self.known_bits.filter(|&(byte, _)| byte == at).map_or(0, |(_, bits)| bits);
            if mask.get(at).copied().unwrap_or(0) & !known_bits == 0 {
                known |= 1 << at;
            }
        }
        known
    }

    /// All its bytes, if they are known.
    pub(super) fn all(&self) -> Option<&[u8]> {
        (0..self.bytes.len()).all(|at| self.is_known_at(at)).then_some(self.bytes)
    }

    pub(super) fn equals(&self, other: &[u8]) -> Tri {
        if self.is_other_interface && other == 1_u32.to_ne_bytes() {
            return Tri::No;
        }
        let pairs = other.iter().enumerate().map(|(at, byte)| match self.bytes.get(at) {
            Some(own) if self.is_known_at(at) => Tri::from(own == byte),
            Some(_) | None => Tri::Maybe,
        });
        pairs.fold(Tri::Yes, Tri::and)
    }

    /// Byte by byte, as `memcmp` does.
    pub(super) fn compare(&self, other: &[u8]) -> Option<std::cmp::Ordering> {
        for (at, byte) in other.iter().enumerate() {
            if !self.is_known_at(at) {
                return None;
            }
            match self.bytes[at].cmp(byte) {
                std::cmp::Ordering::Equal => {}
                unequal => return Some(unequal),
            }
        }
        Some(std::cmp::Ordering::Equal)
    }
}
