//! The Internet checksum, RFC 1071.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The one's complement of the one's complement sum of 16-bit words.
pub(crate) fn internet(bytes: &[u8]) -> u16 {
    fold(sum(bytes))
}

/// The checksum of a TCP, UDP or `ICMPv6` segment with its pseudo header (RFC 9293 section 3.1, RFC 8200 section 8.1).
pub(crate) fn transport(from: IpAddr, to: IpAddr, protocol: u8, segment: &[u8]) -> u16 {
    let length = u32::try_from(segment.len()).unwrap_or(u32::MAX);
    let addresses = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => v4_pair(from, to),
        (IpAddr::V6(from), IpAddr::V6(to)) => v6_pair(from, to),
        // Never on the wire: the families differ, so that any value is as wrong as another.
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => 0,
    };
    let checksum = fold(addresses + sum(&length.to_be_bytes()) + u64::from(protocol) + sum(segment));
    // UDP sends an all-zero checksum as all ones; for TCP and ICMPv6 both mean the same.
    if checksum == 0 { 0xffff } else { checksum }
}

fn v4_pair(from: Ipv4Addr, to: Ipv4Addr) -> u64 {
    sum(&from.octets()) + sum(&to.octets())
}

fn v6_pair(from: Ipv6Addr, to: Ipv6Addr) -> u64 {
    sum(&from.octets()) + sum(&to.octets())
}

fn sum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks(2).map(|pair| {
        let low = pair.get(1).copied().unwrap_or(0);
        u64::from(u16::from_be_bytes([pair[0], low]))
    });
    words.sum()
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::internet;

    #[test]
    fn agrees_with_the_example_of_rfc_1071() {
        // RFC 1071 section 3: the words sum to ddf2.
        assert_eq!(internet(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    }

    #[test]
    fn a_packet_with_its_checksum_sums_to_zero() {
        let mut packet = vec![0x45, 0, 0, 20, 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
        let checksum = internet(&packet).to_be_bytes();
        packet[10..12].copy_from_slice(&checksum);
        assert_eq!(internet(&packet), 0);
    }
}
