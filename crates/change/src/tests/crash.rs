//! A crash at every point of every plan leaves before or after, never between.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::tree::{self, age_directories, differences, file, link, snapshot};
use crate::action::{Action, Before, Bytes, Owner, Risk};
use crate::engine::{About, Confirm, Outcome, Transaction};
use crate::fault::simulated::{count, crash_at};
use crate::hex::Sha256;
use crate::plan::{Plan, Step};
use crate::{Moment, Root, State, history, recover};

/// Directories in which plans work; the last two are not there at first.
const DIRECTORIES: [&str; 4] = ["/etc", "/etc/ssh", "/etc/ssh/sshd_config.d", "/opt/made"];
const NAMES: [&str; 4] = ["one.conf", "two.conf", "three", "four"];

/// What is drawn of a step; the model tells which step it can be.
#[derive(Debug, Clone)]
struct Draw {
    kind: u8,
    directory: usize,
    name: usize,
    contents: Vec<u8>,
    mode: u32,
}

fn draws() -> impl Strategy<Value = Vec<Draw>> {
    let draw = (
        0_u8..6,
        0..DIRECTORIES.len(),
        0..NAMES.len(),
        prop::collection::vec(any::<u8>(), 0..40),
        prop::sample::select(vec![0o600_u32, 0o644, 0o640, 0o755, 0o4755]),
    );
    let draw = draw.prop_map(|(kind, directory, name, contents, mode)| Draw {
        kind,
        directory,
        name,
        contents,
        mode,
    });
    prop::collection::vec(draw, 1..7)
}

/// What a path is, as the plan's later steps find it.
#[derive(Debug, Clone)]
enum Model {
    File(Vec<u8>, u32),
    Link(PathBuf),
    Directory(u32),
}

fn start(root: &Path) -> BTreeMap<PathBuf, Model> {
    file(root, "/etc/one.conf", b"one\n", 0o644);
    file(root, "/etc/ssh/two.conf", b"\xff\x00two", 0o600);
    file(root, "/etc/ssh/three", b"", 0o4755);
    file(root, "/opt/unrelated", b"kept", 0o640);
    link(root, "/etc/four", "ssh/three");
    fs::create_dir_all(root.join("var/lib")).unwrap();
    age_directories(root);
    BTreeMap::from([
        ("/etc".into(), Model::Directory(0o755)),
        ("/etc/ssh".into(), Model::Directory(0o755)),
        ("/etc/one.conf".into(), Model::File(b"one\n".to_vec(), 0o644)),
        ("/etc/ssh/two.conf".into(), Model::File(b"\xff\x00two".to_vec(), 0o600)),
        ("/etc/ssh/three".into(), Model::File(Vec::new(), 0o4755)),
        ("/etc/four".into(), Model::Link("ssh/three".into())),
    ])
}

fn plan(draws: &[Draw], mut model: BTreeMap<PathBuf, Model>) -> Plan {
    let mut plan = Plan::default();
    for draw in draws {
        let directory = PathBuf::from(DIRECTORIES[draw.directory]);
        let path = directory.join(NAMES[draw.name]);
        let owner = Owner::Keep;
        let mut push = |action| {
            plan.steps.push(Step {
                action,
                why: String::new(),
                controls: Vec::new(),
                shows: String::new(),
                risk: Risk::None,
            });
        };
        if !model.contains_key(&directory) {
            if directory == Path::new("/opt/made") || model.contains_key(directory.parent().unwrap()) {
                push(Action::MakeDirectory { path: directory.clone(), mode: 0o750, owner });
                model.insert(directory, Model::Directory(0o750));
            }
            continue;
        }
        let before = match model.get(&path) {
            None => Before::Absent,
            Some(Model::File(contents, _)) => Before::File(Sha256::of(contents)),
            Some(Model::Link(target)) => Before::Symlink(target.clone()),
            Some(Model::Directory(_)) => continue,
        };
        let exists = model.get(&path).cloned();
        match (draw.kind, exists) {
            (0 | 1, _) => {
                let contents = Bytes(draw.contents.clone());
                push(Action::WriteFile { path: path.clone(), contents, mode: draw.mode, owner, before });
                model.insert(path, Model::File(draw.contents.clone(), draw.mode));
            }
            (2, _) => {
                let target = PathBuf::from(format!("target-{:o}", draw.mode));
                push(Action::MakeSymlink { path: path.clone(), target: target.clone(), before });
                model.insert(path, Model::Link(target));
            }
            (3, Some(_)) => {
                push(Action::RemoveFile { path: path.clone(), before });
                model.remove(&path);
            }
            (4, Some(Model::File(contents, mode_before))) => {
                push(Action::SetAttributes { path: path.clone(), mode: draw.mode, owner, mode_before });
                model.insert(path, Model::File(contents, draw.mode));
            }
            (5, _) => {
                if let Some(Model::Directory(mode_before)) = model.get(&directory).cloned() {
                    push(Action::SetAttributes { path: directory.clone(), mode: 0o700, owner, mode_before });
                    model.insert(directory, Model::Directory(0o700));
                }
            }
            _ => {}
        }
    }
    plan
}

