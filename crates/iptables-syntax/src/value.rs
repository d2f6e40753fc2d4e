//! The values that rules are made of.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `iptables` or `ip6tables`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// `iptables`.
    Ipv4,
    /// `ip6tables`.
    Ipv6,
}

/// A condition that may stand behind `!`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Negatable<T> {
    /// Whether `!` stands before it.
    pub negated: bool,
    /// The condition.
    pub value: T,
}

impl<T> Negatable<T> {
    /// The condition as it is, without `!`.
    pub const fn plain(value: T) -> Self {
        Self { negated: false, value }
    }

    /// The condition behind `!`.
    pub const fn not(value: T) -> Self {
        Self { negated: true, value }
    }
}

/// From `first` to `last`, both included. `first` may be greater: such a range holds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interval<T> {
    /// The first value within.
    pub first: T,
    /// The last value within.
    pub last: T,
}

impl<T: Copy + PartialEq> Interval<T> {
    /// From `first` to `last`, both included.
    pub const fn new(first: T, last: T) -> Self {
        Self { first, last }
    }

    /// One value alone.
    pub const fn one(value: T) -> Self {
        Self { first: value, last: value }
    }

    /// Whether it is one value alone.
    pub fn is_one(&self) -> bool {
        self.first == self.last
    }
}

/// Ports from the first to the last.
pub type PortRange = Interval<u16>;

/// Packets and bytes that passed a rule or a chain's policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Counters {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// An IP protocol number (IANA); never 0, which `iptables` reads as "any" and which is then no condition at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Protocol(pub u8);

/// What `-s` and `-d` take: an address under a mask that need not be contiguous.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AddressSpec {
    /// IPv4. The address has no bits outside of the mask.
    V4 {
        /// The address.
        address: Ipv4Addr,
        /// The mask, of which only the bits set count.
        mask: Ipv4Addr,
    },
    /// IPv6. The address has no bits outside of the mask.
    V6 {
        /// The address.
        address: Ipv6Addr,
        /// The mask, of which only the bits set count.
        mask: Ipv6Addr,
    },
    /// A host name (with its mask), which `iptables` resolves when it loads the rule. Lenient mode only.
    Name(String),
}

impl AddressSpec {
    /// The length of the prefix, where the mask is contiguous.
    pub fn prefix(&self) -> Option<u8> {
        let (bits, ones) = match self {
            Self::V4 { mask, .. } => (u128::from(u32::from(*mask)) << 96, u32::from(*mask).count_ones()),
            Self::V6 { mask, .. } => (u128::from(*mask), u128::from(*mask).count_ones()),
            Self::Name(_) => return None,
        };
        if bits.leading_ones() == ones { u8::try_from(ones).ok() } else { None }
    }

    /// The address, where it is one and no name.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::V4 { address, .. } => Some((*address).into()),
            Self::V6 { address, .. } => Some((*address).into()),
            Self::Name(_) => None,
        }
    }
}

/// An interface, or with a `+` at its end every interface whose name begins so.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Interface(pub String);

impl Interface {
    /// The name, without the `+` of a prefix.
    pub fn name(&self) -> &str {
        self.0.strip_suffix('+').unwrap_or(&self.0)
    }

    /// Whether it stands for every interface whose name begins so.
    pub fn is_prefix(&self) -> bool {
        self.0.ends_with('+')
    }
}

/// A value of which only the bits under the mask count: a match tests `field & mask == value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Masked<T> {
    /// The value.
    pub value: T,
    /// The mask.
    pub mask: T,
}

/// One end of a packet or connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Where it comes from.
    Source,
    /// Where it goes to.
    Destination,
}

/// So many packets in each unit of time, as the kernel's resolution of 1/10000 s leaves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// Packets in each unit.
    pub packets: u32,
    /// The unit.
    pub per: TimeUnit,
}

/// The unit of a [`Rate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeUnit {
    /// `sec`.
    Second,
    /// `min`.
    Minute,
    /// `hour`.
    Hour,
    /// `day`.
    Day,
}

impl TimeUnit {
    /// Its length in seconds.
    pub const fn seconds(self) -> u32 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }
}
