use host::Fact;
use host::facts::{Account, FileFact, PasswordState, SudoDefault};
use proptest::prelude::*;

use super::*;
use crate::fixture::{ADMIN, Build, KEY, apply_filter, policy, secured, ssh_from, unit};

fn connection() -> Connection {
    Connection::of(&ssh_from("198.51.100.7", "192.0.2.10")).unwrap()
}

/// The conditions that do not hold over that connection, with what decides them.
fn failing(facts: &Facts, connection: &Connection) -> Vec<(Requirement, Vec<String>)> {
    let conditions = judge(facts, ADMIN, Some(connection));
    let failing = conditions.into_iter().filter(|condition| condition.holds != Holds::Yes);
    failing.map(|condition| (condition.name, condition.decided_by)).collect()
}

/// The one condition that a change breaks.
#[track_caller]
fn broken(change: impl FnOnce(&mut Facts)) -> (Requirement, String) {
    let mut facts = secured();
    change(&mut facts);
    let failing = failing(&facts, &connection());
    assert_eq!(failing.len(), 1, "{failing:#?}");
    let (name, places) = &failing[0];
    (*name, places.join(" | "))
}

fn account_mut(facts: &mut Facts) -> &mut Account {
    let Fact::Known(users) = &mut facts.accounts.users else { panic!("users") };
    users.iter_mut().find(|user| user.name == ADMIN).unwrap()
}

fn usable() -> PasswordState {
    PasswordState::Usable { method: "y".to_owned(), digest: "00".to_owned() }
}

#[test]
fn every_condition_holds_on_a_secured_host() {
    let conditions = judge(&secured(), ADMIN, Some(&connection()));
    assert!(gets_in(&conditions), "{conditions:#?}");
    assert_eq!(conditions.len(), CONDITIONS.len() + 1);
    let from_anywhere = judge(&secured(), ADMIN, None);
    assert!(gets_in(&from_anywhere), "{from_anywhere:#?}");
}

#[test]
fn an_account_that_is_not_there_is_the_only_thing_said() {
    let conditions = judge(&secured(), "nobody-here", Some(&connection()));
    assert_eq!(conditions.len(), 1);
    assert_eq!((conditions[0].name, &conditions[0].holds), (Requirement::Account, &Holds::No));
    assert!(!gets_in(&conditions));
}

#[test]
fn a_shell_that_is_missing_or_turns_away_shuts_the_door() {
    let at = (Requirement::Shell, "/etc/passwd:3".to_owned());
    assert_eq!(broken(|facts| account_mut(facts).shell = "/usr/sbin/nologin".into()), at);
    let missing = |facts: &mut Facts| {
        account_mut(facts).shell = "/bin/fish".into();
        facts.files.insert("/bin/fish".into(), FileFact::Absent);
    };
    assert_eq!(broken(missing), at);
    let (name, place) = broken(|facts| facts.entry("/bin/bash").mode = 0o644);
    assert_eq!(
        (name, place.as_str()),
        (Requirement::Shell, "/etc/passwd:3 | /bin/bash (mode 0644, owner 0)")
    );
}

#[test]
fn an_expired_account_is_shut() {
    assert_eq!(
        broken(|facts| facts.shadow_of(ADMIN).expires = Some(facts_today() - 1)),
        (Requirement::Expiry, "/etc/shadow:3".to_owned())
    );
    let mut facts = secured();
    facts.shadow_of(ADMIN).expires = Some(facts_today() + 1);
    assert_eq!(failing(&facts, &connection()), []);
}

fn facts_today() -> i64 {
    crate::fixture::TODAY
}

#[test]
fn a_password_that_expired_or_must_be_changed_shuts_the_door_for_keys_too() {
    let at = (Requirement::PasswordAge, "/etc/shadow:3".to_owned());
    assert_eq!(broken(|facts| facts.shadow_of(ADMIN).max_age = Some(60)), at);
    assert_eq!(broken(|facts| facts.shadow_of(ADMIN).last_change = Some(0)), at);
    let mut facts = secured();
    (facts.shadow_of(ADMIN).max_age, facts.shadow_of(ADMIN).last_change) = (Some(-1), Some(1));
    assert_eq!(failing(&facts, &connection()), []);
}

