//! `-m udp`: ports.

use crate::{Negatable, PortRange};

/// Ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Udp {
    /// `--source-port`.
    pub source_ports: Option<Negatable<PortRange>>,
    /// `--destination-port`.
    pub destination_ports: Option<Negatable<PortRange>>,
}
