//! The kernel as the judge of translated rulesets: what `iptables-restore` loads, in both of its variants, decides random
//! packets across a real link as the machine decides them for the translation.
//!
//! `GABION_CASES` rulesets (8 if unset) of `GABION_SEED` (1 if unset).

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test fails by it, and prints what it measured"
)]

#[path = "support/frames.rs"]
mod frames;
#[path = "support/judge.rs"]
mod judge;
#[path = "support/rulesets.rs"]
mod rulesets;
mod support;

use std::io::Write as _;
use std::process::{Command, Stdio};

use iptables_syntax::{ChainPolicy, Command as Line, Family, Mode, Save, parse_rule};
use judge::{Dice, Seen, is_answered_if_rejected, probe, random_packet, watched_wire};
use nf_tables::{
    Chain, ChainDump, Connection, Data, Expression, HookPoint, Immediate, Policy, Rule, Table, TableDump,
    Verdict,
};
use packet_filter::iptables::{Outcome, Outcomes, expressions, translate, walk};
use packet_filter::{Decision, Hook, Machine, Packet, State};
use rulesets::{Flavour, PORTS, parsed, random_ruleset};
use support::{Wire, privileged};

const PROBES: u16 = 100;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Loads a ruleset in place of all that the program loaded before.
fn restore(wire: &Wire, program: &'static str, text: &str) {
    let mut whole = text.to_owned();
    for (table, chains) in [
        ("raw", &["PREROUTING", "OUTPUT"][..]),
        ("mangle", &["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"]),
        ("nat", &["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"]),
    ] {
        if !text.contains(&format!("*{table}\n")) {
            let chains: String = chains.iter().map(|chain| format!(":{chain} ACCEPT [0:0]\n")).collect();
            whole.push_str(&format!("*{table}\n{chains}COMMIT\n"));
        }
    }
    wire.host.run(move || {
        let mut child = Command::new(program).stdin(Stdio::piped()).spawn().expect("start iptables-restore");
        child.stdin.take().unwrap().write_all(whole.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{program} refused:\n{whole}");
    });
}

fn as_seen(packet: &Packet, hook: Hook, state: State) -> Packet {
    let mut packet = packet.clone().in_state(state);
    if hook == Hook::Forward {
        packet.hop_limit -= 1;
    }
    packet
}

/// Whether the kernel did what was decided, and answered as `outcomes` says where there is but one.
fn is_so(decision: &Decision, outcomes: &Outcomes, packet: &Packet, seen: &Seen) -> bool {
    let has_passed = |outcome: &Outcome| *outcome == Outcome::Accepted;
    let is_possible = outcomes.possible.iter().any(|outcome| has_passed(outcome) == seen.passed);
    let answers = match outcomes.possible.as_slice() {
        [outcome] if !seen.passed && is_answered_if_rejected(packet) => {
            seen.answered == matches!(outcome, Outcome::Rejected(_))
        }
        _ => true,
    };
    is_possible && answers && (!decision.certain || decision.verdict.is_accept() == seen.passed)
}

/// How many probes were judged.
#[derive(Debug, Default)]
struct Tally {
    judged: u64,
    passed: u64,
    refused: u64,
    uncertain: u64,
}

/// Sends random probes, and fails where one of the machines and the kernel differ.
fn judge(
    wire: &Wire,
    dice: &mut Dice,
    nth: &mut u16,
    tally: &mut Tally,
    machines: &[Machine<'_>],
    saves: &[Save; 2],
    case: &str,
) {
    for _ in 0..PROBES {
        *nth = (*nth + 1) % 40_000;
        let (hook, packet) = random_packet(dice, &PORTS, *nth);
        let decide = |state: State| {
            let packet = as_seen(&packet, hook, state);
            let along = |machine: &Machine<'_>| machine.decide_along(&[Hook::Prerouting, hook], &packet);
            let decisions: Vec<Decision> = machines.iter().map(along).collect();
            let outcomes = walk(Some(&saves[0]), Some(&saves[1]), &[Hook::Prerouting, hook], &packet);
            (packet, decisions, outcomes)
        };
        let agrees = |seen: &Seen| {
            let &[state] = seen.states.as_slice() else { return false };
            let (packet, decisions, outcomes) = decide(state);
            decisions.iter().all(|decision| is_so(decision, &outcomes, &packet, seen))
        };
        let mut seen = probe(wire, &packet, agrees);
        if !seen.passed && !agrees(&seen) {
            // A program's own refusal of the probe before may have come late, and the kernel may be too busy to answer.
            seen = probe(wire, &packet, agrees);
        }
        // What the kernel throws away before prerouting proves nothing.
        let &[state] = seen.states.as_slice() else { continue };
        let (packet, decisions, outcomes) = decide(state);
        for (decision, of) in decisions.iter().zip(["what was made", "what was loaded"]) {
            assert!(
                is_so(decision, &outcomes, &packet, &seen),
                "{case}\n{of}: {hook} {packet}: {seen:?}, but {decision}\nand {outcomes:?}"
            );
        }
        tally.judged += 1;
        tally.passed += u64::from(seen.passed);
        tally.refused += u64::from(!seen.passed);
        tally.uncertain += u64::from(!decisions[0].certain);
    }
}

const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];

/// Loads random rulesets, from `first_table` on, by `load`, which gives the tables that decide; and judges random packets.
fn judge_rulesets(
    name: &str,
    first_table: &str,
    load: impl Fn(&Wire, &[String; 2], &[Save; 2]) -> Vec<Vec<TableDump>>,
) {
    let (seed, cases) = (number("GABION_SEED", 1), number("GABION_CASES", 8));
    println!("{name}: seed {seed}, {cases} rulesets");
    let (wire, mut tally, mut nth) = (watched_wire(), Tally::default(), 0_u16);
    for case in 0..cases {
        let mut dice = Dice(seed.wrapping_mul(1_000_003).wrapping_add(case));
        let texts = FAMILIES.map(|family| {
            let text = random_ruleset(&mut dice, family, Flavour::Loadable);
            text[text.find(first_table).unwrap()..].to_owned()
        });
        let saves = [parsed(&texts[0], Family::Ipv4), parsed(&texts[1], Family::Ipv6)];
        let tables = load(&wire, &texts, &saves);
        let machines: Vec<_> = tables.iter().map(Machine::new).collect();
        let case = format!("{name}: seed {seed}, case {case}\n{}\n{}", texts[0], texts[1]);
        judge(&wire, &mut dice, &mut nth, &mut tally, &machines, &saves, &case);
    }
    println!("{tally:?}");
    let probes = cases * u64::from(PROBES);
    assert!(tally.judged > probes * 9 / 10 && tally.uncertain < probes / 5, "{tally:?}");
    assert!(tally.passed > probes / 20 && tally.refused > probes / 20, "{tally:?}");
}

/// The tables that `iptables-nft` has made.
fn others(wire: &Wire) -> Vec<TableDump> {
    let ruleset = wire.host.run(|| Connection::open().unwrap().dump_ruleset()).unwrap();
    ruleset.tables.into_iter().filter(|dump| dump.table.name != "witness").collect()
}

#[test]
fn rulesets_that_iptables_nft_loads_are_decided_as_the_kernel_does() {
    if privileged() {
        judge_rulesets("iptables-nft", "*", |wire, texts, saves| {
            restore(wire, "iptables-nft-restore", &texts[0]);
            restore(wire, "ip6tables-nft-restore", &texts[1]);
            vec![translate(Some(&saves[0]), Some(&saves[1])).tables, others(wire)]
        });
    }
}

#[test]
fn rulesets_that_iptables_legacy_loads_are_decided_as_the_kernel_does() {
    if privileged() && has_legacy() {
        judge_rulesets("iptables-legacy", "*", |wire, texts, saves| {
            restore(wire, "iptables-legacy-restore", &texts[0]);
            restore(wire, "ip6tables-legacy-restore", &texts[1]);
            vec![translate(Some(&saves[0]), Some(&saves[1])).tables]
        });
    }
}

/// The filter tables of both families as one table of our own, of all rules that there are expressions for; and how many
/// there are none for.
fn native(saves: &[Save; 2]) -> (TableDump, usize) {
    let mut dump = TableDump::new(Table::new(nf_tables::Family::Inet, "native"));
    let mut left_out = 0;
    for (save, family) in saves.iter().zip(FAMILIES) {
        let own = |chain: &str| format!("{family:?}-{chain}");
        for table in save.tables().iter().filter(|table| table.name == "filter") {
            for chain in &table.chains {
                let point = match chain.name.as_str() {
                    "INPUT" => Some(HookPoint::Input),
                    "FORWARD" => Some(HookPoint::Forward),
                    "OUTPUT" => Some(HookPoint::Output),
                    _ => None,
                };
                let mut rules = Vec::new();
                for line in &table.rules {
                    let Line::Append { chain: of } = &line.command else { continue };
                    if *of != chain.name {
                        continue;
                    }
                    let sets_before = dump.sets.len();
                    match expressions(&line.rule, Some(family), &mut dump.sets) {
                        // Not every kernel has queues.
                        Ok(made) if made.iter().any(|one| matches!(one, Expression::Queue(_))) => {
                            dump.sets.truncate(sets_before);
                        }
                        Ok(mut expressions) => {
                            for expression in &mut expressions {
                                if let Expression::Immediate(Immediate {
                                    data: Data::Verdict(verdict), ..
                                }) = expression
                                    && let Verdict::Jump(to) | Verdict::Goto(to) = verdict
                                {
                                    *to = own(to);
                                }
                            }
                            rules.push(Rule::new(expressions));
                        }
                        Err(_) => left_out += 1,
                    }
                }
                dump.chains.push(ChainDump { chain: Chain::regular(own(&chain.name)), rules });
                if let Some(point) = point {
                    // A base chain sees both families: it hands its own over, and does what the policy says with what
                    // comes back.
                    let jump = Expression::Immediate(Immediate::verdict(Verdict::Jump(own(&chain.name))));
                    let mut rules = vec![Rule::new(vec![jump])];
                    if chain.policy == Some(ChainPolicy::Drop) {
                        let all = parse_rule("-j DROP", family, Mode::Strict).unwrap();
                        rules.push(Rule::new(expressions(&all, Some(family), &mut dump.sets).unwrap()));
                    }
                    let base = Chain::base(format!("{family:?}-at-{}", chain.name), point, 0, Policy::Accept);
                    dump.chains.push(ChainDump { chain: base, rules });
                }
            }
        }
    }
    (dump, left_out)
}

/// Loads a table and reads it back: `restore` fails where the kernel does not hold what was made.
fn install(wire: &Wire, dump: &TableDump) {
    let dump = dump.clone();
    wire.host.run(move || {
        let mut connection = Connection::open().unwrap();
        packet_filter::restore(&mut connection, &dump.id(), Some(&dump), None)
            .unwrap_or_else(|error| panic!("{error}\n{}", packet_filter::text::table(&dump)));
    });
}

#[test]
fn rules_made_for_a_table_of_both_families_are_decided_as_the_kernel_does() {
    if privileged() {
        judge_rulesets("native", "*filter", |wire, _, saves| {
            let (dump, left_out) = native(saves);
            assert_eq!(left_out, 0, "every rule that is loaded here has expressions");
            install(wire, &dump);
            vec![vec![dump]]
        });
    }
}

#[test]
fn the_kernel_takes_whatever_is_made_of_a_rule_and_gives_it_back() {
    if !privileged() {
        return;
    }
    let (seed, cases) = (number("GABION_SEED", 1), number("GABION_CASES", 8) * 4);
    println!("seed {seed}, {cases} rulesets");
    let (mut made, mut left_out) = (0, 0);
    let wire = watched_wire();
    for case in 0..cases {
        let mut dice = Dice(seed.wrapping_mul(1_000_003).wrapping_add(case));
        let texts = FAMILIES.map(|family| random_ruleset(&mut dice, family, Flavour::Any));
        let (dump, without) = native(&[parsed(&texts[0], Family::Ipv4), parsed(&texts[1], Family::Ipv6)]);
        made += dump.chains.iter().map(|chain| chain.rules.len()).sum::<usize>();
        left_out += without;
        install(&wire, &dump);
    }
    println!("{made} rules made, {left_out} without expressions");
    assert!(left_out < made / 20);
}

/// Whether the kernel still has `x_tables`.
fn has_legacy() -> bool {
    let namespace = support::Namespace::new();
    let has = namespace.run(|| {
        let output = Command::new("iptables-legacy").args(["-S"]).output();
        output.is_ok_and(|output| output.status.success())
    });
    if !has {
        println!("SKIPPED: no x_tables in this kernel");
    }
    has
}
