//! What applies where the configuration says nothing: the values a given OpenSSH starts from.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::algorithms::{self, AlgorithmError};
use crate::dump::Dump;
use crate::effective::Setting;
use crate::keyword::Keyword;
use crate::value_type::{Family, ValueType};
use crate::version::Version;

/// The defaults of one build of OpenSSH, and which keywords and algorithms it supports.
#[derive(Debug, Clone)]
pub struct Defaults {
    version: Version,
    release: String,
    settings: BTreeMap<Keyword, Setting>,
    supported: BTreeMap<Family, Vec<&'static str>>,
}

/// What a build does with a keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Support {
    Full,
    /// Taken with a warning, without effect.
    Ignored,
    /// Refused as unknown.
    None,
}

impl Defaults {
    /// The defaults of a version as Debian builds it, from `sshd -T -f /dev/null` of 9.2, 10.0 and 10.6: a
    /// version between takes the nearest one's values. Where the host can be asked, [`Self::from_dump`] is exact.
    #[must_use]
    pub fn for_version(version: Version) -> Self {
        let dump = if version < Version::new(9, 8) {
            include_str!("defaults/9.2.txt")
        } else if version < Version::new(10, 4) {
            include_str!("defaults/10.0.txt")
        } else {
            include_str!("defaults/10.6.txt")
        };
        let mut defaults = Self::from_dump(&format!("OpenSSH_{version}p1 Debian"), version, dump);
        defaults.settings.retain(|keyword, _| keyword.since() <= version);
        defaults
    }

    /// The defaults of the newest version known.
    #[must_use]
    pub fn newest() -> Self {
        Self::for_version(Version::new(10, 6))
    }

    /// The defaults that a host's own sshd prints by `sshd -T -f /dev/null`. `release` is what `sshd -V` prints
    /// before the comma, such as `OpenSSH_10.0p2 Debian-7`: `Match version` is compared with it.
    #[must_use]
    pub fn from_dump(release: &str, version: Version, dump: &str) -> Self {
        let dump = Dump::parse(dump);
        let mut settings = BTreeMap::new();
        for &keyword in Keyword::ALL {
            // What is printed exists, though the version be older: distributions port keywords back.
            let lines = dump.lines(keyword).map(<[String]>::to_vec);
            let silent = || unprinted(keyword, version).filter(|_| keyword.since() <= version);
            if let Some(lines) = lines.or_else(silent) {
                settings.insert(keyword, Setting::of_default(split(keyword, &lines)));
            }
        }
        // Listening addresses follow from the ports, not from what the recording host had.
        settings.remove(&Keyword::ListenAddress);
        let families =
            [Family::Cipher, Family::Mac, Family::Kex, Family::GssKex, Family::Key, Family::Signature];
        let supported = families.map(|family| (family, algorithms::supported(family, version)));
        let supported = supported.into_iter().collect();
        Self { version, release: release.to_owned(), settings, supported }
    }

    /// The version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The release that `Match version` sees.
    #[must_use]
    pub fn release(&self) -> &str {
        &self.release
    }

    /// The default of a keyword; `None` where this build does not know the keyword or does not tell.
    #[must_use]
    pub fn get(&self, keyword: Keyword) -> Option<&Setting> {
        self.settings.get(&keyword)
    }

    /// Whether this build knows a keyword, by its version or by what it printed.
    pub(crate) fn has(&self, keyword: Keyword) -> bool {
        keyword.since() <= self.version || self.settings.contains_key(&keyword)
    }

    pub(crate) fn is_debian(&self) -> bool {
        self.release.contains("Debian") || self.release.contains("Ubuntu")
    }

    pub(crate) fn support(&self, keyword: Keyword) -> Support {
        let printed = self.settings.contains_key(&keyword);
        match keyword {
            // Of patches that not every build has.
            Keyword::DebianBanner
            | Keyword::GssapiKexAlgorithms
            | Keyword::GssapiKeyExchange
            | Keyword::GssapiStoreCredentialsOnRekey
                if !printed =>
            {
                Support::None
            }
            Keyword::KerberosGetAfsToken if !printed => Support::Ignored,
            Keyword::GssapiAuthentication
            | Keyword::GssapiCleanupCredentials
            | Keyword::GssapiDelegateCredentials
            | Keyword::GssapiStrictAcceptorCheck
            | Keyword::KerberosAuthentication
            | Keyword::KerberosOrLocalPasswd
            | Keyword::KerberosTicketCleanup
            | Keyword::UsePam
            | Keyword::PamServiceName
                if !printed =>
            {
                Support::Ignored
            }
            _ => Support::Full,
        }
    }

