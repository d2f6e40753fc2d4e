//! The words of a line as a command and a rule: what `getopt` and `libxtables` make of them.

mod core;
mod extensions;
mod finish;
mod names;

use std::cell::RefCell;

use self::core::{Core, core};
use super::Failure;
use super::number::{leading, number, protocol};
use super::options::{self, Kind, Used};
use super::words::Word;
use crate::{Command, Counters, Family, Interface, Mode, Negatable, Protocol, Rule, Target};

pub(crate) use names::policy;

/// What a line says.
pub(crate) struct Line {
    pub(crate) family: Family,
    pub(crate) table: Option<String>,
    pub(crate) command: Option<Command>,
    pub(crate) rule: Rule,
    pub(crate) further: Vec<Rule>,
}

/// Memory that one line leaves for the next.
#[derive(Default)]
pub(crate) struct Scratch<'a> {
    pub(crate) words: Vec<Word<'a>>,
    used: Vec<Used>,
    loaded: Vec<Loaded>,
    /// Words that extensions keep verbatim, each with its extension.
    kept: Vec<(usize, usize)>,
    pub(crate) odd: RefCell<Vec<String>>,
}

/// An extension that the line has loaded.
#[derive(Clone, Copy)]
struct Loaded {
    kind: What,
    /// The word of its name, and where in it; of the option, where a protocol loaded it.
    word: usize,
    skip: usize,
    /// The word behind its name.
    first: usize,
}

#[derive(Clone, Copy)]
enum What {
    Known(&'static Kind),
    Match,
    /// A match that goes with the protocol and is not known.
    Protocol(&'static str),
    /// A target, or the chain of that name, as long as it has no options.
    Target,
    /// A verdict or `-g`: it has no options at all.
    Verdict,
}

/// Reads the words from `first` on.
pub(crate) fn line(
    scratch: &mut Scratch<'_>,
    first: usize,
    family: Family,
    mode: Mode,
) -> Result<Line, Failure> {
    scratch.used.clear();
    scratch.loaded.clear();
    scratch.kept.clear();
    let Scratch { words, used, loaded, kept, odd } = scratch;
    let mut reader = Reader {
        words,
        used,
        loaded,
        kept,
        odd,
        at: first,
        negated: None,
        family,
        mode,
        table: None,
        command: None,
        rule: Rule::default(),
        source: None,
        destination: None,
        jump: None,
        matches: 0,
    };
    reader.read()?;
    reader.finish()
}

struct Reader<'r, 'a> {
    words: &'r [Word<'a>],
    used: &'r mut Vec<Used>,
    loaded: &'r mut Vec<Loaded>,
    kept: &'r mut Vec<(usize, usize)>,
    odd: &'r RefCell<Vec<String>>,
    at: usize,
    /// The `!` that waits for its option.
    negated: Option<usize>,
    family: Family,
    mode: Mode,
    table: Option<String>,
    command: Option<Command>,
    rule: Rule,
    source: Option<Negatable<Value>>,
    destination: Option<Negatable<Value>>,
    jump: Option<Jump>,
    matches: usize,
}

/// A value: the word that it stands in, and where in it.
#[derive(Clone, Copy)]
struct Value {
    word: usize,
    skip: usize,
}

enum Jump {
    Verdict(Target),
    Loaded,
}

impl<'r> Reader<'r, '_> {
    fn read(&mut self) -> Result<(), Failure> {
        while let Some(word) = self.words.get(self.at) {
            let text: &str = &word.text;
            if let Some(owner) = self.keeper(text) {
                self.kept.push((owner, self.at));
                self.at += 1;
                continue;
            }
            if text == "!" {
                if self.negated.replace(self.at).is_some() {
                    return Err(self.here("expected an option behind \"!\", found another \"!\""));
                }
                self.at += 1;
                continue;
            }
            match text.as_bytes() {
                // A long option of an extension may be called as one of the rule; then the extension has it.
                [b'-', b'-', _, ..] => self.long(text)?,
                [b'-', _, ..] => match core(text) {
                    Some((option, skip)) => self.core(option, skip)?,
                    None => return Err(self.here(&format!("expected an option, found \"{text}\""))),
                },
                _ if self.mode == Mode::Lenient && self.jump.is_some() && self.negated.is_none() => {
                    self.odd.borrow_mut().push(format!("\"{text}\" behind the rule is no part of it"));
                    self.at = if text.starts_with('#') { self.words.len() } else { self.at + 1 };
                }
                _ => return Err(self.here(&format!("expected an option, found \"{text}\""))),
            }
            if let Some(bang) = self.negated.take() {
                return Err(Failure::at(bang, "\"!\" cannot stand before this option".to_owned()));
            }
        }
        match self.negated {
            Some(bang) => Err(Failure::at(bang, "expected an option behind \"!\"".to_owned())),
            None => Ok(()),
        }
    }

    fn here(&self, message: &str) -> Failure {
        Failure::at(self.at, message.to_owned())
    }

