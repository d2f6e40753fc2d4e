//! `-m owner`: the local process that sent the packet.

use crate::Negatable;

/// The local process that sent the packet. At least one condition is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owner {
    /// `--uid-owner`.
    pub user: Option<Negatable<OwnerId>>,
    /// `--gid-owner`.
    pub group: Option<Negatable<OwnerId>>,
    /// `--socket-exists`; `Some(false)` is the negated condition.
    pub socket_exists: Option<bool>,
    /// `--suppl-groups`: supplementary groups count, too.
    pub supplementary: bool,
}

/// A user or a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OwnerId {
    /// Numbers from the first to the last.
    Numbers(crate::Interval<u32>),
    /// A name, which `iptables` looks up when it loads the rule. `root` is read as 0.
    Name(String),
}
