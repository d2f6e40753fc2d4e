//! `-m mac`: the sender's MAC address.

use crate::Negatable;

/// The sender's MAC address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mac {
    /// `--mac-source`.
    pub source: Negatable<MacAddress>,
}

/// A MAC address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MacAddress {
    /// Six bytes.
    Address([u8; 6]),
    /// What stands in a dump whose addresses were made unreadable. Lenient mode only.
    Unreadable(String),
}
