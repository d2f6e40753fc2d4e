//! firewalld's configuration: zones, services, sets and direct rules, as rules in the order in which firewalld runs them.

use std::collections::BTreeMap;

use iptables_syntax::{ChainPolicy, Family, Mode, parse_rule};
use roxmltree::{Document, Node};

use crate::chains::{Chain, Chains, Step};
use crate::iptables::import;
use crate::ledger::{Fate, Ledger, LineId, UNSEEN};
use crate::{Imported, Options};

mod rich;
mod zone;

/// The folders below the root whose `.xml` files [`firewalld`] looks at. A file of `etc` takes the place of one of `usr` of
/// the same name.
pub const FIREWALLD_FOLDERS: [&str; 8] = [
    "usr/lib/firewalld/zones",
    "usr/lib/firewalld/services",
    "usr/lib/firewalld/ipsets",
    "usr/lib/firewalld/policies",
    "etc/firewalld/zones",
    "etc/firewalld/services",
    "etc/firewalld/ipsets",
    "etc/firewalld/policies",
];

/// The other files that [`firewalld`] looks at.
pub const FIREWALLD_FILES: [&str; 2] = ["etc/firewalld/firewalld.conf", "etc/firewalld/direct.xml"];

/// Why firewalld's configuration could not be imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirewalldError {
    /// The file.
    pub file: String,
    /// What is wrong with it.
    pub problem: String,
}

/// Imports firewalld's files: each with its path below the root, and its text.
///
/// # Errors
/// A file that is no XML, or a default zone that is not there.
pub fn firewalld(files: &[(&str, &str)], options: &Options<'_>) -> Result<Imported, FirewalldError> {
    let mut documents = BTreeMap::new();
    for (path, text) in files.iter().filter(|(path, _)| path.ends_with(".xml")) {
        let document = Document::parse(text)
            .map_err(|error| FirewalldError { file: format!("/{path}"), problem: error.to_string() })?;
        documents.insert(*path, document);
    }
    let mut reader = Reader {
        documents: &documents,
        ledger: Ledger::default(),
        chains: [Chains::new(Family::Ipv4), Chains::new(Family::Ipv6)],
        default_zone: "public".to_owned(),
        log_denied: false,
        notes: Vec::new(),
    };
    reader.settings(files);
    reader.base();
    reader.direct();
    reader.policies();
    reader.zones()?;
    reader.push("FORWARD", "-j REJECT", None, UNSEEN);
    let Reader { ledger, chains, notes, .. } = reader;
    let mut imported = import(chains.into(), options, ledger);
    imported.notes.extend(notes);
    Ok(imported)
}

struct Reader<'d> {
    documents: &'d BTreeMap<&'d str, Document<'d>>,
    ledger: Ledger,
    /// IPv4 and IPv6.
    chains: [Chains; 2],
    default_zone: String,
    log_denied: bool,
    notes: Vec<String>,
}

impl<'d> Reader<'d> {
    /// `firewalld.conf`.
    fn settings(&mut self, files: &[(&str, &str)]) {
        let name = "etc/firewalld/firewalld.conf";
        let Some((_, text)) = files.iter().find(|(path, _)| *path == name) else { return };
        for (number, line) in text.lines().enumerate() {
            let Some((key, value)) = line.split_once('=').filter(|_| !line.trim_start().starts_with('#'))
            else {
                continue;
            };
            let id = self.ledger.enter(&format!("/{name}"), number + 1, line);
            let value = value.trim();
            let fate = match key.trim() {
                "DefaultZone" => {
                    value.clone_into(&mut self.default_zone);
                    Fate::Setting("the zone of every interface that no other zone names".to_owned())
                }
                "LogDenied" => {
                    self.log_denied = value != "off";
                    Fate::Setting("log".to_owned())
                }
                "IPv6_rpfilter" if value != "no" => {
                    Fate::Elsewhere("whether an answer would take the same way is not asked".to_owned())
                }
                "RFC3964_IPv4" if value == "yes" => Fate::Elsewhere(
                    "6to4 addresses of private networks are not refused on their way out".to_owned(),
                ),
                _ => Fate::Idle("it says how firewalld itself works".to_owned()),
            };
            self.ledger.settle(id, fate);
        }
    }

    /// The built-in chains: what nothing lets in is rejected, everything may leave.
    fn base(&mut self) {
        for chains in &mut self.chains {
            for (chain, policy) in [
                ("INPUT", ChainPolicy::Drop),
                ("FORWARD", ChainPolicy::Drop),
                ("OUTPUT", ChainPolicy::Accept),
            ] {
                chains
                    .by_name
                    .insert(chain.to_owned(), Chain { policy: Some((policy, None)), steps: Vec::new() });
            }
        }
    }

