//! The packet filter's other tables: whose they are, and what they can do to a packet.

use std::collections::HashSet;

use nf_tables::object::Hook;
use nf_tables::{
    ChainKind, Data, Expression, Family, HookPoint, Immediate, ObjectKind, Objref, Policy, TableDump,
    TableFlags, Verdict,
};
use packet_filter::DEFAULT_TABLE;
use packet_filter::listing::{point_name, policy_name};
use serde::{Deserialize, Serialize};

/// What a base chain of another's can do that changes what the policy says, or seems to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Refuse packets that the policy lets in.
    Refuses,
    /// Change where packets go, before the policy sees them.
    Translates,
    /// Turn connection tracking off, so that answers look new.
    Untracks,
    /// Hand packets to a program.
    Queues,
    /// Make flows related to others that are let in, which the policy would refuse as new ones.
    Relates,
    /// Send packets past the policy: to another interface, out again, or answered before it sees them.
    Diverts,
    /// Hold something whose effect is not known.
    Unknown,
}

impl Effect {
    /// What it does, for people: `can refuse packets`.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Refuses => "can refuse packets",
            Self::Translates => "changes addresses or ports of packets",
            Self::Untracks => "turns connection tracking off",
            Self::Queues => "hands packets to a program",
            Self::Relates => "can let in flows by a helper of connection tracking",
            Self::Diverts => "sends packets past the filter",
            Self::Unknown => "does something that is not understood",
        }
    }
}

/// A base chain of somebody else's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ForeignChain {
    /// Its table, as `ip filter`.
    pub table: String,
    /// Its name.
    pub chain: String,
    /// Who seems to have made the table.
    pub owners: Vec<&'static str>,
    /// Where packets enter it, as `input 0`.
    pub hook: String,
    /// What becomes of a packet that none of its rules decides.
    pub policy: &'static str,
    /// Rules in it and in the chains that it leads to.
    pub rules: usize,
    /// What it can do, each with the first rule (or policy) that does it.
    pub effects: Vec<(Effect, String)>,
}

/// Whether the table is Gabion's own: the one that a policy compiles to, or what `firewall trace` makes for a while.
#[must_use]
pub fn is_own(dump: &TableDump) -> bool {
    dump.table.family == Family::Inet && (dump.table.name == DEFAULT_TABLE || is_trace(dump))
}

/// The table of `gabion firewall trace`: it decides nothing.
#[must_use]
pub fn is_trace(dump: &TableDump) -> bool {
    dump.table.name == TRACE_TABLE && dump.table.flags.contains(TableFlags::OWNER)
}

/// The name of the table that `gabion firewall trace` makes for as long as it runs.
pub const TRACE_TABLE: &str = "gabion-trace";

/// Every base chain of every table that is not Gabion's, but those of tables that are switched off.
#[must_use]
pub fn foreign_chains(tables: &[TableDump]) -> Vec<ForeignChain> {
    let others =
        tables.iter().filter(|dump| !is_own(dump) && !dump.table.flags.contains(TableFlags::DORMANT));
    others.flat_map(chains_of).collect()
}

fn chains_of(dump: &TableDump) -> Vec<ForeignChain> {
    let owners = owners(dump);
    let bases = dump.chains.iter().filter_map(|chain| Some((&chain.chain.name, chain.chain.hook.as_ref()?)));
    let chain = |(name, hook): (&String, &Hook)| {
        let mut look = Look { dump, seen: HashSet::new(), rules: 0, effects: Vec::new() };
        look.chain(name);
        if hook.policy == Policy::Drop {
            look.effect(Effect::Refuses, || format!("policy {}", policy_name(hook.policy)));
        }
        ForeignChain {
            table: dump.id().to_string(),
            chain: name.clone(),
            owners: owners.clone(),
            hook: format!("{} {}{}", point_name(hook.point), hook.priority, kind(hook)),
            policy: policy_name(hook.policy),
            rules: look.rules,
            effects: look.effects.into_iter().filter(|(effect, _)| counts(dump, hook, *effect)).collect(),
        }
    };
    bases.map(chain).collect()
}

fn kind(hook: &Hook) -> String {
    match hook.kind {
        ChainKind::Filter => String::new(),
        ChainKind::Nat => " nat".to_owned(),
        ChainKind::Route => " route".to_owned(),
    }
}

