//! Ports of a container, published by somebody else's NAT rules: closed unless the policy lists them, in both families.
//!
//! A container stands behind the host in a namespace of its own, as Docker makes it. The NAT rules are made by `nft` or by
//! `iptables-nft`; not a byte of them may change.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use nf_tables::Connection;
use packet_filter::{
    Allow, FilterPolicy, ForwardEntry, Hook, Machine, Packet, PortRange, Refusal, compile, policy_decides,
    prove, unload,
};
use support::{HOST_V4, HOST_V6, Namespace, STRANGERS_V4, STRANGERS_V6, Wire, install, privileged};

const CONTAINER_V4: Ipv4Addr = Ipv4Addr::new(172, 17, 0, 2);
const CONTAINER_V6: Ipv6Addr = Ipv6Addr::new(0xfd17, 0, 0, 0, 0, 0, 0, 2);
/// How long something that must answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long is waited for what must not come.
const SILENCE: Duration = Duration::from_millis(300);

/// Published ports: what is asked for, and where it leads.
const FOR_ALL: (u16, u16) = (8080, 80);
const FOR_ONE: (u16, u16) = (8090, 90);
/// Not listed, though the port that it leads to is.
const UNLISTED: (u16, u16) = (8443, 443);
const UDP_LISTED: u16 = 5300;
const UDP_UNLISTED: u16 = 5301;

const NFT: &str = "
table ip nat {
    chain PREROUTING {
        type nat hook prerouting priority dstnat; policy accept;
        iifname != \"docker0\" tcp dport 8080 dnat to 172.17.0.2:80
        iifname != \"docker0\" tcp dport 8090 dnat to 172.17.0.2:90
        iifname != \"docker0\" tcp dport 8443 dnat to 172.17.0.2:443
        iifname != \"docker0\" udp dport 5300-5301 dnat to 172.17.0.2:53
    }
    chain POSTROUTING {
        type nat hook postrouting priority srcnat; policy accept;
        oifname != \"docker0\" ip saddr 172.17.0.0/16 masquerade
    }
}
table ip6 nat {
    chain PREROUTING {
        type nat hook prerouting priority dstnat; policy accept;
        iifname != \"docker0\" tcp dport 8080 dnat to [fd17::2]:80
        iifname != \"docker0\" tcp dport 8090 dnat to [fd17::2]:90
        iifname != \"docker0\" tcp dport 8443 dnat to [fd17::2]:443
        iifname != \"docker0\" udp dport 5300-5301 dnat to [fd17::2]:53
    }
    chain POSTROUTING {
        type nat hook postrouting priority srcnat; policy accept;
        oifname != \"docker0\" ip6 saddr fd17::/64 masquerade
    }
}";

/// For each family, with its address and network.
const IPTABLES: &str = "
-t nat -A PREROUTING ! -i docker0 -p tcp --dport 8080 -j DNAT --to-destination CONTAINER:80
-t nat -A PREROUTING ! -i docker0 -p tcp --dport 8090 -j DNAT --to-destination CONTAINER:90
-t nat -A PREROUTING ! -i docker0 -p tcp --dport 8443 -j DNAT --to-destination CONTAINER:443
-t nat -A PREROUTING ! -i docker0 -p udp --dport 5300:5301 -j DNAT --to-destination CONTAINER:53
-t nat -A POSTROUTING ! -o docker0 -s NETWORK -j MASQUERADE
-P FORWARD ACCEPT
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -d CONTAINER ! -i docker0 -o docker0 -p tcp -j ACCEPT";

struct Lab {
    wire: Wire,
    container: Namespace,
}

impl Lab {
    /// The wire with a container behind the host, which serves every port that it is asked for.
    fn new() -> Self {
        let (wire, container) = (Wire::new(), Namespace::new());
        wire.host.ip(&format!("link add docker0 type veth peer name eth0 netns {}", container.path()));
        for (namespace, link) in [(&wire.host, "docker0"), (&container, "eth0")] {
            namespace.sysctl("net.ipv6.conf.all.disable_ipv6", "0");
            namespace.sysctl(&format!("net.ipv6.conf.{link}.disable_ipv6"), "0");
            namespace.sysctl(&format!("net.ipv6.conf.{link}.accept_dad"), "0");
        }
        wire.host.ip("addr add 172.17.0.1/16 dev docker0");
        wire.host.ip("addr add fd17::1/64 dev docker0 nodad");
        container.ip(&format!("addr add {CONTAINER_V4}/16 dev eth0"));
        container.ip(&format!("addr add {CONTAINER_V6}/64 dev eth0 nodad"));
        wire.host.ip("link set docker0 up");
        container.ip("link set eth0 up");
        container.ip("route add default via 172.17.0.1");
        container.ip("-6 route add default via fd17::1");
        wire.host.sysctl("net.ipv4.ip_forward", "1");
        wire.host.sysctl("net.ipv6.conf.all.forwarding", "1");
        for (_, port) in [FOR_ALL, FOR_ONE, UNLISTED] {
            serve(&container, port);
        }
        answer_datagrams(&container, 53);
        serve(&wire.outside, 7777);
        Self { wire, container }
    }

