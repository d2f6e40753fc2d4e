//! A place in a line of sudoers(5), and the words that can be taken from there.

use super::AliasKind;

/// Why a line was not understood.
pub(super) type Refused = String;

/// Where an unquoted word ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// A user or group: at any special character.
    Name,
    /// A host, which may be an IPv6 address with colons.
    Host,
    /// The name of a setting.
    Setting,
}

/// A place in a line.
pub(super) struct Cursor<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn peek_raw(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn bump(&mut self) -> Option<char> {
        let next = self.peek_raw()?;
        self.at += next.len_utf8();
        Some(next)
    }

    pub(super) fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    pub(super) fn peek(&mut self) -> Option<char> {
        self.skip_space();
        self.peek_raw()
    }

    pub(super) fn eat_raw(&mut self, wanted: char) -> bool {
        let there = self.peek_raw() == Some(wanted);
        if there {
            self.at += wanted.len_utf8();
        }
        there
    }

    pub(super) fn eat(&mut self, wanted: char) -> bool {
        self.skip_space();
        self.eat_raw(wanted)
    }

    pub(super) fn expect(&mut self, wanted: char) -> Result<(), Refused> {
        if self.eat(wanted) { Ok(()) } else { Err(self.expected(&format!("{wanted:?}"))) }
    }

    pub(super) fn end(&mut self) -> Result<(), Refused> {
        if self.peek().is_none() { Ok(()) } else { Err(self.expected("the end of the line")) }
    }

    fn expected(&self, what: &str) -> Refused {
        match self.rest() {
            "" => format!("expected {what}, found the end of the line"),
            rest => format!("expected {what}, found {:?}", rest.chars().take(20).collect::<String>()),
        }
    }

    /// Any number of `!`; an odd one negates.
    pub(super) fn negations(&mut self) -> bool {
        let mut negated = false;
        while self.eat('!') {
            negated = !negated;
        }
        negated
    }

    pub(super) fn alias_keyword(&mut self) -> Option<AliasKind> {
        let (keyword, _) = self.text.split_once([' ', '\t'])?;
        let kind = match keyword {
            "User_Alias" => AliasKind::User,
            "Runas_Alias" => AliasKind::RunAs,
            "Host_Alias" => AliasKind::Host,
            "Cmnd_Alias" | "Cmd_Alias" => AliasKind::Command,
            _ => return None,
        };
        self.at = keyword.len();
        Some(kind)
    }

    /// One of these words with this character after it, taken only as a whole.
    pub(super) fn keyword(&mut self, words: &[&'static str], after: char) -> Option<&'static str> {
        self.skip_space();
        let rest = self.rest();
        let length = rest.bytes().take_while(|byte| byte.is_ascii_uppercase() || *byte == b'_').count();
        let word = words.iter().find(|word| **word == &rest[..length])?;
        let tail = rest[length..].trim_start();
        tail.starts_with(after).then(|| {
            self.at += rest.len() - tail.len() + 1;
            *word
        })
    }

    /// A word: quoted, or up to what ends it, a backslash taking the next character as it is.
    pub(super) fn word(&mut self, stop: Stop) -> Result<String, Refused> {
        self.skip_space();
        if stop == Stop::Host
            && let Some(address) = self.address()
        {
            return Ok(address);
        }
        let mut word = String::new();
        while let Some(next) = self.peek_raw() {
            let ends = match stop {
                Stop::Name | Stop::Host => matches!(next, ',' | ':' | '=' | '(' | ')'),
                Stop::Setting => matches!(next, ',' | '=' | '+' | '-'),
            };
            // `%:` is the one place where a colon belongs to a name.
            if next.is_whitespace() || (ends && !(next == ':' && word == "%")) {
                break;
            }
            self.bump();
            match next {
                '"' => word.push_str(&self.quoted()?),
                '\\' => word.extend(self.bump()),
                next => word.push(next),
            }
        }
        if word.is_empty() { Err(self.expected("a name")) } else { Ok(word) }
    }

    /// An IPv6 address or network.
    fn address(&mut self) -> Option<String> {
        let rest = self.rest();
        let length = rest.find(|c: char| !(c.is_ascii_hexdigit() || matches!(c, ':' | '.' | '/')))?;
        let candidate = &rest[..length];
        let (address, _) = candidate.split_once('/').unwrap_or((candidate, ""));
        address.parse::<std::net::Ipv6Addr>().ok()?;
        self.at += length;
        Some(candidate.to_owned())
    }

    /// The rest of a quoted word.
    fn quoted(&mut self) -> Result<String, Refused> {
        let mut word = String::new();
        loop {
            match self.bump() {
                Some('"') => return Ok(word),
                Some('\\') if self.peek_raw() == Some('"') => word.extend(self.bump()),
                Some(next) => word.push(next),
                None => return Err("a quotation mark is not closed".to_owned()),
            }
        }
    }

    /// The value of a setting or option: quoted, or up to a comma or a space.
    pub(super) fn value(&mut self) -> Result<String, Refused> {
        self.skip_space();
        let mut value = String::new();
        while let Some(next) = self.peek_raw() {
            if next == ',' || next.is_whitespace() {
                break;
            }
            self.bump();
            match next {
                '"' => value.push_str(&self.quoted()?),
                '\\' => value.extend(self.bump()),
                next => value.push(next),
            }
        }
        Ok(value)
    }

    /// `sha256:... ` before a command, one or several; whether there was one.
    pub(super) fn digests(&mut self) -> Result<bool, Refused> {
        let mut found = false;
        loop {
            self.skip_space();
            let is_digest = ["sha224:", "sha256:", "sha384:", "sha512:"]
                .iter()
                .any(|prefix| self.rest().starts_with(prefix));
            if !is_digest {
                return Ok(found);
            }
            found = true;
            let length = self.rest().find([',', ' ', '\t']);
            self.at += length.ok_or_else(|| "a digest without a command".to_owned())?;
            self.eat(',');
        }
    }

    /// A command with its arguments, as written: up to a comma, colon or equals sign that is not escaped.
    pub(super) fn command(&mut self) -> String {
        self.skip_space();
        let from = self.at;
        while let Some(next) = self.peek_raw() {
            if matches!(next, ',' | ':' | '=') {
                break;
            }
            self.bump();
            if next == '\\' {
                self.bump();
            }
        }
        self.text[from..self.at].trim_end().to_owned()
    }
}

/// An upper-case letter, then upper-case letters, digits and underscores; `ALL` is not one.
pub(super) fn is_alias(word: &str) -> bool {
    word != "ALL"
        && word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}