/// Source addresses changed on the way out change nothing of what is let in. ARP is no IP, but without it no IPv4 packet
/// arrives.
fn counts(dump: &TableDump, hook: &Hook, effect: Effect) -> bool {
    let leaves = matches!(hook.point, HookPoint::Postrouting | HookPoint::Egress);
    !(leaves && effect == Effect::Translates)
        && (dump.table.family != Family::Arp || effect == Effect::Refuses)
}

/// The rules of a base chain and of all that it leads to.
struct Look<'a> {
    dump: &'a TableDump,
    seen: HashSet<&'a str>,
    rules: usize,
    effects: Vec<(Effect, String)>,
}

impl<'a> Look<'a> {
    fn chain(&mut self, name: &str) {
        let Some(chain) =
            self.dump.chain(name).filter(|chain| !self.seen.contains(chain.chain.name.as_str()))
        else {
            return;
        };
        self.seen.insert(&chain.chain.name);
        for (nth, rule) in chain.rules.iter().enumerate() {
            self.rules += 1;
            for expression in &rule.expressions {
                if let Some(effect) = effect(self.dump, expression) {
                    let dump = self.dump;
                    self.effect(effect, || {
                        let text = packet_filter::text::rule(dump, rule);
                        format!("{} rule {}: {text}", chain.chain.name, nth + 1)
                    });
                }
                self.leads_on(expression, &chain.chain.name, nth);
            }
        }
    }

    fn leads_on(&mut self, expression: &Expression, chain: &str, nth: usize) {
        match expression {
            Expression::Immediate(Immediate { data: Data::Verdict(verdict), .. }) => {
                self.verdict(verdict, || format!("{chain} rule {}", nth + 1));
            }
            Expression::Lookup(lookup) if lookup.dreg.is_some() => {
                let Some(set) = self.dump.set(&lookup.set) else { return };
                for element in &set.elements {
                    if let Some(Data::Verdict(verdict)) = &element.data {
                        self.verdict(verdict, || format!("{chain} rule {}: map {}", nth + 1, lookup.set));
                    }
                }
            }
            _ => {}
        }
    }

    fn verdict(&mut self, verdict: &Verdict, place: impl FnOnce() -> String) {
        match verdict {
            Verdict::Jump(name) | Verdict::Goto(name) => self.chain(name),
            // A rule's own text says it better.
            Verdict::Drop => self.effect(Effect::Refuses, place),
            Verdict::Queue(_) => self.effect(Effect::Queues, place),
            Verdict::Accept | Verdict::Continue | Verdict::Break | Verdict::Return => {}
        }
    }

    fn effect(&mut self, effect: Effect, place: impl FnOnce() -> String) {
        if self.effects.iter().all(|(known, _)| *known != effect) {
            self.effects.push((effect, place()));
        }
    }
}

fn effect(dump: &TableDump, expression: &Expression) -> Option<Effect> {
    match expression {
        Expression::Immediate(Immediate { data: Data::Verdict(Verdict::Drop), .. })
        | Expression::Reject(_) => Some(Effect::Refuses),
        Expression::Queue(_) => Some(Effect::Queues),
        Expression::Nat(nat) if nat.kind == nf_tables::NatKind::Destination => Some(Effect::Translates),
        Expression::Redirect(_) | Expression::PayloadWrite(_) => Some(Effect::Translates),
        Expression::Notrack(_) => Some(Effect::Untracks),
        Expression::Objref(Objref::Named { kind, .. }) => object_effect(*kind),
        // Which object a packet gets is in the map: all of the table's count.
        Expression::Objref(Objref::Map { .. }) => {
            dump.objects.iter().find_map(|object| object_effect(object.kind))
        }
        Expression::Target(target) => match target.name.as_str() {
            "REJECT" => Some(Effect::Refuses),
            "DNAT" | "REDIRECT" | "NETMAP" | "DNPT" | "SNPT" => Some(Effect::Translates),
            "NOTRACK" => Some(Effect::Untracks),
            // `struct xt_ct_target_info` begins with its flags, `XT_CT_NOTRACK` the first of them.
            "CT" => match target.info.as_slice() {
                [low, high, ..] if u16::from_ne_bytes([*low, *high]) & 1 != 0 => Some(Effect::Untracks),
                // The name of a helper follows the flags, the zone and two sets of events.
                info if info.get(12).is_some_and(|first| *first != 0) => Some(Effect::Relates),
                _ => None,
            },
            "NFQUEUE" => Some(Effect::Queues),
            "TEE" | "TPROXY" | "SYNPROXY" => Some(Effect::Diverts),
            "LOG" | "NFLOG" | "MARK" | "CONNMARK" | "SNAT" | "MASQUERADE" | "TCPMSS" | "SET" | "TTL"
            | "HL" | "TRACE" | "CHECKSUM" | "CLASSIFY" | "DSCP" | "TOS" | "ULOG" | "AUDIT" => None,
            _ => Some(Effect::Unknown),
        },
        Expression::Unknown { name, .. } => match name.as_str() {
            // The kernel itself answers for SYNPROXY, and goes on over loopback, which the policy lets in; a flow that is
            // offloaded is not seen again.
            "fwd" | "dup" | "tproxy" | "synproxy" | "flow_offload" => Some(Effect::Diverts),
            "last" | "osf" | "xfrm" | "tunnel" | "inner" => None,
            _ => Some(Effect::Unknown),
        },
        _ => None,
    }
}

