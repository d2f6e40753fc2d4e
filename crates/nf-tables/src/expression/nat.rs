use std::fmt;

use netlink::{Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::{Codec, register, required, unknown, unknown_attribute};
use crate::flags::flags;
use crate::object::Family;
use crate::register::Register;

flags! {
    /// How addresses and ports are chosen (`NF_NAT_RANGE_*`).
    NatFlags {
        /// The address is given.
        MAP_IPS = 1;
        /// The port is given.
        PORT_SPECIFIED = 2;
        /// The port is drawn, starting from the old one.
        RANDOM = 4;
        /// One client always gets the same address.
        PERSISTENT = 8;
        /// The port is drawn from all.
        FULLY_RANDOM = 16;
        /// The port is moved by a distance.
        PORT_OFFSET = 32;
        /// The network is exchanged, the host part kept.
        NETMAP = 64;
    }
}

/// Rewrites the source or the destination of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nat {
    /// Which of the two.
    pub kind: NatKind,
    /// [`Family::Ip`] or [`Family::Ip6`].
    pub family: Family,
    /// The first address.
    pub address_min: Option<Register>,
    /// The last address.
    pub address_max: Option<Register>,
    /// The first port.
    pub port_min: Option<Register>,
    /// The last port.
    pub port_max: Option<Register>,
    /// See [`NatFlags`].
    pub flags: NatFlags,
}

/// What is rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NatKind {
    /// The source.
    Source,
    /// The destination.
    Destination,
}

/// Rewrites the source to the address of the interface that the packet leaves by.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Masquerade {
    /// See [`NatFlags`].
    pub flags: NatFlags,
    /// The first port.
    pub port_min: Option<Register>,
    /// The last port.
    pub port_max: Option<Register>,
}

/// Rewrites the destination to this host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Redirect {
    /// The first port.
    pub port_min: Option<Register>,
    /// The last port.
    pub port_max: Option<Register>,
    /// See [`NatFlags`].
    pub flags: NatFlags,
}

fn write_register(kind: u16, register: Option<Register>, w: &mut Writer<'_>) {
    if let Some(register) = register {
        w.u32_be(kind, register.number());
    }
}

fn write_flags(kind: u16, flags: NatFlags, w: &mut Writer<'_>) {
    if !flags.is_empty() {
        w.u32_be(kind, flags.0);
    }
}

impl Codec for Nat {
    const NAME: &'static str = "nat";

    fn encode(&self, w: &mut Writer<'_>) {
        let kind = match self.kind {
            NatKind::Source => 0,
            NatKind::Destination => 1,
        };
        w.u32_be(1, kind);
        w.u32_be(2, u32::from(self.family.number()));
        write_register(3, self.address_min, w);
        write_register(4, self.address_max, w);
        write_register(5, self.port_min, w);
        write_register(6, self.port_max, w);
        write_flags(7, self.flags, w);
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let (mut kind, mut family, mut flags) = (None, None, NatFlags::NONE);
        let mut registers = [None; 4];
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                1 => {
                    kind = Some(match attribute.u32_be()? {
                        0 => NatKind::Source,
                        1 => NatKind::Destination,
                        other => return Err(unknown("nat", other)),
                    });
                }
                2 => {
                    let number = attribute.u32_be()?;
                    family = Some(u8::try_from(number).unwrap_or(u8::MAX).try_into()?);
                }
                at @ 3..=6 => registers[usize::from(at - 3)] = Some(register(&attribute)?),
                7 => flags = NatFlags(attribute.u32_be()?),
                other => return Err(unknown_attribute(other)),
            }
        }
        let [address_min, address_max, port_min, port_max] = registers;
        Ok(Self {
            kind: required(kind, "the kind of a nat")?,
            family: required(family, "the family of a nat")?,
            address_min,
            address_max,
            port_min,
            port_max,
            flags,
        })
    }
}

impl Codec for Masquerade {
    const NAME: &'static str = "masq";

    fn encode(&self, w: &mut Writer<'_>) {
        write_flags(1, self.flags, w);
        write_register(2, self.port_min, w);
        write_register(3, self.port_max, w);
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let mut masquerade = Self::default();
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                1 => masquerade.flags = NatFlags(attribute.u32_be()?),
                2 => masquerade.port_min = Some(register(&attribute)?),
                3 => masquerade.port_max = Some(register(&attribute)?),
                other => return Err(unknown_attribute(other)),
            }
        }
        Ok(masquerade)
    }
}

impl Codec for Redirect {
    const NAME: &'static str = "redir";

    fn encode(&self, w: &mut Writer<'_>) {
        write_register(1, self.port_min, w);
        write_register(2, self.port_max, w);
        write_flags(3, self.flags, w);
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let mut redirect = Self::default();
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                1 => redirect.port_min = Some(register(&attribute)?),
                2 => redirect.port_max = Some(register(&attribute)?),
                3 => redirect.flags = NatFlags(attribute.u32_be()?),
                other => return Err(unknown_attribute(other)),
            }
        }
        Ok(redirect)
    }
}

fn show(name: &str, register: Option<Register>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match register {
        Some(register) => write!(f, " {name} {register}"),
        None => Ok(()),
    }
}

impl fmt::Display for Nat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            NatKind::Source => "snat",
            NatKind::Destination => "dnat",
        };
        write!(f, "nat {kind} {}", self.family)?;
        show("addr_min", self.address_min, f)?;
        show("addr_max", self.address_max, f)?;
        show("proto_min", self.port_min, f)?;
        show("proto_max", self.port_max, f)?;
        if self.flags.is_empty() { Ok(()) } else { write!(f, " flags 0x{:x}", self.flags.0) }
    }
}

impl fmt::Display for Masquerade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("masq")?;
        show("proto_min", self.port_min, f)?;
        show("proto_max", self.port_max, f)?;
        if self.flags.is_empty() { Ok(()) } else { write!(f, " flags 0x{:x}", self.flags.0) }
    }
}

impl fmt::Display for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("redir")?;
        show("proto_min", self.port_min, f)?;
        show("proto_max", self.port_max, f)?;
        if self.flags.is_empty() { Ok(()) } else { write!(f, " flags 0x{:x}", self.flags.0) }
    }
}
