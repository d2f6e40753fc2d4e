//! Sets of packets as binary decision diagrams: ordered, reduced, each function once, so that equal sets are equal
//! numbers (Bryant 1986; complemented edges after Brace, Rudell and Bryant 1990).

use std::collections::HashMap;
use std::ops::Not;

/// A set, by its place in an [`Arena`]. The lowest bit says that it is the complement of what stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Bdd(u32);

impl Bdd {
    /// Everything.
    pub(crate) const TRUE: Self = Self(0);
    /// Nothing.
    pub(crate) const FALSE: Self = Self(1);

    pub(crate) const fn constant(value: bool) -> Self {
        if value { Self::TRUE } else { Self::FALSE }
    }

    pub(crate) const fn is_constant(self) -> bool {
        self.0 < 2
    }

    pub(crate) const fn is_false(self) -> bool {
        self.0 == 1
    }

    pub(crate) const fn is_true(self) -> bool {
        self.0 == 0
    }

    const fn is_complement(self) -> bool {
        self.0 & 1 == 1
    }

    const fn index(self) -> usize {
        (self.0 >> 1) as usize
    }
}

impl Not for Bdd {
    type Output = Self;

    fn not(self) -> Self {
        Self(self.0 ^ 1)
    }
}

/// A decision: what the set is where the variable is 0, and where it is 1. The latter is never a complement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Node {
    variable: u32,
    low: Bdd,
    high: Bdd,
}

/// Where diagrams live. It only grows, up to a limit: beyond it every new set is empty, and [`Arena::is_full`].
#[derive(Debug)]
pub(crate) struct Arena {
    nodes: Vec<Node>,
    /// Where a node stands, by its hash; 0 for free places.
    unique: Vec<u32>,
    ands: Vec<[u32; 3]>,
    ites: Vec<[u32; 4]>,
    limit: usize,
    is_full: bool,
}

/// The variable of the two constants: after all others.
const LAST: u32 = u32::MAX;
/// No result: stands for a free place in a cache.
const NONE: u32 = u32::MAX;

