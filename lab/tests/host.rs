//! A throwaway host as its users see it: booted, logged in to, rebooted, gone.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test: its helpers unwrap, and it prints what it timed"
)]

use lab::{Auth, Connect, HOST_V4, HOST_V6, Host, Key, Lab, Tree, User};
use std::net::IpAddr;
use std::time::{Duration, Instant};

const PASSWORD: &str = "correct horse";

/// A host of bookworm with an administrator by key and password, and root by password.
fn host() -> Option<(Host, Key)> {
    if let Err(error) = Lab::require() {
        lab::skip(&error.to_string());
        return None;
    }
    let key = Key::named("lab-test").unwrap();
    let admin = User::new("deploy").key(&key).password(PASSWORD).group("sudo");
    let tree = Tree::bookworm().unwrap();
    let started = Instant::now();
    let host = Host::builder(&tree).user(&admin).root_password(PASSWORD).boot().unwrap();
    eprintln!("{}: made and booted in {:?}", host.name(), started.elapsed());
    Some((host, key))
}

#[test]
fn boots_with_systemd_up_and_sshd_listening() {
    let Some((host, _)) = host() else { return };
    assert_eq!(host.run(&["systemctl", "is-system-running"]).unwrap().stdout.trim(), "running");
    assert_eq!(host.outside().tcp_connect(None, HOST_V4, 22).unwrap(), Connect::Open);
    assert_eq!(host.outside().tcp_connect(None, HOST_V6, 22).unwrap(), Connect::Open);
    assert_eq!(host.outside().tcp_connect(None, HOST_V4, 23).unwrap(), Connect::Refused);
    assert_eq!(host.outside().tcp_connect(None, HOST_V6, 23).unwrap(), Connect::Refused);
}

#[test]
fn lets_in_by_key_and_by_password_over_both_families() {
    let Some((host, key)) = host() else { return };
    for to in [IpAddr::from(HOST_V4), HOST_V6.into()] {
        let by_key = host.ssh("deploy", Auth::Key(key.path())).to(to).run("id -un").unwrap().unwrap();
        assert_eq!(by_key.stdout, "deploy\n");
        let by_password = host.ssh("root", Auth::Password(PASSWORD)).to(to).run("id -un").unwrap().unwrap();
        assert_eq!(by_password.stdout, "root\n");
        let wrong = host.ssh("root", Auth::Password("wrong")).to(to).run("id -un").unwrap();
        assert_eq!(wrong.status, 255);
        assert!(wrong.stderr.contains("Permission denied"), "{wrong:?}");
        let none = host.ssh("deploy", Auth::Nothing).to(to).run("id -un").unwrap();
        assert!(none.stderr.contains("Permission denied"), "{none:?}");
    }
}

#[test]
fn sees_logins_come_from_the_address_chosen() {
    let Some((host, key)) = host() else { return };
    let sources = ["198.51.100.77", "203.0.113.9", "8.8.8.8", "2001:db8:51::77", "2001:db8:99::1"];
    for source in sources.map(|source| source.parse::<IpAddr>().unwrap()) {
        let to = if source.is_ipv4() { IpAddr::from(HOST_V4) } else { HOST_V6.into() };
        let login = host.ssh("deploy", Auth::Key(key.path())).from(source).to(to);
        let seen = login.run("echo $SSH_CONNECTION").unwrap().unwrap().stdout;
        assert_eq!(seen.split(' ').next(), Some(&*source.to_string()));
        assert_eq!(host.outside().tcp_connect(Some(source), to, 22).unwrap(), Connect::Open);
        assert!(host.outside().ping(Some(source), to).unwrap(), "no echo for {source}");
    }
}

#[test]
fn keeps_an_interactive_session_that_a_closed_terminal_ends() {
    let Some((host, key)) = host() else { return };
    let mut session = host.ssh("deploy", Auth::Key(key.path())).session().unwrap();
    session.send(b"tty; echo $((6*7))-here\n").unwrap();
    let seen = session.expect("42-here", Duration::from_secs(60)).unwrap();
    assert!(seen.contains("/dev/pts/"), "{seen}");
    session.send(b"exec sleep 4242\n").unwrap();
    let running = || host.run(&["pgrep", "-f", "sleep 4242"]).unwrap().success();
    let until = |wanted: bool| {
        (0..1000).any(|_| {
            running() == wanted || {
                std::thread::sleep(Duration::from_millis(50));
                false
            }
        })
    };
    assert!(until(true), "the shell did not start the command");
    session.kill().unwrap();
    assert!(until(false), "the command outlived its terminal");
}
