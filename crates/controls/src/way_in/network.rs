//! The way to sshd: where it listens, and what the packet filter lets through.

use std::net::{IpAddr, SocketAddr};

use host::Facts;
use host::facts::Protocol;

use super::{Attempt, Condition, Connection, Judged, Requirement};
use crate::packets::{Fate, Filter, own_addresses, somebody_like};
use crate::ssh::{Sshd, Unread, listening};

/// sshd, or the socket unit that starts it, takes connections at the address and port by which the client comes.
pub(super) fn port(attempt: &Attempt<'_>) -> Judged {
    let name = Requirement::Port;
    let Connection { local, local_port, .. } = *attempt.connection;
    if let Err(Unread::NotInstalled) = attempt.sshd {
        return Ok(Condition::no(name, "no SSH server is installed"));
    }
    let listens = listening(attempt.facts, attempt.sshd)?;
    if let Some(listen) = listens.iter().find(|listen| listen.takes(local, local_port)) {
        let what = format!("sshd takes connections to {local} port {local_port}");
        return Ok(Condition::yes(name, what).at(listen.decided_by.clone()));
    }
    let mut places: Vec<String> = listens.iter().map(|listen| listen.decided_by.clone()).collect();
    places.sort();
    places.dedup();
    let shown: Vec<String> =
        listens.iter().map(|listen| SocketAddr::new(listen.address, listen.port).to_string()).collect();
    let what = match shown.is_empty() {
        true => format!("nothing takes SSH connections to {local} port {local_port}"),
        false => {
            format!("sshd takes connections at {}, not at {local} port {local_port}", shown.join(" and "))
        }
    };
    Ok(Condition::no(name, what).at_all(places))
}

/// The packet filter lets the first packet of a connection in, and the answer out.
#[expect(clippy::unnecessary_wraps, reason = "every condition answers in this form")]
pub(super) fn packet_filter(attempt: &Attempt<'_>) -> Judged {
    Ok(filter_lets_in(attempt.facts, attempt.connection))
}

/// The same without an account: a packet knows none.
pub(crate) fn filter_lets_in(facts: &Facts, connection: &Connection) -> Condition {
    let name = Requirement::PacketFilter;
    let Connection { peer, local, local_port } = *connection;
    let filter = match Filter::of(facts) {
        Ok(filter) => filter,
        Err(reason) => return Condition::unknown(name, "the packet filter is not known", reason),
    };
    let to = SocketAddr::new(local, local_port);
    let by = match filter.fate(Protocol::Tcp, peer, to) {
        Fate::Passes(by) => by,
        Fate::Stopped(by) => {
            let what =
                format!("the packet filter stops connections from {peer} to {local} port {local_port}");
            return Condition::no(name, what).at(by);
        }
        Fate::Unknown(reason) => {
            let what =
                format!("whether the packet filter lets {peer} connect to port {local_port} is not known");
            return Condition::unknown(name, what, reason);
        }
    };
    match filter.fate_of_answer(peer, to) {
        Fate::Passes(_) => {
            Condition::yes(name, format!("the packet filter lets {peer} connect to port {local_port}")).at(by)
        }
        Fate::Stopped(by) => Condition::no(
            name,
            format!("the packet filter stops the answers to {peer} from port {local_port}"),
        )
        .at(by),
        Fate::Unknown(reason) => {
            Condition::unknown(name, format!("whether answers to {peer} get out is not known"), reason)
        }
    }
}

/// Connections by which somebody may come where none is given: from anywhere, from the networks of this host, and from
/// `others`, by each family to each port of sshd.
pub(crate) fn likely_connections(
    facts: &Facts,
    sshd: &Result<Sshd, Unread>,
    others: &[IpAddr],
) -> Vec<Connection> {
    let mut ports: Vec<u16> =
        listening(facts, sshd).map(|listens| crate::ssh::ports(&listens)).unwrap_or_default();
    if ports.is_empty() {
        ports.push(22);
    }
    let mut connections = Vec::new();
    for local in own_addresses(facts) {
        let neighbours = facts.network.addresses.known().into_iter().flatten().filter_map(|address| {
            let is_near = address.address.contains(&local) && address.address.addr() == local;
            is_near.then(|| address.address.hosts().find(|host| *host != local)).flatten()
        });
        let peers = [somebody_like(local)].into_iter().chain(others.iter().copied()).chain(neighbours);
        for peer in peers.filter(|peer| peer.is_ipv4() == local.is_ipv4()) {
            connections.extend(ports.iter().map(|&local_port| Connection { peer, local, local_port }));
        }
    }
    connections
}
