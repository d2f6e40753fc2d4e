//! Rules through `nft`, the kernel and this crate, and back.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use nf_tables::*;

use super::corpus::Case;
use super::parse::{self, Unsupported};
use super::support::{nft, try_nft};

/// How many rules came out alike, and why the others did not get that far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// All rules.
    pub(crate) rules: usize,
    /// What we print of the kernel's dump is what `nft` prints of it.
    pub(crate) printed: usize,
    /// What `nft` compiles, read from its lines, is what we decode from the kernel.
    pub(crate) compiled: usize,
    /// Its lines, encoded by us and committed, are the rule that `nft` lists.
    pub(crate) reloaded: usize,
    /// Rules that this `nft` or this kernel refuses, by its words.
    pub(crate) refused: BTreeMap<String, usize>,
    /// Rules whose golden is of another `nft` than this machine's.
    pub(crate) otherwise: BTreeMap<String, usize>,
    /// Rules with an expression that this crate keeps as it came, or that lines do not tell, by its name.
    pub(crate) unsupported: BTreeMap<String, usize>,
    /// What should be alike and is not.
    pub(crate) unlike: Vec<String>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |reasons: &BTreeMap<String, usize>| reasons.values().sum::<usize>();
        writeln!(f, "{} rules", self.rules)?;
        writeln!(f, "  {} print as nft prints the kernel's dump", self.printed)?;
        writeln!(f, "  {} decode to what nft compiles", self.compiled)?;
        writeln!(f, "  {} encoded by us are listed by nft as the rule", self.reloaded)?;
        writeln!(f, "  {} skipped: refused by this nft or kernel", sum(&self.refused))?;
        for (reason, count) in &self.refused {
            writeln!(f, "    {count} {reason}")?;
        }
        writeln!(f, "  {} skipped: kept as it came, or told by no line", sum(&self.unsupported))?;
        for (reason, count) in &self.unsupported {
            writeln!(f, "    {count} {reason}")?;
        }
        writeln!(f, "  {} skipped: compiled otherwise by this nft", sum(&self.otherwise))?;
        for rule in self.otherwise.keys() {
            writeln!(f, "    {rule}")?;
        }
        writeln!(f, "  {} unlike", self.unlike.len())?;
        for unlike in &self.unlike {
            writeln!(f, "{unlike}\n")?;
        }
        Ok(())
    }
}

/// Passes all rules of one family through; run it in a network namespace of its own.
pub(crate) fn family(family: Family, cases: &[Case], declarations: &str, tally: &mut Tally) {
    tally.rules += cases.len();
    let chains: String = (0..cases.len()).map(|index| format!("chain r{index} {{ }}\n")).collect();
    for table in ["golden", "copy"] {
        nft(
            &["-f", "-"],
            &format!("table {family} {table} {{\n{declarations}chain other {{ }}\n{chains}}}\n"),
        );
    }
    let (loaded, compiled) = load(family, cases, tally);
    let listing = nft(&["--debug=netlink", "list", "table", family.name(), "golden"], "");
    let printed_by_nft = blocks(&listing, family);
    let mut connection = Connection::open().unwrap();
    let dump = connection.dump_table(&TableId::new(family, "golden")).unwrap().expect("the table");

    let mut copies = Vec::new();
    for &index in &loaded {
        let case = &cases[index];
        let chain = dump.chain(&format!("r{index}")).expect("the chain");
        let [rule] = chain.rules.as_slice() else { panic!("{} made {} rules", case.text, chain.rules.len()) };
        let complain = |what: &str, left: &dyn fmt::Debug, right: &dyn fmt::Debug| {
            format!("{family}: {}\n  {what}\n  nft:  {left:?}\n  here: {right:?}", case.text)
        };
        if let Some(name) = unknown_in(&rule.expressions) {
            *tally.unsupported.entry(name).or_default() += 1;
            continue;
        }
        let theirs: Vec<_> = printed_by_nft[&index].iter().map(|line| normal(line)).collect();
        let ours: Vec<_> = rule.expressions.iter().map(|e| normal(&format!("[ {e} ]"))).collect();
        if theirs == ours {
            tally.printed += 1;
        } else {
            tally.unlike.push(complain("the dump prints differently", &theirs, &ours));
        }
        let golden = case.golden.as_ref().unwrap_or_else(|| &compiled[&index]);
        let lines = |lines: &[String]| lines.iter().map(|line| normal(line)).collect::<Vec<_>>();
        if lines(golden) != lines(&compiled[&index]) {
            *tally.otherwise.entry(case.text.clone()).or_default() += 1;
            continue;
        }
        match parse::rule(golden) {
            Err(Unsupported(name)) => *tally.unsupported.entry(name).or_default() += 1,
            Ok(expressions) => {
                let (theirs, ours) = (settled(&expressions), settled(&rule.expressions));
                if theirs == ours {
                    tally.compiled += 1;
                    copies.push((index, Rule { userdata: rule.userdata.clone(), ..Rule::new(expressions) }));
                } else {
                    tally.unlike.push(complain("it is compiled differently", &theirs, &ours));
                }
            }
        }
    }
    reload(family, cases, &dump, &copies, &mut connection, tally);
}

