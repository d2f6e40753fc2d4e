//! Rules as a person or a program could write them: every extension, with and without `!`, in many spellings.

use iptables_syntax::Family;
use proptest::prelude::*;
use proptest::sample::select;

type Text = BoxedStrategy<String>;

/// One of the words.
fn word(words: &'static [&'static str]) -> Text {
    select(words).prop_map(str::to_owned).boxed()
}

/// The parts behind each other, with a space between them; an empty part leaves no space.
fn all(parts: Vec<Text>) -> Text {
    parts
        .prop_map(|parts| parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" "))
        .boxed()
}

/// Nothing, or the part.
fn maybe(part: Text) -> Text {
    prop_oneof![Just(String::new()), part].boxed()
}

/// `--name value`, maybe behind `!`.
fn not(name: &'static str, value: Text) -> Text {
    (any::<bool>(), value)
        .prop_map(move |(not, value)| format!("{}{name} {value}", if not { "! " } else { "" }))
        .boxed()
}

fn option(name: &'static str, value: Text) -> Text {
    value.prop_map(move |value| format!("{name} {value}")).boxed()
}

fn number(maximum: u64) -> Text {
    let edge = prop_oneof![Just(0), Just(1), Just(maximum), 0..=maximum];
    (edge, any::<bool>())
        .prop_map(|(number, hex)| if hex { format!("{number:#x}") } else { number.to_string() })
        .boxed()
}

fn from_one(maximum: u64) -> Text {
    prop_oneof![Just(1), Just(maximum), 1..=maximum].prop_map(|number| number.to_string()).boxed()
}

fn port() -> Text {
    prop_oneof![4 => any::<u16>().prop_map(|port| port.to_string()), 1 => word(&["ssh", "http", "https", "domain", "smtp"])].boxed()
}

/// Ports, behind `!` only where the range is open at neither end: those are turned round by one back end.
fn port_option(name: &'static str, names: bool) -> Text {
    let single = if names { port() } else { any::<u16>().prop_map(|port| port.to_string()).boxed() };
    let inner = (1..u16::MAX, 1..u16::MAX).prop_map(|(a, b)| format!("{}:{}", a.min(b), a.max(b)));
    let open = if names { ports() } else { option_range().boxed() };
    prop_oneof![not(name, prop_oneof![single, inner].boxed()), option(name, open)].boxed()
}

fn option_range() -> impl Strategy<Value = String> {
    (any::<u16>(), any::<bool>())
        .prop_map(|(port, first)| if first { format!("{port}:") } else { format!(":{port}") })
}

fn ports() -> Text {
    let range = (any::<u16>(), any::<u16>()).prop_map(|(a, b)| format!("{}:{}", a.min(b), a.max(b)));
    let open = (any::<u16>(), any::<bool>())
        .prop_map(|(a, first)| if first { format!("{a}:") } else { format!(":{a}") });
    prop_oneof![3 => port(), 2 => range, 1 => open].boxed()
}

fn ranges(maximum: u32) -> Text {
    let range = (0..=maximum, 0..=maximum).prop_map(|(a, b)| format!("{}:{}", a.min(b), a.max(b)));
    prop_oneof![(0..=maximum).prop_map(|number| number.to_string()), range].boxed()
}

fn address(family: Family) -> Text {
    match family {
        Family::Ipv4 => any::<[u8; 4]>().prop_map(|[a, b, c, d]| format!("{a}.{b}.{c}.{d}")).boxed(),
        Family::Ipv6 => prop_oneof![
            any::<u128>().prop_map(|bits| std::net::Ipv6Addr::from(bits).to_string()),
            any::<u16>().prop_map(|low| format!("2001:db8::{low:x}")),
            word(&["::1", "fe80::1", "::ffff:192.0.2.1", "::192.0.2.1", "::"]),
        ]
        .boxed(),
    }
}

