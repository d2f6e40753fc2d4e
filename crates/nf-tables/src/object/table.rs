use std::fmt;

use netlink::{Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::Family;
use crate::flags::flags;
use crate::userdata::{self, Owner};

const NAME: u16 = 1;
const FLAGS: u16 = 2;
const HANDLE: u16 = 4;
const USERDATA: u16 = 6;
const OWNER: u16 = 7;

flags! {
    /// What holds for a whole table (`NFT_TABLE_F_*`).
    TableFlags {
        /// Its chains are unhooked: it does nothing.
        DORMANT = 0x1;
        /// Only the socket that made it may change it; it goes when the socket closes.
        OWNER = 0x2;
        /// With `OWNER`: it stays when the socket closes (Linux 6.9).
        PERSIST = 0x4;
    }
}

/// What names a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableId {
    /// Its family.
    pub family: Family,
    /// Its name, unique in the family.
    pub name: String,
}

impl TableId {
    /// The table of that name.
    #[must_use]
    pub fn new(family: Family, name: impl Into<String>) -> Self {
        Self { family, name: name.into() }
    }
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.family, self.name)
    }
}

/// A table: the name space of chains and sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its family.
    pub family: Family,
    /// Its name, unique in the family.
    pub name: String,
    /// See [`TableFlags`].
    pub flags: TableFlags,
    /// The kernel's number for it; none before it is made.
    pub handle: Option<u64>,
    /// The netlink port of the process that owns it, with [`TableFlags::OWNER`].
    pub owner: Option<u32>,
    /// See [`crate::userdata`].
    #[serde(with = "crate::hex")]
    pub userdata: Vec<u8>,
}

impl Table {
    /// A table without flags.
    #[must_use]
    pub fn new(family: Family, name: impl Into<String>) -> Self {
        Self {
            family,
            name: name.into(),
            flags: TableFlags::NONE,
            handle: None,
            owner: None,
            userdata: Vec::new(),
        }
    }

    /// What names it.
    #[must_use]
    pub fn id(&self) -> TableId {
        TableId::new(self.family, self.name.clone())
    }

    /// Its comment.
    #[must_use]
    pub fn comment(&self) -> Option<String> {
        userdata::comment(Owner::Table, &self.userdata)
    }

    /// Writes the attributes that make it.
    pub fn encode(&self, w: &mut Writer<'_>) {
        w.string(NAME, &self.name);
        w.u32_be(FLAGS, self.flags.0);
        if !self.userdata.is_empty() {
            w.bytes(USERDATA, &self.userdata);
        }
    }

    /// Writes the attribute that names it.
    pub fn encode_name(name: &str, w: &mut Writer<'_>) {
        w.string(NAME, name);
    }

    /// Reads a table from the attributes of its message.
    ///
    /// # Errors
    /// When an attribute has the wrong size, or there is no name.
    pub fn decode(family: Family, attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let mut name = None;
        let mut table = Self::new(family, "");
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                NAME => name = Some(attribute.string()),
                FLAGS => table.flags = TableFlags(attribute.u32_be()?),
                HANDLE => table.handle = Some(attribute.u64_be()?),
                USERDATA => table.userdata = attribute.value.to_vec(),
                OWNER => table.owner = Some(attribute.u32_be()?),
                _ => {}
            }
        }
        table.name = name.ok_or(DecodeError::Missing { what: "a table's name" })?;
        Ok(table)
    }
}
