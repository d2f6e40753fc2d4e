//! `-m rpfilter`: whether the answer would take the same way.

use crate::parse::options::{Kind, flag};
use crate::{Match, print};
use std::fmt::{self, Formatter};

/// Whether the answer would take the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rpfilter {
    /// `--loose`: by any interface.
    pub loose: bool,
    /// `--validmark`: the packet's mark is used for the route.
    pub valid_mark: bool,
    /// `--accept-local`: addresses of this machine are right, too.
    pub accept_local: bool,
    /// `--invert`: matches what fails the test.
    pub invert: bool,
}

pub(crate) const KIND: Kind = Kind::matching(
    "rpfilter",
    &[flag("loose", 0), flag("validmark", 1), flag("accept-local", 2), flag("invert", 3)],
    |args| {
        Ok(Match::Rpfilter(Rpfilter {
            loose: args.flag(0),
            valid_mark: args.flag(1),
            accept_local: args.flag(2),
            invert: args.flag(3),
        }))
    },
);

impl Rpfilter {
    pub(crate) fn print(self, f: &mut Formatter<'_>) -> fmt::Result {
        print::flag(f, "--loose", self.loose)?;
        print::flag(f, "--validmark", self.valid_mark)?;
        print::flag(f, "--accept-local", self.accept_local)?;
        print::flag(f, "--invert", self.invert)
    }
}
