//! Applying a plan as a transaction.

use std::path::{Path, PathBuf};
use std::time::Duration;

use host::facts::WayIn;
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::error::{Error, Result};
use crate::fault;
use crate::hex::Sha256;
use crate::journal::{self, Because, Event, Journal, Lock, State, Store, TransactionId};
use crate::originals::{Keep, META, PutBack};
use crate::perform::{Context, Earlier, Saved, performer};
use crate::plan::Plan;
use crate::root::Root;
use crate::signals::Held;
use crate::timer;
use crate::undo::{self, UndoFailure};

/// Who applies a plan, and from where; kept beside it as `about.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct About {
    /// The person, as `deploy` or `root (sudo by deploy)`.
    pub who: String,
    /// SHA-256 of the policy file.
    pub policy: Option<Sha256>,
    /// How they came in; none where it is not known.
    pub way_in: Option<WayIn>,
}

/// Whether a transaction must be confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirm {
    /// Undone unless confirmed within this time, counted from the first step.
    Within(Duration),
    /// It stays: whoever applies it stands at the console.
    NotNeeded,
}

/// What is happening. Steps are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The timer stands.
    Armed,
    /// A step begins.
    Doing(usize),
    /// A step is done.
    Done(usize),
    /// A step is about to be undone.
    Undoing(usize),
}

/// How applying ended.
#[derive(Debug)]
pub enum Outcome {
    /// Applied, and undone at the deadline unless confirmed before.
    Pending {
        /// When it is undone.
        deadline: Moment,
    },
    /// Applied, and it stays.
    Confirmed,
    /// A step failed, and all is as it was before.
    RolledBack {
        /// Which.
        step: usize,
        /// Why.
        error: Error,
        /// What the person should know of the undoing.
        notes: Vec<String>,
    },
    /// A step failed, and not all could be undone. `gabion recover` tries again.
    RollbackFailed {
        /// Which.
        step: usize,
        /// Why.
        error: Error,
        /// What could not be undone.
        failures: Vec<UndoFailure>,
    },
}

/// A plan that is about to be applied. The machine is locked against other transactions while it lives.
///
/// ```no_run
/// # fn example(plan: change::plan::Plan) -> Result<(), change::Error> {
/// use change::{About, Confirm, Outcome, Root, Transaction};
///
/// let root = Root::live()?;
/// let transaction = Transaction::begin(&root, plan, &About::default())?;
/// let id = transaction.id().clone();
/// match transaction.apply(Confirm::Within(std::time::Duration::from_secs(300)), &mut |_| {})? {
///     Outcome::Pending { deadline } => println!("{id} is undone at {} unless confirmed", deadline.wall),
///     Outcome::Confirmed => println!("{id} is applied"),
///     Outcome::RolledBack { step, error, .. } => println!("step {}: {error}; all is as before", step + 1),
///     Outcome::RollbackFailed { failures, .. } => println!("{} steps could not be undone", failures.len()),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Transaction<'r> {
    pub(crate) root: &'r Root,
    pub(crate) id: TransactionId,
    pub(crate) plan: Plan,
    pub(crate) journal: Journal,
    pub(crate) lock: Lock,
}

const PLAN: &str = "plan.json";
const ABOUT: &str = "about.json";

impl<'r> Transaction<'r> {
    /// Locks the machine, checks every step against it, and writes the plan down. Nothing that the plan names is
    /// changed, neither here nor where an error comes back.
    ///
    /// # Errors
    /// [`Error::StalePlan`] where the machine is not as it was when the plan was drawn;
    /// [`Error::Busy`], [`Error::PendingTransaction`], [`Error::UnfinishedTransaction`] where another transaction is
    /// in the way; [`Error::NothingToDo`]; and what the checks of the single actions give.
    pub fn begin(root: &'r Root, plan: Plan, about: &About) -> Result<Self> {
        if plan.is_empty() {
            return Err(Error::NothingToDo);
        }
        let store = Store::create(root)?;
        let lock = store.lock(Duration::from_secs(2))?;
        store.sweep()?;
        refuse_another(&store)?;
        check_all(root, &plan, &lock)?;
        let id = TransactionId::next(Moment::now().wall, &store.ids()?);
        store.add(&id, |directory| {
            journal::write_json(&directory.join(PLAN), &plan)?;
            journal::write_json(&directory.join(ABOUT), about)?;
            if root.is_live() {
                timer::keep_program(directory)?;
            }
            Journal::open(directory)?.append(Event::Opened)
        })?;
        let journal = store.journal(&id)?;
        Ok(Self { root, id, plan, journal, lock })
    }

