//! The connections worth asking about.

use std::collections::HashSet;
use std::hash::Hash;
use std::net::IpAddr;

use super::{Constraint, addresses, names};
use crate::address::{AddressList, Target};
use crate::condition::{Condition, Criterion, group_holds};
use crate::configuration::{Configuration, ScopeId};
use crate::connection::Connection;
use crate::keyword::Keyword;
use crate::pattern::PatternList;

/// More combinations than this are not tried.
const MAX_CONNECTIONS: usize = 50_000;
/// Groups of one user that are tried together.
const MAX_GROUPS: usize = 3;

/// One value of every class, for each thing that `Match` looks at.
pub(super) struct Classes {
    users: Vec<Option<String>>,
    groups: Vec<Vec<String>>,
    addresses: Vec<IpAddr>,
    hosts: Vec<Option<String>>,
    local_addresses: Vec<IpAddr>,
    local_ports: Vec<u16>,
    rdomains: Vec<Option<String>>,
    invalid: Vec<bool>,
    /// No class can be missing.
    pub(super) complete: bool,
}

/// Whether nothing was left out so far.
struct Whole(bool);

impl Whole {
    fn keep<T>(&mut self, (values, whole): (T, bool)) -> T {
        self.0 &= whole;
        values
    }
}

impl Classes {
    pub(super) fn of(configuration: &Configuration, scopes: &[ScopeId], constraint: &Constraint) -> Self {
        let conditions: Vec<&Condition> =
            scopes.iter().flat_map(|&scope| configuration.conditions(scope)).collect();
        let asked = Asked::by(&conditions);
        let resolves = configuration.at_start().is_yes(Keyword::UseDns);
        let mut whole = Whole(true);
        let users = match &constraint.user {
            Some(user) => vec![user.clone()],
            None => whole.keep(asked.names(&asked.users)),
        };
        let groups = match &constraint.groups {
            Some(groups) => vec![groups.clone()],
            None => asked.group_sets(&mut whole),
        };
        let mut classes = Self {
            users: users.into_iter().map(Some).collect(),
            groups,
            addresses: asked.addresses(resolves, &mut whole),
            hosts: or_none(if resolves { asked.hosts.as_slice() } else { &[] }, &asked, &mut whole),
            local_addresses: asked.local_addresses(&mut whole),
            local_ports: asked.local_ports(),
            rdomains: or_none(&asked.rdomains, &asked, &mut whole),
            invalid: if asked.invalid_user && constraint.user.is_none() {
                vec![false, true]
            } else {
                vec![false]
            },
            complete: true,
        };
        classes.complete = whole.0 && classes.len() <= MAX_CONNECTIONS;
        classes
    }

    fn len(&self) -> usize {
        let sizes = [
            self.users.len(),
            self.groups.len(),
            self.addresses.len(),
            self.hosts.len(),
            self.local_addresses.len(),
            self.local_ports.len(),
            self.rdomains.len(),
            self.invalid.len(),
        ];
        sizes.into_iter().fold(1, usize::saturating_mul)
    }

    /// The connection that differs least from an ordinary one.
    pub(super) fn plainest(&self) -> Connection {
        self.connection(0)
    }

    /// Every combination, the plainest first.
    pub(super) fn connections(&self) -> impl Iterator<Item = Connection> {
        let all = (0..self.len().min(MAX_CONNECTIONS)).map(|index| self.connection(index));
        // A user who does not exist is in no group.
        all.filter(|connection| !connection.invalid_user || connection.groups.is_empty())
    }

    fn connection(&self, mut index: usize) -> Connection {
        let address = *pick(&self.addresses, &mut index);
        let user = pick(&self.users, &mut index).clone();
        let groups = pick(&self.groups, &mut index).clone();
        let host = pick(&self.hosts, &mut index).clone();
        Connection {
            user,
            groups,
            host: Some(host.unwrap_or_else(|| address.to_string())),
            address: Some(address),
            local_address: Some(*pick(&self.local_addresses, &mut index)),
            local_port: Some(*pick(&self.local_ports, &mut index)),
            rdomain: pick(&self.rdomains, &mut index).clone(),
            invalid_user: *pick(&self.invalid, &mut index),
        }
    }
}

fn pick<'a, T>(values: &'a [T], index: &mut usize) -> &'a T {
    let value = &values[*index % values.len()];
    *index /= values.len();
    value
}

fn distinct<T, K: Hash + Eq>(values: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    let mut seen = HashSet::new();
    values.into_iter().filter(|value| seen.insert(key(value))).collect()
}

/// No name at all, and one of every class.
fn or_none(lists: &[&PatternList], asked: &Asked<'_>, whole: &mut Whole) -> Vec<Option<String>> {
    let names = if lists.is_empty() { Vec::new() } else { whole.keep(asked.names(lists)) };
    std::iter::once(None).chain(names.into_iter().map(Some)).collect()
}

