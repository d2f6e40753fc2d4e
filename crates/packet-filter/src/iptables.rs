//! Rules of `iptables` as rulesets of `nf_tables`, so that the [`Machine`](crate::Machine) decides packets for them, and a second opinion on each.
//!
//! [`translate`] makes of the files of `iptables-save` and `ip6tables-save` the tables that `iptables-nft` would have: families
//! `ip` and `ip6`, the hooks and priorities of `x_tables`, and one rule for each rule. [`expressions`] makes a single rule
//! that the kernel loads into a table of family `inet`. [`walk()`] says what a whole file does, from the
//! syntax alone.
//!
//! It does not load anything, and it is no way back: matches without an expression of the kernel are kept as text, and may or
//! may not match ([`Translated::doubts`]).

use iptables_syntax::extension::RecentAction;
use iptables_syntax::{ChainPolicy, Family, Match, Rule, Save, Target};
use nf_tables::{Chain, ChainDump, Counter, Expression, Hook, Policy, SetDump, Table, TableDump, TableId};

use crate::decide::{Decision, RuleRef};
use crate::machine::is_known_target;

mod addresses;
mod assemble;
mod build;
mod conntrack;
mod evaluate;
mod hooks;
mod matches;
mod meters;
mod ports;
mod targets;
mod walk;

pub use evaluate::Held;
pub(crate) use evaluate::held_by;
pub use walk::{Outcome, Outcomes, walk};

use assemble::{Entry, assemble};
use build::Build;

/// Files of `iptables-save` as tables of `nf_tables`.
#[derive(Debug, Clone, Default)]
pub struct Translated {
    /// The tables, those of IPv4 before those of IPv6.
    pub tables: Vec<TableDump>,
    /// Where each rule comes from.
    pub origins: Vec<Origin>,
    /// What is not understood.
    pub doubts: Vec<Doubt>,
}

/// Where a rule comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Its table.
    pub table: TableId,
    /// Its chain.
    pub chain: String,
    /// Its place in the chain, from 1.
    pub number: usize,
    /// The line of the file, from 1.
    pub line: usize,
    /// The line as written.
    pub text: String,
}

/// A part of a rule that may or may not match, or of which it is not known what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// The file that it is in.
    pub family: Family,
    /// The line, from 1.
    pub line: usize,
    /// The part, as `iptables-save` writes it.
    pub what: String,
}

/// A part of a rule that no expression of the kernel stands for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nf_tables has no equal of {part}")]
pub struct Untranslatable {
    /// Which.
    pub part: String,
}

impl Untranslatable {
    fn new(part: impl Into<String>) -> Self {
        Self { part: part.into() }
    }
}

/// The tables that the files stand for, either of which may be absent.
#[must_use]
pub fn translate(v4: Option<&Save>, v6: Option<&Save>) -> Translated {
    let mut translated = Translated::default();
    for (save, family) in [(v4, Family::Ipv4), (v6, Family::Ipv6)] {
        for table in save.map(assemble).unwrap_or_default() {
            translated.table(&table, family);
        }
    }
    translated
}

/// A rule as the kernel loads it into a chain of an `inet` table: without counter and comment, and for packets of one family,
/// or of both. The sets that it needs are added to `sets`, those of its table; their names are new there.
///
/// # Errors
/// [`Untranslatable`] names the first part that no expression stands for, or that is not the same in both families.
pub fn expressions(
    rule: &Rule,
    family: Option<Family>,
    sets: &mut Vec<SetDump>,
) -> Result<Vec<Expression>, Untranslatable> {
    let sets_before = sets.len();
    let mut build = Build::new(family, sets);
    if let Some(family) = family {
        build.guard_family(family);
    }
    match native(&mut build, rule) {
        Ok(()) => Ok(build.expressions),
        Err(untranslatable) => {
            sets.truncate(sets_before);
            Err(untranslatable)
        }
    }
}

fn native(build: &mut Build<'_>, rule: &Rule) -> build::Built {
    for part in matches::HEAD {
        part(build, rule)?;
    }
    for matched in &rule.matches {
        matches::condition(build, matched)?;
    }
    match &rule.target {
        None => Ok(()),
        Some(
            target @ (Target::Dnat(_)
            | Target::Snat(_)
            | Target::Masquerade(_)
            | Target::Redirect(_)
            | Target::Notrack
            | Target::Ct(_)
            | Target::Ttl(_)
            | Target::Hl(_)),
        ) => Err(Untranslatable::new(format!("{} outside of its table", target_text(target)))),
        Some(target) => targets::target(build, target),
    }
}

/// The remarks of a rule, one behind the other.
#[must_use]
pub fn comment(rule: &Rule) -> Option<String> {
    let comments = rule.matches.iter().filter_map(|matched| match matched {
        Match::Comment(comment) => Some(comment.text.as_str()),
        _ => None,
    });
    comments.map(str::to_owned).reduce(|all, next| format!("{all} {next}"))
}

