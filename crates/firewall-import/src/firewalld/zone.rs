//! Zones: which packets are in them, and what they let in.

use std::collections::BTreeSet;

use iptables_syntax::Family;
use roxmltree::{Document, Node};

use super::rich::Rich;
use super::{FirewalldError, Reader, family_of};
use crate::ledger::{Fate, LineId};

/// The parts of a zone's chain, in the order in which they run.
#[derive(Default)]
struct Sections {
    before: Vec<(i32, Rule)>,
    log: Vec<Rule>,
    deny: Vec<Rule>,
    allow: Vec<Rule>,
    after: Vec<(i32, Rule)>,
}

/// A rule to be.
#[derive(Clone)]
pub(super) struct Rule {
    pub(super) words: String,
    pub(super) family: Option<Family>,
    pub(super) line: LineId,
}

impl<'d> Reader<'d> {
    /// All zones: those with sources, those with interfaces, and the default one.
    pub(super) fn zones(&mut self) -> Result<(), FirewalldError> {
        let default = self.default_zone.clone();
        if self.document("zones", &default).is_none() {
            return Err(FirewalldError {
                file: "/etc/firewalld/firewalld.conf".to_owned(),
                problem: format!("there is no zone `{default}`"),
            });
        }
        let mut names: Vec<&str> = self
            .documents
            .keys()
            .filter_map(|path| path.split_once("/zones/")?.1.strip_suffix(".xml"))
            .collect();
        names.sort_unstable();
        names.dedup();
        let zones: Vec<(&str, &'d str, &'d Document<'d>)> = names
            .into_iter()
            .filter_map(|name| self.document("zones", name).map(|(path, document)| (name, path, document)))
            .collect();
        for kind in ["source", "interface"] {
            for (name, path, document) in &zones {
                self.bind(kind, name, path, document, *name == default);
            }
        }
        for (name, path, document) in &zones {
            let is_bound = document.root_element().children().any(|node| {
                node.has_tag_name("source") || node.has_tag_name("interface") && *name != default
            });
            if is_bound {
                self.zone(&format!("zone-{name}"), path, document);
            }
            if *name != default && !is_bound {
                let line = self.enter(path, document, &document.root_element());
                self.ledger.settle(line, Fate::Idle("no interface and no source is in this zone".to_owned()));
            }
        }
        if let Some((path, document)) = self.document("zones", &default) {
            self.zone("INPUT", path, document);
        }
        Ok(())
    }

    /// Sends what a zone names to its chain.
    fn bind(&mut self, kind: &str, zone: &str, path: &str, document: &Document<'_>, is_default: bool) {
        for node in document.root_element().children().filter(|node| node.has_tag_name(kind)) {
            let line = self.enter(path, document, &node);
            let matches: Vec<(String, Option<Family>)> = if kind == "interface" {
                if is_default {
                    self.ledger.settle(line, Fate::Idle("it is in the default zone anyway".to_owned()));
                    continue;
                }
                node.attribute("name").map(|name| (format!("-i {name}"), None)).into_iter().collect()
            } else {
                self.sources(&node)
            };
            if matches.is_empty() {
                self.ledger.settle(line, Fate::Otherwise("this source is not read".to_owned()));
            }
            for (words, family) in matches {
                self.push("INPUT", &format!("{words} -g zone-{zone}"), family, line);
            }
        }
    }

    /// What a `source` means: an address, a MAC address, or the entries of a set.
    pub(super) fn sources(&self, node: &Node<'_, '_>) -> Vec<(String, Option<Family>)> {
        let not = if matches!(node.attribute("invert"), Some("true" | "yes")) { "! " } else { "" };
        if let Some(mac) = node.attribute("mac") {
            return vec![(format!("-m mac {not}--mac-source {mac}"), None)];
        }
        if let Some(address) = node.attribute("address") {
            return vec![(format!("{not}-s {address}"), Some(family_by(address)))];
        }
        let entries = node.attribute("ipset").and_then(|name| self.entries(name));
        match entries {
            Some(entries) if not.is_empty() => {
                entries.iter().map(|entry| (format!("-s {entry}"), Some(family_by(entry)))).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The entries of a set of addresses or networks.
    fn entries(&self, name: &str) -> Option<Vec<String>> {
        let (_, document) = self.document("ipsets", name)?;
        let root = document.root_element();
        if !matches!(root.attribute("type"), Some("hash:ip" | "hash:net")) {
            return None;
        }
        let entries = root.children().filter(|node| node.has_tag_name("entry"));
        Some(entries.filter_map(|node| node.text().map(|text| text.trim().to_owned())).collect())
    }

    /// The rules of a zone, in a chain.
    fn zone(&mut self, chain: &str, path: &str, document: &'d Document<'d>) {
        let root = document.root_element();
        let zone = self.enter(path, document, &root);
        let mut sections = Sections::default();
        let inverted = root.children().any(|node| node.has_tag_name("icmp-block-inversion"));
        for node in root.children().filter(Node::is_element) {
            let tag = node.tag_name().name();
            if matches!(tag, "short" | "description" | "source" | "interface") {
                continue;
            }
            let line = self.enter(path, document, &node);
            self.element(tag, &node, line, inverted, &mut sections);
        }
        self.write(chain, sections);
        self.target(chain, root.attribute("target").unwrap_or("default"), inverted, zone);
    }

    fn element(
        &mut self,
        tag: &str,
        node: &Node<'_, '_>,
        line: LineId,
        inverted: bool,
        sections: &mut Sections,
    ) {
        let name = node.attribute("name").unwrap_or("");
        match tag {
            "rule" => self.rich(node, line, sections),
            "icmp-block" => {
                for (words, family) in icmp(name) {
                    let verdict = if inverted { "ACCEPT" } else { "REJECT" };
                    sections.deny.push(Rule { words: format!("{words} -j {verdict}"), family, line });
                }
            }
            "icmp-block-inversion" => {
                self.ledger
                    .settle(line, Fate::Idle("the blocked ICMP types are the allowed ones".to_owned()));
            }
            "service" | "port" | "protocol" | "source-port" => {
                let Some(found) = self.destinations(node, line) else { return };
                let accept = |(words, family)| Rule { words: format!("{words} -j ACCEPT"), family, line };
                sections.allow.extend(found.into_iter().map(accept));
            }
            "forward" => {
                let what =
                    "between interfaces of one zone: name them in a [[firewall.forward]] entry".to_owned();
                self.ledger.settle(line, Fate::Elsewhere(what));
            }
            "masquerade" | "forward-port" => {
                self.ledger
                    .settle(line, Fate::Elsewhere("address translation is no part of the policy".to_owned()));
            }
            other => self.ledger.settle(line, Fate::Otherwise(format!("<{other}> is not read"))),
        }
    }

    /// What a service, port, protocol or source port matches. `None`: it has been accounted for.
    pub(super) fn destinations(
        &mut self,
        node: &Node<'_, '_>,
        line: LineId,
    ) -> Option<Vec<(String, Option<Family>)>> {
        let name = node.attribute("name").unwrap_or("");
        if node.has_tag_name("service") {
            if name == "dhcpv6-client" {
                self.ledger.settle(line, Fate::BuiltIn("DHCPv6 answers of this link".to_owned()));
                return None;
            }
            let mut found = Vec::new();
            if !self.service(name, 8, &mut found) {
                self.ledger.settle(line, Fate::Otherwise(format!("there is no service `{name}`")));
                return None;
            }
            let named = found.len() == 1 && policy::services::lookup(name).is_some();
            if !named {
                for (words, _) in &mut found {
                    words.push_str(&format!(" -m comment --comment \"{}\"", name.replace('"', "'")));
                }
            }
            return Some(found);
        }
        let words = port_words(node)?;
        Some(vec![(words, None)])
    }

    /// The ports of a service and of those that it includes.
    fn service(&self, name: &str, depth: usize, found: &mut Vec<(String, Option<Family>)>) -> bool {
        let Some((_, document)) = self.document("services", name) else { return false };
        let root = document.root_element();
        let destination = root.children().find(|node| node.has_tag_name("destination"));
        for node in root.children().filter(Node::is_element) {
            if node.has_tag_name("include") && depth > 0 {
                self.service(node.attribute("service").unwrap_or(""), depth - 1, found);
                continue;
            }
            let Some(words) = port_words(&node) else { continue };
            match &destination {
                None => found.push((words, None)),
                Some(destination) => {
                    for family in ["ipv4", "ipv6"] {
                        if let Some(address) = destination.attribute(family) {
                            found.push((format!("-d {address} {words}"), family_of(Some(family))));
                        }
                    }
                }
            }
        }
        true
    }

    fn rich(&mut self, node: &Node<'_, '_>, line: LineId, sections: &mut Sections) {
        let rich = Rich::of(self, node, line);
        let Some(rich) = rich else { return };
        let place =
            |sections: &mut Sections, rule: Rule, normal: fn(&mut Sections) -> &mut Vec<Rule>| match rich
                .priority
            {
                0 => normal(sections).push(rule),
                ..0 => sections.before.push((rich.priority, rule)),
                1.. => sections.after.push((rich.priority, rule)),
            };
        for rule in rich.logs {
            place(sections, rule, |sections| &mut sections.log);
        }
        for (refuses, rule) in rich.actions {
            place(
                sections,
                rule,
                if refuses { |sections| &mut sections.deny } else { |sections| &mut sections.allow },
            );
        }
    }

    fn write(&mut self, chain: &str, mut sections: Sections) {
        sections.before.sort_by_key(|(priority, _)| *priority);
        sections.after.sort_by_key(|(priority, _)| *priority);
        let before = sections.before.into_iter().map(|(_, rule)| rule);
        let after = sections.after.into_iter().map(|(_, rule)| rule);
        let rules = before.chain(sections.log).chain(sections.deny).chain(sections.allow).chain(after);
        let (mut read, mut unread) = (BTreeSet::new(), Vec::new());
        for rule in rules.collect::<Vec<_>>() {
            if self.push(chain, &rule.words, rule.family, rule.line) {
                read.insert(rule.line);
            } else {
                unread.push(rule);
            }
        }
        // An ICMP type of one family alone is no rule of the other.
        for rule in unread.into_iter().filter(|rule| !read.contains(&rule.line)) {
            self.ledger.settle(rule.line, Fate::Otherwise(format!("not understood: {}", rule.words)));
        }
    }

    /// What becomes of the rest.
    fn target(&mut self, chain: &str, target: &str, inverted: bool, line: LineId) {
        if !matches!(target, "DROP" | "%%REJECT%%" | "REJECT") && (inverted || target != "ACCEPT") {
            let verdict = if inverted { "REJECT" } else { "ACCEPT" };
            self.push(chain, &format!("-p icmp -j {verdict}"), Some(Family::Ipv4), line);
            self.push(chain, &format!("-p ipv6-icmp -j {verdict}"), Some(Family::Ipv6), line);
        }
        if self.log_denied && target != "ACCEPT" {
            self.push(chain, "-m limit --limit 5/min -j LOG", None, line);
        }
        let verdict = match target {
            "ACCEPT" => "ACCEPT",
            "DROP" => "DROP",
            _ => "REJECT",
        };
        self.push(chain, &format!("-j {verdict}"), None, line);
    }
}

/// A port, protocol or source port in the words of iptables.
fn port_words(node: &Node<'_, '_>) -> Option<String> {
    let protocol = node.attribute("protocol");
    let port = node.attribute("port").filter(|port| !port.is_empty()).map(|port| port.replace('-', ":"));
    match (node.tag_name().name(), protocol, port) {
        ("port", Some(protocol), Some(port)) => Some(format!("-p {protocol} -m {protocol} --dport {port}")),
        ("source-port", Some(protocol), Some(port)) => {
            Some(format!("-p {protocol} -m {protocol} --sport {port}"))
        }
        ("port", Some(protocol), None) => Some(format!("-p {protocol}")),
        ("protocol", ..) => node.attribute("value").map(|value| format!("-p {value}")),
        _ => None,
    }
}

/// An ICMP type by firewalld's name, in each family that knows it.
pub(super) fn icmp(name: &str) -> Vec<(String, Option<Family>)> {
    vec![
        (format!("-p icmp -m icmp --icmp-type {name}"), Some(Family::Ipv4)),
        (format!("-p ipv6-icmp -m icmp6 --icmpv6-type {name}"), Some(Family::Ipv6)),
    ]
}

pub(super) fn family_by(address: &str) -> Family {
    if address.contains(':') { Family::Ipv6 } else { Family::Ipv4 }
}
