//! A plan in the making: adds only what differs from the facts, with the hash of what it replaces and a diff of it.

use std::path::{Path, PathBuf};

use host::facts::{Entry, EntryKind, FileFact};
use host::{Fact, Facts};

use super::{Plan, PlanError, Step};
use crate::action::{Action, Before, Bytes, Owner, Risk};
use crate::hex::Sha256;

/// Made by the transaction itself, for its journal.
const OWN_STATE: &str = "/var/lib/gabion";

/// Steps so far, and the facts that they start from.
pub(super) struct Draft<'a> {
    pub(super) facts: &'a Facts,
    steps: Vec<Step>,
    notes: Vec<String>,
}

/// Why a step is taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reason<'a> {
    pub(super) why: &'a str,
    pub(super) controls: &'a [&'a str],
    pub(super) risk: Risk,
}

/// A regular file as it should be.
pub(super) struct WantedFile {
    pub(super) path: PathBuf,
    pub(super) contents: Vec<u8>,
    pub(super) mode: u32,
    pub(super) owner: Owner,
}

impl<'a> Draft<'a> {
    pub(super) fn new(facts: &'a Facts) -> Self {
        Self { facts, steps: Vec::new(), notes: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    pub(super) fn finish(self) -> Plan {
        Plan { steps: self.steps, notes: self.notes }
    }

    /// Puts another draft's steps and notes behind this one's.
    pub(super) fn append(&mut self, other: Self) {
        self.steps.extend(other.steps);
        self.notes.extend(other.notes);
    }

    /// Tells the person something beside the steps.
    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Adds a step as it is.
    pub(super) fn step(&mut self, action: Action, shows: String, reason: Reason<'_>) {
        self.steps.push(Step {
            action,
            why: reason.why.to_owned(),
            controls: reason.controls.iter().map(|id| (*id).to_owned()).collect(),
            shows,
            risk: reason.risk,
        });
    }

    /// Of the steps that do this, keeps the last: once is enough.
    pub(super) fn keep_last(&mut self, does: impl Fn(&Action) -> bool) {
        let last = self.steps.iter().rposition(|step| does(&step.action));
        let mut index = 0;
        self.steps.retain(|step| {
            index += 1;
            !does(&step.action) || Some(index - 1) == last
        });
    }

    /// Whether a step so far does this.
    pub(super) fn any(&self, does: impl Fn(&Action) -> bool) -> bool {
        self.steps.iter().any(|step| does(&step.action))
    }

    /// The entry at a path, `None` where there is nothing; an error where that is not known.
    pub(super) fn entry(&self, path: &Path) -> Result<Option<&'a Entry>, PlanError> {
        let unknown =
            |reason: &str| PlanError::Unknown { what: path.display().to_string(), reason: reason.to_owned() };
        match self.facts.file(path) {
            FileFact::Present(entry) => Ok(Some(entry)),
            FileFact::Absent => Ok(None),
            FileFact::Unreadable(reason) => Err(unknown(reason)),
            FileFact::NotLookedAt => Err(unknown("it was not looked at")),
        }
    }

    /// The same as [`Self::file`], with words in place of a diff that nobody could read.
    pub(super) fn file_shown_as(
        &mut self,
        wanted: WantedFile,
        shows: &str,
        reason: Reason<'_>,
    ) -> Result<bool, PlanError> {
        let added = self.file(wanted, reason)?;
        if let Some(step) =
            self.steps.last_mut().filter(|step| added && matches!(step.action, Action::WriteFile { .. }))
        {
            step.shows = shows.to_owned();
        }
        Ok(added)
    }

    /// Brings a regular file to what it should be. Says whether a step was added.
    pub(super) fn file(&mut self, wanted: WantedFile, reason: Reason<'_>) -> Result<bool, PlanError> {
        let Some(entry) = self.entry(&wanted.path)? else {
            self.directories_of(&wanted.path, &wanted.owner, reason)?;
            self.write(wanted, None, reason);
            return Ok(true);
        };
        if entry.kind != EntryKind::File {
            return Err(PlanError::InTheWay { path: wanted.path });
        }
        let Some(content) = &entry.content else {
            return Err(PlanError::Unknown {
                what: wanted.path.display().to_string(),
                reason: "its content was not read".to_owned(),
            });
        };
        if content.0 != wanted.contents {
            self.write(wanted, Some(&content.0), reason);
            return Ok(true);
        }
        Ok(self.attributes_of(&wanted.path, entry, wanted.mode, &wanted.owner, reason))
    }

    /// Brings mode and owner of what exists to what they should be.
    pub(super) fn attributes(
        &mut self,
        path: &Path,
        mode: u32,
        owner: &Owner,
        reason: Reason<'_>,
    ) -> Result<bool, PlanError> {
        match self.entry(path)? {
            Some(entry) => Ok(self.attributes_of(path, entry, mode, owner, reason)),
            None => Ok(false),
        }
    }

    fn attributes_of(
        &mut self,
        path: &Path,
        entry: &Entry,
        mode: u32,
        owner: &Owner,
        reason: Reason<'_>,
    ) -> bool {
        let owned = self.owner_ids(owner).is_none_or(|(uid, gid)| entry.uid == uid && entry.gid == gid);
        if entry.mode == mode && owned {
            return false;
        }
        let shows = format!("mode {:04o} -> {mode:04o}", entry.mode);
        let action = Action::SetAttributes {
            path: path.to_owned(),
            mode,
            owner: owner.clone(),
            mode_before: entry.mode,
        };
        self.step(action, shows, reason);
        true
    }

    fn write(&mut self, wanted: WantedFile, now: Option<&[u8]>, reason: Reason<'_>) {
        let shows = unified_diff(&wanted.path, now, Some(&wanted.contents));
        let before = now.map_or(Before::Absent, |bytes| Before::File(Sha256::of(bytes)));
        let WantedFile { path, contents, mode, owner } = wanted;
        self.step(Action::WriteFile { path, contents: Bytes(contents), mode, owner, before }, shows, reason);
    }

    /// Makes the directories above a new file that are missing: 0755 root's, 0700 an account's.
    fn directories_of(&mut self, path: &Path, owner: &Owner, reason: Reason<'_>) -> Result<(), PlanError> {
        let mut missing = Vec::new();
        for directory in path.ancestors().skip(1).take_while(|directory| *directory != Path::new(OWN_STATE)) {
            let made =
                self.any(|action| matches!(action, Action::MakeDirectory { path, .. } if path == directory));
            let home =
                self.any(|action| matches!(action, Action::CreateUser { home, .. } if home == directory));
            match self.facts.file(directory) {
                FileFact::Absent if !made && !home => missing.push(directory.to_owned()),
                FileFact::Absent | FileFact::Present(_) | FileFact::NotLookedAt => break,
                FileFact::Unreadable(reason) => {
                    return Err(PlanError::Unknown {
                        what: directory.display().to_string(),
                        reason: reason.clone(),
                    });
                }
            }
        }
        let mode = if matches!(owner, Owner::Account(_)) { 0o700 } else { 0o755 };
        for directory in missing.into_iter().rev() {
            let action = Action::MakeDirectory { path: directory, mode, owner: owner.clone() };
            self.step(action, format!("new directory, mode {mode:04o}"), reason);
        }
        Ok(())
    }

    /// Makes a symbolic link that is missing or leads elsewhere.
    pub(super) fn symlink(
        &mut self,
        path: &Path,
        target: &str,
        reason: Reason<'_>,
    ) -> Result<bool, PlanError> {
        let before = match self.entry(path)?.map(|entry| &entry.kind) {
            Some(EntryKind::Symlink(now)) if now == Path::new(target) => return Ok(false),
            Some(EntryKind::Symlink(now)) => Before::Symlink(now.clone()),
            Some(_) => {
                return Err(PlanError::InTheWay { path: path.to_owned() });
            }
            None => {
                self.directories_of(path, &Owner::Root, reason)?;
                Before::Absent
            }
        };
        let action = Action::MakeSymlink { path: path.to_owned(), target: target.into(), before };
        self.step(action, format!("-> {target}"), reason);
        Ok(true)
    }

    /// User and group id of an owner, where they are known before the plan is carried out.
    fn owner_ids(&self, owner: &Owner) -> Option<(u32, u32)> {
        match owner {
            Owner::Keep => None,
            Owner::Root => Some((0, 0)),
            Owner::Account(name) => {
                let users = self.facts.accounts.users.known()?;
                users.iter().find(|user| user.name == *name).map(|user| (user.uid, user.gid))
            }
        }
    }
}

/// What is known, or the error that says that it is not.
pub(super) fn known<'f, T>(fact: &'f Fact<T>, what: &str) -> Result<&'f T, PlanError> {
    match fact {
        Fact::Known(value) => Ok(value),
        Fact::Unknown(reason) => Err(PlanError::Unknown { what: what.to_owned(), reason: reason.clone() }),
    }
}

/// A unified diff of a file's text, `None` standing for no file.
pub(super) fn unified_diff(path: &Path, old: Option<&[u8]>, new: Option<&[u8]>) -> String {
    let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let name = |bytes: Option<&[u8]>| bytes.map_or("/dev/null".to_owned(), |_| path.display().to_string());
    let (old_text, new_text) = (text(old), text(new));
    super::diff::unified((&name(old), &name(new)), &old_text, &new_text)
}