    /// Opens a transaction that is there, waiting for whoever works on it.
    pub(crate) fn open(root: &'r Root, id: &TransactionId, patience: Duration) -> Result<Self> {
        let store = Store::of(root);
        if !store.path(id).is_dir() {
            return Err(Error::NoSuchTransaction { id: id.to_string() });
        }
        let lock = store.lock(patience)?;
        Self::open_locked(root, &store, id, lock)
    }

    pub(crate) fn open_locked(root: &'r Root, store: &Store, id: &TransactionId, lock: Lock) -> Result<Self> {
        let journal = store.journal(id)?;
        let plan = journal::read_json(&store.path(id).join(PLAN))?;
        Ok(Self { root, id: id.clone(), plan, journal, lock })
    }

    /// Its name.
    pub fn id(&self) -> &TransactionId {
        &self.id
    }

    /// Does every step, and undoes all where one fails. Signals that ask this program to end are held back until the
    /// step at hand is done, and then undo all.
    ///
    /// # Errors
    /// Where the journal could not be written before anything was changed. A step that fails is an [`Outcome`].
    pub fn apply(mut self, confirm: Confirm, progress: &mut dyn FnMut(Progress)) -> Result<Outcome> {
        let signals = Held::hold();
        if let Confirm::Within(time) = confirm {
            // Before the first step rather than before the first risky one: the timer is also what undoes a
            // transaction whose program is killed half-way.
            self.arm(time)?;
            progress(Progress::Armed);
        }
        for step in 0..self.plan.steps.len() {
            progress(Progress::Doing(step));
            let interrupted = signals.take().map(|signal| Error::Interrupted { signal });
            if let Err(error) = interrupted.map_or_else(|| self.step(step), Err) {
                return Ok(self.give_up(step, error, progress));
            }
            progress(Progress::Done(step));
        }
        if let Some(signal) = signals.take() {
            let last = self.plan.steps.len() - 1;
            return Ok(self.give_up(last, Error::Interrupted { signal }, progress));
        }
        if let Err(error) = self.journal.append(Event::Applied) {
            let last = self.plan.steps.len() - 1;
            return Ok(self.give_up(last, error, progress));
        }
        if let State::Pending { deadline } = self.journal.summary().state {
            return Ok(Outcome::Pending { deadline });
        }
        // What is left to be done after a confirmation can be done by `recover` as well.
        let _ = self.finish();
        Ok(Outcome::Confirmed)
    }

    pub(crate) fn arm(&mut self, time: Duration) -> Result<()> {
        let deadline = Moment::now().plus_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let timer = timer::start(self.root, &self.id, self.journal.directory(), time)?;
        self.journal.append(Event::Armed { deadline, timer })?;
        fault::point("timer: armed");
        Ok(())
    }

    fn step(&mut self, step: usize) -> Result<()> {
        self.journal.append(Event::Begun { step })?;
        let nothing = Earlier::default();
        let directory = self.journal.directory().to_owned();
        let kept = kept_directory(&directory, step);
        let planned = &self.plan.steps[step];
        let performer = performer(&planned.action);
        let context = Context {
            root: self.root,
            step,
            tag: tag(&self.id, step),
            lock: &self.lock,
            earlier: &nothing,
            boots: false,
        };
        performer.check(&context)?;
        let saved = save(&context, &*performer, &kept)?;
        self.journal.append(Event::Saved { step, kept: saved.copies() })?;
        let displaced = displaced_directory(&directory, step);
        let back = PutBack { root: self.root, kept: &kept, displaced: &displaced, tag: &context.tag };
        fault::point("step: before acting");
        performer.act(&context, &back, &saved)?;
        fault::point("step: acted");
        self.journal.append(Event::Done { step })
    }

