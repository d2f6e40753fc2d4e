//! What is known of a machine: plain data, saved as JSON and replayed.
//!
//! Every part that may fail to be read is a [`Fact`]: what could not be read says why, and never counts as good.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

mod accounts;
mod files;
mod firewall;
mod network;
mod ssh;
mod sudo;
mod system;
mod way_in;

pub use accounts::{Account, Accounts, Group, PasswordState, Shadow};
pub use files::{Content, Entry, EntryKind, FileFact};
pub use firewall::{FirewallFacts, IptablesSave, IptablesVariant, Manager};
pub use network::{Address, Link, Listener, Network, Owner, Protocol, Route};
pub use ssh::{Server, SshFacts, Started, Unit};
pub use sudo::{SudoDefault, SudoListing, Sudoers};
pub use system::{Init, OsRelease, PackageManager, System};
pub use way_in::{Via, WayIn};

/// A thing that was read, or the reason why it could not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fact<T> {
    /// It was read.
    Known(T),
    /// It could not be read, for this reason.
    Unknown(String),
}

impl<T> Fact<T> {
    /// The value, where it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }

    /// The reason, where it is unknown.
    pub fn unknown(&self) -> Option<&str> {
        match self {
            Self::Known(_) => None,
            Self::Unknown(reason) => Some(reason),
        }
    }
}

impl<T> Default for Fact<T> {
    fn default() -> Self {
        Self::Unknown("was not looked at".to_owned())
    }
}

/// Where the facts come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The running machine.
    #[default]
    Live,
    /// A tree of files that is not running (`--root DIR`): nothing about processes, sockets or the kernel.
    Image,
}

/// All that is known of one machine at one time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Facts {
    /// When they were read, RFC 3339, UTC.
    pub taken_at: String,
    /// Days since 1970-01-01 at that time, for shadow(5) ages.
    pub today: i64,
    /// Where they come from.
    pub source: Source,
    /// Distribution, init system, kernel.
    pub system: System,
    /// passwd, group, shadow.
    pub accounts: Accounts,
    /// What sudo grants the accounts that may administer the host, by login name.
    pub sudo: BTreeMap<String, Fact<SudoListing>>,
    /// The sudoers files themselves.
    #[serde(default)]
    pub sudoers: Sudoers,
    /// The SSH server: program, processes, units.
    pub ssh: SshFacts,
    /// Links, addresses, routes, listening sockets.
    pub network: Network,
    /// The kernel's packet filter and who else manages it.
    pub firewall: FirewallFacts,
    /// How the person that runs this came in.
    pub way_in: Fact<WayIn>,
    /// Every file and directory that was looked at, by its path on that machine: configuration, keys and the
    /// directories above them, and each path that a plan may replace.
    pub files: BTreeMap<PathBuf, FileFact>,
    /// What was read but not understood, or left out: a malformed line, a file name that is not UTF-8.
    #[serde(default)]
    pub problems: Vec<Problem>,
}

/// A thing that was read but not understood.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Problem {
    /// In which file (bytes that are not UTF-8 replaced).
    pub path: PathBuf,
    /// Line, 1-based, where it has one.
    pub line: Option<usize>,
    /// What is wrong with it.
    pub what: String,
}

impl Facts {
    /// What is known of a path. A path that was never looked at is unknown, not absent.
    pub fn file(&self, path: impl AsRef<Path>) -> &FileFact {
        static NOT_LOOKED_AT: FileFact = FileFact::NotLookedAt;
        self.files.get(path.as_ref()).unwrap_or(&NOT_LOOKED_AT)
    }
}
