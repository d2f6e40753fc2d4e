//! Logins from outside: what is tried, and the rows that it makes in the report.

use std::net::SocketAddr;

use policy::Policy;
use probe::Outside;
use report::verification::{Agreement, Check, Difference};

use super::keys::Keys;
use crate::attack::judge::{agreement, family};
use crate::attack::{Attempt, Client, Target, guess_passwords, log_in_by_key};

/// What was tried on the SSH server.
pub(super) struct Logins {
    /// Passwords guessed for root: how many were tried, and how the last try ended.
    guessing: (usize, Attempt),
    /// Root with a key that its file holds, by family.
    root: Vec<(Target, Attempt)>,
    /// Each administrator with a key, by family.
    admins: Vec<(String, Target, Attempt)>,
    /// Whether there is a sudo to become root by.
    has_sudo: bool,
}

/// What the administrator's login runs: it must become root without being asked. Where sudo is not installed, it only logs in.
const BECOME_ROOT: &str = "sudo -n id -u";
const LOG_IN: &str = "id -u";

impl Logins {
    /// What must succeed is tried first: newer servers refuse an address that has failed for a while.
    pub(super) fn try_all(
        outside: &Outside,
        client: &Client,
        keys: &Keys,
        targets: &[Target],
        port: u16,
        admins: &[&str],
        has_sudo: bool,
    ) -> Result<Self, probe::Error> {
        let server = |target: &Target| SocketAddr::new(target.to, port);
        let run = if has_sudo { BECOME_ROOT } else { LOG_IN };
        let mut by_admin = Vec::new();
        let mut by_root = Vec::new();
        for target in targets {
            for admin in admins {
                let attempt = log_in_by_key(outside, client, admin, server(target), &keys.private, run)?;
                by_admin.push(((*admin).to_owned(), *target, attempt));
            }
        }
        for target in targets {
            let attempt = log_in_by_key(outside, client, "root", server(target), &keys.private, "id -u")?;
            by_root.push((*target, attempt));
        }
        let guessing = match targets.first() {
            Some(target) => guess_passwords(outside, client, "root", server(target))?,
            None => (0, Attempt::Unreachable("no address".to_owned())),
        };
        Ok(Self { guessing, root: by_root, admins: by_admin, has_sudo })
    }

    pub(super) fn count(&self) -> usize {
        self.guessing.0 + self.root.len() + self.admins.len()
    }

    pub(super) fn checks(&self, before: Option<&Self>, policy: &Policy) -> Vec<Check> {
        let mut checks = Vec::new();
        for (index, (admin, target, attempt)) in self.admins.iter().enumerate() {
            let (seen, then, wanted) = if self.has_sudo {
                (as_admin as fn(&Attempt) -> String, " and sudo", "logs in, becomes root")
            } else {
                (as_root as fn(&Attempt) -> String, "", "logs in")
            };
            let before =
                before.and_then(|before| before.admins.get(index)).map(|(_, _, attempt)| seen(attempt));
            let what = format!("{admin} by key{then}, {}", family(target.to));
            checks.push(row(what, before, seen(attempt), wanted));
        }
        for (index, (target, attempt)) in self.root.iter().enumerate() {
            let then = before.and_then(|before| before.root.get(index)).map(|(_, attempt)| as_root(attempt));
            let wanted = if policy.ssh.root_login { "logs in" } else { "refused" };
            checks.push(row(format!("root by key, {}", family(target.to)), then, as_root(attempt), wanted));
        }
        if !policy.ssh.password_login {
            let then = before.map(|before| as_guesser(&before.guessing));
            checks.push(row(
                "guessing root's password".to_owned(),
                then,
                as_guesser(&self.guessing),
                "not asked for one",
            ));
        }
        checks
    }
}

fn row(what: String, before: Option<String>, seen: String, wanted: &str) -> Check {
    let differences = if seen == wanted {
        Vec::new()
    } else {
        vec![Difference {
            what: what.clone(),
            seen: seen.clone(),
            wanted: wanted.to_owned(),
            decided_by: None,
        }]
    };
    Check { what, before, seen, wanted: wanted.to_owned(), agrees: agreement(differences) }
}

fn as_admin(attempt: &Attempt) -> String {
    match attempt {
        Attempt::Succeeded(text) if text == "0" => "logs in, becomes root".to_owned(),
        Attempt::Succeeded(text) => format!("logs in, no root: {text}"),
        Attempt::Refused(_) => "refused".to_owned(),
        Attempt::Unreachable(why) => format!("no connection: {why}"),
    }
}

fn as_root(attempt: &Attempt) -> String {
    match attempt {
        Attempt::Succeeded(_) => "logs in".to_owned(),
        Attempt::Refused(_) => "refused".to_owned(),
        Attempt::Unreachable(why) => format!("no connection: {why}"),
    }
}

fn as_guesser((tried, last): &(usize, Attempt)) -> String {
    match last {
        Attempt::Succeeded(_) => format!("guessed at try {tried}"),
        Attempt::Refused(text) if text.contains("password") || text.contains("keyboard-interactive") => {
            format!("asked {tried} times")
        }
        Attempt::Refused(_) => "not asked for one".to_owned(),
        Attempt::Unreachable(why) => format!("no connection: {why}"),
    }
}

/// The row on packets that pretend to come from loopback.
pub(super) fn forged(target: Target, before: Option<bool>, after: Option<bool>) -> Check {
    let word = |arrived: bool| if arrived { "arrives" } else { "refused" }.to_owned();
    let what = format!("forged loopback source, {}", family(target.to));
    let seen = after.map_or_else(|| "not tried".to_owned(), word);
    let agrees = match after {
        Some(false) => Agreement::Yes,
        Some(true) => agreement(vec![Difference {
            what: what.clone(),
            seen: seen.clone(),
            wanted: "refused".to_owned(),
            decided_by: None,
        }]),
        None => Agreement::Unknown("it was not tried".to_owned()),
    };
    Check { what, before: before.map(word), seen, wanted: "refused".to_owned(), agrees }
}
