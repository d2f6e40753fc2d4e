//! `-m ecn`: explicit congestion notification.

use crate::Negatable;

/// Explicit congestion notification. `Some(false)` is the negated condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ecn {
    /// `--ecn-tcp-cwr`.
    pub cwr: Option<bool>,
    /// `--ecn-tcp-ece`.
    pub ece: Option<bool>,
    /// `--ecn-ip-ect`, at most 3.
    pub ect: Option<Negatable<u8>>,
}
