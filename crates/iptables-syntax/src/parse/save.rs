//! A whole file.

use std::borrow::Cow;

use super::Failure;
use super::number::number;
use super::rule::{self, Scratch};
use super::words::{self, Quotes};
use crate::{
    Chain, Command, Counters, Family, Line, Mode, Oddity, RuleLine, Save, SyntaxError, Target, check,
};

pub(crate) fn save(bytes: &[u8], family: Family, mode: Mode) -> Result<(Save, Vec<Oddity>), SyntaxError> {
    let text: Cow<'_, str> = match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => bytes.iter().copied().map(char::from).collect::<String>().into(),
    };
    let latin1 = matches!(text, Cow::Owned(_));
    let mut file = File {
        family,
        mode,
        table: None,
        scratch: Scratch::default(),
        oddities: Vec::new(),
        lines: Vec::with_capacity(bytes.len() / 64),
    };
    if latin1 {
        file.odd(1, "the file is no UTF-8: it is read as ISO 8859-1");
    }
    let final_newline = text.ends_with('\n');
    let body = text.strip_suffix('\n').unwrap_or(&text);
    if !text.is_empty() {
        for (index, line) in body.split('\n').enumerate() {
            file.line(index + 1, line)?;
        }
    }
    if let Some(table) = file.table.take() {
        let number = file.lines.len();
        file.missing_commit(number, &table)?;
    }
    file.resolve_targets();
    Ok((Save { family, lines: file.lines, final_newline, latin1 }, file.oddities))
}

struct File<'a> {
    family: Family,
    mode: Mode,
    /// The table that is open.
    table: Option<String>,
    scratch: Scratch<'a>,
    oddities: Vec<Oddity>,
    lines: Vec<Line>,
}

impl<'a> File<'a> {
    fn odd(&mut self, line: usize, what: &str) {
        self.oddities.push(Oddity { line, what: what.to_owned() });
    }

    /// An oddity in lenient mode, an error in strict mode.
    fn refuse(&mut self, number: usize, line: &str, what: &str) -> Result<(), SyntaxError> {
        match self.mode {
            Mode::Strict => {
                let length = line.chars().count().max(1);
                Err(SyntaxError::new(number, 1, length, what.to_owned(), line))
            }
            Mode::Lenient => {
                self.odd(number, what);
                Ok(())
            }
        }
    }

    fn line(&mut self, number: usize, text: &'a str) -> Result<(), SyntaxError> {
        let line = match text.as_bytes() {
            [b'-' | b'[', ..] => return self.rule(number, text, 0),
            [] => Line::Blank(text.to_owned()),
            [b'#', ..] => Line::Comment(text.to_owned()),
            [b'*', ..] => return self.table(number, text),
            [b':', ..] => return self.chain(number, text),
            _ if text.trim() == "COMMIT" => return self.commit(number, text),
            _ => return self.other(number, text),
        };
        self.lines.push(line);
        Ok(())
    }

    fn table(&mut self, number: usize, text: &str) -> Result<(), SyntaxError> {
        let name = text.trim_start_matches('*').trim();
        if let Some(open) = self.table.take() {
            self.missing_commit(number, &open)?;
        }
        if !check::TABLES.contains(&name) {
            self.refuse(number, text, "expected the table filter, nat, mangle, raw or security")?;
        }
        self.table = Some(name.to_owned());
        self.lines.push(Line::Table { name: name.to_owned(), text: text.to_owned() });
        Ok(())
    }

    fn missing_commit(&mut self, number: usize, table: &str) -> Result<(), SyntaxError> {
        self.refuse(number, "", &format!("expected COMMIT at the end of the table {table}"))
    }

    /// `:INPUT DROP [0:0]`.
    fn chain(&mut self, number: usize, text: &str) -> Result<(), SyntaxError> {
        if self.table.is_none() {
            self.refuse(number, text, "expected a table, such as *filter, before its chains")?;
        }
        let mut words = text.get(1..).unwrap_or("").split_ascii_whitespace();
        let (name, policy, counters, rest) = (words.next(), words.next(), words.next(), words.next());
        let Some(name) = name else {
            return self.junk(number, text, "expected the name of a chain behind ':'");
        };
        if name.len() > 28 {
            self.refuse(number, text, "the name of the chain is longer than 28 characters")?;
        }
        let known = match policy {
            Some("-") => Some(None),
            Some(policy) => rule::policy(policy).map(Some),
            None => None,
        };
        let Some(policy) = known else {
            return self.junk(number, text, "expected ACCEPT, DROP or - behind the chain");
        };
        let read = counters.map(counters_of);
        if matches!(read, Some(None)) || rest.is_some() {
            self.refuse(number, text, "expected counters such as [0:0] at the end of the line")?;
        }
        let counters = read.flatten();
        self.lines.push(Line::Chain(Chain {
            name: name.to_owned(),
            policy,
            counters,
            line: number,
            text: text.to_owned(),
        }));
        Ok(())
    }

    fn commit(&mut self, number: usize, text: &str) -> Result<(), SyntaxError> {
        if text != "COMMIT" {
            self.refuse(number, text, "white space around COMMIT")?;
        }
        if self.table.take().is_none() {
            self.refuse(number, text, "COMMIT without a table")?;
        }
        self.lines.push(Line::Commit(text.to_owned()));
        Ok(())
    }

