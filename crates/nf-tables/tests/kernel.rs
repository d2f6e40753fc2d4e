//! What the kernel makes of our batches, each test in a network namespace of its own.

use std::time::Duration;

use nf_tables::*;

use support::{in_namespace, nft};

mod support;

fn table() -> TableId {
    TableId::new(Family::Inet, "example")
}

fn meta(key: MetaKey) -> Expression {
    Expression::Meta(Meta { key, dreg: Register::R1 })
}

fn equals(data: impl Into<Vec<u8>>) -> Expression {
    Expression::Cmp(Cmp { sreg: Register::R1, op: CmpOp::Eq, data: data.into() })
}

fn load(base: PayloadBase, offset: u32, length: u32) -> Expression {
    Expression::Payload(Payload { dreg: Register::R1, base, offset, length })
}

fn verdict(verdict: Verdict) -> Expression {
    Expression::Immediate(Immediate::verdict(verdict))
}

fn ct_state(bits: u32) -> [Expression; 3] {
    [
        Expression::Ct(Ct { key: CtKey::State, direction: None, dreg: Register::R1 }),
        Expression::Bitwise(Bitwise::mask(Register::R1, bits.to_ne_bytes())),
        Expression::Cmp(Cmp { sreg: Register::R1, op: CmpOp::Ne, data: vec![0; 4] }),
    ]
}

fn to_tcp_port(port: u16) -> [Expression; 4] {
    [meta(MetaKey::L4Protocol), equals([6]), load(PayloadBase::Transport, 2, 2), equals(port.to_be_bytes())]
}

fn interface(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(16, 0);
    bytes
}

/// A small firewall as a policy compiles to it: sets with timeouts, dispatch maps, limits for each source.
fn firewall() -> Batch {
    let table = table();
    let mut batch = Batch::new();
    batch.add_table(&Table::new(Family::Inet, "example"));
    batch.add_set(
        &table,
        &Set::new("bans4", DataType::IPV4_ADDRESS, 4)
            .with_timeout(Duration::from_secs(3600))
            .with_comment("who failed too often"),
    );
    batch.add_set(&table, &Set::new("office4", DataType::IPV4_ADDRESS, 4).with_flags(SetFlags::INTERVAL));
    let mut sources = Set::new("ssh4", DataType::IPV4_ADDRESS, 4)
        .with_flags(SetFlags::EVAL)
        .with_timeout(Duration::from_secs(60));
    sources.size = Some(65_535);
    batch.add_set(&table, &sources);
    batch.add_set(&table, &Set::map("services", DataType::INET_SERVICE, 2, MapData::Verdict));
    for chain in ["web", "ssh"] {
        batch.add_chain(&table, &Chain::regular(chain));
    }
    batch.add_chain(&table, &Chain::base("input", HookPoint::Input, 0, Policy::Drop));
    batch.add_elements(
        &table,
        "services",
        &[
            Element::new(22_u16.to_be_bytes()).with_verdict(Verdict::Jump("ssh".into())),
            Element::new(80_u16.to_be_bytes()).with_verdict(Verdict::Goto("web".into())),
            Element::new(25_u16.to_be_bytes()).with_verdict(Verdict::Drop),
        ],
    );
    batch.add_elements(
        &table,
        "bans4",
        &[
            Element::new([203, 0, 113, 7]),
            Element::new([203, 0, 113, 8]).with_timeout(Duration::from_secs(7200)).with_comment("twice"),
        ],
    );
    let mut office = Element::range(&[10, 0, 0, 0], &[10, 0, 255, 255]);
    office.extend(Element::range(&[192, 0, 2, 5], &[192, 0, 2, 5]));
    batch.add_elements(&table, "office4", &office);
    add_rules(&mut batch);
    batch
}

