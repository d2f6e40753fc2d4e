//! All packets on their way through the base chains of a hook.

use std::collections::HashMap;
use std::rc::Rc;

use nf_tables::{ChainKind, Family, Policy};

use super::bdd::Bdd;
use super::changes::{Changes, Update};
use super::registers::Registers;
use super::rule::{Outcome, Rule};
use super::{Space, TooIntricate};
use crate::decide::{Verdict, verdict};
use crate::facts::Field;
use crate::machine::{At, Cause, DEPTH, Effect, Program};
use crate::packet::{Hook, State};

/// What becomes of all packets.
#[derive(Debug)]
pub(crate) struct Regions {
    /// The packets of each verdict; every possible packet is in one of them, for each answer to what is not known.
    pub(crate) verdicts: Vec<(Verdict, Bdd)>,
    /// How those that go through have been changed.
    changes: Changes,
}

/// What happened at a rule, over all packets that came to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record {
    /// Packets that came to the rule, and those of them that went on to the next, for each time.
    pub(crate) visits: Vec<(Bdd, Bdd)>,
    /// Packets that it matches, were they to come to it, for each time.
    pub(crate) matches: Vec<Bdd>,
    /// Some packet came that it matches.
    pub(crate) matched: bool,
}

/// The records of the rules that packets came to, and the packets that came into each chain.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) rules: HashMap<At, Record>,
    pub(crate) chains: HashMap<(usize, usize), Bdd>,
}

/// How many rules are visited before the walk gives up; jumps can call for billions.
const VISITS: u32 = 2_000_000;

/// Follows the packets of `set` over the hooks, one after the other.
pub(crate) fn walk(
    space: &mut Space,
    program: &Program<'_>,
    hooks: &[Hook],
    set: Bdd,
    records: Option<&mut Records>,
) -> Result<Regions, TooIntricate> {
    let changes = Changes::none(space);
    let mut walk = Walk {
        space,
        program,
        hook: Hook::Prerouting,
        changes,
        version: 0,
        outcomes: HashMap::new(),
        verdicts: Vec::new(),
        accepted: Bdd::FALSE,
        records,
        visits: 0,
    };
    let mut through = set;
    for &hook in hooks {
        walk.hook = hook;
        walk.outcomes.clear();
        for (_, table, chain) in program.base_chains_at(hook) {
            through = walk.base_chain(table, chain, through)?;
        }
    }
    walk.add(Verdict::Accept, through);
    walk.space.check()?;
    Ok(Regions { verdicts: walk.verdicts, changes: walk.changes })
}

struct Walk<'s, 'p, 'a> {
    space: &'s mut Space,
    program: &'p Program<'a>,
    hook: Hook,
    changes: Changes,
    /// Grows with every change that rules may see.
    version: u32,
    /// What rules do, as of the version.
    outcomes: HashMap<At, (u32, Rc<Outcome<'a>>)>,
    verdicts: Vec<(Verdict, Bdd)>,
    /// Accepted by the base chain that is walked.
    accepted: Bdd,
    records: Option<&'s mut Records>,
    visits: u32,
}

impl<'a> Walk<'_, '_, 'a> {
    /// Gives what goes on to the next base chain.
    fn base_chain(&mut self, table: usize, chain: usize, set: Bdd) -> Result<Bdd, TooIntricate> {
        let sees = self.sees(table, chain);
        let passes_by = self.space.arena.minus(set, sees);
        let enters = self.space.arena.and(set, sees);
        self.accepted = passes_by;
        let left = self.chain(table, chain, enters, DEPTH)?;
        match self.program.chain(table, chain).hook.as_ref().map_or(Policy::Accept, |hook| hook.policy) {
            Policy::Accept => self.accepted = self.space.arena.or(self.accepted, left),
            Policy::Drop => self.add(Verdict::Drop, left),
        }
        Ok(self.accepted)
    }

    /// Packets that the base chain sees.
    fn sees(&mut self, table: usize, chain: usize) -> Bdd {
        let ipv6 = self.space.is_ipv6();
        let family = match self.program.tables[table].dump.table.family {
            Family::Inet => Bdd::TRUE,
            Family::Ip => !ipv6,
            Family::Ip6 => ipv6,
            Family::Arp | Family::Netdev | Family::Bridge => Bdd::FALSE,
        };
        let kind = self.program.chain(table, chain).hook.as_ref().map(|hook| hook.kind);
        if kind != Some(ChainKind::Nat) {
            return family;
        }
        // The first packet of a connection, unless a rule has taken it from connection tracking.
        let opens = self.space.is(Field::State, false, u128::from(State::New.bit()));
        let arena = &mut self.space.arena;
        let still = arena.or(self.changes.is_state(State::New), !self.changes.state_known);
        let opens = arena.and(opens, still);
        arena.and(family, opens)
    }

