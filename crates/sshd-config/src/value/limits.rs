//! Values that bound something: connections, penalties, keys, classes of service.

use super::{Assignment, Read, Reader, Rule, ValueError, one, slot};
use crate::number;
use crate::version::Version;

/// The names of the penalties in the order of their slots; slot 0 is the switch.
pub(crate) const PENALTIES: [&str; 12] = [
    "crash",
    "authfail",
    "noauth",
    "invaliduser",
    "grace-exceeded",
    "refuseconnection",
    "max",
    "min",
    "max-sources4",
    "max-sources6",
    "overflow",
    "overflow6",
];

impl Reader<'_> {
    pub(super) fn startups(&self) -> Read {
        let word = self.single()?;
        let bad = || ValueError::BadForm(word.to_owned());
        let (begin, rest) = number::leading(word).ok_or_else(bad)?;
        let rate = rest.strip_prefix(':').and_then(number::leading);
        let full = rate.and_then(|(_, rest)| rest.strip_prefix(':')).and_then(number::leading);
        let (rate, full) = match (rate, full) {
            (Some((rate, _)), Some((full, _))) if begin <= full && (1..=100).contains(&rate) => {
                (Some(rate), full)
            }
            (None, None) => (None, begin),
            (Some(_), _) | (None, Some(_)) => return Err(bad()),
        };
        if begin <= 0 || full <= 0 {
            return Err(bad());
        }
        let first = self.since(10, 3);
        let rule = if first { Rule::First } else { Rule::Last };
        let rate = rate.or(first.then_some(30));
        let mut slots = vec![slot(0, rule, begin.to_string())];
        slots.extend(rate.map(|rate| slot(1, rule, rate.to_string())));
        slots.push(slot(2, rule, full.to_string()));
        Ok(slots)
    }

    pub(super) fn net_block(&self) -> Read {
        let word = self.single()?;
        let bad = || ValueError::BadForm(word.to_owned());
        let (v4, rest) = number::leading(word).filter(|(bits, _)| (0..=32).contains(bits)).ok_or_else(bad)?;
        let v6 = rest.strip_prefix(':').and_then(number::leading).map(|(bits, _)| bits);
        if v6.is_some_and(|bits| !(0..=128).contains(&bits)) {
            return Err(bad());
        }
        // Given one number, sshd before 10.3 takes what happens to lie in memory for IPv6: no answer is right.
        let rule = if self.since(10, 3) { Rule::First } else { Rule::Last };
        let mut slots = vec![slot(0, rule, v4.to_string())];
        slots.extend(v6.map(|bits| slot(1, rule, bits.to_string())));
        Ok(slots)
    }

    pub(super) fn source_startups(&self) -> Read {
        let word = self.single()?;
        let rule = if self.since(9, 8) { Rule::First } else { Rule::Last };
        if word == "none" {
            return Ok(one(rule, "none"));
        }
        let number = number::count(word).ok_or_else(|| ValueError::BadNumber(word.to_owned()))?;
        Ok(one(rule, if number == i64::from(i32::MAX) { "none".to_owned() } else { number.to_string() }))
    }

    pub(super) fn penalties(&self) -> Read {
        if self.words.is_empty() {
            return Err(ValueError::Missing);
        }
        let mut slots = Vec::new();
        for (position, word) in self.words().enumerate() {
            if let Some(switch) = ["no", "yes"].into_iter().find(|switch| switch.eq_ignore_ascii_case(word)) {
                if position + 1 < self.words.len() {
                    return Err(ValueError::NotAlone(word.to_owned()));
                }
                slots.push(slot(0, Rule::First, switch));
            } else {
                slots.push(self.penalty(word)?);
            }
        }
        Ok(slots)
    }

    pub(super) fn penalty(&self, word: &str) -> Result<Assignment, ValueError> {
        let unsupported = || ValueError::Unsupported(word.to_owned());
        let (name, value) = word.split_once(':').ok_or_else(unsupported)?;
        let index = PENALTIES.iter().position(|known| *known == name).ok_or_else(unsupported)?;
        let text = match name {
            "invaliduser" if !self.since(10, 1) => return Err(unsupported()),
            "overflow" | "overflow6" if matches!(value, "deny-all" | "permissive") => value.to_owned(),
            "overflow" | "overflow6" => return Err(unsupported()),
            "max-sources4" | "max-sources6" => {
                let number = number::count(value).ok_or_else(|| ValueError::BadNumber(value.to_owned()))?;
                number.to_string()
            }
            _ => {
                let time = number::penalty_time(value, self.version());
                time.ok_or_else(|| ValueError::BadTime(value.to_owned()))?
            }
        };
        let at = u8::try_from(index + 1).unwrap_or(u8::MAX);
        Ok(slot(at, Rule::First, text))
    }

    pub(super) fn qos(&self) -> Read {
        let (interactive, bulk) = match self.words {
            [] => return Err(ValueError::Missing),
            [both] => (both, both),
            [interactive, bulk] => (interactive, bulk),
            [_, _, extra, ..] => return Err(ValueError::Extra(extra.clone())),
        };
        let class = |word: &str| {
            qos_class(word, self.version()).ok_or_else(|| ValueError::Unsupported(word.to_owned()))
        };
        let rule = if self.since(10, 3) { Rule::First } else { Rule::Last };
        Ok(vec![slot(0, rule, class(interactive)?), slot(1, rule, class(bulk)?)])
    }

    pub(super) fn rekey(&self) -> Read {
        let (bytes, time) = match self.words {
            [] => return Err(ValueError::Missing),
            [bytes] => (bytes, None),
            [bytes, time] => (bytes, Some(time).filter(|time| *time != "none")),
            [_, _, extra, ..] => return Err(ValueError::Extra(extra.clone())),
        };
        let limit = if bytes == "default" { Some(0) } else { number::scaled(bytes) };
        let limit = limit.filter(|&limit| limit == 0 || limit >= 16);
        let limit = limit.ok_or_else(|| ValueError::BadNumber(bytes.clone()))?;
        let mut slots = vec![slot(0, Rule::First, limit.to_string())];
        if let Some(time) = time {
            slots.push(self.seconds(time, 1)?);
        }
        Ok(slots)
    }
}

