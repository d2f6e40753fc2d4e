//! `-m pkttype`: to whom the packet was sent on the link.

use crate::Negatable;
use crate::parse::options::{Kind, value};
use crate::{Match, print};
use std::fmt::{self, Display, Formatter};

/// To whom the packet was sent on the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pkttype {
    /// `--pkt-type`.
    pub kind: Negatable<PacketType>,
}

/// The kinds that `iptables` names (`linux/if_packet.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PacketType {
    /// To this machine.
    Unicast,
    /// To all.
    Broadcast,
    /// To a group.
    Multicast,
}

const KINDS: [(&str, PacketType); 3] = [
    ("unicast", PacketType::Unicast),
    ("broadcast", PacketType::Broadcast),
    ("multicast", PacketType::Multicast),
];

pub(crate) const KIND: Kind = Kind::matching("pkttype", &[value("pkt-type", 0).not()], |args| {
    let used = args.get(0).ok_or_else(|| args.wrong("expected --pkt-type"))?;
    let text = args.text(used);
    let kind = KINDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, kind)| *kind);
    let kind = if text.eq_ignore_ascii_case("host") { Some(PacketType::Unicast) } else { kind };
    Ok(Match::Pkttype(Pkttype {
        kind: used.with(args.require(used, kind, "unicast, broadcast or multicast")?),
    }))
})
.required(1);

impl Display for PacketType {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unicast => "unicast",
            Self::Broadcast => "broadcast",
            Self::Multicast => "multicast",
        })
    }
}

impl Pkttype {
    pub(crate) fn print(self, f: &mut Formatter<'_>) -> fmt::Result {
        print::negatable(f, "--pkt-type", Some(&self.kind))
    }
}
