//! What becomes of a packet, in expressions of the kernel.

use std::net::IpAddr;

use iptables_syntax::extension::{
    ConnmarkTarget, Ct as CtTarget, CtZone, Log, Masquerade, Nat, Nflog, Reject as RejectTarget, RejectWith,
    TcpmssTarget, TtlTarget,
};
use iptables_syntax::{Family, Interval, Target, Unknown};
use nf_tables::{
    Byteorder, ByteorderOp, CtDirection, CtKey, CtSet, Expression, Exthdr, ExthdrOp, IcmpxCode, Immediate,
    MetaKey, MetaSet, NatFlags, NatKind, Notrack, ObjectKind, Objref, Queue, QueueFlags, Register, Reject,
    Routing, RoutingKey, Verdict,
};

use super::Untranslatable;
use super::build::{Build, Built, KEY};
use crate::packet::protocol;

/// What becomes of a packet that the rule matches.
pub(super) fn target(build: &mut Build<'_>, target: &Target) -> Built {
    match target {
        Target::Accept => verdict(build, Verdict::Accept),
        Target::Drop => verdict(build, Verdict::Drop),
        Target::Return => verdict(build, Verdict::Return),
        Target::Queue => queue(build, 0, QueueFlags::NONE),
        Target::Jump(chain) => verdict(build, Verdict::Jump(chain.clone())),
        Target::Goto(chain) => verdict(build, Verdict::Goto(chain.clone())),
        Target::Log(log) => build.push(Expression::Log(line(log))),
        Target::Nflog(nflog) => build.push(Expression::Log(group(nflog))),
        Target::Reject(with) => {
            let answer = answer(build, *with)?;
            build.push(Expression::Reject(answer));
        }
        Target::Mark(mark) => {
            if mark.xmark.mask == u32::MAX {
                build.push(Expression::Immediate(Immediate::value(KEY, mark.xmark.value.to_ne_bytes())));
            } else {
                build.meta(MetaKey::Mark);
                build.replace_bits(mark.xmark.mask, mark.xmark.value);
            }
            set_mark(build);
        }
        Target::Connmark(connmark) => return connection_mark(build, *connmark),
        Target::Dnat(nat) => return translation(build, NatKind::Destination, nat),
        Target::Snat(nat) => return translation(build, NatKind::Source, nat),
        Target::Masquerade(masquerade) => {
            let (port_min, port_max, flags) = ports(build, *masquerade);
            build.push(Expression::Masquerade(nf_tables::Masquerade { flags, port_min, port_max }));
        }
        Target::Redirect(redirect) => {
            let (port_min, port_max, flags) = ports(build, *redirect);
            build.push(Expression::Redirect(nf_tables::Redirect { port_min, port_max, flags }));
        }
        Target::Notrack => build.push(Expression::Notrack(Notrack {})),
        Target::Ct(ct) => return tracking(build, ct),
        Target::Tcpmss(tcpmss) => segment_size(build, *tcpmss),
        Target::Ttl(ttl) => old(build, "TTL", &hop_limit(*ttl)),
        Target::Hl(hl) => old(build, "HL", &hop_limit(*hl)),
        Target::Set(_) => return Err(Untranslatable::new("-j SET: an ipset is not seen from nf_tables")),
        Target::Unknown(unknown) => return self::unknown(build, unknown),
    }
    Ok(())
}

fn verdict(build: &mut Build<'_>, verdict: Verdict) {
    build.push(Expression::Immediate(Immediate::verdict(verdict)));
}

fn queue(build: &mut Build<'_>, number: u16, flags: QueueFlags) {
    build.push(Expression::Queue(Queue { number, total: 1, flags, sreg: None }));
}

fn line(log: &Log) -> nf_tables::Log {
    const WARNING: u8 = 4;
    let flags = log.flags;
    let bits = [
        (flags.tcp_sequence, 1),
        (flags.tcp_options, 2),
        (flags.ip_options, 4),
        (flags.uid, 8),
        (flags.mac, 32),
    ];
    let bits = bits.iter().filter(|(set, _)| *set).fold(0, |all, (_, bit)| all | bit);
    nf_tables::Log {
        prefix: Some(log.prefix.clone()).filter(|prefix| !prefix.is_empty()),
        level: Some(u32::from(log.level)).filter(|_| log.level != WARNING),
        flags: Some(bits).filter(|&bits| bits != 0),
        ..nf_tables::Log::default()
    }
}

fn group(nflog: &Nflog) -> nf_tables::Log {
    nf_tables::Log {
        prefix: Some(nflog.prefix.clone()).filter(|prefix| !prefix.is_empty()),
        group: Some(nflog.group),
        snaplen: nflog.size,
        threshold: nflog.threshold,
        ..nf_tables::Log::default()
    }
}

