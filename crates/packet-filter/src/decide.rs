//! What becomes of a packet, why, and what that depends on.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use nf_tables::{CmpOp, Expression, Limit, Reject, TableDump, TableId};
use serde::{Deserialize, Serialize};

use crate::facts::Need;
use crate::intent::{Manner, Rate};
use crate::machine::{At, Cause, Effect, End, Ends, Program};
use crate::packet::{Hook, Packet, Payload};
use crate::text;

/// A ruleset, ready to decide packets: any number of tables, one's own and others'.
#[derive(Debug)]
pub struct Machine<'a>(pub(crate) Program<'a>);

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every base chain lets it through.
    Accept,
    /// It is dropped without a word.
    Drop,
    /// It is dropped and the sender is told.
    Reject(Reject),
    /// A program decides, on the queue of that number.
    Queue(u16),
}

/// A [`Verdict`] and how it came about.
///
/// Where something is not known (a rate, an expression that is not understood), [`Decision::verdict`] is the one
/// for the case that no rate is exceeded and that what is not known does not match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What becomes of it.
    pub verdict: Verdict,
    /// Whether nothing that is not known can turn acceptance into refusal or the other way round.
    pub certain: bool,
    /// What may become of it instead, if not certain.
    pub otherwise: Vec<Verdict>,
    /// What that depends on, if not certain.
    pub depends_on: Vec<Reason>,
    /// The rules that it matched, in order. The last is the one that decided, unless a policy did.
    pub crossed: Vec<RuleRef>,
    /// Who had the last word.
    pub decided_by: DecidedBy,
}

/// Who had the last word on a packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecidedBy {
    /// A rule.
    Rule(RuleRef),
    /// The policy of a base chain.
    Policy {
        /// Its table.
        table: TableId,
        /// Its name.
        chain: String,
    },
    /// There is no base chain at the hook, or the ruleset could not be followed to its end.
    Nobody,
}

/// A rule, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleRef {
    /// Its table.
    pub table: TableId,
    /// Its chain.
    pub chain: String,
    /// The kernel's number for it, if it is loaded.
    pub handle: Option<u64>,
    /// Its place in the chain, from 1.
    pub number: usize,
    /// Its comment.
    pub comment: Option<String>,
    /// What it says, without the comment.
    pub text: String,
}

/// Something that a decision depends on and that is not known of the packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Whether a rate is kept.
    Rate {
        /// Which.
        rate: Rate,
        /// Where.
        rule: RuleRef,
    },
    /// What an expression of a rule finds out, or does.
    Unknown {
        /// The expression.
        what: String,
        /// Where.
        rule: RuleRef,
    },
    /// What a program decides.
    Program {
        /// The queue that it listens on.
        queue: u16,
    },
    /// The ruleset jumps too deep, too often, or to a chain that is not there.
    TooLong,
}

/// Decides a packet at a hook over all base chains of all `tables`, in the order of their priorities.
///
/// Tables of the old `x_tables` (`iptables-legacy`) are not seen: where they are in use, a packet that this accepts may still
/// be refused.
#[must_use]
pub fn decide(tables: &[TableDump], hook: Hook, packet: &Packet) -> Decision {
    Machine::new(tables).decide(hook, packet)
}

impl<'a> Machine<'a> {
    /// Makes tables ready.
    #[must_use]
    pub fn new(tables: impl IntoIterator<Item = &'a TableDump>) -> Self {
        Self(Program::new(tables))
    }

    /// Decides a packet at a hook.
    #[must_use]
    pub fn decide(&self, hook: Hook, packet: &Packet) -> Decision {
        self.decide_along(&[hook], packet)
    }

    /// Decides a packet on its way over several hooks, such as prerouting and input. What rules change of it (its mark,
    /// its tracking, its destination) holds from there on.
    #[must_use]
    pub fn decide_along(&self, hooks: &[Hook], packet: &Packet) -> Decision {
        match self.0.run(hooks, packet) {
            Ok(ends) => self.decision(ends),
            Err(Need(_)) => unreachable!("a whole packet needs nothing more"),
        }
    }

