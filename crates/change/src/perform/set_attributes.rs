//! Changing mode and owner of what stays where it is.

use std::path::Path;

use super::file::put_all_back;
use super::{Context, Earlier, Perform, Saved};
use crate::action::Owner;
use crate::attributes::{Attributes, Bits};
use crate::error::{Error, Result};
use crate::fault;
use crate::originals::{Keep, PutBack, is_directory, require_no_guests_link};
use crate::root::Place;

pub(super) struct SetAttributes<'a> {
    pub(super) path: &'a Path,
    pub(super) mode: u32,
    pub(super) owner: &'a Owner,
    pub(super) mode_before: u32,
}

impl Perform for SetAttributes<'_> {
    fn check(&self, context: &Context<'_>) -> Result<()> {
        if context.earlier.makes(self.path) {
            return Ok(());
        }
        let now = attributes(&context.root.place(self.path)?)?;
        let expected = Bits(self.mode_before);
        if now.mode == expected {
            Ok(())
        } else {
            Err(context.stale(self.path.display(), format!("mode {expected}"), format!("mode {}", now.mode)))
        }
    }

    fn save(&self, _: &Context<'_>, keep: &Keep<'_>) -> Result<Saved> {
        Ok(Saved { originals: vec![keep.attributes(self.path)?], ..Saved::default() })
    }

    fn act(&self, context: &Context<'_>, _: &PutBack<'_>, _: &Saved) -> Result<()> {
        let place = context.root.place(self.path)?;
        let fd = place.open()?;
        let now = Attributes::of(&fd).map_err(Error::os("read the attributes of", self.path))?;
        let (uid, gid) = context.owner(self.owner, Some((now.uid, now.gid)))?;
        require_no_guests_link(&place, &fd)?;
        if !is_directory(&fd, self.path)? {
            place.directory.require_trusted(uid)?;
        }
        let wanted = Attributes { mode: Bits(self.mode), uid, gid, ..now };
        wanted.apply(&fd).map_err(Error::os("set the attributes of", self.path))?;
        fault::point("attributes: set");
        rustix::fs::fsync(&fd).map_err(Error::os("sync", self.path))
    }

    fn undo(&self, _: &Context<'_>, back: &PutBack<'_>, saved: &Saved) -> Result<Vec<String>> {
        put_all_back(back, saved, None)
    }

    fn tell(&self, earlier: &mut Earlier) {
        earlier.adds_path(self.path);
    }
}

fn attributes(place: &Place) -> Result<Attributes> {
    Attributes::of(place.open()?).map_err(Error::os("read the attributes of", &place.path))
}
