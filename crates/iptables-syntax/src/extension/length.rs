//! `-m length`: the length of the packet.

use crate::parse::options::{Kind, value};
use crate::{Interval, Negatable};
use crate::{Match, print};
use std::fmt::{self, Formatter};

/// The length of the packet from its IP header on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// `--length`, in bytes.
    pub bytes: Negatable<Interval<u16>>,
}

pub(crate) const KIND: Kind = Kind::matching("length", &[value("length", 0).not()], |args| {
    let used = args.get(0).ok_or_else(|| args.wrong("expected --length"))?;
    Ok(Match::Length(Length { bytes: used.with(args.interval16(used)?) }))
})
.required(1);

impl Length {
    pub(crate) fn print(self, f: &mut Formatter<'_>) -> fmt::Result {
        print::negatable(f, "--length", Some(&self.bytes))
    }
}
