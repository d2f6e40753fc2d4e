//! Cuts names into classes that a set of patterns does not tell apart.

use std::collections::{HashMap, VecDeque};

/// Patterns longer than this, or more states than this, leave the answer incomplete.
const MAX_PATTERN: usize = 120;
const MAX_STATES: usize = 20_000;

/// One name of every class, the shortest, and whether no class can be missing.
pub(super) fn classes(patterns: &[&str]) -> (Vec<String>, bool) {
    let usable: Vec<Vec<char>> = patterns
        .iter()
        .map(|pattern| pattern.chars().collect::<Vec<_>>())
        .filter(|p| p.len() <= MAX_PATTERN)
        .collect();
    let mut complete = usable.len() == patterns.len();
    let alphabet = alphabet(&usable);
    let start: Vec<u128> = usable.iter().map(|pattern| closure(pattern, 1)).collect();
    let mut seen: HashMap<Vec<u128>, ()> = HashMap::from([(start.clone(), ())]);
    let mut classes: HashMap<Vec<bool>, ()> = HashMap::new();
    let mut names = Vec::new();
    let mut queue = VecDeque::from([(start, String::new())]);
    while let Some((states, name)) = queue.pop_front() {
        for &c in &alphabet {
            let next: Vec<u128> =
                usable.iter().zip(&states).map(|(p, &positions)| step(p, positions, c)).collect();
            let mut longer = name.clone();
            longer.push(c);
            let class =
                usable.iter().zip(&next).map(|(p, &positions)| positions >> p.len() & 1 == 1).collect();
            if classes.insert(class, ()).is_none() {
                names.push(longer.clone());
            }
            if seen.len() >= MAX_STATES {
                complete = false;
            } else if seen.insert(next.clone(), ()).is_none() {
                queue.push_back((next, longer));
            }
        }
    }
    (names, complete)
}

/// Every letter of the patterns, and one that is in none of them.
fn alphabet(patterns: &[Vec<char>]) -> Vec<char> {
    let mut letters: Vec<char> =
        patterns.iter().flatten().copied().filter(|c| !matches!(c, '*' | '?')).collect();
    letters.sort_unstable();
    letters.dedup();
    let fresh = ('a'..='z').chain('0'..='9').chain('A'..='Z').find(|c| !letters.contains(c));
    // The fresh letter first, so that names in no pattern are made of it.
    fresh.into_iter().chain(letters).collect()
}

/// Positions reachable without reading: a `*` may stand for nothing.
fn closure(pattern: &[char], mut positions: u128) -> u128 {
    for (at, &c) in pattern.iter().enumerate() {
        if c == '*' && positions >> at & 1 == 1 {
            positions |= 1 << (at + 1);
        }
    }
    positions
}

fn step(pattern: &[char], positions: u128, letter: char) -> u128 {
    let mut next = 0;
    for (at, &c) in pattern.iter().enumerate() {
        if positions >> at & 1 == 1 {
            match c {
                '*' => next |= 1 << at,
                '?' => next |= 1 << (at + 1),
                literal if literal == letter => next |= 1 << (at + 1),
                _ => {}
            }
        }
    }
    closure(pattern, next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::matches;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn signatures(names: &[String], patterns: &[&str]) -> BTreeSet<Vec<bool>> {
        names.iter().map(|name| patterns.iter().map(|pattern| matches(name, pattern)).collect()).collect()
    }

    #[test]
    fn a_name_of_every_class_is_found() {
        let patterns = ["a*", "*b", "ab"];
        let (names, complete) = classes(&patterns);
        assert!(complete);
        // Neither, a only, b only, both but not `ab`, `ab`.
        assert_eq!(signatures(&names, &patterns).len(), 5);
    }

    proptest! {
        #[test]
        fn no_class_is_missed(patterns in proptest::collection::vec("[ab*?]{1,4}", 1..4), text in "[abz]{1,5}") {
            let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
            let (names, complete) = classes(&patterns);
            prop_assert!(complete);
            let text = text.replace('z', "c");
            let class: Vec<bool> = patterns.iter().map(|pattern| matches(&text, pattern)).collect();
            prop_assert!(signatures(&names, &patterns).contains(&class));
        }
    }
}
