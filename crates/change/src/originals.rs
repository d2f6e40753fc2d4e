//! What was there before a step, kept so that the step can be undone: by this program, or by hand with `cp`.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::atomic::{self, Source, Times};
use crate::attributes::Attributes;
use crate::error::{Error, Result};
use crate::fault;
use crate::hex::Sha256;
use crate::root::{Place, Root};

/// One path as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Original {
    pub(crate) path: PathBuf,
    pub(crate) was: Was,
}

/// What a path was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Was {
    /// Nothing, or not even its directory.
    Absent,
    /// A regular file; `copy` is the name of the copy beside this description.
    File { copy: String, digest: Sha256, attributes: Attributes },
    /// A symbolic link.
    Symlink { target: PathBuf, attributes: Attributes },
    /// A directory.
    Directory { attributes: Attributes },
    /// A file or directory of which a step changes the attributes alone: no copy is made.
    Attributes { attributes: Attributes },
}

/// A directory in which a step puts or removes names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Around {
    pub(crate) path: PathBuf,
    pub(crate) attributes: Attributes,
    /// Digest of the names that were in it.
    pub(crate) names: Sha256,
}

/// The directory in which a step's originals are kept.
#[derive(Debug)]
pub(crate) struct Keep<'a> {
    pub(crate) root: &'a Root,
    pub(crate) directory: &'a Path,
}

impl Keep<'_> {
    /// Keeps a path as it is: a copy of a file, synced; the attributes of all else.
    pub(crate) fn path(&self, path: &Path) -> Result<Original> {
        let was = match self.root.place(path) {
            Ok(place) => self.entry(&place)?,
            Err(error) if error.is_not_found() => Was::Absent,
            Err(error) => return Err(error),
        };
        Ok(Original { path: path.to_owned(), was })
    }

    fn entry(&self, place: &Place) -> Result<Was> {
        let Some(kind) = kind_of(place)? else {
            return Ok(Was::Absent);
        };
        let failed = |error| Error::os("read the attributes of", &place.path)(error);
        Ok(match kind {
            FileType::RegularFile => self.file(place)?,
            FileType::Directory => {
                Was::Directory { attributes: Attributes::of(place.open()?).map_err(failed)? }
            }
            FileType::Symlink => {
                let stat = stat(place)?.ok_or_else(|| failed(Errno::NOENT))?;
                Was::Symlink { target: link_target(place)?, attributes: Attributes::of_stat(&stat) }
            }
            _ => return Err(Error::os("keep", &place.path)(Errno::INVAL)),
        })
    }

    fn file(&self, place: &Place) -> Result<Was> {
        let mut from = place.open_file()?;
        let attributes = Attributes::of(&from).map_err(Error::os("read the attributes of", &place.path))?;
        let copy = self.unused_name(place);
        let path = self.directory.join(&copy);
        let failed = |doing| Error::io(doing, &path);
        let mut to = File::create_new(&path).map_err(failed("create"))?;
        std::io::copy(&mut from, &mut to).map_err(failed("write"))?;
        // So that `cp -a` is all it takes to put it back by hand, where this file system can hold them all; the
        // description holds them in any case.
        let _ = attributes.apply(&to);
        let _ = attributes.apply_times(&to);
        to.sync_all().map_err(failed("sync"))?;
        fault::point("original: synced");
        let digest = digest_of(&path)?;
        Ok(Was::File { copy, digest, attributes })
    }

    /// The file's own name, with a number where two of the same name are kept.
    fn unused_name(&self, place: &Place) -> String {
        let name = place.name.to_string_lossy().into_owned();
        let taken = |name: &str| name == META || self.directory.join(name).symlink_metadata().is_ok();
        if !taken(&name) {
            return name;
        }
        (2..).map(|n| format!("{name}.{n}")).find(|name| !taken(name)).unwrap_or(name)
    }

    /// Keeps the attributes of a file or directory that stays where it is.
    pub(crate) fn attributes(&self, path: &Path) -> Result<Original> {
        let place = self.root.place(path)?;
        let fd = place.open()?;
        let failed = |error| Error::os("read the attributes of", path)(error);
        Ok(Original {
            path: path.to_owned(),
            was: Was::Attributes { attributes: Attributes::of(&fd).map_err(failed)? },
        })
    }

    /// Keeps the times and the names of the directory that holds a path; none where there is no such directory.
    pub(crate) fn around(&self, path: &Path) -> Result<Option<Around>> {
        let parent = path.parent().unwrap_or(Path::new("/"));
        let directory = match self.root.directory(parent) {
            Ok(directory) => directory,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let attributes = Attributes::of(&directory).map_err(Error::os("read the attributes of", parent))?;
        Ok(Some(Around { path: parent.to_owned(), attributes, names: digest_of_names(&directory)? }))
    }
}

