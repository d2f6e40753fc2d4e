//! `-m udp`: ports.

use crate::parse::options::{Kind, value};
use crate::{Match, print};
use crate::{Negatable, PortRange};
use std::fmt::{self, Formatter};

/// Ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Udp {
    /// `--source-port`.
    pub source_ports: Option<Negatable<PortRange>>,
    /// `--destination-port`.
    pub destination_ports: Option<Negatable<PortRange>>,
}

pub(crate) const KIND: Kind = Kind::matching(
    "udp",
    &[
        value("dport", 1).not(),
        value("sport", 0).not(),
        value("source-port", 0).not(),
        value("destination-port", 1).not(),
    ],
    |args| {
        if !args.is_protocol(&[17]) {
            return Err(args.wrong("udp looks at one protocol: expected -p udp"));
        }
        Ok(Match::Udp(Udp { source_ports: args.ports(0)?, destination_ports: args.ports(1)? }))
    },
);

impl Udp {
    pub(crate) fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        print::negatable(f, "--sport", self.source_ports.as_ref())?;
        print::negatable(f, "--dport", self.destination_ports.as_ref())
    }
}
