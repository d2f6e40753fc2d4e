//! Addresses and masks as `iptables` reads them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{AddressSpec, Family};

/// One address of the family. IPv4 may be cut short: `10.1` is `10.1.0.0`.
pub(crate) fn address(text: &str, family: Family) -> Option<IpAddr> {
    match family {
        Family::Ipv4 => ipv4(text).map(|(address, _)| address.into()),
        Family::Ipv6 => text.parse::<Ipv6Addr>().ok().map(Into::into),
    }
}

/// A dotted address, and how many parts it has.
fn ipv4(text: &str) -> Option<(Ipv4Addr, u32)> {
    let (mut address, mut parts, mut part, mut digits) = (0_u32, 0_u32, 0_u32, 0);
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' if digits < 3 => {
                part = part * 10 + u32::from(byte - b'0');
                digits += 1;
            }
            b'.' if digits > 0 && part < 256 && parts < 3 => {
                address = address << 8 | part;
                (parts, part, digits) = (parts + 1, 0, 0);
            }
            _ => return None,
        }
    }
    if digits == 0 || part > 255 {
        return None;
    }
    address = address << 8 | part;
    parts += 1;
    Some((Ipv4Addr::from(address << (8 * (4 - parts))), parts))
}

/// A mask: the length of a prefix, or an address.
fn mask(text: &str, family: Family) -> Option<IpAddr> {
    let length = text.parse::<u32>().ok().filter(|_| !text.starts_with('+'));
    match (family, length) {
        (Family::Ipv4, Some(length @ 0..=32)) => Some(Ipv4Addr::from(prefix4(length)).into()),
        (Family::Ipv6, Some(length @ 0..=128)) => Some(Ipv6Addr::from(prefix6(length)).into()),
        (_, Some(_)) => None,
        (Family::Ipv4, None) => ipv4(text).filter(|(_, parts)| *parts == 4).map(|(mask, _)| mask.into()),
        (Family::Ipv6, None) => text.parse::<Ipv6Addr>().ok().map(Into::into),
    }
}

fn prefix4(length: u32) -> u32 {
    u32::MAX.checked_shl(32 - length).unwrap_or(0)
}

fn prefix6(length: u32) -> u128 {
    u128::MAX.checked_shl(128 - length).unwrap_or(0)
}

/// An address with or without a mask, as it stands.
pub(crate) fn with_mask(text: &str, family: Family) -> Option<AddressSpec> {
    let slash = text.bytes().position(|byte| byte == b'/');
    let (text, mask_text) = match slash {
        Some(slash) => (text.get(..slash)?, text.get(slash + 1..)),
        None => (text, None),
    };
    let full = match family {
        Family::Ipv4 => Ipv4Addr::BROADCAST.into(),
        Family::Ipv6 => Ipv6Addr::from(u128::MAX).into(),
    };
    let mask = mask_text.map_or(Some(full), |text| mask(text, family))?;
    match (address(text, family)?, mask) {
        (IpAddr::V4(address), IpAddr::V4(mask)) => Some(AddressSpec::V4 { address, mask }),
        (IpAddr::V6(address), IpAddr::V6(mask)) => Some(AddressSpec::V6 { address, mask }),
        _ => None,
    }
}

/// The same, without the bits that the mask does not count (`-s`, `-d`).
pub(crate) fn network(text: &str, family: Family) -> Option<AddressSpec> {
    Some(match with_mask(text, family)? {
        AddressSpec::V4 { address, mask } => {
            AddressSpec::V4 { address: Ipv4Addr::from(u32::from(address) & u32::from(mask)), mask }
        }
        AddressSpec::V6 { address, mask } => {
            AddressSpec::V6 { address: Ipv6Addr::from(u128::from(address) & u128::from(mask)), mask }
        }
        name @ AddressSpec::Name(_) => name,
    })
}

/// The length of a prefix, also where it is written as a mask.
pub(crate) fn prefix_length(text: &str, family: Family) -> Option<u8> {
    match mask(text, family)? {
        IpAddr::V4(mask) => AddressSpec::V4 { address: Ipv4Addr::UNSPECIFIED, mask }.prefix(),
        IpAddr::V6(mask) => AddressSpec::V6 { address: Ipv6Addr::UNSPECIFIED, mask }.prefix(),
    }
}
