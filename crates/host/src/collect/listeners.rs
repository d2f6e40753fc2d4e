//! Sockets that take packets from the network, and who holds them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use netlink::sock_diag::{Transport, bound_sockets};

use crate::facts::Protocol;
use crate::process::{Holders, Proc};

/// Megabytes of one of the kernel's socket tables that are read at most: some 400,000 sockets.
const TABLE_MEGABYTES: u64 = 64;
/// `TCP_LISTEN` and `TCP_CLOSE` of `include/net/tcp_states.h`; an unconnected UDP socket is in the latter.
const LISTEN: u8 = 10;
const CLOSE: u8 = 7;
const ESTABLISHED: u8 = 1;

/// One socket of the kernel's tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Socket {
    pub(super) protocol: Protocol,
    pub(super) local: SocketAddr,
    pub(super) peer: SocketAddr,
    pub(super) state: u8,
    pub(super) inode: u64,
    /// Takes no IPv4; nothing where it was not asked.
    pub(super) v6_only: bool,
    /// Bound to the link of this index; 0 for none.
    pub(super) link: u32,
}

/// The listening sockets and their holders.
#[derive(Debug, Clone)]
pub(super) struct Sockets {
    pub(super) listening: Result<Vec<Socket>, String>,
    pub(super) holders: Holders,
    /// Processes that could not be looked into.
    pub(super) unseen: usize,
}

impl Sockets {
    /// The addresses at which a process listens for TCP.
    pub(super) fn listens(&self, pid: u32) -> Vec<SocketAddr> {
        let held: BTreeSet<u64> = self.holders.sockets_of(pid).collect();
        let sockets = self.listening.as_deref().unwrap_or_default();
        let tcp = sockets.iter().filter(|socket| socket.protocol == Protocol::Tcp);
        tcp.filter(|socket| held.contains(&socket.inode)).map(|socket| socket.local).collect()
    }
}

/// Every listening TCP and bound, unconnected UDP socket of this network namespace.
pub(super) fn live(proc: &Proc) -> Sockets {
    let listening = listening(proc);
    let inodes = listening.iter().flatten().map(|socket| socket.inode).collect();
    match proc.holders(&inodes) {
        Ok(holders) => Sockets { listening, unseen: holders.unseen, holders },
        Err(errno) => {
            Sockets { listening: Err(format!("/proc: {errno}")), holders: Holders::default(), unseen: 0 }
        }
    }
}

fn listening(proc: &Proc) -> Result<Vec<Socket>, String> {
    // Where the kernel has no diagnostics, /proc shows the same, but for `v6_only` and the link.
    asked().or_else(|_| listed(proc))
}

/// As the kernel answers by `sock_diag(7)`.
fn asked() -> Result<Vec<Socket>, netlink::Error> {
    let mut netlink = netlink::Socket::open(netlink::Protocol::SockDiag)?;
    let mut sockets = Vec::new();
    for (transport, protocol) in [(Transport::Tcp, Protocol::Tcp), (Transport::Udp, Protocol::Udp)] {
        let bound = bound_sockets(&mut netlink, transport)?;
        sockets.extend(bound.into_iter().filter(|socket| socket.peer.is_none()).map(|socket| Socket {
            protocol,
            local: socket.address,
            peer: SocketAddr::new(socket.address.ip(), 0),
            state: if protocol == Protocol::Tcp { LISTEN } else { CLOSE },
            inode: socket.inode.into(),
            v6_only: socket.v6_only.unwrap_or(false),
            link: socket.interface.unwrap_or(0),
        }));
    }
    Ok(sockets)
}

/// As /proc lists it.
fn listed(proc: &Proc) -> Result<Vec<Socket>, String> {
    let mut sockets = table(proc, "tcp", Protocol::Tcp)?;
    sockets.extend(table(proc, "tcp6", Protocol::Tcp)?);
    sockets.retain(|socket| socket.state == LISTEN);
    let mut datagram = table(proc, "udp", Protocol::Udp)?;
    datagram.extend(table(proc, "udp6", Protocol::Udp)?);
    datagram.retain(|socket| socket.state == CLOSE);
    sockets.extend(datagram);
    Ok(sockets)
}

