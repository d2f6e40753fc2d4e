use host::Fact;
use host::facts::{FileFact, Server, Started};
use policy::{AllowLogin, Crypto, Policy};

use super::*;
use crate::finding::{Finding, Fix, Severity, State};
use crate::fixture::{ADMIN, Build, DEBIAN_CONFIG, assert_holds, debian, judge, only, policy, secured, unit};

/// A Debian host with lines of its own in a drop-in, where cloud images and people put them.
fn with(text: &str) -> Facts {
    let mut facts = debian();
    facts.drop_in("50-own.conf", text);
    facts
}

fn settings(facts: &Facts, policy: &Policy) -> Vec<String> {
    desired(policy, facts)
        .unwrap()
        .settings
        .iter()
        .map(|(keyword, value)| format!("{keyword} {value}"))
        .collect()
}

/// A setting in a drop-in makes a control fail, `apply` mends it, and the finding says which line decides.
#[track_caller]
fn fails_and_is_mended(id: &str, line: &str, severity: Severity) -> Finding {
    let facts = with(&format!("{line}\n"));
    let finding = judge(id, &facts, &policy())
        .unwrap()
        .into_iter()
        .find(|finding| finding.decided_by[0].contains("50-own"));
    let finding = finding.unwrap_or_else(|| panic!("{id} {line}: nothing found"));
    assert_eq!((finding.severity, &finding.fix), (severity, &Fix::Apply), "{finding:#?}");
    assert_eq!(finding.decided_by, ["/etc/ssh/sshd_config.d/50-own.conf:1"]);
    let mut applied = facts;
    crate::fixture::apply_ssh(&mut applied, &policy());
    assert_holds(id, &applied, &policy());
    finding
}

#[test]
fn a_stock_host_lets_root_in_by_key_and_everybody_by_password() {
    assert_eq!(only("SH1", &debian(), &policy()).severity, Severity::Medium);
    let finding = only("SH2", &debian(), &policy());
    assert_eq!(finding.severity, Severity::Critical);
    assert_eq!(finding.decided_by, ["the default of OpenSSH_9.2p1 Debian-2+deb12u7"]);
    for id in ["SH3", "SH4", "SH5", "SH6", "SH7", "SH8", "SH10", "SH14", "SH15", "SH16", "SH18", "SH19"] {
        assert_holds(id, &debian(), &policy());
    }
}

#[test]
fn each_setting_that_opens_a_door_is_found_and_closed() {
    let worst = fails_and_is_mended("SH1", "PermitRootLogin yes", Severity::Critical);
    assert_eq!(worst.what, "root may log in by password: PermitRootLogin is yes");
    fails_and_is_mended("SH1", "PermitRootLogin forced-commands-only", Severity::Medium);
    fails_and_is_mended("SH2", "PasswordAuthentication yes", Severity::Critical);
    fails_and_is_mended("SH3", "KbdInteractiveAuthentication yes", Severity::Critical);
    fails_and_is_mended("SH4", "PermitEmptyPasswords yes", Severity::Critical);
    fails_and_is_mended("SH5", "PubkeyAuthentication no", Severity::Critical);
    fails_and_is_mended("SH5", "AuthenticationMethods hostbased", Severity::Critical);
    fails_and_is_mended("SH6", "HostbasedAuthentication yes", Severity::High);
    fails_and_is_mended("SH6", "IgnoreRhosts no", Severity::Medium);
    fails_and_is_mended("SH7", "StrictModes no", Severity::High);
    fails_and_is_mended("SH8", "PermitUserEnvironment LANG,LC_*", Severity::Medium);
    fails_and_is_mended("SH9", "X11Forwarding yes", Severity::Medium);
    fails_and_is_mended("SH9", "PermitTunnel point-to-point", Severity::Medium);
    fails_and_is_mended("SH9", "GatewayPorts clientspecified", Severity::Medium);
    fails_and_is_mended("SH14", "LogLevel QUIET", Severity::Medium);
    fails_and_is_mended("SH14", "LogLevel DEBUG3", Severity::Medium);
    fails_and_is_mended("SH15", "UsePAM no", Severity::Medium);
    fails_and_is_mended("SH16", "Ciphers aes128-ctr,3des-cbc", Severity::High);
    fails_and_is_mended("SH17", "MACs hmac-md5-96", Severity::High);
    fails_and_is_mended("SH18", "KexAlgorithms +diffie-hellman-group14-sha1", Severity::High);
    fails_and_is_mended("SH18", "KexAlgorithms curve25519-sha256", Severity::Medium);
    fails_and_is_mended("SH19", "HostKeyAlgorithms +ssh-rsa", Severity::High);
    fails_and_is_mended("SH19", "PubkeyAcceptedAlgorithms +ssh-rsa", Severity::High);
    fails_and_is_mended("SH19", "CASignatureAlgorithms +ssh-rsa", Severity::High);
}

