//! `-m icmp`, `-m icmp6`: type and code.

use crate::parse::Failure;
use crate::parse::number::number;
use crate::parse::options::{Args, Kind, Used, value};
use crate::{Family, Match, print};
use crate::{Interval, Negatable};
use std::fmt::{self, Formatter};

/// Type and code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Icmp {
    /// `--icmp-type`, `--icmpv6-type`.
    pub kind: Negatable<IcmpType>,
}

/// A type with its codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IcmpType {
    /// The type; `None`: any (IPv4 alone).
    pub number: Option<u8>,
    /// The codes.
    pub codes: Interval<u8>,
}

pub(crate) const KIND: Kind =
    Kind::matching("icmp", &[value("icmp-type", 0).not()], |args| read(args, 1, V4).map(Match::Icmp))
        .required(1)
        .only(Family::Ipv4);

pub(crate) const KIND6: Kind =
    Kind::matching("icmp6", &[value("icmpv6-type", 0).not()], |args| read(args, 58, V6).map(Match::Icmp6))
        .required(1)
        .only(Family::Ipv6);

/// A name, its type, and its code where it is one alone.
type Name = (&'static str, u8, Option<u8>);

const V4: &[Name] = &[
    ("echo-reply", 0, None),
    ("pong", 0, None),
    ("destination-unreachable", 3, None),
    ("network-unreachable", 3, Some(0)),
    ("host-unreachable", 3, Some(1)),
    ("protocol-unreachable", 3, Some(2)),
    ("port-unreachable", 3, Some(3)),
    ("fragmentation-needed", 3, Some(4)),
    ("source-route-failed", 3, Some(5)),
    ("network-unknown", 3, Some(6)),
    ("host-unknown", 3, Some(7)),
    ("network-prohibited", 3, Some(9)),
    ("host-prohibited", 3, Some(10)),
    ("TOS-network-unreachable", 3, Some(11)),
    ("TOS-host-unreachable", 3, Some(12)),
    ("communication-prohibited", 3, Some(13)),
    ("host-precedence-violation", 3, Some(14)),
    ("precedence-cutoff", 3, Some(15)),
    ("source-quench", 4, None),
    ("redirect", 5, None),
    ("network-redirect", 5, Some(0)),
    ("host-redirect", 5, Some(1)),
    ("TOS-network-redirect", 5, Some(2)),
    ("TOS-host-redirect", 5, Some(3)),
    ("echo-request", 8, None),
    ("ping", 8, None),
    ("router-advertisement", 9, None),
    ("router-solicitation", 10, None),
    ("time-exceeded", 11, None),
    ("ttl-exceeded", 11, None),
    ("ttl-zero-during-transit", 11, Some(0)),
    ("ttl-zero-during-reassembly", 11, Some(1)),
    ("parameter-problem", 12, None),
    ("ip-header-bad", 12, Some(0)),
    ("required-option-missing", 12, Some(1)),
    ("timestamp-request", 13, None),
    ("timestamp-reply", 14, None),
    ("address-mask-request", 17, None),
    ("address-mask-reply", 18, None),
];

const V6: &[Name] = &[
    ("destination-unreachable", 1, None),
    ("no-route", 1, Some(0)),
    ("communication-prohibited", 1, Some(1)),
    ("beyond-scope", 1, Some(2)),
    ("address-unreachable", 1, Some(3)),
    ("port-unreachable", 1, Some(4)),
    ("failed-policy", 1, Some(5)),
    ("reject-route", 1, Some(6)),
    ("packet-too-big", 2, None),
    ("time-exceeded", 3, None),
    ("ttl-exceeded", 3, None),
    ("ttl-zero-during-transit", 3, Some(0)),
    ("ttl-zero-during-reassembly", 3, Some(1)),
    ("parameter-problem", 4, None),
    ("bad-header", 4, Some(0)),
    ("unknown-header-type", 4, Some(1)),
    ("unknown-option", 4, Some(2)),
    ("echo-request", 128, None),
    ("ping", 128, None),
    ("echo-reply", 129, None),
    ("pong", 129, None),
    ("mld-listener-query", 130, None),
    ("mld-listener-report", 131, None),
    ("mld-listener-done", 132, None),
    ("mld-listener-reduction", 132, None),
    ("router-solicitation", 133, None),
    ("router-advertisement", 134, None),
    ("neighbour-solicitation", 135, None),
    ("neighbor-solicitation", 135, None),
    ("neighbour-advertisement", 136, None),
    ("neighbor-advertisement", 136, None),
    ("redirect", 137, None),
];

fn read(args: &Args<'_>, protocol: u8, names: &[Name]) -> Result<Icmp, Failure> {
    if !args.is_protocol(&[protocol]) {
        let name = if protocol == 1 { "icmp" } else { "ipv6-icmp" };
        return Err(args.wrong(&format!("this match looks at one protocol: expected -p {name}")));
    }
    let used = args.get(0).ok_or_else(|| args.wrong("expected a type"))?;
    Ok(Icmp { kind: used.with(kind(args, used, names)?) })
}

/// A name, which may be cut short as long as it is one alone; or a number, with or without a code.
fn kind(args: &Args<'_>, used: &Used, names: &[Name]) -> Result<IcmpType, Failure> {
    const ANY: Interval<u8> = Interval::new(0, 255);
    let text = args.text(used);
    let v4 = args.family == Family::Ipv4;
    if v4 && text.eq_ignore_ascii_case("any") {
        return Ok(IcmpType { number: None, codes: ANY });
    }
    let fits = |name: &str| name.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text));
    let mut named = names.iter().filter(|(name, ..)| !text.is_empty() && fits(name));
    let exact = names.iter().find(|(name, ..)| name.eq_ignore_ascii_case(text));
    let found = match (exact, named.next(), named.next()) {
        (Some(exact), ..) => Some(exact),
        (None, Some(_), Some(_)) => return Err(args.expected(used, "a type by its whole name")),
        (None, one, _) => one,
    };
    if let Some((_, number, code)) = found {
        return Ok(IcmpType { number: Some(*number), codes: code.map_or(ANY, Interval::one) });
    }
    let byte = |text| number(text, 255).and_then(|value| u8::try_from(value).ok());
    let parts = match text.split_once('/') {
        Some((number, code)) => byte(number).zip(byte(code).map(Interval::one)),
        None => byte(text).map(|number| (number, ANY)),
    };
    let (number, codes) =
        args.require(used, parts, "a type by its name or number, or a number, '/' and a code")?;
    Ok(IcmpType { number: (!v4 || number != 255).then_some(number), codes })
}

impl Icmp {
    pub(crate) fn print(self, f: &mut Formatter<'_>, name: &str) -> fmt::Result {
        print::option(f, self.kind.negated, name)?;
        let IcmpType { number, codes } = self.kind.value;
        match number {
            None => f.write_str(" any"),
            Some(number) if codes == Interval::new(0, 255) => write!(f, " {number}"),
            Some(number) => write!(f, " {number}/{}", codes.first),
        }
    }
}
