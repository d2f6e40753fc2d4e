//! The audit as a whole: nothing is found on a host that follows its policy, and each part of a sabotage is.

use host::Facts;
use host::facts::PasswordState;
use policy::Policy;

use super::*;
use crate::fixture::{ADMIN, Build, DEBIAN_CONFIG, debian, policy, secured};

#[track_caller]
fn assert_clean(facts: &Facts, policy: &Policy) {
    let audit = audit(facts, policy);
    let bad: Vec<_> = audit.findings.iter().filter(|finding| finding.severity >= Severity::Medium).collect();
    assert!(bad.is_empty() && audit.is_clean(), "{bad:#?}");
}

#[test]
fn a_host_that_follows_its_policy_has_no_finding() {
    let audit = audit(&secured(), &policy());
    assert_eq!(audit.findings, [], "{:#?}", audit.findings);
    assert_eq!(audit.not_applicable, []);
    assert_eq!(audit.passed.len(), catalogue().len());
}

/// What is done, the control that must find it, and how it is done.
type Part = (&'static str, &'static str, fn(&mut Facts));

/// The twelve parts of a sabotaged host, each alone; and the control that must find it.
fn sabotage() -> Vec<Part> {
    fn config(facts: &mut Facts, line: &str) {
        // Where a person writes: first, so that it counts.
        facts.drop_in("00-a.conf", &format!("{line}\n"));
    }
    vec![
        ("empty passwords allowed", "SH4", |facts| {
            config(facts, "PermitEmptyPasswords yes");
        }),
        ("an account without a password", "US4", |facts| {
            facts.user("bob", 1001, "/home/bob", "/bin/bash").directory("/home/bob", 0o755, 1001);
            facts.shadow_of("bob").password = PasswordState::Empty;
            for path in
                ["/home/bob/.ssh", "/home/bob/.ssh/authorized_keys", "/home/bob/.ssh/authorized_keys2"]
            {
                facts.files.insert(path.into(), host::facts::FileFact::Absent);
            }
        }),
        ("password login", "SH2", |facts| {
            config(facts, "PasswordAuthentication yes");
        }),
        ("host-based login", "SH6", |facts| {
            config(facts, "HostbasedAuthentication yes");
        }),
        ("CBC and 3DES", "SH16", |facts| {
            config(facts, "Ciphers +aes256-cbc,3des-cbc");
        }),
        ("hmac-md5", "SH17", |facts| {
            config(facts, "MACs +hmac-md5");
        }),
        ("group1-sha1", "SH18", |facts| {
            config(facts, "KexAlgorithms +diffie-hellman-group1-sha1");
        }),
        ("ssh-rsa", "SH19", |facts| {
            config(facts, "HostKeyAlgorithms +ssh-rsa\nPubkeyAcceptedAlgorithms +ssh-rsa");
        }),
        ("root from all of IPv4 by a Match block", "SH1", |facts| {
            facts.sshd_config(&format!("{DEBIAN_CONFIG}Match Address 0.0.0.0/0\n  PermitRootLogin yes\n"));
        }),
        ("root's keys writable by all", "SH29", |facts| {
            facts.directory("/root/.ssh", 0o777, 0).file_with("/root/.ssh/authorized_keys", 0o666, 0, "");
        }),
        ("a home writable by all", "SH29", |facts| {
            facts.entry("/home/deploy").mode = 0o777;
        }),
        ("ports 22 and 2222", "SH31", |facts| {
            config(facts, "Port 22\nPort 2222");
        }),
    ]
}

#[test]
fn each_of_the_twelve_parts_of_a_sabotage_is_found_alone() {
    assert_eq!(sabotage().len(), 12);
    for (part, control, sabotage) in sabotage() {
        let mut facts = secured();
        sabotage(&mut facts);
        let audit = audit(&facts, &policy());
        let found = audit.findings.iter().find(|finding| finding.id.0 == control);
        assert!(
            found.is_some_and(|finding| finding.severity >= Severity::Medium),
            "{part}: {:#?}",
            audit.findings
        );
        assert!(!found.unwrap().decided_by.is_empty(), "{part}");
        assert!(!audit.is_clean(), "{part}");
    }
}

#[test]
fn all_twelve_parts_together_are_found() {
    let mut facts = secured();
    let text = "PermitEmptyPasswords yes\nPasswordAuthentication yes\nHostbasedAuthentication yes\n\
        Ciphers +aes256-cbc,3des-cbc\nMACs +hmac-md5\nKexAlgorithms +diffie-hellman-group1-sha1\n\
        HostKeyAlgorithms +ssh-rsa\nPubkeyAcceptedAlgorithms +ssh-rsa\nPort 22\nPort 2222\n";
    for (_, _, sabotage) in sabotage() {
        sabotage(&mut facts);
    }
    facts.drop_in("00-a.conf", text);
    let audit = audit(&facts, &policy());
    for (part, control, _) in sabotage() {
        assert!(audit.findings.iter().any(|finding| finding.id.0 == control), "{part}");
    }
}

#[test]
fn what_apply_mends_is_gone_once_the_drop_in_and_the_filter_are_there() {
    let before = audit(&debian(), &policy());
    let mendable: Vec<_> = before.findings.iter().filter(|finding| finding.fix == Fix::Apply).collect();
    for id in ["SH1", "SH2", "SH9", "SH17", "FW1", "FW3"] {
        assert!(mendable.iter().any(|finding| finding.id.0 == id), "{id}: {:#?}", before.findings);
    }
    assert_clean(&secured(), &policy());
}

#[test]
fn a_host_of_which_nothing_is_known_passes_nothing() {
    let audit = audit(&Facts::default(), &Policy::default());
    assert_eq!(audit.passed, [], "{:?}", audit.passed);
    assert!(
        audit.findings.iter().all(|finding| matches!(finding.state, State::Unknown(_))),
        "{:#?}",
        audit.findings
    );
}

#[test]
fn an_image_that_does_not_run_is_judged_by_its_files() {
    let mut facts = secured();
    let unknown = "the machine does not run";
    facts.source = host::facts::Source::Image;
    facts.ssh.servers = host::Fact::Unknown(unknown.to_owned());
    facts.ssh.dump = host::Fact::Unknown(unknown.to_owned());
    facts.ssh.defaults = host::Fact::Unknown(unknown.to_owned());
    facts.firewall.ruleset = host::Fact::Unknown(unknown.to_owned());
    facts.firewall.legacy_tables = host::Fact::Unknown(unknown.to_owned());
    facts.sudoers.check = host::Fact::Unknown(unknown.to_owned());
    facts.way_in = host::Fact::Unknown(unknown.to_owned());
    facts.network = host::facts::Network::default();
    assert_clean(&facts, &policy());
    facts.drop_in("00-a.conf", "PermitRootLogin yes\n");
    let audit = audit(&facts, &policy());
    assert!(audit.findings.iter().any(|finding| finding.id.0 == "SH1"), "{:#?}", audit.findings);
}

#[test]
fn findings_come_worst_first_and_say_what_to_do() {
    let mut facts = debian();
    facts.shadow_of(ADMIN).max_age = Some(60);
    let audit = audit(&facts, &policy());
    assert!(audit.findings.is_sorted_by_key(|finding| std::cmp::Reverse(finding.severity)));
    for finding in &audit.findings {
        assert!(!finding.what.is_empty() && !finding.decided_by.is_empty(), "{finding:#?}");
        assert!(finding.fix == Fix::Apply || finding.undo != "gabion rollback", "{finding:#?}");
    }
}
