use std::fmt;

use netlink::{Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::{Codec, required, unknown, unknown_attribute};

const TYPE: u16 = 1;
const CODE: u16 = 2;

/// Drops the packet and tells the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reject {
    /// ICMP or `ICMPv6` unreachable, with that code of the packet's own family.
    Icmp(u8),
    /// TCP reset.
    TcpReset,
    /// Unreachable, with a code that both families have, for `inet` tables.
    Icmpx(IcmpxCode),
}

/// Why something is unreachable, in terms of both families (`enum nft_reject_inet_code`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IcmpxCode {
    /// No route there.
    NoRoute,
    /// Nobody at that port.
    PortUnreachable,
    /// No such host.
    HostUnreachable,
    /// The administrator forbids it.
    AdminProhibited,
}

impl IcmpxCode {
    const fn number(self) -> u8 {
        match self {
            Self::NoRoute => 0,
            Self::PortUnreachable => 1,
            Self::HostUnreachable => 2,
            Self::AdminProhibited => 3,
        }
    }

    fn decode(number: u8) -> Result<Self, DecodeError> {
        Ok(match number {
            0 => Self::NoRoute,
            1 => Self::PortUnreachable,
            2 => Self::HostUnreachable,
            3 => Self::AdminProhibited,
            other => return Err(unknown("icmpx code", other)),
        })
    }
}

impl Reject {
    const fn parts(self) -> (u32, u8) {
        match self {
            Self::Icmp(code) => (0, code),
            Self::TcpReset => (1, 0),
            Self::Icmpx(code) => (2, code.number()),
        }
    }
}

impl Codec for Reject {
    const NAME: &'static str = "reject";

    fn encode(&self, w: &mut Writer<'_>) {
        let (kind, code) = self.parts();
        w.u32_be(TYPE, kind);
        w.u8(CODE, code);
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let (mut kind, mut code) = (None, 0);
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                TYPE => kind = Some(attribute.u32_be()?),
                CODE => code = attribute.u8()?,
                other => return Err(unknown_attribute(other)),
            }
        }
        Ok(match required(kind, "the kind of a reject")? {
            0 => Self::Icmp(code),
            1 if code == 0 => Self::TcpReset,
            2 => Self::Icmpx(IcmpxCode::decode(code)?),
            other => return Err(unknown("reject", other)),
        })
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, code) = self.parts();
        write!(f, "reject type {kind} code {code}")
    }
}
