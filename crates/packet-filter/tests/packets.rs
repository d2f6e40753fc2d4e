//! The kernel as the judge of the machine: random packets across a real link, through our tables and others'.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "support/frames.rs"]
mod frames;
#[path = "support/judge.rs"]
mod judge;
#[path = "support/policies.rs"]
mod policies;
mod support;

use std::net::Ipv6Addr;
use std::time::Instant;

use judge::{PROBE_HOP_LIMIT, Seen, Tally, judge, probe, watched_wire};
use nf_tables::Connection;
use packet_filter::{
    Addresses, Answer, Ending, FilterPolicy, Machine, Packet, Payload, compile, policy_decides, prove,
};
use support::{HOST_V4, HOST_V6, STRANGERS_V4, Wire, install, privileged};

/// A compiled policy: the kernel does as the machine says, and both as the policy.
fn agree(name: &str, policy: &FilterPolicy) -> Tally {
    let wire = watched_wire();
    let compiled = compile(policy);
    prove(policy, &compiled).unwrap();
    install(&wire.host, &compiled);
    let machine = Machine::new([compiled.table()]);
    let mut ports = vec![0, 1, 9, 65535];
    for range in policy.allow.iter().flat_map(|allow| &allow.ports) {
        ports.extend([range.first.saturating_sub(1), range.first, range.last, range.last.saturating_add(1)]);
    }
    judge(name, &wire, &machine, &ports, 1500, |hook, packet, seen| {
        let meant = policy_decides(policy, hook, packet);
        if let Answer::Open { possible, .. } = &meant {
            let is_meant = |ending: &Ending| (*ending == Ending::Accept) == seen.passed;
            assert!(possible.iter().any(is_meant), "{name}: {hook} {packet}: the policy says {meant}");
            return;
        }
        let meant_to_pass = !matches!(meant, Answer::Refuse(_));
        assert_eq!(meant_to_pass, seen.passed, "{name}: {hook} {packet}: the policy says {meant}");
    })
}

#[test]
fn the_machine_decides_as_the_kernel_does() {
    if !privileged() {
        return;
    }
    for (name, policy) in policies::all() {
        let tally = agree(name, &policy);
        println!("{name}: {tally:?}");
        assert!(tally.judged > 1400, "{name}: {tally:?}");
        assert!(tally.passed > 5, "{name}: {tally:?}");
    }
}

/// Tables as others write them: concatenations, ranges, maps, marks, jumps, flags, several base chains.
const FOREIGN: &str = "
table inet foreign {
    set ports { type inet_service; flags interval; elements = { 20-25, 80, 8000-9000 } }
    set pairs { type ipv4_addr . inet_service; flags interval; elements = { 192.0.2.0/28 . 1000-2000, 10.0.0.0/8 . 22 } }
    set exact { type inet_proto . inet_service; elements = { tcp . 443, udp . 53 } }
    map marks { type ipv4_addr : mark; elements = { 192.0.2.10 : 0x10, 10.1.2.3 : 0x20 } }
    chain a { tcp flags & (fin|syn|rst|ack) == syn accept; tcp dport 22 return; accept; }
    chain b { meta mark 0x10 drop; ip saddr 10.0.0.0-10.1.255.255 accept; meta nfproto ipv6 goto a; }
    map decisions { type inet_service : verdict; flags interval; elements = { 22 : goto a, 23-24 : jump b, 80 : accept, 100-200 : drop } }
    chain early {
        type filter hook prerouting priority mangle; policy accept;
        meta mark set ip saddr map @marks
        ip6 saddr 2001:db8::/64 meta mark set 0x1234
        ip saddr 9.255.255.255 udp dport 81 drop
    }
    chain input {
        type filter hook input priority filter; policy drop;
        iif lo accept
        ct state established,related accept
        ct state vmap { invalid : drop }
        ip protocol icmp icmp type { echo-request, 13 } accept
        icmpv6 type { 1-4, 133-136, 200 } accept
        fib daddr type != local drop
        meta l4proto . th dport @exact accept
        ip saddr . tcp dport @pairs accept
        tcp dport @ports tcp dport != 8500 jump b
        th dport vmap @decisions
        meta l4proto { 132, 33 } ip ttl < 80 accept
        ip6 saddr & ffff:ffff:ffff:0:: == 2001:db8:1:: udp sport 20000-20500 accept
        udp dport > 60000 udp dport <= 65000 accept
        ip daddr 127.0.0.1 reject with icmpx admin-prohibited
        meta mark & 0xff00 == 0x1200 tcp dport 9 reject with tcp reset
        meta mark 0x20 counter accept
        tcp sport 20000-20700 tcp flags syn tcp dport 1 accept
        limit rate 1/hour burst 1 packets udp dport 7 accept
    }
    chain late {
        type filter hook input priority 10; policy accept;
        udp dport { 9, 53 } ip saddr != 192.0.2.0/24 drop
        ip6 daddr 2001:db8::1 tcp dport 443 ip6 saddr fd00::/8 reject with tcp reset
    }
    chain forward {
        type filter hook forward priority filter; policy accept;
        oifname \"eth*\" iifname != \"lo\" tcp dport 20-100 drop
        ip daddr 198.51.100.0/25 udp dport != 53 ip protocol udp reject
    }
}
table ip other {
    chain input { type filter hook input priority -5; policy accept; ip saddr 192.0.2.20 tcp dport 81 drop; }
}
table ip6 other {
    chain input { type filter hook input priority -5; policy accept; meta l4proto 253 accept; udp dport 81 drop; }
}";

