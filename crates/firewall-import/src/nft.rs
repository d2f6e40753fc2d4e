//! Tables of `nf_tables`, as nft or another program loads them.

mod read;
mod turn;

use std::collections::{BTreeMap, BTreeSet};

use iptables_syntax::{ChainPolicy, Family, Rule, Target};
use nf_tables::{ChainDump, ChainKind, Data, Expression, Hook, HookPoint, Policy, TableDump, Verdict};

use crate::chains::{Chains, Step, maker};
use crate::fold::Way;
use crate::iptables::import;
use crate::ledger::{Fate, Ledger, LineId};
use crate::{Imported, Options};

/// Imports the chains of the families `ip`, `ip6` and `inet` that filter what comes in, passes through and leaves.
///
/// Each rule is turned back into rules of iptables that match the same packets; one that cannot be is named with the reason, as
/// not taken over. A line's place is its chain and its number there; 0 is the chain itself.
#[must_use]
pub fn nft(tables: &[TableDump], options: &Options<'_>) -> Imported {
    let mut ledger = Ledger::default();
    let mut notes = Vec::new();
    let mut ours: Vec<Source<'_>> = Vec::new();
    for table in tables {
        match elsewhere(table) {
            Some(why) => {
                Source::new(table, &mut ledger).settle(|_| true, &why, &mut ledger);
            }
            None => ours.push(Source::new(table, &mut ledger)),
        }
    }
    for source in &ours {
        source.settle_other_hooks(&mut ledger);
    }
    let families = [Family::Ipv4, Family::Ipv6];
    let told = families.into_iter().filter(|family| ours.iter().any(|source| source.filters(*family)));
    let chains: Vec<Chains> =
        told.map(|family| Taking { family, ledger: &mut ledger, notes: &mut notes }.chains(&ours)).collect();
    for source in &ours {
        source.settle_unmatched(&chains, &mut ledger);
    }
    let mut imported = import(chains, options, ledger);
    imported.notes.splice(0..0, notes);
    imported.tables = ours.iter().map(|source| source.table.clone()).collect();
    imported
}

/// Why nothing of a table is taken over.
fn elsewhere(table: &TableDump) -> Option<String> {
    use nf_tables::Family as Kind;
    match table.table.family {
        Kind::Ip | Kind::Ip6 | Kind::Inet => {}
        Kind::Arp | Kind::Bridge | Kind::Netdev => {
            return Some(format!(
                "tables of the family {} are no part of the policy",
                table.table.family.name()
            ));
        }
    }
    let name = table.table.name.as_str();
    let others =
        [("libvirt", "libvirt"), ("netavark", "Podman"), ("docker", "Docker"), ("kube", "Kubernetes")];
    let other = others.into_iter().find(|(start, _)| name.starts_with(start)).map(|(_, maker)| maker);
    let maker = maker(name).or(other)?;
    Some(format!("the table {name} is kept by {maker}"))
}

/// A table, and the lines of its rules.
struct Source<'t> {
    table: &'t TableDump,
    /// By chain and number; 0 is what the chain itself does.
    lines: BTreeMap<(&'t str, usize), LineId>,
}

impl<'t> Source<'t> {
    fn new(table: &'t TableDump, ledger: &mut Ledger) -> Self {
        let mut lines = BTreeMap::new();
        for chain in &table.chains {
            let name = chain.chain.name.as_str();
            let place = format!("{} {name}", table.id());
            if let Some(head) = packet_filter::text::chain_head(&chain.chain) {
                lines.insert((name, 0), ledger.enter(&place, 0, &head));
            }
            for (nth, rule) in chain.rules.iter().enumerate() {
                let text = packet_filter::text::rule(table, rule);
                lines.insert((name, nth + 1), ledger.enter(&place, nth + 1, &text));
            }
        }
        Self { table, lines }
    }

    fn line(&self, chain: &str, number: usize) -> Option<LineId> {
        self.lines.get(&(chain, number)).copied()
    }

    fn settle(&self, which: impl Fn(&str) -> bool, why: &str, ledger: &mut Ledger) {
        for ((chain, _), line) in &self.lines {
            if which(chain) {
                ledger.settle(*line, Fate::Elsewhere(why.to_owned()));
            }
        }
    }

    fn has(&self, family: Family) -> bool {
        matches!(
            (self.table.table.family, family),
            (nf_tables::Family::Inet, _)
                | (nf_tables::Family::Ip, Family::Ipv4)
                | (nf_tables::Family::Ip6, Family::Ipv6)
        )
    }

    fn filters(&self, family: Family) -> bool {
        self.has(family) && Way::ALL.into_iter().any(|way| self.bases(way).next().is_some())
    }

    fn bases(&self, way: Way) -> impl Iterator<Item = (&'t ChainDump, &'t Hook)> {
        self.table.chains.iter().filter_map(move |chain| {
            let hook = chain.chain.hook.as_ref()?;
            (way_of(hook) == Some(way)).then_some((chain, hook))
        })
    }

