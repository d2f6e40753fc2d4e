//! What is compiled, as people read it, and how much it takes to prove it.

#[path = "support/policies.rs"]
mod policies;

use packet_filter::{Allow, FilterPolicy, PortRange, compile, prove, text};

#[test]
fn what_is_compiled_reads_as_what_the_policy_says() {
    for (name, policy) in policies::all() {
        insta::assert_snapshot!(name, text::table(compile(&policy).table()));
    }
}

#[test]
fn the_number_of_packets_that_prove_a_policy_does_not_grow_with_its_lists() {
    let with_sources = |count: u32| {
        let mut allow = Allow::new("listed", [PortRange::tcp(8443)]);
        allow.from = (0..count)
            .map(|nth| ipnet::Ipv4Net::from(std::net::Ipv4Addr::from(0x0a00_0000 + nth * 2)).into())
            .collect();
        let policy = FilterPolicy { allow: vec![allow], ..policies::classic() };
        prove(&policy, &compile(&policy)).expect("it does what the policy says").packets
    };
    assert_eq!(with_sources(1), with_sources(10_000));
}