    fn add(&mut self, verdict: Verdict, set: Bdd) {
        if set.is_false() {
            return;
        }
        match self.verdicts.iter_mut().find(|(of, _)| *of == verdict) {
            Some((_, all)) => *all = self.space.arena.or(*all, set),
            None => self.verdicts.push((verdict, set)),
        }
    }

    /// Sends packets through a chain; gives those that leave it at its end.
    fn chain(&mut self, table: usize, chain: usize, set: Bdd, depth: usize) -> Result<Bdd, TooIntricate> {
        if depth == 0 {
            return Ok(self.give_up(set, &format!("depth {table} {chain}"), false));
        }
        if let Some(records) = &mut self.records {
            let before = records.chains.entry((table, chain)).or_insert(Bdd::FALSE);
            *before = self.space.arena.or(*before, set);
        }
        let (mut here, mut left) = (set, Bdd::FALSE);
        let mut run: Option<(Effect<'a>, Bdd)> = None;
        for rule in 0..self.program.tables[table].dump.chains[chain].rules.len() {
            if here.is_false() {
                break;
            }
            self.visits += 1;
            if self.visits > VISITS {
                return Err(TooIntricate { nodes: self.space.arena.nodes() });
            }
            let at = At { table, chain, rule };
            let outcome = self.outcome(at, here);
            let arrived = here;
            match outcome.effects.as_slice() {
                [(matches, effect)] if outcome.updates.is_empty() && self.ends(effect) => {
                    // Runs of rules that do the same are summed up at their end.
                    if run.as_ref().is_none_or(|(of, _)| of != effect) {
                        self.sum_up(&mut run, here);
                        run = Some((effect.clone(), here));
                    }
                    here = self.space.arena.minus(here, *matches);
                }
                _ => {
                    self.sum_up(&mut run, here);
                    here = self.rule(table, &outcome, here, &mut left, depth)?;
                }
            }
            self.record(at, arrived, here, &outcome);
            self.space.check()?;
        }
        self.sum_up(&mut run, here);
        Ok(self.space.arena.or(here, left))
    }

    /// Whether a packet's way through the base chain is over with it.
    fn ends(&self, effect: &Effect<'_>) -> bool {
        matches!(effect, Effect::Accept | Effect::Drop | Effect::Reject(_) | Effect::Queue(_))
    }

    /// Notes what became of the packets that a run of rules took, of which `here` are left.
    fn sum_up(&mut self, run: &mut Option<(Effect<'a>, Bdd)>, here: Bdd) {
        let Some((effect, before)) = run.take() else { return };
        let taken = self.space.arena.minus(before, here);
        self.end(&effect, taken);
    }

    fn end(&mut self, effect: &Effect<'_>, set: Bdd) {
        match effect {
            Effect::Accept => self.accepted = self.space.arena.or(self.accepted, set),
            _ => self.add(verdict(effect), set),
        }
    }

    /// What a rule does to the packets that are here; gives those that go on to the next.
    fn rule(
        &mut self,
        table: usize,
        outcome: &Outcome<'a>,
        here: Bdd,
        left: &mut Bdd,
        depth: usize,
    ) -> Result<Bdd, TooIntricate> {
        self.change(&outcome.updates, here);
        // What the rule ends is taken away at once, and what comes back from chains given back.
        let (mut gone, mut back) = (Vec::new(), Vec::new());
        let mut accepted = Vec::new();
        for (matches, effect) in &outcome.effects {
            if matches!(effect, Effect::Continue) {
                continue;
            }
            let hit = self.space.arena.and(here, *matches);
            if hit.is_false() {
                continue;
            }
            match effect {
                Effect::Continue => {}
                Effect::Return => *left = self.space.arena.or(*left, hit),
                Effect::Jump(name) => {
                    let out = self.enter(table, name, hit, depth)?;
                    if out == hit {
                        continue;
                    }
                    back.push(out);
                }
                Effect::Goto(name) => {
                    let out = self.enter(table, name, hit, depth)?;
                    *left = self.space.arena.or(*left, out);
                }
                Effect::Accept => accepted.push(hit),
                Effect::Drop | Effect::Reject(_) | Effect::Queue(_) => self.end(effect, hit),
            }
            gone.push(*matches);
        }
        let accepted = self.space.arena.union(accepted);
        self.accepted = self.space.arena.or(self.accepted, accepted);
        let gone = self.space.arena.union(gone);
        let here = self.space.arena.minus(here, gone);
        back.push(here);
        Ok(self.space.arena.union(back))
    }

    fn record(&mut self, at: At, arrived: Bdd, goes_on: Bdd, outcome: &Outcome<'_>) {
        let Some(records) = &mut self.records else { return };
        let matches = outcome.matched.unwrap_or(Bdd::FALSE);
        let record = records.rules.entry(at).or_default();
        record.visits.push((arrived, goes_on));
        if record.matches.last() != Some(&matches) {
            record.matches.push(matches);
        }
        record.matched =
            record.matched || arrived != goes_on || self.space.arena.intersects(arrived, matches);
    }

    fn enter(&mut self, table: usize, name: &str, set: Bdd, depth: usize) -> Result<Bdd, TooIntricate> {
        match self.program.chain_named(table, name) {
            Some(chain) => self.chain(table, chain, set, depth - 1),
            None => Ok(self.give_up(set, &format!("chain {table} {name}"), true)),
        }
    }

    /// From here anything may happen; gives what goes on.
    fn give_up(&mut self, set: Bdd, why: &str, may_go_on: bool) -> Bdd {
        let accepts = self.space.named(format!("{why} accepts"), Cause::TooLong, false);
        let hit = self.space.arena.and(set, accepts);
        self.accepted = self.space.arena.or(self.accepted, hit);
        let mut rest = self.space.arena.minus(set, hit);
        let mut goes_on = Bdd::FALSE;
        if may_go_on {
            let leaves = self.space.named(format!("{why} goes on"), Cause::TooLong, false);
            goes_on = self.space.arena.and(rest, leaves);
            rest = self.space.arena.minus(rest, leaves);
        }
        self.add(Verdict::Drop, rest);
        goes_on
    }

    fn outcome(&mut self, at: At, arrived: Bdd) -> Rc<Outcome<'a>> {
        if let Some((version, outcome)) = self.outcomes.get(&at)
            && *version == self.version
            && outcome.only_for.is_none_or(|set| !self.space.arena.intersects(arrived, !set))
        {
            return Rc::clone(outcome);
        }
        let ipv6 = self.space.is_ipv6();
        let here = match self.program.tables[at.table].dump.table.family {
            Family::Ip => !ipv6,
            Family::Ip6 => ipv6,
            Family::Inet | Family::Arp | Family::Netdev | Family::Bridge => Bdd::TRUE,
        };
        let rule = Rule {
            space: &mut *self.space,
            program: self.program,
            hook: self.hook,
            changes: &self.changes,
            at,
            arrived,
            here,
            registers: Registers::new(),
            own: None,
            outcome: Outcome::default(),
        };
        let outcome = Rc::new(rule.run());
        self.outcomes.insert(at, (self.version, Rc::clone(&outcome)));
        outcome
    }

    fn change(&mut self, updates: &[Update], here: Bdd) {
        for update in updates {
            self.changes.apply(&mut self.space.arena, here, update);
            if !matches!(update, Update::Label(..)) {
                self.version += 1;
            }
        }
    }
}

impl Regions {
    /// The packets that go through.
    pub(crate) fn accepted(&self) -> Bdd {
        self.of(&Verdict::Accept)
    }

