//! Tables in a real kernel: loaded, changed, undone, compared.

#![allow(clippy::disallowed_methods, reason = "the file for nft is written into the temporary directory")]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "support/policies.rs"]
mod policies;
mod support;

use nf_tables::{Connection, Family, TableDump, TableId};
use packet_filter::{
    Allow, Compiled, FilterPolicy, LoadError, LogRate, Per, PortRange, Transport, compare_loaded, compile,
    load, prove, restore, unload,
};
use support::{Namespace, install, privileged};

fn table() -> TableId {
    TableId::new(Family::Inet, "gabion")
}

fn held(connection: &mut Connection) -> Option<TableDump> {
    connection.dump_table(&table()).unwrap()
}

#[test]
fn what_is_loaded_is_what_was_compiled_and_loading_again_writes_nothing() {
    if !privileged() {
        return;
    }
    for (name, policy) in policies::all() {
        Namespace::new().run(move || {
            let compiled = compile(&policy);
            let mut connection = Connection::open().unwrap();
            let loaded =
                load(&mut connection, &compiled, None).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(loaded.messages > 0);
            assert_eq!(connection.generation().unwrap(), loaded.generation);
            let dump = held(&mut connection).unwrap();
            assert_eq!(compare_loaded(&compiled, &dump), []);
            let again = load(&mut connection, &compiled, Some(loaded.generation)).unwrap();
            assert_eq!((again.messages, again.generation), (0, loaded.generation), "{name}");
        });
    }
}

#[test]
fn any_policy_follows_any_other_without_the_table_being_deleted() {
    if !privileged() {
        return;
    }
    Namespace::new().run(|| {
        let mut connection = Connection::open().unwrap();
        let all: Vec<(&str, Compiled)> =
            policies::all().into_iter().map(|(name, policy)| (name, compile(&policy))).collect();
        let mut handle = None;
        for (from, before) in &all {
            for (to, after) in &all {
                load(&mut connection, before, None).unwrap_or_else(|error| panic!("{to} to {from}: {error}"));
                load(&mut connection, after, None).unwrap_or_else(|error| panic!("{from} to {to}: {error}"));
                let dump = held(&mut connection).unwrap();
                assert_eq!(compare_loaded(after, &dump), [], "{from} to {to}");
                assert_eq!(
                    *handle.get_or_insert(dump.table.handle),
                    dump.table.handle,
                    "the table was made anew"
                );
            }
        }
    });
}

#[test]
fn nft_reads_the_table_as_it_is_meant_and_takes_it_back() {
    if !privileged() {
        return;
    }
    for (name, policy) in policies::all() {
        let namespace = Namespace::new();
        let inside = namespace.clone();
        let compiled = compile(&policy);
        install(&namespace, &compiled);
        let listed = inside.command("nft", "list ruleset");
        insta::assert_snapshot!(format!("nft-{name}"), listed);
        // What nft prints makes the same table again.
        let again = Namespace::new();
        let path = std::env::temp_dir().join(format!("packet-filter-{}-{name}.nft", std::process::id()));
        std::fs::write(&path, &listed).unwrap();
        again.command("nft", &format!("-f {}", path.display()));
        std::fs::remove_file(&path).unwrap();
        let dump = again.run(|| held(&mut Connection::open().unwrap())).unwrap();
        assert_eq!(again.command("nft", "list ruleset"), listed, "{name}");
        assert_eq!(dump.chains.len(), compiled.table().chains.len());
    }
}

