//! A table into the kernel, in one piece.
//!
//! The table is never deleted to be made anew: where a verdict map dispatches, that loses packets. In one batch, the
//! chains that changed are flushed and filled again, sets and maps change by the elements that differ, and what is used
//! no longer goes. The elements of sets that live by themselves (those with a timeout, or filled by rules) stay as they
//! are. The kernel makes the batch as a whole or not at all, and refuses it if anyone changed the ruleset meanwhile.

use std::collections::{HashMap, HashSet};

use nf_tables::{
    Batch, ChainDump, ChainId, Connection, Element, Expression, Ignore, Objref, Rule, Set, SetDump, SetFlags,
    TableDump, TableId,
};

use crate::compare::{Difference, compare};
use crate::compile::Compiled;
use crate::contents::Contents;

/// What can go wrong when a table is loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The kernel refused, or could not be asked. Nothing was changed.
    #[error("{0}")]
    Kernel(#[from] nf_tables::Error),
    /// The ruleset is not of the generation any more that the caller decided on. Nothing was changed.
    #[error("somebody changed the ruleset meanwhile: it is at generation {actual}, not {expected}")]
    Stale {
        /// The generation that the caller saw.
        expected: u32,
        /// The generation now.
        actual: u32,
    },
    /// A saved table holds named counters, quotas or limits, which this crate does not make. Nothing was changed.
    #[error("the saved table has named objects ({0}), which cannot be restored")]
    NamedObjects(String),
    /// What the kernel holds after the commit is not what was meant.
    #[error("the kernel does not hold what was loaded; first difference: {}", .0.first().map(ToString::to_string).unwrap_or_default())]
    Different(Vec<Difference>),
}

/// A table that was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The generation at which the kernel held the table as it was meant.
    pub generation: u32,
    /// How many netlink messages it took; 0 where nothing had to change.
    pub messages: usize,
}

/// How often a load that is bound to no generation starts anew when others change the ruleset meanwhile.
const ATTEMPTS: u32 = 5;

/// Puts the table into the kernel in place of what it holds under that name, and reads it back.
///
/// Writes nothing where the kernel already holds it. With `expected_generation`, the change is refused unless the ruleset
/// is still of that generation.
///
/// # Errors
/// See [`LoadError`]. Except for [`LoadError::Different`], nothing was changed.
pub fn load(
    connection: &mut Connection,
    compiled: &Compiled,
    expected_generation: Option<u32>,
) -> Result<Loaded, LoadError> {
    exchange(connection, &compiled.table().id(), Some(compiled.table()), expected_generation)
}

/// Takes the table away, if it is there.
///
/// # Errors
/// As [`load`].
pub fn unload(
    connection: &mut Connection,
    table: &TableId,
    expected_generation: Option<u32>,
) -> Result<Loaded, LoadError> {
    exchange(connection, table, None, expected_generation)
}

/// Puts the table back to a saved dump; `None` for a table that was not there.
///
/// Where a set of elements that go by themselves is still there, its elements stay as they are now; where it is not, it
/// gets the saved ones with the time that they had left.
///
/// # Errors
/// As [`load`], and [`LoadError::NamedObjects`].
pub fn restore(
    connection: &mut Connection,
    table: &TableId,
    saved: Option<&TableDump>,
    expected_generation: Option<u32>,
) -> Result<Loaded, LoadError> {
    exchange(connection, table, saved, expected_generation)
}

