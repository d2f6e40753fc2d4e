//! What a stranger on the other end of the wire can do: connect, send, ping, scan, from any address.

use crate::error::{Doing, Result};
use crate::net::{IsolatedNet, Wire};
use crate::process::{Output, PATIENCE, readable_within, run};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, ipproto, socket_with, sockopt};
use rustix::net::{RecvFlags, SendFlags, bind, connect, recv, send};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::time::Duration;

/// How long an answer is waited for. On a veth it comes in under a millisecond, or never; but an ICMP error that comes
/// while `connect` still holds the socket is dropped, and the next one answers the second SYN, after a second.
/// A machine under load answers later than that.
const ANSWER: Duration = Duration::from_secs(4);

/// What became of a TCP connection attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connect {
    /// It was accepted.
    Open,
    /// A reset, or ICMP port unreachable.
    Refused,
    /// Another ICMP error: no route, no host, administratively prohibited.
    Unreachable,
    /// No answer within four seconds.
    TimedOut,
}

/// What became of a datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Datagram {
    /// Something answered with these bytes.
    Answered(Vec<u8>),
    /// ICMP port unreachable.
    Refused,
    /// Another ICMP error.
    Unreachable,
    /// No answer within four seconds.
    Silent,
}

/// The outside of one host. Source addresses may be any; `None` is the outside's own.
#[derive(Debug, Clone, Copy)]
pub struct Outside<'a> {
    wire: &'a Wire,
}

impl<'a> Outside<'a> {
    pub(crate) fn new(wire: &'a Wire) -> Self {
        Self { wire }
    }

    /// Its network namespace.
    #[must_use]
    pub fn net(self) -> &'a IsolatedNet {
        self.wire.outside()
    }

    /// A command that runs `program` of this machine there.
    #[must_use]
    pub fn command(self, program: &str) -> Command {
        self.net().command(program)
    }

    /// Makes `address` one that programs started there can bind to and get answers at.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn adopt(self, address: impl Into<IpAddr>) -> Result<()> {
        self.wire.adopt(address.into())
    }

    /// Tries a TCP connection, and closes it.
    ///
    /// # Errors
    /// Where it cannot be tried.
    pub fn tcp_connect(self, from: Option<IpAddr>, to: impl Into<IpAddr>, port: u16) -> Result<Connect> {
        let to = SocketAddr::new(to.into(), port);
        self.with_socket(from, to, SocketType::STREAM, None, |socket| {
            match connect(socket, &to) {
                Ok(()) => return Ok(Connect::Open),
                Err(Errno::INPROGRESS) => {}
                Err(error) => return refused(error),
            }
            if !writable_within(socket, ANSWER)? {
                return Ok(Connect::TimedOut);
            }
            match sockopt::socket_error(socket)? {
                Ok(()) => Ok(Connect::Open),
                Err(error) => refused(error),
            }
        })
    }

    /// Sends a datagram and waits for what comes back.
    ///
    /// # Errors
    /// Where it cannot be sent.
    pub fn udp_send(
        self,
        from: Option<IpAddr>,
        to: impl Into<IpAddr>,
        port: u16,
        bytes: &[u8],
    ) -> Result<Datagram> {
        let to = SocketAddr::new(to.into(), port);
        self.with_socket(from, to, SocketType::DGRAM, None, |socket| {
            connect(socket, &to)?;
            send(socket, bytes, SendFlags::empty())?;
            answer(socket)
        })
    }

    /// Sends one ICMP or `ICMPv6` echo request; true where it is answered.
    ///
    /// # Errors
    /// Where it cannot be sent.
    pub fn ping(self, from: Option<IpAddr>, to: impl Into<IpAddr>) -> Result<bool> {
        let to = SocketAddr::new(to.into(), 0);
        // Type, code, checksum (the kernel's work), identifier (the socket's port), sequence: RFC 792, RFC 4443.
        let (protocol, request) = if to.is_ipv4() {
            (ipproto::ICMP, [8, 0, 0, 0, 0, 0, 0, 1])
        } else {
            (ipproto::ICMPV6, [128, 0, 0, 0, 0, 0, 0, 1])
        };
        let answer = self.with_socket(from, to, SocketType::DGRAM, Some(protocol), |socket| {
            connect(socket, &to)?;
            send(socket, &request, SendFlags::empty())?;
            answer(socket)
        })?;
        Ok(matches!(answer, Datagram::Answered(_)))
    }

    /// Runs `nmap` there. Spoofed sources (`-S`, `-e out0`) work, also such that no socket may bind to.
    ///
    /// # Errors
    /// Where it is not installed, or runs for over two minutes.
    pub fn nmap(self, args: &[&str]) -> Result<Output> {
        run(self.command("nmap").args(args), b"", PATIENCE)
    }

    fn with_socket<T: Send>(
        self,
        from: Option<IpAddr>,
        to: SocketAddr,
        kind: SocketType,
        protocol: Option<Protocol>,
        work: impl FnOnce(&OwnedFd) -> rustix::io::Result<T> + Send,
    ) -> Result<T> {
        if let Some(from) = from {
            self.wire.adopt(from)?;
        }
        let attempt = || {
            let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
            let socket = socket_with(family, kind, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, protocol)?;
            if let Some(from) = from {
                bind(&socket, &SocketAddr::new(from, 0))?;
            }
            work(&socket)
        };
        self.net().within(attempt)?.doing("send to", to.to_string())
    }
}

fn refused(error: Errno) -> rustix::io::Result<Connect> {
    match error {
        Errno::CONNREFUSED | Errno::CONNRESET => Ok(Connect::Refused),
        Errno::HOSTUNREACH | Errno::NETUNREACH | Errno::ACCESS | Errno::HOSTDOWN => Ok(Connect::Unreachable),
        Errno::TIMEDOUT => Ok(Connect::TimedOut),
        other => Err(other),
    }
}

fn answer(socket: &OwnedFd) -> rustix::io::Result<Datagram> {
    if !readable_within(socket, ANSWER).unwrap_or(false) {
        return Ok(Datagram::Silent);
    }
    let mut bytes = vec![0; 65536];
    match recv(socket, &mut bytes, RecvFlags::empty()) {
        Ok((length, _)) => {
            bytes.truncate(length);
            Ok(Datagram::Answered(bytes))
        }
        Err(Errno::CONNREFUSED) => Ok(Datagram::Refused),
        Err(Errno::HOSTUNREACH | Errno::NETUNREACH | Errno::ACCESS | Errno::HOSTDOWN) => {
            Ok(Datagram::Unreachable)
        }
        Err(other) => Err(other),
    }
}

fn writable_within(socket: &OwnedFd, limit: Duration) -> rustix::io::Result<bool> {
    let timeout = rustix::time::Timespec::try_from(limit).ok();
    poll(&mut [PollFd::new(socket, PollFlags::OUT)], timeout.as_ref()).map(|ready| ready > 0)
}
