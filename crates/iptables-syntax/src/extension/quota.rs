//! `-m quota`: a number of bytes that is used up.

/// A number of bytes that is used up: matches as long as some is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Whether it matches once nothing is left.
    pub negated: bool,
    /// `--quota`.
    pub bytes: u64,
}
