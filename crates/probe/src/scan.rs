//! Which TCP ports of a host accept a connection: one SYN each, and a second one where nothing came back.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use rustix::net::ipproto;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::packet::{self, TCP};
use crate::raw::{Receiver, Sender};

/// What came back from a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// SYN and ACK: a connection would be accepted.
    Open,
    /// A reset, or an ICMP error.
    Refused,
    /// Nothing, twice.
    Silent,
}

/// The ports of one address, by what came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Scan {
    /// Scanned address.
    pub to: IpAddr,
    /// Source address.
    pub from: IpAddr,
    /// How many ports were tried.
    pub tried: usize,
    /// The ports that accept a connection.
    pub open: BTreeSet<u16>,
    /// How many refused.
    pub refused: usize,
    /// How many stayed silent.
    pub silent: usize,
}

/// Source ports of a scan: outside the range that the kernel itself hands out, so that no answer is mistaken.
const FROM_PORT: u16 = 61_111;
/// How long answers are waited for after the last SYN of a round.
const PATIENCE: Duration = Duration::from_millis(250);
/// A scan of so few ports takes no time.
const SHORT: usize = 1_000;
/// How long a new link may take until it carries packets.
const LINK_PATIENCE: Duration = Duration::from_secs(1);
/// SYNs between two looks at what came back: fewer than what fills a queue.
const BURST: usize = 64;

/// Scans ports from the network namespace of the calling thread.
///
/// # Errors
/// Raw sockets are not to be had, or there is no route.
pub fn tcp(from: IpAddr, to: IpAddr, ports: RangeInclusive<u16>) -> Result<Scan, Error> {
    let ports: Vec<u16> = ports.filter(|port| *port != 0).collect();
    let mut round = Round::open(from, to)?;
    round.send(&ports)?;
    let silent: Vec<u16> =
        ports.iter().copied().filter(|port| round.answers[usize::from(*port)].is_none()).collect();
    if !silent.is_empty() {
        round.send(&silent)?;
    }
    // A short scan is over before a link that was just made carries anything.
    if ports.len() <= SHORT && ports.iter().all(|port| round.answers[usize::from(*port)].is_none()) {
        std::thread::sleep(LINK_PATIENCE);
        round.send(&ports)?;
    }
    let with = |wanted: Option<bool>| {
        ports
            .iter()
            .copied()
            .filter(|port| round.answers[usize::from(*port)] == wanted)
            .collect::<BTreeSet<u16>>()
    };
    Ok(Scan {
        to,
        from,
        tried: ports.len(),
        open: with(Some(true)),
        refused: with(Some(false)).len(),
        silent: with(None).len(),
    })
}

/// What one port answers.
///
/// # Errors
/// As [`tcp`].
pub fn tcp_port(from: IpAddr, to: IpAddr, port: u16) -> Result<Answer, Error> {
    let scan = tcp(from, to, port..=port)?;
    Ok(if scan.open.contains(&port) {
        Answer::Open
    } else if scan.refused > 0 {
        Answer::Refused
    } else {
        Answer::Silent
    })
}

/// Sockets and answers so far: `Some(true)` accepts, `Some(false)` refuses.
struct Round {
    from: IpAddr,
    to: IpAddr,
    sender: Sender,
    segments: Receiver,
    errors: Receiver,
    answers: Vec<Option<bool>>,
}

impl Round {
    fn open(from: IpAddr, to: IpAddr) -> Result<Self, Error> {
        let v6 = to.is_ipv6();
        let icmp = if v6 { ipproto::ICMPV6 } else { ipproto::ICMP };
        Ok(Self {
            from,
            to,
            sender: Sender::open(v6)?,
            segments: Receiver::open(v6, ipproto::TCP)?,
            errors: Receiver::open(v6, icmp)?,
            answers: vec![None; 65_536],
        })
    }

    fn send(&mut self, ports: &[u16]) -> Result<(), Error> {
        for burst in ports.chunks(BURST) {
            for port in burst {
                let segment = packet::syn((self.from, FROM_PORT), (self.to, *port), sequence(*port));
                self.sender.send(self.to, &packet::ip(self.from, self.to, TCP, &segment))?;
            }
            self.take(Instant::now())?;
        }
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && ports.iter().any(|port| self.answers[usize::from(*port)].is_none())
        {
            self.take((Instant::now() + Duration::from_millis(20)).min(deadline))?;
        }
        Ok(())
    }

    /// Takes in what has come back until the deadline.
    fn take(&mut self, deadline: Instant) -> Result<(), Error> {
        while let Some((from, segment)) = self.segments.next(deadline)? {
            let Some(answer) = packet::tcp_answer(segment).filter(|_| from == self.to) else {
                continue;
            };
            if answer.to_port == FROM_PORT && answer.acknowledges == sequence(answer.port).wrapping_add(1) {
                self.answers[usize::from(answer.port)] = Some(answer.accepts);
            }
        }
        let v6 = self.to.is_ipv6();
        while let Some((_, message)) = self.errors.next(Instant::now())? {
            let error = packet::unreachable(message, v6);
            if let Some(error) = error.filter(|error| error.protocol == TCP && error.from_port == FROM_PORT) {
                self.answers[usize::from(error.port)].get_or_insert(false);
            }
        }
        Ok(())
    }
}

/// The sequence number sent to a port: an answer must acknowledge it.
fn sequence(port: u16) -> u32 {
    0x6761_0000 ^ (u32::from(port) << 3)
}
