//! The lines of a journal.

use serde::{Deserialize, Serialize};

use crate::clock::Moment;

/// One line of `journal.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Line {
    pub(crate) at: Moment,
    #[serde(flatten)]
    pub(crate) event: Event,
}

/// What happened. Steps are counted from 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub(crate) enum Event {
    /// The transaction exists; nothing has been changed.
    Opened,
    /// The timer that undoes it without a confirmation stands.
    Armed { deadline: Moment, timer: Timer },
    /// A step begins.
    Begun { step: usize },
    /// What undoing it takes is kept; only now is it done.
    Saved { step: usize, kept: Vec<String> },
    /// A step is done.
    Done { step: usize },
    /// All steps are done; without a deadline nothing is left to be confirmed.
    Applied,
    /// It stays.
    Confirmed { by: String },
    /// What was put off until the confirmation is done.
    Finished,
    /// A step failed.
    Failed { step: usize, error: String },
    /// It is being undone.
    Undoing { because: Because },
    /// A step is undone.
    Undone {
        step: usize,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notes: Vec<String>,
    },
    /// A step could not be undone.
    UndoFailed { step: usize, error: String },
    /// All is undone.
    RolledBack,
    /// Some of it could not be undone; `recover` tries again.
    RollbackFailed,
}

/// What undoes a transaction that nobody confirms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Timer {
    /// A transient timer of systemd, with the unit's name.
    Systemd { unit: String },
    /// A process in a session of its own.
    Process { pid: u32 },
}

/// Why a transaction is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Because {
    /// A step failed.
    Failed,
    /// A signal asked for it while it was being applied.
    Interrupted,
    /// Nobody confirmed it in time.
    Unconfirmed,
    /// Somebody asked for it.
    Asked,
    /// It was found cut off, or unconfirmed after a reboot.
    Recovered,
}
