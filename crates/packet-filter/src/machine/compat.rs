//! Matches and targets of the old `x_tables`, which `iptables-nft` puts into rules as they are, in the kernel's layout.
//!
//! The most used ones are understood; the others depend on something unknown. Sources: `linux/netfilter/xt_*.h`,
//! `linux/netfilter_ipv4/ipt_*.h`, `linux/netfilter_ipv6/ip6t_*.h`.

use nf_tables::Match;

mod targets;

pub(crate) use targets::{
    hop_limit, is_known_target, mark, only_goes_on, queue, reject, restores_mark, takes_tracking_away,
};

use super::Walk;
use super::registers::Tri;
use crate::facts::{Facts, Field, Need};
use crate::packet::{Hook, State};

/// `XT_RECENT_SET`.
const RECENT_SET: u8 = 2;
/// As it stands in `status_mask`.
const IPS_DST_NAT: u16 = 0x20;

/// How a match went.
pub(crate) enum Matched {
    Known(Tri),
    /// It depends on something that is not known here, and in the main it is so.
    Depends(bool),
}

impl<F: Facts> Walk<'_, '_, F> {
    pub(super) fn compat_match(&self, matched: &Match) -> Result<Matched, Need> {
        let info = Info(&matched.info);
        let known: Tri = match (matched.name.as_str(), matched.revision) {
            ("comment", _) => Tri::Yes,
            ("conntrack", revision @ 1..=3) => self.conntrack(&info, revision)?,
            ("state", _) => match info.u32(0) {
                Some(mask) => self.state_in(mask, 1 << 6)?,
                None => Tri::Maybe,
            },
            ("multiport", 1) => self.multiport(&info)?.into(),
            ("tcp", _) => self.tcp(&info)?,
            ("udp", _) => self.udp(&info)?.into(),
            ("icmp", _) => self.icmp(&info, true)?.into(),
            ("icmp6", _) => self.icmp(&info, false)?.into(),
            ("ttl" | "hl", _) => self.hop_limit(&info)?.into(),
            ("addrtype", 1) => self.address_type(&info)?,
            ("mark", 1) => info.masked(self.mark()?.map(u128::from)),
            ("connmark", 1) => match self.has_connection()? {
                Some(false) => Tri::No,
                Some(true) | None => info.masked(None),
            },
            ("iprange", 1) => self.address_range(&info)?,
            ("ecn", _) => self.congestion(&info)?,
            ("recent", _) if info.u8(8) == Some(RECENT_SET) => Tri::from(info.u8(9) == Some(0)),
            // Rates and numbers, which are kept in the main.
            ("limit", _) => return Ok(Matched::Depends(true)),
            ("hashlimit", revision) => return Ok(Matched::Depends(!info.is_above(revision))),
            ("connlimit", _) => {
                return Ok(Matched::Depends(info.u32(20).is_some_and(|flags| flags & 1 != 0)));
            }
            ("quota", _) => return Ok(Matched::Depends(info.u32(0) == Some(0))),
            _ => Tri::Maybe,
        };
        Ok(match known {
            Tri::Maybe => Matched::Depends(false),
            known => Matched::Known(known),
        })
    }

