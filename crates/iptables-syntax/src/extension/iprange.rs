//! `-m iprange`: ranges of addresses.

use crate::Match;
use crate::parse::Failure;
use crate::parse::address::address;
use crate::parse::options::{Args, Kind, value};
use crate::print::{self, Address};
use std::fmt::{self, Formatter};
use std::net::IpAddr;

use crate::{Interval, Negatable};

/// Ranges of addresses. At least one is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Iprange {
    /// `--src-range`.
    pub source: Option<Negatable<Interval<IpAddr>>>,
    /// `--dst-range`.
    pub destination: Option<Negatable<Interval<IpAddr>>>,
}

pub(crate) const KIND: Kind =
    Kind::matching("iprange", &[value("src-range", 0).not(), value("dst-range", 1).not()], |args| {
        Ok(Match::Iprange(Box::new(Iprange { source: range(args, 0)?, destination: range(args, 1)? })))
    })
    .one_of(3);

fn range(args: &Args<'_>, id: u8) -> Result<Option<Negatable<Interval<IpAddr>>>, Failure> {
    let Some(used) = args.get(id) else { return Ok(None) };
    let text = args.text(used);
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let ends = address(first, args.family).zip(address(last, args.family));
    let (first, last) = args.require(used, ends, "two addresses with '-' between them")?;
    if first > last {
        args.odd.borrow_mut().push(format!("the range {text} ends before it begins: it holds nothing"));
    }
    Ok(Some(used.with(Interval { first, last })))
}

impl Iprange {
    pub(crate) fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (name, range) in [("--src-range", self.source), ("--dst-range", self.destination)] {
            if let Some(range) = range {
                print::option(f, range.negated, name)?;
                write!(f, " {}-{}", Address(range.value.first), Address(range.value.last))?;
            }
        }
        Ok(())
    }
}
