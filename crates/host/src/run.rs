//! Starting a program to hear its answer: no shell, no environment of ours, limits on time and output.

use std::ffi::OsString;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, waitid,
};

use crate::{Error, Output};

/// Bytes of each stream that are read at most.
const OUTPUT_CAP: usize = 1 << 20;
/// How long an answer may take.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Runs a program to its end.
pub(crate) fn run(program: &Path, arguments: &[OsString]) -> Result<Output, Error> {
    run_within(program, arguments, TIME_LIMIT, OUTPUT_CAP)
}

fn run_within(program: &Path, arguments: &[OsString], limit: Duration, cap: usize) -> Result<Output, Error> {
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| started(program, &error))?;
    let answer = listen(&mut child, program, Instant::now() + limit, limit, cap);
    if answer.is_err() {
        end(&mut child);
    }
    answer
}

/// Reads both streams to their ends, then waits for the program.
fn listen(
    child: &mut Child,
    program: &Path,
    deadline: Instant,
    limit: Duration,
    cap: usize,
) -> Result<Output, Error> {
    let failed = |errno| Error::Start { program: program.to_owned(), errno };
    let timed_out = || Error::TimedOut { program: program.to_owned(), seconds: limit.as_secs() };
    let (Some(mut out), Some(mut err)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(failed(Errno::BADF));
    };
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let (mut out_open, mut err_open) = (true, true);
    let mut buffer = vec![0; 16 * 1024];
    while out_open || err_open {
        let ready = {
            let mut watched = Vec::with_capacity(2);
            if out_open {
                watched.push(PollFd::new(&out, PollFlags::IN));
            }
            if err_open {
                watched.push(PollFd::new(&err, PollFlags::IN));
            }
            wait_for(&mut watched, deadline).map_err(failed)?;
            watched.iter().map(|fd| !fd.revents().is_empty()).collect::<Vec<_>>()
        };
        if !ready.contains(&true) {
            return Err(timed_out());
        }
        let (out_ready, err_ready) = (out_open && ready[0], err_open && ready[usize::from(out_open)]);
        if out_ready {
            out_open = take(&mut out, &mut buffer, &mut stdout).map_err(failed)?;
        }
        if err_ready {
            err_open = take(&mut err, &mut buffer, &mut stderr).map_err(failed)?;
        }
        if stdout.len() > cap || stderr.len() > cap {
            return Err(Error::TooMuchOutput { program: program.to_owned(), cap });
        }
    }
    wait_until(child, deadline).map_err(failed)?;
    match child.try_wait() {
        Ok(Some(status)) => Ok(Output { status: status.code(), stdout, stderr }),
        Ok(None) => Err(timed_out()),
        Err(error) => Err(started(program, &error)),
    }
}

/// One read that has been announced; false at the end of the stream.
fn take(from: &mut impl std::io::Read, buffer: &mut [u8], to: &mut Vec<u8>) -> Result<bool, Errno> {
    match from.read(buffer) {
        Ok(0) => Ok(false),
        Ok(length) => {
            to.extend_from_slice(&buffer[..length]);
            Ok(true)
        }
        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Ok(true),
        Err(error) => Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
    }
}

/// Waits for the process to end, or the deadline. Its streams being closed, that is next to nothing.
fn wait_until(child: &Child, deadline: Instant) -> Result<(), Errno> {
    let Some(pid) = pid_of(child) else { return Ok(()) };
    if let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) {
        return wait_for(&mut [PollFd::new(&handle.as_fd(), PollFlags::IN)], deadline);
    }
    // Linux before 5.3.
    let waiting = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    while Instant::now() < deadline && waitid(WaitId::Pid(pid), waiting)?.is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// poll(2) until something is ready or the deadline has passed.
fn wait_for(watched: &mut [PollFd<'_>], deadline: Instant) -> Result<(), Errno> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(|_| Errno::INVAL)?;
        match poll(watched, Some(&left)) {
            Err(Errno::INTR) => {}
            other => return other.map(|_| ()),
        }
    }
}

/// Ends the program and whatever it started.
fn end(child: &mut Child) {
    if let Some(pid) = pid_of(child) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

fn pid_of(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

fn started(program: &Path, error: &std::io::Error) -> Error {
    Error::Start { program: program.to_owned(), errno: Errno::from_io_error(error).unwrap_or(Errno::IO) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration, cap: usize) -> Result<Output, Error> {
        run_within(Path::new("/bin/sh"), &["-c".into(), script.into()], limit, cap)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn both_streams_and_the_exit_code_are_heard() {
        let output = shell("echo out; echo err >&2; exit 3", LONG, 100).unwrap();
        assert_eq!((output.status, output.text().as_str()), (Some(3), "out\n"));
        assert_eq!(output.complaint(), "err");
    }

    #[test]
    fn nothing_of_our_environment_is_passed_on() {
        let output = shell("echo \"$HOME/$LC_ALL/$TZ/$CARGO_MANIFEST_DIR\"", LONG, 100).unwrap();
        assert_eq!(output.text(), "/C/UTC/\n");
    }

    #[test]
    fn a_program_that_hangs_is_ended_with_its_children() {
        let error = shell("sleep 1000 & echo $!; wait", Duration::from_millis(200), 100).unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    }

    #[test]
    fn a_program_that_floods_is_ended() {
        let error = shell("while :; do echo flood; done", LONG, 1000).unwrap_err();
        assert!(matches!(error, Error::TooMuchOutput { cap: 1000, .. }), "{error}");
    }

    #[test]
    fn a_program_that_closes_its_streams_and_stays_is_ended() {
        let error = shell("exec >&- 2>&-; sleep 1000", Duration::from_millis(200), 100).unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    }

    #[test]
    fn two_full_pipes_do_not_stall_each_other() {
        let script = "i=0; while [ $i -lt 9000 ]; do echo 0123456789; echo 0123456789 >&2; i=$((i+1)); done";
        let output = shell(script, LONG, 1 << 20).unwrap();
        assert_eq!((output.stdout.len(), output.stderr.len()), (99_000, 99_000));
    }
}
