//! Undoing an edit of rules that others may have changed meanwhile.

use super::{Chain, OURS, Save, Table, edit::left_out};

/// How tables are brought back.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Merged {
    /// Tables that nobody else has touched: the text that was kept is loaded whole.
    pub(crate) whole: Vec<String>,
    /// The rest, as it should be: what was edited is undone, and what others did stays.
    pub(crate) parts: Save,
    /// Tables that were not there.
    pub(crate) absent: Vec<String>,
    /// What the person should know.
    pub(crate) notes: Vec<String>,
}

/// From what was kept, what the edit made of it, and what is there now, to what should be.
pub(crate) fn merge(kept: &Save, edited: &Save, now: &Save) -> Merged {
    let mut merged = Merged::default();
    let nothing = Table::default();
    for after in &edited.tables {
        let before = kept.table(&after.name).unwrap_or(&nothing);
        let present = now.table(&after.name).unwrap_or(&nothing);
        if same(before, after) || same(before, present) && before.chains.len() == present.chains.len() {
            continue;
        }
        if kept.table(&after.name).is_none() {
            merged.absent.push(after.name.clone());
        } else if same(after, present) {
            merged.whole.push(after.name.clone());
            continue;
        }
        merged.parts.tables.push(merge_table(before, after, present, &mut merged.notes));
    }
    merged
}

/// The same chains, in whatever order.
fn same(one: &Table, other: &Table) -> bool {
    one.chains.len() == other.chains.len()
        && one.chains.iter().all(|chain| other.chain(&chain.name).is_some_and(|same| same.same_as(chain)))
}

fn merge_table(before: &Table, after: &Table, now: &Table, notes: &mut Vec<String>) -> Table {
    let mut chains: Vec<Chain> = Vec::new();
    for present in &now.chains {
        let (was, made) = (before.chain(&present.name), after.chain(&present.name));
        match (was, made) {
            // One that others made.
            (None, None) => chains.push(present.clone()),
            // One that the edit made: it goes, unless it is built in.
            (None, Some(_)) if present.policy.is_none() => {}
            (None, Some(made)) => chains.push(merge_chain(&empty(present), made, present)),
            (Some(was), Some(made)) => chains.push(merge_chain(was, made, present)),
            // One that the edit removed and somebody made anew.
            (Some(was), None) => chains.push(merge_chain(was, &empty(was), present)),
        }
    }
    // What the edit removed comes back; what others removed does not.
    let back =
        before.chains.iter().filter(|was| now.chain(&was.name).is_none() && after.chain(&was.name).is_none());
    chains.extend(back.cloned());
    let merged = Table { name: after.name.clone(), chains };
    if !same(&merged, before) {
        notes.push(format!(
            "table {}: changed by others meanwhile; only what this program had done was undone",
            after.name
        ));
    }
    merged
}

fn empty(chain: &Chain) -> Chain {
    let policy = chain.policy.as_ref().map(|_| "ACCEPT".to_owned());
    Chain { name: chain.name.clone(), policy, rules: Vec::new() }
}

fn merge_chain(was: &Chain, made: &Chain, now: &Chain) -> Chain {
    if now.rules == made.rules || was.name.starts_with(OURS) {
        let policy = if now.policy == made.policy { &was.policy } else { &now.policy };
        return Chain { policy: policy.clone(), ..was.clone() };
    }
    let mut rules = now.rules.clone();
    for added in left_out_loosely(&made.rules, &was.rules) {
        if let Some(at) = rules.iter().position(|rule| *rule == made.rules[added]) {
            rules.remove(at);
        }
    }
    // Before the rule that it stood before, where that is still there.
    for removed in left_out_loosely(&was.rules, &made.rules).into_iter().rev() {
        let rule = &was.rules[removed];
        if rules.contains(rule) {
            continue;
        }
        let next =
            was.rules[removed + 1..].iter().find_map(|next| rules.iter().position(|rule| rule == next));
        rules.insert(next.unwrap_or(rules.len()), rule.clone());
    }
    let policy = if now.policy == made.policy { &was.policy } else { &now.policy };
    Chain { name: was.name.clone(), policy: policy.clone(), rules }
}

/// The places in `whole` of rules that `part` has not.
fn left_out_loosely(whole: &[String], part: &[String]) -> Vec<usize> {
    left_out(whole, part)
        .unwrap_or_else(|| (0..whole.len()).filter(|at| !part.contains(&whole[*at])).collect())
}
