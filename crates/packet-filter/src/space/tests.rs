//! Sets of packets and the machine that decides single ones agree, on rulesets made at random.

use std::net::{Ipv4Addr, Ipv6Addr};

use nf_tables::{
    Bitwise, Chain, ChainDump, ChainKind, Cmp, CmpOp, Ct, CtDirection, CtKey, DataType, Dynset, DynsetOp,
    Element, Expression, Family, Fib, FibFlags, FibResult, HookPoint, Immediate, Limit, LimitKind, Lookup,
    MapData, Match, Meta, MetaKey, MetaSet, Nat, NatFlags, NatKind, Notrack, Payload as Load, PayloadBase,
    Policy, Range, RangeOp, Redirect, Register, Reject, Rule, Set, SetDump, SetFlags, Table, TableDump,
    Target, Verdict as To,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::bdd::Bdd;
use super::fields::Layout;
use super::names::AskedNames;
use super::walk::{Regions, walk};
use super::{Certainty, IpFamily, Reach, Space, compare_rulesets, reach, shadowed};
use crate::decide::{Machine, Verdict, verdict};
use crate::facts::{Facts, Field, Need};
use crate::machine::Cause;
use crate::packet::{Addresses, Hook, Packet, Payload, State};
use crate::{Decision, text};

fn meta(key: MetaKey) -> Expression {
    Expression::Meta(Meta { key, dreg: Register::R1 })
}

fn load(base: PayloadBase, offset: u32, length: u32) -> Expression {
    Expression::Payload(Load { dreg: Register::R1, base, offset, length })
}

fn cmp(op: CmpOp, data: impl Into<Vec<u8>>) -> Expression {
    Expression::Cmp(Cmp { sreg: Register::R1, op, data: data.into() })
}

fn op() -> impl Strategy<Value = CmpOp> {
    select(vec![CmpOp::Eq, CmpOp::Eq, CmpOp::Ne, CmpOp::Lt, CmpOp::Le, CmpOp::Gt, CmpOp::Ge])
}

fn equality() -> impl Strategy<Value = CmpOp> {
    select(vec![CmpOp::Eq, CmpOp::Eq, CmpOp::Ne])
}

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![select(vec![0_u16, 22, 53, 80, 443, 65535]), any::<u16>()]
}

fn v4() -> impl Strategy<Value = u32> {
    let usual = [0x0a00_0001_u32, 0x0a00_0102, 0xc000_0201, 0x7f00_0001, 0xe000_0001, u32::MAX, 0];
    prop_oneof![3 => select(usual.to_vec()), 1 => any::<u32>()]
}

fn v6() -> impl Strategy<Value = u128> {
    let usual =
        [1, 0x2001_0db8_u128 << 96 | 7, 0x2001_0db8_u128 << 96 | 1 << 64, 0xff02 << 112 | 1, 0xfe80 << 112];
    prop_oneof![3 => select(usual.to_vec()), 1 => any::<u128>()]
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let padded = |name: &str| {
        let mut bytes = name.as_bytes().to_vec();
        bytes.resize(16, 0);
        bytes
    };
    let mut names: Vec<Vec<u8>> = ["lo", "eth0", "eth1", "wg0", "docker0"].map(padded).to_vec();
    names.extend(["eth", "docker", "e"].map(|prefix| prefix.as_bytes().to_vec()));
    select(names)
}

fn verdict_to() -> impl Strategy<Value = To> {
    let chain = || select(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]);
    prop_oneof![
        3 => Just(To::Accept),
        3 => Just(To::Drop),
        1 => Just(To::Return),
        2 => chain().prop_map(To::Jump),
        1 => chain().prop_map(To::Goto),
        1 => Just(To::Queue(3)),
    ]
}

