//! Whether the kernel's packet filter lets a packet through, by simulation over all its tables.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use host::facts::Protocol;
use host::facts::{IptablesSave, IptablesVariant};
use host::{Fact, Facts};
use iptables_syntax::{Family, Mode, parse_save};
use nf_tables::TableDump;
use packet_filter::{DecidedBy, Decision, Hook, Machine, Packet, Payload, Reason, State};

/// A source that no host has: documentation networks (RFC 5737, RFC 3849).
pub(crate) const SOMEBODY: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 7)),
];

/// A port from which clients connect.
const CLIENT_PORT: u16 = 50_000;
/// The flags of the answer to a first TCP packet: SYN and ACK.
const SYN_ACK: u8 = 0x12;

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It gets through, by this rule or policy.
    Passes(String),
    /// It does not, by this rule or policy.
    Stopped(String),
    /// That cannot be said, for this reason.
    Unknown(String),
}

/// The packet filter of a host, ready to be asked.
pub(crate) struct Filter<'a> {
    facts: &'a Facts,
    tables: Tables<'a>,
    /// Why what `nf_tables` accepts may yet be refused.
    legacy: Option<String>,
}

/// What decides.
enum Tables<'a> {
    /// The tables of `nf_tables`.
    Live(Machine<'a>),
    /// Beside them, those of the old `x_tables`, as far as iptables-save tells of them.
    WithLegacy(&'a [TableDump], Vec<TableDump>),
}

impl<'a> Filter<'a> {
    /// The filter that the kernel holds.
    ///
    /// # Errors
    /// Why it is not known.
    pub(crate) fn of(facts: &'a Facts) -> Result<Self, String> {
        let tables: &[TableDump] = match &facts.firewall.ruleset {
            Fact::Known(ruleset) => &ruleset.tables,
            // A kernel without it has no tables of it.
            Fact::Unknown(_) if facts.firewall.has_nf_tables == Fact::Known(false) => &[],
            Fact::Unknown(reason) => return Err(reason.clone()),
        };
        if let Some(legacy) = legacy_tables(facts) {
            return Ok(Self { facts, tables: Tables::WithLegacy(tables, legacy), legacy: None });
        }
        let legacy = match &facts.firewall.legacy_tables {
            Fact::Known(tables) if tables.is_empty() => None,
            Fact::Known(tables) => {
                Some(format!("the old x_tables are in use ({}), and are not seen", tables.join(", ")))
            }
            Fact::Unknown(reason) => {
                Some(format!("whether the old x_tables are in use is not known: {reason}"))
            }
        };
        Ok(Self { facts, tables: Tables::Live(Machine::new(tables)), legacy })
    }

    /// What becomes of the first packet from `peer` to a port of this host.
    pub(crate) fn fate(&self, protocol: Protocol, peer: IpAddr, local: SocketAddr) -> Fate {
        let from = SocketAddr::new(peer, CLIENT_PORT);
        let packet = match protocol {
            Protocol::Tcp => Packet::tcp(from, local),
            Protocol::Udp => Packet::udp(from, local),
        };
        let Ok(packet) = packet else {
            return Fate::Unknown(format!("{peer} and {local} are of two families"));
        };
        let packet = packet.arriving_on(interface_of(self.facts, local.ip()));
        self.read(&self.decide(&[Hook::Prerouting, Hook::Input], &packet))
    }

    /// What becomes of the answer to the first packet of a TCP connection.
    pub(crate) fn fate_of_answer(&self, peer: IpAddr, local: SocketAddr) -> Fate {
        let Ok(mut packet) = Packet::tcp(local, SocketAddr::new(peer, CLIENT_PORT)) else {
            return Fate::Unknown(format!("{peer} and {local} are of two families"));
        };
        packet.payload = Payload::Tcp { source: local.port(), destination: CLIENT_PORT, flags: SYN_ACK };
        let packet = packet.leaving_by(interface_of(self.facts, local.ip())).in_state(State::Established);
        self.read(&self.decide(&[Hook::Output, Hook::Postrouting], &packet))
    }

    fn decide(&self, hooks: &[Hook], packet: &Packet) -> Decision {
        match &self.tables {
            Tables::Live(machine) => machine.decide_along(hooks, packet),
            Tables::WithLegacy(tables, legacy) => {
                Machine::new(tables.iter().chain(legacy)).decide_along(hooks, packet)
            }
        }
    }

    fn read(&self, decision: &Decision) -> Fate {
        let by = match &decision.decided_by {
            DecidedBy::Nobody => "no rule of the kernel: there is none for such packets".to_owned(),
            somebody @ (DecidedBy::Rule(_) | DecidedBy::Policy { .. }) => somebody.to_string(),
        };
        let is_rate = |reason: &Reason| matches!(reason, Reason::Rate { .. });
        let known = decision.certain || decision.depends_on.iter().all(is_rate);
        match (decision.verdict.is_accept(), decision.verdict.is_refusal(), &self.legacy) {
            (true, _, Some(reason)) => Fate::Unknown(reason.clone()),
            (true, _, None) if known => Fate::Passes(by),
            // A rate that is kept would have let it through: what is past the rate is stopped.
            (_, true, _) if decision.certain => Fate::Stopped(by),
            _ => {
                let reasons: Vec<String> = decision.depends_on.iter().map(ToString::to_string).collect();
                Fate::Unknown(match reasons.is_empty() {
                    true => format!("it is {}, by {by}", decision.verdict),
                    false => reasons.join("; "),
                })
            }
        }
    }
}

/// The tables of the old `x_tables` in use, where iptables-save has told of all of them.
fn legacy_tables(facts: &Facts) -> Option<Vec<TableDump>> {
    let used = facts.firewall.legacy_tables.known().filter(|tables| !tables.is_empty())?;
    let saves = facts.firewall.iptables_saves.known()?;
    let parsed = |ipv6: bool, family: Family| {
        let is_it = |save: &&IptablesSave| save.variant == IptablesVariant::Legacy && save.ipv6 == ipv6;
        let text = saves.iter().find(is_it)?.text.as_bytes();
        parse_save(text, family, Mode::Lenient).ok().map(|(save, _)| save)
    };
    let (v4, v6) = (parsed(false, Family::Ipv4), parsed(true, Family::Ipv6));
    let is_told = |table: &String| if table.starts_with("ip6 ") { v6.is_some() } else { v4.is_some() };
    used.iter().all(is_told).then(|| packet_filter::iptables::translate(v4.as_ref(), v6.as_ref()).tables)
}

/// The link by which packets to an address of this host come in; the first one that is not loopback where no link has
/// the address.
fn interface_of(facts: &Facts, local: IpAddr) -> String {
    if local.is_loopback() {
        return "lo".to_owned();
    }
    let addresses = facts.network.addresses.known().map(Vec::as_slice).unwrap_or_default();
    let own = addresses.iter().find(|address| address.address.addr() == local);
    let other = addresses.iter().find(|address| address.link != "lo");
    own.or(other).map_or_else(|| "eth0".to_owned(), |address| address.link.clone())
}

/// An address of this host in each family that others can reach: its own where it has one, and a documentation address
/// where none is known.
pub(crate) fn own_addresses(facts: &Facts) -> Vec<IpAddr> {
    let reachable = |address: &IpAddr| match address {
        IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local(),
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
    };
    let addresses = facts.network.addresses.known().map(Vec::as_slice).unwrap_or_default();
    let mut own: Vec<IpAddr> =
        addresses.iter().map(|address| address.address.addr()).filter(reachable).collect();
    if own.is_empty() {
        own = vec![
            IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
        ];
    }
    let mut one_each: Vec<IpAddr> = own.iter().copied().find(IpAddr::is_ipv4).into_iter().collect();
    one_each.extend(own.iter().copied().find(IpAddr::is_ipv6));
    one_each
}

/// An address of each family that others would reach this host by, whether it has one today or not.
pub(crate) fn both_families(facts: &Facts) -> [IpAddr; 2] {
    let own = own_addresses(facts);
    let of = |wanted: fn(&IpAddr) -> bool| own.iter().copied().find(wanted);
    [
        of(IpAddr::is_ipv4).unwrap_or(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
        of(IpAddr::is_ipv6).unwrap_or(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))),
    ]
}

/// Somebody of the same family.
pub(crate) fn somebody_like(address: IpAddr) -> IpAddr {
    if address.is_ipv4() { SOMEBODY[0] } else { SOMEBODY[1] }
}
