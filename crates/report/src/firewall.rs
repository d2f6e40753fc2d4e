//! The packet filter as the kernel runs it: numbered lines with counters, the policy's lines behind them, and what others
//! put beside it.

use controls::foreign::{self, ForeignChain};
use nf_tables::{Expression, TableDump, TableFlags};
use packet_filter::listing::{Counted, KernelRule, Line, ListedChain, listing};
use packet_filter::{DEFAULT_TABLE, text};
use serde::Serialize;

use crate::page::{Page, Tone, View, counted};

/// What is shown.
#[derive(Debug, Clone, Default)]
pub struct Shown<'a> {
    /// Every table of the kernel.
    pub tables: &'a [TableDump],
    /// The tables of the legacy `x_tables` in use, each with the text of `iptables-legacy-save` where that is there.
    pub legacy: &'a [Legacy],
    /// Only this family.
    pub family: Option<Ip>,
    /// Only this chain.
    pub chain: Option<&'a str>,
    /// Every kernel rule with its handle, of every table.
    pub all: bool,
}

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ip {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Tables of the legacy `x_tables` of one family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Legacy {
    /// `ip` or `ip6`.
    pub family: &'static str,
    /// The tables that are in use.
    pub tables: Vec<String>,
    /// Their rules as the host's own `iptables-legacy-save` prints them, or why they are not known.
    pub rules: Result<String, String>,
}

/// Everything that is shown, for `--json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Document<'a> {
    /// 1; a reader refuses what it does not know.
    pub version: u32,
    /// The generation of the ruleset.
    pub generation: u32,
    /// Whether the kernel has a table of Gabion's, and it is not switched off.
    pub in_force: bool,
    /// Its chains, line by line.
    pub chains: Vec<ListedChain>,
    /// The base chains of everybody else.
    pub foreign: Vec<ForeignChain>,
    /// The legacy `x_tables`.
    pub legacy: &'a [Legacy],
    /// Every table as the kernel has it, with `--all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tables: Option<&'a [TableDump]>,
}

/// The document for `--json`.
#[must_use]
pub fn json<'a>(shown: &Shown<'a>, generation: u32) -> Document<'a> {
    let own = own(shown.tables);
    Document {
        version: crate::VERSION,
        generation,
        in_force: own.is_some_and(|dump| !dump.table.flags.contains(TableFlags::DORMANT)),
        chains: own.map(|dump| chains(dump, shown)).unwrap_or_default(),
        foreign: foreign::foreign_chains(shown.tables),
        legacy: shown.legacy,
        tables: shown.all.then_some(shown.tables),
    }
}

/// Our table.
fn own(tables: &[TableDump]) -> Option<&TableDump> {
    tables.iter().find(|dump| foreign::is_own(dump) && dump.table.name == DEFAULT_TABLE)
}

fn chains(dump: &TableDump, shown: &Shown<'_>) -> Vec<ListedChain> {
    let mut chains = listing(dump);
    chains.retain(|chain| shown.chain.is_none_or(|name| chain.name.eq_ignore_ascii_case(name)));
    for chain in &mut chains {
        chain.lines.retain(|line| match shown.family {
            None => true,
            Some(Ip::V4) => line.ipv4,
            Some(Ip::V6) => line.ipv6,
        });
    }
    chains
}

/// The tables as a page: ours line by line, then everybody else's.
#[must_use]
pub fn text(shown: &Shown<'_>, view: View) -> String {
    let mut page = Page::new(view);
    match own(shown.tables) {
        Some(dump) => write_own(&mut page, dump, shown),
        None if shown.chain.is_none() && among_iptables(shown) => page.paragraph(
            0,
            Tone::Plain,
            "Gabion's rules stand among those of iptables, in the chains gabion-*: `--all` shows them.",
        ),
        None if shown.chain.is_none() => {
            page.paragraph(
                0,
                Tone::Bad,
                "Gabion has no table in the kernel: no policy of Gabion's filters packets.",
            );
            page.paragraph(
                0,
                Tone::Plain,
                "`gabion plan` shows what would be loaded, `gabion apply` loads it; `gabion firewall load` loads what was last applied.",
            );
        }
        None => {}
    }
    write_foreign(&mut page, shown);
    shown.legacy.iter().for_each(|legacy| write_legacy(&mut page, legacy, shown));
    page.finish()
}

