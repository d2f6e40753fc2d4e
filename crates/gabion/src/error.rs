//! Everything that can end a verb early, and how it is said.

use std::path::PathBuf;

use crate::exit::Exit;

/// Why a verb ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The policy is wrong; the problems draw themselves.
    #[error("{0}")]
    Policy(#[from] policy::PolicyError),
    /// A file that the user named could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A file that the user named holds something else than it should.
    #[error("{}: {problem}", path.display())]
    Malformed { path: PathBuf, problem: String },
    /// What was asked for cannot be done as asked.
    #[error("{what}")]
    Usage { what: String, hint: String },
    /// No plan could be drawn.
    #[error("no plan can be drawn: {0}")]
    Plan(#[from] change::plan::PlanError),
    /// The lock-out guard says no.
    #[error("refused: nobody could get in afterwards")]
    LockOut(change::lockout::Refusal),
    /// A transaction could not be begun, found or confirmed; nothing was changed.
    #[error("{0}")]
    Change(#[from] change::Error),
    /// Undoing could not even be begun.
    #[error("undoing: {0}")]
    Undo(change::Error),
    /// The machine could not be read at all.
    #[error("reading this machine: {0}")]
    Host(#[from] host::Error),
    /// The kernel's packet filter could not be asked or changed.
    #[error("packet filter: {0}")]
    Kernel(String),
    /// A stage of the rehearsal or of the verification failed.
    #[error("{what}: {why}")]
    Stage { what: &'static str, why: String },
}

impl Failure {
    /// The exit code that it stands for.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Policy(_)
            | Self::Host(_)
            | Self::Read { .. }
            | Self::Malformed { .. }
            | Self::Usage { .. }
            | Self::Plan(_)
            | Self::Change(_)
            | Self::LockOut(_) => Exit::Usage,
            Self::Undo(_) => Exit::RollbackFailed,
            Self::Kernel(_) | Self::Stage { .. } => Exit::RolledBack,
        }
    }

    /// What to do about it, where that is not in the message itself.
    pub(crate) fn hint(&self) -> Option<&str> {
        match self {
            Self::Usage { hint, .. } => Some(hint).filter(|hint| !hint.is_empty()).map(String::as_str),
            Self::LockOut(_) => Some("mend what is named above and draw the plan again; nothing was changed"),
            Self::Policy(_)
            | Self::Read { .. }
            | Self::Malformed { .. }
            | Self::Plan(_)
            | Self::Change(_)
            | Self::Undo(_)
            | Self::Host(_)
            | Self::Kernel(_)
            | Self::Stage { .. } => None,
        }
    }
}

/// A usage error with a hint.
pub(crate) fn usage(what: impl Into<String>, hint: impl Into<String>) -> Failure {
    Failure::Usage { what: what.into(), hint: hint.into() }
}
