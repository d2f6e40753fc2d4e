//! What a policy says of a packet, read from the policy alone.
//!
//! This is the second opinion that a compiled ruleset is held against ([`prove`](crate::prove())): it shares no code with
//! the compiler or the machine. Its order is the normative one of `docs/src/firewall-semantics.md`.

use std::collections::BTreeSet;

pub(crate) mod parts;
pub(crate) mod rules;

use crate::facts::{Facts, Need};
use crate::packet::{Hook, Packet};
use crate::policy::FilterPolicy;
use parts::{Part, Said, parts, say};

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is let through.
    Accept,
    /// It is let through as long as one of the rates is kept, and refused otherwise.
    AcceptWithin {
        /// Each of them lets it through.
        rates: BTreeSet<Rate>,
        /// How it is refused when none does.
        otherwise: Manner,
    },
    /// It is refused.
    Refuse(Manner),
    /// It depends on what a rule of the policy's own asks and the packet does not tell: a rate, the hour, the sender's user.
    Open {
        /// What becomes of it as long as no rate is exceeded and what is not known does not hold.
        usual: Ending,
        /// All that may become of it: no more than this, and perhaps less where one condition rules out another.
        possible: BTreeSet<Ending>,
    },
}

/// How a packet's way ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ending {
    /// It is let through.
    Accept,
    /// It is refused.
    Refuse(Manner),
}

/// How the sender of a refused packet is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Manner {
    /// No answer.
    Silently,
    /// By a TCP reset.
    Reset,
    /// By an ICMP error.
    Unreachable,
}

/// At most `count` packets in `seconds`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Rate {
    /// How many.
    pub count: u64,
    /// In how many seconds.
    pub seconds: u64,
    /// How many at once before the rate begins to count.
    pub burst: u32,
    /// What it is counted for, such as `ip saddr`; `None` where it is counted for all together.
    pub of: Option<String>,
}

/// What the policy says of a packet at a hook.
#[must_use]
pub fn policy_decides(policy: &FilterPolicy, hook: Hook, packet: &Packet) -> Answer {
    match answer(policy, hook, packet) {
        Ok(answer) => answer,
        Err(Need(_)) => unreachable!("a whole packet needs nothing more"),
    }
}

fn answer(policy: &FilterPolicy, hook: Hook, facts: &impl Facts) -> Result<Answer, Need> {
    answer_of(policy, hook, &parts(policy, hook), facts)
}

/// What the parts say, one after the other.
fn answer_of(
    policy: &FilterPolicy,
    hook: Hook,
    parts: &[Part<'_>],
    facts: &impl Facts,
) -> Result<Answer, Need> {
    let mut kept = BTreeSet::new();
    for (nth, part) in parts.iter().enumerate() {
        if let Part::Rules(chain) = part {
            let rest = || answer_of(policy, hook, &parts[nth + 1..], facts);
            return Ok(rules::before(policy, chain, hook, facts, rest)?.unless(kept));
        }
        match say(policy, hook, *part, facts)? {
            Said::Nothing => {}
            Said::Within(rate) => {
                kept.insert(rate);
            }
            Said::Is(answer) => return Ok(answer.unless(kept)),
        }
    }
    unreachable!("the last part says something")
}

impl Answer {
    /// This answer, unless one of the rates is kept: then the packet is let through.
    fn unless(self, mut kept: BTreeSet<Rate>) -> Self {
        if kept.is_empty() {
            return self;
        }
        match self {
            Self::Accept => Self::Accept,
            Self::Refuse(otherwise) => Self::AcceptWithin { rates: kept, otherwise },
            Self::AcceptWithin { rates, otherwise } => {
                kept.extend(rates);
                Self::AcceptWithin { rates: kept, otherwise }
            }
            Self::Open { mut possible, .. } => {
                possible.insert(Ending::Accept);
                Self::Open { usual: Ending::Accept, possible }
            }
        }
    }
}
