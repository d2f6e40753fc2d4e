//! Addresses, and the interfaces that packets come and go by.

use iptables_syntax::extension::{AddressTypes, Addrtype, Iprange};
use iptables_syntax::{AddressSpec, Family, Interface, Interval, Negatable};
use nf_tables::{DataType, Element, Expression, Fib, FibFlags, FibResult, MetaKey, Set};

use super::Untranslatable;
use super::build::{Build, Built, KEY};
use crate::ranges::{Ranges, address_number};

/// An address under its mask, which stands at one offset of the IPv4 header and at another of the IPv6 header.
pub(super) fn address(
    build: &mut Build<'_>,
    asked: Option<&Negatable<AddressSpec>>,
    part: &str,
    (v4, v6): (u32, u32),
) -> Built {
    let Some(Negatable { negated, value }) = asked else { return Ok(()) };
    let (address, mask, at) = match value {
        AddressSpec::V4 { address, mask } => (address.octets().to_vec(), mask.octets().to_vec(), v4),
        AddressSpec::V6 { address, mask } => (address.octets().to_vec(), mask.octets().to_vec(), v6),
        AddressSpec::Name(name) => return Err(Untranslatable::new(format!("{part} {name}: a host name"))),
    };
    build.family(part)?;
    if mask.iter().all(|&byte| byte == 0) {
        // Every address is in it.
        if *negated {
            build.never();
        }
        return Ok(());
    }
    build.network(at, u32::try_from(address.len()).unwrap_or(4));
    build.mask(&mask);
    build.is(*negated, &address);
    Ok(())
}

pub(super) fn interface(build: &mut Build<'_>, key: MetaKey, asked: Option<&Negatable<Interface>>) {
    let Some(Negatable { negated, value }) = asked else { return };
    let mut name = value.name().as_bytes().to_vec();
    if value.is_prefix() && name.is_empty() {
        // `+` is every interface.
        if *negated {
            build.never();
        }
        return;
    }
    if !value.is_prefix() {
        name.resize(16, 0);
    }
    build.meta(key);
    build.is(*negated, &name);
}

pub(super) fn address_ranges(build: &mut Build<'_>, iprange: &Iprange) -> Built {
    for (range, (v4, v6)) in [(iprange.source, (12, 8)), (iprange.destination, (16, 24))] {
        let Some(Negatable { negated, value: Interval { first, last } }) = range else { continue };
        let (at, length) = match build.family("-m iprange")? {
            Family::Ipv4 => (v4, 4),
            Family::Ipv6 => (v6, 16),
        };
        let ends = [(address_number(first), address_number(last))];
        build.network(at, length);
        let length = usize::try_from(length).unwrap_or(4);
        build.among(negated, DataType::IPV4_ADDRESS, length, &Ranges::new(ends));
    }
    Ok(())
}

/// The kind of an address in the routing table (`RTN_*`).
pub(super) fn address_types(build: &mut Build<'_>, addrtype: &Addrtype) -> Built {
    let asked = [(addrtype.source, FibFlags::SOURCE), (addrtype.destination, FibFlags::DESTINATION)];
    for (types, whose) in asked {
        let Some(Negatable { negated, value }) = types else { continue };
        let mut flags = whose;
        if addrtype.limit_input {
            flags |= FibFlags::INPUT;
        }
        if addrtype.limit_output {
            flags |= FibFlags::OUTPUT;
        }
        // Of all kinds, `LOCAL` alone is asked of the routing table in both families.
        let family = if value == AddressTypes::LOCAL { Family::Ipv4 } else { build.family("-m addrtype")? };
        match family {
            Family::Ipv4 => routed_types(build, negated, value.0, flags),
            Family::Ipv6 => ipv6_types(build, negated, value.0, flags)?,
        }
    }
    Ok(())
}

fn routed_types(build: &mut Build<'_>, negated: bool, bits: u16, flags: FibFlags) {
    build.push(Expression::Fib(Fib { flags, result: FibResult::AddressType, dreg: KEY }));
    let kinds: Vec<u32> = (0..16).filter(|kind| bits >> kind & 1 == 1).collect();
    match kinds.as_slice() {
        [kind] => build.is(negated, &kind.to_ne_bytes()),
        kinds => {
            let set = Set::new("", FIB_ADDRESS_TYPE, 4);
            let keys = kinds.iter().map(|kind| Element::new(kind.to_ne_bytes())).collect();
            build.look_up(negated, set, keys);
        }
    }
}

/// In IPv6, `xt_addrtype` tells three kinds by the address itself, and wants all that are asked for of them, and one of those
/// that it asks the routing table for.
fn ipv6_types(build: &mut Build<'_>, negated: bool, bits: u16, flags: FibFlags) -> Built {
    const MULTICAST: (u128, u128) = (0xff << 120, u128::MAX);
    const MAPPED: (u128, u128) = (0xffff_0000_0000, 0xffff_ffff_ffff);
    let by_address = [
        (1 << 0, false, Ranges::one(0)),
        (1 << 1, true, Ranges::new([(0, 0), MAPPED, MULTICAST])),
        (1 << 5, false, Ranges::new([MULTICAST])),
    ];
    let routed = bits & !by_address.iter().fold(0, |all, (bit, ..)| all | bit);
    let parts = by_address.iter().filter(|(bit, ..)| bits & bit != 0).count() + usize::from(routed != 0);
    if negated && parts > 1 {
        return Err(Untranslatable::new("-m addrtype ! with several kinds in IPv6"));
    }
    for (bit, outside, ranges) in by_address {
        if bits & bit != 0 {
            build.network(if flags.contains(FibFlags::SOURCE) { 8 } else { 24 }, 16);
            build.among(negated != outside, DataType::IPV6_ADDRESS, 16, &ranges);
        }
    }
    if routed != 0 {
        routed_types(build, negated, routed, flags);
    }
    Ok(())
}

/// `TYPE_FIB_ADDR` of `include/datatype.h` of nftables.
const FIB_ADDRESS_TYPE: DataType = DataType(40);
