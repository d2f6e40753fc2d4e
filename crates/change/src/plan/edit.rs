//! The plan for a policy file that is changed and brought into force in one transaction.

use std::path::Path;

use host::Facts;
use policy::Policy;

use super::draft::unified_diff;
use super::{Plan, PlanError, Program, Step};
use crate::action::{Action, Before, Bytes, Owner, Risk};
use crate::hex::Sha256;

/// A policy file, as it is and as it is to be.
#[derive(Debug, Clone, Copy)]
pub struct PolicyEdit<'a> {
    /// Where it stands.
    pub path: &'a Path,
    /// Its text.
    pub before: &'a str,
    /// What it says.
    pub policy: &'a Policy,
    /// Its text to be.
    pub after: &'a str,
    /// What it then says.
    pub wanted: &'a Policy,
    /// Its permission bits; they stay.
    pub mode: u32,
}

/// A plan for the edit, and what the policy asked for before it.
#[derive(Debug, Clone, PartialEq)]
pub struct EditPlan {
    /// What the edit takes, and nothing besides.
    pub plan: Plan,
    /// How many further steps `apply` would make for what the policy said before.
    pub left_alone: usize,
}

impl Plan {
    /// Draws the plan that changes the file and the host with it. What the file asked for before and the host does not
    /// have yet is left for `apply`.
    ///
    /// # Errors
    /// As [`Plan::draw`].
    pub fn draw_edit(facts: &Facts, edit: &PolicyEdit<'_>, program: &Program) -> Result<EditPlan, PlanError> {
        let asked_before = Self::draw(facts, edit.policy, program)?;
        let mut plan = Self::draw(facts, edit.wanted, program)?;
        let is_part = |step: &Step| {
            is_needed_by_any(&step.action) || !asked_before.steps.iter().any(|old| old.action == step.action)
        };
        let before = plan.steps.len();
        plan.steps.retain(is_part);
        let left_alone = before - plan.steps.len();
        if plan.steps.iter().all(|step| is_needed_by_any(&step.action)) {
            plan.steps.clear();
        }
        let at = plan.steps.iter().position(|step| step.risk == Risk::CutOff).unwrap_or(plan.steps.len());
        plan.steps.insert(at, file_step(edit));
        plan.notes.retain(|note| !asked_before.notes.contains(note));
        Ok(EditPlan { plan, left_alone })
    }
}

/// Steps that only serve the others of a plan.
fn is_needed_by_any(action: &Action) -> bool {
    matches!(action, Action::ProveLogins { .. } | Action::ReloadUnits)
}

fn file_step(edit: &PolicyEdit<'_>) -> Step {
    let (before, after) = (edit.before.as_bytes(), edit.after.as_bytes());
    Step {
        action: Action::WriteFile {
            path: edit.path.to_owned(),
            contents: Bytes(after.to_vec()),
            mode: edit.mode,
            owner: Owner::Keep,
            before: Before::File(Sha256::of(before)),
        },
        why: "the edit is saved where `apply` and the next boot find it".to_owned(),
        controls: Vec::new(),
        shows: unified_diff(edit.path, Some(before), Some(after)),
        risk: Risk::None,
    }
}
