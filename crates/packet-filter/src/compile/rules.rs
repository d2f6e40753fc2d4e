//! Rules, one condition after the other, in the expressions that `nft` would make, so that `nft list` reads them back.

use nf_tables::{
    Bitwise, Cmp, CmpOp, Counter, Ct, CtDirection, CtKey, Dynset, DynsetOp, Expression, Immediate, Limit,
    LimitKind, Log, Lookup, Meta, MetaKey, Payload, PayloadBase, Register, Reject, Rule, Verdict,
};

use super::forward::End;
use crate::packet::protocol;

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IpFamily {
    V4,
    V6,
}

impl IpFamily {
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::V4 => 2,
            Self::V6 => 10,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        }
    }

    /// Where the source address stands in the header, and its length.
    const fn source(self) -> (u32, u32) {
        match self {
            Self::V4 => (12, 4),
            Self::V6 => (8, 16),
        }
    }

    /// Where the destination address stands in the header, and its length.
    const fn destination(self) -> (u32, u32) {
        match self {
            Self::V4 => (16, 4),
            Self::V6 => (24, 16),
        }
    }
}

/// A rule that grows. What is loaded stands in register 1 for the next condition.
#[derive(Debug, Clone, Default)]
pub(super) struct RuleBuilder {
    expressions: Vec<Expression>,
    family: Option<IpFamily>,
    protocol: Option<u8>,
}

const KEY: Register = Register::R1;
/// `nf_conntrack_common.h`: the destination of the flow was translated.
const IPS_DST_NAT: u32 = 0x20;

impl RuleBuilder {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// The end of every rule.
    pub(super) fn comment(self, comment: &str) -> Rule {
        Rule::new(self.expressions).with_comment(comment)
    }

    fn with(mut self, expression: Expression) -> Self {
        self.expressions.push(expression);
        self
    }

    fn meta(self, key: MetaKey) -> Self {
        self.with(Expression::Meta(Meta { key, dreg: KEY }))
    }

    fn payload(self, base: PayloadBase, (offset, length): (u32, u32)) -> Self {
        self.with(Expression::Payload(Payload { dreg: KEY, base, offset, length }))
    }

    /// Goes on where what was loaded is this.
    pub(super) fn is(self, data: &[u8]) -> Self {
        self.with(Expression::Cmp(Cmp { sreg: KEY, op: CmpOp::Eq, data: data.to_vec() }))
    }

    /// Goes on where what was loaded is in the set.
    pub(super) fn among(self, set: &str) -> Self {
        self.with(Expression::Lookup(Lookup::contains(set, KEY)))
    }

    /// Does what the verdict map says to what was loaded.
    pub(super) fn dispatch(self, map: &str) -> Self {
        self.with(Expression::Lookup(Lookup::dispatch(map, KEY)))
    }

    pub(super) fn verdict(self, verdict: Verdict) -> Self {
        self.with(Expression::Immediate(Immediate::verdict(verdict)))
    }

    pub(super) fn reject(self, reject: Reject) -> Self {
        self.with(Expression::Reject(reject))
    }

    pub(super) fn counter(self) -> Self {
        self.with(Expression::Counter(Counter::default()))
    }

    pub(super) fn limit(self, rate: u64, seconds: u64, burst: u32) -> Self {
        self.with(Expression::Limit(packets(rate, seconds, burst)))
    }

    pub(super) fn log(self, prefix: &str, level: u32) -> Self {
        self.with(Expression::Log(Log { level: Some(level), ..Log::with_prefix(prefix) }))
    }

    pub(super) fn input_is(self, interface: &str) -> Self {
        self.meta(MetaKey::InputName).is(&interface_name(interface))
    }

    pub(super) fn output_is(self, interface: &str) -> Self {
        self.meta(MetaKey::OutputName).is(&interface_name(interface))
    }

    /// Loads the name of an interface.
    pub(super) fn interface(self, end: End) -> Self {
        self.meta(match end {
            End::Input => MetaKey::InputName,
            End::Output => MetaKey::OutputName,
        })
    }

    /// The same with the conditions of another behind.
    pub(super) fn then(mut self, other: &Self) -> Self {
        self.expressions.extend_from_slice(&other.expressions);
        self.family = other.family.or(self.family);
        self.protocol = other.protocol.or(self.protocol);
        self
    }

    /// Loads the family.
    pub(super) fn family(self) -> Self {
        self.meta(MetaKey::NfProtocol)
    }

    /// Loads the transport protocol.
    pub(super) fn protocol(self) -> Self {
        self.meta(MetaKey::L4Protocol)
    }

    /// Loads the state of the connection.
    pub(super) fn state(self) -> Self {
        self.with(Expression::Ct(Ct { key: CtKey::State, direction: None, dreg: KEY }))
    }

