//! How many bytes an expression puts into a register, or wants from it.

use std::collections::HashMap;

use nf_tables::*;

/// Bytes of words, cut to the length of what they are compared with; a shorter value is a name's beginning.
pub(super) fn cut(mut bytes: Vec<u8>, length: Option<usize>) -> Vec<u8> {
    match length {
        Some(length) if bytes.len() >= length => bytes.truncate(length),
        Some(_) => {
            while bytes.last() == Some(&0) {
                bytes.pop();
            }
        }
        None => {}
    }
    bytes
}

fn meta_length(key: MetaKey) -> usize {
    match key {
        MetaKey::NfProtocol
        | MetaKey::L4Protocol
        | MetaKey::PacketType
        | MetaKey::Day
        | MetaKey::SecurityPath
        | MetaKey::Trace => 1,
        MetaKey::Protocol
        | MetaKey::InputType
        | MetaKey::OutputType
        | MetaKey::BridgePortVlan
        | MetaKey::BridgeVlanProtocol => 2,
        MetaKey::Time => 8,
        MetaKey::InputName
        | MetaKey::OutputName
        | MetaKey::BridgeInputName
        | MetaKey::BridgeOutputName
        | MetaKey::InputKind
        | MetaKey::OutputKind
        | MetaKey::SlaveName => 16,
        _ => 4,
    }
}

fn ct_length(key: CtKey) -> Option<usize> {
    match key {
        CtKey::Direction | CtKey::L3Protocol | CtKey::Protocol => Some(1),
        CtKey::Zone | CtKey::ProtocolSource | CtKey::ProtocolDestination => Some(2),
        CtKey::Packets | CtKey::Bytes | CtKey::AveragePacket => Some(8),
        CtKey::Helper | CtKey::Labels | CtKey::SourceIp6 | CtKey::DestinationIp6 => Some(16),
        // As long as the table's addresses are.
        CtKey::Source | CtKey::Destination => None,
        _ => Some(4),
    }
}

/// Notes how many bytes an expression puts into its register.
pub(super) fn note_length(expression: &Expression, loaded: &mut HashMap<Register, usize>) {
    let size = |length: u32| usize::try_from(length).ok();
    let (register, length) = match expression {
        Expression::Payload(load) => (load.dreg, size(load.length)),
        Expression::Meta(load) => (load.dreg, Some(meta_length(load.key))),
        Expression::Ct(load) => (load.dreg, ct_length(load.key)),
        Expression::Exthdr(Exthdr { dreg: Some(dreg), present, length, .. }) => {
            (*dreg, if *present { Some(1) } else { size(*length) })
        }
        Expression::Fib(fib) => {
            let length = match fib.result {
                FibResult::OutputName => 16,
                FibResult::OutputIndex | FibResult::AddressType => 4,
            };
            (fib.dreg, Some(length))
        }
        Expression::Routing(load) => {
            let length = match load.key {
                RoutingKey::ClassId | RoutingKey::NextHop4 => 4,
                RoutingKey::NextHop6 => 16,
                RoutingKey::TcpMss => 2,
                RoutingKey::Ipsec => 1,
            };
            (load.dreg, Some(length))
        }
        Expression::Socket(load) => {
            let length = match load.key {
                SocketKey::Transparent | SocketKey::Wildcard => 1,
                SocketKey::Mark => 4,
                SocketKey::CgroupV2 => 8,
            };
            (load.dreg, Some(length))
        }
        Expression::Bitwise(bitwise) => (bitwise.dreg, size(bitwise.length)),
        Expression::Hash(hash) => (hash.dreg, Some(4)),
        Expression::Numgen(numgen) => (numgen.dreg, Some(4)),
        Expression::Lookup(Lookup { dreg: Some(dreg), .. }) => (*dreg, None),
        _ => return,
    };
    match length {
        Some(length) => loaded.insert(register, length),
        None => loaded.remove(&register),
    };
}

/// How many bytes of `register` the expression reads, if it reads it.
pub(super) fn wanted_length(expression: &Expression, register: Register) -> Option<usize> {
    let is = |candidate: Option<Register>| candidate == Some(register);
    match expression {
        Expression::Nat(nat) if is(nat.address_min) || is(nat.address_max) => {
            Some(if nat.family == Family::Ip { 4 } else { 16 })
        }
        Expression::Nat(Nat { port_min, port_max, .. })
        | Expression::Masquerade(Masquerade { port_min, port_max, .. })
        | Expression::Redirect(Redirect { port_min, port_max, .. })
            if is(*port_min) || is(*port_max) =>
        {
            Some(2)
        }
        Expression::MetaSet(set) if set.sreg == register => Some(meta_length(set.key)),
        Expression::CtSet(set) if set.sreg == register => ct_length(set.key),
        Expression::PayloadWrite(write) if write.sreg == register => usize::try_from(write.length).ok(),
        Expression::Exthdr(write) if is(write.sreg) => usize::try_from(write.length).ok(),
        Expression::Queue(queue) if is(queue.sreg) => Some(2),
        _ => None,
    }
}
