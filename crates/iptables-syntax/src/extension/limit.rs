//! `-m limit`: a rate for the rule.

use crate::Rate;

/// A rate for the rule: a token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// `--limit`; 3/hour when it is left out.
    pub rate: Rate,
    /// `--limit-burst`, in packets; 5 when it is left out.
    pub burst: u32,
}
