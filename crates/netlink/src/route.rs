//! Links, addresses and routes: rtnetlink(7).
//!
//! Source: `include/uapi/linux/{rtnetlink,if_link,if_addr}.h`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::attribute::{Attribute, Attributes, DecodeError};
use crate::message::Message;
use crate::socket::{Error, Socket};

pub mod write;

const RTM_GETLINK: u16 = 18;
const RTM_GETADDR: u16 = 22;
const RTM_GETROUTE: u16 = 26;

const AF_UNSPEC: u8 = 0;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

const IFF_UP: u32 = 1;

const IFINFOMSG: usize = 16;
const IFADDRMSG: usize = 8;
const RTMSG: usize = 12;

const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_TABLE: u16 = 15;

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its number in this network namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Set administratively up (`IFF_UP`).
    pub up: bool,
    /// All flags, `IFF_*` of netdevice(7).
    pub flags: u32,
    /// What kind of virtual link it is (`veth`, `bridge`, `dummy`); none for hardware and loopback.
    pub kind: Option<String>,
}

impl Link {
    /// Whether it is the loopback interface (`IFF_LOOPBACK`).
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.flags & 0x8 != 0
    }

    /// Whether packets pass: the carrier is there (`IFF_LOWER_UP`), and the kernel has acted on it (`IFF_RUNNING`). A link that was just
    /// set up drops everything until then, which may be a second: the kernel looks at new carriers no more often.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.flags & 0x1_0040 == 0x1_0040
    }
}

/// How far an address or a route reaches (`RT_SCOPE_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Everywhere.
    Universe,
    /// This site.
    Site,
    /// This link.
    Link,
    /// This host.
    Host,
    /// Nowhere: no such destination.
    Nowhere,
    /// Set by the administrator.
    Other(u8),
}

impl From<u8> for Scope {
    fn from(number: u8) -> Self {
        match number {
            0 => Self::Universe,
            200 => Self::Site,
            253 => Self::Link,
            254 => Self::Host,
            255 => Self::Nowhere,
            other => Self::Other(other),
        }
    }
}

/// An address of this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The interface that has it.
    pub index: u32,
    /// The address.
    pub address: IpAddr,
    /// Bits of its network.
    pub prefix: u8,
    /// How far it reaches.
    pub scope: Scope,
    /// `IFA_F_*`: 0x01 temporary, 0x08 duplicate found, 0x20 deprecated, 0x40 tentative, 0x80 permanent.
    pub flags: u32,
}

/// Where packets for a destination go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The destination; the unspecified address with prefix 0 is the default route.
    pub destination: IpAddr,
    /// Bits of the destination.
    pub prefix: u8,
    /// The next hop, where there is one.
    pub gateway: Option<IpAddr>,
    /// The interface it leaves by.
    pub index: Option<u32>,
    /// Less is preferred.
    pub metric: u32,
    /// The routing table: 254 is main, 255 local.
    pub table: u32,
    /// `RTN_*`: 1 unicast, 2 local, 3 broadcast, 5 multicast, 6 blackhole, 7 unreachable, 8 prohibit.
    pub kind: u8,
}

impl Route {
    /// Whether it is a default route that leads somewhere.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.prefix == 0 && self.kind == 1
    }
}

/// The network interfaces of the socket's namespace.
///
/// # Errors
/// Those of [`Socket::dump`].
pub fn links(socket: &mut Socket) -> Result<Vec<Link>, Error> {
    socket.dump(RTM_GETLINK, |w| w.raw(&[0; IFINFOMSG]), decode_link)
}

/// The addresses of the socket's namespace, both families.
///
/// # Errors
/// Those of [`Socket::dump`].
pub fn addresses(socket: &mut Socket) -> Result<Vec<Address>, Error> {
    socket.dump(RTM_GETADDR, |w| w.raw(&[AF_UNSPEC, 0, 0, 0, 0, 0, 0, 0]), decode_address)
}

