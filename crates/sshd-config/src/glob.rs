//! glob(3) as `Include` uses it: `*`, `?` and `[...]` within one part of a path; a leading dot is never matched
//! by a wildcard; results sorted by byte.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// Whether a part of a pattern needs matching rather than a look-up.
fn is_wild(part: &str) -> bool {
    part.contains(['*', '?', '[', '\\'])
}

/// Whether one part of a path matches one part of a pattern.
#[must_use]
pub(crate) fn part_matches(name: &str, pattern: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (name, pattern): (Vec<char>, Vec<char>) = (name.chars().collect(), pattern.chars().collect());
    matches(&name, &pattern)
}

fn matches(name: &[char], pattern: &[char]) -> bool {
    let Some((&first, after)) = pattern.split_first() else {
        return name.is_empty();
    };
    match first {
        '*' => (0..=name.len()).any(|skip| matches(&name[skip..], after)),
        '?' => !name.is_empty() && matches(&name[1..], after),
        '[' => match class(after) {
            Some((class, rest)) => name.first().is_some_and(|&c| class.holds(c)) && matches(&name[1..], rest),
            None => name.first() == Some(&'[') && matches(&name[1..], after),
        },
        '\\' if !after.is_empty() => name.first() == Some(&after[0]) && matches(&name[1..], &after[1..]),
        literal => name.first() == Some(&literal) && matches(&name[1..], after),
    }
}

struct Class {
    negated: bool,
    ranges: Vec<(char, char)>,
}

impl Class {
    fn holds(&self, c: char) -> bool {
        self.ranges.iter().any(|&(low, high)| low <= c && c <= high) != self.negated
    }
}

/// A bracket expression without its `[`, and what follows it; `None` where it is not closed.
fn class(pattern: &[char]) -> Option<(Class, &[char])> {
    let negated = matches!(pattern.first(), Some('!' | '^'));
    let mut at = usize::from(negated);
    let first = at;
    let mut ranges = Vec::new();
    loop {
        let low = *pattern.get(at)?;
        if low == ']' && at > first {
            return Some((Class { negated, ranges }, &pattern[at + 1..]));
        }
        let range = pattern.get(at + 1) == Some(&'-') && pattern.get(at + 2).is_some_and(|&c| c != ']');
        let high = if range { pattern[at + 2] } else { low };
        ranges.push((low, high));
        at += if range { 3 } else { 1 };
    }
}

/// Expands an absolute pattern. `exists` tells whether a path is there, `children` names what a directory holds.
pub(crate) fn expand(
    pattern: &str,
    exists: impl Fn(&Path) -> bool,
    children: impl Fn(&Path) -> Vec<String>,
) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    for part in Path::new(pattern).components() {
        let Component::Normal(part) = part else {
            if part == Component::ParentDir {
                found.iter_mut().for_each(|path| path.push(".."));
            }
            continue;
        };
        let part = part.to_string_lossy();
        found = if is_wild(&part) {
            let matching = |dir: PathBuf| {
                let names = children(&dir).into_iter().filter(|name| part_matches(name, &part));
                names.map(|name| dir.join(name)).collect::<Vec<_>>()
            };
            found.into_iter().flat_map(matching).collect()
        } else {
            found.into_iter().map(|dir| dir.join(part.as_ref())).collect()
        };
    }
    found.into_iter().filter(|path| exists(path)).collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stay_within_a_part_and_spare_dot_files() {
        assert!(part_matches("50-a.conf", "*.conf"));
        assert!(!part_matches(".hidden.conf", "*.conf"));
        assert!(part_matches(".hidden.conf", ".*.conf"));
        assert!(part_matches("a1", "[a-c][!2-9]"));
        assert!(!part_matches("a2", "[a-c][!2-9]"));
        assert!(part_matches("[x", "[x"));
    }
}