/// A match that packets alone decide.
fn known_match() -> impl Strategy<Value = Vec<Expression>> {
    let l4 = || select(vec![1_u8, 6, 6, 17, 58, 47]);
    let state_mask = select(vec![1_u32, 2, 6, 8, 64, 14]);
    prop_oneof![
        2 => (equality(), l4()).prop_map(|(op, number)| vec![meta(MetaKey::L4Protocol), cmp(op, [number])]),
        1 => select(vec![2_u8, 10]).prop_map(|family| vec![meta(MetaKey::NfProtocol), cmp(CmpOp::Eq, [family])]),
        2 => (select(vec![MetaKey::InputName, MetaKey::OutputName]), equality(), name())
            .prop_map(|(key, op, name)| vec![meta(key), cmp(op, name)]),
        1 => (any::<bool>(), equality()).prop_map(|(lo, op)| {
            vec![meta(MetaKey::InputIndex), cmp(op, u32::from(lo).to_ne_bytes())]
        }),
        3 => (select(vec![0_u32, 2]), op(), port())
            .prop_map(|(at, op, port)| vec![load(PayloadBase::Transport, at, 2), cmp(op, port.to_be_bytes())]),
        2 => (port(), port(), any::<bool>()).prop_map(|(a, b, inside)| vec![
            load(PayloadBase::Transport, 2, 2),
            Expression::Range(Range {
                sreg: Register::R1,
                op: if inside { RangeOp::In } else { RangeOp::NotIn },
                from: a.min(b).to_be_bytes().to_vec(),
                to: a.max(b).to_be_bytes().to_vec(),
            }),
        ]),
        1 => (select(vec![2_u8, 0x12]), equality()).prop_map(|(flags, op)| vec![
            load(PayloadBase::Transport, 13, 1),
            Expression::Bitwise(Bitwise::mask(Register::R1, [0x17])),
            cmp(op, [flags]),
        ]),
        3 => (select(vec![12_u32, 16]), 0_u32..=4, op(), v4()).prop_map(|(at, bytes, op, address)| vec![
            load(PayloadBase::Network, at, bytes.max(1)),
            cmp(op, &address.to_be_bytes()[..bytes.max(1) as usize]),
        ]),
        2 => (select(vec![12_u32, 16]), 0_u32..32, equality(), v4()).prop_map(|(at, bits, op, address)| {
            let mask = u32::MAX << bits;
            vec![
                load(PayloadBase::Network, at, 4),
                Expression::Bitwise(Bitwise::mask(Register::R1, mask.to_be_bytes())),
                cmp(op, (address & mask).to_be_bytes()),
            ]
        }),
        2 => (select(vec![8_u32, 24]), select(vec![2_u32, 4, 8, 16]), op(), v6()).prop_map(|(at, bytes, op, address)| vec![
            load(PayloadBase::Network, at, bytes),
            cmp(op, &address.to_be_bytes()[..bytes as usize]),
        ]),
        2 => (state_mask, any::<bool>()).prop_map(|(mask, is)| vec![
            Expression::Ct(Ct { key: CtKey::State, direction: None, dreg: Register::R1 }),
            Expression::Bitwise(Bitwise::mask(Register::R1, mask.to_ne_bytes())),
            cmp(if is { CmpOp::Ne } else { CmpOp::Eq }, [0; 4]),
        ]),
        1 => (equality(), any::<bool>()).prop_map(|(op, set)| vec![
            Expression::Ct(Ct { key: CtKey::Status, direction: None, dreg: Register::R1 }),
            Expression::Bitwise(Bitwise::mask(Register::R1, 0x20_u32.to_ne_bytes())),
            cmp(op, if set { 0x20_u32.to_ne_bytes() } else { [0; 4] }),
        ]),
        1 => (equality(), select(vec![0_u32, 1, 0x100, 7])).prop_map(|(op, mark)| vec![
            meta(MetaKey::Mark),
            cmp(op, mark.to_ne_bytes()),
        ]),
        1 => (op(), select(vec![1_u8, 64, 255]), select(vec![7_u32, 8])).prop_map(|(op, hops, at)| vec![
            load(PayloadBase::Network, at, 1),
            cmp(op, [hops]),
        ]),
        1 => (equality(), 2_u32..6).prop_map(|(op, kind)| vec![
            Expression::Fib(Fib { dreg: Register::R1, result: FibResult::AddressType, flags: FibFlags::DESTINATION }),
            cmp(op, kind.to_ne_bytes()),
        ]),
        1 => any::<bool>().prop_map(|inverse| vec![load(PayloadBase::Transport, 2, 2), look_up("ports", inverse)]),
        1 => any::<bool>().prop_map(|inverse| vec![load(PayloadBase::Network, 12, 4), look_up("sources", inverse)]),
        1 => any::<bool>().prop_map(|inverse| vec![meta(MetaKey::InputName), look_up("names", inverse)]),
        1 => any::<bool>().prop_map(|inverse| vec![
            load(PayloadBase::Network, 12, 4),
            Expression::Payload(Load {
                dreg: Register::slot(1).unwrap(), base: PayloadBase::Transport, offset: 2, length: 2,
            }),
            look_up("pairs", inverse),
        ]),
        1 => (port(), port()).prop_map(|(a, b)| vec![x_tables("tcp", 0, &tcp_info(a.min(b), a.max(b)))]),
        1 => (any::<bool>(), port(), port()).prop_map(|(invert, a, b)| {
            let mut info = [0_u8; 48];
            info[0] = 1;
            info[1] = 3;
            for (nth, port) in [a.min(b), a.max(b), 8080].into_iter().enumerate() {
                info[2 + nth * 2..4 + nth * 2].copy_from_slice(&port.to_ne_bytes());
            }
            info[32] = 1;
            info[47] = u8::from(invert);
            vec![x_tables("multiport", 1, &info)]
        }),
        1 => (select(vec![1_u16, 2, 8, 0x106]), any::<bool>()).prop_map(|(mask, invert)| {
            let mut info = [0_u8; 160];
            info[146..148].copy_from_slice(&1_u16.to_ne_bytes());
            info[148..150].copy_from_slice(&u16::from(invert).to_ne_bytes());
            info[150..152].copy_from_slice(&mask.to_ne_bytes());
            vec![x_tables("conntrack", 3, &info)]
        }),
        1 => (0_u8..5, 0_u8..4).prop_map(|(mode, limit)| vec![x_tables("ttl", 0, &[mode, limit * 64])]),
        1 => (select(vec![3_u8, 8, 0xff]), any::<bool>())
            .prop_map(|(kind, invert)| vec![x_tables("icmp", 0, &[kind, 0, 3, u8::from(invert)])]),
        1 => (equality(), v4()).prop_map(|(op, address)| vec![
            Expression::Ct(Ct {
                key: CtKey::DestinationIp, direction: Some(CtDirection::Original), dreg: Register::R1,
            }),
            cmp(op, address.to_be_bytes()),
        ]),
    ]
}

