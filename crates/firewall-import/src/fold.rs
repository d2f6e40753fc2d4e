//! From the rules of a base chain to the parts of the policy.

use iptables_syntax::extension::CtStates;
use iptables_syntax::{ChainPolicy, Match, Rule, Target, TimeUnit};
use policy::{LogRate, PortSpec, Refusal};

use crate::builtin;
use crate::chains::{Chains, Effects, Step};
use crate::ledger::{Fate, Ledger, LineId};
use crate::recent;
use crate::shape::{Does, Shape, does};

/// What a packet is on its way to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Input,
    Forward,
    Output,
}

impl Way {
    pub(crate) const ALL: [Self; 3] = [Self::Input, Self::Forward, Self::Output];

    pub(crate) const fn chain(self) -> &'static str {
        match self {
            Self::Input => "INPUT",
            Self::Forward => "FORWARD",
            Self::Output => "OUTPUT",
        }
    }

    pub(crate) const fn policy_chain(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
        }
    }
}

/// What becomes of a packet that no rule decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Default {
    Accept,
    Refuse { told: bool },
}

/// What a base chain comes to.
#[derive(Debug, Clone)]
pub(crate) struct Folded {
    pub(crate) default: Default,
    /// The lines that say so.
    pub(crate) default_lines: Vec<LineId>,
    /// Ports that are let in, for `[[firewall.allow]]`.
    pub(crate) allows: Vec<Granted>,
    /// What may pass, for `[[firewall.forward]]`.
    pub(crate) forwards: Vec<Granted>,
    /// The rest, in order.
    pub(crate) rules: Vec<Step>,
    pub(crate) ping: bool,
    pub(crate) log: Option<LogRate>,
    /// Nothing is let through but over loopback.
    pub(crate) is_shut: bool,
}

/// What one accepting rule lets through.
#[derive(Debug, Clone)]
pub(crate) struct Granted {
    pub(crate) line: LineId,
    pub(crate) ports: Vec<PortSpec>,
    pub(crate) source: Option<ipnet::IpNet>,
    pub(crate) destination: Option<ipnet::IpNet>,
    pub(crate) input: Option<String>,
    pub(crate) output: Option<String>,
    pub(crate) per_minute: Option<u32>,
    pub(crate) comment: Option<String>,
}

/// Folds a base chain.
pub(crate) fn fold(chains: &Chains, way: Way, ledger: &mut Ledger) -> Folded {
    let mut steps = recent::resolve(&chains.flat(way.chain(), ledger), chains.family, ledger);
    let (default, default_lines) = default(chains, way, &mut steps, ledger);
    let mut folded = Folded {
        default,
        default_lines,
        allows: Vec::new(),
        forwards: Vec::new(),
        rules: Vec::new(),
        ping: false,
        log: None,
        is_shut: false,
    };
    if way == Way::Output {
        output(chains, steps, &mut folded, ledger);
        return folded;
    }
    if default != Default::Accept {
        tail(chains, &mut steps, &mut folded, ledger);
    }
    folded.is_shut = default != Default::Accept
        && steps.iter().all(|step| {
            let shape = Shape::of(&step.rule, chains.family);
            let effects = chains.effects(&step.rule);
            !effects.accept && !effects.unknown || shape.is_from("lo") || shape.is_to("lo")
        });
    body(chains, way, &steps, &mut folded, ledger);
    folded
}

