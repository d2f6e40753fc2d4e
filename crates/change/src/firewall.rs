//! The packet filter as this crate needs it.
use serde::{Deserialize, Serialize};

/// A compiled ruleset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compiled(serde_json::Value);
