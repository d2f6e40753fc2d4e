//! Sets of numbers as sorted ranges: ports, and addresses as numbers.

use ipnet::IpNet;

/// Numbers as disjoint, sorted, non-touching ranges, both ends included.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Ranges(Vec<(u128, u128)>);

impl Ranges {
    /// The numbers of `ranges`, which may overlap and touch in any order; those with `first > last` are empty.
    pub(crate) fn new(ranges: impl IntoIterator<Item = (u128, u128)>) -> Self {
        let mut ranges: Vec<_> = ranges.into_iter().filter(|(first, last)| first <= last).collect();
        ranges.sort_unstable();
        let mut merged: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(before) if before.1.checked_add(1).is_none_or(|next| first <= next) => {
                    before.1 = before.1.max(last);
                }
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }

    pub(crate) fn one(number: u128) -> Self {
        Self(vec![(number, number)])
    }

    pub(crate) fn contains(&self, number: u128) -> bool {
        let after = self.0.partition_point(|&(first, _)| first <= number);
        after.checked_sub(1).is_some_and(|at| number <= self.0[at].1)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn as_slice(&self) -> &[(u128, u128)] {
        &self.0
    }
}

/// An address as a number, most significant byte first.
pub(crate) fn address_number(address: std::net::IpAddr) -> u128 {
    match address {
        std::net::IpAddr::V4(address) => u128::from(address.to_bits()),
        std::net::IpAddr::V6(address) => address.to_bits(),
    }
}

/// The addresses of the prefixes of one family.
pub(crate) fn addresses(prefixes: &[IpNet], ipv6: bool) -> Ranges {
    Ranges::new(
        prefixes
            .iter()
            .filter(|prefix| matches!(prefix, IpNet::V6(_)) == ipv6)
            .map(|prefix| (address_number(prefix.network()), address_number(prefix.broadcast()))),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_overlap_or_touch_become_one() {
        let ranges = Ranges::new([(10, 20), (21, 30), (5, 7), (40, 35), (15, 16), (32, 32)]);
        assert_eq!(ranges.as_slice(), [(5, 7), (10, 30), (32, 32)]);
        assert!([5, 7, 10, 21, 30, 32].iter().all(|&n| ranges.contains(n)));
        assert!([0, 4, 8, 9, 31, 33, u128::MAX].iter().all(|&n| !ranges.contains(n)));
        assert_eq!(Ranges::new([(0, u128::MAX), (3, 4)]).as_slice(), [(0, u128::MAX)]);
    }

    #[test]
    fn prefixes_of_the_other_family_are_left_out() {
        let prefixes = ["10.0.0.0/8", "11.0.0.0/8", "2001:db8::/32"].map(|text| text.parse().unwrap());
        assert_eq!(addresses(&prefixes, false).as_slice(), [(0x0a00_0000, 0x0bff_ffff)]);
        assert_eq!(addresses(&prefixes, true).as_slice().len(), 1);
    }
}
