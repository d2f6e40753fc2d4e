//! The way of packets through the rules as the kernel tells it, in the words of the policy.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use controls::foreign;
use nf_tables::trace::{Event, Step};
use nf_tables::{TableDump, TableId, Verdict};
use packet_filter::listing::{listing, policy_name};
use packet_filter::text;
use serde::Serialize;

use crate::page::{Page, Tone, View};

/// Rules by the numbers that the kernel tells.
#[derive(Debug, Default)]
pub struct Words {
    rules: HashMap<(TableId, u64), Vec<Named>>,
    /// The base chains, and those that are lists by themselves.
    bases: HashSet<(TableId, String)>,
    /// In which of them each packet is.
    within: HashMap<u32, String>,
}

/// A rule in words.
#[derive(Debug, Clone)]
struct Named {
    /// The base chain by which it is reached, where it matters.
    base: Option<String>,
    /// `INPUT 10`, or `ip nat PREROUTING rule 2 (Docker)`.
    place: String,
    policy: Option<String>,
    what: String,
    /// It tells the sender where it drops.
    rejects: bool,
    /// A rule of ours that only finds the chain that decides.
    leads_on: bool,
}

/// What the kernel tells of a packet itself, once for each base chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// As `tcp 203.0.113.9:50000 -> 192.0.2.1:22 syn`.
    pub headers: String,
    /// Index of the interface that it came by.
    pub input: Option<u32>,
    /// Index of the interface that it leaves by.
    pub output: Option<u32>,
}

impl Packet {
    /// Of a step, where it tells of the packet.
    #[must_use]
    pub fn of(step: &Step) -> Option<Self> {
        Some(Self { headers: headers(step)?, input: step.input, output: step.output })
    }

    /// As a line; the interfaces by their names.
    #[must_use]
    pub fn text(&self, id: u32, interface: impl Fn(u32) -> String, view: View) -> String {
        let mut head = self.headers.clone();
        for (index, word) in [(self.input, " in by "), (self.output, " out by ")] {
            if let Some(index) = index {
                head.push_str(word);
                head.push_str(&interface(index));
            }
        }
        let mut page = Page::new(view);
        page.paragraph(0, Tone::Strong, &format!("{head}  [{id:08x}]"));
        page.finish()
    }
}

/// A step in words, for `--json` and for a line of text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Told {
    /// Tells packets apart for a while.
    pub packet: u32,
    /// Where it is: `INPUT 10` of our list, or table, chain and rule.
    pub at: String,
    /// The line of the policy behind it.
    pub place: Option<String>,
    /// What the rule does.
    pub what: String,
    /// `accept`, `drop`, `goes on`, or to which chain it goes.
    pub verdict: String,
    /// It only finds the chain that decides.
    pub leads_on: bool,
}

impl Words {
    /// Of the tables that the kernel has.
    #[must_use]
    pub fn new(tables: &[TableDump]) -> Self {
        let (mut rules, mut bases) = (HashMap::new(), HashSet::new());
        for dump in tables {
            let owners = foreign::owners(dump).join(", ");
            let own = foreign::is_own(dump);
            let whose = if own { String::new() } else { format!(" ({owners})") };
            for chain in &dump.chains {
                for (nth, rule) in chain.rules.iter().enumerate() {
                    let Some(handle) = rule.handle else { continue };
                    let place = format!("{} {} rule {}{whose}", dump.id(), chain.chain.name, nth + 1);
                    let what = text::rule(dump, rule);
                    let rejects = what.contains("reject");
                    let named = Named { base: None, place, policy: None, rejects, what, leads_on: own };
                    rules.insert((dump.id(), handle), vec![named]);
                }
            }
            if own {
                lines(dump, &mut rules, &mut bases);
            }
        }
        Self { rules, bases, within: HashMap::new() }
    }

    /// Whether the step is of a rule that was not there when this was made.
    #[must_use]
    pub fn knows(&self, step: &Step) -> bool {
        match step.event {
            Event::Rule(handle, _) => self.rules.contains_key(&(step.table.clone(), handle)),
            Event::End(_) | Event::Policy(_) => true,
        }
    }

    /// A packet comes into a base chain of ours.
    fn enter(&mut self, step: &Step) {
        if self.within.len() >= REMEMBERED {
            self.within.clear();
        }
        self.within.insert(step.id, step.chain.clone());
    }

