//! What there is to be seen of a packet filter, on a booted host: the list with its counters, every kind of drift, the way of real
//! packets, and explanations that are what happens.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, dead_code, reason = "a test of throwaway hosts")]

mod hosts;

use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use hosts::{INSTALLED, PROGRAM, admin_key, harden};
use lab::{
    Connect, HOST_V4, HOST_V6, Host, Lab, Layer, OUTSIDE_V4, OUTSIDE_V6, Output, Transport, Tree, User,
};
use serde_json::Value;

/// The program under another name, so that status can be asked where the installed one is missing.
const SPARE: &str = "/root/gabion";
/// How long something may take that should take a moment.
const PATIENCE: Duration = Duration::from_secs(30);

fn hardened() -> Host {
    let key = admin_key();
    let policy = format!(
        "[[admin]]\nname = \"deploy\"\nkeys = [\"{}\"]\n\n[[firewall.allow]]\nservice = \"ssh\"\n\n\
         [[firewall.allow]]\nservice = \"http\"\n\n[[firewall.allow]]\nport = \"tcp/8080\"\nfrom = \"192.0.2.0/24\"\n",
        key.public().trim()
    );
    let host = Host::builder(&Tree::bookworm().unwrap())
        .user(&User::new("deploy").key(&key).password("deploys-own-password").group("sudo"))
        .program(PROGRAM, INSTALLED)
        .program(PROGRAM, SPARE)
        .file("/etc/gabion/policy.toml", policy)
        .boot()
        .unwrap();
    harden(&host);
    host
}

