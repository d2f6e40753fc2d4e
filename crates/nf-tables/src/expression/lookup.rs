use std::fmt;

use netlink::{Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::{Codec, only_bit, register, required, unknown_attribute};
use crate::register::Register;

const SET: u16 = 1;
const SREG: u16 = 2;
const DREG: u16 = 3;
const SET_ID: u16 = 4;
const FLAGS: u16 = 5;

const INVERSE: u32 = 1;

/// Goes on where the key is in the set; from a map, loads what the key leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookup {
    /// The set.
    pub set: String,
    /// Its id in this batch, for an anonymous set. The kernel does not keep it.
    pub set_id: Option<u32>,
    /// The key.
    pub sreg: Register,
    /// Where the value goes, from a map; [`Register::VERDICT`] for a dispatch.
    pub dreg: Option<Register>,
    /// Goes on where the key is not in the set, instead.
    pub inverse: bool,
}

impl Lookup {
    /// Whether the key is in the set.
    #[must_use]
    pub fn contains(set: impl Into<String>, key: Register) -> Self {
        Self { set: set.into(), set_id: None, sreg: key, dreg: None, inverse: false }
    }

    /// Decides by what the key leads to.
    #[must_use]
    pub fn dispatch(map: impl Into<String>, key: Register) -> Self {
        Self { dreg: Some(Register::VERDICT), ..Self::contains(map, key) }
    }
}

impl Codec for Lookup {
    const NAME: &'static str = "lookup";

    fn encode(&self, w: &mut Writer<'_>) {
        w.string(SET, &self.set);
        w.u32_be(SREG, self.sreg.number());
        if let Some(dreg) = self.dreg {
            w.u32_be(DREG, dreg.number());
        }
        if let Some(id) = self.set_id {
            w.u32_be(SET_ID, id);
        }
        if self.inverse {
            w.u32_be(FLAGS, INVERSE);
        }
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let (mut set, mut set_id, mut sreg, mut dreg, mut flags) = (None, None, None, None, 0);
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                SET => set = Some(attribute.string()),
                SREG => sreg = Some(register(&attribute)?),
                DREG => dreg = Some(register(&attribute)?),
                SET_ID => set_id = Some(attribute.u32_be()?),
                FLAGS => flags = attribute.u32_be()?,
                other => return Err(unknown_attribute(other)),
            }
        }
        Ok(Self {
            set: required(set, "a set's name")?,
            set_id,
            sreg: required(sreg, "a key register")?,
            dreg,
            inverse: only_bit(flags, INVERSE)?,
        })
    }
}

impl fmt::Display for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lookup {} set {}", self.sreg, self.set)?;
        if let Some(dreg) = self.dreg {
            write!(f, " dreg {}", dreg.number())?;
        }
        if self.inverse { f.write_str(" 0x1") } else { Ok(()) }
    }
}
