//! A thousand reloads under load: nothing allowed is lost, nothing forbidden gets through.
//!
//! The packets are UDP that is never replied to, so each one runs the whole way through the verdict maps. What arrived is
//! counted before our table and what got through behind it, both in the kernel.

#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a test fails by the one and prints the other"
)]

#[path = "support/policies.rs"]
mod policies;
mod support;

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nf_tables::{Connection, Expression, Family, TableId};
use packet_filter::{Allow, FilterPolicy, PortRange, compile, load, prove};
use support::{HOST_V4, HOST_V6, Wire, install, privileged};

const RELOADS: u64 = 1000;
const ALLOWED: u16 = 5000;
const FORBIDDEN: u16 = 5001;
/// Packets of each kind and family that must have been sent between two reloads.
const BETWEEN: u64 = 25;
/// What each sender strives for, of each kind, a second.
const RATE: u64 = 12_000;

const WITNESS: &str = "
table inet witness {
    chain before {
        type filter hook prerouting priority -300; policy accept;
        udp dport 5000 counter comment \"allowed before\"
        udp dport 5001 counter comment \"forbidden before\"
    }
    chain behind {
        type filter hook input priority 300; policy accept;
        udp dport 5000 counter comment \"allowed behind\"
        udp dport 5001 counter comment \"forbidden behind\"
    }
}";

/// Two policies that let the flood in, and differ in everything that a reload changes: rules, comments, ports,
/// verdicts of the maps, sources, the manner of refusal, whole chains and sets.
fn policies() -> [FilterPolicy; 2] {
    let flood = |line: u32| {
        let mut allow = Allow::new("flood", [PortRange::udp(ALLOWED), PortRange::tcp(7000)]);
        allow.place = Some(format!("policy.toml:{line}"));
        allow
    };
    let mut classic = policies::classic();
    classic.allow.push(flood(12));
    let mut wide = policies::wide();
    wide.allow.insert(0, flood(3));
    [classic, wide]
}

fn count(connection: &mut Connection, name: &str) -> u64 {
    let dump = connection.dump_table(&TableId::new(Family::Inet, "witness")).unwrap().unwrap();
    let rules = dump.chains.iter().flat_map(|chain| &chain.rules);
    let named = rules.filter(|rule| rule.comment().as_deref() == Some(name));
    let packets = named.flat_map(|rule| &rule.expressions).map(|expression| match expression {
        Expression::Counter(counter) => counter.packets,
        _ => 0,
    });
    packets.sum()
}

/// Sends to both ports in turn until told to stop; counts the pairs.
fn flood(to: IpAddr, stop: &AtomicBool, pairs: &AtomicU64) {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).unwrap();
    let began = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let sent = pairs.load(Ordering::Relaxed);
        if u128::from(sent) * 1_000_000 > began.elapsed().as_micros() * u128::from(RATE) {
            std::thread::sleep(Duration::from_micros(500));
            continue;
        }
        socket.send_to(b"flood", SocketAddr::new(to, ALLOWED)).unwrap();
        socket.send_to(b"flood", SocketAddr::new(to, FORBIDDEN)).unwrap();
        pairs.fetch_add(1, Ordering::Relaxed);
    }
}

/// Sends bytes back and forth over one connection until told to stop; gives how often.
fn talk(to: IpAddr, stop: &AtomicBool) -> u64 {
    let mut stream = TcpStream::connect((to, 7000)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut rounds = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut answer = [0; 4];
        stream.write_all(b"ping").expect("the established connection is alive");
        stream.read_exact(&mut answer).expect("the established connection is alive");
        rounds += 1;
        std::thread::sleep(Duration::from_millis(1));
    }
    rounds
}

/// Answers one connection until it is closed.
fn echo(wire: &Wire, address: IpAddr) {
    let (ready, is_ready) = std::sync::mpsc::channel();
    wire.host.spawn(move || {
        let listener = TcpListener::bind((address, 7000)).unwrap();
        ready.send(()).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = [0; 4];
        while stream.read_exact(&mut bytes).is_ok() {
            stream.write_all(&bytes).unwrap();
        }
    });
    is_ready.recv().unwrap();
}

#[test]
fn a_thousand_reloads_lose_no_allowed_packet_and_let_no_forbidden_one_through() {
    if !privileged() {
        return;
    }
    let wire = Wire::new();
    let hosts = [IpAddr::V4(HOST_V4), IpAddr::V6(HOST_V6)];
    let compiled = policies().map(|policy| {
        let compiled = compile(&policy);
        prove(&policy, &compiled).unwrap();
        compiled
    });
    wire.host.run(|| support::nft(WITNESS));
    install(&wire.host, &compiled[1]);
    for host in hosts {
        echo(&wire, host);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let pairs: [Arc<AtomicU64>; 2] = Default::default();
    let mut floods = Vec::new();
    let mut talks = Vec::new();
    for (host, pairs) in hosts.into_iter().zip(&pairs) {
        let (stop, pairs) = (Arc::clone(&stop), Arc::clone(pairs));
        let stop_talk = Arc::clone(&stop);
        talks.push(wire.outside.spawn(move || talk(host, &stop_talk)));
        floods.push(wire.outside.spawn(move || flood(host, &stop, &pairs)));
    }
    let sent = pairs.clone();
    let began = Instant::now();
    let messages = wire.host.run(move || {
        let mut connection = Connection::open().unwrap();
        let mut messages = 0;
        for (nth, compiled) in (0..RELOADS).zip(compiled.iter().cycle()) {
            let loaded =
                load(&mut connection, compiled, None).unwrap_or_else(|error| panic!("reload {nth}: {error}"));
            messages += loaded.messages;
            for pairs in &sent {
                while pairs.load(Ordering::Relaxed) < (nth + 1) * BETWEEN {
                    std::thread::sleep(Duration::from_micros(200));
                }
            }
        }
        messages
    });
    let seconds = began.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    floods.into_iter().for_each(|flood| flood.join().unwrap());
    let rounds: Vec<u64> = talks.into_iter().map(|talk| talk.join().unwrap()).collect();
    let sent: Vec<u64> = pairs.iter().map(|pairs| pairs.load(Ordering::Relaxed)).collect();
    let total: u64 = sent.iter().sum();
    let counts = wire.host.run(move || {
        let mut connection = Connection::open().unwrap();
        // The last packets may still be on their way.
        let until = Instant::now() + Duration::from_secs(5);
        while count(&mut connection, "allowed before") < total && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        ["allowed before", "allowed behind", "forbidden before", "forbidden behind"]
            .map(|name| count(&mut connection, name))
    });
    println!(
        "{RELOADS} reloads with {messages} messages in {seconds:.1} s; pairs sent over IPv4 and IPv6: {sent:?}, \
         {:.0} allowed and as many forbidden a second; allowed {} of {}, forbidden {} of {}; TCP rounds {rounds:?}",
        total as f64 / seconds,
        counts[1],
        counts[0],
        counts[3],
        counts[2],
    );
    assert!(sent.iter().all(|sent| *sent >= RELOADS * BETWEEN));
    assert_eq!(counts[0], total, "packets were lost before they came to the host");
    assert_eq!(counts[0], counts[1], "allowed packets were lost");
    assert_eq!(counts[2], total, "packets were lost before they came to the host");
    assert_eq!(counts[3], 0, "forbidden packets got through");
    assert!(rounds.iter().all(|rounds| *rounds > 100), "the connections did not live: {rounds:?}");
}
