//! What the policy says, checked and with every default filled in.

use std::path::PathBuf;

use ipnet::IpNet;
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(feature = "schema")]
use crate::schema::of_types as schema;
use crate::text;

/// The whole policy. `Policy::default()` is the built-in default: no admin named, keys only, deny by default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Policy {
    /// The accounts that administer this host, in the order of the file.
    #[serde(rename = "admin")]
    pub admins: Vec<Admin>,
    /// How the SSH server lets people in.
    pub ssh: Ssh,
    /// What the packet filter lets through.
    pub firewall: Firewall,
}

/// One account that may log in by key and become root through sudo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Admin {
    /// The login name.
    pub name: String,
    /// Public keys in `authorized_keys` form; they are added, never taken away.
    #[serde(default, deserialize_with = "text::one_or_many")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "schema::texts"))]
    pub keys: Vec<String>,
    /// The account's password.
    #[serde(default)]
    pub password: Password,
    /// Whether sudo asks for the password.
    #[serde(default)]
    pub sudo: Sudo,
    /// The login shell; by default the account's own, or the host's default for a new account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<PathBuf>,
}

/// What becomes of an admin's password.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Password {
    /// Leave it; a new account starts locked.
    #[default]
    Keep,
    /// Lock it.
    Locked,
    /// Set this crypt(5) hash.
    #[serde(untagged)]
    Hash(String),
}

/// Whether sudo asks an admin for a password.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Sudo {
    /// Asks where the account has a usable password, and not where it has none.
    #[default]
    Auto,
    /// Always asks.
    Password,
    /// Never asks.
    NoPassword,
}

/// `[ssh]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Ssh {
    /// Whether root may log in over SSH, by any means.
    pub root_login: bool,
    /// Whether anybody may log in by password.
    pub password_login: bool,
    /// Which algorithms are taken out.
    pub crypto: Crypto,
    /// Who may log in at all.
    pub allow: AllowLogin,
    /// Whether TCP ports may be forwarded (`ssh -L`, `-R`, `ProxyJump`).
    pub tcp_forwarding: bool,
    /// Whether the agent may be forwarded (`ssh -A`).
    pub agent_forwarding: bool,
}

impl Default for Ssh {
    fn default() -> Self {
        Self {
            root_login: false,
            password_login: false,
            crypto: Crypto::Modern,
            allow: AllowLogin::Any,
            tcp_forwarding: true,
            agent_forwarding: true,
        }
    }
}

/// Which SSH algorithms are removed from the server's own lists. Never a full list: new exchanges survive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Crypto {
    /// Removes what is broken and what is merely old (SHA-1, CBC, 64-bit tags, NIST P-curves stay).
    #[default]
    Modern,
    /// Removes only what is broken.
    Compatible,
}

/// Who may log in over SSH.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum AllowLogin {
    /// Every account that has a key.
    #[default]
    Any,
    /// Only the `[[admin]]` accounts.
    Admins,
}

/// `[firewall]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Firewall {
    /// What happens to inbound packets that nothing allows.
    pub inbound: Refusal,
    /// What happens to packets that this host would forward and that nothing allows.
    pub forwarded: Refusal,
    /// Whether echo requests are answered.
    pub ping: bool,
    /// IPv6: like IPv4, or refused whole.
    pub ipv6: Ipv6,
    /// At most how often a refused packet is logged; `off` for never.
    pub log: LogRate,
    /// Whether other firewall managers (ufw, firewalld, netfilter-persistent, nftables.service) are stood down. If not, a
    /// packet gets in only where theirs let it in as well.
    pub exclusive: bool,
    /// Through what the rules are loaded.
    pub backend: Backend,
    /// What is let in. Without any entry: `service = "ssh"`.
    pub allow: Vec<Allow>,
    /// What this host forwards, such as for its containers.
    pub forward: Vec<Forward>,
    /// Rules in the words of iptables, in the order in which they run, before what is allowed.
    pub rule: Vec<Rule>,
}

impl Default for Firewall {
    fn default() -> Self {
        Self {
            inbound: Refusal::Reject,
            forwarded: Refusal::Reject,
            ping: true,
            ipv6: Ipv6::Same,
            log: LogRate::PerMinute(5),
            exclusive: true,
            backend: Backend::Auto,
            allow: vec![Allow { service: vec!["ssh".to_owned()], ..Allow::default() }],
            forward: Vec::new(),
            rule: Vec::new(),
        }
    }
}

/// How a packet is refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// Answer: a TCP reset, or port unreachable.
    #[default]
    Reject,
    /// Say nothing.
    Drop,
}

