use host::Fact;
use host::facts::{Facts, FileFact, IptablesSave, IptablesVariant, Listener, Manager, Protocol, Via, WayIn};
use nf_tables::{Chain, ChainDump, HookPoint, Policy as ChainPolicy, Table, TableDump};
use packet_filter::{FilterPolicy, PortRange};

use super::*;
use crate::finding::{Fix, State};
use crate::fixture::{assert_holds, debian, judge, listener, load, only, policy, secured, unit};

fn console(facts: &mut Facts) {
    facts.way_in =
        Fact::Known(WayIn { via: Via::Console, user: None, started_ticks: None, session_pid: None });
}

/// What iptables-save tells of the old tables is judged as all else is.
#[test]
fn the_old_tables_are_seen_where_iptables_tells_of_them() {
    let save = |policy: &str, rule: &str| IptablesSave {
        variant: IptablesVariant::Legacy,
        ipv6: false,
        text: format!(
            "*filter\n:INPUT {policy} [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{rule}COMMIT\n"
        ),
    };
    let mut facts = secured();
    facts.firewall.legacy_tables = Fact::Known(vec!["ip filter".to_owned()]);
    facts.firewall.iptables_saves =
        Fact::Known(vec![save("DROP", "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n")]);
    assert_holds("FW2", &facts, &policy());
    facts.firewall.iptables_saves =
        Fact::Known(vec![save("ACCEPT", "-A INPUT -p tcp -m tcp --dport 22 -j DROP\n")]);
    let finding = only("FW2", &facts, &policy());
    assert!(matches!(finding.state, State::Fails), "{finding:?}");
}

/// A table whose input hook does with every packet what its policy says.
fn table(family: Family, policy: ChainPolicy) -> TableDump {
    let point = HookPoint::Input;
    let mut dump = TableDump::new(Table::new(family, "other"));
    dump.chains.push(ChainDump { chain: Chain::base("input", point, 0, policy), rules: Vec::new() });
    dump
}

#[test]
fn a_host_without_a_filter_lets_everything_in_by_both_families() {
    assert_holds("FW1", &secured(), &policy());
    let finding = only("FW1", &debian(), &policy());
    assert_eq!(
        finding.what,
        "packets that nothing allows are let in: tcp over IPv4, udp over IPv4, tcp over IPv6, udp over IPv6"
    );
    assert_eq!((finding.fix, finding.severity), (Fix::Apply, Severity::High));
}

#[test]
fn a_filter_of_one_family_is_half_a_filter() {
    let mut facts = secured();
    load(&mut facts, table(Family::Ip, ChainPolicy::Drop));
    let finding = only("FW1", &facts, &policy());
    assert_eq!(finding.what, "packets that nothing allows are let in: tcp over IPv6, udp over IPv6");
    // A correct set of no rules at all: counting them would say that there is none.
    load(&mut facts, table(Family::Inet, ChainPolicy::Drop));
    assert_holds("FW1", &facts, &policy());
    load(&mut facts, table(Family::Inet, ChainPolicy::Accept));
    assert_eq!(only("FW1", &facts, &policy()).decided_by, ["policy of inet other input"]);
}

#[test]
fn an_unknown_filter_and_the_old_tables_are_no_pass() {
    let mut facts = secured();
    facts.firewall.ruleset = Fact::Unknown("operation not permitted".to_owned());
    for id in ["FW1", "FW2", "FW5"] {
        assert!(matches!(only(id, &facts, &policy()).state, State::Unknown(_)), "{id}");
    }
    let mut facts = debian();
    facts.firewall.legacy_tables = Fact::Known(vec!["ip filter".to_owned()]);
    assert!(matches!(only("FW1", &facts, &policy()).state, State::Unknown(_)));
    // What nf_tables refuses stays refused, whatever the old tables say.
    let mut facts = secured();
    facts.firewall.legacy_tables = Fact::Known(vec!["ip filter".to_owned()]);
    assert_holds("FW1", &facts, &policy());
}

#[test]
fn an_image_that_does_not_run_has_no_filter_in_force() {
    let mut facts = secured();
    facts.source = host::facts::Source::Image;
    for id in ["FW1", "FW2", "FW5"] {
        assert!(judge(id, &facts, &policy()).is_err(), "{id}");
    }
    assert_holds("FW3", &facts, &policy());
}

#[test]
fn the_administrators_own_connection_must_be_let_in() {
    assert_holds("FW2", &secured(), &policy());
    assert_holds("FW2", &debian(), &policy());
    let mut facts = secured();
    let closed = FilterPolicy {
        allow: vec![packet_filter::Allow::new("web", [PortRange::tcp(80)])],
        ..FilterPolicy::default()
    };
    load(&mut facts, packet_filter::compile(&closed).table().clone());
    let finding = only("FW2", &facts, &policy());
    assert_eq!((finding.severity, finding.fix), (Severity::Critical, Fix::Apply));
    assert!(finding.what.contains("198.51.100.7"), "{}", finding.what);
    console(&mut facts);
    assert_eq!(only("FW2", &facts, &policy()).severity, Severity::Critical);
}

#[test]
fn from_the_console_a_connection_from_somewhere_is_enough() {
    let mut facts = secured();
    let mut policy = policy();
    policy.firewall.allow[0].from = vec!["172.16.9.0/24".parse().unwrap()];
    crate::fixture::apply_filter(&mut facts, &policy);
    assert_eq!(only("FW2", &facts, &policy).severity, Severity::Critical, "the client is elsewhere");
    console(&mut facts);
    assert_holds("FW2", &facts, &policy);
}

