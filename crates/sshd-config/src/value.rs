//! Reads the arguments of one directive into the pieces sshd keeps of them.
//!
//! A keyword has one or more slots (`RekeyLimit` has two: bytes and seconds). Each slot is filled by the first
//! line that speaks of it, by the last, or by all, as sshd's `servconf.c` does for that keyword and version.

use std::sync::Arc;

use crate::address::{self, AddressError, AddressList};
use crate::algorithms::AlgorithmError;
use crate::defaults::Defaults;
use crate::keyword::{Family, Keyword, ValueType};
use crate::lexer;
use crate::number;
use crate::version::Version;

/// How a slot takes what a line gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Kept only where the slot is still empty.
    First,
    /// Replaces what is there.
    Last,
    /// Added to what is there.
    Append,
}

/// What one line gives to one slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) slot: u8,
    pub(crate) rule: Rule,
    pub(crate) texts: Vec<Arc<str>>,
}

/// Why the arguments of a directive are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Nothing follows the keyword.
    #[error("a value is missing")]
    Missing,
    /// More words than the keyword takes.
    #[error("more than the keyword takes: {0}")]
    Extra(String),
    /// A word that the keyword does not know.
    #[error("{0} is not one of its values")]
    Unsupported(String),
    /// Not a number in range.
    #[error("{0} is no number it takes")]
    BadNumber(String),
    /// Not a time.
    #[error("{0} is no time it takes")]
    BadTime(String),
    /// Not a port from 1 to 65535.
    #[error("{0} is no port")]
    BadPort(String),
    /// Not of the form that the keyword asks for.
    #[error("{0} is not of the form it takes")]
    BadForm(String),
    /// A relative path where an absolute one must stand.
    #[error("{0} is no absolute path")]
    NotAbsolute(String),
    /// A word that must stand alone does not.
    #[error("{0} must stand alone")]
    NotAlone(String),
    /// An address list that sshd refuses.
    #[error(transparent)]
    BadAddress(#[from] AddressError),
    /// An algorithm list that sshd refuses.
    #[error(transparent)]
    BadAlgorithms(#[from] AlgorithmError),
    /// A keyword that this build of OpenSSH refuses whatever its value.
    #[error("the keyword is not supported on this platform")]
    NotSupported,
}

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

/// The arguments of one directive.
pub(crate) struct Reader<'a> {
    pub(crate) keyword: Keyword,
    pub(crate) words: &'a [String],
    pub(crate) rest: &'a str,
    pub(crate) defaults: &'a Defaults,
}

type Read = Result<Vec<Assignment>, ValueError>;

fn one(rule: Rule, text: impl Into<Arc<str>>) -> Vec<Assignment> {
    vec![slot(0, rule, text)]
}

fn slot(slot: u8, rule: Rule, text: impl Into<Arc<str>>) -> Assignment {
    Assignment {
        slot,
        rule,
        texts: vec![text.into()],
    }
}

fn many<T: Into<Arc<str>>>(rule: Rule, texts: impl IntoIterator<Item = T>) -> Vec<Assignment> {
    vec![Assignment {
        slot: 0,
        rule,
        texts: texts.into_iter().map(Into::into).collect(),
    }]
}

