//! The lab acts on its own networks alone, and leaves nothing behind.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test: its helpers unwrap, and it prints what it did"
)]
#![allow(clippy::disallowed_methods, reason = "a test starts programs")]

use lab::{Error, Host, IsolatedNet, Lab, Tree};
use std::fs;
use std::path::Path;
use std::process::Command;

fn ready() -> bool {
    Lab::require().inspect_err(|error| lab::skip(&error.to_string())).is_ok()
}

/// Every trace on this machine that carries `name`.
fn traces(name: &str) -> Vec<String> {
    let lines =
        |text: String| text.lines().filter(|line| line.contains(name)).map(str::to_owned).collect::<Vec<_>>();
    let output = |program: &str, args: &[&str]| {
        String::from_utf8(Command::new(program).args(args).output().unwrap().stdout).unwrap()
    };
    let mut traces = lines(fs::read_to_string("/proc/self/mountinfo").unwrap());
    traces.extend(lines(output("losetup", &["--list", "--noheadings", "--output", "BACK-FILE"])));
    traces.extend(lines(output("ip", &["netns", "list"])));
    traces.extend(lines(output("ps", &["-eo", "args"])));
    traces.extend(lines(output("find", &["/sys/fs/cgroup", "-maxdepth", "2", "-type", "d"])));
    let dir = Lab::require().unwrap().dir().join("hosts").join(name);
    traces.extend(dir.exists().then(|| dir.display().to_string()));
    traces
}

#[test]
fn refuses_the_networks_of_the_machine_and_of_the_test_itself() {
    if !ready() {
        return;
    }
    let own = format!("/proc/{}/ns/net", std::process::id());
    for path in ["/proc/self/ns/net", "/proc/thread-self/ns/net", "/proc/2/ns/net", &own] {
        let refused = IsolatedNet::open(Path::new(path));
        assert!(matches!(refused, Err(Error::NotIsolated { .. })), "{path}: {refused:?}");
    }
    // Pid 1 may forbid to be looked at; then there is nothing to open either.
    assert!(IsolatedNet::of_process(1).is_err());
    assert!(matches!(IsolatedNet::open(Path::new("/etc/passwd")), Err(Error::NotIsolated { .. })));
    assert!(IsolatedNet::of_process(std::process::id()).is_err());
}

#[test]
fn takes_a_namespace_of_its_own_for_isolated() {
    if !ready() {
        return;
    }
    let mut other = Command::new("unshare").args(["--net", "sleep", "60"]).spawn().unwrap();
    let here = fs::metadata("/proc/self/ns/net").unwrap();
    let path = format!("/proc/{}/ns/net", other.id());
    while fs::metadata(&path).is_ok_and(|found| {
        std::os::unix::fs::MetadataExt::ino(&found) == std::os::unix::fs::MetadataExt::ino(&here)
    }) {
        std::thread::yield_now();
    }
    let net = IsolatedNet::of_process(other.id()).unwrap();
    net.set_sysctls(&[("ipv4/ip_forward", "1")]).unwrap();
    assert_eq!(net.within(|| fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap()).unwrap(), "1\n");
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn leaves_no_mount_loop_device_namespace_group_or_process() {
    if !ready() {
        return;
    }
    let host = Host::builder(&Tree::bookworm().unwrap()).boot().unwrap();
    let name = host.name().to_owned();
    assert!(traces(&name).len() > 5, "a running host must be seen by this test: {:?}", traces(&name));
    drop(host);
    // The kernel detaches a loop device once its last user is gone, which is a moment later.
    for _ in 0..600 {
        if traces(&name).is_empty() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(traces(&name), [""; 0]);
}

#[test]
fn leaves_nothing_when_a_test_panics() {
    if !ready() {
        return;
    }
    let tree = Tree::bookworm().unwrap();
    let (send, receive) = std::sync::mpsc::channel();
    let test = std::thread::spawn(move || {
        let host = Host::builder(&tree).boot().unwrap();
        send.send(host.name().to_owned()).unwrap();
        panic!("on purpose, with the host running");
    });
    assert!(test.join().is_err());
    assert_eq!(traces(&receive.recv().unwrap()), [""; 0]);
}

/// Run by [`clears_what_a_killed_run_left`] in a process of its own: boots a host, says its name, and waits.
#[test]
#[ignore = "the victim of another test"]
fn victim() {
    let host = Host::builder(&Tree::bookworm().unwrap()).boot().unwrap();
    eprintln!("victim {}", host.name());
    std::thread::sleep(std::time::Duration::from_secs(120));
}

#[test]
fn clears_what_a_killed_run_left() {
    use std::io::{BufRead, BufReader};
    if !ready() {
        return;
    }
    Tree::bookworm().unwrap();
    let again = |test: &str| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--include-ignored", "--nocapture"]);
        command
    };
    let mut victim = again("victim").stderr(std::process::Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(victim.stderr.take().unwrap()).lines();
    let name =
        lines.map_while(Result::ok).find_map(|line| line.strip_prefix("victim ").map(str::to_owned)).unwrap();
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert!(!traces(&name).is_empty(), "a killed run cannot have cleaned up");
    // The next run sweeps as soon as it asks for the lab.
    assert!(
        again("refuses_the_networks_of_the_machine_and_of_the_test_itself")
            .output()
            .unwrap()
            .status
            .success()
    );
    assert_eq!(traces(&name), [""; 0]);
}
