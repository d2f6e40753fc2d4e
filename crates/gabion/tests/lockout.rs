//! Nobody is locked out: `apply` is refused where the administrator could not get in afterwards, and a real login by
//! the OpenSSH client says the same of every such host.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, dead_code, reason = "a test of throwaway hosts")]

mod hosts;

use std::net::IpAddr;

use hosts::{INSTALLED, admin_key, stock};
use lab::{Auth, HOST_V4, HOST_V6, Host, Lab, Manifest, OUTSIDE_V4, OUTSIDE_V6, Output, Tree};

const PASSWORD: &str = "deploys-own-password";

/// Names no administrator, so that a plan mends no account: whoever has sudo must get in as they are.
const NO_ADMIN: &str = "[ssh]\nroot-login = false\n";

/// One way to break the only way in.
struct Case {
    name: &'static str,
    /// What breaks it and what mends it; `S` in a drop-in of sshd's.
    broken: &'static str,
    sshd: &'static str,
    mend: &'static str,
    /// The condition that the refusal names.
    condition: &'static str,
}

const fn account(
    name: &'static str,
    broken: &'static str,
    mend: &'static str,
    condition: &'static str,
) -> Case {
    Case { name, broken, sshd: "", mend, condition }
}

const fn server(name: &'static str, sshd: &'static str, condition: &'static str) -> Case {
    Case { name, broken: "true", sshd, mend: "true", condition }
}

/// The conditions under which a key lets nobody in, each alone.
const CASES: &[Case] = &[
    account(
        "the home is writable by everybody",
        "chmod 0777 /home/deploy",
        "chmod 0755 /home/deploy",
        "key-file-modes",
    ),
    account(
        "the keys are writable by everybody",
        "chmod 0666 ~deploy/.ssh/authorized_keys",
        "chmod 0600 ~deploy/.ssh/authorized_keys",
        "key-file-modes",
    ),
    account(
        "the keys are root's alone",
        "chown root ~deploy/.ssh/authorized_keys",
        "chown deploy ~deploy/.ssh/authorized_keys",
        "key-file",
    ),
    account(
        "there is no key",
        "mv ~deploy/.ssh/authorized_keys /root/",
        "mv /root/authorized_keys ~deploy/.ssh/",
        "key-file",
    ),
    account(
        "the key is for another network",
        "sed -i 's/^/from=\"10.0.0.0\\/8\" /' ~deploy/.ssh/authorized_keys",
        "sed -i 's/^from=[^ ]* //' ~deploy/.ssh/authorized_keys",
        "key",
    ),
    account(
        "the key runs a program and nothing else",
        "sed -i 's/^/command=\"\\/bin\\/false\" /' ~deploy/.ssh/authorized_keys",
        "sed -i 's/^command=[^ ]* //' ~deploy/.ssh/authorized_keys",
        "key",
    ),
    account("a password must be changed first", "chage -d 0 deploy", "chage -d 20000 deploy", "password-age"),
    account(
        "the password has expired",
        "chage -d 2020-01-01 -M 30 deploy",
        "chage -d 20000 -M 99999 deploy",
        "password-age",
    ),
    account("the account has expired", "chage -E 2020-01-01 deploy", "chage -E -1 deploy", "expiry"),
    account(
        "the shell is missing",
        "usermod -s /bin/gone deploy 2>/dev/null",
        "usermod -s /bin/bash deploy",
        "shell",
    ),
    account(
        "the shell is nologin",
        "usermod -s /usr/sbin/nologin deploy",
        "usermod -s /bin/bash deploy",
        "shell",
    ),
    account("nobody may log in", "touch /etc/nologin", "rm /etc/nologin", "no-login"),
    account(
        "sudo asks for a password that there is not",
        "cp -p /etc/shadow /root/ && usermod -p '*' deploy",
        "mv /root/shadow /etc/shadow",
        "sudo-password",
    ),
    server("keys are elsewhere", "AuthorizedKeysFile /etc/ssh/keys/%u\n", "key-file"),
    server("another user is allowed", "AllowUsers root\n", "allow-lists"),
    server("another group is allowed", "AllowGroups root\n", "allow-lists"),
    server("the user is denied", "DenyUsers dep*\n", "allow-lists"),
    server("the group is denied", "DenyGroups sudo\n", "allow-lists"),
    server("a block denies the user", "Match Address 0.0.0.0/0,::/0\nDenyUsers deploy\n", "allow-lists"),
    server("the kind of key is not taken", "PubkeyAcceptedAlgorithms ecdsa-sha2-nistp256\n", "key"),
    server("no try is left", "MaxAuthTries 0\n", "tries"),
];