/// The routes of the socket's namespace: all tables, IPv4 first.
///
/// # Errors
/// Those of [`Socket::dump`].
pub fn routes(socket: &mut Socket) -> Result<Vec<Route>, Error> {
    let mut routes = Vec::new();
    for family in [AF_INET, AF_INET6] {
        let header = [family, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        match socket.dump(RTM_GETROUTE, |w| w.raw(&header), decode_route) {
            Ok(some) => routes.extend(some),
            // A kernel without IPv6.
            Err(error) if family == AF_INET6 && error.errno() == Some(crate::Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(routes)
}

fn decode_link(message: &Message<'_>) -> Result<Option<Link>, DecodeError> {
    let header: [u8; IFINFOMSG] = fixed(message.payload)?;
    let flags = u32::from_ne_bytes([header[8], header[9], header[10], header[11]]);
    let mut link = Link {
        index: u32::from_ne_bytes([header[4], header[5], header[6], header[7]]),
        name: String::new(),
        up: flags & IFF_UP != 0,
        flags,
        kind: None,
    };
    for attribute in Attributes::after(message.payload, IFINFOMSG) {
        let attribute = attribute?;
        match attribute.kind {
            IFLA_IFNAME => link.name = attribute.string(),
            IFLA_LINKINFO => {
                for inner in attribute.nested() {
                    let inner = inner?;
                    if inner.kind == IFLA_INFO_KIND {
                        link.kind = Some(inner.string());
                    }
                }
            }
            _ => {}
        }
    }
    Ok(Some(link))
}

fn decode_address(message: &Message<'_>) -> Result<Option<Address>, DecodeError> {
    let header: [u8; IFADDRMSG] = fixed(message.payload)?;
    let (mut local, mut address, mut flags) = (None, None, u32::from(header[2]));
    for attribute in Attributes::after(message.payload, IFADDRMSG) {
        let attribute = attribute?;
        match attribute.kind {
            // On a point-to-point link IFA_ADDRESS is the peer, IFA_LOCAL this host.
            IFA_LOCAL => local = ip(&attribute),
            IFA_ADDRESS => address = ip(&attribute),
            IFA_FLAGS => flags = attribute.u32_ne()?,
            _ => {}
        }
    }
    Ok(local.or(address).map(|address| Address {
        index: u32::from_ne_bytes([header[4], header[5], header[6], header[7]]),
        address,
        prefix: header[1],
        scope: header[3].into(),
        flags,
    }))
}

fn decode_route(message: &Message<'_>) -> Result<Option<Route>, DecodeError> {
    let header: [u8; RTMSG] = fixed(message.payload)?;
    let destination = match header[0] {
        AF_INET => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AF_INET6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return Ok(None),
    };
    let mut route = Route {
        destination,
        prefix: header[1],
        gateway: None,
        index: None,
        metric: 0,
        table: u32::from(header[4]),
        kind: header[7],
    };
    for attribute in Attributes::after(message.payload, RTMSG) {
        let attribute = attribute?;
        match attribute.kind {
            RTA_DST => route.destination = ip(&attribute).unwrap_or(destination),
            RTA_GATEWAY => route.gateway = ip(&attribute),
            RTA_OIF => route.index = Some(attribute.u32_ne()?),
            RTA_PRIORITY => route.metric = attribute.u32_ne()?,
            RTA_TABLE => route.table = attribute.u32_ne()?,
            _ => {}
        }
    }
    Ok(Some(route))
}

fn ip(attribute: &Attribute<'_>) -> Option<IpAddr> {
    attribute.array::<4>().map(IpAddr::from).or_else(|_| attribute.array::<16>().map(IpAddr::from)).ok()
}

fn fixed<const N: usize>(payload: &[u8]) -> Result<[u8; N], DecodeError> {
    payload
        .get(..N)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(DecodeError::Length { claimed: N, available: payload.len() })
}
