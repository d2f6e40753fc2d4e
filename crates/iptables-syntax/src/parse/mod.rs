//! From text to rules.

pub(crate) mod address;
pub(crate) mod number;
pub(crate) mod options;
pub(crate) mod rate;
mod rule;
mod save;
mod words;

use crate::{Family, Mode, ParsedCommand, Rule, SyntaxError};
use rule::{Line, Scratch};
pub(crate) use save::save;
use words::{Quotes, Word};

/// What is wrong, and with which word; the place is looked up once it is told.
#[derive(Debug)]
pub(crate) struct Failure {
    place: Place,
    message: String,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Word(usize),
    End,
}

impl Failure {
    pub(crate) fn at(word: usize, message: String) -> Self {
        Self { place: Place::Word(word), message }
    }

    fn at_end(message: &str) -> Self {
        Self { place: Place::End, message: message.to_owned() }
    }

    /// The error for people: line and column.
    fn located(self, number: usize, line: &str, words: &[Word<'_>]) -> SyntaxError {
        let word = match self.place {
            Place::Word(index) => words.get(index),
            Place::End => None,
        };
        let (start, end) =
            word.map_or((line.trim_end().len(), line.trim_end().len()), |word| (word.start, word.end));
        let count = |text: Option<&str>| text.map_or(0, |text| text.chars().count());
        let column = count(line.get(..start)) + 1;
        SyntaxError::new(number, column, count(line.get(start..end)).max(1), self.message, line)
    }
}

pub(crate) fn rule(text: &str, family: Family, mode: Mode) -> Result<Rule, SyntaxError> {
    let mut rules = rules(text, family, mode)?;
    if let (Some(rule), true) = (rules.pop(), rules.is_empty()) {
        Ok(rule)
    } else {
        let message = "expected one address, found a list, which makes several rules".to_owned();
        Err(SyntaxError::new(1, 1, 1, message, text))
    }
}

pub(crate) fn rules(text: &str, family: Family, mode: Mode) -> Result<Vec<Rule>, SyntaxError> {
    let mut scratch = Scratch::default();
    let parsed = one_line(text, family, mode, &mut scratch)
        .and_then(|line| {
            let extra = line.command.is_some() || line.table.is_some();
            let message = "expected the arguments of a rule, without a command or a table";
            if extra { Err(Failure::at(0, message.to_owned())) } else { Ok(line) }
        })
        .map_err(|failure| failure.located(1, text, &scratch.words))?;
    let mut rules = vec![parsed.rule];
    rules.extend(parsed.further);
    Ok(rules)
}

pub(crate) fn command(text: &str, family: Family, mode: Mode) -> Result<ParsedCommand, SyntaxError> {
    let mut scratch = Scratch::default();
    let parsed = one_line(text, family, mode, &mut scratch).and_then(|line| match line.command {
        Some(command) => {
            let mut rules = Vec::new();
            if command.takes_rule() {
                rules.push(line.rule);
                rules.extend(line.further);
            }
            Ok(ParsedCommand { family: line.family, table: line.table, command, rules })
        }
        None => Err(Failure::at_end("expected a command such as -A, -I, -R, -D, -P, -N, -F, -X, -E, -Z")),
    });
    parsed.map_err(|failure| failure.located(1, text, &scratch.words))
}

/// Arguments as a person types them.
fn one_line<'a>(
    text: &'a str,
    family: Family,
    mode: Mode,
    scratch: &mut Scratch<'a>,
) -> Result<Line, Failure> {
    if words::split(text, 0, Quotes::Shell, &mut scratch.words)? {
        return Err(Failure::at_end("expected a closing quote"));
    }
    let mut family = family;
    let mut first = 0;
    if let Some(word) = scratch.words.first() {
        match word.text.rsplit('/').next() {
            Some("iptables" | "iptables-nft" | "iptables-legacy") => (family, first) = (Family::Ipv4, 1),
            Some("ip6tables" | "ip6tables-nft" | "ip6tables-legacy") => (family, first) = (Family::Ipv6, 1),
            _ => {}
        }
    }
    rule::line(scratch, first, family, mode)
}
