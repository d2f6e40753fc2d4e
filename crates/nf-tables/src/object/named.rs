use netlink::{Attributes, DecodeError};
use serde::{Deserialize, Serialize};

use super::{Family, TableId};

const TABLE: u16 = 1;
const NAME: u16 = 2;
const TYPE: u16 = 3;
const DATA: u16 = 4;
const HANDLE: u16 = 6;

/// The kind of a named object (`NFT_OBJECT_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ObjectKind(pub u32);

impl ObjectKind {
    /// Packets and bytes.
    pub const COUNTER: Self = Self(1);
    /// So many bytes.
    pub const QUOTA: Self = Self(2);
    /// A helper of connection tracking.
    pub const CT_HELPER: Self = Self(3);
    /// So many a time.
    pub const LIMIT: Self = Self(4);
    /// So many connections.
    pub const CONNLIMIT: Self = Self(5);
    /// How long connection tracking keeps what is quiet.
    pub const CT_TIMEOUT: Self = Self(7);
}

/// A stateful object that rules name (counter, quota, limit), kept as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedObject {
    /// Its name, unique in the table and kind.
    pub name: String,
    /// What it is.
    pub kind: ObjectKind,
    /// The kernel's number for it.
    pub handle: Option<u64>,
    /// Its attributes as bytes, which hold its settings and its state.
    #[serde(with = "crate::hex")]
    pub data: Vec<u8>,
}

impl NamedObject {
    /// Reads an object, and the name of its table, from the attributes of its message.
    ///
    /// # Errors
    /// When an attribute has the wrong size, or a name is missing.
    pub fn decode(family: Family, attributes: Attributes<'_>) -> Result<(TableId, Self), DecodeError> {
        let (mut table, mut name, mut kind) = (None, None, None);
        let (mut handle, mut data) = (None, Vec::new());
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                TABLE => table = Some(attribute.string()),
                NAME => name = Some(attribute.string()),
                TYPE => kind = Some(ObjectKind(attribute.u32_be()?)),
                DATA => data = attribute.value.to_vec(),
                HANDLE => handle = Some(attribute.u64_be()?),
                _ => {}
            }
        }
        let object = Self {
            name: name.ok_or(DecodeError::Missing { what: "an object's name" })?,
            kind: kind.ok_or(DecodeError::Missing { what: "an object's kind" })?,
            handle,
            data,
        };
        let table = table.ok_or(DecodeError::Missing { what: "an object's table" })?;
        Ok((TableId::new(family, table), object))
    }
}
