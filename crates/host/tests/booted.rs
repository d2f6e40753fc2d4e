//! A booted Debian, read from within by the example program.
#![allow(clippy::unwrap_used, reason = "a test: its helpers unwrap")]
#![allow(clippy::disallowed_methods, reason = "a test: it has the program built that it runs")]

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Once;

use host::facts::{FileFact, Init, PackageManager, PasswordState, Started, Via};
use host::{Facts, Recorded};
use lab::{Auth, HOST_V4, HOST_V6, Host, Key, Lab, Tree, User};

const PROGRAM: &str = "/usr/local/bin/facts";

fn ready() -> bool {
    Lab::require().inspect_err(|error| lab::skip(&error.to_string())).is_ok()
}

/// The example program as it is now. Cargo builds examples beside the tests, but not where one test is named.
fn example() -> PathBuf {
    static BUILD: Once = Once::new();
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().unwrap().parent().unwrap();
    BUILD.call_once(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--offline", "--package", "host", "--example", "facts"]);
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
    });
    profile.join("examples/facts")
}

fn boot(tree: &Tree, key: &Key) -> Host {
    Host::builder(tree)
        .user(&User::new("deploy").key(key).password("secret").group("sudo"))
        .user(&User::new("guest").key(key).password("secret"))
        .file_mode("/etc/sudoers.d/deploy", "deploy ALL=(ALL:ALL) NOPASSWD: ALL\n", 0o440)
        .program(example(), PROGRAM)
        .boot()
        .unwrap()
}

fn facts(text: &str) -> Facts {
    Recorded::load(text).unwrap().into()
}

fn run(host: &Host, arguments: &[&str]) -> Facts {
    let words: Vec<&str> = [PROGRAM].iter().chain(arguments).copied().collect();
    facts(&host.run(&words).unwrap().unwrap().stdout)
}

#[test]
fn a_booted_debian_is_known_in_all_its_parts() {
    if !ready() {
        return;
    }
    let key = Key::named("host-facts").unwrap();
    for tree in [Tree::bookworm().unwrap(), Tree::trixie().unwrap()] {
        let host = boot(&tree, &key);
        let facts = run(&host, &["--admin", "deploy", "--file", "/etc/ssh/sshd_config.d/00-gabion.conf"]);

        assert_eq!(facts.system.init.known(), Some(&Init::Systemd));
        assert_eq!(facts.system.packages.known(), Some(&PackageManager::Apt));
        assert_eq!(facts.system.admin_group.known().map(String::as_str), Some("sudo"));
        assert_eq!(facts.problems, []);
        let shadow = facts.accounts.shadow.known().unwrap();
        let deploy = shadow.iter().find(|entry| entry.name == "deploy").unwrap();
        assert!(
            matches!(&deploy.password, PasswordState::Usable { method, .. } if method == "6"),
            "{deploy:?}"
        );

        let sudo = facts.sudo["deploy"].known().unwrap();
        assert!(sudo.all && sudo.no_password && sudo.confirmed_by_sudo, "{sudo:?}");
        assert_eq!(sudo.decided_by.as_deref(), Some("/etc/sudoers.d/deploy:1"));
        assert!(!facts.sudo["guest"].known().unwrap().any);
        assert_eq!(facts.sudoers.check.known(), Some(&None));

        let version = facts.ssh.version.known().unwrap();
        assert!(version.starts_with("OpenSSH_"), "{version}");
        assert!(facts.ssh.dump.known().unwrap().contains("permitrootlogin"));
        assert!(facts.ssh.defaults.known().unwrap().contains("passwordauthentication yes"));
        let servers = facts.ssh.servers.known().unwrap();
        assert_eq!(servers.len(), 1, "{servers:?}");
        assert_eq!(servers[0].argv[0], "/usr/sbin/sshd");
        let ports: Vec<u16> = servers[0].listens.iter().map(SocketAddr::port).collect();
        assert_eq!(ports, [22, 22], "IPv4 and IPv6");
        let unit = facts.ssh.units.known().unwrap().iter().find(|unit| unit.name == "ssh.service").unwrap();
        assert_eq!((unit.loaded, unit.active.as_str(), unit.enabled.as_str()), (true, "active", "enabled"));
        assert!(unit.since > 0);

        let listeners = facts.network.listeners.known().unwrap();
        let ssh =
            listeners.iter().find(|listener| listener.port == 22 && listener.address.is_ipv6()).unwrap();
        assert!(ssh.is_exposed() && ssh.owners.iter().any(|owner| owner.name == "sshd"), "{ssh:?}");
        let addresses = facts.network.addresses.known().unwrap();
        assert!(addresses.iter().any(|address| address.address.addr() == IpAddr::from(HOST_V4)));
        assert!(facts.firewall.ruleset.known().is_some() && facts.firewall.generation.known().is_some());
        assert!(facts.file("/home/deploy/.ssh/authorized_keys").bytes().is_some());
        assert_eq!(facts.way_in.known().unwrap().via, Via::Console);
    }
}

