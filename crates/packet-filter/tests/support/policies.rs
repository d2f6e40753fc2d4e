//! Policies that the tests share.

#![allow(dead_code, reason = "each test uses its part")]

use iptables_syntax::{Family, Mode, parse_rules};
use packet_filter::{
    Allow, FilterPolicy, ForwardEntry, Ipv6, LogRate, Per, PolicyRule, PortRange, Refusal, Rules, Transport,
};

fn ports(transport: Transport, first: u16, last: u16) -> PortRange {
    PortRange { transport, first, last }
}

/// The classic guide's host: SSH with a limit, HTTP and HTTPS for all, one port for some.
pub(crate) fn classic() -> FilterPolicy {
    let mut ssh = Allow::new("ssh", [PortRange::tcp(22)]);
    ssh.new_per_minute = Some(30);
    ssh.place = Some("policy.toml:31".to_owned());
    let mut web = Allow::new("http, https", [PortRange::tcp(80), PortRange::tcp(443)]);
    web.place = Some("policy.toml:35".to_owned());
    let mut balancer = Allow::new("tcp/8080", [PortRange::tcp(8080)]);
    balancer.from = prefixes(&["192.168.255.0/24"]);
    balancer.comment = Some("load balancer".to_owned());
    balancer.place = Some("policy.toml:38".to_owned());
    FilterPolicy { allow: vec![ssh, web, balancer], ..FilterPolicy::default() }
}

/// Everything at once: ranges, overlaps, both transports, sources of both families, limits, drop.
pub(crate) fn wide() -> FilterPolicy {
    let mut ssh = Allow::new("ssh", [PortRange::tcp(22)]);
    ssh.new_per_minute = Some(60);
    let mut ssh_admins = Allow::new("ssh", [PortRange::tcp(22), PortRange::tcp(2222)]);
    ssh_admins.from = prefixes(&["192.0.2.20/32", "2001:db8:0:1::/64", "10.0.0.0/8", "10.1.0.0/16"]);
    let dns = Allow::new("dns", [PortRange::tcp(53), PortRange::udp(53)]);
    let mut high =
        Allow::new("high", [ports(Transport::Tcp, 8000, 8100), ports(Transport::Udp, 60000, 65535)]);
    high.from = prefixes(&["192.0.2.0/28"]);
    let mut counted = Allow::new("counted", [ports(Transport::Udp, 60500, 60600)]);
    counted.new_per_minute = Some(120);
    counted.from = prefixes(&["192.0.2.0/24", "2001:db8::/32"]);
    let lowest = Allow::new("lowest", [ports(Transport::Udp, 0, 6)]);
    FilterPolicy {
        inbound: Refusal::Drop,
        forward: Refusal::Drop,
        log: Some(LogRate { count: 2, per: Per::Second }),
        allow: vec![ssh, ssh_admins, dns, high, counted, lowest],
        ..FilterPolicy::default()
    }
}

/// IPv6 refused whole, no ping, no log.
pub(crate) fn without_ipv6() -> FilterPolicy {
    FilterPolicy { ipv6: Ipv6::Reject, ping: false, log: None, ..classic() }
}

/// Nothing is let in.
pub(crate) fn shut() -> FilterPolicy {
    FilterPolicy { ping: false, ..FilterPolicy::default() }
}

