use std::fmt;

use netlink::{Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::{Codec, required, unknown_attribute};

const NAME: u16 = 1;
const REVISION: u16 = 2;
const INFO: u16 = 3;

/// A match of the old `x_tables` (`iptables-nft`), kept as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match {
    /// The extension (`multiport`, `recent`).
    pub name: String,
    /// The layout of its bytes.
    pub revision: u32,
    /// Its own structure, in the layout of this machine.
    #[serde(with = "crate::hex")]
    pub info: Vec<u8>,
}

/// A target of the old `x_tables` (`iptables-nft`), kept as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The extension (`LOG`, `DNAT`).
    pub name: String,
    /// The layout of its bytes.
    pub revision: u32,
    /// Its own structure, in the layout of this machine.
    #[serde(with = "crate::hex")]
    pub info: Vec<u8>,
}

fn encode(name: &str, revision: u32, info: &[u8], w: &mut Writer<'_>) {
    w.string(NAME, name);
    w.u32_be(REVISION, revision);
    w.bytes(INFO, info);
}

fn decode(attributes: Attributes<'_>) -> Result<(String, u32, Vec<u8>), DecodeError> {
    let (mut name, mut revision, mut info) = (None, None, None);
    for attribute in attributes {
        let attribute = attribute?;
        match attribute.kind {
            NAME => name = Some(attribute.string()),
            REVISION => revision = Some(attribute.u32_be()?),
            INFO => info = Some(attribute.value.to_vec()),
            other => return Err(unknown_attribute(other)),
        }
    }
    Ok((
        required(name, "an extension's name")?,
        required(revision, "an extension's revision")?,
        required(info, "an extension's structure")?,
    ))
}

impl Codec for Match {
    const NAME: &'static str = "match";

    fn encode(&self, w: &mut Writer<'_>) {
        encode(&self.name, self.revision, &self.info, w);
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let (name, revision, info) = decode(attributes)?;
        Ok(Self { name, revision, info })
    }
}

impl Codec for Target {
    const NAME: &'static str = "target";

    fn encode(&self, w: &mut Writer<'_>) {
        encode(&self.name, self.revision, &self.info, w);
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let (name, revision, info) = decode(attributes)?;
        Ok(Self { name, revision, info })
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "match name {} rev {}", self.name, self.revision)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "target name {} rev {}", self.name, self.revision)
    }
}