/// Sets of groups, one for each way the lists can answer, the empty set first.
fn group_sets(names: &[String], lists: &[&PatternList]) -> (Vec<Vec<String>>, bool) {
    if lists.is_empty() {
        return (vec![Vec::new()], true);
    }
    let singles =
        distinct(names.to_vec(), |name| lists.iter().map(|list| list.verdict(name)).collect::<Vec<_>>());
    let mut sets: Vec<Vec<String>> = vec![Vec::new()];
    let mut grown = sets.clone();
    for _ in 0..MAX_GROUPS.min(lists.len()) {
        let larger = grown.iter().flat_map(|set| {
            let more = singles.iter().filter(|name| set.last().is_none_or(|last| *name > last));
            more.map(|name| set.iter().chain([name]).cloned().collect::<Vec<_>>())
        });
        grown = larger.take(MAX_CONNECTIONS).collect();
        sets.extend(grown.iter().cloned());
    }
    let sets = distinct(sets, |set| lists.iter().map(|list| group_holds(list, set)).collect::<Vec<_>>());
    (sets, lists.len() <= MAX_GROUPS)
}

/// What the conditions look at.
#[derive(Default)]
struct Asked<'a> {
    users: Vec<&'a PatternList>,
    groups: Vec<&'a PatternList>,
    hosts: Vec<&'a PatternList>,
    rdomains: Vec<&'a PatternList>,
    addresses: Vec<&'a AddressList>,
    local_addresses: Vec<&'a AddressList>,
    local_ports: Vec<u16>,
    invalid_user: bool,
}

impl<'a> Asked<'a> {
    fn by(conditions: &[&'a Condition]) -> Self {
        let mut asked = Self::default();
        for criterion in conditions.iter().flat_map(|condition| condition.criteria()) {
            match criterion {
                Criterion::All | Criterion::Version(_) => {}
                Criterion::User(list) => asked.users.push(list),
                Criterion::Group(list) => asked.groups.push(list),
                Criterion::Host(list) => asked.hosts.push(list),
                Criterion::RDomain(list) => asked.rdomains.push(list),
                Criterion::Address(list) => asked.addresses.push(list),
                Criterion::LocalAddress(list) => asked.local_addresses.push(list),
                Criterion::LocalPort(port) => asked.local_ports.push(*port),
                Criterion::InvalidUser => asked.invalid_user = true,
            }
        }
        asked
    }

    /// One name of every class that the lists tell apart.
    fn names(&self, lists: &[&PatternList]) -> (Vec<String>, bool) {
        let (names, whole) = names_of(lists);
        (distinct(names, |name| lists.iter().map(|list| list.includes(name)).collect::<Vec<_>>()), whole)
    }

    fn group_sets(&self, whole: &mut Whole) -> Vec<Vec<String>> {
        let names = whole.keep(names_of(&self.groups));
        whole.keep(group_sets(&names, &self.groups))
    }

    fn addresses(&self, resolves: bool, whole: &mut Whole) -> Vec<IpAddr> {
        // Where names are not resolved, the host of a connection is its address in text.
        let hosts = if resolves { &[][..] } else { &self.hosts };
        let as_text: Vec<Target> = hosts
            .iter()
            .flat_map(|list| list.items())
            .map(|item| Target::Wildcard(item.pattern.clone()))
            .collect();
        let targets = self.addresses.iter().flat_map(|list| list.items()).map(|item| &item.target);
        let found = whole.keep(addresses::candidates(targets.chain(&as_text)));
        distinct(found, |address| {
            let text = address.to_string();
            let lists = self.addresses.iter().map(|list| list.includes(*address));
            lists.chain(hosts.iter().map(|list| list.includes(&text))).collect::<Vec<_>>()
        })
    }

    fn local_addresses(&self, whole: &mut Whole) -> Vec<IpAddr> {
        let targets = self.local_addresses.iter().flat_map(|list| list.items()).map(|item| &item.target);
        let found = whole.keep(addresses::candidates(targets));
        distinct(found, |address| {
            self.local_addresses.iter().map(|l| l.includes(*address)).collect::<Vec<_>>()
        })
    }

    /// An ordinary port, every port that is named, and one that is not.
    fn local_ports(&self) -> Vec<u16> {
        let other = (61_022..).find(|port| !self.local_ports.contains(port));
        distinct([22].into_iter().chain(self.local_ports.iter().copied()).chain(other).collect(), |port| {
            *port
        })
    }
}

/// One name of every class that the lists' patterns tell apart.
fn names_of(lists: &[&PatternList]) -> (Vec<String>, bool) {
    let mut patterns: Vec<&str> =
        lists.iter().flat_map(|list| list.items()).map(|item| item.pattern.as_str()).collect();
    patterns.sort_unstable();
    patterns.dedup();
    names::classes(&patterns)
}
