//! What `sshd -T` prints, in either spelling of its keys: lower case up to OpenSSH 10.3, CamelCase from 10.4.

use std::collections::BTreeMap;

use crate::effective::Effective;
use crate::keyword::Keyword;
use crate::value_type::ValueType;

/// A parsed dump: keyword to lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dump {
    lines: BTreeMap<Keyword, Vec<String>>,
    unknown: Vec<String>,
}

/// A keyword about which two sides disagree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which.
    pub keyword: Keyword,
    /// What was computed.
    pub computed: Vec<String>,
    /// What sshd says.
    pub dumped: Vec<String>,
}

impl Dump {
    /// Reads a dump. Values are folded so that every version says the same in the same words.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut dump = Self::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            match Keyword::from_name(key) {
                Some(keyword) => dump.lines.entry(keyword).or_default().push(fold(keyword, value)),
                None => dump.unknown.push(line.to_owned()),
            }
        }
        dump
    }

    /// The lines of a keyword without the keyword itself; `None` where the dump has none.
    #[must_use]
    pub fn lines(&self, keyword: Keyword) -> Option<&[String]> {
        self.lines.get(&keyword).map(Vec::as_slice)
    }

    /// The first line of a keyword.
    #[must_use]
    pub fn text(&self, keyword: Keyword) -> Option<&str> {
        self.lines(keyword)?.first().map(String::as_str)
    }

    /// Lines whose key is no keyword known here.
    #[must_use]
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// Every keyword about which a computed answer and the dump disagree. A keyword that the dump never prints
    /// is not compared.
    #[must_use]
    pub fn compare(&self, effective: &Effective) -> Vec<Difference> {
        let differ = |&keyword: &Keyword| {
            let computed: Vec<String> =
                effective.lines(keyword).iter().map(|line| fold(keyword, line)).collect();
            let dumped = self.lines(keyword).map(<[String]>::to_vec).unwrap_or_default();
            let unprinted =
                dumped.is_empty() && matches!(keyword, Keyword::ChannelTimeout | Keyword::LogVerbose);
            let same = if unprinted { computed == ["none"] } else { computed == dumped };
            let silent = dumped.is_empty() && matches!(keyword, Keyword::DebianBanner | Keyword::RDomain);
            (!same && !silent).then_some(Difference { keyword, computed, dumped })
        };
        Keyword::ALL.iter().filter_map(differ).collect()
    }
}

/// One spelling for what versions print differently.
fn fold(keyword: Keyword, value: &str) -> String {
    let folded = match (keyword.value_type(), value) {
        // What the C library prints for `HostKey none`.
        (ValueType::Files, "(null)") => "none",
        (ValueType::Flag | ValueType::Choice(_), "true") => "yes",
        (ValueType::Flag | ValueType::Choice(_), "false") => "no",
        _ => value,
    };
    let choice = keyword.choices().iter().find(|(word, _)| word.eq_ignore_ascii_case(folded));
    choice.map_or_else(|| folded.to_owned(), |(_, printed)| (*printed).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_read_the_same() {
        let old = Dump::parse("permitrootlogin without-password\ntcpkeepalive yes\nport 22\nport 2222\n");
        let new = Dump::parse("PermitRootLogin prohibit-password\nTCPKeepAlive true\nPort 22\nPort 2222\n");
        assert_eq!(old, new);
        assert_eq!(new.text(Keyword::PermitRootLogin), Some("prohibit-password"));
        assert_eq!(new.lines(Keyword::Port).unwrap(), ["22", "2222"]);
    }

    #[test]
    fn unknown_keys_are_kept() {
        assert_eq!(Dump::parse("Colour red\n").unknown(), ["Colour red"]);
    }
}