/// The names of IP classes of service with their values. `le` stands before the deprecated name of the same value.
const CLASSES: [(&str, u8); 23] = [
    ("af11", 0x28),
    ("af12", 0x30),
    ("af13", 0x38),
    ("af21", 0x48),
    ("af22", 0x50),
    ("af23", 0x58),
    ("af31", 0x68),
    ("af32", 0x70),
    ("af33", 0x78),
    ("af41", 0x88),
    ("af42", 0x90),
    ("af43", 0x98),
    ("cs0", 0x00),
    ("cs1", 0x20),
    ("cs2", 0x40),
    ("cs3", 0x60),
    ("cs4", 0x80),
    ("cs5", 0xa0),
    ("cs6", 0xc0),
    ("cs7", 0xe0),
    ("ef", 0xb8),
    ("le", 0x04),
    ("va", 0xb0),
];

fn qos_class(word: &str, version: Version) -> Option<String> {
    const OLD: [(&str, u8); 3] = [("lowdelay", 0x10), ("throughput", 0x08), ("reliability", 0x04)];
    let lower = word.to_ascii_lowercase();
    let newest = version >= Version::new(10, 0);
    let named = |(name, _): &&(&str, u8)| *name == lower && (*name != "va" || version >= Version::new(10, 1));
    if lower == "none" || (newest && OLD.iter().any(|(name, _)| *name == lower)) {
        return Some("none".to_owned());
    }
    let by_name = CLASSES.iter().chain(&OLD).find(named).map(|&(_, value)| value);
    let by_number = || {
        if newest { number::signed(word) } else { number::any_radix(word) }
    };
    let value = by_name.or_else(|| u8::try_from(by_number()?).ok())?;
    let old = if newest { [].iter() } else { OLD.iter() };
    let name = CLASSES.iter().filter(|(name, _)| *name != "va").chain(old).find(|(_, known)| *known == value);
    Some(name.map_or_else(|| format!("0x{value:02x}"), |(name, _)| (*name).to_owned()))
}