/// The code of an unreachable; for a rule of both families one that both have.
fn answer(build: &Build<'_>, reject: RejectTarget) -> Result<Reject, Untranslatable> {
    use RejectWith as With;
    let (own, common) = match reject.with {
        With::TcpReset => return Ok(Reject::TcpReset),
        With::NetUnreachable | With::NoRoute6 => (0, Some(IcmpxCode::NoRoute)),
        With::HostUnreachable => (1, Some(IcmpxCode::HostUnreachable)),
        With::ProtocolUnreachable => (2, None),
        With::PortUnreachable => (3, Some(IcmpxCode::PortUnreachable)),
        With::NetProhibited => (9, None),
        With::HostProhibited => (10, None),
        With::AdminProhibited => (13, Some(IcmpxCode::AdminProhibited)),
        With::AdminProhibited6 => (1, Some(IcmpxCode::AdminProhibited)),
        With::AddressUnreachable6 => (3, Some(IcmpxCode::HostUnreachable)),
        With::PortUnreachable6 => (4, Some(IcmpxCode::PortUnreachable)),
        With::PolicyFail6 => (5, None),
        With::RejectRoute6 => (6, None),
    };
    match (build.family, common) {
        (Some(_), _) => Ok(Reject::Icmp(own)),
        (None, Some(code)) => Ok(Reject::Icmpx(code)),
        (None, None) => Err(Untranslatable::new("--reject-with what the other family does not have")),
    }
}

fn set_mark(build: &mut Build<'_>) {
    build.push(Expression::MetaSet(MetaSet { key: MetaKey::Mark, sreg: KEY }));
}

fn set_connection_mark(build: &mut Build<'_>) {
    build.push(Expression::CtSet(CtSet { key: CtKey::Mark, direction: None, sreg: KEY }));
}

fn connection_mark(build: &mut Build<'_>, connmark: ConnmarkTarget) -> Built {
    const ALL: u32 = u32::MAX;
    match connmark {
        ConnmarkTarget::Set(xmark) => {
            if xmark.mask == ALL {
                build.push(Expression::Immediate(Immediate::value(KEY, xmark.value.to_ne_bytes())));
            } else {
                build.ct(CtKey::Mark, None);
                build.replace_bits(xmark.mask, xmark.value);
            }
            set_connection_mark(build);
        }
        ConnmarkTarget::Save { packet_mask: ALL, connection_mask: ALL } => {
            build.meta(MetaKey::Mark);
            set_connection_mark(build);
        }
        ConnmarkTarget::Restore { packet_mask: ALL, connection_mask: ALL } => {
            build.ct(CtKey::Mark, None);
            set_mark(build);
        }
        ConnmarkTarget::Save { .. } | ConnmarkTarget::Restore { .. } => {
            return Err(Untranslatable::new("-j CONNMARK with a part of two marks"));
        }
    }
    Ok(())
}

/// `struct xt_connmark_tginfo1` of a copy between two marks.
pub(super) fn connmark_info(connmark: ConnmarkTarget) -> Option<Vec<u8>> {
    let (mode, packet, connection) = match connmark {
        ConnmarkTarget::Set(_) => return None,
        ConnmarkTarget::Save { packet_mask, connection_mask } => (1, packet_mask, connection_mask),
        ConnmarkTarget::Restore { packet_mask, connection_mask } => (2, packet_mask, connection_mask),
    };
    let words: [u32; 3] = [0, connection, packet];
    let mut info: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    info.extend([mode, 0, 0, 0]);
    Some(info)
}

