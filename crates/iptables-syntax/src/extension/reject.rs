//! `-j REJECT`: the packet is dropped and its sender is told.

/// The packet is dropped and its sender is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reject {
    /// `--reject-with`; the port is unreachable when it is left out.
    pub with: RejectWith,
}

/// What the sender is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectWith {
    /// `icmp-net-unreachable`.
    NetUnreachable,
    /// `icmp-host-unreachable`.
    HostUnreachable,
    /// `icmp-proto-unreachable`.
    ProtocolUnreachable,
    /// `icmp-port-unreachable`.
    PortUnreachable,
    /// `icmp-net-prohibited`.
    NetProhibited,
    /// `icmp-host-prohibited`.
    HostProhibited,
    /// `icmp-admin-prohibited`.
    AdminProhibited,
    /// `icmp6-no-route`.
    NoRoute6,
    /// `icmp6-adm-prohibited`.
    AdminProhibited6,
    /// `icmp6-addr-unreachable`.
    AddressUnreachable6,
    /// `icmp6-port-unreachable`.
    PortUnreachable6,
    /// `icmp6-policy-fail`.
    PolicyFail6,
    /// `icmp6-reject-route`.
    RejectRoute6,
    /// `tcp-reset`.
    TcpReset,
}
