//! What can go wrong while a throwaway host is made, booted or used.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Every failure of the lab.
///
/// Tests mostly unwrap it, so each message says what was being done and to what.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lab mounts, makes network namespaces and boots containers.
    #[error("the lab needs root (effective user id is {uid})")]
    NotRoot {
        /// The effective user id of this process.
        uid: u32,
    },
    /// A program the lab starts is not installed.
    #[error("the lab needs `{tool}` (Debian package {package})")]
    MissingTool {
        /// The program looked for in `PATH`.
        tool: &'static str,
        /// The Debian package that brings it.
        package: &'static str,
    },
    /// A network namespace that is, or cannot be told from, the machine's own.
    #[error("refused: {namespace} is not an isolated network namespace ({why})")]
    NotIsolated {
        /// What was opened.
        namespace: String,
        /// Why it is not taken as isolated.
        why: &'static str,
    },
    /// A system call or file operation failed.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file, directory or namespace.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A program that had to succeed did not.
    #[error("`{command}` failed with {status}: {stderr}")]
    Program {
        /// The command line.
        command: String,
        /// Its exit status, in words.
        status: String,
        /// What it said.
        stderr: String,
    },
    /// A program was still running when its time was over; it was killed.
    #[error("`{command}` was still running after {after:?} and was killed; so far: {output}")]
    TimedOut {
        /// The command line.
        command: String,
        /// How long it had.
        after: Duration,
        /// What it had written.
        output: String,
    },
    /// The host's pid 1 never said that it was ready.
    #[error("host {host} did not boot: {why}; console: {console}")]
    Boot {
        /// The host's name.
        host: String,
        /// Which step did not happen.
        why: String,
        /// What the container runtime printed.
        console: String,
    },
    /// An operation that needs a running host found it stopped, or the reverse.
    #[error("host {host} is {state}")]
    State {
        /// The host's name.
        host: String,
        /// `stopped` or `running`.
        state: &'static str,
    },
    /// The disk was never quiet for as long as a copy takes.
    #[error("no point-in-time copy of {} in {attempts} attempts: it was written to each time", image.display())]
    Torn {
        /// The image being copied.
        image: PathBuf,
        /// How many copies were thrown away.
        attempts: u32,
    },
    /// An answer from a program or file could not be understood.
    #[error("cannot understand {what}: {text:?}")]
    Malformed {
        /// Which answer.
        what: &'static str,
        /// The answer.
        text: String,
    },
}

/// The lab's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Names the operation and its object where only an [`io::Error`] is at hand.
pub(crate) trait Doing<T> {
    /// Attaches what was being done, and to which path.
    fn doing(self, doing: &'static str, path: impl Into<PathBuf>) -> Result<T>;
}

impl<T, E: Into<io::Error>> Doing<T> for std::result::Result<T, E> {
    fn doing(self, doing: &'static str, path: impl Into<PathBuf>) -> Result<T> {
        self.map_err(|source| Error::Io { doing, path: path.into(), source: source.into() })
    }
}
