//! Whether an account can get in: every condition of a login by key over SSH, and of becoming root after it.
//!
//! Each alone shuts the door, and each was seen to do so on a real host. The audit asks this of a host as it is, the
//! lock-out guard of a host as a plan would leave it.

mod account;
mod keys;
mod network;
mod root;
mod server;

pub(crate) use network::{filter_lets_in, likely_connections};

use std::fmt;
use std::net::IpAddr;

use host::Facts;
use host::facts::{Account, Via, WayIn};
use serde::Serialize;

use crate::judgement::NotKnown;
use crate::ssh::{Effective, Sshd, Unread};

/// A connection by which somebody comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Connection {
    /// The client's address.
    pub peer: IpAddr,
    /// The address of this host that it is connected to.
    pub local: IpAddr,
    /// ... and the TCP port.
    pub local_port: u16,
}

impl Connection {
    /// How the person that runs this came in; none where that was not over SSH.
    pub fn of(way_in: &WayIn) -> Option<Self> {
        match way_in.via {
            Via::Ssh { peer, local, local_port, .. } => Some(Self { peer, local, local_port }),
            Via::Console => None,
        }
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {} port {}", self.peer, self.local, self.local_port)
    }
}

/// What must hold for an account to get in and become root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Requirement {
    /// passwd(5) has the account.
    Account,
    /// Its shell is there, can be run, and does not turn logins away.
    Shell,
    /// The account has not expired.
    Expiry,
    /// Its password has not expired, and no change of it is forced.
    PasswordAge,
    /// sshd does not take it for locked.
    Lock,
    /// /etc/nologin does not keep it out.
    NoLogin,
    /// `AuthorizedKeysFile` leads to a file that sshd can read as the account.
    KeyFile,
    /// `StrictModes` has nothing against that file and the directories above it.
    KeyFileModes,
    /// The file holds a key that sshd takes.
    Key,
    /// `PubkeyAuthentication` is on.
    PublicKeyLogin,
    /// `AuthenticationMethods` is satisfied by a key.
    Methods,
    /// The `Allow` and `Deny` lists let the account in.
    AllowLists,
    /// `PermitRootLogin`, for root.
    RootLogin,
    /// `MaxAuthTries` leaves a try.
    Tries,
    /// The session is a shell: no `ForceCommand`, `ChrootDirectory` or `RefuseConnection` stands in its way.
    Session,
    /// sshd, or its socket unit, listens where the connection arrives.
    Port,
    /// The packet filter lets the connection through.
    PacketFilter,
    /// sudo lets the account run everything as root.
    Sudo,
    /// ... and asks for no password that cannot be typed.
    SudoPassword,
}

impl Requirement {
    /// Its name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Shell => "shell",
            Self::Expiry => "expiry",
            Self::PasswordAge => "password-age",
            Self::Lock => "lock",
            Self::NoLogin => "no-login",
            Self::KeyFile => "key-file",
            Self::KeyFileModes => "key-file-modes",
            Self::Key => "key",
            Self::PublicKeyLogin => "public-key-login",
            Self::Methods => "methods",
            Self::AllowLists => "allow-lists",
            Self::RootLogin => "root-login",
            Self::Tries => "tries",
            Self::Session => "session",
            Self::Port => "port",
            Self::PacketFilter => "packet-filter",
            Self::Sudo => "sudo",
            Self::SudoPassword => "sudo-password",
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One condition of a way in, judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Condition {
    /// Which.
    pub name: Requirement,
    /// Whether it holds.
    pub holds: Holds,
    /// What is, in a line: `the home directory of deploy is writable by everybody`.
    pub what: String,
    /// What decides it: `/etc/ssh/sshd_config:33`, `/home/deploy (mode 0777, owner 1000)`.
    pub decided_by: Vec<String>,
}

/// Whether a condition holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holds {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// That could not be judged, for this reason. Never a yes.
    Unknown(String),
}

impl Condition {
    fn yes(name: Requirement, what: impl Into<String>) -> Self {
        Self { name, holds: Holds::Yes, what: what.into(), decided_by: Vec::new() }
    }

    fn no(name: Requirement, what: impl Into<String>) -> Self {
        Self { name, holds: Holds::No, what: what.into(), decided_by: Vec::new() }
    }

    fn unknown(name: Requirement, what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { name, holds: Holds::Unknown(reason.into()), what: what.into(), decided_by: Vec::new() }
    }

