//! `-m tos`: the type of service.

use crate::parse::number::number;
use crate::parse::options::{Kind, split_mask, value};
use crate::{Masked, Negatable};
use crate::{Match, print};
use std::fmt::{self, Formatter};

/// The type of service (IPv4) or traffic class (IPv6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tos {
    /// `--tos`.
    pub value: Negatable<Masked<u8>>,
}

const NAMES: [(&str, u8); 5] = [
    ("Minimize-Delay", 0x10),
    ("Maximize-Throughput", 0x08),
    ("Maximize-Reliability", 0x04),
    ("Minimize-Cost", 0x02),
    ("Normal-Service", 0x00),
];

pub(crate) const KIND: Kind = Kind::matching("tos", &[value("tos", 0).not()], |args| {
    let used = args.get(0).ok_or_else(|| args.wrong("expected --tos"))?;
    let text = args.text(used);
    let value = if let Some((_, value)) = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
        Some(Masked { value: *value, mask: 0x3f })
    } else {
        let (value, mask) = split_mask(text);
        let byte = |text| number(text, 255).and_then(|value| u8::try_from(value).ok());
        byte(value).zip(mask.map_or(Some(0xff), byte)).map(|(value, mask)| Masked { value, mask })
    };
    let value = args.require(
        used,
        value,
        "a byte, with or without '/' and a mask, or a name such as Minimize-Delay",
    )?;
    Ok(Match::Tos(Tos { value: used.with(value) }))
})
.required(1);

impl Tos {
    pub(crate) fn print(self, f: &mut Formatter<'_>) -> fmt::Result {
        print::option(f, self.value.negated, "--tos")?;
        write!(f, " {:#04x}/{:#04x}", self.value.value.value, self.value.value.mask)
    }
}
