//! What is broken on a host on purpose is found, each part alone and all together, with what decides it.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, dead_code, reason = "a test of throwaway hosts")]

mod hosts;

use hosts::{Audit, Finding, INSTALLED, admin_key, audit, harden, stock};
use lab::{Auth, Host, Lab, Tree, User};

/// Sorts before every other drop-in, so that what it says counts.
const DROP_IN: &str = "/etc/ssh/sshd_config.d/00-a.conf";

/// One thing that somebody broke.
struct Part {
    name: &'static str,
    /// Lines of [`DROP_IN`].
    sshd: &'static str,
    /// Commands, and those that take them back.
    script: &'static str,
    mend: &'static str,
    /// The control that finds it.
    id: &'static str,
    /// What decides it holds this; `DROP_IN:N` is written `@N`, counted within the part.
    place: &'static str,
}

/// The sabotage under which Lynis 3.1.6 gives the host one point more than before.
const PARTS: [Part; 12] = [
    Part {
        name: "empty passwords allowed",
        sshd: "PermitEmptyPasswords yes\n",
        place: "@1",
        ..Part::of("SH4")
    },
    Part {
        name: "an account without password",
        script: "passwd -q -d guest",
        mend: "usermod -p '*' guest",
        place: "/etc/shadow:",
        ..Part::of("US4")
    },
    Part { name: "password logins", sshd: "PasswordAuthentication yes\n", place: "@1", ..Part::of("SH2") },
    Part { name: "host-based logins", sshd: "HostbasedAuthentication yes\n", place: "@1", ..Part::of("SH6") },
    Part { name: "CBC and 3DES", sshd: "Ciphers +aes128-cbc,3des-cbc\n", place: "@1", ..Part::of("SH16") },
    Part { name: "hmac-md5", sshd: "MACs +hmac-md5\n", place: "@1", ..Part::of("SH17") },
    Part {
        name: "group1-sha1",
        sshd: "KexAlgorithms +diffie-hellman-group1-sha1\n",
        place: "@1",
        ..Part::of("SH18")
    },
    Part {
        name: "ssh-rsa",
        sshd: "HostKeyAlgorithms +ssh-rsa\nPubkeyAcceptedAlgorithms +ssh-rsa\n",
        place: "@1",
        ..Part::of("SH19")
    },
    Part { name: "ports 22 and 2222", sshd: "Port 22\nPort 2222\n", place: "@2", ..Part::of("SH31") },
    Part {
        name: "root's keys writable by everybody",
        script: "install -d -m 0777 /root/.ssh && cp /home/guest/.ssh/authorized_keys /root/.ssh/ \
                 && chmod 0666 /root/.ssh/authorized_keys",
        mend: "rm -r /root/.ssh",
        place: "/root/.ssh/authorized_keys",
        ..Part::of("SH29")
    },
    Part {
        name: "a home writable by everybody",
        script: "chmod 0777 /home/guest",
        mend: "chmod 0700 /home/guest",
        place: "/home/guest",
        ..Part::of("SH29")
    },
    // Last: what follows a Match line belongs to its block.
    Part {
        name: "root allowed from all of IPv4",
        sshd: "Match Address 0.0.0.0/0\nPermitRootLogin yes\nPasswordAuthentication yes\n",
        place: "@2",
        ..Part::of("SH1")
    },
];

/// Doors that stand open for some connections alone.
const MATCHED: [(&str, &str); 9] = [
    // Any `Match LocalPort` takes the whole configuration from a tool that asks `sshd -T` without a port.
    ("SH2", "Match LocalPort 22\nPasswordAuthentication yes\n"),
    ("SH3", "Match Group sudo\nKbdInteractiveAuthentication yes\n"),
    ("SH4", "Match User guest Address 203.0.113.0/24\nPermitEmptyPasswords yes\n"),
    ("SH6", "Match Address 2001:db8::/32\nHostbasedAuthentication yes\n"),
    ("SH1", "Match User *,!deploy\nPermitRootLogin yes\n"),
    ("SH8", "Match User guest\nAcceptEnv *\n"),
    ("SH9", "Match Address 10.0.0.0/8\nPermitTunnel yes\n"),
    ("SH9", "Match User guest LocalAddress 198.51.100.2\nX11Forwarding yes\n"),
    ("SH19", "Match User guest\nPubkeyAcceptedAlgorithms +ssh-rsa\n"),
];

impl Part {
    const fn of(id: &'static str) -> Self {
        Self { name: "", sshd: "", script: "true", mend: "true", id, place: "" }
    }

    /// Whether an audit has it, where its lines stand in the drop-in from `first` on (counted from one).
    fn is_in(&self, findings: &[Finding], first: usize) -> bool {
        let place = match self.place.strip_prefix('@') {
            Some(line) => format!("{DROP_IN}:{}", first + line.parse::<usize>().unwrap() - 1),
            None => self.place.to_owned(),
        };
        let names = |decided: &String| match self.place.starts_with('@') {
            true => *decided == place,
            false => decided.contains(&place),
        };
        findings
            .iter()
            .any(|finding| finding.id == self.id && !finding.unknown && finding.decided_by.iter().any(names))
    }
}

/// Breaks these parts, and lets sshd read them.
fn break_in(host: &Host, parts: &[&Part]) {
    let lines: String = parts.iter().map(|part| part.sshd).collect();
    host.write(DROP_IN, lines.as_bytes()).unwrap();
    for part in parts {
        host.run_script(part.script).unwrap().unwrap();
    }
    reload(host);
}

