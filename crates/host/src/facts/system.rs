//! Distribution, init system and kernel as facts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Fact, Unit};

/// The system as such.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct System {
    /// Host name.
    pub hostname: Fact<String>,
    /// os-release(5).
    pub os: Fact<OsRelease>,
    /// `uname -r`.
    pub kernel: Fact<String>,
    /// What runs as process 1; for an image, what would.
    pub init: Fact<Init>,
    /// The package manager found.
    pub packages: Fact<PackageManager>,
    /// The group whose members may use sudo (`sudo` or `wheel`), found in sudoers.
    pub admin_group: Fact<String>,
    /// Absolute paths of the programs that plans use, by name (`useradd`, `sshd`, `visudo`, `systemctl`, ...).
    pub programs: BTreeMap<String, PathBuf>,
    /// Every unit that was asked for: SSH, firewall managers, and this program's own (`gabion-*`).
    #[serde(default)]
    pub units: Fact<Vec<Unit>>,
}

/// os-release(5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct OsRelease {
    /// `ID`.
    pub id: String,
    /// `ID_LIKE`, split.
    pub like: Vec<String>,
    /// `VERSION_ID`.
    pub version: Option<String>,
    /// `PRETTY_NAME`.
    pub name: String,
}

/// What starts services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Init {
    /// systemd is process 1.
    Systemd,
    /// `OpenRC`.
    OpenRc,
    /// Scripts in /etc/init.d.
    SysV,
    /// Upstart.
    Upstart,
    /// No service manager: a container, or a rehearsal.
    None,
}

/// Package managers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PackageManager {
    /// dpkg with apt.
    Apt,
    /// rpm with dnf.
    Dnf,
    /// rpm with yum.
    Yum,
    /// rpm with zypper.
    Zypper,
    /// pacman.
    Pacman,
    /// apk.
    Apk,
}