impl Reader<'_> {
    /// Reads the arguments.
    ///
    /// # Errors
    /// What sshd refuses while it parses the line.
    pub(crate) fn read(&self) -> Read {
        match self.keyword.value_type() {
            ValueType::Flag | ValueType::Choice(_) => self.choice(),
            ValueType::Count => self.count(),
            ValueType::Seconds => self
                .single()
                .and_then(|word| self.seconds(word, 0))
                .map(|a| vec![a]),
            ValueType::SecondsOrNone => self.seconds_or_none(),
            ValueType::Mode => self.mode(),
            ValueType::Path => self.path(),
            ValueType::PathAsWritten => Ok(one(Rule::First, tilde(self.single()?))),
            ValueType::Word | ValueType::UserEnvironment => Ok(one(Rule::First, self.single()?)),
            ValueType::Rest => Ok(one(Rule::First, self.rest)),
            ValueType::Command => self.command(),
            ValueType::Algorithms(family) => self.algorithms(family),
            ValueType::Startups => self.startups(),
            ValueType::NetBlock => self.net_block(),
            ValueType::SourceStartups => self.source_startups(),
            ValueType::Penalties => self.penalties(),
            ValueType::Networks => {
                let word = self.single()?;
                AddressList::parse(word)?;
                Ok(one(Rule::First, word))
            }
            ValueType::Qos => self.qos(),
            ValueType::Rekey => self.rekey(),
            ValueType::Tunnel => self.tunnel(),
            ValueType::PubkeyOptions => self.pubkey_options(),
            ValueType::RDomain => Err(ValueError::NotSupported),
            ValueType::Port => {
                let word = self.single()?;
                let port = number::port(word).filter(|&port| port > 0);
                let port = port.ok_or_else(|| ValueError::BadPort(word.to_owned()))?;
                Ok(one(Rule::Append, port.to_string()))
            }
            ValueType::ListenAddress => self.listen_address(),
            ValueType::Files => Ok(one(Rule::Append, absolute(self.single()?))),
            ValueType::Subsystem => self.subsystem(),
            ValueType::UserPatterns => self.user_patterns(),
            ValueType::Patterns => Ok(many(Rule::Append, self.non_empty_words()?)),
            ValueType::EnvironmentNames => self.environment_names(),
            ValueType::Environment => self.environment(),
            ValueType::FileList => self.file_list(),
            ValueType::Methods => self.methods(),
            ValueType::Timeouts => self.timeouts(),
            ValueType::Targets => self.targets(),
            ValueType::LogVerbose => {
                self.none_stands_alone()?;
                Ok(many(Rule::First, self.non_empty_words()?))
            }
            ValueType::Include | ValueType::Match => Ok(Vec::new()),
        }
    }

    fn version(&self) -> Version {
        self.defaults.version()
    }

    fn since(&self, major: u16, minor: u16) -> bool {
        self.version() >= Version::new(major, minor)
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        self.words.iter().map(String::as_str)
    }

    /// The only argument.
    fn single(&self) -> Result<&str, ValueError> {
        match self.words {
            [] => Err(ValueError::Missing),
            [word, ..] if word.is_empty() => Err(ValueError::Missing),
            [word] => Ok(word),
            [_, extra, ..] => Err(ValueError::Extra(extra.clone())),
        }
    }

    fn non_empty_words(&self) -> Result<Vec<&str>, ValueError> {
        // Until 9.4 a line whose only argument is a comment is taken and does nothing.
        if self.words.is_empty() && self.since(9, 5) || self.words().any(str::is_empty) {
            return Err(ValueError::Missing);
        }
        Ok(self.words().collect())
    }

    fn none_stands_alone(&self) -> Result<(), ValueError> {
        let none = self.words().find(|word| word.eq_ignore_ascii_case("none"));
        match none {
            Some(none) if self.words.len() > 1 => Err(ValueError::NotAlone(none.to_owned())),
            Some(_) | None => Ok(()),
        }
    }

    fn choice(&self) -> Read {
        let word = self.single()?;
        let found = self
            .keyword
            .choices()
            .iter()
            .find(|(accepted, _)| accepted.eq_ignore_ascii_case(word));
        let lenient = match word.to_ascii_lowercase().as_str() {
            "true" if self.keyword.value_type() == ValueType::Flag && self.since(10, 4) => Some("yes"),
            "false" if self.keyword.value_type() == ValueType::Flag && self.since(10, 4) => Some("no"),
            _ => None,
        };
        let printed = found.map(|(_, printed)| *printed).or(lenient);
        let printed = printed.ok_or_else(|| ValueError::Unsupported(word.to_owned()))?;
        let rule = if self.keyword == Keyword::FingerprintHash {
            Rule::Last
        } else {
            Rule::First
        };
        Ok(one(rule, printed))
    }

    fn count(&self) -> Read {
        let word = self.single()?;
        let number = number::count(word).ok_or_else(|| ValueError::BadNumber(word.to_owned()))?;
        Ok(one(Rule::First, number.to_string()))
    }

    fn seconds(&self, word: &str, at: u8) -> Result<Assignment, ValueError> {
        let seconds = number::seconds(word, self.version());
        let seconds = seconds.ok_or_else(|| ValueError::BadTime(word.to_owned()))?;
        Ok(slot(at, Rule::First, seconds.to_string()))
    }

    fn seconds_or_none(&self) -> Read {
        if self
            .words
            .first()
            .is_some_and(|word| word.eq_ignore_ascii_case("none"))
        {
            self.single()?;
            // sshd overwrites an earlier time by `none`, though not by another time.
            return Ok(one(Rule::Last, "0"));
        }
        Ok(vec![self.seconds(self.single()?, 0)?])
    }

    fn mode(&self) -> Read {
        let word = self.single()?;
        let mode = number::leading_octal(word).filter(|mode| (0..=0o777).contains(mode));
        let mode = mode.ok_or_else(|| ValueError::BadNumber(word.to_owned()))?;
        Ok(one(Rule::Last, format!("0{mode:o}")))
    }

    fn path(&self) -> Read {
        if self.keyword == Keyword::RevokedKeys && self.since(10, 3) {
            return self.file_list();
        }
        let word = self.single()?;
        let as_written = match self.keyword {
            Keyword::SecurityKeyProvider => word.eq_ignore_ascii_case("internal"),
            Keyword::HostKeyAgent => word == "SSH_AUTH_SOCK",
            _ => false,
        };
        Ok(one(
            Rule::First,
            if as_written {
                word.to_owned()
            } else {
                absolute(word)
            },
        ))
    }

    fn command(&self) -> Read {
        if !self.rest.starts_with('/') && !self.rest.eq_ignore_ascii_case("none") {
            return Err(ValueError::NotAbsolute(self.rest.to_owned()));
        }
        // Until 9.x the principals command looked at whether the keys command was set: see `state`.
        let last = self.keyword == Keyword::AuthorizedPrincipalsCommand && !self.since(9, 8);
        Ok(one(if last { Rule::Last } else { Rule::First }, self.rest))
    }

    fn algorithms(&self, family: Family) -> Read {
        let word = self.single()?;
        self.defaults.check_algorithms(self.keyword, family, word)?;
        Ok(one(Rule::First, word))
    }

    fn startups(&self) -> Read {
        let word = self.single()?;
        let bad = || ValueError::BadForm(word.to_owned());
        let (begin, rest) = number::leading(word).ok_or_else(bad)?;
        let rate = rest.strip_prefix(':').and_then(number::leading);
        let full = rate
            .and_then(|(_, rest)| rest.strip_prefix(':'))
            .and_then(number::leading);
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

    fn net_block(&self) -> Read {
        let word = self.single()?;
        let bad = || ValueError::BadForm(word.to_owned());
        let (v4, rest) = number::leading(word)
            .filter(|(bits, _)| (0..=32).contains(bits))
            .ok_or_else(bad)?;
        let v6 = rest
            .strip_prefix(':')
            .and_then(number::leading)
            .map(|(bits, _)| bits);
        if v6.is_some_and(|bits| !(0..=128).contains(&bits)) {
            return Err(bad());
        }
        let rule = if self.since(10, 3) {
            Rule::First
        } else {
            Rule::Last
        };
        let mut slots = vec![slot(0, rule, v4.to_string())];
        slots.extend(v6.map(|bits| slot(1, rule, bits.to_string())));
        Ok(slots)
    }

    fn source_startups(&self) -> Read {
        let word = self.single()?;
        let rule = if self.since(9, 8) { Rule::First } else { Rule::Last };
        if word == "none" {
            return Ok(one(rule, "none"));
        }
        let number = number::count(word).ok_or_else(|| ValueError::BadNumber(word.to_owned()))?;
        Ok(one(
            rule,
            if number == i64::from(i32::MAX) {
                "none".to_owned()
            } else {
                number.to_string()
            },
        ))
    }

    fn penalties(&self) -> Read {
        if self.words.is_empty() {
            return Err(ValueError::Missing);
        }
        let mut slots = Vec::new();
        for (position, word) in self.words().enumerate() {
            if let Some(switch) = ["no", "yes"]
                .into_iter()
                .find(|switch| switch.eq_ignore_ascii_case(word))
            {
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

    fn penalty(&self, word: &str) -> Result<Assignment, ValueError> {
        let unsupported = || ValueError::Unsupported(word.to_owned());
        let (name, value) = word.split_once(':').ok_or_else(unsupported)?;
        let index = PENALTIES
            .iter()
            .position(|known| *known == name)
            .ok_or_else(unsupported)?;
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

    fn qos(&self) -> Read {
        let (interactive, bulk) = match self.words {
            [] => return Err(ValueError::Missing),
            [both] => (both, both),
            [interactive, bulk] => (interactive, bulk),
            [_, _, extra, ..] => return Err(ValueError::Extra(extra.clone())),
        };
        let class = |word: &str| {
            qos_class(word, self.version()).ok_or_else(|| ValueError::Unsupported(word.to_owned()))
        };
        let rule = if self.since(10, 3) {
            Rule::First
        } else {
            Rule::Last
        };
        Ok(vec![
            slot(0, rule, class(interactive)?),
            slot(1, rule, class(bulk)?),
        ])
    }

    fn rekey(&self) -> Read {
        let (bytes, time) = match self.words {
            [] => return Err(ValueError::Missing),
            [bytes] => (bytes, None),
            [bytes, time] => (bytes, Some(time).filter(|time| *time != "none")),
            [_, _, extra, ..] => return Err(ValueError::Extra(extra.clone())),
        };
        let limit = if bytes == "default" {
            Some(0)
        } else {
            number::scaled(bytes)
        };
        let limit = limit.filter(|&limit| limit == 0 || limit >= 16);
        let limit = limit.ok_or_else(|| ValueError::BadNumber(bytes.clone()))?;
        let mut slots = vec![slot(0, Rule::First, limit.to_string())];
        if let Some(time) = time {
            slots.push(self.seconds(time, 1)?);
        }
        Ok(slots)
    }

    fn tunnel(&self) -> Read {
        let word = self.single()?;
        match word {
            "no" | "point-to-point" | "ethernet" | "yes" => Ok(one(Rule::First, word)),
            other => Err(ValueError::Unsupported(other.to_owned())),
        }
    }

    fn pubkey_options(&self) -> Read {
        let mut options = Vec::new();
        for known in ["touch-required", "verify-required"] {
            if self.words().any(|word| word.eq_ignore_ascii_case(known)) {
                options.push(known);
            }
        }
        let known = |word: &&str| {
            ["none", "touch-required", "verify-required"]
                .iter()
                .any(|k| k.eq_ignore_ascii_case(word))
        };
        match self.words().find(|word| !known(word)) {
            Some(word) => Err(ValueError::Unsupported(word.to_owned())),
            None if options.is_empty() => Ok(one(Rule::First, "none")),
            None => Ok(one(Rule::First, options.join(" "))),
        }
    }

    fn listen_address(&self) -> Read {
        let word = self
            .words
            .first()
            .filter(|word| !word.is_empty())
            .ok_or(ValueError::Missing)?;
        let rdomain = match &self.words[1..] {
            [] => None,
            [key, name] if key == "rdomain" => Some(name),
            [..] => return Err(ValueError::BadForm(self.words.join(" "))),
        };
        let bare_v6 = !word.contains('[') && word.matches(':').count() > 1;
        let (host, port) = if bare_v6 {
            (word.as_str(), None)
        } else {
            let (host, port) = host_and_port(word).ok_or_else(|| ValueError::BadForm(word.clone()))?;
            let number = port.map(|port| number::port(port).filter(|&p| p > 0).ok_or(port));
            let number = number
                .transpose()
                .map_err(|port| ValueError::BadPort(port.to_owned()))?;
            (host, number)
        };
        // Kept as host, port ("0": each Port) and routing domain; composed once all ports are known.
        let port = port.unwrap_or(0).to_string();
        let host = address::numeric(host).map_or_else(|| host.to_owned(), |address| address.to_string());
        let text = [host.as_str(), &port, rdomain.map_or("", String::as_str)].join(" ");
        Ok(one(Rule::Append, text))
    }

    fn subsystem(&self) -> Read {
        let [name, command, arguments @ ..] = self.words else {
            return Err(ValueError::Missing);
        };
        if name.is_empty() || command.is_empty() {
            return Err(ValueError::Missing);
        }
        let words = std::iter::once(command).chain(arguments).map(String::as_str);
        let line = if self.since(9, 5) {
            lexer::argv_assemble(words)
        } else {
            words.collect::<Vec<_>>().join(" ")
        };
        Ok(many(Rule::Append, [format!("{name} {line}")]))
    }

    fn user_patterns(&self) -> Read {
        let words = self.non_empty_words()?;
        for word in &words {
            let at = if self.since(9, 9) {
                word.rsplit_once('@')
            } else {
                word.split_once('@')
            };
            if let Some((_, hosts)) = at {
                AddressList::parse(hosts)?;
            }
        }
        Ok(many(Rule::Append, words))
    }

    fn environment_names(&self) -> Read {
        match self.words().find(|word| word.contains('=')) {
            Some(word) => Err(ValueError::BadForm(word.to_owned())),
            None => Ok(many(Rule::Append, self.non_empty_words()?)),
        }
    }

    fn environment(&self) -> Read {
        let words = self.non_empty_words()?;
        let mut kept: Vec<&str> = Vec::new();
        for word in words {
            let (name, _) = word
                .split_once('=')
                .ok_or_else(|| ValueError::BadForm(word.to_owned()))?;
            let known = kept
                .iter()
                .any(|other| other.split_once('=').is_some_and(|(other, _)| other == name));
            if !known {
                kept.push(word);
            }
        }
        Ok(many(Rule::First, kept))
    }

    fn file_list(&self) -> Read {
        let words = self.non_empty_words()?;
        if self.since(10, 3) {
            self.none_stands_alone()?;
        }
        Ok(many(Rule::First, words.into_iter().map(tilde)))
    }

    fn methods(&self) -> Read {
        if self.words.is_empty() {
            return Err(ValueError::Missing);
        }
        if self.words.len() > 1 && self.words().any(|word| word == "any") {
            return Err(ValueError::NotAlone("any".to_owned()));
        }
        for word in self.words().filter(|word| *word != "any") {
            let unknown = word
                .split(',')
                .map(method_name)
                .find(|name| !METHODS.contains(name));
            if let Some(name) = unknown {
                return Err(ValueError::Unsupported(name.to_owned()));
            }
        }
        Ok(many(Rule::First, self.words()))
    }

    fn timeouts(&self) -> Read {
        self.none_stands_alone()?;
        let words = if self.words.is_empty() {
            self.non_empty_words()?
        } else {
            self.words().collect()
        };
        for word in words.iter().filter(|word| !word.eq_ignore_ascii_case("none")) {
            let time = word.split_once('=').filter(|(kind, _)| !kind.is_empty());
            let time = time.and_then(|(_, time)| number::seconds(time, self.version()));
            time.ok_or_else(|| ValueError::BadForm((*word).to_owned()))?;
        }
        Ok(many(Rule::First, words))
    }

    fn targets(&self) -> Read {
        let (first, rest) = self.words.split_first().ok_or(ValueError::Missing)?;
        if first.is_empty() {
            return Err(ValueError::Missing);
        }
        if first == "any" || first == "none" {
            return match rest.first() {
                Some(_) => Err(ValueError::NotAlone(first.clone())),
                None => Ok(one(Rule::First, first.as_str())),
            };
        }
        let targets = self
            .words()
            .map(|word| self.target(word))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(many(Rule::First, targets))
    }

    fn target(&self, word: &str) -> Result<String, ValueError> {
        let bare = self.keyword == Keyword::PermitListen && !word.contains(':');
        let port = if bare {
            Some(word)
        } else {
            host_and_port(word).and_then(|(_, port)| port)
        };
        let port = port.ok_or_else(|| ValueError::BadForm(word.to_owned()))?;
        if port != "*" && number::port(port).is_none_or(|port| port == 0) {
            return Err(ValueError::BadPort(port.to_owned()));
        }
        Ok(if bare {
            format!("*:{word}")
        } else {
            word.to_owned()
        })
    }
}

/// The methods that `AuthenticationMethods` may name.
pub(crate) const METHODS: [&str; 7] = [
    "none",
    "publickey",
    "gssapi-keyex",
    "gssapi-with-mic",
    "password",
    "keyboard-interactive",
    "hostbased",
];

/// `keyboard-interactive:pam` without the device.
pub(crate) fn method_name(method: &str) -> &str {
    method.split_once(':').map_or(method, |(name, _)| name)
}

/// `host:port` and `[host]:port`, the port optional; `None` where a `/` stands first or a bracket is not closed.
fn host_and_port(text: &str) -> Option<(&str, Option<&str>)> {
    let end = if text.starts_with('[') {
        text.find(']')? + 1
    } else {
        text.find([':', '/']).unwrap_or(text.len())
    };
    let (host, rest) = text.split_at(end);
    let port = match rest.chars().next() {
        None => None,
        Some(':') => Some(&rest[1..]),
        Some(_) => return None,
    };
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    Some((inner.unwrap_or(host), port))
}

/// A path as sshd keeps it: `none` in any case, `~` as root's home, relative paths from `/`.
fn absolute(path: &str) -> String {
    if path.eq_ignore_ascii_case("none") {
        return "none".to_owned();
    }
    let path = tilde(path);
    if path.starts_with('/') {
        path
    } else {
        format!("//{path}")
    }
}

/// A leading `~/` as the home of root, under whom sshd reads its configuration.
fn tilde(path: &str) -> String {
    match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            format!("/root/{}", rest.trim_start_matches('/'))
        }
        Some(_) | None => path.to_owned(),
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
        if newest {
            number::signed(word)
        } else {
            number::any_radix(word)
        }
    };
    let value = by_name.or_else(|| u8::try_from(by_number()?).ok())?;
    let old = if newest { [].iter() } else { OLD.iter() };
    let name = CLASSES
        .iter()
        .filter(|(name, _)| *name != "va")
        .chain(old)
        .find(|(_, known)| *known == value);
    Some(name.map_or_else(|| format!("0x{value:02x}"), |(name, _)| (*name).to_owned()))
}