fn translation(build: &mut Build<'_>, kind: NatKind, nat: &Nat) -> Built {
    let family = match build.family("an address translation")? {
        Family::Ipv4 => nf_tables::Family::Ip,
        Family::Ipv6 => nf_tables::Family::Ip6,
    };
    if nat.ports.is_some_and(|ports| ports.base.is_some()) {
        return Err(Untranslatable::new("--to-destination with ports mapped one to one"));
    }
    let mut load = |register: Register, bytes: Vec<u8>| {
        build.push(Expression::Immediate(Immediate::value(register, bytes)));
        register
    };
    let (mut address_min, mut address_max) = (None, None);
    if let Some(range) = nat.addresses {
        address_min = Some(load(Register::R1, octets(range.first)));
        address_max = (!range.is_one()).then(|| load(Register::R2, octets(range.last)));
    }
    let (mut port_min, mut port_max) = (None, None);
    if let Some(Interval { first, last }) = nat.ports.map(|ports| ports.range) {
        port_min = Some(load(Register::R3, first.to_be_bytes().to_vec()));
        port_max = (first != last).then(|| load(Register::R4, last.to_be_bytes().to_vec()));
    }
    let flags = flags([
        (address_min.is_some(), NatFlags::MAP_IPS),
        (port_min.is_some(), NatFlags::PORT_SPECIFIED),
        (nat.random, NatFlags::RANDOM),
        (nat.fully_random, NatFlags::FULLY_RANDOM),
        (nat.persistent, NatFlags::PERSISTENT),
    ]);
    let nat = nf_tables::Nat { kind, family, address_min, address_max, port_min, port_max, flags };
    build.push(Expression::Nat(nat));
    Ok(())
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn flags<const N: usize>(flags: [(bool, NatFlags); N]) -> NatFlags {
    flags.iter().filter(|(set, _)| *set).fold(NatFlags::NONE, |all, (_, flag)| all | *flag)
}

/// Loads the ports of `--to-ports`.
fn ports(build: &mut Build<'_>, to: Masquerade) -> (Option<Register>, Option<Register>, NatFlags) {
    let (mut first_in, mut last_in) = (None, None);
    if let Some(Interval { first, last }) = to.ports {
        build.push(Expression::Immediate(Immediate::value(Register::R1, first.to_be_bytes())));
        first_in = Some(Register::R1);
        if first != last {
            build.push(Expression::Immediate(Immediate::value(Register::R2, last.to_be_bytes())));
            last_in = Some(Register::R2);
        }
    }
    let flags = flags([
        (first_in.is_some(), NatFlags::PORT_SPECIFIED),
        (to.random, NatFlags::RANDOM),
        (to.fully_random, NatFlags::FULLY_RANDOM),
    ]);
    (first_in, last_in, flags)
}

fn tracking(build: &mut Build<'_>, ct: &CtTarget) -> Built {
    if ct.notrack {
        build.push(Expression::Notrack(Notrack {}));
    }
    if let Some(zone) = ct.zone {
        let CtZone { number: Some(number), original } = zone else {
            return Err(Untranslatable::new("-j CT --zone mark"));
        };
        let direction =
            original.map(|original| if original { CtDirection::Original } else { CtDirection::Reply });
        build.push(Expression::Immediate(Immediate::value(KEY, number.to_ne_bytes())));
        build.push(Expression::CtSet(CtSet { key: CtKey::Zone, direction, sreg: KEY }));
    }
    if let Some(helper) = &ct.helper {
        build.push(Expression::Objref(Objref::Named { kind: ObjectKind::CT_HELPER, name: helper.clone() }));
    }
    if let Some(timeout) = &ct.timeout {
        build.push(Expression::Objref(Objref::Named { kind: ObjectKind::CT_TIMEOUT, name: timeout.clone() }));
    }
    if let Some(events) = ct.events {
        build.push(Expression::Immediate(Immediate::value(KEY, u32::from(events.0).to_ne_bytes())));
        build.push(Expression::CtSet(CtSet { key: CtKey::EventMask, direction: None, sreg: KEY }));
    }
    Ok(())
}

/// Neither ever makes it greater.
fn segment_size(build: &mut Build<'_>, tcpmss: TcpmssTarget) {
    build.within_protocol(protocol::TCP);
    match tcpmss {
        TcpmssTarget::Set(size) => {
            build.push(Expression::Immediate(Immediate::value(KEY, size.to_be_bytes())));
        }
        TcpmssTarget::Clamp => {
            build.push(Expression::Routing(Routing { key: RoutingKey::TcpMss, dreg: KEY }));
            build.push(Expression::Byteorder(Byteorder {
                sreg: KEY,
                dreg: KEY,
                op: ByteorderOp::HostToNetwork,
                length: 2,
                size: 2,
            }));
        }
    }
    build.push(Expression::Exthdr(Exthdr {
        op: ExthdrOp::TcpOption,
        kind: 2,
        offset: 2,
        length: 2,
        present: false,
        dreg: None,
        sreg: Some(KEY),
    }));
}

/// `struct ipt_TTL_info`, `struct ip6t_HL_info`.
fn hop_limit(target: TtlTarget) -> [u8; 2] {
    match target {
        TtlTarget::Set(value) => [0, value],
        TtlTarget::Increase(by) => [1, by],
        TtlTarget::Decrease(by) => [2, by],
    }
}

/// A target of `x_tables`, as `iptables-nft` leaves it.
pub(super) fn old(build: &mut Build<'_>, name: &str, info: &[u8]) {
    let target = nf_tables::Target { name: name.to_owned(), revision: 0, info: info.to_vec() };
    build.push(Expression::Target(target));
}

fn unknown(build: &mut Build<'_>, unknown: &Unknown) -> Built {
    let Unknown { name, arguments } = unknown;
    if name == "NFQUEUE" {
        let value = |option: &str| {
            let at = arguments.iter().position(|argument| argument == option)?;
            arguments.get(at + 1)?.split(':').next()?.parse().ok()
        };
        let number = value("--queue-num").or_else(|| value("--queue-balance")).unwrap_or(0);
        let bypass = arguments.iter().any(|argument| argument == "--queue-bypass");
        queue(build, number, if bypass { QueueFlags::BYPASS } else { QueueFlags::NONE });
        return Ok(());
    }
    Err(Untranslatable::new(format!("-j {name}")))
}
