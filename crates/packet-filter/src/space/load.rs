//! What the expressions that load put into registers, for all packets at once; see `machine/load.rs`.

use nf_tables::{Ct, CtDirection, CtKey, Fib, Meta, MetaKey, Payload, PayloadBase, Register};

use super::bdd::Bdd;
use super::registers::{Bit, bits_of, equals};
use super::rule::{Rule, machine_order};
use crate::facts::{DNAT, Field, network_layout};
use crate::machine::asks_for_destination_type;
use crate::packet::{Hook, State, protocol};
use crate::statement::{ct_length, fib_length, meta_length};

impl Rule<'_, '_, '_> {
    pub(super) fn load_meta(&mut self, nth: usize, meta: &Meta) {
        let dreg = meta.dreg;
        let bits = match meta.key {
            MetaKey::InputName => self.space.name(Field::InputName),
            MetaKey::OutputName => self.space.name(Field::OutputName),
            MetaKey::NfProtocol => self.space.family(),
            MetaKey::L4Protocol => self.space.field(Field::Protocol, false),
            MetaKey::InputIndex => return self.load_index(nth, dreg, Field::InputName),
            MetaKey::OutputIndex => return self.load_index(nth, dreg, Field::OutputName),
            MetaKey::Protocol => {
                let ipv6 = self.space.is_ipv6();
                let ethertypes = 0x0800_u16.to_be_bytes().into_iter().zip(0x86dd_u16.to_be_bytes());
                let mut bits = Vec::new();
                for (v4, v6) in ethertypes {
                    for (v4, v6) in bits_of(v4).zip(bits_of(v6)) {
                        let (v4, v6) = (Bdd::constant(v4), Bdd::constant(v6));
                        bits.push(Bit::known(self.space.arena.ite(ipv6, v6, v4)));
                    }
                }
                bits
            }
            MetaKey::Mark => machine_order(&self.current().mark),
            _ => return self.unknown(dreg, meta_length(meta.key), nth),
        };
        self.registers.store(dreg, &bits, &[nth]);
    }

    /// An interface's index: 0 for none, 1 for loopback, and otherwise unknown, but not that of loopback.
    pub(super) fn load_index(&mut self, nth: usize, dreg: Register, name: Field) {
        let loopback = self.space.name_is(name, crate::facts::interface_number("lo"));
        let none = self.space.name_is(name, 0);
        let known = self.space.arena.or(loopback, none);
        let mut bits = vec![Bit { value: Bdd::FALSE, known }; 31];
        bits.push(Bit { value: loopback, known });
        self.registers.store(dreg, &machine_order(&bits), &[nth]);
        self.registers.note_interface(dreg);
    }

    pub(super) fn load_ct(&mut self, nth: usize, ct: &Ct) {
        if ct.key == CtKey::State {
            let bits = self.current().state_bits();
            self.registers.store(ct.dreg, &machine_order(&bits), &[nth]);
            return;
        }
        // Nothing but the state is to be had of a packet without a connection.
        let current = self.own.as_deref().unwrap_or(self.changes);
        let untracked = current.is_without_connection(&mut self.space.arena);
        self.here = self.space.arena.minus(self.here, untracked);
        let original = ct.direction == Some(CtDirection::Original);
        let ipv6 = self.space.is_ipv6();
        let bits = match ct.key {
            CtKey::L3Protocol => self.space.family(),
            CtKey::Protocol => {
                // What is related may be an error about a flow of another protocol.
                let related = self.current().is_state(State::Related);
                let related = self.space.arena.and(related, self.current_state_known());
                let bits = self.space.field(Field::Protocol, false);
                self.unknown_where(related, bits)
            }
            CtKey::Status => {
                let mut bits = vec![Bit::UNKNOWN; 32];
                let place = 31 - DNAT.trailing_zeros() as usize;
                bits[place] = self.current().published;
                machine_order(&bits)
            }
            CtKey::ProtocolDestination if original => self.space.original(Field::OriginalPort, false),
            CtKey::DestinationIp if original => {
                let bits = self.space.original(Field::OriginalDestination, false);
                self.unknown_where(ipv6, bits)
            }
            CtKey::DestinationIp6 if original => {
                let bits = self.space.original(Field::OriginalDestination, true);
                self.unknown_where(!ipv6, bits)
            }
            _ => vec![Bit::UNKNOWN; ct_length(ct) * 8],
        };
        self.registers.store(ct.dreg, &bits, &[nth]);
    }

    pub(super) fn unknown_where(&mut self, set: Bdd, bits: Vec<Bit>) -> Vec<Bit> {
        bits.into_iter().map(|bit| Bit::UNKNOWN.or_else(&mut self.space.arena, set, bit)).collect()
    }

    pub(super) fn load_payload(&mut self, nth: usize, payload: &Payload) {
        let (Ok(offset), Ok(length)) = (usize::try_from(payload.offset), usize::try_from(payload.length))
        else {
            return;
        };
        let length = length.min(64);
        let ipv6 = self.space.is_ipv6();
        let mut bits = vec![Bit::UNKNOWN; length * 8];
        match payload.base {
            PayloadBase::Network => {
                for (is_v6, condition) in [(false, !ipv6), (true, ipv6)] {
                    for &(field, at) in network_layout(is_v6) {
                        self.put_field(&mut bits, offset, field, at, is_v6, condition);
                    }
                }
            }
            PayloadBase::Transport => {
                let [tcp, udp, icmp, icmpv6] =
                    [protocol::TCP, protocol::UDP, protocol::ICMP, protocol::ICMPV6]
                        .map(|number| self.space.is(Field::Protocol, false, u128::from(number)));
                let ports = self.space.arena.or(tcp, udp);
                let messages = self.space.arena.or(icmp, icmpv6);
                for (field, at, condition) in [
                    (Field::SourcePort, 0, ports),
                    (Field::DestinationPort, 2, ports),
                    (Field::TcpFlags, 13, tcp),
                    (Field::IcmpKind, 0, messages),
                    (Field::IcmpCode, 1, messages),
                ] {
                    self.put_field(&mut bits, offset, field, at, false, condition);
                }
            }
            PayloadBase::Link | PayloadBase::Inner => {}
        }
        self.registers.store(payload.dreg, &bits, &[nth]);
    }

    /// Puts the part of a field, which stands at `at` in packets of `condition`, that a load from `offset` on takes.
    pub(super) fn put_field(
        &mut self,
        bits: &mut [Bit],
        offset: usize,
        field: Field,
        at: usize,
        ipv6: bool,
        condition: Bdd,
    ) {
        let size = field.bytes(ipv6);
        if at >= offset + bits.len() / 8 || offset >= at + size {
            return;
        }
        // Only what is here counts.
        if self.space.arena.and(self.here, condition).is_false() {
            return;
        }
        let everywhere = self.space.arena.minus(self.here, condition).is_false();
        let condition = if everywhere { Bdd::TRUE } else { condition };
        let written = self.current().bytes;
        let value = self.packet_field(field, ipv6);
        for (nth, bit) in value.into_iter().enumerate() {
            let Some(place) = (at * 8 + nth).checked_sub(offset * 8).filter(|&place| place < bits.len())
            else {
                continue;
            };
            let arena = &mut self.space.arena;
            let bit = Bit { known: arena.minus(bit.known, written), ..bit };
            bits[place] = bit.or_else(arena, condition, bits[place]);
        }
    }

    /// A field of the packet's bytes, as address translation may have left it.
    pub(super) fn packet_field(&mut self, field: Field, ipv6: bool) -> Vec<Bit> {
        match field {
            Field::Destination => self.current().destination[usize::from(ipv6)].clone(),
            Field::DestinationPort => self.current().port.clone(),
            Field::HopLimit => self.current().hop_limit.clone(),
            _ => self.space.field(field, ipv6),
        }
    }

    pub(super) fn load_fib(&mut self, nth: usize, fib: &Fib) {
        if self.hook != Hook::Input || !asks_for_destination_type(fib) {
            return self.unknown(fib.dreg, fib_length(fib), nth);
        }
        let ipv6 = self.space.is_ipv6();
        let [v4, v6] = [false, true].map(|ipv6| self.packet_field(Field::Destination, ipv6));
        let arena = &mut self.space.arena;
        let class_d = equals(arena, &v4[..4], &[0xe0]);
        let multicast_v6 = equals(arena, &v6[..8], &[0xff]);
        let broadcast = equals(arena, &v4, &[0xff; 4]);
        let multicast = arena.ite(ipv6, multicast_v6.yes, class_d.yes);
        let broadcast = arena.minus(broadcast.yes, ipv6);
        let known_v4 = v4.iter().fold(Bdd::TRUE, |all, bit| arena.and(all, bit.known));
        let known_v6 = v6.iter().fold(Bdd::TRUE, |all, bit| arena.and(all, bit.known));
        let known = arena.ite(ipv6, known_v6, known_v4);
        // 2 local, 3 broadcast, 5 multicast.
        let mut bits = vec![Bit { value: Bdd::FALSE, known }; 29];
        bits.push(Bit { value: multicast, known });
        bits.push(Bit { value: !multicast, known });
        bits.push(Bit { value: arena.or(multicast, broadcast), known });
        self.registers.store(fib.dreg, &machine_order(&bits), &[nth]);
    }
}
