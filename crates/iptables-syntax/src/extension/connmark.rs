//! `-m connmark`, `-j CONNMARK`: the mark of the connection.

use super::mark::xmark;
use crate::parse::options::{Kind, flag, value};
use crate::{Masked, Negatable};
use crate::{Match, Target, print};
use std::fmt::{self, Formatter};

/// The mark of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connmark {
    /// `--mark`.
    pub mark: Negatable<Masked<u32>>,
}

/// Writes the mark of the connection, or copies it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnmarkTarget {
    /// `--set-xmark value/mask`: `ctmark = (ctmark & !mask) ^ value`.
    Set(Masked<u32>),
    /// `--save-mark`: from the packet to the connection.
    Save {
        /// `--nfmask`.
        packet_mask: u32,
        /// `--ctmask`.
        connection_mask: u32,
    },
    /// `--restore-mark`: from the connection to the packet.
    Restore {
        /// `--nfmask`.
        packet_mask: u32,
        /// `--ctmask`.
        connection_mask: u32,
    },
}

pub(crate) const KIND: Kind = Kind::matching("connmark", &[value("mark", 0).not()], |args| {
    let used = args.get(0).ok_or_else(|| args.wrong("expected --mark"))?;
    Ok(Match::Connmark(Connmark { mark: used.with(args.masked(used)?) }))
})
.required(1);

impl Connmark {
    pub(crate) fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        print::mark(f, &self.mark)
    }
}

const SAVE: u8 = 5;
const RESTORE: u8 = 6;
const CONNECTION_MASK: u8 = 7;
const PACKET_MASK: u8 = 8;
const MASK: u8 = 9;

pub(crate) const TARGET: Kind = Kind::target(
    "CONNMARK",
    &[
        value("set-xmark", 0).group(1),
        value("set-mark", 1).group(1),
        value("and-mark", 2).group(1),
        value("or-mark", 3).group(1),
        value("xor-mark", 4).group(1),
        flag("save-mark", SAVE).group(1),
        flag("restore-mark", RESTORE).group(1),
        value("ctmask", CONNECTION_MASK),
        value("nfmask", PACKET_MASK),
        value("mask", MASK),
        value("left-shift-mark", 10).opaque(),
        value("right-shift-mark", 11).opaque(),
    ],
    |args| {
        let mask = args.optional_u32(MASK)?;
        if mask.is_some() && (args.flag(CONNECTION_MASK) || args.flag(PACKET_MASK)) {
            return Err(args.wrong("--mask excludes --ctmask and --nfmask"));
        }
        let mask = mask.unwrap_or(u32::MAX);
        let packet_mask = args.optional_u32(PACKET_MASK)?.unwrap_or(mask);
        let connection_mask = args.optional_u32(CONNECTION_MASK)?.unwrap_or(mask);
        Ok(Target::Connmark(if args.flag(SAVE) {
            ConnmarkTarget::Save { packet_mask, connection_mask }
        } else if args.flag(RESTORE) {
            ConnmarkTarget::Restore { packet_mask, connection_mask }
        } else {
            ConnmarkTarget::Set(xmark(args)?)
        }))
    },
)
.one_of(0x7f);

impl ConnmarkTarget {
    pub(crate) fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (name, packet_mask, connection_mask) = match self {
            Self::Set(xmark) => return write!(f, " --set-xmark {:#x}/{:#x}", xmark.value, xmark.mask),
            Self::Save { packet_mask, connection_mask } => ("save", packet_mask, connection_mask),
            Self::Restore { packet_mask, connection_mask } => ("restore", packet_mask, connection_mask),
        };
        write!(f, " --{name}-mark --nfmask {packet_mask:#x} --ctmask {connection_mask:#x}")
    }
}
