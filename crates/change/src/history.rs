//! The transactions of a machine.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::engine::{About, about};
use crate::error::{Error, Result};
use crate::journal::{self, Journal, State, Store, Summary, TransactionId};
use crate::plan::Plan;
use crate::root::Root;

/// One transaction, as `gabion history` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Past {
    /// Its name.
    pub id: TransactionId,
    /// When it began.
    pub began: Option<Moment>,
    /// Who applied it, with which policy, from where.
    pub about: About,
    /// Where it stands.
    pub state: State,
    /// How many steps its plan has.
    pub steps: usize,
    /// How many of them were done.
    pub done: usize,
    /// What failed, where something did.
    pub error: Option<String>,
    /// What the person should know of its undoing.
    pub notes: Vec<String>,
    /// Where its journal and the originals are.
    pub directory: PathBuf,
}

/// All transactions, oldest first. One that cannot be read is [`State::Damaged`], and hides none of the others.
///
/// # Errors
/// The journals cannot be listed.
pub fn history(root: &Root) -> Result<Vec<Past>> {
    let store = Store::of(root);
    let one =
        |id: TransactionId| past(&store, id.clone()).unwrap_or_else(|error| damaged(&store, id, &error));
    Ok(store.ids()?.into_iter().map(one).collect())
}

fn damaged(store: &Store, id: TransactionId, error: &Error) -> Past {
    Past {
        began: None,
        about: About::default(),
        state: State::Damaged,
        steps: 0,
        done: 0,
        error: Some(error.to_string()),
        notes: Vec::new(),
        directory: store.path(&id),
        id,
    }
}

/// The plan of a transaction.
///
/// # Errors
/// What reading it gives.
pub fn plan_of(root: &Root, id: &TransactionId) -> Result<Plan> {
    journal::read_json(&Store::of(root).path(id).join("plan.json"))
}

fn past(store: &Store, id: TransactionId) -> Result<Past> {
    let directory = store.path(&id);
    let summary = Summary::of(&Journal::read(&directory)?);
    let plan: Plan = journal::read_json(&directory.join("plan.json"))?;
    Ok(Past {
        id,
        began: summary.opened,
        about: about(&directory)?,
        state: summary.state,
        steps: plan.steps.len(),
        done: summary.done,
        error: summary.error,
        notes: summary.notes,
        directory,
    })
}
