//! What of the packet filter is not as it was applied: the kernel's tables beside the ruleset that was loaded last.
//!
//! Pure: who calls it has read the kernel, the saved ruleset and the files that load it at boot.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use nf_tables::{ChainDump, DataType, Ignore, TableDump, TableFlags};
use packet_filter::listing::{listing, policy_name};
use packet_filter::{DecidedBy, Decision, Hook, Machine, Packet, Side, compare, text};
use serde::{Deserialize, Serialize};

use crate::foreign::{Effect, ForeignChain, foreign_chains};
use crate::packets::somebody_like;

/// The links that have the ruleset loaded at boot: by systemd, and by init scripts. One of them is enough.
pub const BOOT_LINKS: &[&str] = crate::firewall::LINKS;

/// One thing that is not as it was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Drift {
    /// What kind of thing.
    pub kind: Kind,
    /// What it is, in a line.
    pub what: String,
    /// Rules, elements, chains and files that show it.
    pub shown_by: Vec<String>,
}

/// The kinds of drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Our table is not in the kernel.
    TableGone,
    /// Our table is switched off.
    Dormant,
    /// The flags or the comment of our table are others.
    TableChanged,
    /// A chain of ours is gone.
    ChainGone,
    /// A chain of ours has lost all of its rules.
    ChainFlushed,
    /// The policy of a base chain of ours is another.
    PolicyChanged,
    /// A chain of ours hangs elsewhere.
    ChainMoved,
    /// There is a chain in our table that we did not make.
    ChainAdded,
    /// A rule is gone.
    RuleGone,
    /// There is a rule that we did not make.
    RuleAdded,
    /// A set or map is another, is gone, or was not made by us.
    SetChanged,
    /// An element is gone.
    ElementGone,
    /// There is an element that we did not put in.
    ElementAdded,
    /// Named objects are others.
    ObjectChanged,
    /// The rules of ours among those of iptables are others.
    IptablesChanged,
    /// IPv4 packets get in that were refused.
    Ipv4Open,
    /// IPv6 packets get in that were refused.
    Ipv6Open,
    /// Packets are forwarded that were refused.
    ForwardOpen,
    /// Packets are refused that got in.
    Closed,
    /// A chain of another's can refuse packets.
    ForeignRefuses,
    /// A chain of another's changes where packets go.
    ForeignTranslates,
    /// A chain of another's turns connection tracking off.
    ForeignUntracks,
    /// A chain of another's does something else to packets.
    ForeignOther,
    /// Rules of the legacy `x_tables` are in use.
    Legacy,
    /// The saved ruleset is gone, or is not the one that was applied.
    Saved,
    /// Nothing would load the ruleset at boot.
    Boot,
    /// The program that loads it is missing.
    Program,
    /// Something could not be found out.
    Unknown,
}

/// What was read.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The table that was loaded last.
    pub applied: &'a TableDump,
    /// Every table of the kernel.
    pub tables: &'a [TableDump],
    /// What others may do, since they did it when it was last looked at and said to be known: see [`effects_of_others`].
    pub known: &'a BTreeSet<String>,
}

impl Seen<'_> {
    /// Whether somebody refuses it of whom it is known.
    fn is_known_to_refuse(&self, decision: &Decision) -> bool {
        let table = match &decision.decided_by {
            DecidedBy::Rule(rule) => &rule.table,
            DecidedBy::Policy { table, .. } => table,
            DecidedBy::Nobody => return false,
        };
        let (table, refuses) = (format!("{table} "), Effect::Refuses.words());
        self.known.iter().any(|known| known.starts_with(&table) && known.ends_with(refuses))
    }
}

/// Everything in the kernel that is not as it was applied, our own table first.
#[must_use]
pub fn drift(seen: &Seen<'_>) -> Vec<Drift> {
    let live = seen.tables.iter().find(|dump| dump.id() == seen.applied.id());
    let mut found = Vec::new();
    match live {
        None => found.push(gone(seen)),
        Some(live) => ours(&mut found, seen.applied, live),
    }
    opened(&mut found, seen);
    unknown_others(&mut found, seen.tables, seen.known);
    found
}

impl Kind {
    /// Whether loading the applied ruleset again ends it.
    #[must_use]
    pub const fn is_ended_by_loading(self) -> bool {
        match self {
            Self::TableGone
            | Self::Dormant
            | Self::TableChanged
            | Self::ChainGone
            | Self::ChainFlushed
            | Self::PolicyChanged
            | Self::ChainMoved
            | Self::ChainAdded
            | Self::RuleGone
            | Self::RuleAdded
            | Self::SetChanged
            | Self::ElementGone
            | Self::ElementAdded
            | Self::ObjectChanged
            | Self::IptablesChanged
            | Self::Ipv4Open
            | Self::Ipv6Open
            | Self::ForwardOpen => true,
            Self::Closed
            | Self::ForeignRefuses
            | Self::ForeignTranslates
            | Self::ForeignUntracks
            | Self::ForeignOther
            | Self::Legacy
            | Self::Saved
            | Self::Boot
            | Self::Program
            | Self::Unknown => false,
        }
    }

