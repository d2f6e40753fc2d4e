//! Exit codes: a contract, documented in docs/src/reference/exit-codes.md.

use std::process::ExitCode;

/// How a verb ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Nothing to do, or done.
    Clean,
    /// Findings, drift, or a plan that is not empty.
    Findings,
    /// Wrong usage, an error in the policy, or refused by the lock-out guard; nothing was changed.
    Usage,
    /// A change failed and everything was rolled back.
    RolledBack,
    /// Not confirmed in time, and rolled back.
    NotConfirmed,
    /// The rollback failed.
    RollbackFailed,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Clean => 0,
            Exit::Findings => 1,
            Exit::Usage => 2,
            Exit::RolledBack => 3,
            Exit::NotConfirmed => 4,
            Exit::RollbackFailed => 5,
        })
    }
}
