//! `-m ttl`, `-m hl`, `-j TTL`, `-j HL`: how far a packet may still go.

use super::Comparison;
use crate::parse::Failure;
use crate::parse::options::{Args, Kind, value};
use crate::{Family, Match, Target, print};
use std::fmt::{self, Formatter};

/// The time to live of IPv4, or the hop limit of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ttl {
    /// `--ttl-eq`, `--ttl-lt`, `--ttl-gt`; `--hl-` likewise.
    pub comparison: Comparison,
    /// With what it is compared.
    pub value: u8,
}

/// Writes the time to live or the hop limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TtlTarget {
    /// `--ttl-set`.
    Set(u8),
    /// `--ttl-inc`, at least 1.
    Increase(u8),
    /// `--ttl-dec`, at least 1.
    Decrease(u8),
}

pub(crate) const TTL: Kind = Kind::matching(
    "ttl",
    &[
        value("ttl-lt", 0).group(1),
        value("ttl-gt", 1).group(1),
        value("ttl-eq", 2).not().group(1),
        value("ttl", 2).group(1),
    ],
    |args| read(args).map(Match::Ttl),
)
.one_of(7)
.only(Family::Ipv4);

pub(crate) const HL: Kind = Kind::matching(
    "hl",
    &[
        value("hl-lt", 0).group(1),
        value("hl-gt", 1).group(1),
        value("hl-eq", 2).not().group(1),
        value("hl", 2).group(1),
    ],
    |args| read(args).map(Match::Hl),
)
.one_of(7)
.only(Family::Ipv6);

fn read(args: &Args<'_>) -> Result<Ttl, Failure> {
    let used = args.all().next().ok_or_else(|| args.wrong("expected a number"))?;
    let comparison = match (used.id, used.negated) {
        (0, _) => Comparison::Less,
        (1, _) => Comparison::Greater,
        (_, false) => Comparison::Equal,
        (_, true) => Comparison::NotEqual,
    };
    Ok(Ttl { comparison, value: args.u8(used, 0, 255)? })
}

pub(crate) const TTL_TARGET: Kind = Kind::target(
    "TTL",
    &[value("ttl-set", 0).group(1), value("ttl-dec", 1).group(1), value("ttl-inc", 2).group(1)],
    |args| change(args).map(Target::Ttl),
)
.one_of(7)
.only(Family::Ipv4);

pub(crate) const HL_TARGET: Kind = Kind::target(
    "HL",
    &[value("hl-set", 0).group(1), value("hl-dec", 1).group(1), value("hl-inc", 2).group(1)],
    |args| change(args).map(Target::Hl),
)
.one_of(7)
.only(Family::Ipv6);

fn change(args: &Args<'_>) -> Result<TtlTarget, Failure> {
    let used = args.all().next().ok_or_else(|| args.wrong("expected a number"))?;
    Ok(match used.id {
        0 => TtlTarget::Set(args.u8(used, 0, 255)?),
        1 => TtlTarget::Decrease(args.u8(used, 1, 255)?),
        _ => TtlTarget::Increase(args.u8(used, 1, 255)?),
    })
}

impl Ttl {
    /// `name` is `ttl` or `hl`.
    pub(crate) fn print(self, f: &mut Formatter<'_>, name: &str) -> fmt::Result {
        let comparison = match self.comparison {
            Comparison::Equal | Comparison::NotEqual => "eq",
            Comparison::Less => "lt",
            Comparison::Greater => "gt",
        };
        print::option(f, self.comparison == Comparison::NotEqual, "--")?;
        write!(f, "{name}-{comparison} {}", self.value)
    }
}

impl TtlTarget {
    /// `name` is `ttl` or `hl`.
    pub(crate) fn print(self, f: &mut Formatter<'_>, name: &str) -> fmt::Result {
        match self {
            Self::Set(value) => write!(f, " --{name}-set {value}"),
            Self::Decrease(value) => write!(f, " --{name}-dec {value}"),
            Self::Increase(value) => write!(f, " --{name}-inc {value}"),
        }
    }
}
