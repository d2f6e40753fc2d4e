//! `-m state`: the old spelling of `conntrack`.

use super::CtStates;
use crate::Negatable;
use crate::parse::options::{Kind, value};
use crate::{Match, print};
use std::fmt::{self, Formatter};

/// The old spelling of `conntrack --ctstate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// `--state`: of INVALID, NEW, RELATED, ESTABLISHED, UNTRACKED.
    pub states: Negatable<CtStates>,
}

pub(crate) const KIND: Kind = Kind::matching("state", &[value("state", 0).not()], |args| {
    let used = args.get(0).ok_or_else(|| args.wrong("expected --state"))?;
    let (names, _) = CtStates::NAMES.split_at(5);
    let states = args.prefix_bits(used, names, "states of connections")?;
    Ok(Match::State(State { states: used.with(CtStates(states)) }))
})
.required(1);

impl State {
    pub(crate) fn print(self, f: &mut Formatter<'_>) -> fmt::Result {
        print::option(f, self.states.negated, "--state ")?;
        print::bits(f, self.states.value.0.into(), &CtStates::NAMES)
    }
}
