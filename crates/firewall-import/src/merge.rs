//! IPv4 and IPv6 together: one list of entries and rules, and the settings.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use iptables_syntax::{Family, Target};
use policy::{Allow, Firewall, Forward, Ipv6, LogRate, PortSpec, Refusal, Rule, RuleFamily, Transport};

use crate::chains::{Chains, Step, maker};
use crate::fold::{Default, Folded, Granted, Way, refusal};
use crate::ledger::{Fate, Ledger, LineId};
use crate::{Imported, Options};

/// One family, folded.
pub(crate) struct FamilyPart {
    pub(crate) chains: Chains,
    /// Input, forward, output.
    pub(crate) folded: [Folded; 3],
}

/// Puts the families together.
pub(crate) fn merge(parts: &[FamilyPart], options: &Options<'_>, mut ledger: Ledger) -> Imported {
    let mut merger = Merger {
        options,
        both: parts.len() == 2,
        firewall: Firewall { allow: Vec::new(), ..Firewall::default() },
        notes: Vec::new(),
        kept: Vec::new(),
    };
    let without_ipv6 = merger.both && parts.iter().any(is_shut_ipv6);
    if without_ipv6 {
        merger.firewall.ipv6 = Ipv6::Reject;
    }
    let counted: Vec<&FamilyPart> =
        parts.iter().filter(|part| !(without_ipv6 && is_shut_ipv6(part))).collect();
    merger.both = counted.len() == 2;
    merger.settings(&counted, &mut ledger);
    merger.rules(&counted, &mut ledger);
    merger.jumps(&mut ledger);
    merger.allows(&counted, &mut ledger);
    merger.forwards(&counted, &mut ledger);
    if without_ipv6 {
        let what = "IPv6 is refused whole (ipv6 = \"reject\")";
        for part in parts.iter().filter(|part| is_shut_ipv6(part)) {
            for folded in &part.folded {
                let lines = folded.default_lines.iter().chain(folded.rules.iter().map(|step| &step.line));
                lines.for_each(|&line| ledger.settle(line, Fate::BuiltIn(what.to_owned())));
            }
        }
    }
    unreached(parts, &mut ledger);
    let source = parts.iter().map(|part| (part.chains.family, part.chains.save())).collect();
    Imported {
        firewall: merger.firewall,
        lines: ledger.lines,
        notes: merger.notes,
        source,
        tables: Vec::new(),
    }
}

/// Every packet of IPv6 is refused but over loopback, in all three directions.
fn is_shut_ipv6(part: &FamilyPart) -> bool {
    part.chains.family == Family::Ipv6 && part.folded.iter().all(|folded| folded.is_shut)
}

/// What is in chains that no rule leads to.
fn unreached(parts: &[FamilyPart], ledger: &mut Ledger) {
    for part in parts {
        for (name, chain) in &part.chains.by_name {
            for step in &chain.steps {
                if ledger.is_open(step.line) {
                    let fate = match maker(name) {
                        Some(maker) => Fate::Elsewhere(format!("{name} is kept by {maker}")),
                        None => Fate::Idle(format!("no rule leads to {name}")),
                    };
                    ledger.settle(step.line, fate);
                }
            }
            if let Some((_, Some(line))) = chain.policy
                && ledger.is_open(line)
            {
                ledger.settle(line, Fate::Idle("a rule decides before it".to_owned()));
            }
        }
    }
    for line in 0..ledger.lines.len() {
        if ledger.is_open(line) {
            ledger.settle(line, Fate::Idle("its chain is gone by the end of the file".to_owned()));
        }
    }
}

struct Merger<'o> {
    options: &'o Options<'o>,
    /// Both families were given.
    both: bool,
    firewall: Firewall,
    notes: Vec<String>,
    /// The rules that jump: their number, the chain, and their lines.
    kept: Vec<(usize, String, Vec<LineId>)>,
}

