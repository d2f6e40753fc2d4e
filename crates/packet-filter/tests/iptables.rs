//! Rulesets of `iptables`: what the machine decides for their translation is what their syntax says, and every ruleset
//! from the wild gets an answer.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by it")]

#[path = "support/frames.rs"]
mod frames;
#[path = "support/judge.rs"]
mod judge;
#[path = "support/rulesets.rs"]
mod rulesets;
mod support;

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use iptables_syntax::{Family, Mode, extension::RejectWith, parse_save};
use judge::Dice;
use nf_tables::Reject;
use packet_filter::iptables::{Outcome, Outcomes, translate, walk};
use packet_filter::{Addresses, Decision, Hook, Machine, Packet, Payload, State, Verdict, decide};
use rulesets::{Flavour, PORTS, parsed, random_ruleset};

const WAYS: [&[Hook]; 8] = [
    &[Hook::Prerouting, Hook::Input],
    &[Hook::Prerouting, Hook::Forward, Hook::Postrouting],
    &[Hook::Output, Hook::Postrouting],
    &[Hook::Input],
    &[Hook::Input],
    &[Hook::Forward],
    &[Hook::Output],
    &[Hook::Prerouting],
];

fn random_packet(dice: &mut Dice, family: Family) -> Packet {
    let addresses = match family {
        Family::Ipv4 => Addresses::Ipv4 {
            source: [
                [192, 0, 2, 10],
                [192, 0, 2, 16],
                [10, 1, 2, 3],
                [192, 168, 255, 7],
                [127, 0, 0, 1],
                [8, 8, 8, 8],
            ][dice.roll(6)]
            .into(),
            destination: [
                [192, 0, 2, 1],
                [198, 51, 100, 99],
                [127, 0, 0, 1],
                [255, 255, 255, 255],
                [224, 0, 0, 1],
            ][dice.roll(5)]
            .into(),
        },
        Family::Ipv6 => {
            let one = |text: &str| text.parse::<Ipv6Addr>().unwrap();
            Addresses::Ipv6 {
                source: one(
                    ["2001:db8::10", "2001:db8:1::9", "fd00::9", "fe80::1", "2001:db8:0:1::20"][dice.roll(5)]
                ),
                destination: one(["2001:db8::1", "2001:db8:ffff::99", "ff02::1", "fe80::2"][dice.roll(4)]),
            }
        }
    };
    let (source, destination) = (19_990 + u16::try_from(dice.roll(600)).unwrap(), dice.pick(&PORTS));
    let destination = destination.wrapping_add(u16::from(dice.roll(4) == 0));
    let payload = match (dice.roll(10), family) {
        (0..4, _) => Payload::Tcp {
            source,
            destination,
            flags: dice.pick(&[0x02, 0x02, 0x10, 0x01, 0x00, 0x29, 0xc2]),
        },
        (4..7, _) => Payload::Udp { source, destination },
        (7..9, Family::Ipv4) => {
            Payload::Icmp { kind: dice.pick(&[0, 3, 5, 8, 11, 13]), code: dice.pick(&[0, 0, 1, 3]) }
        }
        (7..9, Family::Ipv6) => {
            Payload::Icmpv6 { kind: dice.pick(&[1, 3, 128, 129, 133, 135, 200]), code: dice.pick(&[0, 0, 4]) }
        }
        _ => Payload::Other(dice.pick(&[33, 132, 253])),
    };
    let name = |dice: &mut Dice| ["eth0", "eth1", "lo", "e", "wlan0"][dice.roll(5)].to_owned();
    let mut packet = Packet::new(addresses, payload).in_state(State::ALL[dice.roll(5)]);
    if dice.roll(2) == 0 {
        packet.state = State::New;
    }
    packet.input = (dice.roll(4) != 0).then(|| name(dice));
    packet.output = (dice.roll(3) == 0).then(|| name(dice));
    packet.hop_limit = dice.pick(&[0, 76, 77, 78, 64, 255]);
    packet.mark = dice.pick(&[0, 0, 0x10, 0x20, 0x30, 1, 0xffff_ffff]);
    if dice.roll(6) == 0 {
        let address = match family {
            Family::Ipv4 => Ipv4Addr::new(192, 0, 2, 1).into(),
            Family::Ipv6 => "2001:db8::1".parse().unwrap(),
        };
        packet.published_from = Some(SocketAddr::new(address, dice.pick(&PORTS)));
    }
    packet
}

/// Accepted, refused, or up to a program.
fn class(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Accepted => 0,
        Outcome::Dropped | Outcome::Rejected(_) => 1,
        Outcome::Queued => 2,
    }
}

fn class_of_verdict(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Accept => 0,
        Verdict::Drop | Verdict::Reject(_) => 1,
        Verdict::Queue(_) => 2,
    }
}

fn is_same(verdict: &Verdict, outcome: Outcome) -> bool {
    match (verdict, outcome) {
        (Verdict::Accept, Outcome::Accepted)
        | (Verdict::Drop, Outcome::Dropped)
        | (Verdict::Queue(_), Outcome::Queued) => true,
        (Verdict::Reject(reject), Outcome::Rejected(with)) => match with {
            RejectWith::TcpReset => *reject == Reject::TcpReset,
            RejectWith::PortUnreachable => *reject == Reject::Icmp(3),
            RejectWith::AdminProhibited => *reject == Reject::Icmp(13),
            RejectWith::PortUnreachable6 => *reject == Reject::Icmp(4),
            RejectWith::AdminProhibited6 => *reject == Reject::Icmp(1),
            other => panic!("{other:?} is not made here"),
        },
        _ => false,
    }
}

