//! The text that takes tables from one state to another by `iptables-restore --noflush`, touching only what differs.

use super::{Chain, Save, Table};

/// The text that makes `to` of `from`; none where they are the same. A table that `to` does not name stays as it is.
pub(crate) fn edit(from: &Save, to: &Save) -> Option<String> {
    let nothing = Table::default();
    let edits =
        to.tables.iter().filter_map(|table| edit_table(from.table(&table.name).unwrap_or(&nothing), table));
    let text: String = edits.collect();
    (!text.is_empty()).then_some(text)
}

fn edit_table(from: &Table, to: &Table) -> Option<String> {
    let mut declared = Vec::new();
    let mut rules = Vec::new();
    for chain in &to.chains {
        let was = from.chain(&chain.name);
        if was.is_some_and(|was| was.same_as(chain) && was.rules == chain.rules) {
            continue;
        }
        edit_chain(was, chain, &mut declared, &mut rules);
    }
    let gone: Vec<&Chain> = from
        .chains
        .iter()
        .filter(|chain| chain.policy.is_none() && to.chain(&chain.name).is_none())
        .collect();
    // All are emptied before the first is removed: they may lead to each other.
    rules.extend(gone.iter().map(|chain| format!("-F {}", chain.name)));
    rules.extend(gone.iter().map(|chain| format!("-X {}", chain.name)));
    if declared.is_empty() && rules.is_empty() {
        return None;
    }
    let lines = [vec![format!("*{}", to.name)], declared, rules, vec!["COMMIT\n".to_owned()]].concat();
    Some(lines.join("\n"))
}

fn edit_chain(was: Option<&Chain>, chain: &Chain, declared: &mut Vec<String>, rules: &mut Vec<String>) {
    let name = &chain.name;
    let before = was.map(|was| was.rules.as_slice()).unwrap_or_default();
    match &chain.policy {
        Some(policy) if was.is_none_or(|was| was.policy.as_ref() != Some(policy)) => {
            declared.push(format!(":{name} {policy} [0:0]"));
        }
        None if was.is_none() => declared.push(format!(":{name} - [0:0]")),
        Some(_) | None => {}
    }
    if let Some(gone) = left_out(before, &chain.rules) {
        rules.extend(gone.into_iter().rev().map(|at| format!("-D {name} {}", at + 1)));
    } else if let Some(new) = left_out(&chain.rules, before) {
        rules.extend(new.into_iter().map(|at| format!("-I {name} {} {}", at + 1, chain.rules[at])));
    } else {
        rules.push(format!("-F {name}"));
        rules.extend(chain.rules.iter().map(|rule| format!("-A {name} {rule}")));
    }
}

/// The places in `whole` that are left out in `part`; none where `part` is in another order or has more.
pub(super) fn left_out(whole: &[String], part: &[String]) -> Option<Vec<usize>> {
    let mut part = part.iter().peekable();
    let mut out = Vec::new();
    for (at, rule) in whole.iter().enumerate() {
        if part.peek() == Some(&rule) {
            part.next();
        } else {
            out.push(at);
        }
    }
    part.peek().is_none().then_some(out)
}
