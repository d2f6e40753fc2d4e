//! What is to be let in, as this crate takes it: the input of [`compile`](crate::compile()).
//!
//! A policy is a union: a packet is accepted if *any* entry of [`FilterPolicy::allow`] accepts it, and refused as
//! [`FilterPolicy::inbound`] says if none does. The order of the entries therefore never matters.

use std::fmt;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// What a host lets in, forwards and answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterPolicy {
    /// What becomes of inbound packets that nothing allows.
    pub inbound: Refusal,
    /// What becomes of packets that this host would forward.
    pub forward: Refusal,
    /// Whether echo requests are answered.
    pub ping: bool,
    /// IPv6: like IPv4, or refused whole.
    pub ipv6: Ipv6,
    /// At most how often refused packets are logged; `None` for never.
    pub log: Option<LogRate>,
    /// What is let in.
    pub allow: Vec<Allow>,
}

/// How a packet is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// The sender is told: a TCP reset, or an ICMP error.
    Reject,
    /// In silence.
    Drop,
}

/// What the policy does with IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ipv6 {
    /// The same as with IPv4.
    Same,
    /// Everything but loopback is refused: inbound, outbound and forwarded, neighbour discovery included.
    Reject,
}

/// At most `count` log lines in each `per`, for each family and hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LogRate {
    /// How many; 0 counts as 1, and more than [`HIGHEST_RATE`] as that.
    pub count: u32,
    /// In how long.
    pub per: Per,
}

/// The time in which a rate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Per {
    /// One second.
    Second,
    /// 60 seconds.
    Minute,
    /// 3,600 seconds.
    Hour,
}

impl Per {
    /// Its length in seconds.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
        }
    }
}

/// One entry: these ports, from these sources, at most so often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allow {
    /// What it is called, such as `ssh`. It names the chain and the comments, and need not be unique.
    pub name: String,
    /// The ports. None lets nothing in.
    pub ports: Vec<PortRange>,
    /// Who may come in; empty for everybody. A list without a prefix of a family lets nobody of that family in.
    pub from: Vec<IpNet>,
    /// At most how many new connections a minute from one source (one IPv4 address, one IPv6 /64); see [`Allow::limit`].
    pub new_per_minute: Option<u32>,
    /// The administrator's own words.
    pub comment: Option<String>,
    /// Where the entry stands, such as `policy.toml:31`.
    pub place: Option<String>,
}

/// Ports of one transport, `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortRange {
    /// TCP or UDP.
    pub transport: Transport,
    /// The lowest port.
    pub first: u16,
    /// The highest port.
    pub last: u16,
}

impl PortRange {
    /// One TCP port.
    #[must_use]
    pub const fn tcp(port: u16) -> Self {
        Self { transport: Transport::Tcp, first: port, last: port }
    }

    /// One UDP port.
    #[must_use]
    pub const fn udp(port: u16) -> Self {
        Self { transport: Transport::Udp, first: port, last: port }
    }

    /// Whether `port` is one of them.
    #[must_use]
    pub const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match self.transport {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        };
        if self.first == self.last {
            write!(f, "{transport}/{}", self.first)
        } else {
            write!(f, "{transport}/{}-{}", self.first, self.last)
        }
    }
}

/// The transports whose ports can be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// The highest rate that a limit can have: the kernel counts in nanoseconds, and its product must fit 64 bits.
pub const HIGHEST_RATE: u32 = 1_000_000;

/// New echo requests answered in a second, for the whole host. An answered ping that goes on is an established flow and
/// is not counted again.
pub const PINGS_PER_SECOND: u32 = 100;

impl Allow {
    /// An entry for everybody without a limit.
    #[must_use]
    pub fn new(name: impl Into<String>, ports: impl IntoIterator<Item = PortRange>) -> Self {
        Self {
            name: name.into(),
            ports: ports.into_iter().collect(),
            from: Vec::new(),
            new_per_minute: None,
            comment: None,
            place: None,
        }
    }

    /// The limit as the kernel keeps it: at least 1, at most [`HIGHEST_RATE`].
    #[must_use]
    pub fn limit(&self) -> Option<u32> {
        self.new_per_minute.map(|count| count.clamp(1, HIGHEST_RATE))
    }

    /// What a rule that serves this entry says of itself: `allow ssh (policy.toml:31)`. Characters that would break the
    /// line, or that `nft` does not take in a comment, are replaced.
    #[must_use]
    pub fn label(&self) -> String {
        let mut label = format!("allow {}", self.name);
        if let Some(comment) = &self.comment {
            label.push_str(": ");
            label.push_str(comment);
        }
        if let Some(place) = &self.place {
            label.push_str(" (");
            label.push_str(place);
            label.push(')');
        }
        label
            .chars()
            .map(|c| {
                if c.is_control() {
                    ' '
                } else if c == '"' {
                    '\''
                } else {
                    c
                }
            })
            .collect()
    }
}

impl Default for FilterPolicy {
    /// Nothing but ping is let in.
    fn default() -> Self {
        Self {
            inbound: Refusal::Reject,
            forward: Refusal::Reject,
            ping: true,
            ipv6: Ipv6::Same,
            log: Some(LogRate { count: 5, per: Per::Minute }),
            allow: Vec::new(),
        }
    }
}
