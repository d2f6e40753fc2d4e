//! What a directory tree is, byte for byte, so that two moments can be compared.

use crate::error::{Doing, Error, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Files by their path in the host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Manifest(pub BTreeMap<PathBuf, Entry>);

/// One file. Times of access and change are left out: reading alone changes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it is, and what it holds.
    pub content: Content,
    /// Permission bits, with set-id and sticky.
    pub mode: u32,
    /// The owner's id.
    pub uid: u32,
    /// The group's id.
    pub gid: u32,
    /// Time of modification in nanoseconds since 1970; `None` for a directory, which changes with any temporary file.
    pub modified: Option<i128>,
    /// Extended attributes, without those of the overlay itself; values in hexadecimal.
    pub attributes: BTreeMap<String, String>,
}

/// A file's type with its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// A regular file.
    File {
        /// Its length in bytes.
        size: u64,
        /// Its SHA-256 in hexadecimal.
        sha256: String,
    },
    /// A directory.
    Directory,
    /// A symbolic link.
    Link {
        /// Where it points.
        target: PathBuf,
    },
    /// A device.
    Device {
        /// True for a block device.
        block: bool,
        /// Its number, as `st_rdev`.
        number: u64,
    },
    /// A named pipe.
    Pipe,
    /// A socket.
    Socket,
}

impl Manifest {
    /// Everything at or below `paths` in `root`. What does not exist is not in it; other file systems mounted below
    /// are not entered.
    pub(crate) fn of(root: &Path, paths: &[&str]) -> Result<Self> {
        let mut manifest = Self::default();
        for path in paths {
            let relative = Path::new(path).strip_prefix("/").unwrap_or(Path::new(path));
            manifest.add(root, relative)?;
        }
        Ok(manifest)
    }

    /// The paths that differ between this (before) and `after`, one a line: `- path` gone, `+ path` new, `~ path`
    /// changed with both sides. Empty where nothing differs.
    #[must_use]
    pub fn diff(&self, after: &Self) -> String {
        let mut lines = String::new();
        let mut line = |text: std::fmt::Arguments<'_>| lines += &format!("{text}\n");
        for (path, old) in &self.0 {
            match after.0.get(path) {
                None => line(format_args!("- {}", path.display())),
                Some(new) if new != old => line(format_args!("~ {}: {old:?} -> {new:?}", path.display())),
                Some(_) => {}
            }
        }
        for path in after.0.keys().filter(|path| !self.0.contains_key(*path)) {
            line(format_args!("+ {}", path.display()));
        }
        lines
    }

    fn add(&mut self, root: &Path, relative: &Path) -> Result<()> {
        let path = root.join(relative);
        let found = match fs::symlink_metadata(&path) {
            Ok(found) => found,
            // A running host may remove a file between its listing and this.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error).doing("stat", path),
        };
        let content = content(&path, &found)?;
        let directory = content == Content::Directory;
        let entry = Entry {
            mode: found.mode() & 0o7777,
            uid: found.uid(),
            gid: found.gid(),
            modified: (!directory)
                .then(|| i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec())),
            attributes: attributes(&path)?,
            content,
        };
        self.0.insert(Path::new("/").join(relative), entry);
        if directory && found.dev() == fs::metadata(root).doing("stat", root)?.dev() {
            for child in fs::read_dir(&path).doing("list", &path)? {
                self.add(root, &relative.join(child.doing("list", &path)?.file_name()))?;
            }
        }
        Ok(())
    }
}

fn content(path: &Path, found: &fs::Metadata) -> Result<Content> {
    let kind = found.file_type();
    Ok(if kind.is_dir() {
        Content::Directory
    } else if kind.is_symlink() {
        Content::Link { target: fs::read_link(path).doing("read the link", path)? }
    } else if kind.is_block_device() || kind.is_char_device() {
        Content::Device { block: kind.is_block_device(), number: found.rdev() }
    } else if kind.is_fifo() {
        Content::Pipe
    } else if kind.is_socket() {
        Content::Socket
    } else {
        let bytes = fs::read(path).doing("read", path)?;
        Content::File { size: found.len(), sha256: hex(&Sha256::digest(&bytes)) }
    })
}

fn attributes(path: &Path) -> Result<BTreeMap<String, String>> {
    let mut names = vec![0; 65536];
    let length = rustix::fs::llistxattr(path, &mut names[..]).doing("list the attributes of", path)?;
    let mut attributes = BTreeMap::new();
    for name in names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        if name.starts_with(b"trusted.overlay.") {
            continue;
        }
        let mut value = vec![0; 65536];
        let name = std::ffi::OsStr::from_bytes(name);
        match rustix::fs::lgetxattr(path, name, &mut value[..]) {
            Ok(length) => drop(attributes.insert(name.to_string_lossy().into_owned(), hex(&value[..length]))),
            Err(rustix::io::Errno::NODATA) => {}
            Err(error) => return Err(error).map_err(Error::from_attribute(path)),
        }
    }
    Ok(attributes)
}

impl Error {
    fn from_attribute(path: &Path) -> impl FnOnce(rustix::io::Errno) -> Self {
        let path = path.to_path_buf();
        |source| Self::Io { doing: "read an attribute of", path, source: source.into() }
    }
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