/// What a plan mends on its way: the guard judges the host as it will be, and lets these pass.
const MENDED: &[Case] = &[
    server("a password is asked too", "AuthenticationMethods publickey,password\n", ""),
    server("keys are not taken", "PubkeyAuthentication no\n", ""),
];

#[test]
fn what_the_plan_itself_mends_is_no_reason_to_refuse() {
    if let Err(error) = Lab::require() {
        return lab::skip(&error.to_string());
    }
    let host = stock(&Tree::bookworm().unwrap()).file("/etc/gabion/policy.toml", NO_ADMIN).boot().unwrap();
    for case in MENDED {
        break_it(&host, case);
        assert!(gets_in(&host).is_err(), "{}: a real login gets in", case.name);
        let before = State::of(&host);
        host.run(&[INSTALLED, "apply", "--yes"]).unwrap().unwrap();
        assert_eq!(gets_in(&host), Ok(()), "{}", case.name);
        host.run(&[INSTALLED, "rollback"]).unwrap().unwrap();
        assert_eq!(before.ruleset, host.ruleset().unwrap());
        mend(&host, case);
    }
}

/// A policy that shuts out one peer and not another.
struct Shutting {
    name: &'static str,
    policy: &'static str,
    /// From where the administrator asks, and is refused; to which address and port.
    shut: (IpAddr, IpAddr),
    /// Who else gets in under the same policy, so that it can be made real.
    open: Option<(IpAddr, IpAddr)>,
}

#[test]
fn apply_is_refused_to_whom_the_packet_filter_would_stop_and_granted_to_whom_it_lets_in() {
    if let Err(error) = Lab::require() {
        return lab::skip(&error.to_string());
    }
    let other: IpAddr = "203.0.113.7".parse().unwrap();
    let (v4, v6) = ((OUTSIDE_V4.into(), HOST_V4.into()), (OUTSIDE_V6.into(), HOST_V6.into()));
    let cases = [
        Shutting {
            name: "ssh from another network",
            policy: "[[firewall.allow]]\nservice = \"ssh\"\nfrom = [\"203.0.113.0/24\"]\n",
            shut: v4,
            open: Some((other, HOST_V4.into())),
        },
        Shutting { name: "no ssh", policy: "[[firewall.allow]]\nservice = \"http\"\n", shut: v4, open: None },
        Shutting { name: "no IPv6", policy: "[firewall]\nipv6 = \"reject\"\n", shut: v6, open: Some(v4) },
    ];
    let host = stock(&Tree::bookworm().unwrap()).boot().unwrap();
    // sudo marks its first use by a file in the home.
    assert_eq!(gets_in(&host), Ok(()));
    let key = admin_key();
    let login = |(from, to): (IpAddr, IpAddr)| {
        host.ssh("deploy", Auth::Key(key.path())).from(from).to(to).option("ConnectTimeout=15")
    };
    let apply = |by| -> Output {
        let command = format!("echo {PASSWORD} | sudo -S -p '' {INSTALLED} apply --yes --no-wait");
        login(by).run(&command).unwrap()
    };
    for case in &cases {
        host.write("/etc/gabion/policy.toml", case.policy.as_bytes()).unwrap();
        let before = State::of(&host);
        let refused = apply(case.shut);
        assert_eq!(refused.status, 2, "{}: {}", case.name, refused.stderr);
        assert!(refused.stderr.contains("packet-filter"), "{}: {}", case.name, refused.stderr);
        assert!(refused.stderr.contains("shut out by step"), "{}: {}", case.name, refused.stderr);
        assert_eq!(before.changed(&State::of(&host)), None, "{}", case.name);
        let Some(open) = case.open else { continue };
        apply(open).unwrap();
        assert!(!login(case.shut).run("true").unwrap().success(), "{}: the truth is another", case.name);
        login(open).run("true").unwrap().unwrap();
        host.run(&[INSTALLED, "rollback"]).unwrap().unwrap();
        login(case.shut).run("true").unwrap().unwrap();
    }
}

