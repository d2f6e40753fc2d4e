//! `-m recent`: lists of addresses that were seen lately.

use std::net::IpAddr;

use crate::Side;

/// Lists of addresses that were seen lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recent {
    /// Whether `!` stands before the action.
    pub negated: bool,
    /// What is done.
    pub action: RecentAction,
    /// `--seconds`: seen within so many.
    pub seconds: Option<u32>,
    /// `--reap`: older entries go.
    pub reap: bool,
    /// `--hitcount`: seen so many times.
    pub hit_count: Option<u32>,
    /// `--rttl`: with the same time to live.
    pub rttl: bool,
    /// `--name`; `DEFAULT` when it is left out.
    pub name: String,
    /// `--mask`; all bits when it is left out.
    pub mask: IpAddr,
    /// `--rsource`, `--rdest`.
    pub side: Side,
}

/// What [`Recent`] does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecentAction {
    /// `--set`: write the address down; matches always.
    Set,
    /// `--rcheck`: is it in the list?
    Check,
    /// `--update`: is it in the list? Then write it down again.
    Update,
    /// `--remove`: is it in the list? Then strike it out.
    Remove,
}
