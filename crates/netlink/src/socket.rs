//! A netlink socket: one request and its answer, or a whole dump.

use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{
    Timeout, set_socket_recv_buffer_size_force, set_socket_send_buffer_size_force, set_socket_timeout,
};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};
use thiserror::Error;

use crate::attribute::{DecodeError, Writer};
use crate::message::{self, Answer, Message, Messages, TooLong};

/// The kernel fills at most 32 KiB a datagram of a dump; an error echoes its request, up to 64 KiB and a bit.
const RECEIVE_BUFFER: usize = 128 * 1024;
/// The kernel answers while `send` runs; silence this long means that an answer was lost.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a dump is begun anew when its subject changed meanwhile.
const DUMP_ATTEMPTS: usize = 10;

/// What can go wrong on a netlink socket.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    /// A system call failed.
    #[error("{call} on a netlink socket: {errno}")]
    System {
        /// Which one.
        call: &'static str,
        /// Why.
        errno: Errno,
    },
    /// The kernel refused the request.
    #[error("refused by the kernel: {errno}{}", .message.as_ref().map(|m| format!(" ({m})")).unwrap_or_default())]
    Refused {
        /// Why.
        errno: Errno,
        /// The kernel's own words, where it gave any.
        message: Option<String>,
        /// Where in the request the offending attribute starts, in bytes.
        offset: Option<u32>,
    },
    /// The answer cannot be read.
    #[error("malformed answer: {0}")]
    Malformed(#[from] DecodeError),
    /// The request does not fit a message.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// What was dumped kept changing.
    #[error("the kernel's tables changed during each of {DUMP_ATTEMPTS} dumps")]
    Unstable,
    /// The kernel had more to say than the socket could hold.
    #[error("answers were lost: the receive buffer is too small")]
    Overrun,
    /// No answer came in the time that was to be waited; 30 s unless it was set.
    #[error("the kernel did not answer in time")]
    Silent,
}

impl Error {
    /// The errno behind the failure, where there is one.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::System { errno, .. } | Self::Refused { errno, .. } => Some(*errno),
            Self::Malformed(_) | Self::TooLong(_) | Self::Unstable | Self::Overrun | Self::Silent => None,
        }
    }
}

/// The netlink families that this crate and its users speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Links, addresses, routes: rtnetlink(7).
    Route,
    /// Sockets: `sock_diag(7)`.
    SockDiag,
    /// Netfilter, `nf_tables` among it.
    Netfilter,
}

