use std::fmt;

use netlink::{Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::{Codec, register, required, unknown_attribute};
use crate::object::{Data, Verdict};
use crate::register::Register;

const DREG: u16 = 1;
const DATA: u16 = 2;

/// Puts a constant into a register; a verdict in [`Register::VERDICT`] decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Immediate {
    /// Where to.
    pub dreg: Register,
    /// What.
    pub data: Data,
}

impl Immediate {
    /// Decides.
    #[must_use]
    pub fn verdict(verdict: Verdict) -> Self {
        Self { dreg: Register::VERDICT, data: Data::Verdict(verdict) }
    }

    /// Loads bytes.
    #[must_use]
    pub fn value(dreg: Register, value: impl Into<Vec<u8>>) -> Self {
        Self { dreg, data: Data::Value(value.into()) }
    }
}

impl Codec for Immediate {
    const NAME: &'static str = "immediate";

    fn encode(&self, w: &mut Writer<'_>) {
        w.u32_be(DREG, self.dreg.number());
        self.data.encode(DATA, w);
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let (mut dreg, mut data) = (None, None);
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                DREG => dreg = Some(register(&attribute)?),
                DATA => data = Some(Data::decode(&attribute)?),
                other => return Err(unknown_attribute(other)),
            }
        }
        Ok(Self { dreg: required(dreg, "a destination register")?, data: required(data, "a value")? })
    }
}

impl fmt::Display for Immediate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "immediate {} {}", self.dreg, self.data)
    }
}