    fn give_up(mut self, step: usize, error: Error, progress: &mut dyn FnMut(Progress)) -> Outcome {
        let because = match error {
            Error::Interrupted { .. } => Because::Interrupted,
            _ => Because::Failed,
        };
        // The undoing goes on where the journal cannot be written (a full disk): it can be repeated.
        let _ = self.journal.append(Event::Failed { step, error: error.to_string() });
        let report = undo::roll_back(&mut self, because, undo::Reloads::Now, progress);
        if report.failures.is_empty() {
            Outcome::RolledBack { step, error, notes: report.notes }
        } else {
            Outcome::RollbackFailed { step, error, failures: report.failures }
        }
    }

    /// Does what was put off until the confirmation. Every action that there is can be undone, so that this is: the
    /// timer is stopped, and the program's copy removed. What cannot be undone belongs here, before `Finished`.
    pub(crate) fn finish(&mut self) -> Result<()> {
        self.close()?;
        fault::point("confirmed: before finished");
        self.journal.append(Event::Finished)
    }

    /// Stops the timer and removes the program's copy.
    pub(crate) fn close(&mut self) -> Result<()> {
        match self.journal.summary().armed {
            Some((_, timer)) => timer::stop(self.root, &timer),
            // It may have been started, and its start not written down.
            None => timer::stop_by_name(self.root, &self.id),
        }
        fault::point("timer: stopped");
        timer::remove_program(self.journal.directory())
    }

    pub(crate) fn context<'a>(&'a self, step: usize, earlier: &'a Earlier, boots: bool) -> Context<'a> {
        Context { root: self.root, step, tag: tag(&self.id, step), lock: &self.lock, earlier, boots }
    }
}

/// Who applied a transaction.
pub(crate) fn about(directory: &Path) -> Result<About> {
    journal::read_json(&directory.join(ABOUT))
}

pub(crate) fn kept_directory(transaction: &Path, step: usize) -> PathBuf {
    transaction.join("originals").join(format!("{:03}", step + 1))
}

pub(crate) fn displaced_directory(transaction: &Path, step: usize) -> PathBuf {
    transaction.join("displaced").join(format!("{:03}", step + 1))
}

fn tag(id: &TransactionId, step: usize) -> String {
    format!("gabion-{id}-{}", step + 1)
}

/// Keeps what undoing a step takes, synced.
fn save(context: &Context<'_>, performer: &dyn crate::perform::Perform, kept: &Path) -> Result<Saved> {
    std::fs::create_dir_all(kept).map_err(Error::io("create", kept))?;
    let saved = performer.save(context, &Keep { root: context.root, directory: kept })?;
    journal::write_json(&kept.join(META), &saved)?;
    for directory in kept.ancestors().take(3) {
        crate::originals::sync_directory(directory)?;
    }
    fault::point("step: saved");
    Ok(saved)
}

fn refuse_another(store: &Store) -> Result<()> {
    for id in store.ids()? {
        let summary = journal::Summary::of(&Journal::read(&store.path(&id))?);
        match summary.state {
            State::Pending { .. } => return Err(Error::PendingTransaction { id }),
            state if state.is_open() => return Err(Error::UnfinishedTransaction { id }),
            _ => {}
        }
    }
    Ok(())
}

/// Checks every step against the machine as it is, as far as earlier steps do not change it.
fn check_all(root: &Root, plan: &Plan, lock: &Lock) -> Result<()> {
    let mut earlier = Earlier::default();
    for (step, planned) in plan.steps.iter().enumerate() {
        let performer = performer(&planned.action);
        let context = Context { root, step, tag: String::new(), lock, earlier: &earlier, boots: false };
        performer.check(&context)?;
        performer.tell(&mut earlier);
    }
    Ok(())
}