    /// `struct xt_conntrack_mtinfo1` to `3`.
    fn conntrack(&self, info: &Info<'_>, revision: u32) -> Result<Tri, Need> {
        const STATE: u16 = 1 << 0;
        const PROTOCOL: u16 = 1 << 1;
        const ORIGINAL_DESTINATION: u16 = 1 << 3;
        const STATUS: u16 = 1 << 6;
        const ORIGINAL_DESTINATION_PORT: u16 = 1 << 9;
        const STATE_ALIAS: u16 = 1 << 13;
        let (Some(flags), Some(invert)) = (info.u16(146), info.u16(148)) else { return Ok(Tri::Maybe) };
        let (mut held, mut left) = (Tri::Yes, flags & !STATE_ALIAS);
        let mut asked = |flag: u16| {
            let is_asked = left & flag != 0;
            left &= !flag;
            is_asked.then_some(invert & flag != 0)
        };
        let state_inverted = asked(STATE);
        if let Some(inverted) = state_inverted {
            let mask = if revision == 1 { info.u8(150).map(u32::from) } else { info.u16(150).map(u32::from) };
            let Some(mask) = mask else { return Ok(Tri::Maybe) };
            held = self.state_in(mask, 1 << 8)?.not_if(inverted);
        }
        // What has no connection is decided by its state alone, and by nothing where that is not asked for.
        if self.has_connection()? == Some(false) {
            return Ok(if state_inverted.is_some() { held } else { Tri::No });
        }
        if let Some(inverted) = asked(PROTOCOL) {
            let is_related = self.state()? == Some(State::Related.bit());
            let of = self.facts.get(Field::Protocol)?.filter(|_| !is_related);
            let is_it = of.zip(info.u16(136)).map(|(of, number)| of == u128::from(number));
            held = held.and(Tri::from(is_it).not_if(inverted));
        }
        if let Some(inverted) = asked(ORIGINAL_DESTINATION) {
            let length = if self.facts.is_ipv6()? { 16 } else { 4 };
            let original = self.facts.get(Field::OriginalDestination)?;
            let within = original.zip(info.number(32, length)).zip(info.number(48, length));
            let is_it = within.map(|((original, address), mask)| original & mask == address);
            held = held.and(Tri::from(is_it).not_if(inverted));
        }
        if let Some(inverted) = asked(ORIGINAL_DESTINATION_PORT) {
            let original = self.facts.get(Field::OriginalPort)?;
            let range = match revision {
                3 => info.u16(140).zip(info.u16(156)),
                _ => info.u16(140).map(u16::from_be).map(|port| (port, port)),
            };
            let is_it = original
                .zip(range)
                .map(|(port, (first, last))| u128::from(first) <= port && port <= u128::from(last));
            held = held.and(Tri::from(is_it).not_if(inverted));
        }
        if let Some(inverted) = asked(STATUS) {
            let mask = if revision == 1 { info.u8(151).map(u16::from) } else { info.u16(152) };
            let is_it = match mask {
                Some(0) => Some(false),
                Some(IPS_DST_NAT) => self.is_published()?,
                _ => None,
            };
            held = held.and(Tri::from(is_it).not_if(inverted));
        }
        Ok(if left == 0 { held } else { held.and(Tri::Maybe) })
    }

    /// `None` where it is not known.
    fn has_connection(&self) -> Result<Option<bool>, Need> {
        let without = [State::Invalid.bit(), State::Untracked.bit()];
        Ok(self.state()?.map(|state| !without.contains(&state)))
    }

    /// Whether the packet's state is in the mask, in which untracked has this bit.
    fn state_in(&self, mask: u32, untracked: u32) -> Result<Tri, Need> {
        const SOURCE_TRANSLATED: u32 = 1 << 6;
        const DESTINATION_TRANSLATED: u32 = 1 << 7;
        let is_in = self.state()?.map(|state| {
            let bit = if state == State::Untracked.bit() { untracked } else { state };
            mask & bit != 0
        });
        let translated = mask & (SOURCE_TRANSLATED | DESTINATION_TRANSLATED) & !untracked;
        if is_in == Some(true) || translated == 0 || self.has_connection()? == Some(false) {
            return Ok(is_in.into());
        }
        let published =
            if translated & DESTINATION_TRANSLATED == 0 { Some(false) } else { self.is_published()? };
        Ok(match (is_in, published) {
            (_, Some(true)) => Tri::Yes,
            (Some(false), Some(false)) if translated & SOURCE_TRANSLATED == 0 => Tri::No,
            _ => Tri::Maybe,
        })
    }

    /// `struct xt_iprange_mtinfo`.
    fn address_range(&self, info: &Info<'_>) -> Result<Tri, Need> {
        let Some(flags) = info.u8(64) else { return Ok(Tri::Maybe) };
        let length = if self.facts.is_ipv6()? { 16 } else { 4 };
        let mut held = Tri::Yes;
        for (field, at, asked, inverted) in [(Field::Source, 0, 1, 0x10), (Field::Destination, 32, 2, 0x20)] {
            if flags & asked != 0 {
                let ends = info.number(at, length).zip(info.number(at + 16, length));
                let is_in = self.packet_field(field)?.zip(ends);
                let is_in = is_in.map(|(address, (first, last))| first <= address && address <= last);
                held = held.and(Tri::from(is_in).not_if(flags & inverted != 0));
            }
        }
        Ok(held)
    }

