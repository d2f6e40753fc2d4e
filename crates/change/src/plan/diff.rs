//! A unified diff of two texts, as diff(1) with `-u` draws it.

use std::fmt::Write as _;
use std::ops::Range;

/// Unchanged lines that are shown around a change.
const CONTEXT: usize = 2;
/// Lines that may differ before all between the first and the last difference is called replaced: the search costs the square.
const MOST: usize = 1000;

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    Goes,
    Comes,
}

/// The differences under a header with both names; nothing where there are none.
pub(super) fn unified(names: (&str, &str), old: &str, new: &str) -> String {
    let old: Vec<&str> = old.split_inclusive('\n').collect();
    let new: Vec<&str> = new.split_inclusive('\n').collect();
    let lines = slide_down(with_fates(&old, &new));
    let mut text = String::new();
    for hunk in hunks(&lines) {
        if text.is_empty() {
            let _ = writeln!(text, "--- {}\n+++ {}", names.0, names.1);
        }
        let before = |fate: Fate| lines[..hunk.start].iter().filter(|line| line.0 != fate).count();
        let within = |fate: Fate| lines[hunk.clone()].iter().filter(|line| line.0 != fate).count();
        let range = |other: Fate| place(before(other), within(other));
        let _ = writeln!(text, "@@ -{} +{} @@", range(Fate::Comes), range(Fate::Goes));
        for (fate, line) in &lines[hunk.clone()] {
            let mark = match fate {
                Fate::Stays => ' ',
                Fate::Goes => '-',
                Fate::Comes => '+',
            };
            let end = if line.ends_with('\n') { "" } else { "\n\\ No newline at end of file\n" };
            let _ = write!(text, "{mark}{line}{end}");
        }
    }
    text
}

/// Where a hunk stands in a file, as its header says it.
fn place(before: usize, length: usize) -> String {
    match length {
        0 => format!("{before},0"),
        1 => format!("{}", before + 1),
        length => format!("{},{length}", before + 1),
    }
}

/// The changes with the lines around them; those whose surroundings meet are one.
fn hunks(lines: &[(Fate, &str)]) -> Vec<Range<usize>> {
    let mut hunks: Vec<Range<usize>> = Vec::new();
    for at in (0..lines.len()).filter(|at| lines[*at].0 != Fate::Stays) {
        let (start, end) = (at.saturating_sub(CONTEXT), (at + 1 + CONTEXT).min(lines.len()));
        match hunks.last_mut().filter(|last| last.end >= start) {
            Some(last) => last.end = end,
            None => hunks.push(start..end),
        }
    }
    hunks
}

