//! `-m physdev`: ports of a bridge.

use crate::parse::options::{Kind, flag, value};
use crate::{Interface, Negatable};
use crate::{Match, print};
use std::fmt::{self, Formatter};

/// Ports of a bridge. `Some(false)` is the negated condition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Physdev {
    /// `--physdev-in`.
    pub input: Option<Negatable<Interface>>,
    /// `--physdev-out`.
    pub output: Option<Negatable<Interface>>,
    /// `--physdev-is-in`.
    pub is_in: Option<bool>,
    /// `--physdev-is-out`.
    pub is_out: Option<bool>,
    /// `--physdev-is-bridged`.
    pub is_bridged: Option<bool>,
}

pub(crate) const KIND: Kind = Kind::matching(
    "physdev",
    &[
        value("physdev-in", 0).not(),
        value("physdev-out", 1).not(),
        flag("physdev-is-in", 2).not(),
        flag("physdev-is-out", 3).not(),
        flag("physdev-is-bridged", 4).not(),
    ],
    |args| {
        let mut physdev = Physdev {
            is_in: args.condition(2),
            is_out: args.condition(3),
            is_bridged: args.condition(4),
            ..Physdev::default()
        };
        if let Some(used) = args.get(0) {
            physdev.input = Some(used.with(args.interface(used)?));
        }
        if let Some(used) = args.get(1) {
            physdev.output = Some(used.with(args.interface(used)?));
        }
        Ok(Match::Physdev(Box::new(physdev)))
    },
)
.one_of(0x1f);

impl Physdev {
    pub(crate) fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        print::condition(f, "--physdev-is-in", self.is_in)?;
        print::negatable(f, "--physdev-in", self.input.as_ref())?;
        print::condition(f, "--physdev-is-out", self.is_out)?;
        print::negatable(f, "--physdev-out", self.output.as_ref())?;
        print::condition(f, "--physdev-is-bridged", self.is_bridged)
    }
}
