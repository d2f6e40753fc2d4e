//! Reading and writing files of a host from this machine.
//!
//! A host's symbolic links, absolute ones too, are followed within its root (`openat2(2)`, `RESOLVE_IN_ROOT`): a
//! link to `/etc/shadow` in a host never leads to this machine's.

use crate::error::{Doing, Result};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, mkdirat, openat2};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

/// A directory that stands for `/`.
#[derive(Debug)]
pub(crate) struct Rooted(OwnedFd);

impl Rooted {
    pub(crate) fn at(root: &Path) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(CWD, root, flags, Mode::empty()).doing("open", root).map(Self)
    }

    pub(crate) fn open(&self, path: &Path, flags: OFlags, mode: u32) -> Result<OwnedFd> {
        let mode = Mode::from_raw_mode(mode);
        openat2(&self.0, path, flags | OFlags::CLOEXEC, mode, ResolveFlags::IN_ROOT)
            .doing("open in a host", path)
    }

    pub(crate) fn read(&self, path: &Path) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::from(self.open(path, OFlags::RDONLY, 0)?)
            .read_to_end(&mut bytes)
            .doing("read in a host", path)?;
        Ok(bytes)
    }

    /// Writes `path` with the mode given, whatever this process's umask; makes the directories above it.
    pub(crate) fn write(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
        self.make_parents(path)?;
        let file = self.open(path, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC, mode)?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)).doing("set the mode in a host of", path)?;
        File::from(file).write_all(bytes).doing("write in a host", path)
    }

    fn make_parents(&self, path: &Path) -> Result<()> {
        let mut above = Path::new("/").to_path_buf();
        let directory = OFlags::PATH | OFlags::DIRECTORY;
        for component in path.parent().into_iter().flat_map(Path::components) {
            let Component::Normal(name) = component else {
                continue;
            };
            let parent = self.open(&above, directory, 0)?;
            above.push(name);
            match mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error).doing("make directory in a host", above),
            }
        }
        Ok(())
    }
}