fn foreign_tables(wire: &Wire) -> Vec<nf_tables::TableDump> {
    let ruleset = wire.host.run(|| Connection::open().unwrap().dump_ruleset()).unwrap();
    ruleset.tables.into_iter().filter(|dump| dump.table.name != "witness").collect()
}

#[test]
fn tables_of_others_are_decided_as_the_kernel_does() {
    if !privileged() {
        return;
    }
    let wire = watched_wire();
    wire.host.run(|| support::nft(FOREIGN));
    let tables = foreign_tables(&wire);
    let ports = [
        1, 7, 9, 19, 20, 22, 23, 24, 53, 80, 81, 100, 443, 1000, 2001, 8080, 8500, 60000, 60001, 65000, 65001,
    ];
    // What stands where ports would in a protocol that has none is not known, and some rules here look at it.
    let tally = judge("foreign", &wire, &Machine::new(&tables), &ports, 4000, |_, _, _| {});
    println!("{tally:?}");
    assert!(tally.judged > 3900 && tally.passed > 500 && tally.uncertain < 400, "{tally:?}");
}

/// What `iptables-nft` makes: matches and targets of `x_tables` inside rules of `nf_tables`.
const IPTABLES: &str = "
iptables-nft -A INPUT -i lo -j ACCEPT
iptables-nft -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables-nft -A INPUT -m state --state INVALID -j DROP
iptables-nft -A INPUT -m addrtype ! --dst-type LOCAL -j DROP
iptables-nft -A INPUT -p tcp -m multiport --dports 80,443,8000:8010 -j ACCEPT
iptables-nft -A INPUT -p tcp -m multiport ! --ports 22,20000:65535 -j DROP
iptables-nft -A INPUT -p udp --sport 20000:20900 --dport 53:100 -m comment --comment dns -j ACCEPT
iptables-nft -A INPUT -p icmp --icmp-type echo-request -j ACCEPT
iptables-nft -A INPUT -p icmp -m icmp ! --icmp-type 13/0 -j DROP
iptables-nft -N syn
iptables-nft -A INPUT -p tcp --syn -j syn
iptables-nft -A syn -p tcp -s 10.0.0.0/8 -j REJECT --reject-with tcp-reset
iptables-nft -A syn -m ttl --ttl-gt 77 -j DROP
iptables-nft -A syn -m conntrack ! --ctstate NEW -j RETURN
iptables-nft -A syn -p tcp --dport 22 -j ACCEPT
iptables-nft -A INPUT -j REJECT --reject-with icmp-admin-prohibited
iptables-nft -P FORWARD DROP
ip6tables-nft -A INPUT -p icmpv6 --icmpv6-type echo-request -m hl --hl-eq 77 -j ACCEPT
ip6tables-nft -A INPUT -p icmpv6 --icmpv6-type neighbour-solicitation -j ACCEPT
ip6tables-nft -A INPUT -p icmpv6 --icmpv6-type neighbour-advertisement -j ACCEPT
ip6tables-nft -A INPUT -p tcp -m tcp --tcp-flags SYN,ACK SYN -m multiport --sports 20000:20100,20300 -j ACCEPT
ip6tables-nft -A INPUT -m conntrack --ctstate UNTRACKED -j DROP
ip6tables-nft -A INPUT -m conntrack --ctstate NEW -p udp -j REJECT
ip6tables-nft -A INPUT -p tcp -j REJECT --reject-with tcp-reset
ip6tables-nft -P INPUT DROP";

