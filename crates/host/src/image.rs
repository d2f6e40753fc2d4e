//! A tree of files that does not run.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::tree::Tree;
use crate::{Error, Host, Metadata, Output, Query, Source};

/// A root file system that does not run: an unpacked image, a chroot, a mounted disk. Its symbolic links resolve
/// below its root, never on the machine that reads it, and none of its programs is ever started.
#[derive(Debug)]
pub struct Image {
    tree: Tree,
}

impl Image {
    /// Takes a directory for `/`.
    ///
    /// # Errors
    /// Where it is not there, or no directory.
    pub fn open(root: &Path) -> Result<Self, Error> {
        Ok(Self { tree: Tree::below(root)? })
    }
}

impl Host for Image {
    fn source(&self) -> Source {
        Source::Image
    }

    fn read_at_most(&self, path: &Path, cap: u64) -> Result<Vec<u8>, Error> {
        self.tree.read(path, cap)
    }

    fn metadata(&self, path: &Path) -> Result<Metadata, Error> {
        self.tree.metadata(path)
    }

    fn list(&self, path: &Path) -> Result<Vec<OsString>, Error> {
        self.tree.list(path)
    }

    fn read_link(&self, path: &Path) -> Result<PathBuf, Error> {
        self.tree.read_link(path)
    }

    fn resolve(&self, path: &Path) -> Result<PathBuf, Error> {
        self.tree.resolve(path)
    }

    fn ask(&self, query: &Query) -> Result<Output, Error> {
        Err(Error::NotRunning(query.program()))
    }
}
