//! Values to bytes and back, and bytes of any kind without a panic.

use std::time::Duration;

use netlink::{Attributes, Writer};
use nf_tables::*;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn encoded(encode: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut buffer = Vec::new();
    let mut writer = Writer::new(&mut buffer);
    encode(&mut writer);
    assert!(!writer.overflowed());
    buffer
}

fn register() -> impl Strategy<Value = Register> + Clone {
    (0_u32..16).prop_map(|slot| Register::slot(slot).expect("there are 16"))
}

fn name() -> impl Strategy<Value = String> + Clone {
    "[a-z_%][a-z0-9_.-]{0,20}"
}

fn bytes() -> impl Strategy<Value = Vec<u8>> + Clone {
    vec(any::<u8>(), 1..64)
}

fn milliseconds() -> impl Strategy<Value = Duration> + Clone {
    any::<u64>().prop_map(Duration::from_millis)
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        Just(Verdict::Accept),
        Just(Verdict::Drop),
        Just(Verdict::Continue),
        Just(Verdict::Break),
        Just(Verdict::Return),
        any::<u16>().prop_map(Verdict::Queue),
        name().prop_map(Verdict::Jump),
        name().prop_map(Verdict::Goto),
    ]
}

fn data() -> impl Strategy<Value = Data> {
    prop_oneof![bytes().prop_map(Data::Value), verdict().prop_map(Data::Verdict)]
}

fn direction() -> impl Strategy<Value = Option<CtDirection>> {
    prop_oneof![Just(None), Just(Some(CtDirection::Original)), Just(Some(CtDirection::Reply))]
}

fn loads() -> impl Strategy<Value = Expression> {
    let base = prop_oneof![
        Just(PayloadBase::Link),
        Just(PayloadBase::Network),
        Just(PayloadBase::Transport),
        Just(PayloadBase::Inner),
    ];
    prop_oneof![
        (register(), base.clone(), any::<u32>(), any::<u32>()).prop_map(|(dreg, base, offset, length)| {
            Expression::Payload(Payload { dreg, base, offset, length })
        }),
        (register(), base, any::<[u32; 5]>()).prop_map(|(sreg, base, [offset, length, kind, at, flags])| {
            Expression::PayloadWrite(PayloadWrite {
                sreg,
                base,
                offset,
                length,
                checksum_kind: kind,
                checksum_offset: at,
                checksum_flags: flags,
            })
        }),
        (0_u32..99, register()).prop_map(|(key, dreg)| Expression::Meta(Meta { key: key.into(), dreg })),
        (0_u32..99, register())
            .prop_map(|(key, sreg)| Expression::MetaSet(MetaSet { key: key.into(), sreg })),
        (0_u32..99, direction(), register()).prop_map(|(key, direction, dreg)| Expression::Ct(Ct {
            key: key.into(),
            direction,
            dreg
        })),
        (0_u32..99, direction(), register()).prop_map(|(key, direction, sreg)| Expression::CtSet(CtSet {
            key: key.into(),
            direction,
            sreg
        })),
        (data(), register()).prop_map(|(data, dreg)| Expression::Immediate(Immediate { dreg, data })),
        (any::<u32>(), any::<u32>(), register()).prop_map(|(modulus, offset, dreg)| {
            Expression::Numgen(Numgen { kind: NumgenKind::Random, modulus, offset, dreg })
        }),
        (any::<[u32; 3]>(), option::of(any::<u32>()), register(), register()).prop_map(
            |([modulus, offset, length], seed, sreg, dreg)| {
                let kind = HashKind::Jenkins { sreg, length, seed };
                Expression::Hash(Hash { kind, modulus, offset, dreg })
            }
        ),
        (register(), 0_u32..64).prop_map(|(dreg, flags)| {
            Expression::Fib(Fib { flags: FibFlags(flags), result: FibResult::OutputName, dreg })
        }),
        (any::<u8>(), any::<u32>(), any::<bool>(), register()).prop_map(|(kind, offset, present, dreg)| {
            Expression::Exthdr(Exthdr {
                op: ExthdrOp::TcpOption,
                kind,
                offset,
                length: 4,
                present,
                dreg: Some(dreg),
                sreg: None,
            })
        }),
    ]
}

