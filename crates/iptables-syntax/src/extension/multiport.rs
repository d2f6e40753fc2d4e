//! `-m multiport`: lists of ports.

use crate::{Negatable, PortRange};

/// At most 15 ports, of which a range counts as two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multiport {
    /// Which port is meant.
    pub side: PortSide,
    /// The ports.
    pub ports: Negatable<Vec<PortRange>>,
}

/// Which port is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PortSide {
    /// `--sports`.
    Source,
    /// `--dports`.
    Destination,
    /// `--ports`: one of the two.
    Either,
}
