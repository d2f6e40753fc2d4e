//! What became of every line of the source.

use std::fmt;

/// A line of the source and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its file, or the command whose output it is.
    pub file: String,
    /// The 1-based line.
    pub line: usize,
    /// As written.
    pub text: String,
    /// What became of it; several where the line makes several rules.
    pub fates: Vec<Fate>,
}

/// What became of a line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// The policy does this by itself.
    BuiltIn(String),
    /// It is a setting of `[firewall]`, such as `inbound = "drop"`.
    Setting(String),
    /// It is part of this `[[firewall.allow]]`, counted from 1.
    Allow(usize),
    /// It is part of this `[[firewall.forward]]`, counted from 1.
    Forward(usize),
    /// It is this `[[firewall.rule]]`, counted from 1, in the source's own words.
    Rule(usize),
    /// It is this `[[firewall.rule]]` with `active = false`, and why.
    Inactive(usize, String),
    /// It decides nothing where it stands, and why.
    Idle(String),
    /// It is not about filtering, or another program keeps it.
    Elsewhere(String),
    /// The policy does otherwise, and what.
    Otherwise(String),
}

impl Fate {
    /// Whether a person should read it: what the line did is not done any more, or not in the same way.
    #[must_use]
    pub fn needs_reading(&self) -> bool {
        match self {
            Self::Inactive(..) | Self::Elsewhere(_) | Self::Otherwise(_) => true,
            Self::BuiltIn(_)
            | Self::Setting(_)
            | Self::Allow(_)
            | Self::Forward(_)
            | Self::Rule(_)
            | Self::Idle(_) => false,
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn(what) => write!(f, "built in: {what}"),
            Self::Setting(setting) => write!(f, "setting {setting}"),
            Self::Allow(number) => write!(f, "allow {number}"),
            Self::Forward(number) => write!(f, "forward {number}"),
            Self::Rule(number) => write!(f, "rule {number}"),
            Self::Inactive(number, why) => write!(f, "rule {number}, not active: {why}"),
            Self::Idle(why) => write!(f, "decides nothing: {why}"),
            Self::Elsewhere(why) => write!(f, "not taken over: {why}"),
            Self::Otherwise(what) => write!(f, "otherwise: {what}"),
        }
    }
}

/// The lines of all sources, as they are accounted for.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) lines: Vec<Line>,
}

/// A line of a [`Ledger`].
pub(crate) type LineId = usize;

/// What no line of the source says by itself: that needs no account.
pub(crate) const UNSEEN: LineId = usize::MAX;

impl Ledger {
    pub(crate) fn enter(&mut self, file: &str, line: usize, text: &str) -> LineId {
        self.lines.push(Line {
            file: file.to_owned(),
            line,
            text: text.trim().to_owned(),
            fates: Vec::new(),
        });
        self.lines.len() - 1
    }

    pub(crate) fn settle(&mut self, line: LineId, fate: Fate) {
        if let Some(line) = self.lines.get_mut(line)
            && !line.fates.contains(&fate)
        {
            line.fates.push(fate);
        }
    }

    /// Puts a fate in the place of another.
    pub(crate) fn revise(&mut self, line: LineId, before: &Fate, after: Fate) {
        if let Some(line) = self.lines.get_mut(line) {
            line.fates.retain(|fate| fate != before);
        }
        self.settle(line, after);
    }

    /// Whether nothing is known yet of what became of the line.
    pub(crate) fn is_open(&self, line: LineId) -> bool {
        self.lines.get(line).is_some_and(|line| line.fates.is_empty())
    }
}