fn tests() -> impl Strategy<Value = Expression> {
    let op = prop_oneof![
        Just(CmpOp::Eq),
        Just(CmpOp::Ne),
        Just(CmpOp::Lt),
        Just(CmpOp::Le),
        Just(CmpOp::Gt),
        Just(CmpOp::Ge),
    ];
    let bits = prop_oneof![
        (bytes(), bytes()).prop_map(|(mask, xor)| BitwiseOp::MaskXor { mask, xor }),
        any::<u32>().prop_map(BitwiseOp::ShiftLeft),
        any::<u32>().prop_map(BitwiseOp::ShiftRight),
    ];
    prop_oneof![
        (register(), op, bytes()).prop_map(|(sreg, op, data)| Expression::Cmp(Cmp { sreg, op, data })),
        (register(), register(), any::<u32>(), bits)
            .prop_map(|(sreg, dreg, length, op)| { Expression::Bitwise(Bitwise { sreg, dreg, length, op }) }),
        (register(), bytes(), bytes())
            .prop_map(|(sreg, from, to)| { Expression::Range(Range { sreg, op: RangeOp::NotIn, from, to }) }),
        (name(), option::of(any::<u32>()), register(), option::of(register()), any::<bool>()).prop_map(
            |(set, set_id, sreg, dreg, inverse)| {
                Expression::Lookup(Lookup { set, set_id, sreg, dreg, inverse })
            }
        ),
        (any::<u32>(), any::<bool>())
            .prop_map(|(count, over)| Expression::Connlimit(Connlimit { count, over })),
    ]
}

fn limit() -> impl Strategy<Value = Expression> {
    (any::<u64>(), any::<u64>(), any::<u32>(), any::<bool>()).prop_map(|(rate, seconds, burst, over)| {
        Expression::Limit(Limit { rate, seconds, burst, kind: LimitKind::Bytes, over })
    })
}

fn statements() -> impl Strategy<Value = Expression> {
    let nat = (vec(option::of(register()), 4), any::<u32>()).prop_map(|(registers, flags)| {
        Expression::Nat(Nat {
            kind: NatKind::Destination,
            family: Family::Ip6,
            address_min: registers[0],
            address_max: registers[1],
            port_min: registers[2],
            port_max: registers[3],
            flags: NatFlags(flags),
        })
    });
    let log = (
        option::of("[ -~]{0,100}"),
        option::of(any::<u32>()),
        option::of(any::<u32>()),
        option::of(any::<u16>()),
        option::of(any::<u32>()),
        option::of(any::<u16>()),
    )
        .prop_map(|(prefix, level, flags, group, snaplen, threshold)| {
            Expression::Log(Log { prefix, level, flags, group, snaplen, threshold })
        });
    let unknown = (name(), vec(any::<u8>(), 0..60))
        .prop_map(|(name, data)| Expression::Unknown { name: format!("x-{name}"), data });
    prop_oneof![
        (any::<u64>(), any::<u64>())
            .prop_map(|(packets, bytes)| Expression::Counter(Counter { packets, bytes })),
        limit(),
        log,
        any::<u8>().prop_map(|code| Expression::Reject(Reject::Icmp(code))),
        Just(Expression::Reject(Reject::TcpReset)),
        Just(Expression::Reject(Reject::Icmpx(IcmpxCode::HostUnreachable))),
        Just(Expression::Notrack(Notrack {})),
        nat,
        (any::<u32>(), option::of(register())).prop_map(|(flags, port_min)| {
            Expression::Masquerade(Masquerade { flags: NatFlags(flags), port_min, port_max: None })
        }),
        (any::<u16>(), any::<u16>(), 0_u32..4).prop_map(|(number, total, flags)| {
            Expression::Queue(Queue { number, total, flags: QueueFlags(flags), sreg: None })
        }),
        (any::<u64>(), any::<u64>(), any::<u32>()).prop_map(|(bytes, consumed, flags)| {
            Expression::Quota(Quota { bytes, consumed, flags: QuotaFlags(flags) })
        }),
        (name(), any::<u32>(), bytes()).prop_map(|(name, revision, info)| Expression::Match(Match {
            name,
            revision,
            info
        })),
        (name(), any::<u32>(), bytes()).prop_map(|(name, revision, info)| Expression::Target(Target {
            name,
            revision,
            info
        })),
        unknown,
    ]
}

