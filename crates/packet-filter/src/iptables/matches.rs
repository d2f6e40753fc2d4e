//! The conditions of a rule in expressions of the kernel.

use iptables_syntax::extension::{
    Comparison, Icmp, Length, MacAddress, Owner, OwnerId, PacketType, Rpfilter, Socket, Statistic,
};
use iptables_syntax::{Family, Interval, Match, Negatable, Rule};
use nf_tables::{
    CmpOp, CtKey, DataType, Expression, Exthdr, ExthdrOp, Fib, FibFlags, FibResult, MetaKey, Numgen,
    NumgenKind, PayloadBase, Quota, QuotaFlags,
};

use super::addresses::{address, address_ranges, address_types, interface};
use super::build::{Build, Built, KEY};
use super::{Untranslatable, conntrack, meters, ports};
use crate::packet::protocol;
use crate::ranges::Ranges;

/// A part of a rule, in expressions.
pub(super) type Part = fn(&mut Build<'_>, &Rule) -> Built;

/// What stands before the matches.
pub(super) const HEAD: [Part; 5] = [
    |build, rule| address(build, rule.source.as_ref(), "-s", (12, 8)),
    |build, rule| address(build, rule.destination.as_ref(), "-d", (16, 24)),
    |build, rule| {
        interface(build, MetaKey::InputName, rule.input.as_ref());
        interface(build, MetaKey::OutputName, rule.output.as_ref());
        Ok(())
    },
    |build, rule| {
        if let Some(Negatable { negated, value }) = rule.protocol {
            build.protocol(negated, value.0);
        }
        Ok(())
    },
    |build, rule| match rule.fragment {
        Some(fragment) => fragments(build, fragment),
        None => Ok(()),
    },
];

/// Second and further fragments, or all other packets.
fn fragments(build: &mut Build<'_>, fragment: bool) -> Built {
    if build.family("-f")? == Family::Ipv6 {
        return Err(Untranslatable::new("-f in IPv6"));
    }
    build.network(6, 2);
    build.mask(&0x1fff_u16.to_be_bytes());
    build.is(fragment, &[0, 0]);
    Ok(())
}

/// One match.
pub(super) fn condition(build: &mut Build<'_>, matched: &Match) -> Built {
    match matched {
        Match::Comment(_) => {}
        Match::Addrtype(addrtype) => return address_types(build, addrtype),
        Match::Connlimit(connlimit) => return meters::connections(build, *connlimit),
        Match::Connmark(connmark) => {
            build.ct(CtKey::Mark, None);
            masked_mark(build, connmark.mark);
        }
        Match::Conntrack(conntrack) => return conntrack::conntrack(build, conntrack),
        Match::State(state) => return conntrack::states(build, state.states),
        Match::Cpu(cpu) => {
            build.meta(MetaKey::Cpu);
            build.is(cpu.number.negated, &cpu.number.value.to_ne_bytes());
        }
        Match::Dscp(dscp) => {
            type_of_service(build, dscp.value.negated, dscp.value.value << 2, 0xfc, "-m dscp")?;
        }
        Match::Tos(tos) => {
            let Negatable { negated, value } = tos.value;
            type_of_service(build, negated, value.value, value.mask, "-m tos")?;
        }
        Match::Ecn(ecn) => {
            for (wanted, bit) in [(ecn.cwr, 0x80), (ecn.ece, 0x40)] {
                if let Some(wanted) = wanted {
                    build.within_protocol(protocol::TCP);
                    build.transport(13, 1);
                    build.mask(&[bit]);
                    build.is(!wanted, &[bit]);
                }
            }
            if let Some(ect) = ecn.ect {
                type_of_service(build, ect.negated, ect.value, 0x03, "-m ecn")?;
            }
        }
        Match::Hashlimit(hashlimit) => return meters::hashlimit(build, hashlimit),
        Match::Limit(limit) => meters::limit(build, limit),
        Match::Hl(ttl) => hop_limit(build, Family::Ipv6, ttl.comparison, ttl.value)?,
        Match::Ttl(ttl) => hop_limit(build, Family::Ipv4, ttl.comparison, ttl.value)?,
        Match::Icmp(icmp) => icmp_type(build, protocol::ICMP, *icmp),
        Match::Icmp6(icmp) => icmp_type(build, protocol::ICMPV6, *icmp),
        Match::Iprange(iprange) => return address_ranges(build, iprange),
        Match::Length(length) => return packet_length(build, *length),
        Match::Mac(mac) => match mac.source.value {
            MacAddress::Address(bytes) => {
                const ETHERNET: u16 = 1;
                build.meta(MetaKey::InputType);
                build.is(false, &ETHERNET.to_ne_bytes());
                let payload = nf_tables::Payload { dreg: KEY, base: PayloadBase::Link, offset: 6, length: 6 };
                build.push(Expression::Payload(payload));
                build.is(mac.source.negated, &bytes);
            }
            MacAddress::Unreadable(_) => return Err(Untranslatable::new("an unreadable MAC address")),
        },
        Match::Mark(mark) => {
            build.meta(MetaKey::Mark);
            masked_mark(build, mark.mark);
        }
        Match::Multiport(multiport) => ports::multiport(build, multiport),
        Match::Tcp(tcp) => ports::tcp(build, tcp),
        Match::Udp(udp) => {
            build.within_protocol(protocol::UDP);
            ports::both(build, udp.source_ports, udp.destination_ports);
        }
        Match::Sctp(sctp) => {
            if sctp.chunks.is_some() {
                return Err(Untranslatable::new("-m sctp --chunk-types"));
            }
            build.within_protocol(ports::SCTP);
            ports::both(build, sctp.source_ports, sctp.destination_ports);
        }
        Match::Owner(owner) => return owner_of_socket(build, owner),
        Match::Pkttype(pkttype) => {
            let kind = match pkttype.kind.value {
                PacketType::Unicast => 0,
                PacketType::Broadcast => 1,
                PacketType::Multicast => 2,
            };
            build.meta(MetaKey::PacketType);
            build.is(pkttype.kind.negated, &[kind]);
        }
        Match::Quota(quota) => {
            let flags = if quota.negated { QuotaFlags::OVER } else { QuotaFlags::NONE };
            build.push(Expression::Quota(Quota { bytes: quota.bytes, flags, consumed: 0 }));
        }
        Match::Rpfilter(rpfilter) => return return_path(build, *rpfilter),
        Match::Socket(socket) => return local_socket(*socket),
        Match::Statistic(statistic) => chance(build, *statistic),
        Match::Tcpmss(tcpmss) => {
            if tcpmss.mss.negated {
                // Where there is no such option, `! --mss` matches and an expression would not.
                return Err(Untranslatable::new("-m tcpmss ! --mss"));
            }
            build.within_protocol(protocol::TCP);
            load_tcp_option(build, 2, 2, 2, false);
            let Interval { first, last } = tcpmss.mss.value;
            build.within(false, &first.to_be_bytes(), &last.to_be_bytes());
        }
        Match::Physdev(_) => return Err(Untranslatable::new("-m physdev")),
        Match::Policy(_) => return Err(Untranslatable::new("-m policy")),
        Match::Recent(_) => return Err(Untranslatable::new("-m recent")),
        Match::Set(_) => return Err(Untranslatable::new("-m set: an ipset is not seen from nf_tables")),
        Match::String(_) => return Err(Untranslatable::new("-m string")),
        Match::Time(_) => return Err(Untranslatable::new("-m time")),
        Match::U32(_) => return Err(Untranslatable::new("-m u32")),
        Match::Unknown(unknown) => return Err(Untranslatable::new(format!("-m {}", unknown.name))),
    }
    Ok(())
}

/// Loads a field of a TCP option, or whether it is there.
pub(super) fn load_tcp_option(build: &mut Build<'_>, kind: u8, offset: u32, length: u32, present: bool) {
    build.push(Expression::Exthdr(Exthdr {
        op: ExthdrOp::TcpOption,
        kind,
        offset,
        length,
        present,
        dreg: Some(KEY),
        sreg: None,
    }));
}

fn masked_mark(build: &mut Build<'_>, mark: Negatable<iptables_syntax::Masked<u32>>) {
    build.mask(&mark.value.mask.to_ne_bytes());
    build.is(mark.negated, &mark.value.value.to_ne_bytes());
}

/// The second byte of an IPv4 header; in IPv6 the eight bits after the first four.
fn type_of_service(build: &mut Build<'_>, negated: bool, value: u8, mask: u8, part: &str) -> Built {
    match build.family(part)? {
        Family::Ipv4 => {
            build.network(1, 1);
            build.mask(&[mask]);
            build.is(negated, &[value]);
        }
        Family::Ipv6 => {
            build.network(0, 2);
            build.mask(&(u16::from(mask) << 4).to_be_bytes());
            build.is(negated, &(u16::from(value) << 4).to_be_bytes());
        }
    }
    Ok(())
}

fn hop_limit(build: &mut Build<'_>, family: Family, comparison: Comparison, value: u8) -> Built {
    let part = if family == Family::Ipv4 { "-m ttl" } else { "-m hl" };
    build.family(part)?;
    build.network(if family == Family::Ipv4 { 8 } else { 7 }, 1);
    let op = match comparison {
        Comparison::Equal => CmpOp::Eq,
        Comparison::NotEqual => CmpOp::Ne,
        Comparison::Less => CmpOp::Lt,
        Comparison::Greater => CmpOp::Gt,
    };
    build.compare(op, &[value]);
    Ok(())
}

fn icmp_type(build: &mut Build<'_>, number: u8, icmp: Icmp) {
    build.within_protocol(number);
    let Negatable { negated, value } = icmp.kind;
    let Some(kind) = value.number else {
        if negated {
            build.never();
        }
        return;
    };
    match (value.codes, negated) {
        (Interval { first: 0, last: u8::MAX }, _) => {
            build.transport(0, 1);
            build.is(negated, &[kind]);
        }
        (Interval { first, last }, _) if first == last => {
            build.transport(0, 2);
            build.is(negated, &[kind, first]);
        }
        (Interval { first, last }, _) => {
            build.transport(0, 2);
            build.within(negated, &[kind, first], &[kind, last]);
        }
    }
}

/// In IPv4, what the header says; in IPv6, what the kernel counts, since the header leaves itself out.
fn packet_length(build: &mut Build<'_>, length: Length) -> Built {
    let Negatable { negated, value: Interval { first, last } } = length.bytes;
    if build.family("-m length")? == Family::Ipv4 {
        build.network(2, 2);
        build.among(negated, DataType::INTEGER, 2, &Ranges::new([(first.into(), last.into())]));
    } else {
        build.meta(MetaKey::Length);
        build.in_network_order();
        build.among(negated, DataType::INTEGER, 4, &Ranges::new([(first.into(), last.into())]));
    }
    Ok(())
}

fn owner_of_socket(build: &mut Build<'_>, owner: &Owner) -> Built {
    let conditions = [
        (&owner.user, MetaKey::SocketUser, "--uid-owner"),
        (&owner.group, MetaKey::SocketGroup, "--gid-owner"),
    ];
    if owner.socket_exists.is_some() || owner.supplementary {
        return Err(Untranslatable::new("-m owner --socket-exists or --suppl-groups"));
    }
    for (id, key, option) in conditions {
        let Some(Negatable { negated, value }) = id else { continue };
        let range = match value {
            OwnerId::Numbers(range) => *range,
            OwnerId::Name(name) => return Err(Untranslatable::new(format!("{option} {name}: a name"))),
        };
        if *negated {
            // A packet without a socket matches it, and an expression would not.
            return Err(Untranslatable::new(format!("-m owner ! {option}")));
        }
        build.meta(key);
        if range.is_one() {
            build.is(false, &range.first.to_ne_bytes());
        } else {
            build.in_network_order();
            build.among(false, DataType::INTEGER, 4, &Ranges::new([(range.first.into(), range.last.into())]));
        }
    }
    Ok(())
}

/// Whether there is a route back to the source.
fn return_path(build: &mut Build<'_>, rpfilter: Rpfilter) -> Built {
    if rpfilter.accept_local {
        return Err(Untranslatable::new("-m rpfilter --accept-local"));
    }
    let mut flags = FibFlags::SOURCE | FibFlags::PRESENT;
    if rpfilter.valid_mark {
        flags |= FibFlags::MARK;
    }
    if !rpfilter.loose {
        flags |= FibFlags::INPUT;
    }
    build.push(Expression::Fib(Fib { flags, result: FibResult::OutputIndex, dreg: KEY }));
    build.is(false, &[u8::from(!rpfilter.invert)]);
    Ok(())
}

fn local_socket(_: Socket) -> Built {
    // `socket` looks for transparent sockets alone where `xt_socket` takes bound ones.
    Err(Untranslatable::new("-m socket"))
}

/// Chance draws from 2^31, as `xt_statistic` does.
fn chance(build: &mut Build<'_>, statistic: Statistic) {
    match statistic {
        Statistic::Random { negated, probability } => {
            build.push(Expression::Numgen(Numgen {
                kind: NumgenKind::Random,
                modulus: 1 << 31,
                offset: 0,
                dreg: KEY,
            }));
            build.in_network_order();
            build.compare(if negated { CmpOp::Ge } else { CmpOp::Lt }, &probability.to_be_bytes());
        }
        Statistic::Nth { negated, every, packet } => {
            build.push(Expression::Numgen(Numgen {
                kind: NumgenKind::Incremental,
                modulus: every,
                offset: 0,
                dreg: KEY,
            }));
            // `xt_statistic` counts up from `packet`, and matches where it begins anew.
            build.is(negated, &every.saturating_sub(1).saturating_sub(packet).to_ne_bytes());
        }
    }
}
