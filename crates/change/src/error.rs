//! Every way in which a change can fail, as data.

use std::io;
use std::path::{Path, PathBuf};

use crate::journal::TransactionId;

/// Why a change was refused, or what it failed at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The plan has no steps.
    #[error("there is nothing to do")]
    NothingToDo,
    /// The machine is not as it was when the plan was drawn. Nothing of this step was done.
    #[error("step {}: {what} is not as it was when the plan was drawn: expected {expected}, found {found}", step + 1)]
    StalePlan {
        /// Index of the step, from 0.
        step: usize,
        /// The path, account or ruleset.
        what: String,
        /// What the plan expected there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// Another program of ours is changing the machine at this moment.
    #[error("another transaction is running")]
    Busy,
    /// An earlier transaction waits for its confirmation.
    #[error("{id} waits for its confirmation: run `gabion confirm` or `gabion rollback`")]
    PendingTransaction {
        /// Which.
        id: TransactionId,
    },
    /// An earlier transaction was cut off, or could not be undone.
    #[error("{id} was cut off in the middle: run `gabion recover`")]
    UnfinishedTransaction {
        /// Which.
        id: TransactionId,
    },
    /// There is no such transaction.
    #[error("there is no transaction {id}")]
    NoSuchTransaction {
        /// Which.
        id: String,
    },
    /// Only the newest confirmed transaction can be rolled back: later ones build on it.
    #[error("{id} is not the newest confirmed transaction: roll {newest} back first")]
    NotTheNewest {
        /// Which was asked for.
        id: TransactionId,
        /// Which must be rolled back before.
        newest: TransactionId,
    },
    /// A line of the journal that is not its last cannot be read.
    #[error("{}:{line}: {reason}; the originals stand beside it and can be put back by hand", path.display())]
    CorruptJournal {
        /// The journal or a file beside it.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A directory on the way could be changed by someone else than root or the owner-to-be.
    #[error("{}: {reason}", path.display())]
    Untrusted {
        /// The directory or link.
        path: PathBuf,
        /// Who could change it.
        reason: String,
    },
    /// A path that is not absolute, or names no file.
    #[error("{}: not an absolute path of a file", path.display())]
    BadPath {
        /// The path.
        path: PathBuf,
    },
    /// There is no such account.
    #[error("there is no account {name}")]
    NoSuchAccount {
        /// Login name.
        name: String,
    },
    /// A name that the account programs could mistake for something else.
    #[error("{name:?} is not a valid account or group name")]
    BadName {
        /// The name.
        name: String,
    },
    /// An action that needs a running machine, asked of an image.
    #[error("{action} needs the running machine, and this is an image")]
    NotLive {
        /// What was to be done.
        action: &'static str,
    },
    /// A program that is needed is not installed.
    #[error("{program} is not installed")]
    NoProgram {
        /// Its name.
        program: &'static str,
    },
    /// A program failed.
    #[error("{program} failed ({status}){}{}", if output.is_empty() { "" } else { ": " }, output)]
    Program {
        /// Its path.
        program: PathBuf,
        /// Exit status, signal or `timed out after 60 s`.
        status: String,
        /// The last of what it wrote to stdout and stderr.
        output: String,
    },
    /// The running executable is not the one that the plan was drawn with.
    #[error("the running program has digest {found}, the plan names {expected}")]
    WrongProgram {
        /// What the plan names.
        expected: String,
        /// What runs.
        found: String,
    },
    /// A login that had to succeed failed, or one that had to be refused succeeded.
    #[error("{login}: {what}")]
    LoginProof {
        /// Who, whereto, by what.
        login: String,
        /// What happened instead.
        what: String,
    },
    /// A service could not be switched.
    #[error("{unit}: {what}")]
    Service {
        /// Its name.
        unit: String,
        /// Why not.
        what: String,
    },
    /// The kernel's packet filter refused.
    #[error("packet filter: {0}")]
    Firewall(String),
    /// The text of iptables-save is not understood.
    #[error("iptables-save: {0}")]
    Iptables(String),
    /// A signal asked this program to end while it was applying.
    #[error("interrupted by {signal}")]
    Interrupted {
        /// Its name.
        signal: String,
    },
    /// The timer that undoes an unconfirmed change could not be started.
    #[error("the timer that would undo an unconfirmed change could not be started: {reason}")]
    Timer {
        /// Why.
        reason: String,
    },
    /// The operating system refused.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn io(doing: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.as_ref().to_owned(), source }
    }

    pub(crate) fn os(doing: &'static str, path: impl AsRef<Path>) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |source| Self::Io { doing, path: path.as_ref().to_owned(), source: source.into() }
    }

    /// Whether it says that something is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// What this crate's functions give.
pub type Result<T, E = Error> = std::result::Result<T, E>;
