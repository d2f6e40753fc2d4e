//! Bringing the machine to before or after, whatever cut a transaction off.

use std::time::Duration;

use crate::action::Action;
use crate::clock::Moment;
use crate::engine::Transaction;
use crate::error::{Error, Result};
use crate::fault;
use crate::history::plan_of;
use crate::journal::{Because, Journal, State, Store, Summary, TransactionId};
use crate::perform::{runs_systemd, settle_service};
use crate::program::Program;
use crate::root::Root;
use crate::timer;
use crate::undo::{PATIENCE, Reloads, UndoReport, roll_back};

/// What became of one transaction.
#[derive(Debug)]
pub struct Recovered {
    /// Which.
    pub id: TransactionId,
    /// What was done to it.
    pub recovery: Recovery,
}

/// What recovery did.
#[derive(Debug)]
pub enum Recovery {
    /// It was cut off, or not confirmed in time or before a reboot: undone.
    Undone(UndoReport),
    /// It was confirmed, and what was left to be done is done.
    Finished,
    /// It waits for its confirmation still. `timer_was_lost` where the timer was gone, and stands again.
    StillPending {
        /// When it is undone.
        deadline: Moment,
        /// Whether the timer had to be set again.
        timer_was_lost: bool,
    },
    /// Its journal cannot be read, or it could not be worked on; the originals are beside it.
    Failed(Error),
}

/// Undoes every transaction that was cut off, or whose confirmation did not come in time or before a reboot; completes
/// what was left half undone or half confirmed. Run at boot and by hand. Being killed in the middle and run again gives
/// the same; where there is nothing to do it changes nothing.
///
/// # Errors
/// [`Error::Busy`] where a transaction is being worked on for more than a minute. What goes wrong with a single
/// transaction is in its [`Recovery`].
pub fn recover(root: &Root, now: &Moment) -> Result<Vec<Recovered>> {
    recover_all(root, now, Reloads::Now)
}

/// As [`recover`], early in the boot, when what reads the files has not been started yet: nothing is reloaded until
/// all is done. A server that is told to reload while it starts may end of it; and a systemd that reads its units
/// again forgets that others wait for a recovery whose own unit has just been undone. What is left for the end is
/// [`settle_boot`].
///
/// # Errors
/// As [`recover`].
pub fn recover_at_boot(root: &Root, now: &Moment) -> Result<Vec<Recovered>> {
    recover_all(root, now, Reloads::NotYetStarted)
}

/// Has systemd read its units again where a recovery at boot has undone something: a unit that is gone is not started
/// then, the ports of a socket are read out of `sshd_config` again, and a service that had been switched off is started. The last thing to do: from here on the boot
/// goes on. Where it fails, the next boot reads them.
pub fn settle_boot(root: &Root, recovered: &[Recovered]) {
    let undone = recovered.iter().any(|one| matches!(one.recovery, Recovery::Undone(_)));
    if undone && root.is_live() && runs_systemd() {
        let _next_boot_reads_them = Program::ReloadUnits.run(root, None, b"");
        recovered.iter().for_each(|one| settle_services(root, one));
    }
}

/// What starts at boot was counted before the links of these services came back.
fn settle_services(root: &Root, recovered: &Recovered) {
    let Ok(plan) = plan_of(root, &recovered.id) else { return };
    for step in plan.steps.iter().filter(|_| matches!(recovered.recovery, Recovery::Undone(_))) {
        if let Action::SwitchService { unit, to, before, .. } = &step.action {
            settle_service(root, unit, *to, *before);
        }
    }
}

fn recover_all(root: &Root, now: &Moment, reloads: Reloads) -> Result<Vec<Recovered>> {
    let store = Store::of(root);
    let ids = store.ids()?;
    if !root.outside(crate::journal::TRANSACTIONS).is_dir() {
        return Ok(Vec::new());
    }
    let lock = store.lock(PATIENCE)?;
    store.sweep()?;
    drop(lock);
    let mut recovered = Vec::new();
    for id in ids.into_iter().rev() {
        let recovery = match recover_one(root, &id, now, reloads) {
            Ok(None) => continue,
            Ok(Some(recovery)) => recovery,
            Err(Error::Busy) => return Err(Error::Busy),
            Err(error) => Recovery::Failed(error),
        };
        recovered.push(Recovered { id, recovery });
    }
    Ok(recovered)
}

/// Nothing is left to be done, as far as the journal says; the plan, which may be of another version, is not asked.
fn is_over(root: &Root, id: &TransactionId) -> Result<bool> {
    let directory = Store::of(root).path(id);
    let state = Summary::of(&Journal::read(&directory)?).state;
    Ok(!state.is_open() && !timer::keeps_program(&directory))
}

fn recover_one(root: &Root, id: &TransactionId, now: &Moment, reloads: Reloads) -> Result<Option<Recovery>> {
    if is_over(root, id)? {
        return Ok(None);
    }
    let mut transaction = Transaction::open(root, id, PATIENCE)?;
    fault::point("recover: opened");
    let summary = transaction.journal.summary();
    let mut undo =
        |because| Ok(Some(Recovery::Undone(roll_back(&mut transaction, because, reloads, &mut |_| {}))));
    match summary.state {
        State::Applying | State::Undoing { .. } | State::RollbackFailed | State::Damaged => {
            undo(Because::Recovered)
        }
        State::Pending { deadline } => {
            let left = deadline.millis_after(now);
            if left == 0 {
                let same_boot = deadline.boot == now.boot;
                return undo(if same_boot { Because::Unconfirmed } else { Because::Recovered });
            }
            let timer_was_lost = summary.armed.is_none_or(|(_, timer)| !timer::stands(root, &timer));
            if timer_was_lost {
                transaction.arm(Duration::from_millis(left))?;
            }
            Ok(Some(Recovery::StillPending { deadline, timer_was_lost }))
        }
        State::Confirmed { finished: false } => transaction.finish().map(|()| Some(Recovery::Finished)),
        // Killed between the last line of the journal and the removal of the copy, which is the last thing to be done.
        State::RolledBack { .. } | State::Confirmed { finished: true } => {
            if timer::keeps_program(transaction.journal.directory()) {
                transaction.close()?;
            }
            Ok(None)
        }
    }
}
