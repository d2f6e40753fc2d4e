//! What is wrong with a text, and what is merely odd.

use std::fmt;

/// Why a text is no ruleset or no rule, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError(Box<Detail>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Detail {
    line: usize,
    column: usize,
    length: usize,
    message: String,
    source: String,
}

impl SyntaxError {
    pub(crate) fn new(line: usize, column: usize, length: usize, message: String, source: &str) -> Self {
        Self(Box::new(Detail { line, column, length, message, source: source.to_owned() }))
    }

    /// The 1-based line.
    pub fn line(&self) -> usize {
        self.0.line
    }

    /// The 1-based column, in characters.
    pub fn column(&self) -> usize {
        self.0.column
    }

    /// How many characters are meant, at least 1.
    pub fn length(&self) -> usize {
        self.0.length
    }

    /// What was expected, or what is wrong: `expected a port, found "70000"`.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The line itself.
    pub fn source_line(&self) -> &str {
        &self.0.source
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.0.line, self.0.column, self.0.message)
    }
}

impl std::error::Error for SyntaxError {}

/// Something that `iptables-restore` would refuse, or that is no longer written so. Nothing of it is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oddity {
    /// The 1-based line.
    pub line: usize,
    /// What it is.
    pub what: String,
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}