/// An address, or one with the length of a prefix.
fn prefixed(family: Family) -> Text {
    let length = match family {
        Family::Ipv4 => 1..=32_u8,
        Family::Ipv6 => 1..=128_u8,
    };
    let network = (address(family), length).prop_map(|(address, length)| format!("{address}/{length}"));
    prop_oneof![address(family), network].boxed()
}

fn network(family: Family) -> Text {
    let prefix = match family {
        Family::Ipv4 => prop_oneof![4 => (1..=32_u8).prop_map(|length| length.to_string()), 1 => word(&["255.0.255.0", "255.255.0.0", "0.0.0.255"])].boxed(),
        Family::Ipv6 => prop_oneof![4 => (1..=128_u8).prop_map(|length| length.to_string()), 1 => word(&["ffff::", "ffff:0:ffff::", "::ffff"])].boxed(),
    };
    prop_oneof![
        address(family),
        (address(family), prefix).prop_map(|(address, prefix)| format!("{address}/{prefix}"))
    ]
    .boxed()
}

fn interface() -> Text {
    word(&["lo", "eth0", "eth+", "br-b74b417b331f", "wlan0123456789a", "tun-anonvpn", "ppp+"])
}

/// Text between quotes: what `iptables-restore` takes apart.
fn quoted(maximum: usize) -> Text {
    proptest::collection::vec(select(b" abcXYZ019-_.,:;/()[]{}'\"\\!|#%@*+=<>~^&?$".as_slice()), 1..=maximum)
        .prop_map(|bytes| {
            let text: String = bytes.into_iter().map(char::from).collect();
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
        })
        .boxed()
}

fn rate() -> Text {
    (1..=10_000_u32, select(["", "/s", "/sec", "/second", "/m", "/minute", "/h", "/hour", "/day"].as_slice()))
        .prop_map(|(count, unit)| format!("{count}{unit}"))
        .boxed()
}

fn mark() -> Text {
    prop_oneof![
        number(u32::MAX.into()),
        (any::<u32>(), any::<u32>()).prop_map(|(value, mask)| format!("{value:#x}/{mask:#x}"))
    ]
    .boxed()
}

