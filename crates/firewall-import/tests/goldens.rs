//! Configurations of every kind, what is made of them, and what became of every line.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use firewall_import::{Imported, Options, firewalld, iptables, ufw};
use iptables_syntax::{Family, Match, Mode, Rule, parse_save};

/// As a host whose kernel knows everything but a search in the packet's bytes.
fn can_load(rule: &Rule, _: Family) -> Result<(), String> {
    match rule.matches.iter().find(|matched| matches!(matched, Match::String(_) | Match::Unknown(_))) {
        Some(_) => Err("no expression of the kernel stands for it".to_owned()),
        None => Ok(()),
    }
}

const OPTIONS: Options<'static> = Options { ssh_ports: &[22], can_load: &can_load };

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(name)
}

/// Every file below a folder, by its path in it.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

fn borrowed(files: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect()
}

fn save_pair(name: &str) -> Imported {
    let files = files(&case(name));
    let parsed: Vec<_> = [("v4", Family::Ipv4), ("v6", Family::Ipv6)]
        .into_iter()
        .filter_map(|(file, family)| {
            let text = files.get(file)?;
            Some((file, parse_save(text.as_bytes(), family, Mode::Strict).unwrap().0))
        })
        .collect();
    let borrowed: Vec<_> = parsed.iter().map(|(file, save)| (*file, save)).collect();
    iptables(&borrowed, &OPTIONS)
}

/// The policy's part, the lines and the notes.
fn shown(imported: &Imported) -> String {
    for line in &imported.lines {
        assert!(!line.fates.is_empty(), "not accounted for: {line:?}");
    }
    let toml = firewall_import::to_toml(&imported.firewall);
    let read =
        policy::parse(&toml, Path::new("policy.toml")).unwrap_or_else(|error| panic!("{toml}\n{error}"));
    let without_lines = |mut firewall: policy::Firewall| {
        firewall.allow.iter_mut().for_each(|entry| entry.line = 0);
        firewall.forward.iter_mut().for_each(|entry| entry.line = 0);
        firewall.rule.iter_mut().for_each(|entry| entry.line = 0);
        firewall
    };
    assert_eq!(without_lines(read.firewall), imported.firewall, "{toml}");
    let notes: String = imported.notes.iter().map(|note| format!("note: {note}\n")).collect();
    format!("{toml}\n{}{notes}", firewall_import::table(&imported.lines))
}

#[test]
fn the_guide_is_what_the_policy_has_built_in() {
    insta::assert_snapshot!("guide", shown(&save_pair("guide")));
}

#[test]
fn ipv6_that_is_rejected_whole_is_a_setting() {
    insta::assert_snapshot!("without-ipv6", shown(&save_pair("without-ipv6")));
}

#[test]
fn an_accepting_rule_is_an_entry_only_where_no_later_rule_refuses_what_it_accepts() {
    insta::assert_snapshot!("order", shown(&save_pair("order")));
}

#[test]
fn ufw_is_taken_over_with_its_comments_limits_and_order() {
    let files = files(&case("ufw"));
    insta::assert_snapshot!("ufw", shown(&ufw(&borrowed(&files), &OPTIONS).unwrap()));
}

#[test]
fn zones_of_firewalld_become_rules_in_the_order_in_which_they_run() {
    let files = files(&case("firewalld"));
    insta::assert_snapshot!("firewalld", shown(&firewalld(&borrowed(&files), &OPTIONS).unwrap()));
}
