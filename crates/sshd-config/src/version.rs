//! Which OpenSSH will read the configuration.

use std::fmt;

/// The version of an OpenSSH server, as far as it changes what a configuration means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Version {
    /// Before the dot.
    pub major: u16,
    /// After the dot.
    pub minor: u16,
}

impl Version {
    /// OpenSSH `major.minor`.
    #[must_use]
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// Finds `OpenSSH_9.2` in a banner, in what `sshd -V` prints, or in a bare `9.2p1`; `None` where there
    /// is no version.
    ///
    /// ```
    /// use sshd_config::Version;
    /// assert_eq!(Version::parse("OpenSSH_9.2p1 Debian-2+deb12u5, OpenSSL 3.0.15"), Some(Version::new(9, 2)));
    /// assert_eq!(Version::parse("1:10.0p1-7+deb13u4"), Some(Version::new(10, 0)));
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = match text.find("OpenSSH_") {
            Some(at) => &text[at + "OpenSSH_".len()..],
            None => text.split_once(':').map_or(text, |(_, upstream)| upstream),
        };
        let (major, rest) = text.split_once('.')?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        Some(Self { major: major.trim().parse().ok()?, minor: rest[..digits].parse().ok()? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number_not_by_text() {
        assert!(Version::new(10, 0) > Version::new(9, 9));
    }

    #[test]
    fn what_holds_no_version_is_none() {
        assert_eq!(Version::parse("dropbear"), None);
        assert_eq!(Version::parse("OpenSSH_x.y"), None);
    }
}
