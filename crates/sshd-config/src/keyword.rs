//! Every keyword that sshd knows, from OpenSSH 7.4 on.

use std::fmt;

use crate::value_type::{
    COMPRESSION, Choice, DIGEST, FACILITY, FAMILIES, FORWARD, Family, GATEWAY, LOG_LEVEL, Place, RHOSTS,
    ROOT, ValueType, WARN, YES_NO,
};
use crate::version::Version;

macro_rules! keywords {
    ($($variant:ident $name:literal ($major:literal, $minor:literal) $place:ident $(($pmajor:literal, $pminor:literal))?
        $value:ident $(($argument:expr))?;)*) => {
        /// A keyword of `sshd_config`. The names are those of `sshd_config(5)`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum Keyword {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl Keyword {
            /// Every keyword.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name as `sshd_config(5)` spells it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What its arguments are.
            #[must_use]
            pub const fn value_type(self) -> ValueType {
                match self { $(Self::$variant => ValueType::$value $(($argument))?,)* }
            }

            /// The version that brought it; 7.4 stands for all before.
            #[must_use]
            pub const fn since(self) -> Version {
                match self { $(Self::$variant => Version::new($major, $minor),)* }
            }

            /// Where it may stand.
            #[must_use]
            pub const fn place(self) -> Place {
                match self { $(Self::$variant => Place::$place $((Version::new($pmajor, $pminor)))?,)* }
            }
        }
    };
}

