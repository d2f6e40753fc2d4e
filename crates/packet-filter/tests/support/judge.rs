//! The kernel as a judge: probes across the link, and what became of them.
//!
//! A table of the test's own stands around the one under test: at prerouting it sees what arrived and in which state, behind
//! it sees what was let through, at output what was answered. Probes are known by their hop limit.

#![allow(dead_code, reason = "each test uses its part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use nf_tables::{Connection, Expression, Family, TableId};
use packet_filter::{Addresses, Hook, Machine, Manner, Packet, Payload, State};

use crate::frames;
use crate::support::{self, HOST_V4, HOST_V6, STRANGERS_V4, STRANGERS_V6, Wire};

/// What marks a probe on the wire; one less behind a router.
pub(crate) const PROBE_HOP_LIMIT: u8 = 77;

pub(crate) const WITNESS: &str = "
table inet witness {
    chain states { }
    chain arrived {
        type filter hook prerouting priority -100; policy accept;
        ip ttl 77 jump states
        ip6 hoplimit 77 jump states
    }
    chain states {
        ct state invalid counter comment \"invalid\"
        ct state established counter comment \"established\"
        ct state related counter comment \"related\"
        ct state new counter comment \"new\"
        ct state untracked counter comment \"untracked\"
    }
    chain passed {
        type filter hook input priority 100; policy accept;
        ip ttl 77 counter comment \"passed\"
        ip6 hoplimit 77 counter comment \"passed\"
    }
    chain forwarded {
        type filter hook forward priority 100; policy accept;
        ip ttl 76 counter comment \"passed\"
        ip6 hoplimit 76 counter comment \"passed\"
    }
    chain answered {
        type filter hook output priority -300; policy accept;
        tcp flags & rst == rst counter comment \"answered\"
        icmp type destination-unreachable icmp code { 3, 13 } counter comment \"answered\"
        icmpv6 type destination-unreachable icmpv6 code { 1, 4 } counter comment \"answered\"
    }
}";

/// What the kernel did with a probe.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) states: Vec<State>,
    pub(crate) passed: bool,
    pub(crate) answered: bool,
}

/// Counts by comment.
pub(crate) fn counts(connection: &mut Connection) -> Vec<(String, u64)> {
    let dump = connection.dump_table(&TableId::new(Family::Inet, "witness")).unwrap().unwrap();
    let rules = dump.chains.into_iter().flat_map(|chain| chain.rules);
    let count = |rule: nf_tables::Rule| {
        let packets = rule.expressions.iter().find_map(|expression| match expression {
            Expression::Counter(counter) => Some(counter.packets),
            _ => None,
        });
        Some((rule.comment()?, packets?))
    };
    rules.filter_map(count).collect()
}

/// How long a probe may take to arrive: one that the kernel throws away before prerouting never does.
const ARRIVAL: Duration = Duration::from_secs(2);
/// How long the host may take to deal with one that has arrived, however busy the machine is.
const TREATMENT: Duration = Duration::from_secs(30);

/// Sends one probe and waits until the host has dealt with it in the way that `is_expected` knows, or for so long that it never
/// will.
pub(crate) fn probe(wire: &Wire, packet: &Packet, is_expected: impl Fn(&Seen) -> bool) -> Seen {
    let gateway = match packet.addresses {
        Addresses::Ipv4 { .. } => IpAddr::V4(HOST_V4),
        Addresses::Ipv6 { .. } => IpAddr::V6(HOST_V6),
    };
    let before = wire.host.run(|| counts(&mut Connection::open().unwrap()));
    let sent = packet.clone();
    wire.outside.run(move || frames::send(&sent, gateway));
    let sent = Instant::now();
    loop {
        let after = wire.host.run(|| counts(&mut Connection::open().unwrap()));
        let more: Vec<&str> =
            before.iter().zip(&after).filter(|(a, b)| b.1 > a.1).map(|(a, _)| a.0.as_str()).collect();
        let states = State::ALL.into_iter().filter(|state| more.contains(&state.name())).collect();
        let seen = Seen { states, passed: more.contains(&"passed"), answered: more.contains(&"answered") };
        let patience = if seen.states.is_empty() { ARRIVAL } else { TREATMENT };
        if is_expected(&seen) || sent.elapsed() > patience {
            return seen;
        }
    }
}

