//! The criteria of a `Match` line.

use crate::address::{AddressError, AddressList};
use crate::connection::Connection;
use crate::lexer::{self, Word};
use crate::number;
use crate::pattern::{PatternList, Verdict};
use crate::tree::{Directive, Line};
use crate::version::Version;

/// What a `Match` line asks of a connection. All criteria must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    criteria: Vec<Criterion>,
}

/// One criterion of a `Match` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Criterion {
    /// Holds for every connection.
    All,
    /// The name of the user who logs in.
    User(PatternList),
    /// The names of all groups of the user, primary and supplementary.
    Group(PatternList),
    /// The host name of the client, in lower case; its address where sshd does not resolve names.
    Host(PatternList),
    /// The address of the client.
    Address(AddressList),
    /// The address of the server that the client connected to.
    LocalAddress(AddressList),
    /// The port of the server that the client connected to.
    LocalPort(u16),
    /// The routing domain of the connection.
    RDomain(PatternList),
    /// The user does not exist (from OpenSSH 9.9).
    InvalidUser,
    /// The version of the server itself, such as `OpenSSH_10.0*` (from OpenSSH 10.0).
    Version(PatternList),
}

/// Why a `Match` line is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatchError {
    /// `Match` with nothing that counts behind it.
    #[error("Match needs at least one criterion")]
    Empty,
    /// `Match user`.
    #[error("Match {0} needs a value")]
    MissingValue(String),
    /// `Match colour red`.
    #[error("Match knows no criterion {0}")]
    UnknownCriterion(String),
    /// `Match all user root`.
    #[error("Match all stands alone")]
    AllNotAlone,
    /// `Match localport http2`.
    #[error("{0} is no port")]
    BadPort(String),
    /// `Match address 10.0.0.1/8`.
    #[error(transparent)]
    BadAddress(#[from] AddressError),
    /// Words after the last criterion.
    #[error("text after the last criterion")]
    Trailing,
}

impl Condition {
    /// Reads the criteria of a `Match` line the way the given version does.
    ///
    /// # Errors
    /// What sshd refuses as "Bad Match condition".
    pub fn parse(line: &Line, directive: &Directive, version: Version) -> Result<Self, MatchError> {
        let words = if version >= Version::new(9, 9) {
            split_assignments(&directive.arguments)
        } else {
            delimited(&line.bytes()[..directive.rest.end], directive.rest.start)?
        };
        let mut words = words.into_iter();
        let mut criteria = Vec::new();
        while let Some(name) = words.next() {
            if name.starts_with('#') {
                break;
            }
            match criterion(&name, &mut words, version)? {
                Criterion::All if !criteria.is_empty() => return Err(MatchError::AllNotAlone),
                Criterion::All => {
                    criteria.push(Criterion::All);
                    return end_of_all(words.next().as_deref(), words.next().is_some(), criteria);
                }
                other => criteria.push(other),
            }
        }
        if criteria.is_empty() { Err(MatchError::Empty) } else { Ok(Self { criteria }) }
    }

    /// The criteria in order.
    #[must_use]
    pub fn criteria(&self) -> &[Criterion] {
        &self.criteria
    }

    /// Whether every criterion holds for the connection. `release` is the server's own, such as
    /// `OpenSSH_10.0p2 Debian-7`.
    #[must_use]
    pub fn holds(&self, connection: &Connection, release: &str) -> bool {
        self.criteria.iter().all(|criterion| criterion.holds(connection, release))
    }

    /// Whether the condition holds for every connection, so that sshd applies its block at start already.
    #[must_use]
    pub fn holds_always(&self, release: &str) -> bool {
        self.criteria.iter().all(|criterion| match criterion {
            Criterion::All => true,
            Criterion::Version(list) => list.includes(release),
            Criterion::User(_)
            | Criterion::Group(_)
            | Criterion::Host(_)
            | Criterion::Address(_)
            | Criterion::LocalAddress(_)
            | Criterion::LocalPort(_)
            | Criterion::RDomain(_)
            | Criterion::InvalidUser => false,
        })
    }
}