/// An open netlink socket, joined to the kernel: no other process can send to it.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens a socket in the network namespace of the calling thread.
    ///
    /// # Errors
    /// [`Error::System`] when the kernel lacks the protocol or memory.
    pub fn open(protocol: Protocol) -> Result<Self, Error> {
        Self::joined(protocol, 0)
    }

    /// Opens a socket that also hears what the kernel tells these groups of listeners, numbered from 1 to 32.
    ///
    /// The groups are joined by the mask of the address that it is bound to, which knows no higher ones.
    ///
    /// # Errors
    /// [`Error::System`] when the kernel lacks the protocol, one of the groups, or memory; or without the right to listen.
    pub fn listen(protocol: Protocol, groups: &[u32]) -> Result<Self, Error> {
        let mask = groups.iter().filter(|group| (1..=32).contains(*group));
        Self::joined(protocol, mask.fold(0, |mask, group| mask | 1 << (group - 1)))
    }

    fn joined(protocol: Protocol, groups: u32) -> Result<Self, Error> {
        let protocol = match protocol {
            Protocol::Route => None,
            Protocol::SockDiag => Some(netlink::SOCK_DIAG),
            Protocol::Netfilter => Some(netlink::NETFILTER),
        };
        let fd =
            rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)
                .map_err(system("socket"))?;
        if groups != 0 {
            // Before it is connected: a connected socket has a port, and is bound no more.
            rustix::net::bind(&fd, &SocketAddrNetlink::new(0, groups)).map_err(system("bind"))?;
        }
        rustix::net::connect(&fd, &SocketAddrNetlink::new(0, 0)).map_err(system("connect"))?;
        set_socket_timeout(&fd, Timeout::Recv, Some(PATIENCE)).map_err(system("setsockopt"))?;
        Ok(Self { fd, sequence: 0, buffer: vec![0; RECEIVE_BUFFER] })
    }

    /// Makes room for sending `send` bytes in one go, and for `receive` bytes of waiting answers.
    ///
    /// Best effort: passing the machine's limit needs `CAP_NET_ADMIN`, and where that lacks, the send itself
    /// says so (`EMSGSIZE`).
    pub fn reserve(&self, send: usize, receive: usize) {
        let _ = set_socket_send_buffer_size_force(&self.fd, send);
        let _ = set_socket_recv_buffer_size_force(&self.fd, receive);
    }

    /// How long [`Socket::receive`] waits before it says [`Error::Silent`]: 30 s unless it is set; rounded up to 1 ms.
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn set_patience(&self, patience: Duration) -> Result<(), Error> {
        let patience = patience.max(Duration::from_millis(1));
        set_socket_timeout(&self.fd, Timeout::Recv, Some(patience)).map_err(system("setsockopt"))
    }

    /// Takes `count` sequence numbers and gives the first.
    pub fn take_sequence(&mut self, count: u32) -> u32 {
        // Never 0: the kernel uses it for messages that answer nobody.
        if self.sequence.checked_add(count).is_none_or(|end| end == u32::MAX) {
            self.sequence = 0;
        }
        let first = self.sequence + 1;
        self.sequence += count;
        first
    }

    /// Sends bytes that hold whole messages.
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn send(&self, bytes: &[u8]) -> Result<(), Error> {
        rustix::io::retry_on_intr(|| rustix::net::send(&self.fd, bytes, SendFlags::empty()))
            .map_err(system("send"))?;
        Ok(())
    }

    /// Waits for one datagram; it holds one or more messages.
    ///
    /// # Errors
    /// [`Error::Overrun`] when the kernel dropped answers, [`Error::Silent`], [`Error::System`].
    pub fn receive(&mut self) -> Result<Messages<'_>, Error> {
        let received = rustix::io::retry_on_intr(|| {
            rustix::net::recv(&self.fd, self.buffer.as_mut_slice(), RecvFlags::TRUNC)
        });
        match received {
            Ok((length, whole)) if whole > length => Err(Error::Overrun),
            Ok((length, _)) => Ok(Messages::new(&self.buffer[..length])),
            Err(Errno::NOBUFS) => Err(Error::Overrun),
            Err(Errno::AGAIN) => Err(Error::Silent),
            Err(errno) => Err(Error::System { call: "recv", errno }),
        }
    }

    /// Sends one request and waits for its acknowledgement.
    ///
    /// # Errors
    /// [`Error::Refused`] with the kernel's errno, or what sending and receiving may fail with.
    pub fn request(
        &mut self,
        kind: u16,
        flags: u16,
        body: impl FnOnce(&mut Writer<'_>),
    ) -> Result<(), Error> {
        self.ask(kind, flags | message::ACK, body, |_| Ok(()))
    }

    /// Sends one request and hands each message that answers it to `take`, up to the acknowledgement.
    ///
    /// # Errors
    /// Those of [`Socket::request`], and what `take` returns.
    pub fn ask(
        &mut self,
        kind: u16,
        flags: u16,
        body: impl FnOnce(&mut Writer<'_>),
        mut take: impl FnMut(&Message<'_>) -> Result<(), DecodeError>,
    ) -> Result<(), Error> {
        let sequence = self.take_sequence(1);
        let mut bytes = Vec::new();
        message::write(&mut bytes, kind, flags | message::REQUEST | message::ACK, sequence, body)?;
        self.send(&bytes)?;
        loop {
            for received in self.receive()? {
                let received = received?;
                if received.header.sequence != sequence {
                    continue;
                }
                if received.header.kind == message::ERROR {
                    return acknowledged(Answer::decode(&received)?);
                }
                if received.header.kind >= message::FIRST_FAMILY_TYPE {
                    take(&received)?;
                }
            }
        }
    }

    /// Asks for all objects of a kind; `decode` makes one of each message, or leaves it out with `None`.
    ///
    /// A dump during which the subject changed (`NLM_F_DUMP_INTR`) is thrown away and begun anew.
    ///
    /// # Errors
    /// [`Error::Unstable`] when every attempt was interrupted; [`Error::Refused`]; those of `decode`.
    pub fn dump<T>(
        &mut self,
        kind: u16,
        body: impl Fn(&mut Writer<'_>),
        mut decode: impl FnMut(&Message<'_>) -> Result<Option<T>, DecodeError>,
    ) -> Result<Vec<T>, Error> {
        for _ in 0..DUMP_ATTEMPTS {
            if let Some(objects) = self.dump_once(kind, &body, &mut decode)? {
                return Ok(objects);
            }
        }
        Err(Error::Unstable)
    }

    fn dump_once<T>(
        &mut self,
        kind: u16,
        body: impl Fn(&mut Writer<'_>),
        mut decode: impl FnMut(&Message<'_>) -> Result<Option<T>, DecodeError>,
    ) -> Result<Option<Vec<T>>, Error> {
        let sequence = self.take_sequence(1);
        let mut bytes = Vec::new();
        message::write(&mut bytes, kind, message::REQUEST | message::DUMP, sequence, body)?;
        self.send(&bytes)?;
        let mut objects = Vec::new();
        let mut interrupted = false;
        // After the first bad message the rest is still read, so that the socket stays usable.
        let mut malformed = None;
        loop {
            for received in self.receive()? {
                let received = received?;
                if received.header.sequence != sequence {
                    continue;
                }
                interrupted |= received.header.flags & message::DUMP_INTERRUPTED != 0;
                match received.header.kind {
                    message::ERROR => {
                        acknowledged(Answer::decode(&received)?)?;
                    }
                    message::DONE => {
                        let errno = message::done_errno(&received);
                        if errno == Errno::INTR.raw_os_error() || (errno == 0 && interrupted) {
                            return Ok(None);
                        }
                        return match malformed {
                            _ if errno != 0 => Err(refused(errno)),
                            Some(error) => Err(Error::Malformed(error)),
                            None => Ok(Some(objects)),
                        };
                    }
                    family if family >= message::FIRST_FAMILY_TYPE => match decode(&received) {
                        Ok(object) => objects.extend(object),
                        Err(error) => malformed = malformed.or(Some(error)),
                    },
                    _ => {}
                }
            }
        }
    }
}

fn acknowledged(answer: Answer) -> Result<(), Error> {
    if answer.errno == 0 {
        return Ok(());
    }
    Err(Error::Refused {
        errno: Errno::from_raw_os_error(answer.errno),
        message: answer.message,
        offset: answer.offset,
    })
}

fn refused(errno: i32) -> Error {
    Error::Refused { errno: Errno::from_raw_os_error(errno), message: None, offset: None }
}

fn system(call: &'static str) -> impl FnOnce(Errno) -> Error {
    move |errno| Error::System { call, errno }
}
