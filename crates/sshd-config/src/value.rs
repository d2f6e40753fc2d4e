//! Reads the arguments of one directive into the pieces sshd keeps of them.
//!
//! A keyword has one or more slots (`RekeyLimit` has two: bytes and seconds). Each slot is filled by the first
//! line that speaks of it, by the last, or by all, as sshd's `servconf.c` does for that keyword and version.

mod limits;
mod lists;

use std::sync::Arc;

use crate::address::{AddressError, AddressList};
use crate::algorithms::AlgorithmError;
use crate::defaults::Defaults;
use crate::keyword::Keyword;
use crate::number;
use crate::value_type::{Family, ValueType};
use crate::version::Version;

pub(crate) use limits::PENALTIES;
pub(crate) use lists::method_name;

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
    Assignment { slot, rule, texts: vec![text.into()] }
}

fn many<T: Into<Arc<str>>>(rule: Rule, texts: impl IntoIterator<Item = T>) -> Vec<Assignment> {
    vec![Assignment { slot: 0, rule, texts: texts.into_iter().map(Into::into).collect() }]
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
            ValueType::Seconds => self.single().and_then(|word| self.seconds(word, 0)).map(|a| vec![a]),
            ValueType::SecondsOrNone => self.seconds_or_none(),
            ValueType::Mode => self.mode(),
            ValueType::Path => self.path(),
            ValueType::PathAsWritten => Ok(one(Rule::First, tilde(self.single()?))),
            ValueType::Word | ValueType::UserEnvironment => Ok(one(Rule::First, self.single()?)),
            ValueType::AgentSocket => self.agent_socket(),
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
        let found = self.keyword.choices().iter().find(|(accepted, _)| accepted.eq_ignore_ascii_case(word));
        let lenient = match word.to_ascii_lowercase().as_str() {
            "true" if self.takes_true() => Some("yes"),
            "false" if self.takes_true() => Some("no"),
            _ => None,
        };
        let printed = found.map(|(_, printed)| *printed).or(lenient);
        let printed = printed.ok_or_else(|| ValueError::Unsupported(word.to_owned()))?;
        let rule = if self.keyword == Keyword::FingerprintHash { Rule::Last } else { Rule::First };
        Ok(one(rule, printed))
    }

    /// From 10.4 on one flag takes `true` and `false` too.
    fn takes_true(&self) -> bool {
        self.keyword == Keyword::TcpKeepAlive && self.since(10, 4)
    }

    fn agent_socket(&self) -> Read {
        let word = self.single()?;
        let user = word.strip_prefix("user:").is_some_and(|path| !path.is_empty());
        let shared = word.strip_prefix("shared:").is_some_and(|path| path.starts_with('/'));
        if word == "none" || user || shared {
            return Ok(one(Rule::First, word));
        }
        Err(ValueError::BadForm(word.to_owned()))
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
        if self.words.first().is_some_and(|word| word.eq_ignore_ascii_case("none")) {
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
        let rule = if self.since(10, 4) { Rule::First } else { Rule::Last };
        Ok(one(rule, format!("0{mode:o}")))
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
        Ok(one(Rule::First, if as_written { word.to_owned() } else { absolute(word) }))
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

    fn tunnel(&self) -> Read {
        let word = self.single()?;
        match word {
            "no" | "point-to-point" | "ethernet" | "yes" => Ok(one(Rule::First, word)),
            other => Err(ValueError::Unsupported(other.to_owned())),
        }
    }

    fn pubkey_options(&self) -> Read {
        let mut options = [("touch-required", false), ("verify-required", false)];
        let mut most = None;
        for word in self.words() {
            let known = options.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case(word));
            if let Some((_, set)) = known {
                *set = true;
            } else if let Some(number) = word.strip_prefix("max-pk-ok:").filter(|_| self.since(10, 4)) {
                let number_of = number::count(number).filter(|number| *number < 256);
                most = Some(number_of.ok_or_else(|| ValueError::BadNumber(number.to_owned()))?);
            } else if !word.eq_ignore_ascii_case("none") {
                return Err(ValueError::Unsupported(word.to_owned()));
            }
        }
        let mut set: Vec<&str> = options.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect();
        if set.is_empty() {
            set.push("none");
        }
        let most = most.map_or_else(String::new, |most| format!(" max-pk-ok:{most}"));
        Ok(one(Rule::First, set.join(" ") + &most))
    }
}

/// A path as sshd keeps it: `none` in any case, `~` as root's home, relative paths from `/`.
fn absolute(path: &str) -> String {
    if path.eq_ignore_ascii_case("none") {
        return "none".to_owned();
    }
    let path = tilde(path);
    if path.starts_with('/') { path } else { format!("//{path}") }
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
