//! `gabion recover`: finish or undo what a crash, a power cut or a reboot left open.

use change::{Moment, Recovery, Root};

use super::confirm::parse_id;
use crate::cli;
use crate::context::{Context, need_root};
use crate::error::Failure;
use crate::exit::Exit;

pub(crate) fn run(context: &Context, options: &cli::Recover) -> Result<Exit, Failure> {
    need_root("recover")?;
    let recover = if options.boot { change::recover_at_boot } else { change::recover };
    let root = Root::live()?;
    let recovered = recover(&root, &Moment::now()).map_err(Failure::Undo)?;
    let mut exit = Exit::Clean;
    let mut rows = Vec::new();
    for one in &recovered {
        let (state, text, failed) = match &one.recovery {
            Recovery::Undone(report) if report.failures.is_empty() => ("undone", "undone".to_owned(), false),
            Recovery::Undone(report) => {
                super::rollback::tell_failures(context, &one.id, &report.failures);
                ("rollback-failed", "not all of it could be undone".to_owned(), true)
            }
            Recovery::Finished => {
                ("finished", "was confirmed; what was left to do is done".to_owned(), false)
            }
            Recovery::StillPending { deadline, .. } => {
                ("pending", format!("still waits for its confirmation, until {}", deadline.wall), false)
            }
            Recovery::Failed(error) => ("failed", format!("could not be worked on: {error}"), true),
        };
        if failed {
            exit = Exit::RollbackFailed;
        }
        context.output.progress(&format!("{}: {text}", one.id));
        rows.push(serde_json::json!({ "transaction": one.id.to_string(), "state": state, "text": text }));
    }
    if context.output.json {
        context.output.value(&serde_json::json!({ "version": 1, "recovered": rows }));
    } else if recovered.is_empty() {
        context.output.progress("Nothing was left open.");
    }
    if options.boot {
        change::settle_boot(&root, &recovered);
    }
    Ok(exit)
}

/// The life of the detached timer where there is no systemd.
pub(crate) fn wait_and_undo(context: &Context, transaction: &str) -> Result<Exit, Failure> {
    need_root("recover")?;
    let report = change::run_undo_timer(&Root::live()?, &parse_id(transaction)?)?;
    let failed = report.is_some_and(|report| !report.failures.is_empty());
    context.output.progress("The undo timer has ended.");
    Ok(if failed { Exit::RollbackFailed } else { Exit::Clean })
}
