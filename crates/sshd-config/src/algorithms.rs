//! Algorithm lists: which names OpenSSH supports, and how `+`, `-` and `^` change a default list.

use crate::pattern::{self, PatternList};
use crate::value_type::Family;
use crate::version::Version;

/// Why an algorithm list is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AlgorithmError {
    /// A name that this OpenSSH does not support.
    #[error("{0} is no algorithm that this OpenSSH supports here")]
    Unknown(String),
    /// A negated pattern, which lists of algorithms do not know.
    #[error("{0} is negated; use a list that begins with -")]
    Negated(String),
    /// Nothing is left.
    #[error("the list is empty")]
    Empty,
}

const CIPHERS: &[&str] = &[
    "3des-cbc",
    "aes128-cbc",
    "aes192-cbc",
    "aes256-cbc",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
];
const MACS: &[&str] = &[
    "hmac-sha1",
    "hmac-sha1-96",
    "hmac-sha2-256",
    "hmac-sha2-512",
    "hmac-md5",
    "hmac-md5-96",
    "umac-64@openssh.com",
    "umac-128@openssh.com",
    "hmac-sha1-etm@openssh.com",
    "hmac-sha1-96-etm@openssh.com",
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-md5-etm@openssh.com",
    "hmac-md5-96-etm@openssh.com",
    "umac-64-etm@openssh.com",
    "umac-128-etm@openssh.com",
];
const KEX: &[&str] = &[
    "diffie-hellman-group1-sha1",
    "diffie-hellman-group14-sha1",
    "diffie-hellman-group14-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
    "diffie-hellman-group-exchange-sha1",
    "diffie-hellman-group-exchange-sha256",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "mlkem768nistp256-sha256",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "sntrup761x25519-sha512",
    "sntrup761x25519-sha512@openssh.com",
    "mlkem768x25519-sha256",
];
const GSS_KEX: &[&str] = &[
    "gss-gex-sha1-",
    "gss-group1-sha1-",
    "gss-group14-sha1-",
    "gss-group14-sha256-",
    "gss-group16-sha512-",
    "gss-nistp256-sha256-",
    "gss-curve25519-sha256-",
];
const KEYS: &[&str] = &[
    "ssh-ed25519",
    "ssh-ed25519-cert-v01@openssh.com",
    "sk-ssh-ed25519@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "ssh-mldsa44-ed25519",
    "ssh-mldsa44-ed25519-cert",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
    "webauthn-sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ssh-dss",
    "ssh-dss-cert-v01@openssh.com",
    "ssh-rsa",
    "ssh-rsa-cert-v01@openssh.com",
    "rsa-sha2-256",
    "rsa-sha2-256-cert-v01@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-512-cert-v01@openssh.com",
];

/// Short names of key types: taken by sshd where a list names them, though they then stand for no algorithm.
const SHORT: &[&str] = &["ED25519", "ED25519-SK", "ECDSA", "ECDSA-SK", "DSA", "RSA"];

/// Every algorithm of a family that a version supports, in its own order.
pub(crate) fn supported(family: Family, version: Version) -> Vec<&'static str> {
    let list = match family {
        Family::Cipher => CIPHERS,
        Family::Mac => MACS,
        Family::Kex => KEX,
        Family::GssKex => GSS_KEX,
        Family::Key | Family::Signature => KEYS,
    };
    let gone = |name: &str| {
        let since = match name {
            "mlkem768nistp256-sha256"
            | "ssh-mldsa44-ed25519"
            | "ssh-mldsa44-ed25519-cert"
            | "webauthn-sk-ecdsa-sha2-nistp256-cert-v01@openssh.com" => Version::new(10, 4),
            "mlkem768x25519-sha256" => Version::new(9, 9),
            "sntrup761x25519-sha512@openssh.com" => Version::new(8, 5),
            _ => Version::new(0, 0),
        };
        let dsa = name.starts_with("ssh-dss") && version >= Version::new(10, 0);
        let certificate = family == Family::Signature && name.contains("-cert");
        version < since || dsa || certificate
    };
    list.iter().copied().filter(|name| !gone(name)).collect()
}