/// What becomes of the rest: the first rule that decides without a condition says it, or the chain's policy. What stands
/// behind such a rule is cut off.
fn default(chains: &Chains, way: Way, steps: &mut Vec<Step>, ledger: &mut Ledger) -> (Default, Vec<LineId>) {
    let (policy, said) =
        chains.chain(way.chain()).and_then(|chain| chain.policy).unwrap_or((ChainPolicy::Accept, None));
    let by_policy = match policy {
        ChainPolicy::Accept | ChainPolicy::Queue | ChainPolicy::Return => Default::Accept,
        ChainPolicy::Drop => Default::Refuse { told: false },
    };
    for (at, step) in steps.iter().enumerate() {
        if !Shape::of(&step.rule, chains.family).is_unconditional() {
            continue;
        }
        let found = match does(step.rule.target.as_ref()) {
            Does::Accept => Default::Accept,
            Does::Refuse { told } => Default::Refuse { told },
            Does::Return => by_policy,
            Does::Log | Does::Change | Does::Chain | Does::Count | Does::Unknown => continue,
        };
        let line = step.line;
        for behind in steps.drain(at..).skip(1) {
            ledger.settle(behind.line, Fate::Idle("nothing gets past the rules before it".to_owned()));
        }
        if let Some(said) = said {
            ledger.settle(said, Fate::Idle("a rule decides before it".to_owned()));
        }
        return (found, vec![line]);
    }
    (by_policy, said.into_iter().collect())
}

/// Takes off what stands at the end and lets nobody in: the log, and refusals of what is refused anyway.
fn tail(chains: &Chains, steps: &mut Vec<Step>, folded: &mut Folded, ledger: &mut Ledger) {
    while let Some(step) = steps.last() {
        let effects = chains.effects(&step.rule);
        let act = does(step.rule.target.as_ref());
        if effects.accept || effects.change || effects.unknown || act == Does::Return {
            return;
        }
        let shape = Shape::of(&step.rule, chains.family);
        let fate = match act {
            Does::Log => {
                let rate = limit(&step.rule);
                let first = folded.log.is_none();
                folded.log = folded.log.or(rate).or(Some(LogRate::PerMinute(5)));
                match rate {
                    Some(rate) if first => Fate::Setting(format!("log = \"{rate}\"")),
                    _ => Fate::BuiltIn("what is refused is logged, at the rate of `log`".to_owned()),
                }
            }
            Does::Refuse { told: true } if shape.is_only_protocol() => {
                folded.default = Default::Refuse { told: true };
                Fate::BuiltIn("TCP is reset, all else gets an ICMP error".to_owned())
            }
            Does::Chain if !effects.refuse => {
                if let Some(rate) = chain_limit(chains, &step.rule) {
                    folded.log = folded.log.or(Some(rate));
                }
                Fate::BuiltIn("what is refused is logged, at the rate of `log`".to_owned())
            }
            _ => Fate::Idle("what nothing allows is refused anyway".to_owned()),
        };
        ledger.settle(step.line, fate);
        // What the jump leads to goes with it.
        if let Some(Target::Jump(to) | Target::Goto(to)) = &step.rule.target {
            settle_chain(chains, &to.clone(), 8, ledger, "what nothing allows is refused anyway");
        }
        steps.pop();
    }
}

fn settle_chain(chains: &Chains, name: &str, depth: usize, ledger: &mut Ledger, why: &str) {
    let Some(chain) = chains.chain(name) else { return };
    for step in &chain.steps {
        ledger.settle(step.line, Fate::Idle(why.to_owned()));
        if let (Some(Target::Jump(to) | Target::Goto(to)), 1..) = (&step.rule.target, depth) {
            settle_chain(chains, to, depth - 1, ledger, why);
        }
    }
}

/// The rate of the log in a chain that only logs.
fn chain_limit(chains: &Chains, rule: &Rule) -> Option<LogRate> {
    let Some(Target::Jump(name) | Target::Goto(name)) = &rule.target else { return None };
    let logs = |step: &&Step| does(step.rule.target.as_ref()) == Does::Log;
    limit(&chains.chain(name)?.steps.iter().find(logs)?.rule)
}

/// The rate of a rule's limit.
fn limit(rule: &Rule) -> Option<LogRate> {
    let limit = rule.matches.iter().find_map(|matched| match matched {
        Match::Limit(limit) => Some(limit),
        _ => None,
    })?;
    Some(match limit.rate.per {
        TimeUnit::Second => LogRate::PerSecond(limit.rate.packets),
        TimeUnit::Minute => LogRate::PerMinute(limit.rate.packets),
        TimeUnit::Hour => LogRate::PerHour(limit.rate.packets),
        TimeUnit::Day => LogRate::PerHour(limit.rate.packets.div_ceil(24)),
    })
}

