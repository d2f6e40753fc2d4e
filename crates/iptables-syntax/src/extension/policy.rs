//! `-m policy`: `IPsec` policies.

use crate::Match;
use crate::parse::Failure;
use crate::parse::address::with_mask;
use crate::parse::options::{Args, Kind, Used, address_of, flag, value};
use crate::print::{self, Masks};
use crate::{AddressSpec, Negatable, Protocol};
use std::fmt::{self, Display, Formatter};

/// `IPsec` policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// `--dir`: `in` where true, else `out`.
    pub inbound: bool,
    /// `--pol`: `ipsec` where true, else `none`.
    pub ipsec: bool,
    /// `--strict`: every element must be there, in this order; else any.
    pub strict: bool,
    /// The elements, at most 4.
    pub elements: Vec<PolicyElement>,
}

/// What must hold of one transformation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyElement {
    /// `--reqid`.
    pub reqid: Option<Negatable<u32>>,
    /// `--spi`.
    pub spi: Option<Negatable<u32>>,
    /// `--proto`: ah, esp or ipcomp.
    pub protocol: Option<Negatable<Protocol>>,
    /// `--mode`.
    pub mode: Option<Negatable<IpsecMode>>,
    /// `--tunnel-dst`.
    pub tunnel_destination: Option<Negatable<AddressSpec>>,
    /// `--tunnel-src`.
    pub tunnel_source: Option<Negatable<AddressSpec>>,
}

/// `--mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IpsecMode {
    /// `transport`.
    Transport,
    /// `tunnel`.
    Tunnel,
}

const DIRECTION: u8 = 0;
const POLICY: u8 = 1;
const STRICT: u8 = 2;
const NEXT: u8 = 9;

pub(crate) const KIND: Kind = Kind::matching(
    "policy",
    &[
        value("dir", DIRECTION),
        value("pol", POLICY),
        flag("strict", STRICT),
        value("reqid", 3).not().multi(),
        value("spi", 4).not().multi(),
        value("tunnel-src", 5).not().multi(),
        value("tunnel-dst", 6).not().multi(),
        value("proto", 7).not().multi(),
        value("mode", 8).not().multi(),
        flag("next", NEXT).multi(),
    ],
    read,
)
.required(1 << DIRECTION);

fn read(args: &Args<'_>) -> Result<Match, Failure> {
    let word = |id, yes: &str, no: &str, default| match args.get(id) {
        None => Ok(default),
        Some(used) if args.text(used) == yes => Ok(true),
        Some(used) if args.text(used) == no => Ok(false),
        Some(used) => Err(args.expected(used, &format!("\"{yes}\" or \"{no}\""))),
    };
    let inbound = word(DIRECTION, "in", "out", true)?;
    let ipsec = word(POLICY, "ipsec", "none", true)?;
    let strict = args.flag(STRICT);
    let mut elements = vec![PolicyElement::default()];
    for used in args.all() {
        if used.id == NEXT {
            elements.push(PolicyElement::default());
        } else if let Some(element) = elements.last_mut() {
            set(args, used, element)?;
        }
    }
    let empty = PolicyElement::default();
    if elements.len() > 4 {
        return Err(args.wrong("a policy has at most 4 elements"));
    }
    if elements.len() > 1 && !strict {
        return Err(args.wrong("--next counts elements in order: expected --strict with it"));
    }
    if !ipsec && (strict || elements.len() > 1 || elements.first() != Some(&empty)) {
        return Err(args.wrong("--pol none has no elements"));
    }
    if strict && elements.contains(&empty) {
        return Err(args.wrong("--strict asks for one of --reqid, --spi, --proto, --mode, --tunnel-src, --tunnel-dst in each element"));
    }
    let tunnel = |element: &PolicyElement| {
        element.mode == Some(Negatable::plain(IpsecMode::Tunnel))
            || element.mode == Some(Negatable::not(IpsecMode::Transport))
    };
    let addresses =
        |element: &PolicyElement| element.tunnel_source.is_some() || element.tunnel_destination.is_some();
    if elements.iter().any(|element| addresses(element) && !tunnel(element)) {
        return Err(args.wrong("--tunnel-src and --tunnel-dst are for tunnels: expected --mode tunnel"));
    }
    if elements.first() == Some(&empty) {
        elements.clear();
    }
    Ok(Match::Policy(Box::new(Policy { inbound, ipsec, strict, elements })))
}

/// Takes one option into an element; an option counts once in each.
fn set(args: &Args<'_>, used: &Used, element: &mut PolicyElement) -> Result<(), Failure> {
    let address = || {
        args.require(
            used,
            with_mask(args.text(used), args.family).filter(|address| address.prefix().is_some()),
            address_of(args.family),
        )
    };
    let twice = match used.id {
        3 => element.reqid.replace(used.with(args.u32(used)?)).is_some(),
        4 => element.spi.replace(used.with(args.u32(used)?)).is_some(),
        5 => element.tunnel_source.replace(used.with(address()?)).is_some(),
        6 => element.tunnel_destination.replace(used.with(address()?)).is_some(),
        7 => {
            let protocol = args.protocol(used)?;
            if !matches!(protocol.0, 50 | 51 | 108) {
                return Err(args.expected(used, "ah, esp or ipcomp"));
            }
            element.protocol.replace(used.with(protocol)).is_some()
        }
        8 => {
            let mode = match args.text(used) {
                "transport" => Some(IpsecMode::Transport),
                "tunnel" => Some(IpsecMode::Tunnel),
                _ => None,
            };
            element.mode.replace(used.with(args.require(used, mode, "transport or tunnel")?)).is_some()
        }
        _ => false,
    };
    if twice { Err(args.expected(used, "each option once in an element")) } else { Ok(()) }
}

impl Display for IpsecMode {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transport => "transport",
            Self::Tunnel => "tunnel",
        })
    }
}

impl Policy {
    pub(crate) fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let direction = if self.inbound { "in" } else { "out" };
        let policy = if self.ipsec { "ipsec" } else { "none" };
        write!(f, " --dir {direction} --pol {policy}")?;
        print::flag(f, "--strict", self.strict)?;
        for (index, element) in self.elements.iter().enumerate() {
            print::flag(f, "--next", index > 0)?;
            element.print(f)?;
        }
        Ok(())
    }
}

impl PolicyElement {
    fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        print::negatable(f, "--reqid", self.reqid.as_ref())?;
        if let Some(spi) = self.spi {
            print::option(f, spi.negated, "--spi")?;
            write!(f, " {:#x}", spi.value)?;
        }
        print::negatable(f, "--proto", self.protocol.as_ref())?;
        print::negatable(f, "--mode", self.mode.as_ref())?;
        for (name, address) in
            [("--tunnel-dst", &self.tunnel_destination), ("--tunnel-src", &self.tunnel_source)]
        {
            if let Some(address) = address {
                print::option(f, address.negated, name)?;
                write!(f, " {}", Masks(&address.value, false))?;
            }
        }
        Ok(())
    }
}
