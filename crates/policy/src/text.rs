//! The one-line text forms of the policy file (`tcp/8080`, `5/minute`) and their serde glue.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::model::{LogRate, PortSpec, Transport};

/// Why a text is no port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// `8080`: a number alone.
    #[error("`{0}` does not say whether it is TCP or UDP")]
    NoTransport(String),
    /// `8080/tcp`: the other way round.
    #[error("the protocol stands first")]
    Reversed {
        /// What was meant.
        meant: String,
    },
    /// `sctp/80`.
    #[error("unknown protocol `{0}`")]
    UnknownTransport(String),
    /// `tcp/http`.
    #[error("`{0}` is not a port number")]
    NotANumber(String),
    /// `tcp/99999`.
    #[error("`{0}` is no port: ports go from 1 to 65535")]
    OutOfRange(String),
    /// `tcp/9000-8000`.
    #[error("the range ends before it begins")]
    Backwards {
        /// What was meant.
        meant: PortSpec,
    },
}

impl PortError {
    /// What to write instead.
    pub fn help(&self) -> String {
        match self {
            Self::NoTransport(number) => format!("write `tcp/{number}` or `udp/{number}`"),
            Self::Reversed { meant } => format!("write `{meant}`"),
            Self::Backwards { meant } => format!("write `{meant}`"),
            Self::UnknownTransport(_) => "the protocol is `tcp` or `udp`, as in `tcp/8080`".to_owned(),
            Self::NotANumber(_) => "for a service by its name, write `service = \"https\"`".to_owned(),
            Self::OutOfRange(_) => "write a port as `tcp/8080`, a range as `udp/60000-61000`".to_owned(),
        }
    }
}

impl FromStr for PortSpec {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        let Some((transport, ports)) = text.split_once('/') else {
            return Err(if text.starts_with(|c: char| c.is_ascii_digit()) {
                PortError::NoTransport(text.to_owned())
            } else {
                PortError::NotANumber(text.to_owned())
            });
        };
        let transport = match transport {
            "tcp" => Transport::Tcp,
            "udp" => Transport::Udp,
            _ if matches!(ports, "tcp" | "udp") && transport.starts_with(|c: char| c.is_ascii_digit()) => {
                return Err(PortError::Reversed { meant: format!("{ports}/{transport}") });
            }
            other => return Err(PortError::UnknownTransport(other.to_owned())),
        };
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let (first, last) = (port_number(first)?, port_number(last)?);
        if first > last {
            return Err(PortError::Backwards { meant: Self { transport, first: last, last: first } });
        }
        Ok(Self { transport, first, last })
    }
}

fn port_number(text: &str) -> Result<u16, PortError> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(PortError::NotANumber(text.to_owned()));
    }
    match text.parse() {
        Ok(0) | Err(_) => Err(PortError::OutOfRange(text.to_owned())),
        Ok(port) => Ok(port),
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

impl fmt::Display for PortSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.transport, self.first)?;
        if self.last == self.first { Ok(()) } else { write!(f, "-{}", self.last) }
    }
}

/// Why a text is no log rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// Not of the form `5/minute`.
    #[error("`{0}` is no rate")]
    Form(String),
    /// `0/minute`.
    #[error("a rate of zero never logs")]
    Zero,
    /// `5/fortnight`.
    #[error("unknown unit of time `{0}`")]
    Unit(String),
}

impl RateError {
    /// What to write instead.
    pub fn help(&self) -> String {
        match self {
            Self::Form(_) => "write `5/minute`, `1/second`, `10/hour` or `off`".to_owned(),
            Self::Zero => "write `off`".to_owned(),
            Self::Unit(_) => "the unit is `second`, `minute` or `hour`".to_owned(),
        }
    }
}

impl FromStr for LogRate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let form = || RateError::Form(text.to_owned());
        let (count, unit) = text.split_once('/').ok_or_else(form)?;
        if !count.bytes().all(|b| b.is_ascii_digit()) {
            return Err(form());
        }
        let count: u32 = count.parse().map_err(|_| form())?;
        let rate = match unit {
            "second" => Self::PerSecond(count),
            "minute" => Self::PerMinute(count),
            "hour" => Self::PerHour(count),
            other => return Err(RateError::Unit(other.to_owned())),
        };
        if count == 0 { Err(RateError::Zero) } else { Ok(rate) }
    }
}

impl fmt::Display for LogRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::PerSecond(count) => write!(f, "{count}/second"),
            Self::PerMinute(count) => write!(f, "{count}/minute"),
            Self::PerHour(count) => write!(f, "{count}/hour"),
        }
    }
}

/// A source prefix as the policy writes it: `10.0.0.0/8`, `2001:db8::/32`, or one address.
pub(crate) fn parse_net(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

macro_rules! serde_by_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

serde_by_text!(PortSpec);
serde_by_text!(LogRate);

/// One text or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

pub(crate) fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(text) => vec![text],
        OneOrMany::Many(texts) => texts,
    })
}

pub(crate) fn one_or_many_parsed<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    one_or_many(deserializer)?.iter().map(|text| text.parse().map_err(de::Error::custom)).collect()
}

pub(crate) fn one_or_many_nets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    one_or_many(deserializer)?
        .iter()
        .map(|text| parse_net(text).ok_or_else(|| de::Error::custom(format!("`{text}` is no network"))))
        .collect()
}
