//! The words of a line as a command and a rule: what `getopt` and `libxtables` make of them.

use std::borrow::Cow;
use std::cell::RefCell;

use super::number::{leading, number, protocol};
use super::options::{self, Args, Build, Kind, Opt, Used, address_of, saturate32};
use super::words::Word;
use super::{Failure, address};
use crate::extension::{is_foreign_target, match_kind, target_kind};
use crate::{
    AddressSpec, ChainPolicy, Command, Counters, Family, Interface, Mode, Negatable, Protocol, Rule, Target,
    Unknown,
};

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

/// The options of a rule itself, whichever way they are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Core {
    Append,
    Insert,
    Replace,
    Delete,
    Check,
    Policy,
    New,
    Flush,
    DeleteChain,
    Rename,
    Zero,
    Table,
    Protocol,
    Source,
    Destination,
    Input,
    Output,
    Fragment,
    Match,
    Jump,
    Goto,
    Counters,
    Ipv4,
    Ipv6,
    /// `-v`, `-n`, `-x`, `-w` and the like, which change nothing of the rule.
    Ignored,
    /// The same, with a value that may be left out.
    IgnoredValue,
    /// What asks and changes nothing.
    Foreign,
}

const LONG: &[(&str, Core)] = &[
    ("append", Core::Append),
    ("insert", Core::Insert),
    ("replace", Core::Replace),
    ("delete", Core::Delete),
    ("check", Core::Check),
    ("policy", Core::Policy),
    ("new-chain", Core::New),
    ("new", Core::New),
    ("flush", Core::Flush),
    ("delete-chain", Core::DeleteChain),
    ("rename-chain", Core::Rename),
    ("zero", Core::Zero),
    ("table", Core::Table),
    ("protocol", Core::Protocol),
    ("proto", Core::Protocol),
    ("source", Core::Source),
    ("src", Core::Source),
    ("destination", Core::Destination),
    ("dst", Core::Destination),
    ("in-interface", Core::Input),
    ("out-interface", Core::Output),
    ("fragment", Core::Fragment),
    ("match", Core::Match),
    ("jump", Core::Jump),
    ("goto", Core::Goto),
    ("set-counters", Core::Counters),
    ("ipv4", Core::Ipv4),
    ("ipv6", Core::Ipv6),
    ("verbose", Core::Ignored),
    ("numeric", Core::Ignored),
    ("exact", Core::Ignored),
    ("line-numbers", Core::Ignored),
    ("wait", Core::IgnoredValue),
    ("wait-interval", Core::IgnoredValue),
    ("list", Core::Foreign),
    ("list-rules", Core::Foreign),
];

fn short(letter: u8) -> Option<Core> {
    Some(match letter {
        b'A' => Core::Append,
        b'I' => Core::Insert,
        b'R' => Core::Replace,
        b'D' => Core::Delete,
        b'C' => Core::Check,
        b'P' => Core::Policy,
        b'N' => Core::New,
        b'F' => Core::Flush,
        b'X' => Core::DeleteChain,
        b'E' => Core::Rename,
        b'Z' => Core::Zero,
        b't' => Core::Table,
        b'p' => Core::Protocol,
        b's' => Core::Source,
        b'd' => Core::Destination,
        b'i' => Core::Input,
        b'o' => Core::Output,
        b'f' => Core::Fragment,
        b'm' => Core::Match,
        b'j' => Core::Jump,
        b'g' => Core::Goto,
        b'c' => Core::Counters,
        b'4' => Core::Ipv4,
        b'6' => Core::Ipv6,
        b'v' | b'n' | b'x' => Core::Ignored,
        b'w' | b'W' => Core::IgnoredValue,
        b'L' | b'S' => Core::Foreign,
        _ => return None,
    })
}