    /// An option of the rule itself. What is left of the word behind `skip` is its value.
    fn core(&mut self, option: Core, skip: usize) -> Result<(), Failure> {
        let word = self.at;
        let text: &str = self.words.get(word).map_or("", |word| &word.text);
        let rest = skip < text.len();
        match option {
            Core::Fragment | Core::Ignored | Core::Ipv4 | Core::Ipv6 => {
                self.at += 1;
                if rest && !text.starts_with("--") && option == Core::Ignored {
                    return Ok(());
                }
                if rest {
                    return Err(Failure::at(word, format!("expected an option, found \"{text}\"")));
                }
                return self.plain(option, word);
            }
            Core::IgnoredValue => {
                self.at += 1;
                if !rest
                    && self
                        .argument()
                        .is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
                {
                    self.at += 1;
                }
                return Ok(());
            }
            Core::Foreign => return Err(self.here("expected a command that changes something")),
            Core::Flush | Core::DeleteChain | Core::Zero => return self.optional_chain(option, skip, rest),
            _ => {}
        }
        let mut negated = self.negated;
        let value = if rest {
            self.at += 1;
            Value { word, skip }
        } else {
            self.at += 1;
            if option.invertible() {
                negated = negated.or(self.inner_bang());
            }
            let value = Value { word: self.at, skip: 0 };
            self.at += 1;
            value
        };
        if self.words.get(value.word).is_none() {
            return Err(Failure::at(word, format!("expected a value behind {text}")));
        }
        if option.invertible() {
            self.negated = None;
        }
        self.valued(option, word, value, negated.is_some())
    }

    fn text(&self, value: Value) -> &'r str {
        self.words.get(value.word).and_then(|word| word.text.get(value.skip..)).unwrap_or("")
    }

    /// The next word, if it is no option.
    fn argument(&self) -> Option<&'r str> {
        self.words.get(self.at).map(|word| &*word.text).filter(|text| !text.starts_with(['-', '!']))
    }

    fn plain(&mut self, option: Core, word: usize) -> Result<(), Failure> {
        match option {
            Core::Fragment if self.family == Family::Ipv6 => {
                Err(Failure::at(word, "-f is for IPv4; IPv6 has -m frag".to_owned()))
            }
            Core::Fragment => {
                let first = self.negated.take().is_none();
                self.only_once(self.rule.fragment.is_some(), word)?;
                self.rule.fragment = Some(first);
                Ok(())
            }
            Core::Ipv4 if self.family == Family::Ipv6 => {
                Err(Failure::at(word, "the rule is for IPv4 alone".to_owned()))
            }
            Core::Ipv6 if self.family == Family::Ipv4 => {
                Err(Failure::at(word, "the rule is for IPv6 alone".to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn only_once(&self, there: bool, word: usize) -> Result<(), Failure> {
        let text = self.words.get(word).map_or("", |word| &word.text);
        if there { Err(Failure::at(word, format!("{text} can be there only once"))) } else { Ok(()) }
    }

    fn valued(&mut self, option: Core, word: usize, value: Value, negated: bool) -> Result<(), Failure> {
        match option {
            Core::Protocol => {
                self.only_once(self.rule.protocol.is_some(), word)?;
                let text = self.text(value);
                let Some(number) = protocol(text) else {
                    return Err(Failure::at(
                        value.word,
                        format!("expected a protocol by its name or number, found \"{text}\""),
                    ));
                };
                if number == 0 && negated {
                    return Err(Failure::at(value.word, "\"! -p all\" matches nothing".to_owned()));
                }
                self.rule.protocol = (number != 0).then_some(Negatable { negated, value: Protocol(number) });
            }
            Core::Source => {
                self.only_once(self.source.is_some(), word)?;
                self.source = Some(Negatable { negated, value });
            }
            Core::Destination => {
                self.only_once(self.destination.is_some(), word)?;
                self.destination = Some(Negatable { negated, value });
            }
            Core::Input => {
                self.only_once(self.rule.input.is_some(), word)?;
                self.rule.input = self.interface(value, negated)?;
            }
            Core::Output => {
                self.only_once(self.rule.output.is_some(), word)?;
                self.rule.output = self.interface(value, negated)?;
            }
            Core::Match => self.load_match(value)?,
            Core::Jump => self.load_target(word, value)?,
            Core::Goto => {
                self.only_once(self.jump.is_some(), word)?;
                let chain = self.chain(value)?;
                self.jump = Some(Jump::Verdict(Target::Goto(chain)));
                self.load(What::Verdict, value)?;
            }
            Core::Counters => self.counters(value)?,
            Core::Table => {
                self.only_once(self.table.is_some(), word)?;
                self.table = Some(self.text(value).to_owned());
            }
            _ => return self.chain_command(option, word, value),
        }
        Ok(())
    }

    /// `+` alone is any interface.
    fn interface(&self, value: Value, negated: bool) -> Result<Option<Negatable<Interface>>, Failure> {
        let text = self.text(value);
        let interface = options::interface(text)
            .map_err(|what| Failure::at(value.word, format!("expected {what}, found \"{text}\"")))?;
        Ok((negated || interface.0 != "+").then_some(Negatable { negated, value: interface }))
    }

    fn counters(&mut self, value: Value) -> Result<(), Failure> {
        let text = self.text(value);
        let (packets, rest) = leading(text).unwrap_or((0, "?"));
        let bytes = match rest.strip_prefix(',') {
            Some(bytes) => number(bytes, u64::MAX),
            None if rest.is_empty() => self.argument().and_then(|text| number(text, u64::MAX)),
            None => None,
        };
        let Some(bytes) = bytes else {
            return Err(Failure::at(value.word, "expected packets and bytes behind -c".to_owned()));
        };
        if rest.is_empty() {
            self.at += 1;
        }
        self.rule.counters = Some(Counters { packets, bytes });
        Ok(())
    }
}

/// More would be no rule but an attack.
const MAXIMUM_MATCHES: usize = 64;
