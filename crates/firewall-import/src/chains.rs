//! The chains of one family's table `filter`, as they are after every command of the source has run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use iptables_syntax::{ChainPolicy, Command, Family, Rule, RuleLine, Save, Target};

use crate::ledger::{Fate, Ledger, LineId};
use crate::shape::{Does, Shape, does};

/// One rule of a chain.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) line: LineId,
    pub(crate) rule: Rule,
    /// Its arguments, without the chain.
    pub(crate) words: String,
}

/// A chain.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chain {
    /// The policy of a built-in one, and the line that says it.
    pub(crate) policy: Option<(ChainPolicy, Option<LineId>)>,
    pub(crate) steps: Vec<Step>,
}

/// All chains of one family.
#[derive(Debug, Clone)]
pub(crate) struct Chains {
    pub(crate) family: Family,
    pub(crate) by_name: BTreeMap<String, Chain>,
}

/// What may become of a packet in a chain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    pub(crate) accept: bool,
    pub(crate) refuse: bool,
    pub(crate) change: bool,
    /// Something that is not known here.
    pub(crate) unknown: bool,
}

impl Effects {
    fn add(&mut self, other: Self) {
        self.accept |= other.accept;
        self.refuse |= other.refuse;
        self.change |= other.change;
        self.unknown |= other.unknown;
    }
}

impl Chains {
    pub(crate) fn new(family: Family) -> Self {
        Self { family, by_name: BTreeMap::new() }
    }

    pub(crate) fn chain(&self, name: &str) -> Option<&Chain> {
        self.by_name.get(name)
    }

    pub(crate) fn push(&mut self, chain: &str, step: Step) {
        self.by_name.entry(chain.to_owned()).or_default().steps.push(step);
    }

    /// Gives chains whose names the policy has for its own directions other ones, and takes jumps to empty chains out.
    pub(crate) fn settle_names(&mut self, ledger: &mut Ledger) {
        let is_taken = |name: &str| {
            let bases = ["INPUT", "FORWARD", "OUTPUT"];
            !bases.contains(&name) && bases.iter().any(|base| base.eq_ignore_ascii_case(name))
        };
        for name in self.by_name.keys().filter(|name| is_taken(name)).cloned().collect::<Vec<_>>() {
            if let Some(chain) = self.by_name.remove(&name) {
                self.by_name.insert(format!("{name}-rules"), chain);
            }
        }
        let empty: BTreeSet<String> = self
            .by_name
            .iter()
            .filter(|(_, chain)| chain.steps.is_empty())
            .map(|(name, _)| name.clone())
            .collect();
        for chain in self.by_name.values_mut() {
            for step in &mut chain.steps {
                if let Some(Target::Jump(to) | Target::Goto(to)) = &mut step.rule.target
                    && is_taken(to)
                {
                    to.push_str("-rules");
                    step.words = step.rule.to_string();
                }
                if matches!(&step.rule.target, Some(Target::Goto(to)) if empty.contains(to)) {
                    step.rule.target = Some(Target::Return);
                    step.words = step.rule.to_string();
                }
            }
            chain.steps.retain(|step| match &step.rule.target {
                Some(Target::Jump(to)) if empty.contains(to) => {
                    ledger.settle(step.line, Fate::Idle(format!("{to} has no rules")));
                    false
                }
                _ => true,
            });
        }
    }

    /// As `iptables-save` would print them.
    pub(crate) fn save(&self) -> String {
        let mut text = String::from("*filter\n");
        for (name, chain) in &self.by_name {
            let policy = match chain.policy {
                None => "-",
                Some((ChainPolicy::Drop, _)) => "DROP",
                Some(_) => "ACCEPT",
            };
            let _ = writeln!(text, ":{name} {policy} [0:0]");
        }
        for (name, chain) in &self.by_name {
            for step in &chain.steps {
                let _ = writeln!(text, "-A {name} {}", step.words);
            }
        }
        text.push_str("COMMIT\n");
        text
    }

    /// What a rule may do to a packet that it matches.
    pub(crate) fn effects(&self, rule: &Rule) -> Effects {
        self.effects_along(rule, &mut BTreeSet::new())
    }

