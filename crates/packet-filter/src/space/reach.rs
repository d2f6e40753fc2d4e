//! Who reaches what: the packets that open flows and are let through, as a table.

use std::collections::BTreeMap;
use std::fmt;

use nf_tables::TableDump;

use super::bdd::{Bdd, Settle};
use super::fields::Layout;
use super::names::{AskedNames, Names};
use super::walk::walk;
use super::{Space, TooIntricate, reason};
use crate::decide::{Machine, Reason};
use crate::facts::{Field, interface_name};
use crate::packet::{Hook, SYN, State, protocol};

/// From where to what new flows are let through.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Reach {
    /// Whether they are let through for certain.
    pub certainty: Certainty,
    /// The family, `ipv4` or `ipv6`; `None` for both.
    pub family: Option<IpFamily>,
    /// The interfaces that they come in by; empty for any.
    pub input: Vec<String>,
    /// The interfaces that they leave by; empty for any.
    pub output: Vec<String>,
    /// What they carry, and to which ports: `tcp/22`, `udp/8000-8100`, `icmp/8`, `47`; empty for anything.
    pub services: Vec<String>,
    /// Where they come from, as prefixes; empty for anywhere.
    pub from: Vec<ipnet::IpNet>,
    /// Where they go to; empty for anywhere.
    pub to: Vec<ipnet::IpNet>,
    /// What that depends on besides: fields of the packet by name, such as `source port`.
    pub also: Vec<String>,
    /// What is not known of packets and decides, where it is not certain.
    pub depends_on: Vec<String>,
}

/// How certain it is that flows are let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// They are.
    Always,
    /// They are, unless a rate is exceeded or something that is not known is so.
    Usually,
    /// They are not, unless something that is not known is so.
    Seldom,
}

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IpFamily {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, word: &str, items: &[String]| -> fmt::Result {
            if items.is_empty() { Ok(()) } else { write!(f, " {word} {}", shortened(items)) }
        };
        let texts = |prefixes: &[ipnet::IpNet]| -> Vec<String> { prefixes.iter().map(prefix_text).collect() };
        match self.family {
            Some(IpFamily::Ipv4) => f.write_str("IPv4 ")?,
            Some(IpFamily::Ipv6) => f.write_str("IPv6 ")?,
            None => {}
        }
        f.write_str(&if self.services.is_empty() {
            "anything".to_owned()
        } else {
            shortened(&self.services)
        })?;
        list(f, "in by", &self.input)?;
        list(f, "out by", &self.output)?;
        list(f, "from", &texts(&self.from))?;
        list(f, "to", &texts(&self.to))?;
        list(f, "for some", &self.also)?;
        match self.certainty {
            Certainty::Always => f.write_str(": accepted"),
            Certainty::Usually => write!(f, ": accepted unless {}", self.depends_on.join(", or ")),
            Certainty::Seldom => write!(f, ": refused unless {}", self.depends_on.join(", or ")),
        }
    }
}

/// At most eight of them.
fn shortened(items: &[String]) -> String {
    match items {
        [first @ .., _] if first.len() >= 8 => {
            format!("{} and {} more", items[..8].join(", "), items.len() - 8)
        }
        _ => items.join(", "),
    }
}

fn prefix_text(prefix: &ipnet::IpNet) -> String {
    if prefix.prefix_len() == prefix.max_prefix_len() {
        prefix.addr().to_string()
    } else {
        prefix.to_string()
    }
}

/// The new flows that are let through at the hook, as rows that hold what is told apart by nothing.
///
/// Looked at are packets that open flows (TCP with SYN alone) and carry no mark, whose destination no NAT rule has changed.
///
/// # Errors
/// [`TooIntricate`] where that would take too much memory.
pub fn reach(tables: &[TableDump], hook: Hook) -> Result<Vec<Reach>, TooIntricate> {
    let mut asked = AskedNames::default();
    tables.iter().for_each(|table| asked.add_table(table));
    let mut space = Space::new(Layout::new(asked.names()), false);
    let machine = Machine::new(tables);
    let possible = space.layout.possible(&mut space.arena, &[hook]);
    let regions = walk(&mut space, &machine.0, &[hook], possible, None)?;
    let accepted = regions.accepted();
    let mut rows = Rows { space: &mut space, machine: &machine, found: BTreeMap::new() };
    rows.families(accepted);
    let found = std::mem::take(&mut rows.found);
    space.check()?;
    Ok(merged(found))
}

/// All of a row but its services.
type Row = Reach;