    /// Whether it is about what others do.
    #[must_use]
    pub const fn is_foreign(self) -> bool {
        matches!(
            self,
            Self::ForeignRefuses | Self::ForeignTranslates | Self::ForeignUntracks | Self::ForeignOther
        )
    }
}

impl Drift {
    /// A drift that a few words or nothing show.
    #[must_use]
    pub fn new(kind: Kind, what: impl Into<String>, shown_by: impl IntoIterator<Item = String>) -> Self {
        Self { kind, what: what.into(), shown_by: shown_by.into_iter().collect() }
    }
}

fn gone(seen: &Seen<'_>) -> Drift {
    let id = seen.applied.id();
    let namesakes =
        seen.tables.iter().filter(|dump| dump.table.name == id.name && dump.table.family != id.family);
    let namesakes: Vec<String> = namesakes
        .map(|dump| format!("table {} has its name, and sees one family alone", dump.id()))
        .collect();
    Drift::new(Kind::TableGone, format!("table {id} is not in the kernel"), namesakes)
}

/// What is different in our own table.
fn ours(found: &mut Vec<Drift>, applied: &TableDump, live: &TableDump) {
    let id = applied.id();
    let differences = compare(Some(applied), Some(live));
    if differences.is_empty() {
        return;
    }
    if live.table.flags.contains(TableFlags::DORMANT) && !applied.table.flags.contains(TableFlags::DORMANT) {
        found.push(Drift::new(
            Kind::Dormant,
            format!("table {id} is switched off (dormant): it filters nothing"),
            [],
        ));
    } else if (applied.table.flags, &applied.table.userdata) != (live.table.flags, &live.table.userdata) {
        let what = format!("the flags or the comment of table {id} are others");
        found.push(Drift::new(Kind::TableChanged, what, shown(&differences, &format!("table {id}"), None)));
    }
    let (before, after) = (applied.canonical(Ignore::STATE), live.canonical(Ignore::STATE));
    let mut told = BTreeSet::new();
    for chain in &before.chains {
        let name = &chain.chain.name;
        if one_chain(found, chain, after.chain(name)) {
            told.insert(format!("chain {name}"));
        }
    }
    for chain in after.chains.iter().filter(|chain| before.chain(&chain.chain.name).is_none()) {
        let name = &chain.chain.name;
        let place = format!("chain {name}");
        let what = format!("chain {name} is not gabion's");
        found.push(Drift::new(Kind::ChainAdded, what, shown(&differences, &place, Some(Side::After))));
        told.insert(place);
    }
    let heads = |place: &str| -> Vec<String> {
        let name = place.strip_prefix("chain ").unwrap_or_default();
        let head = |dump: &TableDump| text::chain_head(&dump.chain(name)?.chain);
        [&before, &after].into_iter().filter_map(head).collect()
    };
    for difference in &differences {
        let place = &difference.place;
        if told.contains(place) || heads(place).contains(&difference.what) || place.starts_with("table ") {
            continue;
        }
        let is_set_head = || {
            let name = place.strip_prefix("set ").unwrap_or_default();
            let sets = [before.set(name), after.set(name)];
            sets.contains(&None)
                || sets
                    .into_iter()
                    .flatten()
                    .any(|set| difference.what.starts_with(&text::set_head(&set.set)))
        };
        let (kind, what) = match (place.split(' ').next().unwrap_or_default(), difference.side) {
            ("chain", Side::Before) => (Kind::RuleGone, format!("a rule of {place} is gone")),
            ("chain", Side::After) => (Kind::RuleAdded, format!("a rule in {place} is not gabion's")),
            ("set", _) if is_set_head() => (Kind::SetChanged, format!("{place} is not as it was made")),
            ("set", Side::Before) => (Kind::ElementGone, format!("an element of {place} is gone")),
            ("set", Side::After) => (Kind::ElementAdded, format!("an element of {place} is not gabion's")),
            _ => (Kind::ObjectChanged, format!("{place} are not as they were made")),
        };
        match found.iter_mut().find(|drift| drift.kind == kind && drift.what == what) {
            Some(drift) => drift.shown_by.push(difference.what.clone()),
            None => found.push(Drift::new(kind, what, [difference.what.clone()])),
        }
    }
    found.iter_mut().for_each(count_many);
}

