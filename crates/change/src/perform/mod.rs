//! How each action is checked, prepared for undoing, done and undone. One file a kind.

mod account;
mod change_user;
mod create_user;
mod directory;
mod file;
mod firewall;
mod iptables;
mod logins;
mod reload;
mod remove;
mod service;
mod set_attributes;
mod symlink;
mod unload_table;

use std::fmt::Display;
use std::path::{Path, PathBuf};

pub(crate) use iptables::touched as touched_chains;
pub(crate) use reload::runs_systemd;
use rustix::fs::FileType;
use serde::{Deserialize, Serialize};
pub(crate) use service::settle as settle_service;

use crate::action::{Action, Before, Owner};
use crate::error::{Error, Result};
use crate::hex::Sha256;
use crate::journal::Lock;
use crate::originals::{Around, Keep, Original, PutBack, kind_of, link_target};
use crate::program::Program;
use crate::root::{Place, Root};

/// Where and for whom an action is performed.
pub(crate) struct Context<'a> {
    pub(crate) root: &'a Root,
    /// Index of the step, from 0.
    pub(crate) step: usize,
    /// Marks the temporary names of this step.
    pub(crate) tag: String,
    pub(crate) lock: &'a Lock,
    /// What earlier steps will have made, when all steps are checked before the first.
    pub(crate) earlier: &'a Earlier,
    /// Undone early in the boot: what starts services has not come to them yet.
    pub(crate) boots: bool,
}

/// What earlier steps of the same plan make: a later step cannot be checked against it before they are done.
#[derive(Debug, Default)]
pub(crate) struct Earlier {
    paths: Vec<PathBuf>,
    accounts: Vec<String>,
    services: Vec<String>,
    edits_iptables: bool,
}

/// What undoing a step takes, as `meta.json` beside the copies.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Saved {
    pub(crate) originals: Vec<Original>,
    /// Directories whose times are given back.
    #[serde(default)]
    pub(crate) around: Vec<Around>,
    /// For accounts: names in /etc that the account programs may leave behind, and that were there before.
    #[serde(default)]
    pub(crate) leftovers: Vec<String>,
    /// For the packet filter: our table as the kernel had it.
    #[serde(default)]
    pub(crate) firewall: Option<firewall::Kept>,
    /// For iptables: where its tables are kept.
    #[serde(default)]
    pub(crate) iptables: Option<iptables::Kept>,
    /// Another program's table as the kernel had it.
    #[serde(default)]
    pub(crate) table: Option<unload_table::Kept>,
}

impl Saved {
    /// Keeps these paths and what is around them.
    fn paths<'p>(keep: &Keep<'_>, paths: impl IntoIterator<Item = &'p Path>) -> Result<Self> {
        let mut saved = Self::default();
        for path in paths {
            saved.originals.push(keep.path(path)?);
            saved.keep_around(keep, path)?;
        }
        Ok(saved)
    }

    fn keep_around(&mut self, keep: &Keep<'_>, path: &Path) -> Result<()> {
        let around = keep.around(path)?;
        let is_new = |around: &Around| self.around.iter().all(|other| other.path != around.path);
        if let Some(around) = around.filter(is_new) {
            self.around.push(around);
        }
        Ok(())
    }

    /// Names of the copies, for the journal.
    pub(crate) fn copies(&self) -> Vec<String> {
        let copy = |original: &Original| match &original.was {
            crate::originals::Was::File { copy, .. } => Some(copy.clone()),
            crate::originals::Was::Absent
            | crate::originals::Was::Symlink { .. }
            | crate::originals::Was::Directory { .. }
            | crate::originals::Was::Attributes { .. } => None,
        };
        self.originals.iter().filter_map(copy).collect()
    }
}

/// One kind of action. `undo` is right after `save`, whatever of `act` was done, and however often it is called.
pub(crate) trait Perform {
    /// Refuses where the machine is not what the plan was drawn from. Changes nothing.
    fn check(&self, context: &Context<'_>) -> Result<()>;

    /// Keeps what undoing takes.
    fn save(&self, context: &Context<'_>, keep: &Keep<'_>) -> Result<Saved>;

    /// Does it. `back` is for what is put back before the step is over.
    fn act(&self, context: &Context<'_>, back: &PutBack<'_>, saved: &Saved) -> Result<()>;

    /// Undoes it; what the person should know of it.
    fn undo(&self, context: &Context<'_>, back: &PutBack<'_>, saved: &Saved) -> Result<Vec<String>>;

    /// Whether it makes a program read files again, and so is undone by doing it once more when all files are back:
    /// in the order of the plan, after every other step is undone in reverse.
    fn is_reload(&self) -> bool {
        false
    }

    /// Tells what it makes.
    fn tell(&self, earlier: &mut Earlier);
}

/// The performer of an action.
pub(crate) fn performer(action: &Action) -> Box<dyn Perform + '_> {
    match action {
        Action::WriteFile { path, contents, mode, owner, before } => Box::new(file::WriteFile {
            path,
            contents: file::Contents::Bytes(&contents.0),
            mode: *mode,
            owner,
            before,
        }),
        Action::InstallProgram { path, digest, before } => Box::new(file::WriteFile {
            path,
            contents: file::Contents::ThisProgram(digest),
            mode: 0o755,
            owner: &Owner::Root,
            before,
        }),
        Action::MakeDirectory { path, mode, owner } => {
            Box::new(directory::MakeDirectory { path, mode: *mode, owner })
        }
        Action::MakeSymlink { path, target, before } => {
            Box::new(symlink::MakeSymlink { path, target, before })
        }
        Action::SetAttributes { path, mode, owner, mode_before } => {
            Box::new(set_attributes::SetAttributes { path, mode: *mode, owner, mode_before: *mode_before })
        }
        Action::RemoveFile { path, before } => Box::new(remove::RemoveFile { path, before }),
        Action::CreateUser { name, shell, home, groups } => {
            Box::new(create_user::CreateUser { name, shell, home, groups })
        }
        Action::ChangeUser { name, change } => Box::new(change_user::ChangeUser { name, change }),
        Action::ReloadSsh { program } => Box::new(reload::ReloadSsh { program }),
        Action::ReloadUnits => Box::new(reload::ReloadUnits),
        Action::SwitchService { unit, to, before, commands } => {
            Box::new(service::SwitchService { unit, to: *to, before: *before, commands: *commands })
        }
        Action::EditIptables { variant, edits } => {
            Box::new(iptables::EditIptables { variant: *variant, edits })
        }
        Action::UnloadTable { before } => Box::new(unload_table::UnloadTable { before }),
        Action::LoadFirewall { ruleset, generation } => {
            Box::new(firewall::LoadFirewall { ruleset, generation: *generation })
        }
        Action::ProveLogins { logins } => Box::new(logins::ProveLogins { logins }),
    }
}