keywords! {
    AcceptEnv "AcceptEnv" (7, 4) Anywhere EnvironmentNames;
    AddressFamily "AddressFamily" (7, 4) Main Choice(FAMILIES);
    AgentSocketPath "AgentSocketPath" (10, 4) Anywhere AgentSocket;
    AllowAgentForwarding "AllowAgentForwarding" (7, 4) Anywhere Flag;
    AllowGroups "AllowGroups" (7, 4) Anywhere Patterns;
    AllowStreamLocalForwarding "AllowStreamLocalForwarding" (7, 4) Anywhere Choice(FORWARD);
    AllowTcpForwarding "AllowTcpForwarding" (7, 4) Anywhere Choice(FORWARD);
    AllowUsers "AllowUsers" (7, 4) Anywhere UserPatterns;
    AuthenticationMethods "AuthenticationMethods" (7, 4) Anywhere Methods;
    AuthorizedKeysCommand "AuthorizedKeysCommand" (7, 4) Anywhere Command;
    AuthorizedKeysCommandUser "AuthorizedKeysCommandUser" (7, 4) Anywhere Word;
    AuthorizedKeysFile "AuthorizedKeysFile" (7, 4) Anywhere FileList;
    AuthorizedPrincipalsCommand "AuthorizedPrincipalsCommand" (7, 4) Anywhere Command;
    AuthorizedPrincipalsCommandUser "AuthorizedPrincipalsCommandUser" (7, 4) Anywhere Word;
    AuthorizedPrincipalsFile "AuthorizedPrincipalsFile" (7, 4) Anywhere PathAsWritten;
    Banner "Banner" (7, 4) Anywhere Path;
    CaSignatureAlgorithms "CASignatureAlgorithms" (7, 9) Anywhere Algorithms(Family::Signature);
    ChannelTimeout "ChannelTimeout" (9, 2) Anywhere Timeouts;
    ChrootDirectory "ChrootDirectory" (7, 4) Anywhere Word;
    Ciphers "Ciphers" (7, 4) Main Algorithms(Family::Cipher);
    ClientAliveCountMax "ClientAliveCountMax" (7, 4) Anywhere Count;
    ClientAliveInterval "ClientAliveInterval" (7, 4) Anywhere Seconds;
    Compression "Compression" (7, 4) Main Choice(COMPRESSION);
    DebianBanner "DebianBanner" (7, 4) Main Flag;
    DenyGroups "DenyGroups" (7, 4) Anywhere Patterns;
    DenyUsers "DenyUsers" (7, 4) Anywhere UserPatterns;
    DisableForwarding "DisableForwarding" (7, 4) Anywhere Flag;
    ExposeAuthInfo "ExposeAuthInfo" (7, 6) Anywhere Flag;
    FingerprintHash "FingerprintHash" (7, 4) Main Choice(DIGEST);
    ForceCommand "ForceCommand" (7, 4) Anywhere Rest;
    GatewayPorts "GatewayPorts" (7, 4) Anywhere Choice(GATEWAY);
    GssapiAuthentication "GSSAPIAuthentication" (7, 4) Anywhere Flag;
    GssapiCleanupCredentials "GSSAPICleanupCredentials" (7, 4) Main Flag;
    GssapiDelegateCredentials "GSSAPIDelegateCredentials" (10, 3) Main Flag;
    GssapiKexAlgorithms "GSSAPIKexAlgorithms" (7, 4) Main Algorithms(Family::GssKex);
    GssapiKeyExchange "GSSAPIKeyExchange" (7, 4) Main Flag;
    GssapiStoreCredentialsOnRekey "GSSAPIStoreCredentialsOnRekey" (7, 4) Main Flag;
    GssapiStrictAcceptorCheck "GSSAPIStrictAcceptorCheck" (7, 4) Main Flag;
    HostCertificate "HostCertificate" (7, 4) Main Files;
    HostKey "HostKey" (7, 4) Main Files;
    HostKeyAgent "HostKeyAgent" (7, 4) Main Path;
    HostKeyAlgorithms "HostKeyAlgorithms" (7, 4) Main Algorithms(Family::Key);
    HostbasedAcceptedAlgorithms "HostbasedAcceptedAlgorithms" (7, 4) Anywhere Algorithms(Family::Key);
    HostbasedAuthentication "HostbasedAuthentication" (7, 4) Anywhere Flag;
    HostbasedUsesNameFromPacketOnly "HostbasedUsesNameFromPacketOnly" (7, 4) Anywhere Flag;
    IgnoreRhosts "IgnoreRhosts" (7, 4) AnywhereSince(8, 2) Choice(RHOSTS);
    IgnoreUserKnownHosts "IgnoreUserKnownHosts" (7, 4) Main Flag;
    Include "Include" (8, 2) Anywhere Include;
    IpQos "IPQoS" (7, 4) Anywhere Qos;
    KbdInteractiveAuthentication "KbdInteractiveAuthentication" (7, 4) Anywhere Flag;
    KerberosAuthentication "KerberosAuthentication" (7, 4) Anywhere Flag;
    KerberosGetAfsToken "KerberosGetAFSToken" (7, 4) Main Flag;
    KerberosOrLocalPasswd "KerberosOrLocalPasswd" (7, 4) Main Flag;
    KerberosTicketCleanup "KerberosTicketCleanup" (7, 4) Main Flag;
    KexAlgorithms "KexAlgorithms" (7, 4) Main Algorithms(Family::Kex);
    ListenAddress "ListenAddress" (7, 4) Main ListenAddress;
    LogLevel "LogLevel" (7, 4) Anywhere Choice(LOG_LEVEL);
    LogVerbose "LogVerbose" (8, 5) Anywhere LogVerbose;
    LoginGraceTime "LoginGraceTime" (7, 4) Main Seconds;
    Macs "MACs" (7, 4) Main Algorithms(Family::Mac);
    Match "Match" (7, 4) Anywhere Match;
    MaxAuthTries "MaxAuthTries" (7, 4) Anywhere Count;
    MaxSessions "MaxSessions" (7, 4) Anywhere Count;
    MaxStartups "MaxStartups" (7, 4) Main Startups;
    ModuliFile "ModuliFile" (8, 6) Main Path;
    PamServiceName "PAMServiceName" (9, 8) Anywhere Word;
    PasswordAuthentication "PasswordAuthentication" (7, 4) Anywhere Flag;
    PerSourceMaxStartups "PerSourceMaxStartups" (8, 5) Main SourceStartups;
    PerSourceNetBlockSize "PerSourceNetBlockSize" (8, 5) Main NetBlock;
    PerSourcePenalties "PerSourcePenalties" (9, 8) Main Penalties;
    PerSourcePenaltyExemptList "PerSourcePenaltyExemptList" (9, 8) Main Networks;
    PermitEmptyPasswords "PermitEmptyPasswords" (7, 4) Anywhere Flag;
    PermitListen "PermitListen" (7, 8) Anywhere Targets;
    PermitOpen "PermitOpen" (7, 4) Anywhere Targets;
    PermitRootLogin "PermitRootLogin" (7, 4) Anywhere Choice(ROOT);
    PermitTty "PermitTTY" (7, 4) Anywhere Flag;
    PermitTunnel "PermitTunnel" (7, 4) Anywhere Tunnel;
    PermitUserEnvironment "PermitUserEnvironment" (7, 4) Main UserEnvironment;
    PermitUserRc "PermitUserRC" (7, 4) Anywhere Flag;
    PidFile "PidFile" (7, 4) Main Path;
    Port "Port" (7, 4) Main Port;
    PrintLastLog "PrintLastLog" (7, 4) Main Flag;
    PrintMotd "PrintMotd" (7, 4) Main Flag;
    PubkeyAcceptedAlgorithms "PubkeyAcceptedAlgorithms" (7, 4) Anywhere Algorithms(Family::Key);
    PubkeyAuthOptions "PubkeyAuthOptions" (8, 2) Anywhere PubkeyOptions;
    PubkeyAuthentication "PubkeyAuthentication" (7, 4) Anywhere Flag;
    RDomain "RDomain" (7, 6) Anywhere RDomain;
    RefuseConnection "RefuseConnection" (9, 9) Anywhere Flag;
    RekeyLimit "RekeyLimit" (7, 4) Anywhere Rekey;
    RequiredRsaSize "RequiredRSASize" (9, 1) Anywhere Count;
    RevokedKeys "RevokedKeys" (7, 4) Anywhere Path;
    SecurityKeyProvider "SecurityKeyProvider" (8, 2) Main Path;
    SetEnv "SetEnv" (7, 8) Anywhere Environment;
    SshdAuthPath "SshdAuthPath" (10, 0) Main Path;
    SshdSessionPath "SshdSessionPath" (9, 8) Main Path;
    StreamLocalBindMask "StreamLocalBindMask" (7, 4) Anywhere Mode;
    StreamLocalBindUnlink "StreamLocalBindUnlink" (7, 4) Anywhere Flag;
    StrictModes "StrictModes" (7, 4) Main Flag;
    Subsystem "Subsystem" (7, 4) AnywhereSince(9, 5) Subsystem;
    SyslogFacility "SyslogFacility" (7, 4) Main Choice(FACILITY);
    TcpKeepAlive "TCPKeepAlive" (7, 4) Main Flag;
    TrustedUserCaKeys "TrustedUserCAKeys" (7, 4) Anywhere Path;
    UnusedConnectionTimeout "UnusedConnectionTimeout" (9, 2) Anywhere SecondsOrNone;
    UseDns "UseDNS" (7, 4) Main Flag;
    UsePam "UsePAM" (7, 4) Main Flag;
    VersionAddendum "VersionAddendum" (7, 4) Main Rest;
    WarnWeakCrypto "WarnWeakCrypto" (10, 4) Main Choice(WARN);
    X11DisplayOffset "X11DisplayOffset" (7, 4) Anywhere Count;
    X11Forwarding "X11Forwarding" (7, 4) Anywhere Flag;
    X11UseLocalhost "X11UseLocalhost" (7, 4) Anywhere Flag;
    XAuthLocation "XAuthLocation" (7, 4) Main Path;
}

