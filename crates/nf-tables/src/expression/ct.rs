use std::fmt;

use netlink::{Attribute, Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::{Codec, register, required, unknown, unknown_attribute};
use crate::register::Register;

const DREG: u16 = 1;
const KEY: u16 = 2;
const DIRECTION: u16 = 3;
pub(super) const SREG: u16 = 4;

/// Loads what connection tracking knows of the packet's connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ct {
    /// What.
    pub key: CtKey,
    /// Of which direction, where that matters.
    pub direction: Option<CtDirection>,
    /// Where to.
    pub dreg: Register,
}

/// Stores something with the packet's connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CtSet {
    /// What.
    pub key: CtKey,
    /// Of which direction, where that matters.
    pub direction: Option<CtDirection>,
    /// Where from.
    pub sreg: Register,
}

/// Which way a packet of a connection goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CtDirection {
    /// As the first one.
    Original,
    /// Back.
    Reply,
}

/// What connection tracking knows (`enum nft_ct_keys`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names are the kernel's")]
pub enum CtKey {
    /// One bit a state: 1 invalid, 2 established, 4 related, 8 new, 64 untracked; 4 bytes, the machine's order.
    State,
    Direction,
    /// `IPS_*`: 16 source NAT, 32 destination NAT; 4 bytes, the machine's order.
    Status,
    Mark,
    SecurityMark,
    Expiration,
    Helper,
    L3Protocol,
    Source,
    Destination,
    Protocol,
    ProtocolSource,
    ProtocolDestination,
    Labels,
    Packets,
    Bytes,
    AveragePacket,
    Zone,
    EventMask,
    SourceIp,
    DestinationIp,
    SourceIp6,
    DestinationIp6,
    Id,
    /// A key that this crate does not know.
    Other(u32),
}

impl CtKey {
    const NAMED: [(Self, &'static str); 24] = [
        (Self::State, "state"),
        (Self::Direction, "direction"),
        (Self::Status, "status"),
        (Self::Mark, "mark"),
        (Self::SecurityMark, "secmark"),
        (Self::Expiration, "expiration"),
        (Self::Helper, "helper"),
        (Self::L3Protocol, "l3protocol"),
        (Self::Source, "src"),
        (Self::Destination, "dst"),
        (Self::Protocol, "protocol"),
        (Self::ProtocolSource, "proto_src"),
        (Self::ProtocolDestination, "proto_dst"),
        (Self::Labels, "label"),
        (Self::Packets, "packets"),
        (Self::Bytes, "bytes"),
        (Self::AveragePacket, "avgpkt"),
        (Self::Zone, "zone"),
        (Self::EventMask, "event"),
        (Self::SourceIp, "src_ip"),
        (Self::DestinationIp, "dst_ip"),
        (Self::SourceIp6, "src_ip6"),
        (Self::DestinationIp6, "dst_ip6"),
        (Self::Id, "id"),
    ];

    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::Other(number) => number,
            named => (0..).zip(Self::NAMED).find(|(_, row)| row.0 == named).map_or(0, |(number, _)| number),
        }
    }
}

impl From<u32> for CtKey {
    fn from(number: u32) -> Self {
        usize::try_from(number)
            .ok()
            .and_then(|at| Self::NAMED.get(at))
            .map_or(Self::Other(number), |row| row.0)
    }
}

impl fmt::Display for CtKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMED.iter().find(|row| row.0 == *self) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "{}", self.number()),
        }
    }
}

fn encode(key: CtKey, direction: Option<CtDirection>, w: &mut Writer<'_>) {
    w.u32_be(KEY, key.number());
    match direction {
        None => {}
        Some(CtDirection::Original) => w.u8(DIRECTION, 0),
        Some(CtDirection::Reply) => w.u8(DIRECTION, 1),
    }
}

fn decode_direction(attribute: &Attribute<'_>) -> Result<Option<CtDirection>, DecodeError> {
    match attribute.u8()? {
        0 => Ok(Some(CtDirection::Original)),
        1 => Ok(Some(CtDirection::Reply)),
        other => Err(unknown("direction", other)),
    }
}

impl Codec for Ct {
    const NAME: &'static str = "ct";

    fn encode(&self, w: &mut Writer<'_>) {
        encode(self.key, self.direction, w);
        w.u32_be(DREG, self.dreg.number());
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let (mut key, mut direction, mut dreg) = (None, None, None);
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                KEY => key = Some(attribute.u32_be()?.into()),
                DIRECTION => direction = decode_direction(&attribute)?,
                DREG => dreg = Some(register(&attribute)?),
                other => return Err(unknown_attribute(other)),
            }
        }
        Ok(Self {
            key: required(key, "a ct key")?,
            direction,
            dreg: required(dreg, "a destination register")?,
        })
    }
}

impl Codec for CtSet {
    const NAME: &'static str = "ct";

    fn encode(&self, w: &mut Writer<'_>) {
        encode(self.key, self.direction, w);
        w.u32_be(SREG, self.sreg.number());
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let (mut key, mut direction, mut sreg) = (None, None, None);
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                KEY => key = Some(attribute.u32_be()?.into()),
                DIRECTION => direction = decode_direction(&attribute)?,
                SREG => sreg = Some(register(&attribute)?),
                other => return Err(unknown_attribute(other)),
            }
        }
        Ok(Self { key: required(key, "a ct key")?, direction, sreg: required(sreg, "a source register")? })
    }
}

fn write_direction(direction: Option<CtDirection>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match direction {
        None => Ok(()),
        Some(CtDirection::Original) => f.write_str(" , dir original"),
        Some(CtDirection::Reply) => f.write_str(" , dir reply"),
    }
}

impl fmt::Display for Ct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ct load {} => {}", self.key, self.dreg)?;
        write_direction(self.direction, f)
    }
}

impl fmt::Display for CtSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ct set {} with {}", self.key, self.sreg)?;
        write_direction(self.direction, f)
    }
}
