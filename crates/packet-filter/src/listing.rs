//! A table as a person numbers it: one line for each thing that it does, however many kernel rules that takes.
//!
//! The rules are met in the order in which a packet could meet them, from the base chain on through every jump and verdict
//! map. What only leads on to another chain is no line of its own. Rules with the same comment are one line: the
//! compiler gives one comment to all that serve one thing, IPv4 and IPv6 alike. A rule without a comment, as somebody
//! else may have put it there, is a line of its own.

use std::collections::HashMap;

use nf_tables::{
    Counter, Data, Dynset, Expression, Family, HookPoint, Immediate, Policy, Rule, TableDump, Verdict,
};
use serde::Serialize;

use crate::text;

mod ways;

use ways::{Reach, narrowed, ways};

/// The lines of one base chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ListedChain {
    /// `INPUT`, `FORWARD`, `OUTPUT`; the kernel's own name for any other.
    pub name: String,
    /// The kernel's name for it.
    pub chain: String,
    /// Where packets enter it.
    pub hook: String,
    /// What becomes of a packet that no rule decides.
    pub policy: &'static str,
    /// The lines, in order.
    pub lines: Vec<Line>,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Line {
    /// Its number in the chain, from 1.
    pub number: usize,
    /// What it does: the comment without its place, or the rule's own text.
    pub what: String,
    /// The line of the policy that it serves, as `policy.toml:31`.
    pub place: Option<String>,
    /// Its rules say what they are for, as all that are compiled do.
    pub is_commented: bool,
    /// It concerns IPv4.
    pub ipv4: bool,
    /// It concerns IPv6.
    pub ipv6: bool,
    /// What it decides: `accept`, `drop`, `reject`, `log`, `queue`, `return`, or `-`.
    pub target: &'static str,
    /// The ports that lead to it.
    pub ports: Vec<String>,
    /// The source addresses that it is limited to.
    pub sources: Vec<String>,
    /// The rate that it keeps, as `30/minute for each source`.
    pub limit: Option<String>,
    /// What it has counted, where one of its rules counts.
    pub counted: Option<Counted>,
    /// The kernel rules that make it up.
    pub rules: Vec<KernelRule>,
}

/// Packets and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counted {
    /// Packets.
    pub packets: u64,
    /// Bytes, from the network header on.
    pub bytes: u64,
}

/// A rule as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KernelRule {
    /// Its chain.
    pub chain: String,
    /// Its place there, from 1.
    pub number: usize,
    /// The kernel's number for it.
    pub handle: Option<u64>,
    /// What it says, with its comment.
    pub text: String,
    /// What it has counted.
    pub counted: Option<Counted>,
}

/// The filter chains of a table at the hooks where a host filters, each with its lines.
#[must_use]
pub fn listing(dump: &TableDump) -> Vec<ListedChain> {
    let bases = dump.chains.iter().filter_map(|chain| Some((chain, chain.chain.hook.as_ref()?)));
    let mut bases: Vec<_> = bases.collect();
    bases.sort_by_key(|(_, hook)| (rank(hook.point), hook.priority));
    let list = |(chain, hook): (&nf_tables::ChainDump, &nf_tables::object::Hook)| {
        let mut walk =
            Walk { dump, lines: Vec::new(), at: HashMap::new(), cursor: None, depth: 0, is_forward: false };
        walk.is_forward = hook.point == HookPoint::Forward;
        for (ipv4, ipv6) in [(sees(dump, true), false), (false, sees(dump, false))] {
            walk.cursor = None;
            walk.chain(&chain.chain.name, &Reach { ipv4, ipv6, ..Reach::default() });
        }
        let name = match hook.point {
            HookPoint::Input => "INPUT".to_owned(),
            HookPoint::Forward => "FORWARD".to_owned(),
            HookPoint::Output => "OUTPUT".to_owned(),
            HookPoint::Prerouting | HookPoint::Postrouting | HookPoint::Ingress | HookPoint::Egress => {
                chain.chain.name.clone()
            }
        };
        ListedChain {
            name,
            chain: chain.chain.name.clone(),
            hook: format!("{} {}", point_name(hook.point), hook.priority),
            policy: policy_name(hook.policy),
            lines: numbered(walk.lines),
        }
    };
    let mut chains: Vec<ListedChain> = bases.into_iter().map(list).collect();
    chains.extend(dump.chains.iter().filter_map(|chain| own_chain(dump, &chain.chain.name)));
    chains
}

