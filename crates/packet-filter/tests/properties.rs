//! What holds for every policy and every ruleset.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "support/policies.rs"]
mod policies;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use iptables_syntax::{Family as Arguments, Mode, parse_rules};
use nf_tables::{
    Bitwise, BitwiseOp, Byteorder, ByteorderOp, Chain, ChainDump, Cmp, CmpOp, Connlimit, Counter, Ct, CtKey,
    DataType, Dynset, DynsetOp, Element, ElementFlags, Expression, Family, HookPoint, Immediate, Limit,
    LimitKind, Lookup, MapData, Match, Meta, MetaKey, MetaSet, Payload as PayloadLoad, PayloadBase, Policy,
    Range, RangeOp, Register, Reject, Rule, Set, SetDump, SetFlags, Table, TableDump, Target, Verdict,
};
use packet_filter::{
    Addresses, Allow, Answer, Compiled, Ending, FilterPolicy, ForwardEntry, Hook, InterfaceName, Ipv6,
    LogRate, Machine, Packet, Payload, Per, PortRange, Refusal, Rules, State, Transport, Unproven, compare,
    compile, decide, policy_decides, prove, text,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![Just(0_u16), Just(22), Just(53), Just(80), Just(546), Just(65535), any::<u16>()]
}

fn port_range() -> impl Strategy<Value = PortRange> {
    let transport = prop_oneof![Just(Transport::Tcp), Just(Transport::Udp)];
    (transport, port(), port(), any::<bool>()).prop_map(|(transport, a, b, single)| PortRange {
        transport,
        first: a.min(b),
        last: if single { a.min(b) } else { a.max(b) },
    })
}

fn v4() -> impl Strategy<Value = Ipv4Addr> {
    prop_oneof![
        any::<u32>().prop_map(Ipv4Addr::from),
        Just(Ipv4Addr::new(127, 0, 0, 1)),
        Just(Ipv4Addr::new(10, 0, 0, 1)),
        Just(Ipv4Addr::new(10, 255, 255, 255)),
        Just(Ipv4Addr::new(0, 0, 0, 0)),
        Just(Ipv4Addr::new(255, 255, 255, 255)),
    ]
}

fn v6() -> impl Strategy<Value = Ipv6Addr> {
    prop_oneof![
        any::<u128>().prop_map(Ipv6Addr::from),
        Just(Ipv6Addr::LOCALHOST),
        any::<u16>().prop_map(|low| Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, low)),
        any::<u16>().prop_map(|low| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, low)),
        Just(Ipv6Addr::from(u128::MAX)),
        Just(Ipv6Addr::UNSPECIFIED),
    ]
}

fn prefix() -> impl Strategy<Value = IpNet> {
    let v4 =
        (v4(), 0_u8..=32).prop_map(|(address, length)| IpNet::new(address.into(), length).unwrap().trunc());
    let v6 =
        (v6(), 0_u8..=128).prop_map(|(address, length)| IpNet::new(address.into(), length).unwrap().trunc());
    prop_oneof![v4, v6]
}

fn allow() -> impl Strategy<Value = Allow> {
    let name = prop_oneof![Just("ssh".to_owned()), "[a-z]{1,4}", ".{0,40}"];
    (name, vec(port_range(), 0..4), vec(prefix(), 0..4), option::of(0_u32..100_000), option::of(".{0,200}"))
        .prop_map(|(name, ports, from, new_per_minute, comment)| Allow {
            from,
            comment,
            new_per_minute: new_per_minute.map(|count| count.max(1)),
            place: Some("policy.toml:7".to_owned()),
            ..Allow::new(name, ports)
        })
}

fn forward() -> impl Strategy<Value = ForwardEntry> {
    let interface = || prop_oneof![Just("eth0"), Just("eth*"), Just("e*"), Just("lo"), Just("docker0")];
    let interfaces = move || vec(interface().prop_map(InterfaceName::from), 0..3);
    (interfaces(), interfaces(), vec(prefix(), 0..3), vec(prefix(), 0..3), vec(port_range(), 0..3)).prop_map(
        |(input, output, from, to, ports)| ForwardEntry {
            input,
            output,
            from,
            to,
            ports,
            comment: None,
            place: Some("policy.toml:9".to_owned()),
        },
    )
}

