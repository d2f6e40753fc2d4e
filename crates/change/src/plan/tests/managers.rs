//! Plans for hosts on which others manage a packet filter.

use host::Fact;
use host::facts::{Facts, FileFact, IptablesSave, IptablesVariant, Manager};
use policy::{Backend, Policy};

use super::{bookworm, draw, policy, program, write};
use crate::action::{Action, AtBoot, Commands};
use crate::iptables::tests::UFW_AND_DOCKER;
use crate::plan::{Plan, SAVED_IPTABLES};

/// The stock host with ufw in force beside Docker, over the old tables.
fn with_ufw() -> Facts {
    let mut facts = bookworm();
    facts.firewall.managers =
        Fact::Known(vec![Manager { name: "ufw.service".to_owned(), active: true, enabled: true }]);
    facts.firewall.legacy_tables = Fact::Known(vec!["ip filter".to_owned()]);
    let text = UFW_AND_DOCKER.to_owned();
    let save = IptablesSave { variant: IptablesVariant::Legacy, ipv6: false, text };
    facts.firewall.iptables_saves = Fact::Known(vec![save]);
    facts.firewall.iptables = Some(IptablesVariant::Legacy);
    write(&mut facts, "/etc/ufw/ufw.conf", "# comment\nENABLED=yes\nLOGLEVEL=low\n");
    for path in [SAVED_IPTABLES, "/etc/iptables", "/etc/iptables/rules.v4", "/etc/iptables/rules.v6"] {
        facts.files.insert(path.into(), FileFact::Absent);
    }
    facts
}

fn place(plan: &Plan, is_it: impl Fn(&Action) -> bool) -> Option<usize> {
    plan.steps.iter().position(|step| is_it(&step.action))
}

fn is_empty_after(facts: &Facts, plan: &Plan, policy: &Policy) {
    let again = Plan::draw(&plan.project(facts), policy, &program()).expect("a plan");
    assert!(again.is_empty(), "{:#?}", again.steps);
}

#[test]
fn ours_is_in_force_before_another_stands_down_and_nothing_is_left_to_do_then() {
    let facts = with_ufw();
    let plan = draw(&facts, &policy());
    let loaded = place(&plan, |action| matches!(action, Action::LoadFirewall { .. })).expect("ours");
    let taken = place(&plan, |action| matches!(action, Action::EditIptables { .. })).expect("theirs");
    let stopped = place(&plan, |action| {
        matches!(action, Action::SwitchService { unit, to, commands: Commands::Skip, .. }
            if unit == "ufw.service" && !to.active && to.at_boot == AtBoot::Masked)
    });
    assert!(loaded < taken && Some(taken) < stopped, "{:#?}", plan.steps);
    let after = plan.project(&facts);
    let conf = after.file("/etc/ufw/ufw.conf").bytes().expect("the file");
    assert_eq!(conf, b"# comment\nENABLED=no\nLOGLEVEL=low\n");
    is_empty_after(&facts, &plan, &policy());
}

#[test]
fn what_no_policy_expresses_is_left_and_named() {
    let mut facts = with_ufw();
    let rules = "*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -o eth0 -j MASQUERADE\nCOMMIT\n";
    write(&mut facts, "/etc/ufw/before.rules", rules);
    let plan = draw(&facts, &policy());
    assert_eq!(place(&plan, |action| matches!(action, Action::SwitchService { .. })), None);
    assert!(
        plan.notes.iter().any(|note| note.contains("/etc/ufw/before.rules translates addresses")),
        "{:?}",
        plan.notes
    );

    let mut facts = with_ufw();
    facts.firewall.iptables_saves = Fact::Unknown("iptables-legacy-save failed".to_owned());
    let plan = draw(&facts, &policy());
    assert_eq!(place(&plan, |action| matches!(action, Action::SwitchService { .. })), None);
    assert!(plan.notes.iter().any(|note| note.contains("could not be read")), "{:?}", plan.notes);
}

#[test]
fn the_policy_goes_through_iptables_where_it_says_so_or_the_kernel_has_nothing_else() {
    let mut through = policy();
    through.firewall.backend = Backend::Iptables;
    let mut old = with_ufw();
    old.firewall.ruleset = Fact::Unknown("protocol not supported".to_owned());
    old.firewall.has_nf_tables = Fact::Known(false);
    for (facts, policy) in [(with_ufw(), through.clone()), (old, policy())] {
        let plan = draw(&facts, &policy);
        assert_eq!(place(&plan, |action| matches!(action, Action::LoadFirewall { .. })), None);
        let edits = plan.steps.iter().filter(|step| matches!(step.action, Action::EditIptables { .. }));
        assert_eq!(edits.count(), 2, "ours in, theirs out");
        crate::lockout::judge(&facts, &plan, &policy).expect("the administrator gets in");
        is_empty_after(&facts, &plan, &policy);
    }
    // And back.
    let facts = with_ufw();
    let there = draw(&facts, &through).project(&facts);
    let back = draw(&there, &policy());
    assert!(place(&back, |action| matches!(action, Action::LoadFirewall { .. })).is_some());
    let after = back.project(&there);
    let saves = after.firewall.iptables_saves.known().expect("rules");
    assert!(saves.iter().all(|save| !save.text.contains("gabion-")), "{saves:?}");
    is_empty_after(&there, &back, &policy());
    let mut none = bookworm();
    none.firewall.iptables = None;
    assert!(Plan::draw(&none, &through, &program()).is_err(), "a host without iptables");
}