/// Whether our rules stand in chains of iptables, where the policy has them there.
fn among_iptables(shown: &Shown<'_>) -> bool {
    let chains = shown.tables.iter().flat_map(|dump| &dump.chains);
    let legacy = shown.legacy.iter().filter_map(|legacy| legacy.rules.as_ref().ok());
    chains.into_iter().any(|chain| chain.chain.name.starts_with("gabion-"))
        || legacy.into_iter().any(|rules| rules.lines().any(|line| line.starts_with(":gabion-")))
}

fn write_own(page: &mut Page, dump: &TableDump, shown: &Shown<'_>) {
    if dump.table.flags.contains(TableFlags::DORMANT) {
        page.paragraph(0, Tone::Worst, "The table of Gabion's is dormant: it filters nothing.");
        page.blank();
    }
    for chain in chains(dump, shown) {
        page.blank();
        write_chain(page, &chain, shown.all);
    }
    if let Some(chain) =
        shown.chain.and_then(|name| dump.chain(name)).filter(|chain| chain.chain.hook.is_none())
    {
        page.blank();
        page.paragraph(0, Tone::Strong, &format!("{} {}", dump.id(), chain.chain.name));
        write_rules(page, dump, &chain.rules);
    }
    if shown.all && shown.chain.is_none() {
        for set in dump.sets.iter().filter(|set| !set.set.flags.contains(nf_tables::SetFlags::ANONYMOUS)) {
            page.blank();
            page.verbatim(0, &text::set(set));
        }
    }
}

fn write_chain(page: &mut Page, chain: &ListedChain, all: bool) {
    let tone = if chain.policy == "drop" { Tone::Strong } else { Tone::Odd };
    page.paragraph(0, tone, &format!("{} (policy {})", chain.name, chain.policy));
    if chain.lines.is_empty() {
        page.paragraph(2, Tone::Odd, "no rules");
        return;
    }
    let row = |line: &Line| {
        vec![
            (Tone::Quiet, line.number.to_string()),
            (Tone::Plain, line.counted.map_or_else(dash, |counted| human(counted.packets))),
            (Tone::Plain, line.counted.map_or_else(dash, |counted| human(counted.bytes))),
            (target_tone(line.target), line.target.to_owned()),
            (Tone::Quiet, families(line).to_owned()),
            place(line),
            (Tone::Plain, sentence(line)),
        ]
    };
    let rows: Vec<_> = chain.lines.iter().map(row).collect();
    page.table(0, &["num", "pkts", "bytes", "target", "for", "policy", "what"], &rows);
    if all {
        page.paragraph(2, Tone::Quiet, "the kernel's rules:");
        let rows: Vec<_> = chain
            .lines
            .iter()
            .flat_map(|line| line.rules.iter().map(|rule| kernel_row(line, rule)))
            .collect();
        page.table(2, &["num", "pkts", "bytes", "handle", "chain", "rule"], &rows);
    }
}

fn kernel_row(line: &Line, rule: &KernelRule) -> Vec<(Tone, String)> {
    let count =
        |of: fn(&Counted) -> u64| rule.counted.as_ref().map_or_else(dash, |counted| human(of(counted)));
    vec![
        (Tone::Quiet, line.number.to_string()),
        (Tone::Plain, count(|counted| counted.packets)),
        (Tone::Plain, count(|counted| counted.bytes)),
        (Tone::Quiet, handle(rule.handle)),
        (Tone::Quiet, format!("{} {}", rule.chain, rule.number)),
        (Tone::Plain, rule.text.clone()),
    ]
}

/// The line of the policy; a rule that says nothing of itself is none that Gabion has made.
fn place(line: &Line) -> (Tone, String) {
    match &line.place {
        Some(place) => (Tone::Quiet, place.clone()),
        None if line.is_commented => (Tone::Quiet, dash()),
        None => (Tone::Worst, "not gabion's".to_owned()),
    }
}

fn dash() -> String {
    "-".to_owned()
}

fn handle(handle: Option<u64>) -> String {
    handle.map_or_else(dash, |handle| handle.to_string())
}

