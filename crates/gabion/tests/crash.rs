//! Killed or powered off at any point of a full plan, of its undoing and of its confirmation, a host is brought to before
//! or after, never between: files, accounts, units and the kernel's packet filter, byte for byte.
//!
//! The points are those of `crates/change/src/fault.rs`: around every write, sync, rename and journal line.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test: its helpers unwrap, it prints what it measured, and it works on throwaway hosts"
)]

mod scene;

use lab::{DiskCopy, Tree};
use scene::{GABION, Moment, Scene};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

const APPLY: [&str; 6] = [GABION, "apply", "--yes", "--no-wait", "--confirm-within", "3600"];
/// On the console there is nothing to confirm: what is applied stays.
const APPLY_AND_KEEP: [&str; 4] = [GABION, "apply", "--yes", "--no-wait"];
const ROLLBACK: [&str; 2] = [GABION, "rollback"];
const RECOVER: [&str; 2] = [GABION, "recover"];
const CONFIRM: [&str; 3] = [GABION, "confirm", "--from-console"];
const KILLED: i32 = 128 + 9;

impl Scene {
    fn with_fault(&self, fault: &str, words: &[&str]) -> lab::Output {
        let fault = format!("GABION_FAULT={fault}");
        self.host.run(&[&["env", &fault], words].concat()).unwrap()
    }

    /// The points that a command passes.
    fn points(&self, words: &[&str]) -> Vec<String> {
        self.with_fault("trace:/run/trace", words).unwrap();
        let points = String::from_utf8(self.host.read("/run/trace").unwrap()).unwrap();
        self.host.run(&["rm", "/run/trace"]).unwrap().unwrap();
        points.lines().map(str::to_owned).collect()
    }

    fn must(&self, words: &[&str]) {
        self.host.run(words).unwrap().unwrap();
    }

    /// So that every round meets a host without any past.
    fn forget(&self) {
        self.must(&["rm", "-rf", "/var/lib/gabion"]);
    }

    #[track_caller]
    fn assert_before(&self, when: &str) {
        self.before.assert_same(&Moment::of(&self.host), when);
        assert!(!self.timer_stands(), "{when}: the timer is gone");
        self.assert_nothing_left();
    }

    /// What recovery makes of a transaction that was cut off; one that waits is undone as its timer would.
    fn recover_or_undo(&self) {
        self.must(&RECOVER);
        if self.is_pending() {
            self.must(&ROLLBACK);
        }
    }
}

/// Every host of these tests does the same; half of the points each keeps two processors busy.
fn sigkill_at_every(share: usize, shares: usize) {
    let Some(scene) = Scene::stage(Tree::bookworm) else { return };
    let points = scene.points(&APPLY);
    scene.must(&ROLLBACK);
    scene.assert_before("applied and undone");
    assert!(points.len() > 150, "{points:?}");
    let began = Instant::now();
    for (n, name) in points.iter().enumerate().filter(|(n, _)| n % shares == share) {
        scene.forget();
        let killed = scene.with_fault(&format!("kill:{}", n + 1), &APPLY);
        assert_eq!(killed.status, KILLED, "{n} {name}: {}", killed.stderr);
        scene.recover_or_undo();
        scene.assert_before(&format!("killed at point {n} ({name}) of applying"));
    }
    scene.assert_password_login();
    println!(
        "MEASURED: {} of {} points of apply killed in {:?}",
        points.len() / shares,
        points.len(),
        began.elapsed()
    );
}

#[test]
fn sigkill_at_every_even_point_of_applying_leaves_before() {
    sigkill_at_every(0, 2);
}

#[test]
fn sigkill_at_every_odd_point_of_applying_leaves_before() {
    sigkill_at_every(1, 2);
}