struct Rows<'s, 'm, 'a> {
    space: &'s mut Space,
    machine: &'m Machine<'a>,
    /// Services by everything else of a row.
    found: BTreeMap<Row, Vec<String>>,
}

/// How many ranges of a field's values are told apart in a table.
const STRETCHES: usize = 50_000;

/// Values of a field, as ranges, and what is left of a set where the field has them. No ranges: some values.
type Part = (Vec<(u128, u128)>, Bdd);

impl Rows<'_, '_, '_> {
    fn families(&mut self, accepted: Bdd) {
        for (values, set) in self.split(accepted, Field::Family, false) {
            for ipv6 in [false, true] {
                if values.iter().any(|range| range.0 <= u128::from(ipv6) && u128::from(ipv6) <= range.1) {
                    self.family(set, ipv6);
                }
            }
        }
    }

    fn family(&mut self, set: Bdd, ipv6: bool) {
        let set = self.of_new_flows(set);
        for (input, set) in self.split(set, Field::InputName, ipv6) {
            let input = self.names(Field::InputName, &input);
            for (output, set) in self.split(set, Field::OutputName, ipv6) {
                let output = self.names(Field::OutputName, &output);
                for (protocols, set) in self.split(set, Field::Protocol, ipv6) {
                    let row = Reach {
                        certainty: Certainty::Always,
                        family: Some(if ipv6 { IpFamily::Ipv6 } else { IpFamily::Ipv4 }),
                        input: input.clone(),
                        output: output.clone(),
                        services: Vec::new(),
                        from: Vec::new(),
                        to: Vec::new(),
                        also: Vec::new(),
                        depends_on: Vec::new(),
                    };
                    self.services(&row, &protocols, set, ipv6);
                }
            }
        }
    }

    /// The set for packets that open flows.
    fn of_new_flows(&mut self, set: Bdd) -> Bdd {
        let given = [
            (Field::State, u128::from(State::New.bit())),
            (Field::TcpFlags, u128::from(SYN)),
            (Field::Mark, 0),
            (Field::Status, 0),
        ];
        let layout = &self.space.layout;
        let mut ways: BTreeMap<u32, Settle> = BTreeMap::new();
        for (field, value) in given {
            let (first, width, code) =
                (layout.first(field), layout.width(field, true), layout.encode(field, value));
            for nth in 0..width {
                ways.insert(first + nth, Settle::Is(code >> (width - 1 - nth) & 1 == 1));
            }
        }
        self.space.arena.without(set, &|variable| ways.get(&variable).copied().unwrap_or(Settle::Keep))
    }

    /// The set without what a table has no room for, and which fields that were.
    fn without_details(&mut self, set: Bdd) -> (Bdd, Vec<String>) {
        let mut also = Vec::new();
        let mut dropped = Vec::new();
        let support = self.space.arena.support(set);
        for (field, name) in
            [(Field::SourcePort, "source ports"), (Field::IcmpCode, "codes"), (Field::HopLimit, "hop limits")]
        {
            if support.iter().any(|&variable| self.space.layout.field_of(variable) == Some(field)) {
                dropped.push(field);
                also.push(name.to_owned());
            }
        }
        let layout = &self.space.layout;
        let set = self.space.arena.without(set, &|variable| match layout.field_of(variable) {
            Some(field) if dropped.contains(&field) => Settle::Either,
            _ => Settle::Keep,
        });
        (set, also)
    }

    fn services(&mut self, row: &Row, protocols: &[(u128, u128)], set: Bdd, ipv6: bool) {
        let is = |number: u8| protocols == [(u128::from(number), u128::from(number))];
        let (field, name) = if is(protocol::TCP) {
            (Field::DestinationPort, "tcp")
        } else if is(protocol::UDP) {
            (Field::DestinationPort, "udp")
        } else if is(protocol::ICMP) {
            (Field::IcmpKind, "icmp")
        } else if is(protocol::ICMPV6) {
            (Field::IcmpKind, "icmpv6")
        } else {
            let all = protocols == [(0, 255)];
            let names: Vec<String> = protocols.iter().map(|&range| protocol_text(range)).collect();
            return self.addresses(row, &if all { Vec::new() } else { names }, set, ipv6);
        };
        for (values, set) in self.split(set, field, ipv6) {
            let all = values.first().is_some_and(|&(first, last)| {
                first == 0 && last == if field == Field::IcmpKind { 255 } else { 65_535 }
            });
            let texts: Vec<String> = if all {
                vec![name.to_owned()]
            } else {
                values.iter().map(|&range| format!("{name}/{}", range_text(range))).collect()
            };
            self.addresses(row, &texts, set, ipv6);
        }
    }

    /// Rows for the addresses, by how certain it is.
    fn addresses(&mut self, row: &Row, services: &[String], set: Bdd, ipv6: bool) {
        let (set, details) = self.without_details(set);
        let usually = self.space.usually(set);
        let ever = self.space.possibly(set, &[]);
        let never = self.space.possibly(!set, &[]);
        let always = !never;
        let unless = self.space.arena.minus(usually, always);
        let seldom = self.space.arena.minus(ever, usually);
        for (certainty, part) in
            [(Certainty::Always, always), (Certainty::Usually, unless), (Certainty::Seldom, seldom)]
        {
            for (to, set_of_source) in self.split(part, Field::Destination, ipv6) {
                for (from, _) in self.split(set_of_source, Field::Source, ipv6) {
                    let depends_on =
                        if certainty == Certainty::Always { Vec::new() } else { self.reasons(set) };
                    let mut also = details.clone();
                    for (ranges, name) in [(&from, "sources"), (&to, "destinations")] {
                        if ranges.is_empty() {
                            also.push(name.to_owned());
                        }
                    }
                    let row = Reach {
                        certainty,
                        also,
                        from: prefixes(&from, ipv6),
                        to: prefixes(&to, ipv6),
                        depends_on,
                        ..row.clone()
                    };
                    let all = self.found.entry(row).or_default();
                    all.extend(services.iter().cloned());
                }
            }
        }
    }

    /// What is not known of packets and decides whether they are in the set.
    fn reasons(&self, set: Bdd) -> Vec<String> {
        let support = self.space.arena.support(set);
        let opaque = support.into_iter().filter_map(|variable| self.space.opaque_of(variable));
        let mut texts: Vec<String> = opaque
            .filter_map(|opaque| reason(&[self.machine], opaque))
            .map(|reason| reason_text(&reason))
            .collect();
        texts.sort();
        texts.dedup();
        texts
    }

    /// What is left of the set for each value of the field, equal rests together. The field has to come before all others
    /// that still decide.
    fn split(&mut self, set: Bdd, field: Field, ipv6: bool) -> Vec<Part> {
        let (first, width) = (self.space.layout.first(field), self.space.layout.width(field, ipv6));
        let mut stretches: Vec<(u128, u128, Bdd)> = Vec::new();
        self.stretches(set, first, width, 0, &mut stretches);
        if stretches.len() > STRETCHES {
            // Values that are no ranges, such as those of some bits in the middle.
            let any = self.space.arena.without(set, &|variable| {
                if (first..first + width).contains(&variable) { Settle::Either } else { Settle::Keep }
            });
            return if any.is_false() { Vec::new() } else { vec![(Vec::new(), any)] };
        }
        let mut parts: Vec<Part> = Vec::new();
        for (low, high, rest) in stretches.into_iter().filter(|(.., rest)| !rest.is_false()) {
            match parts.iter_mut().find(|(_, of)| *of == rest) {
                Some((ranges, _)) => match ranges.last_mut() {
                    Some(last) if last.1.checked_add(1) == Some(low) => last.1 = high,
                    _ => ranges.push((low, high)),
                },
                None => parts.push((vec![(low, high)], rest)),
            }
        }
        parts
    }

    fn stretches(&self, set: Bdd, variable: u32, width: u32, low: u128, found: &mut Vec<(u128, u128, Bdd)>) {
        let end = variable + width;
        let at = self.space.arena.variable(set);
        if found.len() > STRETCHES {
            return;
        }
        if width == 0 || at >= end {
            let high = low | if width == 128 { u128::MAX } else { (1 << width) - 1 };
            found.push((low, high, set));
            return;
        }
        let (zero, one) = if at == variable { self.space.arena.branches(set) } else { (set, set) };
        self.stretches(zero, variable + 1, width - 1, low, found);
        self.stretches(one, variable + 1, width - 1, low | 1 << (width - 1), found);
    }

    /// The names of the interfaces of these classes; none where they are all.
    fn names(&self, field: Field, codes: &[(u128, u128)]) -> Vec<String> {
        let Names::Classes { names, .. } = self.space.layout.names(field) else {
            return vec!["some".to_owned()];
        };
        let is_in =
            |code: usize| codes.iter().any(|range| range.0 <= code as u128 && code as u128 <= range.1);
        let real = || names.iter().enumerate().filter(|(_, name)| **name != 0);
        if real().all(|(code, _)| is_in(code)) {
            return Vec::new();
        }
        let label = |code: usize| self.space.layout.names(field).label(code);
        let mut labels: Vec<String> =
            real().filter(|(code, _)| is_in(*code)).map(|(code, _)| label(code)).collect();
        let outside: Vec<String> =
            real().filter(|(code, _)| !is_in(*code)).map(|(code, _)| label(code)).collect();
        if labels.iter().any(|label| label == OTHERS) {
            labels = outside.into_iter().map(|label| format!("not {label}")).collect();
        }
        labels
    }
}

