//! What a keyword can be for any connection at all, each answer with a connection that gets it.
//!
//! For each thing that `Match` looks at, the values are cut into classes that no condition tells apart, with one
//! value of each class; every combination of classes is then asked. Names are cut exactly (patterns are small
//! automata), networks exactly, wildcards over addresses by trying. Where trying or the number of combinations
//! leaves doubt, a block that was never seen to apply is answered for all the same, and marked so.

mod addresses;
mod classes;
mod names;

use std::collections::HashSet;

use crate::configuration::{Configuration, ScopeId};
use crate::connection::Connection;
use crate::effective::{Effective, Setting};
use crate::keyword::Keyword;
use classes::Classes;

/// What is already known of the connections that are asked about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Constraint {
    /// Only connections of this user, who exists.
    pub user: Option<String>,
    /// The user's groups are these; `None` where they may be any.
    pub groups: Option<Vec<String>>,
}

impl Constraint {
    /// Any connection.
    #[must_use]
    pub fn any() -> Self {
        Self::default()
    }

    /// Connections of one user, whose groups may be any.
    #[must_use]
    pub fn user(name: impl Into<String>) -> Self {
        Self { user: Some(name.into()), groups: None }
    }

    /// Connections of one user who is in exactly these groups.
    #[must_use]
    pub fn user_in(name: impl Into<String>, groups: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { user: Some(name.into()), groups: Some(groups.into_iter().map(Into::into).collect()) }
    }
}

/// One value that a keyword takes for some connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Possibility {
    /// One setting for each keyword asked for, each with the line that decides.
    pub settings: Vec<Setting>,
    /// A connection that gets them.
    pub witness: Connection,
    /// The witness was tried and does get them. Where not, it could not be shown that no connection does.
    pub certain: bool,
}

impl Possibility {
    /// The setting of the first keyword asked for.
    #[must_use]
    pub fn setting(&self) -> &Setting {
        &self.settings[0]
    }
}

impl Configuration {
    /// Every value that a keyword takes for some connection that meets the constraint: what the main part says and
    /// what each satisfiable combination of `Match` blocks makes of it, the plainest connection first.
    #[must_use]
    pub fn for_some_connection(&self, keyword: Keyword, constraint: &Constraint) -> Vec<Possibility> {
        self.for_some_connection_of(&[keyword], constraint)
    }

    /// Every combination of values that several keywords take together for some connection. For no keywords the
    /// answer is empty.
    #[must_use]
    pub fn for_some_connection_of(&self, keywords: &[Keyword], constraint: &Constraint) -> Vec<Possibility> {
        if keywords.is_empty() {
            return Vec::new();
        }
        let relevant = self.scopes_of(keywords);
        let classes = Classes::of(self, &relevant, constraint);
        let mut found = Found::default();
        let mut seen_active = vec![false; self.scopes.len()];
        let mut asked = HashSet::new();
        for connection in classes.connections() {
            let active =
                self.active_scopes(|condition| condition.holds(&connection, self.defaults.release()));
            let here: Vec<bool> = relevant.iter().map(|scope| active[scope.0]).collect();
            if !asked.insert(here) {
                continue;
            }
            for scope in relevant.iter().filter(|scope| active[scope.0]) {
                seen_active[scope.0] = true;
            }
            found.add(keywords, &self.effective_in(&active), connection, true);
        }
        if !classes.complete {
            for &scope in
                relevant.iter().filter(|scope| !seen_active[scope.0] && self.is_well_formed(**scope))
            {
                let active = self.only(scope);
                found.add(keywords, &self.effective_in(&active), classes.plainest(), false);
            }
        }
        found.possibilities
    }

    /// The blocks whose text speaks of one of the keywords.
    fn scopes_of(&self, keywords: &[Keyword]) -> Vec<ScopeId> {
        let mut scopes: Vec<ScopeId> = self
            .directives
            .iter()
            .filter(|directive| directive.scope != ScopeId::MAIN && keywords.contains(&directive.keyword))
            .map(|directive| directive.scope)
            .collect();
        scopes.sort_unstable();
        scopes.dedup();
        scopes
    }

    fn is_well_formed(&self, scope: ScopeId) -> bool {
        let mut next = Some(scope);
        while let Some(id) = next.filter(|id| *id != ScopeId::MAIN) {
            if self.scopes[id.0].condition.is_none() {
                return false;
            }
            next = self.scopes[id.0].parent;
        }
        true
    }

    /// The main part, one block and the blocks around it.
    fn only(&self, scope: ScopeId) -> Vec<bool> {
        let mut active = vec![false; self.scopes.len()];
        active[0] = true;
        let mut next = Some(scope);
        while let Some(id) = next {
            active[id.0] = true;
            next = self.scopes[id.0].parent;
        }
        active
    }
}

#[derive(Default)]
struct Found {
    possibilities: Vec<Possibility>,
}

