//! The socket to `nf_tables`: commit a batch, dump the ruleset.

use std::collections::{HashMap, HashSet};
use std::thread;
use std::time::Duration;

use netlink::message::{Answer, ERROR, Message};
use netlink::{Attributes, DecodeError, Errno, Protocol, Socket};
use thiserror::Error;

use crate::batch::Batch;
use crate::object::{
    Chain, ChainId, Element, Family, NFGENMSG, NamedObject, Rule, Set, Table, TableId,
    message_type as message_types,
};
use crate::ruleset::{ChainDump, Ruleset, SetDump, TableDump};

const GENERATION_ID: u16 = 1;
const ELEMENTS_TABLE: u16 = 1;
const ELEMENTS_SET: u16 = 2;
const ELEMENTS_LIST: u16 = 3;
const TABLE_OF_ANY: u16 = 1;

/// What an acknowledgement takes of the receive buffer, overhead of the kernel included.
const ANSWER_BYTES: usize = 2048;
/// Errors echo their message; a buffer for that many bytes more than the batch has is enough.
const RECEIVE_LEAST: usize = 1 << 20;
/// How often a dump is begun anew when the ruleset changed meanwhile.
const DUMP_ATTEMPTS: usize = 10;
/// A step of the pause before a set is dumped again whose hash the kernel is growing.
const REHASH_PAUSE: Duration = Duration::from_millis(2);

/// What can go wrong with `nf_tables`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    /// The socket failed, or the kernel refused a request as a whole.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// The kernel made nothing of the batch, because of these messages.
    #[error("the kernel refused the batch: {}", list(.0))]
    Refused(Vec<Refusal>),
    /// The ruleset is not of the generation any more that the batch was built for. Nothing was changed.
    #[error("the ruleset has changed since generation {expected}: nothing was done")]
    Stale {
        /// The generation that the batch was built for.
        expected: u32,
    },
    /// The kernel refused the batch as a whole; nothing was changed.
    #[error("the kernel refused the batch as a whole: {0}")]
    BatchRefused(Errno),
    /// An object does not fit a message. Nothing was sent.
    #[error("{label} is too long for a netlink message")]
    TooLong {
        /// The label of the message.
        label: String,
    },
    /// The ruleset kept changing while it was read.
    #[error("the ruleset changed during each of {DUMP_ATTEMPTS} dumps")]
    Unstable,
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::Netlink(error.into())
    }
}

/// One message that the kernel refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// Its label.
    pub label: String,
    /// Why.
    pub errno: Errno,
    /// The kernel's own words, where it gave any.
    pub message: Option<String>,
    /// Where in the message the offending attribute starts, where the kernel says.
    pub offset: Option<u32>,
}

fn list(refusals: &[Refusal]) -> String {
    const SHOWN: usize = 5;
    let mut text: Vec<_> =
        refusals.iter().take(SHOWN).map(|refusal| format!("{}: {}", refusal.label, refusal.errno)).collect();
    if refusals.len() > SHOWN {
        text.push(format!("and {} more", refusals.len() - SHOWN));
    }
    text.join("; ")
}

/// An open socket to `nf_tables`, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
}

impl Connection {
    /// Opens it. Reading and writing rules needs `CAP_NET_ADMIN`.
    ///
    /// # Errors
    /// [`netlink::Error::System`] where the kernel has no nfnetlink.
    pub fn open() -> Result<Self, Error> {
        let socket = Socket::open(Protocol::Netfilter)?;
        Ok(Self { socket })
    }

    /// The ruleset's generation: another number after every commit, by whomever.
    ///
    /// # Errors
    /// [`netlink::Error::Refused`] without the right, or without `nf_tables`.
    pub fn generation(&mut self) -> Result<u32, Error> {
        let mut generation = None;
        self.socket.ask(
            message_types::GET_GENERATION,
            0,
            |w| w.raw(&[0; NFGENMSG]),
            |message| {
                for attribute in Attributes::after(message.payload, NFGENMSG) {
                    let attribute = attribute?;
                    if attribute.kind == GENERATION_ID {
                        generation = Some(attribute.u32_be()?);
                    }
                }
                Ok(())
            },
        )?;
        Ok(generation.ok_or(DecodeError::Missing { what: "the generation" })?)
    }

