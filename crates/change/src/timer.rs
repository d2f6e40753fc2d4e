//! The timer that undoes what nobody confirms. It lives outside this process and outside the session.
//!
//! Under systemd it is a transient timer unit, which survives the terminal, the session and the program. Without
//! systemd it is this very program in a session of its own, which holds HUP, INT, QUIT and TERM back; a reboot ends
//! it, and undoing at boot is then what undoes.
//!
//! What they start is a copy of this program in the transaction's directory, since undoing may remove the installed
//! one, and the one that was started may be gone from where it was.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{Error, Result};
use crate::journal::{Because, Timer, TransactionId};
use crate::perform::runs_systemd;
use crate::program::Program;
use crate::root::Root;
use crate::signals::Held;
use crate::undo::{UndoReport, rollback};

/// The verb with which the detached process is started: `gabion __undo-timer ID`.
pub const UNDO_TIMER: &str = "__undo-timer";

const COPY: &str = "gabion";

/// Keeps a copy of the running program beside the journal.
pub(crate) fn keep_program(directory: &Path) -> Result<()> {
    let path = directory.join(COPY);
    let failed = |doing| Error::io(doing, &path);
    let mut from = File::open("/proc/self/exe").map_err(Error::io("open", "/proc/self/exe"))?;
    let mut to =
        File::options().write(true).create_new(true).mode(0o700).open(&path).map_err(failed("create"))?;
    std::io::copy(&mut from, &mut to).map_err(failed("write"))?;
    to.set_permissions(fs::Permissions::from_mode(0o700)).map_err(failed("set the mode of"))?;
    label_as_program(&to);
    to.sync_all().map_err(failed("sync"))
}

/// systemd may not start what is labelled as data, where `SELinux` is enforced: the copy gets the label of a program.
fn label_as_program(file: &File) {
    const LABEL: &str = "security.selinux";
    let mut label = vec![0; 1024];
    if let Ok(length) = rustix::fs::getxattr("/usr/bin/env", LABEL, &mut label[..]) {
        let _ = rustix::fs::fsetxattr(file, LABEL, &label[..length], rustix::fs::XattrFlags::empty());
    }
}

pub(crate) fn keeps_program(directory: &Path) -> bool {
    directory.join(COPY).exists()
}

pub(crate) fn remove_program(directory: &Path) -> Result<()> {
    let path = directory.join(COPY);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", &path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The copy, or this program itself where nothing may be executed there (`noexec`).
fn program(directory: &Path) -> PathBuf {
    let copy = directory.join(COPY);
    let executable = rustix::fs::statvfs(&copy)
        .is_ok_and(|stat| !stat.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC));
    if executable { copy } else { std::env::current_exe().unwrap_or(copy) }
}

/// Starts the timer. For an image, where nothing runs, there is none, and `recover` is what undoes.
pub(crate) fn start(root: &Root, id: &TransactionId, directory: &Path, after: Duration) -> Result<Timer> {
    if !root.is_live() {
        return Ok(Timer::Process { pid: 0 });
    }
    let program = program(directory);
    if runs_systemd() {
        let unit = unit_of(id);
        let seconds = after.as_secs().max(1);
        let start = Program::StartTimer { unit: &unit, seconds, program: &program, id };
        start.run(root, None, b"").map_err(|error| Error::Timer { reason: error.to_string() })?;
        return Ok(Timer::Systemd { unit });
    }
    start_process(&program, id)
        .map_err(|error| Error::Timer { reason: format!("{}: {error}", program.display()) })
}

/// What the detached process says when it is out of the session and holds the signals back.
const READY: u8 = b'+';

fn start_process(program: &Path, id: &TransactionId) -> std::io::Result<Timer> {
    // Everything but the program's own arguments is left behind: terminal, directory, environment.
    let mut command = Command::new(program);
    command.args([UNDO_TIMER, id.as_str()]).env_clear().env("LC_ALL", "C").current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let mut answer = [0];
    match child.stdout.take() {
        Some(mut pipe) => pipe.read_exact(&mut answer)?,
        None => unreachable!("the child's output is a pipe"),
    }
    if answer == [READY] {
        Ok(Timer::Process { pid: child.id() })
    } else {
        Err(std::io::ErrorKind::InvalidData.into())
    }
}

/// Whether the timer still stands.
pub(crate) fn stands(root: &Root, timer: &Timer) -> bool {
    match timer {
        _ if !root.is_live() => true,
        Timer::Systemd { unit } => {
            let unit = format!("{unit}.timer");
            (Program::UnitIsActive { unit: &unit })
                .output(root, None, b"")
                .is_ok_and(|output| output.status.success())
        }
        Timer::Process { pid } => is_undo_timer(*pid),
    }
}

/// Stops the timer. One that fires all the same finds the transaction confirmed or undone, and does nothing.
pub(crate) fn stop(root: &Root, timer: &Timer) {
    match timer {
        _ if !root.is_live() => {}
        Timer::Systemd { unit } => {
            let unit = format!("{unit}.timer");
            let _ = (Program::StopUnit { unit: &unit }).output(root, None, b"");
        }
        Timer::Process { pid } if *pid != std::process::id() && is_undo_timer(*pid) => {
            if let Some(pid) = i32::try_from(*pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        Timer::Process { .. } => {}
    }
}

/// Stops the timer that a transaction would have under systemd.
pub(crate) fn stop_by_name(root: &Root, id: &TransactionId) {
    if runs_systemd() {
        stop(root, &Timer::Systemd { unit: unit_of(id) });
    }
}

fn unit_of(id: &TransactionId) -> String {
    format!("gabion-undo-{id}")
}

/// A process number is given out again: the command line tells.
fn is_undo_timer(pid: u32) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).any(|word| word == UNDO_TIMER.as_bytes())
}

/// What the detached process does: leaves the session, holds back the signals that would end it, waits for the
/// deadline and undoes. To be called first thing in `main`, before any thread is started.
///
/// # Errors
/// As [`rollback`].
pub fn run_undo_timer(root: &Root, id: &TransactionId) -> Result<Option<UndoReport>> {
    rustix::process::setsid().map_err(Error::os("start a session for", "the undo timer"))?;
    let _held = Held::hold();
    std::io::stdout().write_all(&[READY]).map_err(Error::io("answer on", "the undo timer's pipe"))?;
    std::io::stdout().flush().map_err(Error::io("answer on", "the undo timer's pipe"))?;
    rollback(root, id, Because::Unconfirmed)
}
