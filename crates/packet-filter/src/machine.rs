//! The `nf_tables` machine: runs decoded expressions on a packet of which not everything may be known.
//!
//! Matching is three-valued. What depends on something unknown (a rate, a routing table, an expression that is not
//! understood) may or may not match, and both ways are followed; every end that the packet can come to is kept with
//! what it depends on. One of the ways is the *main* one: no rate is exceeded, and what is not known does not match.

use std::collections::HashMap;

use nf_tables::{Chain, ChainKind, Family, HookPoint, Match, Policy, Rule, TableDump, TableFlags};

use crate::contents::Contents;
use crate::facts::{Facts, Field, Need};
use crate::packet::Hook;

mod compat;
mod load;
mod registers;
mod run;

pub(crate) use compat::{
    Matched, hop_limit, is_known_target, mark as mark_of, only_goes_on, queue, reject, restores_mark,
    takes_tracking_away,
};
pub(crate) use registers::Tri;
pub(crate) use run::{Effect, asks_for_destination_type, effect, keeps_a_rate};

/// Tables, ready to run.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    pub(crate) tables: Vec<TableProgram<'a>>,
}

/// A table with its names looked up.
#[derive(Debug)]
pub(crate) struct TableProgram<'a> {
    pub(crate) dump: &'a TableDump,
    chains: HashMap<&'a str, usize>,
    pub(crate) sets: HashMap<&'a str, Contents<'a>>,
}

/// A rule, by its place: table, chain, rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct At {
    pub(crate) table: usize,
    pub(crate) chain: usize,
    pub(crate) rule: usize,
}

/// Something that makes an answer uncertain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Cause {
    /// This expression of this rule.
    Expression(At, usize),
    /// The program that listens on this queue.
    Queue(u16),
    /// The ruleset is too deep or too long to be followed to its end.
    TooLong,
}

/// A place where the packet's way can end at a hook.
#[derive(Debug, Clone)]
pub(crate) struct End<'a> {
    pub(crate) effect: Effect<'a>,
    pub(crate) causes: Vec<Cause>,
    /// The rule that decided; `None` for the policy of a base chain, or where there is none.
    pub(crate) by: Option<At>,
    /// The base chain that the packet was in.
    pub(crate) base: Option<(usize, usize)>,
}

/// All ends of a packet's way, and the rules that it matched on the main one.
#[derive(Debug, Default)]
pub(crate) struct Ends<'a> {
    pub(crate) main: Option<End<'a>>,
    pub(crate) others: Vec<End<'a>>,
    pub(crate) crossed: Vec<At>,
}

/// What a rule before has changed about the packet.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Changes {
    mark: Change<u32>,
    state: Change<u32>,
    hop_limit: Change<u128>,
    destination: Change<u128>,
    destination_port: Change<u16>,
    /// The destination was translated.
    published: Change<()>,
    bytes: bool,
}

#[derive(Debug, Clone, Copy, Default)]
enum Change<T> {
    #[default]
    None,
    To(T),
    Unknown,
}

/// How many rules are looked at for one packet before the machine gives up: with 16 levels of jumps, a few rules can
/// call for billions.
const STEPS: u32 = 1_000_000;

/// How deep jumps go (`NFT_JUMP_STACK_SIZE`).
pub(crate) const DEPTH: usize = 16;

impl<'a> Program<'a> {
    pub(crate) fn new(tables: impl IntoIterator<Item = &'a TableDump>) -> Self {
        Self { tables: tables.into_iter().map(TableProgram::new).collect() }
    }

