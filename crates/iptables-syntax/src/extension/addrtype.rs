//! `-m addrtype`: what the routing table says of an address.

use crate::Negatable;

/// Kinds of addresses, as the routing table has them. At least one of the two is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addrtype {
    /// `--src-type`.
    pub source: Option<Negatable<AddressTypes>>,
    /// `--dst-type`.
    pub destination: Option<Negatable<AddressTypes>>,
    /// `--limit-iface-in`: asked for the interface by which the packet came.
    pub limit_input: bool,
    /// `--limit-iface-out`: asked for the interface by which the packet goes.
    pub limit_output: bool,
}

/// A set of kinds: the bits are the kernel's (`1 << RTN_*`, `linux/rtnetlink.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AddressTypes(pub u16);

impl AddressTypes {
    /// The names, by bit.
    pub const NAMES: [&'static str; 12] = [
        "UNSPEC",
        "UNICAST",
        "LOCAL",
        "BROADCAST",
        "ANYCAST",
        "MULTICAST",
        "BLACKHOLE",
        "UNREACHABLE",
        "PROHIBIT",
        "THROW",
        "NAT",
        "XRESOLVE",
    ];
    /// An address of this machine (`RTN_LOCAL`).
    pub const LOCAL: Self = Self(1 << 2);
}
