//! Lists of addresses as `Match Address` reads them: networks in CIDR form, single addresses, wildcards over the
//! address as text, each with `!` for negation.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use crate::pattern;

/// A comma-separated list of networks, addresses and wildcards.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AddressList {
    items: Vec<AddressItem>,
}

/// One entry of a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AddressItem {
    /// Preceded by `!`.
    pub negated: bool,
    /// What it matches.
    pub target: Target,
}

/// What an entry matches.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// A network; a single address is one of full length.
    Network(IpNet),
    /// A pattern over the address as text, for what is neither.
    Wildcard(String),
}

/// Why a list of addresses is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Two commas in a row, a lone `!`, or nothing at all.
    #[error("an empty entry in the list of addresses")]
    Empty,
    /// `10.0.0.0/33`.
    #[error("the prefix length of {0} is longer than the address")]
    TooLong(String),
    /// `10.0.0.1/8`.
    #[error("{0} has host bits set")]
    HostBits(String),
}

impl AddressList {
    /// Reads a list.
    ///
    /// # Errors
    /// What sshd refuses: an empty entry, a prefix too long, host bits. What is no address is a wildcard.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let items = text.split(',').map(AddressItem::parse);
        Ok(Self { items: items.collect::<Result<_, _>>()? })
    }

    /// The entries in order.
    #[must_use]
    pub fn items(&self) -> &[AddressItem] {
        &self.items
    }

    /// Whether the list includes `address`: an entry matches and no negated one does.
    #[must_use]
    pub fn includes(&self, address: IpAddr) -> bool {
        let mut included = false;
        for item in self.items.iter().filter(|item| item.target.matches(address)) {
            if item.negated {
                return false;
            }
            included = true;
        }
        included
    }
}

impl Target {
    /// Whether one address matches.
    #[must_use]
    pub fn matches(&self, address: IpAddr) -> bool {
        match self {
            Self::Network(network) => network.contains(&address),
            Self::Wildcard(pattern) => pattern::matches(&address.to_string(), pattern),
        }
    }
}

impl AddressItem {
    fn parse(text: &str) -> Result<Self, AddressError> {
        let (negated, text) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        Ok(Self { negated, target: Target::parse(text)? })
    }
}

impl Target {
    fn parse(text: &str) -> Result<Self, AddressError> {
        let (host, length) = match text.split_once('/') {
            Some((host, length)) => (host, Some(length)),
            None => (text, None),
        };
        let wildcard = || Self::Wildcard(text.to_owned());
        let length: Option<u64> = match length.map(str::parse) {
            None => None,
            Some(Ok(length)) if length <= 128 => Some(length),
            Some(Ok(_) | Err(_)) => return Ok(wildcard()),
        };
        let Some(address) = numeric(host) else {
            return Ok(wildcard());
        };
        let full = if address.is_ipv4() { 32 } else { 128 };
        let network =
            u8::try_from(length.unwrap_or(full)).ok().and_then(|length| IpNet::new(address, length).ok());
        let network = network.ok_or_else(|| AddressError::TooLong(text.to_owned()))?;
        if network.network() != address {
            return Err(AddressError::HostBits(text.to_owned()));
        }
        Ok(Self::Network(network))
    }
}

/// An address in any numeric form that `getaddrinfo` takes: IPv4 also as `10.1`, `0x7f.1` or one number.
pub(crate) fn numeric(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        return text.parse().ok();
    }
    let parts: Vec<u32> = text.split('.').map(number).collect::<Option<_>>()?;
    let (last, leading) = parts.split_last()?;
    let room = 8 * (4 - u32::try_from(leading.len()).ok()?.min(4));
    if leading.len() > 3 || leading.iter().any(|&part| part > 255) || (room < 32 && *last >= 1 << room) {
        return None;
    }
    let head = leading.iter().enumerate().fold(0u32, |sum, (index, part)| sum | part << (24 - 8 * index));
    Some(IpAddr::V4(Ipv4Addr::from(head | last)))
}

fn number(text: &str) -> Option<u32> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = match lower.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None if lower.len() > 1 && lower.starts_with('0') => (&lower[1..], 8),
        None => (lower.as_str(), 10),
    };
    let plain = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    plain.then(|| u32::from_str_radix(digits, radix).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn includes(list: &str, address: &str) -> bool {
        AddressList::parse(list).unwrap().includes(address.parse().unwrap())
    }

    #[test]
    fn networks_addresses_and_wildcards_match() {
        assert!(includes("192.0.2.0/24", "192.0.2.7"));
        assert!(!includes("192.0.2.0/24", "192.0.3.7"));
        assert!(includes("192.0.2.*", "192.0.2.7"));
        assert!(includes("2001:db8::/32,10.0.0.1", "2001:db8::5"));
        assert!(!includes("0.0.0.0/0", "::1"));
        assert!(includes("10.1", "10.0.0.1"));
        assert!(!includes("*,!10.0.0.0/8", "10.2.3.4"));
    }

    #[test]
    fn what_sshd_refuses_is_refused() {
        assert_eq!(AddressList::parse("10.0.0.1/8"), Err(AddressError::HostBits("10.0.0.1/8".to_owned())));
        assert_eq!(AddressList::parse("10.0.0.0/33"), Err(AddressError::TooLong("10.0.0.0/33".to_owned())));
        assert_eq!(AddressList::parse("10.0.0.0/8,"), Err(AddressError::Empty));
    }

    #[test]
    fn what_is_no_address_is_a_wildcard() {
        assert!(matches!(AddressList::parse("10.*").unwrap().items()[0].target, Target::Wildcard(_)));
        assert_eq!(numeric("256.1.1.1"), None);
        assert_eq!(numeric("1.2.3.4.5"), None);
        assert_eq!(numeric("0x7f.1"), Some(IpAddr::from([127, 0, 0, 1])));
    }
}
