//! The SSH server as facts. The configuration files themselves stand in `Facts::files`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Fact;

/// The SSH server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SshFacts {
    /// Path of the sshd program; `Known(None)` where none is installed.
    pub program: Fact<Option<PathBuf>>,
    /// Version text, as `OpenSSH_9.2p1 Debian-2+deb12u6`.
    pub version: Fact<String>,
    /// The main configuration file (argv's `-f`, the vendor's place, or `/etc/ssh/sshd_config`).
    pub main_file: PathBuf,
    /// `sshd -T` for no particular connection: its own view, to check ours against.
    pub dump: Fact<String>,
    /// `sshd -T` with an empty configuration: the version's and the vendor's defaults.
    pub defaults: Fact<String>,
    /// Listening server processes (masters, not sessions).
    pub servers: Fact<Vec<Server>>,
    /// The units that have to do with it: ssh.service, sshd.service, ssh.socket, sshd.socket.
    pub units: Fact<Vec<Unit>>,
    /// The main file and every file that it includes, in reading order; their bytes stand in `Facts::files`.
    #[serde(default)]
    pub config_files: Vec<PathBuf>,
    /// For each account that can log in: the places where its authorised keys are looked for, present or not.
    #[serde(default)]
    pub authorized_keys: BTreeMap<String, Vec<PathBuf>>,
}

/// A running sshd master process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Server {
    /// Process id.
    pub pid: u32,
    /// Its arguments.
    pub argv: Vec<String>,
    /// When it started, or was last reloaded as far as known: seconds since the epoch.
    pub started: i64,
    /// What says so.
    #[serde(default)]
    pub started_by: Started,
    /// Where it listens.
    pub listens: Vec<SocketAddr>,
}

/// What says when a server last read its configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Started {
    /// Only the start of its process: a reload since then is not seen.
    #[default]
    Process,
    /// Its pid file, which it writes anew after each reload.
    PidFile,
    /// The last change of state of its unit, a reload included.
    Unit,
}

/// A systemd unit's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Unit {
    /// `Id`, as `ssh.socket`.
    pub name: String,
    /// `LoadState` is `loaded`.
    pub loaded: bool,
    /// `ActiveState`, as `active`.
    pub active: String,
    /// `UnitFileState`, as `enabled`.
    pub enabled: String,
    /// `Listen` of a socket unit, each `address:port` or a bare port.
    pub listens: Vec<String>,
    /// When the unit last became active or was reloaded, seconds since the epoch; 0 unknown.
    pub since: i64,
}
