//! A policy as the pair of files that `iptables-restore` and `ip6tables-restore` load.
//!
//! Everything stands in chains of our own, named `gabion-...`; the built-in chains hold one jump each. Only extensions that
//! every distribution's kernel has are used: comment, conntrack, hashlimit, hl, icmp, icmp6, iprange, limit, LOG, multiport,
//! REJECT, tcp, udp.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Subnets, Ipv6Subnets};
use iptables_syntax::{Family, Target};

use crate::policy::{
    Allow, FilterPolicy, ForwardEntry, InterfaceName, Ipv6, LogRate, PINGS_PER_SECOND, Per, PortRange,
    Refusal, Transport,
};
use crate::ranges::{Ranges, addresses};
use crate::rules::BASE_CHAINS;

/// The chains of the table `filter`, for one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IptablesExport {
    /// Our own chains, each with its rules as `iptables-save` writes them, without `-A CHAIN`.
    pub chains: Vec<(String, Vec<String>)>,
    /// The built-in chains that have to jump to one of ours, such as `("INPUT", "gabion-input")`.
    pub hooks: Vec<(&'static str, String)>,
}

/// The policy as two texts: for `iptables-restore`, and for `ip6tables-restore`.
///
/// Each sets the policies of INPUT and FORWARD to DROP, and replaces the whole table `filter` unless it is loaded with
/// `--noflush`; then the jumps from the built-in chains must not be there yet.
#[must_use]
pub fn iptables_save(policy: &FilterPolicy) -> (String, String) {
    (iptables_export(policy, false).save(), iptables_export(policy, true).save())
}

/// The policy as chains of the table `filter`, for IPv4 or for IPv6.
#[must_use]
pub fn iptables_export(policy: &FilterPolicy, ipv6: bool) -> IptablesExport {
    let mut writer =
        Writer { policy, ipv6, chains: Vec::new(), names: Names::default(), own: BTreeMap::new() };
    writer.own_names();
    writer.input();
    writer.forward();
    let mut hooks = vec![("INPUT", INPUT.to_owned()), ("FORWARD", FORWARD.to_owned())];
    if writer.output() {
        hooks.push(("OUTPUT", OUTPUT.to_owned()));
    }
    writer.own_chains();
    IptablesExport { chains: writer.chains, hooks }
}

impl IptablesExport {
    /// As `iptables-save` would print it.
    #[must_use]
    pub fn save(&self) -> String {
        let mut text =
            String::from("*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n");
        for (chain, _) in &self.chains {
            let _ = writeln!(text, ":{chain} - [0:0]");
        }
        for (built_in, chain) in &self.hooks {
            let _ = writeln!(text, "-A {built_in} -j {chain}");
        }
        for (chain, rules) in &self.chains {
            for rule in rules {
                let _ = writeln!(text, "-A {chain} {rule}");
            }
        }
        text.push_str("COMMIT\n");
        text
    }
}

const INPUT: &str = "gabion-input";
const FORWARD: &str = "gabion-forward";
const OUTPUT: &str = "gabion-output";
const PUBLISHED: &str = "gabion-published";
const ESTABLISHED: &str = "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT";
const INVALID: &str = "-m conntrack --ctstate INVALID -j DROP";

/// The chains of one family, as they grow.
struct Writer<'p> {
    policy: &'p FilterPolicy,
    ipv6: bool,
    chains: Vec<(String, Vec<String>)>,
    names: Names,
    /// The chains of the policy's own rules, by their names there.
    own: BTreeMap<&'p str, String>,
}

impl<'p> Writer<'p> {
    fn input(&mut self) {
        let at = self.begin(INPUT);
        let mut rules = vec!["-i lo -j ACCEPT".to_owned()];
        if self.ipv6 && self.policy.ipv6 == Ipv6::Reject {
            rules.extend(self.refusal(self.policy.inbound, false));
            self.chains[at].1 = rules;
            return;
        }
        let loopback = if self.ipv6 { "::1/128" } else { "127.0.0.0/8" };
        rules.push(format!("-s {loopback} -j DROP"));
        rules.push(format!("-d {loopback} -j DROP"));
        rules.push(ESTABLISHED.to_owned());
        if self.ipv6 {
            rules.extend(icmpv6([1, 2, 3, 4], "", ""));
        }
        rules.push(INVALID.to_owned());
        rules.extend(self.link());
        rules.extend(self.own_jump("input"));
        rules.extend(self.ping());
        for (transport, name) in [(Transport::Tcp, "tcp"), (Transport::Udp, "udp")] {
            let allowed = self.allowed(transport, name);
            if !allowed.is_empty() {
                let chain = format!("gabion-{name}");
                rules.push(format!("-p {name} -j {chain}"));
                let at = self.begin(&chain);
                self.chains[at].1 = allowed;
            }
        }
        rules.extend(self.log("INPUT"));
        rules.extend(self.refusal(self.policy.inbound, false));
        self.chains[at].1 = rules;
    }

