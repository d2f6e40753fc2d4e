//! Reading below a root directory by file descriptors, so that no symbolic link leads out of it.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat, openat2, readlinkat};
use rustix::io::Errno;

use crate::Error;

/// Names of a directory that are read at most.
const MOST_NAMES: usize = 100_000;
/// Symbolic links that are followed for one path, as `path_resolution(7)`.
const MOST_LINKS: usize = 40;
/// How often a lookup is tried again when the kernel says that the tree moved meanwhile, as openat2(2) advises.
const LOOKUP_TRIES: usize = 8;

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: Kind,
    /// Permission bits, the lower twelve.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// Last change of the content, seconds since the epoch.
    pub mtime: i64,
}

/// Kind of a directory entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, socket or pipe.
    Other,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "regular file",
            Self::Directory => "directory",
            Self::Symlink => "symbolic link",
            Self::Other => "device, socket or pipe",
        })
    }
}

impl From<&Stat> for Metadata {
    #[allow(
        clippy::cast_lossless,
        clippy::useless_conversion,
        reason = "the fields' widths differ by architecture"
    )]
    fn from(stat: &Stat) -> Self {
        Self {
            kind: match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => Kind::File,
                FileType::Directory => Kind::Directory,
                FileType::Symlink => Kind::Symlink,
                FileType::Fifo
                | FileType::Socket
                | FileType::CharacterDevice
                | FileType::BlockDevice
                | FileType::Unknown => Kind::Other,
            },
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime: i64::from(stat.st_mtime),
        }
    }
}

/// A directory taken for `/`.
#[derive(Debug)]
pub(crate) struct Tree {
    root: OwnedFd,
    /// Links resolve below the root. Where it is the real root, the kernel's plain lookup does.
    confined: bool,
}

impl Tree {
    /// The machine's own root.
    pub(crate) fn real() -> Result<Self, Error> {
        Ok(Self { root: open_root(Path::new("/"))?, confined: false })
    }

    /// Any directory.
    pub(crate) fn below(root: &Path) -> Result<Self, Error> {
        Ok(Self { root: open_root(root)?, confined: true })
    }

    pub(crate) fn read(&self, path: &Path, cap: u64) -> Result<Vec<u8>, Error> {
        // Looked at by path alone first, since to open a device can already set it off.
        self.check_file(path, cap, &self.open(path, OFlags::PATH, true)?)?;
        let file = self.open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, true)?;
        self.check_file(path, cap, &file)?;
        let mut bytes = Vec::new();
        let read = File::from(file).take(cap.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| Error::at(path, errno_of(&error)))?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > cap {
            return Err(Error::TooBig { path: path.to_owned(), cap });
        }
        Ok(bytes)
    }

    pub(crate) fn metadata(&self, path: &Path) -> Result<Metadata, Error> {
        let found = self.open(path, OFlags::PATH, false)?;
        stat(path, &found)
    }

    pub(crate) fn list(&self, path: &Path) -> Result<Vec<OsString>, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK;
        let directory = self.open(path, flags, true)?;
        let entries = rustix::fs::Dir::read_from(directory).map_err(|errno| Error::at(path, errno))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|errno| Error::at(path, errno))?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            if names.len() == MOST_NAMES {
                return Err(Error::TooMany { path: path.to_owned(), cap: MOST_NAMES });
            }
            names.push(OsString::from_vec(name.to_vec()));
        }
        names.sort_unstable();
        Ok(names)
    }

    pub(crate) fn read_link(&self, path: &Path) -> Result<PathBuf, Error> {
        let link = self.open(path, OFlags::PATH, false)?;
        if stat(path, &link)?.kind != Kind::Symlink {
            return Err(Error::NotALink(path.to_owned()));
        }
        target(&link).map_err(|errno| Error::at(path, errno))
    }

    pub(crate) fn resolve(&self, path: &Path) -> Result<PathBuf, Error> {
        absolute(path)?;
        self.walk(path, true).map(|found| found.path).map_err(|errno| Error::at(path, errno))
    }

    fn check_file(&self, path: &Path, cap: u64, file: &OwnedFd) -> Result<(), Error> {
        let found = stat(path, file)?;
        if found.kind != Kind::File {
            return Err(Error::NotAFile { path: path.to_owned(), kind: found.kind });
        }
        if found.size > cap {
            return Err(Error::TooBig { path: path.to_owned(), cap });
        }
        Ok(())
    }

    fn open(&self, path: &Path, flags: OFlags, follow: bool) -> Result<OwnedFd, Error> {
        let relative = absolute(path)?;
        let flags = flags | OFlags::CLOEXEC;
        let opened = if self.confined {
            self.open_confined(path, relative, flags, follow)
        } else {
            openat(&self.root, relative, no_follow(flags, follow), Mode::empty())
        };
        opened.map_err(|errno| Error::at(path, errno))
    }

    fn open_confined(
        &self,
        path: &Path,
        relative: &Path,
        flags: OFlags,
        follow: bool,
    ) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..LOOKUP_TRIES {
            match openat2(&self.root, relative, no_follow(flags, follow), Mode::empty(), resolve) {
                Err(Errno::AGAIN) => {}
                // Linux before 5.6, and containers whose seccomp filter does not know the call.
                Err(Errno::NOSYS | Errno::PERM) => break,
                other => return other,
            }
        }
        self.open_by_walk(path, flags, follow)
    }

    fn open_by_walk(&self, path: &Path, flags: OFlags, follow: bool) -> Result<OwnedFd, Errno> {
        let found = self.walk(path, follow)?;
        openat(&found.parent, &found.name, flags | OFlags::NOFOLLOW, Mode::empty())
    }

    /// Follows a path one name at a time, each from the descriptor of the last, so that `..` and absolute links
    /// never leave the root.
    fn walk(&self, path: &Path, follow: bool) -> Result<Found, Errno> {
        let mut pending: VecDeque<OsString> = names(path).collect();
        let mut above: Vec<(OsString, OwnedFd)> = Vec::new();
        let mut links = 0;
        while let Some(name) = pending.pop_front() {
            if name == ".." {
                above.pop();
                continue;
            }
            let parent = above.last().map_or(&self.root, |(_, directory)| directory);
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let found = openat(parent, &name, flags, Mode::empty())?;
            let is_link =
                FileType::from_raw_mode(fstat(&found).map(|stat| stat.st_mode)?) == FileType::Symlink;
            if !is_link || (pending.is_empty() && !follow) {
                above.push((name, found));
                continue;
            }
            links += 1;
            if links > MOST_LINKS {
                return Err(Errno::LOOP);
            }
            let target = target(&found)?;
            if target.is_absolute() {
                above.clear();
            }
            for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
                pending.push_front(name);
            }
        }
        let path = Path::new("/").join(above.iter().map(|(name, _)| name).collect::<PathBuf>());
        let name = above.pop().map_or_else(|| OsString::from("."), |(name, _)| name);
        let parent = match above.pop() {
            Some((_, directory)) => directory,
            None => rustix::io::fcntl_dupfd_cloexec(&self.root, 3)?,
        };
        Ok(Found { parent, name, path })
    }
}

