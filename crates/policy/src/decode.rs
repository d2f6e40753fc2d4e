//! From TOML to a [`Policy`], with every problem of the file in one go.

use std::ops::Range;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use toml::de::{DeTable, DeValue};

use crate::check;
use crate::model::{
    Admin, Allow, AllowLogin, Backend, Crypto, Firewall, Forward, Ipv6, LogRate, Password, Policy, PortSpec,
    Refusal, Rule, RuleFamily, Ssh, Sudo,
};
use crate::nearest::nearest;
use crate::password_hash;
use crate::places::Places;
use crate::problem::{PolicyError, Problem, Severity};
use crate::public_key::{KeyError, PublicKey};
use crate::read::{Reader, Text, Value};
use crate::services::{SERVICES, lookup};
use crate::syntax::{private_key_problem, syntax_problems};
use crate::text::{PortError, RateError, parse_net};
use crate::vocabulary::{ADMIN, ALLOW, FIREWALL, FORWARD, RULE, SSH, TOP};

/// A policy with what only its file knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// What the file says, with every default filled in.
    pub policy: Policy,
    /// Where it says it.
    pub places: Places,
    /// What is odd about it, though it can be used.
    pub warnings: Vec<Problem>,
}

/// Reads a policy and where each key of it stands.
///
/// # Errors
/// Every problem of the text, in its order. Where the TOML itself does not parse, only that.
pub fn parse_with_places(text: &str, origin: &Path) -> Result<Parsed, PolicyError> {
    let (root, syntax) = DeTable::parse_recoverable(text);
    let places = Places { file: origin.to_owned(), ..Places::default() };
    let mut reader = Reader { text, places, problems: Vec::new() };
    let mut policy = Policy::default();
    if syntax.is_empty() {
        policy = reader.policy(root.get_ref());
        reader.problems.extend(check::across_fields(&policy, &reader.places));
    } else {
        reader.problems = syntax_problems(text, &syntax);
    }

    let Reader { places, mut problems, .. } = reader;
    for problem in &mut problems {
        problem.place_in(text);
    }
    problems.sort_by_key(|problem| problem.span.start);
    if problems.iter().any(|problem| problem.severity == Severity::Error) {
        return Err(PolicyError { file: origin.to_owned(), text: text.to_owned(), problems });
    }
    Ok(Parsed { policy, places, warnings: problems })
}

