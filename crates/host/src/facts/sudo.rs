//! What sudo grants, as facts.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Fact;

/// What sudo grants one account, by the sudoers files and, where it was asked, by `sudo -l -U NAME`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SudoListing {
    /// May run every command as root.
    pub all: bool,
    /// ... and is not asked for a password.
    pub no_password: bool,
    /// `file:line` of the deciding rule, where the sudoers files were read.
    pub decided_by: Option<String>,
    /// May run some command as root or as another, be it every one or a few.
    #[serde(default)]
    pub any: bool,
    /// `file:line` of each rule for this account that asks for no password, be it for one command.
    #[serde(default)]
    pub no_password_rules: Vec<String>,
    /// Commands taken away again after `ALL` was granted, as written; `all` is then false.
    #[serde(default)]
    pub exceptions: Vec<String>,
    /// `sudo -l -U NAME` was run and agrees.
    #[serde(default)]
    pub confirmed_by_sudo: bool,
}

/// The sudoers files as such.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sudoers {
    /// The files in the order in which sudo reads them; their bytes stand in `Facts::files`.
    pub files: Fact<Vec<PathBuf>>,
    /// `visudo -c`: nothing where it accepts them, otherwise what it says.
    pub check: Fact<Option<String>>,
    /// `Defaults` that change what a rule means.
    pub defaults: Vec<SudoDefault>,
}

/// A `Defaults` setting that changes what a rule means: `targetpw`, `rootpw`, `runaspw`, `authenticate`,
/// `requiretty`, `runas_default`, `timestamp_timeout`, `passwd_tries`, `exempt_group`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SudoDefault {
    /// Its name.
    pub name: String,
    /// Its value: `true`, `false`, or the text.
    pub value: String,
    /// For whom, as written after `Defaults` (`:bob`, `@host`, `>root`, `!/bin/ls`); empty for everyone.
    pub scope: String,
    /// `file:line`.
    pub place: String,
}
