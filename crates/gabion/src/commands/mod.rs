//! One file a verb.

mod apply;
mod audit;
mod confirm;
mod explain;
mod facts;
pub(crate) mod firewall;
mod history;
mod init;
mod plan;
mod policy;
mod recover;
mod reference;
mod rollback;
mod ssh;

use crate::cli::Verb;
use crate::context::Context;
use crate::error::Failure;
use crate::exit::Exit;

/// Does what was asked.
pub(crate) fn run(verb: Verb, context: &mut Context) -> Result<Exit, Failure> {
    match verb {
        Verb::Init(options) => init::run(context, &options),
        Verb::Audit(options) => audit::run(context, &options),
        Verb::Plan => plan::run(context),
        Verb::Rehearse(options) => crate::rehearse::run(context, &options),
        Verb::Apply(options) => apply::run(context, &options),
        Verb::Confirm(options) => confirm::run(context, &options),
        Verb::Rollback(options) => rollback::run(context, &options),
        Verb::History => history::run(context),
        Verb::Verify(options) => crate::verify::run(context, &options),
        Verb::Explain(options) => explain::run(context, &options),
        Verb::Recover(options) => recover::run(context, &options),
        Verb::Policy(verb) => policy::run(context, &verb),
        Verb::Firewall(verb) => firewall::run(context, &verb),
        Verb::Ssh(verb) => ssh::run(context, &verb),
        Verb::Facts(options) => facts::run(context, &options),
        Verb::Reference { page } => reference::run(context, &page),
        Verb::UndoTimer { transaction } => recover::wait_and_undo(context, &transaction),
        Verb::Rehearsal { stage } => crate::rehearse::stage(context, &stage),
    }
}
