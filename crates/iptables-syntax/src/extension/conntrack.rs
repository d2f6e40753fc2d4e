//! `-m conntrack`: what connection tracking knows.

use crate::{AddressSpec, Interval, Negatable, PortRange, Protocol};

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
