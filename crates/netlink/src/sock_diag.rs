//! Sockets that wait for somebody: listening TCP, bound UDP and their like, by `sock_diag(7)`.
//!
//! Source: `include/uapi/linux/{sock_diag,inet_diag}.h`. A transport that the kernel has no diagnostics for is
//! an error ([`crate::Errno::NOENT`]), not an empty list.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::attribute::{Attributes, DecodeError};
use crate::message::Message;
use crate::socket::{Error, Socket};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

const TCP_ESTABLISHED: u8 = 1;
const TCP_CLOSE: u8 = 7;
const TCP_LISTEN: u8 = 10;

/// Bytes of `struct inet_diag_req_v2`.
const REQUEST: usize = 56;
/// Bytes of `struct inet_diag_msg`.
const ANSWER: usize = 72;

const V6_ONLY: u16 = 11;
const CGROUP_ID: u16 = 21;

/// A transport protocol whose sockets can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// TCP; listeners of MPTCP are among them.
    Tcp,
    /// UDP.
    Udp,
    /// UDP-Lite.
    UdpLite,
    /// SCTP.
    Sctp,
    /// Raw IP; the port is the protocol's number.
    Raw,
}

impl Transport {
    const fn protocol(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::UdpLite => 136,
            Self::Sctp => 132,
            Self::Raw => 255,
        }
    }

    /// The states of sockets that take in what a stranger sends.
    const fn states(self) -> u32 {
        match self {
            Self::Tcp | Self::Sctp => 1 << TCP_LISTEN,
            // A connected one takes from its peer alone, but is bound and shown.
            Self::Udp | Self::UdpLite | Self::Raw => 1 << TCP_CLOSE | 1 << TCP_ESTABLISHED,
        }
    }
}

/// A socket that is bound and waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundSocket {
    /// Its protocol.
    pub transport: Transport,
    /// Where it waits. Its family is the socket's: an IPv6 wildcard may take IPv4 as well, see `v6_only`.
    pub address: SocketAddr,
    /// The only peer that it takes from, for a connected UDP socket.
    pub peer: Option<SocketAddr>,
    /// The interface it is bound to (`SO_BINDTODEVICE`, or the scope of a link-local address).
    pub interface: Option<u32>,
    /// The inode that its file descriptors lead to (`socket:[N]`).
    pub inode: u32,
    /// The user who opened it.
    pub uid: u32,
    /// For an IPv6 socket: whether it keeps off IPv4.
    pub v6_only: Option<bool>,
    /// The inode of its control group's directory (Linux 5.9).
    pub cgroup: Option<u64>,
}

/// The sockets of `transport` that wait in the socket's network namespace: IPv4, then IPv6.
///
/// # Errors
/// [`Error::Refused`] with [`crate::Errno::NOENT`] where the kernel cannot list this transport; those of
/// [`Socket::dump`].
pub fn bound_sockets(socket: &mut Socket, transport: Transport) -> Result<Vec<BoundSocket>, Error> {
    let mut sockets = Vec::new();
    for family in [AF_INET, AF_INET6] {
        let mut request = [0; REQUEST];
        request[0] = family;
        request[1] = transport.protocol();
        request[4..8].copy_from_slice(&transport.states().to_ne_bytes());
        sockets.extend(socket.dump(
            SOCK_DIAG_BY_FAMILY,
            |w| w.raw(&request),
            |message| decode(transport, message).map(Some),
        )?);
    }
    Ok(sockets)
}

fn decode(transport: Transport, message: &Message<'_>) -> Result<BoundSocket, DecodeError> {
    let Some(head) = message.payload.first_chunk::<ANSWER>() else {
        return Err(DecodeError::Length { claimed: ANSWER, available: message.payload.len() });
    };
    let (v6_only, cgroup) = decode_attributes(Attributes::after(message.payload, ANSWER))?;
    let interface = u32_at(head, 40);
    let peer = SocketAddr::new(ip_at(head, 24)?, port_at(head, 6));
    Ok(BoundSocket {
        transport,
        address: SocketAddr::new(ip_at(head, 8)?, port_at(head, 4)),
        peer: (peer.port() != 0 || !peer.ip().is_unspecified()).then_some(peer),
        interface: (interface != 0).then_some(interface),
        inode: u32_at(head, 68),
        uid: u32_at(head, 64),
        v6_only,
        cgroup,
    })
}

fn decode_attributes(attributes: Attributes<'_>) -> Result<(Option<bool>, Option<u64>), DecodeError> {
    let (mut v6_only, mut cgroup) = (None, None);
    for attribute in attributes {
        let attribute = attribute?;
        match attribute.kind {
            V6_ONLY => v6_only = Some(attribute.u8()? != 0),
            CGROUP_ID => cgroup = Some(attribute.u64_ne()?),
            _ => {}
        }
    }
    Ok((v6_only, cgroup))
}

fn u32_at(head: &[u8; ANSWER], at: usize) -> u32 {
    u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
}

fn port_at(head: &[u8; ANSWER], at: usize) -> u16 {
    u16::from_be_bytes([head[at], head[at + 1]])
}

fn ip_at(head: &[u8; ANSWER], at: usize) -> Result<IpAddr, DecodeError> {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&head[at..at + 16]);
    match head[0] {
        AF_INET => Ok(IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]])),
        AF_INET6 => Ok(IpAddr::from(bytes)),
        other => Err(DecodeError::Unknown { what: "address family", value: u64::from(other) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Protocol;
    use std::net::{TcpListener, UdpSocket};

    fn listed(transport: Transport) -> Vec<BoundSocket> {
        bound_sockets(&mut Socket::open(Protocol::SockDiag).unwrap(), transport).unwrap()
    }

    fn find(transport: Transport, address: SocketAddr) -> BoundSocket {
        let all = listed(transport);
        all.iter().find(|socket| socket.address == address).cloned().unwrap_or_else(|| panic!("{all:?}"))
    }

    fn inode_of(fd: &impl std::os::fd::AsRawFd) -> String {
        std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap().display().to_string()
    }

    #[test]
    fn a_tcp_listener_is_listed_with_its_inode_user_and_cgroup() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let found = find(Transport::Tcp, listener.local_addr().unwrap());
        assert_eq!(format!("socket:[{}]", found.inode), inode_of(&listener));
        assert_eq!(found.uid, rustix::process::getuid().as_raw());
        assert_eq!((found.v6_only, found.interface, found.peer), (None, None, None));
        assert!(found.cgroup.is_some());
    }

    #[test]
    fn an_ipv6_listener_tells_whether_it_takes_ipv4() {
        let listener = TcpListener::bind("[::1]:0").unwrap();
        assert!(find(Transport::Tcp, listener.local_addr().unwrap()).v6_only.is_some());
    }

    #[test]
    fn udp_sockets_are_listed_bound_and_connected() {
        let bound = UdpSocket::bind("127.0.0.1:0").unwrap();
        let connected = UdpSocket::bind("127.0.0.1:0").unwrap();
        connected.connect(bound.local_addr().unwrap()).unwrap();
        assert_eq!(find(Transport::Udp, bound.local_addr().unwrap()).peer, None);
        let peer = find(Transport::Udp, connected.local_addr().unwrap()).peer;
        assert_eq!(peer, Some(bound.local_addr().unwrap()));
    }

    #[test]
    fn a_short_answer_is_an_error() {
        let header = crate::message::Header { length: 0, kind: 20, flags: 0, sequence: 0, port: 0 };
        let message = Message { header, payload: &[2; 71] };
        assert!(matches!(decode(Transport::Tcp, &message), Err(DecodeError::Length { .. })));
    }
}
