//! `-m state`: the old spelling of `conntrack`.

use super::CtStates;
use crate::Negatable;

/// The old spelling of `conntrack --ctstate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// `--state`: of INVALID, NEW, RELATED, ESTABLISHED, UNTRACKED.
    pub states: Negatable<CtStates>,
}
