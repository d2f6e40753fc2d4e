//! Rich rules (`firewalld.richlanguage(5)`), in the XML of zones.

use iptables_syntax::Family;
use roxmltree::Node;

use super::zone::{Rule, family_by, icmp};
use super::{Reader, family_of};
use crate::ledger::{Fate, LineId};

/// A rich rule as rules of iptables.
pub(super) struct Rich {
    pub(super) priority: i32,
    pub(super) logs: Vec<Rule>,
    /// Whether it refuses, and the rule.
    pub(super) actions: Vec<(bool, Rule)>,
}

type Part = (String, Option<Family>);

impl Rich {
    /// `None`: the rule has been accounted for.
    pub(super) fn of(reader: &mut Reader<'_>, node: &Node<'_, '_>, line: LineId) -> Option<Self> {
        let priority = node.attribute("priority").and_then(|text| text.parse().ok()).unwrap_or(0);
        let family = family_of(node.attribute("family"));
        let (mut source, mut destination) = (vec![(String::new(), None)], vec![(String::new(), None)]);
        let mut element: Vec<Part> = vec![(String::new(), None)];
        let mut rich = Self { priority, logs: Vec::new(), actions: Vec::new() };
        let (mut logs, mut action) = (Vec::new(), None);
        for part in node.children().filter(Node::is_element) {
            match part.tag_name().name() {
                "source" => {
                    source = reader.sources(&part);
                    if source.is_empty() {
                        reader.ledger.settle(line, Fate::Otherwise("its source is not read".to_owned()));
                        return None;
                    }
                }
                "destination" => {
                    let not =
                        if matches!(part.attribute("invert"), Some("true" | "yes")) { "! " } else { "" };
                    let address = part.attribute("address").unwrap_or("");
                    destination = vec![(format!("{not}-d {address}"), Some(family_by(address)))];
                }
                "service" | "port" | "protocol" | "source-port" => {
                    element = reader.destinations(&part, line)?;
                }
                "icmp-type" => element = icmp(part.attribute("name").unwrap_or("")),
                "icmp-block" => {
                    element = icmp(part.attribute("name").unwrap_or(""));
                    action = Some((true, "-j REJECT".to_owned()));
                }
                "log" => logs.push(format!("{}{}", limit(&part), log(&part))),
                "nflog" => logs.push(format!("{}{}", limit(&part), nflog(&part))),
                "audit" => {
                    reader.ledger.settle(line, Fate::Otherwise("it leaves no record for audit".to_owned()));
                }
                "accept" => action = Some((false, format!("{}-j ACCEPT", limit(&part)))),
                "drop" => action = Some((true, format!("{}-j DROP", limit(&part)))),
                "reject" => action = Some((true, format!("{}{}", limit(&part), reject(&part)))),
                "mark" | "masquerade" | "forward-port" | "tcp-mss-clamp" => {
                    let what = format!("<{}> is no part of the policy", part.tag_name().name());
                    reader.ledger.settle(line, Fate::Elsewhere(what));
                    return None;
                }
                other => {
                    reader.ledger.settle(line, Fate::Otherwise(format!("<{other}> is not read")));
                    return None;
                }
            }
        }
        for (words, family) in product(&[source, destination, element], family) {
            let rule = |end: &str| Rule { words: format!("{words} {end}").trim().to_owned(), family, line };
            rich.logs.extend(logs.iter().map(|log| rule(log)));
            rich.actions.extend(action.iter().map(|(refuses, end)| (*refuses, rule(end))));
        }
        Some(rich)
    }
}

/// Every combination of the parts whose families agree.
fn product(parts: &[Vec<Part>], family: Option<Family>) -> Vec<Part> {
    let mut found: Vec<Part> = vec![(String::new(), family)];
    for part in parts {
        let mut next = Vec::new();
        for (words, family) in &found {
            for (more, other) in part {
                if family.is_some() && other.is_some() && family != other {
                    continue;
                }
                next.push((format!("{words} {more}").trim().to_owned(), family.or(*other)));
            }
        }
        found = next;
    }
    found
}

/// `<limit value="3/m"/>` in the words of iptables.
fn limit(node: &Node<'_, '_>) -> String {
    let limit = node.children().find(|child| child.has_tag_name("limit"));
    let Some(value) = limit.and_then(|limit| limit.attribute("value")) else { return String::new() };
    let Some((count, unit)) = value.split_once('/') else { return String::new() };
    let unit = match unit.chars().next() {
        Some('s') => "sec",
        Some('m') => "min",
        Some('h') => "hour",
        _ => "day",
    };
    let burst = limit.and_then(|limit| limit.attribute("burst"));
    let burst = burst.map(|burst| format!("--limit-burst {burst} ")).unwrap_or_default();
    format!("-m limit --limit {count}/{unit} {burst}")
}

fn log(node: &Node<'_, '_>) -> String {
    let prefix = node.attribute("prefix").map(|prefix| prefix.replace('"', "'"));
    let prefix = prefix.map(|prefix| format!(" --log-prefix \"{prefix}\"")).unwrap_or_default();
    let level = node.attribute("level").map(|level| format!(" --log-level {level}")).unwrap_or_default();
    format!("-j LOG{prefix}{level}")
}

fn nflog(node: &Node<'_, '_>) -> String {
    let prefix = node.attribute("prefix").map(|prefix| prefix.replace('"', "'"));
    let prefix = prefix.map(|prefix| format!(" --nflog-prefix \"{prefix}\"")).unwrap_or_default();
    let group = node.attribute("group").map(|group| format!(" --nflog-group {group}")).unwrap_or_default();
    format!("-j NFLOG{prefix}{group}")
}

fn reject(node: &Node<'_, '_>) -> String {
    match node.attribute("type") {
        Some(kind) => format!("-j REJECT --reject-with {kind}"),
        None => "-j REJECT".to_owned(),
    }
}