#[test]
fn a_match_block_that_opens_a_door_again_is_found_and_closed_and_goes_on_counting_otherwise() {
    let mut facts = debian();
    facts.sshd_config(&format!(
        "{DEBIAN_CONFIG}Match User git\n  PasswordAuthentication yes\n  ChrootDirectory /srv\n\
         Match Address 203.0.113.0/24\n  PermitRootLogin yes\n  PubkeyAcceptedAlgorithms +ssh-rsa\n"
    ));
    let findings = judge("SH2", &facts, &policy()).unwrap();
    let block = findings.iter().find(|finding| finding.decided_by == ["/etc/ssh/sshd_config:9"]).unwrap();
    assert!(block.what.ends_with("PasswordAuthentication is yes, under `Match User git`"), "{}", block.what);

    let desired = desired(&policy(), &facts).unwrap();
    let closed: Vec<&str> = desired.match_all.iter().map(|(keyword, _)| keyword.as_str()).collect();
    assert_eq!(closed, ["PermitRootLogin", "PasswordAuthentication", "PubkeyAcceptedAlgorithms"]);
    crate::fixture::apply_ssh(&mut facts, &policy());
    for id in ["SH1", "SH2", "SH19"] {
        assert_holds(id, &facts, &policy());
    }
    let sshd = Sshd::read(&facts).unwrap();
    let git = sshd_config::Connection::of("git", "192.0.2.1".parse().unwrap());
    assert_eq!(sshd.effective(&git).text(sshd_config::Keyword::ChrootDirectory), Some("/srv"));
}

#[test]
fn a_match_block_for_others_than_root_does_not_open_root() {
    let mut facts = secured();
    facts.sshd_config(&format!("{DEBIAN_CONFIG}Match User git\n  PermitRootLogin yes\n"));
    assert_holds("SH1", &facts, &policy());
}

#[test]
fn the_same_host_gives_the_same_drop_in_before_and_after() {
    let hosts = [
        debian(),
        with("PasswordAuthentication yes\nCiphers aes128-cbc,aes128-ctr\nLogLevel QUIET\nGatewayPorts yes\n"),
        with("Match Group sftp\n PasswordAuthentication yes\n X11Forwarding yes\n"),
    ];
    for mut facts in hosts {
        let before = desired(&policy(), &facts).unwrap();
        assert!(before.drop_in_is_read_first);
        crate::fixture::apply_ssh(&mut facts, &policy());
        assert_eq!(desired(&policy(), &facts).unwrap(), before);
    }
}

#[test]
fn only_what_is_needed_or_the_core_is_written() {
    assert_eq!(
        settings(&debian(), &policy())[..8],
        [
            "PermitRootLogin no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PermitEmptyPasswords no",
            "PubkeyAuthentication yes",
            "HostbasedAuthentication no",
            "X11Forwarding no",
            "MACs -umac-64-etm@openssh.com,hmac-sha1-etm@openssh.com,umac-64@openssh.com,hmac-sha1",
        ]
    );
    let mut loose = policy();
    (loose.ssh.root_login, loose.ssh.password_login, loose.ssh.crypto) = (true, true, Crypto::Compatible);
    assert_eq!(
        settings(&debian(), &loose),
        [
            "PermitEmptyPasswords no",
            "PubkeyAuthentication yes",
            "HostbasedAuthentication no",
            "X11Forwarding no"
        ]
    );
    for id in ["SH1", "SH2", "SH3", "SH17"] {
        assert_holds(id, &debian(), &loose);
    }
}

