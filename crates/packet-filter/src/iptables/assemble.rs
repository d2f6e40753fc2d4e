//! The tables that a file leaves behind: its commands, one after the other, as `iptables-restore` runs them.

use iptables_syntax::{ChainPolicy, Command, Counters, Line, Rule, RuleLine, Save};

/// A table with its chains.
#[derive(Debug, Clone)]
pub(super) struct Table<'a> {
    pub(super) name: &'a str,
    pub(super) chains: Vec<Chain<'a>>,
}

/// A chain with its rules.
#[derive(Debug, Clone)]
pub(super) struct Chain<'a> {
    pub(super) name: &'a str,
    /// `None` for a chain of a user's own.
    pub(super) policy: Option<ChainPolicy>,
    pub(super) rules: Vec<Entry<'a>>,
}

/// A rule and where it stands in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) rule: &'a Rule,
    /// 1-based.
    pub(super) line: usize,
    pub(super) text: &'a str,
    pub(super) counters: Option<Counters>,
}

/// The tables of a file. A table that begins a second time is emptied first, as without `--noflush`.
pub(super) fn assemble(save: &Save) -> Vec<Table<'_>> {
    let mut tables: Vec<Table<'_>> = Vec::new();
    let mut current = 0;
    for line in &save.lines {
        match line {
            Line::Table { name, .. } => {
                let known = tables.iter().position(|table| table.name == name);
                current = known.unwrap_or(tables.len());
                if known.is_none() {
                    tables.push(Table { name, chains: Vec::new() });
                }
                tables[current].chains.clear();
            }
            Line::Chain(declared) => {
                let chain = table(&mut tables, current).chain(&declared.name);
                chain.policy = declared.policy;
                chain.rules.clear();
            }
            Line::Rule(rule) => table(&mut tables, current).run(rule),
            Line::Commit(_) | Line::Comment(_) | Line::Blank(_) | Line::Junk(_) => {}
        }
    }
    tables
}

/// What stands before any `*table` is of the filter table.
fn table<'t, 'a>(tables: &'t mut Vec<Table<'a>>, current: usize) -> &'t mut Table<'a> {
    if tables.is_empty() {
        tables.push(Table { name: "filter", chains: Vec::new() });
    }
    &mut tables[current]
}

impl<'a> Table<'a> {
    /// The chain, made where it is not there.
    fn chain(&mut self, name: &'a str) -> &mut Chain<'a> {
        let at = self.chains.iter().position(|chain| chain.name == name).unwrap_or_else(|| {
            let policy = super::hooks::hook(self.name, name).map(|_| ChainPolicy::Accept);
            self.chains.push(Chain { name, policy, rules: Vec::new() });
            self.chains.len() - 1
        });
        &mut self.chains[at]
    }

    fn run(&mut self, line: &'a RuleLine) {
        let entry = |rule: &'a Rule| Entry {
            rule,
            line: line.line,
            text: &line.text,
            counters: line.counters.or(rule.counters),
        };
        let entries = || line.rules().map(entry);
        match &line.command {
            Command::Append { chain } => self.chain(chain).rules.extend(entries()),
            Command::Insert { chain, number } => {
                let rules = &mut self.chain(chain).rules;
                let at = index(*number).min(rules.len());
                rules.splice(at..at, entries());
            }
            Command::Replace { chain, number } => {
                let rules = &mut self.chain(chain).rules;
                let at = index(*number);
                if at < rules.len() {
                    rules.splice(at..=at, entries());
                }
            }
            Command::DeleteNumber { chain, number } => {
                let rules = &mut self.chain(chain).rules;
                if index(*number) < rules.len() {
                    rules.remove(index(*number));
                }
            }
            Command::Delete { chain } => {
                let rules = &mut self.chain(chain).rules;
                for deleted in line.rules() {
                    if let Some(at) = rules.iter().position(|entry| entry.rule == deleted) {
                        rules.remove(at);
                    }
                }
            }
            Command::Policy { chain, policy } => self.chain(chain).policy = Some(*policy),
            Command::NewChain { chain } => {
                self.chain(chain);
            }
            Command::Flush { chain } => {
                let flushed = |of: &Chain<'_>| chain.as_deref().is_none_or(|name| name == of.name);
                self.chains.iter_mut().filter(|chain| flushed(chain)).for_each(|chain| chain.rules.clear());
            }
            Command::DeleteChain { chain } => {
                let goes = |of: &Chain<'_>| chain.as_deref().is_none_or(|name| name == of.name);
                self.chains.retain(|chain| chain.policy.is_some() || !goes(chain));
            }
            Command::Rename { chain, to } => self.chain(chain).name = to,
            Command::Check { .. } | Command::Zero { .. } => {}
        }
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX).saturating_sub(1)
}