fn tcp_info(first: u16, last: u16) -> [u8; 12] {
    let mut info = [0_u8; 12];
    info[2..4].copy_from_slice(&u16::MAX.to_ne_bytes());
    info[4..6].copy_from_slice(&first.to_ne_bytes());
    info[6..8].copy_from_slice(&last.to_ne_bytes());
    (info[9], info[10]) = (0x17, 0x02);
    info
}

fn x_tables(name: &str, revision: u32, info: &[u8]) -> Expression {
    Expression::Match(Match { name: name.to_owned(), revision, info: info.to_vec() })
}

fn look_up(set: &str, inverse: bool) -> Expression {
    Expression::Lookup(Lookup { set: set.to_owned(), set_id: None, sreg: Register::R1, dreg: None, inverse })
}

/// A match that packets alone do not decide.
fn unknown_match() -> impl Strategy<Value = Vec<Expression>> {
    let limit = |rate: u64, over: bool| Limit { rate, seconds: 60, burst: 5, kind: LimitKind::Packets, over };
    prop_oneof![
        (1_u64..9, any::<bool>()).prop_map(move |(rate, over)| vec![Expression::Limit(limit(rate, over))]),
        (1_u64..4, any::<bool>()).prop_map(move |(rate, inverse)| vec![
            load(PayloadBase::Network, 12, 4),
            Expression::Dynset(Dynset {
                set: "meter".to_owned(),
                set_id: None,
                op: DynsetOp::Update,
                sreg_key: Register::R1,
                sreg_data: None,
                timeout: None,
                inverse,
                expressions: vec![Expression::Limit(limit(rate, false))],
            }),
        ]),
        (op(), 0_u32..3).prop_map(|(op, user)| vec![meta(MetaKey::SocketUser), cmp(op, user.to_be_bytes())]),
        (0_u8..3).prop_map(|info| vec![x_tables("string", 1, &[info])]),
    ]
}

/// Something that changes the packet.
fn changing() -> impl Strategy<Value = Vec<Expression>> {
    let store = |data: Vec<u8>| Expression::Immediate(Immediate::value(Register::R1, data));
    prop_oneof![
        3 => select(vec![0_u32, 1, 7]).prop_map(move |mark| vec![
            store(mark.to_ne_bytes().to_vec()),
            Expression::MetaSet(MetaSet { key: MetaKey::Mark, sreg: Register::R1 }),
        ]),
        1 => Just(vec![
            meta(MetaKey::Mark),
            Expression::Bitwise(Bitwise {
                sreg: Register::R1, dreg: Register::R1, length: 4,
                op: nf_tables::BitwiseOp::MaskXor { mask: vec![0xf0; 4], xor: vec![1, 0, 0, 0] },
            }),
            Expression::MetaSet(MetaSet { key: MetaKey::Mark, sreg: Register::R1 }),
        ]),
        1 => Just(vec![Expression::Notrack(Notrack {})]),
    ]
}

