//! `gabion confirm`: keep what was applied, from a login that is newer than it.

use change::{Confirmation, Root, TransactionId};
use host::Live;

use crate::cli;
use crate::context::{Context, need_root};
use crate::error::{Failure, usage};
use crate::exit::Exit;

pub(crate) fn run(context: &Context, options: &cli::Confirm) -> Result<Exit, Failure> {
    need_root("confirm")?;
    let root = Root::live()?;
    let id = match &options.transaction {
        Some(text) => parse_id(text)?,
        None => change::pending(&root)?.ok_or_else(|| {
            usage(
                "nothing waits for a confirmation",
                "`gabion history` shows what was applied and what became of it",
            )
        })?,
    };
    let way_in = host::way_in(&Live::open()?);
    let way_in = way_in.known().ok_or_else(|| {
        usage(
            format!("how you came in could not be found out: {}", way_in.unknown().unwrap_or_default()),
            "log in over SSH and confirm from there, or use --from-console at the console",
        )
    })?;
    match change::confirm(&root, &id, way_in, options.from_console)? {
        Confirmation::Confirmed => {
            if context.output.json {
                context.output.value(
                    &serde_json::json!({ "version": 1, "transaction": id.to_string(), "state": "confirmed" }),
                );
            } else {
                context.output.text(&format!("Confirmed: {id} stays. `gabion rollback {id}` undoes it.\n"));
            }
            Ok(Exit::Clean)
        }
        Confirmation::Refused(refusal) => Err(usage(format!("not confirmed: {refusal}"), "")),
    }
}

/// A transaction's name as it was typed.
pub(super) fn parse_id(text: &str) -> Result<TransactionId, Failure> {
    text.parse().map_err(|error: change::NotATransactionId| {
        usage(error.to_string(), "`gabion history` lists the transactions")
    })
}
