use std::fmt;

use netlink::{Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::{Family, TableId};
use crate::flags::flags;
use crate::userdata::{self, Owner};

const TABLE: u16 = 1;
const HANDLE: u16 = 2;
const NAME: u16 = 3;
const HOOK: u16 = 4;
const POLICY: u16 = 5;
const TYPE: u16 = 7;
const FLAGS: u16 = 10;
const USERDATA: u16 = 12;

const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
const HOOK_DEVICE: u16 = 3;
const HOOK_DEVICES: u16 = 4;
const DEVICE_NAME: u16 = 1;

flags! {
    /// What holds for a chain, besides being a base chain, which its hook tells (`NFT_CHAIN_*`).
    ChainFlags {
        /// Run by the network card.
        HARDWARE_OFFLOAD = 0x2;
        /// Anonymous, bound to the one rule that names it.
        BINDING = 0x4;
    }
}
const BASE: ChainFlags = ChainFlags(0x1);

/// What names a chain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChainId {
    /// The table it is in.
    pub table: TableId,
    /// Its name, unique in the table.
    pub name: String,
}

impl ChainId {
    /// The chain of that name.
    #[must_use]
    pub fn new(table: &TableId, name: impl Into<String>) -> Self {
        Self { table: table.clone(), name: name.into() }
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.table, self.name)
    }
}

/// A list of rules: a base chain, which packets enter by its hook, or one that rules jump to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// Its name, unique in the table.
    pub name: String,
    /// Where packets enter it; none for a chain that is only jumped to.
    pub hook: Option<Hook>,
    /// See [`ChainFlags`].
    pub flags: ChainFlags,
    /// The kernel's number for it; none before it is made.
    pub handle: Option<u64>,
    /// See [`crate::userdata`].
    #[serde(with = "crate::hex")]
    pub userdata: Vec<u8>,
}

/// Where and how a base chain is entered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// Where in the packet's way.
    pub point: HookPoint,
    /// Chains of one hook run by rising priority.
    pub priority: i32,
    /// What its rules may do.
    pub kind: ChainKind,
    /// What becomes of a packet that no rule decided.
    pub policy: Policy,
    /// The devices, for `netdev` tables and ingress.
    pub devices: Vec<String>,
}

/// A point of the packet's way (`NF_INET_*`, `NF_NETDEV_*`, `NF_ARP_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookPoint {
    /// On arrival, before the routing decision.
    Prerouting,
    /// To this host.
    Input,
    /// Through this host.
    Forward,
    /// From this host.
    Output,
    /// On leaving, after the routing decision.
    Postrouting,
    /// On arrival, before all else, at a device.
    Ingress,
    /// On leaving, after all else, at a device.
    Egress,
}

impl HookPoint {
    /// The number on the wire, which depends on the family; none where the family has no such hook.
    #[must_use]
    pub const fn number(self, family: Family) -> Option<u32> {
        match family {
            Family::Inet | Family::Ip | Family::Ip6 | Family::Bridge => Some(match self {
                Self::Prerouting => 0,
                Self::Input => 1,
                Self::Forward => 2,
                Self::Output => 3,
                Self::Postrouting => 4,
                Self::Ingress => 5,
                Self::Egress => return None,
            }),
            Family::Arp => match self {
                Self::Input => Some(0),
                Self::Output => Some(1),
                Self::Forward => Some(2),
                Self::Prerouting | Self::Postrouting | Self::Ingress | Self::Egress => None,
            },
            Family::Netdev => match self {
                Self::Ingress => Some(0),
                Self::Egress => Some(1),
                Self::Prerouting | Self::Input | Self::Forward | Self::Output | Self::Postrouting => None,
            },
        }
    }

    const ALL: [Self; 7] = [
        Self::Prerouting,
        Self::Input,
        Self::Forward,
        Self::Output,
        Self::Postrouting,
        Self::Ingress,
        Self::Egress,
    ];

    fn decode(family: Family, number: u32) -> Result<Self, DecodeError> {
        Self::ALL
            .into_iter()
            .find(|point| point.number(family) == Some(number))
            .ok_or(DecodeError::Unknown { what: "hook", value: u64::from(number) })
    }
}

/// The type of a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChainKind {
    /// Lets through or not.
    Filter,
    /// Rewrites addresses; sees the first packet of a connection.
    Nat,
    /// Routes anew when a header or the mark changed.
    Route,
}

impl ChainKind {
    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Nat => "nat",
            Self::Route => "route",
        }
    }
}

/// What becomes of a packet that reaches the end of a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// It goes on.
    Accept,
    /// It is dropped.
    Drop,
}

impl Chain {
    /// A chain that is only jumped to.
    #[must_use]
    pub fn regular(name: impl Into<String>) -> Self {
        Self { name: name.into(), hook: None, flags: ChainFlags::NONE, handle: None, userdata: Vec::new() }
    }

