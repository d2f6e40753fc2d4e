//! Names of services and the ports they stand for.
//!
//! Ports are those of the IANA registry, except for `ssh`: that is where the host's own sshd listens.

use crate::model::{Allow, PortSpec, Transport};

/// A named service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service {
    /// The name in the policy.
    pub name: &'static str,
    /// Its registered ports.
    pub ports: &'static [PortSpec],
    /// What it is, in a few words.
    pub meaning: &'static str,
}

/// A service name that the table does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown service `{0}`")]
pub struct UnknownService(pub String);

const fn tcp(port: u16) -> PortSpec {
    PortSpec { transport: Transport::Tcp, first: port, last: port }
}

const fn udp(port: u16) -> PortSpec {
    PortSpec { transport: Transport::Udp, first: port, last: port }
}

const fn udp_range(first: u16, last: u16) -> PortSpec {
    PortSpec { transport: Transport::Udp, first, last }
}

const fn service(name: &'static str, ports: &'static [PortSpec], meaning: &'static str) -> Service {
    Service { name, ports, meaning }
}

/// All services, sorted by name.
pub const SERVICES: &[Service] = &[
    service("amqp", &[tcp(5672)], "RabbitMQ and other AMQP brokers"),
    service("amqps", &[tcp(5671)], "AMQP over TLS"),
    service("bgp", &[tcp(179)], "border gateway protocol"),
    service("cockpit", &[tcp(9090)], "Cockpit web console"),
    service("dhcp", &[udp(67)], "DHCP server"),
    service("dhcpv6", &[udp(547)], "DHCPv6 server"),
    service("dhcpv6-client", &[udp(546)], "answers to the DHCPv6 client of this host"),
    service("dns", &[tcp(53), udp(53)], "name server"),
    service("dns-over-tls", &[tcp(853)], "name server over TLS"),
    service("ftp", &[tcp(21)], "FTP control connection"),
    service("git", &[tcp(9418)], "git daemon"),
    service("http", &[tcp(80)], "web server"),
    service("http3", &[udp(443)], "web server over QUIC"),
    service("https", &[tcp(443)], "web server over TLS"),
    service("imap", &[tcp(143)], "mail access"),
    service("imaps", &[tcp(993)], "mail access over TLS"),
    service("ipp", &[tcp(631)], "printing"),
    service("ipsec", &[udp(500), udp(4500)], "IKE and NAT traversal"),
    service("kerberos", &[tcp(88), udp(88)], "Kerberos key distribution"),
    service("kubernetes-api", &[tcp(6443)], "Kubernetes API server"),
    service("ldap", &[tcp(389)], "directory"),
    service("ldaps", &[tcp(636)], "directory over TLS"),
    service("mdns", &[udp(5353)], "multicast names on the local link"),
    service("memcached", &[tcp(11211)], "memcached"),
    service("mongodb", &[tcp(27017)], "MongoDB"),
    service("mosh", &[udp_range(60000, 61000)], "mobile shell"),
    service("mqtt", &[tcp(1883)], "MQTT broker"),
    service("mqtts", &[tcp(8883)], "MQTT over TLS"),
    service("mysql", &[tcp(3306)], "MySQL and MariaDB"),
    service("nfs", &[tcp(2049)], "NFS version 4"),
    service("node-exporter", &[tcp(9100)], "Prometheus node exporter"),
    service("ntp", &[udp(123)], "time server"),
    service("openvpn", &[udp(1194)], "OpenVPN"),
    service("pop3", &[tcp(110)], "mail download"),
    service("pop3s", &[tcp(995)], "mail download over TLS"),
    service("postgres", &[tcp(5432)], "PostgreSQL"),
    service("rdp", &[tcp(3389)], "remote desktop"),
    service("redis", &[tcp(6379)], "Redis and Valkey"),
    service("rsync", &[tcp(873)], "rsync daemon"),
    service("rtmp", &[tcp(1935)], "streaming"),
    service("samba", &[tcp(139), tcp(445), udp(137), udp(138)], "Windows file sharing"),
    service("sip", &[tcp(5060), udp(5060)], "telephony"),
    service("smtp", &[tcp(25)], "mail from other servers"),
    service("snmp", &[udp(161)], "monitoring agent"),
    service("ssh", &[tcp(22)], "wherever the SSH server of this host listens"),
    service("submission", &[tcp(587)], "mail from users"),
    service("submissions", &[tcp(465)], "mail from users over TLS"),
    service("syslog", &[udp(514)], "remote logging"),
    service("syslog-tls", &[tcp(6514)], "remote logging over TLS"),
    service("turn", &[tcp(3478), udp(3478)], "STUN and TURN relay"),
    service("vnc", &[tcp(5900)], "remote screen"),
    service("wireguard", &[udp(51820)], "WireGuard"),
];

/// The service of that name.
pub fn lookup(name: &str) -> Option<&'static Service> {
    SERVICES.binary_search_by(|service| service.name.cmp(name)).ok().map(|at| &SERVICES[at])
}

/// The service that has this port as one of its own, `ssh` by its registered port.
pub fn by_port(transport: Transport, port: u16) -> Option<&'static Service> {
    let has = |spec: &PortSpec| spec.transport == transport && (spec.first..=spec.last).contains(&port);
    SERVICES.iter().find(|service| service.ports.iter().any(has))
}

impl Allow {
    /// The ports that this entry lets in, sorted, each once. `ssh` means `ssh_ports`: the TCP ports on which
    /// the host's sshd listens.
    ///
    /// # Errors
    /// A service that the table does not hold; a parsed policy never has one.
    pub fn ports(&self, ssh_ports: &[u16]) -> Result<Vec<PortSpec>, UnknownService> {
        let mut ports = self.port.clone();
        for name in &self.service {
            match name.as_str() {
                "ssh" => ports.extend(ssh_ports.iter().map(|&port| tcp(port))),
                other => ports.extend(lookup(other).ok_or_else(|| UnknownService(other.to_owned()))?.ports),
            }
        }
        ports.sort_unstable();
        ports.dedup();
        Ok(ports)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_every_name_is_found_in_it() {
        assert!(SERVICES.is_sorted_by(|a, b| a.name < b.name));
        for service in SERVICES {
            assert_eq!(lookup(service.name), Some(service));
        }
        assert_eq!(lookup("telnet"), None);
    }

    #[test]
    fn ssh_means_where_sshd_listens_and_ports_come_sorted_and_once() {
        let allow = Allow {
            service: vec!["https".to_owned(), "ssh".to_owned(), "dns".to_owned()],
            port: vec![tcp(443), udp_range(60000, 61000)],
            ..Allow::default()
        };
        assert_eq!(
            allow.ports(&[2222, 22]).unwrap(),
            [tcp(22), tcp(53), tcp(443), tcp(2222), udp(53), udp_range(60000, 61000)]
        );
        let unknown = Allow { service: vec!["gopher".to_owned()], ..Allow::default() };
        assert_eq!(unknown.ports(&[22]), Err(UnknownService("gopher".to_owned())));
    }

    #[test]
    fn a_port_finds_its_service() {
        assert_eq!(by_port(Transport::Tcp, 443).map(|s| s.name), Some("https"));
        assert_eq!(by_port(Transport::Udp, 443).map(|s| s.name), Some("http3"));
        assert_eq!(by_port(Transport::Tcp, 8080), None);
    }
}
