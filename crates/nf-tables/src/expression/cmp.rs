use std::fmt;

use netlink::{Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::{Codec, Words, register, required, unknown, unknown_attribute};
use crate::object::Data;
use crate::register::Register;

const SREG: u16 = 1;
const OP: u16 = 2;
const DATA: u16 = 3;

/// Goes on where the register compares with `data` as said, byte by byte; else the rule ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cmp {
    /// What is compared.
    pub sreg: Register,
    /// How.
    pub op: CmpOp,
    /// With what.
    #[serde(with = "crate::hex")]
    pub data: Vec<u8>,
}

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CmpOp {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
}

impl CmpOp {
    const fn number(self) -> u32 {
        match self {
            Self::Eq => 0,
            Self::Ne => 1,
            Self::Lt => 2,
            Self::Le => 3,
            Self::Gt => 4,
            Self::Ge => 5,
        }
    }

    fn decode(number: u32) -> Result<Self, DecodeError> {
        Ok(match number {
            0 => Self::Eq,
            1 => Self::Ne,
            2 => Self::Lt,
            3 => Self::Le,
            4 => Self::Gt,
            5 => Self::Ge,
            other => return Err(unknown("comparison", other)),
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Ne => "neq",
            Self::Lt => "lt",
            Self::Le => "lte",
            Self::Gt => "gt",
            Self::Ge => "gte",
        }
    }
}

impl Codec for Cmp {
    const NAME: &'static str = "cmp";

    fn encode(&self, w: &mut Writer<'_>) {
        w.u32_be(SREG, self.sreg.number());
        w.u32_be(OP, self.op.number());
        Data::encode_value(&self.data, DATA, w);
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let (mut sreg, mut op, mut data) = (None, None, None);
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                SREG => sreg = Some(register(&attribute)?),
                OP => op = Some(CmpOp::decode(attribute.u32_be()?)?),
                DATA => data = Some(Data::decode_value(&attribute)?),
                other => return Err(unknown_attribute(other)),
            }
        }
        Ok(Self {
            sreg: required(sreg, "a source register")?,
            op: required(op, "a comparison")?,
            data: required(data, "a value to compare with")?,
        })
    }
}

impl fmt::Display for Cmp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cmp {} {} {}", self.op.name(), self.sreg, Words(&self.data))
    }
}
