use super::*;
use crate::{Allow, FilterPolicy, Ipv6, PortRange, compile};

fn policy() -> FilterPolicy {
    let mut https = Allow::new("https", [PortRange::tcp(443), PortRange::udp(443)]);
    https.place = Some("policy.toml:9".to_owned());
    let mut ssh = Allow::new("ssh", [PortRange::tcp(2222)]);
    ssh.place = Some("policy.toml:5".to_owned());
    ssh.new_per_minute = Some(30);
    let mut database = Allow::new("tcp/5432", [PortRange::tcp(5432)]);
    database.place = Some("policy.toml:14".to_owned());
    database.from = vec!["10.0.0.0/8".parse().unwrap()];
    FilterPolicy { allow: vec![ssh, https, database], ..FilterPolicy::default() }
}

fn whats(chain: &ListedChain) -> Vec<&str> {
    chain.lines.iter().map(|line| line.what.as_str()).collect()
}

#[test]
fn a_compiled_policy_is_one_numbered_list_for_both_families_in_the_order_of_the_policy() {
    let compiled = compile(&policy());
    let chains = listing(compiled.table());
    assert_eq!(chains.iter().map(|chain| chain.name.as_str()).collect::<Vec<_>>(), ["INPUT", "FORWARD"]);
    let input = &chains[0];
    let whats = whats(input);
    assert_eq!((whats[0], input.policy), ("loopback", "drop"));
    let at = |what: &str| {
        whats.iter().position(|other| *other == what).unwrap_or_else(|| panic!("{what}: {whats:#?}"))
    };
    let order = ["spoofed loopback", "established flows", "ping", "allow ssh", "allow https"];
    assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{whats:#?}");
    assert!(at("allow tcp/5432") < at("log what is refused"));
    assert_eq!(*whats.last().unwrap(), "refuse what nothing allows");
    for (nth, line) in input.lines.iter().enumerate() {
        assert_eq!(line.number, nth + 1);
    }
    let ssh = &input.lines[at("allow ssh")];
    assert_eq!((ssh.place.as_deref(), ssh.target), (Some("policy.toml:5"), "accept"));
    assert_eq!(
        (ssh.ports.as_slice(), ssh.limit.as_deref()),
        (&["tcp/2222".to_owned()][..], Some("30/minute for each source"))
    );
    assert!(ssh.ipv4 && ssh.ipv6 && ssh.rules.len() == 2);
    let database = &input.lines[at("allow tcp/5432")];
    assert_eq!(
        (database.ipv4, database.ipv6, database.sources.as_slice()),
        (true, false, &["10.0.0.0/8".to_owned()][..])
    );
    let https = &input.lines[at("allow https")];
    assert_eq!(https.ports, ["tcp/443", "udp/443"]);
}

#[test]
fn a_rule_that_somebody_put_there_is_a_line_of_its_own_where_it_stands() {
    let compiled = compile(&FilterPolicy { ipv6: Ipv6::Reject, ..policy() });
    let mut dump = compiled.table().clone();
    let chain = dump.chains.iter_mut().find(|chain| chain.chain.name == "input-ipv4").unwrap();
    let accept = Rule::new(vec![Expression::Immediate(Immediate::verdict(Verdict::Accept))]);
    chain.rules.insert(0, accept);
    let input = &listing(&dump)[0];
    assert_eq!((input.lines[1].what.as_str(), input.lines[1].target), ("accept", "accept"));
    assert!(!input.lines[1].is_commented && input.lines[0].is_commented);
    assert_eq!((input.lines[1].ipv4, input.lines[1].ipv6), (true, false));
}

#[test]
fn a_place_is_told_from_words_in_parentheses() {
    assert_eq!(
        split_place("allow a (policy.toml:3)"),
        ("allow a".to_owned(), Some("policy.toml:3".to_owned()))
    );
    assert_eq!(split_place("ICMPv6 errors (RFC 4890)"), ("ICMPv6 errors (RFC 4890)".to_owned(), None));
    assert_eq!(split_place("a (b:)"), ("a (b:)".to_owned(), None));
}