    /// Runs the base chains of the hooks, one hook after the other.
    pub(crate) fn run(&self, hooks: &[Hook], facts: &impl Facts) -> Result<Ends<'a>, Need> {
        let mut walk = Walk::new(self, facts, Hook::Prerouting);
        let mut main = true;
        for &hook in hooks {
            walk.hook = hook;
            for (table, chain) in self.base_chains(hook, facts)? {
                if walk.is_past_nat(table, chain) {
                    continue;
                }
                main = walk.base_chain(table, chain, main)?;
                if !main && walk.is_over() {
                    return Ok(walk.ends);
                }
            }
        }
        Ok(walk.accepted(main))
    }

    /// Address and port that a packet is to once it has passed the hooks; `None` for what is not known.
    pub(crate) fn destination_after(
        &self,
        hooks: &[Hook],
        facts: &impl Facts,
    ) -> Result<(Option<u128>, Option<u128>), Need> {
        let mut walk = Walk::new(self, facts, Hook::Prerouting);
        let mut main = true;
        for &hook in hooks {
            walk.hook = hook;
            for (table, chain) in self.base_chains(hook, facts)? {
                if !walk.is_past_nat(table, chain) {
                    main = walk.base_chain(table, chain, main)?;
                }
            }
        }
        Ok((walk.packet_field(Field::Destination)?, walk.packet_field(Field::DestinationPort)?))
    }

    /// The base chains that see the packet, in the order that they run in.
    fn base_chains(&self, hook: Hook, facts: &impl Facts) -> Result<Vec<(usize, usize)>, Need> {
        let mut found = Vec::new();
        for (_, table, chain) in self.base_chains_at(hook) {
            let is_nat =
                self.chain(table, chain).hook.as_ref().is_some_and(|hook| hook.kind == ChainKind::Nat);
            if sees(self.tables[table].dump.table.family, facts)? && (!is_nat || opens_a_flow(facts)?) {
                found.push((table, chain));
            }
        }
        Ok(found)
    }

    /// The base chains at the hook with their priorities, in the order that they run in, whatever packets they see.
    pub(crate) fn base_chains_at(&self, hook: Hook) -> Vec<(i32, usize, usize)> {
        let mut found = Vec::new();
        for (t, table) in self.tables.iter().enumerate() {
            if table.dump.table.flags.contains(TableFlags::DORMANT) {
                continue;
            }
            for (c, dump) in table.dump.chains.iter().enumerate() {
                if let Some(at) = dump.chain.hook.as_ref().filter(|at| at.point == hook.point()) {
                    found.push((at.priority, t, c));
                }
            }
        }
        found.sort_by_key(|(priority, ..)| *priority);
        found
    }

    pub(crate) fn chain_named(&self, table: usize, name: &str) -> Option<usize> {
        self.tables[table].chains.get(name).copied()
    }

    /// How a match of `x_tables` goes for a packet at a hook that no rule has changed.
    pub(crate) fn compat_match(
        &self,
        hook: Hook,
        facts: &impl Facts,
        matched: &Match,
    ) -> Result<Matched, Need> {
        Walk::new(self, facts, hook).compat_match(matched)
    }

    pub(crate) fn rule(&self, at: At) -> &'a Rule {
        &self.tables[at.table].dump.chains[at.chain].rules[at.rule]
    }

    pub(crate) fn chain(&self, table: usize, chain: usize) -> &'a Chain {
        &self.tables[table].dump.chains[chain].chain
    }
}

impl<'a> TableProgram<'a> {
    fn new(dump: &'a TableDump) -> Self {
        let chains =
            dump.chains.iter().enumerate().map(|(at, chain)| (chain.chain.name.as_str(), at)).collect();
        let sets = dump
            .sets
            .iter()
            .map(|set| (set.set.name.as_str(), Contents::new(&set.set, &set.elements)))
            .collect();
        Self { dump, chains, sets }
    }
}

/// Whether base chains of tables of that family see the packet.
fn sees(family: Family, facts: &impl Facts) -> Result<bool, Need> {
    Ok(match family {
        Family::Inet => true,
        Family::Ip => !facts.is_ipv6()?,
        Family::Ip6 => facts.is_ipv6()?,
        Family::Arp | Family::Netdev | Family::Bridge => false,
    })
}

