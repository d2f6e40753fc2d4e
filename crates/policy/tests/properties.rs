//! What holds for all policies and for all texts.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

use std::path::Path;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use policy::services::SERVICES;
use policy::{
    Admin, Allow, AllowLogin, Backend, Crypto, Firewall, Forward, Hints, Ipv6, Listening, LogRate, Password,
    Policy, PortSpec, Refusal, Rule, RuleFamily, Ssh, Sudo, Transport, parse_with_places, to_toml,
};
use proptest::prelude::*;

const KEYS: [&str; 2] = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f laptop of \"ann\" \\",
    "from=\"10.0.0.0/8\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
];
const HASH: &str = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7";

fn admin() -> impl Strategy<Value = Admin> {
    let keys = prop::sample::subsequence(KEYS.map(str::to_owned).to_vec(), 0..=2);
    let access = prop_oneof![
        Just((Password::Keep, Sudo::Auto)),
        Just((Password::Locked, Sudo::NoPassword)),
        Just((Password::Hash(HASH.to_owned()), Sudo::Password)),
    ];
    let shell = prop::option::of("/[a-z \"\\\\]{1,12}".prop_map(Into::into));
    ("[a-qs-z_][a-z0-9_-]{0,31}", keys, access, shell)
        .prop_map(|(name, keys, (password, sudo), shell)| Admin { name, keys, password, sudo, shell })
}

fn ssh(any_admin: bool) -> impl Strategy<Value = Ssh> {
    let crypto = prop_oneof![Just(Crypto::Modern), Just(Crypto::Compatible)];
    (any::<[bool; 4]>(), crypto, any::<bool>()).prop_map(move |(on, crypto, admins)| Ssh {
        root_login: on[0],
        password_login: on[1],
        crypto,
        allow: if admins && any_admin { AllowLogin::Admins } else { AllowLogin::Any },
        tcp_forwarding: on[2],
        agent_forwarding: on[3],
    })
}

fn port() -> impl Strategy<Value = PortSpec> {
    let transport = prop_oneof![Just(Transport::Tcp), Just(Transport::Udp)];
    (transport, 1..=u16::MAX, 1..=u16::MAX).prop_map(|(transport, a, b)| PortSpec {
        transport,
        first: a.min(b),
        last: a.max(b),
    })
}

fn source(ipv6: Ipv6) -> impl Strategy<Value = IpNet> {
    (any::<u128>(), 0..=128u8, any::<bool>()).prop_map(move |(bits, prefix, four)| {
        if four || ipv6 == Ipv6::Reject {
            let address = u32::try_from(bits >> 96).unwrap();
            IpNet::from(Ipv4Net::new(address.into(), prefix % 33).unwrap()).trunc()
        } else {
            IpNet::from(Ipv6Net::new(bits.into(), prefix).unwrap()).trunc()
        }
    })
}

fn allow(ipv6: Ipv6) -> impl Strategy<Value = Allow> {
    let names: Vec<String> = SERVICES.iter().map(|service| service.name.to_owned()).collect();
    let service = prop::sample::subsequence(names, 0..4);
    let port = prop::collection::vec(port(), 0..4);
    let from = prop::collection::vec(source(ipv6), 0..4);
    let comment = prop::option::of("[^\\p{Cc}]{0,20}");
    (service, port, from, prop::option::of(1..=u32::MAX), comment)
        .prop_filter("it lets something in", |(service, port, ..)| !service.is_empty() || !port.is_empty())
        .prop_map(|(service, port, from, new_per_minute, comment)| Allow {
            service,
            port,
            from,
            new_per_minute,
            comment,
            line: 0,
        })
}

fn forward(ipv6: Ipv6) -> impl Strategy<Value = Forward> {
    let interfaces = || prop::collection::vec("[a-z]{1,4}[*]?", 0..3);
    let networks = || prop::collection::vec(source(ipv6), 0..3);
    let comment = prop::option::of("[^\\p{Cc}]{0,20}");
    (interfaces(), interfaces(), networks(), networks(), prop::collection::vec(port(), 0..3), comment)
        .prop_filter("it says something", |(input, output, from, to, port, _)| {
            !(input.is_empty() && output.is_empty() && from.is_empty() && to.is_empty() && port.is_empty())
        })
        .prop_map(|(input, output, from, to, port, comment)| Forward {
            input,
            output,
            from,
            to,
            port,
            comment,
            line: 0,
        })
}

fn rule() -> impl Strategy<Value = Rule> {
    let text = prop::sample::select(vec![
        "-p tcp --dport 25 -j DROP",
        "-s 203.0.113.0/24 -j REJECT",
        "-m comment --comment \"it's\" -j ACCEPT",
        "-j LOG --log-prefix \"a b \"",
    ]);
    let chain = prop::sample::select(vec!["input", "forward", "output"]);
    let comment = prop::option::of("[^\\p{Cc}]{0,20}");
    (chain, text, any::<bool>(), comment).prop_map(|(chain, rule, active, comment)| Rule {
        chain: chain.to_owned(),
        rule: rule.to_owned(),
        family: rule.contains("203").then_some(RuleFamily::Ipv4),
        comment,
        active,
        line: 0,
    })
}

