//! The filter edited by number on a booted host, as the guide edits it with iptables: what an edit means is seen by real
//! packets, where it is saved by the policy's text, and that it cannot cut off who makes it by a real login.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test: its helpers unwrap, and it works on throwaway hosts"
)]

mod hosts;

use std::net::IpAddr;
use std::time::Duration;

use hosts::{INSTALLED, admin_key, harden, policy, stock};
use lab::{Auth, Connect, HOST_V4, HOST_V6, Host, Lab, OUTSIDE_V4, Output, Running, Transport, Tree};
use serde_json::Value;

const REST: &str = "
# How people get in.
[[firewall.allow]]
service = \"ssh\"   # never take this away

# The old site.
[[firewall.allow]]
port = \"tcp/80\"
comment = \"web\"
";

struct Scene {
    host: Host,
    listeners: Vec<Running>,
}

impl Scene {
    fn stage() -> Option<Self> {
        if let Err(error) = Lab::require() {
            lab::skip(&error.to_string());
            return None;
        }
        let tree = Tree::bookworm().unwrap();
        let text = format!("{}{REST}", policy());
        let host = stock(&tree).file("/etc/gabion/policy.toml", text).boot().unwrap();
        harden(&host);
        let listen = |port| host.listen(Transport::Tcp, "::".parse::<IpAddr>().unwrap(), port).unwrap();
        let listeners: Vec<Running> = [80, 8080].map(listen).into();
        Some(Self { host, listeners })
    }

    fn edit(&self, words: &str) -> Output {
        let mut all = vec![INSTALLED, "firewall"];
        all.extend(words.split(' '));
        self.host.run(&all).unwrap()
    }

    fn must(&self, words: &str) {
        self.edit(words).unwrap();
    }

    /// What refuses an edit says, and that nothing was changed by it.
    #[track_caller]
    fn refused(&self, words: &str) -> String {
        let before = (self.policy(), self.rules());
        let output = self.edit(words);
        assert_eq!(output.status, 2, "{words}: {output:?}");
        assert_eq!((self.policy(), self.rules()), before, "{words}");
        output.stderr
    }

    /// The kernel's rules without what they counted; in which order its chains were made means nothing.
    fn rules(&self) -> Vec<String> {
        let nft = self.host.net().command("nft").args(["-s", "list", "ruleset"]).output().unwrap();
        assert!(nft.status.success(), "{nft:?}");
        let text = String::from_utf8(nft.stdout).unwrap();
        let mut parts: Vec<String> =
            text.trim_end().trim_end_matches('}').trim_end().split("\n\n").map(str::to_owned).collect();
        parts.sort_unstable();
        parts
    }

    fn policy(&self) -> String {
        String::from_utf8(self.host.read("/etc/gabion/policy.toml").unwrap()).unwrap()
    }

    fn connect(&self, port: u16) -> [Connect; 2] {
        assert_eq!(self.listeners.len(), 2, "what is open is the filter's doing");
        let outside = self.host.outside();
        [outside.tcp_connect(None, HOST_V4, port).unwrap(), outside.tcp_connect(None, HOST_V6, port).unwrap()]
    }

    /// The number that `show` gives the line of INPUT whose text begins so.
    #[track_caller]
    fn number(&self, what: &str) -> u64 {
        let output = self.host.run(&[INSTALLED, "--json", "firewall", "show"]).unwrap().unwrap();
        let shown: Value = serde_json::from_str(&output.stdout).unwrap();
        let chains = shown["chains"].as_array().unwrap();
        let input = chains.iter().find(|chain| chain["name"] == "INPUT").unwrap();
        let lines = input["lines"].as_array().unwrap();
        let line = lines.iter().find(|line| line["what"].as_str().unwrap().starts_with(what));
        line.unwrap_or_else(|| panic!("{what}: {lines:#?}"))["number"].as_u64().unwrap()
    }
}

