//! What the targets of the old `x_tables` do, read from their structures.

use nf_tables::{Reject, Target};

use super::Info;

/// Whether a target of that name does nothing with a packet that a ruleset can see.
pub(crate) fn only_goes_on(name: &str) -> bool {
    const NAMES: [&str; 20] = [
        "AUDIT",
        "CHECKSUM",
        "CLASSIFY",
        "CONNSECMARK",
        "DSCP",
        "ECN",
        "HMARK",
        "IDLETIMER",
        "LED",
        "LOG",
        "NFLOG",
        "RATEEST",
        "SECMARK",
        "SET",
        "TCPMSS",
        "TCPOPTSTRIP",
        "TEE",
        "TOS",
        "TRACE",
        "ULOG",
    ];
    NAMES.contains(&name)
}

/// Whether it is known what a target of that name does with a packet.
pub(crate) fn is_known_target(name: &str) -> bool {
    const NAMES: [&str; 13] = [
        "CONNMARK",
        "CT",
        "DNAT",
        "HL",
        "MARK",
        "MASQUERADE",
        "NETMAP",
        "NFQUEUE",
        "NOTRACK",
        "REDIRECT",
        "REJECT",
        "SNAT",
        "TTL",
    ];
    only_goes_on(name) || NAMES.contains(&name)
}

/// `struct xt_connmark_tginfo1`: whether the packet's mark is set from the connection's.
pub(crate) fn restores_mark(target: &Target) -> bool {
    Info(&target.info).u8(12).is_none_or(|mode| mode == 2)
}

/// What a hop limit becomes (`struct ipt_TTL_info`, `struct ip6t_HL_info`).
pub(crate) fn hop_limit(target: &Target, before: Option<u128>) -> Option<u128> {
    let info = Info(&target.info);
    let (mode, by) = (info.u8(0)?, u128::from(info.u8(1)?));
    match mode {
        0 => Some(by),
        1 => before.map(|before| (before + by).min(255)),
        2 => before.map(|before| before.saturating_sub(by)),
        _ => None,
    }
}

/// What a mark becomes (`struct xt_mark_tginfo2`).
pub(crate) fn mark(target: &Target, before: u32) -> Option<u32> {
    let info = Info(&target.info);
    let (value, mask) = (info.u32(0)?, info.u32(4)?);
    (target.revision == 2).then_some(before & !mask ^ value)
}

/// The first queue of `NFQUEUE` (`struct xt_NFQ_info`).
pub(crate) fn queue(target: &Target) -> u16 {
    Info(&target.info).u16(0).unwrap_or(0)
}

/// `struct xt_ct_target_info`: the flag for `--notrack`.
pub(crate) fn takes_tracking_away(target: &Target) -> bool {
    Info(&target.info).u16(0).is_some_and(|flags| flags & 1 != 0)
}

/// What the target `REJECT` answers (`struct ipt_reject_info`, `struct ip6t_reject_info`).
pub(crate) fn reject(target: &Target, ipv6: bool) -> Reject {
    let with = Info(&target.info).u32(0).unwrap_or(0);
    match (ipv6, with) {
        (false, 7) | (true, 6) => Reject::TcpReset,
        (false, 0..=3) | (true, 0..=4) => Reject::Icmp(u8::try_from(with).unwrap_or(0)),
        (false, 5 | 6) => Reject::Icmp(u8::try_from(with + 4).unwrap_or(9)),
        (true, 7 | 8) => Reject::Icmp(u8::try_from(with - 2).unwrap_or(5)),
        _ => Reject::Icmp(if ipv6 { 1 } else { 13 }),
    }
}
