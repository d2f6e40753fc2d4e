//! Accounts, groups and passwords as facts; never a hash.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Fact;

/// The account database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Accounts {
    /// passwd(5), in the order of the file.
    pub users: Fact<Vec<Account>>,
    /// group(5).
    pub groups: Fact<Vec<Group>>,
    /// shadow(5).
    pub shadow: Fact<Vec<Shadow>>,
    /// /etc/shells.
    pub shells: Fact<Vec<PathBuf>>,
    /// login.defs(5), the last value of each key.
    #[serde(default)]
    pub login_defs: Fact<BTreeMap<String, String>>,
}

/// One line of passwd(5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Account {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Home directory.
    pub home: PathBuf,
    /// Login shell; empty means /bin/sh.
    pub shell: PathBuf,
    /// Whether the password field is empty, that is, no password is asked even without shadow.
    pub passwd_field_empty: bool,
    /// Line in /etc/passwd, 1-based.
    pub line: usize,
}

/// One line of group(5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Group {
    /// Name.
    pub name: String,
    /// Group id.
    pub gid: u32,
    /// Supplementary members by name.
    pub members: Vec<String>,
    /// Line in /etc/group, 1-based.
    pub line: usize,
}

/// One line of shadow(5), the hash left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Shadow {
    /// Login name.
    pub name: String,
    /// What the password field says.
    pub password: PasswordState,
    /// Day of the last change; 0 forces a change at the next login.
    pub last_change: Option<i64>,
    /// Days after which the password must be changed.
    pub max_age: Option<i64>,
    /// Days after expiry until the account is disabled.
    pub inactive: Option<i64>,
    /// Day on which the account expires.
    pub expires: Option<i64>,
    /// Line in /etc/shadow, 1-based.
    pub line: usize,
}

/// State of a shadow password field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PasswordState {
    /// Empty: logs in without a password.
    Empty,
    /// Begins with `!`: locked. sshd refuses such an account where it was built or run without PAM.
    Locked,
    /// `*` or another text that no password hashes to.
    Impossible,
    /// A usable crypt(5) hash: its method (`y`, `6`, `5`, `1`, ...) and the SHA-256 of the field, in hex.
    Usable {
        /// Text between the first two dollar signs; `des` for the traditional one.
        method: String,
        /// SHA-256 of the whole field, to compare without keeping it.
        digest: String,
    },
}