    /// What begins with nothing that a dump has.
    fn other(&mut self, number: usize, text: &'a str) -> Result<(), SyntaxError> {
        let start = text.trim_start();
        let offset = text.len() - start.len();
        match start.split_ascii_whitespace().next() {
            None => {
                self.lines.push(Line::Blank(text.to_owned()));
                return Ok(());
            }
            Some(word) if self.mode == Mode::Lenient => {
                let word = word.rsplit('/').next().unwrap_or(word);
                let program =
                    matches!((word, self.family), ("iptables", Family::Ipv4) | ("ip6tables", Family::Ipv6));
                let command = start.starts_with("-A ") || start.starts_with("-I ") || start.starts_with('[');
                if program && start.contains(" -") {
                    self.odd(number, "a command, not a line of a dump");
                    return self.rule(number, text, offset);
                }
                if command && offset > 0 {
                    self.odd(number, "white space before the rule");
                    return self.rule(number, text, offset);
                }
                if start.starts_with('#') {
                    self.lines.push(Line::Comment(text.to_owned()));
                    return Ok(());
                }
            }
            // `iptables-restore` takes white space before a rule.
            Some(_) if start.starts_with(['-', '[']) => return self.rule(number, text, offset),
            Some(_) => {}
        }
        self.junk(number, text, "expected a rule, a chain, a table, a comment or COMMIT")
    }

    fn junk(&mut self, number: usize, text: &str, what: &str) -> Result<(), SyntaxError> {
        self.refuse(number, text, what)?;
        self.lines.push(Line::Junk(text.to_owned()));
        Ok(())
    }

    /// A command, with or without counters before it.
    fn rule(&mut self, number: usize, text: &'a str, offset: usize) -> Result<(), SyntaxError> {
        if self.table.is_none() {
            self.refuse(number, text, "expected a table, such as *filter, before its rules")?;
        }
        let mut start = offset;
        let mut counters = None;
        if text.get(offset..).is_some_and(|rest| rest.starts_with('[')) {
            let rest = text.get(offset..).unwrap_or("");
            let end = rest.find(']').map_or(rest.len(), |end| end + 1);
            counters = counters_of(rest.get(..end).unwrap_or(""));
            if counters.is_none() {
                return self.junk(number, text, "expected counters such as [0:0] before the rule");
            }
            start = offset + end;
        }
        let parsed = self.words(text, start).and_then(|open| {
            if open && self.mode == Mode::Strict {
                return Err(Failure::at_end("expected a closing quote"));
            }
            if open {
                self.scratch.odd.borrow_mut().push("a quote that is never closed".to_owned());
            }
            let skip = self.scratch.words.first().is_some_and(|word| !word.text.starts_with(['-', '!']));
            rule::line(&mut self.scratch, usize::from(skip), self.family, self.mode)
        });
        let mut line = parsed.map_err(|failure| failure.located(number, text, &self.scratch.words))?;
        let Some(command) = line.command.take() else {
            return Err(Failure::at_end("expected a command such as -A").located(number, text, &[]));
        };
        for what in self.scratch.odd.borrow_mut().drain(..) {
            self.oddities.push(Oddity { line: number, what });
        }
        if let Some(table) = &line.table
            && self.mode == Mode::Strict
            && self.table.as_ref() != Some(table)
        {
            return self.refuse(number, text, "-t cannot stand in a dump: the table is above");
        }
        let table = line.table.as_deref().or(self.table.as_deref()).unwrap_or("filter");
        if let Some(chain) = command.chain()
            && let Err(what) = check::rule(&line.rule, table, chain)
        {
            self.refuse(number, text, &what)?;
        }
        let counters = counters.or(line.rule.counters);
        self.lines.push(Line::Rule(Box::new(RuleLine {
            line: number,
            table: line.table,
            counters,
            command,
            rule: line.rule,
            further: line.further,
            text: text.to_owned(),
        })));
        Ok(())
    }

    /// Splits a rule in words; true where a quote is never closed. Old versions quoted with `'`, too.
    fn words(&mut self, text: &'a str, start: usize) -> Result<bool, Failure> {
        self.scratch.words.clear();
        if self.mode == Mode::Lenient && text.contains('\'') {
            let open = words::split(text, start, Quotes::Shell, &mut self.scratch.words)?;
            if !open {
                return Ok(false);
            }
            self.scratch.words.clear();
        }
        words::split(text, start, Quotes::Double, &mut self.scratch.words)
    }

    /// A target that is not known and has no options may be a chain of that name.
    fn resolve_targets(&mut self) {
        let mut foreign: Vec<(usize, String)> = Vec::new();
        let mut start = 0;
        for index in 0..=self.lines.len() {
            match self.lines.get(index) {
                Some(Line::Rule(rule)) => {
                    if let Some(Target::Unknown(unknown)) = &rule.rule.target
                        && unknown.arguments.is_empty()
                    {
                        foreign.push((index, unknown.name.clone()));
                    }
                }
                Some(Line::Table { .. }) | None => {
                    for (place, name) in foreign.drain(..) {
                        let chains = self.lines.get(start..index).unwrap_or(&[]);
                        if chains.iter().any(|line| declares(line, &name))
                            && let Some(Line::Rule(rule)) = self.lines.get_mut(place)
                        {
                            rule.rule.target = Some(Target::Jump(name.clone()));
                            for further in &mut rule.further {
                                further.target = Some(Target::Jump(name.clone()));
                            }
                        }
                    }
                    start = index;
                }
                Some(_) => {}
            }
        }
    }
}

fn declares(line: &Line, name: &str) -> bool {
    match line {
        Line::Chain(chain) => chain.name == name,
        Line::Rule(rule) => matches!(&rule.command, Command::NewChain { chain } if chain == name),
        _ => false,
    }
}

/// `[packets:bytes]`.
fn counters_of(text: &str) -> Option<Counters> {
    let (packets, bytes) = text.strip_prefix('[')?.strip_suffix(']')?.split_once(':')?;
    Some(Counters { packets: number(packets, u64::MAX)?, bytes: number(bytes, u64::MAX)? })
}
