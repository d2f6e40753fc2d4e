//! Shell patterns over a machine's paths, as glob(3) with its default flags.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::Host;

/// The existing paths that match, sorted.
pub(crate) fn expand<H: Host + ?Sized>(host: &H, pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        found = found.iter().flat_map(|directory| expand_one(host, directory, part)).collect();
    }
    found.retain(|path| host.metadata(path).is_ok());
    found
}

fn expand_one<H: Host + ?Sized>(host: &H, directory: &Path, part: &str) -> Vec<PathBuf> {
    if !part.contains(['*', '?', '[', '\\']) {
        return vec![directory.join(part)];
    }
    let names = host.list(directory).unwrap_or_default();
    let hidden_is_asked_for = part.starts_with('.');
    names
        .into_iter()
        .filter(|name| hidden_is_asked_for || !name.as_bytes().starts_with(b"."))
        .filter(|name| matches(part.as_bytes(), name.as_bytes()))
        .map(|name| directory.join(name))
        .collect()
}

/// fnmatch(3) without flags, on bytes; its time is the product of the lengths at worst.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to take up again when what follows the last star did not fit.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            retry = Some((p, t));
            continue;
        }
        match one(&pattern[p..], text[t]) {
            Some(length) => {
                p += length;
                t += 1;
            }
            None => match retry {
                Some((after_star, from)) => {
                    p = after_star;
                    t = from + 1;
                    retry = Some((after_star, t));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// The length of the pattern's first part where it fits this byte.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => class(pattern, byte).unwrap_or_else(|| (byte == b'[').then_some(1)),
        b'\\' if pattern.len() > 1 => (pattern[1] == byte).then_some(2),
        literal => (literal == byte).then_some(1),
    }
}

/// `[...]`: nothing where it is not closed, else its length where the byte is in it.
fn class(pattern: &[u8], byte: u8) -> Option<Option<usize>> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let first = if negated { 2 } else { 1 };
    let mut at = first;
    let mut inside = false;
    loop {
        let low = *pattern.get(at)?;
        if low == b']' && at > first {
            break;
        }
        if pattern.get(at + 1) == Some(&b'-') && pattern.get(at + 2).is_some_and(|high| *high != b']') {
            inside |= (low..=pattern[at + 2]).contains(&byte);
            at += 3;
        } else {
            inside |= low == byte;
            at += 1;
        }
    }
    Some((inside != negated).then_some(at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_fit_as_in_fnmatch() {
        for (pattern, text, fits) in [
            ("*.conf", "00-gabion.conf", true),
            ("*.conf", "00-gabion.conf~", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("[0-9][!0-9]", "1x", true),
            ("[0-9][!0-9]", "12", false),
            ("[]x]", "]", true),
            ("[ab", "[ab", true),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("?", "", false),
            ("", "", true),
            ("**", "", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), fits, "{pattern} on {text}");
        }
    }

    proptest! {
        #[test]
        fn no_pattern_panics_or_hangs(pattern in "[*?\\[\\]!a-c\\\\-]{0,40}", text in "[a-c\\[\\]-]{0,60}") {
            matches(pattern.as_bytes(), text.as_bytes());
        }

        #[test]
        fn a_text_without_magic_fits_itself(text in "[a-z0-9._-]{0,40}") {
            prop_assert!(matches(text.as_bytes(), text.as_bytes()));
        }
    }
}
