//! Verifications and transactions as a person and as a program reads them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

use std::time::Duration;

use report::View;
use report::transaction::{self, Standing, Transaction};
use report::verification::{self, Agreement, Check, Difference, Verification};

fn check(what: &str, before: Option<&str>, seen: &str, wanted: &str, agrees: Agreement) -> Check {
    Check {
        what: what.to_owned(),
        before: before.map(str::to_owned),
        seen: seen.to_owned(),
        wanted: wanted.to_owned(),
        agrees,
    }
}

fn rehearsal() -> Verification {
    let difference = Difference {
        what: "tcp/3306 from 203.0.113.9".to_owned(),
        seen: "open".to_owned(),
        wanted: "refused".to_owned(),
        decided_by: Some("table ip docker, chain forward, rule 3".to_owned()),
    };
    Verification {
        checks: vec![
            check(
                "TCP ports, IPv4",
                Some("22, 80, 3306 open"),
                "22, 80, 3306 open",
                "22, 80 open",
                Agreement::No(vec![difference]),
            ),
            check("TCP ports, IPv6", Some("22, 80, 3306 open"), "22, 80 open", "22, 80 open", Agreement::Yes),
            check("root by password", Some("let in"), "refused", "refused", Agreement::Yes),
            check(
                "UDP ports, IPv6",
                None,
                "-",
                "none open",
                Agreement::Unknown("no route to the host".to_owned()),
            ),
        ],
        probes: 131_074,
        took_ms: 0,
    }
    .took(Duration::from_millis(4_270))
}

fn transaction(id: &str, standing: Standing) -> Transaction {
    Transaction {
        id: id.to_owned(),
        standing,
        began: Some("2026-11-22T19:57:06.123Z".parse().unwrap()),
        by: Some("root from 203.0.113.9".to_owned()),
        steps: 12,
        done: 12,
        error: None,
        notes: Vec::new(),
    }
}

fn history() -> Vec<Transaction> {
    vec![
        Transaction {
            done: 6,
            error: Some("step 7: sshd -t failed: line 3: unsupported option".to_owned()),
            notes: vec!["/etc/gai.conf was changed in between and is kept".to_owned()],
            ..transaction(
                "20261122T195706123-8c1f",
                Standing::RolledBack { because: "a step failed".to_owned() },
            )
        },
        transaction("20261122T200106456-01af", Standing::Confirmed),
        transaction(
            "20261122T201006789-77d0",
            Standing::Pending { deadline: "2026-11-22T20:20:06.789Z".parse().unwrap() },
        ),
    ]
}

#[test]
fn a_rehearsal_shows_before_and_after_and_names_the_rule_of_each_difference() {
    insta::assert_snapshot!(verification::text(&rehearsal(), View { colour: false, width: 80 }));
}

#[test]
fn a_verification_without_a_before_has_no_such_column() {
    let mut verification = rehearsal();
    verification.checks.retain(|check| check.agrees == Agreement::Yes);
    verification.checks.iter_mut().for_each(|check| check.before = None);
    assert!(verification.holds());
    insta::assert_snapshot!(verification::text(&verification, View::default()));
}

#[test]
fn what_could_not_be_seen_does_not_hold() {
    let mut verification = rehearsal();
    verification.checks.retain(|check| !matches!(check.agrees, Agreement::No(_)));
    assert!(!verification.holds());
}

#[test]
fn a_history_lists_all_and_says_what_to_do_about_what_is_open() {
    insta::assert_snapshot!(transaction::history_text(&history(), View { colour: false, width: 100 }));
}

#[test]
fn a_rolled_back_transaction_says_why_and_what_failed() {
    insta::assert_snapshot!(transaction::text(&history()[0], View { colour: false, width: 80 }));
}

#[test]
fn json_reads_back_as_the_same_documents() {
    let document = verification::json(&rehearsal());
    let text = serde_json::to_string(&document).unwrap();
    assert_eq!(serde_json::from_str::<verification::Document>(&text).unwrap(), document);
    assert!(text.starts_with("{\"version\":1,\"holds\":false,"), "{text}");

    let document = transaction::json(&history()[2]);
    let text = serde_json::to_string(&document).unwrap();
    assert_eq!(serde_json::from_str::<transaction::Document>(&text).unwrap(), document);
    assert!(text.contains("\"state\":\"pending\",\"deadline\":\"2026-11-22T20:20:06.789Z\""), "{text}");

    let document = transaction::history_json(&history());
    let text = serde_json::to_string(&document).unwrap();
    assert_eq!(serde_json::from_str::<transaction::History>(&text).unwrap(), document);
}