const CONFIRM: Confirm = Confirm::Within(Duration::from_secs(600));

fn apply(root: &Root, plan: &Plan, confirm: Confirm) -> crate::Result<Outcome> {
    Transaction::begin(root, plan.clone(), &About::default())?.apply(confirm, &mut |_| {})
}

/// Crashes at every point, recovers (crashing in that too), and looks at what is there.
fn crash_everywhere(draws: &[Draw], confirm: Confirm) {
    let trial = tree::directory();
    let model = start(trial.path());
    let plan = plan(draws, model);
    if plan.is_empty() {
        return;
    }
    let (points, outcome) = count(|| apply(&Root::at(trial.path()).unwrap(), &plan, confirm).unwrap());
    assert!(matches!(outcome, Outcome::Confirmed | Outcome::Pending { .. }), "{outcome:?}");
    let after = snapshot(trial.path(), false);
    for point in 0..points {
        let directory = tree::directory();
        start(directory.path());
        let before = snapshot(directory.path(), true);
        let root = Root::at(directory.path()).unwrap();
        let ended = crash_at(point, || apply(&root, &plan, confirm).unwrap());
        assert!(ended.is_none(), "there is a point {point} of {points}");

        let late = Moment::now().plus_millis(3_600_000);
        // Recovery is killed as well, earlier and later, and then runs through.
        for second in [point % 5, 7 + point % 11, 20 + point % 29] {
            crash_at(second, || recover(&root, &late).unwrap());
        }
        recover(&root, &late).unwrap();
        let nothing_left = recover(&root, &late).unwrap();
        assert!(nothing_left.is_empty(), "{nothing_left:?}");

        let past = history(&root).unwrap();
        match past.last().map(|past| &past.state) {
            Some(State::Confirmed { finished: true }) => {
                assert_eq!(confirm, Confirm::NotNeeded, "only what needs no confirmation stays");
                let found = snapshot(directory.path(), false);
                assert!(found == after, "point {point}: {:#?}\n{plan:#?}", differences(&after, &found));
            }
            None | Some(State::RolledBack { .. }) => {
                let found = snapshot(directory.path(), true);
                assert!(found == before, "point {point}: {:#?}\n{plan:#?}", differences(&before, &found));
            }
            Some(state) => panic!("point {point}: {state:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_crash_anywhere_leaves_before_or_after(draws in draws()) {
        crash_everywhere(&draws, Confirm::NotNeeded);
    }

    #[test]
    fn a_crash_anywhere_before_the_confirmation_leaves_before(draws in draws()) {
        crash_everywhere(&draws, CONFIRM);
    }
}

#[test]
fn a_crash_in_confirming_leaves_pending_or_confirmed() {
    use host::facts::{Via, WayIn};
    let draw = |kind| Draw { kind, directory: 0, name: 0, contents: b"new".to_vec(), mode: 0o600 };
    let console = WayIn { via: Via::Console, user: None, started_ticks: None, session_pid: None };
    for point in 0.. {
        let directory = tree::directory();
        let plan = plan(&[draw(0)], start(directory.path()));
        let before = snapshot(directory.path(), true);
        let root = Root::at(directory.path()).unwrap();
        apply(&root, &plan, CONFIRM).unwrap();
        let after = snapshot(directory.path(), true);
        let id = crate::pending(&root).unwrap().unwrap();
        let ended = crash_at(point, || crate::confirm(&root, &id, &console, true).unwrap());
        recover(&root, &Moment::now()).unwrap();
        match &history(&root).unwrap()[0].state {
            State::Pending { .. } => {
                assert_eq!(snapshot(directory.path(), true), after);
                recover(&root, &Moment::now().plus_millis(3_600_000)).unwrap();
                assert_eq!(snapshot(directory.path(), true), before);
            }
            State::Confirmed { finished: true } => assert_eq!(snapshot(directory.path(), true), after),
            state => panic!("point {point}: {state:?}"),
        }
        if ended.is_some() {
            assert!(point > 2, "confirming passes crash points");
            return;
        }
    }
}
