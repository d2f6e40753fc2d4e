//! What programs on both sides of the link experience.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "support/policies.rs"]
mod policies;
mod support;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use packet_filter::{Refusal, compile};
use support::{HOST_V4, HOST_V6, Namespace, STRANGERS_V4, STRANGERS_V6, Wire, install, privileged};

/// For what must come.
const PATIENCE: Duration = Duration::from_secs(60);
/// For what must not.
const SILENCE: Duration = Duration::from_millis(300);

/// Answers every connection to the port, in both families, with one byte, until the test ends.
fn serve(namespace: &Namespace, port: u16) {
    for address in [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(HOST_V6)] {
        let (ready, is_ready) = std::sync::mpsc::channel();
        namespace.spawn(move || {
            let listener = TcpListener::bind((address, port)).unwrap();
            ready.send(()).unwrap();
            for stream in listener.incoming() {
                stream.unwrap().write_all(b"x").unwrap();
            }
        });
        is_ready.recv().unwrap();
    }
}

fn connect(from: &Namespace, to: IpAddr, port: u16) -> Result<(), ErrorKind> {
    from.run(move || {
        let mut stream =
            TcpStream::connect_timeout(&SocketAddr::new(to, port), PATIENCE).map_err(|error| error.kind())?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.read_exact(&mut [0]).map_err(|error| error.kind())
    })
}

/// What a datagram to a port is answered with until the time has passed: the error, or nothing.
fn datagram(from: &Namespace, to: IpAddr, port: u16, patience: Duration) -> Option<ErrorKind> {
    from.run(move || {
        let any: IpAddr =
            if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).unwrap();
        socket.connect((to, port)).unwrap();
        socket.set_read_timeout(Some(patience)).unwrap();
        match socket.send(b"hello").and_then(|_| socket.recv(&mut [0; 16])) {
            Ok(_) => None,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
            Err(error) => Some(error.kind()),
        }
    })
}

#[test]
fn an_allowed_port_connects_and_a_forbidden_one_is_refused_at_once() {
    if !privileged() {
        return;
    }
    let wire = Wire::new();
    for port in [22, 80, 81] {
        serve(&wire.host, port);
    }
    install(&wire.host, &compile(&policies::classic()));
    for host in [IpAddr::V4(HOST_V4), IpAddr::V6(HOST_V6)] {
        assert_eq!(connect(&wire.outside, host, 22), Ok(()), "{host}");
        assert_eq!(connect(&wire.outside, host, 80), Ok(()), "{host}");
        assert_eq!(connect(&wire.outside, host, 81), Err(ErrorKind::ConnectionRefused), "{host}");
        assert_eq!(datagram(&wire.outside, host, 9, PATIENCE), Some(ErrorKind::ConnectionRefused), "{host}");
        assert_eq!(connect(&wire.host, host, 81), Ok(()), "over loopback, {host}");
    }
}

#[test]
fn with_drop_a_forbidden_port_says_nothing() {
    if !privileged() {
        return;
    }
    let wire = Wire::new();
    serve(&wire.host, 80);
    let policy = packet_filter::FilterPolicy { inbound: Refusal::Drop, ..policies::shut() };
    install(&wire.host, &compile(&policy));
    for host in [IpAddr::V4(HOST_V4), IpAddr::V6(HOST_V6)] {
        assert_eq!(datagram(&wire.outside, host, 9, SILENCE), None, "{host}");
    }
}

#[test]
fn connections_of_the_host_itself_are_answered_and_ipv6_finds_its_neighbours() {
    if !privileged() {
        return;
    }
    let wire = Wire::new();
    serve(&wire.host, 80);
    install(&wire.host, &compile(&policies::classic()));
    // Both sides forget each other: only neighbour discovery through our table finds them again.
    wire.host.ip("-6 neigh flush dev eth0");
    wire.outside.ip("-6 neigh flush dev eth0");
    let (ready, is_ready) = std::sync::mpsc::channel();
    wire.outside.spawn(move || {
        let listener = TcpListener::bind((STRANGERS_V6[0], 7000)).unwrap();
        ready.send(()).unwrap();
        listener.accept().unwrap().0.write_all(b"x").unwrap();
    });
    is_ready.recv().unwrap();
    assert_eq!(connect(&wire.host, STRANGERS_V6[0].into(), 7000), Ok(()));
    assert_eq!(connect(&wire.outside, HOST_V6.into(), 80), Ok(()));
}

#[test]
fn with_ipv6_rejected_nothing_of_it_gets_in_or_out_but_over_loopback() {
    if !privileged() {
        return;
    }
    let wire = Wire::new();
    for port in [22, 80] {
        serve(&wire.host, port);
    }
    install(&wire.host, &compile(&policies::without_ipv6()));
    assert_eq!(connect(&wire.outside, HOST_V4.into(), 80), Ok(()));
    assert!(connect(&wire.outside, HOST_V6.into(), 80).is_err());
    // Programs of the host hear of it at once and can go on with IPv4.
    assert_eq!(connect(&wire.host, STRANGERS_V6[0].into(), 80), Err(ErrorKind::ConnectionRefused));
    assert_eq!(
        connect(&wire.host, STRANGERS_V4[0].into(), 80),
        Err(ErrorKind::ConnectionRefused),
        "nobody listens there"
    );
    assert_eq!(connect(&wire.host, HOST_V6.into(), 80), Ok(()), "over loopback");
}
