//! One letter for a host, capped by its worst finding. Not an average: one open door is an open house.

use std::fmt;

use controls::{Audit, Severity, State};
use serde::{Deserialize, Serialize};

/// The grade of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Grade {
    /// Nothing, or only what is worth knowing.
    A,
    /// At worst low.
    B,
    /// At worst medium.
    C,
    /// At worst high.
    D,
    /// At least one critical finding.
    F,
}

impl Grade {
    /// The grade of an audit. What could not be judged counts as if it failed: unknown is never a pass.
    pub fn of(audit: &Audit) -> Self {
        match audit.findings.iter().map(|finding| finding.severity).max() {
            None | Some(Severity::Info) => Self::A,
            Some(Severity::Low) => Self::B,
            Some(Severity::Medium) => Self::C,
            Some(Severity::High) => Self::D,
            Some(Severity::Critical) => Self::F,
        }
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
            Self::D => "D",
            Self::F => "F",
        })
    }
}

/// How many controls passed, failed, could not be judged, and say nothing on this host.
///
/// A control with several findings counts once, as failed where any of them is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Counts {
    /// Controls that hold.
    pub passed: usize,
    /// Controls that do not.
    pub failed: usize,
    /// Controls that could not be judged.
    pub unknown: usize,
    /// Controls that say nothing on this host.
    pub not_applicable: usize,
}

impl Counts {
    /// Counts an audit.
    pub fn of(audit: &Audit) -> Self {
        let mut failed = Vec::new();
        let mut unknown = Vec::new();
        for finding in &audit.findings {
            match finding.state {
                State::Fails => failed.push(finding.id),
                State::Unknown(_) => unknown.push(finding.id),
            }
        }
        unknown.retain(|id| !failed.contains(id));
        for ids in [&mut failed, &mut unknown] {
            ids.sort_unstable();
            ids.dedup();
        }
        Self {
            passed: audit.passed.len(),
            failed: failed.len(),
            unknown: unknown.len(),
            not_applicable: audit.not_applicable.len(),
        }
    }
}