fn add_rules(batch: &mut Batch) {
    let table = table();
    let input = ChainId::new(&table, "input");
    let mut established = ct_state(2 | 4).to_vec();
    established.push(verdict(Verdict::Accept));
    batch.append_rule(&input, &Rule::new(established).with_comment("answers"));
    batch.append_rule(
        &input,
        &Rule::new(vec![
            meta(MetaKey::InputName),
            equals(interface("lo")),
            Expression::Counter(Counter::default()),
            verdict(Verdict::Accept),
        ]),
    );
    let mut banned = vec![meta(MetaKey::NfProtocol), equals([2]), load(PayloadBase::Network, 12, 4)];
    let mut not_office = banned.clone();
    banned.extend([Expression::Lookup(Lookup::contains("bans4", Register::R1)), verdict(Verdict::Drop)]);
    batch.append_rule(&input, &Rule::new(banned));
    not_office.extend([
        Expression::Lookup(Lookup { inverse: true, ..Lookup::contains("office4", Register::R1) }),
        Expression::Limit(Limit { rate: 5, seconds: 60, burst: 5, kind: LimitKind::Packets, over: false }),
        Expression::Log(Log::with_prefix("not the office: ")),
    ]);
    batch.append_rule(&input, &Rule::new(not_office));
    batch.append_rule(
        &input,
        &Rule::new(vec![
            meta(MetaKey::L4Protocol),
            equals([6]),
            load(PayloadBase::Transport, 2, 2),
            Expression::Lookup(Lookup::dispatch("services", Register::R1)),
        ]),
    );
    batch
        .append_rule(&input, &Rule::new(vec![Expression::Reject(Reject::Icmpx(IcmpxCode::AdminProhibited))]));
    let limit = Limit { rate: 30, seconds: 60, burst: 5, kind: LimitKind::Packets, over: true };
    batch.append_rule(
        &ChainId::new(&table, "ssh"),
        &Rule::new(vec![
            meta(MetaKey::NfProtocol),
            equals([2]),
            load(PayloadBase::Network, 12, 4),
            Expression::Dynset(Dynset {
                set: "ssh4".into(),
                set_id: None,
                op: DynsetOp::Update,
                sreg_key: Register::R1,
                sreg_data: None,
                timeout: None,
                inverse: false,
                expressions: vec![Expression::Limit(limit)],
            }),
            verdict(Verdict::Drop),
        ]),
    );
}

const FIREWALL_AS_NFT_PRINTS_IT: &str = "\
table inet example {
	set bans4 {
		type ipv4_addr
		timeout 1h
		comment \"who failed too often\"
		elements = { 203.0.113.7, 203.0.113.8 timeout 2h comment \"twice\" }
	}

	set office4 {
		type ipv4_addr
		flags interval
		elements = { 10.0.0.0/16, 192.0.2.5 }
	}

	set ssh4 {
		type ipv4_addr
		size 65535
		flags dynamic,timeout
		timeout 1m
	}

	map services {
		type inet_service : verdict
		elements = { 22 : jump ssh, 25 : drop, 80 : goto web }
	}

	chain web {
	}

	chain ssh {
		update @ssh4 { ip saddr limit rate over 30/minute } drop
	}

	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept comment \"answers\"
		iifname \"lo\" counter packets 0 bytes 0 accept
		ip saddr @bans4 drop
		ip saddr != @office4 limit rate 5/minute log prefix \"not the office: \"
		tcp dport vmap @services
		reject with icmpx admin-prohibited
	}
}
";

/// What `nft` prints, without how long elements still stay and in one order of elements.
fn printed(text: &str) -> String {
    let mut lines = Vec::new();
    let mut rest = text.lines();
    while let Some(line) = rest.next() {
        let mut line = line.to_owned();
        while line.contains("elements = {") && !line.ends_with('}') {
            line.push(' ');
            line.push_str(rest.next().expect("the list of elements ends").trim());
        }
        if let Some((head, list)) = line.split_once("elements = { ") {
            let mut elements: Vec<_> = list
                .trim_end_matches(" }")
                .split(", ")
                .map(|element| {
                    let words: Vec<_> = element.split(' ').collect();
                    let expires = words.iter().position(|&word| word == "expires").unwrap_or(words.len());
                    let kept = words[..expires].iter().chain(words[expires..].iter().skip(2));
                    kept.copied().collect::<Vec<_>>().join(" ")
                })
                .collect();
            elements.sort();
            line = format!("{head}elements = {{ {} }}", elements.join(", "));
        }
        lines.push(line);
    }
    lines.join("\n") + "\n"
}

