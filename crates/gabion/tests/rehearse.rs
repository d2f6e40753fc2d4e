//! `gabion rehearse` on a booted host: it holds, it leaves the machine as it was, and the README shows what it prints.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test of a throwaway host; writes the README's capture when told to"
)]

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Instant;

use lab::{Host, Key, Lab, Transport, Tree, User};

const POLICY_HEAD: &str = "[[admin]]\nname = \"deploy\"\n";
const POLICY_TAIL: &str = "
[[firewall.allow]]
service = \"ssh\"
new-per-minute = 30

[[firewall.allow]]
service = [\"http\", \"https\"]
";

/// A small web server: nginx on 80, and a database that listens on every address.
fn web_server(key: &Key) -> lab::Result<Host> {
    let policy = format!("{POLICY_HEAD}keys = [\"{}\"]\n{POLICY_TAIL}", key.public().trim());
    Host::builder(&Tree::bookworm()?)
        .user(&User::new("deploy").key(key))
        .root_password("correct horse")
        .program(env!("CARGO_BIN_EXE_gabion"), "/root/gabion")
        .file("/etc/gabion/policy.toml", policy)
        .boot()
}

#[test]
fn a_rehearsal_holds_leaves_the_machine_as_it_was_and_is_what_the_readme_shows() {
    if let Err(error) = Lab::require() {
        return lab::skip(&error.to_string());
    }
    let key = Key::named("admin").expect("a key");
    let host = web_server(&key).expect("a host");
    let _nginx = host.listen(Transport::Tcp, Ipv6Addr::UNSPECIFIED, 80).expect("a listener");
    let _database = host.listen(Transport::Tcp, Ipv4Addr::UNSPECIFIED, 3306).expect("a listener");
    let _time = host.listen(Transport::Udp, Ipv4Addr::UNSPECIFIED, 123).expect("a listener");
    let managed = ["/etc", "/home", "/root", "/usr/local", "/var/lib"];
    let (files, rules) = (host.manifest(&managed).expect("files"), host.ruleset().expect("rules"));
    let mounts = host.read("/proc/1/mountinfo").expect("mounts");

    let started = Instant::now();
    let output = host.run_script("/root/gabion rehearse").expect("it runs");
    println!("MEASURED: a rehearsal in {:?}", started.elapsed());

    assert_eq!(output.status, 0, "{}\n{}", output.stdout, output.stderr);
    assert_eq!(files.diff(&host.manifest(&managed).expect("files")), "", "files of the machine");
    assert_eq!(rules, host.ruleset().expect("rules"), "rules of the machine");
    assert_eq!(mounts, host.read("/proc/1/mountinfo").expect("mounts"), "mounts of the machine");
    let links = host.run(&["ip", "-o", "link"]).expect("links").stdout;
    assert_eq!(links.lines().count(), 2, "lo and eth0 alone: {links}");
    let left = host.run_script("pgrep -a gabion; ls -d /mnt/* /run/gabion* 2>/dev/null").expect("processes");
    assert_eq!(left.stdout, "", "processes and folders left behind");
    readme_shows(&output.stdout);
}

#[test]
fn without_root_it_says_how() {
    if let Err(error) = Lab::require() {
        return lab::skip(&error.to_string());
    }
    let key = Key::named("admin").expect("a key");
    let host = Host::builder(&Tree::bookworm().expect("a tree"))
        .user(&User::new("deploy").key(&key))
        .program(env!("CARGO_BIN_EXE_gabion"), "/usr/local/sbin/gabion")
        .boot()
        .expect("a host");
    let output = host.run(&["su", "deploy", "-c", "gabion rehearse"]).expect("it runs");
    assert_eq!(output.status, 2);
    assert_eq!(
        output.stderr,
        "gabion: `gabion rehearse` needs root\nhint: run it as `sudo gabion rehearse`\n"
    );
    assert_eq!(output.stdout, "");
    let script = "timeout -s KILL 6 gabion rehearse >/dev/null 2>&1 || true
        for i in $(seq 600); do pgrep gabion >/dev/null || break; sleep 0.1; done; pgrep -a gabion";
    let killed = host.run_script(script);
    assert_eq!(killed.expect("it runs").stdout, "", "nothing outlives a rehearsal that is killed");
}

/// Compares with the README's capture, or writes it where `GABION_WRITE_README` is set. What differs from run to run is cut.
fn readme_shows(printed: &str) {
    const BEGIN: &str =
        "<!-- capture: gabion rehearse; checked by crates/gabion/tests/rehearse.rs -->\n```text\n";
    const END: &str = "```\n<!-- end of capture -->";
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(&path).expect("the README");
    let (head, rest) = readme.split_once(BEGIN).expect("the README has the capture");
    let (shown, tail) = rest.split_once(END).expect("the capture ends");
    let capture = without_times(printed);
    if std::env::var_os("GABION_WRITE_README").is_some() {
        std::fs::write(&path, format!("{head}{BEGIN}{capture}{END}{tail}")).expect("written");
        return;
    }
    assert_eq!(shown, capture, "the README shows something else; GABION_WRITE_README=1 writes it anew");
}

fn without_times(printed: &str) -> String {
    let cut = |line: &str| match line.split_once(" probes in ") {
        Some((head, _)) => format!("{head} probes\n"),
        None => format!("{}\n", line.trim_end()),
    };
    printed.lines().map(cut).collect()
}
