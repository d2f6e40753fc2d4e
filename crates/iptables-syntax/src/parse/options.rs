//! The options of an extension: a table that says how they are written, and what was used of it in a rule.

use std::cell::RefCell;

use super::words::Word;
use super::{Failure, address, number};
use crate::{
    AddressSpec, Family, Interface, Interval, Masked, Match, Mode, Negatable, PortRange, Protocol, Target,
};

/// A known extension: how its options are written and what becomes of them.
pub(crate) struct Kind {
    /// The name by which it is loaded and printed.
    pub(crate) name: &'static str,
    pub(crate) options: &'static [Opt],
    /// Options (bits of their ids) that must be there.
    pub(crate) required: u32,
    /// Options (bits of their ids) of which one must be there, if any.
    pub(crate) one_of: u32,
    /// The family that it is for, if it is for one alone.
    pub(crate) family: Option<Family>,
    pub(crate) build: Build,
}

pub(crate) enum Build {
    Match(fn(&Args<'_>) -> Result<Match, Failure>),
    Target(fn(&Args<'_>) -> Result<Target, Failure>),
}

impl Kind {
    pub(crate) const fn matching(
        name: &'static str,
        options: &'static [Opt],
        build: fn(&Args<'_>) -> Result<Match, Failure>,
    ) -> Self {
        Self { name, options, required: 0, one_of: 0, family: None, build: Build::Match(build) }
    }

    pub(crate) const fn target(
        name: &'static str,
        options: &'static [Opt],
        build: fn(&Args<'_>) -> Result<Target, Failure>,
    ) -> Self {
        Self { name, options, required: 0, one_of: 0, family: None, build: Build::Target(build) }
    }

    pub(crate) const fn required(self, ids: u32) -> Self {
        Self { required: ids, ..self }
    }

    pub(crate) const fn one_of(self, ids: u32) -> Self {
        Self { one_of: ids, ..self }
    }

    pub(crate) const fn only(self, family: Family) -> Self {
        Self { family: Some(family), ..self }
    }
}

/// An option. Spellings of the same option share its id.
pub(crate) struct Opt {
    pub(crate) name: &'static str,
    pub(crate) id: u8,
    /// How many words follow it.
    pub(crate) values: u8,
    /// Whether `!` may stand before it.
    pub(crate) invert: bool,
    /// Whether it may stand more than once.
    pub(crate) multi: bool,
    /// Whether this crate knows that it exists, but not what it means: the extension is then kept verbatim.
    pub(crate) opaque: bool,
    /// Options of one group (not 0) exclude each other.
    pub(crate) group: u8,
}

/// An option without a value.
pub(crate) const fn flag(name: &'static str, id: u8) -> Opt {
    Opt { name, id, values: 0, invert: false, multi: false, opaque: false, group: 0 }
}

/// An option with a value.
pub(crate) const fn value(name: &'static str, id: u8) -> Opt {
    Opt { values: 1, ..flag(name, id) }
}

impl Opt {
    pub(crate) const fn not(self) -> Self {
        Self { invert: true, ..self }
    }

    pub(crate) const fn two(self) -> Self {
        Self { values: 2, ..self }
    }

    pub(crate) const fn multi(self) -> Self {
        Self { multi: true, ..self }
    }

    pub(crate) const fn opaque(self) -> Self {
        Self { opaque: true, ..self }
    }

    pub(crate) const fn group(self, group: u8) -> Self {
        Self { group, ..self }
    }
}

/// An option that a rule uses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Used {
    /// Which of the loaded extensions it belongs to.
    pub(crate) owner: usize,
    pub(crate) id: u8,
    pub(crate) negated: bool,
    /// The word of the option.
    pub(crate) word: usize,
    /// The word of its value, and how much of it is not the value (`--dport=22`).
    pub(crate) value: usize,
    pub(crate) skip: usize,
}

impl Used {
    pub(crate) fn with<T>(&self, value: T) -> Negatable<T> {
        Negatable { negated: self.negated, value }
    }
}

/// What a rule says to one extension.
pub(crate) struct Args<'r> {
    pub(crate) words: &'r [Word<'r>],
    pub(crate) used: &'r [Used],
    pub(crate) owner: usize,
    /// The word that loaded the extension.
    pub(crate) place: usize,
    pub(crate) family: Family,
    pub(crate) mode: Mode,
    pub(crate) protocol: Option<Negatable<Protocol>>,
    pub(crate) odd: &'r RefCell<Vec<String>>,
}

impl<'r> Args<'r> {
    /// What was used, in order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &'r Used> + use<'r> {
        let owner = self.owner;
        self.used.iter().filter(move |used| used.owner == owner)
    }

    pub(crate) fn get(&self, id: u8) -> Option<&'r Used> {
        self.all().find(|used| used.id == id)
    }

    pub(crate) fn flag(&self, id: u8) -> bool {
        self.get(id).is_some()
    }

    /// A flag that `!` may stand before.
    pub(crate) fn condition(&self, id: u8) -> Option<bool> {
        self.get(id).map(|used| !used.negated)
    }

    pub(crate) fn text(&self, used: &Used) -> &'r str {
        self.words.get(used.value).map_or("", |word| word.text.get(used.skip..).unwrap_or(""))
    }