    /// `direct.xml`: rules of iptables, which run before the zones.
    fn direct(&mut self) {
        let path = "etc/firewalld/direct.xml";
        let Some(document) = self.documents.get(path) else { return };
        let mut rules: Vec<Node<'_, '_>> =
            document.root_element().children().filter(Node::is_element).collect();
        rules.sort_by_key(|node| {
            node.attribute("priority").and_then(|text| text.parse::<i32>().ok()).unwrap_or(0)
        });
        for node in rules {
            let line = self.enter(path, document, &node);
            let words = node.text().unwrap_or("").trim();
            let (table, chain) =
                (node.attribute("table").unwrap_or("filter"), node.attribute("chain").unwrap_or(""));
            let family = family_of(node.attribute("ipv"));
            match (node.tag_name().name(), table) {
                ("rule", "filter") => {
                    if !self.push(chain, words, family, line) {
                        self.ledger.settle(line, Fate::Otherwise("this rule was not understood".to_owned()));
                    }
                }
                ("chain", "filter") => {
                    self.ledger.settle(line, Fate::Idle("a chain for direct rules".to_owned()));
                }
                ("passthrough", _) => self.passthrough(words, family, line),
                _ => self
                    .ledger
                    .settle(line, Fate::Elsewhere(format!("the table {table} is no part of the policy"))),
            }
        }
    }

    /// `-I INPUT -p tcp ... -j ACCEPT`, as it would be given to iptables.
    fn passthrough(&mut self, words: &str, family: Option<Family>, line: LineId) {
        let mut parts = words.splitn(3, char::is_whitespace);
        let (command, chain, rest) = (parts.next(), parts.next(), parts.next());
        let is_filter = !words.contains("-t ") || words.contains("-t filter ");
        let pushed = match (command, chain, rest) {
            (Some("-A" | "-I"), Some(chain), Some(rest)) if is_filter => self.push(chain, rest, family, line),
            _ => false,
        };
        if !pushed {
            self.ledger.settle(line, Fate::Elsewhere("this is no rule of the table filter".to_owned()));
        }
    }

    /// Policies between zones: named, and the stock one for IPv6 is built in.
    fn policies(&mut self) {
        for (path, document) in self.documents {
            if !path.contains("/policies/") {
                continue;
            }
            let line = self.enter(path, document, &document.root_element());
            let fate = if path.ends_with("/allow-host-ipv6.xml") {
                Fate::BuiltIn("neighbour discovery".to_owned())
            } else {
                Fate::Elsewhere(
                    "policies between zones are not read: write [[firewall.forward]] entries".to_owned(),
                )
            };
            self.ledger.settle(line, fate);
        }
    }

    /// The document of this kind and name: that of `etc` before that of `usr`.
    fn document(&self, kind: &str, name: &str) -> Option<(&'d str, &'d Document<'d>)> {
        let paths =
            [format!("etc/firewalld/{kind}/{name}.xml"), format!("usr/lib/firewalld/{kind}/{name}.xml")];
        paths.iter().find_map(|path| {
            self.documents.get_key_value(path.as_str()).map(|(path, document)| (*path, document))
        })
    }

    fn enter(&mut self, path: &str, document: &Document<'_>, node: &Node<'_, '_>) -> LineId {
        let row = usize::try_from(document.text_pos_at(node.range().start).row).unwrap_or(0);
        let source = &document.input_text()[node.range()];
        let text: Vec<&str> = source.split_whitespace().collect();
        let text = text.join(" ");
        let short = if node.has_tag_name("zone") || node.has_tag_name("policy") {
            text.split_once('>').map_or(text.clone(), |(head, _)| format!("{head}>"))
        } else {
            text
        };
        self.ledger.enter(&format!("/{path}"), row, &short)
    }

    /// Adds a rule to a chain of one family, or of each that can have it; gives whether any did.
    fn push(&mut self, chain: &str, words: &str, family: Option<Family>, line: LineId) -> bool {
        let mut pushed = false;
        for chains in &mut self.chains {
            if family.is_some_and(|family| family != chains.family) {
                continue;
            }
            if let Ok(rule) = parse_rule(words, chains.family, Mode::Strict) {
                chains.push(chain, Step { line, rule, words: words.to_owned() });
                pushed = true;
            }
        }
        pushed
    }
}

fn family_of(text: Option<&str>) -> Option<Family> {
    match text {
        Some("ipv4") => Some(Family::Ipv4),
        Some("ipv6") => Some(Family::Ipv6),
        _ => None,
    }
}
