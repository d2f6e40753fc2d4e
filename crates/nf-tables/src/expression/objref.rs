use std::fmt;

use netlink::{Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::{Codec, register, required, unknown_attribute};
use crate::object::ObjectKind;
use crate::register::Register;

const IMMEDIATE_TYPE: u16 = 1;
const IMMEDIATE_NAME: u16 = 2;
const SET_SREG: u16 = 3;
const SET_NAME: u16 = 4;
const SET_ID: u16 = 5;

/// Runs a named object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objref {
    /// Always the same one.
    Named {
        /// Its kind.
        kind: ObjectKind,
        /// Its name.
        name: String,
    },
    /// The one that a key leads to.
    Map {
        /// The key.
        sreg: Register,
        /// The object map.
        set: String,
        /// Its id in this batch, for an anonymous map. The kernel does not keep it.
        set_id: Option<u32>,
    },
}

impl Codec for Objref {
    const NAME: &'static str = "objref";

    fn encode(&self, w: &mut Writer<'_>) {
        match self {
            Self::Named { kind, name } => {
                w.u32_be(IMMEDIATE_TYPE, kind.0);
                w.string(IMMEDIATE_NAME, name);
            }
            Self::Map { sreg, set, set_id } => {
                w.u32_be(SET_SREG, sreg.number());
                w.string(SET_NAME, set);
                if let Some(id) = set_id {
                    w.u32_be(SET_ID, *id);
                }
            }
        }
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let (mut kind, mut name, mut sreg, mut set, mut set_id) = (None, None, None, None, None);
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                IMMEDIATE_TYPE => kind = Some(ObjectKind(attribute.u32_be()?)),
                IMMEDIATE_NAME => name = Some(attribute.string()),
                SET_SREG => sreg = Some(register(&attribute)?),
                SET_NAME => set = Some(attribute.string()),
                SET_ID => set_id = Some(attribute.u32_be()?),
                other => return Err(unknown_attribute(other)),
            }
        }
        match sreg {
            Some(_) if kind.is_some() || name.is_some() => Err(unknown_attribute(IMMEDIATE_NAME)),
            None if set.is_some() || set_id.is_some() => Err(unknown_attribute(SET_NAME)),
            Some(sreg) => Ok(Self::Map { sreg, set: required(set, "a map's name")?, set_id }),
            None => Ok(Self::Named {
                kind: required(kind, "an object's kind")?,
                name: required(name, "an object's name")?,
            }),
        }
    }
}

impl fmt::Display for Objref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named { kind, name } => write!(f, "objref type {} name {name}", kind.0),
            Self::Map { sreg, set, .. } => write!(f, "objref sreg {} set {set}", sreg.number()),
        }
    }
}
