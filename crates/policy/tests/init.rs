//! The file that `gabion init` writes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

use std::path::Path;

use policy::{Admin, Allow, Hints, Listening, Password, Policy, PortSpec, Sudo, parse_with_places, to_toml};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f laptop";

fn listening(port: &str, process: &str) -> Listening {
    Listening { port: port.parse::<PortSpec>().unwrap(), process: process.to_owned() }
}

#[test]
fn the_default_policy_is_written_with_every_key_explained() {
    insta::assert_snapshot!(to_toml(&Policy::default(), &Hints::default()));
}

#[test]
fn the_policy_of_a_host_names_what_was_found_there() {
    let mut policy = Policy::default();
    policy.admins.push(Admin {
        name: "deploy".to_owned(),
        keys: vec![KEY.to_owned()],
        password: Password::Keep,
        sudo: Sudo::Auto,
        shell: None,
    });
    policy.firewall.allow = vec![
        Allow { service: vec!["ssh".to_owned()], new_per_minute: Some(30), ..Allow::default() },
        Allow { service: vec!["http".to_owned(), "https".to_owned()], ..Allow::default() },
    ];
    let hints = Hints {
        host: Some("web1".to_owned()),
        ssh_ports: vec![2222],
        keys_from: [("deploy".to_owned(), "/home/deploy/.ssh/authorized_keys".to_owned())].into(),
        listening: vec![
            listening("tcp/2222", "sshd"),
            listening("tcp/443", "nginx"),
            listening("tcp/80", "nginx"),
            listening("udp/111", "rpcbind"),
            listening("tcp/111", "rpcbind\n[[admin]]\nname = \"mallory\""),
        ],
    };
    let text = to_toml(&policy, &hints);
    let parsed = parse_with_places(&text, Path::new("policy.toml")).unwrap();
    assert_eq!(parsed.policy.admins, policy.admins);
    insta::assert_snapshot!(text);
}

#[test]
fn each_entry_knows_its_line() {
    let text = "# a\n\n[ssh]\nroot-login = false\n\n[[firewall.allow]]\nservice = \"ssh\"\nfrom = [\"10.0.0.0/8\",\n \"192.0.2.1\"]\n";
    let parsed = parse_with_places(text, Path::new("/etc/gabion/policy.toml")).unwrap();
    assert_eq!(parsed.policy.firewall.allow[0].line, 6);
    assert_eq!(parsed.places.line("ssh.root-login"), Some(4));
    assert_eq!(parsed.places.line("firewall.allow[0].from[1]"), Some(9));
    assert_eq!(parsed.places.cite("ssh.root-login").as_deref(), Some("/etc/gabion/policy.toml:4"));
    assert_eq!(parsed.places.line("ssh.crypto"), None);
}
