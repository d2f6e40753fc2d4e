//! The words of a `[[firewall.rule]]`, read as iptables reads them.

use std::ops::Range;

use iptables_syntax::{Family, Mode, Rule as Arguments, SyntaxError, Target, parse_rules};

use crate::model::{Rule, RuleFamily};

/// A rule in each family: several where it lists addresses, none where it is not for the family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Families {
    /// As it is for IPv4.
    pub ipv4: Vec<Arguments>,
    /// As it is for IPv6.
    pub ipv6: Vec<Arguments>,
}

impl Rule {
    /// The rule in its families: those that `family` names, or else those that its words fit.
    ///
    /// # Errors
    /// The words fit no family, or not every one that is named.
    pub fn families(&self) -> Result<Families, SyntaxError> {
        let read = |family| parse_rules(&self.rule, family, Mode::Strict);
        match self.family {
            Some(RuleFamily::Ipv4) => Ok(Families { ipv4: read(Family::Ipv4)?, ipv6: Vec::new() }),
            Some(RuleFamily::Ipv6) => Ok(Families { ipv4: Vec::new(), ipv6: read(Family::Ipv6)? }),
            Some(RuleFamily::Both) => Ok(Families { ipv4: read(Family::Ipv4)?, ipv6: read(Family::Ipv6)? }),
            None => match (read(Family::Ipv4), read(Family::Ipv6)) {
                (Ok(ipv4), Ok(ipv6)) => Ok(Families { ipv4, ipv6 }),
                (Ok(ipv4), Err(_)) => Ok(Families { ipv4, ipv6: Vec::new() }),
                (Err(_), Ok(ipv6)) => Ok(Families { ipv4: Vec::new(), ipv6 }),
                // The one that got further was more likely meant.
                (Err(four), Err(six)) => {
                    let place = |error: &SyntaxError| (error.line(), error.column());
                    Err(if place(&six) > place(&four) { six } else { four })
                }
            },
        }
    }
}

impl Families {
    /// The chains that the rule jumps to.
    pub(crate) fn jumps(&self) -> impl Iterator<Item = &str> {
        self.ipv4.iter().chain(&self.ipv6).filter_map(|rule| match &rule.target {
            Some(Target::Jump(chain) | Target::Goto(chain)) => Some(chain.as_str()),
            _ => None,
        })
    }
}

/// Where an error in the words stands in the text of the file; `literal` are the bytes of the string, quotes included.
pub(crate) fn place(text: &str, literal: &Range<usize>, words: &str, error: &SyntaxError) -> Range<usize> {
    let line_start: usize =
        words.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let line = &words[line_start..];
    let bytes = |chars: usize| line.char_indices().nth(chars).map_or(line.len(), |(at, _)| at);
    let (first, end) = (error.column() - 1, error.column() - 1 + error.length());
    let raw = &text[literal.clone()];
    let start = in_literal(raw, line_start + bytes(first));
    let end = in_literal(raw, line_start + bytes(end));
    literal.start + start..literal.start + end.max(start)
}

/// The byte of a string as TOML writes it at which byte `at` of its value begins.
fn in_literal(raw: &str, at: usize) -> usize {
    let quotes = if raw.starts_with("\"\"\"") || raw.starts_with("'''") { 3 } else { 1 };
    let mut place = quotes;
    if quotes == 3 {
        place += raw[place..].len() - raw[place..].trim_start_matches('\r').len();
        place += usize::from(raw[place..].starts_with('\n'));
    }
    if raw.starts_with('\'') {
        return (place + at).min(raw.len() - quotes);
    }
    let mut value = 0;
    while value < at && place < raw.len() - quotes {
        let (written, meant) = unit(&raw[place..]);
        place += written;
        value += meant;
    }
    // A line that is continued begins behind its break.
    while raw[place..].starts_with('\\') && unit(&raw[place..]).1 == 0 {
        place += unit(&raw[place..]).0;
    }
    place
}

/// How many bytes the next character of a basic string is written with, and how many it means.
fn unit(raw: &str) -> (usize, usize) {
    let mut chars = raw.chars();
    let Some(first) = chars.next() else { return (1, 0) };
    if first != '\\' {
        return (first.len_utf8(), first.len_utf8());
    }
    let digits = match chars.next() {
        Some('x') => 2,
        Some('u') => 4,
        Some('U') => 8,
        Some(c) if c.is_whitespace() => {
            return (1 + raw[1..].len() - raw[1..].trim_start().len(), 0);
        }
        _ => return (2, 1),
    };
    let code = raw.get(2..2 + digits).and_then(|code| u32::from_str_radix(code, 16).ok());
    (2 + digits, code.and_then(char::from_u32).map_or(1, char::len_utf8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_the_words_is_found_in_every_kind_of_string() {
        for (raw, value) in [
            ("\"-p tcp\"", "-p tcp"),
            ("'-p \\ tcp'", "-p \\ tcp"),
            ("\"a\\\"b\\u00e9c\\x41d\"", "a\"b\u{e9}cAd"),
            ("'''\n-p é tcp'''", "-p é tcp"),
            ("\"\"\"\r\n-p \\\n   tcp\"\"\"", "-p tcp"),
        ] {
            let mut last = 0;
            for (at, c) in value.char_indices() {
                let place = in_literal(raw, at);
                assert!(place > last, "{raw}: {c}");
                last = place;
                let written = &raw[place..];
                assert!(written.starts_with(c) || written.starts_with('\\'), "{raw}: {c} is no {written}");
            }
            assert!(matches!(&raw[in_literal(raw, value.len())..], "\"" | "'" | "\"\"\"" | "'''"), "{raw}");
        }
    }
}