    /// A step in words; none for those of the table that marks packets, and for the ends of chains.
    #[must_use]
    pub fn told(&mut self, step: &Step) -> Option<Told> {
        if step.table.name == foreign::TRACE_TABLE {
            return None;
        }
        if self.bases.contains(&(step.table.clone(), step.chain.clone())) {
            self.enter(step);
        }
        let told = |at: String, place, what: String, verdict, leads_on| Told {
            packet: step.id,
            at,
            place,
            what,
            verdict,
            leads_on,
        };
        match &step.event {
            Event::End(_) => None,
            Event::Policy(policy) => {
                let at = format!("{} {}", step.table, step.chain);
                Some(told(
                    at,
                    None,
                    "no rule decided: its policy".to_owned(),
                    policy_name(*policy).to_owned(),
                    false,
                ))
            }
            Event::Rule(handle, verdict) => {
                let named =
                    self.rules.get(&(step.table.clone(), *handle)).map(Vec::as_slice).unwrap_or_default();
                let within = self.within.get(&step.id);
                let named =
                    named.iter().rev().find(|named| named.base.is_none() || named.base.as_ref() == within);
                let Some(Named { place, policy, what, rejects, leads_on, base: _ }) = named.cloned() else {
                    let at = format!("{} {} handle {handle}", step.table, step.chain);
                    return Some(told(
                        at,
                        None,
                        "a rule that is gone".to_owned(),
                        verdict_word(verdict),
                        false,
                    ));
                };
                let leads_on = leads_on && matches!(verdict, Verdict::Jump(_) | Verdict::Goto(_));
                let word = match verdict {
                    Verdict::Drop if rejects => "reject".to_owned(),
                    other => verdict_word(other),
                };
                Some(told(place, policy, what, word, leads_on))
            }
        }
    }
}

/// How many packets are remembered, for the chains that they are in.
const REMEMBERED: usize = 10_000;

/// The lines of our list, by the handles of their rules.
fn lines(
    dump: &TableDump,
    rules: &mut HashMap<(TableId, u64), Vec<Named>>,
    bases: &mut HashSet<(TableId, String)>,
) {
    for chain in listing(dump) {
        bases.insert((dump.id(), chain.chain.clone()));
        for line in chain.lines {
            for handle in line.rules.iter().filter_map(|rule| rule.handle) {
                let place = format!("{} {}", chain.name, line.number);
                let named = Named {
                    base: Some(chain.chain.clone()),
                    place,
                    policy: line.place.clone(),
                    what: line.what.clone(),
                    rejects: line.target == "reject",
                    leads_on: true,
                };
                rules.entry((dump.id(), handle)).or_default().push(named);
            }
        }
    }
}

fn verdict_word(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accept => "accept".to_owned(),
        Verdict::Drop => "drop".to_owned(),
        Verdict::Queue(number) => format!("to the program on queue {number}"),
        Verdict::Continue | Verdict::Break => "goes on".to_owned(),
        Verdict::Jump(chain) | Verdict::Goto(chain) => format!("to {chain}"),
        Verdict::Return => "back".to_owned(),
    }
}

impl Told {
    /// As a line.
    #[must_use]
    pub fn text(&self, view: View) -> String {
        let mut page = Page::new(view);
        let tone = match self.verdict.as_str() {
            "accept" => Tone::Good,
            "drop" | "reject" => Tone::Bad,
            _ => Tone::Plain,
        };
        let place = self.place.as_ref().map(|place| format!("  {place}")).unwrap_or_default();
        page.hanging(
            &format!("  {:<10}", self.verdict),
            tone,
            14,
            Tone::Plain,
            &format!("  {}{place}  {}", self.at, self.what),
        );
        page.finish()
    }
}

/// The packet, from the first bytes of its headers.
fn headers(step: &Step) -> Option<String> {
    let bytes = &step.network;
    let (from, to, protocol): (IpAddr, IpAddr, u8) = match bytes.first()? >> 4 {
        4 => {
            let at = |range| <[u8; 4]>::try_from(bytes.get::<std::ops::Range<usize>>(range)?).ok();
            (Ipv4Addr::from(at(12..16)?).into(), Ipv4Addr::from(at(16..20)?).into(), *bytes.get(9)?)
        }
        6 => {
            let at = |range| <[u8; 16]>::try_from(bytes.get::<std::ops::Range<usize>>(range)?).ok();
            (Ipv6Addr::from(at(8..24)?).into(), Ipv6Addr::from(at(24..40)?).into(), *bytes.get(6)?)
        }
        _ => return None,
    };
    let port = |at: usize| Some(u16::from_be_bytes([*step.transport.get(at)?, *step.transport.get(at + 1)?]));
    let ports = || {
        let (source, destination) = (port(0)?, port(2)?);
        Some(format!("{} -> {}", SocketAddr::new(from, source), SocketAddr::new(to, destination)))
    };
    Some(match protocol {
        6 => format!(
            "tcp {}{}",
            ports()?,
            step.transport.get(13).map(|flags| tcp_flags(*flags)).unwrap_or_default()
        ),
        17 => format!("udp {}", ports()?),
        1 => format!("icmp type {} {from} -> {to}", step.transport.first()?),
        58 => format!("icmpv6 type {} {from} -> {to}", step.transport.first()?),
        other => format!("protocol {other} {from} -> {to}"),
    })
}

