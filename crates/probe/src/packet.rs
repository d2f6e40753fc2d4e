//! Packets to bytes, and answers from bytes. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::checksum;

/// IP protocol numbers (IANA).
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
const ICMP: u8 = 1;
pub(crate) const ICMPV6: u8 = 58;

const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// A whole IP packet, header included, as a raw socket with the header included takes it.
pub(crate) fn ip(from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => ipv4(from, to, protocol, payload),
        (IpAddr::V6(from), IpAddr::V6(to)) => ipv6(from, to, protocol, payload),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => Vec::new(),
    }
}

/// RFC 791 section 3.1. The kernel fills in the identification.
fn ipv4(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).unwrap_or(u16::MAX);
    let mut packet = vec![0x45, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    let checksum = checksum::internet(&packet).to_be_bytes();
    packet[10..12].copy_from_slice(&checksum);
    packet.extend(payload);
    packet
}

/// RFC 8200 section 3.
fn ipv6(from: Ipv6Addr, to: Ipv6Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([protocol, 64]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(payload);
    packet
}

/// A TCP segment that opens a connection (RFC 9293 section 3.1).
pub(crate) fn syn(from: (IpAddr, u16), to: (IpAddr, u16), sequence: u32) -> Vec<u8> {
    let mut segment = Vec::with_capacity(24);
    segment.extend(from.1.to_be_bytes());
    segment.extend(to.1.to_be_bytes());
    segment.extend(sequence.to_be_bytes());
    segment.extend([0; 4]);
    // Six words with the option of the maximum segment size: a SYN without one is rare and filtered by some.
    segment.extend([0x60, SYN, 0xfa, 0xf0, 0, 0, 0, 0]);
    segment.extend([2, 4, 0x05, 0xb4]);
    let checksum = checksum::transport(from.0, to.0, TCP, &segment).to_be_bytes();
    segment[16..18].copy_from_slice(&checksum);
    segment
}

/// A UDP datagram (RFC 768).
pub(crate) fn datagram(from: (IpAddr, u16), to: (IpAddr, u16), payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap_or(u16::MAX);
    let mut segment = Vec::with_capacity(8 + payload.len());
    segment.extend(from.1.to_be_bytes());
    segment.extend(to.1.to_be_bytes());
    segment.extend(length.to_be_bytes());
    segment.extend([0, 0]);
    segment.extend(payload);
    let checksum = checksum::transport(from.0, to.0, UDP, &segment).to_be_bytes();
    segment[6..8].copy_from_slice(&checksum);
    segment
}

/// An echo request of the address's family (RFC 792, RFC 4443 section 4.1).
pub(crate) fn echo_request(from: IpAddr, to: IpAddr, identifier: u16) -> (u8, Vec<u8>) {
    let (kind, protocol) = if to.is_ipv4() { (8, ICMP) } else { (128, ICMPV6) };
    let mut message = vec![kind, 0, 0, 0];
    message.extend(identifier.to_be_bytes());
    message.extend([0, 1]);
    message.extend(*b"gabion probe");
    let checksum = if to.is_ipv4() {
        checksum::internet(&message)
    } else {
        checksum::transport(from, to, ICMPV6, &message)
    };
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    (protocol, message)
}

/// What a TCP segment says to a SYN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TcpAnswer {
    /// The port that answers.
    pub(crate) port: u16,
    /// The port that it answers to.
    pub(crate) to_port: u16,
    /// The number that it acknowledges.
    pub(crate) acknowledges: u32,
    /// SYN and ACK are set: something listens.
    pub(crate) accepts: bool,
}

/// Reads the answer to a SYN from a TCP segment; `None` for anything else.
pub(crate) fn tcp_answer(segment: &[u8]) -> Option<TcpAnswer> {
    let two = |at: usize| Some(u16::from_be_bytes(segment.get(at..at + 2)?.try_into().ok()?));
    let flags = *segment.get(13)?;
    let accepts = flags & (SYN | ACK | RST) == SYN | ACK;
    let refuses = flags & RST != 0;
    (accepts || refuses).then_some(())?;
    Some(TcpAnswer {
        port: two(0)?,
        to_port: two(2)?,
        acknowledges: u32::from_be_bytes(segment.get(8..12)?.try_into().ok()?),
        accepts,
    })
}

/// An error message about a packet that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreachable {
    /// The protocol of that packet.
    pub(crate) protocol: u8,
    /// The port that it was sent from.
    pub(crate) from_port: u16,
    /// The port that it was sent to.
    pub(crate) port: u16,
}

/// Reads a destination-unreachable message (ICMP type 3, `ICMPv6` type 1) and the ports of the packet that it quotes.
pub(crate) fn unreachable(message: &[u8], v6: bool) -> Option<Unreachable> {
    let wanted = if v6 { 1 } else { 3 };
    (*message.first()? == wanted).then_some(())?;
    let quoted = message.get(8..)?;
    let (protocol, header) =
        if v6 { (*quoted.get(6)?, 40) } else { (*quoted.get(9)?, usize::from(quoted.first()? & 0x0f) * 4) };
    let ports = quoted.get(header..header + 4)?;
    Some(Unreachable {
        protocol,
        from_port: u16::from_be_bytes([ports[0], ports[1]]),
        port: u16::from_be_bytes([ports[2], ports[3]]),
    })
}

/// Whether a message is the answer to an echo request with this identifier.
pub(crate) fn is_echo_reply(message: &[u8], identifier: u16, v6: bool) -> bool {
    let kind = if v6 { 129 } else { 0 };
    message.first() == Some(&kind) && message.get(4..6) == Some(&identifier.to_be_bytes())
}

/// The payload of an IPv4 packet, as a raw IPv4 socket hands it out with the header before it.
pub(crate) fn ipv4_payload(packet: &[u8]) -> Option<(Ipv4Addr, &[u8])> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let from: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    Some((Ipv4Addr::from(from), packet.get(header..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{datagram, ip, ipv4_payload, is_echo_reply, syn, tcp_answer, unreachable};
    use std::net::{IpAddr, Ipv4Addr};

    const FROM: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const TO: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn a_reset_and_a_syn_ack_are_told_apart() {
        let mut segment = syn((TO, 22), (FROM, 40_000), 7);
        assert_eq!(tcp_answer(&segment), None);
        segment[13] = 0x12;
        assert!(tcp_answer(&segment).is_some_and(|answer| answer.accepts && answer.port == 22));
        segment[13] = 0x14;
        assert!(tcp_answer(&segment).is_some_and(|answer| !answer.accepts && answer.to_port == 40_000));
    }

    #[test]
    fn an_error_names_the_ports_of_the_packet_that_it_quotes() {
        let packet = ip(FROM, TO, super::UDP, &datagram((FROM, 40_000), (TO, 53), b"x"));
        let mut message = vec![3, 3, 0, 0, 0, 0, 0, 0];
        message.extend(packet);
        let error = unreachable(&message, false).expect("it is an error message");
        assert_eq!((error.from_port, error.port), (40_000, 53));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..96)) {
            let _ = (tcp_answer(&bytes), unreachable(&bytes, true), unreachable(&bytes, false));
            let _ = (ipv4_payload(&bytes), is_echo_reply(&bytes, 1, true));
        }
    }
}
