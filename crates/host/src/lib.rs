//! The one door for reading a machine: [`Host`], and what is read through it, [`Facts`].
//!
//! A machine may be the running one ([`Live`]), a tree of files that does not run ([`Image`]), or facts that were
//! saved before ([`Recorded`]). [`collect()`] asks any of them everything that the controls need and gives plain data
//! back. What could not be read says why; nothing counts as good for lack of an answer.
//!
//! This crate changes nothing. Programs are started to be asked, never to do: the list of questions is closed
//! ([`Query`]), each has a fixed argument vector, an empty environment, a time limit and an output limit.
//!
//! ```
//! use std::path::Path;
//! use host::{Host, Image, Wanted};
//!
//! let image = Image::open(Path::new("/"))?; // any unpacked root file system
//! let passwd = image.read(Path::new("/etc/passwd"))?;
//! assert!(passwd.starts_with(b"root:"));
//!
//! let facts = host::collect(&image, &Wanted::default());
//! assert!(facts.network.listeners.unknown().is_some(), "an image has no sockets");
//! # Ok::<(), host::Error>(())
//! ```
#![allow(clippy::disallowed_methods, reason = "this crate starts programs to read from them")]

mod collect;
mod error;
pub mod facts;
mod glob;
mod image;
mod live;
mod process;
mod query;
mod recorded;
mod run;
mod sudoers;
mod tree;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub use collect::{Wanted, collect, judge_sudo_again, legacy_tables, network, way_in};
pub use error::Error;
pub use facts::{Fact, Facts, Source};
pub use image::Image;
pub use live::Live;
pub use query::{Output, Query};
pub use recorded::Recorded;
pub use tree::{Kind, Metadata};

/// Bytes of a file that [`Host::read`] reads at most: 1 MiB.
pub const DEFAULT_CAP: u64 = 1 << 20;

/// A machine that can be read. Paths are absolute, as that machine names them.
pub trait Host: Sync {
    /// Whether it runs.
    fn source(&self) -> Source;

    /// Reads a regular file, following symbolic links; a bigger one than `cap` bytes is an error. Never blocks
    /// on a pipe, never opens a device.
    ///
    /// # Errors
    /// [`Error`] says why there are no bytes.
    fn read_at_most(&self, path: &Path, cap: u64) -> Result<Vec<u8>, Error>;

    /// What stands at a path; a symbolic link is not followed.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is nothing.
    fn metadata(&self, path: &Path) -> Result<Metadata, Error>;

    /// The names in a directory, sorted by their bytes.
    ///
    /// # Errors
    /// [`Error::NotADirectory`] and the usual ones.
    fn list(&self, path: &Path) -> Result<Vec<OsString>, Error>;

    /// The target of a symbolic link, as written.
    ///
    /// # Errors
    /// [`Error::NotALink`] and the usual ones.
    fn read_link(&self, path: &Path) -> Result<PathBuf, Error>;

    /// The path with every symbolic link followed.
    ///
    /// # Errors
    /// [`Error::NotFound`] where a link dangles.
    fn resolve(&self, path: &Path) -> Result<PathBuf, Error>;

    /// Puts a read-only question to a program of the machine.
    ///
    /// # Errors
    /// [`Error::NotRunning`] where the machine does not run. A program that answers with a failure is an [`Output`].
    fn ask(&self, query: &Query) -> Result<Output, Error>;

    /// The facts, where they were taken before.
    fn recorded(&self) -> Option<&Facts> {
        None
    }

    /// Reads a regular file of at most [`DEFAULT_CAP`] bytes.
    ///
    /// # Errors
    /// As [`Host::read_at_most`].
    fn read(&self, path: &Path) -> Result<Vec<u8>, Error> {
        self.read_at_most(path, DEFAULT_CAP)
    }

    /// The existing paths that match a pattern of `*`, `?` and `[...]`, sorted; as glob(3), a leading dot must be
    /// written. A pattern without any of these gives the path itself where it exists.
    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        glob::expand(self, pattern)
    }
}
