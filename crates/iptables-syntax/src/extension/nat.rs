//! `-j DNAT`, `SNAT`, `MASQUERADE`, `REDIRECT`: addresses and ports are rewritten.

use std::net::IpAddr;

use crate::{Interval, PortRange};

/// `DNAT` and `SNAT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nat {
    /// The new addresses; `None`: the address stays (`--to-destination :80`).
    pub addresses: Option<NatAddresses>,
    /// The new ports.
    pub ports: Option<NatPorts>,
    /// `--random`.
    pub random: bool,
    /// `--random-fully`.
    pub fully_random: bool,
    /// `--persistent`.
    pub persistent: bool,
}

/// One address, or the addresses from the first to the last.
pub type NatAddresses = Interval<IpAddr>;

/// New ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NatPorts {
    /// The ports.
    pub range: PortRange,
    /// Where the range of original ports begins that is mapped one to one (`DNAT --to-destination 1.1.1.1:1000-2000/3000`).
    pub base: Option<u16>,
}

/// `MASQUERADE` and `REDIRECT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Masquerade {
    /// `--to-ports`.
    pub ports: Option<PortRange>,
    /// `--random`.
    pub random: bool,
    /// `--random-fully`; `MASQUERADE` alone.
    pub fully_random: bool,
}
