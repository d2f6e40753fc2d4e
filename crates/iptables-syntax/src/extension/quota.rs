//! `-m quota`: a number of bytes that is used up.

use crate::parse::options::{Kind, value};
use crate::{Match, print};
use std::fmt::{self, Formatter};

/// A number of bytes that is used up: matches as long as some is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Whether it matches once nothing is left.
    pub negated: bool,
    /// `--quota`.
    pub bytes: u64,
}

pub(crate) const KIND: Kind = Kind::matching("quota", &[value("quota", 0).not()], |args| {
    let used = args.get(0).ok_or_else(|| args.wrong("expected --quota"))?;
    Ok(Match::Quota(Quota { negated: used.negated, bytes: args.number(used, 0, u64::MAX)? }))
})
.required(1);

impl Quota {
    pub(crate) fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        print::option(f, self.negated, "--quota")?;
        write!(f, " {}", self.bytes)
    }
}