#[test]
fn what_the_host_took_out_of_a_list_does_not_come_back() {
    let facts = with("Ciphers aes256-gcm@openssh.com,aes256-cbc\n");
    let removed = settings(&facts, &policy()).into_iter().find(|line| line.starts_with("Ciphers -")).unwrap();
    for name in ["chacha20-poly1305@openssh.com", "aes128-ctr", "aes128-gcm@openssh.com", "aes256-cbc"] {
        assert!(removed.contains(name), "{removed}");
    }
    let mut applied = facts;
    crate::fixture::apply_ssh(&mut applied, &policy());
    let sshd = Sshd::read(&applied).unwrap();
    assert_eq!(sshd.at_start().list(sshd_config::Keyword::Ciphers), ["aes256-gcm@openssh.com"]);
}

#[test]
fn forwarding_follows_the_policy() {
    let mut strict = policy();
    (strict.ssh.tcp_forwarding, strict.ssh.agent_forwarding) = (false, false);
    let what = settings(&debian(), &strict);
    for line in ["AllowTcpForwarding no", "AllowStreamLocalForwarding no", "AllowAgentForwarding no"] {
        assert!(what.iter().any(|have| have == line), "{line}: {what:?}");
    }
    assert_eq!(judge("SH9", &debian(), &strict).unwrap().len(), 4);
    assert_holds("SH9", &crate::fixture::secured_by(&strict), &strict);
}

#[test]
fn an_old_server_is_told_in_its_own_words() {
    let mut facts = debian();
    facts.ssh.version = Fact::Known("OpenSSH_8.4p1 Debian-5+deb11u3".to_owned());
    facts.ssh.defaults = Fact::Unknown("not asked".to_owned());
    facts.drop_in("50-own.conf", "PubkeyAcceptedKeyTypes +ssh-rsa\n");
    let what = settings(&facts, &policy());
    assert!(what.iter().any(|line| line == "ChallengeResponseAuthentication no"), "{what:?}");
    assert!(what.iter().any(|line| line.starts_with("PubkeyAcceptedKeyTypes -ssh-rsa")), "{what:?}");
    assert!(!what.iter().any(|line| line.starts_with("PubkeyAcceptedAlgorithms")), "{what:?}");
}

#[test]
fn a_main_file_without_include_takes_it_above_everything_and_above_the_first_match() {
    let mut facts = debian();
    let text = "X11Forwarding yes\nUsePAM yes\n# for sftp\nMatch Group sftp\n  PasswordAuthentication yes\n  ForceCommand internal-sftp\n";
    facts.sshd_config(text);
    let first = desired(&policy(), &facts).unwrap();
    assert!(!first.drop_in_is_read_first);
    assert_eq!(first.match_all, [("PasswordAuthentication".to_owned(), "no".to_owned())]);
    crate::fixture::apply_ssh(&mut facts, &policy());
    for id in ["SH1", "SH2", "SH9", "SH25", "SH26", "SH27"] {
        assert!(
            judge(id, &facts, &policy()).unwrap().iter().all(|finding| finding.severity < Severity::Medium),
            "{id}"
        );
    }
    assert_eq!(desired(&policy(), &facts).unwrap(), first);
    let main = facts.file("/etc/ssh/sshd_config").bytes().unwrap().to_vec();
    assert_eq!(first.main_file(&main), main, "a second time changes nothing");
    assert!(String::from_utf8(main).unwrap().contains("ForceCommand internal-sftp"));
}

#[test]
fn a_second_factor_behind_a_key_is_left_alone() {
    let facts =
        with("KbdInteractiveAuthentication yes\nAuthenticationMethods publickey,keyboard-interactive\n");
    assert_holds("SH3", &facts, &policy());
    let what = settings(&facts, &policy());
    assert!(
        !what.iter().any(|line| line.starts_with("KbdInteractive") || line.starts_with("AuthenticationM")),
        "{what:?}"
    );
    assert_eq!(only("SH5", &facts, &policy()).severity, Severity::Low, "that it cannot be tried is said");
}