    /// Everything that is not ours, as `nft` lists it.
    fn foreign(&self) -> String {
        let tables = self.wire.host.command("nft", "list tables");
        let list = |line: &str| match line {
            "table inet gabion" => String::new(),
            other => self.wire.host.command("nft", &format!("-a -s list {other}")),
        };
        tables.lines().map(list).collect()
    }

    fn publish_by_nft(&self) {
        self.wire.host.run(|| support::nft(NFT));
    }

    fn publish_by_iptables(&self) {
        for (program, container, network) in [
            ("iptables-nft", CONTAINER_V4.to_string(), "172.17.0.0/16"),
            ("ip6tables-nft", format!("[{CONTAINER_V6}]"), "fd17::/64"),
        ] {
            let address = container.trim_matches(['[', ']']);
            for line in IPTABLES.trim().lines() {
                let line = line.replace("-d CONTAINER", &format!("-d {address}"));
                let line = line.replace("CONTAINER", &container).replace("NETWORK", network);
                self.wire.host.command(program, &line);
            }
        }
    }
}

/// Answers every connection to the port, in both families, with one byte, until the test ends.
fn serve(namespace: &Namespace, port: u16) {
    let listener = namespace.run(move || TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.unwrap().write_all(b"!");
        }
    });
}

fn answer_datagrams(namespace: &Namespace, port: u16) {
    let socket = namespace.run(move || UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)).unwrap());
    thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..length], from);
        }
    });
}

/// Whether a connection from an address of the namespace is answered.
fn connects(namespace: &Namespace, from: IpAddr, to: SocketAddr, expected: bool) -> bool {
    namespace.run(move || {
        let domain =
            if from.is_ipv4() { rustix::net::AddressFamily::INET } else { rustix::net::AddressFamily::INET6 };
        let socket = rustix::net::socket(domain, rustix::net::SocketType::STREAM, None).unwrap();
        rustix::net::bind(&socket, &SocketAddr::new(from, 0)).unwrap();
        let patience = if expected { PATIENCE } else { SILENCE };
        let time = rustix::net::sockopt::Timeout::Send;
        rustix::net::sockopt::set_socket_timeout(&socket, time, Some(patience)).unwrap();
        if rustix::net::connect(&socket, &to).is_err() {
            return false;
        }
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.read_exact(&mut [0]).is_ok()
    })
}

/// Whether a datagram comes back.
fn echoes(namespace: &Namespace, to: SocketAddr, expected: bool) -> bool {
    namespace.run(move || {
        let any: IpAddr =
            if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).unwrap();
        socket.connect(to).unwrap();
        socket.set_read_timeout(Some(if expected { PATIENCE } else { SILENCE })).unwrap();
        let _ = socket.send(b"test");
        socket.recv(&mut [0; 16]).is_ok()
    })
}

/// SSH, the published ports that are listed, one of them for a single stranger, and the container's port 443 of the host.
fn policy(refusal: Refusal) -> FilterPolicy {
    let mut one = Allow::new("one", [PortRange::tcp(FOR_ONE.0)]);
    one.from = vec![IpAddr::from(STRANGERS_V4[1]).into(), IpAddr::from(STRANGERS_V6[1]).into()];
    FilterPolicy {
        inbound: refusal,
        forward: refusal,
        allow: vec![
            Allow::new("all", [PortRange::tcp(FOR_ALL.0), PortRange::udp(UDP_LISTED)]),
            one,
            Allow::new("https", [PortRange::tcp(UNLISTED.1)]),
        ],
        ..FilterPolicy::default()
    }
}

fn outwards() -> ForwardEntry {
    ForwardEntry { input: vec!["docker*".into()], ..ForwardEntry::default() }
}

/// Every way in, in both families: who asks for what, and whether he gets it once the policy is loaded.
fn ways_in() -> Vec<(IpAddr, SocketAddr, u16, bool)> {
    let mut ways = Vec::new();
    for (host, strangers) in [
        (IpAddr::V4(HOST_V4), STRANGERS_V4.map(IpAddr::V4)),
        (IpAddr::V6(HOST_V6), STRANGERS_V6.map(IpAddr::V6)),
    ] {
        for (nth, from) in strangers.into_iter().enumerate() {
            for ((asked, leads_to), allowed) in [(FOR_ALL, true), (FOR_ONE, nth == 1), (UNLISTED, false)] {
                ways.push((from, SocketAddr::new(host, asked), leads_to, allowed));
            }
        }
    }
    ways
}