/// The description that stands beside the copies.
pub(crate) const META: &str = "meta.json";

/// Writes a small file of the journal, closed to all but root, and syncs it. A plan may hold the hash of a password.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |doing| Error::io(doing, path);
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path).map_err(failed("create"))?;
    file.write_all(bytes).map_err(failed("write"))?;
    file.sync_all().map_err(failed("sync"))
}

/// How a path is put back.
#[derive(Debug)]
pub(crate) struct PutBack<'a> {
    pub(crate) root: &'a Root,
    /// Where the copies are.
    pub(crate) kept: &'a Path,
    /// Where what somebody else has put there meanwhile is kept.
    pub(crate) displaced: &'a Path,
    /// Marks the temporary names of this step.
    pub(crate) tag: &'a str,
}

impl PutBack<'_> {
    /// Makes a path what it was. `ours` is what the step puts there: anything else that is neither that nor the
    /// original was put there by somebody else, and is kept aside and told of.
    pub(crate) fn path(&self, original: &Original, ours: Option<&Sha256>) -> Result<Option<String>> {
        let place = match self.root.place(&original.path) {
            Ok(place) => place,
            Err(error) if error.is_not_found() && original.was == Was::Absent => return Ok(None),
            Err(error) => return Err(error),
        };
        atomic::remove_temporary(&place, self.tag)?;
        match &original.was {
            Was::Absent => self.absent(&place, ours),
            Was::File { copy, digest, attributes } => self.file(&place, copy, digest, attributes, ours),
            Was::Symlink { target, attributes } => {
                symlink(&place, self.tag, target, attributes).map(|()| None)
            }
            Was::Directory { attributes } | Was::Attributes { attributes } => {
                attributes_of(&place, attributes)
            }
        }
    }

    fn absent(&self, place: &Place, ours: Option<&Sha256>) -> Result<Option<String>> {
        match kind_of(place)? {
            None => Ok(None),
            Some(FileType::Directory) => match atomic::remove_directory(place) {
                Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::DirectoryNotEmpty => {
                    Ok(Some(format!(
                        "{}: left, for it holds what this program did not put there",
                        place.path.display()
                    )))
                }
                other => other.map(|()| None),
            },
            Some(FileType::RegularFile) => {
                let note = self.displace(place, ours)?;
                atomic::remove(place)?;
                Ok(note)
            }
            Some(_) => atomic::remove(place).map(|()| None),
        }
    }

    fn file(
        &self,
        place: &Place,
        copy: &str,
        digest: &Sha256,
        attributes: &Attributes,
        ours: Option<&Sha256>,
    ) -> Result<Option<String>> {
        let mut note = None;
        if kind_of(place)? == Some(FileType::RegularFile) {
            let file = place.open_file()?;
            let now = Attributes::of(&file).map_err(Error::os("read the attributes of", &place.path))?;
            let content = Sha256::of_reader(&file).map_err(Error::io("read", &place.path))?;
            if content == *digest {
                if !now.same_as(attributes) {
                    in_place(place, &file, attributes)?;
                }
                return Ok(None);
            }
            note = self.displace(place, ours)?;
        }
        let path = self.kept.join(copy);
        let copy = File::open(&path).map_err(Error::io("open", &path))?;
        atomic::replace(place, self.tag, Source::File(copy), attributes, Times::Restored)?;
        Ok(note)
    }

    /// Keeps a copy of what somebody else put there.
    fn displace(&self, place: &Place, ours: Option<&Sha256>) -> Result<Option<String>> {
        let Some(ours) = ours else { return Ok(None) };
        let mut file = place.open_file()?;
        if Sha256::of_reader(&file).map_err(Error::io("read", &place.path))? == *ours {
            return Ok(None);
        }
        fs::create_dir_all(self.displaced).map_err(Error::io("create", self.displaced))?;
        let path = self.displaced.join(&place.name);
        let failed = |doing| Error::io(doing, &path);
        std::io::Seek::rewind(&mut file).map_err(Error::io("read", &place.path))?;
        let mut to = File::create(&path).map_err(failed("create"))?;
        std::io::copy(&mut file, &mut to).map_err(failed("write"))?;
        to.sync_all().map_err(failed("sync"))?;
        self.displaced.ancestors().take(3).try_for_each(sync_directory)?;
        Ok(Some(format!(
            "{}: somebody else changed it meanwhile; their version is kept as {}",
            place.path.display(),
            path.display()
        )))
    }

    /// Gives a directory its times back, where the same names are in it as before.
    pub(crate) fn around(&self, around: &Around) -> Result<()> {
        let directory = match self.root.directory(&around.path) {
            Ok(directory) => directory,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        };
        if digest_of_names(&directory)? != around.names {
            return Ok(());
        }
        set_times(&directory, &around.attributes, &around.path)
    }
}