/// How the names of the chains begin that hold the policy's own rules.
const OWN: &str = "rule-";

/// A chain of the policy's own, to which its rules jump, by the name that it has there.
fn name_of_own(name: &str) -> Option<&str> {
    name.strip_prefix(OWN).filter(|name| !crate::rules::BASE_CHAINS.contains(name))
}

fn own_chain(dump: &TableDump, name: &str) -> Option<ListedChain> {
    let own = name_of_own(name)?;
    let mut walk =
        Walk { dump, lines: Vec::new(), at: HashMap::new(), cursor: None, depth: 0, is_forward: false };
    for ipv4 in [true, false] {
        walk.cursor = None;
        walk.chain(name, &Reach { ipv4, ipv6: !ipv4, ..Reach::default() });
    }
    let (hook, policy) = (String::new(), "return");
    Some(ListedChain {
        name: own.to_owned(),
        chain: name.to_owned(),
        hook,
        policy,
        lines: numbered(walk.lines),
    })
}

/// The policy of a base chain, as `iptables` and `nft` write it.
#[must_use]
pub const fn policy_name(policy: Policy) -> &'static str {
    match policy {
        Policy::Accept => "accept",
        Policy::Drop => "drop",
    }
}

/// A point of the packet's way, as `nft` writes it.
#[must_use]
pub const fn point_name(point: HookPoint) -> &'static str {
    match point {
        HookPoint::Prerouting => "prerouting",
        HookPoint::Input => "input",
        HookPoint::Forward => "forward",
        HookPoint::Output => "output",
        HookPoint::Postrouting => "postrouting",
        HookPoint::Ingress => "ingress",
        HookPoint::Egress => "egress",
    }
}

const fn rank(point: HookPoint) -> u8 {
    match point {
        HookPoint::Ingress => 0,
        HookPoint::Prerouting => 1,
        HookPoint::Input => 2,
        HookPoint::Forward => 3,
        HookPoint::Output => 4,
        HookPoint::Postrouting => 5,
        HookPoint::Egress => 6,
    }
}

fn sees(dump: &TableDump, ipv4: bool) -> bool {
    match dump.table.family {
        Family::Inet | Family::Netdev | Family::Bridge => true,
        Family::Ip => ipv4,
        Family::Ip6 => !ipv4,
        Family::Arp => false,
    }
}

/// In the order that people number them in: what is built in, then the lines of the policy in its own order, then what
/// becomes of the rest. A map of protocols or ports leads to them in the order of its numbers, which means nothing.
fn numbered(lines: Vec<Line>) -> Vec<Line> {
    let (mut head, mut entries, mut tail) = (Vec::new(), Vec::new(), Vec::new());
    for line in lines {
        match line.place {
            Some(_) => entries.push(line),
            None if line.is_commented && TAIL.iter().any(|tail| line.what.starts_with(tail)) => {
                tail.push(line);
            }
            None => head.push(line),
        }
    }
    // The policy's own rules run before all that is allowed.
    let is_own = |line: &Line| line.rules.first().is_some_and(|rule| rule.chain.starts_with(OWN));
    let entry = |line: &Line| line.place.as_deref().and_then(|place| place.rsplit_once(':')?.1.parse().ok());
    entries.sort_by_key(|line| (!is_own(line), entry(line).unwrap_or(u32::MAX)));
    head.extend(entries);
    head.extend(tail);
    for (at, line) in head.iter_mut().enumerate() {
        line.number = at + 1;
    }
    head
}

/// How the comments of the last lines begin.
const TAIL: [&str; 2] = ["log what is refused", "refuse"];

/// What makes two rules one line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Comment(String),
    Rule(String, usize),
}