/// One undoing, killed again and again: at the first point, at the second, and so on until a step more is undone.
#[test]
fn undoing_that_is_killed_at_every_point_of_every_step_undoes_all() {
    let Some(scene) = Scene::stage(Tree::bookworm) else { return };
    scene.must(&APPLY);
    let journal = || {
        let id = scene.host.run(&["ls", "/var/lib/gabion/transactions"]).unwrap().stdout;
        let id = id.lines().find(|name| *name != "lock").unwrap().to_owned();
        String::from_utf8(
            scene.host.read(format!("/var/lib/gabion/transactions/{id}/journal.jsonl")).unwrap(),
        )
        .unwrap()
    };
    let mut kills = 0;
    let (mut nth, mut undone) = (0, 0);
    loop {
        nth += 1;
        // First as somebody asks for it, then as recovery does.
        let command: &[&str] = if scene.is_pending() { &ROLLBACK } else { &RECOVER };
        let output = scene.with_fault(&format!("kill:{nth}"), command);
        if output.status != KILLED {
            output.unwrap();
            break;
        }
        kills += 1;
        let now = journal().matches(r#""event":"undone""#).count();
        if now > undone {
            (nth, undone) = (0, now);
        }
    }
    assert!(kills > 100, "{kills}");
    scene.assert_before("undone under fire");
    scene.assert_password_login();
    println!("MEASURED: one undoing killed {kills} times");
}

#[test]
fn sigkill_at_every_point_of_confirming_leaves_it_waiting_or_confirmed() {
    let Some(scene) = Scene::stage(Tree::bookworm) else { return };
    scene.must(&APPLY);
    let applied = Moment::of(&scene.host);
    for nth in 1.. {
        let output = scene.with_fault(&format!("kill:{nth}"), &CONFIRM);
        if !scene.is_pending() {
            assert!(nth > 1);
            break;
        }
        assert_eq!(output.status, KILLED, "{}", output.stderr);
        scene.must(&RECOVER);
        applied.assert_same(&Moment::of(&scene.host), "while it waits");
        assert!(scene.timer_stands(), "killed at point {nth} of confirming: the timer goes on");
    }
    scene.must(&RECOVER);
    applied.assert_same(&Moment::of(&scene.host), "confirmed");
    assert!(!scene.timer_stands());
    scene.assert_nothing_left();
    scene.must(&ROLLBACK);
    scene.assert_before("rolled back");

    // Where nothing is to be confirmed, what was applied when the program was killed stays.
    scene.forget();
    let points = scene.points(&APPLY_AND_KEEP);
    scene.must(&ROLLBACK);
    let last = points.iter().rposition(|name| name == "step: acted").unwrap();
    for (n, name) in points.iter().enumerate().skip(last) {
        scene.forget();
        assert_eq!(
            scene.with_fault(&format!("kill:{}", n + 1), &APPLY_AND_KEEP).status,
            KILLED,
            "{n} {name}"
        );
        scene.must(&RECOVER);
        if scene.states().last().is_some_and(|state| state == "confirmed") {
            scene.assert_applied();
            scene.assert_nothing_left();
            scene.must(&ROLLBACK);
        }
        scene.assert_before(&format!("killed at point {n} ({name})"));
    }
}

/// What a disk must hold when recovery has run on it.
#[derive(Debug, Clone, Copy)]
enum Then {
    /// All is undone.
    Before,
    /// All is undone, or all is confirmed.
    BeforeOrAfter,
}

/// A disk at the moment of a power cut.
struct Cut {
    when: String,
    copy: DiskCopy,
    booted: bool,
    then: Then,
    after: Option<Moment>,
}

/// Goes through a command point by point and cuts the power of a copy at each.
fn cut_at_every(
    scene: &Scene,
    words: &[&str],
    then: Then,
    after: Option<&Moment>,
    send: &dyn Fn(Cut),
) -> usize {
    let file = PathBuf::from(format!("/proc/{}/root/run/step", scene.host.leader().unwrap()));
    let mut command = scene.host.spawn(&[&["env", "GABION_FAULT=step:/run/step"], words].concat()).unwrap();
    let (mut points, mut before_last) = (0, String::new());
    loop {
        while !file.exists() {
            if let Some(status) = command.wait(Duration::ZERO).unwrap() {
                assert!(status.success(), "{words:?}: {}", command.stderr());
                return points;
            }
            thread::sleep(Duration::from_millis(1));
        }
        let name = std::fs::read_to_string(&file).unwrap();
        let copy = scene.host.power_cut_copy().unwrap();
        // Of every step: before it acts, in its middle, and when it has acted.
        let booted = after.is_none()
            && (["step: before acting", "step: acted", "timer: armed"].contains(&name.as_str())
                || before_last == "step: before acting");
        let when = format!("power cut at point {points} ({name}) of {}", words[1]);
        send(Cut { when, copy, booted, then, after: after.cloned() });
        std::fs::remove_file(&file).unwrap();
        points += 1;
        before_last = name;
    }
}

/// Nothing of the plan but what undoes it may be there before the boot can undo it.
const HARMLESS: [&str; 5] = [
    // Unfinished files of theirs, under names that nothing reads.
    "/usr/local/sbin/.gabion.gabion-",
    "/etc/systemd/system/.gabion-recover.service.gabion-",
    "/usr/local/sbin/gabion",
    "/etc/systemd/system/gabion-recover.service",
    "/etc/systemd/system/sysinit.target.wants",
];

fn check(scene: &Scene, cut: Cut) {
    let Cut { when, copy, booted, then, after } = cut;
    let mut host = copy.into_host().unwrap();
    let root = host.root_on_this_machine();
    let link = root.join("etc/systemd/system/sysinit.target.wants/gabion-recover.service");
    let boot_undoes = link.symlink_metadata().is_ok() && root.join("usr/local/sbin/gabion").exists();
    let opened = scene::transactions(&root).len();
    if !boot_undoes && matches!(then, Then::Before) && words_of_apply(&when) {
        let found = host.manifest(&scene::MANAGED).unwrap();
        let difference = scene.before.files.diff(&found);
        let risky = difference.lines().find(|line| !HARMLESS.iter().any(|path| line[2..].starts_with(path)));
        assert_eq!(risky, None, "{when}: nothing risky before the boot can undo it");
    }
    if booted {
        host.start().unwrap();
        if boot_undoes {
            let state = host.run(&["systemctl", "is-failed", "gabion-recover.service"]).unwrap();
            assert_ne!(state.stdout, "failed\n", "{when}");
        } else {
            host.run(&RECOVER).unwrap().unwrap();
        }
        let after_boot = Scene { host, key: scene.key.clone(), before: scene.before.clone() };
        let states = after_boot.states();
        assert!(
            states.iter().all(|state| state == "rolled-back") && states.len() == opened,
            "{when}: {states:?}"
        );
        after_boot.assert_before(&when);
        after_boot.assert_password_login();
        return;
    }
    // In a network and a table of processes of its own; /dev is borrowed for /dev/null.
    let recover = "mount -t proc proc \"$0/proc\"; mount --bind /dev \"$0/dev\"; exec chroot \"$0\" \"$@\"";
    let mut command = host.net().command("unshare");
    command
        .args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", recover])
        .arg(&root)
        .args(RECOVER)
        .arg("--boot");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{when}: {}", String::from_utf8_lossy(&output.stderr));
    let found = host.manifest(&scene::MANAGED).unwrap();
    let difference = scene.before.files.diff(&found);
    let is_after =
        matches!(then, Then::BeforeOrAfter) && after.is_some_and(|after| after.files.diff(&found).is_empty());
    assert!(difference.is_empty() || is_after, "{when}:\n{difference}");
    assert_eq!(scene::leftovers(&root), Vec::<String>::new(), "{when}");
}

fn words_of_apply(when: &str) -> bool {
    when.ends_with(" of apply")
}

#[test]
fn a_power_cut_at_every_point_leaves_before_or_after() {
    let Some(scene) = Scene::stage(Tree::bookworm) else { return };
    let failures = Mutex::new(Vec::new());
    let (sender, receiver) = sync_channel::<Cut>(2);
    let receiver = Mutex::new(receiver);
    let next = |receiver: &Mutex<Receiver<Cut>>| receiver.lock().unwrap().recv().ok();
    let began = Instant::now();
    let points = thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(cut) = next(&receiver) {
                    let when = cut.when.clone();
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(&scene, cut))) {
                        let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                        failures.lock().unwrap().push(format!("{when}: {text}"));
                    }
                }
            });
        }
        let send = move |cut| sender.send(cut).unwrap();
        let applying = cut_at_every(&scene, &APPLY, Then::Before, None, &send);
        let applied = Moment::of(&scene.host);
        let undoing = cut_at_every(&scene, &ROLLBACK, Then::Before, Some(&applied), &send);
        scene.assert_before("applied and undone");
        scene.forget();
        scene.must(&APPLY);
        let applied = Moment::of(&scene.host);
        let confirming = cut_at_every(&scene, &CONFIRM, Then::BeforeOrAfter, Some(&applied), &send);
        (applying, undoing, confirming)
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of {points:?}:\n{}", failures.len(), failures.join("\n"));
    assert!(points.0 > 150 && points.1 > 100 && points.2 > 3, "{points:?}");
    println!(
        "MEASURED: power cut at {points:?} points of apply, rollback and confirm in {:?}",
        began.elapsed()
    );
}