#[test]
fn the_ruleset_must_come_back_after_a_boot() {
    assert_holds("FW3", &secured(), &policy());
    assert_eq!(only("FW3", &debian(), &policy()).what, "nothing loads a packet filter at boot");

    let mut facts = secured();
    facts.system.units = Fact::Known(vec![unit("gabion-firewall.service", "active", "disabled", &[])]);
    assert_eq!(only("FW3", &facts, &policy()).what, "the ruleset is not loaded at boot");
    let link = host::facts::Entry {
        kind: EntryKind::Symlink("../gabion-firewall.service".into()),
        ..host::facts::Entry::default()
    };
    facts.files.insert(LINKS[0].into(), FileFact::Present(link));
    assert_holds("FW3", &facts, &policy());
}

#[test]
fn the_saved_ruleset_must_be_the_one_in_force() {
    let mut facts = secured();
    let Fact::Known(ruleset) = &mut facts.firewall.ruleset else { panic!("ruleset") };
    ruleset.tables[0].chains[0].rules.pop();
    let finding = only("FW3", &facts, &policy());
    assert_eq!(finding.what, "the ruleset that the next boot loads is not the one in force");
    assert_eq!(
        (finding.decided_by[0].as_str(), finding.decided_by.len()),
        (SAVED, 2),
        "{:?}",
        finding.decided_by
    );

    let mut facts = secured();
    facts.firewall.ruleset = Fact::Known(nf_tables::Ruleset::default());
    assert_eq!(only("FW3", &facts, &policy()).what, "the saved ruleset is not in force");

    let mut facts = secured();
    facts.files.insert(SAVED.into(), FileFact::Absent);
    assert!(matches!(only("FW3", &facts, &policy()).state, State::Unknown(_)));
}

#[test]
fn another_manager_persists_where_it_starts_at_boot_and_two_are_one_too_many() {
    let manager = |name: &str, enabled| Manager { name: name.to_owned(), active: true, enabled };
    let mut facts = debian();
    load(&mut facts, table(Family::Inet, ChainPolicy::Drop));
    facts.firewall.managers = Fact::Known(vec![manager("ufw.service", true)]);
    assert_holds("FW3", &facts, &policy());
    assert_holds("FW4", &facts, &policy());
    facts.firewall.managers = Fact::Known(vec![manager("ufw.service", false)]);
    assert_eq!(only("FW3", &facts, &policy()).what, "ufw.service runs, and does not start at boot");

    facts.firewall.managers =
        Fact::Known(vec![manager("ufw.service", true), manager("firewalld.service", true)]);
    assert_eq!(only("FW4", &facts, &policy()).fix, Fix::Apply);
    facts.firewall.managers =
        Fact::Known(vec![manager("shorewall.service", true), manager("shorewall6.service", true)]);
    let finding = only("FW4", &facts, &policy());
    assert_eq!(finding.fix, Fix::Ask("keep one: systemctl disable --now shorewall6.service".to_owned()));

    let mut facts = secured();
    assert_holds("FW4", &facts, &policy());
    facts.firewall.managers = Fact::Known(vec![manager("ufw.service", true)]);
    assert_eq!(only("FW4", &facts, &policy()).fix, Fix::Apply);
    let mut beside = policy();
    beside.firewall.exclusive = false;
    let finding = only("FW4", &facts, &beside);
    let fix = "set firewall.exclusive = true in the policy, and apply it";
    assert_eq!(finding.fix, Fix::Ask(fix.to_owned()));
    facts.firewall.managers = Fact::Unknown("systemctl failed".to_owned());
    assert!(matches!(only("FW4", &facts, &policy()).state, State::Unknown(_)));
}

fn listening(facts: &mut Facts, more: Vec<Listener>) {
    let Fact::Known(listeners) = &mut facts.network.listeners else { panic!("listeners") };
    listeners.extend(more);
}

#[test]
fn a_listener_counts_where_packets_reach_it() {
    let services = || {
        vec![
            listener(Protocol::Tcp, "0.0.0.0", 6379, "redis-server"),
            listener(Protocol::Udp, "2001:db8::10", 161, "snmpd"),
            listener(Protocol::Tcp, "127.0.0.1", 5432, "postgres"),
        ]
    };
    let mut open = debian();
    listening(&mut open, services());
    let findings = judge("FW5", &open, &policy()).unwrap();
    let what: Vec<&str> = findings.iter().map(|finding| finding.what.as_str()).collect();
    assert_eq!(
        what,
        [
            "redis-server is reachable at tcp/6379, which the policy does not allow",
            "snmpd is reachable at udp/161, which the policy does not allow"
        ]
    );
    // Behind the filter they listen to nobody.
    let mut behind = secured();
    listening(&mut behind, services());
    assert_holds("FW5", &behind, &policy());
}

#[test]
fn a_rule_without_a_listener_is_worth_knowing_and_no_more() {
    let mut policy = policy();
    policy.firewall.allow.push(policy::Allow {
        service: vec!["https".to_owned()],
        line: 12,
        ..policy::Allow::default()
    });
    let facts = crate::fixture::secured_by(&policy);
    let finding = only("FW5", &facts, &policy);
    assert_eq!(finding.what, "the policy allows tcp/443, and nothing listens there");
    assert_eq!((finding.severity, finding.decided_by), (Severity::Info, vec!["policy.toml:12".to_owned()]));
    assert!(crate::audit(&facts, &policy).is_clean());
}
