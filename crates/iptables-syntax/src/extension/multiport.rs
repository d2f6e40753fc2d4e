//! `-m multiport`: lists of ports.

use crate::parse::number::port;
use crate::parse::options::{Kind, value};
use crate::{Interval, Match, print};
use crate::{Negatable, PortRange};
use std::fmt::{self, Formatter};

/// At most 15 ports, of which a range counts as two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multiport {
    /// Which port is meant.
    pub side: PortSide,
    /// The ports.
    pub ports: Negatable<Vec<PortRange>>,
}

/// Which port is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PortSide {
    /// `--sports`.
    Source,
    /// `--dports`.
    Destination,
    /// `--ports`: one of the two.
    Either,
}

const MAXIMUM: usize = 15;

pub(crate) const KIND: Kind = Kind::matching(
    "multiport",
    &[
        value("source-ports", 0).not().group(1),
        value("sports", 0).not().group(1),
        value("destination-ports", 1).not().group(1),
        value("dports", 1).not().group(1),
        value("ports", 2).not().group(1),
    ],
    |args| {
        if !args.is_protocol(&[6, 17, 33, 132, 136]) {
            return Err(args.wrong("multiport looks at ports: expected -p tcp, udp, udplite, sctp or dccp"));
        }
        let used = args.all().next().ok_or_else(|| args.wrong("expected --dports"))?;
        let mut ports = Vec::with_capacity(args.text(used).len() / 5 + 1);
        let mut count = 0;
        for part in args.text(used).split(',') {
            let range = if let Some((first, last)) = part.split_once(':') {
                count += 2;
                port(first).zip(port(last)).filter(|(first, last)| first < last)
            } else {
                count += 1;
                port(part).map(|port| (port, port))
            };
            let (first, last) =
                args.require(used, range, "ports with ',' between them and ranges such as 1024:65535")?;
            ports.push(Interval { first, last });
        }
        if count > MAXIMUM {
            return Err(args.expected(used, "at most 15 ports, of which a range counts as two"));
        }
        let side = match used.id {
            0 => PortSide::Source,
            1 => PortSide::Destination,
            _ => PortSide::Either,
        };
        Ok(Match::Multiport(Multiport { side, ports: used.with(ports) }))
    },
)
.one_of(7);

impl Multiport {
    pub(crate) fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = match self.side {
            PortSide::Source => "--sports",
            PortSide::Destination => "--dports",
            PortSide::Either => "--ports",
        };
        print::option(f, self.ports.negated, name)?;
        for (index, ports) in self.ports.value.iter().enumerate() {
            write!(f, "{}{ports}", if index == 0 { ' ' } else { ',' })?;
        }
        Ok(())
    }
}
