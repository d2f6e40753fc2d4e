//! What a stranger outside can do: the same probes for `rehearse` and for `verify`.

pub(crate) mod judge;
mod logins;
mod ports;

pub(crate) use logins::{Attempt, Client, Offered, guess_passwords, log_in_by_key, methods};
pub(crate) use ports::{Reach, ShouldAnswer, Target, reach};

use host::Facts;
use host::facts::Protocol;

/// The port of a policy's entry, where it is a single UDP port.
pub(crate) fn single_udp_port(range: packet_filter::PortRange) -> Option<u16> {
    (range.transport == packet_filter::Transport::Udp && range.first == range.last).then_some(range.first)
}

/// The UDP ports on which something listens.
pub(crate) fn udp_listeners(facts: &Facts) -> Vec<u16> {
    let listeners = facts.network.listeners.known().map(Vec::as_slice).unwrap_or_default();
    let udp = listeners.iter().filter(|listener| listener.protocol == Protocol::Udp && listener.is_exposed());
    udp.map(|listener| listener.port).collect()
}
