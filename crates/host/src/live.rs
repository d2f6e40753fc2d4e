//! The running machine.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::tree::Tree;
use crate::{Error, Host, Metadata, Output, Query, Source, query, run};

/// The machine that this program runs on.
#[derive(Debug)]
pub struct Live {
    tree: Tree,
}

impl Live {
    /// Opens it.
    ///
    /// # Errors
    /// Where not even `/` can be looked at.
    pub fn open() -> Result<Self, Error> {
        Ok(Self { tree: Tree::real()? })
    }
}

impl Host for Live {
    fn source(&self) -> Source {
        Source::Live
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
        let arguments = query.arguments()?;
        let path = match query.chosen_program() {
            Some(path) => path.to_owned(),
            None => query::installed(self, query.program())?,
        };
        run::run(&query::trusted(self, &path)?, &arguments)
    }
}
