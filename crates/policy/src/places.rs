//! Where each key stands in the policy file, so that a finding or a rule can name `policy.toml:12`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

/// The places of all keys of one file, by path: `ssh.root-login`, `admin[0].keys[1]`, `firewall.allow[2]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    pub(crate) file: PathBuf,
    pub(crate) by_path: BTreeMap<String, Place>,
}

/// One place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Bytes of the key, or of the value where it is one of a list.
    pub span: Range<usize>,
    /// Line, 1-based.
    pub line: usize,
}

impl Places {
    /// Where the key stands; `None` where the file leaves it to its default.
    pub fn get(&self, path: &str) -> Option<&Place> {
        self.by_path.get(path)
    }

    /// The line of the key, 1-based.
    pub fn line(&self, path: &str) -> Option<usize> {
        self.get(path).map(|place| place.line)
    }

    /// `policy.toml:12` for a key that the file sets.
    pub fn cite(&self, path: &str) -> Option<String> {
        self.line(path).map(|line| format!("{}:{line}", self.file.display()))
    }

    /// The bytes of the first of these keys that the file sets; the file's start otherwise.
    pub(crate) fn span(&self, paths: &[&str]) -> Range<usize> {
        paths.iter().find_map(|path| self.get(path)).map_or(0..0, |place| place.span.clone())
    }
}
