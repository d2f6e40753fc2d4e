//! What the kernel tells its listeners: commits as they happen, and the way of packets that are traced.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use nf_tables::monitor::{Changed, Commit, Monitor};
use nf_tables::trace::{Event, Heard, Step, Tracer};
use nf_tables::*;

use support::{in_namespace, nft};

mod support;

/// How long the kernel may take to tell what it did.
const PATIENCE: Duration = Duration::from_secs(10);

fn next(monitor: &mut Monitor) -> Commit {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(commit) = monitor.wait(Duration::from_millis(100)).expect("events").pop() {
            return commit;
        }
    }
    panic!("no commit was told");
}

#[test]
fn every_commit_is_told_with_its_changes_and_who_made_it() {
    in_namespace(|| {
        let mut monitor = Monitor::open().expect("a monitor");
        assert_eq!(monitor.wait(Duration::from_millis(1)), Ok(Vec::new()), "silence is no error");
        let ruleset = "table inet t {\n set s { type ipv4_addr; elements = { 192.0.2.1 } }\n\
                       chain c { type filter hook input priority 0; policy drop;\n tcp dport 22 accept\n }\n}\n";
        nft(&["-f", "-"], ruleset);
        let commit = next(&mut monitor);
        assert_eq!((commit.name.as_str(), commit.incomplete), ("nft", false));
        assert!(commit.process > 0);
        let mut connection = Connection::open().expect("a connection");
        assert_eq!(commit.generation, connection.generation().expect("a generation"));
        assert!(commit.changes.iter().all(|change| change.added && change.table.name == "t"), "{commit:#?}");
        let rule = commit.changes.iter().find_map(|change| match &change.object {
            Changed::Rule(chain, rule) => Some((chain.clone(), rule.clone())),
            _ => None,
        });
        let (chain, told) = rule.expect("a rule");
        let dumped =
            connection.dump_ruleset().expect("a dump").tables.remove(0).chains.remove(0).rules.remove(0);
        assert_eq!(
            (chain.as_str(), told.handle, &told.expressions),
            ("c", dumped.handle, &dumped.expressions)
        );
        let holds = |wanted: fn(&Changed) -> bool| commit.changes.iter().any(|change| wanted(&change.object));
        assert!(holds(
            |object| matches!(object, Changed::Elements(set, list) if set == "s" && list.len() == 1)
        ));
        assert!(holds(|object| matches!(object, Changed::Chain(chain) if chain.hook.is_some())));

        nft(&["delete", "table", "inet", "t"], "");
        let commit = next(&mut monitor);
        assert!(!commit.incomplete, "{commit:#?}");
        assert!(
            commit.changes.iter().any(|change| !change.added && matches!(change.object, Changed::Table(_)))
        );
    });
}

/// The steps of the first packet that comes, up to its end in the base chain.
fn steps(tracer: &mut Tracer, enough: usize) -> Vec<Step> {
    let deadline = Instant::now() + PATIENCE;
    let mut steps: Vec<Step> = Vec::new();
    while Instant::now() < deadline && steps.len() < enough {
        for heard in tracer.wait(Duration::from_millis(100)).expect("steps") {
            match heard {
                Heard::Step(step) => steps.push(*step),
                Heard::Lost => panic!("a step was lost"),
            }
        }
    }
    steps
}

#[test]
fn the_way_of_a_traced_packet_is_told_rule_by_rule() {
    in_namespace(|| {
        support::loopback_up();
        let ruleset = "table inet t {\n\
             chain deeper {\n udp dport 4242 counter\n return\n }\n\
             chain marks {\n type filter hook output priority -400\n udp dport 4242 meta nftrace set 1\n }\n\
             chain in {\n type filter hook input priority 0; policy drop\n jump deeper\n }\n}\n";
        nft(&["-f", "-"], ruleset);
        let mut tracer = Tracer::open().expect("a tracer");
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.send_to(b"x", "127.0.0.1:4242").expect("sent");
        let steps = steps(&mut tracer, 8);
        let ruleset = Connection::open().expect("a connection").dump_ruleset().expect("a dump");
        let table = ruleset.table(Family::Inet, "t").expect("the table");
        let handle = |chain: &str, nth: usize| {
            table.chain(chain).expect("a chain").rules[nth].handle.expect("a handle")
        };
        let told: Vec<(&str, &Event)> = steps.iter().map(|step| (step.chain.as_str(), &step.event)).collect();
        let rule = |chain, nth, verdict| Event::Rule(handle(chain, nth), verdict);
        assert_eq!(
            told,
            [
                ("marks", &rule("marks", 0, Verdict::Continue)),
                ("marks", &Event::End(Verdict::Continue)),
                ("marks", &Event::Policy(Policy::Accept)),
                ("in", &rule("in", 0, Verdict::Jump("deeper".to_owned()))),
                ("deeper", &rule("deeper", 0, Verdict::Continue)),
                ("deeper", &rule("deeper", 1, Verdict::Return)),
                ("in", &Event::End(Verdict::Continue)),
                ("in", &Event::Policy(Policy::Drop)),
            ]
        );
        assert!(steps[3..].iter().all(|step| step.id == steps[3].id && step.protocol == Some(Family::Ip)));
        let first = &steps[3];
        assert_eq!(first.network[12..20], [127, 0, 0, 1, 127, 0, 0, 1]);
        assert_eq!(first.transport[2..4], 4242_u16.to_be_bytes());
        assert_eq!(first.input, Some(1));
    });
}
