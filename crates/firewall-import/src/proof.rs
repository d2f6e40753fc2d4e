//! Whether the imported policy lets in what the source let in.

use std::fmt;

use iptables_syntax::{Family, Mode, parse_save};
use nf_tables::TableDump;
use packet_filter::Hook;
use packet_filter::iptables::translate;
use packet_filter::space::{Parting, TooIntricate, compare_rulesets};

use crate::Imported;

/// The source held against the compiled policy, over all packets. Whether a packet gets through counts, not how it is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Where the policy's own ways differ from the source's: a kind of packets, and one of them.
    pub by_design: Vec<(&'static str, Parting)>,
    /// Packets that part over a limit or over what is not known of them.
    pub unknown: Vec<Parting>,
    /// Every other kind of packet that one lets through and the other does not.
    pub others: Vec<Parting>,
}

/// Kinds of packets with which the policy deals by itself, in the words of iptables: for `INPUT`, and for `FORWARD`.
struct Kind {
    name: &'static str,
    ipv4: &'static [(&'static str, &'static str)],
    ipv6: &'static [(&'static str, &'static str)],
}

const KINDS: [Kind; 9] = [
    Kind { name: "routing headers of type 0, which the kernel does not heed", ipv4: &[], ipv6: &ROUTED },
    Kind {
        name: "loopback and its addresses",
        ipv4: &[
            ("OUTPUT", "-o lo"),
            ("INPUT", "-i lo"),
            ("INPUT", "-s 127.0.0.0/8"),
            ("INPUT", "-d 127.0.0.0/8"),
        ],
        ipv6: &[("OUTPUT", "-o lo"), ("INPUT", "-i lo"), ("INPUT", "-s ::1/128"), ("INPUT", "-d ::1/128")],
    },
    Kind { name: "packets of flows that exist, or that fit none", ipv4: &FLOWS, ipv6: &FLOWS },
    Kind { name: "packets that are not tracked", ipv4: &UNTRACKED, ipv6: &UNTRACKED },
    Kind {
        name: "ICMP errors",
        ipv4: &[
            ("INPUT", "-p icmp -m icmp --icmp-type 3"),
            ("INPUT", "-p icmp -m icmp --icmp-type 4"),
            ("INPUT", "-p icmp -m icmp --icmp-type 11"),
            ("INPUT", "-p icmp -m icmp --icmp-type 12"),
        ],
        ipv6: &[
            ("INPUT", "-p ipv6-icmp -m icmp6 --icmpv6-type 1"),
            ("INPUT", "-p ipv6-icmp -m icmp6 --icmpv6-type 2"),
            ("INPUT", "-p ipv6-icmp -m icmp6 --icmpv6-type 3"),
            ("INPUT", "-p ipv6-icmp -m icmp6 --icmpv6-type 4"),
        ],
    },
    Kind {
        name: "what IPv6 needs on its link: neighbour discovery, multicast listeners, DHCPv6",
        ipv4: &[],
        ipv6: &[
            ("INPUT", "-p ipv6-icmp -m icmp6 --icmpv6-type 130"),
            ("INPUT", "-p ipv6-icmp -m icmp6 --icmpv6-type 131"),
            ("INPUT", "-p ipv6-icmp -m icmp6 --icmpv6-type 132"),
            ("INPUT", "-p ipv6-icmp -m icmp6 --icmpv6-type 133"),
            ("INPUT", "-p ipv6-icmp -m icmp6 --icmpv6-type 134"),
            ("INPUT", "-p ipv6-icmp -m icmp6 --icmpv6-type 135"),
            ("INPUT", "-p ipv6-icmp -m icmp6 --icmpv6-type 136"),
            ("INPUT", "-p ipv6-icmp -m icmp6 --icmpv6-type 143"),
            ("INPUT", "-p udp -m udp --dport 546"),
        ],
    },
    Kind {
        name: "ping, of which the policy answers 100 new ones a second",
        ipv4: &[("INPUT", "-p icmp -m icmp --icmp-type 8")],
        ipv6: &[("INPUT", "-p ipv6-icmp -m icmp6 --icmpv6-type 128")],
    },
    Kind { name: "TCP packets that begin no connection", ipv4: &NO_SYN, ipv6: &NO_SYN },
    Kind { name: "flows that a NAT rule sends on", ipv4: &NATTED, ipv6: &NATTED },
];

const FLOWS: [(&str, &str); 3] = [
    ("INPUT", "-m conntrack --ctstate INVALID,ESTABLISHED,RELATED"),
    ("OUTPUT", "-m conntrack --ctstate ESTABLISHED,RELATED"),
    ("FORWARD", "-m conntrack --ctstate INVALID,ESTABLISHED,RELATED"),
];
const UNTRACKED: [(&str, &str); 2] =
    [("INPUT", "-m conntrack --ctstate UNTRACKED"), ("FORWARD", "-m conntrack --ctstate UNTRACKED")];
const ROUTED: [(&str, &str); 3] =
    [("INPUT", "-m rt --rt-type 0"), ("FORWARD", "-m rt --rt-type 0"), ("OUTPUT", "-m rt --rt-type 0")];
const NO_SYN: [(&str, &str); 1] = [("INPUT", "-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN")];
const NATTED: [(&str, &str); 1] = [("FORWARD", "-m conntrack --ctstate DNAT")];

