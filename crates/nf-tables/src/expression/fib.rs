use std::fmt;

use netlink::{Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::{Codec, register, required, unknown, unknown_attribute};
use crate::flags::flags;
use crate::register::Register;

const DREG: u16 = 1;
const RESULT: u16 = 2;
const FLAGS: u16 = 3;

flags! {
    /// What the routing table is asked with (`enum nft_fib_flags`).
    FibFlags {
        /// The packet's source address.
        SOURCE = 1;
        /// The packet's destination address.
        DESTINATION = 2;
        /// The packet's mark.
        MARK = 4;
        /// The interface it came by.
        INPUT = 8;
        /// The interface it leaves by.
        OUTPUT = 16;
        /// Only whether there is an answer.
        PRESENT = 32;
    }
}

/// Asks the routing table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fib {
    /// With what.
    pub flags: FibFlags,
    /// For what.
    pub result: FibResult,
    /// Where the answer goes.
    pub dreg: Register,
}

/// What the routing table tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FibResult {
    /// The interface's index; 4 bytes, the machine's order.
    OutputIndex,
    /// The interface's name; 16 bytes.
    OutputName,
    /// The address type (`RTN_*`); 4 bytes, the machine's order.
    AddressType,
}

impl Codec for Fib {
    const NAME: &'static str = "fib";

    fn encode(&self, w: &mut Writer<'_>) {
        let result = match self.result {
            FibResult::OutputIndex => 1,
            FibResult::OutputName => 2,
            FibResult::AddressType => 3,
        };
        w.u32_be(RESULT, result);
        w.u32_be(DREG, self.dreg.number());
        w.u32_be(FLAGS, self.flags.0);
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let (mut dreg, mut result, mut flags) = (None, None, FibFlags::NONE);
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                DREG => dreg = Some(register(&attribute)?),
                RESULT => {
                    result = Some(match attribute.u32_be()? {
                        1 => FibResult::OutputIndex,
                        2 => FibResult::OutputName,
                        3 => FibResult::AddressType,
                        other => return Err(unknown("fib result", other)),
                    });
                }
                FLAGS => flags = FibFlags(attribute.u32_be()?),
                other => return Err(unknown_attribute(other)),
            }
        }
        Ok(Self {
            flags,
            result: required(result, "a fib result")?,
            dreg: required(dreg, "a destination register")?,
        })
    }
}

impl fmt::Display for Fib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fib ")?;
        let names = [
            (FibFlags::SOURCE, "saddr"),
            (FibFlags::DESTINATION, "daddr"),
            (FibFlags::MARK, "mark"),
            (FibFlags::INPUT, "iif"),
            (FibFlags::OUTPUT, "oif"),
        ];
        let set: Vec<_> = names.iter().filter(|(flag, _)| self.flags.contains(*flag)).collect();
        for (index, (_, name)) in set.iter().enumerate() {
            let separator = if index + 1 < set.len() { " . " } else { " " };
            write!(f, "{name}{separator}")?;
        }
        let result = match self.result {
            FibResult::OutputIndex => "oif",
            FibResult::OutputName => "oifname",
            FibResult::AddressType => "type",
        };
        let present = if self.flags.contains(FibFlags::PRESENT) { " present" } else { "" };
        write!(f, "{result}{present} => {}", self.dreg)
    }
}
