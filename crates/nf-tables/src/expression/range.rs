use std::fmt;

use netlink::{Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::{Codec, Words, register, required, unknown, unknown_attribute};
use crate::object::Data;
use crate::register::Register;

const SREG: u16 = 1;
const OP: u16 = 2;
const FROM: u16 = 3;
const TO: u16 = 4;

/// Goes on where the register is in a range, or not in it; compared byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// What is compared.
    pub sreg: Register,
    /// In it, or not in it.
    pub op: RangeOp,
    /// The first value in it.
    #[serde(with = "crate::hex")]
    pub from: Vec<u8>,
    /// The last value in it.
    #[serde(with = "crate::hex")]
    pub to: Vec<u8>,
}

/// In a range, or not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RangeOp {
    /// In it.
    In,
    /// Not in it.
    NotIn,
}

impl Codec for Range {
    const NAME: &'static str = "range";

    fn encode(&self, w: &mut Writer<'_>) {
        w.u32_be(SREG, self.sreg.number());
        let op = match self.op {
            RangeOp::In => 0,
            RangeOp::NotIn => 1,
        };
        w.u32_be(OP, op);
        Data::encode_value(&self.from, FROM, w);
        Data::encode_value(&self.to, TO, w);
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let (mut sreg, mut op, mut from, mut to) = (None, None, None, None);
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                SREG => sreg = Some(register(&attribute)?),
                OP => {
                    op = Some(match attribute.u32_be()? {
                        0 => RangeOp::In,
                        1 => RangeOp::NotIn,
                        other => return Err(unknown("range operation", other)),
                    });
                }
                FROM => from = Some(Data::decode_value(&attribute)?),
                TO => to = Some(Data::decode_value(&attribute)?),
                other => return Err(unknown_attribute(other)),
            }
        }
        Ok(Self {
            sreg: required(sreg, "a source register")?,
            op: required(op, "a range operation")?,
            from: required(from, "the start of a range")?,
            to: required(to, "the end of a range")?,
        })
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op = match self.op {
            RangeOp::In => "eq",
            RangeOp::NotIn => "neq",
        };
        write!(f, "range {op} {} {} {}", self.sreg, Words(&self.from), Words(&self.to))
    }
}
