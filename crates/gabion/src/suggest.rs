//! The policy that fits a host: what `init` writes, and what `audit`, `plan` and `rehearse` use where there is no file.
//!
//! Pure. It keeps open what is reachable now and looks meant, names the accounts that can already get in by key, and leaves the
//! rest at its defaults.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use host::Facts;
use host::facts::{Account, Listener, Protocol};
use policy::write::{Hints, Listening};
use policy::{Admin, Allow, Password, Policy, PortSpec, Sudo, Transport};

mod containers;

/// An administrator that the person asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) names: Vec<String>,
    pub(crate) keys: Vec<String>,
}

/// A policy with what its file says about where it comes from.
#[derive(Debug, Clone)]
pub(crate) struct Suggestion {
    pub(crate) policy: Policy,
    pub(crate) hints: Hints,
    /// What the person should know or decide.
    pub(crate) notes: Vec<String>,
}

/// The policy that fits the host.
pub(crate) fn suggest(facts: &Facts, asked: &Asked) -> Suggestion {
    let mut notes = Vec::new();
    let mut keys_from = BTreeMap::new();
    let admins = suggest_admins(facts, asked, &mut keys_from, &mut notes);
    let ssh_ports: Vec<u16> = controls::filter::ssh_ports(facts);
    let listening = listening(facts);
    let mut policy = Policy { admins, ..Policy::default() };
    policy.firewall.allow = suggest_allows(&listening);
    let containers = containers::suggest(facts);
    policy.firewall.allow.extend(containers.allows);
    policy.firewall.forward = containers.forwards;
    notes.extend(containers.note);
    let hints = Hints { host: facts.system.hostname.known().cloned(), ssh_ports, keys_from, listening };
    Suggestion { policy, hints, notes }
}

fn suggest_admins(
    facts: &Facts,
    asked: &Asked,
    keys_from: &mut BTreeMap<String, String>,
    notes: &mut Vec<String>,
) -> Vec<Admin> {
    if !asked.names.is_empty() {
        let admin = |name: &String| {
            let mut keys = asked.keys.clone();
            keys.extend(account(facts, name).map(|account| keys_of(facts, account)).unwrap_or_default());
            keys.dedup();
            Admin { name: name.clone(), keys, ..plain_admin() }
        };
        return asked.names.iter().map(admin).collect();
    }
    let mut admins = Vec::new();
    for account in people(facts) {
        let keys = keys_of(facts, account);
        if keys.is_empty() || !may_become_root(facts, &account.name) {
            continue;
        }
        keys_from.insert(account.name.clone(), format!("{}/.ssh/authorized_keys", account.home.display()));
        admins.push(Admin { name: account.name.clone(), keys, ..plain_admin() });
    }
    if admins.is_empty() {
        let root_keys = account(facts, "root").map(|root| keys_of(facts, root)).unwrap_or_default();
        let mut keys = asked.keys.clone();
        keys.extend(root_keys);
        if keys.is_empty() {
            notes.push(
                "nobody can log in by key here yet: name an administrator with `gabion init --admin NAME --key FILE`".to_owned(),
            );
            return admins;
        }
        let name = free_name(facts);
        notes.push(format!(
            "no account but root has a key: `{name}` is to administer this host with the same keys"
        ));
        keys_from.insert(name.clone(), "/root/.ssh/authorized_keys".to_owned());
        admins.push(Admin { name, keys, ..plain_admin() });
    }
    admins
}

fn plain_admin() -> Admin {
    Admin { name: String::new(), keys: Vec::new(), password: Password::Keep, sudo: Sudo::Auto, shell: None }
}

fn free_name(facts: &Facts) -> String {
    let taken = |name: &str| account(facts, name).is_some() || group_exists(facts, name);
    ["admin", "deploy", "operator"]
        .into_iter()
        .find(|name| !taken(name))
        .map_or_else(|| "gabion-admin".to_owned(), str::to_owned)
}

fn group_exists(facts: &Facts, name: &str) -> bool {
    facts.accounts.groups.known().is_some_and(|groups| groups.iter().any(|group| group.name == name))
}

fn account<'a>(facts: &'a Facts, name: &str) -> Option<&'a Account> {
    facts.accounts.users.known()?.iter().find(|user| user.name == name)
}

/// Accounts of people: not root, and with a shell.
fn people(facts: &Facts) -> impl Iterator<Item = &Account> {
    let users = facts.accounts.users.known().map(Vec::as_slice).unwrap_or_default();
    users.iter().filter(|user| {
        user.uid != 0 && !["nologin", "false", "sync"].iter().any(|end| user.shell.ends_with(end))
    })
}

fn may_become_root(facts: &Facts, name: &str) -> bool {
    facts.sudo.get(name).and_then(|listing| listing.known()).is_some_and(|listing| listing.all)
}

/// The keys in an account's file that the policy would accept as they stand, options left out.
fn keys_of(facts: &Facts, account: &Account) -> Vec<String> {
    let path = account.home.join(".ssh/authorized_keys");
    let text = facts.file(Path::new(&path)).bytes().map(String::from_utf8_lossy).unwrap_or_default();
    text.lines()
        .filter(|line| policy::public_key::PublicKey::parse(line.trim()).is_ok())
        .map(|line| line.trim().to_owned())
        .collect()
}

fn listening(facts: &Facts) -> Vec<Listening> {
    let listeners = facts.network.listeners.known().map(Vec::as_slice).unwrap_or_default();
    let mut seen = BTreeSet::new();
    let mut rows = Vec::new();
    for listener in listeners.iter().filter(|listener| listener.is_exposed()) {
        let port = port_of(listener);
        if seen.insert(port) {
            let process =
                listener.owners.first().map_or_else(|| "unknown".to_owned(), |owner| owner.name.clone());
            rows.push(Listening { port, process });
        }
    }
    rows.sort_by_key(|row| row.port);
    rows
}

fn port_of(listener: &Listener) -> PortSpec {
    let transport = match listener.protocol {
        Protocol::Tcp => Transport::Tcp,
        Protocol::Udp => Transport::Udp,
    };
    PortSpec { transport, first: listener.port, last: listener.port }
}

/// SSH always; a web or mail server that listens, since that is what such a host is for. Everything else stands in the file as a
/// comment, for a person to decide.
fn suggest_allows(listening: &[Listening]) -> Vec<Allow> {
    const MEANT: &[&str] =
        &["http", "https", "smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s"];
    let ssh = Allow { service: vec!["ssh".to_owned()], new_per_minute: Some(30), ..Allow::default() };
    let mut services: Vec<String> = Vec::new();
    for name in MEANT {
        let Some(service) = policy::services::lookup(name) else { continue };
        let open = |row: &Listening| service.ports.contains(&row.port);
        if listening.iter().any(open) {
            services.push((*name).to_owned());
        }
    }
    let mut allows = vec![ssh];
    if !services.is_empty() {
        allows.push(Allow { service: services, ..Allow::default() });
    }
    allows
}
