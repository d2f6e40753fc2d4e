//! What the arguments of a keyword are, and where it may stand.

use crate::version::Version;

/// What a keyword's arguments are, and so how they are read, combined and printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// `yes` or `no`.
    Flag,
    /// One of a few words, in any case; several may mean the same.
    Choice(&'static [Choice]),
    /// A whole number.
    Count,
    /// A time, in seconds where no unit is given.
    Seconds,
    /// A time, or `none`.
    SecondsOrNone,
    /// File permission bits in octal.
    Mode,
    /// One file; relative paths are taken from the directory sshd runs in.
    Path,
    /// One file that stays as written but for a leading `~`.
    PathAsWritten,
    /// One word that stays as written.
    Word,
    /// Where the socket of a forwarded agent goes: `none`, `user:` and a path, `shared:` and an absolute path.
    AgentSocket,
    /// The whole rest of the line.
    Rest,
    /// The whole rest of the line: an absolute path with arguments, or `none`.
    Command,
    /// A list of algorithms, perhaps changing the default by `+`, `-` or `^`.
    Algorithms(Family),
    /// `begin:rate:full`.
    Startups,
    /// `bits of IPv4:bits of IPv6`.
    NetBlock,
    /// A number or `none`.
    SourceStartups,
    /// Penalties by offence.
    Penalties,
    /// Networks that are exempt.
    Networks,
    /// Two classes of service: interactive and bulk.
    Qos,
    /// Bytes and seconds after which keys change.
    Rekey,
    /// A kind of tunnel.
    Tunnel,
    /// `yes`, `no`, or a list of names.
    UserEnvironment,
    /// `none`, `touch-required`, `verify-required`.
    PubkeyOptions,
    /// A routing domain. OpenSSH on Linux refuses the keyword.
    RDomain,
    /// A port to listen on.
    Port,
    /// An address to listen on.
    ListenAddress,
    /// Files, one more with each line.
    Files,
    /// Names and what they run.
    Subsystem,
    /// Patterns, more with each line; users may say from which host.
    UserPatterns,
    /// Patterns, more with each line.
    Patterns,
    /// Names of variables, more with each line.
    EnvironmentNames,
    /// `NAME=value`; the first line counts.
    Environment,
    /// Files on one line; the first line counts.
    FileList,
    /// Lists of methods; the first line counts.
    Methods,
    /// `kind=time`; the first line counts.
    Timeouts,
    /// Where forwarding may lead; the first line counts.
    Targets,
    /// Patterns of source places; the first line counts.
    LogVerbose,
    /// Reads further files.
    Include,
    /// Begins a conditional block.
    Match,
}

/// One accepted word and the word `sshd -T` prints for it.
pub type Choice = (&'static str, &'static str);

/// A kind of algorithm list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// `Ciphers`.
    Cipher,
    /// `MACs`.
    Mac,
    /// `KexAlgorithms`.
    Kex,
    /// `GSSAPIKexAlgorithms`: names without modifiers.
    GssKex,
    /// Signature algorithms of keys and certificates.
    Key,
    /// Signature algorithms of plain keys.
    Signature,
}

/// Where a keyword may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Before the first `Match` only.
    Main,
    /// Inside `Match` blocks too.
    Anywhere,
    /// Inside `Match` blocks too, from this version on.
    AnywhereSince(Version),
}

pub(crate) const YES_NO: &[Choice] = &[("yes", "yes"), ("no", "no")];
pub(crate) const WARN: &[Choice] =
    &[("yes", "yes"), ("no", "no"), ("true", "yes"), ("false", "no"), ("no-pq-kex", "no")];
pub(crate) const FAMILIES: &[Choice] = &[("inet", "inet"), ("inet6", "inet6"), ("any", "any")];
pub(crate) const ROOT: &[Choice] = &[
    ("without-password", "prohibit-password"),
    ("prohibit-password", "prohibit-password"),
    ("forced-commands-only", "forced-commands-only"),
    ("yes", "yes"),
    ("no", "no"),
];
pub(crate) const RHOSTS: &[Choice] = &[("yes", "yes"), ("no", "no"), ("shosts-only", "shosts-only")];
pub(crate) const COMPRESSION: &[Choice] = &[("yes", "yes"), ("delayed", "yes"), ("no", "no")];
pub(crate) const GATEWAY: &[Choice] = &[("clientspecified", "clientspecified"), ("yes", "yes"), ("no", "no")];
pub(crate) const FORWARD: &[Choice] =
    &[("yes", "yes"), ("all", "yes"), ("no", "no"), ("remote", "remote"), ("local", "local")];
pub(crate) const DIGEST: &[Choice] =
    &[("MD5", "MD5"), ("SHA1", "SHA1"), ("SHA256", "SHA256"), ("SHA384", "SHA384"), ("SHA512", "SHA512")];
pub(crate) const LOG_LEVEL: &[Choice] = &[
    ("SILENT", "QUIET"),
    ("QUIET", "QUIET"),
    ("FATAL", "FATAL"),
    ("ERROR", "ERROR"),
    ("INFO", "INFO"),
    ("VERBOSE", "VERBOSE"),
    ("DEBUG", "DEBUG"),
    ("DEBUG1", "DEBUG"),
    ("DEBUG2", "DEBUG2"),
    ("DEBUG3", "DEBUG3"),
];
pub(crate) const FACILITY: &[Choice] = &[
    ("DAEMON", "DAEMON"),
    ("USER", "USER"),
    ("AUTH", "AUTH"),
    ("AUTHPRIV", "AUTHPRIV"),
    ("LOCAL0", "LOCAL0"),
    ("LOCAL1", "LOCAL1"),
    ("LOCAL2", "LOCAL2"),
    ("LOCAL3", "LOCAL3"),
    ("LOCAL4", "LOCAL4"),
    ("LOCAL5", "LOCAL5"),
    ("LOCAL6", "LOCAL6"),
    ("LOCAL7", "LOCAL7"),
];
