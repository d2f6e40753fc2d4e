//! What the expressions that load put into registers.

use nf_tables::{Ct, CtDirection, CtKey, Meta, MetaKey, Payload, PayloadBase, PayloadWrite, Register};

use super::registers::Registers;
use super::{Change, Walk};
use crate::facts::{DNAT, Facts, Field, Need, interface_number, network_layout, transport_layout};
use crate::packet::State;
use crate::statement::{ct_length, meta_length};

impl<F: Facts> Walk<'_, '_, F> {
    pub(super) fn load_meta(&self, registers: &mut Registers, meta: &Meta) -> Result<(), Need> {
        let dreg = meta.dreg;
        match meta.key {
            MetaKey::InputName => self.store_field(registers, dreg, Field::InputName),
            MetaKey::OutputName => self.store_field(registers, dreg, Field::OutputName),
            MetaKey::NfProtocol => self.store_field(registers, dreg, Field::Family),
            MetaKey::L4Protocol => self.store_field(registers, dreg, Field::Protocol),
            MetaKey::InputIndex => self.store_index(registers, dreg, Field::InputName),
            MetaKey::OutputIndex => self.store_index(registers, dreg, Field::OutputName),
            MetaKey::Protocol => {
                let ethertype: u16 = if self.facts.is_ipv6()? { 0x86dd } else { 0x0800 };
                registers.store(dreg, &ethertype.to_be_bytes());
                Ok(())
            }
            MetaKey::Mark => {
                match self.mark()? {
                    Some(mark) => registers.store(dreg, &mark.to_ne_bytes()),
                    None => registers.store_unknown(dreg, 4),
                }
                Ok(())
            }
            MetaKey::Length
            | MetaKey::Priority
            | MetaKey::InputType
            | MetaKey::OutputType
            | MetaKey::SocketUser
            | MetaKey::SocketGroup
            | MetaKey::Trace
            | MetaKey::RouteClass
            | MetaKey::SecurityMark
            | MetaKey::BridgeInputName
            | MetaKey::BridgeOutputName
            | MetaKey::PacketType
            | MetaKey::Cpu
            | MetaKey::InputGroup
            | MetaKey::OutputGroup
            | MetaKey::Cgroup
            | MetaKey::Random
            | MetaKey::SecurityPath
            | MetaKey::InputKind
            | MetaKey::OutputKind
            | MetaKey::BridgePortVlan
            | MetaKey::BridgeVlanProtocol
            | MetaKey::Time
            | MetaKey::Day
            | MetaKey::Hour
            | MetaKey::SlaveIndex
            | MetaKey::SlaveName
            | MetaKey::Other(_) => {
                registers.store_unknown(dreg, meta_length(meta.key));
                Ok(())
            }
        }
    }

    /// The packet's mark, as a rule before may have changed it.
    pub(super) fn mark(&self) -> Result<Option<u32>, Need> {
        match self.changes.mark {
            Change::None => Ok(self.facts.get(Field::Mark)?.and_then(|mark| u32::try_from(mark).ok())),
            Change::To(mark) => Ok(Some(mark)),
            Change::Unknown => Ok(None),
        }
    }

    /// The bit of the packet's state, as a rule before may have changed it.
    pub(super) fn state(&self) -> Result<Option<u32>, Need> {
        match self.changes.state {
            Change::None => Ok(self.facts.get(Field::State)?.and_then(|state| u32::try_from(state).ok())),
            Change::To(state) => Ok(Some(state)),
            Change::Unknown => Ok(None),
        }
    }

    /// Gives whether the rule goes on: nothing but the state is to be had of a packet without a connection.
    pub(super) fn load_ct(&self, registers: &mut Registers, ct: &Ct) -> Result<bool, Need> {
        let state = self.state()?;
        if let (CtKey::State, Some(state)) = (ct.key, state) {
            registers.store(ct.dreg, &state.to_ne_bytes());
            return Ok(true);
        }
        if [State::Invalid, State::Untracked].iter().any(|none| state == Some(none.bit())) {
            return Ok(false);
        }
        let original = ct.direction == Some(CtDirection::Original);
        match ct.key {
            CtKey::L3Protocol => self.store_field(registers, ct.dreg, Field::Family)?,
            // What is related may be an error about a flow of another protocol.
            CtKey::Protocol if state != Some(State::Related.bit()) => {
                self.store_field(registers, ct.dreg, Field::Protocol)?;
            }
            CtKey::Status => match self.is_published()? {
                Some(published) => {
                    registers.store_bit(ct.dreg, if published { IPS_DST_NAT } else { 0 }, IPS_DST_NAT);
                }
                None => registers.store_unknown(ct.dreg, 4),
            },
            CtKey::ProtocolDestination if original => {
                self.store_original(registers, ct.dreg, Field::OriginalPort, 2)?;
            }
            CtKey::DestinationIp if original && !self.facts.is_ipv6()? => {
                self.store_original(registers, ct.dreg, Field::OriginalDestination, 4)?;
            }
            CtKey::DestinationIp6 if original && self.facts.is_ipv6()? => {
                self.store_original(registers, ct.dreg, Field::OriginalDestination, 16)?;
            }
            _ => registers.store_unknown(ct.dreg, ct_length(ct)),
        }
        Ok(true)
    }

