//! Transactions: what was done to a host, by whom, and whether it stays.
//!
//! A view of the journal that `change` keeps; whoever reads the journal fills it in.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::page::{Page, Tone, View, counted};

/// One transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Transaction {
    /// Its name, as `20261122T195706123-8c1f`.
    pub id: String,
    /// Where it stands.
    #[serde(flatten)]
    pub standing: Standing,
    /// When it began; null where its journal does not say.
    pub began: Option<Timestamp>,
    /// Who began it; null where its journal does not say.
    pub by: Option<String>,
    /// How many steps its plan has.
    pub steps: usize,
    /// How many of them were done, though they may be undone since.
    pub done: usize,
    /// What failed; null where nothing did.
    pub error: Option<String>,
    /// What else a person should know: a file that somebody changed in between, say.
    pub notes: Vec<String>,
}

/// Where a transaction stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Standing {
    /// It is being applied, or was cut off while it was.
    Applying,
    /// It is applied, and undone at the deadline.
    Pending {
        /// When, unless it is confirmed before.
        deadline: Timestamp,
    },
    /// It stays.
    Confirmed,
    /// It is being undone, or was cut off while it was.
    Undoing {
        /// Why, as `nobody confirmed it in time`.
        because: String,
    },
    /// It is undone.
    RolledBack {
        /// Why.
        because: String,
    },
    /// Some of it could not be undone.
    RollbackFailed,
    /// Its journal cannot be read.
    Damaged,
}

impl Standing {
    fn word(&self) -> &'static str {
        match self {
            Self::Applying => "cut off",
            Self::Pending { .. } => "pending",
            Self::Confirmed => "confirmed",
            Self::Undoing { .. } => "being undone",
            Self::RolledBack { .. } => "rolled back",
            Self::RollbackFailed => "rollback failed",
            Self::Damaged => "not readable",
        }
    }

    fn tone(&self) -> Tone {
        match self {
            Self::Confirmed => Tone::Good,
            Self::RolledBack { .. } => Tone::Plain,
            Self::Applying | Self::Pending { .. } | Self::Undoing { .. } => Tone::Odd,
            Self::RollbackFailed | Self::Damaged => Tone::Worst,
        }
    }

    /// What to do next, where there is something.
    fn next(&self) -> Option<String> {
        match self {
            Self::Pending { deadline } => Some(format!(
                "log in anew and run `gabion confirm` there; without it all is undone at {}",
                moment(*deadline)
            )),
            Self::Applying | Self::Undoing { .. } | Self::RollbackFailed => {
                Some("run `gabion recover`: it brings the host to before or after, never between".to_owned())
            }
            Self::Damaged => Some(
                "look into its directory in /var/lib/gabion/transactions: `originals` holds what it replaced; \
                 when that is put back or no longer wanted, move the directory away"
                    .to_owned(),
            ),
            Self::Confirmed | Self::RolledBack { .. } => None,
        }
    }
}

/// One transaction as text: where it stands, what failed, and what to do next.
pub fn text(transaction: &Transaction, view: View) -> String {
    let mut page = Page::new(view);
    write_transaction(&mut page, transaction);
    page.finish()
}

fn write_transaction(page: &mut Page, transaction: &Transaction) {
    let standing = &transaction.standing;
    page.hanging(
        &format!("{}  ", transaction.id),
        Tone::Strong,
        transaction.id.chars().count() + 2,
        standing.tone(),
        standing.word(),
    );
    if let Standing::Undoing { because } | Standing::RolledBack { because } = standing {
        page.entry(2, 7, "because", Tone::Quiet, because);
    }
    let done = format!("{} of {}", transaction.done, counted(transaction.steps, "step"));
    page.entry(2, 7, "done", Tone::Quiet, &done);
    if let Some(error) = &transaction.error {
        page.entry(2, 7, "failed", Tone::Bad, error);
    }
    for note in &transaction.notes {
        page.entry(2, 7, "note", Tone::Odd, note);
    }
    if let Some(next) = standing.next() {
        page.entry(2, 7, "next", Tone::Strong, &next);
    }
}

/// The history as text: a line each, then what is open.
pub fn history_text(transactions: &[Transaction], view: View) -> String {
    let mut page = Page::new(view);
    if transactions.is_empty() {
        page.paragraph(0, Tone::Plain, "No transaction has been made on this host.");
        return page.finish();
    }
    let row = |transaction: &Transaction| {
        vec![
            (Tone::Strong, transaction.id.clone()),
            (Tone::Plain, transaction.began.map_or_else(|| "-".to_owned(), moment)),
            (transaction.standing.tone(), transaction.standing.word().to_owned()),
            (Tone::Plain, format!("{}/{}", transaction.done, transaction.steps)),
            (Tone::Plain, transaction.by.clone().unwrap_or_else(|| "-".to_owned())),
        ]
    };
    let rows: Vec<_> = transactions.iter().map(row).collect();
    page.table(0, &["transaction", "began", "state", "steps", "by"], &rows);
    for open in transactions.iter().filter(|transaction| transaction.standing.next().is_some()) {
        page.blank();
        write_transaction(&mut page, open);
    }
    page.finish()
}

/// UTC to the second, as `2026-11-22 19:57:06 UTC`.
fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// One transaction as JSON, version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Document {
    /// 1; a reader refuses what it does not know.
    pub version: u32,
    /// The transaction.
    #[serde(flatten)]
    pub transaction: Transaction,
}

/// The history as JSON, version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct History {
    /// 1; a reader refuses what it does not know.
    pub version: u32,
    /// In the order in which they were given.
    pub transactions: Vec<Transaction>,
}

/// One transaction for `--json`.
pub fn json(transaction: &Transaction) -> Document {
    Document { version: crate::VERSION, transaction: transaction.clone() }
}

/// The history for `--json`.
pub fn history_json(transactions: &[Transaction]) -> History {
    History { version: crate::VERSION, transactions: transactions.to_vec() }
}
