//! What a control says of a host.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The families of controls, one file each in this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Who may administer, and how (US).
    Accounts,
    /// The SSH server (SH).
    Ssh,
    /// The packet filter (FW).
    Firewall,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// An open door, or nobody can get in.
    Critical,
}

/// The identifier of a control, as `SH1`. Stable over versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ControlId(pub &'static str);

impl fmt::Display for ControlId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What a control found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// Which control.
    pub id: ControlId,
    /// Its family.
    pub family: Family,
    /// How bad.
    pub severity: Severity,
    /// Failed, or could not be judged.
    pub state: State,
    /// What is, in a line: `root may log in by password from 203.0.113.0/24`.
    pub what: String,
    /// What decides it: `/etc/ssh/sshd_config:33`, a rule, a mode; several where several do.
    pub decided_by: Vec<String>,
    /// Why it matters, in a line.
    pub why: &'static str,
    /// What mends it.
    pub fix: Fix,
    /// What undoes that.
    pub undo: String,
}

/// Whether a control failed or could not be judged. A pass is no finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is wrong.
    Fails,
    /// It could not be judged, for this reason. Never a pass.
    Unknown(String),
}

/// What mends a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "by", content = "how")]
pub enum Fix {
    /// `gabion apply` does it.
    Apply,
    /// This command does it.
    Command(String),
    /// A person must decide; this says what about.
    Ask(String),
}

/// The result of all controls on one host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Audit {
    /// Worst first.
    pub findings: Vec<Finding>,
    /// The controls that hold.
    pub passed: Vec<ControlId>,
    /// The controls that say nothing here, with the reason (no sshd, say).
    pub not_applicable: Vec<(ControlId, String)>,
}

impl Audit {
    /// Whether nothing needs doing: no failure of medium severity or more and nothing unknown at that severity.
    pub fn is_clean(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity < Severity::Medium)
    }
}