    /// A condition that rests on a fact that is not known.
    fn not_known(name: Requirement, NotKnown { what, reason }: NotKnown) -> Self {
        Self::unknown(name, what, reason)
    }

    fn at(mut self, place: impl Into<String>) -> Self {
        self.decided_by.push(place.into());
        self
    }

    fn at_all(mut self, places: impl IntoIterator<Item = String>) -> Self {
        self.decided_by.extend(places);
        self
    }
}

/// The answer of a condition's function: `?` on a fact that is not known makes the condition unknown.
type Judged = Result<Condition, NotKnown>;

/// What every condition looks at: one account that comes in by one connection.
struct Attempt<'a> {
    facts: &'a Facts,
    account: &'a Account,
    connection: &'a Connection,
    sshd: &'a Result<Sshd, Unread>,
}

impl Attempt<'_> {
    /// The server's configuration, or the fault that it is not known.
    fn sshd(&self) -> Result<&Sshd, NotKnown> {
        self.sshd.as_ref().map_err(NotKnown::from)
    }

    /// What applies to this login.
    fn effective(&self) -> Result<Effective, NotKnown> {
        self.sshd()?.for_login(self.facts, self.account, self.connection)
    }
}

/// A function that judges one condition.
type Check = fn(&Attempt<'_>) -> Judged;

const CONDITIONS: &[(Requirement, Check)] = &[
    (Requirement::Shell, account::shell),
    (Requirement::Expiry, account::expiry),
    (Requirement::PasswordAge, account::password_age),
    (Requirement::Lock, account::lock),
    (Requirement::NoLogin, account::no_login),
    (Requirement::KeyFile, keys::key_file),
    (Requirement::KeyFileModes, keys::key_file_modes),
    (Requirement::Key, keys::key),
    (Requirement::PublicKeyLogin, server::public_key_login),
    (Requirement::Methods, server::methods),
    (Requirement::AllowLists, server::allow_lists),
    (Requirement::RootLogin, server::root_login),
    (Requirement::Tries, server::tries),
    (Requirement::Session, server::session),
    (Requirement::Port, network::port),
    (Requirement::PacketFilter, network::packet_filter),
    (Requirement::Sudo, root::sudo),
    (Requirement::SudoPassword, root::sudo_password),
];

/// Judges every condition for an account to log in by key over a connection, and to become root by sudo.
///
/// Without a connection, it is enough that there is one, from anywhere, by IPv4 or IPv6: the conditions of the best of
/// those that could be. The account gets in for certain only if every condition holds.
pub fn judge(facts: &Facts, account: &str, connection: Option<&Connection>) -> Vec<Condition> {
    let sshd = Sshd::read(facts);
    let connections = match connection {
        Some(connection) => vec![*connection],
        None => likely_connections(facts, &sshd, &[]),
    };
    judge_best(facts, &sshd, account, &connections)
}

/// The conditions over that connection of several under which the fewest fail.
pub(crate) fn judge_best(
    facts: &Facts,
    sshd: &Result<Sshd, Unread>,
    name: &str,
    connections: &[Connection],
) -> Vec<Condition> {
    let judged = connections.iter().map(|connection| judge_one(facts, sshd, name, connection));
    let failing =
        |conditions: &Vec<Condition>| conditions.iter().filter(|one| one.holds != Holds::Yes).count();
    judged.min_by_key(failing).unwrap_or_default()
}

fn judge_one(
    facts: &Facts,
    sshd: &Result<Sshd, Unread>,
    name: &str,
    connection: &Connection,
) -> Vec<Condition> {
    let account = match crate::people::account(facts, name) {
        Err(unknown) => return vec![Condition::not_known(Requirement::Account, unknown)],
        Ok(None) => {
            let what = format!("there is no account {name}");
            return vec![Condition::no(Requirement::Account, what).at("/etc/passwd")];
        }
        Ok(Some(account)) => account,
    };
    let attempt = Attempt { facts, account, connection, sshd };
    let exists = Condition::yes(Requirement::Account, format!("the account {name} exists"))
        .at(crate::people::passwd_place(account));
    let judged = CONDITIONS
        .iter()
        .map(|(name, check)| check(&attempt).unwrap_or_else(|unknown| Condition::not_known(*name, unknown)));
    std::iter::once(exists).chain(judged).collect()
}

/// Whether every condition of them holds.
pub fn gets_in(conditions: &[Condition]) -> bool {
    !conditions.is_empty() && conditions.iter().all(|condition| condition.holds == Holds::Yes)
}

#[cfg(test)]
mod tests;