#[test]
fn a_firewall_with_sets_maps_and_timeouts_is_what_nft_prints() {
    in_namespace(|| {
        Connection::open().unwrap().commit(&firewall()).unwrap();
        assert_eq!(printed(&nft(&["list", "ruleset"], "")), FIREWALL_AS_NFT_PRINTS_IT);
    });
}

#[test]
fn what_nft_loads_from_its_own_text_dumps_as_what_we_loaded() {
    in_namespace(|| {
        let mut connection = Connection::open().unwrap();
        connection.commit(&firewall()).unwrap();
        let ours = connection.dump_ruleset().unwrap();
        nft(&["-f", "-"], &format!("flush ruleset\n{FIREWALL_AS_NFT_PRINTS_IT}"));
        let theirs = connection.dump_ruleset().unwrap();
        assert_ne!(ours.generation, theirs.generation);
        let canonical = |ruleset: &Ruleset| {
            let mut ruleset = ruleset.canonical(Ignore { expirations: true, ..Ignore::default() });
            for dump in ruleset.tables.iter_mut().flat_map(|table| &mut table.sets) {
                // nft notes there how to print keys and that it gave the set by type.
                dump.set.userdata.clear();
                // It opens every list of ranges with a closed end at 0.
                dump.elements.retain(|element| !(element.is_interval_end() && element.key == [0; 4]));
            }
            ruleset
        };
        assert_eq!(canonical(&ours), canonical(&theirs));
    });
}

#[test]
fn what_is_dumped_can_be_loaded_again_and_dumps_the_same() {
    in_namespace(|| {
        let mut connection = Connection::open().unwrap();
        connection.commit(&firewall()).unwrap();
        let first = connection.dump_table(&table()).unwrap().expect("the table is there");
        let text = serde_json::to_string(&first).unwrap();
        let saved: TableDump = serde_json::from_str(&text).unwrap();
        assert_eq!(saved, first);

        let mut batch = Batch::new();
        batch.delete_table(&table());
        batch.add_table(&saved.table);
        for dump in &saved.sets {
            batch.add_set(&table(), &dump.set);
        }
        for dump in &saved.chains {
            batch.add_chain(&table(), &dump.chain);
        }
        for dump in &saved.sets {
            batch.add_elements(&table(), &dump.set.name, &dump.elements);
        }
        for dump in &saved.chains {
            for rule in &dump.rules {
                batch.append_rule(&ChainId::new(&table(), &dump.chain.name), rule);
            }
        }
        connection.commit(&batch).unwrap();
        let second = connection.dump_table(&table()).unwrap().expect("the table is there");
        let ignore = Ignore { expirations: true, ..Ignore::default() };
        assert_eq!(first.canonical(ignore), second.canonical(ignore));
    });
}

#[test]
fn a_bad_batch_is_refused_whole_and_names_what_was_wrong() {
    in_namespace(|| {
        let mut connection = Connection::open().unwrap();
        let before = connection.generation().unwrap();
        let mut batch = firewall();
        let good = batch.len();
        let input = ChainId::new(&table(), "input");
        let missing = Rule::new(vec![verdict(Verdict::Jump("nowhere".into()))]);
        batch.append_rule(&input, &missing).label("the jump to nowhere");
        batch.append_rule(&ChainId::new(&table(), "gone"), &Rule::default());
        let Err(Error::Refused(refusals)) = connection.commit(&batch) else {
            panic!("the batch should be refused");
        };
        let seen: Vec<_> = refusals.iter().map(|r| (r.index, r.label.as_str(), r.errno)).collect();
        assert_eq!(
            seen,
            [
                (good, "the jump to nowhere", Errno::NOENT),
                (good + 1, "rule of chain inet example gone", Errno::NOENT),
            ]
        );
        assert_eq!(connection.generation().unwrap(), before);
        assert_eq!(connection.dump_ruleset().unwrap().tables, []);
        // The socket is still good.
        connection.commit(&firewall()).unwrap();
    });
}

