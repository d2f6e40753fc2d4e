use std::fmt;

use netlink::{Attributes, DecodeError, Writer};
use serde::{Deserialize, Serialize};

use super::{Codec, unknown_attribute};

const GROUP: u16 = 1;
const PREFIX: u16 = 2;
const SNAPLEN: u16 = 3;
const QTHRESHOLD: u16 = 4;
const LEVEL: u16 = 5;
const FLAGS: u16 = 6;

const FLAG_NAMES: [(u32, &str); 5] =
    [(1, "tcpseq"), (2, "tcpopt"), (4, "ipopt"), (8, "uid"), (32, "macdecode")];

/// Writes about the packet to the kernel's log, or sends it to a program (`group`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Log {
    /// What the line begins with; at most 127 bytes.
    pub prefix: Option<String>,
    /// The syslog level, 0 (emergency) to 7 (debug), 8 for audit; none: warning.
    pub level: Option<u32>,
    /// `NF_LOG_*`: 1 TCP sequence, 2 TCP options, 4 IP options, 8 uid, 32 MAC.
    pub flags: Option<u32>,
    /// The nfnetlink group of the program.
    pub group: Option<u16>,
    /// Bytes of the packet for the program.
    pub snaplen: Option<u32>,
    /// Packets that wait in the kernel for the program.
    pub threshold: Option<u16>,
}

impl Log {
    /// A line in the kernel's log.
    #[must_use]
    pub fn with_prefix(prefix: impl Into<String>) -> Self {
        Self { prefix: Some(prefix.into()), ..Self::default() }
    }
}

impl Codec for Log {
    const NAME: &'static str = "log";

    fn encode(&self, w: &mut Writer<'_>) {
        if let Some(prefix) = &self.prefix {
            w.string(PREFIX, prefix);
        }
        if let Some(group) = self.group {
            w.u16_be(GROUP, group);
        }
        if let Some(snaplen) = self.snaplen {
            w.u32_be(SNAPLEN, snaplen);
        }
        if let Some(threshold) = self.threshold {
            w.u16_be(QTHRESHOLD, threshold);
        }
        if let Some(level) = self.level {
            w.u32_be(LEVEL, level);
        }
        if let Some(flags) = self.flags {
            w.u32_be(FLAGS, flags);
        }
    }

    fn decode(attributes: Attributes<'_>) -> Result<Self, DecodeError> {
        let mut log = Self::default();
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                GROUP => log.group = Some(attribute.u16_be()?),
                PREFIX => log.prefix = Some(attribute.string()),
                SNAPLEN => log.snaplen = Some(attribute.u32_be()?),
                QTHRESHOLD => log.threshold = Some(attribute.u16_be()?),
                LEVEL => log.level = Some(attribute.u32_be()?),
                FLAGS => log.flags = Some(attribute.u32_be()?),
                other => return Err(unknown_attribute(other)),
            }
        }
        Ok(log)
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("log")?;
        if let Some(prefix) = &self.prefix {
            write!(f, " prefix {prefix}")?;
        }
        if let Some(group) = self.group {
            let (snaplen, threshold) = (self.snaplen.unwrap_or(0), self.threshold.unwrap_or(0));
            return write!(f, " group {group} snaplen {snaplen} qthreshold {threshold}");
        }
        if let Some(level) = self.level {
            write!(f, " level {level}")?;
        }
        let flags = self.flags.unwrap_or(0);
        for (flag, name) in FLAG_NAMES {
            if flags & flag != 0 {
                write!(f, " {name}")?;
            }
        }
        Ok(())
    }
}
