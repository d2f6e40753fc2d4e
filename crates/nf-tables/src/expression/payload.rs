use std::fmt;

use netlink::{Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::{Codec, register, required, unknown, unknown_attribute};
use crate::register::Register;

const DREG: u16 = 1;
const BASE: u16 = 2;
const OFFSET: u16 = 3;
const LENGTH: u16 = 4;
pub(super) const SREG: u16 = 5;
const CHECKSUM_TYPE: u16 = 6;
const CHECKSUM_OFFSET: u16 = 7;
const CHECKSUM_FLAGS: u16 = 8;

/// Loads bytes of the packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// Where to.
    pub dreg: Register,
    /// The header that the offset counts from.
    pub base: PayloadBase,
    /// Bytes from its start.
    pub offset: u32,
    /// Bytes.
    pub length: u32,
}

/// Stores bytes into the packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayloadWrite {
    /// Where from.
    pub sreg: Register,
    /// The header that the offset counts from.
    pub base: PayloadBase,
    /// Bytes from its start.
    pub offset: u32,
    /// Bytes.
    pub length: u32,
    /// `NFT_PAYLOAD_CSUM_*`: 0 none, 1 internet checksum, 2 SCTP.
    pub checksum_kind: u32,
    /// Where in the header the checksum is that must follow.
    pub checksum_offset: u32,
    /// 1: the transport header's checksum covers these bytes too.
    pub checksum_flags: u32,
}

/// A header of the packet (`enum nft_payload_bases`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PayloadBase {
    /// Link layer.
    Link,
    /// IPv4, IPv6 or ARP.
    Network,
    /// TCP, UDP, ICMP and their like.
    Transport,
    /// What is inside the transport header.
    Inner,
}

impl PayloadBase {
    const fn number(self) -> u32 {
        match self {
            Self::Link => 0,
            Self::Network => 1,
            Self::Transport => 2,
            Self::Inner => 3,
        }
    }

    fn decode(number: u32) -> Result<Self, DecodeError> {
        Ok(match number {
            0 => Self::Link,
            1 => Self::Network,
            2 => Self::Transport,
            3 => Self::Inner,
            other => return Err(unknown("payload base", other)),
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Network => "network",
            Self::Transport => "transport",
            Self::Inner => "inner",
        }
    }
}

impl Codec for Payload {
    const NAME: &'static str = "payload";

    fn encode(&self, w: &mut Writer<'_>) {
        w.u32_be(DREG, self.dreg.number());
        w.u32_be(BASE, self.base.number());
        w.u32_be(OFFSET, self.offset);
        w.u32_be(LENGTH, self.length);
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let (mut dreg, mut base, mut offset, mut length) = (None, None, None, None);
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                DREG => dreg = Some(register(&attribute)?),
                BASE => base = Some(PayloadBase::decode(attribute.u32_be()?)?),
                OFFSET => offset = Some(attribute.u32_be()?),
                LENGTH => length = Some(attribute.u32_be()?),
                other => return Err(unknown_attribute(other)),
            }
        }
        Ok(Self {
            dreg: required(dreg, "a destination register")?,
            base: required(base, "a payload base")?,
            offset: required(offset, "an offset")?,
            length: required(length, "a length")?,
        })
    }
}

impl Codec for PayloadWrite {
    const NAME: &'static str = "payload";

    fn encode(&self, w: &mut Writer<'_>) {
        w.u32_be(SREG, self.sreg.number());
        w.u32_be(BASE, self.base.number());
        w.u32_be(OFFSET, self.offset);
        w.u32_be(LENGTH, self.length);
        w.u32_be(CHECKSUM_TYPE, self.checksum_kind);
        w.u32_be(CHECKSUM_OFFSET, self.checksum_offset);
        if self.checksum_flags != 0 {
            w.u32_be(CHECKSUM_FLAGS, self.checksum_flags);
        }
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let (mut sreg, mut base, mut offset, mut length) = (None, None, None, None);
        let (mut checksum_kind, mut checksum_offset, mut checksum_flags) = (0, 0, 0);
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                SREG => sreg = Some(register(&attribute)?),
                BASE => base = Some(PayloadBase::decode(attribute.u32_be()?)?),
                OFFSET => offset = Some(attribute.u32_be()?),
                LENGTH => length = Some(attribute.u32_be()?),
                CHECKSUM_TYPE => checksum_kind = attribute.u32_be()?,
                CHECKSUM_OFFSET => checksum_offset = attribute.u32_be()?,
                CHECKSUM_FLAGS => checksum_flags = attribute.u32_be()?,
                other => return Err(unknown_attribute(other)),
            }
        }
        Ok(Self {
            sreg: required(sreg, "a source register")?,
            base: required(base, "a payload base")?,
            offset: required(offset, "an offset")?,
            length: required(length, "a length")?,
            checksum_kind,
            checksum_offset,
            checksum_flags,
        })
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dreg, base, offset, length } = self;
        write!(f, "payload load {length}b @ {} header + {offset} => {dreg}", base.name())
    }
}

impl fmt::Display for PayloadWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sreg, base, offset, length, .. } = self;
        write!(f, "payload write {sreg} => {length}b @ {} header + {offset}", base.name())?;
        let Self { checksum_kind, checksum_offset, checksum_flags, .. } = self;
        write!(f, " csum_type {checksum_kind} csum_off {checksum_offset} csum_flags 0x{checksum_flags:x}")
    }
}
