//! Rules as `iptables-save` prints them.

mod extensions;

use std::fmt::{self, Display, Formatter, Write};
use std::net::IpAddr;

use crate::parse::number::protocol_name;
use crate::{
    AddressSpec, Chain, ChainPolicy, Command, Counters, Interface, Line, Masked, Negatable, PortRange,
    Protocol, Rate, Rule, RuleLine, Save, Target, TimeUnit,
};

/// ` ! --name`.
pub(crate) fn option(f: &mut Formatter<'_>, negated: bool, name: &str) -> fmt::Result {
    f.write_str(if negated { " ! " } else { " " })?;
    f.write_str(name)
}

/// ` --name value`, where it is there.
pub(crate) fn value<T: Display>(f: &mut Formatter<'_>, name: &str, value: Option<T>) -> fmt::Result {
    match value {
        Some(value) => write!(f, " {name} {value}"),
        None => Ok(()),
    }
}

/// ` --name`, where it is set.
pub(crate) fn flag(f: &mut Formatter<'_>, name: &str, set: bool) -> fmt::Result {
    if set { option(f, false, name) } else { Ok(()) }
}

/// ` ! --name`, where it is there.
pub(crate) fn condition(f: &mut Formatter<'_>, name: &str, holds: Option<bool>) -> fmt::Result {
    holds.map_or(Ok(()), |holds| option(f, !holds, name))
}

/// ` ! --name value`, where it is there.
pub(crate) fn negatable<T: Display>(
    f: &mut Formatter<'_>,
    name: &str,
    value: Option<&Negatable<T>>,
) -> fmt::Result {
    let Some(value) = value else { return Ok(()) };
    option(f, value.negated, name)?;
    write!(f, " {}", value.value)
}

/// A string as `iptables-save` quotes it: whatever is not plain stands between `"`.
pub(crate) fn string(f: &mut Formatter<'_>, name: &str, text: &str) -> fmt::Result {
    write!(f, " {name} ")?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !text.is_empty() && text.bytes().all(plain) { f.write_str(text) } else { quoted(f, text, "\"\\'") }
}

pub(crate) fn quoted(f: &mut Formatter<'_>, text: &str, escape: &str) -> fmt::Result {
    f.write_char('"')?;
    for letter in text.chars() {
        if escape.contains(letter) {
            f.write_char('\\')?;
        }
        f.write_char(letter)?;
    }
    f.write_char('"')
}

/// A word as it is, between `"` only where it could not be read again otherwise.
pub(crate) struct Word<'a>(pub(crate) &'a str);

impl Display for Word<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let odd = |letter: char| letter.is_ascii_whitespace() || "\"\\'".contains(letter);
        if matches!(self.0, "" | "!") || self.0.contains(odd) {
            quoted(f, self.0, "\"\\'")
        } else {
            f.write_str(self.0)
        }
    }
}

/// The names of the bits, between commas.
pub(crate) fn bits(f: &mut Formatter<'_>, bits: u16, names: &[&str]) -> fmt::Result {
    let mut first = true;
    for (bit, name) in names.iter().enumerate() {
        if bits & (1 << bit) != 0 {
            if !first {
                f.write_char(',')?;
            }
            f.write_str(name)?;
            first = false;
        }
    }
    Ok(())
}

/// ` ! --mark 0x1/0xff`.
pub(crate) fn mark(f: &mut Formatter<'_>, mark: &Negatable<Masked<u32>>) -> fmt::Result {
    option(f, mark.negated, "--mark")?;
    write!(f, " {:#x}", mark.value.value)?;
    if mark.value.mask == u32::MAX { Ok(()) } else { write!(f, "/{:#x}", mark.value.mask) }
}

/// An address as the C library prints it: IPv4 in the last four bytes is dotted.
pub(crate) struct Address(pub(crate) IpAddr);

impl Display for Address {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(address) => match address.segments() {
                [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
                    let [a, b] = high.to_be_bytes();
                    let [c, d] = low.to_be_bytes();
                    write!(f, "::{a}.{b}.{c}.{d}")
                }
                _ => address.fmt(f),
            },
        }
    }
}

/// An address with its mask, which is left out where it has all bits and `full` is not asked for.
pub(crate) struct Masks<'a>(pub(crate) &'a AddressSpec, pub(crate) bool);

impl Display for Masks<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (address, mask): (IpAddr, IpAddr) = match self.0 {
            AddressSpec::V4 { address, mask } => ((*address).into(), (*mask).into()),
            AddressSpec::V6 { address, mask } => ((*address).into(), (*mask).into()),
            AddressSpec::Name(name) => return Word(name).fmt(f),
        };
        Address(address).fmt(f)?;
        match self.0.prefix() {
            Some(32) if address.is_ipv4() && !self.1 => Ok(()),
            Some(128) if address.is_ipv6() && !self.1 => Ok(()),
            Some(length) => write!(f, "/{length}"),
            None => write!(f, "/{}", Address(mask)),
        }
    }
}

impl Display for AddressSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Masks(self, true).fmt(f)
    }
}

impl Display for Protocol {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match protocol_name(self.0) {
            Some(name) => f.write_str(name),
            None => self.0.fmt(f),
        }
    }
}

impl Display for Interface {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Word(&self.0).fmt(f)
    }
}

