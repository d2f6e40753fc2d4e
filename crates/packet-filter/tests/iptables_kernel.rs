//! The kernel as the judge of translated rulesets: what `iptables-restore` loads, in both of its variants, decides random
//! packets across a real link as the machine decides them for the translation.
//!
//! `GABION_CASES` rulesets (8 if unset) of `GABION_SEED` (1 if unset).

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by it")]

#[path = "support/frames.rs"]
mod frames;
#[path = "support/judge.rs"]
mod judge;
#[path = "support/rulesets.rs"]
mod rulesets;
mod support;

use std::io::Write as _;
use std::process::{Command, Stdio};

use iptables_syntax::Family;
use judge::{Dice, Seen, is_answered_if_rejected, probe, random_packet, watched_wire};
use nf_tables::{Connection, TableDump};
use packet_filter::iptables::translate;
use packet_filter::{Decision, Hook, Machine, Manner, Packet, State};
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

/// Whether the kernel did what was decided.
fn is_so(decision: &Decision, packet: &Packet, seen: &Seen) -> bool {
    let answered = decision.verdict.manner(packet).is_some_and(|manner| manner != Manner::Silently);
    !decision.certain
        || decision.verdict.is_accept() == seen.passed
            && (seen.passed || !is_answered_if_rejected(packet) || answered == seen.answered)
}

/// How many probes were judged.
#[derive(Debug, Default)]
struct Tally {
    judged: u64,
    passed: u64,
    refused: u64,
    uncertain: u64,
}

fn judge(programs: [&'static str; 2], live: bool) -> Tally {
    let (seed, cases) = (number("GABION_SEED", 1), number("GABION_CASES", 8));
    println!("{}: seed {seed}, {cases} rulesets", programs[0]);
    let (wire, mut tally, mut nth) = (watched_wire(), Tally::default(), 0_u16);
    for case in 0..cases {
        let mut dice = Dice(seed.wrapping_mul(1_000_003).wrapping_add(case));
        let families = [Family::Ipv4, Family::Ipv6];
        let texts = families.map(|family| random_ruleset(&mut dice, family, Flavour::Loadable));
        for (program, text) in programs.into_iter().zip(&texts) {
            restore(&wire, program, text);
        }
        let saves = [parsed(&texts[0], Family::Ipv4), parsed(&texts[1], Family::Ipv6)];
        let translated = translate(Some(&saves[0]), Some(&saves[1]));
        let loaded = if live { others(&wire) } else { translated.tables.clone() };
        let machines = [Machine::new(&translated.tables), Machine::new(&loaded)];
        for _ in 0..PROBES {
            nth = (nth + 1) % 40_000;
            let (hook, packet) = random_packet(&mut dice, &PORTS, nth);
            let decide = |state: State| {
                let packet = as_seen(&packet, hook, state);
                let decisions = machines
                    .each_ref()
                    .map(|machine| machine.decide_along(&[Hook::Prerouting, hook], &packet));
                (packet, decisions)
            };
            let agrees = |seen: &Seen| {
                let &[state] = seen.states.as_slice() else { return false };
                let (packet, decisions) = decide(state);
                decisions.iter().all(|decision| is_so(decision, &packet, seen))
            };
            let seen = probe(&wire, &packet, agrees);
            // What the kernel throws away before prerouting proves nothing.
            let &[state] = seen.states.as_slice() else { continue };
            let (packet, decisions) = decide(state);
            for (decision, of) in decisions.iter().zip(["translated", "loaded"]) {
                assert!(
                    is_so(decision, &packet, &seen),
                    "seed {seed}, case {case}, {of}: {hook} {packet}: {seen:?}, but {decision}\n{}\n{}",
                    texts[0],
                    texts[1],
                );
            }
            tally.judged += 1;
            tally.passed += u64::from(seen.passed);
            tally.refused += u64::from(!seen.passed);
            tally.uncertain += u64::from(!decisions[0].certain);
        }
    }
    println!("{tally:?}");
    let probes = cases * u64::from(PROBES);
    assert!(tally.judged > probes * 9 / 10 && tally.uncertain < probes / 5, "{tally:?}");
    assert!(tally.passed > probes / 20 && tally.refused > probes / 20, "{tally:?}");
    tally
}

/// The tables that `iptables-nft` has made.
fn others(wire: &Wire) -> Vec<TableDump> {
    let ruleset = wire.host.run(|| Connection::open().unwrap().dump_ruleset()).unwrap();
    ruleset.tables.into_iter().filter(|dump| dump.table.name != "witness").collect()
}

#[test]
fn rulesets_that_iptables_nft_loads_are_decided_as_the_kernel_does() {
    if privileged() {
        judge(["iptables-nft-restore", "ip6tables-nft-restore"], true);
    }
}

#[test]
fn rulesets_that_iptables_legacy_loads_are_decided_as_the_kernel_does() {
    if privileged() && has_legacy() {
        judge(["iptables-legacy-restore", "ip6tables-legacy-restore"], false);
    }
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