fn check(lab: &Lab, refusal: Refusal) {
    let published = lab.foreign();
    for (from, to, _, _) in ways_in() {
        assert!(connects(&lab.wire.outside, from, to, true), "before: {from} -> {to}");
    }

    let closed = policy(refusal);
    prove(&closed, &compile(&closed)).unwrap();
    install(&lab.wire.host, &compile(&closed));
    assert_eq!(lab.foreign(), published, "the rules of others");
    let compiled = compile(&closed);
    let machine = Machine::new([compiled.table()]);
    for (from, to, leads_to, allowed) in ways_in() {
        assert_eq!(connects(&lab.wire.outside, from, to, allowed), allowed, "{from} -> {to}");
        let container = match to {
            SocketAddr::V4(_) => SocketAddr::new(CONTAINER_V4.into(), leads_to),
            SocketAddr::V6(_) => SocketAddr::new(CONTAINER_V6.into(), leads_to),
        };
        let packet = Packet::tcp(SocketAddr::new(from, 40_000), container).unwrap();
        let packet = packet.arriving_on("eth0").leaving_by("docker0").published_from(to);
        let decision = machine.decide(Hook::Forward, &packet);
        assert_eq!(decision.verdict.is_accept(), allowed, "{packet}: {decision}");
        let answer = policy_decides(&closed, Hook::Forward, &packet);
        assert_eq!(answer == packet_filter::Answer::Accept, allowed, "{packet}: {answer}");
    }
    for host in [IpAddr::V4(HOST_V4), IpAddr::V6(HOST_V6)] {
        let at = |port| SocketAddr::new(host, port);
        assert!(echoes(&lab.wire.outside, at(UDP_LISTED), true), "{host}");
        assert!(!echoes(&lab.wire.outside, at(UDP_UNLISTED), false), "{host}");
    }

    let out = [
        (IpAddr::V4(CONTAINER_V4), SocketAddr::new(STRANGERS_V4[0].into(), 7777)),
        (IpAddr::V6(CONTAINER_V6), SocketAddr::new(STRANGERS_V6[0].into(), 7777)),
    ];
    for (from, to) in out {
        assert!(!connects(&lab.container, from, to, false), "{from} -> {to} without an entry");
    }
    let open = FilterPolicy { forwards: vec![outwards()], ..policy(refusal) };
    prove(&open, &compile(&open)).unwrap();
    install(&lab.wire.host, &compile(&open));
    for (from, to) in out {
        assert!(connects(&lab.container, from, to, true), "{from} -> {to}");
    }
    // The way out is no way in.
    for (from, to, _, allowed) in ways_in() {
        assert_eq!(connects(&lab.wire.outside, from, to, allowed), allowed, "{from} -> {to}");
    }
    assert_eq!(lab.foreign(), published, "the rules of others after a reload");
    lab.wire.host.run(|| {
        let table = compile(&FilterPolicy::default()).table().id();
        unload(&mut Connection::open().unwrap(), &table, None).unwrap();
    });
    assert_eq!(lab.foreign(), published, "the rules of others after all");
}

#[test]
fn a_port_published_by_nft_is_closed_unless_it_is_listed() {
    if !privileged() {
        return;
    }
    let lab = Lab::new();
    lab.publish_by_nft();
    check(&lab, Refusal::Reject);
}

#[test]
fn a_port_published_by_iptables_is_closed_unless_it_is_listed() {
    if !privileged() {
        return;
    }
    let lab = Lab::new();
    lab.publish_by_iptables();
    check(&lab, Refusal::Drop);
}

#[test]
fn a_packet_is_followed_through_the_nat_rules_of_others() {
    if !privileged() {
        return;
    }
    let lab = Lab::new();
    lab.publish_by_nft();
    install(&lab.wire.host, &compile(&policy(Refusal::Reject)));
    let ruleset = lab.wire.host.run(|| Connection::open().unwrap().dump_ruleset()).unwrap();
    let machine = Machine::new(&ruleset.tables);
    for (from, to, _, allowed) in ways_in() {
        let packet = Packet::tcp(SocketAddr::new(from, 40_000), to).unwrap();
        let packet = packet.arriving_on("eth0").leaving_by("docker0");
        let decision = machine.decide_along(&[Hook::Prerouting, Hook::Forward], &packet);
        assert!(decision.certain, "{packet}: {decision}");
        assert_eq!(decision.verdict.is_accept(), allowed, "{packet}: {decision}");
    }
}
