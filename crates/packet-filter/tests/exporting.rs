//! Exported texts in a real kernel: loaded by the programs that they are for, and judged by packets.

#![allow(
    clippy::disallowed_methods,
    reason = "the programs that load the texts are run in private namespaces"
)]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "support/frames.rs"]
mod frames;
#[path = "support/judge.rs"]
mod judge;
#[path = "support/policies.rs"]
mod policies;
mod support;

use std::io::Write as _;
use std::process::{Command, Stdio};

use judge::{judge, watched_wire};
use nf_tables::{Connection, Family, TableId};
use packet_filter::{
    Allow, Answer, Compiled, FilterPolicy, Machine, PortRange, compile, iptables_save, nft_text,
    policy_decides, prove,
};
use support::{Namespace, install, privileged};

/// Runs a program of the namespace of this thread on a text.
fn feed(program: &str, arguments: &[&str], text: &str) {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{program} refused:\n{text}");
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}

#[test]
fn the_pair_for_iptables_lets_in_what_the_policy_says() {
    if !privileged() {
        return;
    }
    for backend in ["nft", "legacy"] {
        let restore = [format!("iptables-{backend}-restore"), format!("ip6tables-{backend}-restore")];
        if !restore.iter().all(|program| is_there(program)) {
            println!("{backend}: not installed");
            continue;
        }
        for (name, policy) in policies::all() {
            let wire = watched_wire();
            let (ipv4, ipv6) = iptables_save(&policy);
            let programs = restore.clone();
            wire.host.run(move || {
                feed(&programs[0], &[], &ipv4);
                feed(&programs[1], &[], &ipv6);
            });
            let compiled = compile(&policy);
            let mut ports = vec![0, 1, 9, 65535];
            for range in policy.allow.iter().flat_map(|allow| &allow.ports) {
                ports.extend([
                    range.first.saturating_sub(1),
                    range.first,
                    range.last,
                    range.last.saturating_add(1),
                ]);
            }
            let machine = Machine::new([compiled.table()]);
            let tally =
                judge(&format!("{backend} {name}"), &wire, &machine, &ports, 600, |hook, packet, seen| {
                    let meant = policy_decides(&policy, hook, packet);
                    // Whatever a rate decides, the kernel may decide either way.
                    let meant_to_pass = match meant {
                        Answer::Accept | Answer::AcceptWithin { .. } => true,
                        Answer::Refuse(_) => false,
                        Answer::Open { .. } => return,
                    };
                    assert_eq!(
                        meant_to_pass, seen.passed,
                        "{name}: {hook} {packet}: the policy says {meant}"
                    );
                });
            assert!(tally.judged > 550, "{backend} {name}: {tally:?}");
        }
    }
}

#[test]
fn iptables_takes_ten_thousand_sources_and_every_kind_of_name() {
    if !privileged() {
        return;
    }
    let mut many =
        Allow::new("many \"sources\" with \\ a name that is much too long for a chain", [PortRange::tcp(22)]);
    many.from = (0..10_000u32)
        .map(|nth| format!("10.{}.{}.0/26", nth / 256, nth % 256).parse().unwrap())
        .chain((0..100).map(|nth| format!("2001:db8:{nth:x}::/48").parse().unwrap()))
        .collect();
    many.new_per_minute = Some(1_000_000);
    let mut twin = many.clone();
    twin.ports = (1..40).map(|nth| PortRange::udp(nth * 3)).collect();
    twin.from.truncate(1);
    let policy = FilterPolicy { allow: vec![many, twin], ..FilterPolicy::default() };
    let (ipv4, ipv6) = iptables_save(&policy);
    Namespace::new().run(move || {
        feed("iptables-restore", &["--test"], &ipv4);
        feed("iptables-restore", &[], &ipv4);
        feed("ip6tables-restore", &[], &ipv6);
    });
}

#[test]
fn nft_loads_the_text_as_the_table_that_is_loaded_without_it() {
    if !privileged() {
        return;
    }
    for (name, policy) in policies::all() {
        let compiled = compile(&policy);
        let (loaded, fed) = (Namespace::new(), Namespace::new());
        install(&loaded, &compiled);
        let text = nft_text(&compiled);
        let dump = fed.run(move || {
            // Twice: the text replaces what an earlier one left.
            feed("nft", &["-f", "-"], &text);
            feed("nft", &["-f", "-"], &text);
            Connection::open().unwrap().dump_table(&TableId::new(Family::Inet, "gabion")).unwrap().unwrap()
        });
        assert_eq!(sorted(&fed), sorted(&loaded), "{name}");
        // `nft` adds notes to sets and makes sure of the family where that is so anyway.
        prove(&policy, &Compiled::from_table(dump)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// The lines of the ruleset: `nft` keeps sets in another order.
fn sorted(namespace: &Namespace) -> Vec<String> {
    let mut lines: Vec<String> =
        namespace.command("nft", "list ruleset").lines().map(|line| line.trim().to_owned()).collect();
    lines.sort();
    lines
}
