use std::fmt;

use netlink::{Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::{Codec, register, required, unknown, unknown_attribute};
use crate::register::Register;

const KEY: u16 = 1;
const DREG: u16 = 2;
const LEVEL: u16 = 3;

/// Loads a property of the socket that the packet belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketLookup {
    /// Which.
    pub key: SocketKey,
    /// For [`SocketKey::CgroupV2`]: how deep in the tree.
    pub level: u32,
    /// Where to.
    pub dreg: Register,
}

/// A property of a socket (`enum nft_socket_keys`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SocketKey {
    /// `IP_TRANSPARENT` is set.
    Transparent,
    /// `SO_MARK`.
    Mark,
    /// It is bound to no address.
    Wildcard,
    /// Its control group.
    CgroupV2,
}

impl SocketKey {
    const fn number(self) -> u32 {
        match self {
            Self::Transparent => 0,
            Self::Mark => 1,
            Self::Wildcard => 2,
            Self::CgroupV2 => 3,
        }
    }

    fn decode(number: u32) -> Result<Self, DecodeError> {
        Ok(match number {
            0 => Self::Transparent,
            1 => Self::Mark,
            2 => Self::Wildcard,
            3 => Self::CgroupV2,
            other => return Err(unknown("socket key", other)),
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Transparent => "transparent",
            Self::Mark => "mark",
            Self::Wildcard => "wildcard",
            Self::CgroupV2 => "cgroupv2",
        }
    }
}

impl Codec for SocketLookup {
    const NAME: &'static str = "socket";

    fn encode(&self, w: &mut Writer<'_>) {
        w.u32_be(KEY, self.key.number());
        w.u32_be(DREG, self.dreg.number());
        if self.key == SocketKey::CgroupV2 {
            w.u32_be(LEVEL, self.level);
        }
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let (mut key, mut dreg, mut level) = (None, None, 0);
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                KEY => key = Some(SocketKey::decode(attribute.u32_be()?)?),
                DREG => dreg = Some(register(&attribute)?),
                LEVEL => level = attribute.u32_be()?,
                other => return Err(unknown_attribute(other)),
            }
        }
        let key = required(key, "a socket key")?;
        if key != SocketKey::CgroupV2 && level != 0 {
            return Err(unknown_attribute(LEVEL));
        }
        Ok(Self { key, level, dreg: required(dreg, "a destination register")? })
    }
}

impl fmt::Display for SocketLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "socket load {} => {}", self.key.name(), self.dreg)
    }
}
