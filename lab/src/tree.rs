//! Base trees: a minimal Debian with systemd and sshd, made once by debootstrap and never written to again.

use crate::error::{Doing, Error, Result};
use crate::place::Lab;
use crate::process::{must, must_within, tool};
use sha2::{Digest, Sha256};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What each tree holds beyond debootstrap's `minbase`: what a Debian server has after its installer, as far as it
/// touches logins, services and the network.
const PACKAGES: &str =
    "systemd-sysv,dbus,libpam-systemd,openssh-server,sudo,iproute2,procps,ca-certificates,netbase";

/// Run in the new tree. The resolver and the host name that debootstrap copied from this machine are taken out.
const FINISH: &str = r"set -e
apt-get clean
printf 'host\n' > /etc/hostname
printf '127.0.0.1 localhost\n127.0.1.1 host\n::1 localhost ip6-localhost ip6-loopback\n' > /etc/hosts
rm -f /etc/resolv.conf && : > /etc/resolv.conf
rm -f /var/log/bootstrap.log
";

/// A fetch of some hundred packages, unpacked on a slow disk.
const BUILD_LIMIT: Duration = Duration::from_secs(1200);

/// A Debian release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suite {
    /// Debian 12: OpenSSH 9.2, systemd 252.
    Bookworm,
    /// Debian 13: OpenSSH 10.0, systemd 257.
    Trixie,
}

impl Suite {
    /// Its code name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }
}

/// A finished base tree, the read-only lower layer of every host.
#[derive(Debug, Clone)]
pub struct Tree {
    lab: Lab,
    suite: Suite,
    dir: PathBuf,
}

impl Tree {
    /// The tree of Debian 12, made now where there is none yet (about 40 seconds).
    ///
    /// # Errors
    /// What [`Lab::require`] misses; a mirror that does not answer.
    pub fn bookworm() -> Result<Self> {
        Self::of(Suite::Bookworm)
    }

    /// The tree of Debian 13.
    ///
    /// # Errors
    /// As [`Tree::bookworm`].
    pub fn trixie() -> Result<Self> {
        Self::of(Suite::Trixie)
    }

    /// Where it is. Nobody writes there.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// The tree of `suite`, made anew where its recipe has changed.
    ///
    /// # Errors
    /// As [`Tree::bookworm`].
    pub fn of(suite: Suite) -> Result<Self> {
        let lab = Lab::require()?;
        let name = suite.name();
        let tree = Self { suite, dir: lab.dir().join(format!("{name}.tree")), lab };
        let _lock = tree.lab.lock(name)?;
        let stamp = tree.lab.dir().join(format!("{name}.stamp"));
        let recipe = recipe(suite);
        if fs::read_to_string(&stamp).is_ok_and(|made| made == recipe) && tree.dir.is_dir() {
            return Ok(tree);
        }
        remove_tree(&stamp)?;
        tree.build()?;
        fs::write(&stamp, recipe).doing("write", stamp)?;
        Ok(tree)
    }

    /// The tree's root directory. Nothing may write to it: running hosts stand on it.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The release it holds.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The fingerprint of what it was made by.
    pub(crate) fn recipe(&self) -> String {
        recipe(self.suite)
    }

    pub(crate) fn lab(&self) -> &Lab {
        &self.lab
    }

    fn build(&self) -> Result<()> {
        let partial = self.lab.dir().join(format!("{}.partial", self.suite.name()));
        remove_tree(&partial)?;
        let include = format!("--include={PACKAGES}");
        let mut debootstrap = tool("debootstrap", &["--variant=minbase", &include, self.suite.name()]);
        debootstrap.arg(&partial).arg(mirror()?);
        must_within(&mut debootstrap, b"", BUILD_LIMIT)?;
        let mut finish = tool("chroot", &[]);
        finish.arg(&partial).args(["sh", "-c", FINISH]);
        must(&mut finish)?;
        remove_tree(&self.dir)?;
        fs::rename(&partial, &self.dir).doing("move into place", &self.dir)
    }
}

/// The recipe's fingerprint: another one means another tree.
fn recipe(suite: Suite) -> String {
    let digest = Sha256::digest(format!("{} {PACKAGES} {FINISH}", suite.name()));
    crate::manifest::hex(&digest)
}

/// The Debian archive this machine itself installs from.
fn mirror() -> Result<String> {
    let format = "$(CREATED_BY) $(LABEL) $(COMPONENT) $(SITE)";
    let targets = must(&mut tool("apt-get", &["indextargets", "--format", format]))?;
    let mirror = targets.lines().find_map(|line| line.strip_prefix("Packages Debian main "));
    mirror.map(str::to_owned).ok_or(Error::Malformed { what: "apt's Debian archive", text: targets })
}

pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.doing("remove", path),
    }
}
