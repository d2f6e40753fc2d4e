//! `-j DNAT`, `SNAT`, `MASQUERADE`, `REDIRECT`: addresses and ports are rewritten.

use crate::parse::Failure;
use crate::parse::address::address;
use crate::parse::number::{number, port};
use crate::parse::options::{Args, Kind, Used, flag, value};
use crate::print::{self, Address};
use crate::{Family, Target};
use std::fmt::{self, Formatter};
use std::net::IpAddr;

use crate::{Interval, PortRange};

/// `DNAT` and `SNAT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nat {
    /// The new addresses; `None`: the address stays (`--to-destination :80`).
    pub addresses: Option<NatAddresses>,
    /// The new ports.
    pub ports: Option<NatPorts>,
    /// `--random`.
    pub random: bool,
    /// `--random-fully`.
    pub fully_random: bool,
    /// `--persistent`.
    pub persistent: bool,
}

/// One address, or the addresses from the first to the last.
pub type NatAddresses = Interval<IpAddr>;

/// New ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NatPorts {
    /// The ports.
    pub range: PortRange,
    /// Where the range of original ports begins that is mapped one to one (`DNAT --to-destination 1.1.1.1:1000-2000/3000`).
    pub base: Option<u16>,
}

/// `MASQUERADE` and `REDIRECT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Masquerade {
    /// `--to-ports`.
    pub ports: Option<PortRange>,
    /// `--random`.
    pub random: bool,
    /// `--random-fully`; `MASQUERADE` alone.
    pub fully_random: bool,
}

const TO: u8 = 0;
const RANDOM: u8 = 1;
const FULLY_RANDOM: u8 = 2;
const PERSISTENT: u8 = 3;

pub(crate) const DNAT: Kind = Kind::target(
    "DNAT",
    &[value("to-destination", TO), flag("random", RANDOM), flag("persistent", PERSISTENT)],
    |args| nat(args, true).map(|nat| Target::Dnat(Box::new(nat))),
)
.required(1);

pub(crate) const SNAT: Kind = Kind::target(
    "SNAT",
    &[
        value("to-source", TO),
        flag("random", RANDOM),
        flag("random-fully", FULLY_RANDOM),
        flag("persistent", PERSISTENT),
    ],
    |args| nat(args, false).map(|nat| Target::Snat(Box::new(nat))),
)
.required(1);

pub(crate) const MASQUERADE: Kind = Kind::target(
    "MASQUERADE",
    &[value("to-ports", TO), flag("random", RANDOM), flag("random-fully", FULLY_RANDOM)],
    |args| own_address(args).map(Target::Masquerade),
);

pub(crate) const REDIRECT: Kind =
    Kind::target("REDIRECT", &[value("to-ports", TO), flag("random", RANDOM)], |args| {
        own_address(args).map(Target::Redirect)
    });

fn nat(args: &Args<'_>, shifted: bool) -> Result<Nat, Failure> {
    const WHAT: &str = "an address or two with '-' between them, and ports behind ':'";
    let used = args.get(TO).ok_or_else(|| args.wrong("expected an address"))?;
    let text = args.text(used);
    let (addresses, ports) = args.require(used, split(text, args.family), WHAT)?;
    let addresses = if addresses.is_empty() {
        None
    } else {
        let (first, last) = addresses.split_once('-').unwrap_or((addresses, addresses));
        // Unlike elsewhere, an address may not be cut short.
        let whole = |text: &str| {
            address(text, args.family).filter(|_| text.contains(':') || text.matches('.').count() == 3)
        };
        let (first, last) = args.require(used, whole(first).zip(whole(last)), WHAT)?;
        Some(Interval { first, last })
    };
    let ports = ports.map(|text| ports_of(args, used, text, shifted)).transpose()?;
    if addresses.is_none() && ports.is_none() {
        return Err(args.expected(used, WHAT));
    }
    Ok(Nat {
        addresses,
        ports,
        random: args.flag(RANDOM),
        fully_random: args.flag(FULLY_RANDOM),
        persistent: args.flag(PERSISTENT),
    })
}

/// The addresses and the ports: IPv6 with ports stands in brackets.
fn split(text: &str, family: Family) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[').filter(|_| family == Family::Ipv6) {
        let (addresses, rest) = rest.split_once(']')?;
        return match rest {
            "" => Some((addresses, None)),
            _ => Some((addresses, Some(rest.strip_prefix(':')?))),
        };
    }
    match text.split_once(':') {
        Some((addresses, ports)) if !ports.contains(':') => Some((addresses, Some(ports))),
        _ => Some((text, None)),
    }
}

fn own_address(args: &Args<'_>) -> Result<Masquerade, Failure> {
    let ports = match args.get(TO) {
        Some(used) => Some(ports_of(args, used, args.text(used), false)?.range),
        None => None,
    };
    Ok(Masquerade { ports, random: args.flag(RANDOM), fully_random: args.flag(FULLY_RANDOM) })
}

/// `80`, `80-90`, and where it is asked for `80-90/8080`. A range is made of numbers.
fn ports_of(args: &Args<'_>, used: &Used, text: &str, shifted: bool) -> Result<NatPorts, Failure> {
    if !args.is_protocol(&[6, 17, 33, 132, 1]) {
        return Err(args.expected(used, "-p tcp, udp, sctp or dccp where ports are given"));
    }
    let number = |text| number(text, u16::MAX.into()).and_then(|value| u16::try_from(value).ok());
    let ports = match text.split_once('-') {
        _ if number(text).is_some() || port(text).is_some() => {
            port(text).map(|port| NatPorts { range: Interval::one(port), base: None })
        }
        Some((first, rest)) => {
            let (last, base) = match rest.split_once('/') {
                Some((last, base)) => (last, Some(port(base).filter(|base| *base > 0 && shifted))),
                None => (rest, None),
            };
            let range = number(first).zip(number(last)).filter(|(first, last)| first <= last);
            match base {
                Some(None) => None,
                base => range
                    .map(|(first, last)| NatPorts { range: Interval { first, last }, base: base.flatten() }),
            }
        }
        None => None,
    };
    args.require(used, ports, "a port from 0 to 65535, or two with '-' between them")
}

impl Nat {
    pub(crate) fn print(&self, f: &mut Formatter<'_>, name: &str) -> fmt::Result {
        write!(f, " {name} ")?;
        if let Some(Interval { first, last }) = self.addresses {
            let brackets = self.ports.is_some() && first.is_ipv6();
            f.write_str(if brackets { "[" } else { "" })?;
            write!(f, "{}", Address(first))?;
            if first != last {
                write!(f, "-{}", Address(last))?;
            }
            f.write_str(if brackets { "]" } else { "" })?;
        }
        if let Some(ports) = self.ports {
            f.write_str(":")?;
            range(f, ports.range)?;
            if let Some(base) = ports.base {
                write!(f, "/{base}")?;
            }
        }
        print::flag(f, "--random", self.random)?;
        print::flag(f, "--random-fully", self.fully_random)?;
        print::flag(f, "--persistent", self.persistent)
    }
}

impl Masquerade {
    pub(crate) fn print(self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(ports) = self.ports {
            f.write_str(" --to-ports ")?;
            range(f, ports)?;
        }
        print::flag(f, "--random", self.random)?;
        print::flag(f, "--random-fully", self.fully_random)
    }
}

fn range(f: &mut Formatter<'_>, ports: PortRange) -> fmt::Result {
    write!(f, "{}", ports.first)?;
    if ports.is_one() { Ok(()) } else { write!(f, "-{}", ports.last) }
}