fn exchange(
    connection: &mut Connection,
    id: &TableId,
    wanted: Option<&TableDump>,
    expected: Option<u32>,
) -> Result<Loaded, LoadError> {
    if let Some(object) = wanted.and_then(|dump| dump.objects.first()) {
        return Err(LoadError::NamedObjects(object.name.clone()));
    }
    let mut attempt = 1;
    loop {
        let generation = connection.generation()?;
        if let Some(expected) = expected.filter(|&expected| expected != generation) {
            return Err(LoadError::Stale { expected, actual: generation });
        }
        let current = connection.dump_table(id)?;
        let mut batch = Batch::new();
        batch.at_generation(generation);
        change(&mut batch, id, current.as_ref(), wanted);
        if batch.is_empty() {
            return Ok(Loaded { generation, messages: 0 });
        }
        match connection.commit(&batch) {
            Ok(()) => {
                let generation = check(connection, id, wanted)?;
                return Ok(Loaded { generation, messages: batch.len() });
            }
            Err(nf_tables::Error::Stale { .. }) if expected.is_none() && attempt < ATTEMPTS => attempt += 1,
            Err(nf_tables::Error::Stale { .. }) => {
                let actual = connection.generation()?;
                return Err(LoadError::Stale { expected: expected.unwrap_or(generation), actual });
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads the table back; gives the generation at which it was as wanted.
fn check(connection: &mut Connection, id: &TableId, wanted: Option<&TableDump>) -> Result<u32, LoadError> {
    loop {
        let before = connection.generation()?;
        let held = connection.dump_table(id)?;
        let differences = compare(wanted, held.as_ref());
        if connection.generation()? != before {
            continue;
        }
        return if differences.is_empty() { Ok(before) } else { Err(LoadError::Different(differences)) };
    }
}

/// The messages from one state of a table to another.
pub(crate) fn change(
    batch: &mut Batch,
    id: &TableId,
    current: Option<&TableDump>,
    wanted: Option<&TableDump>,
) {
    match (current, wanted) {
        (None, None) => {}
        (Some(_), None) => batch.delete_table(id).label(format!("table {id}")),
        (None, Some(wanted)) => {
            let nothing = TableDump::new(wanted.table.clone());
            batch.add_table(&wanted.table).label(format!("table {id}"));
            Change::new(id, &nothing, wanted).write(batch);
        }
        (Some(current), Some(wanted)) => {
            if current.canonical(Ignore::STATE) == wanted.canonical(Ignore::STATE) {
                return;
            }
            if current.table.flags != wanted.table.flags {
                batch.add_table(&wanted.table).label(format!("flags of table {id}"));
            }
            Change::new(id, current, wanted).write(batch);
        }
    }
}

/// A change of a table, sorted out.
struct Change<'a> {
    id: &'a TableId,
    current: Named<'a>,
    wanted: Named<'a>,
    /// Named sets that go, or are made anew since they are of another kind.
    sets_out: HashSet<&'a str>,
    /// Chains that go, or are made anew since they stand at another hook.
    chains_out: HashSet<&'a str>,
    /// Chains whose rules change.
    chains_filled: HashSet<&'a str>,
}

/// A table whose sets and chains are found by their names.
struct Named<'a> {
    dump: &'a TableDump,
    sets: HashMap<&'a str, &'a SetDump>,
    chains: HashMap<&'a str, &'a ChainDump>,
}

impl<'a> Named<'a> {
    fn new(dump: &'a TableDump) -> Self {
        Self {
            dump,
            sets: dump.sets.iter().map(|set| (set.set.name.as_str(), set)).collect(),
            chains: dump.chains.iter().map(|chain| (chain.chain.name.as_str(), chain)).collect(),
        }
    }

    fn set(&self, name: &str) -> Option<&'a SetDump> {
        self.sets.get(name).copied()
    }

    fn chain(&self, name: &str) -> Option<&'a ChainDump> {
        self.chains.get(name).copied()
    }
}

impl<'a> Change<'a> {
    fn new(id: &'a TableId, current: &'a TableDump, wanted: &'a TableDump) -> Self {
        let (current, wanted) = (Named::new(current), Named::new(wanted));
        let is_same_set =
            |dump: &SetDump| wanted.set(&dump.set.name).is_some_and(|new| same_set(&dump.set, &new.set));
        let sets_out: HashSet<_> = named_sets(current.dump)
            .filter(|dump| !is_same_set(dump))
            .map(|dump| dump.set.name.as_str())
            .collect();
        let stays = |dump: &ChainDump| {
            wanted.chain(&dump.chain.name).is_some_and(|new| same_place(&dump.chain, &new.chain))
        };
        let chains_out: HashSet<_> = current
            .dump
            .chains
            .iter()
            .filter(|dump| !stays(dump))
            .map(|dump| dump.chain.name.as_str())
            .collect();
        let remade = sets_out.iter().any(|name| wanted.set(name).is_some())
            || chains_out.iter().any(|name| wanted.chain(name).is_some());
        let chains_filled = wanted
            .dump
            .chains
            .iter()
            .filter(|new| remade || !same_rules(&current, &wanted, new))
            .map(|dump| dump.chain.name.as_str())
            .collect();
        Self { id, current, wanted, sets_out, chains_out, chains_filled }
    }