fn dnat() -> impl Strategy<Value = Vec<Expression>> {
    let to = |address: u32, port: u16| {
        vec![
            meta(MetaKey::NfProtocol),
            cmp(CmpOp::Eq, [2]),
            Expression::Immediate(Immediate::value(Register::R1, address.to_be_bytes())),
            Expression::Immediate(Immediate::value(Register::R2, port.to_be_bytes())),
            Expression::Nat(Nat {
                kind: NatKind::Destination,
                family: Family::Ip,
                address_min: Some(Register::R1),
                address_max: None,
                port_min: Some(Register::R2),
                port_max: None,
                flags: NatFlags::default(),
            }),
        ]
    };
    let redirect = Expression::Redirect(Redirect::default());
    prop_oneof![2 => (v4(), port()).prop_map(move |(address, port)| to(address, port)), 1 => Just(vec![redirect])]
}

fn dispatch() -> impl Strategy<Value = Vec<Expression>> {
    let by = |load: Expression, map: &str| {
        let lookup = Lookup {
            set: map.to_owned(),
            set_id: None,
            sreg: Register::R1,
            dreg: Some(Register::VERDICT),
            inverse: false,
        };
        vec![load, Expression::Lookup(lookup)]
    };
    prop_oneof![
        Just(by(meta(MetaKey::L4Protocol), "protocols")),
        Just(by(meta(MetaKey::InputName), "interfaces")),
        // What is not TCP or UDP has no port: the protocol first.
        Just(
            [
                vec![meta(MetaKey::L4Protocol), cmp(CmpOp::Eq, [6])],
                by(load(PayloadBase::Transport, 2, 2), "services")
            ]
            .concat()
        ),
    ]
}

fn end() -> impl Strategy<Value = Vec<Expression>> {
    prop_oneof![
        6 => verdict_to().prop_map(|verdict| vec![Expression::Immediate(Immediate::verdict(verdict))]),
        1 => Just(vec![Expression::Reject(Reject::TcpReset)]),
        1 => Just(vec![Expression::Target(Target { name: "REJECT".to_owned(), revision: 0, info: vec![3, 0, 0, 0] })]),
        1 => Just(Vec::new()),
    ]
}

#[derive(Debug, Clone, Copy)]
struct Kinds {
    unknown: bool,
    changes: bool,
}

fn rule(kinds: Kinds) -> impl Strategy<Value = Rule> {
    let unknown = if kinds.unknown { vec(unknown_match(), 0..2).boxed() } else { Just(Vec::new()).boxed() };
    let last = if kinds.changes {
        prop_oneof![6 => end(), 2 => changing(), 2 => dispatch(), 1 => dnat()].boxed()
    } else {
        prop_oneof![6 => end(), 2 => dispatch()].boxed()
    };
    (vec(known_match(), 0..3), unknown, last)
        .prop_map(|(known, unknown, last)| Rule::new([known.concat(), unknown.concat(), last].concat()))
}

