//! Audits as a person and as a program reads them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

use controls::{Audit, ControlId, Family, Finding, Fix, Severity, State};
use host::{Fact, Facts};
use report::{View, audit};

const PASSED: [&str; 22] = [
    "US1", "US2", "US3", "US5", "US6", "US7", "US11", "SH1", "SH3", "SH4", "SH5", "SH6", "SH7", "SH8", "SH9",
    "SH10", "SH15", "SH16", "SH17", "FW1", "FW2", "FW4",
];

fn facts() -> Facts {
    let mut facts = Facts::default();
    facts.system.hostname = Fact::Known("web1".to_owned());
    facts.taken_at = "2026-11-22T19:57:06Z".to_owned();
    facts
}

fn finding(id: &'static str, severity: Severity) -> Finding {
    Finding {
        id: ControlId(id),
        family: Family::Ssh,
        severity,
        state: State::Fails,
        what: "root may log in by password from anywhere".to_owned(),
        decided_by: vec!["/etc/ssh/sshd_config:33".to_owned()],
        why: "every scanner of the internet guesses at this password",
        fix: Fix::Apply,
        undo: "gabion rollback".to_owned(),
    }
}

fn sample() -> Audit {
    Audit {
        findings: vec![
            finding("SH2", Severity::Critical),
            Finding {
                state: State::Unknown("/etc/shadow: permission denied".to_owned()),
                what: "whether an account has an empty password is not known".to_owned(),
                family: Family::Accounts,
                decided_by: Vec::new(),
                fix: Fix::Ask("run the audit as root".to_owned()),
                undo: String::new(),
                ..finding("US4", Severity::High)
            },
            Finding {
                what: "the home directory of a user with a long name is writable by everybody on this host, and so are \
                       the directories above it up to the root of the file system"
                    .to_owned(),
                decided_by: vec!["/home/deploy (mode 0777, owner 1000)".to_owned(), "/home (mode 0777)".to_owned()],
                fix: Fix::Command("chmod go-w /home /home/deploy".to_owned()),
                undo: "chmod 0777 /home /home/deploy".to_owned(),
                ..finding("SH29", Severity::Medium)
            },
            Finding { fix: Fix::Apply, ..finding("SH14", Severity::Info) },
        ],
        passed: PASSED.iter().copied().map(ControlId).collect(),
        not_applicable: vec![(ControlId("FW3"), "no container engine runs here".to_owned())],
    }
}

#[test]
fn findings_say_what_is_what_decides_it_why_the_fix_and_its_undo() {
    insta::assert_snapshot!(audit::text(&sample(), &facts(), View { colour: false, width: 80 }));
}

#[test]
fn a_clean_host_is_told_so() {
    let clean = Audit { findings: Vec::new(), not_applicable: Vec::new(), ..sample() };
    insta::assert_snapshot!(audit::text(&clean, &facts(), View::default()));
}

#[test]
fn json_reads_back_as_the_same_document() {
    let document = audit::json(&sample(), &facts());
    let text = serde_json::to_string_pretty(&document).unwrap();
    insta::assert_snapshot!(text);
    assert_eq!(serde_json::from_str::<audit::Document>(&text).unwrap(), document);
}

#[test]
fn the_grade_is_capped_by_the_worst_finding_and_unknown_counts_as_failed() {
    let grade = |severity, state| {
        let one = Finding { state, ..finding("SH1", severity) };
        let many_passed = Audit { findings: vec![one], ..sample() };
        report::grade::Grade::of(&many_passed).to_string()
    };
    assert_eq!(grade(Severity::Critical, State::Fails), "F");
    assert_eq!(grade(Severity::High, State::Unknown("unread".to_owned())), "D");
    assert_eq!(grade(Severity::Medium, State::Fails), "C");
    assert_eq!(grade(Severity::Low, State::Fails), "B");
    assert_eq!(grade(Severity::Info, State::Fails), "A");
}

#[test]
fn a_hostile_name_cannot_steer_the_terminal_or_forge_a_line() {
    let hostile = "\u{1b}[2J\r\nGrade A: nothing was found\u{202e}";
    let mut facts = facts();
    facts.system.hostname = Fact::Known(hostile.to_owned());
    let audit = Audit {
        findings: vec![Finding {
            what: format!("the user {hostile} has an empty password"),
            state: State::Unknown(hostile.to_owned()),
            decided_by: vec![hostile.to_owned()],
            fix: Fix::Command(hostile.to_owned()),
            undo: hostile.to_owned(),
            ..finding("US4", Severity::Critical)
        }],
        not_applicable: vec![(ControlId("FW1"), hostile.to_owned())],
        ..Audit::default()
    };
    let text = audit::text(&audit, &facts, View { colour: false, width: 200 });
    assert!(!text.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'), "{text:?}");
    assert!(!text.lines().any(|line| line.starts_with("Grade A")), "{text}");
    assert!(text.lines().any(|line| line.starts_with("Grade F")), "{text}");
}
