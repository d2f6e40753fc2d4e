use std::fmt;

use netlink::{Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::{Codec, required, unknown_attribute};
use crate::flags::flags;

const BYTES: u16 = 1;
const FLAGS: u16 = 2;
const PAD: u16 = 3;
const CONSUMED: u16 = 4;

flags! {
    /// How a quota works (`enum nft_quota_flags`).
    QuotaFlags {
        /// Goes on where it is used up, instead.
        OVER = 1;
        /// It is used up.
        DEPLETED = 2;
    }
}

/// Goes on until so many bytes have come by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// So many.
    pub bytes: u64,
    /// Bytes so far.
    pub consumed: u64,
    /// See [`QuotaFlags`].
    pub flags: QuotaFlags,
}

impl Codec for Quota {
    const NAME: &'static str = "quota";

    fn encode(&self, w: &mut Writer<'_>) {
        w.u64_be(BYTES, self.bytes);
        if self.consumed != 0 {
            w.u64_be(CONSUMED, self.consumed);
        }
        w.u32_be(FLAGS, self.flags.0);
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let (mut bytes, mut consumed, mut flags) = (None, 0, QuotaFlags::NONE);
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                BYTES => bytes = Some(attribute.u64_be()?),
                FLAGS => flags = QuotaFlags(attribute.u32_be()?),
                PAD => {}
                CONSUMED => consumed = attribute.u64_be()?,
                other => return Err(unknown_attribute(other)),
            }
        }
        Ok(Self { bytes: required(bytes, "a quota")?, consumed, flags })
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "quota bytes {} consumed {} flags {}", self.bytes, self.consumed, self.flags.0)
    }
}
