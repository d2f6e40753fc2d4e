//! Why a plan is refused: it would shut its author out.

use std::net::IpAddr;

use change::lockout::{Refusal, Shut};
use controls::way_in::{Condition, Holds};
use serde::{Deserialize, Serialize};

use crate::page::{Page, Tone, View, counted};

/// The refusal as text: who would not get in, what stands in the way, and which steps put it there.
pub fn text(refusal: &Refusal) -> String {
    let mut page = Page::new(View::default());
    let from = refusal.from.map_or_else(String::new, |address| format!(" from {address}"));
    page.paragraph(
        0,
        Tone::Bad,
        &format!("Refused, and nothing was changed: no administrator would get in{from} any more."),
    );
    if refusal.accounts.is_empty() {
        page.paragraph(
            2,
            Tone::Plain,
            "No account is an administrator: none has sudo, and the policy names none.",
        );
    }
    for shut in &refusal.accounts {
        write_account(&mut page, shut);
    }
    page.finish()
}

fn write_account(page: &mut Page, shut: &Shut) {
    let steps: Vec<String> = shut.steps.iter().map(ToString::to_string).collect();
    let cause = match steps.len() {
        0 => "shut out already, before any step".to_owned(),
        1 => format!("shut out by step {}", steps[0]),
        count => format!("shut out by {}: {}", counted(count, "step"), steps.join(", ")),
    };
    page.entry(2, 0, &shut.account, Tone::Strong, &cause);
    // Conditions that fail for one cause are told once.
    let mut told: Vec<&Condition> = Vec::new();
    for condition in &shut.because {
        if !told.iter().any(|other| other.what == condition.what && other.holds == condition.holds) {
            write_condition(page, condition);
            told.push(condition);
        }
    }
}

fn write_condition(page: &mut Page, condition: &Condition) {
    let what = match &condition.holds {
        Holds::Yes | Holds::No => condition.what.clone(),
        Holds::Unknown(reason) => format!("{} (unknown: {reason})", condition.what),
    };
    page.entry(4, 16, condition.name.name(), Tone::Quiet, &what);
    for place in &condition.decided_by {
        page.entry(4, 16, "", Tone::Quiet, place);
    }
}

/// A refusal in the JSON of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Document {
    /// From where the administrator would have to get in; null for the console.
    pub from: Option<IpAddr>,
    /// What stands in whose way.
    pub accounts: Vec<ShutDocument>,
}

/// An account that would not get in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ShutDocument {
    /// The account.
    pub account: String,
    /// The steps that shut it out, from 1; none where it is shut out already.
    pub steps: Vec<usize>,
    /// What stands in its way.
    pub because: Vec<ConditionDocument>,
}

/// A condition of a way in that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ConditionDocument {
    /// Which, as `key-file`.
    pub name: String,
    /// What is.
    pub what: String,
    /// Why it could not be judged; null where it was and does not hold.
    pub unknown: Option<String>,
    /// What decides it.
    pub decided_by: Vec<String>,
}

/// The refusal for `--json`.
pub fn json(refusal: &Refusal) -> Document {
    let condition = |condition: &Condition| ConditionDocument {
        name: condition.name.name().to_owned(),
        what: condition.what.clone(),
        unknown: match &condition.holds {
            Holds::Yes | Holds::No => None,
            Holds::Unknown(reason) => Some(reason.clone()),
        },
        decided_by: condition.decided_by.clone(),
    };
    let shut = |shut: &Shut| ShutDocument {
        account: shut.account.clone(),
        steps: shut.steps.clone(),
        because: shut.because.iter().map(condition).collect(),
    };
    Document { from: refusal.from, accounts: refusal.accounts.iter().map(shut).collect() }
}
