//! Something that listens in a host, for probes from outside.

use crate::error::Result;
use crate::host::Host;
use crate::process::Running;
use std::net::IpAddr;
use std::time::Duration;

/// A transport protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP: each connection is greeted with [`GREETING`] and closed.
    Tcp,
    /// UDP: each datagram is sent back.
    Udp,
}

/// What a TCP listener says.
pub const GREETING: &str = "gabion lab\n";

/// perl is the one interpreter in Debian's essential packages that has sockets. Arguments: protocol, address, port.
const SCRIPT: &str = r#"
use strict; use Socket;
my ($protocol, $address, $port) = @ARGV;
my $v6 = $address =~ /:/;
my $family = $v6 ? AF_INET6 : AF_INET;
my $packed = Socket::inet_pton($family, $address);
my $name = $v6 ? pack_sockaddr_in6($port, $packed) : pack_sockaddr_in($port, $packed);
socket(my $socket, $family, $protocol eq "tcp" ? SOCK_STREAM : SOCK_DGRAM, 0) or die "socket: $!";
setsockopt($socket, SOL_SOCKET, SO_REUSEADDR, 1);
bind($socket, $name) or die "bind: $!";
if ($protocol eq "tcp") { listen($socket, 128) or die "listen: $!"; }
$| = 1; print "listening\n";
$SIG{PIPE} = "IGNORE";
if ($protocol eq "tcp") {
    while (1) { accept(my $client, $socket) or next; syswrite($client, "gabion lab\n"); close($client); }
}
while (1) { my $peer = recv($socket, my $bytes, 65536, 0) or next; send($socket, $bytes, 0, $peer); }
"#;

impl Host {
    /// Starts a listener in the host on `address` (`0.0.0.0` and `::` are all; `::` takes IPv4 as well) and returns
    /// when it listens. It ends when the handle is dropped.
    ///
    /// # Errors
    /// Where the port is taken or the address is not the host's.
    pub fn listen(&self, transport: Transport, address: impl Into<IpAddr>, port: u16) -> Result<Running> {
        let protocol = match transport {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        };
        let (address, port) = (address.into().to_string(), port.to_string());
        let listener = self.spawn(&["perl", "-e", SCRIPT, protocol, &address, &port])?;
        listener.expect("listening", Duration::from_secs(60))?;
        Ok(listener)
    }
}