/// Many of a kind in one place are said in the plural.
fn count_many(drift: &mut Drift) {
    let count = drift.shown_by.len();
    if count < 2 {
        return;
    }
    for (one, many) in [("a rule ", "rules "), ("an element ", "elements ")] {
        if let Some(rest) = drift.what.strip_prefix(one) {
            drift.what = format!("{count} {many}{}", rest.replacen(" is ", " are ", 1));
            return;
        }
    }
}

fn shown(differences: &[packet_filter::Difference], place: &str, side: Option<Side>) -> Vec<String> {
    let of = differences.iter().filter(|one| one.place == place && side.is_none_or(|side| one.side == side));
    of.map(ToString::to_string).collect()
}

/// What is wrong with a chain as a whole; gives whether its rules need not be told one by one.
fn one_chain(found: &mut Vec<Drift>, before: &ChainDump, after: Option<&ChainDump>) -> bool {
    let name = &before.chain.name;
    let Some(after) = after else {
        found.push(Drift::new(Kind::ChainGone, format!("chain {name} is gone"), []));
        return true;
    };
    if let (Some(was), Some(is)) = (&before.chain.hook, &after.chain.hook) {
        if was.policy != is.policy {
            let what = format!(
                "the policy of chain {name} is {}, and was {}",
                policy_name(is.policy),
                policy_name(was.policy)
            );
            found.push(Drift::new(Kind::PolicyChanged, what, []));
        }
        if (was.point, was.priority, was.kind) != (is.point, is.priority, is.kind) {
            moved(found, before, after);
        }
    } else if before.chain.hook.is_some() != after.chain.hook.is_some() {
        moved(found, before, after);
    }
    let flushed = after.rules.is_empty() && !before.rules.is_empty();
    if flushed {
        let what = format!("chain {name} is flushed: it has lost all of its {} rules", before.rules.len());
        found.push(Drift::new(Kind::ChainFlushed, what, []));
    }
    flushed
}

fn moved(found: &mut Vec<Drift>, before: &ChainDump, after: &ChainDump) {
    let head = |dump: &ChainDump| text::chain_head(&dump.chain).unwrap_or_else(|| "no hook".to_owned());
    let shown_by = [format!("was {}", head(before)), format!("is {}", head(after))];
    found.push(Drift::new(
        Kind::ChainMoved,
        format!("chain {} hangs elsewhere", before.chain.name),
        shown_by,
    ));
}

/// Ports at which nothing is expected: low, high, and one that programs choose from.
const PROBES: [u16; 3] = [4, 29_876, 61_897];

/// What becomes of packets that were refused, and of those that got in: the kernel's tables asked beside ours alone.
fn opened(found: &mut Vec<Drift>, seen: &Seen<'_>) {
    let (alone, all) = (Machine::new([seen.applied]), Machine::new(seen.tables));
    let ways = [Hook::Prerouting, Hook::Input];
    let mut closed = Vec::new();
    for (kind, family, local) in
        [(Kind::Ipv4Open, "IPv4", "192.0.2.1"), (Kind::Ipv6Open, "IPv6", "2001:db8::1")]
    {
        let Ok(local) = local.parse::<IpAddr>() else { continue };
        let mut open = Vec::new();
        for packet in probes(seen, local) {
            let (was, is) = (alone.decide_along(&ways, &packet), all.decide_along(&ways, &packet));
            if was.verdict.is_refusal() && may_pass(&is) {
                open.push(format!("{packet}: {is}"));
            } else if was.verdict.is_accept() && is.verdict.is_refusal() && !seen.is_known_to_refuse(&is) {
                closed.push(format!("{packet}: {is}"));
            }
        }
        if !open.is_empty() {
            open.truncate(SHOWN);
            found.push(Drift::new(kind, format!("packets over {family} get in that were refused"), open));
        }
    }
    forwarded(found, &alone, &all);
    if !closed.is_empty() {
        closed.truncate(SHOWN);
        found.push(Drift::new(Kind::Closed, "packets are refused that were let in", closed));
    }
}

/// How many ports of a set are tried.
const MOST_PORTS: usize = 1_000;

/// How many packets are shown.
const SHOWN: usize = 4;

