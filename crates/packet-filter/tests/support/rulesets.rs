//! Random rulesets in the words of `iptables-save`, the same for the same seed.

#![allow(dead_code, reason = "each test uses its part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fmt::Write as _;

use iptables_syntax::{Family, Mode, Save, parse_save};

use crate::judge::Dice;

/// Which rules a ruleset may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// What `iptables-restore` loads, and what lets probes come to the hooks that judge them.
    Loadable,
    /// Everything that can be said, the names of other programs' extensions included.
    Any,
}

/// Ports that rules tell apart.
pub(crate) const PORTS: [u16; 14] = [1, 9, 22, 53, 79, 80, 81, 443, 1000, 7999, 8000, 8010, 8011, 60_000];

/// Ports that packets are sent on to, and never to at first: a translation that changes nothing leaves no trace in the
/// kernel, of which the machine knows nothing.
const TRANSLATED: [u16; 2] = [2222, 8100];

/// The host's own addresses, as in `support`.
const HOST: [&str; 2] = ["192.0.2.1", "2001:db8::1"];

/// How often one in so many sides comes up.
fn chance(dice: &mut Dice, sides: usize) -> bool {
    dice.roll(sides) == 0
}

/// A text of `iptables-save`, of a filter table and perhaps of others.
pub(crate) fn random_ruleset(dice: &mut Dice, family: Family, flavour: Flavour) -> String {
    let mut text = String::new();
    if chance(dice, 3) {
        table(&mut text, dice, family, flavour, "raw", &["PREROUTING", "OUTPUT"]);
    }
    if chance(dice, 2) {
        let chains = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];
        table(&mut text, dice, family, flavour, "mangle", &chains);
    }
    if chance(dice, 3) {
        table(&mut text, dice, family, flavour, "nat", &["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"]);
    }
    if flavour == Flavour::Any && chance(dice, 4) {
        table(&mut text, dice, family, flavour, "security", &["INPUT", "FORWARD", "OUTPUT"]);
    }
    table(&mut text, dice, family, flavour, "filter", &["INPUT", "FORWARD", "OUTPUT"]);
    text
}

/// The text, read.
pub(crate) fn parsed(text: &str, family: Family) -> Save {
    match parse_save(text.as_bytes(), family, Mode::Strict) {
        Ok((save, _)) => save,
        Err(error) => panic!("{error}:\n{text}"),
    }
}

fn table(
    text: &mut String,
    dice: &mut Dice,
    family: Family,
    flavour: Flavour,
    name: &str,
    built_in: &[&str],
) {
    writeln!(text, "*{name}").unwrap();
    for chain in built_in {
        let drops = name == "filter" && chance(dice, 2);
        writeln!(text, ":{chain} {} [0:0]", if drops { "DROP" } else { "ACCEPT" }).unwrap();
    }
    let own = 1 + dice.roll(4);
    for nth in 0..own {
        writeln!(text, ":chain{nth} - [0:0]").unwrap();
    }
    // Neighbours must find each other, whatever the rules.
    if name == "filter" && family == Family::Ipv6 && flavour == Flavour::Loadable {
        writeln!(text, "-A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 135 -j ACCEPT").unwrap();
        writeln!(text, "-A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 136 -j ACCEPT").unwrap();
    }
    let rules = match name {
        "filter" => 4 + dice.roll(16),
        _ => 1 + dice.roll(4),
    };
    let mut maker = Maker { dice, family, flavour, table: name, own };
    for chain in built_in {
        let rules = if *chain == "OUTPUT" { rules.min(2) } else { rules };
        for _ in 0..rules {
            let rule = maker.rule(chain, 0);
            writeln!(text, "-A {chain}{rule}").unwrap();
        }
    }
    for nth in 0..own {
        for _ in 0..=maker.dice.roll(5) {
            let rule = maker.rule(&format!("chain{nth}"), nth + 1);
            writeln!(text, "-A chain{nth}{rule}").unwrap();
        }
    }
    writeln!(text, "COMMIT").unwrap();
}