/// Rules of the policy's own; most policies have none.
fn rules() -> impl Strategy<Value = Rules> {
    let address = prop_oneof![
        3 => Just(String::new()),
        1 => prefix().prop_map(|prefix| format!("-s {prefix}")),
        1 => prefix().prop_map(|prefix| format!("! -d {prefix}")),
        1 => Just("-s 10.0.0.1,10.255.255.255".to_owned()),
    ];
    let protocol = prop_oneof![
        2 => Just(String::new()),
        3 => (port_range(), any::<bool>()).prop_map(|(range, not)| {
            let name = if range.transport == Transport::Tcp { "tcp" } else { "udp" };
            let not = if not { "! " } else { "" };
            format!("-p {name} {not}--dport {}:{}", range.first, range.last)
        }),
        1 => Just("-p tcp --syn".to_owned()),
        1 => Just("-p tcp -m multiport --ports 22,53,80:90".to_owned()),
        1 => Just("-p icmp --icmp-type 8".to_owned()),
        1 => Just("-p 47".to_owned()),
    ];
    let matched = proptest::sample::select(vec![
        "",
        "",
        "",
        "-m conntrack --ctstate NEW",
        "-m conntrack --ctstate INVALID,UNTRACKED",
        "-m limit --limit 5/min --limit-burst 7",
        "-m mark --mark 0x1/0xff",
        "-m mark ! --mark 0x4000/0x4000",
        "-m mark ! --mark 7",
        "-m ttl --ttl-lt 65",
        "-m iprange --src-range 10.0.0.0-10.0.0.9",
        "-m time --timestart 08:00 --timestop 18:00",
        "-m length --length 0:100",
    ]);
    let target = proptest::sample::select(vec![
        "-j ACCEPT",
        "-j DROP",
        "-j REJECT",
        "-j LOG",
        "-j RETURN",
        "-j MARK --set-mark 7",
        "-j MARK --set-xmark 0x1/0xf",
        "-j inner",
        "-g inner",
        "",
    ]);
    let chain = proptest::sample::select(vec!["input", "input", "forward", "output", "inner"]);
    let one = (chain, address, protocol, matched, target).prop_map(
        |(chain, address, protocol, matched, target)| {
            let target = if chain == "inner" && target.contains("inner") { "-j DROP" } else { target };
            (chain, format!("{protocol} {address} {matched} {target}"))
        },
    );
    let rules = vec(one, 1..6).prop_filter_map("no rule for any family", |rules| {
        let mut made: Vec<_> = rules
            .iter()
            .filter(|(_, text)| {
                [Arguments::Ipv4, Arguments::Ipv6]
                    .iter()
                    .any(|family| parse_rules(text, *family, Mode::Strict).is_ok())
            })
            .map(|(chain, text)| policies::rule(chain, text))
            .collect();
        made.push(policies::rule("inner", "-p tcp --dport 22 -j ACCEPT"));
        Rules::new(made).ok()
    });
    prop_oneof![1 => Just(Rules::default()), 1 => rules]
}

fn policy() -> impl Strategy<Value = FilterPolicy> {
    let refusal = || prop_oneof![Just(Refusal::Reject), Just(Refusal::Drop)];
    let per = prop_oneof![Just(Per::Second), Just(Per::Minute), Just(Per::Hour)];
    let log = option::of((0_u32..1000, per).prop_map(|(count, per)| LogRate { count, per }));
    let ipv6 = prop_oneof![3 => Just(Ipv6::Same), 1 => Just(Ipv6::Reject)];
    (refusal(), refusal(), any::<bool>(), ipv6, log, vec(allow(), 0..6), vec(forward(), 0..3), rules())
        .prop_map(|(inbound, forward, ping, ipv6, log, allow, forwards, rules)| FilterPolicy {
            inbound,
            forward,
            ping,
            ipv6,
            log,
            allow,
            forwards,
            rules,
        })
}