struct Walk<'a> {
    dump: &'a TableDump,
    lines: Vec<Line>,
    at: HashMap<Key, usize>,
    /// The last of the lines that this family has met: what only the other has not met stands behind it.
    cursor: Option<usize>,
    depth: usize,
    is_forward: bool,
}

/// How deep jumps go (`NFT_JUMP_STACK_SIZE`).
const DEPTH: usize = 16;

impl Walk<'_> {
    fn chain(&mut self, name: &str, reach: &Reach) {
        let dump = self.dump;
        let Some(chain) = dump.chain(name).filter(|_| self.depth < DEPTH) else { return };
        self.depth += 1;
        for (nth, rule) in chain.rules.iter().enumerate() {
            self.rule(name, nth, rule, reach);
        }
        self.depth -= 1;
    }

    fn rule(&mut self, chain: &str, nth: usize, rule: &Rule, reach: &Reach) {
        let reach = narrowed(rule, reach);
        if !reach.ipv4 && !reach.ipv6 {
            return;
        }
        let ways = ways(self.dump, rule, &reach);
        // Chains of the policy's own are lists by themselves.
        let (own, ways): (Vec<_>, Vec<_>) =
            ways.into_iter().partition(|way| name_of_own(&way.chain).is_some());
        let leads_on = own.is_empty()
            && !ways.is_empty()
            && ways.iter().all(|way| self.dump.chain(&way.chain).is_some());
        let only_leads_on = leads_on && ways.iter().all(|way| !way.beside_verdicts);
        if !only_leads_on {
            self.line(chain, nth, rule, &reach);
        }
        for way in ways {
            self.chain(&way.chain, &way.reach);
        }
    }

    fn line(&mut self, chain: &str, nth: usize, rule: &Rule, reach: &Reach) {
        let comment = rule.comment().filter(|comment| !comment.is_empty());
        let key = match &comment {
            Some(comment) => Key::Comment(comment.clone()),
            None => Key::Rule(chain.to_owned(), nth),
        };
        let known = self.at.get(&key).copied();
        let at = known.unwrap_or_else(|| {
            let mut line = new_line(self.dump, rule, comment.as_deref());
            // What is forwarded to such an entry was sent there by a NAT rule: the policy has no other way for it.
            if self.is_forward && chain.starts_with("allow-") {
                line.what.push_str(", as a container's published port");
            }
            self.insert(key, line)
        });
        self.cursor = self.cursor.max(Some(at));
        let line = &mut self.lines[at];
        line.ipv4 |= reach.ipv4;
        line.ipv6 |= reach.ipv6;
        for port in &reach.ports {
            let port = port.to_string();
            if !line.ports.contains(&port) {
                line.ports.push(port);
            }
        }
        for source in sources(self.dump, rule) {
            if !line.sources.contains(&source) {
                line.sources.push(source);
            }
        }
        line.limit = line.limit.take().or_else(|| limit(rule));
        let counted = counted(rule);
        if line.rules.iter().any(|other| other.chain == chain && other.number == nth + 1) {
            return;
        }
        if let Some(counted) = counted {
            let sum = line.counted.get_or_insert_default();
            sum.packets = sum.packets.saturating_add(counted.packets);
            sum.bytes = sum.bytes.saturating_add(counted.bytes);
        }
        line.rules.push(KernelRule {
            chain: chain.to_owned(),
            number: nth + 1,
            handle: rule.handle,
            text: text::rule(self.dump, rule),
            counted,
        });
    }

    /// Puts a line behind those that this family has met.
    fn insert(&mut self, key: Key, line: Line) -> usize {
        let at = self.cursor.map_or(0, |at| at + 1).min(self.lines.len());
        self.lines.insert(at, line);
        for other in self.at.values_mut().filter(|other| **other >= at) {
            *other += 1;
        }
        self.at.insert(key, at);
        at
    }
}

fn new_line(dump: &TableDump, rule: &Rule, comment: Option<&str>) -> Line {
    let (what, place) = match comment {
        Some(comment) => split_place(comment),
        None => (text::rule_without_comment(dump, rule), None),
    };
    Line {
        number: 0,
        what,
        place,
        is_commented: comment.is_some(),
        ipv4: false,
        ipv6: false,
        target: target(dump, rule),
        ports: Vec::new(),
        sources: Vec::new(),
        limit: None,
        counted: None,
        rules: Vec::new(),
    }
}

