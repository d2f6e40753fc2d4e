//! What a transaction promises: all or nothing, never on a stale plan, never two at once, restorable by hand.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::tree::{self, age_directories, differences, file, snapshot};
use crate::action::{Action, Before, Bytes, Owner, Risk};
use crate::engine::{About, Confirm, Outcome, Transaction};
use crate::hex::Sha256;
use crate::plan::{Plan, Step};
use crate::{Because, Error, Moment, Root, State, history, recover, rollback};

pub(super) fn steps(actions: impl IntoIterator<Item = Action>) -> Plan {
    let step = |action| Step {
        action,
        why: String::new(),
        controls: Vec::new(),
        shows: String::new(),
        risk: Risk::None,
    };
    Plan { steps: actions.into_iter().map(step).collect(), notes: Vec::new() }
}

pub(super) fn write(path: &str, contents: &str, before: Before) -> Action {
    Action::WriteFile {
        path: path.into(),
        contents: Bytes(contents.into()),
        mode: 0o644,
        owner: Owner::Keep,
        before,
    }
}

pub(super) const WITHIN: Confirm = Confirm::Within(Duration::from_secs(600));

pub(super) fn apply(root: &Root, plan: Plan, confirm: Confirm) -> crate::Result<Outcome> {
    Transaction::begin(root, plan, &About::default())?.apply(confirm, &mut |_| {})
}

fn small_tree() -> tempfile::TempDir {
    let directory = tree::directory();
    file(directory.path(), "/etc/ssh/sshd_config", b"Port 22\n", 0o644);
    file(directory.path(), "/etc/motd", b"hello\n", 0o600);
    fs::create_dir_all(directory.path().join("var/lib")).unwrap();
    age_directories(directory.path());
    directory
}

#[test]
fn a_stale_plan_is_refused_and_nothing_is_changed() {
    let directory = small_tree();
    let root = Root::at(directory.path()).unwrap();
    let before = snapshot(directory.path(), true);
    let good = || write("/etc/new", "x", Before::Absent);
    let stale = [
        write("/etc/motd", "x", Before::File(Sha256::of("another content"))),
        write("/etc/motd", "x", Before::Absent),
        write("/etc/none", "x", Before::File(Sha256::of(""))),
        Action::RemoveFile { path: "/etc/motd".into(), before: Before::Symlink("x".into()) },
        Action::MakeSymlink { path: "/etc/ssh".into(), target: "x".into(), before: Before::Absent },
        Action::MakeDirectory { path: "/etc/ssh".into(), mode: 0o755, owner: Owner::Keep },
        Action::SetAttributes {
            path: "/etc/motd".into(),
            mode: 0o644,
            owner: Owner::Keep,
            mode_before: 0o640,
        },
    ];
    for action in stale {
        let error = apply(&root, steps([good(), action]), WITHIN).unwrap_err();
        assert!(matches!(error, Error::StalePlan { step: 1, .. }), "{error}");
        let now = snapshot(directory.path(), true);
        assert!(now == before, "{error}: {:#?}", differences(&before, &now));
        assert!(history(&root).unwrap().is_empty(), "{error}");
    }
    let error = apply(&root, steps([write("/etc/motd", "x", Before::Absent)]), WITHIN).unwrap_err();
    let digest = Sha256::of("hello\n");
    assert_eq!(
        error.to_string(),
        format!(
            "step 1: /etc/motd is not as it was when the plan was drawn: expected nothing, found a file with SHA-256 {digest}"
        )
    );
}

