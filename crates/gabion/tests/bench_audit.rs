//! How long an audit takes on a booted host, what it starts and holds, beside Lynis on the same host in the same run.
//! Started by `cargo xtask bench audit`.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    dead_code,
    reason = "a test fails by a panic, starts programs, and uses a part of what the tests on hosts share"
)]

mod hosts;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use hosts::{INSTALLED, stock};
use lab::{Host, Lab, Tree};

/// Runs of each that are timed.
const RUNS: usize = 20;
const LYNIS_RUNS: usize = 1;

/// What the audit may cost at most (median wall time, child processes).
const MOST_MILLIS: u128 = 150;
const MOST_CHILDREN: usize = 8;

/// What a program cost.
struct Cost {
    median: Duration,
    children: usize,
    peak_kib: u64,
}

#[test]
#[ignore = "a benchmark: cargo xtask bench audit"]
fn audit_costs_at_most_150_ms_and_8_processes() {
    if let Err(error) = Lab::require() {
        return lab::skip(&error.to_string());
    }
    let mut host = stock(&Tree::bookworm().unwrap());
    let lynis = fetch_lynis();
    for (from, to) in files_below(&lynis) {
        host = host.program(from, to);
    }
    // Lynis refuses to read files of its own that can be executed.
    let strict = "find /usr/share/lynis /etc/lynis -type f -exec chmod 0640 {} +";
    let host = host.prepare(strict).boot().unwrap();
    let gabion = cost(&host, &[INSTALLED, "audit", "--json"], RUNS);
    let peer = cost(&host, &["/usr/sbin/lynis", "audit", "system", "--quick", "--no-colors"], LYNIS_RUNS);
    println!("MEASURED: audit of one stock bookworm host, median of {RUNS} runs (Lynis: {LYNIS_RUNS})");
    println!("MEASURED: {:8} {:>10} {:>10} {:>12}", "", "wall", "processes", "peak memory");
    for (name, cost) in [("gabion", &gabion), ("lynis", &peer)] {
        let (millis, mib) = (cost.median.as_millis(), cost.peak_kib / 1024);
        println!("MEASURED: {name:8} {millis:>7} ms {:>10} {mib:>8} MiB", cost.children);
    }
    let times = peer.median.as_secs_f64() / gabion.median.as_secs_f64();
    let fewer = peer.children / gabion.children.max(1);
    println!("MEASURED: {:8} {times:>8.0} x {fewer:>8} x", "ratio");
    assert!(gabion.children <= MOST_CHILDREN, "{} child processes", gabion.children);
    assert!(gabion.median.as_millis() <= MOST_MILLIS, "{:?}", gabion.median);
}

fn cost(host: &Host, words: &[&str], runs: usize) -> Cost {
    let mut times: Vec<Duration> = (0..runs).map(|_| timed(host, words)).collect();
    times.sort();
    Cost { median: times[runs / 2], children: children(host, words), peak_kib: peak_kib(host, words) }
}

fn timed(host: &Host, words: &[&str]) -> Duration {
    let begin = Instant::now();
    let output = host.run_with(words, b"", Duration::from_secs(300)).unwrap();
    let took = begin.elapsed();
    let is_whole = output.stdout.contains("Hardening index") || output.stdout.contains("\"findings\"");
    assert!(is_whole, "exit {}\n{}\n{}", output.status, output.stdout, output.stderr);
    took
}

/// Processes, not threads, that it starts: the calls of fork(2) and its like that this machine's strace sees.
fn children(host: &Host, words: &[&str]) -> usize {
    let trace = tempfile::NamedTempFile::new().unwrap();
    let leader = host.leader().unwrap().to_string();
    let status = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=fork,vfork,clone,clone3", "-e", "signal=none", "-o"])
        .arg(trace.path())
        .args(["nsenter", "-t", &leader, "-a", "--"])
        .args(words)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.code().is_some());
    let text = std::fs::read_to_string(trace.path()).unwrap();
    let forks = text.lines().filter(|line| !line.contains("CLONE_THREAD")).filter(|line| {
        // Where another process wrote in between, the call and its result stand on two lines.
        let result = line.rsplit("= ").next().unwrap_or_default();
        result.trim().parse::<u32>().is_ok_and(|pid| pid > 0)
    });
    // nsenter forks once, to be in the process namespace.
    forks.count().saturating_sub(1)
}

/// The peak of its resident memory, its children's included one by one (`VmHWM` as wait4(2) gives it).
fn peak_kib(host: &Host, words: &[&str]) -> u64 {
    let leader = host.leader().unwrap().to_string();
    let script = "import resource,subprocess,sys;subprocess.run(sys.argv[1:],stdout=subprocess.DEVNULL,stderr=subprocess.DEVNULL);print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)";
    let output = Command::new("python3")
        .args(["-c", script, "nsenter", "-t", &leader, "-a", "--"])
        .args(words)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).trim().parse().unwrap()
}

/// Debian's Lynis, unpacked below `target/`.
fn fetch_lynis() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lynis");
    let tree = dir.join("tree");
    if tree.join("usr/sbin/lynis").exists() {
        return tree;
    }
    std::fs::create_dir_all(&dir).unwrap();
    let must = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
    must(Command::new("apt-get").args(["download", "lynis"]).current_dir(&dir));
    let package = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|ending| ending == "deb"))
        .unwrap();
    must(Command::new("dpkg-deb").arg("-x").arg(package).arg(&tree));
    tree
}

/// Every file below `etc` and `usr` of a tree with its place in the host. (A directory `lib` would hide the host's link.)
fn files_below(tree: &Path) -> Vec<(PathBuf, PathBuf)> {
    let mut found = Vec::new();
    let mut open = vec![tree.join("etc"), tree.join("usr")];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => open.push(entry.path()),
                kind if kind.is_file() => {
                    let place = Path::new("/").join(entry.path().strip_prefix(tree).unwrap());
                    found.push((entry.path(), place));
                }
                _ => {}
            }
        }
    }
    found
}
