//! What connection tracking knows of a packet.
//!
//! An expression of `nf_tables` that asks for anything but the state does not match a packet without a connection, whether
//! it is negated or not. `xt_conntrack` decides such a packet (INVALID, UNTRACKED) by its state alone, and where the rule
//! asks for no state, does not match it.

use iptables_syntax::extension::{Conntrack, CtDirection as Way, CtStates};
use iptables_syntax::{AddressSpec, Family, Interval, Negatable, PortRange};
use nf_tables::{Bitwise, Ct, CtDirection, CtKey, DataType, Element, Expression, Register, Set};

use super::Untranslatable;
use super::build::{Build, Built, KEY};
use crate::packet::State;
use crate::ranges::Ranges;

/// States with their bits in `ct state`.
const STATES: [(CtStates, State); 5] = [
    (CtStates::INVALID, State::Invalid),
    (CtStates::NEW, State::New),
    (CtStates::RELATED, State::Related),
    (CtStates::ESTABLISHED, State::Established),
    (CtStates::UNTRACKED, State::Untracked),
];

/// `IPS_SRC_NAT`, `IPS_DST_NAT`.
const STATUSES: [(CtStates, u32); 2] = [(CtStates::SNAT, 0x10), (CtStates::DNAT, 0x20)];

/// The states of a packet without a connection.
const WITHOUT_CONNECTION: u8 = CtStates::INVALID.0 | CtStates::UNTRACKED.0;

/// `--ctstate`, `--state`.
pub(super) fn states(build: &mut Build<'_>, states: Negatable<CtStates>) -> Built {
    let Negatable { negated, value } = states;
    let state: u32 = bits(value, STATES.map(|(states, state)| (states, state.bit())));
    let status: u32 = bits(value, STATUSES);
    if status == 0 {
        build.ct(CtKey::State, None);
        build.has_bit(negated, state);
        return Ok(());
    }
    if negated || value.0 & WITHOUT_CONNECTION != 0 {
        return Err(Untranslatable::new(
            "-m conntrack --ctstate with SNAT or DNAT for packets without a connection",
        ));
    }
    if state == 0 {
        build.ct(CtKey::Status, None);
        build.has_bit(false, status);
        return Ok(());
    }
    // One of the two has a bit: the pair of both is not the pair of zeros.
    let second = Register::slot(1).unwrap_or(Register::R2);
    for (key, dreg, bits) in [(CtKey::State, KEY, state), (CtKey::Status, second, status)] {
        build.push(Expression::Ct(Ct { key, direction: None, dreg }));
        build.push(Expression::Bitwise(Bitwise::mask(dreg, bits.to_ne_bytes())));
    }
    let kind = DataType::concatenation(&[DataType::CT_STATE, CT_STATUS]);
    build.look_up(true, Set::new("", kind, 8), vec![Element::new([0; 8])]);
    Ok(())
}

/// `TYPE_CT_STATUS` of `include/datatype.h` of nftables.
const CT_STATUS: DataType = DataType(28);

fn bits<const N: usize>(states: CtStates, table: [(CtStates, u32); N]) -> u32 {
    table.iter().filter(|(one, _)| states.contains(*one)).fold(0, |mask, (_, bit)| mask | bit)
}

pub(super) fn conntrack(build: &mut Build<'_>, conntrack: &Conntrack) -> Built {
    let rest = Conntrack { states: None, ..conntrack.clone() };
    if let Some(asked) = conntrack.states {
        let without = asked.value.0 & WITHOUT_CONNECTION;
        let may_lack_connection = if asked.negated { without != WITHOUT_CONNECTION } else { without != 0 };
        if may_lack_connection && rest != Conntrack::default() {
            return Err(Untranslatable::new(
                "-m conntrack with a state of packets without a connection and other conditions",
            ));
        }
        states(build, asked)?;
    }
    if let Some(Negatable { negated, value }) = conntrack.protocol {
        build.ct(CtKey::Protocol, None);
        build.is(negated, &[value.0]);
    }
    let (original, reply) = (CtDirection::Original, CtDirection::Reply);
    address(build, conntrack.original_source.as_ref(), original, [CtKey::SourceIp, CtKey::SourceIp6])?;
    address(build, conntrack.original_destination.as_ref(), original, DESTINATION)?;
    address(build, conntrack.reply_source.as_ref(), reply, [CtKey::SourceIp, CtKey::SourceIp6])?;
    address(build, conntrack.reply_destination.as_ref(), reply, DESTINATION)?;
    port(build, conntrack.original_source_ports, original, CtKey::ProtocolSource);
    port(build, conntrack.original_destination_ports, original, CtKey::ProtocolDestination);
    port(build, conntrack.reply_source_ports, reply, CtKey::ProtocolSource);
    port(build, conntrack.reply_destination_ports, reply, CtKey::ProtocolDestination);
    if let Some(Negatable { negated, value }) = conntrack.statuses {
        // The first name is that of no status; the bits of the others begin with `IPS_EXPECTED`, 1.
        build.ct(CtKey::Status, None);
        build.has_bit(negated, u32::from(value.0 >> 1));
    }
    if let Some(Negatable { negated, value: Interval { first, last } }) = conntrack.expire {
        // The kernel tells milliseconds, of which `xt_conntrack` takes whole seconds.
        let ends = (u128::from(first) * 1000, (u128::from(last) * 1000 + 999).min(u32::MAX.into()));
        build.ct(CtKey::Expiration, None);
        build.in_network_order();
        build.among(negated, DataType::INTEGER, 4, &Ranges::new([ends]));
    }
    if let Some(way) = conntrack.direction {
        build.ct(CtKey::Direction, None);
        build.is(false, &[u8::from(way == Way::Reply)]);
    }
    Ok(())
}

const DESTINATION: [CtKey; 2] = [CtKey::DestinationIp, CtKey::DestinationIp6];

fn address(
    build: &mut Build<'_>,
    asked: Option<&Negatable<AddressSpec>>,
    direction: CtDirection,
    [v4, v6]: [CtKey; 2],
) -> Built {
    let Some(Negatable { negated, value }) = asked else { return Ok(()) };
    let (address, mask) = match value {
        AddressSpec::V4 { address, mask } => (address.octets().to_vec(), mask.octets().to_vec()),
        AddressSpec::V6 { address, mask } => (address.octets().to_vec(), mask.octets().to_vec()),
        AddressSpec::Name(name) => {
            return Err(Untranslatable::new(format!("-m conntrack with {name}: a host name")));
        }
    };
    let key = if build.family("-m conntrack with an address")? == Family::Ipv4 { v4 } else { v6 };
    build.ct(key, Some(direction));
    build.mask(&mask);
    build.is(*negated, &address);
    Ok(())
}

fn port(build: &mut Build<'_>, asked: Option<Negatable<PortRange>>, direction: CtDirection, key: CtKey) {
    if let Some(Negatable { negated, value }) = asked {
        build.ct(key, Some(direction));
        let range = Ranges::new([(value.first.into(), value.last.into())]);
        build.among(negated, DataType::INET_SERVICE, 2, &range);
    }
}