    fn effects_along<'s>(&'s self, rule: &'s Rule, seen: &mut BTreeSet<&'s str>) -> Effects {
        match does(rule.target.as_ref()) {
            Does::Accept => Effects { accept: true, ..Effects::default() },
            Does::Refuse { .. } => Effects { refuse: true, ..Effects::default() },
            Does::Return | Does::Log | Does::Count => Effects::default(),
            Does::Change => Effects { change: true, ..Effects::default() },
            Does::Unknown => Effects { unknown: true, ..Effects::default() },
            Does::Chain => {
                let Some(Target::Jump(name) | Target::Goto(name)) = &rule.target else {
                    return Effects::default();
                };
                let mut effects = Effects::default();
                if seen.insert(name) {
                    match self.chain(name) {
                        Some(chain) => {
                            chain
                                .steps
                                .iter()
                                .for_each(|step| effects.add(self.effects_along(&step.rule, seen)));
                        }
                        None => effects.unknown = true,
                    }
                }
                effects
            }
        }
    }

    /// The rules of a chain, with those of the chains in the place of the jumps to them that have no condition, where that
    /// makes no difference.
    pub(crate) fn flat(&self, name: &str, ledger: &mut Ledger) -> Vec<Step> {
        let mut out = Vec::new();
        self.flatten(name, 8, &mut out, ledger);
        out
    }

    fn flatten(&self, name: &str, depth: usize, out: &mut Vec<Step>, ledger: &mut Ledger) {
        let Some(chain) = self.chain(name) else { return };
        for step in &chain.steps {
            let Some(Target::Jump(to)) = &step.rule.target else {
                out.push(step.clone());
                continue;
            };
            if let Some(maker) = maker(to) {
                ledger.settle(step.line, Fate::Elsewhere(format!("{to} is kept by {maker}")));
                continue;
            }
            let target = self.chain(to);
            let returns = |step: &Step| {
                does(step.rule.target.as_ref()) == Does::Return
                    || matches!(step.rule.target, Some(Target::Goto(_)))
            };
            match target {
                Some(target) if target.steps.is_empty() => {
                    ledger.settle(step.line, Fate::Idle(format!("{to} has no rules")));
                }
                Some(target)
                    if depth > 0
                        && Shape::of(&step.rule, self.family).is_unconditional()
                        && !target.steps.iter().any(returns) =>
                {
                    ledger.settle(step.line, Fate::Idle(format!("the rules of {to} stand in its place")));
                    self.flatten(to, depth - 1, out, ledger);
                }
                Some(target) => out.push(self.alias(step, target).unwrap_or_else(|| step.clone())),
                None => out.push(step.clone()),
            }
        }
    }

    /// A jump to a chain that does one thing without a condition is that thing.
    fn alias(&self, step: &Step, target: &Chain) -> Option<Step> {
        let first = target.steps.first()?;
        let decides = matches!(does(first.rule.target.as_ref()), Does::Accept | Does::Refuse { .. });
        if !decides || !Shape::of(&first.rule, self.family).is_unconditional() {
            return None;
        }
        let mut rule = step.rule.clone();
        rule.target.clone_from(&first.rule.target);
        Some(Step { line: step.line, words: rule.to_string(), rule })
    }
}

/// The program that fills chains of this name and goes on to do so.
pub(crate) fn maker(chain: &str) -> Option<&'static str> {
    const MAKERS: [(&str, &str); 9] = [
        ("DOCKER", "Docker"),
        ("f2b-", "fail2ban"),
        ("fail2ban-", "fail2ban"),
        ("KUBE-", "Kubernetes"),
        ("cali-", "Calico"),
        ("CNI-", "a container network"),
        ("LIBVIRT_", "libvirt"),
        ("NETAVARK", "Podman"),
        ("ts-", "Tailscale"),
    ];
    MAKERS.iter().find(|(start, _)| chain.starts_with(start)).map(|(_, maker)| *maker)
}

/// Reads the table `filter` of a file; every other rule is accounted for as not about filtering.
pub(crate) fn read(save: &Save, file: &str, ledger: &mut Ledger) -> Chains {
    let mut chains = Chains::new(save.family);
    read_into(&mut chains, save, file, ledger);
    for chain in ["INPUT", "FORWARD", "OUTPUT"] {
        chains.by_name.entry(chain.to_owned()).or_default().policy.get_or_insert((ChainPolicy::Accept, None));
    }
    chains
}

/// Adds what a file says to chains that there are.
pub(crate) fn read_into(chains: &mut Chains, save: &Save, file: &str, ledger: &mut Ledger) {
    for table in save.tables() {
        let is_filter = table.name == "filter" || table.name.is_empty();
        for chain in table.chains.iter().filter(|_| is_filter) {
            let policy =
                chain.policy.map(|policy| (policy, Some(ledger.enter(file, chain.line, &chain.text))));
            let held = chains.by_name.entry(chain.name.clone()).or_default();
            if policy.is_some() {
                held.policy = policy;
            }
        }
        for rule in &table.rules {
            let line = ledger.enter(file, rule.line, &rule.text);
            if is_filter {
                run(chains, rule, line, ledger);
            } else {
                ledger.settle(line, Fate::Elsewhere(elsewhere(table.name)));
            }
        }
    }
}

