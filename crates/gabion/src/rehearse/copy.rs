//! The stage that makes the copy: namespaces, and an overlay over every file system that holds files.
//!
//! What is written in the copy lands in memory. Each file system of the machine becomes the lower, read-only layer of an overlay.
#![allow(
    clippy::disallowed_methods,
    reason = "makes folders in memory that it has mounted itself, and starts the next stage"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sched::CloneFlags;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change};
use rustix::process::Signal;

use crate::error::Failure;
use crate::exit::Exit;

/// A folder that every system has, covered in our own mount namespace alone.
const STAGE: &str = "/mnt";

/// File systems that hold files; everything else is made anew in the copy, or left out.
const HOLD_FILES: &[&str] =
    &["ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "overlay", "jfs", "reiserfs"];

/// Enters new namespaces, builds the copy and runs the next stage as its process 1.
pub(super) fn run() -> Result<Exit, Failure> {
    // Nothing outlives the process that was started by the person.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| failed("prctl", error))?;
    let namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC;
    nix::sched::unshare(namespaces).map_err(|error| failed("unshare", error))?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|error| failed("making mounts private", error))?;
    let root = build()?;
    let status = Command::new("/proc/self/exe")
        .args(["__rehearsal", "inside"])
        .env("GABION_COPY", &root)
        .stdin(Stdio::inherit())
        .stdout(Stdio::inherit())
        .status()
        .map_err(|error| failed("starting process 1 of the copy", error))?;
    if status.success() { Ok(Exit::Clean) } else { Err(failed("process 1 of the copy", status)) }
}

/// Builds the tree of the copy and returns where it is.
fn build() -> Result<PathBuf, Failure> {
    let mounts =
        fs::read_to_string("/proc/self/mountinfo").map_err(|error| failed("/proc/self/mountinfo", error))?;
    mount("tmpfs", STAGE, "tmpfs", MountFlags::empty(), Some(c"mode=0700"))
        .map_err(|error| failed("mounting memory", error))?;
    let root = Path::new(STAGE).join("root");
    fs::create_dir(&root).map_err(|error| failed("making a folder", error))?;
    for (index, below) in file_systems(&mounts).iter().enumerate() {
        let place = if below == "/" { root.clone() } else { root.join(below.trim_start_matches('/')) };
        if place.is_dir() {
            overlay(below, &place, index)?;
        }
    }
    for (kind, below, options) in
        [("tmpfs", "run", c"mode=0755"), ("tmpfs", "tmp", c"mode=1777"), ("tmpfs", "dev", c"mode=0755")]
    {
        let place = root.join(below);
        if place.is_dir() {
            mount(kind, &place, kind, MountFlags::empty(), Some(options))
                .map_err(|error| failed(below, error))?;
        }
    }
    devices(&root.join("dev"))?;
    Ok(root)
}

/// One overlay: the machine's own folder below, memory above.
fn overlay(below: &str, place: &Path, index: usize) -> Result<(), Failure> {
    let layer = Path::new(STAGE).join(format!("layer-{index}"));
    let (upper, work) = (layer.join("upper"), layer.join("work"));
    for folder in [&layer, &upper, &work] {
        fs::create_dir(folder).map_err(|error| failed("making a folder", error))?;
    }
    same_attributes(Path::new(below), &upper)?;
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        escape(below),
        escape(&upper.to_string_lossy()),
        escape(&work.to_string_lossy())
    );
    let options = std::ffi::CString::new(options).map_err(|error| failed(below, error))?;
    mount("overlay", place, "overlay", MountFlags::empty(), Some(options.as_c_str()))
        .map_err(|error| failed(&format!("laying an overlay over {below}"), error))
}

/// The root folder of an overlay has the attributes of its upper layer: they must be those of the original.
fn same_attributes(original: &Path, copy: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::{MetadataExt as _, chown};
    let metadata = fs::metadata(original).map_err(|error| failed("looking at the original", error))?;
    chown(copy, Some(metadata.uid()), Some(metadata.gid()))
        .and_then(|()| fs::set_permissions(copy, metadata.permissions()))
        .map_err(|error| failed("setting attributes in memory", error))
}

/// The few devices that programs need, and terminals of the copy's own.
fn devices(dev: &Path) -> Result<(), Failure> {
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        let place = dev.join(name);
        fs::File::create(&place).map_err(|error| failed(name, error))?;
        mount_bind(Path::new("/dev").join(name), &place).map_err(|error| failed(name, error))?;
    }
    let terminals = dev.join("pts");
    fs::create_dir(&terminals).map_err(|error| failed("dev/pts", error))?;
    mount("devpts", &terminals, "devpts", MountFlags::empty(), Some(c"newinstance,ptmxmode=0666,mode=0620"))
        .map_err(|error| failed("dev/pts", error))?;
    for (name, target) in [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        std::os::unix::fs::symlink(target, dev.join(name)).map_err(|error| failed(name, error))?;
    }
    Ok(())
}

/// The mount points of file systems that hold files, outermost first, as proc(5) lists them in mountinfo.
fn file_systems(mountinfo: &str) -> Vec<String> {
    let mut points: Vec<String> = mountinfo.lines().filter_map(mount_point).collect();
    points.sort();
    points.dedup();
    points.retain(|point| {
        !["/proc", "/sys", "/dev", "/run", "/tmp", STAGE].iter().any(|own| is_below(point, own))
    });
    points
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The mount point of a line, where its file system holds files.
fn mount_point(line: &str) -> Option<String> {
    let (fields, rest) = line.split_once(" - ")?;
    let kind = rest.split(' ').next()?;
    HOLD_FILES.contains(&kind).then(|| unescape(fields.split(' ').nth(4).unwrap_or_default()))
}

/// mountinfo writes space, tab, newline and backslash in octal.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

/// An overlay's options are split at commas, and its lower layers at colons.
fn escape(path: &str) -> String {
    path.replace('\\', "\\\\").replace(':', "\\:").replace(',', "\\,")
}

fn failed(what: &str, why: impl std::fmt::Display) -> Failure {
    Failure::Stage { what: "making the copy", why: format!("{what}: {why}") }
}

#[cfg(test)]
mod tests {
    use super::file_systems;

    #[test]
    fn only_file_systems_that_hold_files_are_copied_outermost_first() {
        let mountinfo = "22 27 0:21 / /proc rw - proc proc rw\n\
                         28 27 8:2 / /var/lib/my\\040data rw - ext4 /dev/sdb rw\n\
                         27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
                         29 27 0:30 / /run/netns rw - ext4 /dev/vda rw\n\
                         30 27 0:31 / /srv rw - nfs4 server:/srv rw\n";
        assert_eq!(file_systems(mountinfo), ["/", "/var/lib/my data"]);
    }
}