/// A match that looks at no protocol.
fn plain_match(family: Family) -> Text {
    let states =
        word(&["NEW", "ESTABLISHED,RELATED", "RELATED,ESTABLISHED", "INVALID", "UNTRACKED", "NEW,INVALID"]);
    let direction = word(&["--ctdir ORIGINAL", "--ctdir REPLY"]);
    let full: u8 = if family == Family::Ipv4 { 32 } else { 128 };
    let types = word(&["LOCAL", "BROADCAST,MULTICAST", "UNICAST", "UNSPEC", "ANYCAST,LOCAL"]);
    let mut matches = vec![
        all(vec![
            word(&["-m conntrack"]),
            not("--ctstate", states.clone()),
            maybe(direction),
            maybe(not("--ctstatus", word(&["NONE", "ASSURED,CONFIRMED", "EXPECTED"]))),
        ]),
        all(vec![
            word(&["-m conntrack"]),
            not("--ctproto", word(&["tcp", "17", "gre"])),
            maybe(not("--ctorigsrc", prefixed(family))),
            maybe(not("--ctrepldst", prefixed(family))),
            maybe(not("--ctorigdstport", ranges(65_535))),
            maybe(not("--ctexpire", ranges(u32::MAX))),
        ]),
        all(vec![word(&["-m state"]), not("--state", states)]),
        all(vec![word(&["-m addrtype"]), not("--src-type", types.clone()), maybe(not("--dst-type", types))]),
        all(vec![word(&["-m comment"]), option("--comment", quoted(40))]),
        all(vec![
            word(&["-m connlimit"]),
            prop_oneof![
                option("--connlimit-above", number(u32::MAX.into())),
                not("--connlimit-upto", number(1000))
            ]
            .boxed(),
            maybe(option("--connlimit-mask", (0..=full).prop_map(|mask: u8| mask.to_string()).boxed())),
            maybe(word(&["--connlimit-saddr", "--connlimit-daddr"])),
        ]),
        all(vec![word(&["-m connmark"]), not("--mark", mark())]),
        all(vec![word(&["-m mark"]), not("--mark", mark())]),
        all(vec![word(&["-m cpu"]), not("--cpu", number(u32::MAX.into()))]),
        all(vec![
            word(&["-m dscp"]),
            prop_oneof![
                not("--dscp", number(0x3f)),
                not("--dscp-class", word(&["CS0", "cs5", "AF42", "EF", "BE"]))
            ]
            .boxed(),
        ]),
        all(vec![
            word(&["-m tos"]),
            not(
                "--tos",
                prop_oneof![number(255), word(&["0x10/0x3f", "Minimize-Delay", "normal-service"])].boxed(),
            ),
        ]),
        all(vec![word(&["-m length"]), not("--length", ranges(65_535))]),
        all(vec![
            word(&["-m limit"]),
            maybe(option("--limit", rate())),
            maybe(option("--limit-burst", from_one(100))),
        ]),
        all(vec![
            word(&["-m hashlimit"]),
            prop_oneof![not("--hashlimit-upto", rate()), option("--hashlimit-above", rate())].boxed(),
            maybe(option("--hashlimit-burst", from_one(10_000))),
            maybe(option(
                "--hashlimit-mode",
                word(&["srcip", "srcip,dstport", "dstip,srcip", "dstport,srcport"]),
            )),
            word(&["--hashlimit-name a", "--hashlimit-name b-c"]),
            maybe(option("--hashlimit-htable-expire", word(&["1000", "60000", "12345"]))),
            maybe(option("--hashlimit-srcmask", (0..=full).prop_map(|mask: u8| mask.to_string()).boxed())),
        ]),
        all(vec![
            word(&["-m hashlimit --hashlimit-name kb"]),
            option(
                "--hashlimit-above",
                (1..=900_u32, select(["b/s", "kb/s", "mb/s"].as_slice()))
                    .prop_map(|(count, unit)| format!("{}{unit}", count * 16))
                    .boxed(),
            ),
        ]),
        all(vec![word(&["-m iprange"]), range(family, "--src-range"), maybe(range(family, "--dst-range"))]),
        all(vec![word(&["-m mac"]), not("--mac-source", word(&["00:11:22:aa:bb:cc", "FE:dc:ba:98:76:54"]))]),
        all(vec![word(&["-m pkttype"]), not("--pkt-type", word(&["unicast", "broadcast", "MULTICAST"]))]),
        all(vec![
            word(&["-m owner"]),
            not("--uid-owner", word(&["0", "1000", "root", "0-10", "1000-2000"])),
            maybe(not("--gid-owner", word(&["0", "5-6"]))),
            maybe(word(&["--socket-exists", "! --socket-exists"])),
        ]),
        all(vec![
            word(&["-m physdev"]),
            not("--physdev-in", interface()),
            maybe(word(&["--physdev-is-bridged", "! --physdev-is-in"])),
        ]),
        all(vec![
            word(&["-m policy --dir in --pol ipsec"]),
            maybe(not("--reqid", number(u32::MAX.into()))),
            maybe(not("--proto", word(&["esp", "ah", "ipcomp"]))),
            maybe(all(vec![word(&["--mode tunnel"]), not("--tunnel-src", prefixed(family))])),
        ]),
        word(&[
            "-m policy --dir out --pol none",
            "-m policy --dir in --pol ipsec --strict --reqid 1 --spi 0x1 --next --reqid 2",
        ]),
        all(vec![word(&["-m quota"]), not("--quota", number(u64::MAX))]),
        all(vec![
            word(&["-m recent"]),
            word(&["--set", "! --set", "--remove"]),
            maybe(word(&["--name list", "--name a-b_c"])),
            maybe(word(&["--rsource", "--rdest"])),
        ]),
        all(vec![
            word(&["-m recent"]),
            word(&["--rcheck", "! --rcheck", "--update"]),
            maybe(option("--seconds", from_one(100_000))),
            maybe(option("--hitcount", (1..=200_u8).prop_map(|hits| hits.to_string()).boxed())),
            maybe(word(&["--rttl"])),
            maybe(word(&["--name list"])),
        ]),
        all(vec![
            word(&["-m statistic --mode random"]),
            not(
                "--probability",
                (0..=1000_u32).prop_map(|part| format!("{}", f64::from(part) / 1000.0)).boxed(),
            ),
        ]),
        all(vec![
            word(&["-m statistic --mode nth"]),
            not("--every", word(&["3", "10"])),
            option("--packet", word(&["0", "2"])),
        ]),
        all(vec![
            word(&["-m string"]),
            not("--string", quoted(30)),
            option("--algo", word(&["bm", "kmp"])),
            maybe(option("--from", number(65_535))),
            maybe(option("--to", number(65_535))),
            maybe(word(&["--icase"])),
        ]),
        all(vec![
            word(&["-m string"]),
            not("--hex-string", word(&["\"|0a0B ff|\"", "\"GET |20|x\"", "\"a\\\\\\\\b|00|\""])),
            option("--algo", word(&["bm", "kmp"])),
        ]),
        all(vec![
            word(&["-m time"]),
            maybe(option("--timestart", word(&["08:00", "23:59:59"]))),
            maybe(option("--timestop", word(&["18:30", "00:00:01"]))),
            maybe(not("--weekdays", word(&["Mon,Fri", "1,7", "Sat,Sun"]))),
            maybe(not("--monthdays", word(&["1,2,3", "31", "15,16"]))),
            maybe(option("--datestart", word(&["2024-02-29T12:00:00", "1999-12-31", "2000"]))),
            maybe(option("--datestop", word(&["2030", "2038-01-19T03:14:07", "2025-07-04T01"]))),
            maybe(word(&["--kerneltz"])),
        ]),
        all(vec![
            word(&["-m u32"]),
            not(
                "--u32",
                word(&[
                    "\"0=0\"",
                    "\"0&0xFF=4:255\"",
                    "\"6&0xFF=1&&0>>22&0x3C@0=1,3:7\"",
                    "\"0 >> 22 & 0x3C @ 12 >> 26 & 0x3C @ -0 = 0\"",
                    "\"0x1c=0x10000000:0x1fffffff\"",
                ]),
            ),
        ]),
    ];
    matches.push(match family {
        Family::Ipv4 => all(vec![
            word(&["-m ttl"]),
            prop_oneof![
                not("--ttl-eq", number(255)),
                option("--ttl-lt", number(255)),
                option("--ttl-gt", number(255))
            ]
            .boxed(),
        ]),
        Family::Ipv6 => all(vec![
            word(&["-m hl"]),
            prop_oneof![
                not("--hl-eq", number(255)),
                option("--hl-lt", number(255)),
                option("--hl-gt", number(255))
            ]
            .boxed(),
        ]),
    });
    proptest::strategy::Union::new(matches).boxed()
}

