//! A ruleset held against its policy over all packets.
//!
//! Both are made into sets of packets (see [`space`](crate::space)): the ruleset by following all packets at once through its
//! chains, the policy by asking each of its parts about one packet of every class that the part tells apart. Where the
//! sets are equal, the two agree on every packet, whether rates are kept or not; where they are not, a packet in which
//! they differ is the witness.
//!
//! Where a rule of the policy's own asks what a packet does not tell, the two agree if the ruleset usually does the same and
//! never does what the policy does not leave open.

use crate::compile::Compiled;
use crate::decide::{Decision, Machine};
use crate::facts::Field;
use crate::intent::parts::{parts, questions};
use crate::intent::{self, Answer, Ending, Manner};
use crate::packet::{Hook, Packet};
use crate::policy::FilterPolicy;
use crate::space::fields::Layout;
use crate::space::names::AskedNames;
use crate::space::walk::walk;
use crate::space::{Space, TooIntricate};

mod meant;

use meant::Meant;

/// Evidence that a ruleset does what its policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// Classes of packets that the policy decided: those that each of its parts tells apart, each part for itself.
    pub packets: usize,
    /// Decisions that the sets of packets took.
    pub nodes: usize,
}

/// No [`Proof`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// A packet that the two decide differently.
    #[error("{0}")]
    Disagreement(Box<Disagreement>),
    /// Nothing can be proven within the memory that is granted to it.
    #[error(transparent)]
    TooIntricate(#[from] TooIntricate),
}

/// A packet that the policy and the ruleset decide differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// Where it is looked at.
    pub hook: Hook,
    /// The packet.
    pub packet: Packet,
    /// What the policy says.
    pub policy: Answer,
    /// What the ruleset says, and why.
    pub ruleset: Decision,
}

impl std::fmt::Display for Disagreement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { hook, packet, policy, ruleset } = self;
        write!(f, "{hook}: {packet}: the policy says {policy}, the ruleset {ruleset}")
    }
}

/// Decides whether `compiled` does what `policy` says, for every packet at every hook.
///
/// # Errors
/// A packet on which they disagree; or that it would take too much memory.
pub fn prove(policy: &FilterPolicy, compiled: &Compiled) -> Result<Proof, Unproven> {
    let table = compiled.table();
    let mut space = Space::new(Layout::new(asked_names(policy, compiled).names()), false);
    let machine = Machine::new([table]);
    let mut packets = 0;
    for hook in Hook::ALL {
        let possible = space.layout.possible(&mut space.arena, &[hook]);
        let ruleset = walk(&mut space, &machine.0, &[hook], possible, None)?;
        let meant = Meant::new(&mut space, policy, hook, possible);
        packets += meant.asked;
        let differs = meant.differs_from(&mut space, &ruleset);
        space.check()?;
        if !differs.is_false() {
            let usually = space.usually(differs);
            let (packet, _) = space.witness(if usually.is_false() { differs } else { usually });
            let policy = intent::policy_decides(policy, hook, &packet);
            let ruleset = machine.decide(hook, &packet);
            return Err(Unproven::Disagreement(Box::new(Disagreement { hook, packet, policy, ruleset })));
        }
    }
    Ok(Proof { packets, nodes: space.arena.nodes() })
}

/// The interfaces that the two ask for.
fn asked_names(policy: &FilterPolicy, compiled: &Compiled) -> AskedNames {
    let mut asked = AskedNames::default();
    asked.add_table(compiled.table());
    let parts = Hook::ALL.into_iter().flat_map(|hook| parts(policy, hook));
    let rules = policy.rules.as_slice().iter().flat_map(|rule| rule.ipv4.iter().chain(&rule.ipv6));
    let of_rules = rules.flat_map(|rule| intent::rules::questions(rule, false));
    for (field, _, ranges) in parts.flat_map(questions).chain(of_rules) {
        if matches!(field, Field::InputName | Field::OutputName) {
            asked.add(field, ranges.as_slice());
        }
    }
    asked
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let manner = |manner: &Manner| match manner {
            Manner::Silently => "drop",
            Manner::Reset => "reject with a reset",
            Manner::Unreachable => "reject",
        };
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Open { usual, possible } => {
                let ending = |ending: &Ending| match ending {
                    Ending::Accept => "accept",
                    Ending::Refuse(how) => manner(how),
                };
                let others: Vec<_> = possible.iter().filter(|other| *other != usual).map(ending).collect();
                write!(f, "{}, or {}", ending(usual), others.join(", or "))
            }
            Self::Refuse(how) => f.write_str(manner(how)),
            Self::AcceptWithin { rates, otherwise } => {
                let rates: Vec<_> = rates.iter().map(ToString::to_string).collect();
                write!(f, "accept within {}, else {}", rates.join(" or "), manner(otherwise))
            }
        }
    }
}
