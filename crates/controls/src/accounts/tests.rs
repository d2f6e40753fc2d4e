use host::Fact;
use host::facts::{FileFact, PasswordState};

use policy::{Policy, Sudo};

use super::Severity;
use crate::finding::{Fix, State};
use crate::fixture::{ADMIN, Build, assert_holds, debian, only, policy};

#[test]
fn a_second_account_with_user_id_0_is_found() {
    let mut facts = debian();
    assert_holds("US3", &facts, &policy());
    facts.user("toor", 0, "/root", "/bin/bash");
    let finding = only("US3", &facts, &policy());
    assert_eq!(finding.what, "toor is root under another name (user id 0)");
    assert_eq!(finding.decided_by, ["/etc/passwd:4"]);
}

#[test]
fn an_empty_password_is_found_in_shadow_and_in_passwd() {
    let mut facts = debian();
    assert_holds("US4", &facts, &policy());
    facts.shadow_of(ADMIN).password = PasswordState::Empty;
    let finding = only("US4", &facts, &policy());
    assert_eq!(
        (finding.severity, finding.decided_by),
        (Severity::Critical, vec!["/etc/shadow:3".to_owned()])
    );
    assert_eq!(finding.fix, Fix::Command("passwd -l deploy".to_owned()));

    let mut facts = debian();
    let Fact::Known(users) = &mut facts.accounts.users else { unreachable!() };
    users[1].passwd_field_empty = true;
    assert_eq!(only("US4", &facts, &policy()).decided_by, ["/etc/passwd:2"]);
}

#[test]
fn a_file_that_was_not_read_is_unknown_and_no_pass() {
    let mut facts = debian();
    facts.accounts.shadow = Fact::Unknown("permission denied".to_owned());
    for id in ["US4", "US7"] {
        let finding = only(id, &facts, &policy());
        assert_eq!(finding.state, State::Unknown("permission denied".to_owned()));
        assert_eq!(finding.severity, Severity::Critical);
    }
}

#[test]
fn sudoers_that_visudo_refuses_or_that_others_write_are_found() {
    let mut facts = debian();
    assert_holds("US5", &facts, &policy());
    facts.sudoers.check = Fact::Known(Some("/etc/sudoers:3: syntax error".to_owned()));
    assert!(only("US5", &facts, &policy()).what.contains("/etc/sudoers:3: syntax error"));

    let mut facts = debian();
    facts.entry("/etc/sudoers").mode = 0o666;
    let finding = only("US5", &facts, &policy());
    assert_eq!(finding.what, "/etc/sudoers is writable by everybody");
    assert_eq!(finding.fix, Fix::Command("chmod 0664 /etc/sudoers".to_owned()));
    assert_eq!(finding.undo, "chmod 0666 /etc/sudoers");

    let mut facts = debian();
    facts.entry("/etc/sudoers").uid = 1000;
    assert_eq!(only("US5", &facts, &policy()).undo, "chown 1000 /etc/sudoers");
}

#[test]
fn lines_of_sudoers_that_were_not_understood_count_where_visudo_cannot_be_asked() {
    let mut facts = debian();
    facts.problems =
        vec![host::facts::Problem { path: "/etc/sudoers".into(), line: Some(3), what: "no rule".to_owned() }];
    assert_holds("US5", &facts, &policy());
    facts.source = host::facts::Source::Image;
    facts.sudoers.check = Fact::Unknown("the machine does not run".to_owned());
    let findings = crate::fixture::judge("US5", &facts, &policy()).unwrap();
    assert_eq!(findings.len(), 2, "{findings:#?}");
    assert_eq!(findings[0].severity, Severity::Low);
    assert_eq!(
        (findings[1].severity, findings[1].decided_by[0].as_str()),
        (Severity::High, "/etc/sudoers:3")
    );
}

#[test]
fn sudo_without_a_password_is_for_those_the_policy_means() {
    let mut facts = debian();
    // Locked, so sudo could not ask for anything: `auto` spares it.
    assert_holds("US6", &facts, &policy());
    facts.user("bob", 1001, "/home/bob", "/bin/bash").grant_sudo("bob", true);
    let finding = only("US6", &facts, &policy());
    assert_eq!(finding.what, "bob may run everything as root without a password");
    assert_eq!(
        (finding.severity, finding.decided_by),
        (Severity::Medium, vec!["/etc/sudoers:27".to_owned()])
    );

    let mut strict = policy();
    strict.admins[0].sudo = Sudo::Password;
    assert!(only("US6", &debian(), &strict).what.starts_with(ADMIN));

    let mut facts = debian();
    facts.grant_sudo("bob", false);
    let Some(Fact::Known(listing)) = facts.sudo.get_mut("bob") else { unreachable!() };
    (listing.all, listing.no_password_rules) = (false, vec!["/etc/sudoers.d/bob:1".to_owned()]);
    assert_eq!(only("US6", &facts, &policy()).severity, Severity::Low);
}

#[test]
fn a_password_that_nobody_knows_must_not_expire() {
    let mut facts = debian();
    assert_holds("US7", &facts, &policy());
    facts.shadow_of(ADMIN).max_age = Some(60);
    let finding = only("US7", &facts, &policy());
    assert_eq!(finding.what, "the password of deploy, who has none to type, expires after 60 days");
    assert_eq!((finding.fix, finding.undo.as_str()), (Fix::Apply, "gabion rollback"));

    let command = only("US7", &facts, &Policy::default()).fix;
    assert_eq!(command, Fix::Command("chage -M -1 deploy".to_owned()));

    let mut facts = debian();
    facts.shadow_of(ADMIN).last_change = Some(0);
    assert_eq!(only("US7", &facts, &policy()).decided_by, ["/etc/shadow:3"]);

    let mut facts = debian();
    let typed = PasswordState::Usable { method: "y".to_owned(), digest: "00".to_owned() };
    (facts.shadow_of(ADMIN).max_age, facts.shadow_of(ADMIN).password) = (Some(60), typed);
    assert_holds("US7", &facts, &policy());
}

#[test]
fn a_system_account_with_shell_and_password_is_found() {
    let mut facts = debian();
    facts.user("postgres", 110, "/var/lib/postgresql", "/bin/bash");
    assert_holds("US10", &facts, &policy());
    facts.shadow_of("postgres").password =
        PasswordState::Usable { method: "6".to_owned(), digest: "00".to_owned() };
    let finding = only("US10", &facts, &policy());
    assert_eq!(finding.fix, Fix::Command("usermod -s /usr/sbin/nologin postgres".to_owned()));
    assert_eq!(finding.undo, "usermod -s /bin/bash postgres");
}

#[test]
fn account_files_that_others_write_or_read_are_found() {
    let mut facts = debian();
    assert_holds("US11", &facts, &policy());
    facts.entry("/etc/shadow").mode = 0o644;
    let finding = only("US11", &facts, &policy());
    assert_eq!(finding.what, "/etc/shadow is readable by others");
    assert_eq!(finding.fix, Fix::Command("chmod 0640 /etc/shadow".to_owned()));

    let mut facts = debian();
    facts.files.insert("/etc/passwd".into(), FileFact::Unreadable("input/output error".to_owned()));
    assert!(matches!(only("US11", &facts, &policy()).state, State::Unknown(_)));
}
