//! Asks questions about all packets of files of `iptables-save`, and how long each answer takes:
//! `cargo run --release -p packet-filter --example questions -- dump.rules ...`
//!
//! Each file is compared with itself and with itself less each of its rules, and its rules that can never match are counted.

#![allow(clippy::print_stdout, reason = "an example prints")]

use std::time::{Duration, Instant};

use iptables_syntax::{Family, Mode, parse_save};
use nf_tables::TableDump;
use packet_filter::iptables::translate;
use packet_filter::space::{compare_rulesets, reach, shadowed};
use packet_filter::{Allow, FilterPolicy, Hook, Machine, PolicyRule, PortRange, Rules, compile, prove};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    prove_policies()?;
    let all = std::env::var_os("ALL").is_some();
    println!(
        "{:40} {:>6} {:>10} {:>10} {:>10} {:>6} {:>8} {:>8} {:>9} {:>9}",
        "file", "rules", "compare", "shadowed", "reach", "rows", "hidden", "deleted", "equal", "slowest"
    );
    for path in std::env::args().skip(1) {
        let text = std::fs::read(&path)?;
        let (save, _) = parse_save(&text, Family::Ipv4, Mode::Lenient)?;
        let tables = translate(Some(&save), None).tables;
        let rules: usize = tables.iter().flat_map(|table| &table.chains).map(|chain| chain.rules.len()).sum();
        let (equal, compare_time) = timed(|| compare_rulesets(&tables, &tables, &Hook::ALL));
        let equal = equal?;
        assert!(equal.is_equal(), "{path} differs from itself: {}", equal.disagreements[0]);
        let (listed, shadowed_time) = timed(|| shadowed(&tables));
        let listed = listed?;
        let (rows, reach_time) = timed(|| reach(&tables, Hook::Input));
        let rows = rows?;
        let (mut deleted, mut same, mut slowest) = (0, 0, Duration::ZERO);
        if all {
            for (without, table, chain, rule) in less_one(&tables) {
                let start = Instant::now();
                let comparison = compare_rulesets(&tables, &without, &Hook::ALL);
                let time = start.elapsed();
                let comparison = comparison?;
                (deleted, slowest) = (deleted + 1, slowest.max(time));
                let name = &tables[table].chains[chain].chain.name;
                let hidden = listed.iter().any(|found| {
                    found.rule.table == tables[table].id()
                        && found.rule.chain == *name
                        && found.rule.number == rule + 1
                });
                if comparison.is_equal() {
                    same += 1;
                } else {
                    assert!(!hidden, "{name} {}: {}", rule + 1, comparison.disagreements[0]);
                }
                for parting in
                    comparison.disagreements.iter().filter(|p| p.when.is_empty() && !p.changed_otherwise)
                {
                    let (a, b) = (Machine::new(&tables), Machine::new(&without));
                    let verdicts =
                        (a.decide(parting.hook, &parting.packet), b.decide(parting.hook, &parting.packet));
                    assert_ne!(verdicts.0.verdict, verdicts.1.verdict, "{parting}");
                }
            }
        }
        let name = path.rsplit('/').next().unwrap_or(&path);
        println!(
            "{name:40} {rules:>6} {compare_time:>10.2?} {shadowed_time:>10.2?} {reach_time:>10.2?} {:>6} {:>8} {deleted:>8} {same:>9} {slowest:>9.2?}",
            rows.len(),
            listed.len(),
        );
        if std::env::var_os("LIST").is_some() {
            rows.iter().for_each(|row| println!("  {row}"));
            listed.iter().for_each(|found| println!("  {found}"));
        }
    }
    Ok(())
}

/// How long it takes to prove policies of some sizes.
fn prove_policies() -> Result<(), Box<dyn std::error::Error>> {
    println!("{:>8} {:>8} {:>8} {:>10}", "entries", "sources", "rules", "prove");
    for (entries, sources, rules) in
        [(3, 0, 0), (600, 0, 0), (600, 2, 0), (1600, 2, 0), (3, 10_000, 0), (3, 0, 600)]
    {
        let allow = (0..entries).map(|nth: u16| {
            let from = (0..sources).map(|source: u32| {
                let address = 0x0a00_0000 + (source + u32::from(nth) * 3) * 2;
                ipnet::Ipv4Net::from(std::net::Ipv4Addr::from_bits(address)).into()
            });
            Allow { from: from.collect(), ..Allow::new("service", [PortRange::tcp(1000 + nth * 3)]) }
        });
        let rules = (0..rules).map(|nth: u32| {
            let text = format!("-s 10.{}.{}.0/24 -p tcp --dport {} -j ACCEPT", nth % 200, nth / 7, 20 + nth);
            let ipv4 = vec![iptables_syntax::parse_rule(&text, Family::Ipv4, Mode::Strict)?];
            let chain = "input".to_owned();
            Ok(PolicyRule { chain, ipv4, ipv6: Vec::new(), text, comment: None, place: None })
        });
        let rules: Vec<PolicyRule> = rules.collect::<Result<_, iptables_syntax::SyntaxError>>()?;
        let (count, rules) = (rules.len(), Rules::new(rules)?);
        let policy = FilterPolicy { allow: allow.collect(), rules, ..FilterPolicy::default() };
        let compiled = compile(&policy);
        let (proof, time) = timed(|| prove(&policy, &compiled));
        println!("{entries:>8} {sources:>8} {count:>8} {time:>10.2?} {:?}", proof?);
    }
    Ok(())
}

/// The result, and the shortest time of several runs.
fn timed<T>(work: impl Fn() -> T) -> (T, Duration) {
    let run = || {
        let start = Instant::now();
        let result = work();
        (result, start.elapsed())
    };
    let (result, first) = run();
    (result, (0..19).map(|_| run().1).fold(first, Duration::min))
}

/// The tables less one rule each, and which.
fn less_one(tables: &[TableDump]) -> impl Iterator<Item = (Vec<TableDump>, usize, usize, usize)> + '_ {
    tables.iter().enumerate().flat_map(move |(t, table)| {
        table.chains.iter().enumerate().flat_map(move |(c, chain)| {
            (0..chain.rules.len()).map(move |r| {
                let mut without = tables.to_vec();
                without[t].chains[c].rules.remove(r);
                (without, t, c, r)
            })
        })
    })
}