#[test]
fn a_locked_password_shuts_the_door_where_pam_is_not_used() {
    let without_pam = |facts: &mut Facts| {
        facts.sshd_config("Include /etc/ssh/sshd_config.d/*.conf\nUsePAM no\n");
        facts.files.remove(std::path::Path::new("/etc/ssh/sshd_config.d/00-gabion.conf"));
        facts.entry("/etc/ssh/sshd_config.d").names = Some(Vec::new());
    };
    let (name, place) = broken(without_pam);
    assert_eq!((name, place.as_str()), (Requirement::Lock, "/etc/shadow:3 | /etc/ssh/sshd_config:2"));
    let mut facts = secured();
    without_pam(&mut facts);
    facts.shadow_of(ADMIN).password = PasswordState::Impossible;
    assert_eq!(failing(&facts, &connection()), []);
}

#[test]
fn etc_nologin_keeps_everybody_but_root_out() {
    let (name, place) = broken(|facts| {
        facts.file_with("/etc/nologin", 0o644, 0, "");
    });
    assert_eq!((name, place.as_str()), (Requirement::NoLogin, "/etc/nologin"));
}

#[test]
fn a_home_or_file_of_keys_that_others_write_is_not_read() {
    let cases =
        [("/home/deploy", 0o777), ("/home/deploy/.ssh", 0o775), ("/home/deploy/.ssh/authorized_keys", 0o666)];
    for (path, mode) in cases {
        let (name, place) = broken(|facts| facts.entry(path).mode = mode);
        assert_eq!(
            (name, place),
            (Requirement::KeyFileModes, format!("{path} (mode {mode:04o}, owner 1000)"))
        );
    }
    let (name, place) = broken(|facts| facts.entry("/home/deploy").uid = 1001);
    assert_eq!((name, place.as_str()), (Requirement::KeyFileModes, "/home/deploy (mode 0755, owner 1001)"));
    // What is above the home does not matter to sshd.
    let mut facts = secured();
    facts.entry("/home").mode = 0o777;
    assert_eq!(failing(&facts, &connection()), []);
}

#[test]
fn a_file_of_keys_that_sshd_cannot_read_as_the_account_is_none() {
    let mut facts = secured();
    let entry = facts.entry("/home/deploy/.ssh/authorized_keys");
    (entry.uid, entry.gid, entry.mode) = (0, 0, 0o600);
    let failing = failing(&facts, &connection());
    assert_eq!(failing[0].0, Requirement::KeyFile);
    assert_eq!(failing[0].1, ["/home/deploy/.ssh/authorized_keys (mode 0600, owner 0)"]);
}

#[test]
fn a_home_behind_a_link_is_followed() {
    let mut facts = secured();
    let link = host::facts::Entry {
        kind: host::facts::EntryKind::Symlink("/srv/deploy".into()),
        mode: 0o777,
        resolved: Some("/srv/deploy".into()),
        ..host::facts::Entry::default()
    };
    facts.files.insert("/home/deploy".into(), FileFact::Present(link));
    facts.directory("/srv", 0o755, 0).directory("/srv/deploy", 0o755, 1000).directory(
        "/srv/deploy/.ssh",
        0o700,
        1000,
    );
    facts.file_with("/srv/deploy/.ssh/authorized_keys", 0o600, 1000, KEY);
    assert_eq!(failing(&facts, &connection()), []);
    facts.entry("/srv/deploy").mode = 0o777;
    assert_eq!(failing(&facts, &connection())[0].0, Requirement::KeyFileModes);
}

#[test]
fn keys_that_sshd_would_not_take_are_no_way_in() {
    let keys = [
        format!("command=\"/bin/date\" {KEY}"),
        format!("from=\"10.0.0.0/8\" {KEY}"),
        format!("expiry-time=\"20200101\" {KEY}"),
        format!("cert-authority {KEY}"),
        format!("colour=\"red\" {KEY}"),
        "ssh-ed25519 AAAA broken".to_owned(),
        "# nothing here".to_owned(),
        "ssh-dss AAAAB3NzaC1kc3M=".to_owned(),
    ];
    for text in keys {
        let (name, place) = broken(|facts| {
            facts.file_with("/home/deploy/.ssh/authorized_keys", 0o600, 1000, &text);
        });
        assert_eq!(name, Requirement::Key, "{text}");
        assert!(place.starts_with("/home/deploy/.ssh/authorized_keys"), "{text}: {place}");
    }
    for text in [format!("from=\"198.51.100.0/24\" {KEY}"), format!("no-pty,from=\"!10.1.2.3,*\" {KEY}")] {
        let mut facts = secured();
        facts.file_with("/home/deploy/.ssh/authorized_keys", 0o600, 1000, &text);
        assert_eq!(failing(&facts, &connection()), [], "{text}");
    }
}