/// What the class of all names is called that nothing asks for.
const OTHERS: &str = "others";

impl Names {
    /// The interfaces of a class: a name, a beginning, or [`OTHERS`].
    fn label(&self, class: usize) -> String {
        let Self::Classes { names, bounds } = self else { return OTHERS.to_owned() };
        let mine: Vec<usize> = (0..bounds.len()).filter(|&nth| bounds[nth].1 == class).collect();
        let one = |nth: usize| {
            let after = bounds.get(nth + 1).map(|bound| bound.0);
            after.is_some_and(|after| after - bounds[nth].0 <= 1)
        };
        let name = interface_name(names.get(class).copied().unwrap_or(0)).unwrap_or_default();
        match mine.as_slice() {
            [nth] if one(*nth) => name,
            _ if self.is_rest(class) => OTHERS.to_owned(),
            _ => {
                let first = mine.first().map_or(0, |&nth| bounds[nth].0);
                format!("{}*", interface_name(first).unwrap_or_default().trim_end_matches(char::is_control))
            }
        }
    }

    /// Whether the class has the highest names, which nothing asks for.
    fn is_rest(&self, class: usize) -> bool {
        matches!(self, Self::Classes { bounds, .. } if bounds.last().is_some_and(|last| last.1 == class))
    }
}

