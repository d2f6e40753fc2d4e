//! What can be asked of a packet, one field at a time.
//!
//! The machine that decides a packet and the evaluator of a policy read a packet only through [`Facts`]. A real packet
//! answers everything it knows; the prover answers a part, learns which field is needed next ([`Need`]), and goes on
//! with each class of its values.

use crate::machine::Cause;
use crate::packet::{Addresses, Hook, Packet, Payload, protocol};

/// A field of a packet, or something the kernel knows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Field {
    /// The name of the interface it came in by, as a 16-byte number; 0 for none.
    InputName,
    /// The name of the interface it leaves by.
    OutputName,
    /// [`IPV4`] or [`IPV6`].
    Family,
    /// The transport protocol.
    Protocol,
    /// The source address.
    Source,
    /// The destination address.
    Destination,
    /// The port it is from.
    SourcePort,
    /// The port it is to.
    DestinationPort,
    /// The ICMP or `ICMPv6` message.
    IcmpKind,
    /// Its variant.
    IcmpCode,
    /// TCP flags.
    TcpFlags,
    /// One bit of [`crate::State::bit`].
    State,
    /// Time to live, or hop limit.
    HopLimit,
    /// The packet's mark.
    Mark,
    /// [`DNAT`] where the flow's destination was translated, 0 where it was not. Of `ct status`, this bit alone is known.
    Status,
    /// The destination that the sender of the flow's first packet had written.
    OriginalDestination,
    /// The port that the sender of the flow's first packet had written.
    OriginalPort,
}

/// `IPS_DST_NAT` of `nf_conntrack_common.h`.
pub(crate) const DNAT: u128 = 0x20;

impl Field {
    pub(crate) const COUNT: usize = 17;

    pub(crate) const ALL: [Self; Self::COUNT] = [
        Self::InputName,
        Self::OutputName,
        Self::Family,
        Self::Protocol,
        Self::Source,
        Self::Destination,
        Self::SourcePort,
        Self::DestinationPort,
        Self::IcmpKind,
        Self::IcmpCode,
        Self::TcpFlags,
        Self::State,
        Self::HopLimit,
        Self::Mark,
        Self::Status,
        Self::OriginalDestination,
        Self::OriginalPort,
    ];

    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// How many bytes it has, in packets of that family.
    pub(crate) const fn bytes(self, ipv6: bool) -> usize {
        match self {
            Self::InputName | Self::OutputName => 16,
            Self::Source | Self::Destination | Self::OriginalDestination => {
                if ipv6 {
                    16
                } else {
                    4
                }
            }
            Self::SourcePort | Self::DestinationPort | Self::OriginalPort => 2,
            Self::State | Self::Mark | Self::Status => 4,
            Self::Family
            | Self::Protocol
            | Self::IcmpKind
            | Self::IcmpCode
            | Self::TcpFlags
            | Self::HopLimit => 1,
        }
    }
}

/// `NFPROTO_IPV4`.
pub(crate) const IPV4: u128 = 2;
/// `NFPROTO_IPV6`.
pub(crate) const IPV6: u128 = 10;

/// The field that has to be known before one can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Need(pub(crate) Field);

/// A packet that can be asked.
pub(crate) trait Facts {
    /// The value; `None` where the packet has no such field, or it is unknown.
    fn get(&self, field: Field) -> Result<Option<u128>, Need>;

    /// Whether an expression that depends on something outside of the packet lets it on; `None` where that is not known.
    fn lets_on(&self, _: Cause) -> Option<bool> {
        None
    }

    /// Whether the packet is IPv6.
    fn is_ipv6(&self) -> Result<bool, Need> {
        Ok(self.get(Field::Family)? == Some(IPV6))
    }
}

