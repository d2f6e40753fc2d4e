//! Owners and modes: what a path demands, and what sshd's `StrictModes` demands of a path and its parents.

use std::path::{Component, Path, PathBuf};

use host::Facts;
use host::facts::{Account, Entry, EntryKind, FileFact};

use crate::judgement::Fault;

/// Bits by which others than the owner write.
const OTHERS_WRITE: u32 = 0o022;

/// What a path demands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Demand {
    /// The permission bits that it may have at most.
    most: u32,
    /// Whether it must have been looked at.
    required: bool,
}

impl Demand {
    /// Root owns it and nobody else writes it.
    pub(crate) const ROOT_ALONE_WRITES: Self = Self { most: 0o7755, required: true };
    /// Root owns it, its group reads it at most, nobody else has any part in it.
    pub(crate) const SECRET: Self = Self { most: 0o640, required: true };

    /// The same, where there is such a file.
    pub(crate) const fn where_present(self) -> Self {
        Self { required: false, ..self }
    }
}

/// What is wrong with the owner and mode of a path that belongs to root.
pub(crate) fn check_path(facts: &Facts, path: &Path, demand: Demand) -> Vec<Fault> {
    let shown = path.display();
    let entry = match look(facts, path) {
        Ok(entry) => entry,
        Err(_) if !demand.required => return Vec::new(),
        Err(reason) => {
            return vec![Fault::unknown(format!("the mode of {shown} is not known"), reason)];
        }
    };
    let mut faults = Vec::new();
    if entry.uid != 0 {
        faults.push(
            Fault::new(format!("{shown} belongs to user id {} and not to root", entry.uid))
                .decided_by(describe(path, entry))
                .command(format!("chown root {shown}"), format!("chown {} {shown}", entry.uid)),
        );
    }
    // Group 0 has root alone in it.
    let judged = if entry.gid == 0 { 0o006 } else { 0o066 };
    let excess = entry.mode & judged & !demand.most;
    if excess != 0 {
        let better = entry.mode & !excess;
        faults.push(
            Fault::new(format!("{shown} is {}", excess_in_words(excess)))
                .decided_by(describe(path, entry))
                .command(format!("chmod {better:04o} {shown}"), format!("chmod {:04o} {shown}", entry.mode)),
        );
    }
    faults
}

fn excess_in_words(excess: u32) -> &'static str {
    match excess & OTHERS_WRITE {
        0 => "readable by others",
        0o020 => "writable by its group",
        _ => "writable by everybody",
    }
}

/// `/etc/shadow (mode 0644, owner 0)`.
pub(crate) fn describe(path: &Path, entry: &Entry) -> String {
    format!("{} (mode {:04o}, owner {})", path.display(), entry.mode, entry.uid)
}

/// What is at a path, symbolic links followed; or why that is not known.
pub(crate) fn look<'f>(facts: &'f Facts, path: &Path) -> Result<&'f Entry, String> {
    match followed(facts, path) {
        FileFact::Present(entry) => Ok(entry),
        FileFact::Absent => Err(format!("there is no {}", path.display())),
        FileFact::Unreadable(reason) => Err(format!("{}: {reason}", path.display())),
        FileFact::NotLookedAt => Err(format!("{} was not looked at", path.display())),
    }
}

/// Whether it is known that nothing is at a path.
pub(crate) fn is_absent(facts: &Facts, path: &Path) -> bool {
    *followed(facts, path) == FileFact::Absent
}

/// What is known of a path. Who looked at it followed the links above it already; only the last one is left.
fn followed<'f>(facts: &'f Facts, path: &Path) -> &'f FileFact {
    match facts.file(path) {
        FileFact::Present(entry) if !matches!(entry.kind, EntryKind::Symlink(_)) => facts.file(path),
        FileFact::Absent | FileFact::Unreadable(_) => facts.file(path),
        FileFact::Present(_) | FileFact::NotLookedAt => facts.file(resolve(facts, path)),
    }
}

/// realpath(3) as far as the facts know the links on the way.
pub(crate) fn resolve(facts: &Facts, path: &Path) -> PathBuf {
    let mut left = 40;
    let mut path = path.to_path_buf();
    'again: while left > 0 {
        left -= 1;
        let mut walked = PathBuf::new();
        let mut components = path.components();
        while let Some(component) = components.next() {
            match component {
                Component::ParentDir => {
                    walked.pop();
                }
                Component::CurDir => {}
                Component::Normal(_) | Component::RootDir | Component::Prefix(_) => walked.push(component),
            }
            if let Some(target) = link_target(facts, &walked) {
                path = target.join(components.as_path());
                continue 'again;
            }
        }
        return walked;
    }
    path
}

fn link_target(facts: &Facts, path: &Path) -> Option<PathBuf> {
    let entry = facts.file(path).entry()?;
    match (&entry.kind, &entry.resolved) {
        (EntryKind::Symlink(_), Some(resolved)) => Some(resolved.clone()),
        (EntryKind::Symlink(target), None) => Some(path.parent().unwrap_or(Path::new("/")).join(target)),
        (EntryKind::File | EntryKind::Directory | EntryKind::Other, _) => None,
    }
}

/// Why sshd's `StrictModes` would refuse a file of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Loose {
    /// This path is not safe: its owner or mode.
    Unsafe {
        /// The path.
        path: PathBuf,
        /// What it is.
        entry: Entry,
    },
    /// This could not be looked at, for that reason.
    Unknown(String),
}

/// Every path that sshd's `StrictModes` refuses, from a file up to the account's home directory, or up to the root
/// where the file is elsewhere: owned by another than root and the account, or written by group or others
/// (`safe_path` in OpenSSH's misc.c).
pub(crate) fn loose_paths(facts: &Facts, file: &Path, account: &Account) -> Vec<Loose> {
    let home = resolve(facts, &account.home);
    let file = resolve(facts, file);
    let up_to_home = file.ancestors().position(|path| path == home && path != file);
    let count = up_to_home.map_or(usize::MAX, |position| position + 1);
    file.ancestors().take(count).filter_map(|path| loose(facts, path, account)).collect()
}

/// What `StrictModes` has against one path.
pub(crate) fn loose(facts: &Facts, path: &Path, account: &Account) -> Option<Loose> {
    match look(facts, path) {
        Err(reason) => Some(Loose::Unknown(reason)),
        Ok(entry) => {
            let foreign = entry.uid != 0 && entry.uid != account.uid;
            (foreign || entry.mode & OTHERS_WRITE != 0)
                .then(|| Loose::Unsafe { path: path.to_path_buf(), entry: entry.clone() })
        }
    }
}

/// Whether a process of an account may read a file: its own permission bits and the search bits of each directory
/// above it, as far as those were looked at.
pub(crate) fn may_read(facts: &Facts, file: &Path, account: &Account, groups: &[u32]) -> Result<(), PathBuf> {
    let file = resolve(facts, file);
    for (height, path) in file.ancestors().enumerate() {
        let Ok(entry) = look(facts, path) else { continue };
        let wanted = if height == 0 { 0o4 } else { 0o1 };
        if !grants(entry, account, groups, wanted) {
            return Err(path.to_path_buf());
        }
    }
    Ok(())
}

fn grants(entry: &Entry, account: &Account, groups: &[u32], wanted: u32) -> bool {
    let class = match () {
        () if account.uid == 0 => return true,
        () if entry.uid == account.uid => entry.mode >> 6,
        () if groups.contains(&entry.gid) => entry.mode >> 3,
        () => entry.mode,
    };
    class & wanted == wanted
}