/// A host of containers: their way out, some networks to each other, one service behind it.
pub(crate) fn router() -> FilterPolicy {
    let mut outwards =
        ForwardEntry { input: vec!["docker0".into(), "br-*".into()], ..ForwardEntry::default() };
    outwards.place = Some("policy.toml:50".to_owned());
    let between = ForwardEntry {
        input: vec!["eth0".into(), "eth1".into()],
        output: vec!["eth1".into(), "wg*".into()],
        from: prefixes(&["10.0.0.0/8", "2001:db8:0:1::/64"]),
        to: prefixes(&["198.51.100.0/25", "198.51.100.128/25"]),
        comment: Some("the branch office".to_owned()),
        ..ForwardEntry::default()
    };
    let shop = ForwardEntry {
        to: prefixes(&["198.51.100.99/32", "2001:db8:ffff::/48"]),
        ports: vec![PortRange::tcp(443), ports(Transport::Tcp, 8000, 8010), PortRange::udp(443)],
        ..ForwardEntry::default()
    };
    let ports_alone = ForwardEntry { ports: vec![PortRange::udp(53)], ..ForwardEntry::default() };
    FilterPolicy { forwards: vec![outwards, between, shop, ports_alone], ..classic() }
}

/// A rule in the words of iptables, for the families that it can be for.
pub(crate) fn rule(chain: &str, text: &str) -> PolicyRule {
    let of = |family| parse_rules(text, family, Mode::Strict).unwrap_or_default();
    let (ipv4, ipv6) = (of(Family::Ipv4), of(Family::Ipv6));
    assert!(!ipv4.is_empty() || !ipv6.is_empty(), "{text}");
    let place = Some(format!("policy.toml:{}", 10 + text.len()));
    PolicyRule { chain: chain.to_owned(), ipv4, ipv6, text: text.to_owned(), comment: None, place }
}

/// Rules of its own in all three directions, with chains, marks, logs and rates.
pub(crate) fn ruled() -> FilterPolicy {
    let rules = [
        ("input", "-s 192.0.2.20 -p tcp --dport 22 -j ACCEPT"),
        ("input", "-s 192.0.2.0/28,198.51.100.0/24 -p tcp --dport 8080 -j DROP"),
        ("input", "-s 2001:db8:0:1::/64 -p tcp --dport 8080 -j DROP"),
        ("input", "-p tcp -m multiport --dports 25,110,143 -j mail"),
        ("input", "-p icmp --icmp-type echo-request -s 203.0.113.0/24 -j DROP"),
        ("input", "-m mark --mark 0x10/0xf0 -j REJECT --reject-with icmp-admin-prohibited"),
        ("input", "-p udp --dport 9 -m limit --limit 10/min --limit-burst 3 -j ACCEPT"),
        ("input", "-p udp --dport 9 -j DROP"),
        ("input", "-p tcp --syn --dport 81 -j MARK --set-mark 7"),
        ("input", "-m mark --mark 7 -j LOG --log-prefix \"marked \""),
        ("input", "-m mark --mark 7 -j ACCEPT"),
        ("input", "-p tcp --dport 80:81 ! -s 10.0.0.0/8 -j REJECT --reject-with tcp-reset"),
        ("mail", "-s 198.51.100.0/24 -j RETURN"),
        ("mail", "-m conntrack --ctstate NEW -g log-and-drop"),
        ("log-and-drop", "-m limit --limit 1/sec -j LOG"),
        ("log-and-drop", "-j DROP"),
        ("forward", "-i docker0 -o eth1 -p tcp --dport 25 -j REJECT"),
        ("forward", "-m conntrack --ctorigdstport 80 -p tcp -s 192.0.2.10 -j DROP"),
        ("output", "-p tcp --dport 25 -j REJECT"),
        ("output", "-o eth0 -d 10.0.0.0/8 -j DROP"),
    ];
    let rules = Rules::new(rules.iter().map(|(chain, text)| rule(chain, text)).collect());
    FilterPolicy { rules: rules.expect("rules that can be had"), ..router() }
}

pub(crate) fn all() -> Vec<(&'static str, FilterPolicy)> {
    vec![
        ("classic", classic()),
        ("wide", wide()),
        ("without-ipv6", without_ipv6()),
        ("shut", shut()),
        ("router", router()),
        ("ruled", ruled()),
    ]
}

pub(crate) fn prefixes(texts: &[&str]) -> Vec<ipnet::IpNet> {
    texts.iter().map(|text| text.parse().expect("a prefix")).collect()
}