/// ssh.socket moves the door: whoever came in by it is refused a packet filter that opens sshd's own port alone, and
/// the service by its name means where the door really is.
#[test]
fn a_socket_unit_on_another_port_is_where_the_administrator_comes_in() {
    if let Err(error) = Lab::require() {
        return lab::skip(&error.to_string());
    }
    let socket = "[Socket]\nListenStream=\nListenStream=2222\n";
    let host = stock(&Tree::bookworm().unwrap())
        .file("/etc/systemd/system/ssh.socket.d/port.conf", socket)
        .prepare("systemctl -q disable ssh.service && systemctl -q enable ssh.socket")
        .boot()
        .unwrap();
    let key = admin_key();
    let login = || host.ssh("deploy", Auth::Key(key.path())).port(2222);
    let sudo = |command: &str| login().run(&format!("echo {PASSWORD} | sudo -S -p '' {command}")).unwrap();
    let apply = format!("{INSTALLED} apply --yes --no-wait");
    sudo("true").unwrap();
    host.write("/etc/gabion/policy.toml", b"[[firewall.allow]]\nport = \"tcp/22\"\n").unwrap();
    let before = State::of(&host);
    let refused = sudo(&apply);
    assert_eq!(refused.status, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("packet-filter"), "{}", refused.stderr);
    assert_eq!(before.changed(&State::of(&host)), None);

    host.write("/etc/gabion/policy.toml", NO_ADMIN.as_bytes()).unwrap();
    sudo(&apply).unwrap();
    login().run("true").unwrap().unwrap();
}

#[test]
fn apply_is_refused_where_no_administrator_gets_in_as_a_real_login_says() {
    if let Err(error) = Lab::require() {
        return lab::skip(&error.to_string());
    }
    let host = stock(&Tree::bookworm().unwrap())
        .root_password("hunter2")
        .file("/etc/gabion/policy.toml", NO_ADMIN)
        .boot()
        .unwrap();
    assert_eq!(gets_in(&host), Ok(()), "the host is sound to begin with");
    let mut wrong = Vec::new();
    for case in CASES {
        break_it(&host, case);
        let truth = gets_in(&host);
        let before = State::of(&host);
        let refused = host.run(&[INSTALLED, "apply", "--yes"]).unwrap();
        let after = State::of(&host);
        let problems = [
            (truth.is_ok()).then(|| "a real login gets in".to_owned()),
            (refused.status != 2).then(|| format!("exit {}", refused.status)),
            (!refused.stderr.contains(case.condition))
                .then(|| format!("names no {}:\n{}", case.condition, refused.stderr)),
            before.changed(&after),
        ];
        let problems: Vec<String> = problems.into_iter().flatten().collect();
        if !problems.is_empty() {
            wrong.push(format!("{}: {}", case.name, problems.join("; ")));
        }
        mend(&host, case);
        if refused.status == 0 {
            host.run(&[INSTALLED, "rollback"]).unwrap().unwrap();
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert_eq!(gets_in(&host), Ok(()), "every case was mended");
    println!("MEASURED: lock-outs refused {} of {}", CASES.len(), CASES.len());
}

fn break_it(host: &Host, case: &Case) {
    host.run_script(case.broken).unwrap().unwrap();
    if !case.sshd.is_empty() {
        host.write("/etc/ssh/sshd_config.d/50-broken.conf", case.sshd.as_bytes()).unwrap();
        reload(host);
    }
}

fn mend(host: &Host, case: &Case) {
    host.run_script(case.mend).unwrap().unwrap();
    if !case.sshd.is_empty() {
        host.run(&["rm", "/etc/ssh/sshd_config.d/50-broken.conf"]).unwrap().unwrap();
        reload(host);
    }
}

fn reload(host: &Host) {
    // For a moment after a reload, nothing listens.
    let script = "sshd -t && systemctl reload ssh && sleep 0.3 && until ss -Hltn sport = 22 | grep -q .; do sleep 0.1; done";
    host.run_script(script).unwrap().unwrap();
}

/// Whether the administrator gets in by key and becomes root, over IPv4; else what the programs said.
fn gets_in(host: &Host) -> Result<(), String> {
    let key = admin_key();
    let login = host.ssh("deploy", Auth::Key(key.path()));
    let command = format!("echo {PASSWORD} | sudo -S -p '' true");
    let output = login.run(&command).unwrap();
    if output.success() { Ok(()) } else { Err(output.stderr) }
}

/// What a refusal must leave alone.
struct State {
    files: Manifest,
    ruleset: String,
}

impl State {
    fn of(host: &Host) -> Self {
        let files = host.manifest(&["/etc", "/home", "/root", "/usr/local", "/var/lib/gabion"]).unwrap();
        Self { files, ruleset: host.ruleset().unwrap() }
    }

    fn changed(&self, after: &Self) -> Option<String> {
        let files = self.files.diff(&after.files);
        if !files.is_empty() {
            return Some(format!("files changed: {files}"));
        }
        (self.ruleset != after.ruleset).then(|| format!("rules changed: {}", after.ruleset))
    }
}