impl Reader<'_> {
    fn policy(&mut self, root: &DeTable<'_>) -> Policy {
        let mut policy = Policy::default();
        for (key, path, value) in self.entries(root, "", &TOP) {
            match key {
                "admin" => policy.admins = self.admins(value, &path),
                "ssh" => policy.ssh = self.ssh(value, &path),
                "firewall" => policy.firewall = self.firewall(value, &path),
                _ => {}
            }
        }
        policy
    }

    fn admins(&mut self, value: &Value<'_>, path: &str) -> Vec<Admin> {
        let tables = self.tables(value, path, "[[admin]]");
        tables.into_iter().map(|(path, span, table)| self.admin(&path, span, table)).collect()
    }

    fn admin(&mut self, path: &str, span: Range<usize>, table: &DeTable<'_>) -> Admin {
        let mut admin = Admin {
            name: String::new(),
            keys: Vec::new(),
            password: Password::default(),
            sudo: Sudo::default(),
            shell: None,
        };
        for (key, path, value) in self.entries(table, path, &ADMIN) {
            match key {
                "name" => admin.name = self.user_name(value).unwrap_or_default(),
                "keys" => admin.keys = self.public_keys(value, &path),
                "password" => admin.password = self.password(value).unwrap_or_default(),
                "sudo" => admin.sudo = self.choice(value, key, SUDO).unwrap_or_default(),
                "shell" => admin.shell = self.shell(value),
                _ => {}
            }
        }
        if !table.contains_key("name") {
            self.problem(Problem::error(span, "an admin without a name").help("write `name = \"deploy\"`"));
        }
        admin
    }

    fn ssh(&mut self, value: &Value<'_>, path: &str) -> Ssh {
        let mut ssh = Ssh::default();
        let Some(table) = self.table(value, "[ssh]") else {
            return ssh;
        };
        for (key, _, value) in self.entries(table, path, &SSH) {
            match key {
                "root-login" => self.boolean(value).into_iter().for_each(|on| ssh.root_login = on),
                "password-login" => self.boolean(value).into_iter().for_each(|on| ssh.password_login = on),
                "crypto" => ssh.crypto = self.choice(value, key, CRYPTO).unwrap_or_default(),
                "allow" => ssh.allow = self.choice(value, key, ALLOW_LOGIN).unwrap_or_default(),
                "tcp-forwarding" => self.boolean(value).into_iter().for_each(|on| ssh.tcp_forwarding = on),
                "agent-forwarding" => {
                    self.boolean(value).into_iter().for_each(|on| ssh.agent_forwarding = on);
                }
                _ => {}
            }
        }
        ssh
    }

    fn firewall(&mut self, value: &Value<'_>, path: &str) -> Firewall {
        let mut firewall = Firewall::default();
        let Some(table) = self.table(value, "[firewall]") else {
            return firewall;
        };
        for (key, path, value) in self.entries(table, path, &FIREWALL) {
            match key {
                "inbound" => firewall.inbound = self.choice(value, key, REFUSAL).unwrap_or_default(),
                "forwarded" => firewall.forwarded = self.choice(value, key, REFUSAL).unwrap_or_default(),
                "ping" => self.boolean(value).into_iter().for_each(|on| firewall.ping = on),
                "ipv6" => firewall.ipv6 = self.choice(value, key, IPV6).unwrap_or_default(),
                "log" => self.log_rate(value).into_iter().for_each(|rate| firewall.log = rate),
                "exclusive" => self.boolean(value).into_iter().for_each(|on| firewall.exclusive = on),
                "backend" => firewall.backend = self.choice(value, key, BACKEND).unwrap_or_default(),
                "allow" => firewall.allow = self.allows(value, &path),
                "forward" => firewall.forward = self.forwards(value, &path),
                "rule" => firewall.rule = self.rules(value, &path),
                _ => {}
            }
        }
        firewall
    }

    fn forwards(&mut self, value: &Value<'_>, path: &str) -> Vec<Forward> {
        if let DeValue::String(refusal) = value.get_ref() {
            let problem = Problem::error(value.span(), "`forward` is what this host forwards");
            let help = format!("for how the rest is refused, write `forwarded = \"{refusal}\"`");
            self.problem(problem.label("a list of sections, each written `[[firewall.forward]]`").help(help));
            return Vec::new();
        }
        let tables = self.tables(value, path, FORWARD.heading);
        tables.into_iter().map(|(path, span, table)| self.forward(&path, span, table)).collect()
    }

    fn forward(&mut self, path: &str, span: Range<usize>, table: &DeTable<'_>) -> Forward {
        let mut forward = Forward { line: self.places.line(path).unwrap_or_default(), ..Forward::default() };
        for (key, path, value) in self.entries(table, path, &FORWARD) {
            if is_empty_list(value) {
                self.problem(empty_list(key, value.span()));
            }
            match key {
                "in" => forward.input = self.interfaces(value, &path, key),
                "out" => forward.output = self.interfaces(value, &path, key),
                "from" => forward.from = self.networks(value, &path, "from = [\"192.168.0.0/16\"]"),
                "to" => forward.to = self.networks(value, &path, "to = [\"192.168.0.0/16\"]"),
                "port" => forward.port = self.ports(value, &path),
                "comment" => forward.comment = self.comment(value),
                _ => {}
            }
        }
        if ["in", "out", "from", "to", "port"].iter().all(|key| !table.contains_key(*key)) {
            let problem =
                Problem::error(span, "a forward entry that says nothing would let everything through");
            self.problem(
                problem.help("write what may pass, as in `in = \"docker0\"` or `to = \"192.0.2.0/24\"`"),
            );
        }
        forward
    }

    fn rules(&mut self, value: &Value<'_>, path: &str) -> Vec<Rule> {
        let tables = self.tables(value, path, RULE.heading);
        tables.into_iter().map(|(path, span, table)| self.rule(&path, span, table)).collect()
    }

    fn rule(&mut self, path: &str, span: Range<usize>, table: &DeTable<'_>) -> Rule {
        let mut rule = Rule { line: self.places.line(path).unwrap_or_default(), ..Rule::default() };
        let mut words = 0..0;
        for (key, _, value) in self.entries(table, path, &RULE) {
            match key {
                "chain" => rule.chain = self.chain(value).unwrap_or_default(),
                "rule" => {
                    let text = self.string(value, "rule = \"-p tcp --dport 25 -j DROP\"");
                    words = value.span();
                    rule.rule = text.map(|text| text.text.to_owned()).unwrap_or_default();
                }
                "family" => rule.family = self.choice(value, key, RULE_FAMILY),
                "comment" => rule.comment = self.comment(value),
                "active" => self.boolean(value).into_iter().for_each(|on| rule.active = on),
                _ => {}
            }
        }
        for key in ["chain", "rule"] {
            if !table.contains_key(key) {
                let problem = Problem::error(span.clone(), format!("a rule entry without `{key}`"));
                self.problem(
                    problem.help("write `chain = \"input\"` and `rule = \"-p tcp --dport 25 -j DROP\"`"),
                );
            }
        }
        // What is not loaded may be what this version does not understand.
        if rule.active && !rule.rule.is_empty() {
            self.words(&rule, &words);
        }
        rule
    }

    fn words(&mut self, rule: &Rule, literal: &Range<usize>) {
        let Err(error) = rule.families() else { return };
        let span = crate::rule::place(self.text, literal, &rule.rule, &error);
        let problem = Problem::error(span, error.message());
        let first = rule.rule.split_whitespace().next().unwrap_or_default();
        let names_chain = matches!(first, "iptables" | "ip6tables" | "-A" | "-I" | "--append" | "--insert");
        self.problem(if names_chain {
            problem.help("`chain` says where the rule stands: write it without `-A INPUT` before")
        } else {
            problem
        });
    }

    fn chain(&mut self, value: &Value<'_>) -> Option<String> {
        let Text { text, span } = self.string(value, "chain = \"input\"")?;
        if let Some(built_in) = BUILT_IN.iter().find(|name| text.eq_ignore_ascii_case(name)) {
            return Some((*built_in).to_owned());
        }
        let fits = (1..=28).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
            && !text.starts_with('-');
        if fits {
            return Some(text.to_owned());
        }
        let problem = Problem::error(span, format!("`{text}` is no name of a chain"));
        self.problem(problem.help(
            "`input`, `forward`, `output`, or a name of letters, digits, `-`, `_` and `.`, of at most 28",
        ));
        None
    }

    fn interfaces(&mut self, value: &Value<'_>, path: &str, key: &str) -> Vec<String> {
        let mut interfaces = Vec::new();
        for name in self.strings(value, path, &format!("{key} = \"docker*\"")) {
            match interface_problem(&name, key) {
                None => interfaces.push(name.text.to_owned()),
                Some(problem) => self.problem(problem),
            }
        }
        interfaces
    }

    fn allows(&mut self, value: &Value<'_>, path: &str) -> Vec<Allow> {
        if is_empty_list(value) {
            let problem = Problem::warning(value.span(), "nothing is let in, SSH neither");
            self.problem(problem.help("leave `allow` out for the default, `service = \"ssh\"`"));
        }
        let tables = self.tables(value, path, "[[firewall.allow]]");
        tables.into_iter().map(|(path, span, table)| self.allow(&path, span, table)).collect()
    }

    fn allow(&mut self, path: &str, span: Range<usize>, table: &DeTable<'_>) -> Allow {
        let mut allow = Allow { line: self.places.line(path).unwrap_or_default(), ..Allow::default() };
        for (key, path, value) in self.entries(table, path, &ALLOW) {
            if is_empty_list(value) {
                self.problem(empty_list(key, value.span()));
            }
            match key {
                "service" => allow.service = self.services(value, &path),
                "port" => allow.port = self.ports(value, &path),
                "from" => allow.from = self.networks(value, &path, "from = [\"192.168.0.0/16\"]"),
                "new-per-minute" => allow.new_per_minute = self.count(value),
                "comment" => allow.comment = self.comment(value),
                _ => {}
            }
        }
        if !table.contains_key("service") && !table.contains_key("port") {
            let problem = Problem::error(span, "an allow entry with neither `service` nor `port`");
            self.problem(problem.help("write `service = \"https\"` or `port = \"tcp/8080\"`"));
        }
        allow
    }

    fn user_name(&mut self, value: &Value<'_>) -> Option<String> {
        let name = self.string(value, "name = \"deploy\"")?;
        if name.text == "root" {
            let problem = Problem::error(name.span, "root is no admin account");
            self.problem(
                problem.help("name another account: it becomes root through sudo, and is known by its name"),
            );
            return None;
        }
        if !is_user_name(name.text) {
            let problem = Problem::error(name.span, format!("`{}` is no user name", name.text));
            self.problem(problem.help(
                "a user name is of small letters, digits, `_` and `-`, begins with a letter or `_`, and has at most 32",
            ));
            return None;
        }
        Some(name.text.to_owned())
    }

    fn public_keys(&mut self, value: &Value<'_>, path: &str) -> Vec<String> {
        let mut keys: Vec<String> = Vec::new();
        for key in self.strings(value, path, "keys = [\"ssh-ed25519 AAAA... laptop\"]") {
            match PublicKey::parse(key.text) {
                Ok(_) => keys.push(key.text.trim().to_owned()),
                Err(KeyError::Private) => self.problem(private_key_problem(self.text, key.span)),
                Err(error) => self.problem(Problem::error(key.span, error.to_string()).help(error.help())),
            }
        }
        keys
    }

    fn password(&mut self, value: &Value<'_>) -> Option<Password> {
        let Text { text, span } = self.string(value, "password = \"locked\"")?;
        match text {
            "keep" => return Some(Password::Keep),
            "locked" => return Some(Password::Locked),
            _ => {}
        }
        let Err(error) = password_hash::check(text) else {
            return Some(Password::Hash(text.to_owned()));
        };
        let problem = match nearest(text, ["keep", "locked"]) {
            Some(meant) => Problem::error(span, "this is no value of `password`")
                .label(format!("did you mean `{meant}`?")),
            None => Problem::error(span, error.to_string()).secret(self.text),
        };
        self.problem(problem.help(error.help()));
        None
    }

    fn shell(&mut self, value: &Value<'_>) -> Option<PathBuf> {
        let shell = self.string(value, "shell = \"/bin/bash\"")?;
        if shell.text.starts_with('/') && !shell.text.contains([':', '\n', '\0']) {
            return Some(PathBuf::from(shell.text));
        }
        let problem = Problem::error(shell.span, format!("`{}` is no absolute path", shell.text));
        self.problem(problem.help("write the whole path, as in `shell = \"/bin/bash\"`"));
        None
    }

    fn log_rate(&mut self, value: &Value<'_>) -> Option<LogRate> {
        let rate = self.string(value, "log = \"5/minute\"")?;
        let parsed: Result<LogRate, RateError> = rate.text.parse();
        parsed
            .map_err(|error| self.problem(Problem::error(rate.span, error.to_string()).help(error.help())))
            .ok()
    }

    fn services(&mut self, value: &Value<'_>, path: &str) -> Vec<String> {
        let mut services = Vec::new();
        for name in self.strings(value, path, "service = \"https\"") {
            if lookup(name.text).is_some() {
                services.push(name.text.to_owned());
            } else {
                self.problem(unknown_service(&name));
            }
        }
        services
    }

    fn ports(&mut self, value: &Value<'_>, path: &str) -> Vec<PortSpec> {
        if let DeValue::Integer(number) = value.get_ref() {
            let error = PortError::NoTransport(number.as_str().to_owned());
            self.problem(Problem::error(value.span(), error.to_string()).label(error.help()));
            return Vec::new();
        }
        let mut ports = Vec::new();
        for port in self.strings(value, path, "port = \"tcp/8080\"") {
            match port.text.parse::<PortSpec>() {
                Ok(port) => ports.push(port),
                Err(error) => self.problem(Problem::error(port.span, error.to_string()).label(error.help())),
            }
        }
        ports
    }

    fn networks(&mut self, value: &Value<'_>, path: &str, example: &str) -> Vec<IpNet> {
        let mut sources = Vec::new();
        for source in self.strings(value, path, example) {
            match parse_net(source.text) {
                None => self.problem(no_network(&source)),
                Some(net) if net.addr() != net.network() => self.problem(host_bits(&source, net)),
                Some(net) => sources.push(net),
            }
        }
        sources
    }

    fn comment(&mut self, value: &Value<'_>) -> Option<String> {
        let comment = self.string(value, "comment = \"load balancer\"")?;
        if comment.text.chars().any(char::is_control) {
            self.problem(Problem::error(comment.span, "a comment is one line without control characters"));
            return None;
        }
        Some(comment.text.to_owned())
    }
}