impl Arena {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            nodes: vec![Node { variable: LAST, low: Bdd::TRUE, high: Bdd::TRUE }],
            unique: vec![0; 1 << 13],
            ands: vec![[NONE; 3]; 1 << 13],
            ites: vec![[NONE; 4]; 1 << 11],
            limit,
            is_full: false,
        }
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.is_full
    }

    pub(crate) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// The variable that a set is decided by first; the highest number for the constants.
    pub(crate) fn variable(&self, set: Bdd) -> u32 {
        self.nodes[set.index()].variable
    }

    /// The set where its first variable is 0, and where it is 1.
    pub(crate) fn branches(&self, set: Bdd) -> (Bdd, Bdd) {
        let Node { low, high, .. } = self.nodes[set.index()];
        if set.is_complement() { (!low, !high) } else { (low, high) }
    }

    /// Where `variable` is 0 and 1, for a variable that is not after the set's first.
    fn split(&self, set: Bdd, variable: u32) -> (Bdd, Bdd) {
        if self.variable(set) == variable { self.branches(set) } else { (set, set) }
    }

    /// The packets that have the variable's bit set.
    pub(crate) fn literal(&mut self, variable: u32) -> Bdd {
        self.node(variable, Bdd::FALSE, Bdd::TRUE)
    }

    /// `low` where the variable is 0, `high` where it is 1; both have to be decided by later variables only.
    pub(crate) fn node(&mut self, variable: u32, low: Bdd, high: Bdd) -> Bdd {
        if low == high {
            return low;
        }
        if high.is_complement() {
            !self.regular(variable, !low, !high)
        } else {
            self.regular(variable, low, high)
        }
    }

    fn regular(&mut self, variable: u32, low: Bdd, high: Bdd) -> Bdd {
        let mask = self.unique.len() - 1;
        let node = Node { variable, low, high };
        let mut place = near(variable, low, high) & mask;
        loop {
            let at = self.unique[place];
            if at == 0 {
                break;
            }
            if self.nodes[at as usize] == node {
                return Bdd(at << 1);
            }
            place = (place + 1) & mask;
        }
        let Ok(at) = u32::try_from(self.nodes.len()) else { return Bdd::FALSE };
        if self.nodes.len() >= self.limit {
            self.is_full = true;
            return Bdd::FALSE;
        }
        self.nodes.push(node);
        self.unique[place] = at;
        if self.nodes.len() * 2 > self.unique.len() {
            self.grow();
        }
        Bdd(at << 1)
    }

    fn grow(&mut self) {
        let size = self.unique.len() * 2;
        self.unique = vec![0; size];
        for (at, node) in self.nodes.iter().enumerate().skip(1) {
            let mut place = near(node.variable, node.low, node.high) & (size - 1);
            while self.unique[place] != 0 {
                place = (place + 1) & (size - 1);
            }
            self.unique[place] = u32::try_from(at).unwrap_or(0);
        }
        // Results are kept for a while only; a small cache is a fast one.
        let cached = size / 4;
        if self.ands.len() < cached && cached <= 1 << 20 {
            let old = std::mem::replace(&mut self.ands, vec![[NONE; 3]; cached]);
            for entry in old.into_iter().filter(|entry| entry[0] != NONE) {
                self.ands[pair(entry[0], entry[1]) & (cached - 1)] = entry;
            }
            self.ites = vec![[NONE; 4]; cached / 4];
        }
    }

    pub(crate) fn and(&mut self, a: Bdd, b: Bdd) -> Bdd {
        if a.is_true() || a == b {
            return b;
        }
        if b.is_true() {
            return a;
        }
        if a.is_false() || b.is_false() || a == !b || self.is_full {
            return Bdd::FALSE;
        }
        let (a, b) = if a < b { (a, b) } else { (b, a) };
        let place = pair(a.0, b.0) & (self.ands.len() - 1);
        let [of_a, of_b, result] = self.ands[place];
        if of_a == a.0 && of_b == b.0 {
            return Bdd(result);
        }
        let variable = self.variable(a).min(self.variable(b));
        let ((a0, a1), (b0, b1)) = (self.split(a, variable), self.split(b, variable));
        let low = self.and(a0, b0);
        let high = self.and(a1, b1);
        let result = self.node(variable, low, high);
        let place = pair(a.0, b.0) & (self.ands.len() - 1);
        self.ands[place] = [a.0, b.0, result.0];
        result
    }

    pub(crate) fn or(&mut self, a: Bdd, b: Bdd) -> Bdd {
        !self.and(!a, !b)
    }

    /// What is in any of the sets: neighbours first, so that no large set is built again and again.
    pub(crate) fn union(&mut self, mut sets: Vec<Bdd>) -> Bdd {
        while sets.len() > 1 {
            sets = sets
                .chunks(2)
                .map(|pair| pair.iter().fold(Bdd::FALSE, |all, &set| self.or(all, set)))
                .collect();
        }
        sets.first().copied().unwrap_or(Bdd::FALSE)
    }

    /// What is in all of the sets.
    pub(crate) fn intersection(&mut self, mut sets: Vec<Bdd>) -> Bdd {
        // What is decided last first: each step then only adds on top.
        sets.sort_by_key(|&set| std::cmp::Reverse(self.variable(set)));
        sets.into_iter().fold(Bdd::TRUE, |all, set| self.and(set, all))
    }

    /// What is in `a` and not in `b`.
    pub(crate) fn minus(&mut self, a: Bdd, b: Bdd) -> Bdd {
        self.and(a, !b)
    }

    pub(crate) fn xor(&mut self, a: Bdd, b: Bdd) -> Bdd {
        self.ite(a, !b, b)
    }

    /// `then` inside of `condition`, `otherwise` outside.
    pub(crate) fn ite(&mut self, condition: Bdd, then: Bdd, otherwise: Bdd) -> Bdd {
        if condition.is_true() || then == otherwise {
            return then;
        }
        if condition.is_false() {
            return otherwise;
        }
        if condition.is_complement() {
            return self.ite(!condition, otherwise, then);
        }
        match (then, otherwise) {
            (Bdd::TRUE, _) => return self.or(condition, otherwise),
            (Bdd::FALSE, _) => return self.and(!condition, otherwise),
            (_, Bdd::FALSE) => return self.and(condition, then),
            (_, Bdd::TRUE) => return self.or(!condition, then),
            _ => {}
        }
        let first = self.variable(condition);
        let rest = self.variable(then).min(self.variable(otherwise));
        if first < rest && self.branches(condition) == (Bdd::FALSE, Bdd::TRUE) {
            return self.node(first, otherwise, then);
        }
        if self.is_full {
            return Bdd::FALSE;
        }
        let key = [condition.0, then.0, otherwise.0];
        let place = hash(key) & (self.ites.len() - 1);
        if self.ites[place][..3] == key {
            return Bdd(self.ites[place][3]);
        }
        let variable = first.min(rest);
        let (c, t, o) =
            (self.split(condition, variable), self.split(then, variable), self.split(otherwise, variable));
        let low = self.ite(c.0, t.0, o.0);
        let high = self.ite(c.1, t.1, o.1);
        let result = self.node(variable, low, high);
        let place = hash(key) & (self.ites.len() - 1);
        self.ites[place] = [key[0], key[1], key[2], result.0];
        result
    }

    /// Whether two sets have something in common.
    pub(crate) fn intersects(&self, a: Bdd, b: Bdd) -> bool {
        self.meet(a, b, &mut std::collections::HashSet::new())
    }

    fn meet(&self, a: Bdd, b: Bdd, apart: &mut std::collections::HashSet<(Bdd, Bdd)>) -> bool {
        if a.is_false() || b.is_false() || a == !b {
            return false;
        }
        if a.is_true() || b.is_true() || a == b {
            return true;
        }
        let pair = if a < b { (a, b) } else { (b, a) };
        if apart.contains(&pair) {
            return false;
        }
        let variable = self.variable(a).min(self.variable(b));
        let ((a0, a1), (b0, b1)) = (self.split(a, variable), self.split(b, variable));
        let found = self.meet(a0, b0, apart) || self.meet(a1, b1, apart);
        if !found {
            apart.insert(pair);
        }
        found
    }

    #[cfg(test)]
    /// Whether a set that gives each variable this value is the set's.
    pub(crate) fn contains(&self, mut set: Bdd, value: impl Fn(u32) -> bool) -> bool {
        while !set.is_constant() {
            let (low, high) = self.branches(set);
            set = if value(self.variable(set)) { high } else { low };
        }
        set.is_true()
    }

    /// Values of variables with which a set that is not empty is entered: those preferred, where they lead there.
    pub(crate) fn pick(&self, mut set: Bdd, preferred: impl Fn(u32) -> bool) -> HashMap<u32, bool> {
        let mut values = HashMap::new();
        while !set.is_constant() {
            let (low, high) = self.branches(set);
            let variable = self.variable(set);
            let value = if preferred(variable) { !high.is_false() } else { low.is_false() };
            values.insert(variable, value);
            set = if value { high } else { low };
        }
        values
    }

    /// The set with the variables that `settle` names dropped: replaced by a value, or by either.
    pub(crate) fn without(&mut self, set: Bdd, settle: &impl Fn(u32) -> Settle) -> Bdd {
        self.settled(set, settle, &mut HashMap::new())
    }

    fn settled(&mut self, set: Bdd, settle: &impl Fn(u32) -> Settle, seen: &mut HashMap<Bdd, Bdd>) -> Bdd {
        if set.is_constant() {
            return set;
        }
        if let Some(&result) = seen.get(&set) {
            return result;
        }
        let variable = self.variable(set);
        let (low, high) = self.branches(set);
        let result = match settle(variable) {
            Settle::Is(true) => self.settled(high, settle, seen),
            Settle::Is(false) => self.settled(low, settle, seen),
            way @ (Settle::Keep | Settle::Either) => {
                let low = self.settled(low, settle, seen);
                let high = self.settled(high, settle, seen);
                if way == Settle::Keep { self.node(variable, low, high) } else { self.or(low, high) }
            }
        };
        seen.insert(set, result);
        result
    }

    /// The variables that a set is decided by, in order.
    pub(crate) fn support(&self, set: Bdd) -> Vec<u32> {
        let mut seen = std::collections::HashSet::new();
        let mut variables = std::collections::BTreeSet::new();
        let mut open = vec![set];
        while let Some(set) = open.pop() {
            if set.is_constant() || !seen.insert(set.index()) {
                continue;
            }
            variables.insert(self.variable(set));
            let (low, high) = self.branches(set);
            open.extend([low, high]);
        }
        variables.into_iter().collect()
    }
}

