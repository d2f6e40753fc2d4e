//! `gabion rollback`: undo a transaction.

use change::{Because, Root, State, TransactionId, UndoFailure};

use super::confirm::parse_id;
use crate::cli;
use crate::context::{Context, need_root};
use crate::error::{Failure, usage};
use crate::exit::Exit;

pub(crate) fn run(context: &Context, options: &cli::Rollback) -> Result<Exit, Failure> {
    need_root("rollback")?;
    let root = Root::live()?;
    let id = match &options.transaction {
        Some(text) => parse_id(text)?,
        None => newest(&root)?,
    };
    let because = match options.because.as_deref() {
        Some("unconfirmed") => Because::Unconfirmed,
        Some(_) | None => Because::Asked,
    };
    let Some(report) = change::rollback(&root, &id, because).map_err(undoing)? else {
        tell(context, &id, "unchanged", &[]);
        context.output.progress("There was nothing to undo.");
        return Ok(Exit::Clean);
    };
    let state = if report.failures.is_empty() { "rolled-back" } else { "rollback-failed" };
    tell(context, &id, state, &report.notes);
    if !report.failures.is_empty() {
        tell_failures(context, &id, &report.failures);
        return Ok(Exit::RollbackFailed);
    }
    report.notes.iter().for_each(|note| context.output.progress(&format!("note: {note}")));
    let end = if report.notes.is_empty() { "Everything" } else { "Beside what is noted above, everything" };
    context.output.progress(&format!("Undone: {id}. {end} is as it was before."));
    Ok(Exit::Clean)
}

/// An error that says what was asked is not possible, or that undoing itself went wrong.
fn undoing(error: change::Error) -> Failure {
    match error {
        change::Error::NoSuchTransaction { .. }
        | change::Error::NotTheNewest { .. }
        | change::Error::Busy => error.into(),
        other => Failure::Undo(other),
    }
}

/// The newest transaction that is in force.
fn newest(root: &Root) -> Result<TransactionId, Failure> {
    let mut past = change::history(root)?;
    past.retain(|past| match past.state {
        State::Applying
        | State::Pending { .. }
        | State::Confirmed { .. }
        | State::Undoing { .. }
        | State::RollbackFailed => true,
        State::RolledBack { .. } | State::Damaged => false,
    });
    past.pop()
        .map(|past| past.id)
        .ok_or_else(|| usage("there is nothing to undo", "`gabion history` shows what was applied"))
}

fn tell(context: &Context, id: &TransactionId, state: &str, notes: &[String]) {
    if context.output.json {
        context.output.value(&serde_json::json!({
            "version": 1, "transaction": id.to_string(), "state": state, "notes": notes,
        }));
    }
}

/// Says what could not be undone and where the originals are.
pub(super) fn tell_failures(context: &Context, id: &TransactionId, failures: &[UndoFailure]) {
    for failure in failures {
        context.output.note(&format!("step {} is not undone: {}", failure.step + 1, failure.error));
    }
    context.output.note(&format!(
        "The originals stand in {}/{id}/originals, each with its attributes beside it. `gabion recover` tries again.",
        change::TRANSACTIONS
    ));
}
