//! Trees of files that can be compared to the last bit.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::attributes::Attributes;
use crate::hex::Sha256;

/// All that undoing must give back of one path. The time of the last status change is the kernel's own.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) kind: String,
    pub(super) attributes: Attributes,
}

/// A tree in memory where it can be, for its speed: what is synced makes no difference to a killed process.
pub(super) fn directory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// Every path of a tree but the journal's own, with times where `times` says so.
pub(super) fn snapshot(root: &Path, times: bool) -> BTreeMap<PathBuf, Node> {
    let mut nodes = BTreeMap::new();
    visit(root, root, times, &mut nodes);
    nodes
}

fn visit(root: &Path, path: &Path, times: bool, nodes: &mut BTreeMap<PathBuf, Node>) {
    let inside = path.strip_prefix(root).unwrap().to_owned();
    if inside == Path::new("var/lib/gabion") {
        return;
    }
    let metadata = path.symlink_metadata().unwrap();
    let stat = rustix::fs::lstat(path).unwrap();
    let mut attributes = Attributes::of_stat(&stat);
    let kind = if metadata.is_symlink() {
        format!("link to {}", fs::read_link(path).unwrap().display())
    } else if metadata.is_dir() {
        attributes.xattrs = Attributes::of(File::open(path).unwrap()).unwrap().xattrs;
        let mut names: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names.iter().for_each(|name| visit(root, name, times, nodes));
        "directory".to_owned()
    } else {
        attributes.xattrs = Attributes::of(File::open(path).unwrap()).unwrap().xattrs;
        format!("file {} of {} bytes", Sha256::of(fs::read(path).unwrap()), metadata.size())
    };
    // Being read is no change; and the journal's directory is made below these two, the account programs' lock in
    // the third by undoing.
    attributes.accessed = attributes.modified;
    let ours = ["", "var", "var/lib"].iter().any(|ours| inside == Path::new(ours));
    if !times || ours {
        let never = crate::attributes::Stamp { seconds: 0, nanoseconds: 0 };
        (attributes.accessed, attributes.modified) = (never, never);
    }
    if inside != Path::new("etc/.pwd.lock") {
        nodes.insert(inside, Node { kind, attributes });
    }
}

/// A file with a mode, an old time, and an extended attribute.
pub(super) fn file(root: &Path, path: &str, contents: &[u8], mode: u32) {
    let path = root.join(path.trim_start_matches('/'));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, contents).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    let _ = rustix::fs::setxattr(
        &path,
        "user.origin",
        mode.to_string().as_bytes(),
        rustix::fs::XattrFlags::empty(),
    );
    age(&path);
}

pub(super) fn link(root: &Path, path: &str, target: &str) {
    let path = root.join(path.trim_start_matches('/'));
    symlink(target, &path).unwrap();
}

/// Dates a file or directory back, so that a time that is not given back is seen.
pub(super) fn age(path: &Path) {
    let then =
        SystemTime::UNIX_EPOCH + Duration::new(1_600_000_000 + path.as_os_str().len() as u64, 123_456_789);
    File::open(path).unwrap().set_times(fs::FileTimes::new().set_modified(then).set_accessed(then)).unwrap();
}

/// Dates every directory of a tree back.
pub(super) fn age_directories(root: &Path) {
    for entry in fs::read_dir(root).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            age_directories(&entry.path());
            age(&entry.path());
        }
    }
}

/// What differs, for a message that a person can read.
pub(super) fn differences(before: &BTreeMap<PathBuf, Node>, now: &BTreeMap<PathBuf, Node>) -> Vec<String> {
    let paths: std::collections::BTreeSet<_> = before.keys().chain(now.keys()).collect();
    let differing = paths.into_iter().filter(|path| before.get(*path) != now.get(*path));
    differing
        .map(|path| format!("{}:\n  {:?}\n  {:?}", path.display(), before.get(path), now.get(path)))
        .collect()
}
