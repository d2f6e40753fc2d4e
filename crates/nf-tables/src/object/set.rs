use std::time::Duration;

use netlink::{Attribute, Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::named::ObjectKind;
use super::{Family, TableId};
use crate::data_type::DataType;
use crate::expression::{self, Expression};
use crate::flags::flags;
use crate::userdata::{self, Owner};

const TABLE: u16 = 1;
const NAME: u16 = 2;
const FLAGS: u16 = 3;
const KEY_TYPE: u16 = 4;
const KEY_LENGTH: u16 = 5;
const DATA_TYPE: u16 = 6;
const DATA_LENGTH: u16 = 7;
const POLICY: u16 = 8;
const DESCRIPTION: u16 = 9;
const ID: u16 = 10;
const TIMEOUT: u16 = 11;
const GC_INTERVAL: u16 = 12;
const USERDATA: u16 = 13;
const OBJECT_TYPE: u16 = 15;
const HANDLE: u16 = 16;
const EXPRESSION: u16 = 17;
const EXPRESSIONS: u16 = 18;

const DESCRIPTION_SIZE: u16 = 1;
const DESCRIPTION_CONCAT: u16 = 2;
const FIELD_LENGTH: u16 = 1;
const LIST_ELEMENT: u16 = 1;

flags! {
    /// What a set can do (`enum nft_set_flags`).
    SetFlags {
        /// It belongs to one rule.
        ANONYMOUS = 0x1;
        /// Its elements do not change once a rule uses it.
        CONSTANT = 0x2;
        /// It holds ranges.
        INTERVAL = 0x4;
        /// Its keys lead to values.
        MAP = 0x8;
        /// Its elements may go by themselves.
        TIMEOUT = 0x10;
        /// Rules add to it (`dynamic` in `nft`).
        EVAL = 0x20;
        /// Its keys lead to named objects.
        OBJECT = 0x40;
        /// Its keys are of several fields, each of which may be a range.
        CONCAT = 0x80;
        /// Its elements carry expressions.
        EXPRESSION = 0x100;
    }
}

/// What the kernel should spare when it chooses how to store a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetPolicy {
    /// Time.
    #[default]
    Performance,
    /// Memory.
    Memory,
}

/// What the keys of a map lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MapData {
    /// A verdict: the map is a dispatch.
    Verdict,
    /// Bytes.
    Value {
        /// What they mean.
        data_type: DataType,
        /// How many.
        length: u32,
    },
    /// A named object of that kind.
    Object(ObjectKind),
}

/// A set, or a map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Set {
    /// Its name, unique in the table. When making an anonymous set: a pattern, `__set%d` or `__map%d`.
    pub name: String,
    /// A number of the maker's choice that rules of the same batch may name it by; 0: the batch chooses.
    /// The kernel does not keep it.
    pub id: u32,
    /// See [`SetFlags`].
    pub flags: SetFlags,
    /// What the key means.
    pub key_type: DataType,
    /// Bytes of the key.
    pub key_length: u32,
    /// What a key leads to; none for a plain set.
    pub data: Option<MapData>,
    /// How long an element stays that says nothing of its own; milliseconds count.
    pub timeout: Option<Duration>,
    /// How often what has timed out is cleared away, in milliseconds.
    pub gc_interval: Option<u32>,
    /// See [`SetPolicy`].
    pub policy: SetPolicy,
    /// The most elements it takes.
    pub size: Option<u32>,
    /// For [`SetFlags::CONCAT`]: bytes of each field, without padding.
    pub fields: Vec<u32>,
    /// What each new element carries (a counter, a limit).
    pub expressions: Vec<Expression>,
    /// The kernel's number for it; none before it is made.
    pub handle: Option<u64>,
    /// See [`crate::userdata`].
    #[serde(with = "crate::hex")]
    pub userdata: Vec<u8>,
}

impl Set {
    /// A plain set of keys of `key_length` bytes.
    #[must_use]
    pub fn new(name: impl Into<String>, key_type: DataType, key_length: u32) -> Self {
        Self {
            name: name.into(),
            id: 0,
            flags: SetFlags::NONE,
            key_type,
            key_length,
            data: None,
            timeout: None,
            gc_interval: None,
            policy: SetPolicy::Performance,
            size: None,
            fields: Vec::new(),
            expressions: Vec::new(),
            handle: None,
            userdata: Vec::new(),
        }
    }

    /// A map.
    #[must_use]
    pub fn map(name: impl Into<String>, key_type: DataType, key_length: u32, data: MapData) -> Self {
        let flag = match data {
            MapData::Verdict | MapData::Value { .. } => SetFlags::MAP,
            MapData::Object(_) => SetFlags::OBJECT,
        };
        Self { data: Some(data), flags: flag, ..Self::new(name, key_type, key_length) }
    }

    /// The same set with more flags.
    #[must_use]
    pub fn with_flags(self, flags: SetFlags) -> Self {
        Self { flags: self.flags | flags, ..self }
    }