    /// What IPv6 does not work without on its link.
    fn link(&self) -> Vec<String> {
        let mut rules = Vec::new();
        if self.ipv6 {
            rules.extend(icmpv6([133, 134, 135, 136], "", " -m hl --hl-eq 255"));
            rules.extend(icmpv6([130, 131, 132, 143], "-s fe80::/10 ", ""));
            rules.push("-s fe80::/10 -d fe80::/10 -p udp -m udp --dport 546 -j ACCEPT".to_owned());
        }
        rules
    }

    fn ping(&self) -> Option<String> {
        let echo_request = if self.ipv6 {
            "-p ipv6-icmp -m icmp6 --icmpv6-type 128"
        } else {
            "-p icmp -m icmp --icmp-type 8"
        };
        let rate = PINGS_PER_SECOND;
        let rule = format!("{echo_request} -m limit --limit {rate}/sec --limit-burst {rate} -j ACCEPT");
        self.policy.ping.then_some(rule)
    }

    fn forward(&mut self) {
        let at = self.begin(FORWARD);
        let mut rules = Vec::new();
        if !(self.ipv6 && self.policy.ipv6 == Ipv6::Reject) {
            rules.push(ESTABLISHED.to_owned());
            rules.push(INVALID.to_owned());
            rules.extend(self.own_jump("forward"));
            let published = self.published();
            if !published.is_empty() {
                rules.push(format!("-m conntrack --ctstate DNAT -j {PUBLISHED}"));
                let at = self.begin(PUBLISHED);
                self.chains[at].1 = published;
            }
            let policy = self.policy;
            for entry in &policy.forwards {
                rules.extend(self.passing(entry));
            }
            rules.extend(self.log("FORWARD"));
        }
        rules.extend(self.refusal(self.policy.forward, true));
        self.chains[at].1 = rules;
    }

    /// Flows that a NAT rule sends on, as to a container's published port: by the port that was asked for.
    fn published(&mut self) -> Vec<String> {
        let mut rules = Vec::new();
        for (transport, name) in [(Transport::Tcp, "tcp"), (Transport::Udp, "udp")] {
            for (allow, sources) in self.entries(transport) {
                let comment = comment(&allow.label());
                let target = self.target(allow, &sources);
                for range in ranges(&allow.ports, transport).as_slice() {
                    let ports = port_text(range);
                    rules
                        .push(format!("-p {name} -m conntrack --ctorigdstport {ports}{comment} -j {target}"));
                }
            }
        }
        rules
    }

    /// The rules of a `forward` entry.
    fn passing(&mut self, entry: &ForwardEntry) -> Vec<String> {
        let (from, to) = (addresses(&entry.from, self.ipv6), addresses(&entry.to, self.ipv6));
        if !entry.from.is_empty() && from.is_empty() || !entry.to.is_empty() && to.is_empty() {
            return Vec::new();
        }
        let wish = format!("gabion-{}", slug(&entry.name()));
        let mut target = "-j ACCEPT".to_owned();
        let mut inline = String::new();
        for (side, ranges) in [(Side::Destination, &to), (Side::Source, &from)] {
            let prefixes: Vec<String> =
                ranges.as_slice().iter().flat_map(|&range| self.prefixes(range)).collect();
            match prefixes.as_slice() {
                [] => {}
                [only] => inline = format!("{} {only} {inline}", side.option()),
                _ => target = format!("-j {}", self.tree(&wish, ranges.as_slice(), &target, side)),
            }
        }
        let ways = |names: &[InterfaceName], option: &str| -> Vec<String> {
            let way = |name: &InterfaceName| {
                format!("{option} {}{} ", name.name, if name.is_prefix { "+" } else { "" })
            };
            if names.is_empty() { vec![String::new()] } else { names.iter().map(way).collect() }
        };
        let mut ports = Vec::new();
        for (transport, name) in [(Transport::Tcp, "tcp"), (Transport::Udp, "udp")] {
            let matches = port_matches(&entry.ports, transport, name);
            ports.extend(matches.into_iter().map(|ports| format!("-p {name} {ports}")));
        }
        if entry.ports.is_empty() {
            ports.push(String::new());
        }
        let comment = comment(&entry.label());
        let mut rules = Vec::new();
        for input in ways(&entry.input, "-i") {
            for output in ways(&entry.output, "-o") {
                for ports in &ports {
                    let head = format!("{inline}{input}{output}{ports}");
                    rules.push(format!("{}{comment} {target}", head.trim_end()).trim_start().to_owned());
                }
            }
        }
        rules
    }

