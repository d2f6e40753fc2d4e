//! A policy that says the strictest of everything, for administrators with passwords, on a host that has rules of its own.

use super::scene::{COPIED, EVERYTHING, MANAGED, SECRET, Scene, WEB, assert_exit, json, without_what_moves};
use lab::{Auth, Connect, Datagram, HOST_V4, HOST_V6, Host, Output, Tree, User};
use std::net::{IpAddr, Ipv4Addr};

const ALICES: &str = "alices-secret";
const BOBS: &str = "bobs-secret";
/// `openssl passwd -6 -salt gabionlab bobs-secret`
const BOBS_HASH: &str =
    "$6$gabionlab$eh3kv3zxaqEAJrKXkNUnoi/H0VACFkxCIp5p/.ic1FgS8IgJtpPx6V733YCF1qL.oeIyU6m/eCLBeoG9rhLbp0";
/// From here the web server may be reached.
const FRIEND: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 80));

fn policy(key: &str) -> String {
    format!(
        r#"
[[admin]]
name = "alice"
keys = ["{key}"]

[[admin]]
name = "bob"
keys = ["{key}"]
password = "{BOBS_HASH}"

[ssh]
allow = "admins"

[firewall]
inbound = "drop"
ipv6 = "reject"

[[firewall.allow]]
service = "ssh"

[[firewall.allow]]
port = "tcp/{WEB}"
from = "192.0.2.0/24"
"#
    )
}

#[test]
fn a_strict_policy_holds_to_the_letter_and_leaves_the_rules_of_others_alone() {
    let furnish = |builder: lab::Builder, key: &lab::Key| {
        builder
            .user(&User::new("alice").key(key).password(ALICES))
            .user(&User::new("guest").key(key))
            .file("/etc/gabion/policy.toml", policy(key.public()))
            .prepare("printf '2001:db8:77::1 both.example\\n192.0.2.77 both.example\\n' >> /etc/hosts")
    };
    let Some(scene) = Scene::stage(Tree::bookworm, furnish) else { return };
    load_foreign_rules(&scene.host);
    let rules_before = scene.host.ruleset().unwrap();
    let before = scene.manifest(&MANAGED);
    assert!(prefers(&scene.host).is_ipv6());

    who_comes_by_ipv6_is_not_shut_out(&scene);
    assert_exit(&scene.root(&format!("{COPIED} apply --no-wait")), 0, "log in anew as alice");
    let confirmed = by_sudo(&scene, "alice", ALICES, "gabion confirm");
    assert_exit(&confirmed, 0, "Confirmed");

    only_administrators_get_in_and_only_by_ipv4(&scene);
    what_nothing_allows_is_not_answered(&scene);
    sudo_asks_for_the_password_that_the_policy_knows(&scene);
    assert!(prefers(&scene.host).is_ipv4(), "APT goes by IPv4");
    assert_exit(&by_sudo(&scene, "bob", BOBS, "gabion audit"), 0, "Grade A");
    assert_exit(&by_sudo(&scene, "bob", BOBS, "gabion verify"), 0, "0 not, 0 unknown");
    assert!(scene.host.ruleset().unwrap().contains("table ip foreign"));

    assert_exit(&scene.host.run(&["gabion", "rollback"]).unwrap(), 0, "Everything is as it was before.");
    // A mark that sudo leaves with whoever has used it.
    scene.host.run(&["rm", "/home/alice/.sudo_as_admin_successful"]).unwrap().unwrap();
    scene.assert_unchanged(&before, &MANAGED);
    assert_eq!(scene.host.ruleset().unwrap(), rules_before);
    assert!(prefers(&scene.host).is_ipv6());

    on_the_console_nothing_waits(&scene.host);
    every_verb_speaks_json(&scene.host);
}

fn load_foreign_rules(host: &Host) {
    let rules = "table ip foreign { set known { type ipv4_addr; elements = { 192.0.2.1 }; }; \
                 chain first { type filter hook prerouting priority -300; policy accept; ip saddr @known drop; }; }";
    let loaded = host.net().command("nft").arg(rules).output().unwrap();
    assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
}

/// The address that programs try first, of a name that has one of each family: what getaddrinfo makes of gai.conf.
fn prefers(host: &Host) -> IpAddr {
    let addresses = host.run(&["getent", "ahosts", "both.example"]).unwrap().unwrap().stdout;
    addresses.split_whitespace().next().unwrap().parse().unwrap()
}

fn who_comes_by_ipv6_is_not_shut_out(scene: &Scene) {
    let before = scene.manifest(&EVERYTHING);
    let rules = scene.host.ruleset().unwrap();
    let by_ipv6 = |command: &str| {
        scene.login("root", Auth::Password(super::scene::ROOT_PASSWORD), HOST_V6.into(), command)
    };
    for verb in ["plan", "apply --no-wait"] {
        let refused = by_ipv6(&format!("{COPIED} {verb}"));
        assert_exit(&refused, 2, "Refused, and nothing was changed");
        assert_exit(&refused, 2, "packet-filter");
        let refused = by_ipv6(&format!("{COPIED} {verb} --json"));
        assert_eq!(refused.status, 2);
        assert!(json(&refused).to_string().contains("packet-filter"), "{}", refused.stdout);
    }
    scene.assert_unchanged(&before, &EVERYTHING);
    assert_eq!(scene.host.ruleset().unwrap(), rules);
    let guest = scene.login("guest", Auth::Key(scene.key.path()), HOST_V6.into(), "id -un").unwrap();
    assert_eq!(guest.stdout, "guest\n", "so far everybody gets in");
}

