//! What was read, as a rule.

use super::{Jump, Line, Loaded, Reader, Value, What};
use crate::extension::is_foreign_target;
use crate::parse::options::{Args, Build, Kind, address_of};
use crate::parse::{Failure, address};
use crate::{AddressSpec, Match, Mode, Negatable, Rule, Target, Unknown};

impl Reader<'_, '_> {
    /// What was read, as a rule.
    pub(super) fn finish(mut self) -> Result<Line, Failure> {
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
                    rule.matches.push(Match::Unknown(self.verbatim(owner, loaded)));
                }
                What::Target => {
                    let unknown = self.verbatim(owner, loaded);
                    self.unambiguous(owner, &unknown.name)?;
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
                Build::Match(_) => rule.matches.push(Match::Unknown(unknown)),
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
        let name = self.name(&loaded);
        Unknown {
            name: name.to_owned(),
            arguments: kept.map(|(_, word)| self.text(Value { word: *word, skip: 0 }).to_owned()).collect(),
        }
    }

    /// The name of an extension.
    pub(super) fn name(&self, loaded: &Loaded) -> &str {
        match loaded.kind {
            What::Known(kind) => kind.name,
            What::Protocol(name) => name,
            What::Match | What::Target | What::Verdict => {
                self.text(Value { word: loaded.word, skip: loaded.skip })
            }
        }
    }

    /// Refuses an option behind what may be a chain, where a match has one of that name.
    fn unambiguous(&self, owner: usize, target: &str) -> Result<(), Failure> {
        for (_, word) in self.kept.iter().filter(|(keeper, _)| *keeper == owner && !is_foreign_target(target))
        {
            let text = self.text(Value { word: *word, skip: 0 });
            let Some(name) = text.strip_prefix("--") else { continue };
            let loaded =
                self.find(name).and_then(|(other, _)| self.loaded.get(other)).map(|other| self.name(other));
            let implied = self.protocol_kind().filter(|_| self.protocol_has(name)).map(|kind| kind.name);
            if let Some(other) = loaded.or(implied) {
                let message =
                    format!("--{name} may belong to {other} or to {target}: expected it in front of -j");
                return Err(Failure::at(*word, message));
            }
        }
        Ok(())
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
        let list = |value: Option<Negatable<Value>>| {
            value.is_some_and(|value| self.text(value.value).bytes().any(|byte| byte == b','))
        };
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
