//! What a journal's lines add up to.

use serde::{Deserialize, Serialize};

use super::event::{Because, Event, Line, Timer};
use crate::clock::Moment;

/// Where a transaction stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum State {
    /// It is being applied, or was cut off while it was.
    Applying,
    /// Applied, and undone at the deadline unless confirmed before.
    Pending {
        /// When.
        deadline: Moment,
    },
    /// It stays. Where `finished` is false, what was put off until the confirmation is not done yet.
    Confirmed {
        /// Whether nothing is left to be done.
        finished: bool,
    },
    /// It is being undone, or was cut off while it was.
    Undoing {
        /// Why.
        because: Because,
    },
    /// It is undone.
    RolledBack {
        /// Why.
        because: Because,
    },
    /// Some of it could not be undone.
    RollbackFailed,
    /// Its journal or its plan cannot be read, so where it stands is not known.
    Damaged,
}

impl State {
    /// Whether it neither stays for good nor is gone for good.
    pub fn is_open(&self) -> bool {
        match self {
            Self::Applying
            | Self::Pending { .. }
            | Self::Undoing { .. }
            | Self::RollbackFailed
            | Self::Damaged => true,
            Self::Confirmed { finished } => !finished,
            Self::RolledBack { .. } => false,
        }
    }
}

/// A journal, read.
#[derive(Debug, Clone)]
pub(crate) struct Summary {
    pub(crate) state: State,
    /// The steps for which what undoing takes is kept, and which are not undone: in the order in which they were done.
    pub(crate) to_undo: Vec<usize>,
    /// Every step that was begun.
    pub(crate) begun: usize,
    /// How many are done.
    pub(crate) done: usize,
    pub(crate) opened: Option<Moment>,
    pub(crate) applied: Option<Moment>,
    pub(crate) armed: Option<(Moment, Timer)>,
    /// The first line of the present undoing was written in this boot.
    pub(crate) last: Option<Moment>,
    pub(crate) notes: Vec<String>,
    pub(crate) error: Option<String>,
}

impl Summary {
    pub(crate) fn of(lines: &[Line]) -> Self {
        let mut summary = Self {
            state: State::Applying,
            to_undo: Vec::new(),
            begun: 0,
            done: 0,
            opened: None,
            applied: None,
            armed: None,
            last: None,
            notes: Vec::new(),
            error: None,
        };
        lines.iter().for_each(|line| summary.add(line));
        summary
    }

    fn add(&mut self, line: &Line) {
        self.last = Some(line.at.clone());
        match &line.event {
            Event::Opened => self.opened = Some(line.at.clone()),
            Event::Armed { deadline, timer } => {
                self.armed = Some((deadline.clone(), timer.clone()));
                // A timer that was set again, after the first was lost.
                if let State::Pending { deadline: pending } = &mut self.state {
                    pending.clone_from(deadline);
                }
            }
            Event::Begun { step } => self.begun = self.begun.max(step + 1),
            Event::Saved { step, .. } => self.to_undo.push(*step),
            Event::Done { .. } => self.done += 1,
            Event::Applied => {
                self.applied = Some(line.at.clone());
                self.state = match &self.armed {
                    Some((deadline, _)) => State::Pending { deadline: deadline.clone() },
                    None => State::Confirmed { finished: false },
                };
            }
            Event::Confirmed { .. } => self.state = State::Confirmed { finished: false },
            Event::Finished => self.state = State::Confirmed { finished: true },
            Event::Failed { step, error } => self.error = Some(format!("step {}: {error}", step + 1)),
            Event::Undoing { because } => self.state = State::Undoing { because: self.first_cause(*because) },
            Event::Undone { step, notes } => {
                self.to_undo.retain(|open| open != step);
                self.notes.extend(notes.iter().cloned());
            }
            Event::UndoFailed { step, error } => {
                self.error = Some(format!("step {} could not be undone: {error}", step + 1));
            }
            Event::RolledBack => self.state = State::RolledBack { because: self.first_cause(Because::Asked) },
            Event::RollbackFailed => self.state = State::RollbackFailed,
        }
    }

    /// What began the undoing, rather than what completed it.
    fn first_cause(&self, otherwise: Because) -> Because {
        match self.state {
            State::Undoing { because } => because,
            State::Applying
            | State::Pending { .. }
            | State::Confirmed { .. }
            | State::RolledBack { .. }
            | State::RollbackFailed
            | State::Damaged => otherwise,
        }
    }
}

impl State {
    /// As a word or two, for a table.
    pub fn in_words(&self) -> &'static str {
        match self {
            Self::Applying => "cut off",
            Self::Pending { .. } => "waiting for its confirmation",
            Self::Confirmed { .. } => "confirmed",
            Self::Undoing { .. } => "half undone",
            Self::RolledBack { .. } => "undone",
            Self::RollbackFailed => "not wholly undone",
            Self::Damaged => "not readable",
        }
    }
}