/// What a named object does to the packets that are handed to it.
fn object_effect(kind: ObjectKind) -> Option<Effect> {
    // `NFT_OBJECT_CT_EXPECT` and `NFT_OBJECT_SYNPROXY` of linux/netfilter/nf_tables.h.
    const CT_EXPECT: ObjectKind = ObjectKind(9);
    const SYNPROXY: ObjectKind = ObjectKind(10);
    match kind {
        ObjectKind::CT_HELPER | CT_EXPECT => Some(Effect::Relates),
        SYNPROXY => Some(Effect::Diverts),
        _ => None,
    }
}

/// Who seems to have made a table, by the names that programs give to their tables and chains; never empty.
#[must_use]
pub fn owners(dump: &TableDump) -> Vec<&'static str> {
    let mut found: Vec<&'static str> = Vec::new();
    let mut add = |owner| {
        if !found.contains(&owner) {
            found.push(owner);
        }
    };
    if is_trace(dump) {
        return vec!["gabion firewall trace"];
    }
    for (prefix, owner) in TABLES {
        if dump.table.name.starts_with(prefix) {
            add(owner);
        }
    }
    for chain in &dump.chains {
        if let Some((_, owner)) = CHAINS.iter().find(|(prefix, _)| chain.chain.name.starts_with(prefix)) {
            add(owner);
        }
    }
    let is_compatible = matches!(dump.table.family, Family::Ip | Family::Ip6 | Family::Arp)
        && ["filter", "nat", "mangle", "raw", "security"].contains(&dump.table.name.as_str())
        && dump.chains.iter().any(|chain| CLASSIC.contains(&chain.chain.name.as_str()));
    if is_compatible {
        add("iptables-nft");
    }
    if found.is_empty() {
        found.push("nft");
    }
    found
}

/// The base chains of iptables.
const CLASSIC: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];

const TABLES: [(&str, &str); 11] = [
    ("firewalld", "firewalld"),
    ("f2b-", "fail2ban"),
    ("docker-", "Docker"),
    ("libvirt_", "libvirt"),
    ("netavark", "Podman"),
    ("crowdsec", "CrowdSec"),
    ("kube-proxy", "Kubernetes"),
    ("cali", "Calico"),
    ("lxd", "LXD"),
    ("incus", "Incus"),
    ("shorewall", "Shorewall"),
];

const CHAINS: [(&str, &str); 14] = [
    ("gabion-", "gabion"),
    ("ufw-", "ufw"),
    ("ufw6-", "ufw"),
    ("DOCKER", "Docker"),
    ("f2b-", "fail2ban"),
    ("LIBVIRT_", "libvirt"),
    ("KUBE-", "Kubernetes"),
    ("CNI-", "CNI"),
    ("NETAVARK", "Podman"),
    ("cali-", "Calico"),
    ("ts-", "Tailscale"),
    ("CROWDSEC", "CrowdSec"),
    ("INPUT_ZONES", "firewalld"),
    ("sshguard", "SSHGuard"),
];

#[cfg(test)]
mod tests {
    use nf_tables::{Chain, ChainDump, Rule, Table};

    use super::*;

    fn table(family: Family, name: &str, chains: &[(&str, Option<HookPoint>, Policy)]) -> TableDump {
        let mut dump = TableDump::new(Table::new(family, name));
        for (name, point, policy) in chains {
            let chain = match point {
                Some(point) => Chain::base(*name, *point, 0, *policy),
                None => Chain::regular(*name),
            };
            dump.chains.push(ChainDump { chain, rules: Vec::new() });
        }
        dump
    }

