//! Making a symbolic link.

use std::path::Path;

use super::file::put_all_back;
use super::{Context, Earlier, Perform, Saved};
use crate::action::Before;
use crate::atomic;
use crate::error::Result;
use crate::originals::{Keep, PutBack};

pub(super) struct MakeSymlink<'a> {
    pub(super) path: &'a Path,
    pub(super) target: &'a Path,
    pub(super) before: &'a Before,
}

impl Perform for MakeSymlink<'_> {
    fn check(&self, context: &Context<'_>) -> Result<()> {
        context.check_before(self.path, self.before)
    }

    fn save(&self, _: &Context<'_>, keep: &Keep<'_>) -> Result<Saved> {
        Saved::paths(keep, [self.path])
    }

    fn act(&self, context: &Context<'_>, _: &PutBack<'_>, _: &Saved) -> Result<()> {
        let place = context.root.place(self.path)?;
        place.directory.require_trusted(rustix::process::geteuid().as_raw())?;
        atomic::symlink(&place, &context.tag, self.target, None)
    }

    fn undo(&self, _: &Context<'_>, back: &PutBack<'_>, saved: &Saved) -> Result<Vec<String>> {
        put_all_back(back, saved, None)
    }

    fn tell(&self, earlier: &mut Earlier) {
        earlier.adds_path(self.path);
    }
}
