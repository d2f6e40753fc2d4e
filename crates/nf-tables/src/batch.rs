//! Changes that the kernel makes together or not at all.

use netlink::Writer;
use netlink::attribute::NESTED;
use netlink::message::{self, ACK, APPEND, CREATE, EXCLUSIVE, REPLACE, REQUEST};

use crate::object::{
    Chain, ChainId, Element, Family, Rule, Set, Table, TableId, message_type as message_types, rule,
};

/// nfnetlink's number of the subsystem, for the header of the batch's bounds.
const NF_TABLES_SUBSYSTEM: u16 = 10;
/// `NFNL_BATCH_GENID`.
const BATCH_GENERATION: u16 = 1;

const ELEMENTS_TABLE: u16 = 1;
const ELEMENTS_SET: u16 = 2;
const ELEMENTS_LIST: u16 = 3;
const ELEMENTS_SET_ID: u16 = 4;
const LIST_ELEMENT: u16 = 1;
/// An attribute holds 65,535 bytes; a little is left for the one element that is written too many.
const ELEMENTS_BYTES: usize = 60_000;

/// Bytes of `struct nlmsghdr` before its sequence number.
const SEQUENCE_OFFSET: usize = 8;

/// Changes in order, to be committed by [`crate::Connection::commit`].
///
/// Every message asks for an acknowledgement and has a label, which an error names; without
/// [`Step::label`] it says what the message does.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    generation: Option<u32>,
    last_set_id: u32,
}

#[derive(Debug, Clone)]
struct Entry {
    /// Where its header starts; none for a message that did not fit.
    start: Option<usize>,
    label: String,
}

/// What was just put into a batch, to be given a label.
#[derive(Debug)]
pub struct Step<'a> {
    batch: &'a mut Batch,
    first: usize,
}

