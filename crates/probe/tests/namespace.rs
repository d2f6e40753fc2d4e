//! Real packets between two network namespaces made for the test.
#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what it skips and what it measured"
)]

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, TcpListener, UdpSocket};
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use probe::reach::Patience;
use probe::{Outside, reach, scan};

/// Runs a test as the host, in a network namespace of its own, or says why it cannot.
fn as_host(test: impl FnOnce() + Send + 'static) {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "on CI this test must run as root");
        eprintln!("SKIPPED: root is missing");
        return;
    }
    let before = std::fs::read_link("/proc/self/ns/net").expect("own namespace");
    let host = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace of our own");
        let now = std::fs::read_link("/proc/thread-self/ns/net").expect("own namespace");
        assert_ne!(before, now, "refuses to run in the machine's own network namespace");
        let mut socket = netlink::Socket::open(netlink::Protocol::Route).expect("a route socket");
        let loopback = netlink::route::links(&mut socket).expect("links")[0].index;
        netlink::route::write::set_up(&mut socket, loopback).expect("loopback comes up");
        test();
    });
    if let Err(panic) = host.join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn a_scan_of_all_ports_finds_exactly_the_listeners_in_both_families() {
    as_host(|| {
        let outside = Outside::join("probe0").expect("joined");
        let (v6, host_v6) = outside.v6().expect("IPv6 is switched on");
        let _v4_and_v6 = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 22)).expect("bind");
        let _v4_alone = TcpListener::bind((outside.host_v4(), 65_535)).expect("bind");
        let _loopback_alone = TcpListener::bind("127.0.0.1:8080").expect("bind");
        for (from, to, open) in [
            (IpAddr::from(outside.v4()), IpAddr::from(outside.host_v4()), BTreeSet::from([22, 65_535])),
            (v6.into(), host_v6.into(), BTreeSet::from([22])),
        ] {
            let started = std::time::Instant::now();
            let wanted = open.clone();
            let scan = outside.run(move || scan::tcp(from, to, 1..=65_535, &wanted));
            let scan = scan.expect("outside").expect("scanned");
            println!("MEASURED: 65,535 ports of {to} in {:?}", started.elapsed());
            assert_eq!(scan.open, open);
            assert_eq!((scan.tried, scan.refused, scan.silent), (65_535, 65_535 - open.len(), 0));
        }
    });
}

#[test]
fn echo_requests_and_datagrams_are_answered_in_both_families() {
    as_host(|| {
        let outside = Outside::join("probe0").expect("joined");
        let (v6, host_v6) = outside.v6().expect("IPv6 is switched on");
        let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 5353)).expect("bind");
        std::thread::spawn(move || {
            let mut buffer = [0; 64];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(&buffer[..length], from);
            }
        });
        let pairs =
            [(IpAddr::from(outside.v4()), IpAddr::from(outside.host_v4())), (v6.into(), host_v6.into())];
        for (from, to) in pairs {
            let answers = outside.run(move || {
                (
                    reach::ping(from, to, Patience::Long),
                    reach::udp(from, to, 5353, b"hello", Patience::Long),
                    reach::udp(from, to, 5354, b"hello", Patience::Long),
                )
            });
            let (ping, open, refused) = answers.expect("outside");
            assert!(ping.expect("asked"), "{to} answers an echo request");
            assert_eq!(open.expect("asked"), scan::Answer::Open, "{to}");
            assert_eq!(refused.expect("asked"), scan::Answer::Refused, "{to}");
        }
    });
}

#[test]
fn a_connection_from_outside_carries_data() {
    as_host(|| {
        let outside = Outside::join("probe0").expect("joined");
        let listener = TcpListener::bind((outside.host_v4(), 80)).expect("bind");
        let to = outside.host_v4();
        let server = std::thread::spawn(move || listener.accept().expect("accepted").0.write_all(b"stones"));
        let text = outside.run(move || {
            let mut text = String::new();
            let mut stream = std::net::TcpStream::connect((to, 80)).expect("connected");
            stream.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
            stream.read_to_string(&mut text).map(|_| text)
        });
        assert_eq!(text.expect("outside").expect("read"), "stones");
        server.join().expect("the server lives").expect("written");
    });
}

#[test]
fn a_second_prober_is_told_that_one_is_at_work() {
    as_host(|| {
        let _first = Outside::join("probe0").expect("joined");
        let second = Outside::join("probe0").expect_err("the name is taken");
        assert!(matches!(&second, probe::Error::Taken { name } if name == "probe0"), "{second}");
    });
}

#[test]
fn nothing_is_left_of_the_cable_when_the_prober_is_dropped() {
    as_host(|| {
        let names = || {
            let mut socket = netlink::Socket::open(netlink::Protocol::Route).expect("a route socket");
            let links = netlink::route::links(&mut socket).expect("links");
            links.into_iter().map(|link| link.name).collect::<Vec<_>>()
        };
        let before = names();
        drop(Outside::join("probe0").expect("joined"));
        assert_eq!(names(), before);
    });
}
