//! What a killed test run could not clean up: its hosts are found by name, and cleared when their owner is dead.

use crate::cgroup::Cgroup;
use crate::disk::release;
use crate::error::{Doing, Result};
use crate::net::{outside_name, remove_namespace};
use crate::place::Lab;
use crate::process::{must, tool};
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

const PREFIX: &str = "gabion-lab-";
const OWNER: &str = "owner";

/// A host's name and directory. It is made before anything else of the host, and removed last.
#[derive(Debug)]
pub(crate) struct Claim {
    name: String,
    dir: PathBuf,
}

impl Claim {
    /// A name nobody else has, with this process as its owner.
    pub(crate) fn new(lab: &Lab) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{PREFIX}{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = lab.hosts().join(&name);
        if dir.exists() {
            clear(&dir, &name);
        }
        fs::create_dir(&dir).doing("make directory", &dir)?;
        let owner = dir.join(OWNER);
        fs::write(&owner, identity(process::id())).doing("write", owner)?;
        Ok(Self { name, dir })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        clear(&self.dir, &self.name);
    }
}

/// Clears every host whose owner is no longer alive.
pub(crate) fn sweep(lab: &Lab) {
    for entry in fs::read_dir(lab.hosts()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = fs::read_to_string(entry.path().join(OWNER)).unwrap_or_default();
        if name.starts_with(PREFIX) && !alive(&name, &owner) {
            clear(&entry.path(), &name);
        }
    }
}

/// Ends, unmounts and removes whatever there is of the host `name`.
fn clear(dir: &Path, name: &str) {
    let group = Cgroup::named(name);
    drop(group.kill());
    for mount in ["root", "disk"] {
        drop(release(&dir.join(mount)));
    }
    for device in loop_devices(&dir.join("disk.img")) {
        drop(must(&mut tool("losetup", &["--detach", &device])));
    }
    drop(remove_namespace(name));
    drop(remove_namespace(&outside_name(name)));
    drop(group.remove());
    // A mount that is still busy must not be emptied from above.
    let busy = ["root", "disk"].iter().any(|mount| is_mount(&dir.join(mount)));
    if !busy {
        drop(fs::remove_dir_all(dir));
    }
}

fn is_mount(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
    let parent = path.parent().and_then(device);
    device(path).is_some_and(|own| parent != Some(own))
}

fn loop_devices(image: &Path) -> Vec<String> {
    let listed = must(tool("losetup", &["--noheadings", "--output", "NAME", "--associated"]).arg(image));
    listed.unwrap_or_default().lines().map(|line| line.trim().to_owned()).collect()
}

/// True where the process in the host's name still is the one that made it.
fn alive(name: &str, owner: &str) -> bool {
    let pid =
        name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()).and_then(|pid| pid.parse().ok());
    pid.is_some_and(|pid| {
        let found = identity(pid);
        // A claim is a moment without its owner file; a living process of that number is then given the doubt.
        !found.is_empty() && (owner.is_empty() || owner == found)
    })
}

/// A process's start time in clock ticks since boot, so that a reused number is told apart: `proc_pid_stat(5)`.
fn identity(pid: u32) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The second field, the command's name, may contain spaces and parentheses; the start time is the 22nd.
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    after_name.split(' ').nth(19).unwrap_or_default().to_owned()
}
