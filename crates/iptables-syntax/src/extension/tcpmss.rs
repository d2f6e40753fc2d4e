//! `-m tcpmss`, `-j TCPMSS`: the maximum segment size of a TCP SYN.

use crate::parse::options::{Kind, flag, saturate16, value};
use crate::{Family, Match, Target, print};
use crate::{Interval, Negatable};
use std::fmt::{self, Formatter};

/// The maximum segment size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tcpmss {
    /// `--mss`.
    pub mss: Negatable<Interval<u16>>,
}

/// Lowers the maximum segment size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpmssTarget {
    /// `--set-mss`.
    Set(u16),
    /// `--clamp-mss-to-pmtu`.
    Clamp,
}

pub(crate) const KIND: Kind = Kind::matching("tcpmss", &[value("mss", 0).not()], |args| {
    if !args.is_protocol(&[6]) {
        return Err(args.wrong("tcpmss looks at TCP: expected -p tcp"));
    }
    let used = args.get(0).ok_or_else(|| args.wrong("expected --mss"))?;
    let mss = args.interval16(used)?;
    if mss.first > mss.last {
        return Err(args.expected(used, "a range that begins before it ends"));
    }
    Ok(Match::Tcpmss(Tcpmss { mss: used.with(mss) }))
})
.required(1);

pub(crate) const TARGET: Kind =
    Kind::target("TCPMSS", &[value("set-mss", 0).group(1), flag("clamp-mss-to-pmtu", 1).group(1)], |args| {
        if !args.is_protocol(&[6]) {
            return Err(args.wrong("TCPMSS changes TCP: expected -p tcp"));
        }
        // What the header of IP leaves of 65535.
        let maximum = match args.family {
            Family::Ipv4 => u16::MAX - 20,
            Family::Ipv6 => u16::MAX - 40,
        };
        Ok(Target::Tcpmss(match args.get(0) {
            Some(used) => TcpmssTarget::Set(saturate16(args.number(used, 0, maximum.into())?)),
            None => TcpmssTarget::Clamp,
        }))
    })
    .one_of(3);

impl Tcpmss {
    pub(crate) fn print(self, f: &mut Formatter<'_>) -> fmt::Result {
        print::negatable(f, "--mss", Some(&self.mss))
    }
}

impl TcpmssTarget {
    pub(crate) fn print(self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(mss) => write!(f, " --set-mss {mss}"),
            Self::Clamp => f.write_str(" --clamp-mss-to-pmtu"),
        }
    }
}
