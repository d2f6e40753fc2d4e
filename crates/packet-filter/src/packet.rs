//! A packet as a ruleset sees it, and the hook it is at.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// A packet, with what the kernel knows of it besides its bytes.
///
/// What is not here (its length, its fragment, its time, the user who sent it) is unknown, and a rule that looks at it
/// may or may not match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packet {
    /// The interface it came in by; `None` where this host made it.
    pub input: Option<String>,
    /// The interface it leaves by; `None` where it stays.
    pub output: Option<String>,
    /// From whom to whom.
    pub addresses: Addresses,
    /// What it carries.
    pub payload: Payload,
    /// What connection tracking says of it.
    pub state: State,
    /// IPv4's time to live, IPv6's hop limit.
    pub hop_limit: u8,
    /// The packet's mark (`meta mark`).
    pub mark: u32,
    /// Where its flow was addressed to before a NAT rule (DNAT) sent it here, as to a published container port; `None`
    /// for a flow whose destination was not translated. The port is 0 for a protocol without ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_from: Option<SocketAddr>,
}

/// Source and destination, of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Addresses {
    /// IPv4.
    Ipv4 {
        /// From whom.
        source: Ipv4Addr,
        /// To whom.
        destination: Ipv4Addr,
    },
    /// IPv6.
    Ipv6 {
        /// From whom.
        source: Ipv6Addr,
        /// To whom.
        destination: Ipv6Addr,
    },
}

/// What stands after the IP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Payload {
    /// TCP.
    Tcp {
        /// The sender's port.
        source: u16,
        /// The receiver's port.
        destination: u16,
        /// The flags byte (RFC 9293): FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32.
        flags: u8,
    },
    /// UDP.
    Udp {
        /// The sender's port.
        source: u16,
        /// The receiver's port.
        destination: u16,
    },
    /// ICMP (RFC 792).
    Icmp {
        /// The message; 8 is an echo request.
        kind: u8,
        /// Its variant.
        code: u8,
    },
    /// `ICMPv6` (RFC 4443, RFC 4861).
    Icmpv6 {
        /// The message; 128 is an echo request.
        kind: u8,
        /// Its variant.
        code: u8,
    },
    /// Any other protocol, by its number.
    Other(u8),
}

/// What connection tracking says of a packet: exactly one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It fits nothing known, nor may it begin anything.
    Invalid,
    /// It belongs to a flow that has been answered.
    Established,
    /// It is an error about a known flow, or opens one that a known flow announced.
    Related,
    /// It opens a flow, or continues one not yet answered.
    New,
    /// It is not tracked; neighbour discovery and multicast listener messages never are.
    Untracked,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Invalid, Self::Established, Self::Related, Self::New, Self::Untracked];

    /// The bit that `ct state` loads (`NF_CT_STATE_BIT` of `nf_conntrack_common.h`).
    #[must_use]
    pub const fn bit(self) -> u32 {
        match self {
            Self::Invalid => 1,
            Self::Established => 2,
            Self::Related => 4,
            Self::New => 8,
            Self::Untracked => 64,
        }
    }

    /// As `nft` writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Established => "established",
            Self::Related => "related",
            Self::New => "new",
            Self::Untracked => "untracked",
        }
    }
}

/// Where on its way through the kernel a packet is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    /// Before routing.
    Prerouting,
    /// It is for this host.
    Input,
    /// It is for another host, through this one.
    Forward,
    /// This host made it.
    Output,
    /// It is about to leave.
    Postrouting,
}

impl Hook {
    /// Every hook.
    pub const ALL: [Self; 5] =
        [Self::Prerouting, Self::Input, Self::Forward, Self::Output, Self::Postrouting];

    /// The number in `linux/netfilter.h` (`enum nf_inet_hooks`).
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Prerouting => 0,
            Self::Input => 1,
            Self::Forward => 2,
            Self::Output => 3,
            Self::Postrouting => 4,
        }
    }

    /// As `nft` writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prerouting => "prerouting",
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
            Self::Postrouting => "postrouting",
        }
    }
}

/// Source and destination are not of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{source_address} and {destination} are not of one address family")]
pub struct MixedFamilies {
    /// The source.
    pub source_address: IpAddr,
    /// The destination.
    pub destination: IpAddr,
}

impl Addresses {
    /// Both, if they are of one family.
    ///
    /// # Errors
    /// [`MixedFamilies`] if they are not.
    pub fn new(source: IpAddr, destination: IpAddr) -> Result<Self, MixedFamilies> {
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Ok(Self::Ipv4 { source, destination }),
            (IpAddr::V6(source), IpAddr::V6(destination)) => Ok(Self::Ipv6 { source, destination }),
            _ => Err(MixedFamilies { source_address: source, destination }),
        }
    }

    /// From whom.
    #[must_use]
    pub const fn source(self) -> IpAddr {
        match self {
            Self::Ipv4 { source, .. } => IpAddr::V4(source),
            Self::Ipv6 { source, .. } => IpAddr::V6(source),
        }
    }

    /// To whom.
    #[must_use]
    pub const fn destination(self) -> IpAddr {
        match self {
            Self::Ipv4 { destination, .. } => IpAddr::V4(destination),
            Self::Ipv6 { destination, .. } => IpAddr::V6(destination),
        }
    }
}

