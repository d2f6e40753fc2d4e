//! An audit for a person, and as JSON.

use controls::{Audit, ControlId, Family, Finding, Fix, Severity, State};
use host::Facts;
use serde::{Deserialize, Serialize};

use crate::grade::{Counts, Grade};
use crate::page::{Page, Tone, View};

/// The audit as text: findings worst first, then what passed, the counts and the grade.
pub fn text(audit: &Audit, facts: &Facts, view: View) -> String {
    let mut page = Page::new(view);
    let host = facts.system.hostname.known().map_or("a host without a known name", String::as_str);
    page.paragraph(0, Tone::Strong, &format!("Audit of {host}"));
    for finding in &audit.findings {
        page.blank();
        write_finding(&mut page, finding);
    }
    page.blank();
    write_rest(&mut page, audit);
    page.blank();
    write_summary(&mut page, audit);
    page.finish()
}

/// Severity, id and what is; what decides it; why it matters; what fixes it; what undoes that.
fn write_finding(page: &mut Page, finding: &Finding) {
    let lead = format!("{:8}  {:5} ", severity_word(finding.severity), finding.id.to_string());
    page.hanging(&lead, severity_tone(finding.severity), 16, Tone::Strong, &finding.what);
    if let State::Unknown(reason) = &finding.state {
        page.entry(2, 10, "unknown", Tone::Odd, reason);
    }
    for (index, place) in finding.decided_by.iter().enumerate() {
        page.entry(2, 10, if index == 0 { "decided by" } else { "" }, Tone::Quiet, place);
    }
    page.entry(2, 10, "why", Tone::Quiet, finding.why);
    let fix = match &finding.fix {
        Fix::Apply => "gabion apply".to_owned(),
        Fix::Command(command) => command.clone(),
        Fix::Ask(question) => format!("for you to decide: {question}"),
    };
    page.entry(2, 10, "fix", Tone::Quiet, &fix);
    if !finding.undo.is_empty() {
        page.entry(2, 10, "undo", Tone::Quiet, &finding.undo);
    }
}

fn write_rest(page: &mut Page, audit: &Audit) {
    if !audit.passed.is_empty() {
        let passed: Vec<String> = audit.passed.iter().map(ToString::to_string).collect();
        page.entry(0, 10, "passed", Tone::Good, &passed.join(" "));
    }
    for (index, (id, reason)) in audit.not_applicable.iter().enumerate() {
        let key = if index == 0 { "not asked" } else { "" };
        page.entry(0, 10, key, Tone::Quiet, &format!("{id}: {reason}"));
    }
}

fn write_summary(page: &mut Page, audit: &Audit) {
    let counts = Counts::of(audit);
    let mut parts = vec![
        format!("{} passed", counts.passed),
        format!("{} failed", counts.failed),
        format!("{} unknown", counts.unknown),
    ];
    if counts.not_applicable > 0 {
        parts.push(format!("{} not asked", counts.not_applicable));
    }
    page.paragraph(0, Tone::Plain, &parts.join(", "));
    let grade = Grade::of(audit);
    let tone = match grade {
        Grade::A | Grade::B => Tone::Good,
        Grade::C => Tone::Odd,
        Grade::D | Grade::F => Tone::Bad,
    };
    let reason = match audit.findings.iter().map(|finding| finding.severity).max() {
        None => "nothing was found".to_owned(),
        Some(worst) => format!("the worst finding is {}", severity_sentence(worst)),
    };
    page.paragraph(0, tone, &format!("Grade {grade}: {reason}"));
}

fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

fn severity_sentence(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "only worth knowing",
        Severity::Low | Severity::Medium | Severity::High | Severity::Critical => severity_word(severity),
    }
}

fn severity_tone(severity: Severity) -> Tone {
    match severity {
        Severity::Info => Tone::Quiet,
        Severity::Low => Tone::Plain,
        Severity::Medium => Tone::Odd,
        Severity::High => Tone::Bad,
        Severity::Critical => Tone::Worst,
    }
}

/// An audit as JSON, version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Document {
    /// 1; a reader refuses what it does not know.
    pub version: u32,
    /// The name of the host; null where it is not known.
    pub host: Option<String>,
    /// When its facts were read, RFC 3339, UTC.
    pub taken_at: String,
    /// Capped by the worst finding.
    pub grade: Grade,
    /// Of controls.
    pub counts: Counts,
    /// Worst first.
    pub findings: Vec<FindingDocument>,
    /// The controls that hold.
    pub passed: Vec<String>,
    /// The controls that say nothing on this host.
    pub not_applicable: Vec<NotApplicable>,
}

/// A finding in [`Document`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FindingDocument {
    /// Which control, as `SH1`.
    pub id: String,
    /// Its family.
    pub family: Family,
    /// How bad.
    pub severity: Severity,
    /// Why it could not be judged; null where it was and failed.
    pub unknown: Option<String>,
    /// What is.
    pub what: String,
    /// What decides it, as `file:line`.
    pub decided_by: Vec<String>,
    /// Why it matters.
    pub why: String,
    /// What mends it.
    pub fix: FixDocument,
    /// What undoes the fix; empty where nothing need.
    pub undo: String,
}

/// What mends a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "by", content = "how")]
pub enum FixDocument {
    /// `gabion apply`.
    Apply,
    /// This command.
    Command(String),
    /// A person's decision about this.
    Ask(String),
}

/// A control that says nothing on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NotApplicable {
    /// Which.
    pub id: String,
    /// Why not.
    pub reason: String,
}

/// The audit for `--json`.
pub fn json(audit: &Audit, facts: &Facts) -> Document {
    Document {
        version: crate::VERSION,
        host: facts.system.hostname.known().cloned(),
        taken_at: facts.taken_at.clone(),
        grade: Grade::of(audit),
        counts: Counts::of(audit),
        findings: audit.findings.iter().map(finding_document).collect(),
        passed: audit.passed.iter().map(ControlId::to_string).collect(),
        not_applicable: audit
            .not_applicable
            .iter()
            .map(|(id, reason)| NotApplicable { id: id.to_string(), reason: reason.clone() })
            .collect(),
    }
}

fn finding_document(finding: &Finding) -> FindingDocument {
    FindingDocument {
        id: finding.id.to_string(),
        family: finding.family,
        severity: finding.severity,
        unknown: match &finding.state {
            State::Fails => None,
            State::Unknown(reason) => Some(reason.clone()),
        },
        what: finding.what.clone(),
        decided_by: finding.decided_by.clone(),
        why: finding.why.to_owned(),
        fix: match &finding.fix {
            Fix::Apply => FixDocument::Apply,
            Fix::Command(command) => FixDocument::Command(command.clone()),
            Fix::Ask(question) => FixDocument::Ask(question.clone()),
        },
        undo: finding.undo.clone(),
    }
}
