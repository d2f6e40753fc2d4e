//! Putting a regular file in place.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::fs::FileType;

use super::{Context, Earlier, Perform, Saved};
use crate::action::{Before, Owner};
use crate::atomic::{self, Source, Times};
use crate::attributes::{Attributes, Bits, Stamp};
use crate::error::{Error, Result};
use crate::hex::Sha256;
use crate::originals::{Keep, PutBack, kind_of};
use crate::root::Place;

pub(super) struct WriteFile<'a> {
    pub(super) path: &'a Path,
    pub(super) contents: Contents<'a>,
    pub(super) mode: u32,
    pub(super) owner: &'a Owner,
    pub(super) before: &'a Before,
}

pub(super) enum Contents<'a> {
    Bytes(&'a [u8]),
    /// The running executable, which must have this digest.
    ThisProgram(&'a Sha256),
}

/// The running executable, even where its file has been removed.
const THIS_PROGRAM: &str = "/proc/self/exe";

impl Contents<'_> {
    fn digest(&self) -> Sha256 {
        match self {
            Self::Bytes(bytes) => Sha256::of(bytes),
            Self::ThisProgram(digest) => (*digest).clone(),
        }
    }
}

impl Perform for WriteFile<'_> {
    fn check(&self, context: &Context<'_>) -> Result<()> {
        context.check_before(self.path, self.before)?;
        if let Contents::ThisProgram(digest) = self.contents {
            this_program(digest)?;
        }
        Ok(())
    }

    fn save(&self, _: &Context<'_>, keep: &Keep<'_>) -> Result<Saved> {
        Saved::paths(keep, [self.path])
    }

    fn act(&self, context: &Context<'_>, _: &PutBack<'_>, _: &Saved) -> Result<()> {
        let place = context.root.place(self.path)?;
        let wanted = self.attributes(context, &place)?;
        place.directory.require_trusted(wanted.uid)?;
        let source = match self.contents {
            Contents::Bytes(bytes) => Source::Bytes(bytes),
            Contents::ThisProgram(digest) => Source::File(this_program(digest)?),
        };
        let is_new = kind_of(&place)?.is_none();
        atomic::replace(&place, &context.tag, source, &wanted, Times::Now)?;
        if is_new { context.label(self.path) } else { Ok(()) }
    }

    fn undo(&self, _: &Context<'_>, back: &PutBack<'_>, saved: &Saved) -> Result<Vec<String>> {
        put_all_back(back, saved, Some(&self.contents.digest()))
    }

    fn tell(&self, earlier: &mut Earlier) {
        earlier.adds_path(self.path);
    }
}

impl WriteFile<'_> {
    /// Mode and owner as planned; the xattrs (ACL, `SELinux` label) of the file that is replaced stay.
    fn attributes(&self, context: &Context<'_>, place: &Place) -> Result<Attributes> {
        let now = match kind_of(place)? {
            Some(FileType::RegularFile) => {
                let file = place.open_file()?;
                Some(Attributes::of(&file).map_err(Error::os("read the attributes of", self.path))?)
            }
            Some(_) | None => None,
        };
        let (uid, gid) = context.owner(self.owner, now.as_ref().map(|now| (now.uid, now.gid)))?;
        let epoch = Stamp { seconds: 0, nanoseconds: 0 };
        Ok(Attributes {
            mode: Bits(self.mode),
            uid,
            gid,
            modified: epoch,
            accessed: epoch,
            xattrs: now.map(|now| now.xattrs).unwrap_or_default(),
        })
    }
}

/// Opens the running executable, and refuses where it is not the one that the plan names.
fn this_program(expected: &Sha256) -> Result<File> {
    let file = File::open(THIS_PROGRAM).map_err(Error::io("open", THIS_PROGRAM))?;
    let found = Sha256::of_reader(Positioned(&file, 0)).map_err(Error::io("read", THIS_PROGRAM))?;
    if found == *expected {
        Ok(file)
    } else {
        Err(Error::WrongProgram { expected: expected.to_string(), found: found.to_string() })
    }
}

/// Reads a file without moving its position.
struct Positioned<'a>(&'a File, u64);

impl std::io::Read for Positioned<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.0.read_at(buffer, self.1)?;
        self.1 += read as u64;
        Ok(read)
    }
}

/// Puts back every path that a step kept, and then the times of the directories around.
pub(super) fn put_all_back(back: &PutBack<'_>, saved: &Saved, ours: Option<&Sha256>) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    for original in &saved.originals {
        notes.extend(back.path(original, ours)?);
    }
    saved.around.iter().try_for_each(|around| back.around(around))?;
    Ok(notes)
}
