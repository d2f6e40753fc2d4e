//! Matches and targets of the old `x_tables`, which `iptables-nft` puts into rules as they are, in the kernel's layout.
//!
//! The most used ones are understood; the others depend on something unknown. Sources: `linux/netfilter/xt_*.h`,
//! `linux/netfilter_ipv4/ipt_*.h`, `linux/netfilter_ipv6/ip6t_*.h`.

use nf_tables::{Match, Reject, Target};

use super::Walk;
use super::registers::Tri;
use crate::facts::{Facts, Field, Need};
use crate::packet::{Hook, State};

/// How a match went.
pub(crate) enum Matched {
    Known(Tri),
    /// It depends on something that is not known here, and in the main it is so.
    Depends(bool),
}

impl<F: Facts> Walk<'_, '_, F> {
    pub(super) fn compat_match(&self, matched: &Match) -> Result<Matched, Need> {
        let info = Info(&matched.info);
        let known = match (matched.name.as_str(), matched.revision) {
            ("comment", _) => Some(true),
            ("conntrack", 1..=3) => self.conntrack(&info, matched.revision)?,
            ("state", _) => match info.u32(0) {
                Some(mask) => self.state_in(mask, 1 << 6)?,
                None => None,
            },
            ("multiport", 1) => self.multiport(&info)?,
            ("tcp", _) => self.tcp(&info)?,
            ("udp", _) => self.udp(&info)?,
            ("icmp", _) => self.icmp(&info, true)?,
            ("icmp6", _) => self.icmp(&info, false)?,
            ("ttl" | "hl", _) => self.hop_limit(&info)?,
            ("addrtype", 1) => self.address_type(&info)?,
            ("limit", _) => return Ok(Matched::Depends(true)),
            _ => None,
        };
        Ok(known.map_or(Matched::Depends(false), |matched| Matched::Known(matched.into())))
    }

    /// `struct xt_conntrack_mtinfo1` to `3`; only states are understood.
    fn conntrack(&self, info: &Info<'_>, revision: u32) -> Result<Option<bool>, Need> {
        const STATE: u16 = 1 << 0;
        const STATE_ALIAS: u16 = 1 << 13;
        let (Some(flags), Some(invert)) = (info.u16(146), info.u16(148)) else { return Ok(None) };
        let mask = if revision == 1 { info.u8(150).map(u32::from) } else { info.u16(150).map(u32::from) };
        if flags & !STATE_ALIAS != STATE {
            return Ok(None);
        }
        let Some(mask) = mask else { return Ok(None) };
        Ok(self.state_in(mask, 1 << 8)?.map(|matched| matched != (invert & STATE != 0)))
    }

    /// Whether the packet's state is in the mask, in which untracked has this bit.
    fn state_in(&self, mask: u32, untracked: u32) -> Result<Option<bool>, Need> {
        // The bits between are about address translation.
        if mask & !(0b1111 | untracked) != 0 {
            return Ok(None);
        }
        let Some(state) = self.state()? else { return Ok(None) };
        let bit = if state == State::Untracked.bit() { untracked } else { state };
        Ok(Some(mask & bit != 0))
    }

    /// `struct xt_multiport_v1`.
    fn multiport(&self, info: &Info<'_>) -> Result<Option<bool>, Need> {
        let (Some(which), Some(count), Some(invert)) = (info.u8(0), info.u8(1), info.u8(47)) else {
            return Ok(None);
        };
        let mut ranges = Vec::new();
        let mut at = 0;
        while at < usize::from(count.min(15)) {
            let (Some(first), Some(is_range)) = (info.u16(2 + at * 2), info.u8(32 + at)) else {
                return Ok(None);
            };
            if is_range != 0 {
                at += 1;
                let Some(last) = info.u16(2 + at * 2) else { return Ok(None) };
                ranges.push((first, last));
            } else {
                ranges.push((first, first));
            }
            at += 1;
        }
        let inside = |port: Option<u128>| {
            port.map(|port| {
                ranges.iter().any(|&(first, last)| u128::from(first) <= port && port <= u128::from(last))
            })
        };
        let (source, destination) =
            (self.packet_field(Field::SourcePort)?, self.packet_field(Field::DestinationPort)?);
        let matched = match which {
            0 => inside(source),
            1 => inside(destination),
            _ => inside(source).zip(inside(destination)).map(|(source, destination)| source || destination),
        };
        Ok(matched.map(|matched| matched != (invert != 0)))
    }

