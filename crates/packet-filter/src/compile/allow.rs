//! The `allow` entries: a chain for each, and a verdict map from ports to chains for each transport.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use nf_tables::{DataType, Element, MapData, Rule, Set, SetFlags, Verdict};

use super::Builder;
use super::rules::{IpFamily, RuleBuilder};
use crate::packet::protocol;
use crate::policy::{Allow, Transport};
use crate::ranges::{Ranges, addresses};

/// How many sources of one family the kernel counts for one entry; it bounds the memory that strangers can take.
const METER_SIZE: u32 = 65_535;
/// How long the kernel remembers a source that is quiet: until its bucket is full again, which takes a minute.
const METER_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest part of a chain's name that stems from an entry's.
const NAME_MAX: usize = 24;

/// What the entries make.
#[derive(Default)]
pub(super) struct Services {
    /// There is a chain for TCP.
    pub(super) tcp: bool,
    /// There is a chain for UDP.
    pub(super) udp: bool,
    /// For flows that NAT has sent elsewhere: dispatch by the port that was asked for.
    pub(super) published: Vec<Rule>,
}

/// The chains for ports that several entries allow, by these entries.
#[derive(Default)]
struct Combined {
    chains: Vec<(Vec<usize>, String)>,
    names: HashMap<Vec<usize>, String>,
}

/// Ports from one to another, and the entries that allow them.
struct Stretch {
    first: u16,
    last: u16,
    entries: Vec<usize>,
}