fn sets() -> impl Strategy<Value = Vec<SetDump>> {
    let interval = SetFlags::INTERVAL;
    let ranges = |key: Vec<Vec<Element>>| key.concat();
    let ports = vec((port(), 0_u16..100), 0..4).prop_map(move |found| {
        let found = crate::ranges::Ranges::new(
            found.into_iter().map(|(port, more)| (u128::from(port), u128::from(port.saturating_add(more)))),
        );
        let bytes = |number: u128| u16::try_from(number).unwrap().to_be_bytes();
        let elements = found.as_slice().iter().map(|&(a, b)| Element::range(&bytes(a), &bytes(b))).collect();
        SetDump { set: Set::new("ports", DataType(13), 2).with_flags(interval), elements: ranges(elements) }
    });
    let sources = vec(v4(), 0..5).prop_map(|mut found| {
        found.sort_unstable();
        found.dedup();
        let elements = found.into_iter().map(|address| Element::new(address.to_be_bytes())).collect();
        SetDump { set: Set::new("sources", DataType(7), 4), elements }
    });
    let names = vec(name(), 0..4).prop_map(|mut found| {
        found.retain(|name| name.len() == 16);
        found.sort_unstable();
        found.dedup();
        SetDump {
            set: Set::new("names", DataType(41), 16),
            elements: found.into_iter().map(Element::new).collect(),
        }
    });
    let pairs =
        (vec((v4(), port(), 0_u32..300, 0_u16..9), 0..4), any::<bool>()).prop_map(|(found, exact)| {
            let mut set = Set::new("pairs", DataType(0), 8).with_flags(SetFlags::CONCAT | SetFlags::INTERVAL);
            set.fields = vec![4, 2];
            let key =
                |address: u32, port: u16| [&address.to_be_bytes()[..], &port.to_be_bytes(), &[0, 0]].concat();
            let element = |(address, port, more, ports): (u32, u16, u32, u16)| Element {
                key_end: (!exact).then(|| key(address.saturating_add(more), port.saturating_add(ports))),
                ..Element::new(key(address, port))
            };
            SetDump { set, elements: found.into_iter().map(element).collect() }
        });
    let map = |name: &'static str, length: u32, keys: Vec<Vec<u8>>| {
        (
            proptest::sample::subsequence(keys.clone(), 0..=keys.len()),
            vec(verdict_to(), keys.len()),
            any::<bool>(),
        )
            .prop_map(move |(keys, verdicts, rest)| {
                let rest = rest.then(|| Element::catch_all().with_verdict(To::Drop));
                let pairs = keys.into_iter().zip(verdicts);
                let elements =
                    pairs.map(|(key, verdict)| Element::new(key).with_verdict(verdict)).chain(rest);
                SetDump {
                    set: Set::map(name, DataType(0), length, MapData::Verdict),
                    elements: elements.collect(),
                }
            })
    };
    let padded = |name: &str| {
        let mut bytes = name.as_bytes().to_vec();
        bytes.resize(16, 0);
        bytes
    };
    let meter =
        Just(SetDump { set: Set::new("meter", DataType(7), 4).with_flags(SetFlags::EVAL), elements: vec![] });
    (
        ports,
        sources,
        names,
        pairs,
        map("protocols", 1, vec![vec![1], vec![6], vec![17]]),
        map("interfaces", 16, ["eth0", "lo", "wg0"].map(padded).to_vec()),
        map("services", 2, vec![vec![0, 22], vec![0, 53], vec![1, 187]]),
        meter,
    )
        .prop_map(|(a, b, c, d, e, f, g, h)| vec![a, b, c, d, e, f, g, h])
}

/// A table with base chains at three hooks and three chains that they may jump to.
fn table(kinds: Kinds) -> impl Strategy<Value = TableDump> {
    let family = select(vec![Family::Inet, Family::Inet, Family::Ip, Family::Ip6]);
    let rules = move |most: usize| vec(rule(kinds), 0..most);
    let policy = || select(vec![Policy::Accept, Policy::Drop]);
    let chains = (rules(7), rules(4), rules(4), rules(4), rules(4), rules(4));
    (family, chains, policy(), policy(), sets(), -10..10_i32, any::<bool>()).prop_map(
        |(family, (input, forward, nat, a, b, c), of_input, of_forward, sets, priority, is_nat)| {
            let regular = |name: &str, rules| ChainDump { chain: Chain::regular(name), rules };
            let base = |name: &str, point, policy, rules| ChainDump {
                chain: Chain::base(name, point, priority, policy),
                rules,
            };
            let mut pre = base("pre", HookPoint::Prerouting, Policy::Accept, nat);
            if let (true, Some(hook)) = (is_nat, &mut pre.chain.hook) {
                hook.kind = ChainKind::Nat;
            }
            let mut dump = TableDump::new(Table::new(family, "random"));
            // Chains jump to later ones only, so that none jumps in a circle.
            let later = |rules: Vec<Rule>, allowed: &[&str]| -> Vec<Rule> {
                rules
                    .into_iter()
                    .filter(|rule| jumps(rule).all(|to| allowed.contains(&to.as_str())))
                    .collect()
            };
            dump.chains = vec![
                pre,
                base("input", HookPoint::Input, of_input, input),
                base("forward", HookPoint::Forward, of_forward, forward),
                regular("a", later(a, &["b", "c"])),
                regular("b", later(b, &["c"])),
                regular("c", later(c, &[])),
            ];
            dump.sets = sets;
            dump
        },
    )
}

