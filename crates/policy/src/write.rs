//! The policy as a commented file, as `gabion init` writes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::model::{
    Admin, Allow, AllowLogin, Backend, Crypto, Firewall, Forward, Ipv6, Password, Policy, PortSpec, Refusal,
    Rule, RuleFamily, Ssh, Sudo,
};

/// What is known of the host and goes into the file as comments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hints {
    /// The name of the host.
    pub host: Option<String>,
    /// The TCP ports on which its sshd listens: what `service = "ssh"` means there.
    pub ssh_ports: Vec<u16>,
    /// For an admin by name, where its keys were found.
    pub keys_from: BTreeMap<String, String>,
    /// What listens on the network.
    pub listening: Vec<Listening>,
}

/// A port on which something listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listening {
    /// The port.
    pub port: PortSpec,
    /// The program, as the host names it.
    pub process: String,
}

/// The policy as TOML: every key with its meaning, and commented out where it has its default.
///
/// The text reads back as the same policy. What listens is named at the entry that lets it in; what no entry lets in
/// stands at the end as an entry to uncomment.
pub fn to_toml(policy: &Policy, hints: &Hints) -> String {
    let mut file = String::new();
    head(&mut file, hints);
    admins(&mut file, &policy.admins, hints);
    ssh(&mut file, &policy.ssh);
    firewall(&mut file, &policy.firewall);
    for one in &policy.firewall.rule {
        rule(&mut file, one);
    }
    for allow in &policy.firewall.allow {
        allowed(&mut file, allow, hints);
    }
    for forward in &policy.firewall.forward {
        forwarded(&mut file, forward);
    }
    not_allowed(&mut file, &policy.firewall.allow, hints);
    file
}

/// The part `[firewall]` alone, without remarks: what is not at its default, and every entry.
pub fn firewall_to_toml(firewall: &Firewall) -> String {
    let mut file = String::new();
    let nothing = Hints::default();
    self::firewall(&mut file, firewall);
    let is_said = |line: &&str| !line.starts_with('#');
    let mut short: String =
        file.trim_start().lines().filter(is_said).map(|line| format!("{line}\n")).collect();
    firewall.rule.iter().for_each(|one| rule(&mut short, one));
    firewall.allow.iter().for_each(|allow| allowed(&mut short, allow, &nothing));
    firewall.forward.iter().for_each(|forward| forwarded(&mut short, forward));
    short
}

fn head(file: &mut String, hints: &Hints) {
    match &hints.host {
        Some(host) => note(file, &format!("The policy of {host}.")),
        None => note(file, "The policy of this host."),
    }
    note(file, "`gabion plan` shows what it would change, `gabion apply` changes it.");
    note(file, "A line that begins with # and no space after it is a setting at its default.");
}

fn admins(file: &mut String, admins: &[Admin], hints: &Hints) {
    if admins.is_empty() {
        file.push('\n');
        note(file, "An account that administers this host: logs in by key, becomes root through sudo.");
        file.push_str("#[[admin]]\n#name = \"deploy\"\n#keys = [\"ssh-ed25519 AAAA... laptop\"]\n");
    }
    for (index, admin) in admins.iter().enumerate() {
        file.push_str("\n[[admin]]\n");
        if index == 0 {
            note(file, "An account that administers this host: logs in by key, becomes root through sudo.");
        }
        set(file, "name", &quoted(&admin.name));
        if index == 0 {
            note(file, "Its public keys; they are added, never taken away.");
        }
        if let Some(origin) = hints.keys_from.get(&admin.name) {
            note(file, &format!("Found in {origin}."));
        }
        set(file, "keys", &keys(&admin.keys));
        if index == 0 {
            note(file, "keep | locked | a crypt(5) hash. `keep` leaves it; a new account starts locked.");
        }
        let password = match &admin.password {
            Password::Keep => "keep",
            Password::Locked => "locked",
            Password::Hash(hash) => hash,
        };
        setting(file, "password", &quoted(password), admin.password == Password::Keep);
        if index == 0 {
            note(file, "auto | password | no-password. `auto` asks where the account has a usable password.");
        }
        setting(file, "sudo", &quoted(sudo(admin.sudo)), admin.sudo == Sudo::Auto);
        if let Some(shell) = &admin.shell {
            set(file, "shell", &quoted(&shell.to_string_lossy()));
        } else if index == 0 {
            note(file, "Left out: the account's own shell, or the host's default for a new account.");
            file.push_str("#shell = \"/bin/bash\"\n");
        }
    }
}