impl Merger<'_> {
    fn settings(&mut self, parts: &[&FamilyPart], ledger: &mut Ledger) {
        self.firewall.ping = parts.iter().any(|part| part.folded[0].ping);
        let logs: Vec<LogRate> =
            parts.iter().flat_map(|part| &part.folded[..2]).filter_map(|folded| folded.log).collect();
        self.firewall.log = logs.first().copied().unwrap_or(LogRate::Off);
        for (way, key) in [(Way::Input, "inbound"), (Way::Forward, "forwarded")] {
            let defaults: Vec<&Folded> = parts.iter().map(|part| &part.folded[way as usize]).collect();
            let said: Vec<Refusal> = defaults.iter().filter_map(|folded| refusal(folded.default)).collect();
            let chosen = if said.contains(&Refusal::Reject) || said.is_empty() {
                Refusal::Reject
            } else {
                Refusal::Drop
            };
            match way {
                Way::Input => self.firewall.inbound = chosen,
                Way::Forward | Way::Output => self.firewall.forwarded = chosen,
            }
            let word = match chosen {
                Refusal::Reject => "reject",
                Refusal::Drop => "drop",
            };
            for (part, folded) in parts.iter().zip(&defaults) {
                for &line in &folded.default_lines {
                    let fate = match refusal(folded.default) {
                        Some(said) if said == chosen => Fate::Setting(format!("{key} = \"{word}\"")),
                        Some(_) => Fate::Otherwise(format!("refused as {key} = \"{word}\" says")),
                        None => {
                            Fate::Otherwise(format!("what nothing allows is refused: {key} = \"{word}\""))
                        }
                    };
                    ledger.settle(line, fate);
                }
                if folded.default == Default::Accept {
                    self.open(way, part.chains.family);
                }
            }
        }
        for folded in parts.iter().map(|part| &part.folded[Way::Output as usize]) {
            if folded.default == Default::Accept {
                let fate = Fate::BuiltIn("what leaves is let out".to_owned());
                folded.default_lines.iter().for_each(|&line| ledger.settle(line, fate.clone()));
            }
        }
    }

    /// The source let everything in that nothing refused: the policy does not, and keeps a rule that would.
    fn open(&mut self, way: Way, family: Family) {
        let chain = way.policy_chain();
        if let Some(at) =
            self.firewall.rule.iter().position(|rule| rule.chain == chain && rule.rule == "-j ACCEPT")
        {
            self.firewall.rule[at].family = None;
        } else {
            let what = match way {
                Way::Input => "lets in",
                Way::Forward => "lets through",
                Way::Output => "lets out",
            };
            self.notes.push(format!(
                "{} {what} whatever no rule refuses; the policy refuses what nothing allows. The rule `-j ACCEPT` of the chain \
                 {chain} would change that back: it stands there with active = false",
                way.chain()
            ));
            self.firewall.rule.push(Rule {
                chain: chain.to_owned(),
                rule: "-j ACCEPT".to_owned(),
                family: self.both.then_some(rule_family(family)),
                comment: Some("as it was before: whatever no rule refuses".to_owned()),
                active: false,
                line: 0,
            });
        }
    }

    fn rules(&mut self, parts: &[&FamilyPart], ledger: &mut Ledger) {
        // What would open a chain whole goes to its end.
        let last = std::mem::take(&mut self.firewall.rule);
        for way in Way::ALL {
            let lists: Vec<Vec<Step>> = parts.iter().map(|part| ordered(part, way)).collect();
            let merged = interleave(parts, &lists);
            for (steps, family) in merged {
                self.keep(way.policy_chain(), &steps, family, ledger);
            }
            self.firewall.rule.extend(last.iter().filter(|rule| rule.chain == way.policy_chain()).cloned());
        }
        // The chains that they lead to, each once.
        let mut wanted: Vec<BTreeSet<String>> = Vec::new();
        for part in parts {
            let mut names = BTreeSet::new();
            for way in Way::ALL {
                for step in ordered(part, way) {
                    reach(&part.chains, &step, &mut names);
                }
            }
            wanted.push(names);
        }
        let names: BTreeSet<String> = wanted.iter().flatten().cloned().collect();
        for name in names {
            let lists: Vec<Vec<Step>> = parts
                .iter()
                .zip(&wanted)
                .map(|(part, wanted)| {
                    let chain = part.chains.chain(&name).filter(|_| wanted.contains(&name));
                    chain.map(|chain| chain.steps.clone()).unwrap_or_default()
                })
                .collect();
            for (steps, family) in interleave(parts, &lists) {
                self.keep(&name, &steps, family, ledger);
            }
        }
    }

    /// A jump to a chain of which no rule is loaded cannot be loaded either.
    fn jumps(&mut self, ledger: &mut Ledger) {
        loop {
            let active =
                |chain: &str| self.firewall.rule.iter().any(|rule| rule.active && rule.chain == chain);
            let dead = self.kept.iter().find_map(|(number, chain, lines)| {
                let is_dead = self.firewall.rule[number - 1].active && !active(chain);
                is_dead.then(|| (*number, format!("no rule of {chain} can be loaded"), lines.clone()))
            });
            let Some((number, why, lines)) = dead else { return };
            let rule = &mut self.firewall.rule[number - 1];
            rule.active = false;
            rule.comment = Some(format!("not active: {why}"));
            for line in lines {
                ledger.revise(line, &Fate::Rule(number), Fate::Inactive(number, why.clone()));
            }
        }
    }

    /// Makes a rule of the policy of one rule of the source, or of the same one of both families.
    fn keep(
        &mut self,
        chain: &str,
        steps: &[(Family, Step)],
        family: Option<RuleFamily>,
        ledger: &mut Ledger,
    ) {
        let Some((_, first)) = steps.first() else { return };
        let refused =
            steps.iter().find_map(|(family, step)| (self.options.can_load)(&step.rule, *family).err());
        self.firewall.rule.push(Rule {
            chain: chain.to_owned(),
            rule: first.words.clone(),
            family,
            comment: refused.as_ref().map(|why| format!("not active: {why}")),
            active: refused.is_none(),
            line: 0,
        });
        let number = self.firewall.rule.len();
        if let Some(Target::Jump(to) | Target::Goto(to)) = &first.rule.target {
            self.kept.push((number, to.clone(), steps.iter().map(|(_, step)| step.line).collect()));
        }
        for (_, step) in steps {
            let fate = match &refused {
                None => Fate::Rule(number),
                Some(why) => Fate::Inactive(number, why.clone()),
            };
            ledger.settle(step.line, fate);
        }
    }

    fn allows(&mut self, parts: &[&FamilyPart], ledger: &mut Ledger) {
        let granted = |part: &FamilyPart| part.folded[Way::Input as usize].allows.clone();
        let groups = self.group(parts, granted, |granted| {
            (granted.ports.clone(), granted.per_minute, granted.comment.clone())
        });
        let mut merged: Vec<Group> = Vec::new();
        for group in groups {
            // What carries the same remark and is for the same sources is one thing to its administrator.
            let same = |other: &&mut Group| {
                group.first.comment.is_some()
                    && other.first.comment == group.first.comment
                    && other.first.per_minute == group.first.per_minute
                    && group.first.per_minute.is_none()
                    && other.from == group.from
            };
            match merged.iter_mut().find(same) {
                Some(other) => {
                    other.first.ports.extend(group.first.ports);
                    other.lines.extend(group.lines);
                }
                None => merged.push(group),
            }
        }
        for group in merged {
            let (service, port) = self.names(&group.first.ports);
            self.firewall.allow.push(Allow {
                service,
                port,
                from: group.from,
                new_per_minute: group.first.per_minute,
                comment: group.first.comment.clone(),
                line: 0,
            });
            let number = self.firewall.allow.len();
            group.lines.iter().for_each(|&line| ledger.settle(line, Fate::Allow(number)));
        }
    }

    fn forwards(&mut self, parts: &[&FamilyPart], ledger: &mut Ledger) {
        let granted = |part: &FamilyPart| part.folded[Way::Forward as usize].forwards.clone();
        let groups = self.group(parts, granted, |granted| {
            let ways = (granted.input.clone(), granted.output.clone());
            (ways, granted.ports.clone(), granted.destination, granted.comment.clone())
        });
        for group in groups {
            let first = group.first;
            self.firewall.forward.push(Forward {
                input: first.input.into_iter().collect(),
                output: first.output.into_iter().collect(),
                from: group.from,
                to: first.destination.into_iter().collect(),
                port: first.ports,
                comment: first.comment,
                line: 0,
            });
            let number = self.firewall.forward.len();
            group.lines.iter().for_each(|&line| ledger.settle(line, Fate::Forward(number)));
        }
    }

    /// Entries that differ in nothing but where the packet comes from become one.
    fn group<K: Ord>(
        &self,
        parts: &[&FamilyPart],
        granted: impl Fn(&FamilyPart) -> Vec<Granted>,
        key: impl Fn(&Granted) -> K,
    ) -> Vec<Group> {
        let mut order: Vec<Gathered> = Vec::new();
        let mut places: BTreeMap<K, usize> = BTreeMap::new();
        for part in parts {
            for one in granted(part) {
                let place = *places.entry(key(&one)).or_insert_with(|| {
                    order.push(Gathered { first: one.clone(), lines: Vec::new(), v4: None, v6: None });
                    order.len() - 1
                });
                let gathered = &mut order[place];
                gathered.lines.push(one.line);
                let sources = match part.chains.family {
                    Family::Ipv4 => gathered.v4.get_or_insert_default(),
                    Family::Ipv6 => gathered.v6.get_or_insert_default(),
                };
                sources.push(one.source);
            }
        }
        order.into_iter().map(|gathered| gathered.group(self.both)).collect()
    }

    /// Ports by their services' names, where those mean just these ports.
    fn names(&self, ports: &[PortSpec]) -> (Vec<String>, Vec<PortSpec>) {
        let mut services = Vec::new();
        let mut rest = Vec::new();
        for port in ports {
            let is_ssh = port.transport == Transport::Tcp
                && port.first == port.last
                && self.options.ssh_ports == [port.first];
            let named = policy::services::SERVICES
                .iter()
                .find(|service| service.name != "ssh" && service.ports == [*port])
                .map(|service| service.name);
            match (is_ssh, named) {
                (true, _) => services.push("ssh".to_owned()),
                (false, Some(name)) => services.push(name.to_owned()),
                (false, None) => rest.push(*port),
            }
        }
        (services, rest)
    }
}