fn elsewhere(table: &str) -> String {
    match table {
        "nat" => "address translation is no part of the policy".to_owned(),
        "raw" => "the table raw is no part of the policy".to_owned(),
        other => format!("the table {other} is no part of the policy"),
    }
}

/// Does to the chains what a line says.
fn run(chains: &mut Chains, rule: &RuleLine, line: LineId, ledger: &mut Ledger) {
    let steps = || -> Vec<Step> {
        let verbatim = rule.further.is_empty().then(|| arguments(&rule.text)).flatten();
        rule.rules()
            .map(|one| Step {
                line,
                rule: one.clone(),
                words: verbatim.clone().unwrap_or_else(|| one.to_string()),
            })
            .collect()
    };
    let at = |number: u32| usize::try_from(number.max(1) - 1).unwrap_or(usize::MAX);
    let done = |ledger: &mut Ledger| {
        ledger.settle(line, Fate::Idle("a command that has been carried out".to_owned()));
    };
    match &rule.command {
        Command::Append { chain } => steps().into_iter().for_each(|step| chains.push(chain, step)),
        Command::Insert { chain, number } => {
            let into = &mut chains.by_name.entry(chain.clone()).or_default().steps;
            let place = at(*number).min(into.len());
            into.splice(place..place, steps());
        }
        Command::Replace { chain, number } => {
            let into = &mut chains.by_name.entry(chain.clone()).or_default().steps;
            if at(*number) < into.len() {
                let gone = into.remove(at(*number));
                ledger.settle(gone.line, Fate::Idle("a later line replaces it".to_owned()));
                into.splice(at(*number)..at(*number), steps());
            }
        }
        Command::DeleteNumber { chain, number } => {
            let into = &mut chains.by_name.entry(chain.clone()).or_default().steps;
            if at(*number) < into.len() {
                let gone = into.remove(at(*number));
                ledger.settle(gone.line, Fate::Idle("a later line deletes it".to_owned()));
            }
            done(ledger);
        }
        Command::Delete { chain } => {
            let into = &mut chains.by_name.entry(chain.clone()).or_default().steps;
            if let Some(place) = into.iter().position(|step| step.rule == rule.rule) {
                let gone = into.remove(place);
                ledger.settle(gone.line, Fate::Idle("a later line deletes it".to_owned()));
            }
            done(ledger);
        }
        Command::Policy { chain, policy } => {
            let before =
                chains.by_name.entry(chain.clone()).or_default().policy.replace((*policy, Some(line)));
            if let Some((_, Some(before))) = before {
                ledger.settle(before, Fate::Idle("a later line says otherwise".to_owned()));
            }
        }
        Command::NewChain { chain } => {
            chains.by_name.entry(chain.clone()).or_default();
            done(ledger);
        }
        Command::Flush { chain } => {
            for (name, held) in &mut chains.by_name {
                if chain.as_ref().is_none_or(|chain| chain == name) {
                    for gone in held.steps.drain(..) {
                        ledger.settle(gone.line, Fate::Idle("a later line flushes its chain".to_owned()));
                    }
                }
            }
            done(ledger);
        }
        Command::DeleteChain { chain } => {
            let goes = |name: &str, held: &Chain| {
                held.policy.is_none()
                    && held.steps.is_empty()
                    && chain.as_ref().is_none_or(|chain| chain == name)
            };
            chains.by_name.retain(|name, held| !goes(name, held));
            done(ledger);
        }
        Command::Rename { chain, to } => {
            if let Some(held) = chains.by_name.remove(chain) {
                chains.by_name.insert(to.clone(), held);
            }
            done(ledger);
        }
        Command::Check { .. } | Command::Zero { .. } => done(ledger),
    }
}

/// The arguments of `-A CHAIN arguments`, as written.
pub(crate) fn arguments(text: &str) -> Option<String> {
    let text = text.trim();
    let text = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.1.trim_start(),
        None => text,
    };
    let rest = text.strip_prefix("-A ").or_else(|| text.strip_prefix("--append "))?.trim_start();
    let (_, arguments) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    Some(arguments.trim().to_owned())
}