fn families(line: &Line) -> &'static str {
    match (line.ipv4, line.ipv6) {
        (true, true) => "4 6",
        (true, false) => "4",
        (false, true) => "6",
        (false, false) => "-",
    }
}

/// What a line does, in a few words: `allow ssh: tcp/22 from 10.0.0.0/8, 30/minute for each source`.
#[must_use]
pub fn sentence(line: &Line) -> String {
    let mut text = line.what.clone();
    let ports: Vec<&str> =
        line.ports.iter().map(String::as_str).filter(|port| !line.what.contains(*port)).collect();
    if !ports.is_empty() {
        text.push_str(&format!(" [{}]", few(&ports, 6)));
    }
    if !line.sources.is_empty() {
        let sources: Vec<&str> = line.sources.iter().map(String::as_str).collect();
        text.push_str(&format!(" from {}", few(&sources, 4)));
    }
    if let Some(limit) = &line.limit {
        text.push_str(&format!(", at most {limit}"));
    }
    text
}

/// The first few, and how many more.
fn few(items: &[&str], most: usize) -> String {
    let mut text = items.iter().take(most).copied().collect::<Vec<_>>().join(", ");
    if items.len() > most {
        text.push_str(&format!(" and {} more", items.len() - most));
    }
    text
}

fn target_tone(target: &str) -> Tone {
    match target {
        "accept" => Tone::Good,
        "drop" | "reject" => Tone::Bad,
        _ => Tone::Plain,
    }
}

/// A count as `iptables -v` writes it: up to 99,999 as it is, then in thousands (`K`), `M`, `G`, `T`.
#[must_use]
pub fn human(count: u64) -> String {
    if count <= 99_999 {
        return count.to_string();
    }
    let mut rest = count;
    for unit in ["K", "M", "G"] {
        rest = rest.saturating_add(500) / 1000;
        if rest <= 9_999 {
            return format!("{rest}{unit}");
        }
    }
    format!("{}T", rest.saturating_add(500) / 1000)
}

fn write_foreign(page: &mut Page, shown: &Shown<'_>) {
    for dump in
        shown.tables.iter().filter(|dump| !(foreign::is_own(dump) && dump.table.name == DEFAULT_TABLE))
    {
        if !concerns(dump, shown) {
            continue;
        }
        page.blank();
        let off =
            if dump.table.flags.contains(TableFlags::DORMANT) { ", switched off (dormant)" } else { "" };
        let head = format!("table {} ({}){off}", dump.id(), foreign::owners(dump).join(", "));
        page.paragraph(0, Tone::Odd, &head);
        if shown.all || shown.chain.is_some() {
            for chain in
                dump.chains.iter().filter(|chain| shown.chain.is_none_or(|name| chain.chain.name == name))
            {
                let head = text::chain_head(&chain.chain).unwrap_or_default();
                page.paragraph(2, Tone::Strong, &format!("{} {head}", chain.chain.name));
                write_rules(page, dump, &chain.rules);
            }
        } else {
            let chains: Vec<ForeignChain> = foreign::foreign_chains(std::slice::from_ref(dump));
            chains.iter().for_each(|chain| write_foreign_chain(page, chain));
            if chains.is_empty() {
                page.paragraph(2, Tone::Quiet, "no chain of it sees packets");
            }
        }
    }
}

fn concerns(dump: &TableDump, shown: &Shown<'_>) -> bool {
    let other_family = matches!(
        (shown.family, dump.table.family),
        (Some(Ip::V4), nf_tables::Family::Ip6) | (Some(Ip::V6), nf_tables::Family::Ip)
    );
    !other_family && shown.chain.is_none_or(|name| dump.chain(name).is_some())
}

fn write_foreign_chain(page: &mut Page, chain: &ForeignChain) {
    let head = format!(
        "{} at {}, policy {}, {}",
        chain.chain,
        chain.hook,
        chain.policy,
        counted(chain.rules, "rule")
    );
    page.paragraph(2, Tone::Plain, &head);
    for (effect, by) in &chain.effects {
        page.hanging(&format!("    {}: ", effect.words()), Tone::Odd, 6, Tone::Quiet, by);
    }
}

