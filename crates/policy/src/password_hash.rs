//! Password hashes as crypt(5) writes them.

/// Why a text is no hash that should stand in `/etc/shadow`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// No hash at all.
    #[error("this is not a crypt(5) hash, and a password is never written in clear")]
    NotAHash,
    /// MD5 or the old DES crypt.
    #[error("a hash by {0} is guessed too quickly")]
    Weak(&'static str),
    /// A known scheme with something missing or out of its alphabet.
    #[error("the {0} hash is not whole")]
    Malformed(&'static str),
}

impl HashError {
    /// What to do instead.
    pub fn help(&self) -> &'static str {
        "write what `mkpasswd --method=yescrypt` or `openssl passwd -6` prints, \"keep\", or \"locked\""
    }
}

/// A scheme of crypt(5): its prefix, its name, the characters of its digest, and whether it is strong enough.
struct Scheme {
    prefix: &'static str,
    name: &'static str,
    digest: usize,
    strong: bool,
}

const SCHEMES: &[Scheme] = &[
    Scheme { prefix: "$y$", name: "yescrypt", digest: 43, strong: true },
    Scheme { prefix: "$gy$", name: "gost-yescrypt", digest: 43, strong: true },
    Scheme { prefix: "$7$", name: "scrypt", digest: 43, strong: true },
    Scheme { prefix: "$6$", name: "SHA-512", digest: 86, strong: true },
    Scheme { prefix: "$5$", name: "SHA-256", digest: 43, strong: true },
    Scheme { prefix: "$2b$", name: "bcrypt", digest: 53, strong: true },
    Scheme { prefix: "$2y$", name: "bcrypt", digest: 53, strong: true },
    Scheme { prefix: "$1$", name: "MD5", digest: 22, strong: false },
    Scheme { prefix: "$md5", name: "MD5", digest: 22, strong: false },
    Scheme { prefix: "$sha1$", name: "SHA-1", digest: 28, strong: false },
    Scheme { prefix: "$3$", name: "NT", digest: 32, strong: false },
];

/// Checks the form of a hash: a scheme that is not weak, its alphabet, its length.
///
/// # Errors
/// What is wrong, without the text itself: it may be a password.
pub fn check(text: &str) -> Result<(), HashError> {
    let Some(scheme) = SCHEMES.iter().find(|scheme| text.starts_with(scheme.prefix)) else {
        let des =
            text.len() == 13 && text.bytes().all(in_alphabet) && text.bytes().any(|b| b.is_ascii_digit());
        return Err(if des { HashError::Weak("DES") } else { HashError::NotAHash });
    };
    if !scheme.strong {
        return Err(HashError::Weak(scheme.name));
    }
    let rest = &text[scheme.prefix.len()..];
    let digest = rest.rsplit('$').next().unwrap_or_default();
    let whole = rest.contains('$')
        && digest.len() == scheme.digest
        && digest.bytes().all(in_alphabet)
        && rest.bytes().all(|b| in_alphabet(b) || matches!(b, b'$' | b'=' | b','));
    if whole { Ok(()) } else { Err(HashError::Malformed(scheme.name)) }
}

/// The alphabet of crypt(5).
fn in_alphabet(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_the_strong_schemes_are_taken() {
        let sha512 = format!("$6$rounds=5000$saltsalt${}", "a".repeat(86));
        let bcrypt = format!("$2b$12${}", "a".repeat(53));
        for hash in [
            sha512.as_str(),
            &bcrypt,
            "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7",
        ] {
            assert_eq!(check(hash), Ok(()), "{hash}");
        }
    }

    #[test]
    fn clear_text_weak_schemes_and_cut_off_hashes_are_refused() {
        assert_eq!(check("correct horse"), Err(HashError::NotAHash));
        assert_eq!(check("hunter2"), Err(HashError::NotAHash));
        assert_eq!(check(""), Err(HashError::NotAHash));
        assert_eq!(check("ab01FAX.bQRSU"), Err(HashError::Weak("DES")));
        assert_eq!(check("$1$salt$abcdefghijklmnopqrstuv"), Err(HashError::Weak("MD5")));
        assert_eq!(check("$6$salt$tooshort"), Err(HashError::Malformed("SHA-512")));
        let injected = format!("$6$salt:0$${}", "a".repeat(86));
        assert_eq!(check(&injected), Err(HashError::Malformed("SHA-512")));
        assert_eq!(check(&format!("$6${}", "a".repeat(86))), Err(HashError::Malformed("SHA-512")));
    }
}