/// The chains that a rule goes to by itself. Those that its maps lead to are given too.
fn jumps(rule: &Rule) -> impl Iterator<Item = String> + '_ {
    rule.expressions.iter().flat_map(|expression| match expression {
        Expression::Immediate(Immediate {
            data: nf_tables::Data::Verdict(To::Jump(to) | To::Goto(to)),
            ..
        }) => {
            vec![to.clone()]
        }
        Expression::Lookup(Lookup { dreg: Some(Register::VERDICT), .. }) => vec!["a".to_owned()],
        _ => Vec::new(),
    })
}

fn packet() -> impl Strategy<Value = Packet> {
    let addresses = prop_oneof![
        3 => (v4(), v4()).prop_map(|(source, destination)| Addresses::Ipv4 {
            source: Ipv4Addr::from(source), destination: Ipv4Addr::from(destination),
        }),
        2 => (v6(), v6()).prop_map(|(source, destination)| Addresses::Ipv6 {
            source: Ipv6Addr::from(source), destination: Ipv6Addr::from(destination),
        }),
    ];
    let payload = prop_oneof![
        4 => (port(), port(), select(vec![2_u8, 0x12, 0x10, 0]))
            .prop_map(|(source, destination, flags)| Payload::Tcp { source, destination, flags }),
        2 => (port(), port()).prop_map(|(source, destination)| Payload::Udp { source, destination }),
        1 => (select(vec![0_u8, 3, 8]), 0_u8..5).prop_map(|(kind, code)| Payload::Icmp { kind, code }),
        1 => (select(vec![1_u8, 128, 135]), 0_u8..5).prop_map(|(kind, code)| Payload::Icmpv6 { kind, code }),
        1 => select(vec![47_u8, 50, 132]).prop_map(Payload::Other),
    ];
    let input = select(vec!["lo", "eth0", "eth1", "eth7", "enp1s0", "docker0", "docker1", "wg0", "wg1"]);
    let mark = select(vec![0_u32, 1, 7, 0x100, u32::MAX]);
    let hops = select(vec![0_u8, 1, 64, 128, 255]);
    let original = proptest::option::of((v4(), port()));
    (addresses, payload, select(State::ALL.to_vec()), input, mark, hops, original).prop_map(
        |(addresses, payload, state, input, mark, hop_limit, original)| Packet {
            state,
            hop_limit,
            mark,
            input: Some(input.to_owned()),
            published_from: match addresses {
                Addresses::Ipv4 { .. } => original.map(|(to, port)| (Ipv4Addr::from(to), port).into()),
                Addresses::Ipv6 { .. } => None,
            },
            ..Packet::new(addresses, payload)
        },
    )
}

/// Whether a row is about the packet.
fn speaks_of(row: &Reach, packet: &Packet) -> bool {
    let (source, destination) = (packet.addresses.source(), packet.addresses.destination());
    let number = packet.payload.protocol();
    let value = match packet.payload {
        Payload::Tcp { destination, .. } | Payload::Udp { destination, .. } => Some(destination),
        Payload::Icmp { kind, .. } | Payload::Icmpv6 { kind, .. } => Some(u16::from(kind)),
        Payload::Other(_) => None,
    };
    let within = |text: &str, value: u16| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        first.parse::<u16>().unwrap() <= value && value <= last.parse::<u16>().unwrap()
    };
    let is_service = |text: &String| match text.split_once('/').unwrap_or((text, "0-65535")) {
        (name, values) if ["tcp", "udp", "icmp", "icmpv6"].contains(&name) => {
            let of = match name {
                "tcp" => 6,
                "udp" => 17,
                "icmp" => 1,
                _ => 58,
            };
            of == number && within(values, value.unwrap())
        }
        (name, _) => within(name.strip_prefix("protocol ").unwrap(), u16::from(number)),
    };
    let input = packet.input.clone().unwrap_or_default();
    let named = |label: &String| match label.strip_suffix('*') {
        Some(beginning) => input.starts_with(beginning),
        None => input == *label,
    };
    let not: Vec<String> =
        row.input.iter().filter_map(|l| l.strip_prefix("not ")).map(str::to_owned).collect();
    let is_input = if not.is_empty() {
        row.input.is_empty() || row.input.iter().any(named)
    } else {
        !not.iter().any(named)
    };
    row.family.is_none_or(|family| (family == IpFamily::Ipv6) == source.is_ipv6())
        && is_input
        && (row.services.is_empty() || row.services.iter().any(is_service))
        && (row.from.is_empty() || row.from.iter().any(|prefix| prefix.contains(&source)))
        && (row.to.is_empty() || row.to.iter().any(|prefix| prefix.contains(&destination)))
}

