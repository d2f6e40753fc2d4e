//! Confirming: the proof that somebody still gets in.

use host::facts::{Via, WayIn};
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::engine::{Transaction, about};
use crate::error::Result;
use crate::fault;
use crate::journal::{Event, Journal, State, Store, Summary, TransactionId};
use crate::root::Root;
use crate::undo::PATIENCE;

/// Why a confirmation does not count. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "refusal")]
pub enum Refusal {
    /// It does not wait for a confirmation.
    #[error("it does not wait for a confirmation: it is {state}")]
    NotPending {
        /// What it is instead.
        state: String,
    },
    /// The time is over.
    #[error("the time was over at {}: it is being undone", deadline.wall)]
    TooLate {
        /// When.
        deadline: Moment,
    },
    /// This session was there before the change was made, and so proves nothing.
    #[error("this session began before the change was applied: log in anew and confirm from there")]
    OldSession,
    /// It is not known when this session began.
    #[error(
        "it cannot be told when this session began: log in anew over SSH, or confirm at the console with --from-console"
    )]
    UnknownSession,
    /// Not over SSH, and `--from-console` was not given.
    #[error("this is no SSH login: log in over SSH, or confirm at the console with --from-console")]
    NotOverSsh,
    /// `--from-console` was given over SSH.
    #[error("--from-console was given, but this session came in over SSH")]
    NotAtConsole,
}

/// How a confirmation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirmation {
    /// The change stays.
    Confirmed,
    /// It does not count.
    Refused(Refusal),
}

/// The transaction that waits for its confirmation.
///
/// # Errors
/// What reading the journals gives.
pub fn pending(root: &Root) -> Result<Option<TransactionId>> {
    let store = Store::of(root);
    for id in store.ids()?.into_iter().rev() {
        match Summary::of(&Journal::read(&store.path(&id))?).state {
            State::Pending { .. } => return Ok(Some(id)),
            State::Applying
            | State::Confirmed { .. }
            | State::Undoing { .. }
            | State::RolledBack { .. }
            | State::RollbackFailed
            | State::Damaged => {}
        }
    }
    Ok(None)
}

/// Lets a change stay. Counts only from an SSH login whose session began after the change was applied: a session that
/// was there before says nothing on whether a new one can be opened. With `from_console`, only from a way in that is
/// the console.
///
/// # Errors
/// [`crate::Error::NoSuchTransaction`], [`crate::Error::Busy`], and where the journal cannot be written: then it is not
/// confirmed.
pub fn confirm(
    root: &Root,
    id: &TransactionId,
    evidence: &WayIn,
    from_console: bool,
) -> Result<Confirmation> {
    let mut transaction = Transaction::open(root, id, PATIENCE)?;
    let now = Moment::now();
    if let Some(refusal) = refusal(&transaction, evidence, from_console, &now)? {
        return Ok(Confirmation::Refused(refusal));
    }
    fault::point("confirm: before it is written");
    let by = evidence.user.clone().unwrap_or_else(|| "the console".to_owned());
    transaction.journal.append(Event::Confirmed { by })?;
    // It stays from here on. What is left can be done by `recover` as well.
    let _ = transaction.finish();
    Ok(Confirmation::Confirmed)
}

fn refusal(
    transaction: &Transaction<'_>,
    evidence: &WayIn,
    from_console: bool,
    now: &Moment,
) -> Result<Option<Refusal>> {
    let summary = transaction.journal.summary();
    let deadline = match summary.state {
        State::Pending { deadline } => deadline,
        state => {
            return Ok(Some(Refusal::NotPending { state: state.in_words().to_owned() }));
        }
    };
    if deadline.millis_after(now) == 0 {
        return Ok(Some(Refusal::TooLate { deadline }));
    }
    Ok(match (&evidence.via, from_console) {
        (Via::Console, true) => None,
        (Via::Console, false) => Some(Refusal::NotOverSsh),
        (Via::Ssh { .. }, true) => Some(Refusal::NotAtConsole),
        (Via::Ssh { .. }, false) => {
            let applied = summary.applied.map(|applied| applied.ticks());
            let applied_in = about(transaction.journal.directory())?.way_in;
            let same = applied_in.is_some_and(|way_in| {
                way_in.session_pid.is_some()
                    && (way_in.session_pid, way_in.started_ticks)
                        == (evidence.session_pid, evidence.started_ticks)
            });
            match (evidence.started_ticks, applied) {
                _ if same => Some(Refusal::OldSession),
                (None, _) | (_, None) => Some(Refusal::UnknownSession),
                (Some(started), Some(applied)) if started <= applied => Some(Refusal::OldSession),
                (Some(_), Some(_)) => None,
            }
        }
    })
}