fn packet() -> impl Strategy<Value = Packet> {
    let addresses = prop_oneof![
        (v4(), v4()).prop_map(|(source, destination)| Addresses::Ipv4 { source, destination }),
        (v6(), v6()).prop_map(|(source, destination)| Addresses::Ipv6 { source, destination }),
    ];
    let payload = prop_oneof![
        3 => (port(), port(), any::<u8>())
            .prop_map(|(source, destination, flags)| Payload::Tcp { source, destination, flags }),
        2 => (port(), port()).prop_map(|(source, destination)| Payload::Udp { source, destination }),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(kind, code)| Payload::Icmp { kind, code }),
        2 => (prop_oneof![0..6_u8, 126..150_u8], any::<u8>()).prop_map(|(kind, code)| Payload::Icmpv6 { kind, code }),
        1 => any::<u8>()
            .prop_filter("has a variant of its own", |number| ![1, 6, 17, 58].contains(number))
            .prop_map(Payload::Other),
    ];
    let state = proptest::sample::select(State::ALL.to_vec());
    let interface = || prop_oneof![Just(None), Just(Some("lo".to_owned())), Just(Some("eth0".to_owned()))];
    let hop_limit = prop_oneof![Just(255_u8), Just(64), any::<u8>()];
    let published = option::of((v4(), v6(), port()));
    (addresses, payload, state, interface(), interface(), hop_limit, any::<u32>(), published).prop_map(
        |(addresses, payload, state, input, output, hop_limit, mark, published)| Packet {
            published_from: published.map(|(v4, v6, port)| match addresses {
                Addresses::Ipv4 { .. } => SocketAddr::new(v4.into(), port),
                Addresses::Ipv6 { .. } => SocketAddr::new(v6.into(), port),
            }),
            input,
            output,
            addresses,
            payload,
            state,
            hop_limit,
            mark,
        },
    )
}

