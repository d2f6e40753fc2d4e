//! Ports, and what else stands in the headers of TCP, UDP and SCTP.

use iptables_syntax::extension::{Multiport, PortSide, Tcp};
use iptables_syntax::{Negatable, PortRange};
use nf_tables::{DataType, Element, Expression, Payload, PayloadBase, Register, Set, SetFlags};

use super::build::{Build, KEY};
use super::matches::load_tcp_option;
use crate::packet::protocol;
use crate::ranges::Ranges;

/// SCTP's number (IANA).
pub(super) const SCTP: u8 = 132;

pub(super) fn tcp(build: &mut Build<'_>, tcp: &Tcp) {
    build.within_protocol(protocol::TCP);
    both(build, tcp.source_ports, tcp.destination_ports);
    if let Some(Negatable { negated, value }) = tcp.flags {
        build.transport(13, 1);
        build.mask(&[value.mask]);
        build.is(negated, &[value.set]);
    }
    if let Some(Negatable { negated, value }) = tcp.option {
        load_tcp_option(build, value, 0, 1, true);
        build.is(false, &[u8::from(!negated)]);
    }
}

/// The port that a packet is from and the one that it is to.
pub(super) fn both(
    build: &mut Build<'_>,
    source: Option<Negatable<PortRange>>,
    destination: Option<Negatable<PortRange>>,
) {
    for (ports, at) in [(source, 0), (destination, 2)] {
        if let Some(Negatable { negated, value }) = ports {
            build.transport(at, 2);
            build.among(negated, DataType::INET_SERVICE, 2, &ranges(&[value]));
        }
    }
}

pub(super) fn multiport(build: &mut Build<'_>, multiport: &Multiport) {
    let Negatable { negated, value } = &multiport.ports;
    let ports = ranges(value);
    match multiport.side {
        PortSide::Source => {
            build.transport(0, 2);
            build.among(*negated, DataType::INET_SERVICE, 2, &ports);
        }
        PortSide::Destination => {
            build.transport(2, 2);
            build.among(*negated, DataType::INET_SERVICE, 2, &ports);
        }
        PortSide::Either => either(build, *negated, &ports),
    }
}

/// One of the two ports is in the ranges: a set of pairs, of which no two overlap, since the kernel takes no others.
fn either(build: &mut Build<'_>, negated: bool, ports: &Ranges) {
    const ANY: (u128, u128) = (0, 0xffff);
    let second = Register::slot(1).unwrap_or(Register::R2);
    for (dreg, offset) in [(KEY, 0), (second, 2)] {
        build.push(Expression::Payload(Payload { dreg, base: PayloadBase::Transport, offset, length: 2 }));
    }
    let outside = complement(ports);
    let from_inside = ports.as_slice().iter().map(|&inside| (inside, ANY));
    let to_inside =
        outside.iter().flat_map(|&outside| ports.as_slice().iter().map(move |&inside| (outside, inside)));
    let elements = from_inside.chain(to_inside).map(|(source, destination)| {
        let mut element = Element::new(pair(source.0, destination.0));
        element.key_end = Some(pair(source.1, destination.1));
        element
    });
    let kind = DataType::concatenation(&[DataType::INET_SERVICE, DataType::INET_SERVICE]);
    let mut set = Set::new("", kind, 8).with_flags(SetFlags::INTERVAL | SetFlags::CONCAT);
    set.fields = vec![2, 2];
    let elements = elements.collect();
    build.look_up(negated, set, elements);
}

/// The ports that are in none of the ranges.
fn complement(ports: &Ranges) -> Vec<(u128, u128)> {
    let mut outside = Vec::new();
    let mut next = 0;
    for &(first, last) in ports.as_slice() {
        if next < first {
            outside.push((next, first - 1));
        }
        next = last + 1;
    }
    if next <= 0xffff {
        outside.push((next, 0xffff));
    }
    outside
}

/// Two ports as the key of a set, each in a slot of four bytes.
fn pair(source: u128, destination: u128) -> Vec<u8> {
    let bytes = |port: u128| u16::try_from(port).unwrap_or(u16::MAX).to_be_bytes();
    let ([a, b], [c, d]) = (bytes(source), bytes(destination));
    vec![a, b, 0, 0, c, d, 0, 0]
}

fn ranges(ports: &[PortRange]) -> Ranges {
    Ranges::new(ports.iter().map(|range| (range.first.into(), range.last.into())))
}
