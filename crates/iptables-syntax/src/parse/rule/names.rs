//! Chains, commands, and the extensions and targets that a line names.

use super::core::Core;
use super::{Jump, Loaded, MAXIMUM_MATCHES, Reader, Value, What};
use crate::extension::{match_kind, target_kind};
use crate::parse::Failure;
use crate::parse::number::number;
use crate::parse::options::{Kind, saturate32};
use crate::{ChainPolicy, Command, Family, Mode, Target};

impl Reader<'_, '_> {
    pub(super) fn chain(&self, value: Value) -> Result<String, Failure> {
        let text = self.text(value);
        let well = (1..=28).contains(&text.len())
            && !text.starts_with(['-', '!'])
            && !text.contains(|letter: char| letter.is_whitespace());
        match (well, self.mode) {
            (true, _) => Ok(text.to_owned()),
            (false, Mode::Lenient)
                if text.len() > 28 && !text.contains(|letter: char| letter.is_whitespace()) =>
            {
                self.odd
                    .borrow_mut()
                    .push(format!("the name of the chain \"{text}\" is longer than 28 characters"));
                Ok(text.to_owned())
            }
            (false, _) => Err(Failure::at(
                value.word,
                format!("expected the name of a chain, of at most 28 characters, found \"{text}\""),
            )),
        }
    }

    pub(super) fn chain_command(&mut self, option: Core, word: usize, value: Value) -> Result<(), Failure> {
        self.only_one_command(word)?;
        let chain = self.chain(value)?;
        self.command = Some(match option {
            Core::Append => Command::Append { chain },
            Core::Insert => Command::Insert { chain, number: self.rule_number()?.unwrap_or(1) },
            Core::Replace => match self.rule_number()? {
                Some(number) => Command::Replace { chain, number },
                None => {
                    return Err(Failure::at(
                        word,
                        "expected the number of a rule behind the chain".to_owned(),
                    ));
                }
            },
            Core::Delete => match self.rule_number()? {
                Some(number) => Command::DeleteNumber { chain, number },
                None => Command::Delete { chain },
            },
            Core::Check => Command::Check { chain },
            Core::New => Command::NewChain { chain },
            Core::Policy => {
                let policy = self.argument().and_then(policy);
                self.at += 1;
                match policy {
                    Some(policy) => Command::Policy { chain, policy },
                    None => {
                        return Err(Failure::at(word, "expected ACCEPT or DROP behind the chain".to_owned()));
                    }
                }
            }
            _ => {
                let to = Value { word: self.at, skip: 0 };
                self.at += 1;
                if self.words.get(to.word).is_none() {
                    return Err(Failure::at(word, "expected the new name of the chain".to_owned()));
                }
                Command::Rename { chain, to: self.chain(to)? }
            }
        });
        Ok(())
    }

    fn only_one_command(&self, word: usize) -> Result<(), Failure> {
        match self.command {
            Some(_) => Err(Failure::at(word, "a line has one command, and this is another one".to_owned())),
            None => Ok(()),
        }
    }

    pub(super) fn optional_chain(&mut self, option: Core, skip: usize, rest: bool) -> Result<(), Failure> {
        let word = self.at;
        self.only_one_command(word)?;
        self.at += 1;
        let mut chain = None;
        if rest {
            chain = Some(self.chain(Value { word, skip })?);
        } else if self.argument().is_some() {
            chain = Some(self.chain(Value { word: self.at, skip: 0 })?);
            self.at += 1;
        }
        self.command = Some(match option {
            Core::Flush => Command::Flush { chain },
            Core::DeleteChain => Command::DeleteChain { chain },
            _ => Command::Zero { number: if chain.is_some() { self.rule_number()? } else { None }, chain },
        });
        Ok(())
    }

    fn rule_number(&mut self) -> Result<Option<u32>, Failure> {
        let Some(text) = self.argument() else { return Ok(None) };
        match number(text, u32::MAX.into()) {
            Some(number @ 1..) => {
                self.at += 1;
                Ok(Some(saturate32(number)))
            }
            _ => Err(self.here(&format!("expected the number of a rule, from 1 on, found \"{text}\""))),
        }
    }

    pub(super) fn load_match(&mut self, value: Value) -> Result<(), Failure> {
        let name = self.text(value);
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if !(1..=28).contains(&name.len()) || name.starts_with('-') || !name.bytes().all(letter) {
            return Err(Failure::at(value.word, format!("expected the name of a match, found \"{name}\"")));
        }
        self.matches += 1;
        if self.matches > MAXIMUM_MATCHES {
            return Err(Failure::at(value.word, format!("a rule has at most {MAXIMUM_MATCHES} matches")));
        }
        let kind = match_kind(name).map_or(What::Match, What::Known);
        self.load(kind, value)
    }

    pub(super) fn load(&mut self, kind: What, value: Value) -> Result<(), Failure> {
        if let What::Known(Kind { family: Some(family), name, .. }) = kind
            && *family != self.family
        {
            let family = if *family == Family::Ipv4 { "IPv4" } else { "IPv6" };
            return Err(Failure::at(value.word, format!("{name} is for {family}")));
        }
        self.loaded.push(Loaded { kind, word: value.word, skip: value.skip, first: self.at });
        Ok(())
    }

    pub(super) fn load_target(&mut self, word: usize, value: Value) -> Result<(), Failure> {
        self.only_once(self.jump.is_some(), word)?;
        let verdict = match self.text(value) {
            "ACCEPT" => Some(Target::Accept),
            "DROP" => Some(Target::Drop),
            "RETURN" => Some(Target::Return),
            "QUEUE" => Some(Target::Queue),
            "NOTRACK" => Some(Target::Notrack),
            _ => None,
        };
        if let Some(verdict) = verdict {
            self.jump = Some(Jump::Verdict(verdict));
            return self.load(What::Verdict, value);
        }
        self.chain(value)?;
        self.jump = Some(Jump::Loaded);
        let kind = target_kind(self.text(value)).map_or(What::Target, What::Known);
        self.load(kind, value)
    }
}

pub(crate) fn policy(text: &str) -> Option<ChainPolicy> {
    Some(match text {
        "ACCEPT" => ChainPolicy::Accept,
        "DROP" => ChainPolicy::Drop,
        "QUEUE" => ChainPolicy::Queue,
        "RETURN" => ChainPolicy::Return,
        _ => return None,
    })
}
