//! Undoing a transaction: every step in reverse, then the reloads in the order of the plan.
//!
//! A step that makes a program read its files (`ReloadSsh`, `ReloadUnits`) stands after the files in a plan; undone
//! in strict reverse it would make the program read what is about to be undone. So it is undone by doing it once
//! more when all else is undone.

use std::path::Path;
use std::time::Duration;

use crate::clock::Moment;
use crate::engine::{Progress, Transaction, displaced_directory, kept_directory};
use crate::error::{Error, Result};
use crate::fault;
use crate::journal::{self, Because, Event, Journal, State, Store, Summary, TransactionId};
use crate::originals::{META, PutBack};
use crate::perform::{Earlier, Saved, performer};
use crate::root::Root;

/// A step that could not be undone.
#[derive(Debug)]
pub struct UndoFailure {
    /// Index of the step, from 0.
    pub step: usize,
    /// Why.
    pub error: Error,
}

/// How an undoing ended.
#[derive(Debug, Default)]
pub struct UndoReport {
    /// What the person should know: what others had changed meanwhile, and where it is kept.
    pub notes: Vec<String>,
    /// What could not be undone; empty where all is as it was.
    pub failures: Vec<UndoFailure>,
}

/// Undoes a transaction: one that waits for its confirmation, one that was cut off, or the newest confirmed one.
///
/// With [`Because::Unconfirmed`], which is what the timer asks, it waits until the deadline, and does nothing to a
/// transaction that was confirmed meanwhile: none is given back then.
///
/// # Errors
/// [`Error::NoSuchTransaction`], [`Error::NotTheNewest`], [`Error::Busy`] where another works on it for more than a
/// minute, and what reading the journal gives. A step that cannot be undone is in the report.
pub fn rollback(root: &Root, id: &TransactionId, because: Because) -> Result<Option<UndoReport>> {
    let mut transaction = match because {
        Because::Unconfirmed => match open_at_deadline(root, id)? {
            Some(transaction) => transaction,
            None => return Ok(None),
        },
        Because::Failed | Because::Interrupted | Because::Asked | Because::Recovered => {
            Transaction::open(root, id, PATIENCE)?
        }
    };
    match transaction.journal.summary().state {
        State::RolledBack { .. } => return Ok(None),
        State::Confirmed { .. } => refuse_older(root, id)?,
        State::Applying
        | State::Pending { .. }
        | State::Undoing { .. }
        | State::RollbackFailed
        | State::Damaged => {}
    }
    Ok(Some(roll_back(&mut transaction, because, Reloads::Now, &mut |_| {})))
}

/// Opens a transaction when its deadline has passed; none where it was confirmed or undone before.
fn open_at_deadline<'r>(root: &'r Root, id: &TransactionId) -> Result<Option<Transaction<'r>>> {
    let path = Store::of(root).path(id);
    loop {
        // Looked at without the lock, so that nobody who confirms has to wait for us.
        if let Some(left) = left_until_undoing(&Summary::of(&Journal::read(&path)?).state) {
            if left == 0 {
                let transaction = Transaction::open(root, id, PATIENCE_OF_TIMER)?;
                match left_until_undoing(&transaction.journal.summary().state) {
                    Some(0) => return Ok(Some(transaction)),
                    Some(_) => {}
                    None => return Ok(None),
                }
            }
            std::thread::sleep(Duration::from_millis(left.min(1000)));
        } else {
            return Ok(None);
        }
    }
}

/// Milliseconds until a transaction is to be undone by its timer; none where it is not.
fn left_until_undoing(state: &State) -> Option<u64> {
    match state {
        State::Pending { deadline } => Some(deadline.millis_after(&Moment::now())),
        // Whoever gets the lock in these states has outlived the one that had it.
        State::Applying | State::Undoing { .. } | State::RollbackFailed | State::Damaged => Some(0),
        State::Confirmed { .. } | State::RolledBack { .. } => None,
    }
}