/// An option of the rule itself that the word is, and how much of the word it takes.
fn core(text: &str) -> Option<(Core, usize)> {
    match text.as_bytes() {
        [b'-', b'-', ..] => {
            let name = text.get(2..)?.split('=').next()?;
            let (_, core) = LONG.iter().find(|(other, _)| *other == name)?;
            Some((*core, if name.len() + 2 < text.len() { name.len() + 3 } else { text.len() }))
        }
        [b'-', letter, ..] => Some((short(*letter)?, 2)),
        _ => None,
    }
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

    /// The extension that is not known to which the word belongs: all do, up to an option of the rule itself.
    fn keeper(&self, text: &str) -> Option<usize> {
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
        if self.at == first && matches!(kind, What::Match) {
            return Some(owner);
        }
        // Elsewhere, and behind what may be a chain, options alone do, and those that nobody else has.
        let name = option.strip_prefix("--").filter(|name| !name.is_empty())?;
        let known = self.find(name).is_some() || self.protocol_has(name);
        (!known).then_some(owner)
    }

    fn protocol_has(&self, name: &str) -> bool {
        let name = name.split('=').next().unwrap_or(name);
        self.protocol_kind().is_some_and(|kind| kind.options.iter().any(|option| option.name == name))
    }

    /// The option of a loaded extension, of the latest first.
    fn find(&self, name: &str) -> Option<(usize, &'static Opt)> {
        let name = name.split('=').next().unwrap_or(name);
        self.loaded.iter().enumerate().rev().find_map(|(owner, loaded)| match loaded.kind {
            What::Known(kind) => {
                kind.options.iter().find(|option| option.name == name).map(|option| (owner, option))
            }
            _ => None,
        })
    }

    /// `--name` or `--name=value`.
    fn long(&mut self, text: &str) -> Result<(), Failure> {
        let name = text.get(2..).unwrap_or("").split('=').next().unwrap_or("");
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
    fn protocol_kind(&self) -> Option<&'static Kind> {
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
    fn inner_bang(&mut self) -> Option<usize> {
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

    fn chain(&self, value: Value) -> Result<String, Failure> {
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

    fn chain_command(&mut self, option: Core, word: usize, value: Value) -> Result<(), Failure> {
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

    fn optional_chain(&mut self, option: Core, skip: usize, rest: bool) -> Result<(), Failure> {
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

    fn load_match(&mut self, value: Value) -> Result<(), Failure> {
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

    fn load(&mut self, kind: What, value: Value) -> Result<(), Failure> {
        if let What::Known(Kind { family: Some(family), name, .. }) = kind
            && *family != self.family
        {
            let family = if *family == Family::Ipv4 { "IPv4" } else { "IPv6" };
            return Err(Failure::at(value.word, format!("{name} is for {family}")));
        }
        self.loaded.push(Loaded { kind, word: value.word, skip: value.skip, first: self.at });
        Ok(())
    }

    fn load_target(&mut self, word: usize, value: Value) -> Result<(), Failure> {
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

/// More would be no rule but an attack.
const MAXIMUM_MATCHES: usize = 64;

impl Core {
    /// Whether `!` may stand before it.
    fn invertible(self) -> bool {
        matches!(self, Self::Protocol | Self::Source | Self::Destination | Self::Input | Self::Output)
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

impl<'r> Reader<'r, '_> {
    /// What was read, as a rule.
    fn finish(mut self) -> Result<Line, Failure> {
        let count = self
            .loaded
            .iter()
            .filter(|loaded| matches!(loaded.kind, What::Known(_) | What::Match | What::Protocol(_)))
            .count();
        let mut rule = std::mem::take(&mut self.rule);
        rule.matches.reserve_exact(count);
        let mut target = None;
        for owner in 0..self.loaded.len() {
            let Some(loaded) = self.loaded.get(owner).copied() else { break };
            match loaded.kind {
                What::Known(kind) => self.build(owner, loaded, kind, &mut rule, &mut target)?,
                What::Match | What::Protocol(_) => {
                    rule.matches.push(crate::Match::Unknown(self.verbatim(owner, loaded)));
                }
                What::Target => {
                    let unknown = self.verbatim(owner, loaded);
                    let chain = unknown.arguments.is_empty() && !is_foreign_target(&unknown.name);
                    target = Some(if chain { Target::Jump(unknown.name) } else { Target::Unknown(unknown) });
                }
                What::Verdict => {}
            }
        }
        rule.target = match self.jump.take() {
            Some(Jump::Verdict(verdict)) => Some(verdict),
            Some(Jump::Loaded) => target,
            None => None,
        };
        let further = self.expand(&mut rule)?;
        if let Some(command) = &self.command
            && !command.takes_rule()
            && rule != Rule::default()
        {
            return Err(Failure::at_end("this command takes no rule"));
        }
        Ok(Line { family: self.family, table: self.table, command: self.command, rule, further })
    }

    fn build(
        &self,
        owner: usize,
        loaded: Loaded,
        kind: &'static Kind,
        rule: &mut Rule,
        target: &mut Option<Target>,
    ) -> Result<(), Failure> {
        let mut there = 0_u32;
        let mut opaque = false;
        for used in self.used.iter().filter(|used| used.owner == owner) {
            there |= 1 << used.id;
            opaque |= kind.options.iter().any(|option| option.id == used.id && option.opaque);
        }
        let named = |ids: u32| {
            kind.options.iter().find(|option| ids & 1 << option.id != 0).map_or("", |option| option.name)
        };
        let missing = kind.required & !there;
        if missing != 0 {
            return Err(Failure::at(loaded.word, format!("{} needs --{}", kind.name, named(missing))));
        }
        if kind.one_of != 0 && kind.one_of & there == 0 {
            return Err(Failure::at(
                loaded.word,
                format!("{} needs an option such as --{}", kind.name, named(kind.one_of)),
            ));
        }
        if opaque {
            let unknown = Unknown { name: kind.name.to_owned(), arguments: self.spelled(owner, kind) };
            match kind.build {
                Build::Match(_) => rule.matches.push(crate::Match::Unknown(unknown)),
                Build::Target(_) => *target = Some(Target::Unknown(unknown)),
            }
            return Ok(());
        }
        let args = Args {
            words: self.words,
            used: self.used,
            owner,
            place: loaded.word,
            family: self.family,
            mode: self.mode,
            protocol: rule.protocol,
            odd: self.odd,
        };
        match kind.build {
            Build::Match(build) => rule.matches.push(build(&args)?),
            Build::Target(build) => *target = Some(build(&args)?),
        }
        Ok(())
    }

    /// The words of an extension that is not known.
    fn verbatim(&self, owner: usize, loaded: Loaded) -> Unknown {
        let kept = self.kept.iter().filter(|(keeper, _)| *keeper == owner);
        let name = match loaded.kind {
            What::Protocol(name) => name,
            _ => self.text(Value { word: loaded.word, skip: loaded.skip }),
        };
        Unknown {
            name: name.to_owned(),
            arguments: kept.map(|(_, word)| self.text(Value { word: *word, skip: 0 }).to_owned()).collect(),
        }
    }

    /// What was used of a known extension, as it was written.
    fn spelled(&self, owner: usize, kind: &Kind) -> Vec<String> {
        let mut words = Vec::new();
        for used in self.used.iter().filter(|used| used.owner == owner) {
            let Some(option) = kind.options.iter().find(|option| option.id == used.id) else { continue };
            if used.negated {
                words.push("!".to_owned());
            }
            words.push(format!("--{}", option.name));
            if option.values > 0 {
                words.push(self.text(Value { word: used.value, skip: used.skip }).to_owned());
            }
            if option.values > 1 {
                words.push(self.text(Value { word: used.value + 1, skip: 0 }).to_owned());
            }
        }
        words
    }

    /// The addresses, and a rule for each further pair of them.
    fn expand(&self, rule: &mut Rule) -> Result<Vec<Rule>, Failure> {
        let list =
            |value: Option<Negatable<Value>>| value.is_some_and(|value| self.text(value.value).contains(','));
        if !list(self.source) && !list(self.destination) {
            rule.source = self.one_address(self.source)?;
            rule.destination = self.one_address(self.destination)?;
            return Ok(Vec::new());
        }
        if let Some(value) = [self.source, self.destination].into_iter().flatten().find(|value| value.negated)
        {
            return Err(Failure::at(
                value.value.word,
                "\"!\" goes with one address, not with a list".to_owned(),
            ));
        }
        let sources = self.addresses(self.source)?;
        let destinations = self.addresses(self.destination)?;
        if sources.len() * destinations.len() > MAXIMUM_EXPANSION {
            return Err(Failure::at_end("the lists of addresses make more than 65536 rules"));
        }
        let mut rules = Vec::new();
        for source in &sources {
            for destination in &destinations {
                rules.push(Rule { source: source.clone(), destination: destination.clone(), ..rule.clone() });
            }
        }
        let further = rules.split_off(1.min(rules.len()));
        if let Some(first) = rules.pop() {
            *rule = first;
        }
        Ok(further)
    }

    fn addresses(
        &self,
        value: Option<Negatable<Value>>,
    ) -> Result<Vec<Option<Negatable<AddressSpec>>>, Failure> {
        match value {
            None => Ok(vec![None]),
            Some(value) => {
                self.text(value.value).split(',').map(|text| self.address(value, text.trim())).collect()
            }
        }
    }

    fn one_address(
        &self,
        value: Option<Negatable<Value>>,
    ) -> Result<Option<Negatable<AddressSpec>>, Failure> {
        value.map_or(Ok(None), |value| self.address(value, self.text(value.value)))
    }

    /// Any address is no condition.
    fn address(
        &self,
        value: Negatable<Value>,
        text: &str,
    ) -> Result<Option<Negatable<AddressSpec>>, Failure> {
        let Negatable { negated, value: place } = value;
        if let Some(address) = address::network(text, self.family) {
            let any = address.prefix() == Some(0) && !negated;
            return Ok((!any).then_some(Negatable { negated, value: address }));
        }
        let name = text.split('/').next().unwrap_or("");
        let letters = |letter: char| letter.is_alphanumeric() || "-._*".contains(letter);
        let like_a_name = !name.is_empty()
            && name.chars().all(letters)
            && name.contains(|letter: char| letter.is_alphabetic() || letter == '*');
        if self.mode == Mode::Lenient && like_a_name {
            self.odd
                .borrow_mut()
                .push(format!("\"{text}\" is a name, not an address: which ones it stands for is not known"));
            return Ok(Some(Negatable { negated, value: AddressSpec::Name(text.to_owned()) }));
        }
        Err(Failure::at(place.word, format!("expected {}, found \"{text}\"", address_of(self.family))))
    }
}

/// More rules from one line would be no rule but an attack.
const MAXIMUM_EXPANSION: usize = 65_536;