fn dynset() -> impl Strategy<Value = Expression> {
    let expressions = vec(prop_oneof![limit(), Just(Expression::Counter(Counter::default()))], 0..3);
    (name(), register(), option::of(register()), option::of(milliseconds()), any::<bool>(), expressions)
        .prop_map(|(set, sreg_key, sreg_data, timeout, inverse, expressions)| {
            Expression::Dynset(Dynset {
                set,
                set_id: None,
                op: DynsetOp::Update,
                sreg_key,
                sreg_data,
                timeout,
                inverse,
                expressions,
            })
        })
}

fn expression() -> impl Strategy<Value = Expression> {
    prop_oneof![loads(), tests(), statements(), dynset()]
}

fn element() -> impl Strategy<Value = Element> {
    (
        bytes(),
        option::of(bytes()),
        option::of(data()),
        option::of(name()),
        option::of(milliseconds()),
        option::of(milliseconds()),
        0_u32..2,
        vec(expression(), 0..3),
        bytes(),
    )
        .prop_map(|(key, key_end, data, object, timeout, expiration, flags, expressions, userdata)| {
            Element {
                key,
                key_end,
                data,
                object,
                timeout,
                expiration,
                flags: ElementFlags(flags),
                expressions,
                userdata,
            }
        })
}

fn set() -> impl Strategy<Value = Set> {
    let data = prop_oneof![
        Just(None),
        Just(Some(MapData::Verdict)),
        (0_u32..64, any::<u32>())
            .prop_map(|(kind, length)| { Some(MapData::Value { data_type: DataType(kind), length }) }),
        any::<u32>().prop_map(|kind| Some(MapData::Object(ObjectKind(kind)))),
    ];
    (
        (name(), any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>(), data),
        (option::of(milliseconds()), option::of(any::<u32>()), any::<bool>(), option::of(any::<u32>())),
        (vec(any::<u32>(), 0..5), vec(expression(), 0..3), bytes()),
    )
        .prop_map(
            |((name, id, flags, key_type, key_length, data), (timeout, gc_interval, memory, size), rest)| {
                Set {
                    name,
                    id,
                    flags: SetFlags(flags),
                    key_type: DataType(key_type),
                    key_length,
                    data,
                    timeout,
                    gc_interval,
                    policy: if memory { SetPolicy::Memory } else { SetPolicy::Performance },
                    size,
                    fields: rest.0,
                    expressions: rest.1,
                    handle: None,
                    userdata: rest.2,
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn an_expression_comes_back_as_it_was(expression in expression()) {
        let bytes = encoded(|w| expression.encode(w));
        prop_assert_eq!(Expression::decode(Attributes::new(&bytes)), Ok(expression.clone()));
        let json = serde_json::to_string(&expression).unwrap();
        prop_assert_eq!(serde_json::from_str::<Expression>(&json).unwrap(), expression);
    }

    #[test]
    fn a_rule_comes_back_as_it_was(expressions in vec(expression(), 0..12), comment in "\\PC{0,60}") {
        let rule = Rule::new(expressions).with_comment(&comment);
        let chain = ChainId::new(&TableId::new(Family::Bridge, "t"), "c");
        let bytes = encoded(|w| rule.encode(&chain, w));
        let decoded = Rule::decode(Family::Bridge, Attributes::new(&bytes));
        prop_assert_eq!(decoded, Ok((chain, rule)));
    }

    #[test]
    fn an_element_comes_back_as_it_was(element in element()) {
        let bytes = encoded(|w| element.encode(w));
        prop_assert_eq!(Element::decode(Attributes::new(&bytes)), Ok(element));
    }

    #[test]
    fn a_set_comes_back_as_it_was(set in set()) {
        let table = TableId::new(Family::Inet, "t");
        let bytes = encoded(|w| set.encode(&table, w));
        prop_assert_eq!(Set::decode(Family::Inet, Attributes::new(&bytes)), Ok((table, set)));
    }

    #[test]
    fn a_chain_comes_back_as_it_was(
        name in name(),
        priority in any::<i32>(),
        drop in any::<bool>(),
        devices in vec("[a-z0-9]{1,15}", 0..3),
    ) {
        let policy = if drop { Policy::Drop } else { Policy::Accept };
        let mut chain = Chain::base(name, HookPoint::Ingress, priority, policy);
        chain.hook.as_mut().unwrap().devices = devices;
        for family in [Family::Inet, Family::Netdev] {
            let table = TableId::new(family, "t");
            let bytes = encoded(|w| chain.encode(&table, w));
            prop_assert_eq!(Chain::decode(family, Attributes::new(&bytes)), Ok((table, chain.clone())));
        }
    }

    #[test]
    fn any_bytes_decode_without_a_panic(bytes in vec(any::<u8>(), 0..400)) {
        let attributes = || Attributes::new(&bytes);
        let _ = Table::decode(Family::Inet, attributes());
        let _ = Chain::decode(Family::Inet, attributes());
        let _ = Rule::decode(Family::Inet, attributes());
        let _ = Set::decode(Family::Inet, attributes());
        let _ = Element::decode(attributes());
        let _ = NamedObject::decode(Family::Inet, attributes());
        let _ = Expression::decode(attributes());
        let _ = userdata::comment(userdata::Owner::Rule, &bytes);
    }

    #[test]
    fn damaged_rules_decode_without_a_panic(
        expressions in vec(expression(), 1..6),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let chain = ChainId::new(&TableId::new(Family::Ip, "t"), "c");
        let mut bytes = encoded(|w| Rule::new(expressions).encode(&chain, w));
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok((_, rule)) = Rule::decode(Family::Ip, Attributes::new(&bytes)) {
            let _ = rule.expressions.iter().map(ToString::to_string).collect::<Vec<_>>();
        }
    }
}

const NAMES: [&str; 30] = [
    "bitwise",
    "byteorder",
    "cmp",
    "connlimit",
    "counter",
    "ct",
    "dynset",
    "exthdr",
    "fib",
    "hash",
    "immediate",
    "limit",
    "log",
    "lookup",
    "masq",
    "match",
    "meta",
    "nat",
    "notrack",
    "numgen",
    "objref",
    "payload",
    "queue",
    "quota",
    "range",
    "redir",
    "reject",
    "rt",
    "socket",
    "target",
];

/// The attributes of an expression by type: some small number each, of some size.
fn attributes() -> impl Strategy<Value = Vec<(u16, Vec<u8>)>> {
    let value = (0_u8..4, prop::sample::select(vec![4_usize, 4, 1, 2, 8])).prop_map(|(value, size)| {
        let mut bytes = vec![0; size];
        bytes[size - 1] = value;
        bytes
    });
    vec(option::weighted(0.7, value), 0..12)
        .prop_map(|values| (1..).zip(values).filter_map(|(kind, value)| Some((kind, value?))).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    /// What an expression is understood to say, it says again: no attribute is dropped on the way.
    #[test]
    fn an_expression_of_any_attributes_loses_none(attributes in attributes()) {
        let data = encoded(|w| attributes.iter().for_each(|(kind, bytes)| w.bytes(*kind, bytes)));
        for name in NAMES {
            let bytes = encoded(|w| {
                w.string(1, name);
                w.bytes(2 | netlink::attribute::NESTED, &data);
            });
            let expression = Expression::decode(Attributes::new(&bytes)).unwrap();
            let again = encoded(|w| expression.encode(w));
            let said: Vec<_> = Attributes::new(&again)
                .flatten()
                .filter(|attribute| attribute.kind == 2)
                .flat_map(|attribute| attribute.nested().flatten().collect::<Vec<_>>())
                .collect();
            for (kind, bytes) in &attributes {
                // A string ends at its first zero byte, a zero may go without saying, and PAD means nothing.
                let same = |value: &[u8]| {
                    value == bytes || value.strip_suffix(&[0]).is_some_and(|text| bytes.starts_with(text))
                };
                let told = said.iter().any(|attribute| attribute.kind == *kind && same(attribute.value));
                let pad = matches!((name, kind), ("counter" | "quota", 3) | ("limit", 6) | ("dynset", 8));
                prop_assert!(
                    told || pad || bytes.iter().all(|&byte| byte == 0),
                    "{name}: attribute {kind} = {bytes:?} is lost in {expression:?}"
                );
            }
        }
    }
}
