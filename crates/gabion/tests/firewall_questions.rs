//! What is asked of rulesets in files: `firewall compare` and `firewall shadowed`, as a person and as a script asks them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test: its helpers unwrap, and it runs the program under test"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn gabion(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gabion")).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn dumps() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../iptables-syntax/tests/dumps");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|file| file.extension().is_some_and(|end| end == "rules")).collect();
    files.sort();
    assert!(files.len() >= 16, "{files:?}");
    files
}

const RULES: &str = "\
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:mail - [0:0]
-A INPUT -m state --state ESTABLISHED,RELATED -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -s 192.0.2.0/24 -p tcp -m tcp --dport 22 -j DROP
-A INPUT -p tcp -m tcp --dport 80 -m limit --limit 5/min -j ACCEPT
-A mail -j ACCEPT
COMMIT
";

#[test]
fn real_rulesets_are_equal_to_themselves() {
    for file in dumps() {
        let file = file.to_str().unwrap();
        let output = gabion(&["firewall", "compare", file, file, "--all-hooks"]);
        assert!(output.status.success(), "{file}: {}", text(&output));
        assert!(text(&output).starts_with("Equal:"), "{file}");
    }
}

#[test]
fn rulesets_that_part_are_told_by_a_packet_with_both_verdicts_and_their_lines() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a.v4"), folder.path().join("b.v4"));
    std::fs::write(&a, RULES).unwrap();
    std::fs::write(&b, RULES.replace("-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n", "")).unwrap();
    let (a, b) = (a.to_str().unwrap(), b.to_str().unwrap());
    let output = gabion(&["firewall", "compare", a, b]);
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output);
    assert!(shown.contains("Let through by one alone") && shown.contains("a.v4:7:"), "{shown}");

    let document = json(&gabion(&["--json", "firewall", "compare", a, b]));
    assert_eq!(document["equal"], false);
    let differences = document["differences"].as_array().unwrap();
    let found = differences.iter().find(|one| one["first"]["verdict"] == "accepted").unwrap();
    assert_eq!(found["second"]["verdict"], "dropped", "{document:#}");
    assert!(found["packet-text"].as_str().unwrap().contains(":22 "), "{document:#}");
    // What hangs on a limit is no difference: it is the same limit.
    assert!(
        differences.iter().all(|one| !one["packet-text"].as_str().unwrap().contains(":80 ")),
        "{document:#}"
    );
}

#[test]
fn rules_that_can_never_match_are_named_with_what_hides_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.v4");
    std::fs::write(&file, RULES).unwrap();
    let file = file.to_str().unwrap();
    let output = gabion(&["--json", "firewall", "shadowed", file]);
    assert_eq!(output.status.code(), Some(1));
    let found = json(&output);
    let shadowed = found["shadowed"].as_array().unwrap();
    assert_eq!(shadowed.len(), 2, "{found:#}");
    assert!(shadowed[0]["rule"].as_str().unwrap().contains("rules.v4:8"), "{found:#}");
    assert!(shadowed[0]["hidden-by"][1].as_str().unwrap().contains("rules.v4:7"), "{found:#}");
    assert_eq!(shadowed[1]["chain"], "mail");
    let shown = text(&gabion(&["firewall", "shadowed", file]));
    assert!(shown.contains("ip filter mail: 1 rule"), "{shown}");
}

#[test]
fn who_reaches_what_is_told_by_source_and_service() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.v4");
    let rules = RULES.replace(
        "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT",
        "-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j ACCEPT",
    );
    std::fs::write(&file, rules).unwrap();
    let file = file.to_str().unwrap();
    let found = json(&gabion(&["--json", "firewall", "reach", file]));
    let rows = found["reached"].as_array().unwrap();
    let row = |service: &str| {
        let services = |row: &&Value| row["services"].as_array().unwrap().iter().any(|one| one == service);
        rows.iter().find(services).unwrap_or_else(|| panic!("{service}: {found:#}"))
    };
    assert_eq!(row("tcp/22")["from"], serde_json::json!(["10.0.0.0/8"]));
    assert_eq!(row("tcp/22")["certainty"], "always");
    assert_eq!(row("tcp/80")["certainty"], "usually");
    let shown = text(&gabion(&["firewall", "reach", file]));
    assert!(shown.contains("10.0.0.0/8") && shown.contains("unless"), "{shown}");
}

#[test]
fn what_is_no_ruleset_is_a_usage_error_that_names_the_file() {
    let output = gabion(&["firewall", "compare", "/nonexistent/rules.v4", "policy"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent/rules.v4"), "{output:?}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("empty");
    std::fs::write(&file, "").unwrap();
    let output = gabion(&["firewall", "shadowed", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

const NFT: &str = "\
flush ruleset
table inet filter {
  chain input {
    type filter hook input priority 0; policy drop;
    ct state vmap { established : accept, related : accept, invalid : drop }
    iif lo accept
    tcp dport { 22, 80 } accept
    tcp dport 22 drop
  }
}
";

#[test]
fn a_file_for_nft_is_read_by_nft_in_a_namespace_that_is_gone_afterwards() {
    if !Path::new("/usr/sbin/nft").exists() || !rustix::process::geteuid().is_root() {
        println!("skipped: no nft, or not root");
        return;
    }
    let before = Command::new("/usr/sbin/nft").args(["list", "ruleset"]).output().unwrap().stdout;
    let folder = tempfile::tempdir().unwrap();
    let (file, wrong) = (folder.path().join("a.nft"), folder.path().join("wrong.nft"));
    let included = folder.path().join("included.nft");
    std::fs::write(&included, NFT).unwrap();
    std::fs::write(&file, "include \"included.nft\"\n").unwrap();
    std::fs::write(&wrong, NFT.replace("dport 22", "dprt 22")).unwrap();
    let shown = text(&gabion(&["firewall", "shadowed", file.to_str().unwrap()]));
    assert!(shown.contains("inet filter input rule 4: tcp dport 22 drop"), "{shown}");
    let (file, included) = (file.to_str().unwrap(), included.to_str().unwrap());
    let compared = gabion(&["firewall", "compare", file, included]);
    assert!(compared.status.success(), "{}", text(&compared));
    let refused = gabion(&["firewall", "shadowed", wrong.to_str().unwrap()]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("wrong.nft:8: ") && said.contains("syntax error"), "{said}");
    let after = Command::new("/usr/sbin/nft").args(["list", "ruleset"]).output().unwrap().stdout;
    assert_eq!(before, after, "the host's own rules are as they were");
}

#[test]
fn a_rule_that_asks_chance_again_is_not_hidden_by_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chance.v4");
    let draw = "-A INPUT -p tcp -m statistic --mode random --probability 0.5 -j ACCEPT\n";
    std::fs::write(&file, format!("*filter\n:INPUT DROP [0:0]\n{draw}{draw}COMMIT\n")).unwrap();
    let output = gabion(&["firewall", "shadowed", file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output));
}
