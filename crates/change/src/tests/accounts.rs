//! Accounts made and changed by the host's own programs, on an image, and undone.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::tree::{self, age, age_directories, differences, file, snapshot};
use crate::action::{Action, Before, Bytes, Owner, Risk, Secret, UserChange};
use crate::engine::{About, Confirm, Outcome, Transaction};
use crate::fault::simulated::{count, crash_at};
use crate::plan::{Plan, Step};
use crate::{Moment, Recovery, Root, State, history, recover};

/// The programs must be root's to run on an image.
fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("not root: useradd(8) was not tried");
    }
    is_root
}

fn image(root: &Path) {
    file(
        root,
        "/etc/passwd",
        b"root:x:0:0:root:/root:/bin/bash\nanna:x:1000:1000::/home/anna:/bin/sh\n",
        0o644,
    );
    file(root, "/etc/shadow", b"root:*:19000:0:99999:7:::\nanna:$6$a$b:19000:0:90:7:::\n", 0o640);
    // No newline at the end, as an editor may leave it.
    file(root, "/etc/group", b"root:x:0:\nsudo:x:27:\nanna:x:1000:\nadm:x:4:anna", 0o644);
    file(root, "/etc/gshadow", b"root:*::\nsudo:*::\nanna:!::\nadm:*::anna\n", 0o640);
    file(root, "/etc/subuid", b"", 0o644);
    file(root, "/etc/passwd-", b"root:x:0:0:root:/root:/bin/bash\n", 0o600);
    file(
        root,
        "/etc/login.defs",
        b"UID_MIN 1000\nGID_MIN 1000\nUSERGROUPS_ENAB yes\nCREATE_MAIL_SPOOL yes\nMAIL_DIR /var/mail\n",
        0o644,
    );
    file(root, "/etc/skel/.profile", b"umask 077\n", 0o644);
    file(root, "/home/anna/notes", b"hers", 0o600);
    fs::create_dir_all(root.join("var/mail")).unwrap();
    fs::create_dir_all(root.join("var/lib")).unwrap();
    age_directories(root);
}

fn step(action: Action) -> Step {
    Step { action, why: String::new(), controls: Vec::new(), shows: String::new(), risk: Risk::None }
}

fn create() -> Action {
    Action::CreateUser {
        name: "deploy".to_owned(),
        shell: "/bin/sh".into(),
        home: "/home/deploy".into(),
        groups: vec!["sudo".to_owned()],
    }
}

fn change(name: &str, change: UserChange) -> Action {
    Action::ChangeUser { name: name.to_owned(), change }
}

fn plan() -> Plan {
    let deploy = Owner::Account("deploy".to_owned());
    let actions = vec![
        create(),
        Action::MakeDirectory { path: "/home/deploy/.ssh".into(), mode: 0o700, owner: deploy.clone() },
        Action::WriteFile {
            path: "/home/deploy/.ssh/authorized_keys".into(),
            contents: Bytes(b"ssh-ed25519 AAAA laptop\n".to_vec()),
            mode: 0o600,
            owner: deploy,
            before: Before::Absent,
        },
        change("deploy", UserChange::LockPassword),
        change("anna", UserChange::AddToGroup { group: "sudo".to_owned() }),
        change("anna", UserChange::SetPasswordHash { hash: Secret("$6$new$hash".to_owned()) }),
        change("anna", UserChange::SetShell { shell: "/bin/bash".into() }),
        change("anna", UserChange::NeverExpirePassword),
    ];
    Plan { steps: actions.into_iter().map(step).collect(), notes: Vec::new() }
}

const CONFIRM: Confirm = Confirm::Within(Duration::from_secs(600));

fn apply(root: &Root, plan: &Plan) -> Outcome {
    Transaction::begin(root, plan.clone(), &About::default()).unwrap().apply(CONFIRM, &mut |_| {}).unwrap()
}

fn late() -> Moment {
    Moment::now().plus_millis(3_600_000)
}

fn read(root: &Path, path: &str) -> String {
    fs::read_to_string(root.join(path)).unwrap()
}