    /// Rules go first, since they hold sets and chains; then elements, since they hold chains; then sets and chains. What
    /// is new comes in the opposite order.
    fn write(&self, batch: &mut Batch) {
        for dump in self.current.dump.chains.iter().filter(|dump| !dump.rules.is_empty()) {
            let name = dump.chain.name.as_str();
            if self.chains_out.contains(name) || self.chains_filled.contains(name) {
                batch.flush_chain(&self.chain(name)).label(format!("rules of chain {name}"));
            }
        }
        for dump in named_sets(self.current.dump) {
            let name = dump.set.name.as_str();
            if self.sets_out.contains(name) {
                batch.delete_set(self.id, name).label(format!("set {name}"));
            } else if let Some(new) = self.wanted.set(name).filter(|new| !lives_by_itself(&new.set)) {
                self.elements(batch, name, &only_in(dump, new), false);
            }
        }
        for dump in &self.current.dump.chains {
            if self.chains_out.contains(dump.chain.name.as_str()) {
                batch.delete_chain(&self.chain(&dump.chain.name)).label(format!("chain {}", dump.chain.name));
            }
        }
        for dump in &self.wanted.dump.chains {
            let name = dump.chain.name.as_str();
            let held = self.current.chain(name).filter(|_| !self.chains_out.contains(name));
            if held.is_none_or(|held| policy(&held.chain) != policy(&dump.chain)) {
                batch.add_chain(self.id, &dump.chain).label(format!("chain {name}"));
            }
        }
        for dump in named_sets(self.wanted.dump) {
            let name = dump.set.name.as_str();
            match self.current.set(name).filter(|_| !self.sets_out.contains(name)) {
                None => {
                    batch.add_set(self.id, &dump.set).label(format!("set {name}"));
                    self.elements(batch, name, &dump.elements, true);
                }
                Some(held) if !lives_by_itself(&dump.set) => {
                    self.elements(batch, name, &only_in(dump, held), true);
                }
                Some(_) => {}
            }
        }
        for dump in &self.wanted.dump.chains {
            if self.chains_filled.contains(dump.chain.name.as_str()) {
                self.rules(batch, dump);
            }
        }
    }

    fn chain(&self, name: &str) -> ChainId {
        ChainId::new(self.id, name)
    }

    fn elements(&self, batch: &mut Batch, set: &str, elements: &[Element], add: bool) {
        if elements.is_empty() {
            return;
        }
        let step = if add {
            batch.add_elements(self.id, set, elements)
        } else {
            batch.delete_elements(self.id, set, elements)
        };
        step.label(format!("elements of set {set}"));
    }

    fn rules(&self, batch: &mut Batch, dump: &ChainDump) {
        let chain = self.chain(&dump.chain.name);
        for (nth, rule) in dump.rules.iter().enumerate() {
            let rule = self.with_own_sets(batch, rule);
            let what = rule.comment().unwrap_or_default();
            batch.append_rule(&chain, &rule).label(format!(
                "rule {} of chain {} {what}",
                nth + 1,
                chain.name
            ));
        }
    }

    /// The rule with the anonymous sets that it had, made anew.
    fn with_own_sets(&self, batch: &mut Batch, rule: &Rule) -> Rule {
        let mut rule = rule.clone();
        for expression in &mut rule.expressions {
            let Some((name, id)) = set_of(expression) else {
                continue;
            };
            let Some(dump) = self.wanted.set(name).filter(|dump| is_anonymous(&dump.set)) else {
                continue;
            };
            let pattern = if dump.set.data.is_some() { "__map%d" } else { "__set%d" };
            let set = Set { name: pattern.to_owned(), id: batch.fresh_set_id(), ..dump.set.clone() };
            batch.add_set(self.id, &set).label(format!("set {name}"));
            batch
                .add_anonymous_elements(self.id, &set, &dump.elements)
                .label(format!("elements of set {name}"));
            *id = Some(set.id);
            pattern.clone_into(name);
        }
        rule
    }
}

fn set_of(expression: &mut Expression) -> Option<(&mut String, &mut Option<u32>)> {
    match expression {
        Expression::Lookup(lookup) => Some((&mut lookup.set, &mut lookup.set_id)),
        Expression::Dynset(dynset) => Some((&mut dynset.set, &mut dynset.set_id)),
        Expression::Objref(Objref::Map { set, set_id, .. }) => Some((set, set_id)),
        _ => None,
    }
}

