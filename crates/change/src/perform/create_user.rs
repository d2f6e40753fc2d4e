//! Creating a login account with a home directory.

use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, Uid, renameat, unlinkat};

use super::account::{self, AccountFile, find, is_empty_file, key, without_member};
use super::{Context, Earlier, Perform, Saved};
use crate::error::{Error, Result};
use crate::fault;
use crate::originals::{Keep, PutBack, Was, kind_of, link_target};
use crate::program::Program;
use crate::root::{Directory, Place};

pub(super) struct CreateUser<'a> {
    pub(super) name: &'a str,
    pub(super) shell: &'a Path,
    pub(super) home: &'a Path,
    pub(super) groups: &'a [String],
}

/// Where useradd(8) fills a home directory from.
const SKELETON: &str = "/etc/skel";

/// Where useradd(8) may make an empty mailbox; often one is a link to the other.
const MAIL_SPOOLS: [&str; 2] = ["/var/mail", "/var/spool/mail"];

impl Perform for CreateUser<'_> {
    fn check(&self, context: &Context<'_>) -> Result<()> {
        account::check_name(self.name)?;
        self.groups.iter().try_for_each(|group| account::check_name(group))?;
        for path in [self.home, self.shell] {
            let bytes = path.as_os_str().as_encoded_bytes();
            if !path.is_absolute() || bytes.iter().any(|byte| *byte == b':' || *byte < b' ') {
                return Err(Error::BadPath { path: path.to_owned() });
            }
        }
        if account::entry(context.root, self.name)?.is_some() {
            return Err(context.stale(
                format!("account {}", self.name),
                "no such account",
                "one that exists",
            ));
        }
        if context.earlier.makes(self.home) {
            return Ok(());
        }
        // A home that is there already belongs to somebody: useradd(8) would hand it over with what is in it.
        let place = context.root.place(self.home)?;
        match kind_of(&place)? {
            None => Ok(()),
            Some(_) => Err(context.stale(self.home.display(), "nothing", "a home left by somebody")),
        }
    }

    fn save(&self, _: &Context<'_>, keep: &Keep<'_>) -> Result<Saved> {
        let mut saved = account::save(keep)?;
        for path in self.made_paths() {
            saved.originals.push(keep.path(&path)?);
            saved.keep_around(keep, &path)?;
        }
        Ok(saved)
    }

    fn act(&self, context: &Context<'_>, _: &PutBack<'_>, _: &Saved) -> Result<()> {
        let program =
            Program::AddUser { name: self.name, home: self.home, shell: self.shell, groups: self.groups };
        program.run(context.root, Some(context.lock), b"")?;
        fault::point("accounts: useradd ended");
        account::sync_all(context.root)
    }

    fn undo(&self, _: &Context<'_>, back: &PutBack<'_>, saved: &Saved) -> Result<Vec<String>> {
        let mut notes =
            account::undo(back, saved, self.name, |file, now, before| self.strip(file, now, before))?;
        for path in self.made_paths() {
            let was_absent =
                saved.originals.iter().any(|original| original.path == path && original.was == Was::Absent);
            if !was_absent {
                continue;
            }
            let place = match back.root.place(&path) {
                Ok(place) => place,
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error),
            };
            notes.extend(match kind_of(&place)? {
                None => None,
                Some(FileType::Directory) => remove_home(back, &place)?,
                Some(_) => remove_mailbox(&place)?,
            });
        }
        saved.around.iter().try_for_each(|around| back.around(around))?;
        Ok(notes)
    }

    fn tell(&self, earlier: &mut Earlier) {
        earlier.adds_account(self.name);
        earlier.adds_path(self.home);
    }
}

impl CreateUser<'_> {
    /// The paths that useradd(8) may make.
    fn made_paths(&self) -> Vec<PathBuf> {
        let spools = MAIL_SPOOLS.iter().map(|spool| Path::new(spool).join(self.name));
        [self.home.to_owned()].into_iter().chain(spools).collect()
    }

    /// Takes the account and the group of its name out of a file, and the account out of all groups.
    fn strip(&self, file: AccountFile, now: Vec<String>, before: &[String]) -> Vec<String> {
        let is_group = matches!(file.name(), "group" | "gshadow");
        let line = |line: String| match find(before, key(&line)) {
            None if key(&line) == self.name => None,
            old if is_group => Some(without_member(&line, old.unwrap_or_default(), self.name)),
            _ => Some(line),
        };
        now.into_iter().filter_map(line).collect()
    }
}

