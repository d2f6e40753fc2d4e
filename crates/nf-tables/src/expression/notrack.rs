use std::fmt;

use netlink::{Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::{Codec, unknown_attribute};

/// Keeps the packet from connection tracking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Notrack {}

impl Codec for Notrack {
    const NAME: &'static str = "notrack";

    fn encode(&self, _: &mut Writer<'_>) {}

    fn decode(mut attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        match attributes.next() {
            None => Ok(Self {}),
            Some(attribute) => Err(unknown_attribute(attribute?.kind)),
        }
    }
}

impl fmt::Display for Notrack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("notrack")
    }
}
