//! `-m sctp`: ports and chunks.

use crate::{Negatable, PortRange};

/// Ports and chunks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sctp {
    /// `--source-port`.
    pub source_ports: Option<Negatable<PortRange>>,
    /// `--destination-port`.
    pub destination_ports: Option<Negatable<PortRange>>,
    /// `--chunk-types`.
    pub chunks: Option<Negatable<SctpChunks>>,
}

/// Kinds of chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SctpChunks {
    /// How they are asked for.
    pub scope: ChunkScope,
    /// The kinds; every kind for `ALL` and none for `NONE`.
    pub kinds: Vec<SctpChunk>,
}

/// How chunks are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChunkScope {
    /// Each of the kinds is there.
    All,
    /// One of the kinds is there.
    Any,
    /// No other kind is there.
    Only,
}

/// A kind of chunk, with its flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SctpChunk {
    /// The number of the kind.
    pub kind: u8,
    /// The flags that are looked at.
    pub flag_mask: u8,
    /// Those of them that are set.
    pub flags: u8,
}
