//! `-m connmark`, `-j CONNMARK`: the mark of the connection.

use crate::{Masked, Negatable};

/// The mark of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connmark {
    /// `--mark`.
    pub mark: Negatable<Masked<u32>>,
}

/// Writes the mark of the connection, or copies it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnmarkTarget {
    /// `--set-xmark value/mask`: `ctmark = (ctmark & !mask) ^ value`.
    Set(Masked<u32>),
    /// `--save-mark`: from the packet to the connection.
    Save {
        /// `--nfmask`.
        packet_mask: u32,
        /// `--ctmask`.
        connection_mask: u32,
    },
    /// `--restore-mark`: from the connection to the packet.
    Restore {
        /// `--nfmask`.
        packet_mask: u32,
        /// `--ctmask`.
        connection_mask: u32,
    },
}