#[test]
fn an_empty_plan_writes_nothing() {
    let directory = tree::directory();
    let root = Root::at(directory.path()).unwrap();
    assert!(matches!(apply(&root, Plan::default(), WITHIN), Err(Error::NothingToDo)));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn two_at_once_are_refused() {
    let directory = small_tree();
    let root = Root::at(directory.path()).unwrap();
    let running =
        Transaction::begin(&root, steps([write("/etc/a", "x", Before::Absent)]), &About::default()).unwrap();
    let error = apply(&root, steps([write("/etc/b", "x", Before::Absent)]), WITHIN).unwrap_err();
    assert!(matches!(error, Error::Busy), "{error}");
    drop(running);
    // It was never applied: whoever had it is gone.
    let error = apply(&root, steps([write("/etc/b", "x", Before::Absent)]), WITHIN).unwrap_err();
    assert!(matches!(error, Error::UnfinishedTransaction { .. }), "{error}");
    recover(&root, &Moment::now()).unwrap();
    assert!(matches!(
        apply(&root, steps([write("/etc/b", "x", Before::Absent)]), WITHIN),
        Ok(Outcome::Pending { .. })
    ));
}

#[test]
fn while_one_waits_for_its_confirmation_no_other_is_applied() {
    let directory = small_tree();
    let root = Root::at(directory.path()).unwrap();
    apply(&root, steps([write("/etc/a", "x", Before::Absent)]), WITHIN).unwrap();
    let error = apply(&root, steps([write("/etc/b", "x", Before::Absent)]), WITHIN).unwrap_err();
    assert!(matches!(error, Error::PendingTransaction { .. }), "{error}");
    assert!(!directory.path().join("etc/b").exists());
}

#[test]
fn a_step_that_fails_undoes_all_before_it() {
    let directory = small_tree();
    let root = Root::at(directory.path()).unwrap();
    let before = snapshot(directory.path(), true);
    let plan = steps([
        write("/etc/motd", "new", Before::File(Sha256::of("hello\n"))),
        write("/etc/no/such/directory/file", "x", Before::Absent),
        write("/etc/never", "x", Before::Absent),
    ]);
    let outcome = apply(&root, plan, WITHIN).unwrap();
    match outcome {
        Outcome::RolledBack { step, error, notes } => {
            assert_eq!((step, notes), (1, Vec::new()));
            assert!(error.to_string().contains("/etc/no"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    let now = snapshot(directory.path(), true);
    assert!(now == before, "{:#?}", differences(&before, &now));
    assert!(matches!(history(&root).unwrap()[0].state, State::RolledBack { because: Because::Failed }));
}

#[test]
fn what_stays_is_what_the_plan_says_with_the_attributes_that_were() {
    let directory = small_tree();
    let root = Root::at(directory.path()).unwrap();
    let plan = steps([
        write("/etc/motd", "new\n", Before::File(Sha256::of("hello\n"))),
        Action::MakeDirectory { path: "/etc/made".into(), mode: 0o710, owner: Owner::Keep },
        write("/etc/made/file", "in it\n", Before::Absent),
        Action::MakeSymlink { path: "/etc/link".into(), target: "made/file".into(), before: Before::Absent },
        Action::SetAttributes {
            path: "/etc/ssh/sshd_config".into(),
            mode: 0o600,
            owner: Owner::Keep,
            mode_before: 0o644,
        },
    ]);
    let outcome = apply(&root, plan, Confirm::NotNeeded).unwrap();
    assert!(matches!(outcome, Outcome::Confirmed), "{outcome:?}");
    let at = |path: &str| directory.path().join(path);
    let mode = |path: &str| fs::metadata(at(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(fs::read_to_string(at("etc/link")).unwrap(), "in it\n");
    assert_eq!(fs::read_to_string(at("etc/motd")).unwrap(), "new\n");
    assert_eq!((mode("etc/motd"), mode("etc/made"), mode("etc/ssh/sshd_config")), (0o644, 0o710, 0o600));
    let mut value = [0; 16];
    let length = rustix::fs::getxattr(at("etc/motd"), "user.origin", &mut value[..]).unwrap();
    assert_eq!(&value[..length], b"384", "the xattrs of the file that was replaced stay");
}

#[test]
fn a_confirmed_transaction_can_be_rolled_back_the_newest_first() {
    let directory = small_tree();
    let root = Root::at(directory.path()).unwrap();
    let before = snapshot(directory.path(), true);
    apply(&root, steps([write("/etc/motd", "1", Before::File(Sha256::of("hello\n")))]), Confirm::NotNeeded)
        .unwrap();
    apply(&root, steps([write("/etc/motd", "2", Before::File(Sha256::of("1")))]), Confirm::NotNeeded)
        .unwrap();
    let ids: Vec<_> = history(&root).unwrap().into_iter().map(|past| past.id).collect();
    assert!(matches!(rollback(&root, &ids[0], Because::Asked), Err(Error::NotTheNewest { .. })));
    assert!(rollback(&root, &ids[1], Because::Asked).unwrap().unwrap().failures.is_empty());
    assert!(rollback(&root, &ids[0], Because::Asked).unwrap().unwrap().failures.is_empty());
    let now = snapshot(directory.path(), true);
    assert!(now == before, "{:#?}", differences(&before, &now));
    assert!(rollback(&root, &ids[0], Because::Asked).unwrap().is_none(), "it is undone already");
}

#[test]
fn the_timer_undoes_what_waits_and_never_what_is_confirmed() {
    let directory = small_tree();
    let root = Root::at(directory.path()).unwrap();
    let before = snapshot(directory.path(), true);
    let plan = || steps([write("/etc/motd", "1", Before::File(Sha256::of("hello\n")))]);
    apply(&root, plan(), Confirm::Within(Duration::from_millis(10))).unwrap();
    let id = crate::pending(&root).unwrap().unwrap();
    assert!(rollback(&root, &id, Because::Unconfirmed).unwrap().is_some());
    assert_eq!(snapshot(directory.path(), true), before);
    apply(&root, plan(), Confirm::NotNeeded).unwrap();
    let id = history(&root).unwrap().pop().unwrap().id;
    assert!(rollback(&root, &id, Because::Unconfirmed).unwrap().is_none());
    assert_eq!(fs::read_to_string(directory.path().join("etc/motd")).unwrap(), "1");
}

#[test]
fn a_reboot_undoes_what_waits_for_its_confirmation() {
    let directory = small_tree();
    let root = Root::at(directory.path()).unwrap();
    let before = snapshot(directory.path(), true);
    apply(&root, steps([write("/etc/a", "x", Before::Absent)]), WITHIN).unwrap();
    assert_eq!(recover(&root, &Moment::now()).unwrap().len(), 1, "it waits still");
    assert!(directory.path().join("etc/a").exists());
    let next_boot = Moment { boot: "another".to_owned(), since_boot: 5, ..Moment::now() };
    recover(&root, &next_boot).unwrap();
    assert_eq!(snapshot(directory.path(), true), before);
}

#[test]
fn what_somebody_else_wrote_meanwhile_is_kept_aside_and_told() {
    let directory = small_tree();
    let root = Root::at(directory.path()).unwrap();
    let plan = steps([
        write("/etc/motd", "1", Before::File(Sha256::of("hello\n"))),
        write("/etc/new", "2", Before::Absent),
    ]);
    apply(&root, plan, WITHIN).unwrap();
    fs::write(directory.path().join("etc/motd"), "an hour of work").unwrap();
    fs::write(directory.path().join("etc/new"), "another hour").unwrap();
    let id = crate::pending(&root).unwrap().unwrap();
    let report = rollback(&root, &id, Because::Asked).unwrap().unwrap();
    assert_eq!(report.notes.len(), 2, "{:?}", report.notes);
    assert_eq!(fs::read_to_string(directory.path().join("etc/motd")).unwrap(), "hello\n");
    assert!(!directory.path().join("etc/new").exists());
    let displaced = history(&root).unwrap()[0].directory.join("displaced");
    assert_eq!(fs::read_to_string(displaced.join("001/motd")).unwrap(), "an hour of work");
    assert_eq!(fs::read_to_string(displaced.join("002/new")).unwrap(), "another hour");
}

#[test]
fn what_somebody_else_removed_meanwhile_is_told_where_it_cannot_be_put_back() {
    let directory = small_tree();
    let root = Root::at(directory.path()).unwrap();
    let path = std::path::PathBuf::from("/etc/motd");
    let plan = steps([Action::SetAttributes { path, mode: 0o640, owner: Owner::Keep, mode_before: 0o600 }]);
    apply(&root, plan, WITHIN).unwrap();
    fs::remove_file(directory.path().join("etc/motd")).unwrap();
    let id = crate::pending(&root).unwrap().unwrap();
    let report = rollback(&root, &id, Because::Asked).unwrap().unwrap();
    assert_eq!(report.notes, ["/etc/motd: removed by somebody else meanwhile"]);
    assert!(report.failures.is_empty(), "{:?}", report.failures);
}

#[test]
fn a_hard_link_in_a_home_is_not_given_away() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let directory = small_tree();
    let root = Root::at(directory.path()).unwrap();
    let home = directory.path().join("home/anna");
    fs::create_dir_all(&home).unwrap();
    std::os::unix::fs::chown(&home, Some(1000), Some(1000)).unwrap();
    file(directory.path(), "/etc/passwd", b"anna:x:1000:1000::/home/anna:/bin/sh\n", 0o644);
    file(directory.path(), "/etc/shadow", b"secret", 0o600);
    fs::hard_link(directory.path().join("etc/shadow"), home.join("keys")).unwrap();
    let action = Action::SetAttributes {
        path: "/home/anna/keys".into(),
        mode: 0o644,
        owner: Owner::Account("anna".to_owned()),
        mode_before: 0o600,
    };
    match apply(&root, steps([action]), Confirm::NotNeeded).unwrap() {
        Outcome::RolledBack { error: Error::Untrusted { .. }, .. } => {}
        other => panic!("{other:?}"),
    }
    let stat = rustix::fs::stat(directory.path().join("etc/shadow")).unwrap();
    assert_eq!((stat.st_uid, stat.st_mode & 0o7777), (0, 0o600));
}

#[test]
fn what_is_read_through_a_link_in_a_home_is_not_written_into_a_file_of_its_owner() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let directory = small_tree();
    let root = Root::at(directory.path()).unwrap();
    let home = directory.path().join("home/anna");
    fs::create_dir_all(&home).unwrap();
    std::os::unix::fs::chown(&home, Some(1000), Some(1000)).unwrap();
    file(directory.path(), "/etc/passwd", b"anna:x:1000:1000::/home/anna:/bin/sh\n", 0o644);
    file(directory.path(), "/etc/shadow", b"secret\n", 0o600);
    fs::hard_link(directory.path().join("etc/shadow"), home.join("keys")).unwrap();
    // passwd(1) replaces the file: the link is then the only name of what it was.
    fs::remove_file(directory.path().join("etc/shadow")).unwrap();
    let action = Action::WriteFile {
        path: "/home/anna/keys".into(),
        contents: Bytes(b"secret\nkey\n".to_vec()),
        mode: 0o600,
        owner: Owner::Account("anna".to_owned()),
        before: Before::File(Sha256::of("secret\n")),
    };
    let refused = Transaction::begin(&root, steps([action]), &About::default()).unwrap_err();
    assert!(matches!(refused, Error::Untrusted { .. }), "{refused}");
    let stat = rustix::fs::stat(home.join("keys")).unwrap();
    assert_eq!((stat.st_uid, stat.st_mode & 0o7777), (0, 0o600));
}

#[test]
fn a_person_can_put_everything_back_with_cp() {
    let directory = small_tree();
    let root = Root::at(directory.path()).unwrap();
    let before = snapshot(&directory.path().join("etc/ssh"), true);
    let new = write("/etc/ssh/sshd_config", "Port 2222\n", Before::File(Sha256::of("Port 22\n")));
    apply(&root, steps([new]), WITHIN).unwrap();
    let transaction = history(&root).unwrap()[0].directory.clone();
    let target = directory.path().join("etc/ssh/sshd_config");
    let status =
        Command::new("cp").arg("-a").arg(transaction.join("originals/001/sshd_config")).arg(&target).status();
    assert!(status.unwrap().success());
    let mut now = snapshot(&directory.path().join("etc/ssh"), true);
    let mut before = before;
    // cp does not date the directory back.
    now.remove(Path::new(""));
    before.remove(Path::new(""));
    assert!(now == before, "{:#?}", differences(&before, &now));
}

#[test]
fn a_person_can_read_the_journal() {
    let directory = small_tree();
    let root = Root::at(directory.path()).unwrap();
    let new = write("/etc/ssh/sshd_config", "Port 2222\n", Before::File(Sha256::of("Port 22\n")));
    apply(&root, steps([new]), WITHIN).unwrap();
    let transaction = history(&root).unwrap()[0].directory.clone();
    let read = |path: &str| fs::read_to_string(transaction.join(path)).unwrap();
    let events: Vec<String> = read("journal.jsonl")
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            format!(
                "{} {}",
                line["event"].as_str().unwrap(),
                line.get("step").map(ToString::to_string).unwrap_or_default()
            )
        })
        .collect();
    assert_eq!(events, ["opened ", "armed ", "begun 0", "saved 0", "done 0", "applied "]);
    assert!(read("plan.json").contains(r#""contents": "Port 2222\n""#), "{}", read("plan.json"));
    let meta = read("originals/001/meta.json");
    assert!(meta.contains(r#""mode": "0644""#) && meta.contains("/etc/ssh/sshd_config"), "{meta}");
    for path in [&transaction, transaction.parent().unwrap()] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o7777, 0o700, "{}", path.display());
    }
}

#[test]
fn a_journal_that_cannot_be_read_is_told_and_does_not_keep_others_from_recovery() {
    let directory = small_tree();
    let root = Root::at(directory.path()).unwrap();
    apply(&root, steps([write("/etc/a", "x", Before::Absent)]), Confirm::NotNeeded).unwrap();
    let broken = history(&root).unwrap()[0].directory.join("journal.jsonl");
    apply(&root, steps([write("/etc/b", "x", Before::Absent)]), WITHIN).unwrap();
    let text = fs::read_to_string(&broken).unwrap();
    fs::write(&broken, text.replacen("begun", "bogus", 1)).unwrap();
    let recovered = recover(&root, &Moment::now().plus_millis(3_600_000)).unwrap();
    assert_eq!(recovered.len(), 2, "{recovered:?}");
    assert!(!directory.path().join("etc/b").exists());
}

#[test]
fn a_link_is_followed_only_out_of_directories_that_are_roots_alone() {
    let directory = small_tree();
    let root = Root::at(directory.path()).unwrap();
    let at = |path: &str| directory.path().join(path);
    fs::create_dir_all(at("usr/lib/made")).unwrap();
    symlink("usr/lib", at("lib")).unwrap();
    apply(&root, steps([write("/lib/made/a", "x", Before::Absent)]), Confirm::NotNeeded).unwrap();
    assert_eq!(fs::read_to_string(at("usr/lib/made/a")).unwrap(), "x");

    // A link that leads out of the tree by .. or / stays in it.
    symlink("../../../../../../../../etc", at("usr/up")).unwrap();
    symlink("/etc", at("usr/absolute")).unwrap();
    let plan =
        steps([write("/usr/up/u", "x", Before::Absent), write("/usr/absolute/v", "x", Before::Absent)]);
    apply(&root, plan, Confirm::NotNeeded).unwrap();
    assert!(at("etc/u").exists() && at("etc/v").exists());

    fs::create_dir(at("shared")).unwrap();
    fs::set_permissions(at("shared"), fs::Permissions::from_mode(0o777)).unwrap();
    symlink("../etc", at("shared/link")).unwrap();
    for path in ["/shared/link/file", "/shared/file"] {
        let error = match apply(&root, steps([write(path, "x", Before::Absent)]), Confirm::NotNeeded) {
            Err(error) | Ok(Outcome::RolledBack { error, .. }) => error,
            Ok(other) => panic!("{other:?}"),
        };
        assert!(matches!(error, Error::Untrusted { .. }), "{path}: {error}");
        assert!(!at("etc/file").exists());
    }
}

#[test]
fn a_link_in_the_place_of_a_file_is_replaced_and_not_written_through() {
    let directory = small_tree();
    let root = Root::at(directory.path()).unwrap();
    symlink("motd", directory.path().join("etc/link")).unwrap();
    apply(&root, steps([write("/etc/link", "x", Before::Symlink("motd".into()))]), WITHIN).unwrap();
    assert_eq!(fs::read_to_string(directory.path().join("etc/motd")).unwrap(), "hello\n");
    assert_eq!(fs::read_to_string(directory.path().join("etc/link")).unwrap(), "x");
    recover(&root, &Moment::now().plus_millis(3_600_000)).unwrap();
    assert_eq!(fs::read_link(directory.path().join("etc/link")).unwrap(), Path::new("motd"));
}

#[test]
fn what_needs_the_running_machine_is_refused_on_an_image() {
    let directory = small_tree();
    let root = Root::at(directory.path()).unwrap();
    let error = apply(&root, steps([Action::ProveLogins { logins: Vec::new() }]), WITHIN).unwrap_err();
    assert!(matches!(error, Error::NotLive { .. }), "{error}");
}

#[test]
fn recovery_leaves_a_transaction_alone_that_is_over_even_if_its_plan_cannot_be_read() {
    let directory = small_tree();
    let root = Root::at(directory.path()).unwrap();
    apply(&root, steps([write("/etc/new", "x", Before::Absent)]), Confirm::NotNeeded).unwrap();
    let id = history(&root).unwrap().pop().unwrap().id;
    let plan = directory.path().join("var/lib/gabion/transactions").join(id.to_string()).join("plan.json");
    fs::write(plan, "of another version").unwrap();
    assert!(recover(&root, &Moment::now()).unwrap().is_empty());
    assert_eq!(fs::read(directory.path().join("etc/new")).unwrap(), b"x");
}
