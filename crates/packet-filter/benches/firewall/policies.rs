//! The policies that are measured.

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};
use packet_filter::{Allow, Compiled, FilterPolicy, PortRange, Refusal, compile};

/// Sources of the long lists.
pub(crate) const MANY: u32 = 10_000;
/// The port that packets are sent to.
pub(crate) const PORT: u16 = 5000;

/// A policy of at least 34 rules: a usual server's, with services and some ports for some networks. `version` makes all rules
/// differ in what they say of themselves.
pub(crate) fn usual(version: u32) -> FilterPolicy {
    let mut policy = FilterPolicy::default();
    for nth in 0_u16.. {
        let mut allow = Allow::new(format!("service {nth}"), [PortRange::tcp(8000 + nth)]);
        allow.place = Some(format!("policy.toml:{}", version + u32::from(nth)));
        if nth % 3 == 2 {
            allow.from =
                vec![IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(192, 168, nth.to_be_bytes()[1], 0), 24))];
        }
        policy.allow.push(allow);
        if rules(&compile(&policy)) >= 34 {
            break;
        }
    }
    policy
}

/// One port, open to so many single addresses.
pub(crate) fn sources(count: u32) -> FilterPolicy {
    let mut allow = Allow::new("many", [PortRange::udp(PORT)]);
    allow.from = (0..count).map(|nth| IpNet::V4(Ipv4Net::new_assert(source(nth), 32))).collect();
    FilterPolicy { allow: vec![allow], inbound: Refusal::Drop, log: None, ..FilterPolicy::default() }
}

/// Addresses of which no two stand side by side.
pub(crate) fn source(nth: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0001 + nth * 3)
}

pub(crate) fn rules(compiled: &Compiled) -> usize {
    compiled.table().chains.iter().map(|chain| chain.rules.len()).sum()
}
