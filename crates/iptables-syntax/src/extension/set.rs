//! `-m set`, `-j SET`: an `ipset`.

use crate::{Negatable, Side};

/// An `ipset`, and which parts of the packet are looked up in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetUse {
    /// Its name.
    pub name: String,
    /// One part for each dimension of the set, at most 6.
    pub parts: Vec<Side>,
}

/// Whether the packet is in an `ipset`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// `--match-set`.
    pub set: Negatable<SetUse>,
    /// `--return-nomatch`.
    pub return_nomatch: bool,
    /// `! --update-counters`.
    pub skip_counters: bool,
    /// `! --update-subcounters`.
    pub skip_subcounters: bool,
    /// `--packets-eq`, `-lt`, `-gt`.
    pub packets: Option<Counted>,
    /// `--bytes-eq`, `-lt`, `-gt`.
    pub bytes: Option<Counted>,
}

/// What the counter of an element is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// How.
    pub comparison: Comparison,
    /// With what.
    pub value: u64,
}

/// How a number is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// Equal.
    Equal,
    /// Not equal.
    NotEqual,
    /// Less.
    Less,
    /// Greater.
    Greater,
}

/// Changes an `ipset`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SetTarget {
    /// `--add-set`.
    pub add: Option<SetUse>,
    /// `--del-set`.
    pub delete: Option<SetUse>,
    /// `--map-set`.
    pub map: Option<SetUse>,
    /// `--exist`.
    pub exist: bool,
    /// `--timeout`, in seconds.
    pub timeout: Option<u32>,
    /// `--map-mark`.
    pub map_mark: bool,
    /// `--map-prio`.
    pub map_priority: bool,
    /// `--map-queue`.
    pub map_queue: bool,
}