/// useradd(8) on every family takes these: a letter or `_`, then letters, digits, `_`, `-`; at most 32.
fn is_user_name(name: &str) -> bool {
    name.len() <= 32
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
}

fn unknown_service(name: &Text<'_>) -> Problem {
    let problem = Problem::error(name.span.clone(), format!("unknown service `{}`", name.text));
    let problem = match nearest(name.text, SERVICES.iter().map(|service| service.name)) {
        Some(meant) => problem.label(format!("did you mean `{meant}`?")),
        None => problem,
    };
    problem.help(
        "the reference of the policy lists the names; for any other service, write its port: `port = \"tcp/8080\"`",
    )
}

fn is_empty_list(value: &Value<'_>) -> bool {
    matches!(value.get_ref(), DeValue::Array(list) if list.is_empty())
}

fn empty_list(key: &str, span: Range<usize>) -> Problem {
    let problem = Problem::error(span, format!("`{key} = []` is empty"));
    if key == "from" {
        problem
            .label("does this mean nobody, or anybody?")
            .help("for anybody, leave `from` out; for nobody, remove the entry")
    } else {
        problem.help("remove it, or write what it lets in")
    }
}

/// Names that the kernel takes (`dev_valid_name`), or the beginning of one and a `*`.
fn interface_problem(name: &Text<'_>, key: &str) -> Option<Problem> {
    let (begins, help) = match (name.text, name.text.strip_suffix(['*', '+'])) {
        ("*" | "+", _) => {
            let problem =
                Problem::error(name.span.clone(), format!("`{key} = \"{}\"` is every interface", name.text));
            return Some(problem.help(format!("leave `{key}` out")));
        }
        (text, Some(begins)) if text.ends_with('+') => {
            let problem = Problem::error(name.span.clone(), format!("`{text}` is the spelling of iptables"));
            return Some(problem.label(format!("write `{begins}*`")));
        }
        (_, Some(begins)) => (begins, "`*` stands at the end only"),
        (text, None) => {
            (text, "a name has at most 15 characters; `*` at its end is every name that begins so")
        }
    };
    let fits = (1..=15).contains(&begins.len())
        && !begins.contains(['/', ':', '*', '+'])
        && !begins.chars().any(|c| c.is_whitespace() || c.is_control())
        && begins.is_ascii()
        && !matches!(begins, "." | "..");
    (!fits).then(|| Problem::error(name.span.clone(), format!("`{}` is no interface", name.text)).help(help))
}