fn firewall() -> impl Strategy<Value = Firewall> {
    let refusal = || prop_oneof![Just(Refusal::Reject), Just(Refusal::Drop)];
    let log = prop_oneof![
        Just(LogRate::Off),
        (1..=u32::MAX).prop_map(LogRate::PerSecond),
        (1..=u32::MAX).prop_map(LogRate::PerMinute),
        (1..=u32::MAX).prop_map(LogRate::PerHour),
    ];
    prop_oneof![Just(Ipv6::Same), Just(Ipv6::Reject)].prop_flat_map(move |ipv6| {
        let allow = prop::collection::vec(allow(ipv6), 0..4);
        let backend = prop::sample::select(vec![Backend::Auto, Backend::Nftables, Backend::Iptables]);
        let forward = prop::collection::vec(forward(ipv6), 0..3);
        let rule = prop::collection::vec(rule(), 0..3);
        let words = (refusal(), refusal(), any::<bool>(), log.clone(), any::<bool>(), backend);
        (words, allow, forward, rule).prop_map(
            move |((inbound, forwarded, ping, log, exclusive, backend), allow, forward, rule)| Firewall {
                inbound,
                forwarded,
                ping,
                ipv6,
                log,
                exclusive,
                backend,
                allow,
                forward,
                rule,
            },
        )
    })
}

fn any_policy() -> impl Strategy<Value = Policy> {
    prop::collection::btree_map("[a-z]{1,8}", admin(), 0..3).prop_flat_map(|named| {
        let admins: Vec<Admin> = named.into_iter().map(|(name, admin)| Admin { name, ..admin }).collect();
        let admins: Vec<Admin> = admins.into_iter().filter(|admin| admin.name != "root").collect();
        (ssh(!admins.is_empty()), firewall()).prop_map(move |(ssh, firewall)| Policy {
            admins: admins.clone(),
            ssh,
            firewall,
        })
    })
}

fn hints() -> impl Strategy<Value = Hints> {
    let listening = (port(), ".{0,12}").prop_map(|(port, process)| Listening { port, process });
    (
        prop::option::of(".{0,12}"),
        prop::collection::vec(1..=u16::MAX, 0..3),
        prop::collection::btree_map("[a-z]{1,2}", ".{0,12}", 0..3),
        prop::collection::vec(listening, 0..5),
    )
        .prop_map(|(host, ssh_ports, keys_from, listening)| Hints {
            host,
            ssh_ports,
            keys_from,
            listening,
        })
}

fn without_lines(mut policy: Policy) -> Policy {
    policy.firewall.allow.iter_mut().for_each(|allow| allow.line = 0);
    policy.firewall.forward.iter_mut().for_each(|forward| forward.line = 0);
    policy.firewall.rule.iter_mut().for_each(|rule| rule.line = 0);
    policy
}

/// Texts near enough to a policy to get past the TOML reader.
fn policy_like() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("admin"),
        Just("ssh"),
        Just("firewall"),
        Just("allow"),
        Just("name"),
        Just("keys"),
        Just("port"),
        Just("from"),
        Just("log"),
        Just("password"),
        Just("new-per-minute"),
        Just("service"),
        Just("\"\\u0000\""),
        Just("é"),
    ];
    let value = prop_oneof![
        Just("true".to_owned()),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        Just("[[]]".to_owned()),
        Just("1979-05-27".to_owned()),
        Just("-0x1".to_owned()),
        Just("inf".to_owned()),
        "\"[ -!#-\\[\\]-~é🦀]{0,12}\"",
        "-?[0-9]{1,25}",
        "\\[\"[a-z/0-9.:]{0,9}\"\\]",
    ];
    let line = prop_oneof![
        (word.clone(), value).prop_map(|(key, value)| format!("{key} = {value}\n")),
        (word.clone()).prop_map(|name| format!("[{name}]\n")),
        (word.clone(), word).prop_map(|(a, b)| format!("[[{a}.{b}]]\n")),
        Just("[[firewall.allow]]\n".to_owned()),
        Just("[[admin]]\n".to_owned()),
    ];
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.concat())
}

fn read_and_draw(text: &str) {
    match parse_with_places(text, Path::new("p\u{1b}.toml")) {
        Ok(parsed) => {
            policy::render(Path::new("p"), text, &parsed.warnings, true);
        }
        Err(error) => {
            assert!(!error.problems.is_empty());
            let drawn = error.render(false);
            assert!(!drawn.contains(|c: char| c.is_control() && c != '\n'), "{drawn:?}");
            error.render(true);
        }
    }
}

proptest! {
    #[test]
    fn a_written_policy_reads_back_as_itself(policy in any_policy(), hints in hints()) {
        let text = to_toml(&policy, &hints);
        let parsed = parse_with_places(&text, Path::new("policy.toml")).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(without_lines(parsed.policy), policy, "{}", text);
    }

    #[test]
    fn a_policy_saved_as_json_reads_back_as_itself(policy in any_policy()) {
        let json = serde_json::to_string(&policy).unwrap();
        prop_assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy);
    }

    #[test]
    fn any_text_is_read_or_refused_with_a_drawing(text in any::<String>()) {
        read_and_draw(&text);
    }

    #[test]
    fn texts_like_a_policy_are_read_or_refused_with_a_drawing(text in policy_like()) {
        read_and_draw(&text);
    }
}
