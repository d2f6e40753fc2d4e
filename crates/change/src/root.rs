//! The tree that is changed: the machine's own, or an image's.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, fstat, open, openat, readlinkat};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// More links than this on one path are a loop (`MAXSYMLINKS` of the kernel).
const MOST_LINKS: usize = 40;

/// The tree that actions change. Absolute paths in actions are paths inside it.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    base: OwnedFd,
    live: bool,
}

/// A directory that is held open, found by a walk that no one but root could have led astray.
#[derive(Debug)]
pub(crate) struct Directory {
    fd: OwnedFd,
    pub(crate) path: PathBuf,
    /// The owner of the directories on the way that are not root's.
    guest: Option<u32>,
    /// A directory on the way that others may write to, which only reading and undoing may pass.
    loose: Option<PathBuf>,
}

/// A name in a directory that is held open.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) directory: Directory,
    pub(crate) name: OsString,
    pub(crate) path: PathBuf,
}

impl Root {
    /// The running machine.
    ///
    /// # Errors
    /// [`Error::Io`] where `/` cannot be opened.
    pub fn live() -> Result<Self> {
        Self::open(PathBuf::from("/"), true)
    }

    /// A tree of files that is not running: an image, or a directory made for a test.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be opened.
    pub fn at(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let path = path.canonicalize().map_err(Error::io("open", path))?;
        let live = path == Path::new("/");
        Self::open(path, live)
    }

    fn open(path: PathBuf, live: bool) -> Result<Self> {
        let base = open(&path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(Error::os("open", &path))?;
        Ok(Self { path, base, live })
    }

    /// Whether it is the running machine.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Where the tree stands.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path inside the tree as a path of this process.
    pub(crate) fn outside(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.path.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The place that a path names; its directory must be there.
    pub(crate) fn place(&self, path: &Path) -> Result<Place> {
        let bad = || Error::BadPath { path: path.to_owned() };
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(bad());
        };
        let directory = self.directory(parent)?;
        Ok(Place { directory, name: name.to_owned(), path: path.to_owned() })
    }

    /// Opens a directory. Symbolic links are followed, inside the tree, only out of directories that none but root
    /// can change.
    pub(crate) fn directory(&self, path: &Path) -> Result<Directory> {
        if !path.is_absolute() {
            return Err(Error::BadPath { path: path.to_owned() });
        }
        let mut walk = Walk::start(self)?;
        walk.push_all(path);
        while let Some(step) = walk.left.pop_front() {
            walk.step(&step, path)?;
        }
        walk.finish(path)
    }

    /// The content of a regular file of the system's own configuration, as `/etc/passwd`.
    pub(crate) fn read(&self, path: impl AsRef<Path>) -> Result<Vec<u8>> {
        let path = path.as_ref();
        let mut bytes = Vec::new();
        let mut file = self.place(path)?.open_file()?;
        file.read_to_end(&mut bytes).map_err(Error::io("read", path))?;
        Ok(bytes)
    }
}

/// A walk down a path, one component at a time.
struct Walk {
    /// Directories from the base down to where the walk stands.
    trail: Vec<Trail>,
    left: VecDeque<OsString>,
    links: usize,
}

struct Trail {
    fd: OwnedFd,
    owner: u32,
    writable_by_others: bool,
    path: PathBuf,
}

impl Walk {
    fn start(root: &Root) -> Result<Self> {
        let fd = openat(&root.base, ".", PATH_ONLY, Mode::empty()).map_err(Error::os("open", &root.path))?;
        // What stands above the base of an image is not the image's doing.
        let base = Trail { fd, owner: 0, writable_by_others: false, path: PathBuf::from("/") };
        Ok(Self { trail: vec![base], left: VecDeque::new(), links: 0 })
    }

    /// Puts a path's components before those that are left.
    fn push_all(&mut self, path: &Path) {
        for component in path.components().rev() {
            match component {
                Component::Normal(name) => self.left.push_front(name.to_owned()),
                Component::ParentDir => self.left.push_front("..".into()),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
    }

    fn here(&self) -> &Trail {
        self.trail.last().unwrap_or_else(|| unreachable!("the base is never popped"))
    }

    fn step(&mut self, name: &OsStr, whole: &Path) -> Result<()> {
        if name == ".." {
            if self.trail.len() > 1 {
                self.trail.pop();
            }
            return Ok(());
        }
        let here = self.here();
        let path = here.path.join(name);
        let fd = openat(&here.fd, name, PATH_ONLY | OFlags::NOFOLLOW, Mode::empty())
            .map_err(Error::os("open", &path))?;
        let stat = fstat(&fd).map_err(Error::os("look at", &path))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let bits = Mode::from_raw_mode(stat.st_mode);
                let group_writes = bits.contains(Mode::WGRP) && stat.st_gid != 0;
                let loose = group_writes || bits.contains(Mode::WOTH);
                let writable_by_others = loose && !bits.contains(Mode::SVTX);
                self.trail.push(Trail { fd, owner: stat.st_uid, writable_by_others, path });
                Ok(())
            }
            FileType::Symlink => self.follow(&fd, path, whole),
            _ => Err(Error::os("open", &path)(Errno::NOTDIR)),
        }
    }