    /// The second value.
    pub(crate) fn second(&self, used: &Used) -> &'r str {
        self.words.get(used.value + 1).map_or("", |word| &word.text)
    }

    pub(crate) fn string(&self, id: u8) -> Option<&'r str> {
        self.get(id).map(|used| self.text(used))
    }

    /// `expected ..., found "..."`.
    pub(crate) fn expected(&self, used: &Used, what: &str) -> Failure {
        Failure::at(used.value, format!("expected {what}, found \"{}\"", self.text(used)))
    }

    /// What is wrong with the extension as a whole.
    pub(crate) fn wrong(&self, what: &str) -> Failure {
        Failure::at(self.place, what.to_owned())
    }

    pub(crate) fn require<T>(&self, used: &Used, value: Option<T>, what: &str) -> Result<T, Failure> {
        value.ok_or_else(|| self.expected(used, what))
    }

    /// Tells of something odd; an error in strict mode.
    pub(crate) fn odd(&self, used: &Used, what: &str) -> Result<(), Failure> {
        if self.mode == Mode::Strict {
            return Err(self.expected(used, what));
        }
        self.odd.borrow_mut().push(format!("\"{}\" is not {what}", self.text(used)));
        Ok(())
    }

    pub(crate) fn number(&self, used: &Used, min: u64, max: u64) -> Result<u64, Failure> {
        match number::number(self.text(used), max) {
            Some(value) if value >= min => Ok(value),
            _ => Err(self.expected(used, &format!("a number from {min} to {max}"))),
        }
    }

    pub(crate) fn u32(&self, used: &Used) -> Result<u32, Failure> {
        self.number(used, 0, u32::MAX.into()).map(saturate32)
    }

    pub(crate) fn optional_u32(&self, id: u8) -> Result<Option<u32>, Failure> {
        self.get(id).map(|used| self.u32(used)).transpose()
    }

    pub(crate) fn u16(&self, used: &Used) -> Result<u16, Failure> {
        self.number(used, 0, u16::MAX.into()).map(saturate16)
    }

    pub(crate) fn u8(&self, used: &Used, min: u8, max: u8) -> Result<u8, Failure> {
        self.number(used, min.into(), max.into()).map(|value| u8::try_from(value).unwrap_or(max))
    }

    /// `first:last`, either of which may be left out.
    pub(crate) fn interval(&self, used: &Used, max: u32) -> Result<Interval<u32>, Failure> {
        let text = self.text(used);
        let end = |text: &str, default| match text {
            "" => Some(default),
            _ => number::number(text, max.into()).map(saturate32),
        };
        let interval = match text.split_once(':') {
            Some((first, last)) => end(first, 0).zip(end(last, max)),
            None => number::number(text, max.into()).map(saturate32).map(|value| (value, value)),
        };
        let (first, last) =
            self.require(used, interval, &format!("a number from 0 to {max}, or two with ':' between them"))?;
        self.empty_range(used, first > last);
        Ok(Interval { first, last })
    }

    /// Tells of a range that holds nothing.
    fn empty_range(&self, used: &Used, empty: bool) {
        if empty {
            let text = self.text(used);
            self.odd.borrow_mut().push(format!("the range {text} ends before it begins: it holds nothing"));
        }
    }

    pub(crate) fn interval16(&self, used: &Used) -> Result<Interval<u16>, Failure> {
        let interval = self.interval(used, u16::MAX.into())?;
        Ok(Interval { first: saturate16(interval.first.into()), last: saturate16(interval.last.into()) })
    }

    /// Ports, by numbers or names. All ports are no condition.
    pub(crate) fn ports(&self, id: u8) -> Result<Option<Negatable<PortRange>>, Failure> {
        let Some(used) = self.get(id) else { return Ok(None) };
        let range = self.any_port_range(used)?;
        self.empty_range(used, range.first > range.last);
        Ok(condition(used, range))
    }

    /// The same, where a range must begin before it ends.
    pub(crate) fn ordered_ports(&self, id: u8) -> Result<Option<Negatable<PortRange>>, Failure> {
        let Some(used) = self.get(id) else { return Ok(None) };
        Ok(condition(used, self.port_range(used)?))
    }

    pub(crate) fn port_range(&self, used: &Used) -> Result<PortRange, Failure> {
        let range = self.any_port_range(used)?;
        if range.first > range.last {
            return Err(self.expected(used, "a range of ports that begins before it ends"));
        }
        Ok(range)
    }

    fn any_port_range(&self, used: &Used) -> Result<PortRange, Failure> {
        let text = self.text(used);
        let range = match text.split_once(':') {
            None => number::port(text).map(Interval::one),
            Some((first, last)) => {
                let first = if first.is_empty() { Some(0) } else { number::port(first) };
                let last = if last.is_empty() { Some(u16::MAX) } else { number::port(last) };
                first.zip(last).map(|(first, last)| Interval { first, last })
            }
        };
        self.require(
            used,
            range,
            "a port from 0 to 65535 or the name of a service, or two with ':' between them",
        )
    }

    /// `value[/mask]`.
    pub(crate) fn masked(&self, used: &Used) -> Result<Masked<u32>, Failure> {
        let (value, mask) = split_mask(self.text(used));
        let part = |text| number::number(text, u32::MAX.into()).map(saturate32);
        let masked = part(value).zip(mask.map_or(Some(u32::MAX), part));
        let (value, mask) = self.require(used, masked, "a 32-bit number, with or without '/' and a mask")?;
        Ok(Masked { value, mask })
    }

    /// An address, with or without a mask.
    pub(crate) fn address(&self, id: u8) -> Result<Option<Negatable<AddressSpec>>, Failure> {
        let Some(used) = self.get(id) else { return Ok(None) };
        let address =
            address::with_mask(self.text(used), self.family).filter(|address| address.prefix().is_some());
        Ok(Some(used.with(self.require(used, address, address_of(self.family))?)))
    }

    /// A list between commas, each of which `name` reads.
    pub(crate) fn bits(&self, used: &Used, text: &str, names: &[&str], what: &str) -> Result<u16, Failure> {
        let mut bits = 0;
        for word in text.split(',') {
            if let Some(bit) = names.iter().position(|name| name.eq_ignore_ascii_case(word)) {
                bits |= 1 << bit;
            } else {
                let message = format!("expected {what} ({}), found \"{word}\"", names.join(", "));
                return Err(Failure::at(used.value, message));
            }
        }
        Ok(bits)
    }

    /// The same, where a name may be cut short.
    pub(crate) fn prefix_bits(&self, used: &Used, names: &[&str], what: &str) -> Result<u8, Failure> {
        let mut bits = 0;
        for word in self.text(used).split(',') {
            let fits =
                |name: &&str| name.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
            if let Some(bit) = names.iter().position(fits).filter(|_| !word.is_empty()) {
                bits |= 1 << bit;
            } else {
                let message = format!("expected {what} ({}), found \"{word}\"", names.join(", "));
                return Err(Failure::at(used.value, message));
            }
        }
        Ok(bits)
    }

    /// A protocol; any protocol is refused.
    pub(crate) fn protocol(&self, used: &Used) -> Result<Protocol, Failure> {
        let protocol = number::protocol(self.text(used)).filter(|number| *number != 0).map(Protocol);
        self.require(used, protocol, "a protocol")
    }

    pub(crate) fn interface(&self, used: &Used) -> Result<Interface, Failure> {
        interface(self.text(used)).map_err(|what| self.expected(used, what))
    }

    /// Whether `-p` names one of the protocols.
    pub(crate) fn is_protocol(&self, numbers: &[u8]) -> bool {
        self.protocol.is_some_and(|protocol| !protocol.negated && numbers.contains(&protocol.value.0))
    }
}

fn condition(used: &Used, range: PortRange) -> Option<Negatable<PortRange>> {
    let all = range.first == 0 && range.last == u16::MAX && !used.negated;
    (!all).then(|| used.with(range))
}

pub(crate) fn split_mask(text: &str) -> (&str, Option<&str>) {
    match text.split_once('/') {
        Some((value, mask)) => (value, Some(mask)),
        None => (text, None),
    }
}

pub(crate) const fn address_of(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "an IPv4 address, with or without '/' and a mask",
        Family::Ipv6 => "an IPv6 address, with or without '/' and a mask",
    }
}

pub(crate) fn interface(text: &str) -> Result<Interface, &'static str> {
    match text.len() {
        0 => Err("the name of an interface"),
        1..=15 if !text.contains([' ', '/']) => Ok(Interface(text.to_owned())),
        _ => Err("the name of an interface of at most 15 characters"),
    }
}

pub(crate) fn saturate32(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

pub(crate) fn saturate16(value: u64) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}
