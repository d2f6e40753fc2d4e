//! Facts that were saved.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::facts::{Entry, EntryKind, FileFact};
use crate::{Error, Facts, Host, Kind, Metadata, Output, Query, Source};

/// Facts that were saved before, replayed: [`collect()`](crate::collect()) gives them back as they were.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    facts: Facts,
}

impl Recorded {
    /// Replays these.
    pub fn new(facts: Facts) -> Self {
        Self { facts }
    }

    /// Reads what [`Recorded::save`] wrote.
    ///
    /// # Errors
    /// [`Error::NotFacts`] says where the text is wrong.
    pub fn load(text: &str) -> Result<Self, Error> {
        let facts =
            serde_json::from_slice(text.as_bytes()).map_err(|error| Error::NotFacts(error.to_string()))?;
        Ok(Self { facts })
    }

    /// The facts as JSON, to be put on a disk by the caller.
    ///
    /// # Errors
    /// [`Error::NotFacts`] where they hold a path that is not UTF-8, which [`collect()`](crate::collect()) never makes.
    pub fn save(&self) -> Result<String, Error> {
        serde_json::to_string_pretty(&self.facts).map_err(|error| Error::NotFacts(error.to_string()))
    }

    fn entry(&self, path: &Path) -> Result<&Entry, Error> {
        match self.facts.file(path) {
            FileFact::NotLookedAt | FileFact::Unreadable(_) => Err(Error::NotRecorded(path.to_owned())),
            FileFact::Absent => Err(Error::NotFound(path.to_owned())),
            FileFact::Present(entry) => Ok(entry),
        }
    }
}

impl From<Recorded> for Facts {
    fn from(recorded: Recorded) -> Self {
        recorded.facts
    }
}

impl Host for Recorded {
    fn source(&self) -> Source {
        self.facts.source
    }

    fn read_at_most(&self, path: &Path, cap: u64) -> Result<Vec<u8>, Error> {
        let entry = self.entry(path)?;
        let Some(content) = &entry.content else {
            return Err(match entry.kind {
                EntryKind::Directory | EntryKind::Other => {
                    Error::NotAFile { path: path.to_owned(), kind: kind(entry) }
                }
                EntryKind::File | EntryKind::Symlink(_) => Error::NotRecorded(path.to_owned()),
            });
        };
        if u64::try_from(content.0.len()).unwrap_or(u64::MAX) > cap {
            return Err(Error::TooBig { path: path.to_owned(), cap });
        }
        Ok(content.0.clone())
    }

    fn metadata(&self, path: &Path) -> Result<Metadata, Error> {
        let entry = self.entry(path)?;
        let Entry { mode, uid, gid, size, mtime, .. } = *entry;
        Ok(Metadata { kind: kind(entry), mode, uid, gid, size, mtime })
    }

    fn list(&self, path: &Path) -> Result<Vec<OsString>, Error> {
        let entry = self.entry(path)?;
        let Some(names) = &entry.names else {
            return Err(match entry.kind {
                EntryKind::Directory | EntryKind::Symlink(_) => Error::NotRecorded(path.to_owned()),
                EntryKind::File | EntryKind::Other => Error::NotADirectory(path.to_owned()),
            });
        };
        Ok(names.iter().map(OsString::from).collect())
    }

    fn read_link(&self, path: &Path) -> Result<PathBuf, Error> {
        match &self.entry(path)?.kind {
            EntryKind::Symlink(target) => Ok(target.clone()),
            EntryKind::File | EntryKind::Directory | EntryKind::Other => {
                Err(Error::NotALink(path.to_owned()))
            }
        }
    }

    fn resolve(&self, path: &Path) -> Result<PathBuf, Error> {
        let entry = self.entry(path)?;
        match (&entry.kind, &entry.resolved) {
            (_, Some(resolved)) => Ok(resolved.clone()),
            (EntryKind::Symlink(_), None) => Err(Error::NotRecorded(path.to_owned())),
            (EntryKind::File | EntryKind::Directory | EntryKind::Other, None) => Ok(path.to_owned()),
        }
    }

    fn ask(&self, query: &Query) -> Result<Output, Error> {
        Err(Error::NotRunning(query.program()))
    }

    fn recorded(&self) -> Option<&Facts> {
        Some(&self.facts)
    }
}

fn kind(entry: &Entry) -> Kind {
    match entry.kind {
        EntryKind::File => Kind::File,
        EntryKind::Directory => Kind::Directory,
        EntryKind::Symlink(_) => Kind::Symlink,
        EntryKind::Other => Kind::Other,
    }
}
