//! `-m cpu`: the processor that handles the packet.

use crate::Negatable;

/// The processor that handles the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu {
    /// `--cpu`.
    pub number: Negatable<u32>,
}