    /// The chains to which a chain leads, itself among them.
    fn reached(&self, from: &str) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        let mut next = vec![from.to_owned()];
        while let Some(name) = next.pop() {
            if let Some(chain) = self.table.chain(&name)
                && seen.insert(name)
            {
                let to = self.verdicts(chain).into_iter().filter_map(Verdict::chain);
                next.extend(to.map(str::to_owned));
            }
        }
        seen
    }

    /// Every verdict that stands in a chain, in its maps too.
    fn verdicts<'c>(&'c self, chain: &'c ChainDump) -> Vec<&'c Verdict> {
        let mut found = Vec::new();
        for expression in chain.rules.iter().flat_map(|rule| &rule.expressions) {
            match expression {
                Expression::Immediate(immediate) => found.extend(verdict(Some(&immediate.data))),
                Expression::Lookup(lookup) => {
                    let elements = self.table.set(&lookup.set).map(|set| set.elements.as_slice());
                    let data = elements.unwrap_or_default().iter();
                    found.extend(data.filter_map(|element| verdict(element.data.as_ref())));
                }
                _ => {}
            }
        }
        found
    }

    /// Whether a chain can only take away from what others let in.
    fn only_refuses(&self, chain: &ChainDump, hook: &Hook) -> bool {
        let accepts = |name: &String| {
            let chain = self.table.chain(name);
            chain.is_some_and(|chain| {
                self.verdicts(chain).into_iter().any(|verdict| matches!(verdict, Verdict::Accept))
            })
        };
        hook.policy == Policy::Accept && !self.reached(&chain.chain.name).iter().any(accepts)
    }

    /// What stands in chains of other hooks, and what only they lead to.
    fn settle_other_hooks(&self, ledger: &mut Ledger) {
        let (mut filtering, mut other) = (BTreeSet::new(), BTreeMap::new());
        for chain in &self.table.chains {
            let Some(hook) = &chain.chain.hook else { continue };
            let reached = self.reached(&chain.chain.name);
            if way_of(hook).is_some() {
                filtering.extend(reached);
                continue;
            }
            let why = match hook.kind {
                ChainKind::Nat => "address translation is no part of the policy".to_owned(),
                ChainKind::Filter | ChainKind::Route => {
                    format!("the policy has no rules for the hook of the chain {}", chain.chain.name)
                }
            };
            other.extend(reached.into_iter().map(|name| (name, why.clone())));
        }
        for (name, why) in other.iter().filter(|(name, _)| !filtering.contains(*name)) {
            self.settle(|chain| chain == name, why, ledger);
        }
    }

    /// Rules that became no rule of either family.
    fn settle_unmatched(&self, chains: &[Chains], ledger: &mut Ledger) {
        let steps = chains.iter().flat_map(|chains| chains.by_name.values());
        let used: BTreeSet<LineId> = steps
            .flat_map(|chain| {
                let policy = chain.policy.and_then(|(_, line)| line);
                chain.steps.iter().map(|step| step.line).chain(policy)
            })
            .collect();
        for ((_, number), line) in &self.lines {
            if ledger.is_open(*line) && !used.contains(line) {
                let why = if *number == 0 {
                    "it accepts what its rules do not refuse"
                } else {
                    "no packet matches it"
                };
                ledger.settle(*line, Fate::Idle(why.to_owned()));
            }
        }
    }
}

fn verdict(data: Option<&Data>) -> Option<&Verdict> {
    match data {
        Some(Data::Verdict(verdict)) => Some(verdict),
        Some(Data::Value(_)) | None => None,
    }
}

fn way_of(hook: &Hook) -> Option<Way> {
    if hook.kind != ChainKind::Filter {
        return None;
    }
    match hook.point {
        HookPoint::Input => Some(Way::Input),
        HookPoint::Forward => Some(Way::Forward),
        HookPoint::Output => Some(Way::Output),
        HookPoint::Prerouting | HookPoint::Postrouting | HookPoint::Ingress | HookPoint::Egress => None,
    }
}

/// Makes the chains of one family.
struct Taking<'l> {
    family: Family,
    ledger: &'l mut Ledger,
    notes: &'l mut Vec<String>,
}

