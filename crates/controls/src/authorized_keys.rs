//! The lines of an `authorized_keys` file, as sshd(8) reads them.

use policy::public_key::{KeyError, PublicKey};

/// One key of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuthorizedKey {
    /// Line, 1-based.
    pub(crate) line: usize,
    /// Options before the key, in order, with their values where they have one.
    pub(crate) options: Vec<(String, Option<String>)>,
    /// The type word, such as `ssh-ed25519`; or why it is no key that sshd takes.
    pub(crate) kind: Result<String, String>,
    /// The size of an RSA key.
    pub(crate) rsa_bits: Option<usize>,
}

/// Options that sshd knows (`auth-options.c`); it refuses a key that has any other.
const OPTIONS: &[&str] = &[
    "agent-forwarding",
    "cert-authority",
    "command",
    "environment",
    "expiry-time",
    "from",
    "no-agent-forwarding",
    "no-port-forwarding",
    "no-pty",
    "no-touch-required",
    "no-user-rc",
    "no-x11-forwarding",
    "permitlisten",
    "permitopen",
    "port-forwarding",
    "principals",
    "pty",
    "restrict",
    "tunnel",
    "user-rc",
    "verify-required",
    "x11-forwarding",
];

/// Every line of a file that is neither blank nor a comment.
pub(crate) fn read(bytes: &[u8]) -> Vec<AuthorizedKey> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(at, line)| read_line(at, line))
        .collect()
}

fn read_line(line: usize, text: &str) -> AuthorizedKey {
    let (options, key) = if starts_with_a_type(text) { ("", text) } else { split_options(text) };
    let (kind, rsa_bits) = match PublicKey::parse(key) {
        Ok(parsed) => (Ok(parsed.kind.to_owned()), rsa_bits(&parsed)),
        Err(KeyError::ShortRsa(bits)) => (Ok("ssh-rsa".to_owned()), Some(bits)),
        Err(KeyError::Dsa) => (Ok("ssh-dss".to_owned()), None),
        Err(other) => (Err(other.to_string()), None),
    };
    AuthorizedKey { line, options: read_options(options), kind, rsa_bits }
}

/// Whether the line begins with the key itself.
fn starts_with_a_type(text: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-"].iter().any(|prefix| text.starts_with(prefix))
}

/// Options end at the first blank outside double quotes.
fn split_options(text: &str) -> (&str, &str) {
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' if !escaped => quoted = !quoted,
            ' ' | '\t' if !quoted => return (&text[..at], text[at..].trim_start()),
            _ => {}
        }
        escaped = c == '\\' && !escaped;
    }
    (text, "")
}

fn read_options(text: &str) -> Vec<(String, Option<String>)> {
    let mut options = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let name_end = rest.find(['=', ',']).unwrap_or(rest.len());
        let name = rest[..name_end].to_ascii_lowercase();
        rest = &rest[name_end..];
        let mut value = None;
        if let Some(after) = rest.strip_prefix('=') {
            let (read, left) = read_value(after);
            value = Some(read);
            rest = left;
        }
        options.push((name, value));
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    options
}

/// A value in double quotes, in which `\"` stands for a quote; or up to the next comma where it is not quoted.
fn read_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(',').unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match (c, chars.peek()) {
            ('"', _) => return (value, &quoted[at + 1..]),
            ('\\', Some((_, '"'))) => {
                value.push('"');
                chars.next();
            }
            _ => value.push(c),
        }
    }
    (value, "")
}

/// Bits of the modulus, the third field of the blob (RFC 4253 section 6.6).
fn rsa_bits(key: &PublicKey<'_>) -> Option<usize> {
    if key.kind != "ssh-rsa" {
        return None;
    }
    let mut rest = key.blob.as_slice();
    let mut field = &rest[..0];
    for _ in 0..3 {
        let (length, after) = rest.split_first_chunk::<4>()?;
        (field, rest) = after.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    }
    let first = field.iter().position(|byte| *byte != 0)?;
    Some((field.len() - first) * 8 - field[first].leading_zeros() as usize)
}

impl AuthorizedKey {
    /// The value of an option.
    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(option, _)| option == name).and_then(|(_, value)| value.as_deref())
    }

    /// Whether an option is set.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.options.iter().any(|(option, _)| option == name)
    }

    /// The first option that sshd does not know.
    pub(crate) fn unknown_option(&self) -> Option<&str> {
        self.options.iter().map(|(name, _)| name.as_str()).find(|name| !OPTIONS.contains(name))
    }
}

/// The day, since 1970-01-01, of an `expiry-time` (`YYYYMMDD`, more digits and a `Z` may follow).
pub(crate) fn expiry_day(text: &str) -> Option<i64> {
    let digits = text.get(..8).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
    let number = |range: std::ops::Range<usize>| digits[range].parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days from the civil calendar, the year beginning in March so that the leap day comes last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f laptop";

    #[test]
    fn keys_come_with_their_lines_and_options() {
        let text = format!(
            "# mine\n\n{KEY}\nfrom=\"10.0.0.0/8,!10.1.2.3\",command=\"echo \\\"a, b\\\"\",no-pty {KEY}\n"
        );
        let keys = read(text.as_bytes());
        assert_eq!(keys.len(), 2);
        assert_eq!((keys[0].line, keys[0].kind.as_deref()), (3, Ok("ssh-ed25519")));
        assert!(keys[0].options.is_empty());
        assert_eq!(keys[1].option("from"), Some("10.0.0.0/8,!10.1.2.3"));
        assert_eq!(keys[1].option("command"), Some("echo \"a, b\""));
        assert!(keys[1].has("no-pty") && keys[1].unknown_option().is_none());
        assert_eq!(keys[1].kind.as_deref(), Ok("ssh-ed25519"));
    }

    #[test]
    fn a_broken_line_is_kept_with_what_is_wrong_with_it() {
        let keys = read(b"ssh-ed25519 AAAA\nhello\nspeed=\"9\" ssh-ed25519 AAAA\n");
        assert!(keys.iter().all(|key| key.kind.is_err()));
        assert_eq!(keys[2].unknown_option(), Some("speed"));
    }

    #[test]
    fn an_expiry_time_is_a_day() {
        assert_eq!(expiry_day("19700101"), Some(0));
        assert_eq!(expiry_day("20240229"), Some(19_782));
        assert_eq!(expiry_day("20991231235959Z"), Some(47_481));
        assert_eq!(expiry_day("2024"), None);
        assert_eq!(expiry_day("20241399"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            read(&bytes);
        }

        #[test]
        fn any_options_are_read_without_a_panic(text in "([a-z=,\"\\\\ é]|from=|command=|ssh-rsa AAAA){0,40}") {
            read(text.as_bytes());
            expiry_day(&text);
        }
    }
}
