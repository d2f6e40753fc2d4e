//! Why something could not be read.

use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::Kind;

/// Why something could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing is there.
    #[error("{}: not there", .0.display())]
    NotFound(PathBuf),
    /// The permissions of this process do not reach.
    #[error("{}: permission denied", .0.display())]
    Denied(PathBuf),
    /// It is no regular file.
    #[error("{}: is a {kind}, not a regular file", path.display())]
    NotAFile {
        /// Where.
        path: PathBuf,
        /// What it is.
        kind: Kind,
    },
    /// It is no directory.
    #[error("{}: not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// It is no symbolic link.
    #[error("{}: not a symbolic link", .0.display())]
    NotALink(PathBuf),
    /// It is bigger than was allowed.
    #[error("{}: bigger than {cap} bytes", path.display())]
    TooBig {
        /// Where.
        path: PathBuf,
        /// The limit.
        cap: u64,
    },
    /// More names than are read.
    #[error("{}: more than {cap} names", path.display())]
    TooMany {
        /// Where.
        path: PathBuf,
        /// The limit.
        cap: usize,
    },
    /// A path that does not begin with a slash.
    #[error("{}: not an absolute path", .0.display())]
    NotAbsolute(PathBuf),
    /// Another error of the system.
    #[error("{}: {errno}", path.display())]
    System {
        /// Where.
        path: PathBuf,
        /// What the system said.
        errno: Errno,
    },
    /// A question to a machine that does not run.
    #[error("{0} cannot be asked: the machine does not run")]
    NotRunning(&'static str),
    /// The facts that were saved do not say.
    #[error("{}: not among the recorded facts", .0.display())]
    NotRecorded(PathBuf),
    /// The program is not installed.
    #[error("{0} is not installed")]
    NoProgram(&'static str),
    /// The program could be changed by others than root, so it is not run.
    #[error("{} is not run: {why}", path.display())]
    UntrustedProgram {
        /// Which.
        path: PathBuf,
        /// Who could change it.
        why: String,
    },
    /// A question that would not be safe to put.
    #[error("{program} is not asked: {why}")]
    BadQuestion {
        /// To whom.
        program: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The program could not be started or waited for.
    #[error("{}: {errno}", program.display())]
    Start {
        /// Which.
        program: PathBuf,
        /// What the system said.
        errno: Errno,
    },
    /// The program took too long and was ended.
    #[error("{} took longer than {seconds} s", program.display())]
    TimedOut {
        /// Which.
        program: PathBuf,
        /// The limit.
        seconds: u64,
    },
    /// The program wrote too much and was ended.
    #[error("{} wrote more than {cap} bytes", program.display())]
    TooMuchOutput {
        /// Which.
        program: PathBuf,
        /// The limit.
        cap: usize,
    },
    /// Saved facts that are not facts.
    #[error("these are not recorded facts: {0}")]
    NotFacts(String),
}

impl Error {
    /// The error of a system call on a path.
    pub(crate) fn at(path: &Path, errno: Errno) -> Self {
        let path = path.to_owned();
        match errno {
            Errno::NOENT => Self::NotFound(path),
            Errno::ACCESS | Errno::PERM => Self::Denied(path),
            Errno::NOTDIR => Self::NotADirectory(path),
            errno => Self::System { path, errno },
        }
    }

    /// Whether it says that nothing is there (a file in the place of a directory means the same).
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::NotFound(_) | Self::NotADirectory(_))
    }
}
