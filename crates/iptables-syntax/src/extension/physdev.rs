//! `-m physdev`: ports of a bridge.

use crate::{Interface, Negatable};

/// Ports of a bridge. `Some(false)` is the negated condition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Physdev {
    /// `--physdev-in`.
    pub input: Option<Negatable<Interface>>,
    /// `--physdev-out`.
    pub output: Option<Negatable<Interface>>,
    /// `--physdev-is-in`.
    pub is_in: Option<bool>,
    /// `--physdev-is-out`.
    pub is_out: Option<bool>,
    /// `--physdev-is-bridged`.
    pub is_bridged: Option<bool>,
}
