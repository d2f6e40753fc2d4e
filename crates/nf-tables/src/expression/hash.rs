use std::fmt;

use netlink::{Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::{Codec, register, required, unknown, unknown_attribute};
use crate::register::Register;

const SREG: u16 = 1;
const DREG: u16 = 2;
const LENGTH: u16 = 3;
const MODULUS: u16 = 4;
const SEED: u16 = 5;
const OFFSET: u16 = 6;
const TYPE: u16 = 7;

/// A hash, modulo `modulus`, plus `offset`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hash {
    /// Of what.
    pub kind: HashKind,
    /// The outcome is less than this, before the offset.
    pub modulus: u32,
    /// Added at the end.
    pub offset: u32,
    /// Where it goes.
    pub dreg: Register,
}

/// What is hashed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HashKind {
    /// A register, by Jenkins' hash.
    Jenkins {
        /// The register.
        sreg: Register,
        /// Its bytes.
        length: u32,
        /// What the hash begins with; none: the kernel draws one.
        seed: Option<u32>,
    },
    /// The packet's connection, the same for both directions.
    Symmetric,
}

impl Codec for Hash {
    const NAME: &'static str = "hash";

    fn encode(&self, w: &mut Writer<'_>) {
        match self.kind {
            HashKind::Jenkins { sreg, length, seed } => {
                w.u32_be(TYPE, 0);
                w.u32_be(SREG, sreg.number());
                w.u32_be(LENGTH, length);
                if let Some(seed) = seed {
                    w.u32_be(SEED, seed);
                }
            }
            HashKind::Symmetric => w.u32_be(TYPE, 1),
        }
        w.u32_be(DREG, self.dreg.number());
        w.u32_be(MODULUS, self.modulus);
        if self.offset != 0 {
            w.u32_be(OFFSET, self.offset);
        }
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let (mut sreg, mut dreg, mut length, mut modulus) = (None, None, None, None);
        let (mut seed, mut offset, mut kind) = (None, 0, 0);
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                SREG => sreg = Some(register(&attribute)?),
                DREG => dreg = Some(register(&attribute)?),
                LENGTH => length = Some(attribute.u32_be()?),
                MODULUS => modulus = Some(attribute.u32_be()?),
                SEED => seed = Some(attribute.u32_be()?),
                OFFSET => offset = attribute.u32_be()?,
                TYPE => kind = attribute.u32_be()?,
                other => return Err(unknown_attribute(other)),
            }
        }
        Ok(Self {
            kind: match kind {
                0 => HashKind::Jenkins {
                    sreg: required(sreg, "a source register")?,
                    length: required(length, "a length")?,
                    seed,
                },
                1 if sreg.is_none() && length.is_none() && seed.is_none() => HashKind::Symmetric,
                other => return Err(unknown("hash", other)),
            },
            modulus: required(modulus, "a modulus")?,
            offset,
            dreg: required(dreg, "a destination register")?,
        })
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            HashKind::Jenkins { sreg, length, seed } => {
                let (dreg, seed, modulus) = (self.dreg, seed.unwrap_or(0), self.modulus);
                write!(f, "hash {dreg} = jhash({sreg}, {length}, 0x{seed:x}) % mod {modulus}")?;
            }
            HashKind::Symmetric => write!(f, "hash {} = symhash() % mod {}", self.dreg, self.modulus)?,
        }
        if self.offset == 0 { Ok(()) } else { write!(f, " offset {}", self.offset) }
    }
}
