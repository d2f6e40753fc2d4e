use std::fmt;

use netlink::{Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::{Codec, only_bit, register, required, unknown, unknown_attribute};
use crate::register::Register;

const DREG: u16 = 1;
const TYPE: u16 = 2;
const OFFSET: u16 = 3;
const LENGTH: u16 = 4;
const FLAGS: u16 = 5;
const OP: u16 = 6;
const SREG: u16 = 7;

const PRESENT: u32 = 1;

/// Loads, stores or removes a field of an IPv6 extension header or of an option.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exthdr {
    /// In what it is looked for.
    pub op: ExthdrOp,
    /// The header's or option's number.
    pub kind: u8,
    /// Bytes from its start.
    pub offset: u32,
    /// Bytes of the field.
    pub length: u32,
    /// Loads 1 where it is there, else 0, instead of the field.
    pub present: bool,
    /// Where the field goes.
    pub dreg: Option<Register>,
    /// Where the field's new contents are; with neither, the option is taken away.
    pub sreg: Option<Register>,
}

/// In what a field is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExthdrOp {
    /// IPv6 extension headers.
    Ipv6,
    /// TCP options.
    TcpOption,
    /// IPv4 options.
    Ipv4Option,
    /// SCTP chunks.
    SctpChunk,
    /// DCCP options.
    DccpOption,
}

impl ExthdrOp {
    const fn number(self) -> u32 {
        match self {
            Self::Ipv6 => 0,
            Self::TcpOption => 1,
            Self::Ipv4Option => 2,
            Self::SctpChunk => 3,
            Self::DccpOption => 4,
        }
    }

    fn decode(number: u32) -> Result<Self, DecodeError> {
        Ok(match number {
            0 => Self::Ipv6,
            1 => Self::TcpOption,
            2 => Self::Ipv4Option,
            3 => Self::SctpChunk,
            4 => Self::DccpOption,
            other => return Err(unknown("exthdr operation", other)),
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Ipv6 => "ipv6",
            Self::TcpOption => "tcpopt",
            Self::Ipv4Option => "ipv4",
            Self::SctpChunk => "sctp chunk",
            Self::DccpOption => "dccpopt",
        }
    }
}

impl Codec for Exthdr {
    const NAME: &'static str = "exthdr";

    fn encode(&self, w: &mut Writer<'_>) {
        if let Some(dreg) = self.dreg {
            w.u32_be(DREG, dreg.number());
        }
        if let Some(sreg) = self.sreg {
            w.u32_be(SREG, sreg.number());
        }
        w.u8(TYPE, self.kind);
        // The removal of an option is refused where it tells more.
        if self.dreg.is_some() || self.sreg.is_some() {
            w.u32_be(OFFSET, self.offset);
            w.u32_be(LENGTH, self.length);
        }
        if self.present {
            w.u32_be(FLAGS, PRESENT);
        }
        w.u32_be(OP, self.op.number());
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let mut kind = None;
        let mut exthdr = Self {
            op: ExthdrOp::Ipv6,
            kind: 0,
            offset: 0,
            length: 0,
            present: false,
            dreg: None,
            sreg: None,
        };
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                DREG => exthdr.dreg = Some(register(&attribute)?),
                SREG => exthdr.sreg = Some(register(&attribute)?),
                TYPE => kind = Some(attribute.u8()?),
                OFFSET => exthdr.offset = attribute.u32_be()?,
                LENGTH => exthdr.length = attribute.u32_be()?,
                FLAGS => exthdr.present = only_bit(attribute.u32_be()?, PRESENT)?,
                OP => exthdr.op = ExthdrOp::decode(attribute.u32_be()?)?,
                other => return Err(unknown_attribute(other)),
            }
        }
        exthdr.kind = required(kind, "an extension header's number")?;
        if exthdr.dreg.is_none() && exthdr.sreg.is_none() && (exthdr.offset, exthdr.length) != (0, 0) {
            return Err(DecodeError::Missing { what: "a register" });
        }
        Ok(exthdr)
    }
}

impl fmt::Display for Exthdr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { op, kind, offset, length, .. } = self;
        let op = op.name();
        match (self.sreg, self.dreg) {
            (Some(sreg), _) => write!(f, "exthdr write {op} {sreg} => {length}b @ {kind} + {offset}"),
            (None, Some(dreg)) => {
                let present = if self.present { "present " } else { "" };
                write!(f, "exthdr load {op} {length}b @ {kind} + {offset} {present}=> {dreg}")
            }
            (None, None) => write!(f, "exthdr reset {op} {kind}"),
        }
    }
}