fn named_sets(dump: &TableDump) -> impl Iterator<Item = &SetDump> {
    dump.sets.iter().filter(|dump| !is_anonymous(&dump.set))
}

const fn is_anonymous(set: &Set) -> bool {
    set.flags.contains(SetFlags::ANONYMOUS)
}

/// Whether its elements come and go without us.
const fn lives_by_itself(set: &Set) -> bool {
    set.flags.contains(SetFlags::TIMEOUT) || set.flags.contains(SetFlags::EVAL)
}

fn same_set(a: &Set, b: &Set) -> bool {
    let settled = |set: &Set| Set { handle: None, id: 0, ..set.clone() };
    settled(a) == settled(b)
}

/// Whether a chain can become the other by an update: the hook is the same but for its policy.
fn same_place(a: &nf_tables::Chain, b: &nf_tables::Chain) -> bool {
    let place = |chain: &nf_tables::Chain| {
        chain.hook.clone().map(|hook| nf_tables::object::Hook { policy: nf_tables::Policy::Accept, ..hook })
    };
    place(a) == place(b) && a.flags == b.flags && a.userdata == b.userdata
}

fn policy(chain: &nf_tables::Chain) -> Option<nf_tables::Policy> {
    chain.hook.as_ref().map(|hook| hook.policy)
}

/// Whether the chain holds these rules already. Rules with sets of their own are always made anew.
fn same_rules(current: &Named<'_>, wanted: &Named<'_>, new: &ChainDump) -> bool {
    let has_own_sets = |dump: &Named<'_>, chain: &ChainDump| {
        chain.rules.iter().flat_map(|rule| &rule.expressions).any(|expression| {
            let name = set_of(&mut expression.clone()).map(|(name, _)| name.clone());
            name.is_some_and(|name| dump.set(&name).is_none_or(|dump| is_anonymous(&dump.set)))
        })
    };
    let Some(held) = current.chain(&new.chain.name) else {
        return new.rules.is_empty();
    };
    !has_own_sets(current, held)
        && !has_own_sets(wanted, new)
        && settled_rules(current.dump, held) == settled_rules(wanted.dump, new)
}

/// The rules of a chain without handles and counts.
fn settled_rules(dump: &TableDump, chain: &ChainDump) -> Vec<Rule> {
    let alone = TableDump { chains: vec![chain.clone()], ..TableDump::new(dump.table.clone()) };
    alone.canonical(Ignore::STATE).chains.pop().map(|chain| chain.rules).unwrap_or_default()
}

/// The elements of one state of a set that the other has not. Of a range both ends are given.
fn only_in(this: &SetDump, other: &SetDump) -> Vec<Element> {
    type Key<'e> = (Vec<u8>, Vec<u8>, Option<&'e nf_tables::Data>, Option<&'e String>, &'e [u8]);
    fn key<'e>(first: &[u8], last: &[u8], element: &'e Element) -> Key<'e> {
        (first.to_vec(), last.to_vec(), element.data.as_ref(), element.object.as_ref(), &element.userdata)
    }
    let (mine, theirs) =
        (Contents::new(&this.set, &this.elements), Contents::new(&other.set, &other.elements));
    let held: HashSet<_> =
        theirs.entries.iter().map(|entry| key(&entry.first, &entry.last, entry.element)).collect();
    let mut found: Vec<Element> = Vec::new();
    for entry in
        mine.entries.iter().filter(|entry| !held.contains(&key(&entry.first, &entry.last, entry.element)))
    {
        if this.set.flags.contains(SetFlags::INTERVAL) && !this.set.flags.contains(SetFlags::CONCAT) {
            let mut ends = Element::range(&entry.first, &entry.last);
            ends[0] = Element { expiration: None, ..entry.element.clone() };
            found.extend(ends);
        } else {
            found.push(entry.element.clone());
        }
    }
    let (catch_all, other_catch_all) = (mine.catch_all, theirs.catch_all);
    if let Some(element) =
        catch_all.filter(|element| other_catch_all.is_none_or(|other| other.data != element.data))
    {
        found.push(element.clone());
    }
    found
}