fn ssh(file: &mut String, ssh: &Ssh) {
    let default = Ssh::default();
    file.push_str("\n[ssh]\n");
    note(file, "Whether root may log in over SSH, by any means.");
    switch(file, "root-login", ssh.root_login, default.root_login);
    note(file, "Whether anybody may log in by password.");
    switch(file, "password-login", ssh.password_login, default.password_login);
    note(file, "modern | compatible: which old algorithms are taken out; new ones always stay.");
    let crypto = match ssh.crypto {
        Crypto::Modern => "modern",
        Crypto::Compatible => "compatible",
    };
    setting(file, "crypto", &quoted(crypto), ssh.crypto == default.crypto);
    note(file, "any | admins: every account that has a key, or only the [[admin]] accounts.");
    let allow = match ssh.allow {
        AllowLogin::Any => "any",
        AllowLogin::Admins => "admins",
    };
    setting(file, "allow", &quoted(allow), ssh.allow == default.allow);
    note(file, "Whether TCP ports may be forwarded (ssh -L, -R, ProxyJump).");
    switch(file, "tcp-forwarding", ssh.tcp_forwarding, default.tcp_forwarding);
    note(file, "Whether the agent may be forwarded (ssh -A).");
    switch(file, "agent-forwarding", ssh.agent_forwarding, default.agent_forwarding);
}

fn firewall(file: &mut String, firewall: &Firewall) {
    let default = Firewall::default();
    file.push_str("\n[firewall]\n");
    note(file, "reject | drop: what happens to what nothing below lets in.");
    setting(file, "inbound", &quoted(refusal(firewall.inbound)), firewall.inbound == default.inbound);
    note(file, "reject | drop: what happens to packets on their way through this host.");
    setting(file, "forwarded", &quoted(refusal(firewall.forwarded)), firewall.forwarded == default.forwarded);
    note(file, "Whether echo requests are answered.");
    switch(file, "ping", firewall.ping, default.ping);
    note(file, "same | reject: IPv6 like IPv4, or refused whole.");
    setting(file, "ipv6", &quoted(ipv6(firewall.ipv6)), firewall.ipv6 == default.ipv6);
    note(file, "At most how often a refused packet is logged: 5/minute, 1/second, 10/hour, off.");
    setting(file, "log", &quoted(&firewall.log.to_string()), firewall.log == default.log);
    note(file, "Whether other firewall managers (ufw, firewalld, ...) are stood down.");
    switch(file, "exclusive", firewall.exclusive, default.exclusive);
    note(file, "auto | nftables | iptables: through what the rules are loaded.");
    setting(file, "backend", &quoted(backend(firewall.backend)), firewall.backend == default.backend);
    if firewall.allow.is_empty() {
        note(file, "What is let in: nothing.");
        set(file, "allow", "[]");
    }
}

fn allowed(file: &mut String, allow: &Allow, hints: &Hints) {
    file.push_str("\n[[firewall.allow]]\n");
    for listening in &hints.listening {
        if lets_in(allow, hints, listening.port) {
            note(file, &format!("{} listens on {}.", listening.process, listening.port));
        }
    }
    for (key, value) in allow_keys(allow) {
        if key == "new-per-minute" {
            note(file, "New connections a minute from one source address.");
        }
        set(file, key, &value);
    }
}

fn forwarded(file: &mut String, forward: &Forward) {
    file.push_str("\n[[firewall.forward]]\n");
    forward_keys(forward).iter().for_each(|(key, value)| set(file, key, value));
}

fn rule(file: &mut String, rule: &Rule) {
    file.push_str("\n[[firewall.rule]]\n");
    rule_keys(rule).iter().for_each(|(key, value)| set(file, key, value));
}

/// What an entry sets, in the order of the file.
pub(crate) fn allow_keys(allow: &Allow) -> Vec<(&'static str, String)> {
    let mut keys = Vec::new();
    list(&mut keys, "service", &allow.service);
    list(&mut keys, "port", &allow.port);
    list(&mut keys, "from", &allow.from);
    keys.extend(allow.new_per_minute.map(|limit| ("new-per-minute", limit.to_string())));
    keys.extend(allow.comment.as_deref().map(|comment| ("comment", quoted(comment))));
    keys
}