fn range(family: Family, name: &'static str) -> Text {
    let ends = match family {
        Family::Ipv4 => (any::<u32>(), any::<u32>())
            .prop_map(|(a, b)| {
                format!("{}-{}", std::net::Ipv4Addr::from(a.min(b)), std::net::Ipv4Addr::from(a.max(b)))
            })
            .boxed(),
        Family::Ipv6 => (any::<u128>(), any::<u128>())
            .prop_map(|(a, b)| {
                format!("{}-{}", std::net::Ipv6Addr::from(a.min(b)), std::net::Ipv6Addr::from(a.max(b)))
            })
            .boxed(),
    };
    not(name, ends)
}

/// A protocol, with a match that looks at it.
fn protocol(family: Family) -> Text {
    let multiport = |names| {
        let ports = || list(names);
        let options =
            prop_oneof![not("--sports", ports()), not("--dports", ports()), not("--ports", ports())];
        all(vec![word(&["-m multiport"]), options.boxed()])
    };
    let port_options =
        |names| all(vec![maybe(port_option("--sport", names)), maybe(port_option("--dport", names))]);
    let flags = prop_oneof![
        word(&["--syn", "! --syn"]),
        not("--tcp-flags", word(&["SYN,RST SYN", "ALL NONE", "FIN,SYN,RST,ACK SYN", "ACK,FIN FIN"]))
    ];
    let tcp = prop_oneof![
        all(vec![
            word(&["-p tcp -m tcp", "-p 6 -m tcp", "-p TCP"]),
            port_option("--dport", true),
            maybe(port_option("--sport", true))
        ]),
        all(vec![
            word(&["-p tcp -m tcp"]),
            port_options(true),
            maybe(not("--tcp-option", from_one(255))),
            maybe(flags.boxed())
        ]),
        all(vec![word(&["-p tcp"]), multiport(true)]),
        all(vec![word(&["-p tcp -m tcpmss"]), not("--mss", ranges(65_535))]),
        all(vec![
            word(&["-p tcp -m ecn"]),
            word(&["--ecn-tcp-ece", "! --ecn-tcp-cwr"]),
            maybe(not("--ecn-ip-ect", number(3)))
        ]),
    ];
    let udp = prop_oneof![
        all(vec![word(&["-p udp -m udp", "-p 17 -m udp"]), port_options(false)]),
        all(vec![word(&["-p udp"]), multiport(false)]),
    ];
    let sctp = prop_oneof![
        all(vec![
            word(&["-p sctp -m sctp"]),
            port_options(false),
            maybe(not(
                "--chunk-types",
                word(&["all INIT", "any DATA:Be,ABORT", "only SACK,DATA", "all ALL", "any NONE"])
            ))
        ]),
        all(vec![word(&["-p sctp"]), multiport(false)]),
    ];
    let icmp = match family {
        Family::Ipv4 => all(vec![
            word(&["-p icmp -m icmp"]),
            not(
                "--icmp-type",
                prop_oneof![
                    number(254),
                    word(&["any", "ping", "echo-reply", "3/4", "ttl-zero-during-transit", "host-prohibited"])
                ]
                .boxed(),
            ),
        ]),
        Family::Ipv6 => all(vec![
            word(&["-p ipv6-icmp -m icmp6", "-p 58 -m icmpv6", "-p icmpv6 -m ipv6-icmp"]),
            not(
                "--icmpv6-type",
                prop_oneof![
                    number(255),
                    word(&["ping", "1/0", "packet-too-big", "neighbour-solicitation", "no-route"])
                ]
                .boxed(),
            ),
        ]),
    };
    let other = not("-p", word(&["gre", "esp", "47", "132", "253", "udplite", "ospf", "tcp"]));
    prop_oneof![4 => tcp, 2 => udp, 1 => sctp, 2 => icmp, 1 => other, 2 => Just(String::new())].boxed()
}

