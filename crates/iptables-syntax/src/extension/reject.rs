//! `-j REJECT`: the packet is dropped and its sender is told.

use crate::parse::options::{Kind, value};
use crate::{Family, Target};
use std::fmt::{self, Formatter};

/// The packet is dropped and its sender is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reject {
    /// `--reject-with`; the port is unreachable when it is left out.
    pub with: RejectWith,
}

/// What the sender is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectWith {
    /// `icmp-net-unreachable`.
    NetUnreachable,
    /// `icmp-host-unreachable`.
    HostUnreachable,
    /// `icmp-proto-unreachable`.
    ProtocolUnreachable,
    /// `icmp-port-unreachable`.
    PortUnreachable,
    /// `icmp-net-prohibited`.
    NetProhibited,
    /// `icmp-host-prohibited`.
    HostProhibited,
    /// `icmp-admin-prohibited`.
    AdminProhibited,
    /// `icmp6-no-route`.
    NoRoute6,
    /// `icmp6-adm-prohibited`.
    AdminProhibited6,
    /// `icmp6-addr-unreachable`.
    AddressUnreachable6,
    /// `icmp6-port-unreachable`.
    PortUnreachable6,
    /// `icmp6-policy-fail`.
    PolicyFail6,
    /// `icmp6-reject-route`.
    RejectRoute6,
    /// `tcp-reset`.
    TcpReset,
}

use RejectWith as With;

/// The names, by family; where a name has an old form, that follows it.
const V4: &[(&str, With)] = &[
    ("icmp-net-unreachable", With::NetUnreachable),
    ("icmp-host-unreachable", With::HostUnreachable),
    ("icmp-proto-unreachable", With::ProtocolUnreachable),
    ("icmp-port-unreachable", With::PortUnreachable),
    ("icmp-net-prohibited", With::NetProhibited),
    ("icmp-host-prohibited", With::HostProhibited),
    ("tcp-reset", With::TcpReset),
    ("icmp-admin-prohibited", With::AdminProhibited),
    ("net-unreach", With::NetUnreachable),
    ("host-unreach", With::HostUnreachable),
    ("proto-unreach", With::ProtocolUnreachable),
    ("port-unreach", With::PortUnreachable),
    ("net-prohib", With::NetProhibited),
    ("host-prohib", With::HostProhibited),
    ("tcp-rst", With::TcpReset),
    ("admin-prohib", With::AdminProhibited),
];

const V6: &[(&str, With)] = &[
    ("icmp6-no-route", With::NoRoute6),
    ("icmp6-adm-prohibited", With::AdminProhibited6),
    ("icmp6-addr-unreachable", With::AddressUnreachable6),
    ("icmp6-port-unreachable", With::PortUnreachable6),
    ("tcp-reset", With::TcpReset),
    ("icmp6-policy-fail", With::PolicyFail6),
    ("icmp6-reject-route", With::RejectRoute6),
    ("no-route", With::NoRoute6),
    ("adm-prohibited", With::AdminProhibited6),
    ("addr-unreach", With::AddressUnreachable6),
    ("port-unreach", With::PortUnreachable6),
    ("policy-fail", With::PolicyFail6),
    ("reject-route", With::RejectRoute6),
];

pub(crate) const TARGET: Kind = Kind::target("REJECT", &[value("reject-with", 0)], |args| {
    let (names, default) = match args.family {
        Family::Ipv4 => (V4, With::PortUnreachable),
        Family::Ipv6 => (V6, With::PortUnreachable6),
    };
    let Some(used) = args.get(0) else { return Ok(Target::Reject(Reject { with: default })) };
    let text = args.text(used);
    let fits = |name: &str| name.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text));
    let with = names.iter().find(|(name, _)| !text.is_empty() && fits(name)).map(|(_, with)| *with);
    let Some(with) = with else {
        let known: Vec<_> =
            names.iter().map(|(name, _)| *name).filter(|name| name.starts_with("icmp")).collect();
        return Err(args.expected(used, &format!("{} or tcp-reset", known.join(", "))));
    };
    if with == With::TcpReset && !args.is_protocol(&[6]) {
        return Err(args.expected(used, "-p tcp with tcp-reset"));
    }
    Ok(Target::Reject(Reject { with }))
});

impl RejectWith {
    /// The name behind `--reject-with`.
    pub fn name(self) -> &'static str {
        V4.iter().chain(V6).find(|(_, with)| *with == self).map_or("", |(name, _)| name)
    }
}

impl Reject {
    pub(crate) fn print(self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, " --reject-with {}", self.with.name())
    }
}