    /// Where a packet is addressed to once it has passed these hooks, after NAT rules on its way; `None` where that depends on
    /// something that is not known. The port is 0 for a protocol without ports.
    #[must_use]
    pub fn destination_after(&self, hooks: &[Hook], packet: &Packet) -> Option<SocketAddr> {
        let (address, port) = self.0.destination_after(hooks, packet).ok()?;
        let address = match packet.addresses.destination() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(address?).ok()?)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(address?)),
        };
        let port = match packet.payload {
            Payload::Tcp { .. } | Payload::Udp { .. } => u16::try_from(port?).ok()?,
            Payload::Icmp { .. } | Payload::Icmpv6 { .. } | Payload::Other(_) => 0,
        };
        Some(SocketAddr::new(address, port))
    }

    fn decision(&self, ends: Ends<'_>) -> Decision {
        let Ends { main, others, crossed } = ends;
        let main = main.unwrap_or(End { effect: Effect::Accept, causes: Vec::new(), by: None, base: None });
        let verdict = verdict(&main.effect);
        let uncertain = uncertainty(&main, &others);
        let mut otherwise: Vec<Verdict> = Vec::new();
        for end in uncertain.iter().flat_map(|uncertain| &uncertain.otherwise) {
            let other = self::verdict(&end.effect);
            if !otherwise.contains(&other) {
                otherwise.push(other);
            }
        }
        let depends_on = uncertain.as_ref().map_or(&[][..], |uncertain| &uncertain.causes);
        Decision {
            certain: uncertain.is_none(),
            otherwise,
            depends_on: depends_on.iter().map(|&cause| self.reason(cause)).collect(),
            crossed: crossed.into_iter().map(|at| self.rule_ref(at)).collect(),
            decided_by: self.decided_by(&main),
            verdict,
        }
    }

    fn decided_by(&self, end: &End<'_>) -> DecidedBy {
        match (end.by, end.base) {
            (Some(at), _) => DecidedBy::Rule(self.rule_ref(at)),
            (None, Some((table, chain))) => DecidedBy::Policy {
                table: self.0.tables[table].dump.id(),
                chain: self.0.chain(table, chain).name.clone(),
            },
            (None, None) => DecidedBy::Nobody,
        }
    }

    pub(crate) fn rule_ref(&self, at: At) -> RuleRef {
        let rule = self.0.rule(at);
        let table = &self.0.tables[at.table];
        RuleRef {
            table: table.dump.id(),
            chain: self.0.chain(at.table, at.chain).name.clone(),
            handle: rule.handle,
            number: at.rule + 1,
            comment: rule.comment(),
            text: text::rule_without_comment(table.dump, rule),
        }
    }

    pub(crate) fn reason(&self, cause: Cause) -> Reason {
        let (at, nth) = match cause {
            Cause::Expression(at, nth) => (at, nth),
            Cause::Queue(queue) => return Reason::Program { queue },
            Cause::TooLong => return Reason::TooLong,
        };
        let rule = self.rule_ref(at);
        match self.rate(at, nth) {
            Some(rate) => Reason::Rate { rate, rule },
            None => Reason::Unknown { what: text::expression(&self.0.rule(at).expressions[nth]), rule },
        }
    }

    /// The rate that an expression keeps, if that is what it does.
    pub(crate) fn rate(&self, at: At, nth: usize) -> Option<Rate> {
        Self::rate_of(&self.0, at, nth)
    }

    /// The same of any program.
    pub(crate) fn rate_of(program: &Program<'_>, at: At, nth: usize) -> Option<Rate> {
        match &program.rule(at).expressions[nth] {
            Expression::Limit(limit) => Some(rate(limit, None)),
            Expression::Dynset(dynset) => {
                let limit = dynset.expressions.iter().find_map(|expression| match expression {
                    Expression::Limit(limit) => Some(limit),
                    _ => None,
                })?;
                let table = program.tables[at.table].dump;
                Some(rate(limit, Some(text::dynset_key(table, program.rule(at), dynset))))
            }
            _ => None,
        }
    }
}

fn rate(limit: &Limit, of: Option<String>) -> Rate {
    Rate { count: limit.rate, seconds: limit.seconds, burst: limit.burst, of }
}

/// What a decision depends on, and what else it can be.
pub(crate) struct Uncertainty<'e, 'a> {
    pub(crate) otherwise: Vec<&'e End<'a>>,
    pub(crate) causes: Vec<Cause>,
}

/// `None` where all ends accept, or all refuse.
pub(crate) fn uncertainty<'e, 'a>(main: &'e End<'a>, others: &'e [End<'a>]) -> Option<Uncertainty<'e, 'a>> {
    let is_accepted = class(&main.effect);
    let differs = |end: &&End<'a>| class(&end.effect) != is_accepted || is_accepted == Class::Elsewhere;
    let otherwise: Vec<_> = others.iter().filter(differs).collect();
    if otherwise.is_empty() && is_accepted != Class::Elsewhere {
        return None;
    }
    let ends = || std::iter::once(main).chain(otherwise.iter().copied());
    let queues = ends().filter_map(|end| match end.effect {
        Effect::Queue(number) => Some(Cause::Queue(number)),
        _ => None,
    });
    let mut causes: Vec<Cause> = ends().flat_map(|end| &end.causes).copied().chain(queues).collect();
    causes.sort_unstable();
    causes.dedup();
    Some(Uncertainty { otherwise, causes })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Accepted,
    Refused,
    /// A program decides.
    Elsewhere,
}