/// The established TCP connections.
pub(super) fn established(proc: &Proc) -> Result<Vec<Socket>, String> {
    let mut sockets = table(proc, "tcp", Protocol::Tcp)?;
    sockets.extend(table(proc, "tcp6", Protocol::Tcp)?);
    sockets.retain(|socket| socket.state == ESTABLISHED);
    Ok(sockets)
}

/// A table of /proc/net as this process's network namespace sees it. Without IPv6 its tables are not there.
fn table(proc: &Proc, name: &str, protocol: Protocol) -> Result<Vec<Socket>, String> {
    let path = format!("self/net/{name}");
    match proc.read_global(&path, TABLE_MEGABYTES) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes)
            .lines()
            .skip(1)
            .filter_map(|line| socket(line, protocol))
            .collect()),
        Err(rustix::io::Errno::NOENT) if name.ends_with('6') => Ok(Vec::new()),
        Err(errno) => Err(format!("/proc/{path}: {errno}")),
    }
}

/// `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode ...`
fn socket(line: &str, protocol: Protocol) -> Option<Socket> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let local = address(fields.next()?)?;
    let peer = address(fields.next()?)?;
    let state = u8::from_str_radix(fields.next()?, 16).ok()?;
    let inode = fields.nth(5)?.parse().ok()?;
    Some(Socket { protocol, local, peer, state, inode, v6_only: false, link: 0 })
}

/// `0100007F:0016`: each 32-bit word of the address in the machine's own byte order, the port in hexadecimal.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    if !address.is_ascii() {
        return None;
    }
    let word = |index: usize| {
        let digits = address.get(index * 8..index * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (index, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(index)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_of_each_family_is_read() {
        let word = |bytes: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(bytes));
        let line = format!(
            "   0: {}:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 7777 1 x",
            word([127, 0, 0, 1])
        );
        let found = socket(&line, Protocol::Tcp).unwrap();
        assert_eq!(
            (found.local.to_string().as_str(), found.state, found.inode),
            ("127.0.0.1:22", LISTEN, 7777)
        );
        let six = format!(
            "{}{}{}{}:01BB",
            word([0x20, 1, 0xd, 0xb8]),
            word([0; 4]),
            word([0; 4]),
            word([0, 0, 0, 5])
        );
        assert_eq!(address(&six).unwrap().to_string(), "[2001:db8::5]:443");
    }

    #[test]
    fn a_socket_of_this_process_is_found_with_its_holder() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let local = listener.local_addr().unwrap();
        let sockets = live(&Proc::real());
        assert!(sockets.listens(std::process::id()).contains(&local));
    }

    #[test]
    fn the_kernel_and_proc_list_the_same_sockets() {
        let four = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let six = std::net::UdpSocket::bind("[::1]:0").unwrap();
        let here = [four.local_addr().unwrap(), six.local_addr().unwrap()];
        let ours = |sockets: Vec<Socket>| {
            let mut sockets: Vec<_> = sockets
                .into_iter()
                .filter(|socket| here.contains(&socket.local))
                .map(|socket| (socket.protocol, socket.local, socket.state, socket.inode))
                .collect();
            sockets.sort();
            sockets
        };
        let (asked, listed) = (ours(asked().unwrap()), ours(listed(&Proc::real()).unwrap()));
        assert_eq!(asked.len(), 2);
        assert_eq!(asked, listed);
    }

    proptest! {
        #[test]
        fn no_line_panics(line in "(?s).{0,200}", fields in "[0-9A-F: é]{0,100}") {
            socket(&line, Protocol::Udp);
            socket(&fields, Protocol::Udp);
            address(&fields);
        }
    }
}
