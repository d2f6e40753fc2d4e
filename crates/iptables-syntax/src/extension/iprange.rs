//! `-m iprange`: ranges of addresses.

use std::net::IpAddr;

use crate::{Interval, Negatable};

/// Ranges of addresses. At least one is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Iprange {
    /// `--src-range`.
    pub source: Option<Negatable<Interval<IpAddr>>>,
    /// `--dst-range`.
    pub destination: Option<Negatable<Interval<IpAddr>>>,
}
