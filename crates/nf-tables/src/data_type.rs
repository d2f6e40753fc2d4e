//! What the bytes of a set's key or value mean.

use serde::{Deserialize, Serialize};

/// The type that `nft` gives to the keys or values of a set.
///
/// The kernel stores the number and does not look at it, but for [`DataType::VERDICT`]; `nft list` prints by it.
/// Source: `include/datatype.h` of nftables, an interface that cannot change since the numbers are saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DataType(pub u32);

impl DataType {
    /// The value is a verdict: the map is a dispatch (`vmap`).
    pub const VERDICT: Self = Self(0xffff_ff00);
    /// Address family of netfilter, 1 byte.
    pub const NFPROTO: Self = Self(2);
    /// A number without further meaning.
    pub const INTEGER: Self = Self(4);
    /// Text.
    pub const STRING: Self = Self(5);
    /// IPv4 address, 4 bytes.
    pub const IPV4_ADDRESS: Self = Self(7);
    /// IPv6 address, 16 bytes.
    pub const IPV6_ADDRESS: Self = Self(8);
    /// Ethernet address, 6 bytes.
    pub const ETHER_ADDRESS: Self = Self(9);
    /// Ethertype, 2 bytes, network order.
    pub const ETHER_TYPE: Self = Self(10);
    /// Transport protocol, 1 byte.
    pub const INET_PROTOCOL: Self = Self(12);
    /// Port, 2 bytes, network order.
    pub const INET_SERVICE: Self = Self(13);
    /// ICMP type, 1 byte.
    pub const ICMP_TYPE: Self = Self(14);
    /// Packet mark, 4 bytes, the machine's order.
    pub const MARK: Self = Self(19);
    /// Interface index, 4 bytes, the machine's order.
    pub const IFINDEX: Self = Self(20);
    /// Connection state, 4 bytes, the machine's order.
    pub const CT_STATE: Self = Self(26);
    /// `ICMPv6` type, 1 byte.
    pub const ICMPV6_TYPE: Self = Self(29);
    /// Interface name, 16 bytes, filled with zeros.
    pub const IFNAME: Self = Self(41);

    /// The type of a key made of several fields: six bits each, the first field highest.
    #[must_use]
    pub fn concatenation(fields: &[Self]) -> Self {
        Self(fields.iter().fold(0, |joined, field| joined << 6 | field.0 & 0x3f))
    }
}
