//! Facts of a host and a policy to findings.
//!
//! Every control is one small pure function of a [`host::Facts`] and a [`policy::Policy`]: nothing is read from the
//! machine here and nothing is written. What could not be read is reported as unknown, never as a pass. The same
//! judgements serve the audit of a host as it is, and the plan and the lock-out guard on a host as it would be.
//!
//! Not here: reading the host (`host`), drawing and making changes (`change`), showing findings (`report`).
//!
//! ```
//! use controls::{Severity, audit};
//!
//! // Nothing is known of this host, so nothing passes.
//! let audit = audit(&host::Facts::default(), &policy::Policy::default());
//! assert!(audit.passed.is_empty());
//! assert_eq!(audit.findings[0].severity, Severity::Critical);
//! assert!(!audit.is_clean());
//! ```

mod accounts;
mod admins;
mod authorized_keys;
mod catalogue;
pub mod drift;
mod entrance;
pub mod filter;
mod finding;
mod firewall;
#[cfg(test)]
mod fixture;
pub mod foreign;
pub mod iptables_text;
mod judgement;
mod packets;
mod people;
mod permissions;
pub mod ssh;
pub mod way_in;

pub use admins::admins;
pub use catalogue::{Control, catalogue};
pub use finding::{Audit, ControlId, Family, Finding, Fix, Severity, State};

use host::Facts;
use judgement::{Subject, Verdict};
use policy::Policy;

/// Judges a host by every control of the [`catalogue()`]. Pure, and total: facts that are missing or absurd give
/// unknown findings.
pub fn audit(facts: &Facts, policy: &Policy) -> Audit {
    let subject = Subject::new(facts, policy);
    let mut audit = Audit::default();
    for control in catalogue() {
        match control.judge(&subject) {
            Verdict::Silent(reason) => audit.not_applicable.push((control.id, reason)),
            Verdict::Judged(faults) if faults.is_empty() => audit.passed.push(control.id),
            Verdict::Judged(faults) => {
                extend(&mut audit.findings, faults.into_iter().map(|fault| fault.of(control)));
            }
        }
    }
    // Stable: within a severity the catalogue's order stays.
    audit.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    audit
}

/// Adds findings, those that say the same as one: every condition of a way in that has one cause, say.
fn extend(findings: &mut Vec<Finding>, more: impl Iterator<Item = Finding>) {
    for finding in more {
        match findings.iter_mut().find(|known| known.id == finding.id && known.what == finding.what) {
            Some(known) => {
                known.severity = known.severity.max(finding.severity);
                let new = finding.decided_by.into_iter().filter(|place| !known.decided_by.contains(place));
                let new: Vec<String> = new.collect();
                known.decided_by.extend(new);
            }
            None => findings.push(finding),
        }
    }
}

#[cfg(test)]
mod tests;
