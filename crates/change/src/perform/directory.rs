//! Making a directory.

use std::path::Path;

use rustix::fs::FileType;

use super::file::put_all_back;
use super::{Context, Earlier, Perform, Saved};
use crate::action::Owner;
use crate::atomic;
use crate::attributes::{Attributes, Bits, Stamp};
use crate::error::{Error, Result};
use crate::originals::{Keep, PutBack, kind_of};

pub(super) struct MakeDirectory<'a> {
    pub(super) path: &'a Path,
    pub(super) mode: u32,
    pub(super) owner: &'a Owner,
}

impl Perform for MakeDirectory<'_> {
    fn check(&self, context: &Context<'_>) -> Result<()> {
        if context.earlier.makes(self.path) {
            return Ok(());
        }
        match context.root.place(self.path) {
            Ok(place) => match kind_of(&place)? {
                None => Ok(()),
                Some(FileType::Directory) => {
                    Err(context.stale(self.path.display(), "nothing", "a directory"))
                }
                Some(_) => {
                    Err(context.stale(self.path.display(), "nothing", "something that is no directory"))
                }
            },
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn save(&self, _: &Context<'_>, keep: &Keep<'_>) -> Result<Saved> {
        Saved::paths(keep, [self.path])
    }

    fn act(&self, context: &Context<'_>, _: &PutBack<'_>, _: &Saved) -> Result<()> {
        let place = context.root.place(self.path)?;
        let (uid, gid) = context.owner(self.owner, None)?;
        place.directory.require_trusted(uid)?;
        let parent = Attributes::of(&place.directory).map_err(Error::os("look at", &place.path))?;
        let now = Stamp { seconds: 0, nanoseconds: 0 };
        // A default ACL of the parent is what the kernel would have handed on.
        let mut xattrs = parent.xattrs;
        xattrs.retain(|name, _| name == "system.posix_acl_default");
        let wanted = Attributes { mode: Bits(self.mode), uid, gid, modified: now, accessed: now, xattrs };
        atomic::directory(&place, &context.tag, &wanted)?;
        context.label(self.path)
    }

    fn undo(&self, _: &Context<'_>, back: &PutBack<'_>, saved: &Saved) -> Result<Vec<String>> {
        put_all_back(back, saved, None)
    }

    fn tell(&self, earlier: &mut Earlier) {
        earlier.adds_path(self.path);
    }
}