/// Logs in by key and runs a command by sudo, which is given the password.
fn by_sudo(scene: &Scene, user: &str, password: &str, command: &str) -> Output {
    let command = format!("printf '%s\\n' '{password}' | sudo -S -p '' {command}");
    scene.login(user, Auth::Key(scene.key.path()), HOST_V4.into(), &command)
}

fn only_administrators_get_in_and_only_by_ipv4(scene: &Scene) {
    let by_key = Auth::Key(scene.key.path());
    for admin in ["alice", "bob"] {
        assert_eq!(
            scene.login(admin, by_key, HOST_V4.into(), "id -un").unwrap().stdout,
            format!("{admin}\n")
        );
    }
    let passwords = [("alice", ALICES), ("bob", BOBS), ("root", super::scene::ROOT_PASSWORD)];
    let passwords = passwords.map(|(user, password)| (user, Auth::Password(password)));
    for (user, auth) in [("guest", by_key), ("root", by_key)].into_iter().chain(passwords) {
        let refused = scene.login(user, auth, HOST_V4.into(), "id");
        assert_exit(&refused, 255, "Permission denied (publickey)");
    }
    assert_ne!(scene.host.outside().tcp_connect(None, HOST_V6, 22).unwrap(), Connect::Open);
}

fn what_nothing_allows_is_not_answered(scene: &Scene) {
    let outside = scene.host.outside();
    assert_eq!(
        scene.nmap(HOST_V4.into(), "22,80,9000"),
        [(22, "open"), (80, "filtered"), (9000, "filtered")].map(owned)
    );
    // To nmap the host is not even there: it answers no neighbour solicitation.
    assert!(scene.nmap(HOST_V6.into(), "22,80,9000").iter().all(|(_, state)| state == "filtered"));
    assert_eq!(outside.tcp_connect(Some(FRIEND), HOST_V4, WEB).unwrap(), Connect::Open);
    assert_eq!(outside.tcp_connect(Some(FRIEND), HOST_V4, SECRET).unwrap(), Connect::TimedOut);
    assert_eq!(outside.udp_send(None, HOST_V4, SECRET, b"?").unwrap(), Datagram::Silent);
    assert!(outside.ping(None, HOST_V4).unwrap());
    assert!(!outside.ping(None, HOST_V6).unwrap());
}

fn owned((port, state): (u16, &str)) -> (u16, String) {
    (port, state.to_owned())
}

fn sudo_asks_for_the_password_that_the_policy_knows(scene: &Scene) {
    for (admin, password) in [("alice", ALICES), ("bob", BOBS)] {
        let unasked = scene.login(admin, Auth::Key(scene.key.path()), HOST_V4.into(), "sudo -n id -u");
        assert_exit(&unasked, 1, "a password is required");
        assert_exit(&by_sudo(scene, admin, "wrong", "id -u"), 1, "incorrect password");
        assert_eq!(by_sudo(scene, admin, password, "id -u").unwrap().stdout, "0\n");
    }
}

fn on_the_console_nothing_waits(host: &Host) {
    host.run_script("sed -i 's/inbound = \"drop\"/inbound = \"reject\"/' /etc/gabion/policy.toml")
        .unwrap()
        .unwrap();
    let applied = host.run(&[COPIED, "apply"]).unwrap();
    assert_exit(&applied, 0, "You are not here over SSH: no confirmation is needed.");
    assert_exit(&applied, 0, "undoes it.");
    let timers =
        host.run(&["systemctl", "list-timers", "--all", "--no-legend", "gabion-*"]).unwrap().unwrap();
    assert_eq!(timers.stdout, "", "no timer stands");
    let outside = host.outside();
    assert_ne!(outside.tcp_connect(None, HOST_V6, 22).unwrap(), Connect::Open);
    assert_eq!(outside.tcp_connect(None, HOST_V4, 22).unwrap(), Connect::Open);
    assert_eq!(outside.tcp_connect(None, HOST_V4, SECRET).unwrap(), Connect::Refused);
}

/// Standard output holds one document, whatever the verb says beside it, and errors are documents as well.
fn every_verb_speaks_json(host: &Host) {
    let run = |words: &[&str]| host.run(&[&["gabion", "--json"], words].concat()).unwrap();
    let history = run(&["history"]);
    let transactions = json(&history)["transactions"].as_array().unwrap().clone();
    let states: Vec<&str> = transactions.iter().map(|one| one["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["rolled-back", "confirmed"]);
    let verbs: [(&[&str], i32); 15] = [
        (&["init"], 2),
        (&["init", "--print"], 0),
        (&["audit"], 0),
        (&["plan"], 0),
        (&["apply"], 0),
        (&["confirm"], 2),
        (&["confirm", "no-such-thing"], 2),
        (&["rollback", "no-such-thing"], 2),
        (&["recover"], 0),
        (&["verify", "--up-to", "100"], 0),
        (&["verify", "--up-to", "100"], 0),
        (&["policy", "check"], 0),
        (&["policy", "schema"], 0),
        (&["firewall", "show"], 0),
        (&["facts"], 0),
    ];
    for (words, status) in verbs {
        let output = run(words);
        assert_eq!(output.status, status, "{words:?}: {}{}", output.stdout, output.stderr);
        json(&output);
    }
    let rules = without_what_moves(&host.ruleset().unwrap());
    json(&run(&["firewall", "load"]));
    assert_eq!(without_what_moves(&host.ruleset().unwrap()), rules);
    assert_eq!(json(&run(&["rollback"]))["state"], "rolled-back");
}