struct Gathered {
    first: Granted,
    lines: Vec<LineId>,
    v4: Option<Vec<Option<IpNet>>>,
    v6: Option<Vec<Option<IpNet>>>,
}

struct Group {
    first: Granted,
    lines: Vec<LineId>,
    from: Vec<IpNet>,
}

impl Gathered {
    fn group(self, both: bool) -> Group {
        let whole = |sources: &Option<Vec<Option<IpNet>>>| {
            sources.as_ref().is_some_and(|sources| sources.iter().any(Option::is_none))
        };
        let everybody = |sources: &Option<Vec<Option<IpNet>>>| whole(sources) || !both && sources.is_none();
        let mut from = Vec::new();
        // A destination says the family.
        let is_told = self.first.destination.is_some()
            && [&self.v4, &self.v6].into_iter().all(|s| s.is_none() || whole(s));
        let is_for_all = everybody(&self.v4) && everybody(&self.v6);
        if !is_told && !is_for_all {
            for (sources, all) in [(&self.v4, "0.0.0.0/0"), (&self.v6, "::/0")] {
                match sources {
                    None => {}
                    Some(_) if whole(sources) => from.extend(all.parse::<IpNet>()),
                    Some(sources) => from.extend(sources.iter().flatten()),
                }
            }
        }
        from.dedup();
        Group { first: self.first, lines: self.lines, from }
    }
}