const fn class(effect: &Effect<'_>) -> Class {
    match effect {
        Effect::Accept | Effect::Continue | Effect::Return | Effect::Jump(_) | Effect::Goto(_) => {
            Class::Accepted
        }
        Effect::Drop | Effect::Reject(_) => Class::Refused,
        Effect::Queue(_) => Class::Elsewhere,
    }
}

pub(crate) const fn verdict(effect: &Effect<'_>) -> Verdict {
    match effect {
        Effect::Accept | Effect::Continue | Effect::Return | Effect::Jump(_) | Effect::Goto(_) => {
            Verdict::Accept
        }
        Effect::Drop => Verdict::Drop,
        Effect::Reject(reject) => Verdict::Reject(*reject),
        Effect::Queue(number) => Verdict::Queue(*number),
    }
}

impl Verdict {
    /// Whether the packet goes through.
    #[must_use]
    pub const fn is_accept(&self) -> bool {
        matches!(self, Self::Accept)
    }

    /// Whether it is dropped, with or without a word.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Drop | Self::Reject(_))
    }

    /// Whether the sender is told, if it is refused. A TCP reset only answers TCP.
    #[must_use]
    pub const fn manner(&self, packet: &Packet) -> Option<Manner> {
        match self {
            Self::Accept | Self::Queue(_) => None,
            Self::Drop => Some(Manner::Silently),
            Self::Reject(Reject::TcpReset) => match packet.payload {
                Payload::Tcp { .. } => Some(Manner::Reset),
                Payload::Udp { .. } | Payload::Icmp { .. } | Payload::Icmpv6 { .. } | Payload::Other(_) => {
                    Some(Manner::Silently)
                }
            },
            Self::Reject(Reject::Icmp(_) | Reject::Icmpx(_)) => Some(Manner::Unreachable),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("accepted"),
            Self::Drop => f.write_str("dropped"),
            Self::Reject(_) => f.write_str("rejected"),
            Self::Queue(number) => write!(f, "handed to the program on queue {number}"),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seconds {
            1 => write!(f, "{}/second", self.count)?,
            60 => write!(f, "{}/minute", self.count)?,
            3600 => write!(f, "{}/hour", self.count)?,
            86400 => write!(f, "{}/day", self.count)?,
            seconds => write!(f, "{} in {seconds} seconds", self.count)?,
        }
        match &self.of {
            Some(of) => write!(f, " per {of}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, chain, number, text, .. } = self;
        write!(f, "{table} {chain} rule {number}: {text}")?;
        match &self.comment {
            Some(comment) => write!(f, " # {comment}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate { rate, .. } => write!(f, "the limit of {rate} is exceeded"),
            Self::Unknown { what, rule } => {
                write!(f, "`{what}` in {} {} rule {} matches", rule.table, rule.chain, rule.number)
            }
            Self::Program { queue } => write!(f, "the program on queue {queue} decides otherwise"),
            Self::TooLong => f.write_str("the ruleset jumps too deep to be followed"),
        }
    }
}

impl fmt::Display for DecidedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(rule) => rule.fmt(f),
            Self::Policy { table, chain } => write!(f, "policy of {table} {chain}"),
            Self::Nobody => f.write_str("no base chain"),
        }
    }
}

impl fmt::Display for Decision {
    /// One line: `accepted unless the limit of 30/minute per ip saddr is exceeded`, and who decided.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.verdict.fmt(f)?;
        match self.depends_on.as_slice() {
            [] => {}
            [reason] => write!(f, " unless {reason}")?,
            reasons => {
                let reasons: Vec<_> = reasons.iter().map(ToString::to_string).collect();
                write!(f, "; otherwise, depending on whether {}", reasons.join(", or "))?;
            }
        }
        write!(f, ", by {}", self.decided_by)
    }
}

/// The operator as `nft` writes it; equality is not written.
pub(crate) const fn operator(op: CmpOp) -> &'static str {
    match op {
        CmpOp::Eq => "",
        CmpOp::Ne => "!= ",
        CmpOp::Lt => "< ",
        CmpOp::Le => "<= ",
        CmpOp::Gt => "> ",
        CmpOp::Ge => ">= ",
    }
}