/// Other names of a keyword. The flag tells whether the name may stand inside `Match`.
const ALIASES: &[(&str, Keyword, bool)] = &[
    ("challengeresponseauthentication", Keyword::KbdInteractiveAuthentication, true),
    ("dsaauthentication", Keyword::PubkeyAuthentication, false),
    ("gssapicleanupcreds", Keyword::GssapiCleanupCredentials, false),
    ("hostbasedacceptedkeytypes", Keyword::HostbasedAcceptedAlgorithms, true),
    ("hostdsakey", Keyword::HostKey, false),
    ("keepalive", Keyword::TcpKeepAlive, false),
    ("pubkeyacceptedkeytypes", Keyword::PubkeyAcceptedAlgorithms, true),
    ("skeyauthentication", Keyword::KbdInteractiveAuthentication, true),
];

/// Names that sshd still takes and does nothing with. The flag tells whether they may stand inside `Match`.
const OBSOLETE: &[(&str, bool)] = &[
    ("afstokenpassing", false),
    ("authorizedkeysfile2", true),
    ("checkmail", false),
    ("gssapiusesessioncredcache", false),
    ("gssusesessionccache", false),
    ("kerberostgtpassing", false),
    ("keyregenerationinterval", false),
    ("pamauthenticationviakbdint", false),
    ("permitblacklistedkeys", false),
    ("protocol", false),
    ("reversemappingcheck", false),
    ("rhostsauthentication", false),
    ("rhostsrsaauthentication", true),
    ("rsaauthentication", true),
    ("serverkeybits", false),
    ("uselogin", false),
    ("useprivilegeseparation", false),
    ("verifyreversemapping", false),
];

