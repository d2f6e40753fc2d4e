use std::fmt;

use netlink::{Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::{Codec, unknown_attribute};

const BYTES: u16 = 1;
const PACKETS: u16 = 2;
const PAD: u16 = 3;

/// Counts what comes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counter {
    /// Packets so far.
    pub packets: u64,
    /// Bytes so far, from the network header on.
    pub bytes: u64,
}

impl Codec for Counter {
    const NAME: &'static str = "counter";

    fn encode(&self, w: &mut Writer<'_>) {
        w.u64_be(BYTES, self.bytes);
        w.u64_be(PACKETS, self.packets);
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let mut counter = Self::default();
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                BYTES => counter.bytes = attribute.u64_be()?,
                PACKETS => counter.packets = attribute.u64_be()?,
                PAD => {}
                other => return Err(unknown_attribute(other)),
            }
        }
        Ok(counter)
    }
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "counter pkts {} bytes {}", self.packets, self.bytes)
    }
}
