//! `-m policy`: `IPsec` policies.

use crate::{AddressSpec, Negatable, Protocol};

/// `IPsec` policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// `--dir`: `in` where true, else `out`.
    pub inbound: bool,
    /// `--pol`: `ipsec` where true, else `none`.
    pub ipsec: bool,
    /// `--strict`: every element must be there, in this order; else any.
    pub strict: bool,
    /// The elements, at most 4.
    pub elements: Vec<PolicyElement>,
}

/// What must hold of one transformation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyElement {
    /// `--reqid`.
    pub reqid: Option<Negatable<u32>>,
    /// `--spi`.
    pub spi: Option<Negatable<u32>>,
    /// `--proto`: ah, esp or ipcomp.
    pub protocol: Option<Negatable<Protocol>>,
    /// `--mode`.
    pub mode: Option<Negatable<IpsecMode>>,
    /// `--tunnel-dst`.
    pub tunnel_destination: Option<Negatable<AddressSpec>>,
    /// `--tunnel-src`.
    pub tunnel_source: Option<Negatable<AddressSpec>>,
}

/// `--mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IpsecMode {
    /// `transport`.
    Transport,
    /// `tunnel`.
    Tunnel,
}
