//! Echo requests, datagrams, and packets that pretend to come from loopback.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use rustix::net::ipproto;

use crate::error::Error;
use crate::packet::{self, UDP};
use crate::raw::{Receiver, Sender};
use crate::scan::Answer;

const PATIENCE: Duration = Duration::from_millis(300);
const FROM_PORT: u16 = 61_112;

/// Whether a host answers an echo request; asked twice.
///
/// # Errors
/// Raw sockets are not to be had, or there is no route.
pub fn ping(from: IpAddr, to: IpAddr) -> Result<bool, Error> {
    let v6 = to.is_ipv6();
    let icmp = if v6 { ipproto::ICMPV6 } else { ipproto::ICMP };
    let sender = Sender::open(v6)?;
    let mut answers = Receiver::open(v6, icmp)?;
    for identifier in [0x6761, 0x6762] {
        let (protocol, message) = packet::echo_request(from, to, identifier);
        sender.send(to, &packet::ip(from, to, protocol, &message))?;
        let deadline = Instant::now() + PATIENCE;
        while let Some((source, message)) = answers.next(deadline)? {
            if source == to && packet::is_echo_reply(message, identifier, v6) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// What a UDP port answers: a datagram, an ICMP error, or nothing; asked twice.
///
/// Silence says little by itself: the port may be filtered, or its service may have nothing to say to this payload.
///
/// # Errors
/// As [`ping`].
pub fn udp(from: IpAddr, to: IpAddr, port: u16, payload: &[u8]) -> Result<Answer, Error> {
    let v6 = to.is_ipv6();
    let icmp = if v6 { ipproto::ICMPV6 } else { ipproto::ICMP };
    let sender = Sender::open(v6)?;
    let mut datagrams = Receiver::open(v6, ipproto::UDP)?;
    let mut errors = Receiver::open(v6, icmp)?;
    for _ in 0..2 {
        let segment = packet::datagram((from, FROM_PORT), (to, port), payload);
        sender.send(to, &packet::ip(from, to, UDP, &segment))?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            while let Some((source, answer)) = datagrams.next(Instant::now() + Duration::from_millis(10))? {
                if source == to && answer.get(..4) == Some(&ports(port, FROM_PORT)) {
                    return Ok(Answer::Open);
                }
            }
            while let Some((_, message)) = errors.next(Instant::now())? {
                let about_this = |error: &packet::Unreachable| {
                    error.protocol == UDP && error.from_port == FROM_PORT && error.port == port
                };
                if packet::unreachable(message, v6).filter(about_this).is_some() {
                    return Ok(Answer::Refused);
                }
            }
        }
    }
    Ok(Answer::Silent)
}

/// Sends a datagram that pretends to come from the host's own loopback. No answer can come back here: whether it arrived is
/// seen by whoever listens on the port.
///
/// # Errors
/// As [`ping`].
pub fn spoofed_loopback(to: IpAddr, port: u16, payload: &[u8]) -> Result<(), Error> {
    let from = match to {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    datagram_from(from, to, port, payload)
}

/// Sends one datagram with any source.
///
/// # Errors
/// As [`ping`].
pub fn datagram_from(from: IpAddr, to: IpAddr, port: u16, payload: &[u8]) -> Result<(), Error> {
    let segment = packet::datagram((from, FROM_PORT), (to, port), payload);
    Sender::open(to.is_ipv6())?.send(to, &packet::ip(from, to, UDP, &segment))
}

fn ports(from: u16, to: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (from.to_be_bytes(), to.to_be_bytes());
    [a, b, c, d]
}