impl Builder<'_> {
    /// Makes the chains and maps of all entries.
    pub(super) fn services(&mut self) -> Services {
        let mut services = Services::default();
        let mut names = Names::default();
        let entries: Vec<String> =
            self.policy.allow.iter().map(|allow| names.fresh("allow", &slug(&allow.name))).collect();
        let mut combined = Combined::default();
        let mut is_used = vec![false; entries.len()];
        let mut dispatches = Vec::new();
        for (transport, number, chain) in
            [(Transport::Tcp, protocol::TCP, "input-tcp"), (Transport::Udp, protocol::UDP, "input-udp")]
        {
            let stretches = stretches(&self.policy.allow, transport);
            let mut elements = Vec::new();
            for stretch in &stretches {
                let target = self.target(&entries, &mut combined, &mut names, stretch);
                stretch.entries.iter().for_each(|&entry| is_used[entry] = true);
                elements.extend(port_range(stretch, target));
            }
            if !elements.is_empty() {
                let map = match transport {
                    Transport::Tcp => "tcp-services",
                    Transport::Udp => "udp-services",
                };
                let set =
                    Set::map(map, DataType::INET_SERVICE, 2, MapData::Verdict).with_flags(SetFlags::INTERVAL);
                self.set(set, elements);
                let rule = RuleBuilder::new().destination_port(number).dispatch(map).comment("by port");
                dispatches.push((chain, rule));
                let original = RuleBuilder::new().original_port(number).dispatch(map);
                services.published.push(original.comment("by the port that was asked for"));
                match transport {
                    Transport::Tcp => services.tcp = true,
                    Transport::Udp => services.udp = true,
                }
            }
        }
        for (chain, rule) in dispatches {
            self.chain(chain, vec![rule]);
        }
        for (members, name) in combined.chains {
            let rules = members.iter().map(|&entry| {
                let jump = Verdict::Jump(entries[entry].clone());
                RuleBuilder::new().verdict(jump).comment(&self.policy.allow[entry].label())
            });
            let rules = rules.collect();
            self.chain(&name, rules);
        }
        for (entry, chain) in entries.iter().enumerate().filter(|(entry, _)| is_used[*entry]) {
            self.entry(entry, chain);
        }
        services
    }

    /// The chain that decides about a stretch of ports.
    fn target(
        &self,
        entries: &[String],
        combined: &mut Combined,
        names: &mut Names,
        stretch: &Stretch,
    ) -> String {
        // An entry for everybody makes the others say nothing new.
        let for_everybody = |&&entry: &&usize| {
            let allow = &self.policy.allow[entry];
            allow.from.is_empty() && allow.new_per_minute.is_none()
        };
        if let Some(&entry) = stretch.entries.iter().find(for_everybody) {
            return entries[entry].clone();
        }
        if let [entry] = stretch.entries.as_slice() {
            return entries[*entry].clone();
        }
        // Entries without a limit first: whoever they let in is not counted.
        let mut members = stretch.entries.clone();
        members.sort_by_key(|&entry| (self.policy.allow[entry].new_per_minute.is_some(), entry));
        if let Some(name) = combined.names.get(&members) {
            return name.clone();
        }
        let parts: Vec<_> = members.iter().map(|&entry| slug(&self.policy.allow[entry].name)).collect();
        let name = names.fresh("allow", &parts.join("-or-"));
        combined.names.insert(members.clone(), name.clone());
        combined.chains.push((members, name.clone()));
        name
    }

    fn entry(&mut self, entry: usize, chain: &str) {
        let allow = &self.policy.allow[entry];
        let families = self.families();
        let label = allow.label();
        let accept = |rule: RuleBuilder| rule.counter().verdict(Verdict::Accept).comment(&label);
        if allow.from.is_empty() && allow.new_per_minute.is_none() {
            self.chain(chain, vec![accept(RuleBuilder::new())]);
            return;
        }
        let mut rules: Vec<Rule> = Vec::new();
        for &family in families {
            let mut rule = RuleBuilder::new();
            if !allow.from.is_empty() {
                let from = addresses(&allow.from, family == IpFamily::V6);
                if from.is_empty() {
                    continue;
                }
                let name = format!("{chain}-from-{}", family.name());
                rule = rule.source(family).among(&name);
                self.address_set(&name, family, &from);
            }
            if let Some(per_minute) = allow.limit() {
                let name = format!("{chain}-meter-{}", family.name());
                rule = rule.source_keeps(family, &name, per_minute);
                self.meter(&name, family);
            }
            rules.push(accept(rule));
        }
        self.chain(chain, rules);
    }

    pub(super) fn address_set(&mut self, name: &str, family: IpFamily, from: &Ranges) {
        let (data_type, length) = address_type(family);
        let bytes = usize::try_from(length).unwrap_or(16);
        let elements = from.as_slice().iter().flat_map(|&(first, last)| {
            Element::range(&first.to_be_bytes()[16 - bytes..], &last.to_be_bytes()[16 - bytes..])
        });
        let elements = elements.collect();
        self.set(Set::new(name, data_type, length).with_flags(SetFlags::INTERVAL), elements);
    }

    fn meter(&mut self, name: &str, family: IpFamily) {
        let (data_type, length) = address_type(family);
        let mut set =
            Set::new(name, data_type, length).with_flags(SetFlags::EVAL).with_timeout(METER_TIMEOUT);
        set.size = Some(METER_SIZE);
        self.set(set, Vec::new());
    }
}

const fn address_type(family: IpFamily) -> (DataType, u32) {
    match family {
        IpFamily::V4 => (DataType::IPV4_ADDRESS, 4),
        IpFamily::V6 => (DataType::IPV6_ADDRESS, 16),
    }
}

fn port_range(stretch: &Stretch, target: String) -> Vec<Element> {
    let mut elements = Element::range(&stretch.first.to_be_bytes(), &stretch.last.to_be_bytes());
    let start = elements.remove(0).with_verdict(Verdict::Jump(target));
    elements.insert(0, start);
    elements
}