struct Maker<'d> {
    dice: &'d mut Dice,
    family: Family,
    flavour: Flavour,
    table: &'d str,
    own: usize,
}

impl Maker<'_> {
    fn one(&mut self, of: &[&str]) -> String {
        of[self.dice.roll(of.len())].to_owned()
    }

    fn not(&mut self) -> &'static str {
        if chance(self.dice, 4) { " !" } else { "" }
    }

    fn port(&mut self) -> u16 {
        if chance(self.dice, 12) { self.dice.pick(&TRANSLATED) } else { self.dice.pick(&PORTS) }
    }

    fn ports(&mut self) -> String {
        let (a, b) = (self.port(), self.port());
        match self.dice.roll(5) {
            0 | 1 if a != b => format!("{}:{}", a.min(b), a.max(b)),
            2 => format!("{a}:65535"),
            _ => a.to_string(),
        }
    }

    /// A rule of a chain that may jump to its own chains from `first` on, so that no way leads back.
    fn rule(&mut self, chain: &str, first: usize) -> String {
        let mut rule = String::new();
        self.head(&mut rule, chain);
        let protocol = self.protocol(&mut rule);
        for _ in 0..self.dice.roll(3) {
            let matched = self.matched(chain);
            rule.push_str(&matched);
        }
        self.target(&mut rule, chain, first, &protocol);
        rule
    }

    fn head(&mut self, rule: &mut String, chain: &str) {
        let (sources, destinations): (&[&str], &[&str]) = match self.family {
            Family::Ipv4 => (
                &[
                    "192.0.2.0/24",
                    "192.0.2.16/28",
                    "10.0.0.0/8",
                    "192.168.255.7/32",
                    "192.0.2.10",
                    "10.0.2.3/255.0.255.255",
                    "0.0.0.0/1",
                    "126.0.0.0/7",
                ],
                &["192.0.2.1/32", "198.51.100.0/24", "127.0.0.0/8", "192.0.2.0/28", "198.51.100.64/26"],
            ),
            Family::Ipv6 => (
                &["2001:db8::/64", "2001:db8:1::/48", "fd00::/8", "2001:db8::10", "2001:db8::/47", "::/1"],
                &["2001:db8::1", "2001:db8:ffff::/48", "2001:db8::/64", "fe80::/10"],
            ),
        };
        if chance(self.dice, 3) {
            let (not, source) = (self.not(), self.one(sources));
            write!(rule, "{not} -s {source}").unwrap();
        }
        if chance(self.dice, 5) {
            let (not, destination) = (self.not(), self.one(destinations));
            write!(rule, "{not} -d {destination}").unwrap();
        }
        if chance(self.dice, 5) && !["OUTPUT", "POSTROUTING"].contains(&chain) {
            let (not, name) = (self.not(), self.one(&["eth0", "eth+", "lo", "e+", "eth1"]));
            write!(rule, "{not} -i {name}").unwrap();
        }
        if chance(self.dice, 8) && !["INPUT", "PREROUTING"].contains(&chain) {
            let (not, name) = (self.not(), self.one(&["eth0", "eth+", "lo"]));
            write!(rule, "{not} -o {name}").unwrap();
        }
        if chance(self.dice, 60) && self.family == Family::Ipv4 {
            let not = self.not();
            write!(rule, "{not} -f").unwrap();
        }
    }

    /// Writes the protocol with matches of its header, and gives its name where it is certain.
    fn protocol(&mut self, rule: &mut String) -> String {
        let icmp = if self.family == Family::Ipv4 { "icmp" } else { "ipv6-icmp" };
        let protocol = match self.dice.roll(12) {
            0..=4 => "tcp",
            5..=7 => "udp",
            8 | 9 => icmp,
            10 => {
                let (not, odd) = (self.not(), self.one(&["sctp", "253", "33", "udp", "tcp"]));
                write!(rule, "{not} -p {odd}").unwrap();
                return String::new();
            }
            _ => return String::new(),
        };
        write!(rule, " -p {protocol}").unwrap();
        match protocol {
            "tcp" | "udp" => self.transport(rule, protocol),
            _ => self.icmp(rule),
        }
        protocol.to_owned()
    }

    fn transport(&mut self, rule: &mut String, protocol: &str) {
        match self.dice.roll(6) {
            0 => {}
            1 => {
                let (not, side) = (self.not(), self.one(&["--sports", "--dports", "--ports"]));
                let count = 1 + self.dice.roll(5);
                let ports: Vec<_> = (0..count).map(|_| self.ports()).collect();
                write!(rule, " -m multiport{not} {side} {}", ports.join(",")).unwrap();
            }
            _ => {
                write!(rule, " -m {protocol}").unwrap();
                if chance(self.dice, 4) {
                    let (not, port) = (self.not(), self.one(&["20000:20400", "0:20100", "20500:65535"]));
                    write!(rule, "{not} --sport {port}").unwrap();
                }
                if !chance(self.dice, 3) {
                    let (not, ports) = (self.not(), self.ports());
                    write!(rule, "{not} --dport {ports}").unwrap();
                }
                if protocol == "tcp" && chance(self.dice, 3) {
                    let not = self.not();
                    let flags = self.one(&[
                        "FIN,SYN,RST,ACK SYN",
                        "SYN,RST SYN",
                        "ALL NONE",
                        "ACK ACK",
                        "FIN,PSH,URG FIN,PSH,URG",
                    ]);
                    write!(rule, "{not} --tcp-flags {flags}").unwrap();
                }
                if protocol == "tcp" && chance(self.dice, 30) {
                    let not = self.not();
                    write!(rule, "{not} --tcp-option 2").unwrap();
                }
            }
        }
    }

    fn icmp(&mut self, rule: &mut String) {
        let not = self.not();
        match self.family {
            Family::Ipv4 => {
                let kind = self.one(&["8", "0", "13", "3/3", "3", "13/0", "5/1", "any", "echo-request"]);
                let not = if kind == "any" { "" } else { not };
                write!(rule, " -m icmp{not} --icmp-type {kind}").unwrap();
            }
            Family::Ipv6 => {
                let kind = self.one(&["128", "129", "1", "1/4", "3", "133", "200"]);
                write!(rule, " -m icmp6{not} --icmpv6-type {kind}").unwrap();
            }
        }
    }

    fn matched(&mut self, chain: &str) -> String {
        let not = self.not();
        // Before connection tracking, the kernel knows no state; a packet of the machine has its own from the beginning.
        let roll = match self.dice.roll(26) {
            0..=6 if self.table == "raw" && self.flavour == Flavour::Loadable => 7,
            // Between the first hook and that of forwarding it counts down, which a judge can tell for one of them.
            12 | 13 if self.table != "filter" && self.flavour == Flavour::Loadable => 7,
            roll => roll,
        };
        match roll {
            0..=4 => {
                let states = self.one(&[
                    "NEW",
                    "RELATED,ESTABLISHED",
                    "INVALID",
                    "NEW,INVALID",
                    "UNTRACKED",
                    "INVALID,UNTRACKED",
                    "ESTABLISHED",
                    "NEW,DNAT",
                    "DNAT",
                ]);
                // A negated translation of a packet without a connection is not understood.
                let not = if states.contains("DNAT") { "" } else { not };
                format!(" -m conntrack{not} --ctstate {states}")
            }
            5 => {
                let states = self.one(&["NEW", "RELATED,ESTABLISHED", "INVALID", "NEW,UNTRACKED"]);
                format!(" -m state{not} --state {states}")
            }
            6 => {
                let states = self.one(&["", " --ctstate NEW", " --ctstate NEW,ESTABLISHED"]);
                let rest = match self.dice.roll(3) {
                    0 => format!("{not} --ctproto {}", self.one(&["6", "17"])),
                    1 => format!("{not} --ctorigdstport {}", self.ports()),
                    _ => format!("{not} --ctorigdst {}", HOST[usize::from(self.family == Family::Ipv6)]),
                };
                format!(" -m conntrack{states}{rest}")
            }
            7..=9 => {
                let mark = self.one(&["0x10", "0x0", "0x20/0x30", "0x1/0x1"]);
                format!(" -m mark{not} --mark {mark}")
            }
            10 | 11 => {
                let range = match self.family {
                    Family::Ipv4 => {
                        self.one(&["192.0.2.10-192.0.2.16", "10.0.0.0-10.1.255.255", "0.0.0.0-192.0.2.10"])
                    }
                    Family::Ipv6 => self.one(&["2001:db8::-2001:db8::ff", "fd00::-fd00::9"]),
                };
                format!(" -m iprange{not} --src-range {range}")
            }
            12 | 13 => match self.family {
                Family::Ipv4 => {
                    format!(" -m ttl --ttl-{}", self.one(&["eq 77", "lt 77", "gt 76", "gt 77", "eq 76"]))
                }
                Family::Ipv6 => {
                    format!(" -m hl --hl-{}", self.one(&["eq 77", "lt 77", "gt 76", "gt 77", "eq 76"]))
                }
            },
            14 | 15 => format!(
                " -m comment --comment {}",
                self.one(&["plain", "\"two words\"", "\"a \\\"quote\\\"\""])
            ),
            16 if chain == "INPUT" => {
                // `ip6tables` knows no broadcast.
                let kinds: &[&str] = match self.family {
                    Family::Ipv4 => &["LOCAL", "UNICAST", "BROADCAST,MULTICAST"],
                    Family::Ipv6 => &["LOCAL", "UNICAST", "LOCAL,MULTICAST"],
                };
                let kind = self.one(kinds);
                let not = if self.family == Family::Ipv6 && kind.contains(',') { "" } else { not };
                format!(" -m addrtype{not} --dst-type {kind}")
            }
            17 => {
                format!(" -m limit --limit {}", self.one(&["5/min", "1/hour", "100/sec --limit-burst 1000"]))
            }
            18 if self.flavour == Flavour::Any => {
                format!(" -m connmark{not} --mark {}", self.one(&["0x1", "0x0/0x0", "0x10/0xf0"]))
            }
            18 => format!(" -m length{not} --length {}", self.one(&["0:40", "41:65535", "0:65535"])),
            19 if self.flavour == Flavour::Any => self.unknown(chain),
            _ => String::new(),
        }
    }

    /// What is not known of a packet.
    fn unknown(&mut self, chain: &str) -> String {
        let not = self.not();
        match self.dice.roll(20) {
            0 => " -m recent --set --name list --rsource".to_owned(),
            1 => format!(" -m recent{not} --rcheck --seconds 60 --name list --rsource"),
            2 => format!(" -m set{not} --match-set some src"),
            3 => format!(" -m pkttype{not} --pkt-type broadcast"),
            4 if ["PREROUTING", "INPUT", "FORWARD"].contains(&chain) => format!(" -m mac{not} --mac-source 00:11:22:33:44:55"),
            5 => " -m statistic --mode random --probability 0.5".to_owned(),
            6 => format!(" -m statistic --mode nth{not} --every 3 --packet 1"),
            7 => " -m hashlimit --hashlimit-upto 5/min --hashlimit-mode srcip,dstport --hashlimit-name h1".to_owned(),
            8 => " -m hashlimit --hashlimit-above 5/sec --hashlimit-mode srcip --hashlimit-srcmask 24 --hashlimit-name h2".to_owned(),
            9 => " -m connlimit --connlimit-above 3".to_owned(),
            10 => " -m connlimit --connlimit-upto 3 --connlimit-mask 24".to_owned(),
            11 => format!(" -m quota{not} --quota 1000"),
            12 => format!(" -m cpu{not} --cpu 1"),
            13 => format!(" -m dscp{not} --dscp 0x20"),
            14 => format!(" -m tos{not} --tos 0x10/0x3f"),
            15 => format!(" -m string{not} --string GET --algo bm"),
            16 => " -m time --timestart 08:00:00 --timestop 18:00:00".to_owned(),
            17 => format!(" -m u32{not} --u32 0x0>>0x1c=0x4"),
            18 => format!(" -m conntrack{not} --ctstatus ASSURED"),
            _ => format!(" -m conntrack --ctdir {}", self.one(&["ORIGINAL", "REPLY"])),
        }
    }

    fn target(&mut self, rule: &mut String, chain: &str, first: usize, protocol: &str) {
        let any = self.flavour == Flavour::Any;
        if first < self.own && chance(self.dice, 5) {
            let to = first + self.dice.roll(self.own - first);
            let way = self.one(&["-j", "-j", "-g"]);
            write!(rule, " {way} chain{to}").unwrap();
            return;
        }
        let target = match self.table {
            "raw" => self.one(&["CT --notrack", "NOTRACK", "RETURN", "ACCEPT"]),
            "nat" => match (chain, protocol) {
                ("PREROUTING", "tcp" | "udp") if any || !rule.contains(" -d ") => {
                    // Only what is for the host anyway, so that its way stays as it is.
                    let host = HOST[usize::from(self.family == Family::Ipv6)];
                    let spelled =
                        if self.family == Family::Ipv6 { format!("[{host}]") } else { host.to_owned() };
                    if !rule.contains(" -d ") {
                        write!(rule, " -d {host}").unwrap();
                    }
                    match self.dice.roll(3) {
                        0 => format!("DNAT --to-destination {spelled}:{}", self.dice.pick(&TRANSLATED)),
                        1 => format!("REDIRECT --to-ports {}", self.dice.pick(&TRANSLATED)),
                        _ => format!("DNAT --to-destination {spelled}:8100-8110"),
                    }
                }
                ("POSTROUTING", _) if any => self.one(&["MASQUERADE", "ACCEPT"]),
                _ => self.one(&["ACCEPT", "RETURN"]),
            },
            "mangle" => match self.dice.roll(6) {
                0..=2 => format!(
                    "MARK --set-xmark {}",
                    self.one(&["0x10/0xffffffff", "0x20/0x20", "0x0/0x1", "0x1/0x1"])
                ),
                3 if any => self.one(&[
                    "CONNMARK --restore-mark",
                    "CONNMARK --save-mark",
                    "CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff",
                    "CONNMARK --set-xmark 0x1/0x1",
                ]),
                4 if any => match self.family {
                    Family::Ipv4 => self.one(&["TTL --ttl-set 76", "TTL --ttl-inc 1", "TTL --ttl-dec 1"]),
                    Family::Ipv6 => self.one(&["HL --hl-set 76", "HL --hl-inc 1", "HL --hl-dec 1"]),
                },
                _ => self.one(&["ACCEPT", "RETURN"]),
            },
            _ => match self.dice.roll(12) {
                0..=3 => "ACCEPT".to_owned(),
                4..=6 => "DROP".to_owned(),
                7 => "RETURN".to_owned(),
                8 if self.table == "filter" => match (protocol, self.dice.roll(3), self.family) {
                    ("tcp", 0, _) => "REJECT --reject-with tcp-reset".to_owned(),
                    (_, 1, Family::Ipv4) => "REJECT --reject-with icmp-admin-prohibited".to_owned(),
                    (_, 1, Family::Ipv6) => "REJECT --reject-with icmp6-adm-prohibited".to_owned(),
                    _ => "REJECT".to_owned(),
                },
                9 => "NFLOG --nflog-group 5".to_owned(),
                10 if any => self.one(&[
                    "LOG --log-prefix \"seen: \" --log-level 7",
                    "NFQUEUE --queue-num 3",
                    "AUDIT --type accept",
                    "ODD --thing 1",
                ]),
                11 => format!("MARK --set-xmark {}", self.one(&["0x10/0xffffffff", "0x20/0x20"])),
                _ => return,
            },
        };
        write!(rule, " -j {target}").unwrap();
    }
}
