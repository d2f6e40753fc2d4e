//! `-m recent`: lists of addresses that were seen lately.

use crate::parse::address::address;
use crate::parse::options::{Kind, flag, saturate32, value};
use crate::print::{self, Address};
use crate::{Family, Match};
use std::fmt::{self, Formatter};
use std::net::IpAddr;
use std::net::{Ipv4Addr, Ipv6Addr};

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

const SECONDS: u8 = 4;
const REAP: u8 = 5;
const HITS: u8 = 6;
const RTTL: u8 = 7;
const NAME: u8 = 8;
const DESTINATION: u8 = 10;
const MASK: u8 = 11;

/// `xt_recent` counts at most so many packets for each address.
const MAXIMUM_HITS: u32 = 255;

pub(crate) const KIND: Kind = Kind::matching(
    "recent",
    &[
        flag("set", 0).not().group(1),
        flag("rcheck", 1).not().group(1),
        flag("update", 2).not().group(1),
        flag("remove", 3).not().group(1),
        value("seconds", SECONDS),
        flag("reap", REAP),
        value("hitcount", HITS),
        flag("rttl", RTTL),
        value("name", NAME),
        flag("rsource", 9).group(2),
        flag("rdest", DESTINATION).group(2),
        value("mask", MASK),
    ],
    |args| {
        let used = args.all().find(|used| used.id < 4).ok_or_else(|| args.wrong("expected --set"))?;
        let action = match used.id {
            0 => RecentAction::Set,
            1 => RecentAction::Check,
            2 => RecentAction::Update,
            _ => RecentAction::Remove,
        };
        if args.flag(RTTL) && matches!(action, RecentAction::Set | RecentAction::Remove) {
            return Err(args.wrong("--rttl goes with --rcheck or --update"));
        }
        if args.flag(REAP) && !args.flag(SECONDS) {
            return Err(args.wrong("--reap forgets what is older: expected --seconds with it"));
        }
        if matches!(action, RecentAction::Set | RecentAction::Remove)
            && (args.flag(SECONDS) || args.flag(HITS))
        {
            return Err(args.wrong("--seconds and --hitcount go with --rcheck or --update"));
        }
        let seconds = args.get(SECONDS).map(|used| args.number(used, 1, u32::MAX.into())).transpose()?;
        let hits = args.get(HITS).map(|used| args.u32(used)).transpose()?;
        if let Some(used) = args.get(HITS).filter(|_| hits > Some(MAXIMUM_HITS)) {
            args.odd(used, "a number that every kernel can count up to, at most 255")?;
        }
        let mask = match args.get(MASK) {
            Some(used) => args.require(
                used,
                address(args.text(used), args.family),
                "a mask that is written as an address",
            )?,
            None if args.family == Family::Ipv4 => Ipv4Addr::BROADCAST.into(),
            None => Ipv6Addr::from(u128::MAX).into(),
        };
        let name = args.string(NAME).unwrap_or("DEFAULT");
        Ok(Match::Recent(Box::new(Recent {
            negated: used.negated,
            action,
            seconds: seconds.map(saturate32),
            reap: args.flag(REAP),
            hit_count: hits.filter(|hits| *hits != 0),
            rttl: args.flag(RTTL),
            name: name.to_owned(),
            mask,
            side: if args.flag(DESTINATION) { Side::Destination } else { Side::Source },
        })))
    },
)
.one_of(0xf);

impl Recent {
    pub(crate) fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let action = match self.action {
            RecentAction::Set => "--set",
            RecentAction::Check => "--rcheck",
            RecentAction::Update => "--update",
            RecentAction::Remove => "--remove",
        };
        print::option(f, self.negated, action)?;
        print::value(f, "--seconds", self.seconds)?;
        print::flag(f, "--reap", self.reap)?;
        print::value(f, "--hitcount", self.hit_count)?;
        print::flag(f, "--rttl", self.rttl)?;
        let side = match self.side {
            Side::Source => "rsource",
            Side::Destination => "rdest",
        };
        write!(f, " --name {} --mask {} --{side}", print::Word(&self.name), Address(self.mask))
    }
}