/// The ports that are allowed at all, cut wherever the entries that allow them change.
fn stretches(allow: &[Allow], transport: Transport) -> Vec<Stretch> {
    let ranges = |allow: &Allow| {
        let ranges = allow.ports.iter().filter(move |range| range.transport == transport);
        Ranges::new(ranges.map(|range| (u128::from(range.first), u128::from(range.last))))
    };
    // Where entries begin and end.
    let mut cuts: BTreeMap<u128, Vec<usize>> = BTreeMap::new();
    for (entry, allow) in allow.iter().enumerate() {
        for &(first, last) in ranges(allow).as_slice() {
            cuts.entry(first).or_default().push(entry);
            cuts.entry(last + 1).or_default().push(entry);
        }
    }
    let ends: Vec<u128> = cuts.keys().skip(1).copied().collect();
    let mut open: BTreeSet<usize> = BTreeSet::new();
    let mut found: Vec<Stretch> = Vec::new();
    for ((start, turned), end) in cuts.into_iter().zip(ends) {
        for entry in turned {
            if !open.remove(&entry) {
                open.insert(entry);
            }
        }
        let (Ok(first), Ok(last)) = (u16::try_from(start), u16::try_from(end - 1)) else {
            continue;
        };
        let entries: Vec<usize> = open.iter().copied().collect();
        match found.last_mut() {
            _ if entries.is_empty() => {}
            Some(before) if before.entries == entries && before.last.checked_add(1) == Some(first) => {
                before.last = last;
            }
            _ => found.push(Stretch { first, last, entries }),
        }
    }
    found
}

/// A name as `nft` takes it: lower case letters, digits and hyphens.
pub(super) fn slug(name: &str) -> String {
    let mapped: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let parts: Vec<_> = mapped.split('-').filter(|part| !part.is_empty()).collect();
    let joined: String = parts.join("-").chars().take(NAME_MAX).collect();
    if joined.is_empty() { "entry".to_owned() } else { joined.trim_end_matches('-').to_owned() }
}

/// Names of chains given so far, with the number that is tried next where one is taken.
#[derive(Default)]
pub(super) struct Names {
    given: HashSet<String>,
    next: HashMap<String, u32>,
}

impl Names {
    /// The kind and the wish, cut, with a number where that is taken.
    pub(super) fn fresh(&mut self, kind: &str, wish: &str) -> String {
        let base: String = format!("{kind}-{wish}").chars().take(NAME_MAX * 2).collect();
        let base = base.trim_end_matches('-');
        let mut name = base.to_owned();
        let number = self.next.entry(name.clone()).or_insert(2);
        while !self.given.insert(name.clone()) {
            name = format!("{base}-{number}");
            *number += 1;
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::PortRange;

    #[test]
    fn ports_are_cut_where_the_entries_that_allow_them_change() {
        let range = |first, last| PortRange { transport: Transport::Tcp, first, last };
        let allow = [
            Allow::new("a", [range(0, 100), range(50, 200)]),
            Allow::new("b", [range(80, 80), range(200, 65535), PortRange::udp(7)]),
        ];
        let found: Vec<_> =
            stretches(&allow, Transport::Tcp).into_iter().map(|s| (s.first, s.last, s.entries)).collect();
        assert_eq!(
            found,
            [
                (0, 79, vec![0]),
                (80, 80, vec![0, 1]),
                (81, 199, vec![0]),
                (200, 200, vec![0, 1]),
                (201, 65535, vec![1])
            ]
        );
        assert!(stretches(&allow, Transport::Udp).iter().all(|stretch| stretch.entries == [1]));
    }

    #[test]
    fn names_are_what_nft_takes_and_never_given_twice() {
        let mut names = Names::default();
        assert_eq!(names.fresh("allow", &slug("HTTP/3 & friends")), "allow-http-3-friends");
        assert_eq!(names.fresh("allow", &slug("http 3 friends")), "allow-http-3-friends-2");
        assert_eq!(names.fresh("allow", &slug("---")), "allow-entry");
        assert_eq!(names.fresh("allow", &slug("\u{e9}")), "allow-entry-2");
    }
}