/// Chains of type nat see the first packet of a connection only.
fn opens_a_flow(facts: &impl Facts) -> Result<bool, Need> {
    Ok(facts.get(Field::State)? == Some(u128::from(crate::State::New.bit())))
}

impl Hook {
    /// The same in the words of `nf_tables`.
    pub(crate) const fn point(self) -> HookPoint {
        match self {
            Self::Prerouting => HookPoint::Prerouting,
            Self::Input => HookPoint::Input,
            Self::Forward => HookPoint::Forward,
            Self::Output => HookPoint::Output,
            Self::Postrouting => HookPoint::Postrouting,
        }
    }
}

/// One packet on its way.
struct Walk<'p, 'a, F> {
    program: &'p Program<'a>,
    facts: &'p F,
    /// Where it is now.
    hook: Hook,
    changes: Changes,
    ends: Ends<'a>,
    /// What the place where the packet is now depends on.
    causes: Vec<Cause>,
    base: Option<(usize, usize)>,
    steps: u32,
}

/// How a packet leaves a chain.
#[derive(Debug, Clone, Copy)]
struct Flow {
    /// Some way goes on after the chain.
    goes_on: bool,
    /// The main way goes on after the chain.
    main: bool,
}

impl<'p, 'a, F: Facts> Walk<'p, 'a, F> {
    fn new(program: &'p Program<'a>, facts: &'p F, hook: Hook) -> Self {
        Self {
            program,
            facts,
            hook,
            changes: Changes::default(),
            ends: Ends::default(),
            causes: Vec::new(),
            base: None,
            steps: 0,
        }
    }
}

