//! Actions, plans and the journal: the only crate that writes to the machine.
#![allow(clippy::disallowed_methods, reason = "this is the crate that writes to the machine and starts programs on it")]

pub mod action;
mod bytes;
pub mod firewall;
pub mod hex;
pub mod plan;