fn reason_text(reason: &Reason) -> String {
    match reason {
        Reason::Unknown { what, .. } => format!("`{what}` matches"),
        Reason::Rate { .. } | Reason::Program { .. } | Reason::TooLong => reason.to_string(),
    }
}

fn range_text((first, last): (u128, u128)) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

fn protocol_text((first, last): (u128, u128)) -> String {
    let named = [(1, "icmp"), (6, "tcp"), (17, "udp"), (58, "icmpv6")];
    match named.into_iter().find(|(number, _)| (first, last) == (*number, *number)) {
        Some((_, name)) => name.to_owned(),
        None => format!("protocol {}", range_text((first, last))),
    }
}

/// The prefixes that ranges are made of; none for all addresses.
fn prefixes(ranges: &[(u128, u128)], ipv6: bool) -> Vec<ipnet::IpNet> {
    let bits: u32 = if ipv6 { 128 } else { 32 };
    let highest = if ipv6 { u128::MAX } else { u128::from(u32::MAX) };
    if ranges == [(0, highest)] {
        return Vec::new();
    }
    let mut found = Vec::new();
    for &(first, last) in ranges {
        let mut at = first;
        loop {
            // The largest block that begins here and ends in time.
            let aligned = if at == 0 { bits } else { at.trailing_zeros().min(bits) };
            let fits = (0..=aligned).rev().find(|&free| {
                let size = if free == 128 { u128::MAX } else { (1 << free) - 1 };
                at.checked_add(size).is_some_and(|end| end <= last)
            });
            let free = fits.unwrap_or(0);
            let length = u8::try_from(bits - free).unwrap_or(128);
            let address: std::net::IpAddr = if ipv6 {
                std::net::Ipv6Addr::from_bits(at).into()
            } else {
                std::net::Ipv4Addr::from_bits(u32::try_from(at).unwrap_or(0)).into()
            };
            found.extend(ipnet::IpNet::new(address, length));
            let size = if free == 128 { u128::MAX } else { (1 << free) - 1 };
            match at.checked_add(size).and_then(|end| end.checked_add(1)).filter(|next| *next <= last) {
                Some(next) => at = next,
                None => break,
            }
        }
    }
    found
}

/// Rows with their services, and those of both families as one where nothing but the family differs.
fn merged(found: BTreeMap<Row, Vec<String>>) -> Vec<Reach> {
    let mut rows: Vec<Reach> = Vec::new();
    for (row, services) in found {
        // A protocol of any kind has no services to name.
        let all = services.is_empty();
        let mut row = Reach { services: if all { Vec::new() } else { services }, ..row };
        row.services.dedup();
        let same = rows.iter_mut().find(|other| {
            other.family.is_some()
                && other.family != row.family
                && Reach { family: row.family, ..(*other).clone() } == row
        });
        match same {
            Some(other) => other.family = None,
            None => rows.push(row),
        }
    }
    rows.sort();
    rows
}
