//! What the kernel holds, in one piece, and the form of it in which two rulesets compare.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::expression::{CtKey, Expression, Log, Masquerade, Nat, NatFlags, Objref, Redirect};
use crate::object::{Chain, Element, Family, NamedObject, Rule, Set, SetFlags, Table, TableId};
use crate::register::Register;

/// All tables, as of one generation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ruleset {
    /// The generation; see [`crate::Connection::generation`].
    pub generation: u32,
    /// The tables, as the kernel orders them.
    pub tables: Vec<TableDump>,
}

/// A table with all that is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDump {
    /// The table.
    pub table: Table,
    /// Its chains, as the kernel orders them.
    pub chains: Vec<ChainDump>,
    /// Its sets and maps, those of single rules too.
    pub sets: Vec<SetDump>,
    /// Its named counters, quotas, limits and the like.
    pub objects: Vec<NamedObject>,
}

/// A chain with its rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainDump {
    /// The chain.
    pub chain: Chain,
    /// Its rules, in order.
    pub rules: Vec<Rule>,
}

/// A set with its elements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetDump {
    /// The set.
    pub set: Set,
    /// Its elements, in no order that means anything.
    pub elements: Vec<Element>,
}

/// What a comparison passes over, besides handles, which never count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ignore {
    /// How far counters, quotas and connection counts have come.
    pub counters: bool,
    /// How long elements still stay.
    pub expirations: bool,
    /// The elements of sets that live by themselves: those with a timeout or filled by rules.
    pub dynamic_elements: bool,
}

impl Ignore {
    /// All of it: what is left is what was configured.
    pub const STATE: Self = Self { counters: true, expirations: true, dynamic_elements: true };
}

impl Ruleset {
    /// The table of that name.
    #[must_use]
    pub fn table(&self, family: Family, name: &str) -> Option<&TableDump> {
        self.tables.iter().find(|dump| dump.table.family == family && dump.table.name == name)
    }

    /// The form in which two rulesets with the same meaning are equal; see [`TableDump::canonical`].
    #[must_use]
    pub fn canonical(&self, ignore: Ignore) -> Self {
        let mut tables: Vec<_> = self.tables.iter().map(|dump| dump.canonical(ignore)).collect();
        tables.sort_by_key(|dump| dump.table.id());
        Self { generation: 0, tables }
    }
}

impl TableDump {
    /// A table with nothing in it.
    #[must_use]
    pub fn new(table: Table) -> Self {
        Self { table, chains: Vec::new(), sets: Vec::new(), objects: Vec::new() }
    }

    /// What names the table.
    #[must_use]
    pub fn id(&self) -> TableId {
        self.table.id()
    }

    /// The chain of that name.
    #[must_use]
    pub fn chain(&self, name: &str) -> Option<&ChainDump> {
        self.chains.iter().find(|dump| dump.chain.name == name)
    }

    /// The set of that name.
    #[must_use]
    pub fn set(&self, name: &str) -> Option<&SetDump> {
        self.sets.iter().find(|dump| dump.set.name == name)
    }

    /// The form in which two tables are equal where the kernel would treat them alike: without handles and
    /// batch ids; chains, sets and elements sorted; anonymous sets named by their first use; defaults that
    /// the kernel fills in filled in; and without what `ignore` names.
    #[must_use]
    pub fn canonical(&self, ignore: Ignore) -> Self {
        let mut dump = self.clone();
        dump.table.handle = None;
        dump.table.owner = None;
        dump.chains.sort_by(|a, b| a.chain.name.cmp(&b.chain.name));
        dump.objects.sort_by(|a, b| (a.kind.0, &a.name).cmp(&(b.kind.0, &b.name)));
        for object in &mut dump.objects {
            object.handle = None;
            if ignore.counters {
                object.data.clear();
            }
        }
        let names = dump.names_by_use();
        for ChainDump { chain, rules } in &mut dump.chains {
            chain.handle = None;
            for rule in rules {
                rule.handle = None;
                rule.position = None;
                settle(&mut rule.expressions, ignore, &names);
            }
        }
        for SetDump { set, elements } in &mut dump.sets {
            if let Some(name) = names.get(&(set.name.clone(), anonymous_id(set))) {
                set.name.clone_from(name);
            }
            set.handle = None;
            set.id = 0;
            settle(&mut set.expressions, ignore, &names);
            if ignore.dynamic_elements
                && (set.flags.contains(SetFlags::TIMEOUT) || set.flags.contains(SetFlags::EVAL))
            {
                elements.clear();
            }
            for element in elements.iter_mut() {
                if ignore.expirations {
                    element.expiration = None;
                }
                settle(&mut element.expressions, ignore, &names);
            }
            elements.sort_by(|a, b| (&a.key, &a.key_end, a.flags.0).cmp(&(&b.key, &b.key_end, b.flags.0)));
        }
        dump.sets.sort_by(|a, b| a.set.name.cmp(&b.set.name));
        dump
    }

