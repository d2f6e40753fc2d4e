//! Rules that no packet can match, and the rules before them that see to it.

use std::fmt;

use nf_tables::TableDump;

use super::bdd::Bdd;
use super::fields::Layout;
use super::names::AskedNames;
use super::walk::{Record, Records, walk};
use super::{Space, TooIntricate};
use crate::decide::{Machine, RuleRef};
use crate::machine::At;
use crate::packet::Hook;

/// A rule that never matches.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Shadowed {
    /// The rule.
    pub rule: RuleRef,
    /// Why it does not.
    pub why: Shadow,
}

/// Why a rule never matches.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shadow {
    /// No packet is what it asks for.
    Impossible,
    /// No packet comes into its chain.
    Unreachable,
    /// Packets come into its chain, but none that it would match.
    Elsewhere,
    /// Rules before it take every packet that it would match.
    Hidden {
        /// Which: at most [`HIDERS`] of them, in order.
        by: Vec<RuleRef>,
        /// How many they are.
        count: usize,
    },
}

/// How many of the rules that hide one are named.
pub const HIDERS: usize = 8;

impl fmt::Display for Shadow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Impossible => f.write_str("no packet is what it asks for"),
            Self::Unreachable => f.write_str("no packet comes into its chain"),
            Self::Elsewhere => f.write_str("no packet that it would match comes into its chain"),
            Self::Hidden { by, count } => {
                let named: Vec<String> =
                    by.iter().map(|rule| format!("{} {}", rule.chain, rule.number)).collect();
                write!(f, "hidden by {}", named.join(", "))?;
                if *count > by.len() { write!(f, " and {} more", count - by.len()) } else { Ok(()) }
            }
        }
    }
}

impl fmt::Display for Shadowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.why)
    }
}

/// The rules that match no packet at any hook, whatever is not known may be. Taking one of them away changes nothing.
///
/// Only rules of tables that see IP packets are looked at.
///
/// # Errors
/// [`TooIntricate`] where that would take too much memory.
pub fn shadowed(tables: &[TableDump]) -> Result<Vec<Shadowed>, TooIntricate> {
    let mut asked = AskedNames::default();
    tables.iter().for_each(|table| asked.add_table(table));
    let mut space = Space::new(Layout::new(asked.names()), true);
    let machine = Machine::new(tables);
    let mut records = Records::default();
    for hook in Hook::ALL {
        let possible = space.layout.possible(&mut space.arena, &[hook]);
        walk(&mut space, &machine.0, &[hook], possible, Some(&mut records))?;
    }
    let mut found = Vec::new();
    for (t, table) in tables.iter().enumerate().filter(|(_, table)| sees_packets(table)) {
        for (c, chain) in table.chains.iter().enumerate() {
            for (r, _) in chain.rules.iter().enumerate() {
                let at = At { table: t, chain: c, rule: r };
                if let Some(why) = shadow(&mut space, &machine, &records, at) {
                    found.push(Shadowed { rule: machine.rule_ref(at), why });
                }
            }
        }
    }
    space.check()?;
    Ok(found)
}

fn sees_packets(table: &TableDump) -> bool {
    use nf_tables::Family;
    matches!(table.table.family, Family::Inet | Family::Ip | Family::Ip6)
}

/// Why no packet matches the rule, if none does.
fn shadow(space: &mut Space, machine: &Machine<'_>, records: &Records, at: At) -> Option<Shadow> {
    let entered = records.chains.get(&(at.table, at.chain)).copied().unwrap_or(Bdd::FALSE);
    if entered.is_false() {
        return Some(Shadow::Unreachable);
    }
    let Some(Record { matches, matched, .. }) = records.rules.get(&at) else {
        // The walk stopped before: nothing was left.
        return Some(hidden(space, machine, records, at, entered));
    };
    if *matched {
        return None;
    }
    let matches = matches.iter().fold(Bdd::FALSE, |all, &set| space.arena.or(all, set));
    if matches.is_false() {
        return Some(Shadow::Impossible);
    }
    let would_match = space.arena.and(entered, matches);
    if would_match.is_false() {
        return Some(Shadow::Elsewhere);
    }
    Some(hidden(space, machine, records, at, would_match))
}

/// The rules that take the packets of `wanted` before they come to the rule.
fn hidden(space: &mut Space, machine: &Machine<'_>, records: &Records, at: At, wanted: Bdd) -> Shadow {
    let (mut wanted, mut by, mut count) = (wanted, Vec::new(), 0);
    for rule in 0..at.rule {
        let before = At { rule, ..at };
        let Some(record) = records.rules.get(&before) else { continue };
        let before_it = wanted;
        for &(arrived, went_on) in &record.visits {
            // Of what came, only what went on may still come to the rule.
            let kept = space.arena.or(went_on, !arrived);
            wanted = space.arena.and(wanted, kept);
        }
        if wanted != before_it {
            count += 1;
            if by.len() < HIDERS {
                by.push(machine.rule_ref(before));
            }
        }
        if wanted.is_false() {
            break;
        }
    }
    Shadow::Hidden { by, count }
}