const HOOKS: [Hook; 3] = [Hook::Input, Hook::Forward, Hook::Output];

/// Holds the source of an import against the policy that was made of it, as it is compiled.
///
/// # Errors
/// The rulesets are too intricate to be compared.
pub fn prove(imported: &Imported, compiled: &TableDump) -> Result<Proof, TooIntricate> {
    let source = source(imported);
    let families: Vec<Family> = imported.source.iter().map(|(family, _)| *family).collect();
    let part = |restriction: Vec<TableDump>| -> Result<Vec<Parting>, TooIntricate> {
        let first: Vec<TableDump> = source.iter().chain(&restriction).cloned().collect();
        let mut second = vec![compiled.clone()];
        second.extend(restriction);
        let comparison = compare_rulesets(&first, &second, &HOOKS)?;
        let counts = |parting: &Parting| parting.verdicts.0.is_accept() != parting.verdicts.1.is_accept();
        Ok(comparison.disagreements.into_iter().filter(counts).collect())
    };
    let mut proof = Proof { by_design: Vec::new(), unknown: Vec::new(), others: Vec::new() };
    for (nth, kind) in KINDS.iter().enumerate() {
        let partings = part(restriction(&families, Some(nth)))?;
        proof.by_design.extend(partings.into_iter().map(|parting| (kind.name, parting)));
    }
    for parting in part(restriction(&families, None))? {
        if parting.when.is_empty() { proof.others.push(parting) } else { proof.unknown.push(parting) }
    }
    Ok(proof)
}

/// The tables that were imported.
fn source(imported: &Imported) -> Vec<TableDump> {
    if !imported.tables.is_empty() {
        return imported.tables.clone();
    }
    let parse = |wanted: Family| {
        let (_, text) = imported.source.iter().find(|(family, _)| *family == wanted)?;
        parse_save(text.as_bytes(), wanted, Mode::Lenient).ok().map(|(save, _)| save)
    };
    translate(parse(Family::Ipv4).as_ref(), parse(Family::Ipv6).as_ref()).tables
}

/// Tables that drop whatever is not to be compared: what is of no kind (`None`), or of this kind and none before it.
fn restriction(families: &[Family], kind: Option<usize>) -> Vec<TableDump> {
    let text = |family: Family| {
        let mut rules = String::from("*mangle\n");
        let of = |kind: &Kind| match family {
            Family::Ipv4 => kind.ipv4,
            Family::Ipv6 => kind.ipv6,
        };
        let given = families.contains(&family);
        for earlier in KINDS.iter().take(kind.unwrap_or(KINDS.len())).filter(|_| given) {
            of(earlier)
                .iter()
                .for_each(|(chain, words)| rules.push_str(&format!("-A {chain} {words} -j DROP\n")));
        }
        if let Some(kind) = kind.filter(|_| given) {
            let kind = of(&KINDS[kind]);
            kind.iter().for_each(|(chain, words)| rules.push_str(&format!("-A {chain} {words} -j ACCEPT\n")));
        }
        if kind.is_some() || !given {
            for chain in ["INPUT", "FORWARD", "OUTPUT"] {
                rules.push_str(&format!("-A {chain} -j DROP\n"));
            }
        }
        rules.push_str("COMMIT\n");
        parse_save(rules.as_bytes(), family, Mode::Lenient).ok().map(|(save, _)| save)
    };
    translate(text(Family::Ipv4).as_ref(), text(Family::Ipv6).as_ref()).tables
}

impl Proof {
    /// Whether both let through the same packets, but for kinds with which the policy deals by itself.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.others.is_empty() && self.unknown.is_empty()
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exactly = "The policy lets in exactly what the old rules let in";
        match (self.holds(), self.by_design.is_empty()) {
            (true, true) => return writeln!(f, "{exactly}."),
            (true, false) => writeln!(f, "{exactly}, but for what it does by itself:")?,
            (false, true) => writeln!(f, "The policy does not let in just what the old rules let in:")?,
            (false, false) => writeln!(
                f,
                "The policy does not let in just what the old rules let in, besides what it does by itself:"
            )?,
        }
        let told = |parting: &Parting| {
            let word = |accepts: bool| if accepts { "let in" } else { "refused" };
            let (old, new) = (parting.verdicts.0.is_accept(), parting.verdicts.1.is_accept());
            let when: Vec<String> = parting.when.iter().map(ToString::to_string).collect();
            let when = if when.is_empty() { String::new() } else { format!(", if {}", when.join(" and ")) };
            format!("{}: {}: {} before, {} now{when}", parting.hook, parting.packet, word(old), word(new))
        };
        for parting in &self.others {
            writeln!(f, "  {}", told(parting))?;
        }
        for parting in &self.unknown {
            writeln!(f, "  where a limit counts, or something is not known: {}", told(parting))?;
        }
        if !self.holds() && !self.by_design.is_empty() {
            writeln!(f, "By itself:")?;
        }
        let mut last = "";
        for (kind, parting) in &self.by_design {
            if *kind != last {
                writeln!(f, "  {kind}, such as")?;
                last = kind;
            }
            writeln!(f, "    {}", told(parting))?;
        }
        Ok(())
    }
}
