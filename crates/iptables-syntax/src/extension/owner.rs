//! `-m owner`: the local process that sent the packet.

use crate::Negatable;
use crate::parse::Failure;
use crate::parse::number::leading;
use crate::parse::options::{Args, Kind, Used, flag, saturate32, value};
use crate::{Interval, Match, print};
use std::fmt::{self, Display, Formatter};

/// The local process that sent the packet. At least one condition is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owner {
    /// `--uid-owner`.
    pub user: Option<Negatable<OwnerId>>,
    /// `--gid-owner`.
    pub group: Option<Negatable<OwnerId>>,
    /// `--socket-exists`; `Some(false)` is the negated condition.
    pub socket_exists: Option<bool>,
    /// `--suppl-groups`: supplementary groups count, too.
    pub supplementary: bool,
}

/// A user or a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OwnerId {
    /// Numbers from the first to the last.
    Numbers(Interval<u32>),
    /// A name, which `iptables` looks up when it loads the rule. `root` is read as 0.
    Name(String),
}

const USER: u8 = 0;
const GROUP: u8 = 1;
const SOCKET: u8 = 2;
const SUPPLEMENTARY: u8 = 3;

pub(crate) const KIND: Kind = Kind::matching(
    "owner",
    &[
        value("uid-owner", USER).not(),
        value("gid-owner", GROUP).not(),
        flag("socket-exists", SOCKET).not(),
        flag("suppl-groups", SUPPLEMENTARY),
        value("pid-owner", 4).not().opaque(),
        value("sid-owner", 5).not().opaque(),
        value("cmd-owner", 6).not().opaque(),
    ],
    |args| {
        let mut owner = Owner { socket_exists: args.condition(SOCKET), ..Owner::default() };
        for used in args.all() {
            match used.id {
                USER => owner.user = Some(used.with(id(args, used)?)),
                GROUP => owner.group = Some(used.with(id(args, used)?)),
                SUPPLEMENTARY if owner.group.is_none() => {
                    return Err(args.wrong("--suppl-groups adds to --gid-owner: expected that before it"));
                }
                SUPPLEMENTARY => owner.supplementary = true,
                _ => {}
            }
        }
        Ok(Match::Owner(Box::new(owner)))
    },
)
.one_of(0x7f);

/// A number, two with `-` or `:` between them, or a name. The last number is no user.
fn id(args: &Args<'_>, used: &Used) -> Result<OwnerId, Failure> {
    let text = args.text(used);
    let numbers = |text| {
        let (first, rest) = leading(text)?;
        let last = match rest.strip_prefix(['-', ':']) {
            Some(rest) => leading(rest).filter(|(_, rest)| rest.is_empty())?.0,
            None => Some(first).filter(|_| rest.is_empty())?,
        };
        let fits = first < u32::MAX.into() && last < u32::MAX.into();
        fits.then(|| Interval { first: saturate32(first), last: saturate32(last) })
    };
    if let Some(numbers) = numbers(text) {
        return Ok(OwnerId::Numbers(numbers));
    }
    let first = |letter: char| letter.is_ascii_alphabetic() || letter == '_';
    let inner = |letter: char| letter.is_ascii_alphanumeric() || "_-.$@\\".contains(letter);
    match text {
        "root" => Ok(OwnerId::Numbers(Interval::one(0))),
        _ if text.starts_with(first) && text.chars().all(inner) => Ok(OwnerId::Name(text.to_owned())),
        _ => Err(args.expected(used, "a number or a name, or two numbers with '-' between them")),
    }
}

impl Display for OwnerId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Numbers(Interval { first, last }) if first == last => write!(f, "{first}"),
            Self::Numbers(Interval { first, last }) => write!(f, "{first}-{last}"),
            Self::Name(name) => print::Word(name).fmt(f),
        }
    }
}

impl Owner {
    pub(crate) fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        print::condition(f, "--socket-exists", self.socket_exists)?;
        print::negatable(f, "--uid-owner", self.user.as_ref())?;
        print::negatable(f, "--gid-owner", self.group.as_ref())?;
        print::flag(f, "--suppl-groups", self.supplementary)
    }
}