/// A timer that gives up would leave a change that nobody confirmed.
const PATIENCE_OF_TIMER: Duration = Duration::from_secs(24 * 60 * 60);

/// How long to wait for another that holds the lock: longer than the slowest step takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

fn refuse_older(root: &Root, id: &TransactionId) -> Result<()> {
    let store = Store::of(root);
    for other in store.ids()?.into_iter().rev() {
        let state = Summary::of(&Journal::read(&store.path(&other))?).state;
        match state {
            State::Confirmed { .. } if other == *id => return Ok(()),
            State::Confirmed { .. } => {
                return Err(Error::NotTheNewest { id: id.clone(), newest: other });
            }
            State::Pending { .. } => return Err(Error::PendingTransaction { id: other }),
            State::RolledBack { .. } => {}
            State::Applying | State::Undoing { .. } | State::RollbackFailed | State::Damaged => {
                return Err(Error::UnfinishedTransaction { id: other });
            }
        }
    }
    Ok(())
}

/// When programs read the files that were put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reloads {
    /// When all else is undone.
    Now,
    /// Not here: they have not been started yet in this boot.
    NotYetStarted,
}

/// Undoes every step that is not undone. Goes on past a step that fails, and past a journal that cannot be written:
/// the more is undone, the better is the way in.
pub(crate) fn roll_back(
    transaction: &mut Transaction<'_>,
    because: Because,
    when: Reloads,
    progress: &mut dyn FnMut(Progress),
) -> UndoReport {
    let mut report = UndoReport::default();
    let mut unwritten = transaction.journal.append(Event::Undoing { because }).err();
    let open = transaction.journal.summary().to_undo;
    let (reloads, others): (Vec<usize>, Vec<usize>) =
        open.into_iter().partition(|step| performer(&transaction.plan.steps[*step].action).is_reload());
    let skipped = |step: &usize| when == Reloads::NotYetStarted && reloads.contains(step);
    for step in others.into_iter().rev().chain(reloads.iter().copied()) {
        progress(Progress::Undoing(step));
        let undone = if skipped(&step) { Ok(Vec::new()) } else { undo_step(transaction, step, when) };
        let event = match undone {
            Ok(notes) => {
                report.notes.extend(notes.iter().cloned());
                Event::Undone { step, notes }
            }
            Err(error) => {
                let text = error.to_string();
                report.failures.push(UndoFailure { step, error });
                Event::UndoFailed { step, error: text }
            }
        };
        unwritten = transaction.journal.append(event).err().or(unwritten);
    }
    if report.failures.is_empty() {
        fault::point("undo: before the end is written");
        let ended = transaction.journal.append(Event::RolledBack);
        let closed = transaction.close();
        // On a full disk the copy of the program took the space that the last line needs.
        unwritten = match ended.or_else(|_| transaction.journal.append(Event::RolledBack)) {
            Ok(()) => closed.err(),
            Err(error) => Some(error),
        };
    } else {
        unwritten = transaction.journal.append(Event::RollbackFailed).err().or(unwritten);
    }
    if let Some(error) = unwritten {
        report
            .notes
            .push(format!("the journal could not be written ({error}): `gabion recover` will look again"));
    }
    report
}

fn undo_step(transaction: &Transaction<'_>, step: usize, when: Reloads) -> Result<Vec<String>> {
    let directory: &Path = transaction.journal.directory();
    let kept = kept_directory(directory, step);
    let displaced = displaced_directory(directory, step);
    let saved: Saved = journal::read_json(&kept.join(META))?;
    let nothing = Earlier::default();
    let context = transaction.context(step, &nothing, when == Reloads::NotYetStarted);
    let back = PutBack { root: transaction.root, kept: &kept, displaced: &displaced, tag: &context.tag };
    fault::point("undo: before a step");
    let notes = performer(&transaction.plan.steps[step].action).undo(&context, &back, &saved)?;
    fault::point("undo: after a step");
    Ok(notes)
}
