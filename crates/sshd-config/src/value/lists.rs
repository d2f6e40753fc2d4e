//! Values of many words: addresses, patterns, variables, methods, targets.

use super::{Read, Reader, Rule, ValueError, many, one, tilde};
use crate::address::{self, AddressList};
use crate::keyword::Keyword;
use crate::lexer;
use crate::number;

impl Reader<'_> {
    pub(super) fn listen_address(&self) -> Read {
        let word = self.words.first().filter(|word| !word.is_empty()).ok_or(ValueError::Missing)?;
        let rdomain = match &self.words[1..] {
            [] => None,
            [key, name] if key == "rdomain" => Some(name),
            [..] => return Err(ValueError::BadForm(self.words.join(" "))),
        };
        let bare_v6 = !word.contains('[') && word.matches(':').count() > 1;
        let (host, port) = if bare_v6 {
            (word.as_str(), None)
        } else {
            let (host, port) = host_and_port(word).ok_or_else(|| ValueError::BadForm(word.clone()))?;
            let number = port.map(|port| number::port(port).filter(|&p| p > 0).ok_or(port));
            let number = number.transpose().map_err(|port| ValueError::BadPort(port.to_owned()))?;
            (host, number)
        };
        // Kept as host, port ("0": each Port) and routing domain; composed once all ports are known.
        let port = port.unwrap_or(0).to_string();
        let host = address::numeric(host).map_or_else(|| host.to_owned(), |address| address.to_string());
        let text = [host.as_str(), &port, rdomain.map_or("", String::as_str)].join(" ");
        Ok(one(Rule::Append, text))
    }

    pub(super) fn subsystem(&self) -> Read {
        let [name, command, arguments @ ..] = self.words else {
            return Err(ValueError::Missing);
        };
        if name.is_empty() || command.is_empty() {
            return Err(ValueError::Missing);
        }
        let words = std::iter::once(command).chain(arguments).map(String::as_str);
        let line =
            if self.since(9, 5) { lexer::argv_assemble(words) } else { words.collect::<Vec<_>>().join(" ") };
        Ok(many(Rule::Append, [format!("{name} {line}")]))
    }

    pub(super) fn user_patterns(&self) -> Read {
        let words = self.non_empty_words()?;
        for word in &words {
            let at = if self.since(9, 9) { word.rsplit_once('@') } else { word.split_once('@') };
            if let Some((_, hosts)) = at {
                AddressList::parse(hosts)?;
            }
        }
        Ok(many(Rule::Append, words))
    }

    pub(super) fn environment_names(&self) -> Read {
        match self.words().find(|word| word.contains('=')) {
            Some(word) => Err(ValueError::BadForm(word.to_owned())),
            None => Ok(many(Rule::Append, self.non_empty_words()?)),
        }
    }

    pub(super) fn environment(&self) -> Read {
        let words = self.non_empty_words()?;
        let mut kept: Vec<&str> = Vec::new();
        for word in words {
            let (name, _) = word.split_once('=').ok_or_else(|| ValueError::BadForm(word.to_owned()))?;
            let known =
                kept.iter().any(|other| other.split_once('=').is_some_and(|(other, _)| other == name));
            if !known {
                kept.push(word);
            }
        }
        Ok(many(Rule::First, kept))
    }

    pub(super) fn file_list(&self) -> Read {
        let words = self.non_empty_words()?;
        if self.since(10, 3) {
            self.none_stands_alone()?;
        }
        Ok(many(Rule::First, words.into_iter().map(tilde)))
    }

    pub(super) fn methods(&self) -> Read {
        if self.words.is_empty() {
            return Err(ValueError::Missing);
        }
        if self.words.len() > 1 && self.words().any(|word| word == "any") {
            return Err(ValueError::NotAlone("any".to_owned()));
        }
        for word in self.words().filter(|word| *word != "any") {
            let unknown = word.split(',').map(method_name).find(|name| !METHODS.contains(name));
            if let Some(name) = unknown {
                return Err(ValueError::Unsupported(name.to_owned()));
            }
        }
        Ok(many(Rule::First, self.words()))
    }

    pub(super) fn timeouts(&self) -> Read {
        self.none_stands_alone()?;
        let words = if self.words.is_empty() { self.non_empty_words()? } else { self.words().collect() };
        for word in words.iter().filter(|word| !word.eq_ignore_ascii_case("none")) {
            let time = word.split_once('=').filter(|(kind, _)| !kind.is_empty());
            let time = time.and_then(|(_, time)| number::seconds(time, self.version()));
            time.ok_or_else(|| ValueError::BadForm((*word).to_owned()))?;
        }
        Ok(many(Rule::First, words))
    }

    pub(super) fn targets(&self) -> Read {
        let (first, rest) = self.words.split_first().ok_or(ValueError::Missing)?;
        if first.is_empty() {
            return Err(ValueError::Missing);
        }
        if first == "any" || first == "none" {
            return match rest.first() {
                Some(_) => Err(ValueError::NotAlone(first.clone())),
                None => Ok(one(Rule::First, first.as_str())),
            };
        }
        let targets = self.words().map(|word| self.target(word)).collect::<Result<Vec<_>, _>>()?;
        Ok(many(Rule::First, targets))
    }

    pub(super) fn target(&self, word: &str) -> Result<String, ValueError> {
        let bare = self.keyword == Keyword::PermitListen && !word.contains(':');
        let port = if bare { Some(word) } else { host_and_port(word).and_then(|(_, port)| port) };
        let port = port.ok_or_else(|| ValueError::BadForm(word.to_owned()))?;
        if port != "*" && number::port(port).is_none_or(|port| port == 0) {
            return Err(ValueError::BadPort(port.to_owned()));
        }
        Ok(if bare { format!("*:{word}") } else { word.to_owned() })
    }
}

/// The methods that `AuthenticationMethods` may name.
const METHODS: [&str; 7] =
    ["none", "publickey", "gssapi-keyex", "gssapi-with-mic", "password", "keyboard-interactive", "hostbased"];

/// `keyboard-interactive:pam` without the device.
pub(crate) fn method_name(method: &str) -> &str {
    method.split_once(':').map_or(method, |(name, _)| name)
}

/// `host:port` and `[host]:port`, the port optional; `None` where a `/` stands first or a bracket is not closed.
fn host_and_port(text: &str) -> Option<(&str, Option<&str>)> {
    let end =
        if text.starts_with('[') { text.find(']')? + 1 } else { text.find([':', '/']).unwrap_or(text.len()) };
    let (host, rest) = text.split_at(end);
    let port = match rest.chars().next() {
        None => None,
        Some(':') => Some(&rest[1..]),
        Some(_) => return None,
    };
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    Some((inner.unwrap_or(host), port))
}