    /// What leaves this host: the policy's own rules, or IPv6 refused whole. Gives whether there is anything to say.
    fn output(&mut self) -> bool {
        let refuses = self.ipv6 && self.policy.ipv6 == Ipv6::Reject;
        let own = self.own_jump("output");
        if !refuses && own.is_none() {
            return false;
        }
        let at = self.begin(OUTPUT);
        let mut rules = vec!["-o lo -j ACCEPT".to_owned()];
        if refuses {
            rules.extend(self.refusal(Refusal::Reject, false));
        } else {
            rules.push(ESTABLISHED.to_owned());
            rules.extend(own);
        }
        self.chains[at].1 = rules;
        true
    }

    const fn family(&self) -> Family {
        if self.ipv6 { Family::Ipv6 } else { Family::Ipv4 }
    }

    /// Names the chains of the policy's own rules.
    fn own_names(&mut self) {
        for rule in self.policy.rules.as_slice() {
            if !rule.of(self.family()).is_empty() && !self.own.contains_key(rule.chain.as_str()) {
                let name = self.names.chain(&format!("gabion-own-{}", slug(&rule.chain)));
                self.own.insert(&rule.chain, name);
            }
        }
        // A chain that has no rules in this family may be jumped to all the same.
        for rule in self.policy.rules.as_slice() {
            if !BASE_CHAINS.contains(&rule.chain.as_str()) && !self.own.contains_key(rule.chain.as_str()) {
                let name = self.names.chain(&format!("gabion-own-{}", slug(&rule.chain)));
                self.own.insert(&rule.chain, name);
            }
        }
    }

    fn own_jump(&self, chain: &str) -> Option<String> {
        self.own.get(chain).map(|name| format!("-j {name}"))
    }

    /// The policy's own rules, as they are.
    fn own_chains(&mut self) {
        let policy = self.policy;
        for (chain, name) in self.own.clone() {
            let at = self.begin(&name);
            let rules = policy.rules.as_slice().iter().filter(|rule| rule.chain == chain);
            let mut texts = Vec::new();
            for rule in rules {
                for one in rule.of(self.family()) {
                    let mut one = one.clone();
                    if let Some(Target::Jump(to) | Target::Goto(to)) = &mut one.target
                        && let Some(named) = self.own.get(to.as_str())
                    {
                        to.clone_from(named);
                    }
                    texts.push(one.to_string().trim().to_owned());
                }
            }
            self.chains[at].1 = texts;
        }
    }

    /// The rules that let in what the entries allow.
    fn allowed(&mut self, transport: Transport, name: &str) -> Vec<String> {
        let mut rules = Vec::new();
        for (allow, sources) in self.entries(transport) {
            let comment = comment(&allow.label());
            let target = self.target(allow, &sources);
            let ports = port_matches(&allow.ports, transport, name);
            rules.extend(ports.iter().map(|ports| format!("-p {name} {ports}{comment} -j {target}")));
        }
        rules
    }

    /// The entries for a transport that let somebody of this family in, with their sources; those without a limit first,
    /// so that whoever they let in is not counted.
    fn entries(&self, transport: Transport) -> Vec<(&'p Allow, Ranges)> {
        let mut entries: Vec<(&Allow, Ranges)> = Vec::new();
        for allow in &self.policy.allow {
            let sources = addresses(&allow.from, self.ipv6);
            let lets_in = allow.from.is_empty() || !sources.is_empty();
            if lets_in && !ranges(&allow.ports, transport).is_empty() {
                entries.push((allow, sources));
            }
        }
        entries.sort_by_key(|(allow, _)| allow.new_per_minute.is_some());
        entries
    }

    /// What accepts whom an entry lets in.
    fn target(&mut self, allow: &Allow, sources: &Ranges) -> String {
        if allow.from.is_empty() && allow.new_per_minute.is_none() {
            return "ACCEPT".to_owned();
        }
        self.entry(allow, sources)
    }

