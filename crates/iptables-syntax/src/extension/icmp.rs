//! `-m icmp`, `-m icmp6`: type and code.

use crate::{Interval, Negatable};

/// Type and code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Icmp {
    /// `--icmp-type`, `--icmpv6-type`.
    pub kind: Negatable<IcmpType>,
}

/// A type with its codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IcmpType {
    /// The type; `None`: any (IPv4 alone).
    pub number: Option<u8>,
    /// The codes.
    pub codes: Interval<u8>,
}