/// What [`Arena::without`] does with a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settle {
    /// It stays.
    Keep,
    /// It has this value.
    Is(bool),
    /// The set holds what is in it with either value.
    Either,
}

/// Where a node is looked for. Nodes are made from the end of a path to its beginning, each of the one before: so what is made
/// together stands together, and most lookups find their place in the processor's cache.
fn near(variable: u32, low: Bdd, high: Bdd) -> usize {
    let mix = (variable as usize ^ (low.0 as usize >> 12)).wrapping_mul(0x9e37_79b9) >> 12;
    (low.0 as usize).wrapping_add(high.0 as usize * 3).wrapping_add(mix & 0xff)
}

/// The same for the result of two sets: those of one path stand together.
fn pair(a: u32, b: u32) -> usize {
    (a as usize)
        .wrapping_mul(5)
        .wrapping_add(b as usize)
        .wrapping_add((a as usize >> 10).wrapping_mul(0x9e37_79b9) >> 12)
}

fn hash(key: [u32; 3]) -> usize {
    let mut hash = u64::from(key[0]).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ u64::from(key[1])).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ hash >> 29 ^ u64::from(key[2])).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    (hash >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every function of four variables that a random formula gives, against its truth table.
    #[test]
    fn operations_do_what_their_truth_tables_say() {
        let mut arena = Arena::new(1 << 16);
        let mut known: Vec<(Bdd, u16)> = vec![(Bdd::TRUE, 0xffff), (Bdd::FALSE, 0)];
        for variable in 0..4 {
            let table = (0..16).filter(|row| row >> variable & 1 == 1).fold(0, |table, row| table | 1 << row);
            known.push((arena.literal(variable), table));
        }
        let mut seed = 7_usize;
        for _ in 0..2000 {
            let mut next = |below: usize| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (seed >> 33) % below
            };
            let count = known.len();
            let (a, b, c) = (known[next(count)], known[next(count)], known[next(count)]);
            known.extend([
                (arena.and(a.0, b.0), a.1 & b.1),
                (arena.or(a.0, b.0), a.1 | b.1),
                (arena.xor(a.0, b.0), a.1 ^ b.1),
                (arena.ite(a.0, b.0, c.0), a.1 & b.1 | !a.1 & c.1),
                (!a.0, !a.1),
            ]);
        }
        let mut by_table = HashMap::new();
        for (set, table) in known {
            for row in 0..16_u32 {
                assert_eq!(arena.contains(set, |variable| row >> variable & 1 == 1), table >> row & 1 == 1);
            }
            // Equal sets are equal numbers.
            assert_eq!(*by_table.entry(table).or_insert(set), set);
        }
    }

    #[test]
    fn variables_are_dropped_by_value_and_by_either() {
        let mut arena = Arena::new(1 << 16);
        let (a, b) = (arena.literal(0), arena.literal(1));
        let both = arena.and(a, b);
        let only =
            |of: u32, way: Settle| move |variable: u32| if variable == of { way } else { Settle::Keep };
        assert_eq!(arena.without(both, &only(0, Settle::Either)), b);
        assert_eq!(arena.without(both, &only(1, Settle::Is(true))), a);
        assert_eq!(arena.without(both, &only(1, Settle::Is(false))), Bdd::FALSE);
        assert_eq!(arena.support(both), [0, 1]);
        assert_eq!(arena.pick(!both, |_| true), HashMap::from([(0, true), (1, false)]));
    }

    #[test]
    fn beyond_its_limit_an_arena_is_full_and_nothing_grows() {
        let mut arena = Arena::new(100);
        let mut set = Bdd::FALSE;
        for variable in 0..1000 {
            let literal = arena.literal(variable);
            set = arena.xor(set, literal);
        }
        assert!(arena.is_full() && arena.nodes() <= 100);
    }
}