/// Every line of both texts in order, with the fewest changes (E. Myers, An O(ND) Difference Algorithm, 1986).
fn with_fates<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<(Fate, &'t str)> {
    let same = |(old, new): &(&&str, &&str)| old == new;
    let head = old.iter().zip(new).take_while(same).count();
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(same).count();
    let stays = |lines: &[&'t str]| lines.iter().map(|line| (Fate::Stays, *line)).collect::<Vec<_>>();
    let mut lines = stays(&old[..head]);
    lines.extend(fewest_changes(&old[head..old.len() - tail], &new[head..new.len() - tail]));
    lines.extend(stays(&old[old.len() - tail..]));
    lines
}

fn fewest_changes<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<(Fate, &'t str)> {
    // Diagonals are numbered from the middle: on number `MIDDLE + x - y` stand `x` old lines and `y` new ones.
    const MIDDLE: usize = MOST + 1;
    let mut furthest = vec![0_usize; 2 * MIDDLE + 1];
    let mut steps: Vec<Vec<usize>> = Vec::new();
    let goes_down = |furthest: &[usize], changes: usize, diagonal: usize| {
        diagonal == MIDDLE - changes
            || (diagonal != MIDDLE + changes && furthest[diagonal - 1] < furthest[diagonal + 1])
    };
    for changes in 0..=MOST {
        steps.push(furthest.clone());
        for diagonal in (MIDDLE - changes..=MIDDLE + changes).step_by(2) {
            let mut x = if goes_down(&furthest, changes, diagonal) {
                furthest[diagonal + 1]
            } else {
                furthest[diagonal - 1] + 1
            };
            while x < old.len() && old.get(x) == new.get((x + MIDDLE).saturating_sub(diagonal)) {
                x += 1;
            }
            furthest[diagonal] = x;
            if x >= old.len() && x + MIDDLE >= diagonal + new.len() {
                return walk_back(old, new, &steps, goes_down, MIDDLE);
            }
        }
    }
    let gone = old.iter().map(|line| (Fate::Goes, *line));
    gone.chain(new.iter().map(|line| (Fate::Comes, *line))).collect()
}

/// The lines along the way that led to the end of both texts.
fn walk_back<'t>(
    old: &[&'t str],
    new: &[&'t str],
    steps: &[Vec<usize>],
    goes_down: impl Fn(&[usize], usize, usize) -> bool,
    middle: usize,
) -> Vec<(Fate, &'t str)> {
    let mut lines = Vec::new();
    let (mut x, mut y) = (old.len(), new.len());
    for (changes, furthest) in steps.iter().enumerate().rev() {
        let diagonal = middle + x - y;
        let down = goes_down(furthest, changes, diagonal);
        let from = if down { diagonal + 1 } else { diagonal - 1 };
        let (start, is_first) = (furthest[from], changes == 0);
        let end = if is_first { 0 } else { start + usize::from(!down) };
        while x > end {
            x -= 1;
            y -= 1;
            lines.push((Fate::Stays, old[x]));
        }
        if !is_first && down {
            y -= 1;
            lines.push((Fate::Comes, new[y]));
        } else if !is_first {
            x -= 1;
            lines.push((Fate::Goes, old[x]));
        }
    }
    lines.reverse();
    lines
}

/// Moves each block of one kind down as far as it may stand: a block that was put behind another like it ends with its own end.
fn slide_down(mut lines: Vec<(Fate, &str)>) -> Vec<(Fate, &str)> {
    let mut at = 0;
    while at < lines.len() {
        let fate = lines[at].0;
        let mut end = at + lines[at..].iter().take_while(|line| line.0 == fate).count();
        if fate != Fate::Stays && (at == 0 || lines[at - 1].0 == Fate::Stays) {
            while lines.get(end).is_some_and(|next| next.0 == Fate::Stays && next.1 == lines[at].1) {
                lines[at].0 = Fate::Stays;
                lines[end].0 = fate;
                (at, end) = (at + 1, end + 1);
            }
        }
        at = end;
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Fate, MOST, unified, with_fates};

    #[test]
    fn changes_stand_with_the_lines_around_them() {
        let old = "a\nb\nc\nd\ne\nf\ng\nh\ni\n";
        let new = "a\nb\nC\nd\ne\nf\ng\nh\ni\nj";
        assert_eq!(
            unified(("old", "new"), old, new),
            "--- old\n+++ new\n@@ -1,5 +1,5 @@\n a\n b\n-c\n+C\n d\n e\n@@ -8,2 +8,3 @@\n h\n i\n+j\n\\ No newline at end of file\n"
        );
        assert_eq!(unified(("old", "new"), "", "x\n"), "--- old\n+++ new\n@@ -0,0 +1 @@\n+x\n");
        assert_eq!(unified(("old", "new"), new, new), "");
    }

    #[test]
    fn a_block_like_the_one_before_it_is_added_behind_it() {
        let text = unified(("o", "n"), "{\n1\n}\nend\n", "{\n1\n}\n{\n1\n}\nend\n");
        assert_eq!(text, "--- o\n+++ n\n@@ -2,3 +2,6 @@\n 1\n }\n+{\n+1\n+}\n end\n");
    }

    #[test]
    fn texts_that_have_next_to_nothing_in_common_take_no_longer_than_others() {
        let text = |from: usize| (from..from + 50 * MOST).map(|n| format!("{n}\n")).collect::<String>();
        let diff = unified(("o", "n"), &text(0), &text(1_000_000));
        assert_eq!(diff.lines().count(), 3 + 100 * MOST);
    }

    fn lines() -> impl Strategy<Value = Vec<&'static str>> {
        proptest::collection::vec(proptest::sample::select(&["a\n", "b\n", "c\n", "d\n"][..]), 0..24)
    }

    proptest! {
        #[test]
        fn the_lines_that_stay_or_go_are_the_old_ones_and_those_that_stay_or_come_the_new(old in lines(), new in lines()) {
            let fates = super::slide_down(with_fates(&old, &new));
            let without = |fate: Fate| fates.iter().filter(|line| line.0 != fate).map(|line| line.1).collect::<Vec<_>>();
            prop_assert_eq!(without(Fate::Comes), &old[..]);
            prop_assert_eq!(without(Fate::Goes), &new[..]);
            let mut longest = vec![vec![0; new.len() + 1]; old.len() + 1];
            for (x, a) in old.iter().enumerate() {
                for (y, b) in new.iter().enumerate() {
                    longest[x + 1][y + 1] =
                        if a == b { longest[x][y] + 1 } else { longest[x][y + 1].max(longest[x + 1][y]) };
                }
            }
            let stay = fates.iter().filter(|line| line.0 == Fate::Stays).count();
            prop_assert_eq!(stay, longest[old.len()][new.len()]);
        }
    }
}