impl Facts for Packet {
    fn get(&self, field: Field) -> Result<Option<u128>, Need> {
        Ok(match field {
            Field::InputName => Some(self.input.as_deref().map_or(0, interface_number)),
            Field::OutputName => Some(self.output.as_deref().map_or(0, interface_number)),
            Field::Family => Some(match self.addresses {
                Addresses::Ipv4 { .. } => IPV4,
                Addresses::Ipv6 { .. } => IPV6,
            }),
            Field::Protocol => Some(u128::from(self.payload.protocol())),
            Field::Source => Some(crate::ranges::address_number(self.addresses.source())),
            Field::Destination => Some(crate::ranges::address_number(self.addresses.destination())),
            Field::SourcePort => match self.payload {
                Payload::Tcp { source, .. } | Payload::Udp { source, .. } => Some(u128::from(source)),
                Payload::Icmp { .. } | Payload::Icmpv6 { .. } | Payload::Other(_) => None,
            },
            Field::DestinationPort => match self.payload {
                Payload::Tcp { destination, .. } | Payload::Udp { destination, .. } => {
                    Some(u128::from(destination))
                }
                Payload::Icmp { .. } | Payload::Icmpv6 { .. } | Payload::Other(_) => None,
            },
            Field::IcmpKind => match self.payload {
                Payload::Icmp { kind, .. } | Payload::Icmpv6 { kind, .. } => Some(u128::from(kind)),
                Payload::Tcp { .. } | Payload::Udp { .. } | Payload::Other(_) => None,
            },
            Field::IcmpCode => match self.payload {
                Payload::Icmp { code, .. } | Payload::Icmpv6 { code, .. } => Some(u128::from(code)),
                Payload::Tcp { .. } | Payload::Udp { .. } | Payload::Other(_) => None,
            },
            Field::TcpFlags => match self.payload {
                Payload::Tcp { flags, .. } => Some(u128::from(flags)),
                Payload::Udp { .. } | Payload::Icmp { .. } | Payload::Icmpv6 { .. } | Payload::Other(_) => {
                    None
                }
            },
            Field::State => Some(u128::from(self.state.bit())),
            Field::HopLimit => Some(u128::from(self.hop_limit)),
            Field::Mark => Some(u128::from(self.mark)),
            Field::Status => Some(if self.published_from.is_some() { DNAT } else { 0 }),
            Field::OriginalDestination => match self.published_from {
                Some(original) => Some(crate::ranges::address_number(original.ip())),
                None => self.if_it_opens_its_flow(Field::Destination)?,
            },
            Field::OriginalPort => match (self.payload, self.published_from) {
                (Payload::Tcp { .. } | Payload::Udp { .. }, Some(original)) => {
                    Some(u128::from(original.port()))
                }
                (Payload::Tcp { .. } | Payload::Udp { .. }, None) => {
                    self.if_it_opens_its_flow(Field::DestinationPort)?
                }
                // In place of a port, connection tracking keeps an ICMP type and code, or whatever the protocol has.
                (Payload::Icmp { .. } | Payload::Icmpv6 { .. } | Payload::Other(_), _) => None,
            },
        })
    }
}

impl Packet {
    /// A field that is the same in the first packet of the flow, if this is that packet: of any other it is not known
    /// which way it goes.
    fn if_it_opens_its_flow(&self, field: Field) -> Result<Option<u128>, Need> {
        if self.state == crate::packet::State::New { self.get(field) } else { Ok(None) }
    }
}

/// An interface's name as the kernel compares it: 16 bytes, filled with zeros.
pub(crate) fn interface_number(name: &str) -> u128 {
    let mut bytes = [0; 16];
    let length = name.len().min(15);
    bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
    u128::from_be_bytes(bytes)
}

/// The name behind [`interface_number`]; `None` for none.
pub(crate) fn interface_name(number: u128) -> Option<String> {
    let bytes = number.to_be_bytes();
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    (end > 0).then(|| String::from_utf8_lossy(&bytes[..end]).into_owned())
}

/// Where a port, an ICMP type or the flags stand in the transport header of a protocol: field, offset.
pub(crate) const fn transport_layout(number: u128) -> &'static [(Field, usize)] {
    const TCP: u128 = protocol::TCP as u128;
    const UDP: u128 = protocol::UDP as u128;
    const ICMP: u128 = protocol::ICMP as u128;
    const ICMPV6: u128 = protocol::ICMPV6 as u128;
    match number {
        TCP => &[(Field::SourcePort, 0), (Field::DestinationPort, 2), (Field::TcpFlags, 13)],
        UDP => &[(Field::SourcePort, 0), (Field::DestinationPort, 2)],
        ICMP | ICMPV6 => &[(Field::IcmpKind, 0), (Field::IcmpCode, 1)],
        _ => &[],
    }
}

/// Where the addresses, the hop limit and the protocol stand in the IP header (RFC 791, RFC 8200). The next header of
/// IPv6 is left out: an extension header may stand before the transport.
pub(crate) const fn network_layout(ipv6: bool) -> &'static [(Field, usize)] {
    if ipv6 {
        &[(Field::HopLimit, 7), (Field::Source, 8), (Field::Destination, 24)]
    } else {
        &[(Field::HopLimit, 8), (Field::Protocol, 9), (Field::Source, 12), (Field::Destination, 16)]
    }
}

/// Whether a packet at the hook has come in by an interface.
pub(crate) const fn has_input(hook: Hook) -> bool {
    matches!(hook, Hook::Prerouting | Hook::Input | Hook::Forward)
}

/// Whether a packet at the hook leaves by an interface.
pub(crate) const fn has_output(hook: Hook) -> bool {
    matches!(hook, Hook::Forward | Hook::Output | Hook::Postrouting)
}
