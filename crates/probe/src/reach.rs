//! Echo requests, datagrams, and packets that pretend to come from loopback.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use rustix::net::ipproto;

use crate::error::Error;
use crate::packet::{self, UDP};
use crate::raw::{Receiver, Sender};
use crate::scan::Answer;

const FROM_PORT: u16 = 61_112;

/// How long silence is doubted before it is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Silence is what should come: asked twice, 300 ms each.
    Brief,
    /// An answer should come: asked again and again for 6 s, since a machine under load answers late, and a neighbour whose address
    /// was not learned at the first question is asked for it a second later.
    Long,
}

impl Patience {
    /// Long where an answer is expected.
    #[must_use]
    pub fn for_answer(expected: bool) -> Self {
        if expected { Self::Long } else { Self::Brief }
    }

    /// How often something is asked that stays silent.
    pub(crate) fn tries(self) -> u16 {
        match self {
            Self::Brief => 2,
            Self::Long => 12,
        }
    }

    /// How long each answer is waited for.
    pub(crate) fn each(self) -> Duration {
        match self {
            Self::Brief => Duration::from_millis(300),
            Self::Long => Duration::from_millis(500),
        }
    }
}

/// Whether a host answers an echo request.
///
/// # Errors
/// Raw sockets are not to be had, or there is no route.
pub fn ping(from: IpAddr, to: IpAddr, patience: Patience) -> Result<bool, Error> {
    const IDENTIFIER: u16 = 0x6761;
    let v6 = to.is_ipv6();
    let icmp = if v6 { ipproto::ICMPV6 } else { ipproto::ICMP };
    let sender = Sender::open(v6)?;
    let mut answers = Receiver::open(v6, icmp)?;
    let (protocol, message) = packet::echo_request(from, to, IDENTIFIER);
    for _ in 0..patience.tries() {
        sender.send(to, &packet::ip(from, to, protocol, &message))?;
        let deadline = Instant::now() + patience.each();
        while let Some((source, message)) = answers.next(deadline)? {
            if source == to && packet::is_echo_reply(message, IDENTIFIER, v6) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// What a UDP port answers: a datagram, an ICMP error, or nothing.
///
/// Silence says little by itself: the port may be filtered, or its service may have nothing to say to this payload.
///
/// # Errors
/// As [`ping`].
pub fn udp(from: IpAddr, to: IpAddr, port: u16, payload: &[u8], patience: Patience) -> Result<Answer, Error> {
    let v6 = to.is_ipv6();
    let icmp = if v6 { ipproto::ICMPV6 } else { ipproto::ICMP };
    let sender = Sender::open(v6)?;
    let mut datagrams = Receiver::open(v6, ipproto::UDP)?;
    let mut errors = Receiver::open(v6, icmp)?;
    for _ in 0..patience.tries() {
        let segment = packet::datagram((from, FROM_PORT), (to, port), payload);
        sender.send(to, &packet::ip(from, to, UDP, &segment))?;
        let deadline = Instant::now() + patience.each();
        // What is there is read before the clock is: whoever was not let run for so long has not waited for so long.
        loop {
            let step = (Instant::now() + Duration::from_millis(10)).min(deadline);
            while let Some((source, answer)) = datagrams.next(step)? {
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
            if step == deadline {
                break;
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
