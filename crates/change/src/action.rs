//! The closed list of what this program can do to a machine.

use std::path::PathBuf;

use host::facts::IptablesVariant;
use serde::{Deserialize, Serialize};

use crate::hex::Sha256;

/// One change. Each knows what it replaces, what it does, and what undoing it takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "action")]
pub enum Action {
    /// Put a regular file in place, atomically. An existing file's xattrs and, where `owner` is none, its owner stay.
    WriteFile {
        /// Absolute path; symbolic links in its directory are not followed.
        path: PathBuf,
        /// The whole new content.
        contents: Bytes,
        /// Permission bits.
        mode: u32,
        /// Owner; by name, since the account may be made by an earlier action.
        owner: Owner,
        /// What must be there now.
        before: Before,
    },
    /// Copy this very program to a path (kept out of the plan's JSON for its size).
    InstallProgram {
        /// Where to.
        path: PathBuf,
        /// SHA-256 of the program.
        digest: Sha256,
        /// What must be there now.
        before: Before,
    },
    /// Make a directory, its parent being there.
    MakeDirectory {
        /// Absolute path.
        path: PathBuf,
        /// Permission bits.
        mode: u32,
        /// Owner.
        owner: Owner,
    },
    /// Make a symbolic link (enabling a unit without asking systemd).
    MakeSymlink {
        /// Where.
        path: PathBuf,
        /// To what, as written.
        target: PathBuf,
        /// What must be there now.
        before: Before,
    },
    /// Change mode and owner of what exists.
    SetAttributes {
        /// Absolute path.
        path: PathBuf,
        /// Permission bits.
        mode: u32,
        /// Owner.
        owner: Owner,
        /// Permission bits that it must have now.
        mode_before: u32,
    },
    /// Remove a regular file or symbolic link.
    RemoveFile {
        /// Absolute path.
        path: PathBuf,
        /// What must be there now.
        before: Before,
    },
    /// Create a login account with a home directory, through the host's own useradd.
    CreateUser {
        /// Login name; must not exist.
        name: String,
        /// Login shell.
        shell: PathBuf,
        /// Home directory, made from /etc/skel.
        home: PathBuf,
        /// Supplementary groups, all existing.
        groups: Vec<String>,
    },
    /// Change an existing account, through the host's own usermod, chage or chpasswd.
    ChangeUser {
        /// Login name.
        name: String,
        /// What about it.
        change: UserChange,
    },
    /// Reload a running sshd: its unit where there is one, otherwise SIGHUP to the master.
    /// The configuration is tested with `sshd -t` before, and refused if it fails.
    ReloadSsh {
        /// The sshd program.
        program: PathBuf,
    },
    /// Have systemd read its units again. Nothing without systemd.
    ReloadUnits,
    /// Switch a service: whether it runs, and whether it starts at boot. A unit of systemd; where there is none, the init
    /// script of that name.
    SwitchService {
        /// `ufw.service`.
        unit: String,
        /// What it is to be.
        to: ServiceState,
        /// What it must be now.
        before: ServiceState,
        /// Whether its own commands are run to start and to stop it.
        commands: Commands,
    },
    /// Load the compiled ruleset into the kernel, one batch.
    LoadFirewall {
        /// The ruleset.
        #[serde(deserialize_with = "crate::json::by_its_own_text")]
        ruleset: Box<packet_filter::Compiled>,
        /// The kernel's generation id that the plan was drawn from.
        generation: Option<u32>,
    },
    /// Change rules of iptables through the host's own iptables-restore and ip6tables-restore: both are tested, then both
    /// are loaded. Undone, the rules are what they were, and what others did to them meanwhile stays.
    EditIptables {
        /// Whose tables.
        variant: IptablesVariant,
        /// What is changed.
        edits: IptablesEdits,
    },
    /// Take a table that another program has loaded out of the kernel.
    UnloadTable {
        /// The table as it must be now.
        #[serde(deserialize_with = "crate::json::by_its_own_text")]
        before: Box<nf_tables::TableDump>,
    },
    /// Log in for real, over loopback, with a key pair made for the moment: what must work works, what must be
    /// refused is refused. The key stands in the accounts' `authorized_keys` only while this runs; what was there
    /// is saved before and put back after. A proof that fails fails the transaction.
    ProveLogins {
        /// The logins to try, those that must succeed first.
        logins: Vec<LoginProof>,
    },
}

