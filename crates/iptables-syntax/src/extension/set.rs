//! `-m set`, `-j SET`: an `ipset`.

use crate::parse::Failure;
use crate::parse::options::{Args, Kind, Used, flag, saturate32, value};
use crate::{Match, Target, print};
use crate::{Negatable, Side};
use std::fmt::{self, Formatter, Write};

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

const MATCH_SET: u8 = 0;
const RETURN_NOMATCH: u8 = 1;
const UPDATE: u8 = 2;
const SUB_UPDATE: u8 = 3;
const PACKETS: u8 = 4;
const BYTES: u8 = 7;

pub(crate) const KIND: Kind = Kind::matching(
    "set",
    &[
        value("match-set", MATCH_SET).two().not(),
        value("set", MATCH_SET).two().not(),
        flag("return-nomatch", RETURN_NOMATCH),
        flag("update-counters", UPDATE).not(),
        flag("update-subcounters", SUB_UPDATE).not(),
        value("packets-eq", PACKETS).not().group(1),
        value("packets-lt", PACKETS + 1).group(1),
        value("packets-gt", PACKETS + 2).group(1),
        value("bytes-eq", BYTES).not().group(2),
        value("bytes-lt", BYTES + 1).group(2),
        value("bytes-gt", BYTES + 2).group(2),
    ],
    |args| {
        let used = args.get(MATCH_SET).ok_or_else(|| args.wrong("expected --match-set"))?;
        Ok(Match::Set(Box::new(Set {
            set: used.with(set_use(args, used)?),
            return_nomatch: args.flag(RETURN_NOMATCH),
            skip_counters: args.condition(UPDATE) == Some(false),
            skip_subcounters: args.condition(SUB_UPDATE) == Some(false),
            packets: counted(args, PACKETS)?,
            bytes: counted(args, BYTES)?,
        })))
    },
)
.required(1 << MATCH_SET);

fn set_use(args: &Args<'_>, used: &Used) -> Result<SetUse, Failure> {
    let name = Some(args.text(used)).filter(|name| (1..=31).contains(&name.len()));
    let name = args.require(used, name, "the name of a set, of at most 31 characters")?.to_owned();
    let list = args.second(used);
    let part = |part: &str| match part {
        _ if part.starts_with("src") => Some(Side::Source),
        _ if part.starts_with("dst") => Some(Side::Destination),
        _ => None,
    };
    match list.split(',').map(part).collect::<Option<Vec<_>>>() {
        Some(parts) if parts.len() <= 6 => Ok(SetUse { name, parts }),
        _ => Err(Failure::at(
            used.value + 1,
            format!("expected src and dst with ',' between them, found \"{list}\""),
        )),
    }
}

/// One of three options that follow each other: equal, less, greater.
fn counted(args: &Args<'_>, first: u8) -> Result<Option<Counted>, Failure> {
    let Some(used) = args.all().find(|used| (first..first + 3).contains(&used.id)) else { return Ok(None) };
    let comparison = match (used.id - first, used.negated) {
        (0, false) => Comparison::Equal,
        (0, true) => Comparison::NotEqual,
        (1, _) => Comparison::Less,
        _ => Comparison::Greater,
    };
    Ok(Some(Counted { comparison, value: args.number(used, 0, u64::MAX)? }))
}

impl SetUse {
    fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, " {}", print::Word(&self.name))?;
        for (index, part) in self.parts.iter().enumerate() {
            f.write_char(if index == 0 { ' ' } else { ',' })?;
            f.write_str(match part {
                Side::Source => "src",
                Side::Destination => "dst",
            })?;
        }
        Ok(())
    }
}

impl Set {
    pub(crate) fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        print::option(f, self.set.negated, "--match-set")?;
        self.set.value.print(f)?;
        print::flag(f, "--return-nomatch", self.return_nomatch)?;
        print::condition(f, "--update-counters", self.skip_counters.then_some(false))?;
        print::condition(f, "--update-subcounters", self.skip_subcounters.then_some(false))?;
        for (name, counted) in [("--packets", self.packets), ("--bytes", self.bytes)] {
            let Some(counted) = counted else { continue };
            print::option(f, counted.comparison == Comparison::NotEqual, name)?;
            let comparison = match counted.comparison {
                Comparison::Equal | Comparison::NotEqual => "eq",
                Comparison::Less => "lt",
                Comparison::Greater => "gt",
            };
            write!(f, "-{comparison} {}", counted.value)?;
        }
        Ok(())
    }
}

const EXIST: u8 = 3;
const TIMEOUT: u8 = 4;

pub(crate) const TARGET: Kind = Kind::target(
    "SET",
    &[
        value("add-set", 0).two(),
        value("del-set", 1).two(),
        value("map-set", 2).two(),
        flag("exist", EXIST),
        value("timeout", TIMEOUT),
        flag("map-mark", 5),
        flag("map-prio", 6),
        flag("map-queue", 7),
    ],
    |args| {
        let set = |id| args.get(id).map(|used| set_use(args, used)).transpose();
        let timeout =
            args.get(TIMEOUT).map(|used| args.number(used, 0, u64::from(u32::MAX) - 1)).transpose()?;
        let target = SetTarget {
            add: set(0)?,
            delete: set(1)?,
            map: set(2)?,
            exist: args.flag(EXIST),
            timeout: timeout.map(saturate32),
            map_mark: args.flag(5),
            map_priority: args.flag(6),
            map_queue: args.flag(7),
        };
        if target.add.is_none() && (target.exist || target.timeout.is_some()) {
            return Err(args.wrong("--exist and --timeout go with --add-set"));
        }
        if target.map.is_some() != (target.map_mark || target.map_priority || target.map_queue) {
            return Err(args.wrong("--map-set goes with --map-mark, --map-prio or --map-queue"));
        }
        Ok(Target::Set(Box::new(target)))
    },
)
.one_of(7);

impl SetTarget {
    pub(crate) fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(set) = &self.add {
            f.write_str(" --add-set")?;
            set.print(f)?;
        }
        print::flag(f, "--exist", self.exist)?;
        print::value(f, "--timeout", self.timeout)?;
        for (name, set) in [(" --del-set", &self.delete), (" --map-set", &self.map)] {
            if let Some(set) = set {
                f.write_str(name)?;
                set.print(f)?;
            }
        }
        print::flag(f, "--map-mark", self.map_mark)?;
        print::flag(f, "--map-prio", self.map_priority)?;
        print::flag(f, "--map-queue", self.map_queue)
    }
}