fn hook() -> impl Strategy<Value = Hook> {
    proptest::sample::select(Hook::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn a_compiled_policy_is_proven(policy in policy()) {
        let compiled = compile(&policy);
        let proof = prove(&policy, &compiled).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert!(proof.packets > 0);
        prop_assert_eq!(&compile(&policy), &compiled);
    }

    /// The prover's own claim, tried at random: what it proved with a few packets holds for any.
    #[test]
    fn any_packet_is_decided_as_the_policy_says(
        policy in policy(), cases in vec((hook(), packet()), 100),
    ) {
        let compiled = compile(&policy);
        let machine = Machine::new([compiled.table()]);
        for (hook, packet) in cases {
            let decision = machine.decide(hook, &packet);
            match policy_decides(&policy, hook, &packet) {
                Answer::Accept => prop_assert!(decision.certain && decision.verdict.is_accept(), "{packet}: {decision}"),
                Answer::Refuse(manner) => {
                    prop_assert!(decision.certain, "{packet}: {decision}");
                    prop_assert_eq!(decision.verdict.manner(&packet), Some(manner), "{}: {}", packet, decision);
                }
                Answer::Open { usual, possible } => {
                    let ending = |verdict: &packet_filter::Verdict| match verdict.manner(&packet) {
                        None => Ending::Accept,
                        Some(manner) => Ending::Refuse(manner),
                    };
                    prop_assert_eq!(ending(&decision.verdict), usual, "{}: {}", packet, decision);
                    for other in &decision.otherwise {
                        prop_assert!(possible.contains(&ending(other)), "{packet}: {decision}");
                    }
                }
                Answer::AcceptWithin { rates, otherwise } => {
                    prop_assert!(!decision.certain && decision.verdict.is_accept(), "{packet}: {decision}");
                    prop_assert_eq!(decision.depends_on.len(), rates.len().max(decision.depends_on.len()));
                    for other in &decision.otherwise {
                        prop_assert_eq!(other.manner(&packet), Some(otherwise));
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_that_the_kernel_could_send_makes_the_machine_fail(
        dumps in vec(dump(), 1..3), packets in vec((hook(), packet()), 20), policy in policy(),
    ) {
        for (hook, packet) in &packets {
            let decision = decide(&dumps, *hook, packet);
            prop_assert_eq!(decision.certain, decision.depends_on.is_empty() && decision.otherwise.is_empty());
            let _ = decision.to_string();
        }
        for dump in &dumps {
            let _ = text::table(dump);
            let _ = compare(Some(dump), dumps.last());
            let _ = prove(&policy, &Compiled::from_table(dump.clone()));
        }
    }
}

fn register() -> impl Strategy<Value = Register> {
    (0_u32..24).prop_map(|number| Register::new(number).unwrap_or(Register::R1))
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..20), Just(vec![6]), Just(vec![0, 22]), Just(vec![2]), Just(vec![0; 16])]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        Just(Verdict::Accept),
        Just(Verdict::Drop),
        Just(Verdict::Return),
        Just(Verdict::Break),
        Just(Verdict::Continue),
        any::<u16>().prop_map(Verdict::Queue),
        chain_name().prop_map(Verdict::Jump),
        chain_name().prop_map(Verdict::Goto),
    ]
}

fn chain_name() -> impl Strategy<Value = String> {
    proptest::sample::select(vec!["a".to_owned(), "b".to_owned(), "c".to_owned(), "missing".to_owned()])
}

fn set_name() -> impl Strategy<Value = String> {
    proptest::sample::select(vec!["s".to_owned(), "m".to_owned(), "v".to_owned(), "missing".to_owned()])
}

fn limit() -> impl Strategy<Value = Expression> {
    (any::<u64>(), any::<u64>(), any::<bool>()).prop_map(|(rate, seconds, over)| {
        Expression::Limit(Limit { rate, seconds, burst: 5, kind: LimitKind::Packets, over })
    })
}

fn expression() -> impl Strategy<Value = Expression> {
    let op =
        || proptest::sample::select(vec![CmpOp::Eq, CmpOp::Ne, CmpOp::Lt, CmpOp::Le, CmpOp::Gt, CmpOp::Ge]);
    let base = proptest::sample::select(vec![
        PayloadBase::Link,
        PayloadBase::Network,
        PayloadBase::Transport,
        PayloadBase::Inner,
    ]);
    let meta_key = || (0_u32..40).prop_map(MetaKey::from);
    prop_oneof![
        4 => (meta_key(), register()).prop_map(|(key, dreg)| Expression::Meta(Meta { key, dreg })),
        4 => (register(), base, 0_u32..50, 0_u32..70)
            .prop_map(|(dreg, base, offset, length)| Expression::Payload(PayloadLoad { dreg, base, offset, length })),
        4 => (register(), op(), bytes()).prop_map(|(sreg, op, data)| Expression::Cmp(Cmp { sreg, op, data })),
        1 => (register(), bytes(), bytes(), any::<bool>()).prop_map(|(sreg, from, to, within)| {
            Expression::Range(Range { sreg, op: if within { RangeOp::In } else { RangeOp::NotIn }, from, to })
        }),
        1 => register().prop_map(|dreg| Expression::Ct(Ct { key: CtKey::State, direction: None, dreg })),
        1 => (register(), register(), 0_u32..70, bytes(), bytes()).prop_map(|(sreg, dreg, length, mask, xor)| {
            Expression::Bitwise(Bitwise { sreg, dreg, length, op: BitwiseOp::MaskXor { mask, xor } })
        }),
        1 => (register(), register(), 0_u32..70, 0_u32..70, any::<bool>()).prop_map(|(sreg, dreg, length, by, left)| {
            let op = if left { BitwiseOp::ShiftLeft(by) } else { BitwiseOp::ShiftRight(by) };
            Expression::Bitwise(Bitwise { sreg, dreg, length, op })
        }),
        1 => (register(), register(), 0_u32..70, 0_u32..20).prop_map(|(sreg, dreg, length, size)| {
            Expression::Byteorder(Byteorder { sreg, dreg, op: ByteorderOp::NetworkToHost, length, size })
        }),
        3 => (set_name(), register(), option::of(register()), any::<bool>()).prop_map(|(set, sreg, dreg, inverse)| {
            Expression::Lookup(Lookup { set, set_id: None, sreg, dreg, inverse })
        }),
        1 => (set_name(), register(), vec(limit(), 0..2), any::<bool>()).prop_map(|(set, key, expressions, inverse)| {
            Expression::Dynset(Dynset {
                set, set_id: None, op: DynsetOp::Update, sreg_key: key, sreg_data: None, timeout: None, inverse,
                expressions,
            })
        }),
        1 => (register(), bytes()).prop_map(|(dreg, value)| Expression::Immediate(Immediate::value(dreg, value))),
        3 => verdict().prop_map(|verdict| Expression::Immediate(Immediate::verdict(verdict))),
        1 => (meta_key(), register()).prop_map(|(key, sreg)| Expression::MetaSet(MetaSet { key, sreg })),
        1 => limit(),
        1 => (any::<u32>(), any::<bool>()).prop_map(|(count, over)| Expression::Connlimit(Connlimit { count, over })),
        1 => Just(Expression::Counter(Counter::default())),
        1 => Just(Expression::Reject(Reject::TcpReset)),
        1 => ("[a-zA-Z]{1,8}", bytes())
            .prop_map(|(name, info)| Expression::Match(Match { name, revision: 3, info })),
        1 => ("[A-Z]{1,8}", bytes())
            .prop_map(|(name, info)| Expression::Target(Target { name, revision: 1, info })),
        1 => ("[a-z]{1,8}", bytes()).prop_map(|(name, data)| Expression::Unknown { name, data }),
    ]
}

fn element() -> impl Strategy<Value = Element> {
    (bytes(), option::of(bytes()), option::of(verdict()), 0_u32..4).prop_map(
        |(key, key_end, verdict, flags)| Element {
            key_end,
            data: verdict.map(nf_tables::Data::Verdict),
            flags: ElementFlags(flags),
            ..Element::new(key)
        },
    )
}

fn set(name: &'static str, data: Option<MapData>) -> impl Strategy<Value = SetDump> {
    let flags = proptest::sample::select(vec![
        SetFlags::NONE,
        SetFlags::INTERVAL,
        SetFlags::INTERVAL | SetFlags::CONCAT,
        SetFlags::ANONYMOUS | SetFlags::CONSTANT,
        SetFlags::EVAL,
    ]);
    let key_type = proptest::sample::select(vec![7_u32, 8, 13, 26, 41, 0, 461, 0xffff_ffff]);
    let fields = prop_oneof![Just(Vec::new()), vec(0_u32..20, 1..3)];
    (flags, key_type, 0_u32..40, fields, vec(element(), 0..6)).prop_map(
        move |(flags, key_type, length, fields, elements)| {
            let mut set = match data {
                Some(data) => Set::map(name, DataType(key_type), length, data),
                None => Set::new(name, DataType(key_type), length),
            };
            set = set.with_flags(flags);
            set.fields = fields;
            SetDump { set, elements }
        },
    )
}

fn dump() -> impl Strategy<Value = TableDump> {
    let family = proptest::sample::select(vec![Family::Inet, Family::Ip, Family::Ip6, Family::Bridge]);
    let rules = || vec(vec(expression(), 0..6).prop_map(Rule::new), 0..6);
    let value = MapData::Value { data_type: DataType::MARK, length: 4 };
    let sets = (set("s", None), set("m", Some(value)), set("v", Some(MapData::Verdict)));
    (family, rules(), rules(), rules(), rules(), sets, -200..200_i32).prop_map(
        |(family, base, a, b, c, (s, m, v), priority)| {
            let chain = |name: &str, rules| ChainDump { chain: Chain::regular(name), rules };
            let input = Chain::base("input", HookPoint::Input, priority, Policy::Accept);
            let mut dump = TableDump::new(Table::new(family, "any"));
            dump.chains =
                vec![ChainDump { chain: input, rules: base }, chain("a", a), chain("b", b), chain("c", c)];
            dump.sets = vec![s, m, v];
            dump
        },
    )
}

/// Changes that a wrong compiler, or somebody else, might make. Each must be found.
#[test]
fn a_ruleset_that_does_something_else_is_not_proven() {
    let mut tried = 0;
    for (name, policy) in policies::all() {
        let table = compile(&policy).table().clone();
        // Of the one with rules of its own, these: the rest is that of the others.
        let is_tried =
            |name_of: &str| name != "ruled" || name_of.starts_with("rule-") || name_of.starts_with("__");
        for chain in 0..table.chains.len() {
            if !is_tried(&table.chains[chain].chain.name) {
                continue;
            }
            for rule in 0..table.chains[chain].rules.len() {
                let expressions = &table.chains[chain].rules[rule].expressions;
                // A log decides nothing.
                if expressions.iter().any(|expression| matches!(expression, Expression::Log(_))) {
                    continue;
                }
                // Nor does a drop at a chain's end, where what comes after drops as well.
                let is_last = rule + 1 == table.chains[chain].rules.len();
                let is_drop =
                    expressions.last() == Some(&Expression::Immediate(Immediate::verdict(Verdict::Drop)));
                if !(is_last && is_drop && policy.inbound == Refusal::Drop) {
                    let mut without = table.clone();
                    without.chains[chain].rules.remove(rule);
                    expect_unproven(
                        &policy,
                        &without,
                        &format!("{name}: without rule {rule} of chain {chain}"),
                    );
                    tried += 1;
                }
                // A mark leads to acceptance here: accepting at once is the same.
                let marks = expressions.iter().any(|expression| matches!(expression, Expression::MetaSet(_)));
                let mut turned = table.clone();
                if !marks && turn_verdict(&mut turned.chains[chain].rules[rule]) {
                    expect_unproven(
                        &policy,
                        &turned,
                        &format!("{name}: rule {rule} of chain {chain} turned"),
                    );
                    tried += 1;
                }
            }
        }
        for set in 0..table.sets.len() {
            if !is_tried(&table.sets[set].set.name) {
                continue;
            }
            for element in 0..table.sets[set].elements.len() {
                let elements = &table.sets[set].elements;
                // Where the next range begins, the one before ends in any case.
                if elements[element].is_interval_end()
                    && elements.get(element + 1).is_some_and(|next| next.key == elements[element].key)
                {
                    continue;
                }
                let drops = elements[element].data == Some(nf_tables::Data::Verdict(Verdict::Drop));
                if drops && policy.forward == Refusal::Drop {
                    continue;
                }
                let mut without = table.clone();
                without.sets[set].elements.remove(element);
                expect_unproven(
                    &policy,
                    &without,
                    &format!("{name}: without element {element} of set {set}"),
                );
                tried += 1;
            }
        }
    }
    assert!(tried > 150, "only {tried} changes were tried");
}

fn expect_unproven(policy: &FilterPolicy, table: &TableDump, what: &str) {
    match prove(policy, &Compiled::from_table(table.clone())) {
        Err(Unproven::Disagreement(disagreement)) => {
            // The witness is a packet on which the two really differ.
            let meant = policy_decides(policy, disagreement.hook, &disagreement.packet);
            assert_eq!(meant, disagreement.policy, "{what}");
        }
        Err(other) => panic!("{what}: {other}"),
        Ok(proof) => panic!("{what} was proven: {proof:?}\n{}", text::table(table)),
    }
}

fn turn_verdict(rule: &mut Rule) -> bool {
    for expression in &mut rule.expressions {
        if let Expression::Immediate(immediate) = expression {
            *immediate = match &immediate.data {
                nf_tables::Data::Verdict(Verdict::Accept) => Immediate::verdict(Verdict::Drop),
                _ => Immediate::verdict(Verdict::Accept),
            };
            return true;
        }
    }
    false
}

#[test]
fn a_rule_that_looks_at_one_bit_of_a_port_is_seen_through() {
    let policy = policies::classic();
    let mut table = compile(&policy).table().clone();
    let odd = vec![
        Expression::Payload(PayloadLoad {
            dreg: Register::R1,
            base: PayloadBase::Transport,
            offset: 2,
            length: 2,
        }),
        Expression::Bitwise(Bitwise::mask(Register::R1, [0, 1])),
        Expression::Cmp(Cmp { sreg: Register::R1, op: CmpOp::Eq, data: vec![0, 1] }),
        Expression::Immediate(Immediate::verdict(Verdict::Drop)),
    ];
    table.chains[0].rules.insert(0, Rule::new(odd));
    let Err(Unproven::Disagreement(found)) = prove(&policy, &Compiled::from_table(table)) else {
        panic!("it drops packets to odd ports");
    };
    let (Payload::Tcp { destination, .. } | Payload::Udp { destination, .. }) = found.packet.payload else {
        panic!("{found}");
    };
    assert!(destination % 2 == 1 && found.ruleset.verdict == packet_filter::Verdict::Drop, "{found}");
}

#[test]
fn addresses_of_two_families_make_no_packet() {
    let (v4, v6) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));
    assert!(Packet::ping(v4, v6).is_err());
    assert_eq!(Packet::ping(v6, v6).unwrap().payload, Payload::Icmpv6 { kind: 128, code: 0 });
}
