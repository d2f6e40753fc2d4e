//! `-j NFLOG`: the packet goes to a program that logs it.

use super::comment::cut;
use crate::parse::options::{Kind, value};
use crate::{Target, print};
use std::fmt::{self, Formatter};

/// The packet goes to a program that logs it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Nflog {
    /// `--nflog-prefix`, at most 63 bytes; empty: none.
    pub prefix: String,
    /// `--nflog-group`.
    pub group: u16,
    /// `--nflog-range`: bytes of the packet, in its old form, which the kernel never heeded.
    pub range: Option<u32>,
    /// `--nflog-size`: bytes of the packet.
    pub size: Option<u32>,
    /// `--nflog-threshold`: packets that wait for each other, at least 1; what the kernel does by itself when it is left out.
    pub threshold: Option<u16>,
}

pub(crate) const TARGET: Kind = Kind::target(
    "NFLOG",
    &[
        value("nflog-group", 0),
        value("nflog-prefix", 1),
        value("nflog-range", 2).group(1),
        value("nflog-size", 3).group(1),
        value("nflog-threshold", 4),
    ],
    |args| {
        let mut nflog =
            Nflog { range: args.optional_u32(2)?, size: args.optional_u32(3)?, ..Nflog::default() };
        for used in args.all() {
            match used.id {
                0 => nflog.group = args.u16(used)?,
                1 => {
                    let prefix = Some(args.text(used)).filter(|text| !text.is_empty());
                    nflog.prefix = cut(args.require(used, prefix, "a prefix")?, 63).to_owned();
                }
                4 => nflog.threshold = Some(args.u16(used)?).filter(|threshold| *threshold != 0),
                _ => {}
            }
        }
        nflog.range = nflog.range.filter(|range| *range != 0);
        Ok(Target::Nflog(nflog))
    },
);

impl Nflog {
    pub(crate) fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.prefix.is_empty() {
            print::string(f, "--nflog-prefix", &self.prefix)?;
        }
        print::value(f, "--nflog-group", Some(self.group).filter(|group| *group != 0))?;
        print::value(f, "--nflog-size", self.size)?;
        print::value(f, "--nflog-range", self.range)?;
        print::value(f, "--nflog-threshold", self.threshold)
    }
}
