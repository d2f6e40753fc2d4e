//! `-m ttl`, `-m hl`, `-j TTL`, `-j HL`: how far a packet may still go.

use super::Comparison;

/// The time to live of IPv4, or the hop limit of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ttl {
    /// `--ttl-eq`, `--ttl-lt`, `--ttl-gt`; `--hl-` likewise.
    pub comparison: Comparison,
    /// With what it is compared.
    pub value: u8,
}

/// Writes the time to live or the hop limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TtlTarget {
    /// `--ttl-set`.
    Set(u8),
    /// `--ttl-inc`, at least 1.
    Increase(u8),
    /// `--ttl-dec`, at least 1.
    Decrease(u8),
}