/// How many probes have been let through so far.
pub(crate) fn let_through(wire: &Wire) -> u64 {
    let counts = wire.host.run(|| counts(&mut Connection::open().unwrap()));
    counts.iter().filter(|(name, _)| name == "passed").map(|(_, packets)| packets).sum()
}

/// Numbers that look random and are the same each time.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }
}

/// A packet near the limits of what policies tell apart.
pub(crate) fn random_packet(dice: &mut Dice, ports: &[u16], nth: u16) -> (Hook, Packet) {
    let hook = if dice.roll(8) == 0 { Hook::Forward } else { Hook::Input };
    let ipv6 = dice.roll(2) == 1;
    let addresses = if ipv6 {
        let sources = [
            STRANGERS_V6[0],
            STRANGERS_V6[1],
            Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 9),
            Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 9),
        ];
        let beyond = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 99);
        Addresses::Ipv6 {
            source: dice.pick(&sources),
            destination: if hook == Hook::Input { HOST_V6 } else { beyond },
        }
    } else {
        let sources = [
            STRANGERS_V4[0],
            STRANGERS_V4[1],
            Ipv4Addr::new(192, 0, 2, 16),
            Ipv4Addr::new(192, 168, 255, 7),
            Ipv4Addr::new(10, 1, 2, 3),
            Ipv4Addr::new(9, 255, 255, 255),
            // Routing throws it away on its way through.
            if hook == Hook::Input { Ipv4Addr::LOCALHOST } else { STRANGERS_V4[0] },
            Ipv4Addr::new(126, 255, 255, 255),
        ];
        let to_loopback = dice.roll(12) == 0;
        let destination = match hook {
            Hook::Input if to_loopback => Ipv4Addr::LOCALHOST,
            Hook::Input => HOST_V4,
            _ => Ipv4Addr::new(198, 51, 100, 99),
        };
        Addresses::Ipv4 { source: dice.pick(&sources), destination }
    };
    let source = 20_000 + nth;
    let destination = dice.pick(ports);
    let payload = match dice.roll(10) {
        0..4 => Payload::Tcp {
            source,
            destination,
            flags: dice.pick(&[0x02, 0x02, 0x02, 0x10, 0x01, 0x00, 0x29]),
        },
        4..7 => Payload::Udp { source, destination },
        7..9 if ipv6 => Payload::Icmpv6 {
            kind: dice.pick(&[1, 2, 3, 4, 5, 128, 129, 130, 133, 135, 137, 143, 200]),
            code: 0,
        },
        7..9 => Payload::Icmp { kind: dice.pick(&[0, 3, 5, 8, 11, 12, 13, 17, 40]), code: 0 },
        _ => Payload::Other(dice.pick(&[33, 132, 253])),
    };
    let packet = Packet::new(addresses, payload).arriving_on("eth0").with_hop_limit(PROBE_HOP_LIMIT);
    (hook, if hook == Hook::Forward { packet.leaving_by("eth0") } else { packet })
}

