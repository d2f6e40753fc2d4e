//! `-m tos`: the type of service.

use crate::{Masked, Negatable};

/// The type of service (IPv4) or traffic class (IPv6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tos {
    /// `--tos`.
    pub value: Negatable<Masked<u8>>,
}
