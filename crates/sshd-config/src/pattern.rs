//! Patterns with `*` and `?`, and comma-separated lists of them with `!` for negation (PATTERNS in `ssh_config(5)`).

/// Whether `text` matches `pattern`: `*` stands for any text, `?` for any one byte.
#[must_use]
pub fn matches(text: &str, pattern: &str) -> bool {
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    let (mut t, mut p) = (0, 0);
    let mut retry = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p, t));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            Some(_) | None => {
                let Some((star, from)) = retry else { return false };
                retry = Some((star, from + 1));
                p = star + 1;
                t = from + 1;
            }
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

/// What a list of patterns says about a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// A negated pattern matches: that decides, wherever it stands in the list.
    Excluded,
    /// No pattern matches. A list of negations alone never includes anything.
    Unmatched,
    /// A pattern matches and no negated one does.
    Included,
}

/// A comma-separated list of patterns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PatternList {
    items: Vec<Item>,
}

/// One pattern of a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Item {
    /// Preceded by `!`.
    pub negated: bool,
    /// Without the `!`.
    pub pattern: String,
}

impl PatternList {
    /// Cuts a list at its commas. Every text is a list; one without patterns matches nothing.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        // A comma at the very end begins no further pattern.
        let text = text.strip_suffix(',').unwrap_or(text);
        if text.is_empty() {
            return Self { items: Vec::new() };
        }
        let items = text.split(',').map(|item| match item.strip_prefix('!') {
            Some(pattern) => Item { negated: true, pattern: pattern.to_owned() },
            None => Item { negated: false, pattern: item.to_owned() },
        });
        Self { items: items.collect() }
    }

    /// The same list in lower case, as host names are compared.
    #[must_use]
    pub fn to_ascii_lowercase(&self) -> Self {
        let lower = |item: &Item| Item { negated: item.negated, pattern: item.pattern.to_ascii_lowercase() };
        Self { items: self.items.iter().map(lower).collect() }
    }

    /// The patterns in order.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// What the list says about `text`.
    #[must_use]
    pub fn verdict(&self, text: &str) -> Verdict {
        self.verdict_of(|pattern| matches(text, pattern))
    }

    /// What the list says where `holds` tells which of its patterns match.
    pub(crate) fn verdict_of(&self, holds: impl Fn(&str) -> bool) -> Verdict {
        let mut verdict = Verdict::Unmatched;
        for item in self.items.iter().filter(|item| holds(&item.pattern)) {
            if item.negated {
                return Verdict::Excluded;
            }
            verdict = Verdict::Included;
        }
        verdict
    }

    /// Whether the list includes `text`.
    #[must_use]
    pub fn includes(&self, text: &str) -> bool {
        self.verdict(text) == Verdict::Included
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stars_and_question_marks_match_whole_texts_only() {
        for (text, pattern, expected) in [
            ("root", "root", true),
            ("root", "roo", false),
            ("root", "r*t", true),
            ("root", "r?ot", true),
            ("root", "r?t", false),
            ("", "*", true),
            ("", "?", false),
            ("aab", "*ab", true),
            ("abab", "*a?", true),
            ("Root", "root", false),
        ] {
            assert_eq!(matches(text, pattern), expected, "{text} {pattern}");
        }
    }

    #[test]
    fn a_negation_decides_wherever_it_stands() {
        assert_eq!(PatternList::parse("*,!root").verdict("root"), Verdict::Excluded);
        assert_eq!(PatternList::parse("!root,*").verdict("root"), Verdict::Excluded);
        assert_eq!(PatternList::parse("!root").verdict("alice"), Verdict::Unmatched);
        assert_eq!(PatternList::parse("*,!root").verdict("alice"), Verdict::Included);
        assert!(PatternList::parse("a,,b").includes(""), "an empty pattern matches the empty text");
        assert!(!PatternList::parse("a,b,").includes(""), "a comma at the end begins none");
    }

    fn naive(text: &[u8], pattern: &[u8]) -> bool {
        match (pattern.first(), text.first()) {
            (None, None) => true,
            (Some(b'*'), _) => naive(text, &pattern[1..]) || (!text.is_empty() && naive(&text[1..], pattern)),
            (Some(b'?'), Some(_)) => naive(&text[1..], &pattern[1..]),
            (Some(a), Some(b)) if a == b => naive(&text[1..], &pattern[1..]),
            (None, Some(_)) | (Some(_), None | Some(_)) => false,
        }
    }

    proptest! {
        #[test]
        fn the_fast_matcher_equals_the_definition(text in "[ab]{0,8}", pattern in "[ab*?]{0,6}") {
            prop_assert_eq!(matches(&text, &pattern), naive(text.as_bytes(), pattern.as_bytes()));
        }
    }
}