    /// The same set whose elements go after `timeout`, unless they say otherwise.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self.with_flags(SetFlags::TIMEOUT) }
    }

    /// The same set with a comment; see [`userdata::COMMENT_MAX`].
    #[must_use]
    pub fn with_comment(self, comment: &str) -> Self {
        let mut userdata = self.userdata;
        userdata.extend(userdata::with_comment(Owner::Set, comment));
        Self { userdata, ..self }
    }

    /// Its comment.
    #[must_use]
    pub fn comment(&self) -> Option<String> {
        userdata::comment(Owner::Set, &self.userdata)
    }

    /// Writes the attributes that make it.
    pub fn encode(&self, table: &TableId, w: &mut Writer<'_>) {
        Self::encode_name(table, &self.name, w);
        w.u32_be(FLAGS, self.flags.0);
        w.u32_be(KEY_TYPE, self.key_type.0);
        w.u32_be(KEY_LENGTH, self.key_length);
        match self.data {
            None => {}
            Some(MapData::Verdict) => w.u32_be(DATA_TYPE, DataType::VERDICT.0),
            Some(MapData::Value { data_type, length }) => {
                w.u32_be(DATA_TYPE, data_type.0);
                w.u32_be(DATA_LENGTH, length);
            }
            Some(MapData::Object(kind)) => w.u32_be(OBJECT_TYPE, kind.0),
        }
        match self.policy {
            SetPolicy::Performance => {}
            SetPolicy::Memory => w.u32_be(POLICY, 1),
        }
        if self.size.is_some() || !self.fields.is_empty() {
            w.nest(DESCRIPTION, |w| self.encode_description(w));
        }
        w.u32_be(ID, self.id);
        if let Some(timeout) = self.timeout {
            w.u64_be(TIMEOUT, milliseconds(timeout));
        }
        if let Some(interval) = self.gc_interval {
            w.u32_be(GC_INTERVAL, interval);
        }
        if !self.userdata.is_empty() {
            w.bytes(USERDATA, &self.userdata);
        }
        match self.expressions.as_slice() {
            [] => {}
            [expression] => w.nest(EXPRESSION, |w| expression.encode(w)),
            expressions => w.nest(EXPRESSIONS, |w| expression::encode_list(expressions, w)),
        }
    }

    fn encode_description(&self, w: &mut Writer<'_>) {
        if let Some(size) = self.size {
            w.u32_be(DESCRIPTION_SIZE, size);
        }
        if !self.fields.is_empty() {
            w.nest(DESCRIPTION_CONCAT, |w| {
                for &length in &self.fields {
                    w.nest(LIST_ELEMENT, |w| w.u32_be(FIELD_LENGTH, length));
                }
            });
        }
    }

    /// Writes the attributes that name it.
    pub fn encode_name(table: &TableId, name: &str, w: &mut Writer<'_>) {
        w.string(TABLE, &table.name);
        w.string(NAME, name);
    }

    /// Reads a set, and the name of its table, from the attributes of its message.
    ///
    /// # Errors
    /// When an attribute has the wrong size or value, or a name is missing.
    pub fn decode(family: Family, attributes: Attributes<'_>) -> Result<(TableId, Self), DecodeError> {
        let (mut table, mut name) = (None, None);
        let (mut data_type, mut data_length, mut object) = (None, 0, None);
        let mut set = Self::new("", DataType::default(), 0);
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                TABLE => table = Some(attribute.string()),
                NAME => name = Some(attribute.string()),
                FLAGS => set.flags = SetFlags(attribute.u32_be()?),
                KEY_TYPE => set.key_type = DataType(attribute.u32_be()?),
                KEY_LENGTH => set.key_length = attribute.u32_be()?,
                DATA_TYPE => data_type = Some(DataType(attribute.u32_be()?)),
                DATA_LENGTH => data_length = attribute.u32_be()?,
                OBJECT_TYPE => object = Some(ObjectKind(attribute.u32_be()?)),
                POLICY if attribute.u32_be()? == 1 => set.policy = SetPolicy::Memory,
                DESCRIPTION => set.decode_description(&attribute)?,
                ID => set.id = attribute.u32_be()?,
                TIMEOUT => set.timeout = Some(Duration::from_millis(attribute.u64_be()?)),
                GC_INTERVAL => set.gc_interval = Some(attribute.u32_be()?),
                USERDATA => set.userdata = attribute.value.to_vec(),
                HANDLE => set.handle = Some(attribute.u64_be()?),
                EXPRESSION => set.expressions = vec![Expression::decode(attribute.nested())?],
                EXPRESSIONS => set.expressions = expression::decode_list(attribute.nested())?,
                _ => {}
            }
        }
        set.data = match (data_type, object) {
            (Some(DataType::VERDICT), _) => Some(MapData::Verdict),
            (Some(data_type), _) => Some(MapData::Value { data_type, length: data_length }),
            (None, Some(kind)) => Some(MapData::Object(kind)),
            (None, None) => None,
        };
        set.name = name.ok_or(DecodeError::Missing { what: "a set's name" })?;
        let table = table.ok_or(DecodeError::Missing { what: "a set's table" })?;
        Ok((TableId::new(family, table), set))
    }

    fn decode_description(&mut self, description: &Attribute<'_>) -> Result<(), DecodeError> {
        for attribute in description.nested() {
            let attribute = attribute?;
            match attribute.kind {
                DESCRIPTION_SIZE => self.size = Some(attribute.u32_be()?),
                DESCRIPTION_CONCAT => {
                    self.fields.clear();
                    for field in attribute.nested() {
                        for length in field?.nested() {
                            self.fields.push(length?.u32_be()?);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whole milliseconds, as many as the wire holds.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
