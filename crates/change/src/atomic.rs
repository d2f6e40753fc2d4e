//! Putting one name in place, so that whoever looks sees the old or the new, and so does a power cut.
//!
//! Everything is made under a temporary name in the same directory first, synced, renamed over the final name, and
//! the directory synced. The temporary name is told by the transaction and the step (a *tag*), so that undoing
//! removes what a killed step left. Nothing is ever written through a symbolic link.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, openat, renameat, renameat_with, symlinkat, unlinkat};
use rustix::io::Errno;

use crate::attributes::Attributes;
use crate::error::{Error, Result};
use crate::fault;
use crate::root::Place;

/// Where the content of a new file comes from.
#[derive(Debug)]
pub(crate) enum Source<'a> {
    Bytes(&'a [u8]),
    File(File),
}

/// Puts a regular file in place of whatever the name was.
pub(crate) fn replace(
    place: &Place,
    tag: &str,
    source: Source<'_>,
    wanted: &Attributes,
    times: Times,
) -> Result<()> {
    let temporary = Temporary::new(place, tag)?;
    let failed = |doing| Error::io(doing, &place.path);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = openat(&place.directory, &temporary.name, flags, Mode::RUSR | Mode::WUSR);
    let mut file = File::from(fd.map_err(Error::os("create a file beside", &place.path))?);
    fault::point("file: created");
    match source {
        Source::Bytes(bytes) => file.write_all(bytes),
        Source::File(mut from) => io::copy(&mut from, &mut file).map(drop),
    }
    .map_err(failed("write"))?;
    wanted.apply(&file).map_err(Error::os("set the attributes of", &place.path))?;
    if times == Times::Restored {
        wanted.apply_times(&file).map_err(Error::os("set the times of", &place.path))?;
    }
    file.sync_all().map_err(failed("sync"))?;
    fault::point("file: synced");
    temporary.rename_over(place)
}

/// Whether a file gets the times that its attributes name, or those of now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    Now,
    Restored,
}

/// Puts a symbolic link in place of whatever the name was, a directory excepted.
pub(crate) fn symlink(place: &Place, tag: &str, target: &Path, restored: Option<&Attributes>) -> Result<()> {
    let temporary = Temporary::new(place, tag)?;
    let directory = &place.directory;
    symlinkat(target, directory, &temporary.name).map_err(Error::os("create a link beside", &place.path))?;
    fault::point("link: created");
    if let Some(was) = restored {
        let failed = |error| Error::os("set the attributes of", &place.path)(error);
        let owner = (Some(rustix::fs::Uid::from_raw(was.uid)), Some(rustix::fs::Gid::from_raw(was.gid)));
        if (was.uid, was.gid) != (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()) {
            rustix::fs::chownat(directory, &temporary.name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(failed)?;
        }
        rustix::fs::utimensat(directory, &temporary.name, &was.times(), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(failed)?;
    }
    temporary.rename_over(place)
}

/// Makes a directory where there is nothing, with its attributes from the first moment on.
pub(crate) fn directory(place: &Place, tag: &str, wanted: &Attributes) -> Result<()> {
    let temporary = Temporary::new(place, tag)?;
    rustix::fs::mkdirat(&place.directory, &temporary.name, Mode::RWXU)
        .map_err(Error::os("create a directory beside", &place.path))?;
    fault::point("directory: created");
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = openat(&place.directory, &temporary.name, flags, Mode::empty())
        .map_err(Error::os("open", &place.path))?;
    wanted.apply(&made).map_err(Error::os("set the attributes of", &place.path))?;
    rustix::fs::fsync(&made).map_err(Error::os("sync", &place.path))?;
    let kept = RenameFlags::NOREPLACE;
    renameat_with(&place.directory, &temporary.name, &place.directory, &place.name, kept)
        .map_err(Error::os("create", &place.path))?;
    fault::point("directory: renamed");
    place.directory.sync()
}

/// Removes a file or link; nothing being there is as good.
pub(crate) fn remove(place: &Place) -> Result<()> {
    unlink(place, AtFlags::empty())
}

/// Removes an empty directory; nothing being there is as good.
pub(crate) fn remove_directory(place: &Place) -> Result<()> {
    unlink(place, AtFlags::REMOVEDIR)
}

fn unlink(place: &Place, flags: AtFlags) -> Result<()> {
    match unlinkat(&place.directory, &place.name, flags) {
        Ok(()) => {
            fault::point("name: removed");
            place.directory.sync()
        }
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(Error::os("remove", &place.path)(error)),
    }
}

/// Removes what a step that was killed left beside its path.
pub(crate) fn remove_temporary(place: &Place, tag: &str) -> Result<()> {
    Temporary::new(place, tag).map(drop)
}

fn is_absent(place: &Place, name: &OsStr) -> bool {
    rustix::fs::statat(&place.directory, name, AtFlags::SYMLINK_NOFOLLOW).err() == Some(Errno::NOENT)
}

/// A name beside the final one that nothing has yet.
struct Temporary {
    name: OsString,
}

impl Temporary {
    fn new(place: &Place, tag: &str) -> Result<Self> {
        let name = temporary_name(&place.name, tag);
        let failed = |error| Error::os("remove what was left beside", &place.path)(error);
        let removed = match unlinkat(&place.directory, &name, AtFlags::empty()) {
            Err(Errno::ISDIR) => unlinkat(&place.directory, &name, AtFlags::REMOVEDIR),
            other => other,
        };
        match removed {
            Ok(()) => place.directory.sync().map(|()| Self { name }),
            Err(Errno::NOENT) => Ok(Self { name }),
            // A read-only file system refuses before it looks: where nothing was left, there is nothing to remove.
            Err(Errno::ROFS) if is_absent(place, &name) => Ok(Self { name }),
            Err(error) => Err(failed(error)),
        }
    }

    fn rename_over(self, place: &Place) -> Result<()> {
        renameat(&place.directory, &self.name, &place.directory, &place.name)
            .map_err(Error::os("put in place", &place.path))?;
        fault::point("name: renamed");
        place.directory.sync()?;
        fault::point("name: synced");
        Ok(())
    }
}

/// Names that begin with a dot are passed over by `Include *.conf`, run-parts(8) and systemd.
fn temporary_name(name: &OsStr, tag: &str) -> OsString {
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    // A file name has at most 255 bytes.
    let name = name.as_bytes();
    let kept = &name[..name.len().min(180)];
    OsString::from_vec([b".", kept, b".", tag.as_bytes()].concat())
}
