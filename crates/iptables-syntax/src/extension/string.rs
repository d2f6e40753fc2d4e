//! `-m string`: a pattern within the packet.

use crate::parse::options::{Kind, Used, flag, value};
use crate::{Match, print};
use std::fmt::{self, Formatter};

/// A pattern within the packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StringMatch {
    /// Whether `!` stands before the pattern.
    pub negated: bool,
    /// `--string`, `--hex-string`: at most 128 bytes.
    pub pattern: Vec<u8>,
    /// `--algo`: `bm`, `kmp`.
    pub algorithm: String,
    /// `--from`: where the search begins, in bytes; 0 when it is left out.
    pub from: u16,
    /// `--to`: where it ends; 65535 when it is left out.
    pub to: u16,
    /// `--icase`: capital and small letters are the same.
    pub ignore_case: bool,
}

const FROM: u8 = 0;
const TO: u8 = 1;
const ALGORITHM: u8 = 2;
const STRING: u8 = 3;
const HEX: u8 = 4;
const ICASE: u8 = 5;

const MAXIMUM: usize = 128;

pub(crate) const KIND: Kind = Kind::matching(
    "string",
    &[
        value("from", FROM),
        value("to", TO),
        value("algo", ALGORITHM),
        value("string", STRING).not().group(1),
        value("hex-string", HEX).not().group(1),
        flag("icase", ICASE),
    ],
    |args| {
        let used = args
            .all()
            .find(|used| matches!(used.id, STRING | HEX))
            .ok_or_else(|| args.wrong("expected --string"))?;
        let pattern = match used.id {
            STRING => args.text(used).as_bytes().to_vec(),
            _ => args.require(used, hex(args.text(used)), "text with hexadecimal bytes between '|'")?,
        };
        if pattern.is_empty() || pattern.len() > MAXIMUM {
            return Err(args.expected(used, "a pattern of 1 to 128 bytes"));
        }
        let algorithm = args.get(ALGORITHM).ok_or_else(|| args.wrong("expected --algo"))?;
        if !matches!(args.text(algorithm), "bm" | "kmp" | "fsm") {
            return Err(args.expected(algorithm, "bm or kmp"));
        }
        let number = |id, default| args.get(id).map_or(Ok(default), |used: &Used| args.u16(used));
        let (from, to) = (number(FROM, 0)?, number(TO, u16::MAX)?);
        if from > to {
            return Err(args.wrong("the search ends before it begins: expected --from at most --to"));
        }
        Ok(Match::String(Box::new(StringMatch {
            negated: used.negated,
            pattern,
            algorithm: args.text(algorithm).to_owned(),
            from,
            to,
            ignore_case: args.flag(ICASE),
        })))
    },
)
.required(1 << ALGORITHM)
.one_of(1 << STRING | 1 << HEX);

/// Text in which `|0a 0b|` are bytes and `\` takes the next letter as it is.
fn hex(text: &str) -> Option<Vec<u8>> {
    let mut pattern = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => pattern.push(bytes.next()?),
            b'|' => loop {
                let high = match bytes.next()? {
                    b'|' => break,
                    b' ' => continue,
                    high => char::from(high).to_digit(16)?,
                };
                let low = char::from(bytes.next()?).to_digit(16)?;
                pattern.push(u8::try_from(high << 4 | low).ok()?);
            },
            _ => pattern.push(byte),
        }
    }
    Some(pattern)
}

impl StringMatch {
    pub(crate) fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let readable = self.pattern.iter().all(|byte| (b' '..=b'~').contains(byte))
            && self.pattern.last() != Some(&b'\\');
        if let Some(text) = std::str::from_utf8(&self.pattern).ok().filter(|_| readable) {
            print::option(f, self.negated, "--string ")?;
            print::quoted(f, text, "\"\\")?;
        } else {
            print::option(f, self.negated, "--hex-string \"|")?;
            for byte in &self.pattern {
                write!(f, "{byte:02x}")?;
            }
            f.write_str("|\"")?;
        }
        write!(f, " --algo {}", self.algorithm)?;
        print::value(f, "--from", Some(self.from).filter(|from| *from != 0))?;
        print::value(f, "--to", Some(self.to).filter(|to| *to != u16::MAX))?;
        print::flag(f, "--icase", self.ignore_case)
    }
}
