//! iptables-save's text as data, as far as taking rules out and putting them back needs it: tables, chains, and rules as
//! they are written. What a rule means is not known here.

mod edit;
mod merge;
mod own;

pub(crate) use edit::edit;
pub(crate) use merge::merge;
pub(crate) use own::{SavedIptables, has_ours, with_ours};

/// How the names of our own chains begin.
pub(crate) const OURS: &str = "gabion-";

/// The tables of one family.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Save {
    pub(crate) tables: Vec<Table>,
}

/// A table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) chains: Vec<Chain>,
}

/// A chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) name: String,
    /// None for a chain that is not built in.
    pub(crate) policy: Option<String>,
    /// Each as it is written, without `-A CHAIN` and counters.
    pub(crate) rules: Vec<String>,
}

impl Save {
    /// Reads what iptables-save(8) prints, with or without counters.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut save = Self::default();
        save.apply(text)?;
        Ok(save)
    }

    pub(crate) fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// Does what `iptables-restore --noflush` does with a text.
    pub(crate) fn apply(&mut self, text: &str) -> Result<(), String> {
        let mut current: Option<String> = None;
        for (number, line) in text.lines().map(str::trim).enumerate() {
            let line = without_counters(line);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line == "COMMIT" {
                current = None;
            } else if let Some(name) = line.strip_prefix('*') {
                current = Some(name.to_owned());
                self.table_mut(name);
            } else {
                let name =
                    current.as_deref().ok_or_else(|| format!("line {}: outside of a table", number + 1))?;
                self.table_mut(name)
                    .apply(line)
                    .ok_or_else(|| format!("line {}: {line} is not understood", number + 1))?;
            }
        }
        Ok(())
    }

    fn table_mut(&mut self, name: &str) -> &mut Table {
        let at = self.tables.iter().position(|table| table.name == name).unwrap_or_else(|| {
            self.tables.push(Table { name: name.to_owned(), chains: Vec::new() });
            self.tables.len() - 1
        });
        &mut self.tables[at]
    }

    /// As iptables-save prints it, without counters and dates.
    pub(crate) fn text(&self) -> String {
        self.tables.iter().map(Table::text).collect()
    }
}

impl Table {
    pub(crate) fn chain(&self, name: &str) -> Option<&Chain> {
        self.chains.iter().find(|chain| chain.name == name)
    }

    fn chain_mut(&mut self, name: &str) -> &mut Chain {
        let at = self.chains.iter().position(|chain| chain.name == name).unwrap_or_else(|| {
            let policy = is_built_in(name).then(|| "ACCEPT".to_owned());
            self.chains.push(Chain { name: name.to_owned(), policy, rules: Vec::new() });
            self.chains.len() - 1
        });
        &mut self.chains[at]
    }

    /// One line of a table; none where it is not understood.
    fn apply(&mut self, line: &str) -> Option<()> {
        if let Some(rest) = line.strip_prefix(':') {
            let (name, rest) = rest.split_once(' ')?;
            match rest.split(' ').next()? {
                // Of a chain that is there, its rules are flushed.
                "-" => self.chain_mut(name).rules.clear(),
                policy => self.chain_mut(name).policy = Some(policy.to_owned()),
            }
            return Some(());
        }
        let (verb, rest) = line.split_once(' ')?;
        let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let chain = self.chain_mut(name);
        match verb {
            "-A" => chain.rules.push(rest.to_owned()),
            "-I" => {
                let (number, rule) = rest.split_once(' ')?;
                let at: usize = number.parse().ok()?;
                (1..=chain.rules.len() + 1)
                    .contains(&at)
                    .then(|| chain.rules.insert(at - 1, rule.to_owned()))?;
            }
            "-D" => {
                let at: usize = rest.parse().ok()?;
                (1..=chain.rules.len()).contains(&at).then(|| chain.rules.remove(at - 1))?;
            }
            "-F" => chain.rules.clear(),
            "-X" => self.chains.retain(|chain| chain.name != name),
            _ => return None,
        }
        Some(())
    }

    fn text(&self) -> String {
        let mut lines = vec![format!("*{}", self.name)];
        for Chain { name, policy, .. } in &self.chains {
            lines.push(format!(":{name} {} [0:0]", policy.as_deref().unwrap_or("-")));
        }
        for chain in &self.chains {
            lines.extend(chain.rules.iter().map(|rule| format!("-A {} {rule}", chain.name)));
        }
        lines.push("COMMIT\n".to_owned());
        lines.join("\n")
    }

    /// No rule, and nothing refused.
    pub(crate) fn is_empty(&self) -> bool {
        let lets_through = |chain: &Chain| {
            chain.rules.is_empty() && chain.policy.as_deref().is_some_and(|policy| policy == "ACCEPT")
        };
        self.chains.iter().all(lets_through)
    }
}

impl Chain {
    /// The chains that its rules lead to.
    pub(crate) fn leads_to(&self, name: &str) -> bool {
        self.rules.iter().any(|rule| target(rule) == Some(name))
    }

    /// The same to a reader: our own rules may be written in one way and printed in another.
    fn same_as(&self, other: &Self) -> bool {
        let ours = self.name.starts_with(OURS);
        self.name == other.name && self.policy == other.policy && (ours || self.rules == other.rules)
    }
}

/// The target of a rule: what `-j` or `-g` names.
pub(crate) fn target(rule: &str) -> Option<&str> {
    let mut words = rule.split(' ').rev().peekable();
    while let Some(word) = words.next() {
        if words.peek().is_some_and(|before| *before == "-j" || *before == "-g") {
            return Some(word);
        }
    }
    None
}

/// `[12:3456] -A INPUT ...` of `iptables-save -c`.
fn without_counters(line: &str) -> &str {
    match line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((counters, rest)) if counters.chars().all(|c| c.is_ascii_digit() || c == ':') => rest,
        _ => line,
    }
}

fn is_built_in(name: &str) -> bool {
    ["INPUT", "FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING"].contains(&name)
}

#[cfg(test)]
pub(crate) mod tests;