    /// New names for the anonymous sets, in the order in which rules use them.
    fn names_by_use(&self) -> Names {
        let mut names = Names::new();
        let anonymous: HashSet<&str> = self
            .sets
            .iter()
            .filter(|dump| dump.set.flags.contains(SetFlags::ANONYMOUS))
            .map(|dump| dump.set.name.as_str())
            .collect();
        let rules = self.chains.iter().flat_map(|dump| &dump.rules);
        for expression in rules.flat_map(|rule| &rule.expressions) {
            let Some((name, id)) = set_of(expression) else {
                continue;
            };
            let key = (name.clone(), id.filter(|_| is_anonymous_pattern(name)));
            if anonymous.contains(key.0.as_str()) && !names.contains_key(&key) {
                let next = format!("__anonymous{}", names.len());
                names.insert(key, next);
            }
        }
        names
    }
}

/// Anonymous sets by name and, before the kernel has named them, by id.
type Names = HashMap<(String, Option<u32>), String>;

fn is_anonymous_pattern(name: &str) -> bool {
    name.contains("%d")
}

fn anonymous_id(set: &Set) -> Option<u32> {
    is_anonymous_pattern(&set.name).then_some(set.id)
}

fn set_of(expression: &Expression) -> Option<(&String, Option<u32>)> {
    match expression {
        Expression::Lookup(lookup) => Some((&lookup.set, lookup.set_id)),
        Expression::Dynset(dynset) => Some((&dynset.set, dynset.set_id)),
        Expression::Objref(Objref::Map { set, set_id, .. }) => Some((set, *set_id)),
        _ => None,
    }
}

/// Brings expressions into the form that [`TableDump::canonical`] describes.
fn settle(expressions: &mut [Expression], ignore: Ignore, names: &Names) {
    for expression in expressions {
        if let Some((name, id)) = set_of(expression) {
            let key = (name.clone(), id.filter(|_| is_anonymous_pattern(name)));
            rename(expression, names.get(&key));
        }
        match expression {
            Expression::Counter(counter) if ignore.counters => *counter = crate::Counter::default(),
            Expression::Quota(quota) if ignore.counters => {
                quota.consumed = 0;
                quota.flags = quota.flags.without(crate::QuotaFlags::DEPLETED);
            }
            Expression::Log(log) => settle_log(log),
            Expression::Nat(nat) => settle_nat(nat),
            Expression::Masquerade(Masquerade { flags, port_min, port_max })
            | Expression::Redirect(Redirect { flags, port_min, port_max }) => {
                settle_ports(port_max, *port_min, flags);
            }
            // The protocol of both directions is one; the kernel forgets which was asked for.
            Expression::Ct(ct) if matches!(ct.key, CtKey::Protocol | CtKey::L3Protocol) => {
                ct.direction = None;
            }
            Expression::Limit(limit) if limit.burst == 0 && limit.kind == crate::LimitKind::Packets => {
                limit.burst = 5;
            }
            Expression::Dynset(dynset) => {
                dynset.timeout = dynset.timeout.filter(|timeout| !timeout.is_zero());
                settle(&mut dynset.expressions, ignore, names);
            }
            _ => {}
        }
    }
}

fn rename(expression: &mut Expression, new: Option<&String>) {
    let (name, id) = match expression {
        Expression::Lookup(lookup) => (&mut lookup.set, &mut lookup.set_id),
        Expression::Dynset(dynset) => (&mut dynset.set, &mut dynset.set_id),
        Expression::Objref(Objref::Map { set, set_id, .. }) => (set, set_id),
        _ => return,
    };
    *id = None;
    if let Some(new) = new {
        name.clone_from(new);
    }
}

/// The kernel fills in the level of a line for its own log: 4, warning.
fn settle_log(log: &mut Log) {
    if log.group.is_none() {
        log.level.get_or_insert(4);
    }
    log.flags = log.flags.filter(|&flags| flags != 0);
}

/// One address is a range of one, and what is given is flagged as given.
fn settle_nat(nat: &mut Nat) {
    nat.address_max = nat.address_max.or(nat.address_min);
    if nat.address_min.is_some() {
        nat.flags |= NatFlags::MAP_IPS;
    }
    settle_ports(&mut nat.port_max, nat.port_min, &mut nat.flags);
}

fn settle_ports(max: &mut Option<Register>, min: Option<Register>, flags: &mut NatFlags) {
    *max = max.or(min);
    if min.is_some() {
        *flags |= NatFlags::PORT_SPECIFIED;
    }
}