/// The rules of one direction, and at the end what its policy refuses, where the policy's own default does not.
fn ordered(part: &FamilyPart, way: Way) -> Vec<Step> {
    let folded = &part.folded[way as usize];
    let mut steps = folded.rules.clone();
    if way == Way::Output
        && let Default::Refuse { told } = folded.default
    {
        let (words, target) = if told {
            let with = match part.chains.family {
                Family::Ipv4 => iptables_syntax::extension::RejectWith::PortUnreachable,
                Family::Ipv6 => iptables_syntax::extension::RejectWith::PortUnreachable6,
            };
            ("-j REJECT", Target::Reject(iptables_syntax::extension::Reject { with }))
        } else {
            ("-j DROP", Target::Drop)
        };
        let rule = iptables_syntax::Rule { target: Some(target), ..iptables_syntax::Rule::default() };
        let line = folded.default_lines.first().copied();
        steps.extend(line.map(|line| Step { line, rule, words: words.to_owned() }));
    }
    steps
}

/// The chains that a rule leads to.
fn reach(chains: &Chains, step: &Step, names: &mut BTreeSet<String>) {
    let Some(Target::Jump(name) | Target::Goto(name)) = &step.rule.target else { return };
    if names.insert(name.clone())
        && let Some(chain) = chains.chain(name)
    {
        chain.steps.iter().for_each(|step| reach(chains, step, names));
    }
}

type Merged = (Vec<(Family, Step)>, Option<RuleFamily>);

/// Two ordered lists as one that keeps the order of each; what both say in the same words stands once.
fn interleave(parts: &[&FamilyPart], lists: &[Vec<Step>]) -> Vec<Merged> {
    let family = |at: usize| parts[at].chains.family;
    let single = |at: usize, step: &Step| -> Merged {
        (vec![(family(at), step.clone())], Some(rule_family(family(at))))
    };
    match lists {
        [] => Vec::new(),
        [only] => only.iter().map(|step| (vec![(family(0), step.clone())], None)).collect(),
        [first, second, ..] => {
            let mut out = Vec::new();
            let mut next = 0;
            for step in first {
                let twin = second[next..].iter().position(|other| other.words == step.words);
                match twin {
                    Some(ahead) => {
                        out.extend(second[next..next + ahead].iter().map(|step| single(1, step)));
                        let other = &second[next + ahead];
                        let pair = vec![(family(0), step.clone()), (family(1), other.clone())];
                        out.push((pair, None));
                        next += ahead + 1;
                    }
                    None => out.push(single(0, step)),
                }
            }
            out.extend(second[next..].iter().map(|step| single(1, step)));
            out
        }
    }
}

const fn rule_family(family: Family) -> RuleFamily {
    match family {
        Family::Ipv4 => RuleFamily::Ipv4,
        Family::Ipv6 => RuleFamily::Ipv6,
    }
}
