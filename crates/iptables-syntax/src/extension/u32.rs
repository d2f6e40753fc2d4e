//! `-m u32`: arithmetic on the packet's bytes.

use crate::Interval;

/// Arithmetic on the packet's bytes: every test must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct U32 {
    /// Whether `!` stands before it.
    pub negated: bool,
    /// The tests.
    pub tests: Vec<U32Test>,
}

/// One test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct U32Test {
    /// The offset of the first four bytes.
    pub offset: u32,
    /// What is done with them, in order.
    pub operations: Vec<(U32Operator, u32)>,
    /// One of them holds the result.
    pub values: Vec<Interval<u32>>,
}

/// What is done with the value so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum U32Operator {
    /// `&`.
    And,
    /// `<<`.
    ShiftLeft,
    /// `>>`.
    ShiftRight,
    /// `@`: the value is added to the offset, from which four bytes are read anew.
    Move,
}