fn tcp_flags(flags: u8) -> String {
    const NAMES: [(u8, &str); 5] =
        [(0x02, "syn"), (0x10, "ack"), (0x01, "fin"), (0x04, "rst"), (0x08, "psh")];
    let names: Vec<&str> = NAMES.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect();
    if names.is_empty() { String::new() } else { format!(" {}", names.join(",")) }
}

#[cfg(test)]
mod tests {
    use nf_tables::{Family, Policy};
    use packet_filter::{Allow, FilterPolicy, PortRange, compile};

    use super::*;

    fn tables() -> Vec<TableDump> {
        let mut ssh = Allow::new("ssh", [PortRange::tcp(22)]);
        ssh.place = Some("policy.toml:5".to_owned());
        let mut dump = compile(&FilterPolicy { allow: vec![ssh], ..FilterPolicy::default() }).table().clone();
        let mut handle = 0;
        for rule in dump.chains.iter_mut().flat_map(|chain| &mut chain.rules) {
            handle += 1;
            rule.handle = Some(handle);
        }
        vec![dump]
    }

    fn step(table: &TableDump, chain: &str, event: Event) -> Step {
        let mut network = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0];
        network.extend([203, 0, 113, 9, 192, 0, 2, 1]);
        let transport = vec![0xc3, 0x50, 0, 22, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x02];
        Step {
            id: 0x1234,
            table: table.id(),
            chain: chain.to_owned(),
            event,
            protocol: Some(Family::Ip),
            mark: None,
            input: Some(2),
            output: None,
            network,
            transport,
        }
    }

    #[test]
    fn a_step_is_told_by_the_number_of_the_list_and_the_policys_line() {
        let tables = tables();
        let mut words = Words::new(&tables);
        let first = tables[0].chain("input").unwrap().rules[1].handle.unwrap();
        let into = Event::Rule(first, Verdict::Jump("input-ipv4".to_owned()));
        words.told(&step(&tables[0], "input", into)).unwrap();
        let chain = tables[0].chain("allow-ssh").unwrap();
        let event = Event::Rule(chain.rules[0].handle.unwrap(), Verdict::Accept);
        let told = words.told(&step(&tables[0], "allow-ssh", event)).unwrap();
        assert_eq!((told.place.as_deref(), told.what.as_str()), (Some("policy.toml:5"), "allow ssh"));
        assert!(told.at.starts_with("INPUT "), "{told:?}");
        assert!(told.text(View::default()).starts_with("  accept      INPUT "), "{told:?}");
        assert!(!told.leads_on);
    }

    #[test]
    fn what_only_leads_on_is_marked_and_what_marks_packets_is_not_told() {
        let tables = tables();
        let mut words = Words::new(&tables);
        let first = tables[0].chain("input-tcp").unwrap().rules[0].handle.unwrap();
        let event = Event::Rule(first, Verdict::Jump("allow-ssh".to_owned()));
        assert!(words.told(&step(&tables[0], "input-tcp", event)).unwrap().leads_on);
        let policy = words.told(&step(&tables[0], "forward", Event::Policy(Policy::Drop))).unwrap();
        assert!(policy.verdict == "drop" && policy.at == "inet gabion forward");
        let mut marks = step(&tables[0], "c", Event::Policy(Policy::Accept));
        marks.table.name = foreign::TRACE_TABLE.to_owned();
        assert_eq!(words.told(&marks), None);
    }

    #[test]
    fn a_packet_is_told_with_the_interface_that_it_came_by() {
        let tables = tables();
        let packet = Packet::of(&step(&tables[0], "input", Event::Policy(Policy::Accept))).unwrap();
        let text = packet.text(0x1234, |index| format!("eth{index}"), View::default());
        assert_eq!(text, "tcp 203.0.113.9:50000 -> 192.0.2.1:22 syn in by eth2  [00001234]\n");
    }

    #[test]
    fn headers_that_are_cut_short_are_no_packet_and_no_panic() {
        let tables = tables();
        for length in 0..20 {
            let mut cut = step(&tables[0], "input", Event::Policy(Policy::Accept));
            cut.network.truncate(length);
            assert_eq!(headers(&cut), None);
        }
    }
}