/// Removes a home that holds nothing but what /etc/skel put there. Any other is kept under another name, and closed:
/// its owner is gone, and the next account may get the same user number.
fn remove_home(back: &PutBack<'_>, home: &Place) -> Result<Option<String>> {
    let directory = open_directory(home)?;
    let skeleton = back.root.directory(SKELETON.as_ref()).ok();
    if holds_nothing_new(&directory, skeleton.as_ref())? {
        remove_tree(home)?;
        return Ok(None);
    }
    let failed = |doing| Error::os(doing, &home.path);
    rustix::fs::fchown(&directory, Some(Uid::ROOT), Some(Gid::ROOT)).map_err(failed("close"))?;
    rustix::fs::fchmod(&directory, Mode::RWXU).map_err(failed("close"))?;
    let mut kept = home.name.clone();
    kept.push(".");
    kept.push(back.tag);
    renameat(&home.directory, &home.name, &home.directory, &kept).map_err(failed("rename"))?;
    home.directory.sync()?;
    let kept = home.path.with_file_name(kept);
    Ok(Some(format!(
        "{}: holds files of its user, so it was kept as {}",
        home.path.display(),
        kept.display()
    )))
}

/// Whether a tree holds no bytes but those of the skeleton: what a login leaves empty (`.cache/motd.legal-displayed`,
/// `.sudo_as_admin_successful`) is nothing.
fn holds_nothing_new(directory: &Directory, skeleton: Option<&Directory>) -> Result<bool> {
    for name in directory.names()? {
        let here = child(directory, &name)?;
        let there = skeleton.map(|skeleton| child(skeleton, &name)).transpose()?;
        let nothing_new = match kind_of(&here)? {
            None => true,
            Some(FileType::Directory) => {
                let model = match &there {
                    Some(place) if kind_of(place)? == Some(FileType::Directory) => {
                        Some(open_directory(place)?)
                    }
                    Some(_) | None => None,
                };
                holds_nothing_new(&open_directory(&here)?, model.as_ref())?
            }
            Some(FileType::RegularFile) => is_empty_file(&here)? || same_file(&here, there.as_ref())?,
            Some(FileType::Symlink) => match &there {
                Some(model) => {
                    kind_of(model)? == Some(FileType::Symlink) && link_target(model)? == link_target(&here)?
                }
                None => false,
            },
            Some(_) => false,
        };
        if !nothing_new {
            return Ok(false);
        }
    }
    Ok(true)
}

fn same_file(here: &Place, there: Option<&Place>) -> Result<bool> {
    let Some(there) = there else { return Ok(false) };
    if kind_of(there)? != Some(FileType::RegularFile) {
        return Ok(false);
    }
    let digest = |place: &Place| {
        let file = place.open_file()?;
        crate::hex::Sha256::of_reader(file).map_err(Error::io("read", &place.path))
    };
    Ok(digest(here)? == digest(there)?)
}

/// Removes a tree without following a link.
fn remove_tree(place: &Place) -> Result<()> {
    let directory = open_directory(place)?;
    for name in directory.names()? {
        let here = child(&directory, &name)?;
        if kind_of(&here)? == Some(FileType::Directory) {
            remove_tree(&here)?;
        } else {
            unlinkat(&here.directory, &here.name, AtFlags::empty())
                .map_err(Error::os("remove", &here.path))?;
        }
        fault::point("home: a name is removed");
    }
    crate::atomic::remove_directory(place)
}

/// An empty mailbox is removed; one with mail is closed and left.
fn remove_mailbox(place: &Place) -> Result<Option<String>> {
    if is_empty_file(place)? {
        crate::atomic::remove(place)?;
        return Ok(None);
    }
    let fd = place.open()?;
    let failed = |doing| Error::os(doing, &place.path);
    rustix::fs::fchown(&fd, Some(Uid::ROOT), Some(Gid::ROOT)).map_err(failed("close"))?;
    rustix::fs::fchmod(&fd, Mode::RUSR | Mode::WUSR).map_err(failed("close"))?;
    rustix::fs::fsync(&fd).map_err(failed("sync"))?;
    Ok(Some(format!("{}: holds mail, so it was kept, for root alone", place.path.display())))
}

fn open_directory(place: &Place) -> Result<Directory> {
    place.directory.beneath(&place.name)
}

fn child(directory: &Directory, name: &std::ffi::OsStr) -> Result<Place> {
    Ok(directory.again()?.place(name))
}