impl Step<'_> {
    /// Names what an error would be about.
    pub fn label(self, label: impl Into<String>) {
        let label = label.into();
        for entry in &mut self.batch.entries[self.first..] {
            entry.label.clone_from(&label);
        }
    }
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Has the kernel refuse the batch unless the ruleset is of this generation.
    pub fn at_generation(&mut self, generation: u32) {
        self.generation = Some(generation);
    }

    /// The generation it was built for.
    #[must_use]
    pub fn generation(&self) -> Option<u32> {
        self.generation
    }

    /// Messages so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A number for [`Set::id`] that no other set of this batch has.
    pub fn fresh_set_id(&mut self) -> u32 {
        self.last_set_id += 1;
        self.last_set_id
    }

    /// Makes a table, unless it is there.
    pub fn add_table(&mut self, table: &Table) -> Step<'_> {
        self.push(
            message_types::NEW_TABLE,
            CREATE,
            table.family,
            || format!("table {}", table.id()),
            |w| table.encode(w),
        )
    }

    /// Takes a table away with all that is in it.
    pub fn delete_table(&mut self, table: &TableId) -> Step<'_> {
        self.push(
            message_types::DEL_TABLE,
            0,
            table.family,
            || format!("table {table}"),
            |w| Table::encode_name(&table.name, w),
        )
    }

    /// Makes a chain, unless it is there; the policy of a base chain that is there is set.
    pub fn add_chain(&mut self, table: &TableId, chain: &Chain) -> Step<'_> {
        self.push(
            message_types::NEW_CHAIN,
            CREATE,
            table.family,
            || format!("chain {table} {}", chain.name),
            |w| chain.encode(table, w),
        )
    }

    /// Takes an empty chain away that nothing jumps to.
    pub fn delete_chain(&mut self, chain: &ChainId) -> Step<'_> {
        self.push(
            message_types::DEL_CHAIN,
            0,
            chain.table.family,
            || format!("chain {chain}"),
            |w| Chain::encode_name(&chain.table, &chain.name, w),
        )
    }

    /// Takes all rules of a chain away.
    pub fn flush_chain(&mut self, chain: &ChainId) -> Step<'_> {
        self.push(
            message_types::DEL_RULE,
            0,
            chain.table.family,
            || format!("rules of chain {chain}"),
            |w| encode_chain_of_rule(chain, w),
        )
    }

    /// Puts a rule at the end of a chain.
    pub fn append_rule(&mut self, chain: &ChainId, rule: &Rule) -> Step<'_> {
        self.push_rule(CREATE | APPEND, chain, rule, None)
    }

    /// Puts a rule at the start of a chain.
    pub fn insert_rule(&mut self, chain: &ChainId, rule: &Rule) -> Step<'_> {
        self.push_rule(CREATE, chain, rule, None)
    }

    /// Puts a rule after the one with that handle.
    pub fn insert_rule_after(&mut self, chain: &ChainId, handle: u64, rule: &Rule) -> Step<'_> {
        self.push_rule(CREATE | APPEND, chain, rule, Some((rule::POSITION, handle)))
    }

    /// Puts a rule before the one with that handle.
    pub fn insert_rule_before(&mut self, chain: &ChainId, handle: u64, rule: &Rule) -> Step<'_> {
        self.push_rule(CREATE, chain, rule, Some((rule::POSITION, handle)))
    }

    /// Puts a rule in the place of the one with that handle.
    pub fn replace_rule(&mut self, chain: &ChainId, handle: u64, rule: &Rule) -> Step<'_> {
        self.push_rule(REPLACE, chain, rule, Some((rule::HANDLE, handle)))
    }

    /// Takes the rule with that handle away.
    pub fn delete_rule(&mut self, chain: &ChainId, handle: u64) -> Step<'_> {
        self.push(
            message_types::DEL_RULE,
            0,
            chain.table.family,
            || format!("rule {handle} of chain {chain}"),
            |w| {
                encode_chain_of_rule(chain, w);
                w.u64_be(rule::HANDLE, handle);
            },
        )
    }

    /// Makes a set or map, unless it is there. A set without [`Set::id`] gets one.
    pub fn add_set(&mut self, table: &TableId, set: &Set) -> Step<'_> {
        if set.id == 0 {
            let set = Set { id: self.fresh_set_id(), ..set.clone() };
            return self.push_set(table, &set);
        }
        self.push_set(table, set)
    }

    fn push_set(&mut self, table: &TableId, set: &Set) -> Step<'_> {
        self.push(
            message_types::NEW_SET,
            CREATE,
            table.family,
            || format!("set {table} {}", set.name),
            |w| set.encode(table, w),
        )
    }

    /// Takes a set away that no rule names.
    pub fn delete_set(&mut self, table: &TableId, set: &str) -> Step<'_> {
        self.push(
            message_types::DEL_SET,
            0,
            table.family,
            || format!("set {table} {set}"),
            |w| Set::encode_name(table, set, w),
        )
    }

    /// Takes all elements of a set away.
    pub fn flush_set(&mut self, table: &TableId, set: &str) -> Step<'_> {
        self.push(
            message_types::DEL_SET_ELEMENT,
            0,
            table.family,
            || format!("elements of set {table} {set}"),
            |w| {
                w.string(ELEMENTS_TABLE, &table.name);
                w.string(ELEMENTS_SET, set);
            },
        )
    }

    /// Puts elements into a set; those that are there stay as they are, with the time they have left.
    pub fn add_elements(&mut self, table: &TableId, set: &str, elements: &[Element]) -> Step<'_> {
        self.push_elements(message_types::NEW_SET_ELEMENT, CREATE, table, set, None, elements)
    }

    /// Puts elements into a set; one that is there is an error.
    pub fn create_elements(&mut self, table: &TableId, set: &str, elements: &[Element]) -> Step<'_> {
        self.push_elements(message_types::NEW_SET_ELEMENT, CREATE | EXCLUSIVE, table, set, None, elements)
    }

    /// Puts elements into an anonymous set made in this batch, which its id names.
    pub fn add_anonymous_elements(&mut self, table: &TableId, set: &Set, elements: &[Element]) -> Step<'_> {
        self.push_elements(message_types::NEW_SET_ELEMENT, CREATE, table, &set.name, Some(set.id), elements)
    }

    /// Takes elements out of a set; one that is not there is an error.
    pub fn delete_elements(&mut self, table: &TableId, set: &str, elements: &[Element]) -> Step<'_> {
        self.push_elements(message_types::DEL_SET_ELEMENT, 0, table, set, None, elements)
    }

    fn push_rule(&mut self, flags: u16, chain: &ChainId, rule: &Rule, place: Option<(u16, u64)>) -> Step<'_> {
        let label = || match rule.comment() {
            Some(comment) => format!("rule \"{comment}\" of chain {chain}"),
            None => format!("rule of chain {chain}"),
        };
        self.push(message_types::NEW_RULE, flags, chain.table.family, label, |w| {
            rule.encode(chain, w);
            if let Some((attribute, handle)) = place {
                w.u64_be(attribute, handle);
            }
        })
    }

    /// As many messages as the elements need.
    fn push_elements(
        &mut self,
        kind: u16,
        flags: u16,
        table: &TableId,
        set: &str,
        id: Option<u32>,
        elements: &[Element],
    ) -> Step<'_> {
        let first = self.entries.len();
        let mut list = Vec::new();
        let mut rest = elements.iter().peekable();
        while let Some(element) = rest.next() {
            Writer::new(&mut list).nest(LIST_ELEMENT, |w| element.encode(w));
            if list.len() < ELEMENTS_BYTES && rest.peek().is_some() {
                continue;
            }
            self.push(
                kind,
                flags,
                table.family,
                || format!("elements of set {table} {set}"),
                |w| {
                    w.string(ELEMENTS_TABLE, &table.name);
                    w.string(ELEMENTS_SET, set);
                    if let Some(id) = id {
                        w.u32_be(ELEMENTS_SET_ID, id);
                    }
                    w.bytes(ELEMENTS_LIST | NESTED, &list);
                },
            );
            list.clear();
        }
        Step { batch: self, first }
    }

    fn push(
        &mut self,
        kind: u16,
        flags: u16,
        family: Family,
        label: impl FnOnce() -> String,
        body: impl FnOnce(&mut Writer<'_>),
    ) -> Step<'_> {
        let start = self.bytes.len();
        let written = message::write(&mut self.bytes, kind, flags | REQUEST | ACK, 0, |w| {
            w.raw(&[family.number(), 0, 0, 0]);
            body(w);
        });
        let first = self.entries.len();
        self.entries.push(Entry { start: written.ok().map(|()| start), label: label() });
        Step { batch: self, first }
    }

    /// The label of the message with that index.
    #[must_use]
    pub fn label_of(&self, index: usize) -> Option<&str> {
        self.entries.get(index).map(|entry| entry.label.as_str())
    }

    /// The label of the first message that did not fit, if one did not.
    #[must_use]
    pub fn too_long(&self) -> Option<&str> {
        self.entries.iter().find(|entry| entry.start.is_none()).map(|entry| entry.label.as_str())
    }

    /// The bytes to send: the batch's begin with sequence number `first`, then the messages with the numbers
    /// after it, in order, then the end.
    ///
    /// # Errors
    /// When the bounds do not fit a message, which cannot be.
    pub fn encode(&self, first: u32) -> Result<Vec<u8>, message::TooLong> {
        let mut bytes = Vec::with_capacity(self.bytes.len() + 64);
        let [high, low] = NF_TABLES_SUBSYSTEM.to_be_bytes();
        let header = [0, 0, high, low];
        message::write(&mut bytes, message_types::BATCH_BEGIN, REQUEST, first, |w| {
            w.raw(&header);
            if let Some(generation) = self.generation {
                w.u32_be(BATCH_GENERATION, generation);
            }
        })?;
        let offset = bytes.len();
        bytes.extend_from_slice(&self.bytes);
        let mut sequence = first;
        for start in self.entries.iter().filter_map(|entry| entry.start) {
            sequence = sequence.wrapping_add(1);
            let at = offset + start + SEQUENCE_OFFSET;
            bytes[at..at + 4].copy_from_slice(&sequence.to_ne_bytes());
        }
        let end = sequence.wrapping_add(1);
        message::write(&mut bytes, message_types::BATCH_END, REQUEST, end, |w| {
            w.raw(&header);
        })?;
        Ok(bytes)
    }
}

fn encode_chain_of_rule(chain: &ChainId, w: &mut Writer<'_>) {
    w.string(rule::TABLE, &chain.table.name);
    w.string(rule::CHAIN, &chain.name);
}
