//! `-m conntrack`: what connection tracking knows.

use crate::parse::options::{Kind, value};
use crate::print::Masks;
use crate::{AddressSpec, Interval, Negatable, PortRange, Protocol};
use crate::{Match, print};
use std::fmt::{self, Formatter};

/// What connection tracking knows of the packet's connection. At least one condition is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conntrack {
    /// `--ctstate`.
    pub states: Option<Negatable<CtStates>>,
    /// `--ctproto`.
    pub protocol: Option<Negatable<Protocol>>,
    /// `--ctorigsrc`.
    pub original_source: Option<Negatable<AddressSpec>>,
    /// `--ctorigdst`.
    pub original_destination: Option<Negatable<AddressSpec>>,
    /// `--ctreplsrc`.
    pub reply_source: Option<Negatable<AddressSpec>>,
    /// `--ctrepldst`.
    pub reply_destination: Option<Negatable<AddressSpec>>,
    /// `--ctorigsrcport`.
    pub original_source_ports: Option<Negatable<PortRange>>,
    /// `--ctorigdstport`.
    pub original_destination_ports: Option<Negatable<PortRange>>,
    /// `--ctreplsrcport`.
    pub reply_source_ports: Option<Negatable<PortRange>>,
    /// `--ctrepldstport`.
    pub reply_destination_ports: Option<Negatable<PortRange>>,
    /// `--ctstatus`.
    pub statuses: Option<Negatable<CtStatuses>>,
    /// `--ctexpire`, in seconds.
    pub expire: Option<Negatable<Interval<u32>>>,
    /// `--ctdir`.
    pub direction: Option<CtDirection>,
}

/// A set of states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct CtStates(pub u8);

impl CtStates {
    /// Belongs to no connection.
    pub const INVALID: Self = Self(1);
    /// Begins a connection.
    pub const NEW: Self = Self(2);
    /// Belongs to a connection that something expected.
    pub const RELATED: Self = Self(4);
    /// Belongs to a connection that was answered.
    pub const ESTABLISHED: Self = Self(8);
    /// Is not tracked.
    pub const UNTRACKED: Self = Self(16);
    /// The original source differs from the reply's destination.
    pub const SNAT: Self = Self(32);
    /// The original destination differs from the reply's source.
    pub const DNAT: Self = Self(64);
    /// The names, by bit, in the order in which `iptables` prints them.
    pub const NAMES: [&'static str; 7] =
        ["INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED", "SNAT", "DNAT"];

    /// Whether it holds every state of `other`.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A set of statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct CtStatuses(pub u8);

impl CtStatuses {
    /// None of the others.
    pub const NONE: Self = Self(1);
    /// It was expected by another connection.
    pub const EXPECTED: Self = Self(2);
    /// Packets went both ways.
    pub const SEEN_REPLY: Self = Self(4);
    /// It is not dropped early.
    pub const ASSURED: Self = Self(8);
    /// Its first packet has left the machine.
    pub const CONFIRMED: Self = Self(16);
    /// The names, by bit, in the order in which `iptables` prints them.
    pub const NAMES: [&'static str; 5] = ["NONE", "EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED"];
}

/// `--ctdir`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CtDirection {
    /// `ORIGINAL`.
    Original,
    /// `REPLY`.
    Reply,
}

pub(crate) const KIND: Kind = Kind::matching(
    "conntrack",
    &[
        value("ctstate", 0).not(),
        value("ctproto", 1).not(),
        value("ctorigsrc", 2).not(),
        value("ctorigdst", 3).not(),
        value("ctreplsrc", 4).not(),
        value("ctrepldst", 5).not(),
        value("ctorigsrcport", 6).not(),
        value("ctorigdstport", 7).not(),
        value("ctreplsrcport", 8).not(),
        value("ctrepldstport", 9).not(),
        value("ctstatus", 10).not(),
        value("ctexpire", 11).not(),
        value("ctdir", 12),
    ],
    |args| {
        let mut conntrack = Conntrack {
            original_source: args.address(2)?,
            original_destination: args.address(3)?,
            reply_source: args.address(4)?,
            reply_destination: args.address(5)?,
            original_source_ports: args.ports(6)?,
            original_destination_ports: args.ports(7)?,
            reply_source_ports: args.ports(8)?,
            reply_destination_ports: args.ports(9)?,
            ..Conntrack::default()
        };
        for used in args.all() {
            match used.id {
                0 => {
                    let states = args.prefix_bits(used, &CtStates::NAMES, "states of connections")?;
                    conntrack.states = Some(used.with(CtStates(states)));
                }
                1 => conntrack.protocol = Some(used.with(args.protocol(used)?)),
                10 => {
                    let statuses = args.prefix_bits(used, &CtStatuses::NAMES, "statuses of connections")?;
                    conntrack.statuses = Some(used.with(CtStatuses(statuses)));
                }
                11 => conntrack.expire = Some(used.with(args.interval(used, u32::MAX)?)),
                12 => {
                    let direction = match args.text(used) {
                        text if text.eq_ignore_ascii_case("ORIGINAL") => Some(CtDirection::Original),
                        text if text.eq_ignore_ascii_case("REPLY") => Some(CtDirection::Reply),
                        _ => None,
                    };
                    conntrack.direction = Some(args.require(used, direction, "ORIGINAL or REPLY")?);
                }
                _ => {}
            }
        }
        Ok(Match::Conntrack(Box::new(conntrack)))
    },
)
.one_of(0x1fff);

impl Conntrack {
    pub(crate) fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(states) = self.states {
            print::option(f, states.negated, "--ctstate ")?;
            print::bits(f, states.value.0.into(), &CtStates::NAMES)?;
        }
        if let Some(protocol) = self.protocol {
            print::option(f, protocol.negated, "--ctproto ")?;
            write!(f, "{}", protocol.value.0)?;
        }
        for (name, address) in [
            ("--ctorigsrc ", &self.original_source),
            ("--ctorigdst ", &self.original_destination),
            ("--ctreplsrc ", &self.reply_source),
            ("--ctrepldst ", &self.reply_destination),
        ] {
            if let Some(address) = address {
                print::option(f, address.negated, name)?;
                write!(f, "{}", Masks(&address.value, false))?;
            }
        }
        print::negatable(f, "--ctorigsrcport", self.original_source_ports.as_ref())?;
        print::negatable(f, "--ctorigdstport", self.original_destination_ports.as_ref())?;
        print::negatable(f, "--ctreplsrcport", self.reply_source_ports.as_ref())?;
        print::negatable(f, "--ctrepldstport", self.reply_destination_ports.as_ref())?;
        if let Some(statuses) = self.statuses {
            print::option(f, statuses.negated, "--ctstatus ")?;
            print::bits(f, statuses.value.0.into(), &CtStatuses::NAMES)?;
        }
        if let Some(expire) = self.expire {
            print::option(f, expire.negated, "--ctexpire ")?;
            write!(f, "{}", expire.value.first)?;
            if !expire.value.is_one() {
                write!(f, ":{}", expire.value.last)?;
            }
        }
        match self.direction {
            Some(CtDirection::Original) => f.write_str(" --ctdir ORIGINAL"),
            Some(CtDirection::Reply) => f.write_str(" --ctdir REPLY"),
            None => Ok(()),
        }
    }
}
