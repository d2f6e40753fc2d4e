//! Files for nft: what is made of them, what became of every rule, and how the policy compares with them.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test: it unwraps, and can write its own dumps anew"
)]

use std::fs;
use std::path::{Path, PathBuf};

use controls::filter::filter_policy;
use firewall_import::{Fate, Imported, Options, Proof, nft, prove};
use host::Facts;
use iptables_syntax::{Family, Rule};
use nf_tables::TableDump;
use policy::Policy;

fn can_load(rule: &Rule, family: Family) -> Result<(), String> {
    packet_filter::iptables::expressions(rule, Some(family), &mut Vec::new())
        .map(drop)
        .map_err(|error| error.to_string())
}

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/nft").join(name)
}

/// The tables as the kernel gave them back when nft had loaded the file.
fn tables(name: &str) -> Vec<TableDump> {
    serde_json::from_str(&fs::read_to_string(case(&format!("{name}.json"))).unwrap()).unwrap()
}

fn imported(name: &str) -> (Imported, Proof) {
    let imported = nft(&tables(name), &Options { ssh_ports: &[], can_load: &can_load });
    for line in &imported.lines {
        assert!(!line.fates.is_empty(), "not accounted for: {line:?}");
    }
    let rules: usize =
        tables(name).iter().flat_map(|table| &table.chains).map(|chain| chain.rules.len()).sum();
    assert_eq!(imported.lines.iter().filter(|line| line.line > 0).count(), rules, "every rule has its line");
    let policy = Policy { firewall: imported.firewall.clone(), ..Policy::default() };
    let filter = filter_policy(&policy, &Facts::default()).unwrap();
    let proof = prove(&imported, packet_filter::compile(&filter).table()).unwrap();
    (imported, proof)
}

fn shown(imported: &Imported, proof: &Proof) -> String {
    let toml = firewall_import::to_toml(&imported.firewall);
    let notes: String = imported.notes.iter().map(|note| format!("note: {note}\n")).collect();
    format!("{toml}\n{}{notes}{proof}", firewall_import::table(&imported.lines))
}

#[test]
fn the_style_of_distributions_is_taken_over_whole() {
    let (imported, proof) = imported("workstation");
    insta::assert_snapshot!("nft-workstation", shown(&imported, &proof));
    assert!(proof.holds(), "{proof}");
}

#[test]
fn sets_maps_and_chains_are_taken_over_and_what_has_no_equal_is_named() {
    let (imported, proof) = imported("server");
    insta::assert_snapshot!("nft-server", shown(&imported, &proof));
    let refused = |text: &str| {
        let line = imported.lines.iter().find(|line| line.text.contains(text)).unwrap();
        matches!(line.fates.as_slice(), [Fate::Elsewhere(_)])
    };
    assert!(refused("@flood") && refused("@ll,48,48") && refused("redirect"));
}

#[test]
fn tables_that_only_refuse_come_before_the_one_that_lets_in() {
    let (imported, proof) = imported("two-tables");
    insta::assert_snapshot!("nft-two-tables", shown(&imported, &proof));
    // What a second chain lets in beside the first is not taken over, and the proof says what that changes.
    assert!(!proof.holds() && imported.notes.iter().any(|note| note.contains("later")), "{proof}");
}

#[test]
fn what_is_lost_on_the_way_is_seen_by_the_proof() {
    let (mut imported, _) = imported("workstation");
    imported.firewall.allow.pop();
    let policy = Policy { firewall: imported.firewall.clone(), ..Policy::default() };
    let filter = filter_policy(&policy, &Facts::default()).unwrap();
    assert!(!prove(&imported, packet_filter::compile(&filter).table()).unwrap().holds());
}

/// With `NFT_DUMPS=write` the dumps are written anew.
#[test]
fn the_dumps_are_what_nft_makes_of_the_files() {
    if !Path::new("/usr/sbin/nft").exists() || !rustix::process::geteuid().is_root() {
        println!("skipped: no nft, or not root");
        return;
    }
    for name in ["workstation", "server", "two-tables"] {
        let text = fs::read_to_string(case(&format!("{name}.nft"))).unwrap();
        let tables = probe::nft_ruleset(&text, &case("")).unwrap().tables;
        if std::env::var_os("NFT_DUMPS").is_some_and(|wish| wish == "write") {
            fs::write(case(&format!("{name}.json")), serde_json::to_string(&tables).unwrap() + "\n").unwrap();
        }
        let texts = |tables: &[TableDump]| tables.iter().map(packet_filter::text::table).collect::<String>();
        assert_eq!(texts(&tables), texts(&self::tables(name)), "{name}");
    }
}