    /// `struct xt_ecn_info`.
    fn congestion(&self, info: &Info<'_>) -> Result<Tri, Need> {
        let (Some(asked), Some(inverted)) = (info.u8(0), info.u8(1)) else { return Ok(Tri::Maybe) };
        let mut held = if asked & 0x01 != 0 { Tri::Maybe } else { Tri::Yes };
        for (bit, flag) in [(0x10, 0x40), (0x20, 0x80)] {
            if asked & bit != 0 {
                let is_set = self.packet_field(Field::TcpFlags)?.map(|flags| flags & flag != 0);
                held = held.and(Tri::from(is_set).not_if(inverted & bit != 0));
            }
        }
        Ok(held)
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
    fn tcp(&self, info: &Info<'_>) -> Result<Tri, Need> {
        const INVERT_FLAGS: u8 = 4;
        let (Some(option), Some(mask), Some(compare), Some(invert)) =
            (info.u8(8), info.u8(9), info.u8(10), info.u8(11))
        else {
            return Ok(Tri::Maybe);
        };
        let flags = self.packet_field(Field::TcpFlags)?;
        let flags_match = flags.map(|flags| flags & u128::from(mask) == u128::from(compare));
        let held = Tri::from(flags_match).not_if(invert & INVERT_FLAGS != 0);
        let held = held.and(self.ports(info, invert)?.into());
        Ok(if option == 0 { held } else { held.and(Tri::Maybe) })
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

    /// `struct xt_addrtype_info_v1`. What the routing table says is understood of the destination at the input hook only.
    fn address_type(&self, info: &Info<'_>) -> Result<Tri, Need> {
        const LIMITED: u32 = 4 | 8;
        let (Some(source), Some(destination), Some(flags)) = (info.u16(0), info.u16(2), info.u32(4)) else {
            return Ok(Tri::Maybe);
        };
        let routed = if flags & LIMITED == 0 { self.destination_type()? } else { None };
        let mut held = Tri::Yes;
        for (kinds, field, inverted, routed) in
            [(source, Field::Source, 1, None), (destination, Field::Destination, 2, routed)]
        {
            if kinds == 0 {
                continue;
            }
            let is_one = match (self.facts.is_ipv6()?, self.packet_field(field)?) {
                (true, Some(address)) => ipv6_type(kinds, address, routed),
                _ => Tri::from(routed.map(|kind| kinds & 1 << kind != 0)),
            };
            held = held.and(is_one.not_if(flags & inverted != 0));
        }
        Ok(held)
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

/// In IPv6, three kinds are told by the address itself, and all that are asked for of them must be so; of the others, one.
fn ipv6_type(kinds: u16, address: u128, routed: Option<u32>) -> Tri {
    const UNSPECIFIED: u16 = 1 << 0;
    const UNICAST: u16 = 1 << 1;
    const MULTICAST: u16 = 1 << 5;
    let is_multicast = address >> 120 == 0xff;
    let is_unicast = !is_multicast && address != 0 && address >> 32 != 0xffff;
    let shown = [(UNSPECIFIED, address == 0), (UNICAST, is_unicast), (MULTICAST, is_multicast)];
    if shown.iter().any(|(kind, is_so)| kinds & kind != 0 && !is_so) {
        return Tri::No;
    }
    match kinds & !(UNSPECIFIED | UNICAST | MULTICAST) {
        0 => Tri::Yes,
        others => Tri::from(routed.map(|kind| others & 1 << kind != 0)),
    }
}

/// A structure of the kernel, in the machine's byte order.
struct Info<'a>(&'a [u8]);

impl Info<'_> {
    /// `struct xt_mark_mtinfo1`, `struct xt_connmark_mtinfo1`.
    fn masked(&self, mark: Option<u128>) -> Tri {
        let (Some(value), Some(mask), Some(invert)) = (self.u32(0), self.u32(4), self.u8(8)) else {
            return Tri::Maybe;
        };
        let mark = if mask == 0 { Some(0) } else { mark };
        Tri::from(mark.map(|mark| mark & u128::from(mask) == u128::from(value))).not_if(invert != 0)
    }

    /// `struct xt_hashlimit_mtinfo1` to `3`: whether what is above the rate matches.
    fn is_above(&self, revision: u32) -> bool {
        const INVERT: u32 = 1 << 4;
        self.u32(if revision == 1 { 16 } else { 272 }).is_some_and(|mode| mode & INVERT != 0)
    }

    /// A number in network order.
    fn number(&self, at: usize, length: usize) -> Option<u128> {
        let bytes = self.0.get(at..at + length)?;
        Some(bytes.iter().fold(0, |number, byte| number << 8 | u128::from(*byte)))
    }

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
