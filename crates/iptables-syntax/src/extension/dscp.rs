//! `-m dscp`: the differentiated services code point.

use crate::Negatable;

/// The differentiated services code point, at most 0x3f.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dscp {
    /// `--dscp`, `--dscp-class`.
    pub value: Negatable<u8>,
}
