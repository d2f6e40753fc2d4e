//! Public keys as `authorized_keys` takes them: `[options] type base64 [comment]`.
//!
//! The blob is read as RFC 4253 section 6.6 and PROTOCOL.u2f lay it out, so that a truncated paste is found here and
//! not at the next login. Whether a signature would verify is not looked at.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

/// The least size of an RSA key that is taken: the least OpenSSH itself takes is 1024.
const RSA_LEAST_BITS: usize = 2048;

/// One public key, in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey<'t> {
    /// Options before the key, as they stand (`from="10.0.0.0/8",no-pty`); empty for none.
    pub options: &'t str,
    /// The type word, such as `ssh-ed25519`.
    pub kind: &'t str,
    /// The decoded key: what a fingerprint is taken of.
    pub blob: Vec<u8>,
    /// The comment; empty for none.
    pub comment: &'t str,
}

/// Why a text is no public key that could be let in by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text of a private key.
    #[error("this is a private key")]
    Private,
    /// More than one line, or a control character.
    #[error("a key is one line without control characters")]
    NotOneLine,
    /// A path and not the key.
    #[error("this is the name of a file, not the key in it")]
    FileName,
    /// Nothing that begins like a key.
    #[error("this is no public key")]
    NoType,
    /// A type word that is unknown.
    #[error("unknown key type `{0}`")]
    UnknownType(String),
    /// A certificate, where a key belongs.
    #[error("this is a certificate, not a key")]
    Certificate,
    /// DSA.
    #[error("DSA keys (ssh-dss) are broken, and OpenSSH has dropped them")]
    Dsa,
    /// Type without a blob.
    #[error("the key stops after its type")]
    NoBlob,
    /// The blob is not base64.
    #[error("the key is not whole: its base64 does not decode")]
    NotBase64,
    /// The blob is cut off, or something follows it.
    #[error("the key is not whole: {0}")]
    Malformed(&'static str),
    /// The type word says one thing and the blob another.
    #[error("the key says it is `{word}`, but it is `{inside}`")]
    TypeMismatch {
        /// The word before the blob.
        word: String,
        /// The type inside the blob.
        inside: String,
    },
    /// A short RSA key.
    #[error("an RSA key of {0} bits is too short")]
    ShortRsa(usize),
}

impl KeyError {
    /// What to do instead.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Private => {
                "never put it here or send it to anyone; write the one line of the `.pub` file beside it"
            }
            Self::NotOneLine => {
                "write each key as one text of its own: keys = [\"ssh-ed25519 AAAA... laptop\", ...]"
            }
            Self::FileName => "write what stands in the file: `cat` it and paste the line",
            Self::NoType | Self::UnknownType(_) => {
                "a key looks like `ssh-ed25519 AAAA... comment`; make one with `gabion ssh keygen`"
            }
            Self::Certificate => "write the public key itself, from the file without `-cert`",
            Self::Dsa | Self::ShortRsa(_) => {
                "make a new one with `gabion ssh keygen` (Ed25519, or `--rsa 4096` for old clients)"
            }
            Self::NoBlob | Self::NotBase64 | Self::Malformed(_) => "copy the whole line of the `.pub` file",
            Self::TypeMismatch { .. } => "copy the whole line of the `.pub` file, its first word too",
        }
    }
}

/// The bytes of the first private key in a text, to its end or the end of the text.
pub(crate) fn private_key(text: &str) -> Option<Range<usize>> {
    const MARK: &str = "PRIVATE KEY-----";
    let begin = text.find(MARK)?;
    let after = begin + MARK.len();
    let start = text[..begin].rfind("-----BEGIN").unwrap_or(begin);
    let end = text[after..].find(MARK).map_or(text.len(), |at| after + at + MARK.len());
    Some(start..end)
}

/// The key types that OpenSSH lets in, and their blobs after the type word.
const TYPES: &[(&str, Layout)] = &[
    ("ssh-ed25519", Layout::Ed25519),
    ("sk-ssh-ed25519@openssh.com", Layout::SkEd25519),
    ("ecdsa-sha2-nistp256", Layout::Ecdsa { curve: "nistp256", point: 65 }),
    ("ecdsa-sha2-nistp384", Layout::Ecdsa { curve: "nistp384", point: 97 }),
    ("ecdsa-sha2-nistp521", Layout::Ecdsa { curve: "nistp521", point: 133 }),
    ("sk-ecdsa-sha2-nistp256@openssh.com", Layout::SkEcdsa),
    ("ssh-rsa", Layout::Rsa),
];

