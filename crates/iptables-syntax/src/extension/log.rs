//! `-j LOG`: a line in the kernel's log.

use super::comment::cut;
use crate::parse::options::{Kind, flag, value};
use crate::{Target, print};
use std::fmt::{self, Formatter};

/// A line in the kernel's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// `--log-prefix`, of which the kernel keeps 29 bytes; empty: none.
    pub prefix: String,
    /// `--log-level`: 0 (emerg) to 7 (debug); 4 (warning) when it is left out.
    pub level: u8,
    /// What the line says more.
    pub flags: LogFlags,
}

/// What a line of [`Log`] says more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogFlags {
    /// `--log-tcp-sequence`.
    pub tcp_sequence: bool,
    /// `--log-tcp-options`.
    pub tcp_options: bool,
    /// `--log-ip-options`.
    pub ip_options: bool,
    /// `--log-uid`.
    pub uid: bool,
    /// `--log-macdecode`.
    pub mac: bool,
}

const DEFAULT_LEVEL: u8 = 4;
const LEVELS: [(&str, u8); 9] = [
    ("emerg", 0),
    ("panic", 0),
    ("alert", 1),
    ("crit", 2),
    ("error", 3),
    ("warning", 4),
    ("notice", 5),
    ("info", 6),
    ("debug", 7),
];

pub(crate) const TARGET: Kind = Kind::target(
    "LOG",
    &[
        value("log-level", 0),
        value("log-prefix", 1),
        flag("log-tcp-sequence", 2),
        flag("log-tcp-options", 3),
        flag("log-ip-options", 4),
        flag("log-uid", 5),
        flag("log-macdecode", 6),
    ],
    |args| {
        let level = match args.get(0) {
            Some(used) => {
                let text = args.text(used);
                let named = LEVELS.iter().find(|(name, _)| *name == text).map(|(_, level)| *level);
                named.map_or_else(|| args.u8(used, 0, 7), Ok)?
            }
            None => DEFAULT_LEVEL,
        };
        let prefix = match args.get(1) {
            Some(used) => {
                let text =
                    Some(cut(args.text(used), 29)).filter(|text| !text.is_empty() && !text.contains('\n'));
                args.require(used, text, "a prefix on one line")?.to_owned()
            }
            None => String::new(),
        };
        let flags = LogFlags {
            tcp_sequence: args.flag(2),
            tcp_options: args.flag(3),
            ip_options: args.flag(4),
            uid: args.flag(5),
            mac: args.flag(6),
        };
        Ok(Target::Log(Log { prefix, level, flags }))
    },
);

impl Log {
    pub(crate) fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.prefix.is_empty() {
            print::string(f, "--log-prefix", &self.prefix)?;
        }
        if self.level != DEFAULT_LEVEL {
            write!(f, " --log-level {}", self.level)?;
        }
        print::flag(f, "--log-tcp-sequence", self.flags.tcp_sequence)?;
        print::flag(f, "--log-tcp-options", self.flags.tcp_options)?;
        print::flag(f, "--log-ip-options", self.flags.ip_options)?;
        print::flag(f, "--log-uid", self.flags.uid)?;
        print::flag(f, "--log-macdecode", self.flags.mac)
    }
}
