//! `gabion verify` on a booted host: every port of both families, and each difference named with the rule that causes it.
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a test of a throwaway host")]

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use lab::{Host, Key, Lab, Transport, Tree, User};
use serde_json::Value;

fn hardened(key: &Key) -> Host {
    let policy = format!(
        "[[admin]]\nname = \"deploy\"\nkeys = [\"{}\"]\n\n[[firewall.allow]]\nservice = [\"ssh\", \"http\"]\n",
        key.public().trim()
    );
    let host = Host::builder(&Tree::bookworm().expect("a tree"))
        .user(&User::new("deploy").key(key))
        .program(env!("CARGO_BIN_EXE_gabion"), "/usr/local/sbin/gabion")
        .file("/etc/gabion/policy.toml", policy)
        .boot()
        .expect("a host");
    host.run(&["gabion", "apply", "--yes"]).expect("it runs").unwrap();
    host
}

#[test]
fn all_ports_of_both_families_agree_and_a_rule_of_somebody_elses_is_named() {
    if let Err(error) = Lab::require() {
        return lab::skip(&error.to_string());
    }
    let key = Key::named("admin").expect("a key");
    let host = hardened(&key);
    let _web = host.listen(Transport::Tcp, Ipv6Addr::UNSPECIFIED, 80).expect("a listener");
    let _database = host.listen(Transport::Tcp, Ipv4Addr::UNSPECIFIED, 3306).expect("a listener");
    let links = host.run(&["ip", "-o", "link"]).expect("links").stdout;

    let started = Instant::now();
    let verified = host.run(&["gabion", "verify"]).expect("it runs");
    println!("MEASURED: verify, 65,535 ports of both families, in {:?}", started.elapsed());
    assert_eq!(verified.status, 0, "{}\n{}", verified.stdout, verified.stderr);
    assert!(verified.stdout.contains("TCP ports 1-65535, IPv4"), "{}", verified.stdout);
    assert!(verified.stdout.contains("TCP ports 1-65535, IPv6"), "{}", verified.stdout);

    // Somebody opens the database behind the policy's back.
    let nft =
        host.net().command("nft").args(["insert rule inet gabion input tcp dport 3306 accept"]).status();
    assert!(nft.expect("nft runs").success());
    let differs = host.run(&["gabion", "--json", "verify"]).expect("it runs");
    assert_eq!(differs.status, 1, "{}\n{}", differs.stdout, differs.stderr);
    let json: Value = serde_json::from_str(&differs.stdout).expect("JSON alone on standard output");
    let text = json.to_string();
    assert!(text.contains("tcp/3306") && text.contains("tcp dport 3306 accept"), "the rule is named: {text}");
    assert!(!text.contains("tcp/80 "), "what the policy allows is no difference: {text}");

    // And what the policy allows is shut by another table.
    let shut = "add table inet other; add chain inet other c { type filter hook input priority -10; }; \
                add rule inet other c tcp dport 80 drop comment \"maintenance\"";
    assert!(host.net().command("nft").arg(shut).status().expect("nft runs").success());
    let differs = host.run(&["gabion", "verify"]).expect("it runs");
    assert_eq!(differs.status, 1);
    assert!(differs.stdout.contains("maintenance"), "{}", differs.stdout);

    // The kernel takes the namespace of a dead process away by and by, and the cable with it.
    let script = "timeout -s KILL 0.3 gabion verify >/dev/null 2>&1 || true
        for i in $(seq 600); do ip -o link | grep -q gabion-probe || break; sleep 0.1; done";
    host.run_script(script).expect("it runs").unwrap();
    assert_eq!(host.run(&["ip", "-o", "link"]).expect("links").stdout, links, "no cable is left behind");
}
