//! `-m limit`: a rate for the rule.

use crate::Rate;
use crate::parse::options::{Kind, saturate32, value};
use crate::parse::rate;
use crate::{Match, TimeUnit};
use std::fmt::{self, Formatter};

/// A rate for the rule: a token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// `--limit`; 3/hour when it is left out.
    pub rate: Rate,
    /// `--limit-burst`, in packets; 5 when it is left out.
    pub burst: u32,
}

/// The kernel counts in 1/10000 s.
const SCALE: u64 = 10_000;
const DEFAULT_RATE: Rate = Rate { packets: 3, per: TimeUnit::Hour };
const DEFAULT_BURST: u32 = 5;

pub(crate) const KIND: Kind =
    Kind::matching("limit", &[value("limit", 0), value("limit-burst", 1)], |args| {
        let rate = match args.get(0) {
            Some(used) => {
                let period = rate::period(args.text(used), SCALE).map(|(period, _)| period);
                rate::printed(args.require(used, period, rate::WHAT)?, SCALE)
            }
            None => DEFAULT_RATE,
        };
        let burst = match args.get(1) {
            Some(used) => saturate32(args.number(used, 0, 10_000)?),
            None => DEFAULT_BURST,
        };
        Ok(Match::Limit(Limit { rate, burst }))
    });

impl Limit {
    pub(crate) fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, " --limit {}", self.rate)?;
        if self.burst == DEFAULT_BURST { Ok(()) } else { write!(f, " --limit-burst {}", self.burst) }
    }
}