impl<'a, F: Facts> Walk<'_, 'a, F> {
    /// Gives whether the packet goes on after the base chain on the main way.
    fn base_chain(&mut self, table: usize, chain: usize, main: bool) -> Result<bool, Need> {
        self.base = Some((table, chain));
        // Ends that accept only end this base chain; they become conditions of what follows.
        let before = std::mem::take(&mut self.ends.others);
        let main_before = self.ends.main.take();
        let flow = self.chain(table, chain, main, DEPTH)?;
        let policy =
            self.program.chain(table, chain).hook.as_ref().map_or(Policy::Accept, |hook| hook.policy);
        if flow.goes_on {
            let effect = match policy {
                Policy::Accept => Effect::Accept,
                Policy::Drop => Effect::Drop,
            };
            self.end(effect, None, flow.main);
        }
        let ends = std::mem::replace(&mut self.ends.others, before);
        let accepts = |end: &End<'_>| matches!(end.effect, Effect::Accept);
        let mut any_accept = false;
        for end in ends {
            if accepts(&end) {
                any_accept = true;
                self.causes.extend(end.causes);
            } else {
                self.ends.others.push(end);
            }
        }
        let accepted = match self.ends.main.take() {
            Some(end) if accepts(&end) => {
                any_accept = true;
                self.causes.extend(end.causes.iter().copied());
                // Kept as the one that decided, should no later base chain have anything to say: one without rules has not,
                // and address translation lets through what others let through.
                let dump = &self.program.tables[table].dump.chains[chain];
                let is_nat = dump.chain.hook.as_ref().is_some_and(|hook| hook.kind == ChainKind::Nat);
                let before = main_before.filter(|_| is_nat || dump.rules.is_empty());
                self.ends.main = Some(before.unwrap_or(end));
                true
            }
            Some(end) => {
                self.ends.main = Some(end);
                false
            }
            None => {
                self.ends.main = main_before;
                false
            }
        };
        self.base = any_accept.then_some((table, chain));
        Ok(accepted)
    }

    /// Whether the chain is of type nat, which a packet does not enter that a rule has taken from connection tracking.
    fn is_past_nat(&self, table: usize, chain: usize) -> bool {
        let is_nat =
            self.program.chain(table, chain).hook.as_ref().is_some_and(|hook| hook.kind == ChainKind::Nat);
        is_nat && matches!(self.changes.state, Change::To(state) if state != crate::State::New.bit())
    }

    /// All base chains have let the packet through.
    fn accepted(mut self, main: bool) -> Ends<'a> {
        let before = self.ends.main.take();
        if main {
            let by = before.as_ref().and_then(|end| end.by);
            let base = before.and_then(|end| end.base);
            self.ends.main = Some(End { effect: Effect::Accept, causes: self.causes, by, base });
        } else {
            self.ends.main = before;
            self.end(Effect::Accept, None, false);
        }
        self.ends
    }

    /// Whether no way is left that goes on to the next base chain.
    fn is_over(&self) -> bool {
        self.base.is_none()
    }

    /// The packet's way can end here.
    fn end(&mut self, effect: Effect<'a>, by: Option<At>, main: bool) {
        let end = End { effect, causes: self.causes.clone(), by, base: self.base };
        if main {
            self.ends.main = Some(end);
        } else {
            self.ends.others.push(end);
        }
    }

    fn chain(&mut self, table: usize, chain: usize, mut main: bool, depth: usize) -> Result<Flow, Need> {
        if depth == 0 {
            self.give_up(main);
            return Ok(Flow { goes_on: false, main: false });
        }
        let program = self.program;
        let (mut leaves, mut main_leaves) = (false, false);
        for rule in 0..program.tables[table].dump.chains[chain].rules.len() {
            self.steps += 1;
            if self.steps > STEPS {
                self.give_up(main);
                return Ok(Flow { goes_on: leaves, main: main_leaves });
            }
            let at = At { table, chain, rule };
            let causes_before = self.causes.len();
            let Some(outcome) = self.rule(at, leaves)? else {
                self.causes.truncate(causes_before);
                continue;
            };
            let on_main = main && outcome.assumed;
            if on_main {
                self.ends.crossed.push(at);
            }
            let mut falls_through = !outcome.certain;
            let mut main_falls_through = main && !on_main;
            for (nth, effect) in outcome.effects.iter().enumerate() {
                // Where one of several must happen, the main way takes the first.
                let on_main = on_main && nth == 0;
                match effect {
                    Effect::Continue => {
                        falls_through = true;
                        main_falls_through |= on_main;
                    }
                    Effect::Return => {
                        leaves = true;
                        main_leaves |= on_main;
                    }
                    Effect::Jump(name) => {
                        let flow = self.enter(table, name, on_main, depth)?;
                        falls_through |= flow.goes_on;
                        main_falls_through |= flow.main;
                    }
                    Effect::Goto(name) => {
                        let flow = self.enter(table, name, on_main, depth)?;
                        leaves |= flow.goes_on;
                        main_leaves |= flow.main;
                    }
                    Effect::Accept | Effect::Drop | Effect::Reject(_) | Effect::Queue(_) => {
                        self.end(effect.clone(), Some(at), on_main);
                    }
                }
            }
            self.causes.truncate(causes_before);
            main = main_falls_through;
            if !falls_through {
                return Ok(Flow { goes_on: leaves, main: main_leaves });
            }
        }
        Ok(Flow { goes_on: true, main: main || main_leaves })
    }

    fn enter(&mut self, table: usize, name: &str, main: bool, depth: usize) -> Result<Flow, Need> {
        if let Some(&chain) = self.program.tables[table].chains.get(name) {
            return self.chain(table, chain, main, depth - 1);
        }
        self.give_up(main);
        Ok(Flow { goes_on: true, main: false })
    }

    /// From here anything may happen.
    fn give_up(&mut self, main: bool) {
        self.causes.push(Cause::TooLong);
        self.end(Effect::Drop, None, main);
        self.end(Effect::Accept, None, false);
        self.causes.pop();
    }
}