impl Taking<'_> {
    fn chains(&mut self, sources: &[Source<'_>]) -> Chains {
        let mut chains = Chains::new(self.family);
        let names = names(sources, self.family);
        for way in Way::ALL {
            let policy = self.bases(sources, way, &names, &mut chains);
            let base = chains.by_name.entry(way.chain().to_owned()).or_default();
            base.policy = Some(policy);
        }
        let family = self.family;
        for (nth, source) in sources.iter().enumerate().filter(|(_, source)| source.has(family)) {
            for chain in source.table.chains.iter().filter(|chain| chain.chain.hook.is_none()) {
                let name = &names[&(nth, chain.chain.name.clone())];
                chains.by_name.entry(name.clone()).or_default();
                self.rules(source, nth, chain, &names, name, &mut chains);
            }
        }
        chains
    }

    /// The base chains of one direction as one: a packet has to be let through by all of them. Those that only refuse come first,
    /// each as a chain of its own; one that lets in by its own rules is the base.
    fn bases(
        &mut self,
        sources: &[Source<'_>],
        way: Way,
        names: &Names,
        chains: &mut Chains,
    ) -> (ChainPolicy, Option<LineId>) {
        let mut all: Vec<(usize, &ChainDump, &Hook)> = Vec::new();
        for (nth, source) in sources.iter().enumerate().filter(|(_, source)| source.has(self.family)) {
            all.extend(source.bases(way).map(|(chain, hook)| (nth, chain, hook)));
        }
        all.sort_by_key(|(.., hook)| hook.priority);
        let decides = all.iter().position(|(nth, chain, hook)| !sources[*nth].only_refuses(chain, hook));
        let base = decides.or(all.len().checked_sub(1));
        for (at, (nth, chain, hook)) in all.iter().enumerate().filter(|(at, _)| Some(*at) != base) {
            let source = &sources[*nth];
            if !source.only_refuses(chain, hook) {
                let why = format!(
                    "another chain decides in this direction too ({}); a policy has one list",
                    base.map(|base| all[base].1.chain.name.as_str()).unwrap_or_default()
                );
                source.settle(|name| name == chain.chain.name, &why, self.ledger);
                let note = format!(
                    "{} {} lets in by rules of its own beside another chain: what both let in came in, and only the other was taken over",
                    source.table.id(),
                    chain.chain.name
                );
                if !self.notes.contains(&note) {
                    self.notes.push(note);
                }
                continue;
            }
            let name = format!("{}-{at}", way.policy_chain());
            self.rules(source, *nth, chain, names, &name, chains);
            if let (Some(line), true) = (source.line(&chain.chain.name, 0), chains.chain(&name).is_some()) {
                let rule = Rule { target: Some(Target::Jump(name)), ..Rule::default() };
                chains.push(way.chain(), Step { line, words: rule.to_string(), rule });
            }
        }
        let Some((nth, chain, hook)) = base.map(|base| all[base]) else { return (ChainPolicy::Accept, None) };
        self.rules(&sources[nth], nth, chain, names, way.chain(), chains);
        let policy = match hook.policy {
            Policy::Accept => ChainPolicy::Accept,
            Policy::Drop => ChainPolicy::Drop,
        };
        (policy, sources[nth].line(&chain.chain.name, 0))
    }

    /// Turns the rules of a chain and puts them behind those of another.
    fn rules(
        &mut self,
        source: &Source<'_>,
        nth: usize,
        chain: &ChainDump,
        names: &Names,
        into: &str,
        chains: &mut Chains,
    ) {
        let name = |to: &str| names.get(&(nth, to.to_owned())).cloned().unwrap_or_else(|| to.to_owned());
        for (number, rule) in chain.rules.iter().enumerate() {
            let Some(line) = source.line(&chain.chain.name, number + 1) else { continue };
            let comment = rule.comment();
            let turned = read::read(source.table, rule).and_then(|read| {
                let rules = turn::turn(&read, self.family, comment.as_deref(), &name)?;
                Ok((read, rules))
            });
            match turned {
                Ok((read, rules)) => {
                    if let Some(set) = &read.empty {
                        self.ledger.settle(line, Fate::Idle(format!("the set {set} is empty")));
                    }
                    for rule in rules {
                        chains.push(into, Step { line, words: rule.to_string(), rule });
                    }
                }
                Err(why) => self.ledger.settle(line, Fate::Elsewhere(why)),
            }
        }
    }
}

/// The names of the chains that are no base chains, by table and chain.
type Names = BTreeMap<(usize, String), String>;

/// A name that is taken, or that iptables would take for a target or not at all, gets its table's before it.
fn names(sources: &[Source<'_>], family: Family) -> Names {
    const TARGETS: [&str; 12] = [
        "ACCEPT", "DROP", "RETURN", "QUEUE", "LOG", "NFLOG", "REJECT", "MARK", "CT", "INPUT", "FORWARD",
        "OUTPUT",
    ];
    let mut names = Names::new();
    let mut taken: BTreeSet<String> = TARGETS.iter().map(|&name| name.to_owned()).collect();
    for (nth, source) in sources.iter().enumerate().filter(|(_, source)| source.has(family)) {
        for chain in source.table.chains.iter().filter(|chain| chain.chain.hook.is_none()) {
            let own = &chain.chain.name;
            let mut name: String = own.chars().take(28).collect();
            let mut again = 1;
            while !taken.insert(name.clone()) {
                name = format!("{}-{again}", own.chars().take(25).collect::<String>());
                again += 1;
            }
            names.insert((nth, own.clone()), name);
        }
    }
    names
}