fn no_network(source: &Text<'_>) -> Problem {
    Problem::error(source.span.clone(), format!("`{}` is no network", source.text))
        .help("write `192.168.0.0/16`, `2001:db8::/32`, or one address; names are not looked up, since DNS can be forged")
}

fn host_bits(source: &Text<'_>, net: IpNet) -> Problem {
    let host = IpNet::from(net.addr());
    Problem::error(source.span.clone(), format!("`{}` has bits set beyond its prefix", source.text))
        .label(format!("did you mean `{}`?", net.trunc()))
        .help(format!("`{}` is the whole network, `{host}` the one address", net.trunc()))
}

const BUILT_IN: &[&str] = &["input", "forward", "output"];
const BACKEND: &[(&str, Backend)] =
    &[("auto", Backend::Auto), ("nftables", Backend::Nftables), ("iptables", Backend::Iptables)];
const RULE_FAMILY: &[(&str, RuleFamily)] =
    &[("both", RuleFamily::Both), ("ipv4", RuleFamily::Ipv4), ("ipv6", RuleFamily::Ipv6)];
const SUDO: &[(&str, Sudo)] =
    &[("auto", Sudo::Auto), ("password", Sudo::Password), ("no-password", Sudo::NoPassword)];
const CRYPTO: &[(&str, Crypto)] = &[("modern", Crypto::Modern), ("compatible", Crypto::Compatible)];
const ALLOW_LOGIN: &[(&str, AllowLogin)] = &[("any", AllowLogin::Any), ("admins", AllowLogin::Admins)];
const REFUSAL: &[(&str, Refusal)] = &[("reject", Refusal::Reject), ("drop", Refusal::Drop)];
const IPV6: &[(&str, Ipv6)] = &[("same", Ipv6::Same), ("reject", Ipv6::Reject)];
