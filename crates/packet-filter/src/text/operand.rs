//! What a rule looks at, in words: `ip saddr`, `tcp dport`, `ct state`.

use nf_tables::{BitwiseOp, CmpOp, CtKey, Expression, Family, MetaKey, PayloadBase};

use super::value::{bytes_as, flag_names, prefix_bits};
use super::{Guard, direction, is_equality, operator};
use crate::facts::{IPV4, IPV6};
use crate::packet::protocol;
use crate::statement::{Change, Operand, Part, Source, Statement};

/// What bytes mean, so that they can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bytes,
    /// A number in network order.
    Number,
    /// A number in the machine's order.
    MachineNumber,
    Mark,
    Ipv4,
    Ipv6,
    Port,
    Protocol,
    Family,
    EtherType,
    Interface,
    InterfaceIndex,
    IcmpType,
    Icmpv6Type,
    State,
    Status,
    TcpFlags,
    PacketType,
}

/// What is known of the packet at this place of the rule.
pub(super) struct Context {
    table: Family,
    family: Option<u128>,
    protocol: Option<u8>,
}

struct Named {
    text: String,
    kind: Kind,
    /// How many bytes the whole field has; a rule may load only the first of them.
    whole: usize,
}

impl Named {
    fn new(text: impl Into<String>, kind: Kind, whole: usize) -> Self {
        Self { text: text.into(), kind, whole }
    }
}

impl Context {
    pub(super) const fn new(table: Family) -> Self {
        let family = match table {
            Family::Ip => Some(IPV4),
            Family::Ip6 => Some(IPV6),
            Family::Inet | Family::Arp | Family::Netdev | Family::Bridge => None,
        };
        Self { table, family, protocol: None }
    }

    /// Notes what a packet must be that gets past the statement.
    pub(super) fn learn(&mut self, statement: &Statement<'_>) -> Option<Guard> {
        let Statement::Compare { value, op, data } = statement else {
            return None;
        };
        let ([part], true, &[byte]) = (value.parts.as_slice(), is_equality(*op), *data) else {
            return None;
        };
        if !part.changes.is_empty() {
            return None;
        }
        match part.source {
            Source::Meta(MetaKey::NfProtocol) => {
                self.family = Some(u128::from(byte));
                Some(Guard::Family)
            }
            Source::Meta(MetaKey::L4Protocol) => {
                self.protocol = Some(byte);
                Some(Guard::Protocol)
            }
            Source::Payload { base: PayloadBase::Network, offset, length: 1 }
                if (self.family, offset) == (Some(IPV4), 9) || (self.family, offset) == (Some(IPV6), 6) =>
            {
                self.protocol = Some(byte);
                Some(Guard::Protocol)
            }
            _ => None,
        }
    }
}

/// A value's name, with what is done to it, and the kind of each of its parts.
pub(super) fn name(context: &Context, value: &Operand<'_>, needs: &mut Vec<Guard>) -> (String, Vec<Kind>) {
    let (mut texts, mut kinds) = (Vec::new(), Vec::new());
    for part in &value.parts {
        let named = part_name(context, part, needs);
        texts.push(format!("{}{}", named.text, changes(part, named.kind)));
        kinds.push(named.kind);
    }
    (texts.join(" . "), kinds)
}

/// A comparison in words.
pub(super) fn comparison(
    context: &Context,
    value: &Operand<'_>,
    op: CmpOp,
    data: &[u8],
    needs: &mut Vec<Guard>,
) -> String {
    let [part] = value.parts.as_slice() else {
        let (name, _) = name(context, value, needs);
        return format!("{name} {}{}", operator(op), bytes_as(Kind::Bytes, data));
    };
    let named = part_name(context, part, needs);
    let (name, kind) = (&named.text, named.kind);
    let mask = match part.changes.as_slice() {
        [Change::Bits(BitwiseOp::MaskXor { mask, xor })] if xor.iter().all(|&byte| byte == 0) => Some(mask),
        _ => None,
    };
    let is_zero = data.iter().all(|&byte| byte == 0);
    match (mask, op) {
        (Some(mask), CmpOp::Ne | CmpOp::Eq) if is_zero && flag_names(kind, mask).is_some() => {
            let not = if op == CmpOp::Eq { "!= " } else { "" };
            format!("{name} {not}{}", flag_names(kind, mask).unwrap_or_default().join(","))
        }
        (Some(mask), CmpOp::Ne | CmpOp::Eq) if flag_names(kind, mask).is_some() => {
            let all = flag_names(kind, mask).unwrap_or_default().join("|");
            let set = flag_names(kind, data).unwrap_or_default().join("|");
            let sign = if op == CmpOp::Eq { "==" } else { "!=" };
            format!("{name} & ({all}) {sign} {set}")
        }
        (Some(mask), CmpOp::Ne | CmpOp::Eq) if is_address(kind) && prefix_bits(mask).is_some() => {
            format!("{name} {}{}/{}", operator(op), whole(&named, data), prefix_bits(mask).unwrap_or(0))
        }
        (None, _) if part.changes.is_empty() && is_address(kind) && data.len() < named.whole => {
            format!("{name} {}{}/{}", operator(op), whole(&named, data), data.len() * 8)
        }
        _ => format!("{name}{} {}{}", changes(part, kind), operator(op), bytes_as(kind, data)),
    }
}

