//! Where configuration files come from: a live host, an image, or recorded facts.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::glob;

/// Files that a configuration is read from. Paths are absolute, as the configured host sees them.
pub trait Files {
    /// The bytes of one file.
    ///
    /// # Errors
    /// The file is missing or cannot be read.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The paths that match an absolute glob(3) pattern, sorted by byte. None where nothing matches.
    fn glob(&self, pattern: &str) -> Vec<PathBuf>;
}

impl<T: Files + ?Sized> Files for &T {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        (**self).read(path)
    }

    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        (**self).glob(pattern)
    }
}

/// Recorded files: path to bytes.
impl Files for BTreeMap<PathBuf, Vec<u8>> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.get(&plain(path)).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        let below = |dir: &Path| {
            let dir = plain(dir);
            let names = self.keys().filter_map(|path| path.strip_prefix(&dir).ok()?.components().next());
            names.map(|name| name.as_os_str().to_string_lossy().into_owned()).collect()
        };
        glob::expand(pattern, |path| self.contains_key(&plain(path)), below)
    }
}

/// `/a/../b` as `/b`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        if part == std::path::Component::ParentDir {
            plain.pop();
        } else {
            plain.push(part);
        }
    }
    plain
}

/// Files below a directory that stands for the root: `/` for the live host, elsewhere for an image.
#[derive(Debug, Clone)]
pub struct Root(PathBuf);

impl Root {
    /// Files of the host whose root directory is `root`.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    fn place(&self, path: &Path) -> PathBuf {
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }
}

impl Files for Root {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let place = self.place(path);
        // sshd reads a directory as an empty file.
        if place.is_dir() { Ok(Vec::new()) } else { std::fs::read(place) }
    }

    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        let exists = |path: &Path| self.place(path).symlink_metadata().is_ok();
        let children = |dir: &Path| {
            let entries = std::fs::read_dir(self.place(dir)).into_iter().flatten().flatten();
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
        };
        glob::expand(pattern, exists, children)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests build an image of their own")]
mod tests {
    use super::*;

    #[test]
    fn recorded_files_glob_in_byte_order() {
        let names =
            ["/etc/ssh/d/10-b.conf", "/etc/ssh/d/10-B.conf", "/etc/ssh/d/2.conf", "/etc/ssh/d/x.dpkg-old"];
        let files: BTreeMap<PathBuf, Vec<u8>> = names.iter().map(|name| (name.into(), Vec::new())).collect();
        let found = files.glob("/etc/ssh/../ssh/d/*.conf");
        let found: Vec<_> = found.iter().map(|path| plain(path)).collect();
        assert_eq!(found, [names[1], names[0], names[2]].map(PathBuf::from));
        assert!(files.glob("/etc/none/*.conf").is_empty());
    }

    #[test]
    fn an_image_is_read_below_its_root() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("etc/ssh/d")).unwrap();
        std::fs::write(root.path().join("etc/ssh/d/a.conf"), b"Port 1").unwrap();
        let files = Root::new(root.path());
        assert_eq!(files.glob("/etc/ssh/d/*.conf"), [PathBuf::from("/etc/ssh/d/a.conf")]);
        assert_eq!(files.read(Path::new("/etc/ssh/d/a.conf")).unwrap(), b"Port 1");
        assert!(files.read(Path::new("/etc/ssh/none")).is_err());
    }
}