    pub(crate) fn check_algorithms(
        &self,
        keyword: Keyword,
        family: Family,
        list: &str,
    ) -> Result<(), AlgorithmError> {
        let plain_only = keyword == Keyword::CaSignatureAlgorithms && self.version >= Version::new(9, 9);
        // Any key type passes the first look; only the assembled list is cut down to plain keys.
        let looked_up = if family == Family::Signature { Family::Key } else { family };
        algorithms::check(list, family, self.algorithms(looked_up), plain_only)
    }

    /// Every algorithm of a family that this build supports.
    #[must_use]
    pub fn algorithms(&self, family: Family) -> &[&'static str] {
        self.supported.get(&family).map_or(&[], Vec::as_slice)
    }

    /// Resolves a list with `+`, `-` or `^` against the default.
    pub(crate) fn assemble(
        &self,
        keyword: Keyword,
        family: Family,
        spec: &str,
    ) -> Result<String, AlgorithmError> {
        if family == Family::GssKex {
            return Ok(spec.to_owned());
        }
        let default = self.get(keyword).map_or("", Setting::text);
        algorithms::assemble(spec, default, self.algorithms(family))
    }
}

/// What `sshd -T` leaves out where nothing is set.
fn unprinted(keyword: Keyword, version: Version) -> Option<Vec<String>> {
    let words: &[&str] = match keyword {
        Keyword::ChannelTimeout | Keyword::LogVerbose => &["none"],
        // Only from 10.0 on does Debian's sshd print its own keyword; before, any build may be Debian's.
        Keyword::DebianBanner if version < Version::new(10, 0) => &["yes"],
        Keyword::AcceptEnv
        | Keyword::AllowGroups
        | Keyword::AllowUsers
        | Keyword::DenyGroups
        | Keyword::DenyUsers
        | Keyword::HostCertificate
        | Keyword::RevokedKeys
        | Keyword::SetEnv
        | Keyword::Subsystem => &[],
        _ => return None,
    };
    Some(words.iter().map(|word| (*word).to_owned()).collect())
}

/// Lines of a dump as single values.
fn split(keyword: Keyword, lines: &[String]) -> Vec<Arc<str>> {
    match keyword.value_type() {
        ValueType::FileList
        | ValueType::Methods
        | ValueType::Timeouts
        | ValueType::Targets
        | ValueType::LogVerbose => lines.iter().flat_map(|line| line.split(' ')).map(Arc::from).collect(),
        _ => lines.iter().map(|line| Arc::from(line.as_str())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_brings_its_own_defaults() {
        let root =
            |version| Defaults::for_version(version).get(Keyword::PermitRootLogin).unwrap().text().to_owned();
        assert_eq!(root(Version::new(9, 2)), "prohibit-password");
        assert_eq!(root(Version::new(10, 6)), "prohibit-password");
        let old = Defaults::for_version(Version::new(9, 2));
        assert!(old.get(Keyword::PerSourcePenalties).is_none());
        assert!(Defaults::for_version(Version::new(10, 0)).get(Keyword::PerSourcePenalties).is_some());
    }

    #[test]
    fn a_keyword_ported_back_is_known_where_the_build_prints_it() {
        let old = Version::new(8, 7);
        assert!(!Defaults::for_version(old).has(Keyword::RequiredRsaSize));
        let dump = "requiredrsasize 2048\npermitrootlogin prohibit-password\n";
        assert!(Defaults::from_dump("OpenSSH_8.7p1", old, dump).has(Keyword::RequiredRsaSize));
    }

    #[test]
    fn lists_on_one_line_are_single_values() {
        let defaults = Defaults::newest();
        let files: Vec<_> = defaults.get(Keyword::AuthorizedKeysFile).unwrap().texts().collect();
        assert_eq!(files, [".ssh/authorized_keys", ".ssh/authorized_keys2"]);
    }
}