impl Payload {
    /// The protocol's number.
    #[must_use]
    pub const fn protocol(self) -> u8 {
        match self {
            Self::Tcp { .. } => protocol::TCP,
            Self::Udp { .. } => protocol::UDP,
            Self::Icmp { .. } => protocol::ICMP,
            Self::Icmpv6 { .. } => protocol::ICMPV6,
            Self::Other(number) => number,
        }
    }
}

/// Protocol numbers of the IP header (IANA).
pub(crate) mod protocol {
    pub(crate) const ICMP: u8 = 1;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const ICMPV6: u8 = 58;
}

/// The SYN flag of [`Payload::Tcp`].
pub const SYN: u8 = 0x02;

impl Packet {
    /// A packet that opens a flow (state new), on no interface yet.
    #[must_use]
    pub const fn new(addresses: Addresses, payload: Payload) -> Self {
        Self {
            input: None,
            output: None,
            addresses,
            payload,
            state: State::New,
            hop_limit: 64,
            mark: 0,
            published_from: None,
        }
    }

    /// The first packet of a TCP connection.
    ///
    /// # Errors
    /// [`MixedFamilies`] if the addresses are not of one family.
    pub fn tcp(from: SocketAddr, to: SocketAddr) -> Result<Self, MixedFamilies> {
        let payload = Payload::Tcp { source: from.port(), destination: to.port(), flags: SYN };
        Ok(Self::new(Addresses::new(from.ip(), to.ip())?, payload))
    }

    /// The first datagram of a UDP exchange.
    ///
    /// # Errors
    /// [`MixedFamilies`] if the addresses are not of one family.
    pub fn udp(from: SocketAddr, to: SocketAddr) -> Result<Self, MixedFamilies> {
        let payload = Payload::Udp { source: from.port(), destination: to.port() };
        Ok(Self::new(Addresses::new(from.ip(), to.ip())?, payload))
    }

    /// An echo request.
    ///
    /// # Errors
    /// [`MixedFamilies`] if the addresses are not of one family.
    pub fn ping(from: IpAddr, to: IpAddr) -> Result<Self, MixedFamilies> {
        let payload = match to {
            IpAddr::V4(_) => Payload::Icmp { kind: 8, code: 0 },
            IpAddr::V6(_) => Payload::Icmpv6 { kind: 128, code: 0 },
        };
        Ok(Self::new(Addresses::new(from, to)?, payload))
    }

    /// The same, having come in by `interface`.
    #[must_use]
    pub fn arriving_on(mut self, interface: impl Into<String>) -> Self {
        self.input = Some(interface.into());
        self
    }

    /// The same, leaving by `interface`.
    #[must_use]
    pub fn leaving_by(mut self, interface: impl Into<String>) -> Self {
        self.output = Some(interface.into());
        self
    }

    /// The same, in another state.
    #[must_use]
    pub const fn in_state(mut self, state: State) -> Self {
        self.state = state;
        self
    }

    /// The same, with another hop limit.
    #[must_use]
    pub const fn with_hop_limit(mut self, hop_limit: u8) -> Self {
        self.hop_limit = hop_limit;
        self
    }

    /// The same, after a NAT rule has sent it here: its sender had addressed it to `original`.
    #[must_use]
    pub const fn published_from(mut self, original: SocketAddr) -> Self {
        self.published_from = Some(original);
        self
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, destination) = (self.addresses.source(), self.addresses.destination());
        match self.payload {
            Payload::Tcp { source: from, destination: to, .. } => {
                write!(f, "tcp {} -> {}", SocketAddr::new(source, from), SocketAddr::new(destination, to))?;
            }
            Payload::Udp { source: from, destination: to } => {
                write!(f, "udp {} -> {}", SocketAddr::new(source, from), SocketAddr::new(destination, to))?;
            }
            Payload::Icmp { kind, code } => {
                write!(f, "icmp type {kind} code {code} {source} -> {destination}")?;
            }
            Payload::Icmpv6 { kind, code } => {
                write!(f, "icmpv6 type {kind} code {code} {source} -> {destination}")?;
            }
            Payload::Other(number) => write!(f, "protocol {number} {source} -> {destination}")?,
        }
        if let Some(name) = &self.input {
            write!(f, " in by {name}")?;
        }
        if let Some(name) = &self.output {
            write!(f, " out by {name}")?;
        }
        if let Some(original) = self.published_from {
            write!(f, ", published from {original}")?;
        }
        write!(f, ", {}", self.state.name())?;
        if self.hop_limit != 64 {
            write!(f, ", hop limit {}", self.hop_limit)?;
        }
        Ok(())
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