fn forwarded(found: &mut Vec<Drift>, alone: &Machine<'_>, all: &Machine<'_>) {
    let mut open = Vec::new();
    for (from, to) in
        [("198.51.100.7:50000", "203.0.113.9:443"), ("[2001:db8:ffff::7]:50000", "[2001:db8:1::9]:443")]
    {
        let (Ok(from), Ok(to)) = (from.parse(), to.parse()) else { continue };
        let Ok(packet) = Packet::tcp(from, to) else { continue };
        let packet = packet.arriving_on("eth0").leaving_by("eth1");
        let (was, is) = (alone.decide(Hook::Forward, &packet), all.decide(Hook::Forward, &packet));
        if was.verdict.is_refusal() && may_pass(&is) {
            open.push(format!("{packet}: {is}"));
        }
    }
    if !open.is_empty() {
        found.push(Drift::new(Kind::ForwardOpen, "packets are forwarded that were refused", open));
    }
}

/// Whether it is accepted, or would be where something holds that is not known.
fn may_pass(decision: &Decision) -> bool {
    decision.verdict.is_accept() || decision.otherwise.iter().any(packet_filter::Verdict::is_accept)
}

/// First packets of strangers: to ports at which nothing is expected, and to those that rules of our table name or named.
fn probes(seen: &Seen<'_>, local: IpAddr) -> Vec<Packet> {
    let mut tcp: BTreeSet<u16> = PROBES.into();
    let mut udp: BTreeSet<u16> = PROBES.into();
    let live = seen.tables.iter().find(|dump| dump.id() == seen.applied.id());
    let chains: Vec<_> = [Some(seen.applied), live].into_iter().flatten().flat_map(listing).collect();
    for port in chains.iter().flat_map(|chain| &chain.lines).flat_map(|line| &line.ports) {
        let first = |range: &str| range.split('-').next().and_then(|port| port.parse::<u16>().ok());
        match port.split_once('/') {
            Some(("tcp", range)) => tcp.extend(first(range)),
            Some(("udp", range)) => udp.extend(first(range)),
            _ => {}
        }
    }
    let sets = [Some(seen.applied), live].into_iter().flatten().flat_map(|dump| &dump.sets);
    for set in sets.filter(|set| set.set.key_type == DataType::INET_SERVICE) {
        let starts = set.elements.iter().filter(|element| !element.is_interval_end()).take(MOST_PORTS);
        for port in starts.filter_map(|element| <[u8; 2]>::try_from(element.key.as_slice()).ok()) {
            tcp.insert(u16::from_be_bytes(port));
            udp.insert(u16::from_be_bytes(port));
        }
    }
    let from = SocketAddr::new(somebody_like(local), 50_000);
    let tcp = tcp.into_iter().map(|port| Packet::tcp(from, SocketAddr::new(local, port)));
    let udp = udp.into_iter().map(|port| Packet::udp(from, SocketAddr::new(local, port)));
    tcp.chain(udp).flatten().map(|packet| packet.arriving_on("eth0")).collect()
}

/// What every base chain that is not ours can do, each in a line that stays the same while it can do the same.
#[must_use]
pub fn effects_of_others(tables: &[TableDump]) -> BTreeSet<String> {
    let chains = foreign_chains(tables);
    chains.iter().flat_map(|chain| chain.effects.iter().map(|(effect, _)| name_of(chain, *effect))).collect()
}

/// What others do beside the rules of ours that stand among those of iptables.
#[must_use]
pub fn drift_beside_iptables(tables: &[TableDump], known: &BTreeSet<String>) -> Vec<Drift> {
    let has_ours =
        |dump: &TableDump| dump.chains.iter().any(|chain| chain.chain.name.starts_with(OURS_IN_IPTABLES));
    let others: Vec<TableDump> = tables.iter().filter(|dump| !has_ours(dump)).cloned().collect();
    let mut found = Vec::new();
    unknown_others(&mut found, &others, known);
    found
}

/// How the names of our own chains among those of iptables begin.
const OURS_IN_IPTABLES: &str = "gabion-";

fn name_of(chain: &ForeignChain, effect: Effect) -> String {
    format!("{} {} at {}: {}", chain.table, chain.chain, chain.hook, effect.words())
}

fn unknown_others(found: &mut Vec<Drift>, tables: &[TableDump], known: &BTreeSet<String>) {
    for chain in foreign_chains(tables) {
        for (effect, by) in
            chain.effects.iter().filter(|(effect, _)| !known.contains(&name_of(&chain, *effect)))
        {
            let kind = match effect {
                Effect::Refuses => Kind::ForeignRefuses,
                Effect::Translates => Kind::ForeignTranslates,
                Effect::Untracks => Kind::ForeignUntracks,
                Effect::Queues | Effect::Relates | Effect::Diverts | Effect::Unknown => Kind::ForeignOther,
            };
            let what = format!(
                "{} {} of {} {}, at {}",
                chain.table,
                chain.chain,
                chain.owners.join(", "),
                effect.words(),
                chain.hook
            );
            found.push(Drift::new(kind, what, [by.clone()]));
        }
    }
}

#[cfg(test)]
mod tests;
