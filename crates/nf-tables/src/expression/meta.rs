use std::fmt;

use netlink::{Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::{Codec, register, required, unknown_attribute};
use crate::register::Register;

const DREG: u16 = 1;
const KEY: u16 = 2;
pub(super) const SREG: u16 = 3;

/// Loads what the kernel knows of the packet beside its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// What.
    pub key: MetaKey,
    /// Where to.
    pub dreg: Register,
}

/// Stores something with the packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaSet {
    /// What.
    pub key: MetaKey,
    /// Where from.
    pub sreg: Register,
}

/// What the kernel knows of a packet (`enum nft_meta_keys`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names are the kernel's")]
pub enum MetaKey {
    Length,
    /// Ethertype; 2 bytes, network order.
    Protocol,
    Priority,
    /// 4 bytes, the machine's order.
    Mark,
    /// Index of the interface it came by; 4 bytes, the machine's order.
    InputIndex,
    /// Index of the interface it leaves by; 4 bytes, the machine's order.
    OutputIndex,
    /// Name of the interface it came by; 16 bytes, filled with zeros.
    InputName,
    /// Name of the interface it leaves by; 16 bytes, filled with zeros.
    OutputName,
    InputType,
    OutputType,
    /// User of the socket; 4 bytes, the machine's order.
    SocketUser,
    SocketGroup,
    Trace,
    RouteClass,
    SecurityMark,
    /// [`crate::Family`] of the packet (2 or 10 in `inet`); 1 byte.
    NfProtocol,
    /// Transport protocol, behind IPv6 extension headers too; 1 byte.
    L4Protocol,
    BridgeInputName,
    BridgeOutputName,
    /// `PACKET_*`: 0 to this host, 1 broadcast, 2 multicast; 1 byte.
    PacketType,
    Cpu,
    InputGroup,
    OutputGroup,
    Cgroup,
    Random,
    SecurityPath,
    InputKind,
    OutputKind,
    BridgePortVlan,
    BridgeVlanProtocol,
    Time,
    Day,
    Hour,
    SlaveIndex,
    SlaveName,
    /// A key that this crate does not know.
    Other(u32),
}

impl MetaKey {
    const NAMED: [(Self, &'static str); 35] = [
        (Self::Length, "len"),
        (Self::Protocol, "protocol"),
        (Self::Priority, "priority"),
        (Self::Mark, "mark"),
        (Self::InputIndex, "iif"),
        (Self::OutputIndex, "oif"),
        (Self::InputName, "iifname"),
        (Self::OutputName, "oifname"),
        (Self::InputType, "iiftype"),
        (Self::OutputType, "oiftype"),
        (Self::SocketUser, "skuid"),
        (Self::SocketGroup, "skgid"),
        (Self::Trace, "nftrace"),
        (Self::RouteClass, "rtclassid"),
        (Self::SecurityMark, "secmark"),
        (Self::NfProtocol, "nfproto"),
        (Self::L4Protocol, "l4proto"),
        (Self::BridgeInputName, "bri_iifname"),
        (Self::BridgeOutputName, "bri_oifname"),
        (Self::PacketType, "pkttype"),
        (Self::Cpu, "cpu"),
        (Self::InputGroup, "iifgroup"),
        (Self::OutputGroup, "oifgroup"),
        (Self::Cgroup, "cgroup"),
        (Self::Random, "prandom"),
        (Self::SecurityPath, "secpath"),
        (Self::InputKind, "iifkind"),
        (Self::OutputKind, "oifkind"),
        (Self::BridgePortVlan, "bri_iifpvid"),
        (Self::BridgeVlanProtocol, "bri_iifvproto"),
        (Self::Time, "time"),
        (Self::Day, "day"),
        (Self::Hour, "hour"),
        (Self::SlaveIndex, "sdif"),
        (Self::SlaveName, "sdifname"),
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

impl From<u32> for MetaKey {
    fn from(number: u32) -> Self {
        usize::try_from(number)
            .ok()
            .and_then(|at| Self::NAMED.get(at))
            .map_or(Self::Other(number), |row| row.0)
    }
}

impl fmt::Display for MetaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMED.iter().find(|row| row.0 == *self) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "{}", self.number()),
        }
    }
}

impl Codec for Meta {
    const NAME: &'static str = "meta";

    fn encode(&self, w: &mut Writer<'_>) {
        w.u32_be(KEY, self.key.number());
        w.u32_be(DREG, self.dreg.number());
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let (mut key, mut dreg) = (None, None);
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                KEY => key = Some(attribute.u32_be()?.into()),
                DREG => dreg = Some(register(&attribute)?),
                other => return Err(unknown_attribute(other)),
            }
        }
        Ok(Self { key: required(key, "a meta key")?, dreg: required(dreg, "a destination register")? })
    }
}

impl Codec for MetaSet {
    const NAME: &'static str = "meta";

    fn encode(&self, w: &mut Writer<'_>) {
        w.u32_be(KEY, self.key.number());
        w.u32_be(SREG, self.sreg.number());
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let (mut key, mut sreg) = (None, None);
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                KEY => key = Some(attribute.u32_be()?.into()),
                SREG => sreg = Some(register(&attribute)?),
                other => return Err(unknown_attribute(other)),
            }
        }
        Ok(Self { key: required(key, "a meta key")?, sreg: required(sreg, "a source register")? })
    }
}

impl fmt::Display for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "meta load {} => {}", self.key, self.dreg)
    }
}

impl fmt::Display for MetaSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "meta set {} with {}", self.key, self.sreg)
    }
}
