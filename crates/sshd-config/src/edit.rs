//! Minimal edits, and lines that do not do what their writer hoped.

mod trap;
mod write;

pub use trap::{DropIns, Shadowed, Stray, StrayReason, drop_ins, shadowed, stray};
pub use write::{drop_in, insert_above_first_match};
