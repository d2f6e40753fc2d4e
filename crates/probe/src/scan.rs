//! Which TCP ports of a host accept a connection: one SYN each, a second one where nothing came back, and more where something
//! should have.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use rustix::net::ipproto;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::packet::{self, TCP};
use crate::raw::{Receiver, Sender};
use crate::reach::Patience;

/// What came back from a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// SYN and ACK: a connection would be accepted.
    Open,
    /// A reset, or an ICMP error.
    Refused,
    /// Nothing.
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
/// How long answers are waited for after the last SYN of a round, or the last answer: a host that is still at it is not hurried.
const PATIENCE: Duration = Duration::from_millis(250);
/// SYNs between two looks at what came back: fewer than what fills a queue.
const BURST: usize = 64;

/// Scans ports from the network namespace of the calling thread. Those that should be open are asked patiently
/// ([`Patience::Long`]) before their silence is believed; so a port is never called closed because the machine was busy.
///
/// # Errors
/// Raw sockets are not to be had, or there is no route.
pub fn tcp(
    from: IpAddr,
    to: IpAddr,
    ports: RangeInclusive<u16>,
    should_be_open: &BTreeSet<u16>,
) -> Result<Scan, Error> {
    let ports: Vec<u16> = ports.filter(|port| *port != 0).collect();
    let mut round = Round::open(from, to)?;
    round.send(&ports, PATIENCE)?;
    round.send(&round.silent(&ports), PATIENCE)?;
    let doubted: Vec<u16> = ports.iter().copied().filter(|port| should_be_open.contains(port)).collect();
    for _ in 0..Patience::Long.tries() {
        round.send(&round.silent(&doubted), Patience::Long.each())?;
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

    /// Those that nothing has come back from.
    fn silent(&self, ports: &[u16]) -> Vec<u16> {
        ports.iter().copied().filter(|port| self.answers[usize::from(*port)].is_none()).collect()
    }

    fn send(&mut self, ports: &[u16], patience: Duration) -> Result<(), Error> {
        for burst in ports.chunks(BURST) {
            for port in burst {
                let segment = packet::syn((self.from, FROM_PORT), (self.to, *port), sequence(*port));
                self.sender.send(self.to, &packet::ip(self.from, self.to, TCP, &segment))?;
            }
            self.take(Instant::now())?;
        }
        let mut silent = self.silent(ports).len();
        let mut deadline = Instant::now() + patience;
        while silent > 0 {
            let step = (Instant::now() + Duration::from_millis(20)).min(deadline);
            self.take(step)?;
            let still = self.silent(ports).len();
            if still < silent {
                deadline = Instant::now() + patience;
            } else if step == deadline {
                break;
            }
            silent = still;
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
