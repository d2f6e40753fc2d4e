//! The transactions of a machine.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::engine::{About, about};
use crate::error::Result;
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

/// All transactions, oldest first.
///
/// # Errors
/// What reading the journals gives.
pub fn history(root: &Root) -> Result<Vec<Past>> {
    let store = Store::of(root);
    store.ids()?.into_iter().map(|id| past(&store, id)).collect()
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