#[test]
fn a_change_by_others_is_named_and_put_right() {
    if !privileged() {
        return;
    }
    let sabotage = [
        "flush chain inet gabion input-tcp",
        "add rule inet gabion input tcp dport 31337 accept",
        "insert rule inet gabion input-ipv4 accept",
        "add chain inet gabion input { policy accept ; }",
        "add element inet gabion allow-tcp-8080-from-ipv4 { 203.0.113.0/24 }",
        "delete element inet gabion tcp-services { 80 }",
        "add element inet gabion icmpv6-neighbours { 137 }",
        "add chain inet gabion back-door { type filter hook input priority -5 ; }",
        "add set inet gabion more { type inet_service ; elements = { 1 } }",
        "add rule inet gabion input tcp dport { 1, 2, 3 } accept",
        "flush table inet gabion",
        "flush ruleset",
        "add table inet gabion { flags dormant ; }",
    ];
    let compiled = compile(&policies::classic());
    for command in sabotage {
        let namespace = Namespace::new();
        let expected = compiled.clone();
        install(&namespace, &compiled);
        namespace.command("nft", command);
        namespace.run(move || {
            let mut connection = Connection::open().unwrap();
            let changed = held(&mut connection);
            let differences = packet_filter::compare(Some(expected.table()), changed.as_ref());
            assert!(!differences.is_empty(), "{command} was not seen");
            println!("{command}\n  {}", differences[0]);
            load(&mut connection, &expected, None).unwrap_or_else(|error| panic!("{command}: {error}"));
            assert_eq!(compare_loaded(&expected, &held(&mut connection).unwrap()), [], "{command}");
            // And the other way round: what somebody had made is restored from a saved dump.
            restore(&mut connection, &table(), changed.as_ref(), None)
                .unwrap_or_else(|error| panic!("{command}: {error}"));
            assert_eq!(
                packet_filter::compare(changed.as_ref(), held(&mut connection).as_ref()),
                [],
                "{command}"
            );
        });
    }
}

#[test]
fn a_load_for_another_generation_is_refused_and_changes_nothing() {
    if !privileged() {
        return;
    }
    Namespace::new().run(|| {
        let mut connection = Connection::open().unwrap();
        let seen = connection.generation().unwrap();
        load(&mut connection, &compile(&policies::classic()), Some(seen)).unwrap();
        let before = held(&mut connection);
        match load(&mut connection, &compile(&policies::wide()), Some(seen)) {
            Err(LoadError::Stale { expected, actual }) => assert!(expected == seen && actual > seen),
            other => panic!("{other:?}"),
        }
        assert_eq!(held(&mut connection), before);
    });
}

#[test]
fn unload_leaves_nothing_and_other_tables_alone() {
    if !privileged() {
        return;
    }
    let namespace = Namespace::new();
    namespace.command(
        "nft",
        "add table inet other { chain c { type filter hook input priority 5 ; counter ; } ; }",
    );
    let before = namespace.command("nft", "list ruleset");
    namespace.run(|| {
        let mut connection = Connection::open().unwrap();
        for (_, policy) in policies::all() {
            load(&mut connection, &compile(&policy), None).unwrap();
        }
        let unloaded = unload(&mut connection, &table(), None).unwrap();
        assert_eq!(unloaded.messages, 1);
        assert!(held(&mut connection).is_none());
        assert_eq!(unload(&mut connection, &table(), None).unwrap().messages, 0);
    });
    assert_eq!(namespace.command("nft", "list ruleset"), before);
}

#[test]
fn sources_counted_by_a_limit_survive_a_reload() {
    if !privileged() {
        return;
    }
    let namespace = Namespace::new();
    let mut policy = policies::classic();
    install(&namespace, &compile(&policy));
    namespace
        .command("nft", "add element inet gabion allow-ssh-meter-ipv4 { 198.51.100.7 limit rate 30/minute }");
    policy.allow.push(Allow::new("more", [PortRange::tcp(9)]));
    install(&namespace, &compile(&policy));
    let set = namespace.command("nft", "list set inet gabion allow-ssh-meter-ipv4");
    assert!(set.contains("198.51.100.7"), "{set}");
}

