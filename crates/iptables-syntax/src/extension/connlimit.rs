//! `-m connlimit`: connections that one client or network already has.

use crate::Side;

/// Connections that one client or network already has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connlimit {
    /// `--connlimit-above` where true, else `--connlimit-upto`.
    pub above: bool,
    /// How many.
    pub limit: u32,
    /// `--connlimit-mask`: the prefix that clients share; 32 or 128 when it is left out.
    pub mask: u8,
    /// `--connlimit-saddr`, `--connlimit-daddr`.
    pub side: Side,
}