/// What the machine says holds every world that the rules leave open, and no more of them where no rule changes a packet:
/// a change that may or may not have been made leaves the machine without what was changed.
fn agree(decision: &Decision, outcomes: &Outcomes, exactly: bool) -> bool {
    let mut own: Vec<u8> = vec![class_of_verdict(&decision.verdict)];
    own.extend(decision.otherwise.iter().map(class_of_verdict));
    let mut others: Vec<u8> = outcomes.possible.iter().map(|outcome| class(*outcome)).collect();
    for classes in [&mut own, &mut others] {
        classes.sort_unstable();
        classes.dedup();
    }
    let is_main = if exactly {
        is_same(&decision.verdict, outcomes.main)
    } else {
        !decision.certain || class_of_verdict(&decision.verdict) == class(outcomes.main)
    };
    is_main && others.iter().all(|class| own.contains(class)) && (!exactly || own == others)
}

/// Whether a rule changes what later rules look at.
fn changes_packets(text: &str) -> bool {
    const TARGETS: [&str; 8] =
        ["-j MARK", "-j CONNMARK", "-j TTL", "-j HL", "-j DNAT", "-j REDIRECT", "-j NOTRACK", "--notrack"];
    TARGETS.iter().any(|target| text.contains(target))
}

fn seed(name: &str) -> u64 {
    name.bytes().fold(7, |seed, byte| seed * 31 % 1_000_003 + u64::from(byte))
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn the_machine_decides_a_translated_ruleset_as_its_syntax_says() {
    let (seed, cases) = (number("GABION_SEED", 1), number("GABION_CASES", 400));
    println!("seed {seed}, {cases} rulesets");
    let mut uncertain = 0_u32;
    for case in 0..cases {
        let mut dice = Dice(seed.wrapping_mul(1_000_003).wrapping_add(case));
        let texts =
            [Family::Ipv4, Family::Ipv6].map(|family| random_ruleset(&mut dice, family, Flavour::Any));
        let saves = [parsed(&texts[0], Family::Ipv4), parsed(&texts[1], Family::Ipv6)];
        let translated = translate(Some(&saves[0]), Some(&saves[1]));
        let machine = Machine::new(&translated.tables);
        for _ in 0..60 {
            let (family, text) =
                if dice.roll(2) == 0 { (Family::Ipv4, &texts[0]) } else { (Family::Ipv6, &texts[1]) };
            let packet = random_packet(&mut dice, family);
            let way = WAYS[dice.roll(WAYS.len())];
            let decision = machine.decide_along(way, &packet);
            let outcomes = walk(Some(&saves[0]), Some(&saves[1]), way, &packet);
            let exactly = !changes_packets(text);
            uncertain += u32::from(!decision.certain);
            assert!(
                agree(&decision, &outcomes, exactly),
                "seed {seed}, case {case}: {way:?} {packet}, mark {}:\n{decision}\n{:?}\nbut {outcomes:?}\n{text}",
                packet.mark,
                decision.otherwise,
            );
        }
    }
    println!("{uncertain} of {} answers depend on something", cases * 60);
    assert!(uncertain > 0 && u64::from(uncertain) < cases * 30);
}

/// Rulesets of real machines: `../iptables-syntax/tests/dumps` says whose.
fn dumps() -> Vec<(String, Vec<u8>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../iptables-syntax/tests/dumps");
    let mut dumps: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rules"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap()))
        .collect();
    dumps.sort();
    dumps
}

#[test]
fn every_ruleset_from_the_wild_answers_for_a_packet_with_the_lines_that_it_crossed() {
    let mut answers = String::new();
    let packet = Packet::tcp("203.0.113.9:40000".parse().unwrap(), "192.0.2.1:22".parse().unwrap())
        .unwrap()
        .arriving_on("eth0");
    let dumps = dumps();
    assert_eq!(dumps.len(), 16);
    for (name, text) in dumps {
        let (save, _) =
            parse_save(&text, Family::Ipv4, Mode::Lenient).unwrap_or_else(|error| panic!("{name}: {error}"));
        let translated = translate(Some(&save), None);
        let decision = decide(&translated.tables, Hook::Input, &packet);
        let mut dice = Dice(seed(&name));
        for _ in 0..200 {
            let (way, packet) = (WAYS[dice.roll(WAYS.len())], random_packet(&mut dice, Family::Ipv4));
            let decision = Machine::new(&translated.tables).decide_along(way, &packet);
            let outcomes = walk(Some(&save), None, way, &packet);
            let exactly = !changes_packets(&save.to_string());
            assert!(agree(&decision, &outcomes, exactly), "{name}: {packet}: {decision}\nbut {outcomes:?}");
        }
        writeln!(answers, "{name}: {} rules, {} doubts", translated.origins.len(), translated.doubts.len())
            .unwrap();
        writeln!(answers, "  {decision}").unwrap();
        for (rule, origin) in translated.crossed(&decision) {
            let origin = origin.unwrap_or_else(|| panic!("{name}: {rule} comes from nowhere"));
            writeln!(answers, "  line {}: {}", origin.line, origin.text).unwrap();
        }
        for doubt in &translated.doubts {
            writeln!(answers, "  doubt in line {}: {}", doubt.line, doubt.what).unwrap();
        }
    }
    insta::assert_snapshot!("dumps", answers);
}
