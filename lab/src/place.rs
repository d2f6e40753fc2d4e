//! Where the lab keeps its things, and whether it can work here at all.

use crate::error::{Doing, Error, Result};
use crate::leftovers;
use rustix::fs::{FlockOperation, flock};
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// What the lab starts, and the Debian packages to have it from.
const TOOLS: &[(&str, &str)] = &[
    ("chroot", "coreutils"),
    ("debootstrap", "debootstrap"),
    ("ip", "iproute2"),
    ("losetup", "mount"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mount", "mount"),
    ("nsenter", "util-linux"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("systemd-nspawn", "systemd-container"),
    ("umount", "mount"),
];

/// What tests use beside: the kernel's rules as text, and a scanner that is not ours.
const FOR_TESTS: &[&str] = &["nftables", "nmap"];

/// The Debian packages that this machine needs for the lab and the tests on it.
#[must_use]
pub fn packages() -> Vec<&'static str> {
    let mut packages: Vec<_> =
        TOOLS.iter().map(|&(_, package)| package).chain(FOR_TESTS.iter().copied()).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// Proof that throwaway hosts can be made here: root, the programs, a directory of our own.
#[derive(Debug, Clone)]
pub struct Lab {
    dir: PathBuf,
}

impl Lab {
    /// Checks what the lab needs, and clears what killed test runs have left behind.
    ///
    /// # Errors
    /// Not root; a missing program; a directory that cannot be made.
    pub fn require() -> Result<Self> {
        let uid = rustix::process::geteuid();
        if !uid.is_root() {
            return Err(Error::NotRoot { uid: uid.as_raw() });
        }
        for &(tool, package) in TOOLS {
            if !installed(tool) {
                return Err(Error::MissingTool { tool, package });
            }
        }
        let lab = Self { dir: directory() };
        for part in ["hosts", "keys"] {
            let dir = lab.dir.join(part);
            fs::create_dir_all(&dir).doing("make directory", dir)?;
        }
        static SWEPT: OnceLock<()> = OnceLock::new();
        SWEPT.get_or_init(|| leftovers::sweep(&lab));
        Ok(lab)
    }

    /// The directory of the trees, keys and running hosts: `target/lab`, or `LAB_DIR` where that is set.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The directories of the hosts that exist now.
    pub(crate) fn hosts(&self) -> PathBuf {
        self.dir.join("hosts")
    }

    /// Waits for, and takes, the lock `name` shared by all test processes. It is held while the file is open.
    pub(crate) fn lock(&self, name: &str) -> Result<File> {
        let path = self.dir.join(format!("{name}.lock"));
        let file = File::create(&path).doing("create", &path)?;
        flock(&file, FlockOperation::LockExclusive).doing("lock", path)?;
        Ok(file)
    }

    /// Takes one of the `count` locks `name.0`, `name.1`, ... whichever is free first.
    pub(crate) fn slot(&self, name: &str, count: u32) -> Result<File> {
        for number in 0..count {
            let path = self.dir.join(format!("{name}.{number}.lock"));
            let file = File::create(&path).doing("create", &path)?;
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                return Ok(file);
            }
        }
        self.lock(&format!("{name}.{}", std::process::id() % count))
    }
}

/// Says loudly that a test did not run, and why. Where `CI` is `true` a skipped test is a failed one.
///
/// # Panics
/// Where the environment has `CI=true`.
#[track_caller]
pub fn skip(reason: &str) {
    assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "SKIPPED in CI: {reason}");
    eprintln!("SKIPPED: {reason}");
}

fn directory() -> PathBuf {
    let target = || {
        let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target"))
    };
    env::var_os("LAB_DIR").map_or_else(|| target().join("lab"), PathBuf::from)
}

/// True where `tool` is in `PATH`, or in the directories for the administrator that `PATH` may lack.
pub(crate) fn installed(tool: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).any(|dir| dir.join(tool).is_file())
}
