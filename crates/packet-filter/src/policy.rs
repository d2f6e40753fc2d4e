//! What is to be let in, as this crate takes it: the input of [`compile`](crate::compile()).
//!
//! A policy is a union: a packet is accepted if *any* entry of [`FilterPolicy::allow`] accepts it, and refused as
//! [`FilterPolicy::inbound`] says if none does. The order of the entries therefore never matters.

use std::fmt;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::rules::Rules;

/// What a host lets in, forwards and answers.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// What passes through this host.
    pub forwards: Vec<ForwardEntry>,
    /// Rules of the policy's own, which run before all that is allowed.
    pub rules: Rules,
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

/// What may pass through this host. What is empty may be anything; an entry with nothing at all lets everything through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ForwardEntry {
    /// The interfaces that it comes in by.
    pub input: Vec<InterfaceName>,
    /// The interfaces that it leaves by.
    pub output: Vec<InterfaceName>,
    /// Where it comes from. A list without a prefix of a family lets nothing of that family through.
    pub from: Vec<IpNet>,
    /// Where it goes to; likewise.
    pub to: Vec<IpNet>,
    /// The ports that it goes to. Any lets through only TCP and UDP.
    pub ports: Vec<PortRange>,
    /// The administrator's own words.
    pub comment: Option<String>,
    /// Where the entry stands, such as `policy.toml:31`.
    pub place: Option<String>,
}

/// An interface by its name, or every one whose name begins so.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InterfaceName {
    /// The name, at most 15 bytes, or its beginning.
    pub name: String,
    /// Whether it is a beginning.
    pub is_prefix: bool,
}

impl InterfaceName {
    /// What the kernel compares: the beginning, or the whole name filled up to its 16 bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.name.as_bytes().to_vec();
        bytes.truncate(15);
        if !self.is_prefix {
            bytes.resize(16, 0);
        }
        bytes
    }
}

impl From<&str> for InterfaceName {
    /// `eth0`, or `docker*` for a beginning.
    fn from(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(name) => Self { name: name.to_owned(), is_prefix: true },
            None => Self { name: text.to_owned(), is_prefix: false },
        }
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, if self.is_prefix { "*" } else { "" })
    }
}

impl ForwardEntry {
    /// What it is called: `in docker0 out eth0 to 192.0.2.0/24 tcp/443`, of every list the first.
    #[must_use]
    pub fn name(&self) -> String {
        fn words<T: fmt::Display>(word: &str, list: &[T], name: &mut Vec<String>) {
            if let Some(first) = list.first() {
                let more = if list.len() > 1 { " ..." } else { "" };
                name.push(format!("{word}{}{first}{more}", if word.is_empty() { "" } else { " " }));
            }
        }
        let mut name = Vec::new();
        words("in", &self.input, &mut name);
        words("out", &self.output, &mut name);
        let short = |prefixes: &[IpNet]| -> Vec<String> { prefixes.iter().map(address_or_prefix).collect() };
        words("from", &short(&self.from), &mut name);
        words("to", &short(&self.to), &mut name);
        words("", &self.ports, &mut name);
        name.join(" ")
    }

    /// What a rule that serves this entry says of itself: `forward in docker0 (policy.toml:31)`.
    #[must_use]
    pub fn label(&self) -> String {
        label(&format!("forward {}", self.name()), self.comment.as_deref(), self.place.as_deref())
    }
}

fn address_or_prefix(prefix: &IpNet) -> String {
    if prefix.prefix_len() == prefix.max_prefix_len() {
        prefix.addr().to_string()
    } else {
        prefix.to_string()
    }
}

/// The longest label: what is longer, the kernel's comment does not hold whole (`NFTNL_UDATA_COMMENT_MAXLEN`).
const LABEL_MAX: usize = 127;

/// What a rule says of itself: what it is, the administrator's words, and the place in the policy, which is never cut.
pub(crate) fn label(what: &str, comment: Option<&str>, place: Option<&str>) -> String {
    let place = place.map(|place| format!(" ({place})")).unwrap_or_default();
    let words = comment.map(|comment| format!(": {comment}")).unwrap_or_default();
    let mut label: String = format!("{what}{words}").chars().map(printable).collect();
    let left = LABEL_MAX.saturating_sub(place.len());
    if label.len() > left {
        let cut = (0..=left).rev().find(|&at| label.is_char_boundary(at)).unwrap_or(0);
        label.truncate(cut);
    }
    label.extend(place.chars().map(printable));
    label
}

/// Characters that would break the line, or that `nft` does not take in a comment, are replaced.
fn printable(c: char) -> char {
    match c {
        '"' => '\'',
        c if c.is_control() => ' ',
        c => c,
    }
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
    /// line, or that `nft` does not take in a comment, are replaced, and what is too long for one is cut.
    #[must_use]
    pub fn label(&self) -> String {
        label(&format!("allow {}", self.name), self.comment.as_deref(), self.place.as_deref())
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
            forwards: Vec::new(),
            rules: Rules::default(),
        }
    }
}