/// Sorts what is left into what the policy does by itself, what it lets in by port, and rules.
fn body(chains: &Chains, way: Way, steps: &[Step], folded: &mut Folded, ledger: &mut Ledger) {
    let shapes: Vec<Shape<'_>> = steps.iter().map(|step| Shape::of(&step.rule, chains.family)).collect();
    let known: Vec<Option<&str>> = steps
        .iter()
        .zip(&shapes)
        .map(|(step, shape)| {
            let known = builtin::known(way, does(step.rule.target.as_ref()), shape, chains.family);
            known.or_else(|| builtin::routing_header(&step.rule))
        })
        .collect();
    let refuses: Vec<bool> = steps
        .iter()
        .zip(&known)
        .map(|(step, known)| {
            let effects = chains.effects(&step.rule);
            let may = effects.refuse || effects.unknown || does(step.rule.target.as_ref()) == Does::Return;
            may && known.is_none()
        })
        .collect();
    let logs_only = |step: &Step| {
        let effects = chains.effects(&step.rule);
        !effects.accept && !effects.refuse && !effects.unknown && !effects.change
    };
    for (at, step) in steps.iter().enumerate() {
        let shape = &shapes[at];
        let refused_behind =
            (at + 1..steps.len()).any(|behind| refuses[behind] && shapes[behind].meets(shape));
        let act = does(step.rule.target.as_ref());
        if let Some(what) = known[at] {
            // Ping is answered after the policy's own rules.
            let is_ping = what == builtin::PING;
            if !is_ping || !refused_behind {
                folded.ping |= is_ping;
                ledger.settle(step.line, Fate::BuiltIn(what.to_owned()));
                continue;
            }
        }
        if act != Does::Accept && logs_only(step) && shape.is_within(before_rules(way)) {
            let why = "packets in these states are decided before any rule".to_owned();
            ledger.settle(step.line, Fate::Otherwise(why));
            if let Some(Target::Jump(to) | Target::Goto(to)) = &step.rule.target {
                settle_chain(chains, to, 8, ledger, "its jump is decided before any rule");
            }
            continue;
        }
        if act == Does::Accept
            && !refused_behind
            && let Some(granted) = grant(way, step, shape)
        {
            match way {
                Way::Input => folded.allows.push(granted),
                Way::Forward | Way::Output => folded.forwards.push(granted),
            }
            continue;
        }
        folded.rules.push(resolve_return(chains, way, step.clone(), folded.default, ledger));
    }
}

fn before_rules(way: Way) -> CtStates {
    match way {
        Way::Input | Way::Forward => {
            CtStates(CtStates::INVALID.0 | CtStates::ESTABLISHED.0 | CtStates::RELATED.0)
        }
        Way::Output => CtStates(0),
    }
}

/// `RETURN` in a base chain is its policy.
fn resolve_return(chains: &Chains, way: Way, step: Step, default: Default, ledger: &mut Ledger) -> Step {
    if step.rule.target != Some(Target::Return) {
        return step;
    }
    let drops = chains
        .chain(way.chain())
        .and_then(|chain| chain.policy)
        .map_or(default != Default::Accept, |(policy, _)| policy == ChainPolicy::Drop);
    let (target, name) = if drops { (Target::Drop, "DROP") } else { (Target::Accept, "ACCEPT") };
    let why = format!("RETURN in {} is its policy, written as {name}", way.chain());
    ledger.settle(step.line, Fate::Setting(why));
    let mut rule = step.rule;
    rule.target = Some(target);
    Step { line: step.line, words: rule.to_string(), rule }
}