fn write_rules(page: &mut Page, dump: &TableDump, rules: &[nf_tables::Rule]) {
    let row = |(nth, rule): (usize, &nf_tables::Rule)| {
        let counter = rule.expressions.iter().find_map(|expression| match expression {
            Expression::Counter(counter) => Some(counter),
            _ => None,
        });
        vec![
            (Tone::Quiet, (nth + 1).to_string()),
            (Tone::Plain, counter.map_or_else(dash, |counter| human(counter.packets))),
            (Tone::Plain, counter.map_or_else(dash, |counter| human(counter.bytes))),
            (Tone::Quiet, handle(rule.handle)),
            (Tone::Plain, text::rule(dump, rule)),
        ]
    };
    let rows: Vec<_> = rules.iter().enumerate().map(row).collect();
    if rows.is_empty() {
        page.paragraph(4, Tone::Quiet, "no rules");
    } else {
        page.table(4, &["num", "pkts", "bytes", "handle", "rule"], &rows);
    }
}

fn write_legacy(page: &mut Page, legacy: &Legacy, shown: &Shown<'_>) {
    let other = match shown.family {
        None => false,
        Some(Ip::V4) => legacy.family != "ip",
        Some(Ip::V6) => legacy.family == "ip",
    };
    if legacy.tables.is_empty() || other || shown.chain.is_some() {
        return;
    }
    page.blank();
    let program = if legacy.family == "ip" { "iptables-legacy" } else { "ip6tables-legacy" };
    let head = format!("legacy x_tables of {}: {} ({program})", legacy.family, legacy.tables.join(", "));
    page.paragraph(0, Tone::Odd, &head);
    match &legacy.rules {
        Ok(rules) if shown.all => page.verbatim(2, rules),
        Ok(rules) => {
            let count = |wanted: fn(&str) -> bool| rules.lines().filter(|line| wanted(line)).count();
            let said = count(|line| line.starts_with("-A") || line.starts_with('['));
            let dropping = count(|line| line.starts_with(':') && line.contains(" DROP "));
            let dropping = match dropping {
                0 => String::new(),
                count => format!(", {} with policy drop", counted(count, "chain")),
            };
            page.paragraph(2, Tone::Plain, &format!("{}{dropping}", counted(said, "rule")));
        }
        Err(reason) => page.paragraph(2, Tone::Odd, &format!("its rules are not known: {reason}")),
    }
}

#[cfg(test)]
mod tests {
    use packet_filter::{Allow, FilterPolicy, PortRange, compile};

    use super::*;

    fn tables() -> Vec<TableDump> {
        let mut ssh = Allow::new("ssh", [PortRange::tcp(22)]);
        ssh.place = Some("policy.toml:5".to_owned());
        let compiled = compile(&FilterPolicy { allow: vec![ssh], ..FilterPolicy::default() });
        vec![compiled.table().clone()]
    }

    #[test]
    fn counts_are_written_as_iptables_writes_them() {
        let written = [
            (0, "0"),
            (99_999, "99999"),
            (100_000, "100K"),
            (9_999_499, "9999K"),
            (9_999_500, "10M"),
            (12_345_678, "12M"),
            (9_999_500_000, "10G"),
            (u64::MAX, "18446744T"),
        ];
        for (count, text) in written {
            assert_eq!(human(count), text, "{count}");
        }
    }

    #[test]
    fn lines_are_numbered_with_the_policys_line_and_fit_the_width() {
        let tables = tables();
        let shown = Shown { tables: &tables, ..Shown::default() };
        let text = text(&shown, View { colour: false, width: 80 });
        assert!(text.starts_with("INPUT (policy drop)\nnum  pkts  bytes  target"), "{text}");
        assert!(text.contains("policy.toml:5  allow ssh [tcp/22]"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let only = Shown { chain: Some("forward"), ..shown.clone() };
        assert!(super::text(&only, View::default()).starts_with("FORWARD (policy drop)"));
        let v6 = Shown { family: Some(Ip::V6), ..shown };
        assert!(!super::text(&v6, View::default()).contains(" 4  "), "no line of IPv4 alone");
    }

    #[test]
    fn no_table_of_ours_is_said_with_what_to_do() {
        let text = text(&Shown::default(), View::default());
        assert!(text.contains("no table in the kernel") && text.contains("gabion apply"), "{text}");
    }
}