#[test]
fn variables_that_load_other_programs_must_not_be_taken_from_clients() {
    assert_holds("SH8", &debian(), &policy());
    let finding = only("SH8", &with("AcceptEnv *\n"), &policy());
    assert!(finding.what.contains("LD_PRELOAD") && matches!(finding.fix, Fix::Ask(_)), "{finding:#?}");
    assert_eq!(finding.decided_by, ["/etc/ssh/sshd_config.d/50-own.conf:1"]);
}

#[test]
fn the_lists_must_let_administrators_in_and_only_them_where_the_policy_says_so() {
    let finding = only("SH10", &with("AllowGroups wheel\n"), &policy());
    assert_eq!(finding.severity, Severity::Critical);
    assert_eq!(finding.decided_by, ["/etc/ssh/sshd_config.d/50-own.conf:1"]);

    let mut admins = policy();
    admins.ssh.allow = AllowLogin::Admins;
    let finding = only("SH10", &debian(), &admins);
    assert_eq!((finding.severity, finding.fix), (Severity::Medium, Fix::Apply));
    assert_holds("SH10", &crate::fixture::secured_by(&admins), &admins);
    // Lines of the main part add up, so that a second list needs a block that stands in for both.
    let mut facts = with("AllowUsers bob deploy\n");
    assert_eq!(only("SH10", &facts, &admins).what, "AllowUsers lets bob in, who is no administrator");
    crate::fixture::apply_ssh(&mut facts, &admins);
    assert_holds("SH10", &facts, &admins);
    assert_holds("SH10", &with("AllowGroups deploy\n"), &admins);
}

#[test]
fn a_server_that_has_not_read_its_files_is_found() {
    assert_holds("SH24", &debian(), &policy());
    let mut facts = debian();
    facts.entry("/etc/ssh/sshd_config").mtime = 3000;
    assert!(is_stale(&facts) && !is_stale(&debian()));
    let finding = only("SH24", &facts, &policy());
    assert_eq!((finding.fix, finding.decided_by), (Fix::Apply, vec!["/etc/ssh/sshd_config".to_owned()]));

    let Fact::Known(servers) = &mut facts.ssh.servers else { panic!("servers") };
    servers[0].started_by = Started::Process;
    let finding = only("SH24", &facts, &policy());
    assert!(matches!(finding.state, State::Unknown(_)) && finding.severity == Severity::Low);
    facts.ssh.servers = Fact::Unknown("permission denied".to_owned());
    assert!(matches!(only("SH24", &facts, &policy()).state, State::Unknown(_)));
}

#[test]
fn what_the_command_line_says_counts_before_every_file() {
    let mut facts = secured();
    facts.ssh.servers = Fact::Known(vec![Server {
        pid: 7,
        argv: ["/usr/sbin/sshd", "-D", "-oCiphers=aes128-ctr,aes128-cbc", "-o", "PasswordAuthentication yes"]
            .map(str::to_owned)
            .to_vec(),
        started: 2000,
        started_by: Started::Unit,
        listens: Vec::new(),
    }]);
    let finding = only("SH16", &facts, &policy());
    assert_eq!(finding.decided_by, ["/proc/7/cmdline:1"]);
    assert!(matches!(finding.fix, Fix::Ask(_)), "no file can mend it: {finding:#?}");
    assert_eq!(only("SH2", &facts, &policy()).decided_by, ["/proc/7/cmdline:2"]);
    assert_eq!(only("SH24", &facts, &policy()).severity, Severity::Info);
}