const fn is_address(kind: Kind) -> bool {
    matches!(kind, Kind::Ipv4 | Kind::Ipv6)
}

/// An address of which only the first bytes are given.
fn whole(named: &Named, data: &[u8]) -> String {
    let mut bytes = data.to_vec();
    bytes.resize(named.whole, 0);
    bytes_as(named.kind, &bytes)
}

/// A constant, if that is all the value is.
pub(super) fn constant(value: &Operand<'_>, kinds: &[Kind]) -> Option<String> {
    match value.parts.as_slice() {
        [Part { source: Source::Constant(bytes), changes, .. }] if changes.is_empty() => {
            Some(bytes_as(kinds.first().copied().unwrap_or(Kind::Bytes), bytes))
        }
        _ => None,
    }
}

fn changes(part: &Part<'_>, kind: Kind) -> String {
    let mut text = String::new();
    for change in &part.changes {
        match change {
            Change::Order => {}
            Change::Bits(BitwiseOp::MaskXor { mask, xor }) => {
                text.push_str(" & ");
                text.push_str(&bytes_as(kind, mask));
                if xor.iter().any(|&byte| byte != 0) {
                    text.push_str(" ^ ");
                    text.push_str(&bytes_as(kind, xor));
                }
            }
            Change::Bits(BitwiseOp::ShiftLeft(bits)) => text.push_str(&format!(" << {bits}")),
            Change::Bits(BitwiseOp::ShiftRight(bits)) => text.push_str(&format!(" >> {bits}")),
        }
    }
    text
}

fn part_name(context: &Context, part: &Part<'_>, needs: &mut Vec<Guard>) -> Named {
    match &part.source {
        Source::Meta(key) => Named::new(meta_name(*key), meta_kind(*key), part.length),
        Source::Ct(ct) => {
            let (name, kind) = ct_name(ct.key);
            let name = name.map_or_else(|| ct.key.to_string(), str::to_owned);
            Named::new(format!("ct {}{name}", direction(ct.direction)), kind, part.length)
        }
        Source::Payload { base, offset, length } => {
            let (text, kind, whole) = payload_name(context, *base, *offset, *length, needs);
            Named::new(text, kind, whole)
        }
        Source::Constant(bytes) => Named::new(bytes_as(Kind::Bytes, bytes), Kind::Bytes, bytes.len()),
        Source::Mapped { key, map } => {
            Named::new(format!("{} map @{map}", name(context, key, needs).0), Kind::Bytes, part.length)
        }
        Source::Loaded(expression) => Named::new(loaded_name(expression), Kind::MachineNumber, part.length),
        Source::Missing => Named::new("[register]", Kind::Bytes, part.length),
    }
}

fn loaded_name(expression: &Expression) -> String {
    match expression {
        Expression::Fib(fib) => {
            use nf_tables::{FibFlags, FibResult};
            let names = [
                (FibFlags::SOURCE, "saddr"),
                (FibFlags::DESTINATION, "daddr"),
                (FibFlags::MARK, "mark"),
                (FibFlags::INPUT, "iif"),
                (FibFlags::OUTPUT, "oif"),
            ];
            let asked: Vec<_> =
                names.iter().filter(|(flag, _)| fib.flags.contains(*flag)).map(|(_, name)| *name).collect();
            let result = match fib.result {
                FibResult::OutputIndex => "oif",
                FibResult::OutputName => "oifname",
                FibResult::AddressType => "type",
            };
            format!("fib {} {result}", asked.join(" . "))
        }
        other => format!("[{} ...]", other.name()),
    }
}

pub(super) fn meta_name(key: MetaKey) -> String {
    match key {
        MetaKey::InputName | MetaKey::OutputName | MetaKey::InputIndex | MetaKey::OutputIndex => {
            key.to_string()
        }
        other => format!("meta {other}"),
    }
}

