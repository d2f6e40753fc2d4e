//! The one door for reading the machine.
pub mod facts;
pub use facts::{Fact, Facts};
