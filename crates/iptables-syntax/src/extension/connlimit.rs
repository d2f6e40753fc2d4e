//! `-m connlimit`: connections that one client or network already has.

use crate::Side;
use crate::parse::address;
use crate::parse::options::{Kind, address_of, flag, value};
use crate::{Family, Match};
use std::fmt::{self, Formatter};

/// Connections that one client or network already has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connlimit {
    /// `--connlimit-above` where true, else `--connlimit-upto`.
    pub above: bool,
    /// How many.
    pub limit: u32,
    /// `--connlimit-mask`: the prefix that clients share; 32 or 128 when it is left out.
    pub mask: u8,
    /// `--connlimit-saddr`, `--connlimit-daddr`.
    pub side: Side,
}

const UPTO: u8 = 0;
const ABOVE: u8 = 1;
const MASK: u8 = 2;
const SOURCE: u8 = 3;
const DESTINATION: u8 = 4;

pub(crate) const KIND: Kind = Kind::matching(
    "connlimit",
    &[
        value("connlimit-upto", UPTO).not().group(1),
        value("connlimit-above", ABOVE).not().group(1),
        value("connlimit-mask", MASK),
        flag("connlimit-saddr", SOURCE).group(2),
        flag("connlimit-daddr", DESTINATION).group(2),
    ],
    |args| {
        let used = args.all().find(|used| used.id <= ABOVE).ok_or_else(|| args.wrong("expected a limit"))?;
        let mask = match args.get(MASK) {
            Some(used) => {
                let length = address::prefix_length(args.text(used), args.family);
                args.require(used, length, address_of(args.family))?
            }
            None if args.family == Family::Ipv4 => 32,
            None => 128,
        };
        Ok(Match::Connlimit(Connlimit {
            above: (used.id == ABOVE) != used.negated,
            limit: args.u32(used)?,
            mask,
            side: if args.flag(DESTINATION) { Side::Destination } else { Side::Source },
        }))
    },
)
.one_of(1 << UPTO | 1 << ABOVE);

impl Connlimit {
    pub(crate) fn print(self, f: &mut Formatter<'_>) -> fmt::Result {
        let limit = if self.above { "above" } else { "upto" };
        let side = match self.side {
            Side::Source => "saddr",
            Side::Destination => "daddr",
        };
        write!(f, " --connlimit-{limit} {} --connlimit-mask {} --connlimit-{side}", self.limit, self.mask)
    }
}