    /// Whether a NAT rule has changed the destination of the flow.
    pub(super) fn is_published(&self) -> Result<Option<bool>, Need> {
        match self.changes.published {
            Change::None => Ok(self.facts.get(Field::Status)?.map(|status| status == DNAT)),
            Change::To(()) => Ok(Some(true)),
            Change::Unknown => Ok(None),
        }
    }

    fn store_original(
        &self,
        registers: &mut Registers,
        dreg: Register,
        field: Field,
        size: usize,
    ) -> Result<(), Need> {
        match self.facts.get(field)? {
            Some(value) => registers.store(dreg, &value.to_be_bytes()[16 - size..]),
            None => registers.store_unknown(dreg, size),
        }
        Ok(())
    }

    pub(super) fn load_payload(&self, registers: &mut Registers, payload: &Payload) -> Result<(), Need> {
        let (Ok(offset), Ok(length)) = (usize::try_from(payload.offset), usize::try_from(payload.length))
        else {
            return Ok(());
        };
        let length = length.min(64);
        let ipv6 = self.facts.is_ipv6()?;
        let layout = match payload.base {
            PayloadBase::Network => network_layout(ipv6),
            PayloadBase::Transport => match self.facts.get(Field::Protocol)? {
                Some(protocol) => transport_layout(protocol),
                None => &[],
            },
            PayloadBase::Link | PayloadBase::Inner => &[],
        };
        let (mut bytes, mut known) = ([0_u8; 64], 0_u64);
        for &(field, at) in layout {
            let size = field.bytes(ipv6);
            if self.changes.bytes || at >= offset + length || offset >= at + size {
                continue;
            }
            let Some(value) = self.packet_field(field)? else {
                continue;
            };
            let field_bytes = &value.to_be_bytes()[16 - size..];
            for (nth, byte) in field_bytes.iter().enumerate() {
                let Some(place) = (at + nth).checked_sub(offset).filter(|&place| place < length) else {
                    continue;
                };
                bytes[place] = *byte;
                known |= 1 << place;
            }
        }
        registers.store_partly(payload.dreg, &bytes[..length], known);
        Ok(())
    }

    /// Bytes of the packet change. Of a hop limit it is known what becomes of it; after any other change, no byte is
    /// taken for known.
    pub(super) fn write_payload(
        &mut self,
        registers: &Registers,
        write: &PayloadWrite,
        for_certain: bool,
    ) -> Result<(), Need> {
        let hop_limit = if self.facts.is_ipv6()? { 7 } else { 8 };
        if (write.base, write.offset, write.length) == (PayloadBase::Network, hop_limit, 1) {
            let written = registers.value(write.sreg, 1).all().map(|byte| u128::from(byte[0]));
            self.changes.hop_limit = match written {
                Some(value) if for_certain => Change::To(value),
                Some(_) | None => Change::Unknown,
            };
        } else {
            self.changes.bytes = true;
        }
        Ok(())
    }

    /// A field of the packet's bytes, as address translation may have left it.
    pub(super) fn packet_field(&self, field: Field) -> Result<Option<u128>, Need> {
        match field {
            Field::Destination => match self.changes.destination {
                Change::None => self.facts.get(field),
                Change::To(address) => Ok(Some(address)),
                Change::Unknown => Ok(None),
            },
            Field::DestinationPort => match self.changes.destination_port {
                Change::None => self.facts.get(field),
                Change::To(port) => Ok(Some(u128::from(port))),
                Change::Unknown => Ok(None),
            },
            Field::HopLimit => match self.changes.hop_limit {
                Change::None => self.facts.get(field),
                Change::To(limit) => Ok(Some(limit)),
                Change::Unknown => Ok(None),
            },
            _ => self.facts.get(field),
        }
    }

    fn store_field(&self, registers: &mut Registers, dreg: Register, field: Field) -> Result<(), Need> {
        let size = field.bytes(false);
        match self.facts.get(field)? {
            None => registers.store_unknown(dreg, size),
            Some(value) => registers.store(dreg, &value.to_be_bytes()[16 - size..]),
        }
        Ok(())
    }

    /// An interface's index: 0 for none, 1 for loopback, and otherwise unknown, but neither of them.
    fn store_index(&self, registers: &mut Registers, dreg: Register, name: Field) -> Result<(), Need> {
        match self.facts.get(name)? {
            Some(0) => registers.store(dreg, &0_u32.to_ne_bytes()),
            Some(name) if name == interface_number("lo") => registers.store(dreg, &1_u32.to_ne_bytes()),
            Some(_) => registers.store_other_interface(dreg),
            None => registers.store_unknown(dreg, 4),
        }
        Ok(())
    }
}

/// [`DNAT`] as it stands in a register.
const IPS_DST_NAT: u32 = 0x20;
