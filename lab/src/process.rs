//! Starting programs: with a time limit, and without waiting for what they leave behind.

use crate::error::{Doing, Error, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a program may run where the caller names no limit.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A child that has exited may have left a daemon behind that holds its pipes open. This long is waited for the last
/// of its output, then the pipes are abandoned.
const AFTERMATH: Duration = Duration::from_millis(300);

/// What a finished program left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its exit code; killed by a signal: 128 plus the signal's number, as a shell counts.
    pub status: i32,
    /// Its standard output; bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// Its standard error; bytes that are not UTF-8 are replaced.
    pub stderr: String,
}

impl Output {
    /// True where the exit code is 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.status == 0
    }

    /// The output of a program that must have succeeded.
    ///
    /// # Panics
    /// Where its exit code is not 0; the message holds both streams.
    #[track_caller]
    pub fn unwrap(self) -> Self {
        assert!(
            self.success(),
            "exit {}\n--- stdout\n{}\n--- stderr\n{}",
            self.status,
            self.stdout,
            self.stderr
        );
        self
    }
}

/// Runs `command` to its end, feeding it `input`, and collects both streams.
pub(crate) fn run(command: &mut Command, input: &[u8], limit: Duration) -> Result<Output> {
    let words = words(command);
    let mut running = Running::start(command, input)?;
    if let Some(status) = running.wait(limit)? {
        return Ok(running.output(status));
    }
    running.kill()?;
    let output = format!("{}{}", running.stdout.text(), running.stderr.text());
    Err(Error::TimedOut { command: words, after: limit, output })
}

/// Runs a tool that must succeed; its standard output.
pub(crate) fn must(command: &mut Command) -> Result<String> {
    must_with(command, b"")
}

/// Runs a tool that must succeed on `input`; its standard output.
pub(crate) fn must_with(command: &mut Command, input: &[u8]) -> Result<String> {
    must_within(command, input, PATIENCE)
}

/// Runs a tool that must succeed within `limit`; its standard output.
pub(crate) fn must_within(command: &mut Command, input: &[u8], limit: Duration) -> Result<String> {
    let output = run(command, input, limit)?;
    if output.success() {
        return Ok(output.stdout);
    }
    Err(Error::Program {
        command: words(command),
        status: format!("exit code {}", output.status),
        stderr: format!("{}{}", output.stderr.trim_end(), output.stdout.trim_end()),
    })
}

/// A command of the tool `program` with `args`, in a plain environment.
pub(crate) fn tool(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).env("LC_ALL", "C.UTF-8");
    command
}

/// The command line, for messages.
pub(crate) fn words(command: &Command) -> String {
    let mut words = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        words.push(' ');
        words.push_str(&arg.to_string_lossy());
    }
    words
}

/// The exit code as a shell counts it.
pub(crate) fn code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

/// A started program whose output is being collected. Dropped, it is killed.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Stream,
    stderr: Stream,
    ended: Option<ExitStatus>,
}

impl Running {
    /// Starts `command`, feeds it `input` and closes its standard input.
    pub(crate) fn start(command: &mut Command, input: &[u8]) -> Result<Self> {
        let mut running = Self::start_interactive(command)?;
        if let Some(mut stdin) = running.child.stdin.take()
            && !input.is_empty()
        {
            let input = input.to_vec();
            // A program that does not read its input closes the pipe: not an error of ours.
            thread::spawn(move || drop(stdin.write_all(&input)));
        }
        Ok(running)
    }

    /// Starts `command` with its standard input left open for [`Running::send`].
    pub(crate) fn start_interactive(command: &mut Command) -> Result<Self> {
        let program = command.get_program().to_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .doing("start", program)?;
        let stdout = Stream::collect(child.stdout.take().map(OwnedFd::from));
        let stderr = Stream::collect(child.stderr.take().map(OwnedFd::from));
        Ok(Self { child, stdout, stderr, ended: None })
    }

    /// The process id of the program started on this machine (for a command in a host: of its `nsenter`).
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes to the program's standard input.
    ///
    /// # Errors
    /// Where its input is closed.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(stdin) = self.child.stdin.as_mut() else {
            return Err(Error::State { host: "standard input".into(), state: "closed" });
        };
        stdin.write_all(bytes).and_then(|()| stdin.flush()).doing("write to", "a program's standard input")
    }

    /// Closes the program's standard input.
    pub fn close_input(&mut self) {
        drop(self.child.stdin.take());
    }

    /// What it has written to standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it has written to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits until its standard output contains `text` behind what an earlier call has found, and returns what came
    /// between the two, `text` included.
    ///
    /// # Errors
    /// Where `limit` passes, or the output ends, without it.
    pub fn expect(&self, text: &str, limit: Duration) -> Result<String> {
        self.stdout.expect(text.as_bytes(), limit).map_err(|unread| Error::TimedOut {
            command: format!("waiting for {text:?}"),
            after: limit,
            output: format!("{unread}\n--- stderr\n{}", self.stderr.text()),
        })
    }

    /// Waits for its end; `None` where it still runs after `limit`.
    ///
    /// # Errors
    /// Where the system cannot say.
    pub fn wait(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() && await_exit(&self.child, limit)? {
            self.ended = Some(self.child.wait().doing("wait for", "a child process")?);
        }
        Ok(self.ended)
    }

    /// Waits for its end and takes what it wrote.
    ///
    /// # Errors
    /// Where it still runs after `limit`; it is killed then.
    pub fn finish(mut self, limit: Duration) -> Result<Output> {
        self.close_input();
        match self.wait(limit)? {
            Some(status) => Ok(self.output(status)),
            None => Err(Error::TimedOut {
                command: format!("process {}", self.id()),
                after: limit,
                output: format!("{}{}", self.stdout(), self.stderr()),
            }),
        }
    }

    /// Kills it (SIGKILL) and collects it.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn kill(&mut self) -> Result<()> {
        if self.ended.is_none() {
            self.child.kill().doing("kill", "a child process")?;
            self.ended = Some(self.child.wait().doing("wait for", "a child process")?);
        }
        Ok(())
    }

    fn output(&self, status: ExitStatus) -> Output {
        let deadline = Instant::now() + AFTERMATH;
        self.stdout.closed(deadline);
        self.stderr.closed(deadline);
        Output { status: code(status), stdout: self.stdout.text(), stderr: self.stderr.text() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.kill());
    }
}

