//! Two states of a table compared: what is to be changed, or what somebody has changed.

use std::collections::{HashMap, HashSet};
use std::fmt;

use nf_tables::{ChainDump, Ignore, Rule, SetDump, TableDump};

use crate::compile::Compiled;
use crate::text;

/// Something that one state of a table has and the other has not.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Difference {
    /// Which of the two has it.
    pub side: Side,
    /// Where: `chain input`, `set tcp-services`, `table inet gabion`.
    pub place: String,
    /// What, as text.
    pub what: String,
}

/// Which state has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// Only the one before, or the one that was meant.
    Before,
    /// Only the one after, or the one that is.
    After,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.side {
            Side::Before => '-',
            Side::After => '+',
        };
        write!(f, "{sign} {}: {}", self.place, self.what)
    }
}

/// What the kernel holds and what was compiled: every difference in configuration, none in counters, in what is left of
/// timeouts, or in the elements of sets that live by themselves. Empty where they are equal.
#[must_use]
pub fn compare_loaded(compiled: &Compiled, loaded: &TableDump) -> Vec<Difference> {
    compare(Some(compiled.table()), Some(loaded))
}

/// The same between any two states; `None` is a table that is not there.
#[must_use]
pub fn compare(before: Option<&TableDump>, after: Option<&TableDump>) -> Vec<Difference> {
    let canonical = |dump: Option<&TableDump>| dump.map(|dump| dump.canonical(Ignore::STATE));
    let (before, after) = (canonical(before), canonical(after));
    if before == after {
        return Vec::new();
    }
    let mut found = Found::default();
    match (&before, &after) {
        (Some(a), Some(b)) => {
            if (a.table.flags, &a.table.userdata) != (b.table.flags, &b.table.userdata) {
                found.both(&format!("table {}", b.id()), &table_head(a), &table_head(b));
            }
        }
        (Some(a), None) => found.only(Side::Before, &format!("table {}", a.id()), table_head(a)),
        (None, Some(b)) => found.only(Side::After, &format!("table {}", b.id()), table_head(b)),
        (None, None) => {}
    }
    found.chains(before.as_ref(), after.as_ref());
    found.sets(before.as_ref(), after.as_ref());
    found.objects(before.as_ref(), after.as_ref());
    found.0
}

fn table_head(dump: &TableDump) -> String {
    let comment = dump.table.comment().map(|comment| format!(" comment \"{comment}\"")).unwrap_or_default();
    format!("flags {:#x}{comment}", dump.table.flags.0)
}

#[derive(Default)]
struct Found(Vec<Difference>);

impl Found {
    fn only(&mut self, side: Side, place: &str, what: impl Into<String>) {
        self.0.push(Difference { side, place: place.to_owned(), what: what.into() });
    }

    fn both(&mut self, place: &str, before: &str, after: &str) {
        self.only(Side::Before, place, before);
        self.only(Side::After, place, after);
    }

    fn sets(&mut self, before: Option<&TableDump>, after: Option<&TableDump>) {
        let names = names(before, after, |dump| dump.sets.iter().map(|set| set.set.name.as_str()).collect());
        let (a_sets, b_sets) = (sets_of(before), sets_of(after));
        for name in names {
            let place = format!("set {name}");
            let (a, b) = (a_sets.get(name).copied(), b_sets.get(name).copied());
            if a == b {
                continue;
            }
            if a.map(|dump| &dump.set) != b.map(|dump| &dump.set) {
                for (side, set) in [(Side::Before, a), (Side::After, b)] {
                    if let Some(dump) = set {
                        self.only(side, &place, set_head(dump));
                    }
                }
            }
            let elements = |dump: Option<&SetDump>| dump.map(text::elements).unwrap_or_default();
            self.lines(&place, &elements(a), &elements(b));
        }
    }

    fn chains(&mut self, before: Option<&TableDump>, after: Option<&TableDump>) {
        let names =
            names(before, after, |dump| dump.chains.iter().map(|chain| chain.chain.name.as_str()).collect());
        let (a_chains, b_chains) = (chains_of(before), chains_of(after));
        for name in names {
            let place = format!("chain {name}");
            let (a, b) = (a_chains.get(name).copied(), b_chains.get(name).copied());
            if a == b {
                continue;
            }
            if a.map(|dump| &dump.chain) != b.map(|dump| &dump.chain) {
                for (side, chain) in [(Side::Before, a), (Side::After, b)] {
                    if let Some(dump) = chain {
                        self.only(side, &place, chain_head(dump));
                    }
                }
            }
            let (a_rules, b_rules) = (rules(a), rules(b));
            let text = |dump: Option<&TableDump>, rule: &Rule| {
                dump.map(|dump| text::rule(dump, rule)).unwrap_or_default()
            };
            for step in steps(a_rules, b_rules) {
                match step {
                    Step::Before(at) => self.only(Side::Before, &place, text(before, &a_rules[at])),
                    Step::After(at) => self.only(Side::After, &place, text(after, &b_rules[at])),
                }
            }
        }
    }

