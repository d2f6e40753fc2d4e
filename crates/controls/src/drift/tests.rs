use nf_tables::{
    Chain, Element, Expression, Family, HookPoint, Immediate, Nat, NatFlags, NatKind, Notrack, Policy,
    Register, Rule, Table, Verdict,
};
use packet_filter::{Allow, FilterPolicy, PortRange, compile};

use super::*;

fn applied() -> TableDump {
    let allow = vec![Allow::new("ssh", [PortRange::tcp(22)]), Allow::new("https", [PortRange::tcp(443)])];
    compile(&FilterPolicy { allow, ..FilterPolicy::default() }).table().clone()
}

fn kinds(applied: &TableDump, tables: &[TableDump]) -> Vec<Kind> {
    drift(&Seen { applied, tables, known: &BTreeSet::new() }).into_iter().map(|drift| drift.kind).collect()
}

fn changed(change: impl FnOnce(&mut TableDump)) -> Vec<Kind> {
    let applied = applied();
    let mut live = applied.clone();
    change(&mut live);
    kinds(&applied, &[live])
}

fn chain<'a>(dump: &'a mut TableDump, name: &str) -> &'a mut ChainDump {
    dump.chains.iter_mut().find(|chain| chain.chain.name == name).unwrap()
}

fn rule(verdict: Verdict) -> Rule {
    Rule::new(vec![Expression::Immediate(Immediate::verdict(verdict))])
}

fn foreign(family: Family, point: HookPoint, expression: Expression) -> TableDump {
    let mut dump = TableDump::new(Table::new(family, "other"));
    let rules = vec![Rule::new(vec![expression])];
    dump.chains.push(ChainDump { chain: Chain::base("c", point, -300, Policy::Accept), rules });
    dump
}

#[test]
fn what_is_as_it_was_applied_drifts_nowhere() {
    assert_eq!(changed(|_| ()), []);
    // Counters and handles are no drift.
    assert_eq!(changed(|dump| chain(dump, "input").chain.handle = Some(7)), []);
}

#[test]
fn a_table_that_is_gone_lets_everything_in() {
    let applied = applied();
    assert_eq!(kinds(&applied, &[]), [Kind::TableGone, Kind::Ipv4Open, Kind::Ipv6Open, Kind::ForwardOpen]);
}

#[test]
fn a_table_that_came_in_its_place_for_ipv4_alone_leaves_ipv6_open() {
    let applied = applied();
    let mut ip_only = applied.clone();
    ip_only.table.family = Family::Ip;
    let drifts = drift(&Seen { applied: &applied, tables: &[ip_only], known: &BTreeSet::new() });
    let found: Vec<Kind> = drifts.iter().map(|drift| drift.kind).collect();
    assert!(found.starts_with(&[Kind::TableGone, Kind::Ipv6Open, Kind::ForwardOpen]), "{drifts:#?}");
    assert!(!found.contains(&Kind::Ipv4Open));
    assert!(drifts[0].shown_by[0].contains("ip gabion"), "{drifts:#?}");
}

#[test]
fn every_change_of_our_own_table_is_named_for_what_it_is() {
    assert_eq!(changed(|dump| chain(dump, "allow-ssh").rules.clear()), [Kind::ChainFlushed, Kind::Closed]);
    assert_eq!(
        changed(|dump| {
            let input = chain(dump, "input");
            input.rules.clear();
            input.chain.hook.as_mut().unwrap().policy = Policy::Accept;
        }),
        [Kind::PolicyChanged, Kind::ChainFlushed, Kind::Ipv4Open, Kind::Ipv6Open]
    );
    assert_eq!(changed(|dump| drop(chain(dump, "input").rules.remove(0))), [Kind::RuleGone]);
    assert_eq!(
        changed(|dump| chain(dump, "input").rules.insert(0, rule(Verdict::Accept))),
        [Kind::RuleAdded, Kind::Ipv4Open, Kind::Ipv6Open]
    );
    assert_eq!(
        changed(|dump| dump.chains.push(ChainDump { chain: Chain::regular("x"), rules: Vec::new() })),
        [Kind::ChainAdded]
    );
    assert_eq!(
        changed(|dump| dump.table.flags = TableFlags::DORMANT),
        [Kind::Dormant, Kind::Ipv4Open, Kind::Ipv6Open, Kind::ForwardOpen]
    );
    assert_eq!(
        changed(|dump| chain(dump, "input").chain.hook.as_mut().unwrap().priority = 10),
        [Kind::ChainMoved]
    );
    let set = |dump: &mut TableDump, name: &str, change: fn(&mut Vec<Element>)| {
        change(&mut dump.sets.iter_mut().find(|set| set.set.name == name).unwrap().elements);
    };
    assert_eq!(changed(|dump| set(dump, "icmpv6-errors", |list| drop(list.pop()))), [Kind::ElementGone]);
    assert_eq!(
        changed(|dump| set(dump, "icmpv6-errors", |list| list.push(Element::new([200])))),
        [Kind::ElementAdded]
    );
    let opened = changed(|dump| {
        set(dump, "tcp-services", |list| {
            list.extend(
                Element::range(&4_u16.to_be_bytes(), &4_u16.to_be_bytes())
                    .into_iter()
                    .enumerate()
                    .map(|(nth, end)| if nth == 0 { end.with_verdict(Verdict::Accept) } else { end }),
            );
        });
    });
    assert_eq!(opened, [Kind::ElementAdded, Kind::Ipv4Open, Kind::Ipv6Open]);
}

#[test]
fn what_others_can_do_is_named_until_it_is_known() {
    let applied = applied();
    let drop_all = foreign(Family::Inet, HookPoint::Prerouting, rule(Verdict::Drop).expressions.remove(0));
    let nat = Nat {
        kind: NatKind::Destination,
        family: Family::Ip,
        address_min: Some(Register::R1),
        address_max: None,
        port_min: None,
        port_max: None,
        flags: NatFlags::NONE,
    };
    let dnat = foreign(Family::Ip, HookPoint::Prerouting, Expression::Nat(nat));
    let notrack = foreign(Family::Ip6, HookPoint::Prerouting, Expression::Notrack(Notrack {}));
    let tables = [applied.clone(), drop_all, dnat, notrack];
    let found = kinds(&applied, &tables);
    assert_eq!(found, [Kind::Closed, Kind::ForeignRefuses, Kind::ForeignTranslates, Kind::ForeignUntracks]);
    let known = effects_of_others(&tables);
    assert_eq!(known.len(), 3);
    let drifts = drift(&Seen { applied: &applied, tables: &tables, known: &known });
    assert_eq!(drifts, [], "what is known to refuse may refuse");
}
