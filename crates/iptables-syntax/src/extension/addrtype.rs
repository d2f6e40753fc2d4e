//! `-m addrtype`: what the routing table says of an address.

use crate::Negatable;
use crate::parse::Failure;
use crate::parse::options::{Args, Kind, flag, value};
use crate::{Family, Match, print};
use std::fmt::{self, Formatter};

/// Kinds of addresses, as the routing table has them. At least one of the two is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addrtype {
    /// `--src-type`.
    pub source: Option<Negatable<AddressTypes>>,
    /// `--dst-type`.
    pub destination: Option<Negatable<AddressTypes>>,
    /// `--limit-iface-in`: asked for the interface by which the packet came.
    pub limit_input: bool,
    /// `--limit-iface-out`: asked for the interface by which the packet goes.
    pub limit_output: bool,
}

/// A set of kinds: the bits are the kernel's (`1 << RTN_*`, `linux/rtnetlink.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AddressTypes(pub u16);

impl AddressTypes {
    /// The names, by bit.
    pub const NAMES: [&'static str; 12] = [
        "UNSPEC",
        "UNICAST",
        "LOCAL",
        "BROADCAST",
        "ANYCAST",
        "MULTICAST",
        "BLACKHOLE",
        "UNREACHABLE",
        "PROHIBIT",
        "THROW",
        "NAT",
        "XRESOLVE",
    ];
    /// An address of this machine (`RTN_LOCAL`).
    pub const LOCAL: Self = Self(1 << 2);
}

const SOURCE: u8 = 0;
const DESTINATION: u8 = 1;
const INPUT: u8 = 2;
const OUTPUT: u8 = 3;

pub(crate) const KIND: Kind = Kind::matching(
    "addrtype",
    &[
        value("src-type", SOURCE).not(),
        value("dst-type", DESTINATION).not(),
        flag("limit-iface-in", INPUT).group(1),
        flag("limit-iface-out", OUTPUT).group(1),
    ],
    |args| {
        Ok(Match::Addrtype(Addrtype {
            source: types(args, SOURCE)?,
            destination: types(args, DESTINATION)?,
            limit_input: args.flag(INPUT),
            limit_output: args.flag(OUTPUT),
        }))
    },
)
.one_of(1 << SOURCE | 1 << DESTINATION);

/// BROADCAST, BLACKHOLE, and PROHIBIT and all behind it.
const NOT_IPV6: u16 = 1 << 3 | 1 << 6 | 0xff00;

fn types(args: &Args<'_>, id: u8) -> Result<Option<Negatable<AddressTypes>>, Failure> {
    let Some(used) = args.get(id) else { return Ok(None) };
    let bits = args.bits(used, args.text(used), &AddressTypes::NAMES, "kinds of addresses")?;
    if args.family == Family::Ipv6 && bits & NOT_IPV6 != 0 {
        return Err(args.expected(
            used,
            "kinds that IPv6 has (UNSPEC, UNICAST, LOCAL, ANYCAST, MULTICAST, UNREACHABLE)",
        ));
    }
    Ok(Some(used.with(AddressTypes(bits))))
}

impl Addrtype {
    pub(crate) fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (name, types) in [("--src-type ", self.source), ("--dst-type ", self.destination)] {
            if let Some(types) = types {
                print::option(f, types.negated, name)?;
                print::bits(f, types.value.0, &AddressTypes::NAMES)?;
            }
        }
        print::flag(f, "--limit-iface-in", self.limit_input)?;
        print::flag(f, "--limit-iface-out", self.limit_output)
    }
}
