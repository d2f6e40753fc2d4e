//! What passes through the host: published ports by the `allow` entries, the rest by the `forward` entries.

use nf_tables::{DataType, Element, HookPoint, IcmpxCode, Policy, Rule, Set, SetFlags, Verdict};

use super::allow::{Names, slug};
use super::rules::{IpFamily, RuleBuilder};
use super::{Builder, ESTABLISHED_FIRST, refusal};
use crate::packet::protocol;
use crate::policy::{ForwardEntry, InterfaceName, Ipv6, Transport};
use crate::ranges::{Ranges, addresses};

impl Builder<'_> {
    /// The chain of what passes through; `published` dispatches by the port that was asked for.
    pub(super) fn forward(&mut self, published: Vec<Rule>) {
        self.state_map("forward-states", Verdict::Drop);
        let by_state = match self.policy.ipv6 {
            Ipv6::Same => RuleBuilder::new(),
            Ipv6::Reject => RuleBuilder::new().family_is(IpFamily::V4),
        };
        let states = by_state.clone().state().dispatch("forward-states");
        let mut rules = vec![states.comment(ESTABLISHED_FIRST)];
        rules.extend(self.own_jump(by_state.clone(), "forward"));
        if !published.is_empty() {
            let jump = Verdict::Jump("forward-published".to_owned());
            let comment = "published ports, by the port that was asked for";
            rules.push(by_state.published().verdict(jump).comment(comment));
            self.chain("forward-published", published);
        }
        let mut names = Names::default();
        for entry in &self.policy.forwards {
            let name = names.fresh("forward", &slug(&entry.name()));
            rules.extend(self.passing(entry, &name));
        }
        for &family in self.families() {
            rules.extend(self.log_rule(RuleBuilder::new().family_is(family), family, "FORWARD"));
        }
        rules.extend(refusal(self.policy.forward, IcmpxCode::AdminProhibited, "refuse to forward"));
        self.base_chain("forward", HookPoint::Forward, Policy::Drop, rules);
    }

    /// The rules of one entry: one for each way in, way out, family and transport that it names.
    fn passing(&mut self, entry: &ForwardEntry, name: &str) -> Vec<Rule> {
        let ways = |builder: &RuleBuilder, ways: &[Way]| -> Vec<RuleBuilder> {
            let go = |way: &Way| match way {
                Way::Any => builder.clone(),
                Way::Name { of, bytes } => builder.clone().interface(*of).is(bytes),
                Way::Set { of, set } => builder.clone().interface(*of).among(set),
            };
            ways.iter().map(go).collect()
        };
        let inputs = self.ways(End::Input, &entry.input, &format!("{name}-in"));
        let outputs = self.ways(End::Output, &entry.output, &format!("{name}-out"));
        let mut rules = Vec::new();
        for addressed in self.between(entry, name) {
            for came in ways(&RuleBuilder::new(), &inputs) {
                for leaves in ways(&came, &outputs) {
                    for rule in self.ports_of(entry, name, leaves.then(&addressed)) {
                        rules.push(rule.counter().verdict(Verdict::Accept).comment(&entry.label()));
                    }
                }
            }
        }
        rules
    }

    /// The interfaces of one end: those that are named whole together, every prefix alone.
    fn ways(&mut self, of: End, interfaces: &[InterfaceName], set: &str) -> Vec<Way> {
        let whole: Vec<Vec<u8>> =
            interfaces.iter().filter(|name| !name.is_prefix).map(InterfaceName::bytes).collect();
        let mut ways: Vec<Way> = interfaces
            .iter()
            .filter(|name| name.is_prefix)
            .map(|name| Way::Name { of, bytes: name.bytes() })
            .collect();
        match whole.as_slice() {
            [] if ways.is_empty() => ways.push(Way::Any),
            [] => {}
            [bytes] => ways.push(Way::Name { of, bytes: bytes.clone() }),
            several => {
                let elements = several.iter().map(|bytes| Element::new(bytes.clone())).collect();
                let userdata = nf_tables::userdata::key_in_machine_order();
                self.set(Set { userdata, ..Set::new(set, DataType::IFNAME, 16) }, elements);
                ways.push(Way::Set { of, set: set.to_owned() });
            }
        }
        ways
    }

    /// The beginnings of rules for the entry's addresses: one without any, or one for each family that it is for.
    fn between(&mut self, entry: &ForwardEntry, name: &str) -> Vec<RuleBuilder> {
        if entry.from.is_empty() && entry.to.is_empty() {
            return match self.policy.ipv6 {
                Ipv6::Same => vec![RuleBuilder::new()],
                Ipv6::Reject => vec![RuleBuilder::new().family_is(IpFamily::V4)],
            };
        }
        let mut found = Vec::new();
        for &family in self.families() {
            let (from, to) =
                [&entry.from, &entry.to].map(|prefixes| addresses(prefixes, family == IpFamily::V6)).into();
            if (!entry.from.is_empty() && from.is_empty()) || (!entry.to.is_empty() && to.is_empty()) {
                continue;
            }
            let mut rule = RuleBuilder::new();
            if !from.is_empty() {
                let set = format!("{name}-from-{}", family.name());
                rule = rule.source(family).among(&set);
                self.address_set(&set, family, &from);
            }
            if !to.is_empty() {
                let set = format!("{name}-to-{}", family.name());
                rule = rule.destination(family).among(&set);
                self.address_set(&set, family, &to);
            }
            found.push(rule);
        }
        found
    }

    /// The rule for the entry's ports: itself where there are none, one for each transport otherwise.
    fn ports_of(&mut self, entry: &ForwardEntry, name: &str, rule: RuleBuilder) -> Vec<RuleBuilder> {
        if entry.ports.is_empty() {
            return vec![rule];
        }
        let mut found = Vec::new();
        for (transport, number, word) in
            [(Transport::Tcp, protocol::TCP, "tcp"), (Transport::Udp, protocol::UDP, "udp")]
        {
            let ports = entry.ports.iter().filter(|range| range.transport == transport);
            let ports = Ranges::new(ports.map(|range| (u128::from(range.first), u128::from(range.last))));
            if ports.is_empty() {
                continue;
            }
            let set = format!("{name}-{word}");
            found.push(rule.clone().destination_port(number).among(&set));
            if self.dump.set(&set).is_none() {
                let ends = |&(first, last): &(u128, u128)| {
                    Element::range(&first.to_be_bytes()[14..], &last.to_be_bytes()[14..])
                };
                let elements = ports.as_slice().iter().flat_map(ends).collect();
                self.set(Set::new(&set, DataType::INET_SERVICE, 2).with_flags(SetFlags::INTERVAL), elements);
            }
        }
        found
    }
}

/// Where an interface stands on a packet's way.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    Input,
    Output,
}

/// How a rule asks for an interface.
enum Way {
    Any,
    /// By the first bytes of its name, or all 16.
    Name {
        of: End,
        bytes: Vec<u8>,
    },
    Set {
        of: End,
        set: String,
    },
}
