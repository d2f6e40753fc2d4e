//! The options of the extensions that a line has loaded.

use std::borrow::Cow;

use super::core::{LONG, before_equals, core};
use super::{Loaded, MAXIMUM_MATCHES, Reader, Value, What};
use crate::extension::{is_foreign_target, match_kind};
use crate::parse::Failure;
use crate::parse::options::{Kind, Opt, Used};
use crate::{Mode, Negatable};

impl Reader<'_, '_> {
    /// The extension that is not known to which the word belongs: all do, up to an option of the rule itself.
    pub(super) fn keeper(&self, text: &str) -> Option<usize> {
        let unknown = |loaded: &Loaded| matches!(loaded.kind, What::Match | What::Protocol(_) | What::Target);
        let owner = self.loaded.iter().rposition(unknown)?;
        let Loaded { kind, first, .. } = *self.loaded.get(owner)?;
        let option = if text == "!" { self.words.get(self.at + 1).map(|word| &*word.text)? } else { text };
        if self.negated.is_some() || core(option).is_some() {
            return None;
        }
        if self.at > first && self.kept.last() == Some(&(owner, self.at - 1)) {
            return Some(owner);
        }
        let target = self.loaded.get(owner).map_or("", |loaded| self.name(loaded));
        let surely = !matches!(kind, What::Target) || (is_foreign_target(target) && option.starts_with("--"));
        if self.at == first && surely {
            return Some(owner);
        }
        // Elsewhere, and behind what may be a chain, options alone do, and those that nobody else has.
        let name = option.strip_prefix("--").filter(|name| !name.is_empty())?;
        let known = self.find(name).is_some() || self.protocol_has(name);
        (!known).then_some(owner)
    }

    pub(super) fn protocol_has(&self, name: &str) -> bool {
        let name = before_equals(name);
        self.protocol_kind().is_some_and(|kind| kind.options.iter().any(|option| option.name == name))
    }

    /// The option of a loaded extension, of the latest first.
    pub(super) fn find(&self, name: &str) -> Option<(usize, &'static Opt)> {
        let name = before_equals(name);
        self.loaded.iter().enumerate().rev().find_map(|(owner, loaded)| match loaded.kind {
            What::Known(kind) => {
                kind.options.iter().find(|option| option.name == name).map(|option| (owner, option))
            }
            _ => None,
        })
    }

    /// `--name` or `--name=value`.
    pub(super) fn long(&mut self, text: &str) -> Result<(), Failure> {
        let name = before_equals(text.get(2..).unwrap_or(""));
        if let Some((owner, option)) = self.find(name) {
            return self.extension(owner, option, name.len());
        }
        if let Some((option, skip)) = core(text) {
            return self.core(option, skip);
        }
        if self.load_protocol()
            && let Some((owner, option)) = self.find(name)
        {
            return self.extension(owner, option, name.len());
        }
        if let Some((owner, option)) = self.shortened(name) {
            self.odd.borrow_mut().push(format!("--{name} is short for --{}", option.name));
            return self.extension(owner, option, name.len());
        }
        let mut full = LONG.iter().filter(|(full, _)| full.starts_with(name));
        if let (Some((full, option)), None) = (full.next(), full.next()) {
            self.odd.borrow_mut().push(format!("--{name} is short for --{full}"));
            let skip = if name.len() + 2 < text.len() { name.len() + 3 } else { text.len() };
            return self.core(*option, skip);
        }
        self.unload_protocol();
        if let Some(name) = self.foreign_protocol() {
            let first = self.at;
            self.loaded.push(Loaded { kind: What::Protocol(name), word: first, skip: 0, first });
            self.kept.push((self.loaded.len() - 1, first));
            if let Some(bang) = self.negated.take() {
                self.kept.insert(self.kept.len() - 1, (self.loaded.len() - 1, bang));
            }
            self.at += 1;
            return Ok(());
        }
        Err(self.here(&format!("no extension of this rule has an option --{name}")))
    }

    /// The one option that begins so; spellings of one option count once.
    fn shortened(&self, name: &str) -> Option<(usize, &'static Opt)> {
        let mut found: Option<(usize, &'static Opt)> = None;
        for (owner, loaded) in self.loaded.iter().enumerate() {
            let What::Known(kind) = loaded.kind else { continue };
            for option in kind.options.iter().filter(|option| option.name.starts_with(name)) {
                match found {
                    Some((other, first)) if (other, first.id) != (owner, option.id) => return None,
                    Some(_) => {}
                    None => found = Some((owner, option)),
                }
            }
        }
        found
    }

    /// The match that goes with the protocol of the rule.
    pub(super) fn protocol_kind(&self) -> Option<&'static Kind> {
        let Some(Negatable { negated: false, value }) = self.rule.protocol else { return None };
        let name = match value.0 {
            1 => "icmp",
            6 => "tcp",
            17 => "udp",
            58 => "icmp6",
            132 => "sctp",
            _ => return None,
        };
        match_kind(name).filter(|kind| kind.family.is_none_or(|family| family == self.family))
    }