/// What the filter does with IPv6.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Ipv6 {
    /// The same rules as for IPv4.
    #[default]
    Same,
    /// Everything but loopback is refused.
    Reject,
}

/// Through what the rules are loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// `nftables` where the kernel has it, `iptables` elsewhere.
    #[default]
    Auto,
    /// The kernel's `nf_tables`, over netlink.
    Nftables,
    /// The host's `iptables-restore` and `ip6tables-restore`.
    Iptables,
}

/// A rate at which refused packets are logged, written `"5/minute"`, `"1/second"`, `"10/hour"` or `"off"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[cfg_attr(feature = "schema", schemars(with = "String", extend("pattern" = "^(off|[1-9][0-9]*/(second|minute|hour))$")))]
pub enum LogRate {
    /// Never.
    Off,
    /// At most this many lines a second.
    PerSecond(u32),
    /// At most this many lines a minute.
    PerMinute(u32),
    /// At most this many lines an hour.
    PerHour(u32),
}

/// One `[[firewall.allow]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Allow {
    /// Services by name, as `service = "ssh"` or a list.
    #[serde(deserialize_with = "text::one_or_many", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "schema::service_names"))]
    pub service: Vec<String>,
    /// Ports, as `port = "tcp/8080"`, `"udp/60000-61000"` or a list.
    #[serde(deserialize_with = "text::one_or_many_parsed", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "schema::ports"))]
    pub port: Vec<PortSpec>,
    /// Sources, as `from = "10.0.0.0/8"` or a list; none given means anybody.
    #[serde(deserialize_with = "text::one_or_many_nets", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "schema::sources"))]
    pub from: Vec<IpNet>,
    /// New connections a minute from one source address, counted in the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub new_per_minute: Option<u32>,
    /// Free text, kept with the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Line of the entry in the policy file, 1-based; 0 where there is no file.
    #[serde(skip_serializing_if = "is_zero")]
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub line: usize,
}

/// One `[[firewall.forward]]`: what may pass through this host. Whatever is left out may be anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Forward {
    /// The interfaces that it comes in by, as `in = "eth0"`, `in = "docker*"` for all that begin so, or a list.
    #[serde(rename = "in", deserialize_with = "text::one_or_many", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "schema::interfaces"))]
    pub input: Vec<String>,
    /// The interfaces that it leaves by.
    #[serde(rename = "out", deserialize_with = "text::one_or_many", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "schema::interfaces"))]
    pub output: Vec<String>,
    /// Where it comes from, as `from = "10.0.0.0/8"` or a list.
    #[serde(deserialize_with = "text::one_or_many_nets", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "schema::sources"))]
    pub from: Vec<IpNet>,
    /// Where it goes to.
    #[serde(deserialize_with = "text::one_or_many_nets", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "schema::sources"))]
    pub to: Vec<IpNet>,
    /// The ports that it goes to, as `port = "tcp/443"` or a list.
    #[serde(deserialize_with = "text::one_or_many_parsed", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "schema::ports"))]
    pub port: Vec<PortSpec>,
    /// Free text, kept with the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Line of the entry in the policy file, 1-based; 0 where there is no file.
    #[serde(skip_serializing_if = "is_zero")]
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub line: usize,
}

/// One `[[firewall.rule]]`: a rule in the words of iptables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Rule {
    /// `input`, `forward`, `output`, or a chain of one's own, which another rule jumps to.
    pub chain: String,
    /// The arguments of iptables, as `-s 203.0.113.0/24 -p tcp --dport 25 -j DROP`.
    pub rule: String,
    /// The families that it is for; by default those that the rule itself can be for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "RuleFamily"))]
    pub family: Option<RuleFamily>,
    /// Free text, kept with the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether it is loaded; a rule that is not is kept and shown.
    #[serde(skip_serializing_if = "Clone::clone")]
    pub active: bool,
    /// Line of the entry in the policy file, 1-based; 0 where there is no file.
    #[serde(skip_serializing_if = "is_zero")]
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub line: usize,
}

impl Default for Rule {
    fn default() -> Self {
        Self { chain: String::new(), rule: String::new(), family: None, comment: None, active: true, line: 0 }
    }
}

/// The families that a [`Rule`] is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RuleFamily {
    /// IPv4 and IPv6.
    Both,
    /// IPv4 alone.
    Ipv4,
    /// IPv6 alone.
    Ipv6,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_zero(line: &usize) -> bool {
    *line == 0
}

/// Transport protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A port or a range of ports of one protocol, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortSpec {
    /// The protocol.
    pub transport: Transport,
    /// First port.
    pub first: u16,
    /// Last port, equal to `first` for a single one.
    pub last: u16,
}
