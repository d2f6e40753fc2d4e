//! The options of a rule itself, as `getopt` has them.

/// The options of a rule itself, whichever way they are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Core {
    Append,
    Insert,
    Replace,
    Delete,
    Check,
    Policy,
    New,
    Flush,
    DeleteChain,
    Rename,
    Zero,
    Table,
    Protocol,
    Source,
    Destination,
    Input,
    Output,
    Fragment,
    Match,
    Jump,
    Goto,
    Counters,
    Ipv4,
    Ipv6,
    /// `-v`, `-n`, `-x`, `-w` and the like, which change nothing of the rule.
    Ignored,
    /// The same, with a value that may be left out.
    IgnoredValue,
    /// What asks and changes nothing.
    Foreign,
}

pub(super) const LONG: &[(&str, Core)] = &[
    ("append", Core::Append),
    ("insert", Core::Insert),
    ("replace", Core::Replace),
    ("delete", Core::Delete),
    ("check", Core::Check),
    ("policy", Core::Policy),
    ("new-chain", Core::New),
    ("new", Core::New),
    ("flush", Core::Flush),
    ("delete-chain", Core::DeleteChain),
    ("rename-chain", Core::Rename),
    ("zero", Core::Zero),
    ("table", Core::Table),
    ("protocol", Core::Protocol),
    ("proto", Core::Protocol),
    ("source", Core::Source),
    ("src", Core::Source),
    ("destination", Core::Destination),
    ("dst", Core::Destination),
    ("in-interface", Core::Input),
    ("out-interface", Core::Output),
    ("fragment", Core::Fragment),
    ("match", Core::Match),
    ("jump", Core::Jump),
    ("goto", Core::Goto),
    ("set-counters", Core::Counters),
    ("ipv4", Core::Ipv4),
    ("ipv6", Core::Ipv6),
    ("verbose", Core::Ignored),
    ("numeric", Core::Ignored),
    ("exact", Core::Ignored),
    ("line-numbers", Core::Ignored),
    ("wait", Core::IgnoredValue),
    ("wait-interval", Core::IgnoredValue),
    ("list", Core::Foreign),
    ("list-rules", Core::Foreign),
];

pub(super) fn short(letter: u8) -> Option<Core> {
    Some(match letter {
        b'A' => Core::Append,
        b'I' => Core::Insert,
        b'R' => Core::Replace,
        b'D' => Core::Delete,
        b'C' => Core::Check,
        b'P' => Core::Policy,
        b'N' => Core::New,
        b'F' => Core::Flush,
        b'X' => Core::DeleteChain,
        b'E' => Core::Rename,
        b'Z' => Core::Zero,
        b't' => Core::Table,
        b'p' => Core::Protocol,
        b's' => Core::Source,
        b'd' => Core::Destination,
        b'i' => Core::Input,
        b'o' => Core::Output,
        b'f' => Core::Fragment,
        b'm' => Core::Match,
        b'j' => Core::Jump,
        b'g' => Core::Goto,
        b'c' => Core::Counters,
        b'4' => Core::Ipv4,
        b'6' => Core::Ipv6,
        b'v' | b'n' | b'x' => Core::Ignored,
        b'w' | b'W' => Core::IgnoredValue,
        b'L' | b'S' => Core::Foreign,
        _ => return None,
    })
}

/// The name of `name=value`.
pub(super) fn before_equals(text: &str) -> &str {
    let end = text.bytes().position(|byte| byte == b'=');
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// An option of the rule itself that the word is, and how much of the word it takes.
pub(super) fn core(text: &str) -> Option<(Core, usize)> {
    match text.as_bytes() {
        [b'-', b'-', ..] => {
            let name = before_equals(text.get(2..)?);
            let (_, core) = LONG.iter().find(|(other, _)| *other == name)?;
            Some((*core, if name.len() + 2 < text.len() { name.len() + 3 } else { text.len() }))
        }
        [b'-', letter, ..] => Some((short(*letter)?, 2)),
        _ => None,
    }
}

impl Core {
    /// Whether `!` may stand before it.
    pub(super) fn invertible(self) -> bool {
        matches!(self, Self::Protocol | Self::Source | Self::Destination | Self::Input | Self::Output)
    }
}