pub(crate) fn forward_keys(forward: &Forward) -> Vec<(&'static str, String)> {
    let mut keys = Vec::new();
    list(&mut keys, "in", &forward.input);
    list(&mut keys, "out", &forward.output);
    list(&mut keys, "from", &forward.from);
    list(&mut keys, "to", &forward.to);
    list(&mut keys, "port", &forward.port);
    keys.extend(forward.comment.as_deref().map(|comment| ("comment", quoted(comment))));
    keys
}

pub(crate) fn rule_keys(rule: &Rule) -> Vec<(&'static str, String)> {
    let mut keys = vec![("chain", quoted(&rule.chain)), ("rule", literal(&rule.rule))];
    keys.extend(rule.family.map(|family| {
        let family = match family {
            RuleFamily::Both => "both",
            RuleFamily::Ipv4 => "ipv4",
            RuleFamily::Ipv6 => "ipv6",
        };
        ("family", quoted(family))
    }));
    keys.extend(rule.comment.as_deref().map(|comment| ("comment", quoted(comment))));
    if !rule.active {
        keys.push(("active", "false".to_owned()));
    }
    keys
}

fn list<T: ToString>(keys: &mut Vec<(&'static str, String)>, key: &'static str, items: &[T]) {
    if !items.is_empty() {
        keys.push((key, one_or_list(items)));
    }
}

fn not_allowed(file: &mut String, allows: &[Allow], hints: &Hints) {
    let let_in = |listening: &&Listening| allows.iter().any(|allow| lets_in(allow, hints, listening.port));
    let mut left: Vec<&Listening> = hints.listening.iter().filter(|listening| !let_in(listening)).collect();
    left.sort_by_key(|listening| listening.port);
    left.dedup();
    if left.is_empty() {
        return;
    }
    file.push('\n');
    note(file, "These listen on the network too, and nothing above lets them in.");
    for listening in left {
        file.push('\n');
        note(file, &format!("{}:", listening.process));
        let _ = writeln!(file, "#[[firewall.allow]]\n#port = \"{}\"", listening.port);
    }
}

fn lets_in(allow: &Allow, hints: &Hints, port: PortSpec) -> bool {
    let covers = |spec: &PortSpec| {
        spec.transport == port.transport && spec.first <= port.first && port.last <= spec.last
    };
    allow.ports(&hints.ssh_ports).is_ok_and(|ports| ports.iter().any(covers))
}

fn sudo(sudo: Sudo) -> &'static str {
    match sudo {
        Sudo::Auto => "auto",
        Sudo::Password => "password",
        Sudo::NoPassword => "no-password",
    }
}

pub(crate) fn ipv6(ipv6: Ipv6) -> &'static str {
    match ipv6 {
        Ipv6::Same => "same",
        Ipv6::Reject => "reject",
    }
}

pub(crate) fn backend(backend: Backend) -> &'static str {
    match backend {
        Backend::Auto => "auto",
        Backend::Nftables => "nftables",
        Backend::Iptables => "iptables",
    }
}

pub(crate) fn refusal(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Reject => "reject",
        Refusal::Drop => "drop",
    }
}

/// A comment on a line of its own; what comes from the host cannot break out of it.
fn note(file: &mut String, text: &str) {
    let line: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    let _ = writeln!(file, "# {line}");
}

fn set(file: &mut String, key: &str, value: &str) {
    let _ = writeln!(file, "{key} = {value}");
}

fn setting(file: &mut String, key: &str, value: &str, is_default: bool) {
    if is_default {
        file.push('#');
    }
    set(file, key, value);
}

fn switch(file: &mut String, key: &str, value: bool, default: bool) {
    setting(file, key, if value { "true" } else { "false" }, value == default);
}

fn one_or_list<T: ToString>(items: &[T]) -> String {
    let quoted: Vec<String> = items.iter().map(|item| quoted(&item.to_string())).collect();
    match quoted.as_slice() {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

/// Keys, one a line.
fn keys(keys: &[String]) -> String {
    if keys.is_empty() {
        return "[]".to_owned();
    }
    let lines: Vec<String> = keys.iter().map(|key| format!("    {},\n", quoted(key))).collect();
    format!("[\n{}]", lines.concat())
}

/// A string of TOML in single quotes where it can be, since rules of iptables often hold double ones.
fn literal(text: &str) -> String {
    if text.contains('"') && !text.contains('\'') && !text.chars().any(char::is_control) {
        format!("'{text}'")
    } else {
        quoted(text)
    }
}

/// A basic string of TOML.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