#[test]
fn a_batch_for_a_generation_that_is_gone_is_refused() {
    in_namespace(|| {
        let mut connection = Connection::open().unwrap();
        let seen = connection.generation().unwrap();
        let mut batch = firewall();
        batch.at_generation(seen);
        nft(&["add", "table", "inet", "somebody-else"], "");
        assert_eq!(connection.commit(&batch), Err(Error::Stale { expected: seen }));
        assert_eq!(connection.dump_table(&table()), Ok(None));

        batch.at_generation(connection.generation().unwrap());
        connection.commit(&batch).unwrap();
    });
}

#[test]
fn an_object_too_long_for_a_message_is_named_and_nothing_is_sent() {
    in_namespace(|| {
        let mut connection = Connection::open().unwrap();
        let mut batch = firewall();
        let long = Rule::new(vec![Expression::Counter(Counter::default()); 3000]);
        batch.append_rule(&ChainId::new(&table(), "input"), &long).label("the long rule");
        assert_eq!(connection.commit(&batch), Err(Error::TooLong { label: "the long rule".into() }));
        assert_eq!(connection.dump_table(&table()), Ok(None));
    });
}

#[test]
fn a_hundred_thousand_elements_are_loaded_in_one_batch_and_dumped() {
    in_namespace(|| {
        let mut connection = Connection::open().unwrap();
        let mut batch = Batch::new();
        batch.add_table(&Table::new(Family::Inet, "example"));
        let set = Set::new("bans6", DataType::IPV6_ADDRESS, 16).with_timeout(Duration::from_secs(3600));
        batch.add_set(&table(), &set);
        let elements: Vec<_> = (0..100_000_u128)
            .map(|number| {
                let key = (0x2001_0db8_u128 << 96 | number << 64).to_be_bytes();
                Element::new(key).with_timeout(Duration::from_secs(1800))
            })
            .collect();
        batch.add_elements(&table(), "bans6", &elements);
        connection.commit(&batch).unwrap();
        let mut keys: Vec<_> =
            connection.dump_elements(&table(), "bans6").unwrap().into_iter().map(|e| e.key).collect();
        keys.sort();
        assert_eq!(keys, elements.iter().map(|element| element.key.clone()).collect::<Vec<_>>());

        let mut batch = Batch::new();
        batch.delete_elements(&table(), "bans6", &elements[..99_999]);
        connection.commit(&batch).unwrap();
        assert_eq!(connection.dump_elements(&table(), "bans6").unwrap().len(), 1);
    });
}

#[test]
fn a_chain_is_flushed_and_filled_again_in_one_batch_and_keeps_its_sets() {
    in_namespace(|| {
        let mut connection = Connection::open().unwrap();
        connection.commit(&firewall()).unwrap();
        let before = connection.dump_table(&table()).unwrap().unwrap();
        for _ in 0..20 {
            let mut batch = Batch::new();
            batch.flush_chain(&ChainId::new(&table(), "input"));
            batch.flush_chain(&ChainId::new(&table(), "ssh"));
            batch.flush_set(&table(), "services");
            batch.add_elements(&table(), "services", &before.set("services").unwrap().elements);
            add_rules(&mut batch);
            batch.at_generation(connection.generation().unwrap());
            connection.commit(&batch).unwrap();
        }
        let after = connection.dump_table(&table()).unwrap().unwrap();
        let ignore = Ignore { expirations: true, ..Ignore::default() };
        assert_eq!(after.canonical(ignore), before.canonical(ignore));
        let handle = |dump: &TableDump| dump.chain("input").and_then(|chain| chain.chain.handle);
        assert_eq!(handle(&after), handle(&before));
    });
}

