//! Packets as bytes, sent as they are through raw sockets: any source, any protocol.

use std::net::{IpAddr, SocketAddr};

use packet_filter::{Addresses, Packet, Payload};
use rustix::net::{AddressFamily, Protocol, SendFlags, SocketType, sendto, socket};

/// Sends the packet by way of `gateway`, from the namespace of this thread.
pub(crate) fn send(packet: &Packet, gateway: IpAddr) {
    let family = match gateway {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    };
    // With this protocol the kernel takes the IP header as it is given.
    const IPPROTO_RAW: u32 = 255;
    let raw = Protocol::from_raw(IPPROTO_RAW.try_into().unwrap());
    let socket = socket(family, SocketType::RAW, Some(raw)).expect("a raw socket");
    sendto(&socket, &bytes(packet), SendFlags::empty(), &SocketAddr::new(gateway, 0)).expect("send a packet");
}

/// The packet with all its headers, checksums included.
pub(crate) fn bytes(packet: &Packet) -> Vec<u8> {
    let (source, destination) = match packet.addresses {
        Addresses::Ipv4 { source, destination } => (source.octets().to_vec(), destination.octets().to_vec()),
        Addresses::Ipv6 { source, destination } => (source.octets().to_vec(), destination.octets().to_vec()),
    };
    let protocol = packet.payload.protocol();
    let payload = payload(packet, &source, &destination, protocol);
    let length = u16::try_from(payload.len()).unwrap();
    let mut out = match packet.addresses {
        Addresses::Ipv4 { .. } => {
            let mut header = vec![0x45, 0];
            header.extend((length + 20).to_be_bytes());
            header.extend([0x12, 0x34, 0, 0, packet.hop_limit, protocol, 0, 0]);
            header
        }
        Addresses::Ipv6 { .. } => {
            let mut header = vec![0x60, 0, 0, 0];
            header.extend(length.to_be_bytes());
            header.extend([protocol, packet.hop_limit]);
            header
        }
    };
    out.extend(source);
    out.extend(destination);
    if matches!(packet.addresses, Addresses::Ipv4 { .. }) {
        let sum = checksum(&out);
        out[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    out.extend(payload);
    out
}

fn payload(packet: &Packet, source: &[u8], destination: &[u8], protocol: u8) -> Vec<u8> {
    let (mut bytes, sum_at) = match packet.payload {
        Payload::Tcp { source, destination, flags } => {
            let mut header = [source.to_be_bytes(), destination.to_be_bytes()].concat();
            header.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0x20, 0, 0, 0, 0, 0]);
            (header, Some(16))
        }
        Payload::Udp { source, destination } => {
            let mut header = [source.to_be_bytes(), destination.to_be_bytes()].concat();
            header.extend([0, 12, 0, 0]);
            header.extend(*b"test");
            (header, Some(6))
        }
        Payload::Icmp { kind, code } | Payload::Icmpv6 { kind, code } => {
            let mut message = vec![kind, code, 0, 0, 0x42, 0x42, 0, 1];
            message.extend([0; 24]);
            (message, Some(2))
        }
        Payload::Other(_) => (vec![0; 16], None),
    };
    if let Some(at) = sum_at {
        let mut covered = Vec::new();
        if !matches!(packet.payload, Payload::Icmp { .. }) {
            covered.extend(source);
            covered.extend(destination);
            covered.extend([0, protocol]);
            covered.extend(u16::try_from(bytes.len()).unwrap().to_be_bytes());
        }
        covered.extend(&bytes);
        bytes[at..at + 2].copy_from_slice(&checksum(&covered).to_be_bytes());
    }
    bytes
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}