    pub(crate) fn of(&self, verdict: &Verdict) -> Bdd {
        self.verdicts.iter().find(|(of, _)| of == verdict).map_or(Bdd::FALSE, |(_, set)| *set)
    }

    /// In which of the accepted packets something else was changed than in the other's.
    pub(crate) fn changed_otherwise(&self, other: &Self, space: &mut Space) -> Bdd {
        let through = space.arena.and(self.accepted(), other.accepted());
        let (a, b) = (&self.changes, &other.changes);
        if a == b {
            return Bdd::FALSE;
        }
        let ipv6 = space.is_ipv6();
        let arena = &mut space.arena;
        let mut differs = arena.xor(a.bytes, b.bytes);
        let mut add = |arena: &mut super::Arena, set: Bdd| differs = arena.or(differs, set);
        for (a, b) in a.states.iter().zip(&b.states) {
            let set = arena.xor(*a, *b);
            add(arena, set);
        }
        let families = [!ipv6, ipv6];
        let pairs = a
            .mark
            .iter()
            .zip(&b.mark)
            .chain(a.port.iter().zip(&b.port))
            .chain(a.hop_limit.iter().zip(&b.hop_limit));
        let pairs = pairs.map(|pair| (pair, Bdd::TRUE));
        let addresses = a.destination.iter().zip(&b.destination).zip(families);
        let addresses =
            addresses.flat_map(|((a, b), family)| a.iter().zip(b).map(move |pair| (pair, family)));
        let published = [((&a.published, &b.published), Bdd::TRUE)];
        for ((a, b), condition) in pairs.chain(addresses).chain(published) {
            let value = arena.xor(a.value, b.value);
            let known = arena.xor(a.known, b.known);
            let both = arena.and(a.known, b.known);
            let value = arena.and(value, both);
            let set = arena.or(value, known);
            let set = arena.and(set, condition);
            add(arena, set);
        }
        for text in a.labels.keys().chain(b.labels.keys()) {
            let [a, b] = [a, b].map(|of| of.labels.get(text).copied().unwrap_or(Bdd::FALSE));
            let set = arena.xor(a, b);
            add(arena, set);
        }
        arena.and(differs, through)
    }
}