#[test]
fn the_way_in_is_the_connection_that_runs_it_below_sudo_too() {
    if !ready() {
        return;
    }
    let key = Key::named("host-facts").unwrap();
    for tree in [Tree::bookworm().unwrap(), Tree::trixie().unwrap()] {
        let host = boot(&tree, &key);
        let peer: IpAddr = "2001:db8:77::9".parse().unwrap();
        let mut sessions = Vec::new();
        for command in [PROGRAM.to_owned(), format!("sudo -n {PROGRAM}")] {
            let login = host.ssh("deploy", Auth::Key(key.path())).from(peer).to(HOST_V6);
            let way = facts(&login.run(&command).unwrap().unwrap().stdout).way_in;
            let way = way.known().unwrap().clone();
            let Via::Ssh { peer: seen, local, local_port, .. } = way.via else {
                panic!("{command}: {way:?}")
            };
            assert_eq!((seen, local, local_port), (peer, IpAddr::from(HOST_V6), 22), "{command}");
            assert_eq!(way.user.as_deref(), Some("deploy"), "{command}");
            sessions.push(way);
        }
        assert!(sessions[1].started_ticks.is_some(), "root sees since when: {sessions:?}");
    }
}

#[test]
fn a_reload_of_sshd_is_seen_though_its_process_stays() {
    if !ready() {
        return;
    }
    let key = Key::named("host-facts").unwrap();
    let host = boot(&Tree::bookworm().unwrap(), &key);
    let server = |host: &Host| run(host, &[]).ssh.servers.known().unwrap()[0].clone();
    let before = server(&host);
    let told = |script: &str, last: i64| {
        host.run_script(script).unwrap().unwrap();
        let mut now = server(&host);
        for _ in 0..300 {
            if now.started > last {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(200));
            now = server(&host);
        }
        now
    };
    let by_systemd = told("sleep 1.2; systemctl reload ssh", before.started);
    let by_signal = told("sleep 1.2; kill -HUP $(cat /run/sshd.pid)", by_systemd.started);
    assert!(before.pid == by_systemd.pid && by_systemd.pid == by_signal.pid);
    assert!(before.started < by_systemd.started, "{before:?} {by_systemd:?}");
    assert!(by_systemd.started < by_signal.started, "{by_systemd:?} {by_signal:?}");
    assert_ne!(by_signal.started_by, Started::Process);
}