    /// The match of a protocol that has one which this crate does not know, as long as it is not loaded.
    fn foreign_protocol(&self) -> Option<&'static str> {
        let Some(Negatable { negated: false, value }) = self.rule.protocol else { return None };
        let name = match value.0 {
            33 => "dccp",
            50 => "esp",
            51 => "ah",
            108 => "ipcomp",
            135 => "mh",
            _ => return None,
        };
        let loaded = self.loaded.iter().any(|loaded| matches!(loaded.kind, What::Protocol(_)));
        (!loaded).then_some(name)
    }

    /// `-p tcp --dport 22` needs no `-m tcp`.
    fn load_protocol(&mut self) -> bool {
        let Some(kind) = self.protocol_kind() else { return false };
        let same = |loaded: &Loaded| matches!(loaded.kind, What::Known(other) if std::ptr::eq(other, kind));
        if self.loaded.iter().any(same) || self.matches >= MAXIMUM_MATCHES {
            return false;
        }
        self.loaded.push(Loaded { kind: What::Known(kind), word: self.at, skip: 0, first: self.at });
        true
    }

    /// Takes back what was loaded for an option that it does not have either.
    fn unload_protocol(&mut self) {
        let owner = self.loaded.len().wrapping_sub(1);
        if self.loaded.last().is_some_and(|loaded| loaded.word == self.at)
            && !self.used.iter().any(|used| used.owner == owner)
        {
            self.loaded.pop();
        }
    }

    /// An option of an extension: its values are taken, what it excludes is looked for.
    fn extension(&mut self, owner: usize, option: &'static Opt, name: usize) -> Result<(), Failure> {
        let word = self.at;
        let text: &str = self.words.get(word).map_or("", |word| &word.text);
        let mut negated = self.negated.take();
        let inline = text.len() > name + 2;
        self.at += 1;
        let mut value = Value { word, skip: 0 };
        if option.values == 0 && inline {
            return Err(Failure::at(word, format!("--{} has no value", option.name)));
        }
        if option.values > 0 {
            if inline {
                value.skip = name + 3;
            } else {
                if option.invert && self.mode == Mode::Lenient {
                    negated = negated.or(self.inner_bang());
                }
                value.word = self.at;
                self.at += 1;
            }
            let second = self.words.get(self.at).filter(|word| !word.text.starts_with(['-', '!']));
            let missing = self.words.get(value.word).is_none() || (option.values > 1 && second.is_none());
            if missing {
                let what = if option.values > 1 { "two values" } else { "a value" };
                return Err(Failure::at(word, format!("expected {what} behind --{}", option.name)));
            }
            self.at += usize::from(option.values) - 1;
            if option.values > 1 && inline {
                return Err(Failure::at(word, format!("expected two values behind --{}", option.name)));
            }
        }
        if let Some(bang) = negated.filter(|_| !option.invert) {
            return Err(Failure::at(bang, format!("\"!\" cannot stand before --{}", option.name)));
        }
        self.once(owner, option, word)?;
        let Value { word: value, skip } = value;
        self.used.push(Used { owner, id: option.id, negated: negated.is_some(), word, value, skip });
        Ok(())
    }

    /// `--dport ! 22`, as it was once written. A `!` between quotes is a value.
    pub(super) fn inner_bang(&mut self) -> Option<usize> {
        let bang = self.at;
        let inner = self.words.get(bang).is_some_and(|word| matches!(word.text, Cow::Borrowed("!")))
            && self.words.get(bang + 1).is_some();
        if inner {
            self.odd
                .borrow_mut()
                .push("\"!\" stands behind its option, where it stood in old versions".to_owned());
            self.at += 1;
        }
        inner.then_some(bang)
    }

    /// Refuses an option that was there before, or that excludes one that was.
    fn once(&self, owner: usize, option: &Opt, word: usize) -> Result<(), Failure> {
        let Some(Loaded { kind: What::Known(kind), .. }) = self.loaded.get(owner) else { return Ok(()) };
        for used in self.used.iter().filter(|used| used.owner == owner) {
            if used.id == option.id && !option.multi {
                return Err(Failure::at(word, format!("--{} can be there only once", option.name)));
            }
            let other = kind.options.iter().find(|other| other.id == used.id);
            if let Some(other) = other.filter(|other| other.group == option.group && option.group != 0) {
                return Err(Failure::at(word, format!("--{} excludes --{}", option.name, other.name)));
            }
        }
        Ok(())
    }
}
