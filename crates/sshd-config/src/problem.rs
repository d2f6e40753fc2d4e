//! What is wrong with a configuration, as data.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::algorithms::AlgorithmError;
use crate::condition::MatchError;
use crate::keyword::Keyword;
use crate::value::ValueError;

/// A line of a file. Displayed as `path:line`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The file as the configured host sees it.
    pub path: Arc<Path>,
    /// From 1.
    pub line: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}

/// One thing wrong with a configuration, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line; `None` where no one line is to blame.
    pub origin: Option<Origin>,
    /// What is wrong.
    pub error: Error,
}

impl Problem {
    /// Whether sshd refuses to start for it. The others it only warns of, or passes over in silence.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        match self.error {
            Error::Obsolete(_) | Error::Unsupported(_) | Error::Foreign(_) | Error::Ignored => false,
            Error::Unreadable { .. }
            | Error::NulByte
            | Error::UnknownKeyword(_)
            | Error::NoArgument(_)
            | Error::UnbalancedQuotes
            | Error::NotInMatch(_)
            | Error::BadMatch(_)
            | Error::BadValue { .. }
            | Error::BadAlgorithms { .. }
            | Error::IncludeWithoutFile
            | Error::IncludeTooDeep
            | Error::TooManyFiles
            | Error::RepeatedSubsystem(_)
            | Error::TooManyPorts
            | Error::CommandWithoutUser(_)
            | Error::MethodsUnsatisfiable
            | Error::AnyAfterMethods
            | Error::SubsystemOverrun
            | Error::WrongFamily(_) => true,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{origin}: {}", self.error),
            None => write!(f, "{}", self.error),
        }
    }
}

/// What can be wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A file that is named or included cannot be read.
    #[error("{path} cannot be read: {reason}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A NUL byte: sshd drops the rest of the line and joins it with the next.
    #[error("a NUL byte, at which sshd joins the line with the next one")]
    NulByte,
    /// No keyword of this version of OpenSSH.
    #[error("{0} is no keyword of this OpenSSH")]
    UnknownKeyword(String),
    /// A keyword that only patched builds know, perhaps this one: its effect is not followed.
    #[error("{0} is known to some builds of OpenSSH only, and not followed here")]
    Foreign(String),
    /// A keyword that does nothing any more.
    #[error("{0} is obsolete and does nothing")]
    Obsolete(String),
    /// A keyword that this build takes and does nothing with.
    #[error("{0} does nothing in this build of OpenSSH")]
    Unsupported(Keyword),
    /// A line that sshd passes over because a quote is never closed.
    #[error("a quote in the keyword is never closed, so sshd passes over the line")]
    Ignored,
    /// A keyword alone.
    #[error("{0} has no argument")]
    NoArgument(String),
    /// A quote among the arguments is never closed.
    #[error("a quote is never closed")]
    UnbalancedQuotes,
    /// A keyword that may not stand inside `Match`.
    #[error("{0} may not stand inside a Match block")]
    NotInMatch(String),
    /// A `Match` line that sshd refuses.
    #[error(transparent)]
    BadMatch(#[from] MatchError),
    /// Arguments that sshd refuses.
    #[error("{keyword}: {error}")]
    BadValue {
        /// Of which keyword.
        keyword: Keyword,
        /// Why.
        error: ValueError,
    },
    /// A list of algorithms that comes to nothing.
    #[error("{keyword}: {error}")]
    BadAlgorithms {
        /// Of which keyword.
        keyword: Keyword,
        /// Why.
        error: AlgorithmError,
    },
    /// `Include` with nothing but a comment behind it.
    #[error("Include names no file")]
    IncludeWithoutFile,
    /// Files that include each other more than 16 levels deep.
    #[error("files include each other more than 16 levels deep")]
    IncludeTooDeep,
    /// More than 4096 files read, one counted each time it is included: nothing further was read.
    #[error("more than 4096 files are included")]
    TooManyFiles,
    /// A subsystem that is already defined (before OpenSSH 9.5).
    #[error("Subsystem {0} is already defined")]
    RepeatedSubsystem(String),
    /// More than 256 ports.
    #[error("more than 256 ports")]
    TooManyPorts,
    /// A command without the user to run it as.
    #[error("{0} is set without {0}User")]
    CommandWithoutUser(Keyword),
    /// No list of `AuthenticationMethods` has all its methods enabled.
    #[error("no list of AuthenticationMethods has all its methods enabled")]
    MethodsUnsatisfiable,
    /// `any` after methods were set by an earlier line (before OpenSSH 9.8).
    #[error("AuthenticationMethods any after methods were set by an earlier line")]
    AnyAfterMethods,
    /// More subsystems in the blocks that apply than in the main part (OpenSSH 9.5 to 10.2).
    #[error("more subsystems in Match blocks than in the main part, at which this OpenSSH may crash")]
    SubsystemOverrun,
    /// A listening address that `AddressFamily` excludes.
    #[error("ListenAddress {0} is not of the family that AddressFamily allows")]
    WrongFamily(String),
}