/// How `nft` names a key of connection tracking where that is not the library's name, and what its values are.
const fn ct_name(key: CtKey) -> (Option<&'static str>, Kind) {
    match key {
        CtKey::State => (None, Kind::State),
        CtKey::Status => (None, Kind::Status),
        CtKey::ProtocolSource => (Some("proto-src"), Kind::Port),
        CtKey::ProtocolDestination => (Some("proto-dst"), Kind::Port),
        CtKey::SourceIp => (Some("ip saddr"), Kind::Ipv4),
        CtKey::DestinationIp => (Some("ip daddr"), Kind::Ipv4),
        CtKey::SourceIp6 => (Some("ip6 saddr"), Kind::Ipv6),
        CtKey::DestinationIp6 => (Some("ip6 daddr"), Kind::Ipv6),
        _ => (None, Kind::MachineNumber),
    }
}

pub(super) const fn meta_kind(key: MetaKey) -> Kind {
    match key {
        MetaKey::InputName | MetaKey::OutputName | MetaKey::BridgeInputName | MetaKey::BridgeOutputName => {
            Kind::Interface
        }
        MetaKey::InputIndex | MetaKey::OutputIndex => Kind::InterfaceIndex,
        MetaKey::NfProtocol => Kind::Family,
        MetaKey::L4Protocol => Kind::Protocol,
        MetaKey::Protocol => Kind::EtherType,
        MetaKey::Mark => Kind::Mark,
        MetaKey::PacketType => Kind::PacketType,
        _ => Kind::MachineNumber,
    }
}

type Row = (u32, usize, &'static str, Kind);

const IPV4_HEADER: [Row; 6] = [
    (2, 2, "ip length", Kind::Number),
    (6, 2, "ip frag-off", Kind::Number),
    (8, 1, "ip ttl", Kind::Number),
    (9, 1, "ip protocol", Kind::Protocol),
    (12, 4, "ip saddr", Kind::Ipv4),
    (16, 4, "ip daddr", Kind::Ipv4),
];
const IPV6_HEADER: [Row; 4] = [
    (6, 1, "ip6 nexthdr", Kind::Protocol),
    (7, 1, "ip6 hoplimit", Kind::Number),
    (8, 16, "ip6 saddr", Kind::Ipv6),
    (24, 16, "ip6 daddr", Kind::Ipv6),
];
const TCP_HEADER: [Row; 3] =
    [(0, 2, "tcp sport", Kind::Port), (2, 2, "tcp dport", Kind::Port), (13, 1, "tcp flags", Kind::TcpFlags)];
const UDP_HEADER: [Row; 2] = [(0, 2, "udp sport", Kind::Port), (2, 2, "udp dport", Kind::Port)];
const ICMP_HEADER: [Row; 2] = [(0, 1, "icmp type", Kind::IcmpType), (1, 1, "icmp code", Kind::Number)];
const ICMPV6_HEADER: [Row; 2] =
    [(0, 1, "icmpv6 type", Kind::Icmpv6Type), (1, 1, "icmpv6 code", Kind::Number)];
const ANY_TRANSPORT: [Row; 2] = [(0, 2, "th sport", Kind::Port), (2, 2, "th dport", Kind::Port)];

/// The name of bytes of the packet, what they mean, and how many the whole field has.
pub(super) fn payload_name(
    context: &Context,
    base: PayloadBase,
    offset: u32,
    length: u32,
    needs: &mut Vec<Guard>,
) -> (String, Kind, usize) {
    let rows: &[Row] = match (base, context.family, context.protocol) {
        (PayloadBase::Network, Some(IPV4), _) => &IPV4_HEADER,
        (PayloadBase::Network, Some(IPV6), _) => &IPV6_HEADER,
        (PayloadBase::Transport, _, Some(protocol::TCP)) => &TCP_HEADER,
        (PayloadBase::Transport, _, Some(protocol::UDP)) => &UDP_HEADER,
        (PayloadBase::Transport, _, Some(protocol::ICMP)) => &ICMP_HEADER,
        (PayloadBase::Transport, _, Some(protocol::ICMPV6)) => &ICMPV6_HEADER,
        (PayloadBase::Transport, _, _) => &ANY_TRANSPORT,
        (PayloadBase::Network | PayloadBase::Link | PayloadBase::Inner, _, _) => &[],
    };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let found =
        rows.iter().find(|row| row.0 == offset && (row.1 == length || is_address(row.3) && length < row.1));
    if let Some(&(_, whole, name, kind)) = found {
        match base {
            PayloadBase::Network if context.table == Family::Inet => needs.push(Guard::Family),
            PayloadBase::Transport if context.protocol.is_some() => needs.push(Guard::Protocol),
            PayloadBase::Network | PayloadBase::Transport | PayloadBase::Link | PayloadBase::Inner => {}
        }
        return (name.to_owned(), kind, whole);
    }
    let header = match base {
        PayloadBase::Link => "ll",
        PayloadBase::Network => "nh",
        PayloadBase::Transport => "th",
        PayloadBase::Inner => "ih",
    };
    (format!("@{header},{},{}", u64::from(offset) * 8, length.saturating_mul(8)), Kind::Bytes, length)
}