/// A link whose host lets nothing but our table and the witness judge a packet.
pub(crate) fn watched_wire() -> Wire {
    let wire = Wire::new();
    for name in [
        "net.ipv4.ip_forward",
        "net.ipv6.conf.all.forwarding",
        "net.ipv4.conf.eth0.route_localnet",
        "net.ipv4.conf.eth0.accept_local",
    ] {
        wire.host.sysctl(name, "1");
    }
    for name in
        ["net.ipv4.conf.all.rp_filter", "net.ipv4.conf.eth0.rp_filter", "net.ipv4.conf.all.send_redirects"]
    {
        wire.host.sysctl(name, "0");
    }
    // Answers to addresses that are nowhere must not wait for a neighbour: those that wait are held against the sender.
    wire.host.ip("link set eth0 arp off");
    wire.host.ip("route add default dev eth0");
    wire.host.ip("-6 route add default dev eth0");
    let input = WITNESS.to_owned();
    wire.host.run(move || support::nft(&input));
    // Neighbours are found out before our table may forbid it.
    wire.outside.command("ip", &format!("route add 198.51.100.0/24 via {HOST_V4}"));
    for (namespace, addresses) in [(&wire.outside, [IpAddr::V4(HOST_V4), IpAddr::V6(HOST_V6)])] {
        for address in addresses {
            support::neighbour(namespace, &wire.host, address);
        }
    }
    wire
}

/// Refusing anything else need not be answered: an error is never the answer to an error, nor a reset to a reset, and
/// nothing is sent to or from a loopback address.
pub(crate) fn is_answered_if_rejected(packet: &Packet) -> bool {
    let addresses = packet.addresses;
    if addresses.source().is_loopback() || addresses.destination().is_loopback() {
        return false;
    }
    match packet.payload {
        Payload::Tcp { flags, .. } => flags == 2,
        Payload::Udp { .. } => true,
        Payload::Icmp { kind, .. } => kind == 8,
        Payload::Icmpv6 { kind, .. } => kind == 128,
        Payload::Other(_) => false,
    }
}

/// How many probes were judged.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Decided alike by the kernel and the machine.
    pub(crate) judged: u64,
    /// Of these, let through.
    pub(crate) passed: u64,
    /// Of these, such that the machine would have been content with either.
    pub(crate) uncertain: u64,
}

/// Sends random probes, and fails where the machine and the kernel differ; `check` may have an opinion of its own.
pub(crate) fn judge(
    name: &str,
    wire: &Wire,
    machine: &Machine<'_>,
    ports: &[u16],
    probes: u16,
    check: impl Fn(Hook, &Packet, &Seen),
) -> Tally {
    let mut dice = Dice(0x5eed ^ name.len() as u64);
    let (mut tally, before) = (Tally::default(), let_through(wire));
    for nth in 0..probes {
        let (hook, packet) = random_packet(&mut dice, ports, nth);
        let as_seen = |state: State| {
            let mut packet = packet.clone().in_state(state);
            if hook == Hook::Forward {
                packet.hop_limit -= 1;
            }
            packet
        };
        let agrees = |seen: &Seen| {
            let &[state] = seen.states.as_slice() else {
                return false;
            };
            let packet = as_seen(state);
            let decision = machine.decide_along(&[Hook::Prerouting, hook], &packet);
            let answered = decision.verdict.manner(&packet).is_some_and(|manner| manner != Manner::Silently);
            !decision.certain
                || decision.verdict.is_accept() == seen.passed
                    && (seen.passed || !is_answered_if_rejected(&packet) || answered == seen.answered)
        };
        let seen = probe(wire, &packet, agrees);
        // What the kernel throws away before prerouting proves nothing.
        let &[state] = seen.states.as_slice() else {
            continue;
        };
        let packet = as_seen(state);
        let decision = machine.decide_along(&[Hook::Prerouting, hook], &packet);
        assert!(agrees(&seen), "{name}: {hook} {packet}: {seen:?}, but {decision}");
        check(hook, &packet, &seen);
        tally.judged += 1;
        tally.passed += u64::from(seen.passed);
        tally.uncertain += u64::from(!decision.certain && decision.depends_on.len() != 1);
    }
    if tally.uncertain == 0 {
        assert_eq!(let_through(wire) - before, tally.passed, "{name}: something was let through late");
    }
    tally
}
