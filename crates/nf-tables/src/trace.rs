//! Which rule took which packet: what the kernel tells of packets that are marked to be traced (`meta nftrace set 1`).
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h` (`enum nft_trace_attributes`), `net/netfilter/nf_tables_trace.c`.

use std::time::Duration;

use netlink::{Attributes, DecodeError, Protocol, Socket};

use crate::connection::Error;
use crate::object::{Family, NFGENMSG, Policy, TableId, Verdict, message_type};

/// `NFNLGRP_NFTRACE`.
const GROUP: u32 = 9;

const TABLE: u16 = 1;
const CHAIN: u16 = 2;
const RULE_HANDLE: u16 = 3;
const TYPE: u16 = 4;
const VERDICT: u16 = 5;
const ID: u16 = 6;
const NETWORK_HEADER: u16 = 8;
const TRANSPORT_HEADER: u16 = 9;
const INPUT: u16 = 10;
const OUTPUT: u16 = 12;
const MARK: u16 = 14;
const PROTOCOL: u16 = 15;
const POLICY: u16 = 16;

/// How many bytes of steps the kernel may keep for a reader that is busy.
const BACKLOG: usize = 4 << 20;

/// One step of a packet's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The same for all steps of a packet from where it came in or was made; a packet over loopback is two. Others may have
    /// it later.
    pub id: u32,
    /// The table that it is in.
    pub table: TableId,
    /// The chain that it is in.
    pub chain: String,
    /// What happened.
    pub event: Event,
    /// IPv4 or IPv6, in a table of both.
    pub protocol: Option<Family>,
    /// The packet's mark.
    pub mark: Option<u32>,
    /// Index of the interface that it came by. Told once for each base chain, as are the headers.
    pub input: Option<u32>,
    /// Index of the interface that it leaves by.
    pub output: Option<u32>,
    /// The first bytes of the network header.
    pub network: Vec<u8>,
    /// The first bytes of the transport header.
    pub transport: Vec<u8>,
}

/// What happened to the packet in a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A rule with that handle matched to its end, or gave its verdict.
    Rule(u64, Verdict),
    /// The chain ended: the packet goes on where the jump was, or the policy decides.
    End(Verdict),
    /// The base chain ended, and its policy decided.
    Policy(Policy),
}

impl Step {
    /// Reads a step from the attributes of its message.
    ///
    /// # Errors
    /// When an attribute has the wrong size or value, or what names the packet, chain or event is missing.
    pub fn decode(family: Family, attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let (mut id, mut table, mut chain) = (None, None, None);
        let (mut kind, mut handle, mut verdict, mut policy) = (0, None, None, None);
        let mut step = Self {
            id: 0,
            table: TableId::new(family, ""),
            chain: String::new(),
            event: Event::Policy(Policy::Accept),
            protocol: None,
            mark: None,
            input: None,
            output: None,
            network: Vec::new(),
            transport: Vec::new(),
        };
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                ID => id = Some(attribute.u32_be()?),
                TABLE => table = Some(attribute.string()),
                CHAIN => chain = Some(attribute.string()),
                TYPE => kind = attribute.u32_be()?,
                RULE_HANDLE => handle = Some(attribute.u64_be()?),
                VERDICT => verdict = Some(Verdict::decode(&attribute)?),
                POLICY => policy = Some(attribute.u32_be()?),
                PROTOCOL => {
                    step.protocol =
                        u8::try_from(attribute.u32_be()?).ok().and_then(|n| Family::try_from(n).ok());
                }
                MARK => step.mark = Some(attribute.u32_be()?),
                INPUT => step.input = Some(attribute.u32_be()?),
                OUTPUT => step.output = Some(attribute.u32_be()?),
                NETWORK_HEADER => step.network = attribute.value.to_vec(),
                TRANSPORT_HEADER => step.transport = attribute.value.to_vec(),
                _ => {}
            }
        }
        let missing = |what| DecodeError::Missing { what };
        step.id = id.ok_or(missing("the packet's number"))?;
        step.table.name = table.ok_or(missing("the table of a step"))?;
        step.chain = chain.ok_or(missing("the chain of a step"))?;
        let verdict = || verdict.ok_or(missing("the verdict of a step"));
        step.event = match kind {
            1 => Event::Policy(match policy.ok_or(missing("the policy of a step"))? {
                0 => Policy::Drop,
                _ => Policy::Accept,
            }),
            2 => Event::End(verdict()?),
            // The end of a chain is told as that of a rule, but of none.
            3 => match handle {
                Some(handle) => Event::Rule(handle, verdict()?),
                None => Event::End(verdict()?),
            },
            other => return Err(DecodeError::Unknown { what: "kind of a step", value: u64::from(other) }),
        };
        Ok(step)
    }
}

/// A socket that hears the steps of marked packets in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Tracer {
    socket: Socket,
}

/// What was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A step.
    Step(Box<Step>),
    /// Steps were lost, or could not be read.
    Lost,
}

impl Tracer {
    /// Opens it.
    ///
    /// # Errors
    /// [`netlink::Error::System`] without the right (`CAP_NET_ADMIN`).
    pub fn open() -> Result<Self, Error> {
        let socket = Socket::listen(Protocol::Netfilter, &[GROUP])?;
        socket.reserve(0, BACKLOG);
        Ok(Self { socket })
    }

    /// Waits at most this long for steps; gives those that came, maybe none.
    ///
    /// # Errors
    /// [`Error::Netlink`] where the socket fails.
    pub fn wait(&mut self, patience: Duration) -> Result<Vec<Heard>, Error> {
        self.socket.set_patience(patience)?;
        let mut heard = Vec::new();
        match self.socket.receive() {
            Ok(messages) => {
                for message in messages {
                    let Ok(message) = message else {
                        heard.push(Heard::Lost);
                        continue;
                    };
                    if message.header.kind != message_type::TRACE {
                        continue;
                    }
                    let family = Family::try_from(message.payload.first().copied().unwrap_or(0));
                    let step = family.and_then(|family| {
                        Step::decode(family, Attributes::after(message.payload, NFGENMSG))
                    });
                    heard.push(step.map_or(Heard::Lost, |step| Heard::Step(Box::new(step))));
                }
            }
            Err(netlink::Error::Silent) => {}
            Err(netlink::Error::Overrun) => heard.push(Heard::Lost),
            Err(error) => return Err(error.into()),
        }
        Ok(heard)
    }
}
