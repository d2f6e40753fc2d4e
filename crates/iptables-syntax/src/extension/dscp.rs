//! `-m dscp`: the differentiated services code point.

use crate::Negatable;
use crate::parse::options::{Kind, value};
use crate::{Match, print};
use std::fmt::{self, Formatter};

/// The differentiated services code point, at most 0x3f.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dscp {
    /// `--dscp`, `--dscp-class`.
    pub value: Negatable<u8>,
}

pub(crate) const KIND: Kind = Kind::matching(
    "dscp",
    &[value("dscp", 0).not().group(1), value("dscp-class", 1).not().group(1)],
    |args| {
        let used = args.all().next().ok_or_else(|| args.wrong("expected --dscp"))?;
        let value = match used.id {
            0 => args.u8(used, 0, 0x3f)?,
            _ => args.require(used, class(args.text(used)), "a class (BE, EF, CS0 to CS7, AF11 to AF43)")?,
        };
        Ok(Match::Dscp(Dscp { value: used.with(value) }))
    },
)
.one_of(3);

/// The code point of a class (RFC 2474, RFC 2597, RFC 3246).
fn class(name: &str) -> Option<u8> {
    let name = name.to_ascii_uppercase();
    let digit = |byte: u8, range: std::ops::RangeInclusive<u8>| {
        let digit = byte.wrapping_sub(b'0');
        range.contains(&digit).then_some(digit)
    };
    match name.as_bytes() {
        b"BE" => Some(0),
        b"EF" => Some(0x2e),
        [b'C', b'S', class] => Some(digit(*class, 0..=7)? << 3),
        [b'A', b'F', class, drop] => Some(digit(*class, 1..=4)? << 3 | digit(*drop, 1..=3)? << 1),
        _ => None,
    }
}

impl Dscp {
    pub(crate) fn print(self, f: &mut Formatter<'_>) -> fmt::Result {
        print::option(f, self.value.negated, "--dscp")?;
        write!(f, " {:#04x}", self.value.value)
    }
}
