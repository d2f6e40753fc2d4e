//! Stand-ins for what listens on the machine: they take connections and echo datagrams, nothing more.

use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;

use host::Facts;
use host::facts::{Listener, Protocol};

/// What arrived at a datagram socket: the sources that were seen, and the payloads.
pub(super) type Arrivals = Arc<Mutex<Vec<(SocketAddr, Vec<u8>)>>>;

/// Stands in for every listener of the machine except those on the ports left out. What cannot be bound is told.
pub(super) fn stand_in(machine: &Facts, leave_out: &[u16]) -> Vec<String> {
    let mut problems = Vec::new();
    let listeners = machine.network.listeners.known().map(Vec::as_slice).unwrap_or_default();
    for listener in listeners {
        let is_tcp = listener.protocol == Protocol::Tcp;
        if is_tcp && leave_out.contains(&listener.port) {
            continue;
        }
        let address = SocketAddr::new(listener.address, listener.port);
        let done =
            if is_tcp { accept(bindable(listener)) } else { echo(bindable(listener), &Arrivals::default()) };
        if let Err(error) = done {
            problems.push(format!("{address}: {error}"));
        }
    }
    problems
}

/// An address of the machine that the copy does not have becomes the wildcard of its family.
fn bindable(listener: &Listener) -> SocketAddr {
    let address = match listener.address {
        IpAddr::V4(address) if !address.is_loopback() => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(address) if !address.is_loopback() => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        loopback => loopback,
    };
    SocketAddr::new(address, listener.port)
}

/// Takes connections and reads them to their end.
pub(super) fn accept(at: SocketAddr) -> std::io::Result<()> {
    let listener = TcpListener::bind(at)?;
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut scrap = [0; 64];
            let _only_taken = stream.read(&mut scrap);
        }
    });
    Ok(())
}

/// Sends datagrams back to where they say they come from, and keeps a list of them.
pub(super) fn echo(at: SocketAddr, arrivals: &Arrivals) -> std::io::Result<()> {
    let socket = UdpSocket::bind(at)?;
    let arrivals = Arc::clone(arrivals);
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let datagram = buffer.get(..length).unwrap_or_default();
            if let Ok(mut seen) = arrivals.lock() {
                seen.push((from, datagram.to_vec()));
            }
            let _a_forged_source_takes_no_answer = socket.send_to(datagram, from);
        }
    });
    Ok(())
}
