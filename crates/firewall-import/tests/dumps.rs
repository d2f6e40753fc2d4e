//! Rulesets of real machines (`../iptables-syntax/tests/dumps` says whose): every line accounted for, and every difference named.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::collections::BTreeSet;
use std::path::Path;

use firewall_import::{Fate, Imported, Options, iptables, prove, to_toml};
use iptables_syntax::{Family, Mode, Rule, parse_save};
use packet_filter::iptables::expressions;

fn dumps() -> Vec<(String, Vec<u8>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../iptables-syntax/tests/dumps");
    let mut dumps: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|end| end == "rules"))
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).unwrap()))
        .collect();
    dumps.sort();
    dumps
}

fn can_load(rule: &Rule, family: Family) -> Result<(), String> {
    expressions(rule, Some(family), &mut Vec::new()).map(drop).map_err(|error| error.to_string())
}

fn import(name: &str, text: &[u8]) -> Imported {
    let (save, _) =
        parse_save(text, Family::Ipv4, Mode::Lenient).unwrap_or_else(|error| panic!("{name}: {error}"));
    iptables(&[(name, &save)], &Options { ssh_ports: &[], can_load: &can_load })
}

#[test]
fn every_line_of_sixteen_real_rulesets_is_accounted_for() {
    let dumps = dumps();
    assert_eq!(dumps.len(), 16);
    for (name, text) in dumps {
        let imported = import(&name, &text);
        let accounted: BTreeSet<usize> = imported
            .lines
            .iter()
            .inspect(|line| assert!(!line.fates.is_empty(), "{name}: {line:?}"))
            .map(|line| line.line)
            .collect();
        let text = String::from_utf8_lossy(&text);
        for (at, line) in text.lines().enumerate() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let is_rule = words.iter().take(2).any(|word| matches!(*word, "-A" | "-I" | "-D" | "-R"));
            assert!(!is_rule || accounted.contains(&(at + 1)), "{name}:{}: {line}", at + 1);
        }
        // What is named as a rule or an entry is there.
        let firewall = &imported.firewall;
        for fate in imported.lines.iter().flat_map(|line| &line.fates) {
            match fate {
                Fate::Allow(number) => assert!(*number <= firewall.allow.len()),
                Fate::Forward(number) => assert!(*number <= firewall.forward.len()),
                Fate::Rule(number) => assert!(firewall.rule[number - 1].active, "{name}: {fate}"),
                Fate::Inactive(number, _) => assert!(!firewall.rule[number - 1].active, "{name}: {fate}"),
                Fate::BuiltIn(_)
                | Fate::Setting(_)
                | Fate::Idle(_)
                | Fate::Elsewhere(_)
                | Fate::Otherwise(_) => {}
            }
        }
    }
}

#[test]
fn what_is_imported_is_a_policy_and_lets_in_the_same_but_for_what_is_named() {
    let mut exact = Vec::new();
    for (name, text) in dumps() {
        let imported = import(&name, &text);
        let toml = to_toml(&imported.firewall);
        let policy = policy::parse(&toml, Path::new("policy.toml"))
            .unwrap_or_else(|error| panic!("{name}: {}", error.render(false)));
        let filter = controls::filter::filter_policy(&policy, &host::Facts::default())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let proof = prove(&imported, packet_filter::compile(&filter).table())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let named = imported.lines.iter().flat_map(|line| &line.fates).any(Fate::needs_reading);
        assert!(proof.holds() || named || !imported.notes.is_empty(), "{name}: {proof}");
        if proof.holds() {
            exact.push(name);
        }
    }
    println!("MEASURED: {} of 16 rulesets let in exactly the same", exact.len());
    let expected = [
        "config_memphis_testbed.rules",
        "config_random_srv.rules",
        "configs_srvs_ufw.rules",
        "configs_ugent.rules",
        "gopherproxy.meulie.net.rules",
        "rlworkman.net.rules",
    ];
    assert_eq!(exact, expected, "the others ask for lists of `recent`, or let in what no rule refuses");
}