    fn objects(&mut self, before: Option<&TableDump>, after: Option<&TableDump>) {
        let objects = |dump: Option<&TableDump>| -> Vec<String> {
            dump.map(|dump| dump.objects.iter().map(|object| format!("object {}", object.name)).collect())
                .unwrap_or_default()
        };
        self.lines("named objects", &objects(before), &objects(after));
    }

    fn lines(&mut self, place: &str, before: &[String], after: &[String]) {
        for step in steps(before, after) {
            match step {
                Step::Before(at) => self.only(Side::Before, place, before[at].as_str()),
                Step::After(at) => self.only(Side::After, place, after[at].as_str()),
            }
        }
    }
}

fn set_head(dump: &SetDump) -> String {
    let comment = dump.set.comment().map(|comment| format!("; comment \"{comment}\"")).unwrap_or_default();
    format!("{}{comment}", text::set_head(&dump.set))
}

fn chain_head(dump: &ChainDump) -> String {
    let comment = dump.chain.comment().map(|comment| format!(" comment \"{comment}\"")).unwrap_or_default();
    format!("{}{comment}", text::chain_head(&dump.chain).unwrap_or_else(|| "the chain".to_owned()))
}

fn sets_of(dump: Option<&TableDump>) -> HashMap<&str, &SetDump> {
    dump.into_iter().flat_map(|dump| &dump.sets).map(|set| (set.set.name.as_str(), set)).collect()
}

fn chains_of(dump: Option<&TableDump>) -> HashMap<&str, &ChainDump> {
    dump.into_iter().flat_map(|dump| &dump.chains).map(|chain| (chain.chain.name.as_str(), chain)).collect()
}

fn rules(dump: Option<&ChainDump>) -> &[Rule] {
    dump.map(|dump| dump.rules.as_slice()).unwrap_or_default()
}

/// The names of either, each once, those of `before` first.
fn names<'a>(
    before: Option<&'a TableDump>,
    after: Option<&'a TableDump>,
    of: impl Fn(&'a TableDump) -> Vec<&'a str>,
) -> Vec<&'a str> {
    let mut all: Vec<&str> = before.map(&of).unwrap_or_default();
    let known: HashSet<&str> = all.iter().copied().collect();
    all.extend(after.map(&of).unwrap_or_default().into_iter().filter(|name| !known.contains(name)));
    all
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Only `before` has this one.
    Before(usize),
    /// Only `after` has this one.
    After(usize),
}

/// How many pairs of items are compared before the diff becomes coarse: everything out, everything in.
const PAIRS: usize = 4_000_000;

/// The shortest way from one list to the other, by the longest common subsequence.
fn steps<T: PartialEq>(before: &[T], after: &[T]) -> Vec<Step> {
    let head = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    let (a, b) = (&before[head..], &after[head..]);
    let tail = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[..a.len() - tail], &b[..b.len() - tail]);
    if a.len().saturating_mul(b.len()) > PAIRS {
        let out = (0..a.len()).map(|at| Step::Before(head + at));
        return out.chain((0..b.len()).map(|at| Step::After(head + at))).collect();
    }
    let width = b.len() + 1;
    let mut common = vec![0_u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i * width + j] = if a[i] == b[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut found) = (0, 0, Vec::new());
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || i < a.len() && common[(i + 1) * width + j] >= common[i * width + j + 1] {
            found.push(Step::Before(head + i));
            i += 1;
        } else {
            found.push(Step::After(head + j));
            j += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_becomes_the_other_in_the_fewest_steps() {
        assert_eq!(steps(&[1, 2, 3, 4], &[1, 3, 5, 4]), [Step::Before(1), Step::After(2)]);
        assert_eq!(steps::<u8>(&[], &[]), []);
        assert_eq!(steps(&[1], &[]), [Step::Before(0)]);
        assert_eq!(steps(&[1, 2], &[3, 1, 2]), [Step::After(0)]);
    }
}
