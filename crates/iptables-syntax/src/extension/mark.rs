//! `-m mark`, `-j MARK`: the mark of the packet.

use crate::{Masked, Negatable};

/// The mark of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// `--mark`.
    pub mark: Negatable<Masked<u32>>,
}

/// Writes the mark: `mark = (mark & !mask) ^ value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkTarget {
    /// `--set-xmark value/mask`, of which `--set-mark`, `--and-mark`, `--or-mark` and `--xor-mark` are spellings.
    pub xmark: Masked<u32>,
}
