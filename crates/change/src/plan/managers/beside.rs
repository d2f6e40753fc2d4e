//! What it means that another manager's rules stay beside ours.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use host::facts::Manager;
use packet_filter::{Allow, DEFAULT_TABLE, FilterPolicy, Hook, Machine, Packet, PortRange, Transport};

use super::super::draft::Draft;

/// Nobody's addresses: RFC 5737, RFC 3849.
const SOMEBODY: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 7)),
];

/// Says which ports of the policy stay closed because of others.
pub(super) fn note(draft: &mut Draft<'_>, managers: &[Manager], wanted: &FilterPolicy) {
    let names: Vec<&str> =
        managers.iter().filter(|manager| manager.active).map(|manager| manager.name.as_str()).collect();
    if names.is_empty() || draft.is_empty() {
        return;
    }
    let names = names.join(", ");
    let mut text = format!(
        "{names} is left alone (firewall.exclusive = false): a packet gets in only where both let it in"
    );
    let refused = refused(draft, wanted);
    if !refused.is_empty() {
        text += &format!(". It refuses {}, which the policy allows: closed for as long", refused.join(", "));
    }
    draft.note(text);
}

/// The ports that the policy allows and that the tables beside ours refuse.
fn refused(draft: &Draft<'_>, wanted: &FilterPolicy) -> Vec<String> {
    let tables = super::tables(draft).iter().filter(|table| table.table.name != DEFAULT_TABLE);
    let tables: Vec<_> = tables.cloned().collect();
    let machine = Machine::new(&tables);
    let mut found = Vec::new();
    for allow in &wanted.allow {
        for range in allow.ports.iter().copied() {
            let closed: Vec<&str> = [("IPv4", 0), ("IPv6", 1)]
                .into_iter()
                .filter(|(_, family)| {
                    source(allow, *family == 0).is_some_and(|peer| refuses(draft, &machine, range, peer))
                })
                .map(|(name, _)| name)
                .collect();
            if !closed.is_empty() {
                let families = if closed.len() == 2 { String::new() } else { format!(" ({})", closed[0]) };
                found.push(format!("{}{families}", name(range)));
            }
        }
    }
    found.dedup();
    found
}

/// Somebody whom an entry lets in, in one family; none where it lets in nobody of it.
fn source(allow: &Allow, ipv4: bool) -> Option<IpAddr> {
    let of_family = |address: &IpAddr| address.is_ipv4() == ipv4;
    let from = &allow.from;
    if from.is_empty() {
        return SOMEBODY.into_iter().find(of_family);
    }
    from.iter().map(|net| net.hosts().next().unwrap_or(net.addr())).find(of_family)
}

fn refuses(draft: &Draft<'_>, machine: &Machine<'_>, range: PortRange, peer: IpAddr) -> bool {
    let addresses = draft.facts.network.addresses.known().map(Vec::as_slice).unwrap_or_default();
    let reachable = |address: IpAddr| address.is_ipv4() == peer.is_ipv4() && !address.is_loopback();
    let own = addresses.iter().find(|one| one.link != "lo" && reachable(one.address.addr()));
    let (local, link) = match own {
        Some(own) => (own.address.addr(), own.link.clone()),
        None if peer.is_ipv4() => (IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), "eth0".to_owned()),
        None => (IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), "eth0".to_owned()),
    };
    let (from, to) = (SocketAddr::new(peer, 50_000), SocketAddr::new(local, range.first));
    let packet = match range.transport {
        Transport::Tcp => Packet::tcp(from, to),
        Transport::Udp => Packet::udp(from, to),
    };
    let Ok(packet) = packet else { return false };
    let decision = machine.decide_along(&[Hook::Prerouting, Hook::Input], &packet.arriving_on(link));
    decision.certain && decision.verdict.is_refusal()
}

fn name(range: PortRange) -> String {
    let transport = match range.transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
    };
    match range.first == range.last {
        true => format!("{transport}/{}", range.first),
        false => format!("{transport}/{}-{}", range.first, range.last),
    }
}
