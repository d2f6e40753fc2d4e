use std::fmt;

use netlink::{Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::{Codec, register, required, unknown, unknown_attribute};
use crate::register::Register;

const SREG: u16 = 1;
const DREG: u16 = 2;
const OP: u16 = 3;
const LENGTH: u16 = 4;
const SIZE: u16 = 5;

/// Turns numbers from one byte order into the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Byteorder {
    /// The numbers.
    pub sreg: Register,
    /// Where they go.
    pub dreg: Register,
    /// From which order to which.
    pub op: ByteorderOp,
    /// Bytes in all.
    pub length: u32,
    /// Bytes of each number.
    pub size: u32,
}

/// From which order to which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ByteorderOp {
    /// From the network's to the machine's.
    NetworkToHost,
    /// From the machine's to the network's.
    HostToNetwork,
}

impl Codec for Byteorder {
    const NAME: &'static str = "byteorder";

    fn encode(&self, w: &mut Writer<'_>) {
        w.u32_be(SREG, self.sreg.number());
        w.u32_be(DREG, self.dreg.number());
        let op = match self.op {
            ByteorderOp::NetworkToHost => 0,
            ByteorderOp::HostToNetwork => 1,
        };
        w.u32_be(OP, op);
        w.u32_be(LENGTH, self.length);
        w.u32_be(SIZE, self.size);
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let (mut sreg, mut dreg, mut op, mut length, mut size) = (None, None, None, None, None);
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                SREG => sreg = Some(register(&attribute)?),
                DREG => dreg = Some(register(&attribute)?),
                OP => {
                    op = Some(match attribute.u32_be()? {
                        0 => ByteorderOp::NetworkToHost,
                        1 => ByteorderOp::HostToNetwork,
                        other => return Err(unknown("byteorder operation", other)),
                    });
                }
                LENGTH => length = Some(attribute.u32_be()?),
                SIZE => size = Some(attribute.u32_be()?),
                other => return Err(unknown_attribute(other)),
            }
        }
        Ok(Self {
            sreg: required(sreg, "a source register")?,
            dreg: required(dreg, "a destination register")?,
            op: required(op, "a byteorder operation")?,
            length: required(length, "a length")?,
            size: required(size, "a size")?,
        })
    }
}

impl fmt::Display for Byteorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op = match self.op {
            ByteorderOp::NetworkToHost => "ntoh",
            ByteorderOp::HostToNetwork => "hton",
        };
        write!(f, "byteorder {} = {op}({}, {}, {})", self.dreg, self.sreg, self.size, self.length)
    }
}
