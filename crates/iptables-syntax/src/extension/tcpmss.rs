//! `-m tcpmss`, `-j TCPMSS`: the maximum segment size of a TCP SYN.

use crate::{Interval, Negatable};

/// The maximum segment size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tcpmss {
    /// `--mss`.
    pub mss: Negatable<Interval<u16>>,
}

/// Lowers the maximum segment size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpmssTarget {
    /// `--set-mss`.
    Set(u16),
    /// `--clamp-mss-to-pmtu`.
    Clamp,
}
