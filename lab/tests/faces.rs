//! What a host shows and how it differs: releases, IP versions, files, listeners, terminals.
#![allow(clippy::unwrap_used, reason = "a test: its helpers unwrap")]
#![allow(clippy::disallowed_methods, reason = "a test writes a file to see it untouched")]

use lab::{
    Auth, Connect, Content, Datagram, Families, GREETING, HOST_V4, HOST_V6, Host, Key, Lab, Transport, Tree,
    User,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

fn ready() -> bool {
    Lab::require().inspect_err(|error| lab::skip(&error.to_string())).is_ok()
}

fn bookworm() -> Host {
    Host::builder(&Tree::bookworm().unwrap()).boot().unwrap()
}

#[test]
fn each_release_brings_its_own_openssh_and_systemd() {
    if !ready() {
        return;
    }
    let key = Key::named("lab-test").unwrap();
    for (tree, openssh, systemd) in [
        (Tree::bookworm().unwrap(), "OpenSSH_9.2", "systemd 252"),
        (Tree::trixie().unwrap(), "OpenSSH_10.0", "systemd 257"),
    ] {
        let mut host = Host::builder(&tree).user(&User::new("deploy").key(&key)).boot().unwrap();
        let release = host.run(&["cat", "/etc/os-release"]).unwrap().unwrap().stdout;
        assert!(release.contains(&format!("VERSION_CODENAME={}", tree.suite().name())), "{release}");
        assert!(host.run(&["ssh", "-V"]).unwrap().stderr.starts_with(openssh));
        assert!(host.run(&["systemctl", "--version"]).unwrap().stdout.starts_with(systemd));
        let state = host.run(&["systemctl", "is-system-running"]).unwrap();
        let failed = host.run(&["systemctl", "--failed", "--no-legend"]).unwrap().stdout;
        assert_eq!(state.stdout.trim(), "running", "{failed}");
        host.power_cut().unwrap();
        for to in [IpAddr::from(HOST_V4), HOST_V6.into()] {
            let login = host.ssh("deploy", Auth::Key(key.path())).to(to).run("id -un").unwrap().unwrap();
            assert_eq!(login.stdout, "deploy\n");
        }
    }
}

#[test]
fn a_login_is_a_session_with_limited_powers_and_sudo() {
    if !ready() {
        return;
    }
    let key = Key::named("lab-test").unwrap();
    let admin = User::new("deploy").key(&key).password("secret").group("sudo");
    let host = Host::builder(&Tree::bookworm().unwrap()).user(&admin).boot().unwrap();
    let login = host.ssh("deploy", Auth::Key(key.path()));
    let session = login.run("cat /proc/self/cgroup; echo $XDG_SESSION_ID").unwrap().unwrap().stdout;
    assert!(session.contains("/user.slice/") && session.contains("session-"), "{session}");
    let sudo = login.run_with("sudo -S id -u", b"secret\n", Duration::from_secs(120)).unwrap().unwrap();
    assert_eq!(sudo.stdout, "0\n");
    // A command from the lab is in none of the host's units, and root there can do no more than a root login.
    let own = host.run(&["cat", "/proc/self/cgroup"]).unwrap().stdout;
    assert!(!own.contains(".service") && !own.contains(".scope"), "{own}");
    let bounds = "grep CapBnd /proc/self/status";
    let by_ssh =
        login.run_with(&format!("sudo -S {bounds}"), b"secret\n", Duration::from_secs(120)).unwrap().stdout;
    assert_eq!(host.run_script(bounds).unwrap().stdout, by_ssh);
    assert!(host.run_tty("tty").unwrap().unwrap().stdout.starts_with("/dev/pts/"));
}

#[test]
fn one_ip_version_can_be_left_out() {
    if !ready() {
        return;
    }
    for (families, v4, v6) in [(Families::V4, true, false), (Families::V6, false, true)] {
        let host = Host::builder(&Tree::bookworm().unwrap()).families(families).boot().unwrap();
        let reaches =
            |to: IpAddr| host.outside().tcp_connect(None, to, 22).is_ok_and(|seen| seen == Connect::Open);
        assert_eq!((reaches(HOST_V4.into()), reaches(HOST_V6.into())), (v4, v6), "{families:?}");
        let addresses = host.run(&["ip", "address", "show", "scope", "global"]).unwrap().stdout;
        assert_eq!((addresses.contains("inet "), addresses.contains("inet6 ")), (v4, v6), "{addresses}");
    }
}

#[test]
fn listeners_answer_from_outside_and_end_with_their_handle() {
    if !ready() {
        return;
    }
    let host = bookworm();
    let outside = host.outside();
    let all: [(IpAddr, IpAddr); 2] =
        [(Ipv4Addr::UNSPECIFIED.into(), HOST_V4.into()), (Ipv6Addr::UNSPECIFIED.into(), HOST_V6.into())];
    for (any, address) in all {
        let tcp = host.listen(Transport::Tcp, any, 8000).unwrap();
        let _udp = host.listen(Transport::Udp, any, 8000).unwrap();
        assert_eq!(outside.tcp_connect(None, address, 8000).unwrap(), Connect::Open);
        assert_eq!(
            outside.udp_send(None, address, 8000, b"echo").unwrap(),
            Datagram::Answered(b"echo".to_vec())
        );
        assert_eq!(outside.udp_send(None, address, 8001, b"echo").unwrap(), Datagram::Refused);
        assert!(host.run(&["ss", "-tlpn"]).unwrap().stdout.contains("perl"), "it has an owner in the host");
        drop(tcp);
        let gone = || outside.tcp_connect(None, address, 8000).unwrap() == Connect::Refused;
        assert!((0..1000).any(|_| gone() || {
            std::thread::sleep(Duration::from_millis(20));
            false
        }));
    }
    assert!(!GREETING.is_empty());
}

#[test]
fn probes_tell_refused_from_unreachable_from_silence() {
    if !ready() {
        return;
    }
    let host = bookworm();
    let _udp = host.listen(Transport::Udp, Ipv6Addr::UNSPECIFIED, 8003).unwrap();
    let rules = "table inet probe { chain input { type filter hook input priority 0; \
                 tcp dport 8001 reject with icmpx admin-prohibited; tcp dport 8002 drop; \
                 udp dport 8001 reject with icmpx admin-prohibited; udp dport 8003 ip6 saddr 2001:db8:77::/64 drop; \
                 icmp type echo-request ip saddr 203.0.113.0/24 drop; }; }";
    let loaded = host.net().command("nft").arg(rules).output().unwrap();
    assert!(loaded.status.success(), "{loaded:?}");
    assert!(host.ruleset().unwrap().contains("table inet probe"));
    let outside = host.outside();
    for to in [IpAddr::from(HOST_V4), HOST_V6.into()] {
        assert_eq!(outside.tcp_connect(None, to, 8000).unwrap(), Connect::Refused);
        assert_eq!(outside.tcp_connect(None, to, 8001).unwrap(), Connect::Unreachable);
        assert_eq!(outside.tcp_connect(None, to, 8002).unwrap(), Connect::TimedOut);
        assert_eq!(outside.udp_send(None, to, 8001, b"x").unwrap(), Datagram::Unreachable);
    }
    let bad = Some("2001:db8:77::5".parse().unwrap());
    assert_eq!(outside.udp_send(bad, HOST_V6, 8003, b"x").unwrap(), Datagram::Silent);
    assert!(!outside.ping(Some("203.0.113.5".parse().unwrap()), HOST_V4).unwrap());
    assert!(outside.ping(Some("198.51.100.5".parse().unwrap()), HOST_V4).unwrap());
    let scan = outside.nmap(&["-Pn", "-n", "-p", "22,8000", "-oG", "-", "198.51.100.2"]).unwrap().unwrap();
    assert!(
        scan.stdout.contains("22/open/tcp") && scan.stdout.contains("8000/closed/tcp"),
        "{}",
        scan.stdout
    );
}

#[test]
fn manifests_show_what_changed_and_nothing_else() {
    if !ready() {
        return;
    }
    let host = bookworm();
    host.run_script("echo a > /etc/one; echo a > /etc/two; echo a > /etc/three; ln -s one /etc/link")
        .unwrap()
        .unwrap();
    let before = host.manifest(&["/etc"]).unwrap();
    assert_eq!(before.diff(&host.manifest(&["/etc"]).unwrap()), "");
    let two = &before.0[Path::new("/etc/two")];
    assert!(matches!(&two.content, Content::File { size: 2, .. }), "{two:?}");
    assert_eq!((two.mode, two.uid), (0o644, 0));

    host.run_script(
        "chmod 600 /etc/one; rm /etc/two; echo b > /etc/new; chown 1:1 /etc/three; ln -sf two /etc/link",
    )
    .unwrap()
    .unwrap();
    let diff = before.diff(&host.manifest(&["/etc"]).unwrap());
    let marks: Vec<_> = diff.lines().map(|line| line.split(':').next().unwrap_or_default()).collect();
    assert_eq!(marks, ["~ /etc/link", "~ /etc/one", "~ /etc/three", "- /etc/two", "+ /etc/new"]);
    let json = serde_json::to_string(&before).unwrap();
    assert_eq!(serde_json::from_str::<lab::Manifest>(&json).unwrap(), before);

    let changes = host.manifest_of_changes().unwrap();
    assert!(changes.0.contains_key(Path::new("/etc/new")));
    assert!(!changes.0.contains_key(Path::new("/etc/os-release")));
}

#[test]
fn files_of_a_host_are_read_and_written_within_its_root() {
    if !ready() {
        return;
    }
    let host = bookworm();
    let secret = Lab::require().unwrap().dir().join("secret-of-this-machine");
    std::fs::write(&secret, "outside").unwrap();
    let inside = secret.to_str().unwrap();
    host.run(&["ln", "-s", inside, "/etc/lead"]).unwrap().unwrap();
    assert!(host.read("/etc/lead").is_err(), "the link must not lead out of the host");
    host.write(inside, b"inside").unwrap();
    assert_eq!(host.read("/etc/lead").unwrap(), b"inside");
    assert_eq!(std::fs::read(&secret).unwrap(), b"outside");
    assert_eq!(host.run(&["cat", "/etc/lead"]).unwrap().stdout, "inside");
    host.write("/run/here", b"mounted by the host").unwrap();
    assert_eq!(host.run(&["cat", "/run/here"]).unwrap().stdout, "mounted by the host");
    std::fs::remove_file(secret).unwrap();
}

#[test]
fn programs_are_there_before_the_first_boot_and_after_a_cut() {
    if !ready() {
        return;
    }
    let own = std::env::current_exe().unwrap();
    let tree = Tree::bookworm().unwrap();
    let mut host = Host::builder(&tree).program(&own, "/usr/local/sbin/tool").boot().unwrap();
    assert!(host.run(&["tool", "--list"]).unwrap().unwrap().stdout.contains(": test"));
    host.push("/usr/bin/true", "/usr/local/bin/pushed").unwrap();
    host.run(&["pushed"]).unwrap().unwrap();
    host.power_cut().unwrap();
    assert!(host.run(&["tool", "--list"]).unwrap().success());
    assert!(!host.manifest_of_changes().unwrap().0.contains_key(Path::new("/usr/local/sbin/tool")));
}

#[test]
fn a_daemon_left_behind_does_not_hold_its_starter_up() {
    if !ready() {
        return;
    }
    let host = bookworm();
    let output = host.run_script("setsid sleep 300 & echo started").unwrap().unwrap();
    assert_eq!(output.stdout, "started\n");
    assert!(host.run(&["pgrep", "-x", "sleep"]).unwrap().success(), "it must live on");
    let mut spawned = host.spawn(&["sleep", "301"]).unwrap();
    spawned.kill().unwrap();
    let alive = || host.run(&["pgrep", "-f", "sleep 301"]).unwrap().success();
    assert!((0..1000).any(|_| !alive() || {
        std::thread::sleep(Duration::from_millis(20));
        false
    }));
}