fn nft(host: &Host, script: &str) {
    let output = host.net().command("nft").arg(script).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

fn tables(host: &Host) -> String {
    let output = host.net().command("nft").args(["list", "tables"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn gabion(host: &Host, words: &[&str]) -> Output {
    host.run(&[&[SPARE], words].concat()).unwrap()
}

fn json(host: &Host, words: &[&str]) -> Value {
    let output = gabion(host, &[&["--json"], words].concat());
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// Something that somebody does to the packet filter.
struct Sabotage {
    name: &'static str,
    /// What `nft` is told to do; or, after `sh:`, a shell in the host.
    script: &'static str,
    /// What takes back what loading our ruleset does not.
    mend: &'static str,
    /// The kinds of drift that must be named, and no other may be.
    kinds: &'static [&'static str],
    /// What the text must say.
    says: &'static str,
}

const SABOTAGE: [Sabotage; 18] = [
    Sabotage {
        name: "a chain flushed",
        script: "flush chain inet gabion input-ipv4",
        mend: "",
        kinds: &["chain-flushed", "closed"],
        says: "chain input-ipv4 is flushed",
    },
    Sabotage {
        name: "a policy changed",
        script: "chain inet gabion input { policy accept; }",
        mend: "",
        kinds: &["policy-changed"],
        says: "the policy of chain input is accept, and was drop",
    },
    Sabotage {
        name: "a base chain flushed and opened",
        script: "flush chain inet gabion input; chain inet gabion input { policy accept; }",
        mend: "",
        kinds: &["policy-changed", "chain-flushed", "ipv4-open", "ipv6-open"],
        says: "packets over IPv6 get in that were refused",
    },
    Sabotage {
        name: "a rule inserted",
        script: "insert rule inet gabion input tcp dport 3306 accept",
        mend: "",
        kinds: &["rule-added", "ipv4-open", "ipv6-open"],
        says: "tcp dport 3306 accept",
    },
    Sabotage {
        name: "an element added",
        script: "add element inet gabion tcp-services { 3306 : accept }",
        mend: "",
        kinds: &["element-added", "ipv4-open", "ipv6-open"],
        says: "an element of set tcp-services is not gabion's",
    },
    Sabotage {
        name: "an element removed",
        script: "delete element inet gabion tcp-services { 22 }",
        mend: "",
        kinds: &["element-gone", "closed"],
        says: "an element of set tcp-services is gone",
    },
    Sabotage {
        name: "our table deleted",
        script: "delete table inet gabion",
        mend: "",
        kinds: &["table-gone", "ipv4-open", "ipv6-open", "forward-open"],
        says: "table inet gabion is not in the kernel",
    },
    Sabotage {
        name: "our table switched off",
        script: "add table inet gabion { flags dormant; }",
        mend: "delete table inet gabion",
        kinds: &["dormant", "ipv4-open", "ipv6-open", "forward-open"],
        says: "switched off (dormant)",
    },
    Sabotage {
        name: "a table for IPv4 alone in its place",
        script: "delete table inet gabion; add table ip gabion; \
                 add chain ip gabion input { type filter hook input priority 0; policy drop; }",
        mend: "delete table ip gabion",
        kinds: &["table-gone", "ipv6-open", "forward-open", "closed", "foreign-refuses"],
        says: "table ip gabion has its name, and sees one family alone",
    },
    Sabotage {
        name: "a chain of another's that drops before us",
        script: "add table inet x; add chain inet x c { type filter hook input priority -10; }; \
                 add rule inet x c tcp dport 22 drop",
        mend: "delete table inet x",
        kinds: &["closed", "foreign-refuses"],
        says: "inet x c of nft can refuse packets, at input -10",
    },
    Sabotage {
        name: "a chain of another's that drops in prerouting",
        script: "add table ip6 x; add chain ip6 x c { type filter hook prerouting priority -300; policy drop; }",
        mend: "delete table ip6 x",
        kinds: &["closed", "foreign-refuses"],
        says: "policy drop",
    },
    Sabotage {
        name: "a drop at the device",
        script: "add table netdev x; add chain netdev x c { type filter hook ingress device eth0 priority 0; }; \
                 add rule netdev x c tcp dport 22 drop",
        mend: "delete table netdev x",
        kinds: &["foreign-refuses"],
        says: "netdev x c of nft can refuse packets, at ingress 0",
    },
    Sabotage {
        name: "connection tracking off",
        script: "add table inet x; add chain inet x c { type filter hook prerouting priority -300; }; \
                 add rule inet x c tcp sport 443 notrack",
        mend: "delete table inet x",
        kinds: &["foreign-untracks"],
        says: "turns connection tracking off",
    },
    Sabotage {
        name: "a port published past us",
        script: "add table ip nat; add chain ip nat PREROUTING { type nat hook prerouting priority -100; }; \
                 add rule ip nat PREROUTING tcp dport 8443 dnat to 172.17.0.2:443",
        mend: "delete table ip nat",
        kinds: &["foreign-translates"],
        says: "dnat to 172.17.0.2:443",
    },
    Sabotage {
        name: "the boot unit disabled",
        script: "sh:systemctl disable gabion-firewall.service",
        mend: "sh:systemctl enable gabion-firewall.service",
        kinds: &["boot"],
        says: "nothing loads the ruleset at boot",
    },
    Sabotage {
        name: "the program missing",
        script: "sh:mv /usr/local/sbin/gabion /usr/local/sbin/elsewhere",
        mend: "sh:mv /usr/local/sbin/elsewhere /usr/local/sbin/gabion",
        kinds: &["program"],
        says: "/usr/local/sbin/gabion",
    },
    Sabotage {
        name: "the saved ruleset gone",
        script: "sh:mv /var/lib/gabion/firewall.json /root/saved",
        mend: "sh:mv /root/saved /var/lib/gabion/firewall.json",
        kinds: &["saved"],
        says: "the saved ruleset",
    },
    // Last: the legacy tables stay for as long as the namespace does.
    Sabotage {
        name: "legacy rules",
        script: "legacy:-A INPUT -p tcp --dport 22 -j DROP",
        mend: "",
        kinds: &["legacy"],
        says: "legacy x_tables are in use",
    },
];

fn act(host: &Host, script: &str) {
    if let Some(shell) = script.strip_prefix("sh:") {
        host.run_script(shell).unwrap().unwrap();
    } else if let Some(arguments) = script.strip_prefix("legacy:") {
        let status = host.net().command("iptables-legacy").args(arguments.split(' ')).status().unwrap();
        assert!(status.success());
    } else if !script.is_empty() {
        nft(host, script);
    }
}

fn drift_of(status: &Value) -> Vec<String> {
    let drift = status["drift"].as_array().unwrap();
    drift.iter().map(|drift| drift["kind"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_sabotage_is_found_in_the_kernel_and_named_and_nothing_is_found_without_it() {
    if let Err(error) = Lab::require() {
        return lab::skip(&error.to_string());
    }
    let host = hardened();
    let clean = gabion(&host, &["firewall", "status"]);
    assert_eq!((clean.status, clean.stdout.lines().count()), (0, 1), "{}", clean.stdout);
    assert!(clean.stdout.starts_with("As applied at 20"), "{}", clean.stdout);

    // Until the generation moves, the tables are not read again; a change is seen at once.
    let again = json(&host, &["firewall", "status"]);
    assert_eq!((&again["as-applied"], &again["check"]["unmoved"]), (&Value::Bool(true), &Value::Bool(true)));
    nft(&host, "add table inet harmless");
    let moved = json(&host, &["firewall", "status"]);
    assert_eq!((&moved["as-applied"], &moved["check"]["unmoved"]), (&Value::Bool(true), &Value::Bool(false)));
    nft(&host, "delete table inet harmless");

    let mut found = 0;
    for sabotage in &SABOTAGE {
        act(&host, sabotage.script);
        let text = gabion(&host, &["firewall", "status"]);
        assert_eq!(text.status, 1, "{}: {}", sabotage.name, text.stdout);
        let folded = text.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(folded.contains(sabotage.says), "{}: {}", sabotage.name, text.stdout);
        let status = json(&host, &["firewall", "status"]);
        assert_eq!(drift_of(&status), sabotage.kinds, "{}: {status:#}", sabotage.name);
        found += 1;
        act(&host, sabotage.mend);
        if sabotage.name != "legacy rules" {
            gabion(&host, &["firewall", "load"]).unwrap();
            let mended = gabion(&host, &["firewall", "status"]);
            assert_eq!(mended.status, 0, "after {}: {}", sabotage.name, mended.stdout);
        }
    }
    println!("MEASURED: drift found {found} of {}", SABOTAGE.len());
}

#[test]
fn what_others_do_is_drift_until_it_is_kept_as_known() {
    if let Err(error) = Lab::require() {
        return lab::skip(&error.to_string());
    }
    let host = hardened();
    let chain = "add table inet f2b-table; add chain inet f2b-table f2b-chain { type filter hook input priority -1; }; \
                 add rule inet f2b-table f2b-chain ip saddr 203.0.113.66 drop";
    nft(&host, chain);
    assert_eq!(drift_of(&json(&host, &["firewall", "status"])), ["foreign-refuses"]);
    let kept = gabion(&host, &["firewall", "status", "--keep"]).unwrap();
    assert!(
        kept.stdout.contains("inet f2b-table f2b-chain at input -1: can refuse packets"),
        "{}",
        kept.stdout
    );
    assert_eq!(gabion(&host, &["firewall", "status"]).status, 0);
    nft(&host, "add rule inet f2b-table f2b-chain tcp dport 22 drop");
    assert_eq!(gabion(&host, &["firewall", "status"]).status, 0, "whoever may refuse, may refuse more");
    nft(&host, "add rule inet f2b-table f2b-chain udp dport 53 notrack; delete table inet f2b-table");

    let shown = gabion(&host, &["firewall", "show"]).unwrap();
    assert!(!shown.stdout.contains("f2b"), "{}", shown.stdout);
    nft(&host, chain);
    let shown = gabion(&host, &["firewall", "show"]).unwrap();
    assert!(shown.stdout.contains("table inet f2b-table (fail2ban)"), "{}", shown.stdout);

    let watch = host.spawn(&[SPARE, "firewall", "status", "--watch"]).unwrap();
    watch.expect("s applied", PATIENCE).unwrap();
    nft(&host, "insert rule inet gabion input tcp dport 3306 accept");
    let told = watch.expect("as applied", PATIENCE).unwrap();
    assert!(
        told.contains("nft (process ") && told.contains("+ rule inet gabion input: tcp dport 3306 accept"),
        "{told}"
    );
}

#[test]
fn the_list_counts_real_packets_and_marks_what_is_not_gabions() {
    if let Err(error) = Lab::require() {
        return lab::skip(&error.to_string());
    }
    let host = hardened();
    let _web = host.listen(Transport::Tcp, Ipv6Addr::UNSPECIFIED, 80).unwrap();
    for _ in 0..3 {
        assert_eq!(host.outside().tcp_connect(None, HOST_V4, 80).unwrap(), Connect::Open);
    }
    assert_eq!(host.outside().tcp_connect(None, HOST_V6, 80).unwrap(), Connect::Open);
    let shown = json(&host, &["firewall", "show"]);
    let input = &shown["chains"][0];
    assert_eq!((input["name"].as_str(), input["policy"].as_str()), (Some("INPUT"), Some("drop")));
    let lines = input["lines"].as_array().unwrap();
    let web = lines.iter().find(|line| line["what"] == "allow http").unwrap();
    assert_eq!(
        (&web["counted"]["packets"], &web["ipv4"], &web["ipv6"]),
        (&Value::from(4), &true.into(), &true.into())
    );
    assert!(web["place"].as_str().unwrap().starts_with("policy.toml:"));
    let numbers: Vec<u64> = lines.iter().map(|line| line["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=u64::try_from(lines.len()).unwrap()).collect::<Vec<_>>());

    nft(&host, "insert rule inet gabion input tcp dport 3306 accept");
    let text = gabion(&host, &["firewall", "show", "--chain", "INPUT"]).unwrap().stdout;
    assert!(text.starts_with("INPUT (policy drop)\n"), "{text}");
    assert!(text.contains("not gabion's") && text.contains("tcp dport 3306 accept"), "{text}");
    let all = gabion(&host, &["firewall", "show", "--all"]).unwrap().stdout;
    assert!(all.contains("handle") && all.contains("set allow-tcp-8080-from-ipv4"), "{all}");

    nft(&host, "delete table inet gabion");
    let none = gabion(&host, &["firewall", "show"]).unwrap().stdout;
    assert!(none.contains("Gabion has no table in the kernel") && none.contains("gabion apply"), "{none}");
}

#[test]
fn a_trace_tells_the_way_of_real_packets_and_leaves_nothing_behind_however_it_ends() {
    if let Err(error) = Lab::require() {
        return lab::skip(&error.to_string());
    }
    let host = hardened();
    let before = tables(&host);
    let trace = host.spawn(&[SPARE, "firewall", "trace", "tcp", "--from", "198.51.100.0/24"]).unwrap();
    until("the table that marks packets is there", || tables(&host).contains("gabion-trace"));
    assert_eq!(host.outside().tcp_connect(None, HOST_V4, 22).unwrap(), Connect::Open);
    trace.expect(&format!("-> {HOST_V4}:22 syn in by eth0"), PATIENCE).unwrap();
    trace.expect("accept", PATIENCE).unwrap();
    let told = trace.expect("allow ssh", PATIENCE).unwrap();
    assert!(told.contains("INPUT ") && told.contains("policy.toml:"), "{told}");
    assert_eq!(host.outside().tcp_connect(None, HOST_V4, 23).unwrap(), Connect::Refused);
    trace.expect(&format!("-> {HOST_V4}:23"), PATIENCE).unwrap();
    trace.expect("reject", PATIENCE).unwrap();
    trace.expect("refuse what nothing allows", PATIENCE).unwrap();
    let second = gabion(&host, &["firewall", "trace"]);
    assert_eq!(second.status, 2, "{}", second.stderr);
    assert_eq!(gabion(&host, &["firewall", "status"]).status, 0, "a trace is no drift");

    // The process itself is killed, not the one that entered the host for it.
    host.run_script("kill -9 $(pidof -s gabion)").unwrap().unwrap();
    until("the table is gone", || tables(&host) == before);
    gabion(&host, &["firewall", "trace", "udp", "--for", "1"]).unwrap();
    assert_eq!(tables(&host), before);
}

#[test]
fn what_is_explained_is_what_happens() {
    if let Err(error) = Lab::require() {
        return lab::skip(&error.to_string());
    }
    let host = hardened();
    let _web = host.listen(Transport::Tcp, Ipv6Addr::UNSPECIFIED, 80).unwrap();
    let _shut = host.listen(Transport::Tcp, Ipv6Addr::UNSPECIFIED, 3306).unwrap();
    let _office = host.listen(Transport::Tcp, Ipv6Addr::UNSPECIFIED, 8080).unwrap();
    nft(
        &host,
        "add table inet x; add chain inet x c { type filter hook prerouting priority -300; }; \
         add rule inet x c ip saddr 203.0.113.66 tcp dport 80 drop comment \"maintenance\"",
    );
    let (office, banned): (IpAddr, IpAddr) = ("192.0.2.7".parse().unwrap(), "203.0.113.66".parse().unwrap());
    for stranger in [office, banned] {
        host.outside().adopt(stranger).unwrap();
    }
    let (v4, v6) =
        ((IpAddr::from(OUTSIDE_V4), HOST_V4.into()), (IpAddr::from(OUTSIDE_V6), IpAddr::from(HOST_V6)));
    let ways = [v4, v6, (office, HOST_V4.into()), (banned, HOST_V4.into())];
    for (from, to) in ways {
        for port in [22, 80, 3306, 8080] {
            let happens = host.outside().tcp_connect(Some(from), to, port).unwrap();
            let (from, to, port) = (from.to_string(), to.to_string(), port.to_string());
            let asked = ["explain", "tcp", "--from", &from, "--to", &to, "--port", &port];
            let explained = json(&host, &asked);
            let expected = match explained["verdict"].as_str().unwrap() {
                "accepted" => Connect::Open,
                "rejected" => Connect::Refused,
                "dropped" => Connect::TimedOut,
                other => panic!("{other}"),
            };
            assert_eq!(happens, expected, "{explained:#}");
        }
    }
    let text = gabion(&host, &["explain", "tcp", "--from", "203.0.113.66", "--port", "80"]).unwrap().stdout;
    assert!(text.contains("dropped") && text.contains("maintenance"), "{text}");
    // What the policy would do says nothing of the others' tables; what was saved is what was applied.
    let policy = json(&host, &["explain", "tcp", "--from", "203.0.113.66", "--port", "80", "--policy"]);
    assert_eq!(policy["verdict"], "accepted");
    let saved = ["explain", "tcp", "--port", "3306", "--ruleset", "/var/lib/gabion/firewall.json"];
    assert_eq!(json(&host, &saved)["verdict"], "rejected");
    let finding = gabion(&host, &["explain", "sh1"]).unwrap().stdout;
    assert!(finding.starts_with("SH1  "), "{finding}");
}

#[test]
fn our_rules_among_those_of_iptables_are_looked_at_too() {
    if let Err(error) = Lab::require() {
        return lab::skip(&error.to_string());
    }
    let tree = Tree::bookworm().unwrap();
    let layer = Layer::of(&tree, &["iptables-persistent"]).unwrap();
    let policy = hosts::policy() + "\n[firewall]\nbackend = \"iptables\"\n";
    let host = hosts::stock(&tree)
        .packages(&layer)
        .program(PROGRAM, SPARE)
        .file("/etc/gabion/policy.toml", policy)
        .boot()
        .unwrap();
    harden(&host);
    let clean = gabion(&host, &["firewall", "status"]);
    assert_eq!(clean.status, 0, "{}", clean.stdout);
    let shown = gabion(&host, &["firewall", "show"]).unwrap().stdout;
    assert!(shown.starts_with("Gabion's rules stand among those of iptables"), "{shown}");
    host.run(&["ip6tables", "-F", "INPUT"]).unwrap().unwrap();
    let status = json(&host, &["firewall", "status"]);
    assert_eq!(drift_of(&status), ["iptables-changed"], "{status:#}");
    assert!(status.to_string().contains("ip6tables "), "{status:#}");
    gabion(&host, &["firewall", "load"]).unwrap();
    assert_eq!(gabion(&host, &["firewall", "status"]).status, 0);
}