/// The notes of the one transaction that was undone.
fn undo(root: &Root) -> Vec<String> {
    let mut recovered = recover(root, &late()).unwrap();
    match recovered.pop().map(|recovered| recovered.recovery) {
        Some(Recovery::Undone(report)) => {
            assert!(report.failures.is_empty(), "{:?}", report.failures);
            report.notes
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn accounts_are_made_changed_and_undone_to_the_byte() {
    if !is_root() {
        return;
    }
    let directory = tree::directory();
    image(directory.path());
    let before = snapshot(directory.path(), true);
    let root = Root::at(directory.path()).unwrap();
    let outcome = apply(&root, &plan());
    assert!(matches!(outcome, Outcome::Pending { .. }), "{outcome:?}");

    let at = |path| read(directory.path(), path);
    assert!(at("etc/passwd").contains("deploy:x:1001:1001::/home/deploy:/bin/sh\n"), "{}", at("etc/passwd"));
    assert!(at("etc/passwd").contains("anna:x:1000:1000::/home/anna:/bin/bash\n"));
    assert!(at("etc/group").contains("sudo:x:27:deploy,anna\n"), "{}", at("etc/group"));
    assert!(at("etc/shadow").contains("anna:$6$new$hash:"), "{}", at("etc/shadow"));
    assert!(at("etc/shadow").contains("deploy:!"), "{}", at("etc/shadow"));
    let keys = directory.path().join("home/deploy/.ssh/authorized_keys");
    let (stat, parent) =
        (rustix::fs::stat(&keys).unwrap(), rustix::fs::stat(keys.parent().unwrap()).unwrap());
    assert_eq!((stat.st_uid, stat.st_gid, stat.st_mode & 0o7777), (1001, 1001, 0o600));
    assert_eq!((parent.st_uid, parent.st_gid, parent.st_mode & 0o7777), (1001, 1001, 0o700));

    assert_eq!(undo(&root), Vec::<String>::new());
    let now = snapshot(directory.path(), true);
    assert!(now == before, "{:#?}", differences(&before, &now));
}

#[test]
fn a_crash_at_any_point_of_account_changes_leaves_before() {
    if !is_root() {
        return;
    }
    let trial = tree::directory();
    image(trial.path());
    let (points, _) = count(|| apply(&Root::at(trial.path()).unwrap(), &plan()));
    for point in 0..points {
        let directory = tree::directory();
        image(directory.path());
        let before = snapshot(directory.path(), true);
        let root = Root::at(directory.path()).unwrap();
        assert!(crash_at(point, || apply(&root, &plan())).is_none());
        crash_at(point % 23, || recover(&root, &late()).unwrap());
        recover(&root, &late()).unwrap();
        let now = snapshot(directory.path(), true);
        assert!(now == before, "point {point} of {points}: {:#?}", differences(&before, &now));
        let states: Vec<State> = history(&root).unwrap().into_iter().map(|past| past.state).collect();
        assert!(states.iter().all(|state| matches!(state, State::RolledBack { .. })), "{states:?}");
    }
}

/// useradd(8) writes its files one after the other; a power cut can fall between any two, and leaves its locks.
#[test]
fn useradd_that_was_cut_off_anywhere_is_undone() {
    if !is_root() {
        return;
    }
    let plan = Plan { steps: vec![step(create())], notes: Vec::new() };
    let made = tree::directory();
    image(made.path());
    apply(&Root::at(made.path()).unwrap(), &plan);
    let written = [
        "etc/passwd-",
        "etc/passwd",
        "etc/shadow-",
        "etc/shadow",
        "etc/group-",
        "etc/group",
        "etc/gshadow-",
        "etc/gshadow",
        "etc/subuid-",
        "etc/subuid",
    ];
    for cut in 0..=written.len() {
        let directory = tree::directory();
        image(directory.path());
        let before = snapshot(directory.path(), true);
        let root = Root::at(directory.path()).unwrap();
        // The point just before useradd would be started.
        let point = (0..).find(|point| {
            let trial = tree::directory();
            image(trial.path());
            let root = Root::at(trial.path()).unwrap();
            crash_at(*point, || apply(&root, &plan));
            trial.path().join("home/deploy").exists()
        });
        crash_at(point.unwrap() - 1, || apply(&root, &plan));
        assert!(!directory.path().join("home/deploy").exists(), "useradd was not started");

        for path in &written[..cut] {
            fs::copy(made.path().join(path), directory.path().join(path)).unwrap();
        }
        for leftover in ["etc/passwd.lock", "etc/passwd.4711", "etc/shadow+"] {
            fs::write(directory.path().join(leftover), "4711\n").unwrap();
        }
        fs::create_dir(directory.path().join("home/deploy")).unwrap();
        fs::copy(directory.path().join("etc/skel/.profile"), directory.path().join("home/deploy/.profile"))
            .unwrap();
        fs::write(directory.path().join("var/mail/deploy"), "").unwrap();

        assert_eq!(undo(&root), Vec::<String>::new());
        let now = snapshot(directory.path(), true);
        assert!(now == before, "cut after {cut}: {:#?}", differences(&before, &now));
    }
}

#[test]
fn what_others_did_to_the_accounts_meanwhile_stays() {
    if !is_root() {
        return;
    }
    let directory = tree::directory();
    image(directory.path());
    let root = Root::at(directory.path()).unwrap();
    apply(&root, &plan());
    let append = |path: &str, line: &str| {
        let path = directory.path().join(path);
        fs::write(&path, [fs::read(&path).unwrap(), line.as_bytes().to_vec()].concat()).unwrap();
    };
    append("etc/passwd", "bert:x:1002:1002:\u{e9}:/home/bert:/bin/sh\n");
    append("etc/shadow", "bert:!:19000:0:99999:7:::\n");
    append("etc/group", "bert:x:1002:\nteam:x:1003:deploy,bert\n");
    let notes = undo(&root);
    assert!(notes.iter().any(|note| note.starts_with("/etc/passwd: changed by others")), "{notes:?}");

    let at = |path| read(directory.path(), path);
    let passwd = "root:x:0:0:root:/root:/bin/bash\nanna:x:1000:1000::/home/anna:/bin/sh\nbert:x:1002:1002:\u{e9}:/home/bert:/bin/sh\n";
    assert_eq!(at("etc/passwd"), passwd);
    assert_eq!(
        at("etc/shadow"),
        "root:*:19000:0:99999:7:::\nanna:$6$a$b:19000:0:90:7:::\nbert:!:19000:0:99999:7:::\n"
    );
    assert_eq!(
        at("etc/group"),
        "root:x:0:\nsudo:x:27:\nanna:x:1000:\nadm:x:4:anna\nbert:x:1002:\nteam:x:1003:bert\n"
    );
    // Nobody changed this one.
    assert_eq!(at("etc/gshadow"), "root:*::\nsudo:*::\nanna:!::\nadm:*::anna\n");
    let stat = rustix::fs::stat(directory.path().join("etc/shadow")).unwrap();
    assert_eq!((stat.st_uid, stat.st_mode & 0o7777), (0, 0o640), "an account file keeps its owner and mode");
}

#[test]
fn a_password_that_somebody_set_meanwhile_is_not_taken_back() {
    if !is_root() {
        return;
    }
    let directory = tree::directory();
    image(directory.path());
    let root = Root::at(directory.path()).unwrap();
    apply(&root, &plan());
    let shadow = directory.path().join("etc/shadow");
    let text = fs::read_to_string(&shadow).unwrap();
    fs::write(&shadow, text.replace("$6$new$hash", "$6$their$own")).unwrap();
    undo(&root);
    let text = fs::read_to_string(&shadow).unwrap();
    assert!(text.contains("anna:$6$their$own:"), "{text}");
    assert!(!text.contains("deploy"), "{text}");
}

#[test]
fn files_that_the_new_user_made_are_kept_and_closed() {
    if !is_root() {
        return;
    }
    let directory = tree::directory();
    image(directory.path());
    let root = Root::at(directory.path()).unwrap();
    apply(&root, &plan());
    let home = directory.path().join("home/deploy");
    // What a login leaves empty is nothing; a file with something in it is.
    fs::create_dir(home.join(".cache")).unwrap();
    fs::write(home.join(".cache/motd.legal-displayed"), "").unwrap();
    fs::write(home.join("work"), "of an hour").unwrap();
    let notes = undo(&root);
    assert!(notes.iter().any(|note| note.contains("holds files of its user")), "{notes:?}");
    assert!(!home.exists());
    let kept: Vec<PathBuf> =
        fs::read_dir(directory.path().join("home")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let kept = kept.iter().find(|path| path.to_string_lossy().contains("deploy.gabion")).unwrap();
    assert_eq!(fs::read_to_string(kept.join("work")).unwrap(), "of an hour");
    let stat = rustix::fs::stat(kept.as_path()).unwrap();
    assert_eq!((stat.st_uid, stat.st_gid, stat.st_mode & 0o7777), (0, 0, 0o700));
    assert!(
        notes.iter().any(|note| note.contains(&*kept.file_name().unwrap().to_string_lossy())),
        "{notes:?}"
    );
}

#[test]
fn what_a_login_leaves_empty_in_a_new_home_does_not_keep_it() {
    if !is_root() {
        return;
    }
    let directory = tree::directory();
    image(directory.path());
    let before = snapshot(directory.path(), true);
    let root = Root::at(directory.path()).unwrap();
    apply(&root, &plan());
    let home = directory.path().join("home/deploy");
    fs::create_dir(home.join(".cache")).unwrap();
    fs::write(home.join(".cache/motd.legal-displayed"), "").unwrap();
    fs::write(home.join(".sudo_as_admin_successful"), "").unwrap();
    assert_eq!(undo(&root), Vec::<String>::new());
    let now = snapshot(directory.path(), true);
    assert!(now == before, "{:#?}", differences(&before, &now));
}

#[test]
fn mail_that_came_for_the_new_user_is_kept_for_root() {
    if !is_root() {
        return;
    }
    let directory = tree::directory();
    image(directory.path());
    let root = Root::at(directory.path()).unwrap();
    apply(&root, &plan());
    let mailbox = directory.path().join("var/mail/deploy");
    fs::write(&mailbox, "From anna\n").unwrap();
    let notes = undo(&root);
    assert!(notes.iter().any(|note| note.contains("holds mail")), "{notes:?}");
    let stat = rustix::fs::stat(&mailbox).unwrap();
    assert_eq!((stat.st_uid, stat.st_mode & 0o7777), (0, 0o600));
}

#[test]
fn an_account_or_home_that_exists_makes_the_plan_stale() {
    let directory = tree::directory();
    image(directory.path());
    let root = Root::at(directory.path()).unwrap();
    let plan = Plan { steps: vec![step(create())], notes: Vec::new() };
    fs::create_dir(directory.path().join("home/deploy")).unwrap();
    age(&directory.path().join("home"));
    let error = Transaction::begin(&root, plan.clone(), &About::default()).unwrap_err();
    assert!(matches!(&error, crate::Error::StalePlan { what, .. } if what == "/home/deploy"), "{error}");
    file(directory.path(), "/etc/passwd", b"deploy:x:7:7::/:/bin/sh\n", 0o644);
    let error = Transaction::begin(&root, plan, &About::default()).unwrap_err();
    assert!(matches!(&error, crate::Error::StalePlan { what, .. } if what == "account deploy"), "{error}");
}

#[test]
fn a_name_that_a_program_could_take_for_something_else_is_refused() {
    let directory = tree::directory();
    image(directory.path());
    let root = Root::at(directory.path()).unwrap();
    for name in ["-o", "a:b", "a,b", "a b", "", "a\nb", "../x", "1000"] {
        let actions = [
            change(name, UserChange::LockPassword),
            change("anna", UserChange::AddToGroup { group: name.to_owned() }),
            Action::CreateUser {
                name: name.to_owned(),
                shell: "/bin/sh".into(),
                home: "/home/x".into(),
                groups: Vec::new(),
            },
        ];
        for action in actions {
            let plan = Plan { steps: vec![step(action)], notes: Vec::new() };
            let error = Transaction::begin(&root, plan, &About::default()).unwrap_err();
            assert!(matches!(error, crate::Error::BadName { .. }), "{name:?}: {error}");
        }
    }
    let hash = change("anna", UserChange::SetPasswordHash { hash: Secret("x\nroot:".to_owned()) });
    let plan = Plan { steps: vec![step(hash)], notes: Vec::new() };
    assert!(matches!(Transaction::begin(&root, plan, &About::default()), Err(crate::Error::BadName { .. })));
}