#[test]
fn a_chain_at_another_hook_and_a_set_of_another_kind_are_made_anew() {
    if !privileged() {
        return;
    }
    Namespace::new().run(|| {
        let mut connection = Connection::open().unwrap();
        let compiled = compile(&policies::classic());
        let mut other = compiled.table().clone();
        for chain in &mut other.chains {
            if let Some(hook) = &mut chain.chain.hook {
                hook.priority = 5;
                hook.policy = nf_tables::Policy::Accept;
            }
        }
        for set in &mut other.sets {
            if set.set.flags.contains(nf_tables::SetFlags::EVAL) {
                set.set.size = Some(100);
            }
            if set.set.name == "icmpv6-errors" {
                set.set = set.set.clone().with_flags(nf_tables::SetFlags::INTERVAL);
                set.elements = nf_tables::Element::range(&[1], &[4]);
            }
        }
        let other = Compiled::from_table(other);
        for wanted in [&compiled, &other, &compiled, &other] {
            load(&mut connection, wanted, None).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(compare_loaded(wanted, &held(&mut connection).unwrap()), []);
        }
    });
}

#[test]
fn elements_with_a_timeout_come_back_with_the_time_they_had_left() {
    if !privileged() {
        return;
    }
    let namespace = Namespace::new();
    namespace.run(|| {
        support::nft(
            "table inet gabion {
                set bans { type ipv4_addr; flags timeout; timeout 2h; elements = { 192.0.2.1 timeout 1h, 192.0.2.2 } }
                chain input { type filter hook input priority 0; ip saddr @bans drop; tcp dport { 1, 2-4 } drop; }
            }",
        );
        let mut connection = Connection::open().unwrap();
        let saved = held(&mut connection).unwrap();
        unload(&mut connection, &table(), None).unwrap();
        restore(&mut connection, &table(), Some(&saved), None).unwrap();
        let restored = held(&mut connection).unwrap();
        let left = |dump: &TableDump| -> Vec<_> {
            let mut elements = dump.set("bans").unwrap().elements.clone();
            elements.sort_by(|a, b| a.key.cmp(&b.key));
            elements.into_iter().map(|element| (element.key, element.expiration.unwrap().as_secs() / 600)).collect()
        };
        assert_eq!(left(&restored), left(&saved));
        assert_eq!(left(&restored).len(), 2);
    });
}

#[test]
fn extremes_are_taken_by_the_kernel() {
    if !privileged() {
        return;
    }
    let all_ports = |transport| PortRange { transport, first: 0, last: u16::MAX };
    let mut everything = Allow::new("x".repeat(300), [all_ports(Transport::Tcp), all_ports(Transport::Udp)]);
    everything.from = policies::prefixes(&["0.0.0.0/0", "::/0"]);
    everything.new_per_minute = Some(u32::MAX);
    everything.comment = Some("\u{e9}\n\0\"\u{1f512}".repeat(50));
    let mut allow = vec![everything];
    for nth in 0..200_u16 {
        let mut entry =
            Allow::new("many", [PortRange { transport: Transport::Tcp, first: nth * 3, last: nth * 5 }]);
        entry.from = policies::prefixes(&["10.0.0.0/9", "10.128.0.0/9", "11.0.0.0/8", "255.255.255.255/32"]);
        entry.new_per_minute = Some(u32::from(nth));
        allow.push(entry);
    }
    let log = Some(LogRate { count: u32::MAX, per: Per::Hour });
    let policy = FilterPolicy { allow, log, ..FilterPolicy::default() };
    let compiled = compile(&policy);
    prove(&policy, &compiled).unwrap_or_else(|error| panic!("{error}"));
    let namespace = Namespace::new();
    install(&namespace, &compiled);
    install(&namespace, &compile(&policies::shut()));
    install(&namespace, &compiled);
}

#[test]
fn a_saved_table_loads_as_it_was() {
    let compiled = compile(&policies::wide());
    let saved = serde_json::to_string(&compiled).unwrap();
    let read: Compiled = serde_json::from_str(&saved).unwrap();
    assert_eq!(read, compiled);
}