impl Found {
    fn add(&mut self, keywords: &[Keyword], effective: &Effective, witness: Connection, certain: bool) {
        let settings: Vec<Setting> = keywords.iter().map(|&keyword| effective.get(keyword)).collect();
        if !self.possibilities.iter().any(|known| known.settings == settings) {
            self.possibilities.push(Possibility { settings, witness, certain });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    fn load(text: &str) -> Configuration {
        let files = BTreeMap::from([(PathBuf::from("/etc/ssh/sshd_config"), text.as_bytes().to_vec())]);
        Configuration::load(&files, "/etc/ssh/sshd_config")
    }

    fn values(text: &str, constraint: &Constraint) -> Vec<(String, bool)> {
        let configuration = load(text);
        let found = configuration.for_some_connection(Keyword::PermitRootLogin, constraint);
        for possibility in found.iter().filter(|possibility| possibility.certain) {
            let effective = configuration.effective(&possibility.witness);
            assert_eq!(
                effective.get(Keyword::PermitRootLogin),
                *possibility.setting(),
                "{}",
                possibility.witness
            );
        }
        found.iter().map(|p| (p.setting().text().to_owned(), p.certain)).collect()
    }

    fn certain(values: &[&str]) -> Vec<(String, bool)> {
        values.iter().map(|value| ((*value).to_owned(), true)).collect()
    }

    #[test]
    fn a_block_for_all_of_ipv4_is_found_with_a_witness() {
        let text = "PermitRootLogin no\nMatch Address 0.0.0.0/0\nPermitRootLogin yes\n";
        // The plainest address is one of IPv4.
        assert_eq!(values(text, &Constraint::any()), certain(&["yes", "no"]));
        let found = load(text).for_some_connection(Keyword::PermitRootLogin, &Constraint::user("root"));
        let yes = found.iter().find(|p| p.setting().text() == "yes").unwrap();
        assert!(yes.witness.address.unwrap().is_ipv4());
        assert_eq!(yes.witness.user.as_deref(), Some("root"));
        assert_eq!(yes.setting().origin().unwrap().line, 3);
    }

    #[test]
    fn a_block_for_other_users_does_not_concern_root() {
        let text = "PermitRootLogin no\nMatch User a*,!alice\nPermitRootLogin yes\n";
        assert_eq!(values(text, &Constraint::any()), certain(&["no", "yes"]));
        assert_eq!(values(text, &Constraint::user("root")), certain(&["no"]));
        assert_eq!(values(text, &Constraint::user("alice")), certain(&["no"]));
        assert_eq!(values(text, &Constraint::user("anna")), certain(&["yes"]));
    }

    #[test]
    fn a_block_that_no_connection_meets_is_left_out() {
        let nobody = "PermitRootLogin no\nMatch User root,!r*\nPermitRootLogin yes\n";
        assert_eq!(values(nobody, &Constraint::any()), certain(&["no"]));
        let nowhere =
            "PermitRootLogin no\nMatch Address 10.0.0.0/8,!10.0.0.0/9,!10.128.0.0/9\nPermitRootLogin yes\n";
        assert_eq!(values(nowhere, &Constraint::any()), certain(&["no"]));
        let shadowed =
            "PermitRootLogin no\nMatch User root\nPermitRootLogin no\nMatch User r*t\nPermitRootLogin yes\n";
        assert_eq!(values(shadowed, &Constraint::user("root")), certain(&["no"]));
    }

    #[test]
    fn names_that_only_two_patterns_together_allow_are_found() {
        let text =
            "PermitRootLogin no\nMatch User a*b,!ab,!a?b Group *x*,!x LocalPort 2222\nPermitRootLogin yes\n";
        assert_eq!(values(text, &Constraint::any()), certain(&["no", "yes"]));
    }

    #[test]
    fn groups_restrict_like_users() {
        let text = "PermitRootLogin no\nMatch Group admins,!temps\nPermitRootLogin yes\n";
        assert_eq!(values(text, &Constraint::any()), certain(&["no", "yes"]));
        assert_eq!(values(text, &Constraint::user_in("root", ["root"])), certain(&["no"]));
        assert_eq!(values(text, &Constraint::user_in("root", ["admins"])), certain(&["yes"]));
        assert_eq!(values(text, &Constraint::user_in("root", ["admins", "temps"])), certain(&["no"]));
    }

    #[test]
    fn host_names_are_addresses_where_names_are_not_resolved() {
        let text = "PermitRootLogin no\nMatch Host *.example.org\nPermitRootLogin yes\n";
        assert_eq!(values(text, &Constraint::any()), [("no".to_owned(), true), ("yes".to_owned(), false)]);
        assert_eq!(values(&format!("UseDNS yes\n{text}"), &Constraint::any()), certain(&["no", "yes"]));
    }

    #[test]
    fn combinations_of_keywords_are_asked_together() {
        let text = "PermitRootLogin no\nPasswordAuthentication no\nMatch User root\nPermitRootLogin yes\n\
                    Match Address 10.0.0.0/8\nPasswordAuthentication yes\n";
        let keywords = [Keyword::PermitRootLogin, Keyword::PasswordAuthentication];
        let found = load(text).for_some_connection_of(&keywords, &Constraint::any());
        let pairs: Vec<_> = found.iter().map(|p| (p.settings[0].text(), p.settings[1].text())).collect();
        assert_eq!(pairs.len(), 4, "{pairs:?}");
        assert!(pairs.contains(&("yes", "yes")));
    }
}