#[test]
fn rules_are_inserted_replaced_and_deleted_by_handle() {
    in_namespace(|| {
        let mut connection = Connection::open().unwrap();
        let chain = ChainId::new(&table(), "input");
        let port = |port| {
            let mut expressions = to_tcp_port(port).to_vec();
            expressions.push(verdict(Verdict::Accept));
            Rule::new(expressions)
        };
        let mut batch = Batch::new();
        batch.add_table(&Table::new(Family::Inet, "example"));
        batch.add_chain(&table(), &Chain::regular("input"));
        for number in [1, 2, 3] {
            batch.append_rule(&chain, &port(number));
        }
        connection.commit(&batch).unwrap();
        let rules = connection.dump_table(&table()).unwrap().unwrap().chains[0].rules.clone();
        let handle = |at: usize| rules[at].handle.expect("a dumped rule has a handle");

        let mut batch = Batch::new();
        batch.insert_rule(&chain, &port(10));
        batch.insert_rule_before(&chain, handle(1), &port(11));
        batch.insert_rule_after(&chain, handle(1), &port(12));
        batch.replace_rule(&chain, handle(2), &port(13));
        batch.delete_rule(&chain, handle(0));
        connection.commit(&batch).unwrap();
        assert_eq!(
            nft(&["list", "chain", "inet", "example", "input"], ""),
            "table inet example {\n\tchain input {\n\t\ttcp dport 10 accept\n\t\ttcp dport 11 accept\n\
             \t\ttcp dport 2 accept\n\t\ttcp dport 12 accept\n\t\ttcp dport 13 accept\n\t}\n}\n"
        );
    });
}

#[test]
fn anonymous_sets_are_made_filled_and_used_in_one_batch() {
    in_namespace(|| {
        let mut connection = Connection::open().unwrap();
        let mut batch = Batch::new();
        batch.add_table(&Table::new(Family::Inet, "example"));
        let chain = ChainId::new(&table(), "input");
        batch.add_chain(&table(), &Chain::regular("input"));
        let mut set = Set::new("__set%d", DataType::INET_SERVICE, 2)
            .with_flags(SetFlags::ANONYMOUS | SetFlags::CONSTANT);
        set.id = batch.fresh_set_id();
        batch.add_set(&table(), &set);
        let ports = [80_u16, 443].map(|port| Element::new(port.to_be_bytes()));
        batch.add_anonymous_elements(&table(), &set, &ports);
        let mut lookup = Lookup::contains("__set%d", Register::R1);
        lookup.set_id = Some(set.id);
        batch.append_rule(
            &chain,
            &Rule::new(vec![
                meta(MetaKey::L4Protocol),
                equals([6]),
                load(PayloadBase::Transport, 2, 2),
                Expression::Lookup(lookup),
                verdict(Verdict::Accept),
            ]),
        );
        connection.commit(&batch).unwrap();
        let text = nft(&["list", "ruleset"], "");
        assert!(text.contains("tcp dport { 80, 443 } accept"), "{text}");
    });
}

#[test]
fn a_dump_during_commits_is_of_one_generation() {
    in_namespace(|| {
        let chains = ["input", "forward"].map(|name| ChainId::new(&table(), name));
        let mut connection = Connection::open().unwrap();
        let mut batch = Batch::new();
        batch.add_table(&Table::new(Family::Inet, "example"));
        for chain in &chains {
            batch.add_chain(&table(), &Chain::regular(&chain.name));
        }
        connection.commit(&batch).unwrap();

        let writer = std::thread::spawn(move || {
            let mut connection = Connection::open().unwrap();
            for round in 0..300 {
                let rule = Rule::new(vec![verdict(Verdict::Accept)]).with_comment(&format!("round {round}"));
                let mut batch = Batch::new();
                for chain in &chains {
                    batch.flush_chain(chain);
                    for _ in 0..200 {
                        batch.append_rule(chain, &rule);
                    }
                }
                connection.commit(&batch).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let (mut dumps, mut running) = (0, true);
        while running {
            running = !writer.is_finished();
            // Where the writer leaves no time for a whole dump, that is said and nothing is made up.
            let dump = match connection.dump_table(&table()) {
                Err(Error::Unstable | Error::Netlink(netlink::Error::Unstable)) => continue,
                dump => dump.unwrap().expect("the table is there"),
            };
            let rules: Vec<_> = dump.chains.iter().flat_map(|chain| &chain.rules).collect();
            assert!(rules.is_empty() || rules.len() == 400, "{} rules", rules.len());
            assert!(rules.iter().all(|rule| rule.comment() == rules[0].comment()));
            dumps += 1;
        }
        writer.join().unwrap();
        assert!(dumps > 0);
    });
}