/// Names that only the builds of other distributions and systems know. Their values are not followed.
const FOREIGN: &[&str] = &[
    "blacklistd",
    "exposeauthenticationmethods",
    "gssapienablek5users",
    "kerberosuniqueccache",
    "kerberosusekuserok",
    "rsaminsize",
    "useblacklist",
    "useblocklist",
    "x11maxdisplays",
];

/// What a name at the start of a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// A keyword, and whether this name of it may stand inside `Match`.
    Known {
        /// Which.
        keyword: Keyword,
        /// The name may stand inside `Match`.
        in_match: bool,
    },
    /// Taken and ignored.
    Obsolete {
        /// The name may stand inside `Match`.
        in_match: bool,
    },
    /// Known to patched builds only, of Red Hat or FreeBSD for one; other builds refuse to start.
    Foreign,
    /// sshd refuses to start.
    Unknown,
}

impl Keyword {
    /// The keyword of this name in any case, alias or not; `None` where there is none or it is obsolete.
    ///
    /// ```
    /// use sshd_config::Keyword;
    /// assert_eq!(Keyword::from_name("permitrootlogin"), Some(Keyword::PermitRootLogin));
    /// assert_eq!(
    ///     Keyword::from_name("ChallengeResponseAuthentication"),
    ///     Some(Keyword::KbdInteractiveAuthentication)
    /// );
    /// ```
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let named = Self::ALL.iter().find(|keyword| keyword.name().eq_ignore_ascii_case(name));
        let alias = || {
            ALIASES.iter().find(|(alias, ..)| alias.eq_ignore_ascii_case(name)).map(|(_, keyword, _)| keyword)
        };
        named.or_else(alias).copied()
    }

    /// What a name means to a version of OpenSSH.
    #[must_use]
    pub fn lookup(name: &str, version: Version) -> Lookup {
        Self::look_up(name, version, |keyword| keyword.since() <= version)
    }

    pub(crate) fn look_up(name: &str, version: Version, exists: impl Fn(Self) -> bool) -> Lookup {
        let known = |keyword: Self, in_match: bool| {
            if exists(keyword) { Lookup::Known { keyword, in_match } } else { Lookup::Unknown }
        };
        if let Some((_, keyword, in_match)) =
            ALIASES.iter().find(|(alias, ..)| alias.eq_ignore_ascii_case(name))
        {
            return known(*keyword, *in_match);
        }
        if let Some(keyword) = Self::from_name(name) {
            return known(keyword, keyword.allowed_in_match(version));
        }
        match OBSOLETE.iter().find(|(obsolete, _)| obsolete.eq_ignore_ascii_case(name)) {
            Some(&(_, in_match)) => Lookup::Obsolete { in_match },
            None if FOREIGN.iter().any(|foreign| foreign.eq_ignore_ascii_case(name)) => Lookup::Foreign,
            None => Lookup::Unknown,
        }
    }

    /// Whether the keyword may stand inside a `Match` block.
    #[must_use]
    pub fn allowed_in_match(self, version: Version) -> bool {
        match self.place() {
            Place::Main => false,
            Place::Anywhere => true,
            Place::AnywhereSince(since) => version >= since,
        }
    }

    /// Whether each further line adds to the value, rather than being ignored after the first.
    #[must_use]
    pub const fn accumulates(self) -> bool {
        match self.value_type() {
            ValueType::Port
            | ValueType::ListenAddress
            | ValueType::Files
            | ValueType::Subsystem
            | ValueType::UserPatterns
            | ValueType::Patterns
            | ValueType::EnvironmentNames => true,
            ValueType::Flag
            | ValueType::Choice(_)
            | ValueType::Count
            | ValueType::Seconds
            | ValueType::SecondsOrNone
            | ValueType::Mode
            | ValueType::Path
            | ValueType::PathAsWritten
            | ValueType::Word
            | ValueType::AgentSocket
            | ValueType::Rest
            | ValueType::Command
            | ValueType::Algorithms(_)
            | ValueType::Startups
            | ValueType::NetBlock
            | ValueType::SourceStartups
            | ValueType::Penalties
            | ValueType::Networks
            | ValueType::Qos
            | ValueType::Rekey
            | ValueType::Tunnel
            | ValueType::UserEnvironment
            | ValueType::PubkeyOptions
            | ValueType::RDomain
            | ValueType::Environment
            | ValueType::FileList
            | ValueType::Methods
            | ValueType::Timeouts
            | ValueType::Targets
            | ValueType::LogVerbose
            | ValueType::Include
            | ValueType::Match => false,
        }
    }

    /// The words of a flag or choice, with what `sshd -T` prints for each; empty for other types.
    #[must_use]
    pub const fn choices(self) -> &'static [Choice] {
        match self.value_type() {
            ValueType::Flag => YES_NO,
            ValueType::Choice(choices) => choices,
            _ => &[],
        }
    }
}

impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case_and_no_two_are_the_same() {
        for &keyword in Keyword::ALL {
            assert_eq!(Keyword::from_name(&keyword.name().to_uppercase()), Some(keyword));
        }
        let names: std::collections::BTreeSet<_> =
            Keyword::ALL.iter().map(|k| k.name().to_lowercase()).collect();
        assert_eq!(names.len(), Keyword::ALL.len());
    }

    #[test]
    fn a_keyword_is_unknown_to_a_version_before_it() {
        assert_eq!(Keyword::lookup("RefuseConnection", Version::new(9, 2)), Lookup::Unknown);
        assert!(matches!(Keyword::lookup("refuseconnection", Version::new(9, 9)), Lookup::Known { .. }));
        assert_eq!(Keyword::lookup("UseLogin", Version::new(9, 2)), Lookup::Obsolete { in_match: false });
        assert_eq!(Keyword::lookup("Colour", Version::new(9, 2)), Lookup::Unknown);
        assert_eq!(Keyword::lookup("GSSAPIEnablek5users", Version::new(9, 2)), Lookup::Foreign);
    }

    #[test]
    fn an_alias_keeps_its_own_place() {
        let old = Keyword::lookup("DSAAuthentication", Version::new(9, 2));
        assert_eq!(old, Lookup::Known { keyword: Keyword::PubkeyAuthentication, in_match: false });
    }
}
