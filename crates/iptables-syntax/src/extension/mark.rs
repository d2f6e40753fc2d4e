//! `-m mark`, `-j MARK`: the mark of the packet.

use crate::parse::Failure;
use crate::parse::options::{Args, Kind, value};
use crate::{Masked, Negatable};
use crate::{Match, Target, print};
use std::fmt::{self, Formatter};

/// The mark of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// `--mark`.
    pub mark: Negatable<Masked<u32>>,
}

/// Writes the mark: `mark = (mark & !mask) ^ value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkTarget {
    /// `--set-xmark value/mask`, of which `--set-mark`, `--and-mark`, `--or-mark` and `--xor-mark` are spellings.
    pub xmark: Masked<u32>,
}

pub(crate) const KIND: Kind = Kind::matching("mark", &[value("mark", 0).not()], |args| {
    let used = args.get(0).ok_or_else(|| args.wrong("expected --mark"))?;
    Ok(Match::Mark(Mark { mark: used.with(args.masked(used)?) }))
})
.required(1);

pub(crate) const TARGET: Kind = Kind::target(
    "MARK",
    &[
        value("set-xmark", 0).group(1),
        value("set-mark", 1).group(1),
        value("and-mark", 2).group(1),
        value("or-mark", 3).group(1),
        value("xor-mark", 4).group(1),
    ],
    |args| Ok(Target::Mark(MarkTarget { xmark: xmark(args)? })),
)
.one_of(0x1f);

/// The five ways to write a mark, as the one that the kernel has: options 0 to 4.
pub(crate) fn xmark(args: &Args<'_>) -> Result<Masked<u32>, Failure> {
    let used = args.all().find(|used| used.id < 5).ok_or_else(|| args.wrong("expected a mark"))?;
    Ok(match used.id {
        0 => args.masked(used)?,
        1 => {
            let Masked { value, mask } = args.masked(used)?;
            Masked { value, mask: value | mask }
        }
        2 => Masked { value: 0, mask: !args.u32(used)? },
        3 => {
            let bits = args.u32(used)?;
            Masked { value: bits, mask: bits }
        }
        _ => Masked { value: args.u32(used)?, mask: 0 },
    })
}

impl Mark {
    pub(crate) fn print(self, f: &mut Formatter<'_>) -> fmt::Result {
        print::mark(f, &self.mark)
    }
}

impl MarkTarget {
    pub(crate) fn print(self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, " --set-xmark {:#x}/{:#x}", self.xmark.value, self.xmark.mask)
    }
}
