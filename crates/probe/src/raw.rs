//! Raw sockets: packets out with any source, and everything of one protocol in.

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto};

use crate::error::{Error, system};

/// Sends whole IP packets, header included, so that the source is free to choose (raw(7), `IPPROTO_RAW`).
pub(crate) struct Sender {
    socket: OwnedFd,
    /// Nothing has left for [`QUEUE_PATIENCE`].
    stuck: Cell<bool>,
}

/// How long a full queue is waited for. While a neighbour does not answer (a host that refuses all of IPv6 does not), nothing
/// leaves it for seconds.
const QUEUE_PATIENCE: Duration = Duration::from_millis(500);

impl Sender {
    pub(crate) fn open(v6: bool) -> Result<Self, Error> {
        Ok(Self { socket: open(v6, ipproto::RAW)?, stuck: Cell::new(false) })
    }

    /// Sends one packet. A full queue is waited for, once; a packet that cannot leave is one without an answer, as if it had been
    /// lost on the way. A refusal by the routing is an error.
    pub(crate) fn send(&self, to: IpAddr, packet: &[u8]) -> Result<(), Error> {
        let deadline = Instant::now() + QUEUE_PATIENCE;
        loop {
            let sent =
                rustix::net::sendto(&self.socket, packet, SendFlags::DONTWAIT, &SocketAddr::new(to, 0));
            match sent {
                Ok(_) => {
                    self.stuck.set(false);
                    return Ok(());
                }
                Err(Errno::NOBUFS | Errno::AGAIN) if self.stuck.get() || Instant::now() > deadline => {
                    self.stuck.set(true);
                    return Ok(());
                }
                Err(Errno::NOBUFS | Errno::AGAIN) => std::thread::sleep(Duration::from_millis(1)),
                Err(Errno::INTR) => {}
                Err(errno) => {
                    return Err(Error::System { call: "sendto", errno });
                }
            }
        }
    }
}

/// Receives every packet of one protocol that reaches this network namespace.
pub(crate) struct Receiver {
    socket: OwnedFd,
    buffer: Vec<u8>,
    v6: bool,
}

impl Receiver {
    pub(crate) fn open(v6: bool, protocol: Protocol) -> Result<Self, Error> {
        let socket = open(v6, protocol)?;
        // Room for the answers of a whole scan; without the right to it, what the system allows.
        let _as_much_as_allowed = rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, 64 << 20);
        Ok(Self { socket, buffer: vec![0; 65_536], v6 })
    }

    /// The next packet's source and payload, `None` when the deadline has passed first.
    pub(crate) fn next(&mut self, deadline: Instant) -> Result<Option<(IpAddr, &[u8])>, Error> {
        let received = loop {
            match rustix::net::recvfrom(&self.socket, self.buffer.as_mut_slice(), RecvFlags::DONTWAIT) {
                Ok((_, length, from)) => break (length, from),
                Err(Errno::AGAIN) if !self.wait(deadline)? => return Ok(None),
                // An error that belongs to an earlier packet says nothing about the next.
                Err(Errno::AGAIN | Errno::INTR | Errno::CONNREFUSED | Errno::HOSTUNREACH | Errno::ACCESS) => {
                }
                Err(errno) => {
                    return Err(Error::System { call: "recvfrom", errno });
                }
            }
        };
        let (length, from) = received;
        let bytes = &self.buffer[..length.min(self.buffer.len())];
        if self.v6 {
            let from = from.and_then(|from| SocketAddr::try_from(from).ok()).map(|from| from.ip());
            return Ok(from.map(|from| (from, bytes)));
        }
        Ok(crate::packet::ipv4_payload(bytes).map(|(from, payload)| (IpAddr::V4(from), payload)))
    }

    /// Waits until there is something to read; says no when the deadline has passed.
    fn wait(&self, deadline: Instant) -> Result<bool, Error> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let timeout =
            Timespec::try_from(left).map_err(|_| Error::System { call: "poll", errno: Errno::INVAL })?;
        let mut waiting = [PollFd::new(&self.socket, PollFlags::IN)];
        match poll(&mut waiting, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(true),
            Err(errno) => Err(Error::System { call: "poll", errno }),
        }
    }
}

fn open(v6: bool, protocol: Protocol) -> Result<OwnedFd, Error> {
    let family = if v6 { AddressFamily::INET6 } else { AddressFamily::INET };
    rustix::net::socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, Some(protocol))
        .map_err(system("socket"))
}
