//! Changes of the ruleset as they happen, and who makes them.
//!
//! The kernel tells the listeners of one group (`NFNLGRP_NFTABLES`) every object that a commit adds or takes away, and at
//! its end the new generation with the process that committed.

use std::time::Duration;

use netlink::message::Message;
use netlink::{Attributes, DecodeError, Protocol, Socket};

use crate::connection::Error;
use crate::object::{
    Chain, ChainId, Element, Family, NFGENMSG, NamedObject, Rule, Set, Table, TableId, message_type,
};

/// `NFNLGRP_NFTABLES`.
const GROUP: u32 = 7;

const GENERATION_ID: u16 = 1;
const GENERATION_PROCESS: u16 = 2;
const GENERATION_NAME: u16 = 3;

const ELEMENTS_TABLE: u16 = 1;
const ELEMENTS_SET: u16 = 2;
const ELEMENTS_LIST: u16 = 3;

/// How many bytes of events the kernel may keep for a reader that is busy.
const BACKLOG: usize = 4 << 20;

/// One commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The generation that it made.
    pub generation: u32,
    /// The process that committed, as its own process namespace numbers it for the kernel; 0 where it is not told.
    pub process: u32,
    /// What that process calls itself, at most 15 bytes; it is the process's own word.
    pub name: String,
    /// What was added and taken away, in order.
    pub changes: Vec<Change>,
    /// Some changes were lost, or could not be read: `changes` is not all.
    pub incomplete: bool,
}

/// Something that was added (or changed), or taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// It was added or changed; else it was taken away.
    pub added: bool,
    /// The table that it is in, or is.
    pub table: TableId,
    /// What.
    pub object: Changed,
}

/// What was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// A table.
    Table(Table),
    /// A chain.
    Chain(Chain),
    /// A rule, in the chain of that name.
    Rule(String, Rule),
    /// A set or map.
    Set(Set),
    /// Elements of the set of that name.
    Elements(String, Vec<Element>),
    /// A named counter, quota or the like.
    Object(NamedObject),
    /// Something that this crate does not know, by the number of its message.
    Other(u16),
}

/// A socket that hears of commits in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Monitor {
    socket: Socket,
    changes: Vec<Change>,
    incomplete: bool,
}

impl Monitor {
    /// Opens it. What is committed from now on is heard.
    ///
    /// # Errors
    /// [`netlink::Error::System`] without the right (`CAP_NET_ADMIN`).
    pub fn open() -> Result<Self, Error> {
        let socket = Socket::listen(Protocol::Netfilter, &[GROUP])?;
        socket.reserve(0, BACKLOG);
        Ok(Self { socket, changes: Vec::new(), incomplete: false })
    }

    /// Waits at most this long for commits; gives those that came, maybe none.
    ///
    /// Where the kernel had more to tell than the socket could hold, the next commit says that it is incomplete; if it was
    /// the commit itself that was lost, there is only the ruleset to be read anew, so this gives a commit of generation 0.
    ///
    /// # Errors
    /// [`Error::Netlink`] where the socket fails.
    pub fn wait(&mut self, patience: Duration) -> Result<Vec<Commit>, Error> {
        self.socket.set_patience(patience)?;
        let Self { socket, changes, incomplete } = self;
        let mut commits = Vec::new();
        match socket.receive() {
            Ok(messages) => {
                for message in messages {
                    match message.map(|message| heard(&message)) {
                        Ok(Ok(Heard::Change(change))) => changes.push(change),
                        Ok(Ok(Heard::Commit(commit))) => commits.push(Commit {
                            changes: std::mem::take(changes),
                            incomplete: std::mem::take(incomplete),
                            ..commit
                        }),
                        Ok(Ok(Heard::Nothing)) => {}
                        Ok(Err(_)) | Err(_) => *incomplete = true,
                    }
                }
            }
            Err(netlink::Error::Silent) => {}
            Err(netlink::Error::Overrun) => {
                changes.clear();
                let (process, name) = (0, String::new());
                commits.push(Commit { generation: 0, process, name, changes: Vec::new(), incomplete: true });
            }
            Err(error) => return Err(error.into()),
        }
        Ok(commits)
    }
}

enum Heard {
    Change(Change),
    Commit(Commit),
    Nothing,
}

fn heard(message: &Message<'_>) -> Result<Heard, DecodeError> {
    use message_type as kind;
    let family = || Family::try_from(message.payload.first().copied().unwrap_or(0));
    let attributes = Attributes::after(message.payload, NFGENMSG);
    let change = |added, (table, object)| Ok(Heard::Change(Change { added, table, object }));
    match message.header.kind {
        kind::NEW_GENERATION => Ok(Heard::Commit(commit(attributes)?)),
        number @ (kind::NEW_TABLE | kind::DEL_TABLE) => {
            let table = Table::decode(family()?, attributes)?;
            change(number == kind::NEW_TABLE, (table.id(), Changed::Table(table)))
        }
        number @ (kind::NEW_CHAIN | kind::DEL_CHAIN) => {
            let (table, chain) = Chain::decode(family()?, attributes)?;
            change(number == kind::NEW_CHAIN, (table, Changed::Chain(chain)))
        }
        number @ (kind::NEW_RULE | kind::DEL_RULE) => {
            let (ChainId { table, name }, rule) = Rule::decode(family()?, attributes)?;
            change(number == kind::NEW_RULE, (table, Changed::Rule(name, rule)))
        }
        number @ (kind::NEW_SET | kind::DEL_SET) => {
            let (table, set) = Set::decode(family()?, attributes)?;
            change(number == kind::NEW_SET, (table, Changed::Set(set)))
        }
        number @ (kind::NEW_SET_ELEMENT | kind::DEL_SET_ELEMENT) => {
            change(number == kind::NEW_SET_ELEMENT, elements(family()?, attributes)?)
        }
        number @ (kind::NEW_OBJECT | kind::DEL_OBJECT) => {
            let (table, object) = NamedObject::decode(family()?, attributes)?;
            change(number == kind::NEW_OBJECT, (table, Changed::Object(object)))
        }
        netlink::message::ERROR | netlink::message::DONE => Ok(Heard::Nothing),
        other => change(true, (TableId::new(family()?, ""), Changed::Other(other & 0xff))),
    }
}

fn commit(attributes: Attributes<'_>) -> Result<Commit, DecodeError> {
    let (mut generation, mut process, mut name) = (None, 0, String::new());
    for attribute in attributes {
        let attribute = attribute?;
        match attribute.kind {
            GENERATION_ID => generation = Some(attribute.u32_be()?),
            GENERATION_PROCESS => process = attribute.u32_be()?,
            GENERATION_NAME => name = attribute.string(),
            _ => {}
        }
    }
    let generation = generation.ok_or(DecodeError::Missing { what: "the generation" })?;
    Ok(Commit { generation, process, name, changes: Vec::new(), incomplete: false })
}

fn elements(family: Family, attributes: Attributes<'_>) -> Result<(TableId, Changed), DecodeError> {
    let (mut table, mut set, mut list) = (String::new(), String::new(), Vec::new());
    for attribute in attributes {
        let attribute = attribute?;
        match attribute.kind {
            ELEMENTS_TABLE => table = attribute.string(),
            ELEMENTS_SET => set = attribute.string(),
            ELEMENTS_LIST => {
                for element in attribute.nested() {
                    list.push(Element::decode(element?.nested())?);
                }
            }
            _ => {}
        }
    }
    Ok((TableId::new(family, table), Changed::Elements(set, list)))
}
