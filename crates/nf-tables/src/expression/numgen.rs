use std::fmt;

use netlink::{Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::{Codec, register, required, unknown, unknown_attribute};
use crate::register::Register;

const DREG: u16 = 1;
const MODULUS: u16 = 2;
const TYPE: u16 = 3;
const OFFSET: u16 = 4;

/// A number less than `modulus`, plus `offset`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numgen {
    /// How it is found.
    pub kind: NumgenKind,
    /// It is less than this, before the offset.
    pub modulus: u32,
    /// Added at the end.
    pub offset: u32,
    /// Where it goes.
    pub dreg: Register,
}

/// How a number is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NumgenKind {
    /// One more each time.
    Incremental,
    /// Drawn.
    Random,
}

impl Codec for Numgen {
    const NAME: &'static str = "numgen";

    fn encode(&self, w: &mut Writer<'_>) {
        w.u32_be(DREG, self.dreg.number());
        w.u32_be(MODULUS, self.modulus);
        let kind = match self.kind {
            NumgenKind::Incremental => 0,
            NumgenKind::Random => 1,
        };
        w.u32_be(TYPE, kind);
        w.u32_be(OFFSET, self.offset);
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let (mut dreg, mut modulus, mut kind, mut offset) = (None, None, None, 0);
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                DREG => dreg = Some(register(&attribute)?),
                MODULUS => modulus = Some(attribute.u32_be()?),
                TYPE => {
                    kind = Some(match attribute.u32_be()? {
                        0 => NumgenKind::Incremental,
                        1 => NumgenKind::Random,
                        other => return Err(unknown("numgen", other)),
                    });
                }
                OFFSET => offset = attribute.u32_be()?,
                other => return Err(unknown_attribute(other)),
            }
        }
        Ok(Self {
            kind: required(kind, "the kind of a number")?,
            modulus: required(modulus, "a modulus")?,
            offset,
            dreg: required(dreg, "a destination register")?,
        })
    }
}

impl fmt::Display for Numgen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            NumgenKind::Incremental => "inc",
            NumgenKind::Random => "random",
        };
        write!(f, "numgen {} = {kind} mod {}", self.dreg, self.modulus)?;
        if self.offset == 0 { Ok(()) } else { write!(f, " offset {}", self.offset) }
    }
}