/// What is changed of iptables' rules in each family.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct IptablesEdits {
    /// Through iptables-restore.
    pub v4: Option<IptablesEdit>,
    /// Through ip6tables-restore.
    pub v6: Option<IptablesEdit>,
}

/// A change of rules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct IptablesEdit {
    /// The text that `iptables-restore --noflush` reads.
    pub text: String,
    /// The chains that it changes as they must be now, as iptables-save prints them without counters.
    pub before: String,
}

/// Whether a service runs and whether it starts at boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServiceState {
    /// It runs, or has run and counts as active.
    pub active: bool,
    /// Whether it starts at boot.
    pub at_boot: AtBoot,
}

/// Whether a service starts at boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AtBoot {
    /// A target or run level wants it.
    Enabled,
    /// Nothing wants it, though it can be started by hand or by others that need it.
    Disabled,
    /// Nothing can start it: its unit is a link to /dev/null.
    Masked,
}

/// What is done with the commands of a service that is switched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Commands {
    /// They are run, as `systemctl stop` does.
    Run,
    /// They are not: only the state changes. For units of `Type=oneshot`, whose commands would undo what others do (that of
    /// nftables.service flushes every table there is).
    Skip,
}

impl std::fmt::Display for ServiceState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at_boot = match self.at_boot {
            AtBoot::Enabled => "enabled",
            AtBoot::Disabled => "disabled",
            AtBoot::Masked => "masked",
        };
        write!(f, "{}, {at_boot}", if self.active { "active" } else { "inactive" })
    }
}

/// One real login over loopback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LoginProof {
    /// Account.
    pub account: String,
    /// Address and port of the server, as `127.0.0.1:22` or `[::1]:22`.
    pub server: std::net::SocketAddr,
    /// What is tried.
    pub by: LoginBy,
    /// Whether it must succeed.
    pub succeeds: bool,
    /// The `authorized_keys` file in which the key of the moment is put, for `by = key`.
    pub authorized_keys: PathBuf,
}

/// How a login is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoginBy {
    /// With a key that the account trusts; where it succeeds, sudo is tried in it.
    Key {
        /// Whether sudo must work without a password; otherwise `sudo -l` for the account, as root, must grant ALL.
        sudo_without_password: Option<bool>,
    },
    /// By password or keyboard-interactive: the server must not even offer it.
    Password,
}

/// A change to an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "change")]
pub enum UserChange {
    /// Add to a supplementary group.
    AddToGroup {
        /// The group.
        group: String,
    },
    /// Lock the password.
    LockPassword,
    /// Set the password's crypt(5) hash.
    SetPasswordHash {
        /// The hash. Never printed.
        hash: Secret,
    },
    /// Set the login shell.
    SetShell {
        /// The shell.
        shell: PathBuf,
    },
    /// The password never expires (`chage -M -1`).
    NeverExpirePassword,
}

/// Text that is stored but never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Owner and group of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// As it is now; root for a new file.
    Keep,
    /// root:root.
    Root,
    /// This account and its primary group.
    Account(String),
}

/// What must be at a path for an action to go ahead; otherwise the plan is stale and refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Before {
    /// Nothing.
    Absent,
    /// A regular file with this content.
    File(Sha256),
    /// A symbolic link to this target.
    Symlink(PathBuf),
}

/// File content: text in JSON where it is UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

/// What can go wrong for the person at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    /// Nothing can be lost by it.
    None,
    /// May cut off who is logged in: the confirmation timer is armed before the first of these.
    CutOff,
}
