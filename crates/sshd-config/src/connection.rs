//! The connection that a configuration is asked about.

use std::fmt;
use std::net::IpAddr;

/// What `Match` can see of a connection: the fields of `sshd -T -C`. What is `None` or empty matches nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Connection {
    /// The name of the user who logs in.
    pub user: Option<String>,
    /// All groups of that user, primary first. `sshd -T` looks them up itself; here they are given.
    pub groups: Vec<String>,
    /// The host name of the client; its address in text where `UseDNS` is off.
    pub host: Option<String>,
    /// The address of the client.
    pub address: Option<IpAddr>,
    /// The address of the server that the client connected to.
    pub local_address: Option<IpAddr>,
    /// The port of the server that the client connected to.
    pub local_port: Option<u16>,
    /// The routing domain of the connection, where the system has them.
    pub rdomain: Option<String>,
    /// The user does not exist.
    pub invalid_user: bool,
}

impl Connection {
    /// A connection of a user from an address, as most questions need it; the host is the address in text.
    #[must_use]
    pub fn of(user: &str, address: IpAddr) -> Self {
        Self {
            user: Some(user.to_owned()),
            host: Some(address.to_string()),
            address: Some(address),
            ..Self::default()
        }
    }

    /// The argument of `sshd -T -C` that asks the same. Groups are not in it: sshd looks them up.
    #[must_use]
    pub fn to_test_spec(&self) -> String {
        let mut parts = Vec::new();
        let mut put =
            |key: &str, value: Option<String>| parts.extend(value.map(|value| format!("{key}={value}")));
        put("user", self.user.clone());
        put("host", self.host.clone());
        put("addr", self.address.map(|address| address.to_string()));
        put("laddr", self.local_address.map(|address| address.to_string()));
        put("lport", self.local_port.map(|port| port.to_string()));
        put("rdomain", self.rdomain.clone());
        if self.invalid_user {
            parts.push("invalid-user".to_owned());
        }
        parts.join(",")
    }
}

/// `user root (groups wheel) from 192.0.2.1 to 10.0.0.1 port 22`.
impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user {}", self.user.as_deref().unwrap_or("any"))?;
        if !self.groups.is_empty() {
            write!(f, " (groups {})", self.groups.join(", "))?;
        }
        match (&self.host, self.address) {
            (Some(host), Some(address)) if *host != address.to_string() => {
                write!(f, " from {host} [{address}]")?;
            }
            (_, Some(address)) => write!(f, " from {address}")?,
            (Some(host), None) => write!(f, " from {host}")?,
            (None, None) => {}
        }
        if let Some(address) = self.local_address {
            write!(f, " to {address}")?;
        }
        if let Some(port) = self.local_port {
            write!(f, " port {port}")?;
        }
        if let Some(rdomain) = &self.rdomain {
            write!(f, " in rdomain {rdomain}")?;
        }
        if self.invalid_user {
            write!(f, " (no such user)")?;
        }
        Ok(())
    }
}
