//! How the person that runs this came in.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The session that this program runs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WayIn {
    /// By what.
    pub via: Via,
    /// The login name of the session, before any sudo.
    pub user: Option<String>,
    /// Start of the session's own process (the sshd session, or the login), in clock ticks since boot.
    pub started_ticks: Option<u64>,
    /// Its process id.
    pub session_pid: Option<u32>,
}

/// By what a session came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// Over SSH.
    Ssh {
        /// The client's address.
        peer: IpAddr,
        /// The client's port.
        peer_port: u16,
        /// The address of this host that it is connected to.
        local: IpAddr,
        /// ... and the port.
        local_port: u16,
    },
    /// Not over the network: a console, a service, a container's shell.
    Console,
}