#[test]
fn a_line_that_closes_a_door_and_does_nothing_is_found() {
    assert_holds("SH25", &debian(), &policy());
    let mut facts = with("PasswordAuthentication yes\n");
    facts.sshd_config(&format!("{DEBIAN_CONFIG}PasswordAuthentication no\n"));
    let finding = only("SH25", &facts, &policy());
    assert_eq!((finding.severity, &finding.fix), (Severity::High, &Fix::Apply));
    assert_eq!(finding.decided_by, ["/etc/ssh/sshd_config.d/50-own.conf:1", "/etc/ssh/sshd_config:8"]);
    crate::fixture::apply_ssh(&mut facts, &policy());
    assert_holds("SH25", &facts, &policy());
}

#[test]
fn a_drop_in_of_ours_that_is_not_read_is_found() {
    let mut facts = secured();
    facts.sshd_config("PasswordAuthentication no\nInclude /etc/ssh/sshd_config.d/*.conf\n");
    let finding = only("SH25", &facts, &policy());
    assert!(finding.what.contains("override"), "{}", finding.what);
    facts.sshd_config("UsePAM yes\n");
    assert!(only("SH25", &facts, &policy()).what.contains("does not read"));
}

#[test]
fn a_line_that_fell_into_a_match_block_is_found() {
    assert_holds("SH26", &debian(), &policy());
    let mut facts = debian();
    facts.sshd_config(&format!(
        "{DEBIAN_CONFIG}Match User git\n  ForceCommand /bin/true\nPasswordAuthentication no\n"
    ));
    let finding = only("SH26", &facts, &policy());
    assert_eq!(finding.severity, Severity::High);
    assert_eq!(finding.decided_by, ["/etc/ssh/sshd_config:10", "/etc/ssh/sshd_config:8"]);
    // Once the door is closed for everybody, the line is only untidy.
    crate::fixture::apply_ssh(&mut facts, &policy());
    assert_eq!(only("SH26", &facts, &policy()).severity, Severity::Info);
}

#[test]
fn a_configuration_that_sshd_refuses_or_reads_otherwise_is_found() {
    assert_holds("SH27", &debian(), &policy());
    let finding = only("SH27", &with("Colour red\n"), &policy());
    assert_eq!(
        (finding.severity, finding.decided_by),
        (Severity::Critical, vec!["/etc/ssh/sshd_config.d/50-own.conf:1".to_owned()])
    );

    let mut facts = debian();
    let dump = crate::fixture::DEFAULTS
        .replace("usepam no", "usepam yes")
        .replace("x11forwarding no", "x11forwarding yes");
    let dump = dump
        .replace("kbdinteractiveauthentication yes", "kbdinteractiveauthentication no")
        .replace("printmotd yes", "printmotd no");
    let dump = format!("{dump}acceptenv LANG\nacceptenv LC_*\nsubsystem sftp /usr/lib/openssh/sftp-server\n");
    facts.ssh.dump = Fact::Known(dump.clone());
    assert_holds("SH27", &facts, &policy());
    facts.ssh.dump = Fact::Known(dump.replace("passwordauthentication yes", "passwordauthentication no"));
    assert!(only("SH27", &facts, &policy()).what.contains("PasswordAuthentication"));
}

#[test]
fn configuration_that_others_write_is_found() {
    assert_holds("SH28", &secured(), &policy());
    for path in [
        "/etc/ssh/sshd_config",
        "/etc/ssh",
        "/etc/ssh/sshd_config.d",
        "/etc/ssh/sshd_config.d/00-gabion.conf",
    ] {
        let mut facts = secured();
        facts.entry(path).mode = 0o777;
        assert_eq!(only("SH28", &facts, &policy()).decided_by, [format!("{path} (mode 0777, owner 0)")]);
    }
}

