//! Plans and refusals as a person and as a program reads them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

use change::action::{Action, Before, Bytes, Owner, Risk, Secret, UserChange};
use change::lockout::{Refusal, Shut};
use change::plan::{Plan, Step};
use controls::way_in::{Condition, Holds, Requirement};
use report::{View, lockout, plan};

const HASH: &str = "$6$saltsalt$neverToBeShownAnywhere";

fn step(action: Action, why: &str, shows: &str, risk: Risk) -> Step {
    Step { action, why: why.to_owned(), controls: vec!["SH1".to_owned()], shows: shows.to_owned(), risk }
}

fn write(path: &str, before: Before) -> Action {
    Action::WriteFile {
        path: path.into(),
        contents: Bytes(b"PermitRootLogin no\n".to_vec()),
        mode: 0o600,
        owner: Owner::Root,
        before,
    }
}

fn sample() -> Plan {
    let drop_in = "--- /dev/null\n+++ /etc/ssh/sshd_config.d/00-gabion.conf\n@@ -0,0 +1,2 @@\n+# by gabion\n+PermitRootLogin no\n";
    Plan {
        steps: vec![
            step(
                write("/etc/systemd/system/gabion-recover.service", Before::Absent),
                "what is cut off is undone at the next boot",
                "",
                Risk::None,
            ),
            step(
                Action::CreateUser {
                    name: "deploy".to_owned(),
                    shell: "/bin/bash".into(),
                    home: "/home/deploy".into(),
                    groups: vec!["sudo".to_owned()],
                },
                "deploy administers this host instead of root",
                "deploy: home /home/deploy, shell /bin/bash, group sudo",
                Risk::None,
            ),
            step(
                Action::ChangeUser {
                    name: "deploy".to_owned(),
                    change: UserChange::SetPasswordHash { hash: Secret(HASH.to_owned()) },
                },
                "the policy gives this account a password",
                "deploy: password set to the policy's hash",
                Risk::None,
            ),
            step(
                write("/etc/ssh/sshd_config.d/00-gabion.conf", Before::Absent),
                "logins by key alone, none as root",
                drop_in,
                Risk::CutOff,
            ),
            step(
                Action::ReloadSsh { program: "/usr/sbin/sshd".into() },
                "the running server takes the new configuration",
                "tested with sshd -t first",
                Risk::CutOff,
            ),
        ],
        notes: vec!["ufw is installed and off: it is left alone".to_owned()],
    }
}

fn refusal() -> Refusal {
    Refusal {
        from: Some("203.0.113.9".parse().unwrap()),
        accounts: vec![
            Shut {
                account: "deploy".to_owned(),
                because: vec![Condition {
                    name: Requirement::Key,
                    holds: Holds::No,
                    what: "no key of deploy is one that sshd takes".to_owned(),
                    decided_by: vec!["/home/deploy/.ssh/authorized_keys".to_owned()],
                }],
                steps: vec![4],
            },
            Shut {
                account: "ann".to_owned(),
                because: vec![Condition {
                    name: Requirement::Sudo,
                    holds: Holds::Unknown("/etc/sudoers.d/ann: permission denied".to_owned()),
                    what: "what sudo grants ann".to_owned(),
                    decided_by: Vec::new(),
                }],
                steps: Vec::new(),
            },
        ],
    }
}

#[test]
fn a_plan_shows_each_step_its_diff_and_all_that_is_touched() {
    insta::assert_snapshot!(plan::text(&sample(), View { colour: false, width: 80 }));
}

#[test]
fn an_empty_plan_says_that_there_is_nothing_to_do() {
    assert_eq!(
        plan::text(&Plan::default(), View::default()),
        "Nothing to do: this host is as its policy says.\n"
    );
}

#[test]
fn json_reads_back_as_the_same_document() {
    let document = plan::json(&sample(), Some(&refusal()));
    let text = serde_json::to_string_pretty(&document).unwrap();
    assert_eq!(serde_json::from_str::<plan::Document>(&text).unwrap(), document);
    assert_eq!(document.version, 1);
    insta::assert_snapshot!(text);
}

#[test]
fn the_kinds_in_json_are_those_of_a_saved_plan() {
    let plan = sample();
    let saved = serde_json::to_value(&plan).unwrap();
    for (index, step) in plan::json(&plan, None).steps.iter().enumerate() {
        assert_eq!(saved["steps"][index]["action"]["action"], step.action);
    }
}

#[test]
fn a_password_hash_is_in_no_report() {
    let colours = [true, false].map(|colour| plan::text(&sample(), View { colour, width: 100 }));
    let json = serde_json::to_string(&plan::json(&sample(), None)).unwrap();
    assert!(!colours.concat().contains(HASH) && !json.contains(HASH));
}

#[test]
fn a_hostile_file_cannot_steer_the_terminal_through_its_diff() {
    let mut plan = sample();
    plan.steps[3].shows = "+\u{1b}]0;owned\u{7}\n+a\rb\n".to_owned();
    let text = plan::text(&plan, View { colour: false, width: 80 });
    assert!(text.contains("+\\x1b]0;owned\\x07\n      +a\\rb\n"), "{text}");
}

#[test]
fn a_refusal_says_who_is_shut_out_by_what_and_by_which_step() {
    insta::assert_snapshot!(lockout::text(&refusal()));
}