/// Loads what can be loaded: the indices of those rules, and the lines that `nft` compiles each to.
fn load(family: Family, cases: &[Case], tally: &mut Tally) -> (Vec<usize>, HashMap<usize, Vec<String>>) {
    let mut rest: Vec<usize> = (0..cases.len()).collect();
    loop {
        let script: String = rest
            .iter()
            .map(|&index| format!("add rule {family} golden r{index} {}\n", cases[index].text))
            .collect();
        match try_nft(&["--debug=netlink", "-f", "-"], &script) {
            Ok(output) => return (rest, blocks(&output, family)),
            Err(errors) => {
                let refused = refusals(&errors);
                assert!(!refused.is_empty(), "nft failed without naming a line: {errors}");
                for (line, reason) in &refused {
                    *tally.refused.entry(format!("{reason}: {}", cases[rest[*line]].text)).or_default() += 1;
                }
                let mut line = 0;
                rest.retain(|_| {
                    line += 1;
                    !refused.contains_key(&(line - 1))
                });
            }
        }
    }
}

/// The lines that `nft` complains of, from 0, and its first words on each.
fn refusals(errors: &str) -> BTreeMap<usize, String> {
    let mut refused = BTreeMap::new();
    for error in errors.lines() {
        let Some((place, reason)) = error.split_once(": Error: ") else {
            continue;
        };
        let Some(line) = place.split(':').nth(1).and_then(|line| line.parse::<usize>().ok()) else {
            continue;
        };
        refused.entry(line - 1).or_insert_with(|| reason.to_owned());
    }
    refused
}

/// The bracketed lines below each `family golden rN`.
fn blocks(output: &str, family: Family) -> HashMap<usize, Vec<String>> {
    let mut blocks: HashMap<usize, Vec<String>> = HashMap::new();
    let mut current = None;
    for line in output.lines() {
        if line.trim_start().starts_with("[ ") {
            if let Some(index) = current {
                blocks.entry(index).or_default().push(line.trim().to_owned());
            }
        } else if !line.starts_with(' ') {
            let chain = line.strip_prefix(&format!("{family} golden r"));
            current = chain.and_then(|chain| chain.split(' ').next()).and_then(|number| number.parse().ok());
        }
    }
    blocks
}

fn unknown_in(expressions: &[Expression]) -> Option<String> {
    expressions.iter().find_map(|expression| match expression {
        Expression::Unknown { name, .. } => Some(name.clone()),
        // The lines of nft do not tell it from an extension header.
        Expression::Exthdr(Exthdr { op: ExthdrOp::SctpChunk | ExthdrOp::DccpOption, .. }) => {
            Some("exthdr of sctp or dccp, whose lines nft cannot tell apart".to_owned())
        }
        Expression::Dynset(dynset) => unknown_in(&dynset.expressions),
        _ => None,
    })
}

/// One space between words, and no flags of a lookup that say nothing.
fn normal(line: &str) -> String {
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.contains("[ lookup") { line.replace(" 0x0 ]", " ]") } else { line }
}

