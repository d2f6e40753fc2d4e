//! A private network namespace for a test, and the real `nft` inside it.
#![allow(dead_code, reason = "each test program uses a part")]
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "helpers of tests, which run the nft that they compare with"
)]

use std::fs::read_link;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;

use nix::sched::{CloneFlags, unshare};

/// Says loudly that a test did not run; where `CI` is set, that is a failure.
pub(crate) fn skipped(what: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{what} is missing, and CI=true");
    eprintln!("SKIPPED: {what} is missing");
}

/// Runs `test` in a thread with a new network namespace of its own, or says why it cannot.
pub(crate) fn in_namespace(test: impl FnOnce() + Send + 'static) {
    if !nix::unistd::geteuid().is_root() {
        return skipped("root");
    }
    if !Command::new("nft").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return skipped("nft");
    }
    let outcome = thread::spawn(|| {
        let namespace = || read_link("/proc/thread-self/ns/net").expect("the name of a namespace");
        let before = namespace();
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
        assert_ne!(namespace(), before, "still in the network namespace of the caller");
        // Not everybody may look at process 1; what was just made is not its namespace in any case.
        if let Ok(root) = read_link("/proc/1/ns/net") {
            assert_ne!(namespace(), root, "in the machine's own network namespace");
        }
        test();
    })
    .join();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// Runs `nft` with these arguments and this on its standard input; fails when it fails.
pub(crate) fn nft(arguments: &[&str], input: &str) -> String {
    match try_nft(arguments, input) {
        Ok(output) => output,
        Err(error) => panic!("nft {arguments:?} failed: {error}\n{input}"),
    }
}

/// The same; `nft`'s own words when it fails.
pub(crate) fn try_nft(arguments: &[&str], input: &str) -> Result<String, String> {
    let mut child = Command::new("nft")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("nft starts");
    let mut stdin = child.stdin.take().unwrap();
    let text = input.to_owned();
    let writer = thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join();
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// Sets the namespace's own loopback up, which a new one has down.
pub(crate) fn loopback_up() {
    let status = Command::new("ip").args(["link", "set", "lo", "up"]).status().expect("ip runs");
    assert!(status.success(), "ip link set lo up");
}
