//! Rules of our own that use every expression which this crate knows in the ways in which `nft` uses it.

use nf_tables::Family;

/// A rule as `nft` reads it.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) family: Family,
    pub(crate) text: String,
    /// The lines that it compiles to, where somebody else has said so; else the installed `nft` is asked.
    pub(crate) golden: Option<Vec<String>>,
}

/// A field, values for `==`, `!=` and sets, and a range, where it has an order.
struct Field {
    name: &'static str,
    values: &'static [&'static str],
    range: Option<&'static str>,
}

const fn field(name: &'static str, values: &'static [&'static str], range: Option<&'static str>) -> Field {
    Field { name, values, range }
}

const FIELDS: &[Field] = &[
    field("ip saddr", &["192.0.2.1", "198.51.100.7"], Some("192.0.2.10-192.0.2.77")),
    field("ip daddr", &["10.0.0.0/8", "192.0.2.128/25", "172.16.0.0/12"], None),
    field("ip protocol", &["tcp", "udp", "icmp"], None),
    field("ip ttl", &["1", "64"], Some("33-55")),
    field("ip dscp", &["cs1", "af21"], None),
    field("ip length", &["333", "1400"], Some("333-435")),
    field("ip id", &["22", "233"], Some("33-45")),
    field("ip frag-off", &["0x1000", "0x2000"], Some("33-45")),
    field("ip version", &["4"], None),
    field("ip hdrlength", &["5", "15"], None),
    field("ip6 saddr", &["2001:db8::1", "fe80::1"], Some("2001:db8::1-2001:db8::ff")),
    field("ip6 daddr", &["2001:db8::/32", "fe80::/10", "2001:db8:1:2::/64"], None),
    field("ip6 nexthdr", &["tcp", "udp", "ipv6-icmp"], Some("33-44")),
    field("ip6 hoplimit", &["1", "255"], Some("33-44")),
    field("ip6 flowlabel", &["22", "233"], None),
    field("ip6 length", &["22", "233"], Some("33-45")),
    field("tcp dport", &["22", "80", "443"], Some("1024-65535")),
    field("tcp sport", &["1", "65535"], Some("33-45")),
    field("tcp flags", &["syn", "ack"], None),
    field("tcp sequence", &["22"], Some("33-45")),
    field("tcp window", &["22222"], Some("33-45")),
    field("udp dport", &["53", "67"], Some("33434-33600")),
    field("udp length", &["6666", "65535"], Some("50-65")),
    field("udplite dport", &["53"], Some("1-9")),
    field("sctp sport", &["23", "3868"], Some("23-44")),
    field("dccp dport", &["23", "46"], Some("21-35")),
    field("th dport", &["53", "88"], Some("1-1023")),
    field("icmp type", &["echo-request", "time-exceeded", "destination-unreachable"], None),
    field("icmp code", &["111"], Some("33-55")),
    field("icmpv6 type", &["echo-request", "nd-neighbor-solicit", "packet-too-big"], None),
    field("icmpv6 code", &["4"], Some("3-66")),
    field("ah spi", &["111"], Some("111-222")),
    field("esp sequence", &["22"], Some("22-24")),
    field("comp cpi", &["1"], Some("1-100")),
    field("ct state", &["new", "established", "related", "invalid", "untracked"], None),
    field("ct status", &["expected", "seen-reply", "assured", "dnat"], None),
    field("ct mark", &["0", "0x32"], Some("0x11-0x33")),
    field("ct direction", &["original", "reply"], None),
    field("ct expiration", &["30s", "1m"], Some("33s-45s")),
    field("ct helper", &["\"ftp\""], None),
    field("ct bytes", &["100000"], Some("100000-200000")),
    field("ct original packets", &["100"], Some("10-20")),
    field("ct zone", &["3"], Some("1-9")),
    field("ct original zone", &["3"], None),
    field("ct original ip saddr", &["192.0.2.1"], None),
    field("ct reply ip6 daddr", &["2001:db8::1"], None),
    field("ct original protocol", &["tcp", "udp"], None),
    field("meta nfproto", &["ipv4", "ipv6"], None),
    field("meta l4proto", &["tcp", "udp", "icmp", "ipv6-icmp"], Some("33-45")),
    field("meta length", &["1000", "64"], Some("33-45")),
    field("meta protocol", &["ip", "ip6", "arp", "vlan"], None),
    field("meta mark", &["0x4", "0x32"], Some("0x11-0x33")),
    field("meta priority", &["root", "bcad:dadc"], None),
    field("meta skuid", &["0", "1000"], Some("3001-3005")),
    field("meta skgid", &["0", "1000"], Some("3001-3005")),
    field("meta iif", &["\"lo\""], None),
    field("meta oif", &["\"lo\""], None),
    field("meta iifname", &["\"lo\"", "\"eth0\"", "\"wlan0123456789a\""], None),
    field("meta oifname", &["\"lo\"", "\"eth0\""], None),
    field("meta iiftype", &["ether", "loopback", "ppp"], None),
    field("meta iifkind", &["\"vrf\"", "\"veth\""], None),
    field("meta pkttype", &["host", "broadcast", "multicast"], None),
    field("meta cpu", &["1"], Some("1-3")),
    field("meta cgroup", &["1048577"], Some("1048577-1048578")),
    field("meta iifgroup", &["default", "11"], Some("11-33")),
    field("meta day", &["\"Saturday\"", "\"Monday\""], None),
    field("meta secpath", &["exists", "missing"], None),
    field("meta sdifname", &["\"vrf1\""], None),
    field("ether saddr", &["00:0f:54:0c:11:04"], Some("00:01:02:03:04:05-00:01:02:03:04:99")),
    field("ether type", &["ip", "ip6", "arp"], None),
    field("vlan id", &["4094"], None),
    field("exthdr frag", &["exists", "missing"], None),
    field("frag frag-off", &["22", "233"], Some("33-45")),
    field("frag id", &["1"], Some("33-45")),
    field("rt nexthdr", &["1", "tcp"], Some("33-45")),
    field("hbh hdrlength", &["22"], Some("33-45")),
    field("mh type", &["binding-update"], None),
    field("tcp option maxseg size", &["1", "1460"], Some("33-45")),
    field("tcp option window count", &["7"], None),
    field("tcp option sack-permitted", &["exists", "missing"], None),
    field("tcp option timestamp tsval", &["1"], None),
    field("fib saddr . iif oif", &["\"lo\""], None),
    field("fib daddr . iif type", &["local", "broadcast", "multicast"], None),
    field("fib saddr . mark . iif oifname", &["\"lo\""], None),
    field("rt ip nexthop", &["192.168.0.1"], None),
    field("rt ip6 nexthop", &["fd00::1"], None),
    field("rt classid", &["1"], None),
    field("socket transparent", &["0", "1"], None),
    field("socket mark", &["0x00000005"], None),
    field("socket wildcard", &["0", "1"], None),
    field("@th,16,16", &["22", "80"], None),
    field("@nh,96,32", &["0x0a000001"], None),
    field("@ll,48,48", &["0x0102030405"], None),
];

/// Statements that do not come from the table.
const INET: &str = "\
accept
drop
return
continue
jump other
goto other
counter
counter packets 3 bytes 4096 drop
limit rate 400/minute
limit rate 20/second burst 17 packets accept
limit rate over 5/hour drop
limit rate 40/day
limit rate 1/week burst 1 packets
limit rate 10 kbytes/second
limit rate over 25 mbytes/second burst 512 kbytes
log
log level emerg
log level debug flags all
log prefix \"ssh: \"
log prefix \"a longer prefix with: colons \" level info
log prefix \"group\" group 2
log group 2 snaplen 33 queue-threshold 22
log flags tcp sequence,options
log flags ip options flags skuid
log level audit
reject
reject with tcp reset
reject with icmpx port-unreachable
reject with icmpx admin-prohibited
reject with icmpx no-route
reject with icmpx host-unreachable
reject with icmp host-unreachable
reject with icmp admin-prohibited
reject with icmpv6 admin-prohibited
reject with icmpv6 no-route
meta mark set 0x4
meta mark set meta mark and 0x000000f0
meta mark set meta mark or 0x1 xor 0x3
meta mark set ct mark
meta priority set cafe:beef
meta nftrace set 1
meta pkttype set host
ct mark set 0x11
ct mark set mark
ct mark set meta mark or 0xff
ct zone set 1
ct original zone set 1
notrack
fib saddr . iif oif missing drop
fib daddr . iif oif exists accept
ip saddr set 192.0.2.1
ip ttl set 64
ip dscp set af21
ip6 daddr set 2001:db8::1
ip6 hoplimit set 1
tcp dport set 8080
udp dport set 53
tcp option maxseg size set 1360
tcp option maxseg size set rt mtu
ether saddr set 00:03:2d:2b:74:ec
queue
queue num 2
queue num 2-3
queue num 4-5 fanout bypass
queue num 1 bypass
quota 1025 bytes
quota until 1 kbytes
quota over 2 mbytes drop
ct count 10 accept
ct count over 20 drop
ct state established,related accept
ct state vmap { established : accept, related : accept, invalid : drop }
ct state new ct status dnat accept
ct state { new, untracked } accept
tcp flags syn / syn,ack drop
tcp flags & (fin | syn | rst | ack) == syn
tcp flags & (fin | syn | rst | ack) != syn counter drop
tcp flags ! syn
tcp dport 22 accept comment \"the way in\"
tcp dport { 22, 80, 443 } accept
tcp dport != { 22, 80, 443 } drop
tcp dport { 22, 1000-2000, 65000-65535 } accept
tcp dport vmap { 22 : accept, 23 : drop, 80 : jump other }
tcp dport vmap { 25-28 : drop, 80 : accept }
ip saddr { 192.0.2.1, 198.51.100.0/24, 203.0.113.5-203.0.113.9 } drop
ip saddr != { 192.0.2.0/24 } drop
ip6 saddr { 2001:db8::/32, fe80::/10 } accept
ip saddr . tcp dport { 192.0.2.1 . 22, 198.51.100.1 . 80 } accept
ip saddr . ip daddr . tcp dport { 192.0.2.1 . 192.0.2.2 . 22 } accept
ip saddr . tcp dport { 192.0.2.0/24 . 20-25, 198.51.100.1 . 80 } accept
ip6 saddr . udp dport { 2001:db8::1 . 53 } accept
meta nfproto . meta l4proto { ipv4 . tcp, ipv6 . udp } accept
meta l4proto . th dport { tcp . 22, udp . 53 } accept
meta l4proto . th dport vmap { tcp . 22 : accept, udp . 53 : drop }
iifname . tcp dport { \"eth0\" . 22, \"lo\" . 80 } accept
iifname \"eth*\" accept
iifname \"dummy*\" accept
iifname != \"veth12*\" drop
iifname { \"eth0\", \"lo\" } accept
iifname vmap { \"lo\" : accept, \"eth0\" : jump other }
iif lo ip saddr != 127.0.0.0/8 drop
meta mark and 0x3 == 0x1
meta mark and 0x03 != 0x01
meta mark xor 0x03 == 0x01
meta mark & 0xff == 0x10 accept
ct mark and 0x23 == 0x11
ct event set new
ip dscp != cs1 accept
meta l4proto { tcp, udp } th dport 53 accept
meta nfproto vmap { ipv4 : jump other, ipv6 : jump other }
tcp dport 22 ct state new limit rate 30/minute accept
tcp dport 80 ct state new add @seen4 { ip saddr }
tcp dport 80 update @seen4 { ip saddr timeout 30s }
tcp dport 80 update @limited4 { ip saddr limit rate over 30/minute } drop
tcp dport 80 add @limited4 { ip saddr limit rate 10/second burst 20 packets }
ct state new add @counted4 { ip saddr ct count over 20 } reject
tcp dport 80 update @limited6 { ip6 saddr and ffff:ffff:ffff:ffff:: limit rate over 30/minute } drop
update @pairs4 { ip saddr . tcp dport counter }
ip saddr @seen4 drop
ip saddr != @seen4 accept
ip saddr @nets4 accept
ip6 saddr @nets6 accept
tcp dport vmap @dispatch
meta mark set tcp dport map @marks
meta mark set tcp dport map { 22 : 0x1, 80 : 0x2 }
meta mark set jhash ip saddr mod 2
meta mark set jhash ip saddr . tcp sport mod 256 seed 0xbeef offset 1
meta mark set symhash mod 16
meta mark set numgen inc mod 2
meta mark set numgen random mod 10 offset 100
dnat ip to 192.168.3.2
dnat ip6 to 2001:db8::7
tcp dport 80 dnat ip to 10.0.0.1:8080
tcp dport 80-90 dnat ip to 192.168.3.2-192.168.3.4:1000-2000
tcp dport 80 dnat ip6 to [2001:db8::1]:8080
snat ip to 192.0.2.1
snat ip6 to 2001:db8::1-2001:db8::9
snat ip to 192.0.2.1 persistent
snat ip to 192.0.2.1 random
dnat ip to tcp dport map { 22 : 10.0.0.1, 80 : 10.0.0.2 }
masquerade
masquerade random
masquerade fully-random,persistent
tcp dport 80 masquerade to :1024-65535
redirect
tcp dport 80 redirect to :8080
udp dport 53 redirect to :5353 random
udp dport 9000-9010 redirect to :100-200
counter name \"hits\"
quota name \"monthly\" drop
limit name \"slow\"
counter name tcp dport map { 22 : \"hits\" }
exthdr hbh exists
tcp option 4 exists
reset tcp option sack-perm
sctp chunk init exists
dup to 10.1.2.3
tcp dport 80 tproxy ip to 127.0.0.1:50080
synproxy mss 1460 wscale 7
osf name \"Linux\"
last
";

/// Rules for tables that are not `inet`.
const OTHERS: &[(Family, &str)] = &[
    (Family::Ip, "ip saddr 192.0.2.1 tcp dport 22 accept"),
    (Family::Ip, "icmp type echo-request accept"),
    (Family::Ip, "reject"),
    (Family::Ip, "reject with icmp port-unreachable"),
    (Family::Ip, "ct original saddr 192.0.2.1"),
    (Family::Ip, "masquerade"),
    (Family::Ip, "tcp dport 80 dnat to 10.0.0.1:8080"),
    (Family::Ip, "ip option ra value 0"),
    (Family::Ip, "fib saddr . iif oif missing drop"),
    (Family::Ip6, "ip6 saddr fe80::/10 icmpv6 type { nd-neighbor-solicit, nd-router-advert } accept"),
    (Family::Ip6, "tcp dport 22 accept"),
    (Family::Ip6, "reject with icmpv6 addr-unreachable"),
    (Family::Ip6, "reject with tcp reset"),
    (Family::Ip6, "rt type 0 drop"),
    (Family::Bridge, "ether saddr 00:0f:54:0c:11:04 accept"),
    (Family::Bridge, "ether type arp accept"),
    (Family::Bridge, "ip saddr 192.0.2.1 drop"),
    (Family::Bridge, "meta ibrname \"br0\""),
    (Family::Bridge, "meta obrname \"br0\""),
    (Family::Bridge, "vlan id 1 ip saddr 10.0.0.0/23 udp dport 53"),
    (Family::Bridge, "reject with icmp host-unreachable"),
    (Family::Arp, "arp operation request"),
    (Family::Arp, "arp saddr ip 192.0.2.1 drop"),
    (Family::Arp, "arp htype 1 arp ptype ip"),
    (Family::Arp, "meta iifname \"eth0\" accept"),
];

/// Sets and objects that the rules above name.
pub(crate) const DECLARATIONS: &str = "\
set seen4 { type ipv4_addr; flags dynamic,timeout; timeout 1m; size 65535; }
set limited4 { type ipv4_addr; flags dynamic,timeout; timeout 1m; size 65535; }
set limited6 { type ipv6_addr; flags dynamic,timeout; timeout 1m; size 65535; }
set counted4 { type ipv4_addr; flags dynamic; size 65535; }
set pairs4 { type ipv4_addr . inet_service; flags dynamic; size 65535; }
set nets4 { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 192.0.2.1 }; }
set nets6 { type ipv6_addr; flags interval; elements = { 2001:db8::/32 }; }
map dispatch { type inet_service : verdict; elements = { 22 : accept, 80 : drop }; }
map marks { type inet_service : mark; elements = { 22 : 0x1, 80 : 0x2 }; }
counter hits { }
quota monthly { over 20 mbytes }
limit slow { rate 5/second }
";

/// All rules.
pub(crate) fn cases() -> Vec<Case> {
    let case = |family, text: String| Case { family, text, golden: None };
    let mut cases: Vec<_> = FIELDS
        .iter()
        .flat_map(of_field)
        .chain(INET.lines().map(str::to_owned))
        .map(|text| case(Family::Inet, text))
        .collect();
    cases.extend(OTHERS.iter().map(|(family, text)| case(*family, (*text).to_owned())));
    cases
}

fn of_field(field: &Field) -> Vec<String> {
    let name = field.name;
    let mut rules = Vec::new();
    for value in field.values {
        rules.push(format!("{name} {value}"));
        rules.push(format!("{name} != {value} counter drop"));
    }
    if field.values.len() > 1 {
        let list = field.values.join(", ");
        rules.push(format!("{name} {{ {list} }} accept"));
        rules.push(format!("{name} != {{ {list} }} log prefix \"other \""));
        let pairs: Vec<_> = field.values.iter().map(|value| format!("{value} : accept")).collect();
        rules.push(format!("{name} vmap {{ {} }}", pairs.join(", ")));
    }
    if let Some(range) = field.range {
        rules.push(format!("{name} {range}"));
        rules.push(format!("{name} != {range} accept"));
        rules.push(format!("{name} {{ {range} }} drop"));
    }
    rules
}