/// The end of a walk.
struct Found {
    parent: OwnedFd,
    name: OsString,
    path: PathBuf,
}

fn open_root(path: &Path) -> Result<OwnedFd, Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| Error::at(path, errno))
}

/// The names of a path, without `.` and the root.
fn names(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

/// A path seen from the root.
fn absolute(path: &Path) -> Result<&Path, Error> {
    let relative = path.strip_prefix("/").map_err(|_| Error::NotAbsolute(path.to_owned()))?;
    Ok(if relative.as_os_str().is_empty() { Path::new(".") } else { relative })
}

fn no_follow(flags: OFlags, follow: bool) -> OFlags {
    if follow { flags } else { flags | OFlags::NOFOLLOW }
}

fn stat(path: &Path, file: &OwnedFd) -> Result<Metadata, Error> {
    fstat(file).map(|stat| Metadata::from(&stat)).map_err(|errno| Error::at(path, errno))
}

/// The target of an open symbolic link.
fn target(link: &OwnedFd) -> Result<PathBuf, Errno> {
    let target = readlinkat(link, "", Vec::new())?;
    Ok(PathBuf::from(OsStr::from_bytes(target.to_bytes())))
}

fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn without_openat2_the_same_files_are_found_and_the_same_refused() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("a/b")).unwrap();
        std::fs::write(root.path().join("a/b/file"), "x").unwrap();
        for (link, target) in [
            ("absolute", "/a/b/file"),
            ("climbing", "../../../../a/b/file"),
            ("a/up", ".."),
            ("a/b/down", "../b/./file"),
            ("escape", "/etc/hostname"),
            ("loop", "loop"),
            ("dangling", "nothing"),
            ("magic", "/proc/self/root"),
        ] {
            symlink(target, root.path().join(link)).unwrap();
        }
        let tree = Tree::below(root.path()).unwrap();
        for path in [
            "/",
            "/a",
            "/a/b/file",
            "/a/b/file/",
            "/a/b/file/x",
            "/absolute",
            "/climbing",
            "/a/up",
            "/a/up/a/up/climbing",
            "/a/b/down",
            "/../../a",
            "/a/../../a/b",
            "/escape",
            "/loop",
            "/dangling",
            "/magic",
            "/magic/etc",
            "/none/x",
        ] {
            for follow in [true, false] {
                let path = Path::new(path);
                let inode = |opened: Result<OwnedFd, Errno>| opened.map(|fd| fstat(fd).unwrap().st_ino);
                let flags = OFlags::PATH | OFlags::CLOEXEC;
                let by_kernel = inode(tree.open_confined(path, absolute(path).unwrap(), flags, follow));
                let by_walk = inode(tree.open_by_walk(path, flags, follow));
                assert_eq!(by_kernel, by_walk, "{} {follow}", path.display());
            }
        }
    }
}