    /// A filter chain at a hook.
    #[must_use]
    pub fn base(name: impl Into<String>, point: HookPoint, priority: i32, policy: Policy) -> Self {
        let hook = Hook { point, priority, kind: ChainKind::Filter, policy, devices: Vec::new() };
        Self { hook: Some(hook), ..Self::regular(name) }
    }

    /// Its comment.
    #[must_use]
    pub fn comment(&self) -> Option<String> {
        userdata::comment(Owner::Chain, &self.userdata)
    }

    /// Writes the attributes that make it.
    pub fn encode(&self, table: &TableId, w: &mut Writer<'_>) {
        Self::encode_name(table, &self.name, w);
        if let Some(hook) = &self.hook {
            w.nest(HOOK, |w| {
                // A hook that the family lacks is sent as a number that the kernel refuses.
                w.u32_be(HOOK_NUMBER, hook.point.number(table.family).unwrap_or(u32::MAX));
                w.u32_be(HOOK_PRIORITY, hook.priority.cast_unsigned());
                match hook.devices.as_slice() {
                    [] => {}
                    [device] => w.string(HOOK_DEVICE, device),
                    devices => w.nest(HOOK_DEVICES, |w| {
                        for device in devices {
                            w.string(DEVICE_NAME, device);
                        }
                    }),
                }
            });
            w.u32_be(
                POLICY,
                match hook.policy {
                    Policy::Drop => 0,
                    Policy::Accept => 1,
                },
            );
            w.string(TYPE, hook.kind.name());
        }
        if !self.flags.is_empty() {
            let base = if self.hook.is_some() { BASE } else { ChainFlags::NONE };
            w.u32_be(FLAGS, (self.flags | base).0);
        }
        if !self.userdata.is_empty() {
            w.bytes(USERDATA, &self.userdata);
        }
    }

    /// Writes the attributes that name it.
    pub fn encode_name(table: &TableId, name: &str, w: &mut Writer<'_>) {
        w.string(TABLE, &table.name);
        w.string(NAME, name);
    }

    /// Reads a chain, and the name of its table, from the attributes of its message.
    ///
    /// # Errors
    /// When an attribute has the wrong size or value, or a name is missing.
    pub fn decode(family: Family, attributes: Attributes<'_>) -> Result<(TableId, Self), DecodeError> {
        let (mut table, mut name) = (None, None);
        let mut chain = Self::regular("");
        let (mut hook, mut policy, mut kind) = (None, Policy::Accept, ChainKind::Filter);
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                TABLE => table = Some(attribute.string()),
                NAME => name = Some(attribute.string()),
                HANDLE => chain.handle = Some(attribute.u64_be()?),
                HOOK => hook = Some(Hook::decode(family, attribute.nested())?),
                POLICY => policy = decode_policy(attribute.u32_be()?)?,
                TYPE => kind = decode_kind(&attribute.string())?,
                FLAGS => chain.flags = ChainFlags(attribute.u32_be()?).without(BASE),
                USERDATA => chain.userdata = attribute.value.to_vec(),
                _ => {}
            }
        }
        chain.name = name.ok_or(DecodeError::Missing { what: "a chain's name" })?;
        chain.hook = hook.map(|hook| Hook { policy, kind, ..hook });
        let table = table.ok_or(DecodeError::Missing { what: "a chain's table" })?;
        Ok((TableId::new(family, table), chain))
    }
}

impl Hook {
    fn decode(family: Family, attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let (mut point, mut priority, mut devices) = (None, None, Vec::new());
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                HOOK_NUMBER => point = Some(HookPoint::decode(family, attribute.u32_be()?)?),
                HOOK_PRIORITY => priority = Some(attribute.u32_be()?.cast_signed()),
                HOOK_DEVICE => devices = vec![attribute.string()],
                HOOK_DEVICES => {
                    devices = attribute
                        .nested()
                        .map(|device| device.map(|device| device.string()))
                        .collect::<Result<_, _>>()?;
                }
                _ => {}
            }
        }
        Ok(Self {
            point: point.ok_or(DecodeError::Missing { what: "a hook's number" })?,
            priority: priority.ok_or(DecodeError::Missing { what: "a hook's priority" })?,
            kind: ChainKind::Filter,
            policy: Policy::Accept,
            devices,
        })
    }
}

fn decode_policy(number: u32) -> Result<Policy, DecodeError> {
    match number {
        0 => Ok(Policy::Drop),
        1 => Ok(Policy::Accept),
        other => Err(DecodeError::Unknown { what: "chain policy", value: u64::from(other) }),
    }
}

fn decode_kind(name: &str) -> Result<ChainKind, DecodeError> {
    match name {
        "filter" => Ok(ChainKind::Filter),
        "nat" => Ok(ChainKind::Nat),
        "route" => Ok(ChainKind::Route),
        _ => Err(DecodeError::Missing { what: "a known chain type" }),
    }
}
