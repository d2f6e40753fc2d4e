use std::fmt;

use netlink::{Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::{Codec, Words, register, required, unknown, unknown_attribute};
use crate::object::Data;
use crate::register::Register;

const SREG: u16 = 1;
const DREG: u16 = 2;
const LENGTH: u16 = 3;
const MASK: u16 = 4;
const XOR: u16 = 5;
const OP: u16 = 6;
const DATA: u16 = 7;

/// Changes bits: `dreg = sreg op`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bitwise {
    /// What is changed.
    pub sreg: Register,
    /// Where the outcome goes.
    pub dreg: Register,
    /// Bytes.
    pub length: u32,
    /// How.
    pub op: BitwiseOp,
}

/// How bits are changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BitwiseOp {
    /// `(sreg & mask) ^ xor`.
    MaskXor {
        /// Bits that stay.
        #[serde(with = "crate::hex")]
        mask: Vec<u8>,
        /// Bits that are turned over then.
        #[serde(with = "crate::hex")]
        xor: Vec<u8>,
    },
    /// Towards the highest bit.
    ShiftLeft(u32),
    /// Towards the lowest bit.
    ShiftRight(u32),
}

impl Bitwise {
    /// Keeps the bits of `mask`, in place.
    #[must_use]
    pub fn mask(register: Register, mask: impl Into<Vec<u8>>) -> Self {
        let mask = mask.into();
        let length = u32::try_from(mask.len()).unwrap_or(u32::MAX);
        let xor = vec![0; mask.len()];
        Self { sreg: register, dreg: register, length, op: BitwiseOp::MaskXor { mask, xor } }
    }
}

impl Codec for Bitwise {
    const NAME: &'static str = "bitwise";

    fn encode(&self, w: &mut Writer<'_>) {
        w.u32_be(SREG, self.sreg.number());
        w.u32_be(DREG, self.dreg.number());
        w.u32_be(LENGTH, self.length);
        match &self.op {
            BitwiseOp::MaskXor { mask, xor } => {
                w.u32_be(OP, 0);
                Data::encode_value(mask, MASK, w);
                Data::encode_value(xor, XOR, w);
            }
            BitwiseOp::ShiftLeft(bits) => {
                w.u32_be(OP, 1);
                Data::encode_value(&bits.to_ne_bytes(), DATA, w);
            }
            BitwiseOp::ShiftRight(bits) => {
                w.u32_be(OP, 2);
                Data::encode_value(&bits.to_ne_bytes(), DATA, w);
            }
        }
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let (mut sreg, mut dreg, mut length, mut op) = (None, None, None, 0);
        let (mut mask, mut xor, mut data) = (None, None, None);
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                SREG => sreg = Some(register(&attribute)?),
                DREG => dreg = Some(register(&attribute)?),
                LENGTH => length = Some(attribute.u32_be()?),
                MASK => mask = Some(Data::decode_value(&attribute)?),
                XOR => xor = Some(Data::decode_value(&attribute)?),
                OP => op = attribute.u32_be()?,
                DATA => data = Some(Data::decode_value(&attribute)?),
                other => return Err(unknown_attribute(other)),
            }
        }
        let bits = |data: Option<Vec<u8>>| {
            let bytes: [u8; 4] = required(data, "a shift")?
                .try_into()
                .map_err(|_| DecodeError::Missing { what: "a shift" })?;
            Ok::<_, DecodeError>(u32::from_ne_bytes(bytes))
        };
        // A mask and a shift at once would be something new.
        if (op == 0) == data.is_some() || (op != 0 && (mask.is_some() || xor.is_some())) {
            return Err(unknown_attribute(DATA));
        }
        Ok(Self {
            sreg: required(sreg, "a source register")?,
            dreg: required(dreg, "a destination register")?,
            length: required(length, "a length")?,
            op: match op {
                0 => BitwiseOp::MaskXor { mask: required(mask, "a mask")?, xor: required(xor, "a xor")? },
                1 => BitwiseOp::ShiftLeft(bits(data)?),
                2 => BitwiseOp::ShiftRight(bits(data)?),
                other => return Err(unknown("bitwise operation", other)),
            },
        })
    }
}

impl fmt::Display for Bitwise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bitwise {} = ( {} ", self.dreg, self.sreg)?;
        match &self.op {
            BitwiseOp::MaskXor { mask, xor } => write!(f, "& {} ) ^ {}", Words(mask), Words(xor)),
            BitwiseOp::ShiftLeft(bits) => write!(f, "<< 0x{bits:08x} )"),
            BitwiseOp::ShiftRight(bits) => write!(f, ">> 0x{bits:08x} )"),
        }
    }
}