fn mend(host: &Host, parts: &[&Part]) {
    host.run(&["rm", DROP_IN]).unwrap().unwrap();
    for part in parts {
        host.run_script(part.mend).unwrap().unwrap();
    }
    reload(host);
}

fn reload(host: &Host) {
    // For a moment after a reload, nothing listens.
    let script = "sshd -t && systemctl reload ssh && sleep 0.3 && until ss -Hltn sport = 22 | grep -q .; do sleep 0.1; done";
    host.run_script(script).unwrap().unwrap();
}

/// Where the lines of each part begin, when they stand one after the other.
fn first_lines(parts: &[&Part]) -> Vec<usize> {
    let mut next = 1;
    let begin = |part: &&Part| {
        let first = next;
        next += part.sshd.lines().count();
        first
    };
    parts.iter().map(begin).collect()
}

fn assert_all_found(parts: &[&Part], audit: &Audit) {
    let findings = audit.findings();
    let missed: Vec<&str> = parts
        .iter()
        .zip(first_lines(parts))
        .filter(|(part, first)| !part.is_in(&findings, *first))
        .map(|(part, _)| part.name)
        .collect();
    assert!(missed.is_empty(), "missed: {missed:?}\n{findings:#?}");
}

fn hardened() -> Host {
    let host = stock(&Tree::bookworm().unwrap())
        .user(&User::new("guest").key(&admin_key()))
        .root_password("hunter2")
        .prepare("usermod -p '*' guest")
        .boot()
        .unwrap();
    harden(&host);
    host
}

#[test]
fn every_part_of_the_sabotage_is_found_alone_and_together_and_nothing_is_found_without_it() {
    if let Err(error) = Lab::require() {
        return lab::skip(&error.to_string());
    }
    let mut host = hardened();
    let clean = audit(&host, &[]);
    assert_eq!((clean.status, clean.findings()), (0, Vec::new()), "a host as its policy says is clean");

    for part in &PARTS {
        break_in(&host, &[part]);
        let broken = audit(&host, &[]);
        assert_eq!(broken.status, 1, "{}", part.name);
        assert_all_found(&[part], &broken);
        mend(&host, &[part]);
    }
    for (id, sshd) in MATCHED {
        let part = Part { name: sshd, sshd, place: "@2", ..Part::of(id) };
        break_in(&host, &[&part]);
        assert_all_found(&[&part], &audit(&host, &[]));
        mend(&host, &[&part]);
    }
    assert_eq!(audit(&host, &[]).findings(), Vec::new(), "the host is clean again");

    let all: Vec<&Part> = PARTS.iter().collect();
    break_in(&host, &all);
    the_doors_stand_open(&host);
    let live = audit(&host, &[]);
    assert_all_found(&all, &live);
    println!("MEASURED: sabotage found {} of 12", all.len());

    facts_saved_and_read_again_say_the_same(&host, &live);
    a_user_without_privileges_is_told_what_is_not_known(&host, &live);
    the_files_alone_show_what_is_in_them(&mut host, &all);
}

/// The sabotage is real: root gets in by a password over a broken cipher, and the guest by nothing at all.
fn the_doors_stand_open(host: &Host) {
    let root = host.ssh("root", Auth::Password("hunter2")).option("Ciphers=aes128-cbc");
    assert_eq!(root.run("id -u").unwrap().unwrap().stdout.trim(), "0");
    host.ssh("guest", Auth::Nothing).run("true").unwrap().unwrap();
}

fn facts_saved_and_read_again_say_the_same(host: &Host, live: &Audit) {
    let facts = host.run(&[INSTALLED, "facts"]).unwrap().unwrap().stdout;
    host.write("/tmp/facts.json", facts.as_bytes()).unwrap();
    let replayed = audit(host, &["--facts", "/tmp/facts.json"]);
    assert_eq!((replayed.status, replayed.findings()), (live.status, live.findings()));
    assert_eq!(replayed.passed(), live.passed());
}

/// What only root may read is unknown to others: a control that failed for root neither passes nor is left out.
fn a_user_without_privileges_is_told_what_is_not_known(host: &Host, live: &Audit) {
    let words =
        ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", INSTALLED, "audit", "--json"];
    let unprivileged = Audit::of(&host.run(&words).unwrap());
    assert_eq!(unprivileged.status, 1);
    let found = unprivileged.findings();
    let passed = unprivileged.passed();
    for finding in live.findings().iter().filter(|finding| finding.severity != "info") {
        assert!(!passed.contains(&finding.id), "{} passes for nobody\n{found:#?}", finding.id);
        assert!(found.iter().any(|other| other.id == finding.id), "{} is left out", finding.id);
    }
    let unknown = |id: &str| found.iter().any(|finding| finding.id == id && finding.unknown);
    assert!(unknown("US4") && unknown("FW1"), "{found:#?}");
}

fn the_files_alone_show_what_is_in_them(host: &mut Host, all: &[&Part]) {
    host.stop().unwrap();
    let root = host.root_on_this_machine();
    let mut command = std::process::Command::new(hosts::PROGRAM);
    let output = command.args(["audit", "--json", "--root"]).arg(&root).output().unwrap();
    let document = serde_json::from_slice(&output.stdout).unwrap();
    let off = Audit { status: output.status.code().unwrap(), document };
    assert_eq!(off.status, 1);
    assert_all_found(all, &off);
    let passed = off.passed();
    for id in ["SH24", "FW1", "FW2"] {
        assert!(!passed.contains(&id.to_owned()), "{id} cannot pass where nothing runs");
    }
}