    /// The chain that accepts whom an entry with sources or a limit lets in; one for both transports.
    fn entry(&mut self, allow: &Allow, sources: &Ranges) -> String {
        let key = std::ptr::from_ref(allow).addr();
        if let Some((_, name)) = self.names.entries.iter().find(|(known, _)| *known == key) {
            return name.clone();
        }
        let slug = slug(&allow.name);
        let mut target = "-j ACCEPT".to_owned();
        let mut chain = None;
        if let Some(per_minute) = allow.limit() {
            let rule = format!("{} -j ACCEPT", self.rate(&slug, per_minute));
            let name = self.names.chain(&format!("gabion-{slug}-rate"));
            let at = self.begin(&name);
            self.chains[at].1 = vec![rule];
            target = format!("-j {name}");
            chain = Some(name);
        }
        let chain = match chain {
            Some(chain) if allow.from.is_empty() => chain,
            _ => self.tree(&format!("gabion-{slug}"), sources.as_slice(), &target, Side::Source),
        };
        self.names.entries.push((key, chain.clone()));
        chain
    }

    /// A chain that does `target` where an address is one of `ranges`: a tree, so that the cost of a packet grows with the
    /// logarithm of their number.
    fn tree(&mut self, wish: &str, ranges: &[(u128, u128)], target: &str, side: Side) -> String {
        const WIDTH: usize = 32;
        let name = self.names.chain(wish);
        let at = self.begin(&name);
        let mut rules = Vec::new();
        if ranges.len() <= WIDTH {
            for &range in ranges {
                let prefixes = self.prefixes(range).into_iter();
                rules.extend(prefixes.map(|prefix| format!("{} {prefix} {target}", side.option())));
            }
        } else {
            let mut step = WIDTH;
            while ranges.len() > step * WIDTH {
                step *= WIDTH;
            }
            for part in ranges.chunks(step) {
                let (first, last) = (part[0].0, part[part.len() - 1].1);
                let below = self.tree(wish, part, target, side);
                let (first, last) = (self.address(first), self.address(last));
                rules.push(format!("-m iprange {} {first}-{last} -j {below}", side.range_option()));
            }
        }
        self.chains[at].1 = rules;
        name
    }

    fn address(&self, number: u128) -> String {
        if self.ipv6 {
            return Ipv6Addr::from_bits(number).to_string();
        }
        Ipv4Addr::from_bits(u32::try_from(number).unwrap_or(u32::MAX)).to_string()
    }

    fn prefixes(&self, (first, last): (u128, u128)) -> Vec<String> {
        if self.ipv6 {
            let subnets = Ipv6Subnets::new(Ipv6Addr::from_bits(first), Ipv6Addr::from_bits(last), 0);
            return subnets.map(|prefix| prefix.to_string()).collect();
        }
        let v4 = |number| Ipv4Addr::from_bits(u32::try_from(number).unwrap_or(u32::MAX));
        Ipv4Subnets::new(v4(first), v4(last), 0).map(|prefix| prefix.to_string()).collect()
    }

    /// At most so many packets a minute from one source. The rate is part of the table's name, since the kernel goes on
    /// with an old table of the same name at its old rate (`htable_find_get` in `xt_hashlimit.c`).
    fn rate(&mut self, slug: &str, per_minute: u32) -> String {
        let name = self.names.meter(slug, per_minute);
        let mask = if self.ipv6 { 64 } else { 32 };
        format!(
            "-m hashlimit --hashlimit-upto {per_minute}/min --hashlimit-burst {per_minute} --hashlimit-mode srcip \
             --hashlimit-name {name} --hashlimit-srcmask {mask} --hashlimit-htable-max 65535 \
             --hashlimit-htable-expire 60000"
        )
    }

    fn log(&self, hook: &str) -> Option<String> {
        let LogRate { count, per } = self.policy.log?;
        // `xt_limit` counts in ten thousandths of a second.
        let most = u32::try_from(per.seconds()).unwrap_or(1).saturating_mul(10_000);
        let unit = match per {
            Per::Second => "sec",
            Per::Minute => "min",
            Per::Hour => "hour",
        };
        let program = if self.ipv6 { "ip6tables" } else { "iptables" };
        Some(format!(
            "-m limit --limit {}/{unit} --limit-burst 5 -j LOG --log-prefix \"{program}_{hook}_denied: \" --log-level 7",
            count.clamp(1, most)
        ))
    }