impl Earlier {
    fn adds_path(&mut self, path: &Path) {
        self.paths.push(path.to_owned());
    }

    fn adds_account(&mut self, name: &str) {
        self.accounts.push(name.to_owned());
    }

    /// Whether an earlier step makes this path or a directory above it.
    fn makes(&self, path: &Path) -> bool {
        self.paths.iter().any(|made| path.starts_with(made))
    }

    fn switches(&self, service: &str) -> bool {
        self.services.iter().any(|switched| switched == service)
    }

    fn makes_account(&self, name: &str) -> bool {
        self.accounts.iter().any(|made| made == name)
    }
}

impl Context<'_> {
    fn stale(&self, what: impl Display, expected: impl Display, found: impl Display) -> Error {
        Error::StalePlan {
            step: self.step,
            what: what.to_string(),
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }

    /// Refuses where a path is not what the plan expects.
    fn check_before(&self, path: &Path, before: &Before) -> Result<()> {
        if self.earlier.makes(path) {
            return Ok(());
        }
        let found = match self.root.place(path) {
            Ok(place) => Found::at(&place)?,
            // A directory that is missing is told of when the step is done.
            Err(error) if error.is_not_found() => Found::Nothing,
            Err(error) => return Err(error),
        };
        let as_expected = match (before, &found) {
            (Before::Absent, Found::Nothing) => true,
            (Before::File(expected), Found::File(digest)) => expected == digest,
            (Before::Symlink(expected), Found::Symlink(target)) => expected == target,
            (Before::Absent | Before::File(_) | Before::Symlink(_), _) => false,
        };
        if as_expected { Ok(()) } else { Err(self.stale(path.display(), Found::expected(before), found)) }
    }

    /// Gives a path that is new the label that the policy of `SELinux` has for it: sshd does not read keys that are
    /// labelled as any other file of a home. Where `SELinux` is off there is nothing to do.
    fn label(&self, path: &Path) -> Result<()> {
        if !self.root.is_live() || !Path::new("/sys/fs/selinux/enforce").exists() {
            return Ok(());
        }
        match (Program::RestoreLabel { path }).run(self.root, None, b"") {
            Ok(_) | Err(Error::NoProgram { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// User and group of an owner; `now` are those of what is there.
    fn owner(&self, owner: &Owner, now: Option<(u32, u32)>) -> Result<(u32, u32)> {
        match owner {
            Owner::Keep => Ok(now.unwrap_or_else(|| {
                (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
            })),
            Owner::Root => Ok((0, 0)),
            Owner::Account(name) => account::ids(self, name),
        }
    }
}

/// What is at a path.
enum Found {
    Nothing,
    File(Sha256),
    Symlink(PathBuf),
    Directory,
    Other,
}

impl Found {
    fn at(place: &Place) -> Result<Self> {
        Ok(match kind_of(place)? {
            None => Self::Nothing,
            Some(FileType::RegularFile) => {
                // What is read here is what the plan's new content was made from.
                let file = place.open_guests_own()?;
                Self::File(Sha256::of_reader(file).map_err(Error::io("read", &place.path))?)
            }
            Some(FileType::Symlink) => Self::Symlink(link_target(place)?),
            Some(FileType::Directory) => Self::Directory,
            Some(_) => Self::Other,
        })
    }

    fn expected(before: &Before) -> Self {
        match before {
            Before::Absent => Self::Nothing,
            Before::File(digest) => Self::File(digest.clone()),
            Before::Symlink(target) => Self::Symlink(target.clone()),
        }
    }
}

impl Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::File(digest) => write!(f, "a file with SHA-256 {digest}"),
            Self::Symlink(target) => write!(f, "a link to {}", target.display()),
            Self::Directory => f.write_str("a directory"),
            Self::Other => f.write_str("a device, pipe or socket"),
        }
    }
}
