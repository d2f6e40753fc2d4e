//! `-m socket`: whether a local socket waits for the packet.

use crate::parse::options::{Kind, flag};
use crate::{Match, print};
use std::fmt::{self, Formatter};

/// Whether a local socket waits for the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Socket {
    /// `--transparent`.
    pub transparent: bool,
    /// `--nowildcard`.
    pub no_wildcard: bool,
    /// `--restore-skmark`.
    pub restore_mark: bool,
}

pub(crate) const KIND: Kind = Kind::matching(
    "socket",
    &[flag("transparent", 0), flag("nowildcard", 1), flag("restore-skmark", 2)],
    |args| {
        Ok(Match::Socket(Socket {
            transparent: args.flag(0),
            no_wildcard: args.flag(1),
            restore_mark: args.flag(2),
        }))
    },
);

impl Socket {
    pub(crate) fn print(self, f: &mut Formatter<'_>) -> fmt::Result {
        print::flag(f, "--transparent", self.transparent)?;
        print::flag(f, "--nowildcard", self.no_wildcard)?;
        print::flag(f, "--restore-skmark", self.restore_mark)
    }
}
