//! Bytes in words: addresses, ports, states.

use std::net::{Ipv4Addr, Ipv6Addr};

use nf_tables::{DataType, Set};

use super::Kind;
use crate::contents::Entry;

/// Bytes as what they mean; as hexadecimal where their number does not fit that.
pub(super) fn bytes_as(kind: Kind, bytes: &[u8]) -> String {
    let text = match (kind, bytes) {
        (Kind::Ipv4, _) => <[u8; 4]>::try_from(bytes).ok().map(|bytes| Ipv4Addr::from(bytes).to_string()),
        (Kind::Ipv6, _) => <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).to_string()),
        (Kind::Port | Kind::Number, _) => big_endian(bytes).map(|number| number.to_string()),
        (Kind::MachineNumber, _) => machine(bytes).map(|number| number.to_string()),
        (Kind::Mark, _) => machine(bytes).map(|number| format!("{number:#x}")),
        (Kind::InterfaceIndex, _) => {
            machine(bytes).map(|number| if number == 1 { "lo".to_owned() } else { number.to_string() })
        }
        (Kind::Protocol, &[number]) => Some(named(&PROTOCOLS, number)),
        (Kind::Family, &[number]) => Some(named(&FAMILIES, number)),
        (Kind::IcmpType, &[number]) => Some(named(&ICMP_TYPES, number)),
        (Kind::Icmpv6Type, &[number]) => Some(named(&ICMPV6_TYPES, number)),
        (Kind::PacketType, &[number]) => Some(named(&PACKET_TYPES, number)),
        (Kind::EtherType, _) => match big_endian(bytes) {
            Some(0x0800) => Some("ip".to_owned()),
            Some(0x86dd) => Some("ip6".to_owned()),
            Some(0x0806) => Some("arp".to_owned()),
            _ => None,
        },
        (Kind::State | Kind::Status | Kind::TcpFlags, _) => {
            flag_names(kind, bytes).map(|names| names.join(","))
        }
        (Kind::Interface, _) => Some(interface(bytes)),
        (
            Kind::Bytes
            | Kind::Protocol
            | Kind::Family
            | Kind::IcmpType
            | Kind::Icmpv6Type
            | Kind::PacketType,
            _,
        ) => None,
    };
    text.unwrap_or_else(|| {
        format!("0x{}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    })
}

const PROTOCOLS: [(u8, &str); 10] = [
    (1, "icmp"),
    (2, "igmp"),
    (6, "tcp"),
    (17, "udp"),
    (47, "gre"),
    (50, "esp"),
    (51, "ah"),
    (58, "ipv6-icmp"),
    (132, "sctp"),
    (136, "udplite"),
];
const FAMILIES: [(u8, &str); 2] = [(2, "ipv4"), (10, "ipv6")];
const ICMP_TYPES: [(u8, &str); 6] = [
    (0, "echo-reply"),
    (3, "destination-unreachable"),
    (5, "redirect"),
    (8, "echo-request"),
    (11, "time-exceeded"),
    (12, "parameter-problem"),
];
const ICMPV6_TYPES: [(u8, &str); 15] = [
    (1, "destination-unreachable"),
    (2, "packet-too-big"),
    (3, "time-exceeded"),
    (4, "parameter-problem"),
    (128, "echo-request"),
    (129, "echo-reply"),
    (130, "mld-listener-query"),
    (131, "mld-listener-report"),
    (132, "mld-listener-done"),
    (133, "nd-router-solicit"),
    (134, "nd-router-advert"),
    (135, "nd-neighbor-solicit"),
    (136, "nd-neighbor-advert"),
    (137, "nd-redirect"),
    (143, "mld2-listener-report"),
];
const PACKET_TYPES: [(u8, &str); 4] = [(0, "host"), (1, "broadcast"), (2, "multicast"), (3, "other")];
const STATES: [(u32, &str); 5] =
    [(1, "invalid"), (2, "established"), (4, "related"), (8, "new"), (64, "untracked")];
/// `IPS_*` of `nf_conntrack_common.h`.
const STATUS: [(u32, &str); 8] = [
    (1, "expected"),
    (2, "seen-reply"),
    (4, "assured"),
    (8, "confirmed"),
    (16, "snat"),
    (32, "dnat"),
    (512, "dying"),
    (2048, "helper"),
];
const TCP_FLAGS: [(u32, &str); 8] =
    [(1, "fin"), (2, "syn"), (4, "rst"), (8, "psh"), (16, "ack"), (32, "urg"), (64, "ecn"), (128, "cwr")];

fn named(names: &[(u8, &str)], number: u8) -> String {
    names.iter().find(|row| row.0 == number).map_or_else(|| number.to_string(), |row| row.1.to_owned())
}

/// The names of the bits that are set, for a kind that has such names and no others.
pub(super) fn flag_names(kind: Kind, bytes: &[u8]) -> Option<Vec<&'static str>> {
    let (names, number): (&[(u32, &str)], _) = match kind {
        Kind::State => (&STATES, machine(bytes)?),
        Kind::Status => (&STATUS, machine(bytes)?),
        Kind::TcpFlags => (&TCP_FLAGS, big_endian(bytes)?),
        _ => return None,
    };
    let mut left = number;
    let mut found = Vec::new();
    for (bit, name) in names {
        if left & u64::from(*bit) != 0 {
            found.push(*name);
            left &= !u64::from(*bit);
        }
    }
    (left == 0).then_some(found)
}

/// `"eth0"`, or `"eth*"` where only the first bytes are compared.
fn interface(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0);
    let name = String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).escape_default().to_string();
    let star = if end.is_none() && bytes.len() < 16 { "*" } else { "" };
    format!("\"{name}{star}\"")
}