    fn follow(&mut self, link: &OwnedFd, path: PathBuf, whole: &Path) -> Result<()> {
        let here = self.here();
        let directory = fstat(&here.fd).map_err(Error::os("look at", &here.path))?;
        let bits = Mode::from_raw_mode(directory.st_mode);
        let shared = bits.contains(Mode::WOTH) || (bits.contains(Mode::WGRP) && directory.st_gid != 0);
        if shared || !is_ours(directory.st_uid) {
            let reason =
                "a symbolic link in a directory that others than root can change is not followed".to_owned();
            return Err(Error::Untrusted { path, reason });
        }
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(Error::os("follow", whole)(Errno::LOOP));
        }
        let target = readlinkat(link, "", Vec::new()).map_err(Error::os("follow", &path))?;
        let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
        if target.is_absolute() {
            self.trail.truncate(1);
        }
        self.push_all(&target);
        Ok(())
    }

    fn finish(mut self, path: &Path) -> Result<Directory> {
        let mut guest = None;
        let mut loose = None;
        for trail in &self.trail {
            if !is_ours(trail.owner) {
                if guest.is_some_and(|guest| guest != trail.owner) {
                    loose = Some(trail.path.clone());
                }
                guest = Some(trail.owner);
            }
            if trail.writable_by_others {
                loose = Some(trail.path.clone());
            }
        }
        let last = self.trail.pop().unwrap_or_else(|| unreachable!("the base is never popped"));
        let read = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = openat(&last.fd, ".", read, Mode::empty()).map_err(Error::os("open", path))?;
        Ok(Directory { fd, path: path.to_owned(), guest, loose })
    }
}

const PATH_ONLY: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// Root's, or of the account that runs this (a test).
fn is_ours(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

impl Directory {
    /// Refuses a directory in which someone other than root and `owner` could change what is put there.
    pub(crate) fn require_trusted(&self, owner: u32) -> Result<()> {
        let refuse = |path: &Path, reason: String| Err(Error::Untrusted { path: path.to_owned(), reason });
        if let Some(loose) = &self.loose {
            return refuse(loose, "others than its owner can change this directory".to_owned());
        }
        match self.guest {
            Some(guest) if guest != owner => refuse(
                &self.path,
                format!("user {guest} can change this directory, and the file is user {owner}'s"),
            ),
            Some(_) | None => Ok(()),
        }
    }

    /// Makes what was done to its names last over a power cut.
    pub(crate) fn sync(&self) -> Result<()> {
        rustix::fs::fsync(&self.fd).map_err(Error::os("sync", &self.path))
    }

    /// The names in it, sorted.
    pub(crate) fn names(&self) -> Result<Vec<OsString>> {
        let entries = rustix::fs::Dir::read_from(&self.fd).map_err(Error::os("list", &self.path))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(Error::os("list", &self.path))?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name.to_vec()));
            }
        }
        names.sort();
        Ok(names)
    }

    /// A name in it.
    pub(crate) fn place(self, name: impl Into<OsString>) -> Place {
        let name = name.into();
        Place { path: self.path.join(&name), directory: self, name }
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Place {
    /// Opens what is there for reading; a symbolic link is not followed, and a device or pipe is not waited for.
    pub(crate) fn open(&self) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        openat(&self.directory, &self.name, flags, Mode::empty()).map_err(Error::os("open", &self.path))
    }

    /// Opens a regular file for reading.
    pub(crate) fn open_file(&self) -> Result<File> {
        self.open_regular().map(|(file, _)| file)
    }

    /// As [`Self::open_file`], and refuses one that the owner of its directory does not own. It may be a hard link to
    /// somebody else's file (`/etc/shadow`, where `fs.protected_hardlinks` is off), whose content must not get into a file
    /// of theirs. Who opens it twice can be given two.
    pub(crate) fn open_guests_own(&self) -> Result<File> {
        let (file, owner) = self.open_regular()?;
        match self.directory.guest {
            Some(guest) if guest != owner => {
                let reason = format!(
                    "it is user {owner}'s, in a directory of user {guest}'s, and may be a link to a file that is not \
                     theirs: give it to them (chown), or move it away"
                );
                Err(Error::Untrusted { path: self.path.clone(), reason })
            }
            Some(_) | None => Ok(file),
        }
    }

    fn open_regular(&self) -> Result<(File, u32)> {
        let fd = self.open()?;
        let stat = fstat(&fd).map_err(Error::os("look at", &self.path))?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
            Ok((File::from(fd), stat.st_uid))
        } else {
            Err(Error::os("read", &self.path)(Errno::INVAL))
        }
    }
}

impl Directory {
    /// A directory in it; a symbolic link is not followed.
    pub(crate) fn beneath(&self, name: &OsStr) -> Result<Self> {
        self.open(name, self.path.join(name))
    }

    /// The same directory, opened once more.
    pub(crate) fn again(&self) -> Result<Self> {
        self.open(OsStr::new("."), self.path.clone())
    }

    fn open(&self, name: &OsStr, path: PathBuf) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat(&self.fd, name, flags, Mode::empty()).map_err(Error::os("open", &path))?;
        Ok(Self { fd, path, guest: self.guest, loose: self.loose.clone() })
    }
}
