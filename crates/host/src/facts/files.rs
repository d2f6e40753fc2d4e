//! Files as facts.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

/// What is known of one path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileFact {
    /// Nobody looked.
    NotLookedAt,
    /// There is nothing at that path.
    Absent,
    /// It could not be looked at, for this reason.
    Unreadable(String),
    /// It is there.
    Present(Entry),
}

impl FileFact {
    /// The entry, where there is one.
    pub fn entry(&self) -> Option<&Entry> {
        match self {
            Self::Present(entry) => Some(entry),
            Self::NotLookedAt | Self::Absent | Self::Unreadable(_) => None,
        }
    }

    /// The bytes of a regular file that were read, or of the one that a symbolic link leads to.
    pub fn bytes(&self) -> Option<&[u8]> {
        self.entry()?.content.as_ref().map(|content| content.0.as_slice())
    }
}

/// A file, directory or link that exists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits, the lower twelve.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Last change of the content, seconds since the epoch.
    pub mtime: i64,
    /// Its bytes, for a regular file that was read whole (never private keys or password hashes), or for a
    /// symbolic link those of the file that it leads to.
    pub content: Option<Content>,
    /// Why there are no bytes of a file that was to be read: no permission, too big, a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_unknown: Option<String>,
    /// Where a symbolic link leads in the end; that path is in `Facts::files` too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<PathBuf>,
    /// Names in it, sorted, for a directory that was listed.
    #[serde(default)]
    pub names: Option<Vec<String>>,
}

/// Kind of a directory entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    /// A regular file.
    #[default]
    File,
    /// A directory.
    Directory,
    /// A symbolic link, with its target as written (bytes that are not UTF-8 replaced).
    Symlink(PathBuf),
    /// A device, socket or pipe.
    Other,
}

/// Bytes of a file: JSON text where they are UTF-8, `{"base64": "..."}` where not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "WrittenContent", try_from = "WrittenContent")]
pub struct Content(pub Vec<u8>);

/// [`Content`] as it is written.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum WrittenContent {
    Text(String),
    Bytes { base64: String },
}

impl From<Content> for WrittenContent {
    fn from(content: Content) -> Self {
        match String::from_utf8(content.0) {
            Ok(text) => Self::Text(text),
            Err(error) => Self::Bytes { base64: BASE64.encode(error.as_bytes()) },
        }
    }
}

impl TryFrom<WrittenContent> for Content {
    type Error = base64::DecodeError;

    fn try_from(written: WrittenContent) -> Result<Self, Self::Error> {
        match written {
            WrittenContent::Text(text) => Ok(Self(text.into_bytes())),
            WrittenContent::Bytes { base64 } => BASE64.decode(base64).map(Self),
        }
    }
}