impl Display for PortRange {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_one() { self.first.fmt(f) } else { write!(f, "{}:{}", self.first, self.last) }
    }
}

impl Display for Counters {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "[{}:{}]", self.packets, self.bytes)
    }
}

impl Display for Rate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let unit = match self.per {
            TimeUnit::Second => "sec",
            TimeUnit::Minute => "min",
            TimeUnit::Hour => "hour",
            TimeUnit::Day => "day",
        };
        write!(f, "{}/{unit}", self.packets)
    }
}

impl ChainPolicy {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accept => "ACCEPT",
            Self::Drop => "DROP",
            Self::Queue => "QUEUE",
            Self::Return => "RETURN",
        }
    }
}

impl Display for Rule {
    /// As `iptables-save` prints it, without the command before it: `-s 192.0.2.0/24 -p tcp -m tcp --dport 22 -j ACCEPT`.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // Every part writes a space before itself; the first one is taken away.
        let text = Behind(self).to_string();
        f.write_str(text.strip_prefix(' ').unwrap_or(&text))
    }
}

/// A rule behind its command: with a space before it.
struct Behind<'a>(&'a Rule);

impl Display for Behind<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.print(f)
    }
}

impl Rule {
    fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        negatable(f, "-s", self.source.as_ref())?;
        negatable(f, "-d", self.destination.as_ref())?;
        negatable(f, "-i", self.input.as_ref())?;
        negatable(f, "-o", self.output.as_ref())?;
        negatable(f, "-p", self.protocol.as_ref())?;
        condition(f, "-f", self.fragment)?;
        for extension in &self.matches {
            write!(f, " -m {}", extension.name())?;
            extension.print(f)?;
        }
        if let Some(counters) = self.counters {
            write!(f, " -c {} {}", counters.packets, counters.bytes)?;
        }
        match &self.target {
            Some(Target::Goto(chain)) => write!(f, " -g {}", Word(chain)),
            Some(target) => {
                write!(f, " -j {}", Word(target.name()))?;
                target.print(f)
            }
            None => Ok(()),
        }
    }
}

impl Display for Command {
    /// Without the rule: `-I INPUT 3`.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let letter = match self {
            Self::Append { .. } => "-A",
            Self::Insert { .. } => "-I",
            Self::Replace { .. } => "-R",
            Self::DeleteNumber { .. } | Self::Delete { .. } => "-D",
            Self::Check { .. } => "-C",
            Self::Policy { .. } => "-P",
            Self::NewChain { .. } => "-N",
            Self::Flush { .. } => "-F",
            Self::DeleteChain { .. } => "-X",
            Self::Rename { .. } => "-E",
            Self::Zero { .. } => "-Z",
        };
        f.write_str(letter)?;
        if let Some(chain) = self.chain() {
            write!(f, " {}", Word(chain))?;
        }
        match self {
            Self::Insert { number, .. } if *number == 1 => Ok(()),
            Self::Insert { number, .. }
            | Self::Replace { number, .. }
            | Self::DeleteNumber { number, .. }
            | Self::Zero { number: Some(number), .. } => write!(f, " {number}"),
            Self::Policy { policy, .. } => write!(f, " {}", policy.name()),
            Self::Rename { to, .. } => write!(f, " {}", Word(to)),
            Self::Append { .. }
            | Self::Delete { .. }
            | Self::Check { .. }
            | Self::NewChain { .. }
            | Self::Flush { .. }
            | Self::DeleteChain { .. }
            | Self::Zero { number: None, .. } => Ok(()),
        }
    }
}

impl Display for RuleLine {
    /// As `iptables-save` prints it, whatever its text is. A line that makes several rules is one line for each.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, rule) in self.rules().enumerate() {
            if index > 0 {
                f.write_char('\n')?;
            }
            if let Some(counters) = self.counters {
                write!(f, "{counters} ")?;
            }
            write!(f, "{}{}", self.command, Behind(rule))?;
        }
        Ok(())
    }
}

impl Display for Chain {
    /// As `iptables-save` prints it, whatever its text is.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, ":{} {}", self.name, self.policy.map_or("-", ChainPolicy::name))?;
        match self.counters {
            Some(counters) => write!(f, " {counters}"),
            None => Ok(()),
        }
    }
}

impl Line {
    /// As it was written.
    pub fn text(&self) -> &str {
        match self {
            Self::Table { text, .. }
            | Self::Commit(text)
            | Self::Comment(text)
            | Self::Blank(text)
            | Self::Junk(text) => text,
            Self::Chain(chain) => &chain.text,
            Self::Rule(rule) => &rule.text,
        }
    }
}

impl Display for Save {
    /// The text that was read. See [`Save::to_bytes`] for a file that is no UTF-8.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, line) in self.lines.iter().enumerate() {
            f.write_str(line.text())?;
            if index + 1 < self.lines.len() || self.final_newline {
                f.write_char('\n')?;
            }
        }
        Ok(())
    }
}

impl Save {
    /// The bytes that were read.
    pub fn to_bytes(&self) -> Vec<u8> {
        let text = self.to_string();
        if self.latin1 {
            text.chars().map(|letter| u8::try_from(letter).unwrap_or(b'?')).collect()
        } else {
            text.into()
        }
    }
}
