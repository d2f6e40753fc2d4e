//! Changing an account that exists.

use super::account::{self, AccountFile, find, key, without_member};
use super::{Context, Earlier, Perform, Saved};
use crate::action::UserChange;
use crate::error::{Error, Result};
use crate::fault;
use crate::originals::{Keep, PutBack};
use crate::program::Program;

pub(super) struct ChangeUser<'a> {
    pub(super) name: &'a str,
    pub(super) change: &'a UserChange,
}

impl Perform for ChangeUser<'_> {
    fn check(&self, context: &Context<'_>) -> Result<()> {
        account::check_name(self.name)?;
        match self.change {
            UserChange::AddToGroup { group } => account::check_name(group)?,
            UserChange::SetPasswordHash { hash }
                if hash.0.bytes().any(|byte| byte == b':' || byte < b' ') =>
            {
                return Err(Error::BadName { name: "the password hash".to_owned() });
            }
            UserChange::SetShell { shell } => {
                let bytes = shell.as_os_str().as_encoded_bytes();
                if !shell.is_absolute() || bytes.iter().any(|byte| *byte == b':' || *byte < b' ') {
                    return Err(Error::BadPath { path: shell.clone() });
                }
            }
            UserChange::SetPasswordHash { .. }
            | UserChange::LockPassword
            | UserChange::NeverExpirePassword => {}
        }
        if context.earlier.makes_account(self.name) || account::entry(context.root, self.name)?.is_some() {
            Ok(())
        } else {
            Err(context.stale(format!("account {}", self.name), "an account in /etc/passwd", "none"))
        }
    }

    fn save(&self, _: &Context<'_>, keep: &Keep<'_>) -> Result<Saved> {
        account::save(keep)
    }

    fn act(&self, context: &Context<'_>, _: &PutBack<'_>, _: &Saved) -> Result<()> {
        let name = self.name;
        let run = |program: Program<'_>, input: &[u8]| program.run(context.root, Some(context.lock), input);
        match self.change {
            UserChange::AddToGroup { group } => run(Program::AddToGroup { name, group }, b"")?,
            UserChange::LockPassword => run(Program::LockPassword { name }, b"")?,
            UserChange::SetPasswordHash { hash } => {
                run(Program::SetPasswordHash, format!("{name}:{}\n", hash.0).as_bytes())?
            }
            UserChange::SetShell { shell } => run(Program::SetShell { name, shell }, b"")?,
            UserChange::NeverExpirePassword => run(Program::NeverExpire { name }, b"")?,
        };
        fault::point("accounts: the program ended");
        account::sync_all(context.root)
    }

    fn undo(&self, _: &Context<'_>, back: &PutBack<'_>, saved: &Saved) -> Result<Vec<String>> {
        account::undo(back, saved, self.name, |file, now, before| {
            now.into_iter().map(|line| self.strip(file, line, before)).collect()
        })
    }

    fn tell(&self, _: &mut Earlier) {}
}

impl ChangeUser<'_> {
    /// Takes what this change did out of a line.
    fn strip(&self, file: AccountFile, line: String, before: &[String]) -> String {
        let Some(old) = find(before, key(&line)) else {
            return line;
        };
        let own = key(&line) == self.name;
        match (self.change, file.name()) {
            (UserChange::AddToGroup { group }, "group" | "gshadow") if key(&line) == group => {
                without_member(&line, old, self.name)
            }
            (UserChange::LockPassword, "shadow") if own => {
                let locked = format!("!{}", field(old, PASSWORD));
                if field(&line, PASSWORD) == locked { with_fields_of(&line, old, &[PASSWORD]) } else { line }
            }
            (UserChange::SetPasswordHash { hash }, "shadow") if own => {
                // Somebody who set another password meanwhile keeps it.
                let ours = field(&line, PASSWORD) == hash.0;
                if ours { with_fields_of(&line, old, &[PASSWORD, LAST_CHANGE]) } else { line }
            }
            (UserChange::SetShell { shell }, "passwd") if own => {
                let ours = std::path::Path::new(field(&line, SHELL)) == shell;
                if ours { with_fields_of(&line, old, &[SHELL]) } else { line }
            }
            (UserChange::NeverExpirePassword, "shadow") if own => {
                let ours = matches!(field(&line, MOST_DAYS), "-1" | "");
                if ours { with_fields_of(&line, old, &[MOST_DAYS]) } else { line }
            }
            (
                UserChange::AddToGroup { .. }
                | UserChange::LockPassword
                | UserChange::SetPasswordHash { .. }
                | UserChange::SetShell { .. }
                | UserChange::NeverExpirePassword,
                _,
            ) => line,
        }
    }
}

/// Fields of shadow(5) and passwd(5), from 0.
const PASSWORD: usize = 1;
const LAST_CHANGE: usize = 2;
const MOST_DAYS: usize = 4;
const SHELL: usize = 6;

fn field(line: &str, index: usize) -> &str {
    line.split(':').nth(index).unwrap_or_default()
}

fn with_fields_of(line: &str, old: &str, fields: &[usize]) -> String {
    let pick = |(index, now): (usize, &str)| {
        if fields.contains(&index) { field(old, index) } else { now }.to_owned()
    };
    line.split(':').enumerate().map(pick).collect::<Vec<_>>().join(":")
}