    fn verdict(verdict: Verdict) -> Rule {
        Rule::new(vec![Expression::Immediate(Immediate::verdict(verdict))])
    }

    #[test]
    fn whose_a_table_is_shows_in_its_names() {
        let accept = Policy::Accept;
        let input = ("INPUT", Some(HookPoint::Input), accept);
        let of = |dump: TableDump| owners(&dump);
        assert_eq!(of(table(Family::Ip, "filter", &[input])), ["iptables-nft"]);
        let shared = [input, ("ufw-user-input", None, accept), ("DOCKER-USER", None, accept)];
        assert_eq!(of(table(Family::Ip, "filter", &shared)), ["ufw", "Docker", "iptables-nft"]);
        assert_eq!(of(table(Family::Inet, "firewalld", &[])), ["firewalld"]);
        assert_eq!(of(table(Family::Inet, "filter", &[input])), ["nft"]);
    }

    #[test]
    fn what_a_chain_can_do_is_found_behind_its_jumps_with_the_rule_that_does_it() {
        let mut dump = table(
            Family::Ip,
            "other",
            &[("in", Some(HookPoint::Input), Policy::Accept), ("deep", None, Policy::Accept)],
        );
        dump.chains[0].rules = vec![verdict(Verdict::Accept), verdict(Verdict::Jump("deep".to_owned()))];
        assert_eq!(foreign_chains(&[dump.clone()])[0].effects, []);
        dump.chains[1].rules = vec![verdict(Verdict::Jump("deep".to_owned())), verdict(Verdict::Drop)];
        let chains = foreign_chains(&[dump.clone()]);
        assert_eq!(chains[0].rules, 4);
        assert_eq!(chains[0].effects, [(Effect::Refuses, "deep rule 2: drop".to_owned())]);
        dump.table.flags = TableFlags::DORMANT;
        assert!(foreign_chains(&[dump]).is_empty(), "what is switched off does nothing");
    }

    #[test]
    fn refusing_arp_counts_since_no_ipv4_packet_arrives_without_it() {
        let base = [("c", Some(HookPoint::Input), Policy::Drop)];
        let chains = foreign_chains(&[table(Family::Arp, "x", &base)]);
        assert_eq!(chains[0].effects, [(Effect::Refuses, "policy drop".to_owned())]);
    }

    #[test]
    fn helpers_that_make_flows_related_and_the_kernels_own_answers_are_found() {
        let of = |expression: Expression| {
            let mut dump = table(Family::Inet, "x", &[("c", Some(HookPoint::Prerouting), Policy::Accept)]);
            dump.chains[0].rules = vec![Rule::new(vec![expression])];
            let effects = foreign_chains(&[dump]).remove(0).effects;
            effects.into_iter().map(|(effect, _)| effect).collect::<Vec<_>>()
        };
        let object = |kind| Expression::Objref(Objref::Named { kind, name: "o".to_owned() });
        assert_eq!(of(object(ObjectKind::CT_HELPER)), [Effect::Relates]);
        assert_eq!(of(object(ObjectKind(9))), [Effect::Relates]);
        assert_eq!(of(object(ObjectKind(10))), [Effect::Diverts]);
        assert_eq!(of(object(ObjectKind::COUNTER)), []);
        let unknown = |name: &str| Expression::Unknown { name: name.to_owned(), data: Vec::new() };
        assert_eq!(of(unknown("synproxy")), [Effect::Diverts]);
        assert_eq!(of(unknown("flow_offload")), [Effect::Diverts]);
        assert_eq!(of(unknown("osf")), []);
        let ct = |info: Vec<u8>| {
            Expression::Target(nf_tables::Target { name: "CT".to_owned(), revision: 2, info })
        };
        let mut info = vec![0; 64];
        assert_eq!(of(ct(info.clone())), []);
        info[12..15].copy_from_slice(b"ftp");
        assert_eq!(of(ct(info)), [Effect::Relates]);
    }

    #[test]
    fn a_policy_that_drops_refuses_and_our_own_table_is_not_foreign() {
        let base = [("c", Some(HookPoint::Input), Policy::Drop)];
        let chains = foreign_chains(&[table(Family::Inet, "x", &base), table(Family::Inet, "gabion", &base)]);
        assert_eq!(chains.len(), 1);
        assert_eq!(chains[0].effects, [(Effect::Refuses, "policy drop".to_owned())]);
        // Only the inet one is ours.
        assert_eq!(foreign_chains(&[table(Family::Ip, "gabion", &base)]).len(), 1);
    }
}
