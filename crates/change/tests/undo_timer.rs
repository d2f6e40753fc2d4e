//! The detached process that undoes where there is no systemd. Started in a process of its own, it is this file's
//! `main` that calls it, as the program's does.

#![allow(clippy::disallowed_methods, reason = "a test makes the tree that it changes, and starts itself")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use change::action::{Action, Before, Bytes, Owner, Risk};
use change::plan::{Plan, Step};
use change::{About, Because, Confirm, Outcome, Root, State, Transaction, UNDO_TIMER, history, pending};
use libtest_mimic::{Arguments, Failed, Trial};
use rustix::process::{Pid, Signal, getsid, kill_process};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().is_some_and(|verb| verb == UNDO_TIMER) {
        let root = Root::at(arguments.next().expect("a root")).expect("the root opens");
        let id = arguments.next().expect("a transaction").parse().expect("its name");
        change::run_undo_timer(&root, &id).expect("it is undone");
        return ExitCode::SUCCESS;
    }
    let trials = vec![
        Trial::test("the_detached_timer_outlives_hang_up_and_termination_and_undoes", outlives_signals),
        Trial::test("the_detached_timer_ends_at_once_where_the_change_is_confirmed", ends_when_confirmed),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn apply(root: &Root, time: Duration) -> Outcome {
    let action = Action::WriteFile {
        path: "/etc/motd".into(),
        contents: Bytes(b"new".to_vec()),
        mode: 0o644,
        owner: Owner::Keep,
        before: Before::Absent,
    };
    let step =
        Step { action, why: String::new(), controls: Vec::new(), shows: String::new(), risk: Risk::None };
    let plan = Plan { steps: vec![step], notes: Vec::new() };
    let transaction = Transaction::begin(root, plan, &About::default()).expect("it begins");
    transaction.apply(Confirm::Within(time), &mut |_| {}).expect("it is applied")
}

fn timer(directory: &Path, root: &Root) -> Child {
    let id = pending(root).expect("journals are read").expect("one waits");
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.arg(UNDO_TIMER).arg(directory).arg(id.as_str()).stdout(Stdio::piped());
    command.spawn().expect("it starts")
}

fn wait_until_ready(timer: &mut Child) {
    let mut said = BufReader::new(timer.stdout.take().expect("a pipe"));
    assert_eq!(said.fill_buf().expect("it answers"), b"+");
}

fn outlives_signals() -> Result<(), Failed> {
    let directory = tempfile::tempdir()?;
    fs::create_dir(directory.path().join("etc"))?;
    let root = Root::at(directory.path())?;
    let limit = Duration::from_secs(2);
    let began = Instant::now();
    apply(&root, limit);
    let mut timer = timer(directory.path(), &root);
    wait_until_ready(&mut timer);
    let pid = Pid::from_raw(i32::try_from(timer.id())?).ok_or("a process number")?;
    assert_eq!(getsid(Some(pid))?, pid, "it is in a session of its own");
    for signal in [Signal::HUP, Signal::TERM, Signal::INT, Signal::QUIT] {
        kill_process(pid, signal)?;
    }
    let is_there = directory.path().join("etc/motd").exists();
    assert!(is_there || began.elapsed() >= limit, "it is not undone before its time");
    let status = timer.wait()?;
    assert!(status.success(), "{status}");
    let state = history(&root)?.pop().map(|past| past.state);
    assert_eq!(state, Some(State::RolledBack { because: Because::Unconfirmed }));
    assert!(!directory.path().join("etc/motd").exists());
    Ok(())
}

fn ends_when_confirmed() -> Result<(), Failed> {
    let directory = tempfile::tempdir()?;
    fs::create_dir(directory.path().join("etc"))?;
    let root = Root::at(directory.path())?;
    apply(&root, Duration::from_secs(3600));
    let mut timer = timer(directory.path(), &root);
    wait_until_ready(&mut timer);
    let console = host::facts::WayIn {
        via: host::facts::Via::Console,
        user: None,
        started_ticks: None,
        session_pid: None,
    };
    let id = pending(&root)?.ok_or("one waits")?;
    assert_eq!(change::confirm(&root, &id, &console, true)?, change::Confirmation::Confirmed);
    let status = timer.wait()?;
    assert!(status.success(), "{status}");
    assert_eq!(fs::read_to_string(directory.path().join("etc/motd"))?, "new");
    Ok(())
}
