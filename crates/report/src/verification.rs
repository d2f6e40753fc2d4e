//! What probes saw of a host, beside what its policy says; and for a rehearsal, beside what they saw before.
//!
//! The probing is done elsewhere; whoever probes fills in a [`Verification`], and this shows it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::page::{Page, Tone, View, counted};

/// What was tried and what came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Verification {
    /// Grouped for the eye: one row for all TCP ports of IPv4, one for a login.
    pub checks: Vec<Check>,
    /// How many packets and logins were tried for all of them.
    pub probes: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// One row: a group of probes that ask one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Check {
    /// What is asked, as `TCP ports, IPv4` or `root by password`.
    pub what: String,
    /// What was seen before the change, as `22, 80, 3306 open`; none outside a rehearsal.
    pub before: Option<String>,
    /// What is seen now.
    pub seen: String,
    /// What the policy says.
    pub wanted: String,
    /// Whether what is seen is what is wanted.
    pub agrees: Agreement,
}

/// Whether what is seen is what is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Agreement {
    /// It is.
    Yes,
    /// It is not.
    No(Vec<Difference>),
    /// It could not be seen, for this reason. Never a yes.
    Unknown(String),
}

/// One thing that is not as the policy says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Difference {
    /// Which, as `tcp/3306 from 203.0.113.9`.
    pub what: String,
    /// What is seen, as `open`.
    pub seen: String,
    /// What the policy says, as `refused`.
    pub wanted: String,
    /// The rule or line that causes it, where it is known.
    pub decided_by: Option<String>,
}

impl Verification {
    /// Whether every check agrees. What could not be seen does not.
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.agrees == Agreement::Yes)
    }

    /// Sets how long it took.
    pub fn took(mut self, duration: Duration) -> Self {
        self.took_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self
    }

    fn count(&self, which: impl Fn(&Agreement) -> bool) -> usize {
        self.checks.iter().filter(|check| which(&check.agrees)).count()
    }
}

/// The verification as text: a table, then each difference with the rule that causes it, then the counts.
pub fn text(verification: &Verification, view: View) -> String {
    let mut page = Page::new(view);
    write_table(&mut page, verification);
    for check in &verification.checks {
        match &check.agrees {
            Agreement::Yes => {}
            Agreement::No(differences) => differences.iter().for_each(|one| write_difference(&mut page, one)),
            Agreement::Unknown(reason) => {
                page.blank();
                page.paragraph(0, Tone::Strong, &check.what);
                page.entry(2, 10, "unknown", Tone::Odd, reason);
            }
        }
    }
    page.blank();
    write_summary(&mut page, verification);
    page.finish()
}

fn write_table(page: &mut Page, verification: &Verification) {
    let with_before = verification.checks.iter().any(|check| check.before.is_some());
    let mut headings = vec!["", "checked"];
    if with_before {
        headings.push("before");
    }
    headings.extend([if with_before { "after" } else { "seen" }, "policy"]);
    let row = |check: &Check| {
        let (word, tone) = match &check.agrees {
            Agreement::Yes => ("ok", Tone::Good),
            Agreement::No(_) => ("differs", Tone::Bad),
            Agreement::Unknown(_) => ("unknown", Tone::Odd),
        };
        let mut cells = vec![(tone, word.to_owned()), (Tone::Plain, check.what.clone())];
        if with_before {
            cells.push((Tone::Quiet, check.before.clone().unwrap_or_else(|| "-".to_owned())));
        }
        cells.extend([(tone, check.seen.clone()), (Tone::Quiet, check.wanted.clone())]);
        cells
    };
    let rows: Vec<_> = verification.checks.iter().map(row).collect();
    page.table(0, &headings, &rows);
}

fn write_difference(page: &mut Page, difference: &Difference) {
    page.blank();
    page.paragraph(0, Tone::Strong, &difference.what);
    page.entry(2, 10, "seen", Tone::Bad, &difference.seen);
    page.entry(2, 10, "policy", Tone::Quiet, &difference.wanted);
    let decided_by = difference.decided_by.as_deref().unwrap_or("not known");
    page.entry(2, 10, "decided by", Tone::Quiet, decided_by);
}

fn write_summary(page: &mut Page, verification: &Verification) {
    let agree = verification.count(|agrees| *agrees == Agreement::Yes);
    let differ = verification.count(|agrees| matches!(agrees, Agreement::No(_)));
    let unknown = verification.count(|agrees| matches!(agrees, Agreement::Unknown(_)));
    let seconds = verification.took_ms / 1000;
    let tenths = verification.took_ms % 1000 / 100;
    let counts = format!(
        "{agree} as the policy says, {differ} not, {unknown} unknown; {} in {seconds}.{tenths} s",
        counted(usize::try_from(verification.probes).unwrap_or(usize::MAX), "probe"),
    );
    page.paragraph(0, if verification.holds() { Tone::Good } else { Tone::Bad }, &counts);
}

/// A verification as JSON, version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Document {
    /// 1; a reader refuses what it does not know.
    pub version: u32,
    /// Whether everything is as the policy says.
    pub holds: bool,
    /// What was tried and what came of it.
    #[serde(flatten)]
    pub verification: Verification,
}

/// The verification for `--json`.
pub fn json(verification: &Verification) -> Document {
    Document { version: crate::VERSION, holds: verification.holds(), verification: verification.clone() }
}
