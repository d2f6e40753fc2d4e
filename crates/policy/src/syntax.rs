//! Texts that are not TOML.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::problem::{Problem, line_and_column};
use crate::public_key::{KeyError, private_key};

/// One problem for each line that does not parse: what follows on a line is mostly an echo of its first error.
///
/// The lines of a private key pasted without quotes are one problem together, and are not shown.
pub(crate) fn syntax_problems(text: &str, errors: &[toml::de::Error]) -> Vec<Problem> {
    let secret = private_key(text);
    let mut problems: Vec<Problem> = Vec::new();
    let mut lines = BTreeSet::new();
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let hidden = secret.as_ref().filter(|secret| (secret.start..=secret.end).contains(&span.start));
        let at = hidden.map_or(span.start, |secret| secret.start);
        if lines.insert(line_and_column(text, at).0) {
            problems.push(match hidden {
                Some(secret) => private_key_problem(text, secret.clone()),
                None => syntax_problem(error, span),
            });
        }
    }
    problems
}

fn syntax_problem(error: &toml::de::Error, span: Range<usize>) -> Problem {
    let mut lines = error.message().lines();
    let message = lines.next().unwrap_or("it does not parse").to_owned();
    let rest: Vec<&str> = lines.collect();
    let problem = Problem::error(span, format!("this is not TOML: {message}"));
    if rest.is_empty() { problem } else { problem.help(rest.join("; ")) }
}

pub(crate) fn private_key_problem(text: &str, span: Range<usize>) -> Problem {
    let error = KeyError::Private;
    Problem::error(span, error.to_string()).help(error.help()).secret(text)
}
