//! `-j CT`: sets connection tracking up for a packet, or keeps it away from it.

/// Sets connection tracking up for a packet, or keeps it away from it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ct {
    /// `--notrack`.
    pub notrack: bool,
    /// `--helper`.
    pub helper: Option<String>,
    /// `--timeout`.
    pub timeout: Option<String>,
    /// `--ctevents`.
    pub events: Option<CtEvents>,
    /// `--expevents new`.
    pub expectation_events: bool,
    /// `--zone`, `--zone-orig`, `--zone-reply`.
    pub zone: Option<CtZone>,
}

/// Which events a connection tells of: the bits are the kernel's (`1 << IPCT_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CtEvents(pub u16);

impl CtEvents {
    /// The names, by bit.
    pub const NAMES: [&'static str; 10] = [
        "new",
        "related",
        "destroy",
        "reply",
        "assured",
        "protoinfo",
        "helper",
        "mark",
        "natseqinfo",
        "secmark",
    ];
}

/// The zone of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CtZone {
    /// The number; `None`: the packet's mark.
    pub number: Option<u16>,
    /// One direction alone: `Some(true)` the original, `Some(false)` the reply.
    pub original: Option<bool>,
}
