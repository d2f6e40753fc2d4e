//! Packages beyond those of the base tree, for the hosts of one test: a read-only layer over it.

use crate::error::{Doing, Result};
use crate::process::{must_within, tool};
use crate::tree::{Tree, remove_tree};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A fetch of some packages, unpacked on a slow disk.
const LIMIT: Duration = Duration::from_secs(600);

/// Mounts the tree under a writable layer and installs there, in a mount namespace of its own. No service is started by
/// it; what names this machine's network is taken out again.
const INSTALL: &str = r#"set -e
tree=$1 layer=$2; shift 2
mount -t tmpfs none "$layer/mount"
mkdir "$layer/mount/root"
mount -t overlay -o "lowerdir=$tree,upperdir=$layer/upper,workdir=$layer/work" none "$layer/mount/root"
cd "$layer/mount/root"
mount -t proc none proc
mount --rbind /dev dev
cp /etc/resolv.conf etc/resolv.conf
cp /etc/hosts etc/hosts.kept
mv etc/hosts etc/hosts.tree && mv etc/hosts.kept etc/hosts
printf '#!/bin/sh\nexit 101\n' > usr/sbin/policy-rc.d
chmod 755 usr/sbin/policy-rc.d
export DEBIAN_FRONTEND=noninteractive
chroot . apt-get -qq update
chroot . apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends "$@"
chroot . apt-get clean
rm -rf usr/sbin/policy-rc.d var/lib/apt/lists/* var/log/apt var/log/dpkg.log var/log/alternatives.log
: > etc/resolv.conf
mv etc/hosts.tree etc/hosts
"#;

/// Packages over a base tree.
#[derive(Debug, Clone)]
pub struct Layer {
    dir: PathBuf,
}

impl Layer {
    /// The layer with these Debian packages and what they depend on, made now where there is none yet.
    ///
    /// # Errors
    /// What [`crate::Lab::require`] misses; a mirror that does not answer; a package that cannot be installed.
    pub fn of(tree: &Tree, packages: &[&str]) -> Result<Self> {
        let name = format!("{}+{}", tree.suite().name(), packages.join("+"));
        let dir = tree.lab().dir().join(format!("{name}.layer"));
        let layer = Self { dir: dir.join("upper") };
        let _lock = tree.lab().lock(&name)?;
        let stamp = tree.lab().dir().join(format!("{name}.layer.stamp"));
        let recipe = crate::manifest::hex(&Sha256::digest(format!("{} {INSTALL}", tree.recipe())));
        if fs::read_to_string(&stamp).is_ok_and(|made| made == recipe) && layer.dir.is_dir() {
            return Ok(layer);
        }
        remove_tree(&stamp)?;
        remove_tree(&dir)?;
        for part in ["upper", "work", "mount"] {
            let part = dir.join(part);
            fs::create_dir_all(&part).doing("make directory", &part)?;
        }
        let mut install =
            tool("unshare", &["--mount", "--propagation", "private", "sh", "-c", INSTALL, "sh"]);
        install.arg(tree.dir()).arg(&dir).args(packages);
        must_within(&mut install, b"", LIMIT)?;
        fs::write(&stamp, recipe).doing("write", stamp)?;
        Ok(layer)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}
