//! `-m cpu`: the processor that handles the packet.

use crate::Negatable;
use crate::parse::options::{Kind, value};
use crate::{Match, print};
use std::fmt::{self, Formatter};

/// The processor that handles the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu {
    /// `--cpu`.
    pub number: Negatable<u32>,
}

pub(crate) const KIND: Kind = Kind::matching("cpu", &[value("cpu", 0).not()], |args| {
    let used = args.get(0).ok_or_else(|| args.wrong("expected --cpu"))?;
    Ok(Match::Cpu(Cpu { number: used.with(args.u32(used)?) }))
})
.required(1);

impl Cpu {
    pub(crate) fn print(self, f: &mut Formatter<'_>) -> fmt::Result {
        print::negatable(f, "--cpu", Some(&self.number))
    }
}