    /// `struct xt_tcp`.
    fn tcp(&self, info: &Info<'_>) -> Result<Option<bool>, Need> {
        const INVERT_FLAGS: u8 = 4;
        let (Some(option), Some(mask), Some(compare), Some(invert)) =
            (info.u8(8), info.u8(9), info.u8(10), info.u8(11))
        else {
            return Ok(None);
        };
        let Some(flags) = self.packet_field(Field::TcpFlags)? else { return Ok(None) };
        if option != 0 {
            return Ok(None);
        }
        let flags_match = (flags & u128::from(mask) == u128::from(compare)) != (invert & INVERT_FLAGS != 0);
        Ok(self.ports(info, invert)?.map(|ports_match| ports_match && flags_match))
    }

    /// `struct xt_udp`.
    fn udp(&self, info: &Info<'_>) -> Result<Option<bool>, Need> {
        let Some(invert) = info.u8(8) else { return Ok(None) };
        self.ports(info, invert)
    }

    /// Two ranges of ports at the start, as in `struct xt_tcp` and `xt_udp`.
    fn ports(&self, info: &Info<'_>, invert: u8) -> Result<Option<bool>, Need> {
        const INVERT_SOURCE: u8 = 1;
        const INVERT_DESTINATION: u8 = 2;
        let mut all = true;
        for (field, at, bit) in
            [(Field::SourcePort, 0, INVERT_SOURCE), (Field::DestinationPort, 4, INVERT_DESTINATION)]
        {
            let (Some(first), Some(last)) = (info.u16(at), info.u16(at + 2)) else { return Ok(None) };
            let Some(port) = self.packet_field(field)? else { return Ok(None) };
            all &= (u128::from(first) <= port && port <= u128::from(last)) != (invert & bit != 0);
        }
        Ok(Some(all))
    }

    /// `struct ipt_icmp`, `struct ip6t_icmp`.
    fn icmp(&self, info: &Info<'_>, has_any: bool) -> Result<Option<bool>, Need> {
        let (Some(kind), Some(first), Some(last), Some(invert)) =
            (info.u8(0), info.u8(1), info.u8(2), info.u8(3))
        else {
            return Ok(None);
        };
        let (Some(of), Some(code)) =
            (self.packet_field(Field::IcmpKind)?, self.packet_field(Field::IcmpCode)?)
        else {
            return Ok(None);
        };
        let is_kind = of == u128::from(kind) && u128::from(first) <= code && code <= u128::from(last);
        Ok(Some((is_kind || has_any && kind == 0xff) != (invert & 1 != 0)))
    }

    /// `struct ipt_ttl_info`, `struct ip6t_hl_info`.
    fn hop_limit(&self, info: &Info<'_>) -> Result<Option<bool>, Need> {
        let (Some(mode), Some(limit)) = (info.u8(0), info.u8(1)) else { return Ok(None) };
        let limit = u128::from(limit);
        Ok(self.packet_field(Field::HopLimit)?.and_then(|value| match mode {
            0 => Some(value == limit),
            1 => Some(value != limit),
            2 => Some(value < limit),
            3 => Some(value > limit),
            _ => None,
        }))
    }

    /// `struct xt_addrtype_info_v1`; only the destination at the input hook is understood.
    fn address_type(&self, info: &Info<'_>) -> Result<Option<bool>, Need> {
        const INVERT_DESTINATION: u32 = 2;
        let (Some(source), Some(destination), Some(flags)) = (info.u16(0), info.u16(2), info.u32(4)) else {
            return Ok(None);
        };
        if source != 0 || flags & !INVERT_DESTINATION != 0 {
            return Ok(None);
        }
        let Some(kind) = self.destination_type()? else { return Ok(None) };
        Ok(Some((u32::from(destination) & 1 << kind != 0) != (flags & INVERT_DESTINATION != 0)))
    }

    /// What routing says of the destination (`RTN_*`): 2 local, 3 broadcast, 5 multicast. A packet at the input hook is
    /// for an address of this host, or it would not be there; one to the broadcast address of a network is not told from
    /// those.
    pub(super) fn destination_type(&self) -> Result<Option<u32>, Need> {
        if self.hook != Hook::Input {
            return Ok(None);
        }
        let ipv6 = self.facts.is_ipv6()?;
        Ok(self.packet_field(Field::Destination)?.map(|address| match (ipv6, address) {
            (true, address) if address >> 120 == 0xff => 5,
            (false, 0xffff_ffff) => 3,
            (false, address) if address >> 28 == 0xe => 5,
            _ => 2,
        }))
    }
}

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

/// A structure of the kernel, in the machine's byte order.
struct Info<'a>(&'a [u8]);

impl Info<'_> {
    fn u8(&self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }

    fn u16(&self, at: usize) -> Option<u16> {
        self.0.get(at..at + 2).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes)
    }

    fn u32(&self, at: usize) -> Option<u32> {
        self.0.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_ne_bytes)
    }
}