/// The form in which the kernel's rule and the one it was made from are equal.
fn settled(expressions: &[Expression]) -> Vec<Expression> {
    let mut table = TableDump::new(Table::new(Family::Inet, "t"));
    let rules = vec![Rule::new(expressions.to_vec())];
    table.chains.push(ChainDump { chain: Chain::regular("c"), rules });
    let ignore = Ignore { counters: false, ..Ignore::STATE };
    let mut settled = table.canonical(ignore).chains.remove(0).rules.remove(0).expressions;
    for expression in &mut settled {
        if let Some((name, _)) = set_of(expression)
            && name.starts_with("__")
        {
            name.truncate(name.find(|c: char| c == '%' || c.is_ascii_digit()).unwrap_or(name.len()));
        }
    }
    settled
}

fn set_of(expression: &mut Expression) -> Option<(&mut String, &mut Option<u32>)> {
    match expression {
        Expression::Lookup(lookup) => Some((&mut lookup.set, &mut lookup.set_id)),
        Expression::Dynset(dynset) => Some((&mut dynset.set, &mut dynset.set_id)),
        Expression::Objref(Objref::Map { set, set_id, .. }) => Some((set, set_id)),
        _ => None,
    }
}

/// Commits the rules read from lines into the other table and compares what `nft` lists of both.
fn reload(
    family: Family,
    cases: &[Case],
    dump: &TableDump,
    copies: &[(usize, Rule)],
    connection: &mut Connection,
    tally: &mut Tally,
) {
    let mut copies: Vec<_> = copies.iter().collect();
    while let Err(error) = connection.commit(&copy(family, dump, &copies)) {
        let Error::Refused(refusals) = error else { panic!("{family}: {error}") };
        for refusal in refusals {
            if let Some(at) = copies.iter().position(|(index, _)| refusal.label == format!("r{index}")) {
                let (index, rule) = copies.remove(at);
                let text = &cases[*index].text;
                tally.unlike.push(format!("{family}: {text}\n  refused: {}\n  {rule:?}", refusal.errno));
            }
        }
    }

    let list = |table| listed(&nft(&["list", "table", family.name(), table], ""));
    let (theirs, ours) = (list("golden"), list("copy"));
    for (index, _) in copies {
        let (theirs, ours) = (&theirs[index], &ours[index]);
        if theirs == ours {
            tally.reloaded += 1;
        } else {
            let rule = &cases[*index].text;
            tally.unlike.push(format!(
                "{family}: {rule}\n  it is listed differently\n  nft:  {theirs}\n  here: {ours}"
            ));
        }
    }
}

/// The rules in the other table, each with copies of the anonymous sets that it names.
fn copy(family: Family, dump: &TableDump, copies: &[&(usize, Rule)]) -> Batch {
    let table = TableId::new(family, "copy");
    let mut batch = Batch::new();
    for (index, rule) in copies {
        let original = &dump.chain(&format!("r{index}")).expect("the chain").rules[0];
        let mut rule = rule.clone();
        for (expression, original) in rule.expressions.iter_mut().zip(&original.expressions) {
            let mut original = original.clone();
            let (Some((name, id)), Some((made, _))) = (set_of(expression), set_of(&mut original)) else {
                continue;
            };
            let set = dump.set(made).expect("the set");
            if set.set.flags.contains(SetFlags::ANONYMOUS) {
                let pattern = if made.starts_with("__map") { "__map%d" } else { "__set%d" };
                let fresh = Set { name: pattern.into(), id: batch.fresh_set_id(), ..set.set.clone() };
                (*name, *id) = (pattern.to_owned(), Some(fresh.id));
                batch.add_set(&table, &fresh).label(format!("r{index}"));
                batch.add_anonymous_elements(&table, &fresh, &set.elements).label(format!("r{index}"));
            }
        }
        batch.append_rule(&ChainId::new(&table, format!("r{index}")), &rule).label(format!("r{index}"));
    }
    batch
}

/// The rules that `nft` lists, by the number of their chain.
fn listed(text: &str) -> HashMap<usize, String> {
    let mut rules: HashMap<usize, String> = HashMap::new();
    let mut current = None;
    for line in text.lines() {
        if let Some(chain) = line.strip_prefix("\tchain r") {
            current = chain.split(' ').next().and_then(|number| number.parse().ok());
        } else if line == "\t}" {
            current = None;
        } else if let Some(index) = current {
            rules.entry(index).or_default().push_str(line.trim());
        }
    }
    rules
}