#[test]
fn rules_of_iptables_are_decided_as_the_kernel_does() {
    if !privileged() {
        return;
    }
    let wire = watched_wire();
    for line in IPTABLES.trim().lines() {
        let (program, arguments) = line.split_once(' ').unwrap();
        wire.host.command(program, arguments);
    }
    let tables = foreign_tables(&wire);
    let ports = [1, 9, 22, 53, 79, 80, 100, 101, 443, 7999, 8000, 8010, 8011, 20000];
    let tally = judge("iptables", &wire, &Machine::new(&tables), &ports, 3000, |_, _, _| {});
    println!("{tally:?}");
    assert!(tally.judged > 2900 && tally.passed > 200 && tally.uncertain == 0, "{tally:?}");
}

#[test]
fn a_source_that_opens_too_many_connections_is_refused_and_others_are_not() {
    if !privileged() {
        return;
    }
    let wire = watched_wire();
    let compiled = compile(&policies::classic());
    install(&wire.host, &compiled);
    // Neighbours of one /64 share a bucket.
    let neighbours =
        [Ipv6Addr::new(0x2001, 0xdb8, 7, 7, 0, 0, 0, 1), Ipv6Addr::new(0x2001, 0xdb8, 7, 7, 0xffff, 0, 0, 2)];
    let stranger = Ipv6Addr::new(0x2001, 0xdb8, 7, 8, 0, 0, 0, 1);
    let syn = |addresses, source| {
        let payload = Payload::Tcp { source, destination: 22, flags: 2 };
        Packet::new(addresses, payload).arriving_on("eth0").with_hop_limit(PROBE_HOP_LIMIT)
    };
    let v4 = |source| Addresses::Ipv4 { source, destination: HOST_V4 };
    let v6 = |source| Addresses::Ipv6 { source, destination: HOST_V6 };
    let dealt_with = |seen: &Seen| !seen.states.is_empty() && (seen.passed || seen.answered);
    let (mut passed_v4, mut passed_v6) = (0, 0);
    let began = Instant::now();
    for nth in 0..45_u16 {
        passed_v4 += u64::from(probe(&wire, &syn(v4(STRANGERS_V4[0]), 3000 + nth), dealt_with).passed);
        let neighbour = neighbours[usize::from(nth % 2)];
        passed_v6 += u64::from(probe(&wire, &syn(v6(neighbour), 4000 + nth), dealt_with).passed);
    }
    // 30 at once, and one more each two seconds.
    let most = 30 + began.elapsed().as_secs() / 2 + 1;
    assert!((30..=most).contains(&passed_v4), "{passed_v4} of 45 IPv4 connections passed");
    assert!((30..=most).contains(&passed_v6), "{passed_v6} of 45 IPv6 connections passed");
    assert!(probe(&wire, &syn(v4(STRANGERS_V4[1]), 5000), dealt_with).passed);
    assert!(probe(&wire, &syn(v6(stranger), 5000), dealt_with).passed);
}