/// `allow ssh (policy.toml:31)` taken apart.
#[must_use]
pub fn split_place(comment: &str) -> (String, Option<String>) {
    let place = comment.strip_suffix(')').and_then(|rest| rest.rsplit_once(" ("));
    let is_place = |place: &str| {
        place
            .rsplit_once(':')
            .is_some_and(|(_, line)| !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit()))
    };
    match place {
        Some((what, place)) if is_place(place) => (what.to_owned(), Some(place.to_owned())),
        _ => (comment.to_owned(), None),
    }
}

fn counted(rule: &Rule) -> Option<Counted> {
    let mut counters = rule.expressions.iter().filter_map(|expression| match expression {
        Expression::Counter(Counter { packets, bytes }) => Some(Counted { packets: *packets, bytes: *bytes }),
        // What the old matches and targets count stands in the counter that the rule begins with.
        _ => None,
    });
    counters.next()
}

/// The addresses of the sets in which the rule looks the source up.
fn sources(dump: &TableDump, rule: &Rule) -> Vec<String> {
    let mut found = Vec::new();
    for pair in rule.expressions.windows(2) {
        let [Expression::Payload(payload), Expression::Lookup(lookup)] = pair else { continue };
        let is_source = payload.base == nf_tables::PayloadBase::Network
            && matches!((payload.offset, payload.length), (12, 4) | (8, 16));
        if let Some(set) = dump.set(&lookup.set).filter(|_| is_source && !lookup.inverse) {
            found.extend(text::elements(set));
        }
    }
    found
}

fn limit(rule: &Rule) -> Option<String> {
    rule.expressions.iter().find_map(|expression| match expression {
        Expression::Limit(limit) if !limit.over => Some(rate(limit)),
        Expression::Dynset(Dynset { expressions, .. }) => expressions.iter().find_map(|inner| match inner {
            Expression::Limit(limit) if !limit.over => Some(format!("{} for each source", rate(limit))),
            _ => None,
        }),
        _ => None,
    })
}

fn rate(limit: &nf_tables::Limit) -> String {
    let unit = match limit.seconds {
        1 => "second",
        60 => "minute",
        3_600 => "hour",
        86_400 => "day",
        _ => "week",
    };
    format!("{}/{unit}", limit.rate)
}

/// What a rule decides, in a word.
fn target(dump: &TableDump, rule: &Rule) -> &'static str {
    let mut logs = false;
    for expression in rule.expressions.iter().rev() {
        match expression {
            Expression::Immediate(Immediate { data: Data::Verdict(verdict), .. }) => {
                return verdict_name(verdict);
            }
            Expression::Reject(_) => return "reject",
            Expression::Queue(_) => return "queue",
            Expression::Nat(nat) => {
                return if nat.kind == nf_tables::NatKind::Source { "snat" } else { "dnat" };
            }
            Expression::Masquerade(_) => return "masquerade",
            Expression::Redirect(_) => return "redirect",
            Expression::Notrack(_) => return "notrack",
            Expression::Target(target) if target.name == "REJECT" => return "reject",
            Expression::Target(target) if target.name == "DNAT" => return "dnat",
            Expression::Log(_) => logs = true,
            Expression::Lookup(lookup) if lookup.dreg.is_some() => {
                let accepts = dump.set(&lookup.set).is_some_and(|set| {
                    set.elements.iter().any(|element| element.data == Some(Data::Verdict(Verdict::Accept)))
                });
                return if accepts { "accept" } else { "by map" };
            }
            _ => {}
        }
    }
    if logs { "log" } else { "-" }
}

const fn verdict_name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Accept => "accept",
        Verdict::Drop => "drop",
        Verdict::Queue(_) => "queue",
        Verdict::Continue | Verdict::Break => "-",
        Verdict::Jump(_) => "jump",
        Verdict::Goto(_) => "goto",
        Verdict::Return => "return",
    }
}

#[cfg(test)]
mod tests;