    fn refusal(&self, refusal: Refusal, prohibited: bool) -> Vec<String> {
        let code = match (self.ipv6, prohibited) {
            (false, false) => "icmp-port-unreachable",
            (true, false) => "icmp6-port-unreachable",
            (false, true) => "icmp-admin-prohibited",
            (true, true) => "icmp6-adm-prohibited",
        };
        match refusal {
            Refusal::Drop => vec!["-j DROP".to_owned()],
            Refusal::Reject => vec![
                "-p tcp -j REJECT --reject-with tcp-reset".to_owned(),
                format!("-j REJECT --reject-with {code}"),
            ],
        }
    }

    /// Makes room for a chain; gives where.
    fn begin(&mut self, name: &str) -> usize {
        self.chains.push((name.to_owned(), Vec::new()));
        self.chains.len() - 1
    }
}

fn icmpv6(kinds: [u8; 4], before: &str, after: &str) -> Vec<String> {
    let rule = |kind| format!("{before}-p ipv6-icmp -m icmp6 --icmpv6-type {kind}{after} -j ACCEPT");
    kinds.into_iter().map(rule).collect()
}

/// Which address a rule looks at.
#[derive(Clone, Copy)]
enum Side {
    Source,
    Destination,
}

impl Side {
    const fn option(self) -> &'static str {
        match self {
            Self::Source => "-s",
            Self::Destination => "-d",
        }
    }

    const fn range_option(self) -> &'static str {
        match self {
            Self::Source => "--src-range",
            Self::Destination => "--dst-range",
        }
    }
}

fn ranges(ports: &[PortRange], transport: Transport) -> Ranges {
    let ports = ports.iter().filter(|range| range.transport == transport);
    Ranges::new(ports.map(|range| (u128::from(range.first), u128::from(range.last))))
}

fn port_text(&(first, last): &(u128, u128)) -> String {
    if first == last { first.to_string() } else { format!("{first}:{last}") }
}

/// Ports of one transport, in as few matches as can be: one takes 15 ports, of which a range is two.
fn port_matches(ports: &[PortRange], transport: Transport, name: &str) -> Vec<String> {
    const SLOTS: usize = 15;
    let ranges = ranges(ports, transport);
    if let [range] = ranges.as_slice() {
        return vec![format!("-m {name} --dport {}", port_text(range))];
    }
    let mut groups: Vec<Vec<String>> = Vec::new();
    let mut used = SLOTS;
    for range in ranges.as_slice() {
        let slots = if range.0 == range.1 { 1 } else { 2 };
        if used + slots > SLOTS {
            groups.push(Vec::new());
            used = 0;
        }
        used += slots;
        if let Some(group) = groups.last_mut() {
            group.push(port_text(range));
        }
    }
    groups.iter().map(|group| format!("-m multiport --dports {}", group.join(","))).collect()
}

/// A comment as `iptables-save` quotes it; the kernel takes 255 bytes.
fn comment(text: &str) -> String {
    let mut end = text.len().min(255);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!(" -m comment --comment \"{}\"", text[..end].replace('\\', "/").replace('"', "'"))
}

/// Lower case letters, digits and hyphens.
fn slug(name: &str) -> String {
    let mapped: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let parts: Vec<_> = mapped.split('-').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { "entry".to_owned() } else { parts.join("-") }
}

/// Names given so far.
#[derive(Default)]
struct Names {
    chains: HashSet<String>,
    meters: HashSet<String>,
    /// The chains of entries, by where the entry stands in memory.
    entries: Vec<(usize, String)>,
}

impl Names {
    /// A chain's name: 28 bytes at most (`XT_EXTENSION_MAXNAMELEN`).
    fn chain(&mut self, wish: &str) -> String {
        self.chains
            .extend([INPUT, FORWARD, OUTPUT, PUBLISHED, "gabion-tcp", "gabion-udp"].map(str::to_owned));
        fresh(&mut self.chains, wish, "", 28)
    }

    /// A hashlimit's name: 15 bytes at most on old kernels.
    fn meter(&mut self, slug: &str, per_minute: u32) -> String {
        fresh(&mut self.meters, slug, &format!("-{per_minute}"), 15)
    }
}

/// The wish, cut, with a number where that is taken.
fn fresh(taken: &mut HashSet<String>, wish: &str, end: &str, most: usize) -> String {
    let mut number = 1;
    loop {
        let end = if number == 1 { end.to_owned() } else { format!("{end}-{number}") };
        let start: String = wish.chars().take(most.saturating_sub(end.len())).collect();
        let name = format!("{}{end}", start.trim_end_matches('-'));
        if taken.insert(name.clone()) {
            return name;
        }
        number += 1;
    }
}
