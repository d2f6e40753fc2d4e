use std::fmt;

use netlink::{Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::{Codec, register, required, unknown, unknown_attribute};
use crate::register::Register;

const DREG: u16 = 1;
const KEY: u16 = 2;

/// Loads what routing decided for the packet (`rt` in `nft`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routing {
    /// What.
    pub key: RoutingKey,
    /// Where to.
    pub dreg: Register,
}

/// What routing decided (`enum nft_rt_keys`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names are the kernel's")]
pub enum RoutingKey {
    ClassId,
    NextHop4,
    NextHop6,
    TcpMss,
    Ipsec,
}

impl RoutingKey {
    const fn number(self) -> u32 {
        match self {
            Self::ClassId => 0,
            Self::NextHop4 => 1,
            Self::NextHop6 => 2,
            Self::TcpMss => 3,
            Self::Ipsec => 4,
        }
    }

    fn decode(number: u32) -> Result<Self, DecodeError> {
        Ok(match number {
            0 => Self::ClassId,
            1 => Self::NextHop4,
            2 => Self::NextHop6,
            3 => Self::TcpMss,
            4 => Self::Ipsec,
            other => return Err(unknown("rt key", other)),
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::ClassId => "classid",
            Self::NextHop4 => "nexthop4",
            Self::NextHop6 => "nexthop6",
            Self::TcpMss => "tcpmss",
            Self::Ipsec => "ipsec",
        }
    }
}

impl Codec for Routing {
    const NAME: &'static str = "rt";

    fn encode(&self, w: &mut Writer<'_>) {
        w.u32_be(KEY, self.key.number());
        w.u32_be(DREG, self.dreg.number());
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let (mut key, mut dreg) = (None, None);
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                KEY => key = Some(RoutingKey::decode(attribute.u32_be()?)?),
                DREG => dreg = Some(register(&attribute)?),
                other => return Err(unknown_attribute(other)),
            }
        }
        Ok(Self { key: required(key, "a rt key")?, dreg: required(dreg, "a destination register")? })
    }
}

impl fmt::Display for Routing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rt load {} => {}", self.key.name(), self.dreg)
    }
}
