//! Real processes, really killed.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::transaction::{apply, steps, write};
use super::tree::{self, age_directories, differences, file, snapshot};
use crate::action::{Action, Before, Owner};
use crate::engine::Confirm;
use crate::hex::Sha256;
use crate::plan::Plan;
use crate::{Moment, Root, State, history, recover};

/// Runs one of the ignored tests below in a process of its own.
fn start(test: &str, root: &Path, fault: Option<&str>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([&format!("tests::killed::{test}"), "--exact", "--ignored", "--nocapture"]);
    command.env("CHANGE_TEST_ROOT", root).stdout(Stdio::null()).stderr(Stdio::null());
    match fault {
        Some(fault) => command.env("GABION_FAULT", fault),
        None => command.env_remove("GABION_FAULT"),
    };
    command.spawn().unwrap()
}

fn root() -> Root {
    Root::at(std::env::var_os("CHANGE_TEST_ROOT").expect("this test is started by another")).unwrap()
}

fn fresh() -> tempfile::TempDir {
    let directory = tree::directory();
    file(directory.path(), "/etc/ssh/sshd_config", b"Port 22\n", 0o644);
    file(directory.path(), "/etc/old", b"old\n", 0o640);
    fs::create_dir_all(directory.path().join("var/lib")).unwrap();
    age_directories(directory.path());
    directory
}

fn plan() -> Plan {
    steps([
        Action::MakeDirectory { path: "/etc/made".into(), mode: 0o750, owner: Owner::Keep },
        write("/etc/made/file", "x", Before::Absent),
        write("/etc/ssh/sshd_config", "Port 2222\n", Before::File(Sha256::of("Port 22\n"))),
        Action::RemoveFile { path: "/etc/old".into(), before: Before::File(Sha256::of("old\n")) },
        Action::MakeSymlink { path: "/etc/link".into(), target: "made/file".into(), before: Before::Absent },
    ])
}

#[test]
#[ignore = "started in a process of its own by the tests below"]
fn child_applies() {
    apply(&root(), plan(), Confirm::NotNeeded).unwrap();
}

#[test]
#[ignore = "started in a process of its own by the tests below"]
fn child_recovers() {
    recover(&root(), &Moment::now().plus_millis(3_600_000)).unwrap();
}

#[test]
fn sigkill_at_every_point_leaves_before_or_after() {
    let trial = fresh();
    let trace = trial.path().join("trace");
    assert!(
        start("child_applies", trial.path(), Some(&format!("trace:{}", trace.display())))
            .wait()
            .unwrap()
            .success()
    );
    let points = fs::read_to_string(&trace).unwrap().lines().count();
    fs::remove_file(trace).unwrap();
    let after = snapshot(trial.path(), false);
    assert!(points > 50, "{points}");
    for point in 1..=points {
        let directory = fresh();
        let before = snapshot(directory.path(), true);
        let killed = start("child_applies", directory.path(), Some(&format!("kill:{point}"))).wait().unwrap();
        assert_eq!(killed.signal(), Some(9), "at point {point}");
        // Recovery is killed too, now and then before it has anything to do.
        start("child_recovers", directory.path(), Some(&format!("kill:{}", 1 + point % 17))).wait().unwrap();
        assert!(start("child_recovers", directory.path(), None).wait().unwrap().success());
        let root = Root::at(directory.path()).unwrap();
        match history(&root).unwrap().pop().map(|past| past.state) {
            Some(State::Confirmed { finished: true }) => {
                let now = snapshot(directory.path(), false);
                assert!(now == after, "point {point}: {:#?}", differences(&after, &now));
            }
            None | Some(State::RolledBack { .. }) => {
                let now = snapshot(directory.path(), true);
                assert!(now == before, "point {point}: {:#?}", differences(&before, &now));
            }
            Some(state) => panic!("point {point}: {state:?}"),
        }
    }
}