fn big_endian(bytes: &[u8]) -> Option<u64> {
    (bytes.len() <= 8).then(|| bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

fn machine(bytes: &[u8]) -> Option<u64> {
    let mut ordered = bytes.to_vec();
    if cfg!(target_endian = "little") {
        ordered.reverse();
    }
    big_endian(&ordered)
}

/// How many bits a mask keeps, if those are the first ones.
pub(super) fn prefix_bits(mask: &[u8]) -> Option<u32> {
    let ones: u32 = mask.iter().map(|byte| byte.count_ones()).sum();
    let mut leading = 0;
    for byte in mask {
        leading += byte.leading_ones();
        if *byte != 0xff {
            break;
        }
    }
    (ones == leading).then_some(ones)
}

/// The kind of each field of a set's key, with its place.
pub(super) fn key_kinds(set: &Set) -> Vec<(Kind, usize, usize)> {
    let length = usize::try_from(set.key_length).unwrap_or(0);
    let kinds = kinds(set.key_type, length);
    let lengths: Vec<usize> = if set.fields.is_empty() {
        kinds.iter().map(|&kind| natural_length(kind).unwrap_or(length)).collect()
    } else {
        set.fields.iter().map(|&length| usize::try_from(length).unwrap_or(0)).collect()
    };
    let mut start = 0;
    let mut out = Vec::new();
    for (nth, size) in lengths.into_iter().enumerate() {
        out.push((kinds.get(nth).copied().unwrap_or(Kind::Bytes), start, start + size));
        start += size.next_multiple_of(4);
    }
    out
}

/// The kinds of a key type: several for a concatenation, six bits each.
pub(super) fn kinds(data_type: DataType, length: usize) -> Vec<Kind> {
    if data_type.0 < 64 {
        return vec![kind_of(data_type, length)];
    }
    let mut kinds = Vec::new();
    let mut rest = data_type.0;
    while rest != 0 {
        kinds.push(kind_of(DataType(rest & 0x3f), 0));
        rest >>= 6;
    }
    kinds.reverse();
    kinds
}

pub(super) fn kind_of(data_type: DataType, _length: usize) -> Kind {
    TYPES.iter().find(|row| row.0 == data_type).map_or(Kind::Bytes, |row| row.2)
}

const TYPES: [(DataType, &str, Kind); 14] = [
    (DataType::NFPROTO, "nf_proto", Kind::Family),
    (DataType::INTEGER, "integer", Kind::Number),
    (DataType::IPV4_ADDRESS, "ipv4_addr", Kind::Ipv4),
    (DataType::IPV6_ADDRESS, "ipv6_addr", Kind::Ipv6),
    (DataType::ETHER_ADDRESS, "ether_addr", Kind::Bytes),
    (DataType::ETHER_TYPE, "ether_type", Kind::EtherType),
    (DataType::INET_PROTOCOL, "inet_proto", Kind::Protocol),
    (DataType::INET_SERVICE, "inet_service", Kind::Port),
    (DataType::ICMP_TYPE, "icmp_type", Kind::IcmpType),
    (DataType::MARK, "mark", Kind::Mark),
    (DataType::IFINDEX, "iface_index", Kind::InterfaceIndex),
    (DataType::CT_STATE, "ct_state", Kind::State),
    (DataType::ICMPV6_TYPE, "icmpv6_type", Kind::Icmpv6Type),
    (DataType::IFNAME, "ifname", Kind::Interface),
];

pub(super) fn data_type_name(data_type: DataType) -> String {
    TYPES
        .iter()
        .find(|row| row.0 == data_type)
        .map_or_else(|| format!("type {}", data_type.0), |row| row.1.to_owned())
}

pub(super) fn type_name(set: &Set) -> String {
    if set.key_type.0 < 64 {
        return data_type_name(set.key_type);
    }
    let mut names = Vec::new();
    let mut rest = set.key_type.0;
    while rest != 0 {
        names.push(data_type_name(DataType(rest & 0x3f)));
        rest >>= 6;
    }
    names.reverse();
    names.join(" . ")
}

const fn natural_length(kind: Kind) -> Option<usize> {
    match kind {
        Kind::Ipv4 | Kind::Mark | Kind::InterfaceIndex | Kind::State | Kind::Status => Some(4),
        Kind::Ipv6 | Kind::Interface => Some(16),
        Kind::Port | Kind::EtherType => Some(2),
        Kind::Protocol
        | Kind::Family
        | Kind::IcmpType
        | Kind::Icmpv6Type
        | Kind::TcpFlags
        | Kind::PacketType => Some(1),
        Kind::Bytes | Kind::Number | Kind::MachineNumber => None,
    }
}

/// Where a set says only that its keys are numbers, what a rule looks up in it says more.
pub(super) fn lend_kinds(set: &mut Set, kinds: &[Kind]) {
    let named = |data_type: DataType| kind_of(data_type, 0) != Kind::Bytes;
    if let ([kind], true) = (kinds, set.key_type.0 < 64 && !named(set.key_type))
        && let Some(row) = TYPES.iter().find(|row| row.2 == *kind)
    {
        set.key_type = row.0;
    }
}

/// An element's key: `22`, `8000-8100`, `10.0.0.0/8`, or several of them.
pub(super) fn entry(kinds: &[(Kind, usize, usize)], entry: &Entry<'_>) -> String {
    let field = |&(kind, start, end): &(Kind, usize, usize)| {
        let end = end.min(entry.first.len());
        let (first, last) = (entry.first.get(start..end)?, entry.last.get(start..end)?);
        Some(range(kind, first, last))
    };
    kinds.iter().filter_map(field).collect::<Vec<_>>().join(" . ")
}

fn range(kind: Kind, first: &[u8], last: &[u8]) -> String {
    if first == last {
        return bytes_as(kind, first);
    }
    let differ: Vec<u8> = first.iter().zip(last).map(|(a, b)| !(a ^ b)).collect();
    let is_block = first.iter().zip(&differ).all(|(byte, mask)| byte & !mask == 0)
        && last.iter().zip(&differ).all(|(byte, mask)| byte | mask == 0xff);
    match (kind, prefix_bits(&differ)) {
        (Kind::Ipv4 | Kind::Ipv6, Some(bits)) if is_block => format!("{}/{bits}", bytes_as(kind, first)),
        _ => format!("{}-{}", bytes_as(kind, first), bytes_as(kind, last)),
    }
}
