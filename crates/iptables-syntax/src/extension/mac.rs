//! `-m mac`: the sender's MAC address.

use crate::Negatable;
use crate::parse::options::{Kind, value};
use crate::{Match, print};
use std::fmt::{self, Display, Formatter};

/// The sender's MAC address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mac {
    /// `--mac-source`.
    pub source: Negatable<MacAddress>,
}

/// A MAC address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MacAddress {
    /// Six bytes.
    Address([u8; 6]),
    /// What stands in a dump whose addresses were made unreadable. Lenient mode only.
    Unreadable(String),
}

pub(crate) const KIND: Kind = Kind::matching("mac", &[value("mac-source", 0).not()], |args| {
    let used = args.get(0).ok_or_else(|| args.wrong("expected --mac-source"))?;
    let text = args.text(used);
    let source = if let Some(address) = address(text) {
        MacAddress::Address(address)
    } else {
        args.odd(used, "a MAC address")?;
        MacAddress::Unreadable(text.to_owned())
    };
    Ok(Match::Mac(Mac { source: used.with(source) }))
})
.required(1);

fn address(text: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        let part = parts.next().filter(|part| matches!(part.len(), 1 | 2) && !part.starts_with('+'))?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(bytes)
}

impl Display for MacAddress {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address([a, b, c, d, e, g]) => write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}"),
            Self::Unreadable(text) => print::Word(text).fmt(f),
        }
    }
}

impl Mac {
    pub(crate) fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        print::negatable(f, "--mac-source", Some(&self.source))
    }
}
