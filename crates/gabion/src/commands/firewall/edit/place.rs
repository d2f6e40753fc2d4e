//! Which entry of the policy a number of the listing is, and where a new one goes.

use packet_filter::listing::{Line, ListedChain};
use policy::Firewall;
use policy::edit::Section;

/// An entry of the policy, by its list and its place there, from 0.
pub(super) type At = (Section, usize);

/// The numbered lines of a chain, each with the entry behind it; the lines that are built in have none.
#[derive(Debug)]
pub(super) struct Numbered {
    /// `INPUT`, `FORWARD`, `OUTPUT`, or a chain of one's own.
    name: String,
    lines: Vec<(String, Option<At>)>,
    /// Where a rule goes that is the last of this chain.
    rules_end: usize,
    /// How many entries the list has that lets in, and which it is.
    entries: Option<(Section, usize)>,
}

/// Why a number cannot be used so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub(super) struct Misplaced {
    pub(super) what: String,
    pub(super) hint: String,
}

impl Numbered {
    /// The lines of a chain, named as the policy names it, as the table that the policy makes has them.
    pub(super) fn new(chain: &str, listed: &[ListedChain], firewall: &Firewall) -> Self {
        let rules = || firewall.rule.iter().enumerate().filter(|(_, rule)| rule.chain == chain);
        let rules_end = rules().next_back().map_or(firewall.rule.len(), |(index, _)| index + 1);
        let (name, entries) = match chain {
            "input" => ("INPUT", Some((Section::Allow, firewall.allow.len()))),
            "forward" => ("FORWARD", Some((Section::Forward, firewall.forward.len()))),
            "output" => ("OUTPUT", None),
            own => {
                let lines = rules().map(|(index, rule)| (rule.rule.clone(), Some((Section::Rule, index))));
                return Self { name: own.to_owned(), lines: lines.collect(), rules_end, entries: None };
            }
        };
        let listed = listed.iter().find(|listed| listed.name == name);
        let lines = listed.map(|listed| listed.lines.as_slice()).unwrap_or_default();
        let lines = lines.iter().map(|line| (line.what.clone(), entry_of(line, firewall)));
        Self { name: name.to_owned(), lines: lines.collect(), rules_end, entries }
    }

    /// The entry behind a number.
    pub(super) fn entry(&self, number: usize) -> Result<At, Misplaced> {
        let Some((what, entry)) = number.checked_sub(1).and_then(|at| self.lines.get(at)) else {
            return Err(Misplaced {
                what: format!("{} has no line {number}: it has {}", self.name, self.lines.len()),
                hint: "`gabion firewall show` numbers them".to_owned(),
            });
        };
        entry.ok_or_else(|| Misplaced {
            what: format!("line {number} of {} ({what}) is built in", self.name),
            hint: setting_of(what).to_owned(),
        })
    }

    /// Where a new entry becomes number `number`. `can_be_entry`: it lets in, by port or network alone, so that it can stand
    /// among those entries; else its order counts, and it stands before them.
    pub(super) fn insert(&self, number: Option<usize>, can_be_entry: bool) -> Result<At, Misplaced> {
        let number = number.unwrap_or(self.first());
        if number < self.first() {
            return Err(Misplaced {
                what: format!("lines 1 to {} of {} are built in and come first", self.first() - 1, self.name),
                hint: format!("the first number that can be had is {}", self.first()),
            });
        }
        if number > self.end() {
            return Err(Misplaced {
                what: format!("nothing gets past line {} of {}", self.end(), self.name),
                hint: format!("the last number that can be had is {}; `append` takes it", self.end()),
            });
        }
        match self.lines.get(number - 1).and_then(|(_, entry)| *entry) {
            // Rules run in their order: whatever stands before one is a rule itself.
            Some((Section::Rule, index)) => Ok((Section::Rule, index)),
            Some(at) if can_be_entry => Ok(at),
            _ if can_be_entry && self.entries.is_some() => Ok(self.append(true)),
            _ if number == self.first_entry() => Ok(self.append(false)),
            _ => Err(Misplaced {
                what: format!(
                    "line {number} of {} stands behind entries that let in, whichever comes first",
                    self.name
                ),
                hint: format!("a rule goes before them: {} is the last number for it", self.first_entry()),
            }),
        }
    }

    /// Whether entries that let in follow the rules.
    pub(super) fn entries_follow(&self) -> bool {
        self.entries.is_some_and(|(_, count)| count > 0)
    }

    /// Behind the others of its kind.
    pub(super) fn append(&self, can_be_entry: bool) -> At {
        match self.entries {
            Some(end) if can_be_entry => end,
            _ => (Section::Rule, self.rules_end),
        }
    }

    /// The first number that is not built in: behind the built-in lines that the entries follow.
    fn first(&self) -> usize {
        let entry = self.lines.iter().position(|(_, entry)| entry.is_some());
        entry.unwrap_or_else(|| self.tail()) + 1
    }

    /// The number behind the last rule.
    fn first_entry(&self) -> usize {
        let is_rule = |(_, entry): &&(String, Option<At>)| matches!(entry, Some((Section::Rule, _)));
        self.first() + self.lines.iter().filter(is_rule).count()
    }