#[test]
fn a_key_outside_the_accepted_algorithms_or_too_short_is_no_way_in() {
    let (name, place) = broken(|facts| {
        facts.drop_in("10-x.conf", "PubkeyAcceptedAlgorithms rsa-sha2-512\n");
    });
    assert_eq!((name, place.as_str()), (Requirement::Key, "/home/deploy/.ssh/authorized_keys:1"));
    assert_eq!(rsa_key_fails("RequiredRSASize 4096\n"), [Requirement::Key]);
    assert_eq!(rsa_key_fails("RequiredRSASize 2048\n"), []);
}

/// An RSA key of 2,048 bits, made of its fields.
fn rsa_key_fails(line: &str) -> Vec<Requirement> {
    const RSA: &str = include_str!("../fixture/rsa-2048.pub");
    let mut facts = secured();
    facts.drop_in("10-x.conf", line).file_with("/home/deploy/.ssh/authorized_keys", 0o600, 1000, RSA);
    failing(&facts, &connection()).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn where_keys_are_looked_for_follows_the_configuration() {
    let mut facts = secured();
    facts.drop_in("10-x.conf", "AuthorizedKeysFile /etc/ssh/keys/%u\n");
    facts.files.insert("/etc/ssh/keys/deploy".into(), FileFact::Absent);
    assert_eq!(failing(&facts, &connection())[0].0, Requirement::KeyFile);
    facts.directory("/etc/ssh/keys", 0o755, 0).file_with("/etc/ssh/keys/deploy", 0o644, 0, KEY);
    assert_eq!(failing(&facts, &connection()), []);

    facts.drop_in(
        "10-x.conf",
        "AuthorizedKeysFile none\nAuthorizedKeysCommand /bin/keys\nAuthorizedKeysCommandUser root\n",
    );
    let conditions = judge(&facts, ADMIN, Some(&connection()));
    let file = conditions.iter().find(|condition| condition.name == Requirement::KeyFile).unwrap();
    assert!(matches!(file.holds, Holds::Unknown(_)), "{file:?}");
}

#[test]
fn what_the_server_says_of_keys_and_methods_is_asked_for_this_very_user() {
    let without_ours = |facts: &mut Facts, text: &str| {
        facts.drop_in("00-a.conf", text);
    };
    let (name, place) = broken(|facts| without_ours(facts, "Match User deploy\n PubkeyAuthentication no\n"));
    assert_eq!((name, place.as_str()), (Requirement::PublicKeyLogin, "/etc/ssh/sshd_config.d/00-a.conf:2"));
    let (name, _) = broken(|facts| without_ours(facts, "AuthenticationMethods publickey,password\n"));
    assert_eq!(name, Requirement::Methods);
    let (name, _) = broken(|facts| without_ours(facts, "MaxAuthTries 0\n"));
    assert_eq!(name, Requirement::Tries);

    let mut facts = secured();
    without_ours(
        &mut facts,
        "AuthenticationMethods publickey,keyboard-interactive\nKbdInteractiveAuthentication yes\n",
    );
    let conditions = judge(&facts, ADMIN, Some(&connection()));
    let methods = conditions.iter().find(|condition| condition.name == Requirement::Methods).unwrap();
    assert!(matches!(methods.holds, Holds::Unknown(_)), "{methods:?}");
}

#[test]
fn a_session_that_is_no_shell_is_no_way_in() {
    let block = |line: &str| {
        broken(|facts| {
            facts.drop_in("50-own.conf", &format!("Match User deploy\n  {line}\n"));
        })
    };
    let at = (Requirement::Session, "/etc/ssh/sshd_config.d/50-own.conf:2".to_owned());
    assert_eq!(block("ForceCommand internal-sftp"), at);
    assert_eq!(block("ChrootDirectory /srv"), at);
    let mut facts = secured();
    facts.drop_in("50-own.conf", "Match User deploy\n  ForceCommand none\n");
    assert_eq!(failing(&facts, &connection()), []);
}

#[test]
fn the_lists_are_asked_with_groups_and_addresses() {
    let shut = [
        "AllowUsers bob",
        "AllowUsers deploy@10.0.0.0/8",
        "DenyUsers d*",
        "AllowGroups wheel",
        "DenyGroups sudo",
    ];
    for line in shut {
        let (name, place) = broken(|facts| {
            facts.drop_in("00-a.conf", &format!("{line}\n"));
        });
        assert_eq!(
            (name, place.as_str()),
            (Requirement::AllowLists, "/etc/ssh/sshd_config.d/00-a.conf:1"),
            "{line}"
        );
    }
    for line in
        ["AllowUsers bob deploy", "AllowUsers *@198.51.100.0/24", "AllowGroups sudo", "DenyUsers root"]
    {
        let mut facts = secured();
        facts.drop_in("00-a.conf", &format!("{line}\n"));
        assert_eq!(failing(&facts, &connection()), [], "{line}");
    }
}

#[test]
fn root_gets_in_by_key_unless_it_must_not() {
    let root = |value: &str| {
        let mut facts = secured();
        facts.drop_in("00-a.conf", &format!("PermitRootLogin {value}\n"));
        facts.directory("/root/.ssh", 0o700, 0).file_with("/root/.ssh/authorized_keys", 0o600, 0, KEY);
        facts.files.insert("/root/.ssh/authorized_keys2".into(), FileFact::Absent);
        let conditions = judge(&facts, "root", Some(&connection()));
        conditions.into_iter().filter(|one| one.holds != Holds::Yes).map(|one| one.name).collect::<Vec<_>>()
    };
    assert_eq!(root("prohibit-password"), []);
    assert_eq!(root("no"), [Requirement::RootLogin]);
    assert_eq!(root("forced-commands-only"), [Requirement::RootLogin]);
}

#[test]
fn sudo_must_grant_everything_and_ask_for_nothing_that_is_not_there() {
    let listing = |facts: &mut Facts, all: bool, no_password: bool| {
        facts.grant_sudo(ADMIN, no_password);
        let Some(Fact::Known(listing)) = facts.sudo.get_mut(ADMIN) else { panic!("sudo") };
        listing.all = all;
    };
    assert_eq!(
        broken(|facts| listing(facts, false, true)),
        (Requirement::Sudo, "/etc/sudoers:27".to_owned())
    );
    assert_eq!(
        broken(|facts| listing(facts, true, false)),
        (Requirement::SudoPassword, "/etc/sudoers:27".to_owned())
    );
    let mut facts = secured();
    listing(&mut facts, true, false);
    facts.shadow_of(ADMIN).password = usable();
    assert_eq!(failing(&facts, &connection()), []);
    // openSUSE asks for root's.
    facts.sudoers.defaults = vec![SudoDefault {
        name: "targetpw".to_owned(),
        value: "true".to_owned(),
        scope: String::new(),
        place: "/etc/sudoers:9".to_owned(),
    }];
    assert_eq!(failing(&facts, &connection())[0].0, Requirement::SudoPassword);
    facts.shadow_of("root").password = usable();
    assert_eq!(failing(&facts, &connection()), []);

    let mut facts = secured();
    facts.sudo.clear();
    assert_eq!(failing(&facts, &connection()).len(), 2, "unknown is no yes");
}

#[test]
fn the_port_of_the_connection_must_be_where_sshd_or_its_socket_listens() {
    let (name, place) = broken(|facts| {
        facts.drop_in("10-x.conf", "Port 2222\n");
    });
    assert_eq!((name, place.as_str()), (Requirement::Port, "/etc/ssh/sshd_config.d/10-x.conf:1"));
    let (name, _) = broken(|facts| {
        facts.drop_in("10-x.conf", "ListenAddress 192.0.2.11\n");
    });
    assert_eq!(name, Requirement::Port);
    let (name, place) = broken(|facts| {
        facts.ssh.units = Fact::Known(vec![unit("ssh.socket", "active", "enabled", &["[::]:2222"])]);
    });
    assert_eq!((name, place.as_str()), (Requirement::Port, "ssh.socket"));
    let (name, _) = broken(|facts| {
        facts.ssh.servers = Fact::Known(vec![host::facts::Server {
            pid: 7,
            argv: vec!["sshd: /usr/sbin/sshd -D -p 2022 [listener] 0 of 10-100 startups".to_owned()],
            started: 2000,
            started_by: host::facts::Started::Unit,
            listens: Vec::new(),
        }]);
    });
    assert_eq!(name, Requirement::Port);
}

#[test]
fn a_socket_on_the_ipv6_wildcard_takes_ipv4_too() {
    let mut facts = secured();
    facts.ssh.units = Fact::Known(vec![unit("ssh.socket", "active", "enabled", &["[::]:22 (Stream)"])]);
    assert_eq!(failing(&facts, &connection()), []);
}

#[test]
fn a_client_of_ipv6_alone_needs_a_server_and_a_filter_of_ipv6() {
    let connection = Connection::of(&ssh_from("2001:db8:5::7", "2001:db8::10")).unwrap();
    assert_eq!(failing(&secured(), &connection), []);
    let mut facts = secured();
    facts.drop_in("10-x.conf", "AddressFamily inet\n");
    assert_eq!(failing(&facts, &connection)[0].0, Requirement::Port);
    let mut policy = policy();
    policy.firewall.ipv6 = policy::Ipv6::Reject;
    let mut facts = secured();
    apply_filter(&mut facts, &policy);
    assert_eq!(failing(&facts, &connection)[0].0, Requirement::PacketFilter);
}

#[test]
fn the_packet_filter_must_let_the_peer_in_and_be_known() {
    let mut policy = policy();
    policy.firewall.allow[0].from = vec!["10.0.0.0/8".parse().unwrap()];
    let (name, place) = broken(|facts| apply_filter(facts, &policy));
    assert_eq!(name, Requirement::PacketFilter);
    assert!(place.contains("inet gabion"), "{place}");
    let unknown = [
        |facts: &mut Facts| facts.firewall.ruleset = Fact::Unknown("operation not permitted".to_owned()),
        |facts: &mut Facts| facts.firewall.legacy_tables = Fact::Known(vec!["ip filter".to_owned()]),
        |facts: &mut Facts| facts.firewall.legacy_tables = Fact::Unknown("permission denied".to_owned()),
    ];
    for change in unknown {
        let mut facts = secured();
        change(&mut facts);
        let conditions = judge(&facts, ADMIN, Some(&connection()));
        let filter = conditions.iter().find(|condition| condition.name == Requirement::PacketFilter).unwrap();
        assert!(matches!(filter.holds, Holds::Unknown(_)), "{filter:?}");
    }
}

#[test]
fn without_sshd_there_is_no_way_in() {
    let mut facts = secured();
    facts.ssh.program = Fact::Known(None);
    let conditions = judge(&facts, ADMIN, None);
    assert!(!gets_in(&conditions));
    let port = conditions.iter().find(|condition| condition.name == Requirement::Port).unwrap();
    assert_eq!(port.holds, Holds::No);
}

/// Any text in any place of the facts that a condition reads.
fn odd_facts(config: &str, word: &str, number: i64, mode: u32, flag: bool) -> Facts {
    let mut facts = secured();
    facts.drop_in("00-a.conf", config);
    facts.file_with("/home/deploy/.ssh/authorized_keys", mode & 0o7777, mode, word);
    let shadow = facts.shadow_of(ADMIN);
    (shadow.last_change, shadow.max_age, shadow.expires) = (Some(number), Some(number), Some(number));
    facts.today = if flag { i64::MIN } else { number };
    let active = if flag { "active" } else { "" };
    facts.ssh.units = Fact::Known(vec![unit("ssh.socket", active, "", &[word])]);
    account_mut(&mut facts).home = word.into();
    facts
}

proptest! {
    // Each case is a whole audit.
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_facts_make_it_panic(
        config in "([a-zA-Z0-9 =,@!*?%/\"\\[\\]:.\\n-]|Match all\n|Port |Include |AllowUsers |AuthenticationMethods ){0,60}",
        word in "[ -~]{0,40}",
        number in any::<i64>(),
        mode in any::<u32>(),
        flag in any::<bool>(),
    ) {
        let facts = odd_facts(&config, &word, number, mode, flag);
        let connection = connection();
        prop_assert!(!judge(&facts, ADMIN, (!flag).then_some(&connection)).is_empty());
        crate::audit(&facts, &policy());
    }
}
