use std::fmt;

use netlink::{Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::{Codec, only_bit, required, unknown_attribute};

const COUNT: u16 = 1;
const FLAGS: u16 = 2;
const INVERSE: u32 = 1;

/// Goes on while at most so many connections have come by here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connlimit {
    /// The most connections.
    pub count: u32,
    /// Goes on where there are more, instead.
    pub over: bool,
}

impl Codec for Connlimit {
    const NAME: &'static str = "connlimit";

    fn encode(&self, w: &mut Writer<'_>) {
        w.u32_be(COUNT, self.count);
        w.u32_be(FLAGS, if self.over { INVERSE } else { 0 });
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let (mut count, mut flags) = (None, 0);
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                COUNT => count = Some(attribute.u32_be()?),
                FLAGS => flags = attribute.u32_be()?,
                other => return Err(unknown_attribute(other)),
            }
        }
        Ok(Self { count: required(count, "a count")?, over: only_bit(flags, INVERSE)? })
    }
}

impl fmt::Display for Connlimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connlimit count {} flags {:x}", self.count, u32::from(self.over))
    }
}