    /// The number of the first line that is built in and comes last.
    fn end(&self) -> usize {
        let last = self.lines.iter().rposition(|(_, entry)| entry.is_some());
        last.map_or_else(|| self.tail() + 1, |at| at + 2)
    }

    /// How many lines stand before those that are built in and come last.
    fn tail(&self) -> usize {
        self.lines.iter().position(|(what, _)| is_tail(what)).unwrap_or(self.lines.len())
    }
}

fn is_tail(what: &str) -> bool {
    what.starts_with("log what is refused") || what.starts_with("refuse")
}

fn entry_of(line: &Line, firewall: &Firewall) -> Option<At> {
    let Some(place) = &line.place else {
        // The entry that stands in no file: what a policy without any lets in.
        let is_default =
            line.what.starts_with("allow ") && firewall.allow.iter().all(|allow| allow.line == 0);
        return is_default.then_some((Section::Allow, 0));
    };
    let number: usize = place.rsplit_once(':')?.1.parse().ok()?;
    let position = |found: Option<usize>, section| found.map(|index| (section, index));
    position(firewall.rule.iter().position(|rule| rule.line == number), Section::Rule)
        .or_else(|| position(firewall.allow.iter().position(|allow| allow.line == number), Section::Allow))
        .or_else(|| {
            position(firewall.forward.iter().position(|entry| entry.line == number), Section::Forward)
        })
}

/// What changes a line that is built in.
fn setting_of(what: &str) -> &'static str {
    match what {
        "ping" => "`ping = false` in [firewall] of the policy takes it away",
        _ if what.starts_with("log what is refused") => {
            "`log = \"off\"` or another rate in [firewall] of the policy changes it"
        }
        _ if what.starts_with("refuse") => {
            "`inbound`, `forwarded` and `ipv6` in [firewall] of the policy say how packets are refused"
        }
        _ => "every filter of gabion has it: a host is not safe, or not reachable, without it",
    }
}

#[cfg(test)]
mod tests {
    use packet_filter::listing::listing;

    use super::*;

    const POLICY: &str = "\
[[firewall.allow]]
service = \"ssh\"

[[firewall.rule]]
chain = \"input\"
rule = \"-s 203.0.113.0/24 -j DROP\"

[[firewall.allow]]
port = \"tcp/8080\"
";

    /// The chain with its numbers, where the built-in head of INPUT ends.
    fn numbered(text: &str, chain: &str) -> (Numbered, usize) {
        let policy = policy::parse(text, std::path::Path::new("policy.toml")).unwrap();
        let mut facts = host::Facts::default();
        facts.ssh.program = host::Fact::Known(None);
        facts.ssh.servers = host::Fact::Known(Vec::new());
        let wanted = controls::filter::filter_policy(&policy, &facts).unwrap();
        let listed = listing(packet_filter::compile(&wanted).table());
        let numbered = Numbered::new(chain, &listed, &policy.firewall);
        let first = numbered.first();
        (numbered, first)
    }

    #[test]
    fn a_number_is_the_entry_that_the_listing_shows_there() {
        let (input, first) = numbered(POLICY, "input");
        assert!(first > 3, "{input:?}");
        assert_eq!(input.entry(first), Ok((Section::Rule, 0)));
        assert_eq!(input.entry(first + 1), Ok((Section::Allow, 0)));
        assert_eq!(input.entry(first + 2), Ok((Section::Allow, 1)));
        assert!(input.entry(1).unwrap_err().what.contains("loopback"));
        assert!(input.entry(99).is_err() && input.entry(0).is_err());
    }

    #[test]
    fn a_rule_goes_where_its_order_counts_and_an_entry_among_its_like() {
        let (input, first) = numbered(POLICY, "input");
        assert_eq!(input.insert(Some(first), false), Ok((Section::Rule, 0)));
        assert_eq!(input.insert(Some(first), true), Ok((Section::Rule, 0)));
        assert_eq!(input.insert(Some(first + 1), false), Ok((Section::Rule, 1)));
        assert_eq!(input.insert(Some(first + 1), true), Ok((Section::Allow, 0)));
        assert_eq!(input.insert(Some(first + 3), true), Ok((Section::Allow, 2)));
        assert!(input.insert(Some(first + 2), false).unwrap_err().hint.contains(&(first + 1).to_string()));
        assert!(input.insert(Some(first + 4), true).is_err());
        assert!(input.insert(Some(first - 1), true).unwrap_err().hint.contains(&first.to_string()));
    }

    #[test]
    fn the_entry_of_a_policy_without_any_has_a_number_too() {
        let (input, first) = numbered("", "input");
        assert_eq!(input.entry(first), Ok((Section::Allow, 0)));
        assert_eq!(input.insert(Some(first + 1), true), Ok((Section::Allow, 1)));
    }

    #[test]
    fn a_chain_without_lines_takes_its_first() {
        let (output, first) = numbered(POLICY, "output");
        assert_eq!(first, 1);
        assert_eq!(output.insert(None, true), Ok((Section::Rule, 1)));
        let (own, _) = numbered(POLICY, "mail");
        assert_eq!(own.insert(Some(1), false), Ok((Section::Rule, 1)));
    }
}