/// Whether sshd takes a list while it parses the line.
pub(crate) fn check(
    list: &str,
    family: Family,
    supported: &[&str],
    plain_only: bool,
) -> Result<(), AlgorithmError> {
    if list.starts_with('-') && family != Family::GssKex {
        return Ok(());
    }
    let names = if family == Family::GssKex { list } else { list.strip_prefix(['+', '^']).unwrap_or(list) };
    if names.is_empty() {
        return Err(AlgorithmError::Empty);
    }
    // sshd stops looking at the first empty name.
    for name in names.split(',').take_while(|name| !name.is_empty()) {
        let known = match family {
            Family::Cipher | Family::Mac | Family::Kex => supported.contains(&name),
            Family::GssKex => supported.iter().any(|prefix| name.starts_with(prefix)),
            Family::Key | Family::Signature => key_known(name, supported, plain_only),
        };
        if !known {
            return Err(AlgorithmError::Unknown(name.to_owned()));
        }
    }
    Ok(())
}

fn key_known(name: &str, supported: &[&str], plain_only: bool) -> bool {
    if supported.contains(&name) {
        return !(plain_only && name.contains("-cert"));
    }
    SHORT.iter().any(|short| short.eq_ignore_ascii_case(name))
        || supported
            .iter()
            .any(|known| PatternList::parse(name).verdict(known) != pattern::Verdict::Unmatched)
}

/// The list that is in force: `spec` applied to the defaults. It is empty where `-` removes everything.
///
/// # Errors
/// Nothing is left, or a pattern is negated: sshd refuses to start.
pub(crate) fn assemble(spec: &str, default: &str, supported: &[&str]) -> Result<String, AlgorithmError> {
    if let Some(removed) = spec.strip_prefix('-') {
        let removed = PatternList::parse(removed);
        let kept: Vec<_> = default.split(',').filter(|name| !removed.includes(name)).collect();
        return Ok(kept.join(","));
    }
    let patterns: Vec<&str> = match (spec.strip_prefix('+'), spec.strip_prefix('^')) {
        (Some(added), _) => default.split(',').chain(until_empty(added)).collect(),
        (_, Some(first)) => first.split(',').chain(default.split(',')).collect(),
        (None, None) => spec.split(',').collect(),
    };
    let mut list: Vec<&str> = Vec::new();
    for pattern in patterns {
        if pattern.starts_with('!') {
            return Err(AlgorithmError::Negated(pattern.to_owned()));
        }
        for name in supported.iter().filter(|name| pattern::matches(name, pattern)) {
            if !list.contains(name) {
                list.push(name);
            }
        }
    }
    if list.is_empty() { Err(AlgorithmError::Empty) } else { Ok(list.join(",")) }
}

fn until_empty(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').take_while(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[&str] = &["a1", "a2", "b1", "b2"];

    #[test]
    fn modifiers_change_the_default() {
        let of = |spec: &str| assemble(spec, "a2,b1", ALL);
        assert_eq!(of("b2,a1").unwrap(), "b2,a1");
        assert_eq!(of("+a1,b1").unwrap(), "a2,b1,a1");
        assert_eq!(of("^b2,b1").unwrap(), "b2,b1,a2");
        assert_eq!(of("-a*").unwrap(), "b1");
        assert_eq!(of("b*").unwrap(), "b1,b2");
        assert_eq!(of("c"), Err(AlgorithmError::Empty));
        assert_eq!(of("!a1"), Err(AlgorithmError::Negated("!a1".to_owned())));
    }

    #[test]
    fn removing_everything_leaves_an_empty_list() {
        assert_eq!(assemble("-*", "a2,b1", ALL).unwrap(), "");
    }

    #[test]
    fn wildcards_are_for_key_types_only() {
        let version = Version::new(9, 2);
        let keys = supported(Family::Key, version);
        assert!(check("ssh-*", Family::Key, &keys, false).is_ok());
        assert!(check("aes*", Family::Cipher, &supported(Family::Cipher, version), false).is_err());
        assert!(check("-aes*", Family::Cipher, &supported(Family::Cipher, version), false).is_ok());
    }
}