/// A packet, with an answer to everything that is not known of it.
struct Told<'a> {
    packet: &'a Packet,
    space: &'a Space,
    answers: &'a [bool],
}

impl Told<'_> {
    fn answer(&self, variable: u32) -> bool {
        let nth = (variable - self.space.layout.end()) as usize;
        self.answers.get(nth % self.answers.len().max(1)).copied().unwrap_or(false)
    }
}

impl Facts for Told<'_> {
    fn get(&self, field: Field) -> Result<Option<u128>, Need> {
        self.packet.get(field)
    }

    fn lets_on(&self, cause: Cause) -> Option<bool> {
        let asked = self.space.asked.get(&cause)?;
        Some(self.space.contains(*asked, self.packet, |variable| self.answer(variable)))
    }
}

fn everything(tables: &[TableDump], hooks: &[Hook]) -> (Space, Regions) {
    let mut asked = AskedNames::default();
    tables.iter().for_each(|table| asked.add_table(table));
    let mut space = Space::new(Layout::new(asked.names()), false);
    let machine = Machine::new(tables);
    let regions = walk(&mut space, &machine.0, hooks, Bdd::TRUE, None).unwrap();
    (space, regions)
}

fn region(space: &Space, regions: &Regions, packet: &Packet, answer: impl Fn(u32) -> bool) -> Vec<Verdict> {
    let holds = regions.verdicts.iter().filter(|(_, set)| space.contains(*set, packet, &answer));
    holds.map(|(verdict, _)| verdict.clone()).collect()
}

fn ways() -> impl Strategy<Value = Vec<Hook>> {
    select(vec![vec![Hook::Input], vec![Hook::Prerouting], vec![Hook::Prerouting, Hook::Input]])
}

