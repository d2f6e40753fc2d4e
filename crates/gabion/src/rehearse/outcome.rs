//! What a rehearsal found.

use report::verification::Verification;
use serde::{Deserialize, Serialize};

/// What a rehearsal found, as it is printed with `--json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Outcome {
    /// Shape of this document.
    pub(super) version: u32,
    /// What was done differently than on the machine itself, and what the person should know.
    pub(super) notes: Vec<String>,
    /// Findings of the audit of the copy.
    pub(super) findings_before: Findings,
    /// ... and after the change.
    pub(super) findings_after: Findings,
    /// What is left of medium severity or more, for a person to decide.
    pub(super) findings_left: Vec<String>,
    /// How many steps the plan has.
    pub(super) steps: usize,
    /// Whether a second plan, drawn afterwards, is empty.
    pub(super) second_plan_is_empty: bool,
    /// What was attacked, before and after.
    pub(super) attack: Verification,
    /// What differed from before once the change was undone; empty if all was back.
    pub(super) undo_left: Vec<String>,
    /// What would keep `apply` from being done on the machine itself as it is, in words.
    pub(super) refused_here: Option<String>,
}

/// How many findings there are of which severity, and how many controls passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Findings {
    pub(super) critical: usize,
    pub(super) high: usize,
    pub(super) medium: usize,
    pub(super) low: usize,
    pub(super) passed: usize,
}

/// The findings that ask for something to be done, a line each.
pub(super) fn left(audit: &controls::Audit) -> Vec<String> {
    let worth_it = audit.findings.iter().filter(|finding| finding.severity >= controls::Severity::Medium);
    worth_it.map(|finding| format!("{} {}", finding.id, finding.what)).collect()
}

impl Findings {
    pub(super) fn of(audit: &controls::Audit) -> Self {
        let count = |severity| audit.findings.iter().filter(|finding| finding.severity == severity).count();
        Self {
            critical: count(controls::Severity::Critical),
            high: count(controls::Severity::High),
            medium: count(controls::Severity::Medium),
            low: count(controls::Severity::Low) + count(controls::Severity::Info),
            passed: audit.passed.len(),
        }
    }
}

impl Outcome {
    /// Whether everything was as the policy says, and gone again after the undo.
    pub(super) fn holds(&self) -> bool {
        self.attack.holds() && self.second_plan_is_empty && self.undo_left.is_empty()
    }
}