    /// Has the kernel make the changes, all of them or none; returns when it has.
    ///
    /// # Errors
    /// [`Error::Refused`] names every message that the kernel would not take; [`Error::Stale`] when the
    /// batch is bound to another generation; in both cases, as for [`Error::BatchRefused`] and
    /// [`Error::TooLong`], nothing was changed.
    pub fn commit(&mut self, batch: &Batch) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        if let Some(label) = batch.too_long() {
            return Err(Error::TooLong { label: label.to_owned() });
        }
        let count = u32::try_from(batch.len()).unwrap_or(u32::MAX - 2);
        let first = self.socket.take_sequence(count.saturating_add(2));
        let bytes = batch.encode(first).map_err(netlink::Error::from)?;
        self.socket.reserve(bytes.len() * 2, bytes.len() + RECEIVE_LEAST + batch.len() * ANSWER_BYTES);
        self.socket.send(&bytes)?;
        let refusals = self.answers(batch, first)?;
        if refusals.is_empty() { Ok(()) } else { Err(Error::Refused(refusals)) }
    }

    /// Waits until every message is answered, or the batch as a whole.
    fn answers(&mut self, batch: &Batch, begin: u32) -> Result<Vec<Refusal>, Error> {
        let mut answered = vec![false; batch.len()];
        let mut waiting = batch.len();
        let mut refusals = Vec::new();
        while waiting > 0 {
            for message in self.socket.receive()? {
                let message = message.map_err(netlink::Error::from)?;
                if message.header.kind != ERROR {
                    continue;
                }
                let answer = Answer::decode(&message).map_err(netlink::Error::from)?;
                let sequence = message.header.sequence;
                if sequence == begin && answer.errno != 0 {
                    return Err(whole(batch, Errno::from_raw_os_error(answer.errno)));
                }
                let Some(index) = sequence
                    .checked_sub(begin.wrapping_add(1))
                    .and_then(|index| usize::try_from(index).ok())
                    .filter(|&index| index < answered.len())
                else {
                    continue;
                };
                if !std::mem::replace(&mut answered[index], true) {
                    waiting -= 1;
                }
                if answer.errno != 0 {
                    refusals.push(Refusal {
                        index,
                        label: batch.label_of(index).unwrap_or_default().to_owned(),
                        errno: Errno::from_raw_os_error(answer.errno),
                        message: answer.message,
                        offset: answer.offset,
                    });
                }
            }
        }
        Ok(refusals)
    }

    /// The whole ruleset of all families, as of one generation.
    ///
    /// # Errors
    /// [`Error::Unstable`] when it changed during every attempt.
    pub fn dump_ruleset(&mut self) -> Result<Ruleset, Error> {
        self.dump_stable(None)
    }

    /// One table; none where it is not there.
    ///
    /// # Errors
    /// As [`Connection::dump_ruleset`].
    pub fn dump_table(&mut self, table: &TableId) -> Result<Option<TableDump>, Error> {
        Ok(self.dump_stable(Some(table))?.tables.into_iter().next())
    }

    fn dump_stable(&mut self, only: Option<&TableId>) -> Result<Ruleset, Error> {
        for _ in 0..DUMP_ATTEMPTS {
            let generation = self.generation()?;
            self.wait_for_commit()?;
            let tables = self.dump_tables(only);
            self.wait_for_commit()?;
            // A set that vanished in between is an error of no interest.
            if self.generation()? == generation {
                return Ok(Ruleset { generation, tables: tables? });
            }
        }
        Err(Error::Unstable)
    }

    /// Waits until the commit that is under way, if any, is over.
    ///
    /// A commit makes its rules the valid ones and counts the generation up in two steps, in an order that differs
    /// between kernels (`nf_tables_commit` in `nf_tables_api.c`). A dump that runs across the first of them tells old
    /// rules and new ones, and where it begins or ends between the two, the number is the same before and after. A
    /// batch of nothing has to wait for the commit's mutex, and is handled before `sendmsg` returns.
    fn wait_for_commit(&mut self) -> Result<(), Error> {
        let first = self.socket.take_sequence(2);
        let nothing = Batch::new().encode(first).map_err(netlink::Error::from)?;
        Ok(self.socket.send(&nothing)?)
    }

    fn dump_tables(&mut self, only: Option<&TableId>) -> Result<Vec<TableDump>, Error> {
        let tables = self.dump(message_types::GET_TABLE, None, Table::decode)?;
        let mut dumps: Vec<TableDump> = tables
            .into_iter()
            .filter(|table| only.is_none_or(|only| table.id() == *only))
            .map(TableDump::new)
            .collect();
        if dumps.is_empty() {
            return Ok(dumps);
        }
        let chains = self.dump(message_types::GET_CHAIN, only, Chain::decode)?;
        let rules = self.dump(message_types::GET_RULE, only, Rule::decode)?;
        let sets = self.dump(message_types::GET_SET, only, Set::decode)?;
        let objects = self.dump(message_types::GET_OBJECT, only, NamedObject::decode)?;

        let mut rules_of: HashMap<ChainId, Vec<Rule>> = HashMap::new();
        for (chain, rule) in rules {
            rules_of.entry(chain).or_default().push(rule);
        }
        let at: HashMap<TableId, usize> =
            dumps.iter().enumerate().map(|(index, dump)| (dump.table.id(), index)).collect();
        for (table, chain) in chains {
            if let Some(&index) = at.get(&table) {
                let rules = rules_of.remove(&ChainId::new(&table, &chain.name)).unwrap_or_default();
                dumps[index].chains.push(ChainDump { chain, rules });
            }
        }
        for (table, set) in sets {
            if let Some(&index) = at.get(&table) {
                let elements = self.dump_elements(&table, &set.name)?;
                dumps[index].sets.push(SetDump { set, elements });
            }
        }
        for (table, object) in objects {
            if let Some(&index) = at.get(&table) {
                dumps[index].objects.push(object);
            }
        }
        Ok(dumps)
    }

    /// The elements of one set, each once, as the kernel orders them.
    ///
    /// The kernel walks over a hash anew for each datagram and skips as many as it has told before; while it
    /// grows the hash, or elements come and go, some are told twice and others not at all. So a dump that
    /// tells one twice is done again; where it never gets quiet, what any of the dumps told is returned.
    ///
    /// # Errors
    /// [`netlink::Error::Refused`] where there is no such set.
    pub fn dump_elements(&mut self, table: &TableId, set: &str) -> Result<Vec<Element>, Error> {
        let mut elements = Elements::default();
        for attempt in 0..DUMP_ATTEMPTS {
            let told = self.dump_elements_once(table, set)?;
            let count = told.len();
            let mut once = Elements::default();
            once.extend(told);
            if once.list.len() == count {
                return Ok(once.list);
            }
            elements.extend(once.list);
            thread::sleep(REHASH_PAUSE * u32::try_from(attempt).unwrap_or(u32::MAX));
        }
        Ok(elements.list)
    }

    fn dump_elements_once(&mut self, table: &TableId, set: &str) -> Result<Vec<Element>, Error> {
        let lists = self.socket.dump(
            message_types::GET_SET_ELEMENT,
            |w| {
                w.raw(&[table.family.number(), 0, 0, 0]);
                w.string(ELEMENTS_TABLE, &table.name);
                w.string(ELEMENTS_SET, set);
            },
            |message| decode_elements(message).map(Some),
        )?;
        Ok(lists.into_iter().flatten().collect())
    }

    fn dump<T>(
        &mut self,
        kind: u16,
        only: Option<&TableId>,
        decode: impl Fn(Family, Attributes<'_>) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, Error> {
        let objects = self.socket.dump(
            kind,
            |w| {
                w.raw(&[only.map_or(0, |table| table.family.number()), 0, 0, 0]);
                if let Some(table) = only {
                    w.string(TABLE_OF_ANY, &table.name);
                }
            },
            |message| {
                let family = message.payload.first().copied().unwrap_or(0).try_into()?;
                decode(family, Attributes::after(message.payload, NFGENMSG)).map(Some)
            },
        )?;
        Ok(objects)
    }
}

/// Elements in the order in which they were first told, each once.
#[derive(Default)]
struct Elements {
    list: Vec<Element>,
    seen: HashSet<(Vec<u8>, Option<Vec<u8>>, u32)>,
}

impl Elements {
    fn extend(&mut self, told: Vec<Element>) {
        for element in told {
            if self.seen.insert((element.key.clone(), element.key_end.clone(), element.flags.0)) {
                self.list.push(element);
            }
        }
    }
}

fn decode_elements(message: &Message<'_>) -> Result<Vec<Element>, DecodeError> {
    let mut elements = Vec::new();
    for attribute in Attributes::after(message.payload, NFGENMSG) {
        let attribute = attribute?;
        if attribute.kind == ELEMENTS_LIST {
            for element in attribute.nested() {
                elements.push(Element::decode(element?.nested())?);
            }
        }
    }
    Ok(elements)
}

fn whole(batch: &Batch, errno: Errno) -> Error {
    match batch.generation() {
        Some(expected) if errno == Errno::RESTART => Error::Stale { expected },
        _ => Error::BatchRefused(errno),
    }
}