impl Criterion {
    /// Whether the criterion holds. What the connection does not say never matches.
    #[must_use]
    pub fn holds(&self, connection: &Connection, release: &str) -> bool {
        let includes =
            |text: &Option<String>, list: &PatternList| text.as_deref().is_some_and(|t| list.includes(t));
        match self {
            Self::All => true,
            Self::User(list) => includes(&connection.user, list),
            Self::Group(list) => group_holds(list, &connection.groups),
            Self::Host(list) => {
                connection.host.as_ref().is_some_and(|host| list.includes(&host.to_ascii_lowercase()))
            }
            Self::Address(list) => connection.address.is_some_and(|address| list.includes(address)),
            Self::LocalAddress(list) => {
                connection.local_address.is_some_and(|address| list.includes(address))
            }
            Self::LocalPort(port) => connection.local_port == Some(*port),
            Self::RDomain(list) => includes(&connection.rdomain, list),
            Self::InvalidUser => connection.invalid_user,
            Self::Version(list) => list.includes(release),
        }
    }
}

/// One group that a negated pattern matches spoils the whole list.
pub(crate) fn group_holds(list: &PatternList, groups: &[String]) -> bool {
    let verdicts = groups.iter().map(|group| list.verdict(group));
    verdicts.fold(Verdict::Unmatched, |worst, verdict| match (worst, verdict) {
        (Verdict::Excluded, _) | (_, Verdict::Excluded) => Verdict::Excluded,
        (a, b) => a.max(b),
    }) == Verdict::Included
}

fn criterion(
    name: &str,
    words: &mut impl Iterator<Item = String>,
    version: Version,
) -> Result<Criterion, MatchError> {
    let lower = name.to_ascii_lowercase();
    match lower.as_str() {
        "all" => return Ok(Criterion::All),
        "invalid-user" if version >= Version::new(9, 9) => return Ok(Criterion::InvalidUser),
        _ => {}
    }
    let value = words.next().filter(|value| !value.is_empty() && !value.starts_with('#'));
    let value = value.ok_or_else(|| MatchError::MissingValue(name.to_owned()))?;
    Ok(match lower.as_str() {
        "user" => Criterion::User(PatternList::parse(&value)),
        "group" => Criterion::Group(PatternList::parse(&value)),
        "host" => Criterion::Host(PatternList::parse(&value).to_ascii_lowercase()),
        "address" => Criterion::Address(AddressList::parse(&value)?),
        "localaddress" => Criterion::LocalAddress(AddressList::parse(&value)?),
        "localport" => Criterion::LocalPort(number::port(&value).ok_or(MatchError::BadPort(value))?),
        "rdomain" => Criterion::RDomain(PatternList::parse(&value)),
        "version" if version >= Version::new(10, 0) => Criterion::Version(PatternList::parse(&value)),
        _ => return Err(MatchError::UnknownCriterion(name.to_owned())),
    })
}

/// After `all`: nothing, an empty word, or a comment.
fn end_of_all(next: Option<&str>, more: bool, criteria: Vec<Criterion>) -> Result<Condition, MatchError> {
    match next {
        None => Ok(Condition { criteria }),
        Some(word) if word.starts_with('#') => Ok(Condition { criteria }),
        Some("") if !more => Ok(Condition { criteria }),
        Some("") => Err(MatchError::Trailing),
        Some(_) => Err(MatchError::AllNotAlone),
    }
}

/// From OpenSSH 9.9: the words of the line, `user=root` taken as two.
fn split_assignments(arguments: &[Word]) -> Vec<String> {
    const NAMES: [&str; 8] =
        ["user", "group", "host", "address", "localaddress", "localport", "rdomain", "version"];
    let mut words = Vec::new();
    let mut value_due = false;
    for word in arguments {
        let text = word.text();
        let assignment =
            text.split_once('=').filter(|(name, _)| NAMES.iter().any(|n| n.eq_ignore_ascii_case(name)));
        match assignment {
            Some((name, value)) if !value_due => words.extend([name.to_owned(), value.to_owned()]),
            Some(_) | None => {
                value_due =
                    !value_due && !matches!(text.to_ascii_lowercase().as_str(), "all" | "invalid-user");
                words.push(text);
            }
        }
    }
    words
}

/// Before OpenSSH 9.9: cut once more by `strdelim`, for which `=` is white space and `'` a letter.
fn delimited(line: &[u8], start: usize) -> Result<Vec<String>, MatchError> {
    let mut words = Vec::new();
    let mut rest = Some(start);
    while let Some(at) = rest {
        let cut = lexer::strdelim(line, at);
        let Some(word) = cut.word else { break };
        let text = word.text();
        rest = cut.rest;
        // An empty word where a criterion should stand ends the list; sshd then refuses what is left of the line.
        if text.is_empty() && words.len() % 2 == 0 {
            if rest.is_some_and(|at| at < line.len()) {
                return Err(MatchError::Trailing);
            }
            break;
        }
        words.push(text);
    }
    Ok(words)
}