/// True where `child` ends within `limit`.
fn await_exit(child: &Child, limit: Duration) -> Result<bool> {
    let Some(pid) = Pid::from_raw(child.id().cast_signed()) else {
        return Ok(true);
    };
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).doing("open a pidfd of", pid.to_string())?;
    readable_within(&pidfd, limit)
}

/// True where `fd` becomes readable (a pidfd: the process has ended) within `limit`.
pub(crate) fn readable_within(fd: &OwnedFd, limit: Duration) -> Result<bool> {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = rustix::time::Timespec::try_from(left).ok();
        match poll(&mut [PollFd::new(fd, PollFlags::IN)], timeout.as_ref()) {
            Ok(0) if left.is_zero() => return Ok(false),
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error).doing("poll", "a descriptor"),
        }
    }
}

/// Sends SIGKILL to the process `pid` and waits for its end. A process already gone is no error.
pub(crate) fn kill_hard(pid: u32) -> Result<()> {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Ok(());
    };
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else {
        return Ok(());
    };
    match pidfd_send_signal(&pidfd, Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => return Err(error).doing("kill", pid.to_string()),
    }
    readable_within(&pidfd, Duration::from_secs(60)).map(drop)
}

/// The bytes of a pipe as they come, with a bell for whoever waits for more.
#[derive(Debug, Clone)]
struct Stream(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    pipe: Option<OwnedFd>,
    collected: Mutex<Collected>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct Collected {
    bytes: Vec<u8>,
    /// Up to where [`Stream::expect`] has read.
    found: usize,
    closed: bool,
}

impl Collected {
    /// Reads once; says no at the end.
    fn read(&mut self, pipe: &OwnedFd) -> bool {
        let mut buffer = [0; 4096];
        match rustix::io::read(pipe, &mut buffer) {
            Ok(0) => false,
            Ok(read) => {
                self.bytes.extend_from_slice(&buffer[..read]);
                true
            }
            Err(error) => error == rustix::io::Errno::INTR,
        }
    }
}

impl Stream {
    fn collect(pipe: Option<OwnedFd>) -> Self {
        let collected = Mutex::new(Collected { closed: pipe.is_none(), ..Collected::default() });
        let stream = Self(Arc::new(Shared { pipe, collected, bell: Condvar::new() }));
        let reader = stream.clone();
        thread::spawn(move || {
            let mut open = reader.0.pipe.as_ref();
            while let Some(pipe) = open {
                // It is read under the lock: whoever has that and finds the pipe empty knows all that was written.
                let waited = poll(&mut [PollFd::new(pipe, PollFlags::IN)], None);
                let mut collected = reader.lock();
                if waited.is_ok() && !collected.read(pipe) {
                    collected.closed = true;
                    open = None;
                }
                drop(collected);
                reader.0.bell.notify_all();
            }
        });
        stream
    }

    fn lock(&self) -> MutexGuard<'_, Collected> {
        self.0.collected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the pipe has something that was not read yet, be it its end.
    fn is_behind(&self) -> bool {
        self.0.pipe.as_ref().is_some_and(|pipe| readable_within(pipe, Duration::ZERO).unwrap_or(false))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock().bytes).into_owned()
    }

    /// Waits for `wanted` behind what was found before; the text up to it, or what else there is.
    fn expect(&self, wanted: &[u8], limit: Duration) -> Result<String, String> {
        let deadline = Instant::now() + limit;
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut collected = self.lock();
        loop {
            let unread = &collected.bytes[collected.found..];
            if let Some(at) = unread.windows(wanted.len()).position(|window| window == wanted) {
                let text = lossy(&unread[..at + wanted.len()]);
                collected.found += at + wanted.len();
                return Ok(text);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if collected.closed || left.is_zero() {
                return Err(lossy(unread));
            }
            collected = self.0.bell.wait_timeout(collected, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for the end of the pipe, or until the deadline has passed and all that was written is read.
    fn closed(&self, deadline: Instant) {
        let mut collected = self.lock();
        while !collected.closed {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() && !self.is_behind() {
                return;
            }
            let left = left.max(Duration::from_millis(10));
            collected = self.0.bell.wait_timeout(collected, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