fn some_tables(kinds: Kinds) -> impl Strategy<Value = Vec<TableDump>> {
    vec(table(kinds), 1..3).prop_map(|mut tables| {
        for (nth, table) in tables.iter_mut().enumerate() {
            table.table.name = format!("random{nth}");
        }
        tables
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// With every answer given, a packet is in the one region of the machine's verdict.
    #[test]
    fn a_packet_is_in_the_region_of_the_machines_verdict(
        tables in some_tables(Kinds { unknown: true, changes: true }),
        hooks in ways(), packets in vec((packet(), vec(any::<bool>(), 1..9)), 30),
    ) {
        let (space, regions) = everything(&tables, &hooks);
        let machine = Machine::new(&tables);
        for (packet, answers) in &packets {
            let told = Told { packet, space: &space, answers };
            let ends = machine.0.run(&hooks, &told).unwrap();
            let main = ends.main.unwrap();
            let found = region(&space, &regions, packet, |variable| told.answer(variable));
            prop_assert_eq!(found, vec![verdict(&main.effect)], "{}\n{}", packet,
                tables.iter().map(text::table).collect::<String>());
        }
    }

    /// Where rules change nothing, the main case, and what can be otherwise, are the machine's.
    #[test]
    fn what_is_uncertain_is_what_the_machine_calls_so(
        tables in some_tables(Kinds { unknown: true, changes: false }), packets in vec(packet(), 30),
    ) {
        let (mut space, regions) = everything(&tables, &[Hook::Input]);
        let machine = Machine::new(&tables);
        let usually = |space: &mut Space| -> Vec<(Verdict, Bdd)> {
            regions.verdicts.iter().map(|(verdict, set)| (verdict.clone(), space.usually(*set))).collect()
        };
        let main = usually(&mut space);
        let mut ever: Vec<(Verdict, Bdd)> = Vec::new();
        for (verdict, set) in &regions.verdicts {
            ever.push((verdict.clone(), space.possibly(*set, &[])));
        }
        for packet in &packets {
            let decision = machine.decide(Hook::Input, packet);
            let in_main: Vec<_> = main.iter().filter(|(_, set)| space.contains(*set, packet, |_| false)).collect();
            prop_assert_eq!(in_main.len(), 1);
            prop_assert_eq!(&in_main[0].0, &decision.verdict, "{}", packet);
            // The machine may call uncertain what equal expressions decide the same way, but never certain what is not.
            for (verdict, _) in ever.iter().filter(|(_, set)| space.contains(*set, packet, |_| false)) {
                let is_known = *verdict == decision.verdict || decision.otherwise.contains(verdict);
                let same_class = verdict.is_refusal() && decision.verdict.is_refusal();
                prop_assert!(is_known || same_class, "{packet}: {verdict:?} of {decision}\n{}",
                    tables.iter().map(text::table).collect::<String>());
            }
        }
    }

    #[test]
    fn a_ruleset_is_equal_to_itself_and_a_witness_is_a_real_disagreement(
        // Where rules both change packets and depend on what is not known, the machine follows ways together that part here.
        tables in prop_oneof![
            some_tables(Kinds { unknown: true, changes: false }), some_tables(Kinds { unknown: false, changes: true }),
        ],
        (chain, rule) in (0_usize..6, 0_usize..7),
    ) {
        prop_assert!(compare_rulesets(&tables, &tables, &Hook::ALL).unwrap().is_equal());
        let mut without = tables.clone();
        let rules = &mut without[0].chains[chain].rules;
        if rules.is_empty() {
            return Ok(());
        }
        let at = rule % rules.len();
        rules.remove(at);
        let comparison = compare_rulesets(&tables, &without, &Hook::ALL).unwrap();
        let listed = shadowed(&tables).unwrap();
        let name = &tables[0].chains[chain].chain.name;
        let is_shadowed = listed.iter().any(|found| {
            found.rule.table == tables[0].id() && found.rule.chain == *name && found.rule.number == at + 1
        });
        if is_shadowed && tables.len() == 1 {
            prop_assert!(comparison.is_equal(), "{:?}", comparison);
        }
        for parting in &comparison.disagreements {
            if parting.when.is_empty() && !parting.changed_otherwise {
                prop_assert_ne!(&parting.first.verdict, &parting.second.verdict, "{}\n{:?}\n{}\n{}", parting, parting,
                    tables.iter().map(text::table).collect::<String>(), name);
            }
            let says = |decision: &Decision, verdict: &Verdict| {
                decision.verdict == *verdict
                    || !decision.certain
                    || decision.verdict.is_refusal() && verdict.is_refusal()
            };
            prop_assert!(says(&parting.first, &parting.verdicts.0), "{}", parting);
            prop_assert!(says(&parting.second, &parting.verdicts.1), "{}", parting);
        }
    }

    /// What a table of rows says of a packet that opens a flow is what the machine says.
    #[test]
    fn a_packet_is_in_the_rows_that_let_it_through(
        tables in some_tables(Kinds { unknown: true, changes: false }), packets in vec(packet(), 60),
    ) {
        let rows = reach(&tables, Hook::Input).unwrap();
        let machine = Machine::new(&tables);
        for mut packet in packets {
            packet.state = State::New;
            packet.mark = 0;
            packet.published_from = None;
            if let Payload::Tcp { flags, .. } = &mut packet.payload {
                *flags = crate::packet::SYN;
            }
            let decision = machine.decide(Hook::Input, &packet);
            let of_it: Vec<_> = rows.iter().filter(|row| speaks_of(row, &packet)).collect();
            let may = |certainty: Certainty| of_it.iter().any(|row| row.certainty == certainty);
            let is_exact = of_it.iter().all(|row| row.also.is_empty());
            if decision.verdict.is_accept() {
                prop_assert!(may(Certainty::Always) || may(Certainty::Usually), "{}: {}", packet, decision);
            } else if is_exact {
                prop_assert!(!may(Certainty::Always) && !may(Certainty::Usually), "{}: {}", packet, decision);
            }
            if decision.certain && is_exact {
                prop_assert!(!may(Certainty::Usually) && !may(Certainty::Seldom), "{}: {}", packet, decision);
            }
        }
    }

    #[test]
    fn no_packet_ever_crosses_a_shadowed_rule(
        tables in some_tables(Kinds { unknown: true, changes: true }), packets in vec(packet(), 60),
    ) {
        let listed = shadowed(&tables).unwrap();
        let machine = Machine::new(&tables);
        for packet in &packets {
            for hook in [Hook::Prerouting, Hook::Input] {
                let decision = machine.decide(hook, packet);
                for crossed in &decision.crossed {
                    prop_assert!(!listed.iter().any(|found| found.rule == *crossed), "{}: {}", packet, crossed);
                }
            }
        }
    }
}
