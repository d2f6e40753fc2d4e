//! Network namespaces, and programs in them.

use std::fs::File;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns, unshare};

use crate::Failed;

/// Leaves the machine's own network namespace for good: whatever this thread and those that it starts do from now on is done to
/// a namespace that goes with the program.
pub(crate) fn leave_the_machines() -> Result<(), Failed> {
    let before = std::fs::read_link("/proc/thread-self/ns/net")?;
    unshare(CloneFlags::CLONE_NEWNET)
        .map_err(|errno| format!("no network namespace of its own: {errno}; run it as root"))?;
    if std::fs::read_link("/proc/thread-self/ns/net")? == before {
        return Err("still in the machine's own network namespace".into());
    }
    must(&["ip", "link", "set", "lo", "up"], "")
}

/// Another namespace, joined to this one by a link `eth0` on both sides.
pub(crate) struct Outside(File);

impl Outside {
    pub(crate) fn join(here: &str, there: &str) -> Result<Self, Failed> {
        let outside = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| errno.to_string())?;
            File::open("/proc/thread-self/ns/net").map_err(|error| error.to_string())
        });
        let outside = Self(outside.join().map_err(|_| "a thread panicked")??);
        let path = format!("/proc/{}/fd/{}", std::process::id(), std::os::fd::AsRawFd::as_raw_fd(&outside.0));
        must(&["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", &path], "")?;
        let there = there.to_owned();
        let up = |address: &str| -> Result<(), String> {
            let must = |words: &[&str]| must(words, "").map_err(|error| error.to_string());
            must(&["ip", "addr", "add", address, "dev", "eth0"])?;
            must(&["ip", "link", "set", "eth0", "up"])
        };
        up(here)?;
        outside.run(move || up(&there))??;
        // A new link drops what is sent until the kernel has looked at its carrier.
        while !read(&["ip", "-o", "link", "show", "dev", "eth0"])?.contains("state UP") {
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(outside)
    }

    /// Runs something there, on a thread of its own.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Failed> {
        std::thread::scope(|scope| {
            let there = scope.spawn(|| {
                setns(&self.0, CloneFlags::CLONE_NEWNET).map_err(|errno| errno.to_string())?;
                Ok::<_, String>(work())
            });
            Ok(there.join().map_err(|_| "a thread panicked")??)
        })
    }
}

/// Runs a program to its end with this input; what it says is shown where it fails.
pub(crate) fn must(words: &[&str], input: &str) -> Result<(), Failed> {
    let (program, arguments) = words.split_first().ok_or("no program")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        let _one_that_fails_reads_no_more = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{}: {}: {}", words.join(" "), output.status, String::from_utf8_lossy(&output.stderr)).into())
}

/// What a program prints.
pub(crate) fn read(words: &[&str]) -> Result<String, Failed> {
    let (program, arguments) = words.split_first().ok_or("no program")?;
    let output =
        Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether there is such a program.
pub(crate) fn has(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').any(|folder| std::path::Path::new(folder).join(program).is_file())
}

/// The median time of so many rounds.
pub(crate) fn median(rounds: usize, act: impl FnMut() -> Result<(), Failed>) -> Result<Duration, Failed> {
    let took = times(rounds, act)?;
    Ok(took[took.len() / 2])
}

/// The least time of so many rounds: of what only computes, all above it is somebody else's.
pub(crate) fn least(rounds: usize, act: impl FnMut() -> Result<(), Failed>) -> Result<Duration, Failed> {
    Ok(times(rounds, act)?[0])
}

/// How long each round took, the shortest first.
fn times(rounds: usize, mut act: impl FnMut() -> Result<(), Failed>) -> Result<Vec<Duration>, Failed> {
    let mut took = Vec::new();
    for _ in 0..rounds.max(1) {
        let start = Instant::now();
        act()?;
        took.push(start.elapsed());
    }
    took.sort_unstable();
    Ok(took)
}
