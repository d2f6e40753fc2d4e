//! `-m pkttype`: to whom the packet was sent on the link.

use crate::Negatable;

/// To whom the packet was sent on the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pkttype {
    /// `--pkt-type`.
    pub kind: Negatable<PacketType>,
}

/// The kinds that `iptables` names (`linux/if_packet.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PacketType {
    /// To this machine.
    Unicast,
    /// To all.
    Broadcast,
    /// To a group.
    Multicast,
}
