//! Addresses that tell every set of networks apart.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::address::Target;
use crate::pattern;

/// Addresses in no network of note, for documentation (RFC 5737, RFC 3849).
const PLAIN: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 77)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x77)),
];

/// Candidates, the plainest first, and whether no class of addresses can be missing.
///
/// Networks contain each other or are apart. So every class is a network without some smaller ones, and such a set,
/// where not empty, holds the first address of the network or the one behind a smaller network.
pub(super) fn candidates<'a>(targets: impl Iterator<Item = &'a Target>) -> (Vec<IpAddr>, bool) {
    let mut found: Vec<IpAddr> = PLAIN.to_vec();
    let mut edges = Vec::new();
    let mut complete = true;
    for target in targets {
        match target {
            Target::Network(network) => {
                // Rather a host than the network's own address.
                found.extend(network.hosts().nth(1));
                edges.extend([
                    Some(network.network()),
                    Some(network.broadcast()),
                    after(network),
                    before(network),
                ]);
            }
            Target::Wildcard(wildcard) => {
                complete = false;
                found.extend(of_wildcard(wildcard));
            }
        }
    }
    found.extend(edges.into_iter().flatten());
    found.extend([IpAddr::from([0, 0, 0, 0]), IpAddr::V6(Ipv6Addr::UNSPECIFIED)]);
    (found, complete)
}

fn after(network: &IpNet) -> Option<IpAddr> {
    match network.broadcast() {
        IpAddr::V4(last) => u32::from(last).checked_add(1).map(|next| Ipv4Addr::from(next).into()),
        IpAddr::V6(last) => u128::from(last).checked_add(1).map(|next| Ipv6Addr::from(next).into()),
    }
}

fn before(network: &IpNet) -> Option<IpAddr> {
    match network.network() {
        IpAddr::V4(first) => u32::from(first).checked_sub(1).map(|next| Ipv4Addr::from(next).into()),
        IpAddr::V6(first) => u128::from(first).checked_sub(1).map(|next| Ipv6Addr::from(next).into()),
    }
}

/// Addresses whose text matches a pattern, by filling its wildcards.
pub(super) fn of_wildcard(wildcard: &str) -> Vec<IpAddr> {
    const FILLINGS: [&str; 12] =
        ["7", "7.7", "7.7.7", "203.0.113.77", "1", "", "::7", "db8::7", ":7", "0", "2001:db8::77", "77"];
    const MAX_TRIES: usize = 20_000;
    let mut texts = vec![String::new()];
    for c in wildcard.chars() {
        let fillings: &[&str] = match c {
            '*' => &FILLINGS,
            '?' => &["7", "1", ".", ":"],
            _ => &[],
        };
        texts = if fillings.is_empty() {
            texts.into_iter().map(|text| text + c.encode_utf8(&mut [0; 4])).collect()
        } else {
            let filled =
                texts.iter().flat_map(|text| fillings.iter().map(move |filling| format!("{text}{filling}")));
            filled.take(MAX_TRIES).collect()
        };
    }
    let addresses = texts.iter().filter_map(|text| text.parse::<IpAddr>().ok());
    let mut addresses: Vec<_> = addresses.filter(|a| pattern::matches(&a.to_string(), wildcard)).collect();
    addresses.truncate(4);
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_filled() {
        for wildcard in ["10.*", "192.168.?.1", "2001:db8:*", "*", "10.*.7.*", "fe80::*"] {
            assert!(!of_wildcard(wildcard).is_empty(), "{wildcard}");
        }
        assert!(of_wildcard("*.example.org").is_empty());
    }
}