fn set_times(fd: impl AsFd, attributes: &Attributes, path: &Path) -> Result<()> {
    match attributes.apply_times(&fd) {
        // On a read-only file system nothing was changed that the times could tell of.
        Err(Errno::ROFS) if has_times(&fd, attributes) => return Ok(()),
        applied => applied.map_err(Error::os("set the times of", path))?,
    }
    rustix::fs::fsync(&fd).map_err(Error::os("sync", path))
}

fn has_times(fd: impl AsFd, attributes: &Attributes) -> bool {
    rustix::fs::fstat(fd).is_ok_and(|now| Attributes::of_stat(&now).modified == attributes.modified)
}

fn symlink(place: &Place, tag: &str, target: &Path, attributes: &Attributes) -> Result<()> {
    let is_back = kind_of(place)? == Some(FileType::Symlink)
        && link_target(place)? == target
        && stat(place)?.is_some_and(|now| Attributes::of_stat(&now).same_as(attributes));
    if is_back { Ok(()) } else { atomic::symlink(place, tag, target, Some(attributes)) }
}

/// Refuses a file whose directory's owner does not own it: a hard link to somebody else's file would be given away.
pub(crate) fn require_no_guests_link(place: &Place, opened: impl AsFd) -> Result<()> {
    let now = rustix::fs::fstat(opened).map_err(Error::os("look at", &place.path))?;
    match FileType::from_raw_mode(now.st_mode) {
        FileType::Directory => Ok(()),
        _ => place.directory.require_trusted(now.st_uid),
    }
}

pub(crate) fn is_directory(opened: impl AsFd, path: &Path) -> Result<bool> {
    let now = rustix::fs::fstat(opened).map_err(Error::os("look at", path))?;
    Ok(FileType::from_raw_mode(now.st_mode) == FileType::Directory)
}

/// Gives a file or directory its attributes back, where it is still one.
fn attributes_of(place: &Place, attributes: &Attributes) -> Result<Option<String>> {
    if !matches!(kind_of(place)?, Some(FileType::RegularFile | FileType::Directory)) {
        return Ok(Some(format!("{}: removed by somebody else meanwhile", place.path.display())));
    }
    let fd = place.open()?;
    match require_no_guests_link(place, &fd) {
        Ok(()) => in_place(place, &fd, attributes).map(|()| None),
        Err(error) => Ok(Some(format!("{error}: its mode and owner stay"))),
    }
}

/// Gives a file or directory its attributes back without touching its content.
fn in_place(place: &Place, fd: impl AsFd, attributes: &Attributes) -> Result<()> {
    attributes.apply(&fd).map_err(Error::os("set the attributes of", &place.path))?;
    fault::point("attributes: set back");
    set_times(&fd, attributes, &place.path)
}

pub(crate) fn stat(place: &Place) -> Result<Option<rustix::fs::Stat>> {
    match rustix::fs::statat(&place.directory, &place.name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(Error::os("look at", &place.path)(error)),
    }
}

/// What a name is; none where it is nothing.
pub(crate) fn kind_of(place: &Place) -> Result<Option<FileType>> {
    Ok(stat(place)?.map(|stat| FileType::from_raw_mode(stat.st_mode)))
}

/// Where a symbolic link points, as written.
pub(crate) fn link_target(place: &Place) -> Result<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    let target = rustix::fs::readlinkat(&place.directory, &place.name, Vec::new())
        .map_err(Error::os("read the link", &place.path))?;
    Ok(std::ffi::OsString::from_vec(target.into_bytes()).into())
}

fn digest_of(path: &Path) -> Result<Sha256> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    Sha256::of_reader(file).map_err(Error::io("read", path))
}

/// The lock of the account programs, which stays once it is made.
const NOT_COUNTED: &str = ".pwd.lock";

fn digest_of_names(directory: &crate::root::Directory) -> Result<Sha256> {
    use std::os::unix::ffi::OsStrExt as _;
    let names = directory.names()?;
    let names = names.iter().filter(|name| *name != NOT_COUNTED);
    Ok(Sha256::of(names.flat_map(|name| [name.as_bytes(), b"\0"].concat()).collect::<Vec<u8>>()))
}

/// Makes the names in a directory of the journal last.
pub(crate) fn sync_directory(path: &Path) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(Error::os("open", path))?;
    rustix::fs::fsync(fd).map_err(Error::os("sync", path))
}