#[derive(Clone, Copy)]
enum Layout {
    Ed25519,
    SkEd25519,
    Ecdsa { curve: &'static str, point: usize },
    SkEcdsa,
    Rsa,
}

impl<'t> PublicKey<'t> {
    /// Reads one line of `authorized_keys` form.
    ///
    /// # Errors
    /// What is wrong with the key, in the reader's terms.
    pub fn parse(text: &'t str) -> Result<Self, KeyError> {
        let text = text.trim();
        if private_key(text).is_some() || text.starts_with("PuTTY-User-Key-File") {
            return Err(KeyError::Private);
        }
        if text.chars().any(|c| c.is_control() && c != '\t') {
            return Err(KeyError::NotOneLine);
        }
        let (options, rest) = split_options(text)?;
        let (kind, rest) = split_word(rest);
        let layout = layout_of(kind)?;
        let (blob, comment) = split_word(rest);
        if blob.is_empty() {
            return Err(KeyError::NoBlob);
        }
        let blob = STANDARD
            .decode(blob)
            .or_else(|_| STANDARD_NO_PAD.decode(blob))
            .map_err(|_| KeyError::NotBase64)?;
        check_blob(&blob, kind, layout)?;
        Ok(Self { options, kind, blob, comment })
    }
}

fn layout_of(kind: &str) -> Result<Layout, KeyError> {
    if let Some((_, layout)) = TYPES.iter().find(|(name, _)| *name == kind) {
        return Ok(*layout);
    }
    Err(match kind {
        "ssh-dss" => KeyError::Dsa,
        _ if kind.ends_with("-cert-v01@openssh.com") => KeyError::Certificate,
        _ if kind.starts_with(['/', '~']) || kind.ends_with(".pub") => KeyError::FileName,
        _ if kind.starts_with("ssh-") || kind.starts_with("ecdsa-") || kind.starts_with("sk-") => {
            KeyError::UnknownType(kind.to_owned())
        }
        _ => KeyError::NoType,
    })
}

/// Options end at the first blank outside double quotes, if the line does not begin with a key type.
fn split_options(text: &str) -> Result<(&str, &str), KeyError> {
    let (first, rest) = split_word(text);
    if !matches!(layout_of(first), Err(KeyError::NoType)) {
        return Ok(("", text));
    }
    if !first.contains(['=', ',']) && layout_of(split_word(rest).0).is_err() {
        return Err(KeyError::NoType);
    }
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' if !escaped => quoted = !quoted,
            ' ' | '\t' if !quoted => return Ok((&text[..at], text[at..].trim_start())),
            _ => {}
        }
        escaped = c == '\\' && !escaped;
    }
    Err(KeyError::NoType)
}

fn split_word(text: &str) -> (&str, &str) {
    match text.find([' ', '\t']) {
        Some(at) => (&text[..at], text[at..].trim_start()),
        None => (text, ""),
    }
}

fn check_blob(blob: &[u8], kind: &str, layout: Layout) -> Result<(), KeyError> {
    let mut fields = Fields(blob);
    let inside = fields.next()?;
    if inside != kind.as_bytes() {
        let inside = String::from_utf8_lossy(inside).into_owned();
        return Err(KeyError::TypeMismatch { word: kind.to_owned(), inside });
    }
    match layout {
        Layout::Ed25519 | Layout::SkEd25519 => fields.expect_length(32)?,
        Layout::Ecdsa { curve, point } => fields.expect_point(curve, point)?,
        Layout::SkEcdsa => fields.expect_point("nistp256", 65)?,
        Layout::Rsa => {
            fields.next()?;
            let bits = bit_length(fields.next()?);
            if bits < RSA_LEAST_BITS {
                return Err(KeyError::ShortRsa(bits));
            }
        }
    }
    if matches!(layout, Layout::SkEd25519 | Layout::SkEcdsa) {
        fields.next()?;
    }
    if fields.0.is_empty() { Ok(()) } else { Err(KeyError::Malformed("something follows its end")) }
}

/// Bits of an RFC 4251 `mpint` that is not negative.
fn bit_length(mpint: &[u8]) -> usize {
    let digits = &mpint[mpint.iter().take_while(|byte| **byte == 0).count()..];
    digits.first().map_or(0, |first| digits.len() * 8 - first.leading_zeros() as usize)
}

/// The fields of a blob: a big-endian length of four bytes before each.
struct Fields<'b>(&'b [u8]);