impl Translated {
    /// Where a rule of one of these tables comes from.
    #[must_use]
    pub fn origin(&self, rule: &RuleRef) -> Option<&Origin> {
        self.origins.iter().find(|origin| {
            origin.number == rule.number && origin.chain == rule.chain && origin.table == rule.table
        })
    }

    /// The rules that a packet crossed, in order, each with its line; rules of other tables without one.
    #[must_use]
    pub fn crossed<'a>(&'a self, decision: &'a Decision) -> Vec<(&'a RuleRef, Option<&'a Origin>)> {
        decision.crossed.iter().map(|rule| (rule, self.origin(rule))).collect()
    }

    fn table(&mut self, table: &assemble::Table<'_>, family: Family) {
        let kernel_family = match family {
            Family::Ipv4 => nf_tables::Family::Ip,
            Family::Ipv6 => nf_tables::Family::Ip6,
        };
        let mut dump = TableDump::new(Table::new(kernel_family, table.name));
        for chain in &table.chains {
            let mut rules = Vec::with_capacity(chain.rules.len());
            for (nth, entry) in chain.rules.iter().enumerate() {
                rules.push(self.rule(entry, family, &mut dump.sets));
                self.origins.push(Origin {
                    table: dump.id(),
                    chain: chain.name.to_owned(),
                    number: nth + 1,
                    line: entry.line,
                    text: entry.text.to_owned(),
                });
            }
            dump.chains.push(ChainDump { chain: self::chain(table.name, chain), rules });
        }
        self.tables.push(dump);
    }

    fn rule(&mut self, entry: &Entry<'_>, family: Family, sets: &mut Vec<SetDump>) -> nf_tables::Rule {
        let rule = entry.rule;
        let mut build = Build::new(Some(family), sets);
        let mut doubt = |what: String| self.doubts.push(Doubt { family, line: entry.line, what });
        for part in matches::HEAD {
            if let Err(Untranslatable { part }) = build.attempt(|build| part(build, rule)) {
                opaque(&mut build, part.clone());
                doubt(part);
            }
        }
        for matched in &rule.matches {
            if always_matches(matched) || build.attempt(|build| matches::condition(build, matched)).is_ok() {
                continue;
            }
            let text = match_text(matched);
            opaque(&mut build, text.clone());
            doubt(text);
        }
        let counted = entry.counters.unwrap_or_default();
        build.push(Expression::Counter(Counter { packets: counted.packets, bytes: counted.bytes }));
        if let Some(target) = &rule.target
            && build.attempt(|build| targets::target(build, target)).is_err()
        {
            let text = target_text(target);
            let (name, arguments) = text.split_once(' ').unwrap_or((&text, ""));
            match target {
                Target::Connmark(connmark) => {
                    targets::old(&mut build, name, &targets::connmark_info(*connmark).unwrap_or_default());
                }
                // The flags of `xt_CT`, none of which is set, stand before its text.
                Target::Ct(_) => targets::old(&mut build, name, &[&[0, 0], arguments.as_bytes()].concat()),
                _ => targets::old(&mut build, name, arguments.as_bytes()),
            }
            if !is_known_target(name) {
                doubt(format!("-j {text}"));
            }
        }
        let made = nf_tables::Rule::new(build.expressions);
        match comment(rule) {
            Some(comment) => made.with_comment(&comment),
            None => made,
        }
    }
}

/// A condition that is known by its text alone: equal text is an equal condition.
fn opaque(build: &mut Build<'_>, text: String) {
    build.push(Expression::Unknown { name: text, data: Vec::new() });
}

/// `--set` of `recent` writes an address down whatever the packet.
fn always_matches(matched: &Match) -> bool {
    matches!(matched, Match::Recent(recent) if recent.action == RecentAction::Set && !recent.negated)
}

/// A match as `iptables-save` writes it.
fn match_text(matched: &Match) -> String {
    Rule { matches: vec![matched.clone()], ..Rule::default() }.to_string()
}

/// A target as `iptables-save` writes it, without `-j`.
fn target_text(target: &Target) -> String {
    let text = Rule { target: Some(target.clone()), ..Rule::default() }.to_string();
    text.trim().trim_start_matches("-j ").to_owned()
}

fn chain(table: &str, chain: &assemble::Chain<'_>) -> Chain {
    let policy = match chain.policy {
        Some(ChainPolicy::Accept | ChainPolicy::Return) | None => Policy::Accept,
        // A program that is asked in the end (`QUEUE`) was last heard of in Linux 2.6.
        Some(ChainPolicy::Drop | ChainPolicy::Queue) => Policy::Drop,
    };
    let hook = chain.policy.and_then(|_| hooks::hook(table, chain.name)).map(|(point, priority)| Hook {
        point,
        priority,
        kind: hooks::kind(table, point),
        policy,
        devices: Vec::new(),
    });
    Chain { hook, ..Chain::regular(chain.name) }
}