#[test]
fn keys_that_others_can_change_are_found_with_the_command_that_mends_it() {
    assert_holds("SH29", &secured(), &policy());
    let mut facts = secured();
    facts.directory("/root/.ssh", 0o777, 0).file_with("/root/.ssh/authorized_keys", 0o666, 0, "");
    facts.files.insert("/root/.ssh/authorized_keys2".into(), FileFact::Absent);
    let findings = judge("SH29", &facts, &policy()).unwrap();
    let fixes: Vec<&Fix> = findings.iter().map(|finding| &finding.fix).collect();
    let command = |text: &str| Fix::Command(text.to_owned());
    assert_eq!(fixes, [&command("chmod 0644 /root/.ssh/authorized_keys"), &command("chmod 0755 /root/.ssh")]);
    assert_eq!(findings[1].undo, "chmod 0777 /root/.ssh");

    let mut facts = secured();
    facts.entry("/home/deploy").mode = 0o777;
    let finding = only("SH29", &facts, &policy());
    assert_eq!(
        (finding.fix, finding.decided_by),
        (Fix::Apply, vec!["/home/deploy (mode 0777, owner 1000)".to_owned()])
    );

    let mut facts = secured();
    facts.entry("/home/deploy/.ssh/authorized_keys").uid = 1001;
    let finding = only("SH29", &facts, &policy());
    assert_eq!(finding.fix, Fix::Command(format!("chown {ADMIN} /home/deploy/.ssh/authorized_keys")));

    let mut facts = secured();
    facts.files.insert("/home/deploy/.ssh".into(), FileFact::Unreadable("permission denied".to_owned()));
    assert!(matches!(only("SH29", &facts, &policy()).state, State::Unknown(_)));
}

#[test]
fn a_socket_unit_that_disagrees_with_the_configuration_is_found() {
    assert_holds("SH31", &debian(), &policy());
    let mut facts = debian();
    facts.ssh.units = Fact::Known(vec![unit("ssh.socket", "active", "enabled", &["[::]:22"])]);
    assert_holds("SH31", &facts, &policy());
    facts.drop_in("50-own.conf", "Port 2222\n");
    let finding = only("SH31", &facts, &policy());
    assert_eq!(finding.what, "ssh.socket listens on port 22, while sshd_config says port 2222");
    assert_eq!(finding.severity, Severity::Critical);
    facts.ssh.units = Fact::Known(vec![unit("ssh.socket", "inactive", "disabled", &["[::]:22"])]);
    let finding = only("SH31", &facts, &policy());
    assert_eq!(finding.what, "sshd listens on port 22, and will on port 2222 once it starts anew");
}

#[test]
fn a_second_port_is_a_second_door_unless_the_policy_names_it() {
    let mut facts = with("Port 22\nPort 2222\n");
    facts.ssh.servers = Fact::Known(Vec::new());
    let finding = only("SH31", &facts, &policy());
    assert_eq!(finding.what, "sshd takes connections on several ports: ports 22, 2222");
    assert_eq!(finding.severity, Severity::Medium);
    let mut named = policy();
    named.firewall.allow[0].port = vec!["tcp/2222".parse().unwrap()];
    assert_holds("SH31", &facts, &named);
}

#[test]
fn without_sshd_its_controls_are_silent_and_unread_they_are_unknown() {
    let mut facts = debian();
    facts.ssh.program = Fact::Known(None);
    for control in crate::catalogue().iter().filter(|control| control.id.0.starts_with("SH")) {
        assert!(judge(control.id.0, &facts, &policy()).is_err(), "{}", control.id);
    }
    assert!(matches!(desired(&policy(), &facts), Err(Impossible::NotInstalled)));
    let mut facts = debian();
    facts.files.insert("/etc/ssh/sshd_config".into(), FileFact::Unreadable("permission denied".to_owned()));
    for control in crate::catalogue().iter().filter(|control| control.id.0.starts_with("SH")) {
        let finding = only(control.id.0, &facts, &policy());
        assert!(matches!(finding.state, State::Unknown(_)), "{finding:#?}");
    }
}

#[test]
fn the_configuration_admits_an_account_or_not() {
    let server: SocketAddr = "127.0.0.1:22".parse().unwrap();
    assert!(admits(&secured(), ADMIN, server));
    let mut facts = secured();
    facts.drop_in("00-a.conf", "AllowUsers deploy@192.0.2.0/24\n");
    assert!(!admits(&facts, ADMIN, server));
    assert_eq!(listens(&facts), ["0.0.0.0:22".parse().unwrap(), "[::]:22".parse().unwrap()]);
}
