//! The lock-out guard on the state to be. What sshd really does with each of these is asked on booted hosts.

use std::net::IpAddr;

use controls::way_in::Requirement;
use host::Fact;
use host::Facts;
use host::facts::{FileFact, Via};
use policy::{Allow, Ipv6, Policy};

use super::{bookworm, draw, policy, write};
use crate::lockout::{Refusal, judge};

fn refused(facts: &Facts, policy: &Policy) -> Refusal {
    let plan = draw(facts, policy);
    judge(facts, &plan, policy).expect_err("the guard refuses")
}

fn reasons(refusal: &Refusal) -> Vec<Requirement> {
    refusal.accounts.iter().flat_map(|shut| &shut.because).map(|condition| condition.name).collect()
}

#[test]
fn the_stock_host_with_a_named_administrator_passes() {
    let facts = bookworm();
    judge(&facts, &draw(&facts, &policy()), &policy()).expect("the administrator gets in");
}

#[test]
fn a_policy_without_administrators_is_refused() {
    let refusal = refused(&bookworm(), &Policy::default());
    assert!(refusal.accounts.is_empty(), "{refusal:#?}");
}

#[test]
fn an_administrator_without_a_key_is_refused() {
    let mut policy = policy();
    policy.admins[0].keys.clear();
    let refusal = refused(&bookworm(), &policy);
    assert_eq!(refusal.accounts[0].account, "deploy");
    assert!(reasons(&refusal).iter().any(|reason| matches!(reason, Requirement::KeyFile | Requirement::Key)));
}

#[test]
fn a_filter_that_keeps_the_connected_client_out_is_refused_and_names_its_step() {
    let mut policy = policy();
    let office = "192.0.2.0/24".parse().expect("a prefix");
    policy.firewall.allow =
        vec![Allow { service: vec!["ssh".to_owned()], from: vec![office], ..Allow::default() }];
    let facts = bookworm();
    let refusal = refused(&facts, &policy);
    assert_eq!(reasons(&refusal), [Requirement::PacketFilter]);
    let plan = draw(&facts, &policy);
    let guilty = refusal.accounts[0].steps.first().map(|number| &plan.steps[number - 1].action);
    assert!(matches!(guilty, Some(crate::action::Action::LoadFirewall { .. })), "{guilty:?}");
}

#[test]
fn a_client_that_comes_over_ipv6_is_not_shut_out_by_refusing_ipv6() {
    let mut facts = bookworm();
    let address = |text: &str| text.parse::<IpAddr>().expect("an address");
    if let Fact::Known(way_in) = &mut facts.way_in {
        way_in.via = Via::Ssh {
            peer: address("2001:db8:51::1"),
            peer_port: 40_000,
            local: address("2001:db8:51::2"),
            local_port: 22,
        };
    }
    let mut policy = policy();
    judge(&facts, &draw(&facts, &policy), &policy).expect("the same rules for both families let it in");
    policy.firewall.ipv6 = Ipv6::Reject;
    assert_eq!(reasons(&refused(&facts, &policy)), [Requirement::PacketFilter]);
}

#[test]
fn a_configuration_that_lets_other_accounts_in_alone_is_refused() {
    let mut facts = bookworm();
    let main = facts.ssh.main_file.clone();
    let main = main.to_str().expect("a path").to_owned();
    let text = String::from_utf8_lossy(facts.file(&main).bytes().expect("the file")).into_owned();
    write(&mut facts, &main, &format!("{text}\nAllowUsers alice\n"));
    assert!(reasons(&refused(&facts, &policy())).contains(&Requirement::AllowLists));
}

#[test]
fn a_session_of_an_administrator_must_itself_get_in_again() {
    let mut policy = policy();
    let second = policy::Admin { name: "second".to_owned(), keys: Vec::new(), ..policy.admins[0].clone() };
    policy.admins.push(second);
    let mut facts = bookworm();
    for path in ["/home/second", "/home/second/.ssh", "/home/second/.ssh/authorized_keys"] {
        facts.files.insert(path.into(), FileFact::Absent);
    }
    judge(&facts, &draw(&facts, &policy), &policy).expect("root is here, and one of the two gets in");
    if let Fact::Known(way_in) = &mut facts.way_in {
        way_in.user = Some("second".to_owned());
    }
    assert_eq!(refused(&facts, &policy).accounts[0].account, "second");
}

#[test]
fn what_is_not_known_of_the_way_in_does_not_pass() {
    let mut facts = bookworm();
    facts.firewall.legacy_tables = Fact::Unknown("no permission".to_owned());
    let refusal = refused(&facts, &policy());
    assert!(!refusal.accounts[0].because.is_empty());
}