/// What an accepting rule lets through, if an entry of the policy can say it.
fn grant(way: Way, step: &Step, shape: &Shape<'_>) -> Option<Granted> {
    if shape.other || shape.limited || shape.near || shape.icmp.is_some() || !shape.takes_new() {
        return None;
    }
    let name = |interface: Option<&iptables_syntax::Negatable<iptables_syntax::Interface>>| match interface {
        None => Some(None),
        Some(interface) if interface.negated || interface.value.name().is_empty() => None,
        Some(interface) if interface.value.is_prefix() => Some(Some(format!("{}*", interface.value.name()))),
        Some(interface) => Some(Some(interface.value.0.clone())),
    };
    let (input, output) = (name(shape.input)?, name(shape.output)?);
    let ports = match (&shape.ports, shape.protocol) {
        (Some(_), _) => shape.port_specs()?,
        (None, None) => Vec::new(),
        (None, Some(_)) => return None,
    };
    match way {
        Way::Input => {
            if ports.is_empty() || shape.destination.is_some() || input.is_some() || output.is_some() {
                return None;
            }
        }
        Way::Forward | Way::Output => {
            let nothing = ports.is_empty()
                && shape.source.is_none()
                && shape.destination.is_none()
                && input.is_none()
                && output.is_none();
            if nothing || shape.per_minute.is_some() || shape.syn {
                return None;
            }
        }
    }
    Some(Granted {
        line: step.line,
        ports,
        source: shape.source,
        destination: shape.destination,
        input,
        output,
        per_minute: shape.per_minute,
        comment: shape.comment.map(str::to_owned),
    })
}

/// What leaves: free, unless some rule or the policy refuses something; then every rule stays.
fn output(chains: &Chains, steps: Vec<Step>, folded: &mut Folded, ledger: &mut Ledger) {
    let may_refuse = |step: &Step| {
        let effects = chains.effects(&step.rule);
        effects.refuse || effects.unknown || effects.change
    };
    let accepts = |step: &Step| {
        let effects = chains.effects(&step.rule);
        effects.accept && !Shape::of(&step.rule, chains.family).is_to("lo")
    };
    if folded.default != Default::Accept {
        folded.is_shut = !steps.iter().any(accepts);
        for step in steps {
            match builtin::leaves(does(step.rule.target.as_ref()), &Shape::of(&step.rule, chains.family)) {
                Some(what) => ledger.settle(step.line, Fate::BuiltIn(what.to_owned())),
                None => folded.rules.push(step),
            }
        }
        return;
    }
    let kept: Vec<bool> = (0..steps.len())
        .map(|at| {
            let shape = Shape::of(&steps[at].rule, chains.family);
            let refused_behind = || {
                steps[at..]
                    .iter()
                    .any(|behind| may_refuse(behind) && Shape::of(&behind.rule, chains.family).meets(&shape))
            };
            chains.effects(&steps[at].rule) != Effects::default() && refused_behind()
                || does(steps[at].rule.target.as_ref()) == Does::Return
        })
        .collect();
    for (step, kept) in steps.into_iter().zip(kept) {
        let by_itself =
            builtin::leaves(does(step.rule.target.as_ref()), &Shape::of(&step.rule, chains.family));
        if let Some(what) = by_itself.or_else(|| builtin::routing_header(&step.rule)) {
            ledger.settle(step.line, Fate::BuiltIn(what.to_owned()));
            continue;
        }
        if kept {
            folded.rules.push(resolve_return(chains, Way::Output, step, Default::Accept, ledger));
            continue;
        }
        let fate = match does(step.rule.target.as_ref()) {
            Does::Log => Fate::Otherwise("what leaves is not logged".to_owned()),
            _ => Fate::BuiltIn("what leaves is let out".to_owned()),
        };
        ledger.settle(step.line, fate);
        if let Some(Target::Jump(to) | Target::Goto(to)) = &step.rule.target {
            settle_chain(chains, to, 8, ledger, "what leaves is let out");
        }
    }
}

/// The family's own part of a refusal's answer is the policy's; for the tables of what was done.
pub(crate) fn refusal(default: Default) -> Option<Refusal> {
    match default {
        Default::Accept => None,
        Default::Refuse { told: true } => Some(Refusal::Reject),
        Default::Refuse { told: false } => Some(Refusal::Drop),
    }
}
