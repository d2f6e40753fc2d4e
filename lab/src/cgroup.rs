//! A control group of its own for each host, in every hierarchy the machine has.
//!
//! Hosts that shared one would see each other's services in their own systemd; and a group is the one sure list of
//! everything a killed host has left running.

use crate::error::{Doing, Result};
use crate::process::kill_hard;
use std::fs;
use std::path::{Path, PathBuf};

/// The group `name`, directly below the root of each hierarchy.
#[derive(Debug, Clone)]
pub(crate) struct Cgroup {
    name: String,
}

impl Cgroup {
    /// The group that belongs to the host `name`, whether it exists or not.
    pub(crate) fn named(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    /// Makes the group.
    pub(crate) fn make(&self) -> Result<()> {
        for hierarchy in hierarchies()? {
            let group = hierarchy.join(&self.name);
            fs::create_dir_all(&group).doing("make control group", &group)?;
            // A cpuset of version 1 is born empty and takes no process until it is filled.
            for knob in ["cpuset.cpus", "cpuset.mems"] {
                if let (Ok(value), true) =
                    (fs::read(hierarchy.join(knob)), group.join("cpuset.sched_load_balance").exists())
                {
                    fs::write(group.join(knob), value).doing("write", group.join(knob))?;
                }
            }
        }
        Ok(())
    }

    /// The `cgroup.procs` files for the container runtime to enter.
    pub(crate) fn entrances(&self) -> Result<Vec<PathBuf>> {
        Ok(self.groups()?.into_iter().map(|group| group.join("cgroup.procs")).collect())
    }

    /// The `cgroup.procs` files for a process started in the running host: beside its units, in none of them.
    pub(crate) fn guest_entrances(&self) -> Result<Vec<PathBuf>> {
        let mut entrances = Vec::new();
        for group in self.groups()? {
            let payload = group.join("payload");
            let group = if payload.is_dir() { payload.join("lab") } else { group };
            if !group.is_dir() {
                fs::create_dir(&group).doing("make control group", &group)?;
            }
            entrances.push(group.join("cgroup.procs"));
        }
        Ok(entrances)
    }

    /// Stops every process in it until the guard is dropped. Does not wait for those in the middle of a system call.
    pub(crate) fn freeze(&self) -> Result<Frozen> {
        let knobs = self
            .groups()?
            .into_iter()
            .flat_map(|group| FREEZERS.map(|(knob, on, off)| (group.join(knob), on, off)));
        let mut frozen = Frozen(Vec::new());
        for (knob, on, off) in knobs.filter(|(knob, _, _)| knob.exists()) {
            fs::write(&knob, on).doing("write", &knob)?;
            frozen.0.push((knob, off));
        }
        Ok(frozen)
    }

    /// Kills every process in it.
    pub(crate) fn kill(&self) -> Result<()> {
        for group in self.groups()? {
            each_below(&group, &mut |dir| {
                let pids = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
                pids.lines().filter_map(|pid| pid.parse().ok()).for_each(|pid| drop(kill_hard(pid)));
            });
        }
        Ok(())
    }

    /// Removes it; what is still busy is left.
    pub(crate) fn remove(&self) -> Result<()> {
        for group in self.groups()? {
            each_below(&group, &mut |dir| drop(fs::remove_dir(dir)));
        }
        Ok(())
    }

    fn groups(&self) -> Result<Vec<PathBuf>> {
        let groups = hierarchies()?.into_iter().map(|hierarchy| hierarchy.join(&self.name));
        Ok(groups.filter(|group| group.is_dir()).collect())
    }
}

/// The freezers of version 2 and 1, and what stops and starts them: `cgroups(7)`.
const FREEZERS: [(&str, &str, &str); 2] =
    [("cgroup.freeze", "1", "0"), ("freezer.state", "FROZEN", "THAWED")];

/// A stopped group; dropped, it goes on.
#[derive(Debug)]
pub(crate) struct Frozen(Vec<(PathBuf, &'static str)>);

impl Drop for Frozen {
    fn drop(&mut self) {
        for (knob, off) in &self.0 {
            drop(fs::write(knob, off));
        }
    }
}

/// Calls `act` on every directory below `dir` and then on `dir` itself.
fn each_below(dir: &Path, act: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            each_below(&entry.path(), act);
        }
    }
    act(dir);
}

/// The mount points of all control group hierarchies: `proc_pid_mountinfo(5)`.
fn hierarchies() -> Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").doing("read", "/proc/self/mountinfo")?;
    let hierarchy = |line: &str| {
        let (mount, filesystem) = line.split_once(" - ")?;
        filesystem.starts_with("cgroup").then(|| mount.split(' ').nth(4).map(PathBuf::from))?
    };
    Ok(mounts.lines().filter_map(hierarchy).collect())
}