#[test]
fn a_line_that_is_inserted_replaced_and_deleted_is_in_force_and_in_the_policy_and_can_be_rolled_back() {
    let Some(scene) = Scene::stage() else { return };
    let (before, rules) = (scene.policy(), scene.rules());
    assert_eq!(scene.connect(8080), [Connect::Refused; 2]);

    // As the guide does it, before the line of the old site.
    let web = scene.number("allow tcp/80");
    scene.must(&format!("insert --yes INPUT {web} -p tcp --dport 8080 -j ACCEPT"));
    assert_eq!(scene.connect(8080), [Connect::Open; 2]);
    let inserted = scene.policy();
    let (head, tail) = before.split_at(before.find("# The old site.").unwrap());
    assert!(inserted.starts_with(head) && inserted.ends_with(tail), "{inserted}");
    assert!(inserted.contains("port = \"tcp/8080\""), "{inserted}");
    assert_eq!(scene.number("allow tcp/8080"), web);

    // A rule that refuses stands before what lets in, and counts from outside alone.
    let first = scene.number("allow ssh");
    scene.must(&format!("insert --yes INPUT {first} -s {OUTSIDE_V4} -p tcp --dport 8080 -j REJECT"));
    assert_eq!(scene.connect(8080), [Connect::Refused, Connect::Open]);
    scene.must(&format!("replace --yes INPUT {first} -s 203.0.113.0/24 -p tcp --dport 8080 -j DROP"));
    assert_eq!(scene.connect(8080), [Connect::Open; 2]);

    // Deleted by number, what the file said besides is what it was.
    scene.must(&format!("delete --yes INPUT {first}"));
    scene.must(&format!("delete --yes INPUT {}", scene.number("allow tcp/8080")));
    assert_eq!(scene.policy(), before);
    assert_eq!(scene.rules(), rules);
    assert_eq!(scene.connect(8080), [Connect::Refused; 2]);

    // The short form, and the way back.
    scene.must("append --yes allow tcp/8080 from 203.0.113.0/24,fd00:1::/64");
    assert_eq!(scene.connect(8080), [Connect::Refused; 2]);
    scene.must(&format!("replace --yes {} allow tcp/8080", scene.number("allow tcp/8080")));
    assert_eq!(scene.connect(8080), [Connect::Open; 2]);
    for _ in 0..2 {
        scene.host.run(&[INSTALLED, "rollback"]).unwrap().unwrap();
    }
    assert_eq!(scene.policy(), before);
    assert_eq!(scene.rules(), rules);
    assert_eq!(scene.connect(8080), [Connect::Refused; 2]);
    assert_eq!(scene.host.run(&[INSTALLED, "plan"]).unwrap().status, 0);
}

#[test]
fn an_edit_that_is_wrong_or_cuts_off_who_makes_it_changes_nothing_and_says_why() {
    let Some(scene) = Scene::stage() else { return };
    let wrong = scene.refused("append --yes INPUT -p tcp --dport 70000 -j ACCEPT");
    assert!(wrong.contains("70000") && wrong.contains('^'), "{wrong}");
    let wrong = scene.refused("delete --yes INPUT 1");
    assert!(wrong.contains("loopback") && wrong.contains("built in"), "{wrong}");
    let wrong = scene.refused("insert --yes INPUT 1 allow tcp/8080");
    assert!(wrong.contains("first number"), "{wrong}");
    let wrong = scene.refused("delete --yes INPUT 99");
    assert!(wrong.contains("no line 99"), "{wrong}");
    let wrong = scene.refused("append --yes INPUT -m u32 --u32 0x0=0x1 -j DROP");
    assert!(wrong.contains("u32"), "{wrong}");
    let shown = scene.edit("append --dry-run allow tcp/8080");
    assert_eq!(shown.status, 1, "{shown:?}");
    assert!(shown.stdout.contains("+port = \"tcp/8080\""), "{}", shown.stdout);

    // From here on over SSH, as the administrator.
    let key = admin_key();
    let ssh = scene.host.ssh("deploy", Auth::Key(key.path()));
    let session = |command: &str| {
        let command = format!("sudo -S -p '' {INSTALLED} firewall {command}");
        ssh.run_with(&command, b"deploys-own-password\n", Duration::from_secs(600)).unwrap()
    };
    let line = scene.number("allow ssh");
    for suicide in [
        format!("delete --yes INPUT {line}"),
        format!("insert --yes INPUT {line} -s {OUTSIDE_V4} -j DROP"),
        format!("replace --yes INPUT {line} allow ssh from 203.0.113.0/24"),
    ] {
        let (before, rules) = (scene.policy(), scene.rules());
        let output = session(&suicide);
        assert_eq!(output.status, 2, "{suicide}: {output:?}");
        assert!(output.stderr.contains("nobody could get in"), "{suicide}: {}", output.stderr);
        assert_eq!((scene.policy(), scene.rules()), (before, rules), "{suicide}");
    }

    // What is safe waits for a new login, and the kernel that was changed behind the policy's back gets no numbers.
    let output = session("append --yes --no-wait allow tcp/8080");
    assert!(output.stderr.contains("unless you confirm"), "{output:?}");
    let confirm = format!("sudo -S -p '' {INSTALLED} confirm");
    let confirmed = ssh.run_with(&confirm, b"deploys-own-password\n", Duration::from_secs(600)).unwrap();
    assert_eq!(confirmed.status, 0, "{confirmed:?}");
    assert_eq!(scene.connect(8080), [Connect::Open; 2]);
    let flush = scene.host.net().command("nft").args(["flush", "chain", "inet", "gabion", "input"]).status();
    assert!(flush.unwrap().success());
    let wrong = scene.refused("delete --yes INPUT 9");
    assert!(wrong.contains("other rules than the policy"), "{wrong}");
}
