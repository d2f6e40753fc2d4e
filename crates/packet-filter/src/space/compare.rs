//! Two rulesets held against each other over all packets.

use std::fmt;

use nf_tables::TableDump;

use super::bdd::Bdd;
use super::fields::Layout;
use super::names::AskedNames;
use super::walk::{Regions, walk};
use super::{Space, TooIntricate, reason};
use crate::decide::{Decision, Machine, Reason, Verdict};
use crate::packet::{Hook, Packet};

/// What two rulesets have in common: everything, or not.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Comparison {
    /// For each kind of disagreement a packet; empty where the rulesets do the same with every packet.
    pub disagreements: Vec<Parting>,
}

/// A packet with which two rulesets do not do the same.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Parting {
    /// Where it is looked at.
    pub hook: Hook,
    /// The packet; other packets of the kind part the same way.
    pub packet: Packet,
    /// What has to be so for them to part; empty where they do in the main case.
    pub when: Vec<Assumption>,
    /// What the first does with it then, and what the second does.
    pub verdicts: (Verdict, Verdict),
    /// Both let it through, but change it otherwise: its mark, its destination, its tracking, its source.
    pub changed_otherwise: bool,
    /// What the first says of the packet, whatever is not known may be.
    pub first: Decision,
    /// What the second says of it.
    pub second: Decision,
}

/// Something that is not known of a packet, as a [`Parting`] needs it to be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Assumption {
    /// What is not known: a rate, or what an expression finds.
    pub of: Reason,
    /// Whether the expression lets packets on: the rate is kept, the expression matches.
    pub holds: bool,
}

impl Comparison {
    /// Whether both do the same with every packet.
    #[must_use]
    pub const fn is_equal(&self) -> bool {
        self.disagreements.is_empty()
    }
}

impl fmt::Display for Assumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.of, self.holds) {
            (Reason::Rate { rate, .. }, true) => write!(f, "the limit of {rate} is kept"),
            (reason @ Reason::Rate { .. }, false) | (reason, true) => reason.fmt(f),
            (Reason::Unknown { what, rule }, false) => {
                write!(f, "`{what}` in {} {} rule {} does not match", rule.table, rule.chain, rule.number)
            }
            (Reason::Program { .. } | Reason::TooLong, false) => write!(f, "not that {}", self.of),
        }
    }
}

impl fmt::Display for Parting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hook, packet, verdicts: (first, second), .. } = self;
        write!(f, "{hook}: {packet}: ")?;
        if self.changed_otherwise {
            f.write_str("accepted by both, and changed otherwise")?;
        } else {
            write!(f, "{first} by the first, {second} by the second")?;
        }
        for (nth, assumption) in self.when.iter().enumerate() {
            write!(f, "{} {assumption}", if nth == 0 { ", if" } else { " and" })?;
        }
        Ok(())
    }
}

/// Decides whether two rulesets do the same with every packet at each of the hooks: any number of tables each, with the same
/// answers to what is not known. Equal rates count as one, wherever they stand, and so do equal expressions that are not
/// understood.
///
/// Compared are verdicts (a rejection by its kind) and what is changed about packets that go through; not logs and counters.
///
/// # Errors
/// [`TooIntricate`] where that would take too much memory.
pub fn compare_rulesets(
    first: &[TableDump],
    second: &[TableDump],
    hooks: &[Hook],
) -> Result<Comparison, TooIntricate> {
    let mut asked = AskedNames::default();
    first.iter().chain(second).for_each(|table| asked.add_table(table));
    let mut space = Space::new(Layout::new(asked.names()), false);
    let machines = [Machine::new(first), Machine::new(second)];
    let mut disagreements = Vec::new();
    for &hook in hooks {
        let possible = space.layout.possible(&mut space.arena, &[hook]);
        let mut regions = Vec::new();
        for (nth, machine) in machines.iter().enumerate() {
            space.ruleset = nth;
            regions.push(walk(&mut space, &machine.0, &[hook], possible, None)?);
        }
        let [a, b] = regions.as_slice() else { continue };
        let partings = partings(&mut space, a, b);
        space.check()?;
        for (verdicts, changed_otherwise, set) in partings {
            let (packet, unusual) = space.witness(set);
            let machine_refs: Vec<&Machine<'_>> = machines.iter().collect();
            let when = unusual.into_iter().filter_map(|(variable, is_set)| {
                let opaque = space.opaque_of(variable)?;
                Some(Assumption { of: reason(&machine_refs, opaque)?, holds: is_set })
            });
            disagreements.push(Parting {
                hook,
                when: when.collect(),
                verdicts,
                changed_otherwise,
                first: machines[0].decide(hook, &packet),
                second: machines[1].decide(hook, &packet),
                packet,
            });
        }
    }
    Ok(Comparison { disagreements })
}

/// The kinds of disagreement, and packets of each: of the main case where there are any.
fn partings(space: &mut Space, a: &Regions, b: &Regions) -> Vec<((Verdict, Verdict), bool, Bdd)> {
    let mut found = Vec::new();
    for (of_a, in_a) in &a.verdicts {
        for (of_b, in_b) in b.verdicts.iter().filter(|(of_b, _)| of_b != of_a) {
            let set = space.arena.and(*in_a, *in_b);
            found.push(((of_a.clone(), of_b.clone()), false, set));
        }
    }
    let changed = a.changed_otherwise(b, space);
    found.push(((Verdict::Accept, Verdict::Accept), true, changed));
    found.retain(|(.., set)| !set.is_false());
    for (.., set) in &mut found {
        let usually = space.usually(*set);
        if !usually.is_false() {
            *set = usually;
        }
    }
    found
}
