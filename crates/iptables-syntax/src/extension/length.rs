//! `-m length`: the length of the packet.

use crate::{Interval, Negatable};

/// The length of the packet from its IP header on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// `--length`, in bytes.
    pub bytes: Negatable<Interval<u16>>,
}
