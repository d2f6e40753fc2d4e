//! `gabion history`: the transactions of this host.

use change::{Because, Past, Root, State};
use report::transaction::{Standing, Transaction};

use crate::context::{Context, need_root};
use crate::error::Failure;
use crate::exit::Exit;

pub(crate) fn run(context: &Context) -> Result<Exit, Failure> {
    need_root("history")?;
    let past: Vec<Transaction> = change::history(&Root::live()?)?.into_iter().map(row).collect();
    if context.output.json {
        context.output.value(&report::transaction::history_json(&past));
    } else {
        context.output.text(&report::transaction::history_text(&past, context.output.view()));
    }
    Ok(Exit::Clean)
}

fn row(past: Past) -> Transaction {
    Transaction {
        id: past.id.to_string(),
        standing: standing(past.state),
        began: past.began.map(|moment| moment.wall),
        by: Some(past.about.who).filter(|who| !who.is_empty()),
        steps: past.steps,
        done: past.done,
        error: past.error,
        notes: past.notes,
    }
}

fn standing(state: State) -> Standing {
    let because = |because: Because| {
        match because {
            Because::Failed => "a step failed",
            Because::Interrupted => "it was interrupted",
            Because::Unconfirmed => "nobody confirmed it in time",
            Because::Asked => "somebody asked for it",
            Because::Recovered => "it was found cut off, or unconfirmed after a reboot",
        }
        .to_owned()
    };
    match state {
        State::Applying => Standing::Applying,
        State::Pending { deadline } => Standing::Pending { deadline: deadline.wall },
        State::Confirmed { .. } => Standing::Confirmed,
        State::Undoing { because: why } => Standing::Undoing { because: because(why) },
        State::RolledBack { because: why } => Standing::RolledBack { because: because(why) },
        State::RollbackFailed => Standing::RollbackFailed,
        State::Damaged => Standing::Damaged,
    }
}
