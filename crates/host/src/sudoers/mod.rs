//! sudoers(5), read far enough to say what it grants an account, and by which line.
//!
//! What is not understood is an error of its line, and then nothing is said of anybody: a rule that was not
//! understood could be the one that decides.

mod cursor;
mod evaluate;
mod lines;
mod listing;
mod parse;
mod read;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

pub(crate) use evaluate::{Machine, Subject, evaluate};
pub(crate) use listing::parse_listing;
pub(crate) use read::read;

/// All that the sudoers files say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    /// The files in reading order.
    pub(crate) files: Vec<PathBuf>,
    /// Aliases of each kind; a name may be used before it is defined.
    pub(crate) aliases: BTreeMap<(AliasKind, String), Alias>,
    /// User specifications in reading order.
    pub(crate) rules: Vec<Rule>,
    /// `Defaults` in reading order.
    pub(crate) defaults: Vec<Setting>,
    /// Lines and files that were not understood, or that sudo would not read.
    pub(crate) errors: Vec<(Place, String)>,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: PathBuf,
    /// 1-based; 0 for the file as a whole.
    pub(crate) line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.file.display()),
            line => write!(f, "{}:{line}", self.file.display()),
        }
    }
}

/// Kinds of alias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum AliasKind {
    User,
    RunAs,
    Host,
    Command,
}

/// What an alias stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Alias {
    Members(Vec<Member>),
    Commands(Vec<Granted>),
}

/// One of a list of users, groups or hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) negated: bool,
    pub(crate) name: Name,
}

/// Whom a member names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    All,
    Word(String),
    Alias(String),
    Id(u32),
    Group(String),
    GroupId(u32),
    /// `+name`, from NIS or LDAP: not known here.
    Netgroup(String),
    /// `%:name`, from a plugin: not known here.
    ForeignGroup(String),
}

/// `users hosts = commands : hosts = commands`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) place: Place,
    pub(crate) users: Vec<Member>,
    pub(crate) grants: Vec<Grant>,
}

/// `hosts = commands`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) hosts: Vec<Member>,
    pub(crate) commands: Vec<Command>,
}

/// A command with what holds for it, inherited from those before it in its list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    /// `(users:groups)`; nothing means the default, root.
    pub(crate) run_as: Option<RunAs>,
    /// `NOPASSWD:` or `PASSWD:`.
    pub(crate) no_password: Option<bool>,
    /// `NOTBEFORE` or `NOTAFTER` is set.
    pub(crate) time_limited: bool,
    pub(crate) granted: Granted,
}

/// A command, or one that is taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) negated: bool,
    pub(crate) what: What,
}

/// Which command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    All,
    Alias(String),
    /// A path with arguments, a directory, `sudoedit`, a regular expression, as written.
    Text(String),
}

/// `(users:groups)`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RunAs {
    pub(crate) users: Vec<Member>,
    pub(crate) groups: Vec<Member>,
}

/// One setting of a `Defaults` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) place: Place,
    pub(crate) scope: Scope,
    /// The scope as written.
    pub(crate) written_scope: String,
    pub(crate) name: String,
    /// `true`, `false`, or the text.
    pub(crate) value: String,
}

/// For whom a `Defaults` line holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    Everyone,
    Users(Vec<Member>),
    Hosts(Vec<Member>),
    RunAs(Vec<Member>),
    Commands,
}

#[cfg(test)]
mod tests;
