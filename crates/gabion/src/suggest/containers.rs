//! What keeps the containers of a host working once forwarding is denied by default: their way out, and their name server.

use std::collections::BTreeSet;
use std::path::Path;

use host::Facts;
use host::facts::{Address, Listener};
use policy::{Allow, Forward, PortSpec, Transport};

/// How the bridges of container engines are named, and what the policy writes for them.
const BRIDGES: [(&str, &str, &str); 5] = [
    ("docker0", "docker0", "Docker"),
    ("docker_gwbridge", "docker_gwbridge", "Docker Swarm"),
    ("br-", "br-*", "Docker's networks"),
    ("cni", "cni*", "CNI"),
    ("podman", "podman*", "Podman"),
];

/// What is suggested for containers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Suggested {
    pub(super) allows: Vec<Allow>,
    pub(super) forwards: Vec<Forward>,
    pub(super) note: Option<String>,
}

/// The entries that the container bridges of this host need; none where it does not forward.
pub(super) fn suggest(facts: &Facts) -> Suggested {
    let links = facts.network.links.known().map(Vec::as_slice).unwrap_or_default();
    let found: Vec<_> = BRIDGES
        .iter()
        .filter(|(begins, ..)| links.iter().any(|link| is_bridge(&link.name, begins)))
        .collect();
    if found.is_empty() || !forwards(facts) {
        return Suggested::default();
    }
    let engines: Vec<&str> = found.iter().map(|(.., engine)| *engine).collect();
    let forward = Forward {
        input: found.iter().map(|(_, written, _)| (*written).to_owned()).collect(),
        comment: Some(format!("containers on their way out ({})", engines.join(", "))),
        ..Forward::default()
    };
    let note = "this host runs containers: they reach the outside, and of the ports that they publish only those are open that an \
                entry lists"
        .to_owned();
    Suggested { allows: name_servers(facts), forwards: vec![forward], note: Some(note) }
}

fn is_bridge(name: &str, begins: &str) -> bool {
    if matches!(begins, "docker0" | "docker_gwbridge") { name == begins } else { name.starts_with(begins) }
}

/// Whether this host forwards packets of any family.
fn forwards(facts: &Facts) -> bool {
    ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"].iter().any(|path| {
        let text = facts.file(Path::new(path)).bytes().map(String::from_utf8_lossy).unwrap_or_default();
        !matches!(text.trim(), "" | "0")
    })
}

/// Name servers that engines run on a bridge for its containers: they are asked through this host's own addresses.
fn name_servers(facts: &Facts) -> Vec<Allow> {
    let addresses = facts.network.addresses.known().map(Vec::as_slice).unwrap_or_default();
    let listeners = facts.network.listeners.known().map(Vec::as_slice).unwrap_or_default();
    let on_bridge = |address: &&Address| BRIDGES.iter().any(|(begins, ..)| is_bridge(&address.link, begins));
    let serves = |address: &Address| {
        listeners
            .iter()
            .any(|listener: &Listener| listener.port == 53 && listener.address == address.address.addr())
    };
    let networks: BTreeSet<_> = addresses
        .iter()
        .filter(on_bridge)
        .filter(|address| serves(address))
        .map(|address| address.address.trunc())
        .collect();
    if networks.is_empty() {
        return Vec::new();
    }
    let port = |transport| PortSpec { transport, first: 53, last: 53 };
    vec![Allow {
        port: vec![port(Transport::Tcp), port(Transport::Udp)],
        from: networks.into_iter().collect(),
        comment: Some("names for containers".to_owned()),
        ..Allow::default()
    }]
}

#[cfg(test)]
mod tests {
    use host::Fact;
    use host::facts::{Content, Entry, FileFact, Link, Protocol};

    use super::*;

    fn host(links: &[&str], forward: &str) -> Facts {
        let mut facts = Facts::default();
        let link = |(index, name): (usize, &&str)| Link {
            index: u32::try_from(index).unwrap(),
            name: (*name).to_owned(),
            up: true,
        };
        facts.network.links = Fact::Known(links.iter().enumerate().map(link).collect());
        let entry = Entry { content: Some(Content(forward.as_bytes().to_vec())), ..Default::default() };
        facts.files.insert("/proc/sys/net/ipv4/ip_forward".into(), FileFact::Present(entry));
        facts
    }

    #[test]
    fn containers_keep_their_way_out_where_the_host_forwards() {
        let suggested = suggest(&host(&["lo", "eth0", "docker0", "br-3f2a9c11d0e5"], "1\n"));
        assert_eq!(suggested.forwards.len(), 1);
        assert_eq!(suggested.forwards[0].input, ["docker0", "br-*"]);
        assert!(suggested.forwards[0].output.is_empty() && suggested.allows.is_empty());
        assert_eq!(suggest(&host(&["lo", "docker0"], "0\n")), Suggested::default());
        assert_eq!(suggest(&host(&["lo", "eth0", "docker1"], "1\n")), Suggested::default());
        assert_eq!(suggest(&Facts::default()), Suggested::default());
    }

    #[test]
    fn containers_may_ask_the_name_server_on_their_bridge() {
        let mut facts = host(&["podman1"], "1\n");
        let on_bridge = Address { link: "podman1".to_owned(), address: "10.89.0.1/24".parse().unwrap() };
        facts.network.addresses = Fact::Known(vec![on_bridge.clone()]);
        facts.network.listeners = Fact::Known(vec![Listener {
            protocol: Protocol::Udp,
            address: on_bridge.address.addr(),
            port: 53,
            v6_only: false,
            link: None,
            owners: Vec::new(),
        }]);
        let suggested = suggest(&facts);
        assert_eq!(suggested.allows[0].from, ["10.89.0.0/24".parse().unwrap()]);
        assert_eq!(suggested.forwards[0].input, ["podman*"]);
    }
}