impl<'b> Fields<'b> {
    fn next(&mut self) -> Result<&'b [u8], KeyError> {
        const SHORT: KeyError = KeyError::Malformed("its end is missing");
        let (length, rest) = self.0.split_first_chunk::<4>().ok_or(SHORT)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| SHORT)?;
        let (field, rest) = rest.split_at_checked(length).ok_or(SHORT)?;
        self.0 = rest;
        Ok(field)
    }

    fn expect_length(&mut self, length: usize) -> Result<(), KeyError> {
        if self.next()?.len() == length {
            Ok(())
        } else {
            Err(KeyError::Malformed("it has the wrong length"))
        }
    }

    fn expect_point(&mut self, curve: &str, length: usize) -> Result<(), KeyError> {
        if self.next()? != curve.as_bytes() {
            return Err(KeyError::Malformed("it names another curve than its type"));
        }
        self.expect_length(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f laptop of ann";

    fn blob(fields: &[&[u8]]) -> String {
        let mut bytes = Vec::new();
        for field in fields {
            bytes.extend(u32::try_from(field.len()).unwrap().to_be_bytes());
            bytes.extend(*field);
        }
        STANDARD.encode(bytes)
    }

    fn rsa(bits: usize) -> String {
        let mut modulus = vec![0];
        modulus.extend(vec![0xff; bits / 8]);
        format!("ssh-rsa {}", blob(&[b"ssh-rsa", &[1, 0, 1], &modulus]))
    }

    #[test]
    fn a_key_comes_apart_into_options_type_blob_and_comment() {
        let key = PublicKey::parse(ED25519).unwrap();
        assert_eq!((key.options, key.kind, key.comment), ("", "ssh-ed25519", "laptop of ann"));
        assert_eq!(key.blob.len(), 4 + 11 + 4 + 32);

        let text = format!("from=\"10.0.0.0/8\",command=\"echo \\\"a b\\\"\" {ED25519}");
        let key = PublicKey::parse(&text).unwrap();
        assert_eq!(key.options, "from=\"10.0.0.0/8\",command=\"echo \\\"a b\\\"\"");
        let text = format!("restrict {ED25519}");
        assert_eq!(PublicKey::parse(&text).unwrap().options, "restrict");
    }

    #[test]
    fn every_layout_that_openssh_writes_is_taken() {
        let keys = [
            ("ecdsa-sha2-nistp256", blob(&[b"ecdsa-sha2-nistp256", b"nistp256", &[4; 65]])),
            ("ecdsa-sha2-nistp521", blob(&[b"ecdsa-sha2-nistp521", b"nistp521", &[4; 133]])),
            ("sk-ssh-ed25519@openssh.com", blob(&[b"sk-ssh-ed25519@openssh.com", &[1; 32], b"ssh:"])),
            (
                "sk-ecdsa-sha2-nistp256@openssh.com",
                blob(&[b"sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", &[4; 65], b"ssh:"]),
            ),
        ];
        for (kind, blob) in keys {
            assert_eq!(PublicKey::parse(&format!("{kind} {blob}")).unwrap().kind, kind);
        }
        assert!(PublicKey::parse(&rsa(2048)).is_ok());
    }

    #[test]
    fn what_is_no_usable_key_is_named_for_what_it_is() {
        let private =
            "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjE\n-----END OPENSSH PRIVATE KEY-----";
        let whole = ED25519.split(' ').nth(1).unwrap();
        let cases = [
            (private.to_owned(), KeyError::Private),
            (format!("{ED25519}\n{ED25519}"), KeyError::NotOneLine),
            ("~/.ssh/id_ed25519.pub".to_owned(), KeyError::FileName),
            ("hello".to_owned(), KeyError::NoType),
            ("ssh-ed25518 AAAA".to_owned(), KeyError::UnknownType("ssh-ed25518".to_owned())),
            ("ssh-ed25519-cert-v01@openssh.com AAAA".to_owned(), KeyError::Certificate),
            ("ssh-dss AAAA".to_owned(), KeyError::Dsa),
            ("ssh-ed25519".to_owned(), KeyError::NoBlob),
            ("ssh-ed25519 AAAA....".to_owned(), KeyError::NotBase64),
            (format!("ssh-ed25519 {}", &whole[..40]), KeyError::Malformed("its end is missing")),
            (
                format!("ssh-rsa {whole}"),
                KeyError::TypeMismatch { word: "ssh-rsa".to_owned(), inside: "ssh-ed25519".to_owned() },
            ),
            (rsa(1024), KeyError::ShortRsa(1024)),
        ];
        for (text, error) in cases {
            assert_eq!(PublicKey::parse(&text), Err(error), "{text}");
        }
    }
}
