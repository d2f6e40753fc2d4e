//! What a plan holds, and that it is as short as it can be.

use host::Fact;
use host::facts::Init;
use policy::{Ipv6, Password, Policy, Sudo};

use super::{bookworm, draw, entry, policy, program, write};
use crate::action::{Action, Risk, UserChange};
use crate::plan::Plan;

#[test]
fn a_plan_drawn_from_the_facts_that_a_plan_leads_to_is_empty() {
    for change in [
        (|_: &mut Policy| {}) as fn(&mut Policy),
        |policy| policy.firewall.ipv6 = Ipv6::Reject,
        |policy| policy.ssh.allow = policy::AllowLogin::Admins,
        |policy| policy.admins[0].password = Password::Hash("$6$salt$hash".to_owned()),
        |policy| policy.ssh.tcp_forwarding = false,
    ] {
        let mut policy = policy();
        change(&mut policy);
        let facts = bookworm();
        let plan = draw(&facts, &policy);
        assert!(!plan.is_empty());
        let after = plan.project(&facts);
        let again = Plan::draw(&after, &policy, &program()).expect("a plan");
        assert!(again.is_empty(), "{policy:#?}\nleaves {:#?}", again.steps);
    }
}

#[test]
fn what_undoes_it_at_boot_stands_before_the_first_step_that_can_cut_anybody_off() {
    let plan = draw(&bookworm(), &policy());
    let first_risk = plan.steps.iter().position(|step| step.risk == Risk::CutOff).expect("a risky step");
    let place = |ends: &str| {
        plan.steps.iter().position(|step| match &step.action {
            Action::WriteFile { path, .. }
            | Action::MakeSymlink { path, .. }
            | Action::InstallProgram { path, .. } => path.ends_with(ends),
            _ => false,
        })
    };
    for ends in [
        "usr/local/sbin/gabion",
        "system/gabion-recover.service",
        "sysinit.target.wants/gabion-recover.service",
    ] {
        assert!(place(ends).is_some_and(|index| index < first_risk), "{ends}");
    }
    assert_eq!(plan.steps.iter().filter(|step| step.action == Action::ReloadUnits).count(), 1);
    assert!(matches!(plan.steps.last().map(|step| &step.action), Some(Action::ProveLogins { .. })));
}

#[test]
fn keys_are_added_to_what_is_there_and_none_is_taken_away() {
    let mut facts = draw(&bookworm(), &policy()).project(&bookworm());
    let keys = "/home/deploy/.ssh/authorized_keys";
    // No newline at the end, and the same key with another comment.
    let kept = format!("ssh-rsa AAAAB3Nza other\n{}", super::KEY.replace("laptop", "another name"));
    entry(&mut facts, keys).content = Some(host::facts::Content(kept.clone().into_bytes()));
    assert!(draw(&facts, &policy()).is_empty(), "the key is there under another name");

    entry(&mut facts, keys).content = Some(host::facts::Content(b"ssh-rsa AAAAB3Nza other".to_vec()));
    let plan = draw(&facts, &policy());
    let written = plan.steps.iter().find_map(|step| match &step.action {
        Action::WriteFile { path, contents, .. } if path.ends_with("authorized_keys") => {
            Some(contents.0.clone())
        }
        _ => None,
    });
    let written = String::from_utf8(written.expect("the file is written")).expect("text");
    assert_eq!(written, format!("ssh-rsa AAAAB3Nza other\n{}\n", super::KEY));
}

#[test]
fn an_existing_account_is_tightened_and_its_password_made_to_last() {
    let mut facts = draw(&bookworm(), &policy()).project(&bookworm());
    entry(&mut facts, "/home/deploy").mode = 0o777;
    if let Fact::Known(rows) = &mut facts.accounts.shadow {
        rows.iter_mut().filter(|row| row.name == "deploy").for_each(|row| row.max_age = Some(60));
    }
    if let Fact::Known(groups) = &mut facts.accounts.groups {
        groups.iter_mut().for_each(|group| group.members.retain(|member| member != "deploy"));
    }
    let plan = draw(&facts, &policy());
    let does = |wanted: &Action| plan.steps.iter().any(|step| step.action == *wanted);
    let change = |change| Action::ChangeUser { name: "deploy".to_owned(), change };
    assert!(does(&change(UserChange::AddToGroup { group: "sudo".to_owned() })));
    assert!(does(&change(UserChange::NeverExpirePassword)));
    let tightened = plan.steps.iter().any(|step| {
        matches!(&step.action, Action::SetAttributes { path, mode: 0o755, mode_before: 0o777, .. } if path.ends_with("home/deploy"))
    });
    assert!(tightened, "{:#?}", plan.steps);
}

#[test]
fn sudo_asks_for_the_password_exactly_where_there_is_one() {
    let without = |policy: &Policy| {
        draw(&bookworm(), policy).steps.iter().any(|step| match &step.action {
            Action::WriteFile { path, contents, .. } => {
                path.ends_with("zz-gabion")
                    && String::from_utf8_lossy(&contents.0).contains("deploy ALL=(ALL:ALL) NOPASSWD: ALL")
            }
            _ => false,
        })
    };
    let mut policy = policy();
    assert!(without(&policy), "a new account has no password");
    policy.admins[0].password = Password::Hash("$6$salt$hash".to_owned());
    assert!(!without(&policy));
    policy.admins[0].sudo = Sudo::NoPassword;
    assert!(without(&policy));
}

#[test]
fn a_host_without_systemd_gets_scripts_instead_of_units() {
    let mut facts = bookworm();
    facts.system.init = Fact::Known(Init::SysV);
    for folder in ["/etc/init.d", "/etc/rcS.d"] {
        let directory =
            host::facts::Entry { kind: host::facts::EntryKind::Directory, mode: 0o755, ..Default::default() };
        facts.files.insert(folder.into(), host::facts::FileFact::Present(directory));
    }
    for name in ["gabion-recover", "gabion-firewall"] {
        facts.files.insert(format!("/etc/init.d/{name}").into(), host::facts::FileFact::Absent);
        facts.files.insert(format!("/etc/rcS.d/S00{name}").into(), host::facts::FileFact::Absent);
    }
    let plan = draw(&facts, &policy());
    let writes = |ends: &str| {
        plan.steps.iter().any(|step| matches!(&step.action, Action::WriteFile { path, mode: 0o755, .. } if path.ends_with(ends)))
    };
    assert!(writes("init.d/gabion-recover") && writes("init.d/gabion-firewall"));
    assert!(!plan.steps.iter().any(|step| step.action == Action::ReloadUnits));
}

#[test]
fn what_cannot_be_looked_at_is_an_error_and_what_is_in_the_way_is_named() {
    let mut facts = bookworm();
    facts.firewall.ruleset = Fact::Unknown("no permission".to_owned());
    let error = Plan::draw(&facts, &policy(), &program()).expect_err("no plan");
    assert_eq!(error.to_string(), "the kernel's ruleset could not be read: no permission");

    let mut facts = bookworm();
    write(&mut facts, "/etc/sudoers.d/zz-gabion", "");
    entry(&mut facts, "/etc/sudoers.d/zz-gabion").kind = host::facts::EntryKind::Directory;
    let error = Plan::draw(&facts, &policy(), &program()).expect_err("no plan");
    assert!(error.to_string().starts_with("/etc/sudoers.d/zz-gabion is no regular file"), "{error}");
}