fn list(names: bool) -> Text {
    let port = move || if names { port() } else { any::<u16>().prop_map(|port| port.to_string()).boxed() };
    let part = prop_oneof![port(), (0..=30_000_u16, 30_001..=u16::MAX).prop_map(|(a, b)| format!("{a}:{b}"))];
    proptest::collection::vec(part, 1..=7).prop_map(|parts| parts.join(",")).boxed()
}

/// A target, and the table that it goes into.
fn target(family: Family) -> BoxedStrategy<(&'static str, String)> {
    let into = |table: &'static str, text: Text| text.prop_map(move |text| (table, text)).boxed();
    let masks = word(&["--nfmask 0xff --ctmask 0xff00", "--mask 0xf0"]);
    let reject = match family {
        Family::Ipv4 => word(&[
            "-j REJECT",
            "-j REJECT --reject-with icmp-host-prohibited",
            "-j REJECT --reject-with admin-prohib",
            "-j REJECT --reject-with icmp-proto-unreachable",
        ]),
        Family::Ipv6 => word(&[
            "-j REJECT",
            "-j REJECT --reject-with icmp6-adm-prohibited",
            "-j REJECT --reject-with no-route",
            "-j REJECT --reject-with icmp6-reject-route",
        ]),
    };
    let hops = match family {
        Family::Ipv4 => {
            prop_oneof![option("-j TTL --ttl-set", number(255)), option("-j TTL --ttl-dec", from_one(255))]
                .boxed()
        }
        Family::Ipv6 => {
            prop_oneof![option("-j HL --hl-set", number(255)), option("-j HL --hl-inc", from_one(255))]
                .boxed()
        }
    };
    let flags = || maybe(word(&["--random", "--persistent", "--random --persistent"]));
    let log = all(vec![
        word(&["-j LOG"]),
        maybe(option("--log-prefix", quoted(29))),
        maybe(option("--log-level", word(&["info", "7", "4", "crit"]))),
        maybe(word(&[
            "--log-uid",
            "--log-tcp-options --log-ip-options",
            "--log-macdecode",
            "--log-tcp-sequence",
        ])),
    ]);
    let nflog = all(vec![
        word(&["-j NFLOG"]),
        maybe(option("--nflog-prefix", quoted(63))),
        maybe(option("--nflog-group", number(65_535))),
        maybe(option("--nflog-size", number(u32::MAX.into()))),
        maybe(option("--nflog-threshold", from_one(65_535))),
    ]);
    prop_oneof![
        4 => into("filter", word(&["-j ACCEPT", "-j DROP", "-j RETURN", "-j web", "-g web", "", "--jump ACCEPT"])),
        1 => into("filter", reject),
        1 => into("filter", log),
        1 => into("filter", nflog),
        1 => into("mangle", prop_oneof![option("-j MARK --set-xmark", mark()), option("-j MARK --set-mark", mark()), option("-j MARK --and-mark", number(u32::MAX.into())), option("-j MARK --or-mark", number(u32::MAX.into())), option("-j MARK --xor-mark", number(u32::MAX.into()))].boxed()),
        1 => into("mangle", prop_oneof![option("-j CONNMARK --set-mark", mark()), all(vec![word(&["-j CONNMARK --save-mark", "-j CONNMARK --restore-mark"]), maybe(masks)])].boxed()),
        1 => into("mangle", hops),
        1 => into("raw", all(vec![word(&["-j CT"]), maybe(word(&["--notrack"])), maybe(word(&["--ctevents new,destroy", "--ctevents reply,mark,secmark"])), maybe(word(&["--expevents new"])), maybe(option("--zone", number(65_535)))])),
        1 => into("nat", all(vec![option("-j DNAT --to-destination", address(family)), flags()])),
        1 => into("nat", all(vec![option("-j SNAT --to-source", address(family)), flags()])),
        1 => into("nat", word(&["-j MASQUERADE", "-j MASQUERADE --random", "-j MASQUERADE --random-fully", "-j REDIRECT", "-j REDIRECT --random"])),
    ]
    .boxed()
}

/// A rule without its command, and the table that it goes into.
pub(crate) fn rule(family: Family) -> BoxedStrategy<(&'static str, String)> {
    let fragment =
        if family == Family::Ipv4 { maybe(word(&["-f", "! -f"])) } else { Just(String::new()).boxed() };
    let text = all(vec![
        maybe(not("-s", network(family))),
        maybe(not("-d", network(family))),
        maybe(not("-i", interface())),
        maybe(not("-o", interface())),
        // A fragment has no ports: the kernel wants the one or the other.
        prop_oneof![5 => protocol(family), 1 => fragment].boxed(),
        maybe(plain_match(family)),
        maybe(plain_match(family)),
    ]);
    (text, target(family))
        .prop_map(|(text, (table, target))| (table, format!("{text} {target}").trim().to_owned()))
        .boxed()
}
