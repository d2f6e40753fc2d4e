//! Whether a user may log in at all: `AllowUsers`, `DenyUsers`, `AllowGroups`, `DenyGroups`, `RefuseConnection`.

use std::fmt;

use crate::address::AddressList;
use crate::connection::Connection;
use crate::effective::{Effective, Value};
use crate::keyword::Keyword;
use crate::pattern::{self, PatternList, Verdict};
use crate::problem::Origin;
use crate::version::Version;

/// Why a user is turned away before any method of authentication is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The keyword that turns the user away.
    pub keyword: Keyword,
    /// The line that names the user, or the first of the list that does not.
    pub origin: Option<Origin>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names =
            matches!(self.keyword, Keyword::DenyUsers | Keyword::DenyGroups | Keyword::RefuseConnection);
        write!(
            f,
            "{} {}",
            self.keyword,
            if names { "turns the user away" } else { "does not name the user" }
        )?;
        match &self.origin {
            Some(origin) => write!(f, " ({origin})"),
            None => Ok(()),
        }
    }
}

impl Effective {
    /// Whether sshd lets this user try to log in over this connection. The connection must be the one that the
    /// answer is for; its user and groups must be given.
    ///
    /// # Errors
    /// The list that turns the user away, in the order in which sshd asks them.
    pub fn admits(&self, connection: &Connection) -> Result<(), Refusal> {
        let user = connection.user.as_deref().unwrap_or("");
        let named = |value: &Value| user_matches(&value.text, user, connection, self.version);
        let grouped =
            |value: &Value| connection.groups.iter().any(|group| pattern::matches(group, &value.text));
        if self.is_yes(Keyword::RefuseConnection) {
            let origin = self.get(Keyword::RefuseConnection).origin().cloned();
            return Err(Refusal { keyword: Keyword::RefuseConnection, origin });
        }
        self.denied(Keyword::DenyUsers, named)?;
        self.allowed(Keyword::AllowUsers, named)?;
        self.denied(Keyword::DenyGroups, grouped)?;
        self.allowed(Keyword::AllowGroups, grouped)
    }

    fn denied(&self, keyword: Keyword, holds: impl Fn(&Value) -> bool) -> Result<(), Refusal> {
        match self.get(keyword).values().iter().find(|value| holds(value)) {
            Some(value) => Err(Refusal { keyword, origin: value.origin.clone() }),
            None => Ok(()),
        }
    }

    fn allowed(&self, keyword: Keyword, holds: impl Fn(&Value) -> bool) -> Result<(), Refusal> {
        let list = self.get(keyword);
        if list.values().is_empty() || list.values().iter().any(holds) {
            return Ok(());
        }
        Err(Refusal { keyword, origin: list.origin().cloned() })
    }
}

/// `user` or `user@hosts`, where the hosts are names, addresses and networks.
fn user_matches(pattern: &str, user: &str, connection: &Connection, version: Version) -> bool {
    let at = if version >= Version::new(9, 9) { pattern.rsplit_once('@') } else { pattern.split_once('@') };
    match at {
        None => pattern::matches(user, pattern),
        Some((name, hosts)) => pattern::matches(user, name) && host_matches(hosts, connection),
    }
}

/// A negated match of the name or the address decides; otherwise either will do.
fn host_matches(hosts: &str, connection: &Connection) -> bool {
    let (Some(host), Some(address)) = (&connection.host, connection.address) else { return false };
    let Ok(addresses) = AddressList::parse(hosts) else { return false };
    let mut by_address = false;
    for item in addresses.items().iter().filter(|item| item.target.matches(address)) {
        if item.negated {
            return false;
        }
        by_address = true;
    }
    match PatternList::parse(hosts).to_ascii_lowercase().verdict(&host.to_ascii_lowercase()) {
        Verdict::Excluded => false,
        Verdict::Included => true,
        Verdict::Unmatched => by_address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Configuration;
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    /// The keyword that turns the user away.
    fn refused(text: &str, user: &str, groups: &[&str]) -> Option<Keyword> {
        let files = BTreeMap::from([(PathBuf::from("/c"), text.as_bytes().to_vec())]);
        let mut connection = Connection::of(user, "10.1.2.3".parse().unwrap());
        connection.groups = groups.iter().map(|group| (*group).to_owned()).collect();
        let effective = Configuration::load(&files, "/c").effective(&connection);
        effective.admits(&connection).err().map(|refusal| refusal.keyword)
    }

    #[test]
    fn without_lists_everyone_may_try() {
        assert_eq!(refused("", "root", &[]), None);
    }

    #[test]
    fn an_allow_list_turns_away_whom_it_does_not_name() {
        assert_eq!(refused("AllowUsers alice\nAllowUsers b*\n", "bob", &[]), None);
        assert_eq!(refused("AllowUsers alice\n", "root", &[]), Some(Keyword::AllowUsers));
        assert_eq!(refused("AllowGroups ssh\n", "alice", &["alice", "ssh"]), None);
        assert_eq!(refused("AllowGroups ssh\n", "alice", &[]), Some(Keyword::AllowGroups));
    }

    #[test]
    fn a_deny_list_comes_first() {
        assert_eq!(refused("AllowUsers alice\nDenyUsers a*\n", "alice", &[]), Some(Keyword::DenyUsers));
        assert_eq!(
            refused("DenyGroups temp\nAllowUsers alice\n", "alice", &["temp"]),
            Some(Keyword::DenyGroups)
        );
    }

    #[test]
    fn a_user_may_be_bound_to_hosts() {
        assert_eq!(refused("AllowUsers alice@10.0.0.0/8\n", "alice", &[]), None);
        assert_eq!(refused("AllowUsers alice@192.0.2.*\n", "alice", &[]), Some(Keyword::AllowUsers));
        assert_eq!(refused("AllowUsers alice@*,!10.1.2.3\n", "alice", &[]), Some(Keyword::AllowUsers));
    }

    #[test]
    fn a_block_may_refuse_a_connection() {
        let text = "Match Address 10.0.0.0/8\nRefuseConnection yes\n";
        assert_eq!(refused(text, "alice", &[]), Some(Keyword::RefuseConnection));
    }
}
