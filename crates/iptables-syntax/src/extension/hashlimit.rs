//! `-m hashlimit`: a rate for each address, port or pair of them.

use crate::Rate;

/// A rate for each address, port or pair of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashlimit {
    /// `--hashlimit-name`: the table of counters, which rules of the same name share.
    pub name: String,
    /// `--hashlimit-above` where true, else `--hashlimit-upto`.
    pub above: bool,
    /// The rate.
    pub rate: HashRate,
    /// `--hashlimit-burst`: packets, or bytes for a rate in bytes (then `None` where it is left out).
    pub burst: Option<u64>,
    /// `--hashlimit-mode srcip`.
    pub source_address: bool,
    /// `--hashlimit-mode srcport`.
    pub source_port: bool,
    /// `--hashlimit-mode dstip`.
    pub destination_address: bool,
    /// `--hashlimit-mode dstport`.
    pub destination_port: bool,
    /// `--hashlimit-srcmask`: the prefix that sources share.
    pub source_mask: u8,
    /// `--hashlimit-dstmask`.
    pub destination_mask: u8,
    /// `--hashlimit-htable-size`: buckets.
    pub size: Option<u32>,
    /// `--hashlimit-htable-max`: entries.
    pub maximum: Option<u32>,
    /// `--hashlimit-htable-gcinterval`, in milliseconds.
    pub gc_interval: Option<u32>,
    /// `--hashlimit-htable-expire`, in milliseconds.
    pub expire: Option<u32>,
    /// `--hashlimit-rate-match`: the whole flow is classified by its rate.
    pub rate_match: bool,
    /// `--hashlimit-rate-interval`, in seconds.
    pub rate_interval: Option<u32>,
}

/// What a [`Hashlimit`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashRate {
    /// Packets.
    Packets(Rate),
    /// Bytes in each second, as the kernel's resolution of 16 bytes leaves it.
    Bytes(u64),
}
