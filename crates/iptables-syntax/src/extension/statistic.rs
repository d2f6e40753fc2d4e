//! `-m statistic`: chance, or each nth packet.

/// Chance, or each nth packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistic {
    /// `--mode random`.
    Random {
        /// Whether `!` stands before `--probability`.
        negated: bool,
        /// `--probability`, in parts of 2^31.
        probability: u32,
    },
    /// `--mode nth`.
    Nth {
        /// Whether `!` stands before `--every`.
        negated: bool,
        /// `--every`, at least 1.
        every: u32,
        /// `--packet`: which of them, from 0.
        packet: u32,
    },
}