#[test]
fn the_evaluator_says_of_sudoers_what_sudo_says() {
    if !ready() {
        return;
    }
    let key = Key::named("host-facts").unwrap();
    let host = boot(&Tree::bookworm().unwrap(), &key);
    for (text, all, no_password) in [
        ("", false, false),
        ("guest ALL=(ALL) ALL\n", true, false),
        ("guest ALL=ALL\n", true, false),
        ("guest ALL=(www-data) ALL\n", false, false),
        ("guest ALL=(ALL,!root) ALL\n", false, false),
        ("guest ALL=(:adm) ALL\n", false, false),
        ("guest ALL=(ALL) NOPASSWD: ALL\n", true, true),
        ("guest ALL=(ALL) NOPASSWD: /bin/ls, ALL\n", true, true),
        ("guest ALL=(ALL) NOPASSWD: /bin/ls, PASSWD: ALL\n", true, false),
        ("guest ALL=(ALL) ALL, !/usr/bin/su\n", false, false),
        ("guest ALL=(ALL) !/usr/bin/su, ALL\n", true, false),
        ("guest ALL=(ALL) ALL\nguest ALL=(ALL) !ALL\n", false, false),
        ("#%guest ALL=(ALL) ALL\n", false, false),
        ("%guest ALL=(ALL) ALL\n", true, false),
        ("ALL, !guest ALL=(ALL) ALL\n", false, false),
        ("!guest, ALL ALL=(ALL) ALL\n", true, false),
        ("User_Alias A = B : B = guest\nA ALL=ALL\n", true, false),
        ("Cmnd_Alias SH = /bin/sh, /bin/bash\nguest ALL=(ALL) ALL, !SH\n", false, false),
        ("Defaults:guest !authenticate\nguest ALL=(ALL) ALL\n", true, true),
        ("Defaults runas_default=www-data\nguest ALL=ALL\n", false, false),
        ("guest no-such-host=(ALL) ALL\n", false, false),
        ("guest ALL,!lab-no=(ALL) /bin/ls : ALL=(ALL) ALL\n", true, false),
        ("guest ALL = \\\n (ALL) \\\n NOPASSWD: ALL # yes\n", true, true),
    ] {
        host.write("/etc/sudoers.d/90-guest", text.as_bytes()).unwrap();
        host.run(&["chmod", "0440", "/etc/sudoers.d/90-guest"]).unwrap().unwrap();
        let ours = run(&host, &[]).sudo["guest"].known().cloned();
        let both = run(&host, &["--admin", "guest"]);
        let theirs = both.sudo["guest"].known().cloned();
        let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
        assert_eq!((ours.all, ours.no_password), (all, no_password), "ours, {text}");
        assert!(theirs.confirmed_by_sudo, "{text}");
        assert_eq!((theirs.all, theirs.no_password), (all, no_password), "sudo's, {text}");
        assert_eq!(both.problems, [], "{text}");
    }
}

#[test]
fn without_privileges_what_is_closed_is_unknown_and_the_rest_is_known() {
    if !ready() {
        return;
    }
    let key = Key::named("host-facts").unwrap();
    let host = boot(&Tree::bookworm().unwrap(), &key);
    let login = host.ssh("guest", Auth::Key(key.path()));
    let facts = facts(&login.run(PROGRAM).unwrap().unwrap().stdout);
    for (what, unknown) in [
        ("shadow", facts.accounts.shadow.unknown()),
        ("sudoers", facts.sudoers.files.unknown()),
        ("visudo", facts.sudoers.check.unknown()),
        ("what sudo grants", facts.sudo["deploy"].unknown()),
        ("sshd -T", facts.ssh.dump.unknown()),
        ("servers", facts.ssh.servers.unknown()),
        ("the ruleset", facts.firewall.ruleset.unknown()),
        ("the group of administrators", facts.system.admin_group.unknown()),
    ] {
        assert!(unknown.is_some(), "{what}");
    }
    assert!(matches!(facts.file("/home/deploy/.ssh/authorized_keys"), FileFact::Unreadable(_)));
    assert!(facts.file("/home/guest/.ssh/authorized_keys").bytes().is_some());
    assert!(facts.accounts.users.known().is_some());
    assert!(facts.network.listeners.known().unwrap().iter().any(|listener| listener.port == 22));
    let way = facts.way_in.known().unwrap();
    assert!(matches!(way.via, Via::Ssh { .. }));
    assert_eq!(way.started_ticks, None, "what the environment says is no proof of a new login");
}
