//! Links, addresses, routes and listening sockets as facts.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::Fact;

/// The network as the host's own namespace sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Network {
    /// Links.
    pub links: Fact<Vec<Link>>,
    /// Addresses.
    pub addresses: Fact<Vec<Address>>,
    /// Routes of the main table.
    pub routes: Fact<Vec<Route>>,
    /// TCP sockets that listen and UDP sockets that are bound.
    pub listeners: Fact<Vec<Listener>>,
}

/// A link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Link {
    /// Index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Administratively up.
    pub up: bool,
}

/// An address of a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Address {
    /// The link's name.
    pub link: String,
    /// Address with its prefix length.
    pub address: IpNet,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Route {
    /// Destination.
    pub to: IpNet,
    /// Next hop.
    pub gateway: Option<IpAddr>,
    /// Outgoing link.
    pub link: Option<String>,
}

/// Transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A socket that takes packets from the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Listener {
    /// Protocol.
    pub protocol: Protocol,
    /// Local address; unspecified for a wildcard.
    pub address: IpAddr,
    /// Local port.
    pub port: u16,
    /// An IPv6 wildcard that takes no IPv4.
    pub v6_only: bool,
    /// Bound to this link only.
    pub link: Option<String>,
    /// Owning processes: id, executable, command name.
    pub owners: Vec<Owner>,
}

/// A process that holds a socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Owner {
    /// Process id.
    pub pid: u32,
    /// `/proc/PID/comm`, which the process itself chooses.
    pub name: String,
    /// Executable, where it could be read.
    pub program: Option<PathBuf>,
}

impl Listener {
    /// Reachable from outside the host itself, as far as its address goes.
    pub fn is_exposed(&self) -> bool {
        let loopback = match self.address {
            IpAddr::V4(address) => address.is_loopback(),
            IpAddr::V6(address) => {
                address.is_loopback() || address.to_ipv4_mapped().is_some_and(|mapped| mapped.is_loopback())
            }
        };
        !loopback && self.link.as_deref() != Some("lo")
    }
}
