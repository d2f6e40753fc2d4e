//! The only crate that writes to the machine.
//!
//! A [`plan::Plan`] is an ordered list of [`action::Action`]s, drawn from facts and a policy. A [`Transaction`] applies
//! it: what undoing a step takes is on disk, synced, before the step is done, so that whatever cuts it off (a step that
//! fails, a signal, SIGKILL, a power cut) [`recover()`] brings the machine to before or after, never between. What is
//! applied is undone by a timer outside of this process unless [`confirm()`] is called from a login that is newer.
//!
//! It does not decide what should be changed (that is the policy's and the controls' work), and it does not ask anyone.
//!
//! ```no_run
//! use change::{Confirmation, Moment, Root};
//!
//! # fn example(way_in: host::facts::WayIn) -> Result<(), change::Error> {
//! let root = Root::live()?;
//! // At boot, and whenever somebody asks:
//! for recovered in change::recover(&root, &Moment::now())? {
//!     println!("{}: {:?}", recovered.id, recovered.recovery);
//! }
//! // From the new login:
//! if let Some(id) = change::pending(&root)? {
//!     match change::confirm(&root, &id, &way_in, false)? {
//!         Confirmation::Confirmed => println!("{id} stays"),
//!         Confirmation::Refused(refusal) => println!("{id}: {refusal}"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
#![allow(
    clippy::disallowed_methods,
    reason = "this is the crate that writes to the machine and starts programs on it"
)]

pub mod action;
mod atomic;
mod attributes;
mod bytes;
mod clock;
mod confirm;
mod engine;
mod error;
mod fault;
mod firewall;
pub mod firewall_state;
pub mod hex;
mod history;
mod iptables;
mod journal;
mod json;
pub mod keys;
pub mod lockout;
mod originals;
mod perform;
pub mod plan;
pub mod policy_file;
mod program;
mod recover;
mod root;
mod signals;
#[cfg(test)]
mod tests;
mod this_program;
mod timer;
mod undo;

pub use clock::Moment;
pub use confirm::{Confirmation, Refusal, confirm, pending};
pub use engine::{About, Confirm, Outcome, Progress, Transaction};
pub use error::{Error, Result};
pub use firewall::{iptables_drift, load_saved as load_saved_firewall, load_saved_iptables};
pub use history::{Past, history, plan_of};
pub use journal::{Because, NotATransactionId, State, TRANSACTIONS, TransactionId};
pub use recover::{Recovered, Recovery, recover, recover_at_boot, settle_boot};
pub use root::Root;
pub use this_program::this_program;
pub use timer::{UNDO_TIMER, run_undo_timer};
pub use undo::{UndoFailure, UndoReport, rollback};