    /// Goes on with a flow whose destination a NAT rule has changed, as that of a published container port.
    pub(super) fn published(self) -> Self {
        let mask = Expression::Bitwise(Bitwise::mask(KEY, IPS_DST_NAT.to_ne_bytes().to_vec()));
        self.with(Expression::Ct(Ct { key: CtKey::Status, direction: None, dreg: KEY }))
            .with(mask)
            .with(Expression::Cmp(Cmp { sreg: KEY, op: CmpOp::Ne, data: vec![0; 4] }))
    }

    /// Loads the port that a TCP or UDP packet was to before a NAT rule changed that.
    pub(super) fn original_port(self, number: u8) -> Self {
        let direction = Some(CtDirection::Original);
        self.protocol_is(number).with(Expression::Ct(Ct {
            key: CtKey::ProtocolDestination,
            direction,
            dreg: KEY,
        }))
    }

    /// Makes sure of the family, once.
    pub(super) fn family_is(mut self, family: IpFamily) -> Self {
        if self.family.replace(family) == Some(family) {
            return self;
        }
        self.family().is(&[family.number()])
    }

    /// Makes sure of the transport protocol, once.
    pub(super) fn protocol_is(mut self, number: u8) -> Self {
        if self.protocol.replace(number) == Some(number) {
            return self;
        }
        self.protocol().is(&[number])
    }

    /// Loads the ICMP or `ICMPv6` type.
    pub(super) fn icmp_kind(self, family: IpFamily) -> Self {
        let number = match family {
            IpFamily::V4 => protocol::ICMP,
            IpFamily::V6 => protocol::ICMPV6,
        };
        self.protocol_is(number).payload(PayloadBase::Transport, (0, 1))
    }

    /// Loads the port that a TCP or UDP packet is to.
    pub(super) fn destination_port(self, number: u8) -> Self {
        self.protocol_is(number).payload(PayloadBase::Transport, (2, 2))
    }

    pub(super) fn udp_destination_is(self, port: u16) -> Self {
        self.destination_port(protocol::UDP).is(&port.to_be_bytes())
    }

    /// Loads the source address.
    pub(super) fn source(self, family: IpFamily) -> Self {
        self.family_is(family).payload(PayloadBase::Network, family.source())
    }

    /// Loads the destination address.
    pub(super) fn destination(self, family: IpFamily) -> Self {
        self.family_is(family).payload(PayloadBase::Network, family.destination())
    }

    pub(super) fn source_is_loopback(self, family: IpFamily) -> Self {
        self.loopback(family, family.source())
    }

    pub(super) fn destination_is_loopback(self, family: IpFamily) -> Self {
        self.loopback(family, family.destination())
    }

    fn loopback(self, family: IpFamily, (offset, length): (u32, u32)) -> Self {
        let this = self.family_is(family);
        match family {
            IpFamily::V4 => this.payload(PayloadBase::Network, (offset, 1)).is(&[127]),
            IpFamily::V6 => this
                .payload(PayloadBase::Network, (offset, length))
                .is(&std::net::Ipv6Addr::LOCALHOST.octets()),
        }
    }

    pub(super) fn source_is_link_local(self) -> Self {
        self.source(IpFamily::V6).link_local()
    }

    pub(super) fn destination_is_link_local(self) -> Self {
        self.destination(IpFamily::V6).link_local()
    }

    /// `fe80::/10`.
    fn link_local(self) -> Self {
        let mut address = [0; 16];
        address[..2].copy_from_slice(&[0xfe, 0x80]);
        self.with(Expression::Bitwise(Bitwise::mask(KEY, prefix_mask(16, 10)))).is(&address)
    }

    pub(super) fn hop_limit_is(self, limit: u8) -> Self {
        self.family_is(IpFamily::V6).payload(PayloadBase::Network, (7, 1)).is(&[limit])
    }

    /// Goes on where the source, an IPv4 address or an IPv6 /64, keeps to so many packets a minute.
    pub(super) fn source_keeps(self, family: IpFamily, meter: &str, per_minute: u32) -> Self {
        let loaded = self.source(family);
        let keyed = match family {
            IpFamily::V4 => loaded,
            IpFamily::V6 => loaded.with(Expression::Bitwise(Bitwise::mask(KEY, prefix_mask(16, 64)))),
        };
        keyed.with(Expression::Dynset(Dynset {
            set: meter.to_owned(),
            set_id: None,
            op: DynsetOp::Update,
            sreg_key: KEY,
            sreg_data: None,
            timeout: None,
            inverse: false,
            expressions: vec![Expression::Limit(packets(u64::from(per_minute), 60, per_minute))],
        }))
    }
}

fn packets(rate: u64, seconds: u64, burst: u32) -> Limit {
    Limit { rate, seconds, burst, kind: LimitKind::Packets, over: false }
}

fn interface_name(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(16, 0);
    bytes
}

/// A mask that keeps the first `bits` of `length` bytes.
fn prefix_mask(length: usize, bits: usize) -> Vec<u8> {
    (0..length)
        .map(|byte| match bits.saturating_sub(byte * 8) {
            0 => 0,
            left @ 1..=7 => 0xff << (8 - left),
            _ => 0xff,
        })
        .collect()
}
