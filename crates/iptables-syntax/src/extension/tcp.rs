//! `-m tcp`: ports, flags and options.

use crate::{Negatable, PortRange};

/// Ports, flags and options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tcp {
    /// `--source-port`.
    pub source_ports: Option<Negatable<PortRange>>,
    /// `--destination-port`.
    pub destination_ports: Option<Negatable<PortRange>>,
    /// `--tcp-flags`, `--syn`.
    pub flags: Option<Negatable<TcpFlags>>,
    /// `--tcp-option`.
    pub option: Option<Negatable<u8>>,
}

/// Which flags are looked at, and which of them are set: the bits of the header (RFC 9293).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TcpFlags {
    /// The flags that are looked at.
    pub mask: u8,
    /// Those of them that are set.
    pub set: u8,
}

impl TcpFlags {
    /// The names, by bit.
    pub const NAMES: [&'static str; 6] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG"];
    /// `--syn`: of FIN, SYN, RST, ACK the SYN alone.
    pub const SYN: Self = Self { mask: 0x17, set: 0x02 };
}
