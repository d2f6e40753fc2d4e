//! From a policy to a table: what `docs/src/firewall-semantics.md` says, as `nf_tables` objects.
//!
//! The table is built so that a reload changes as little as can be: verdict maps have names and are changed by their
//! elements, dispatch needs one lookup for the family, one for the state, one for the protocol and one for the port, and
//! every `allow` entry is a chain of its own whose rules say in their comment which line of the policy they serve.

use nf_tables::{
    Chain, ChainDump, DataType, Element, Family, HookPoint, IcmpxCode, Policy, Reject, Rule, Set, SetDump,
    Table, TableDump, Verdict,
};
use serde::{Deserialize, Serialize};

use crate::packet::{State, protocol};
use crate::policy::{FilterPolicy, HIGHEST_RATE, Ipv6, PINGS_PER_SECOND, Refusal};

mod allow;
mod forward;
mod own;
mod rules;

use rules::{IpFamily, RuleBuilder};

/// The name of the table unless the caller chooses another.
pub const DEFAULT_TABLE: &str = "gabion";

/// A table made from a policy, to be loaded, saved and compared.
///
/// States and marks stand in it in this machine's byte order: a saved one is for machines of the same order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Compiled {
    table: TableDump,
}

impl Compiled {
    /// The table.
    #[must_use]
    pub const fn table(&self) -> &TableDump {
        &self.table
    }

    /// A table made otherwise, such as by hand or from a saved dump.
    #[must_use]
    pub const fn from_table(table: TableDump) -> Self {
        Self { table }
    }
}

/// The table [`DEFAULT_TABLE`] that does what the policy says. The same policy always makes the same table.
#[must_use]
pub fn compile(policy: &FilterPolicy) -> Compiled {
    compile_named(policy, DEFAULT_TABLE)
}

/// The same with another name for the table.
#[must_use]
pub fn compile_named(policy: &FilterPolicy, table: &str) -> Compiled {
    let mut builder = Builder::new(policy, table);
    let published = builder.input();
    builder.forward(published);
    match policy.ipv6 {
        Ipv6::Same => builder.output_of_own_rules(),
        Ipv6::Reject => builder.output(),
    }
    builder.own_chains();
    Compiled { table: builder.finish() }
}

/// Where the classic `filter` table of iptables stands.
const PRIORITY_FILTER: i32 = 0;
/// The syslog level of log lines, `debug`.
const LOG_LEVEL: u32 = 7;

const ESTABLISHED_FIRST: &str = "established flows";

/// A table that grows.
struct Builder<'p> {
    policy: &'p FilterPolicy,
    dump: TableDump,
}

impl<'p> Builder<'p> {
    fn new(policy: &'p FilterPolicy, table: &str) -> Self {
        Self { policy, dump: TableDump::new(Table::new(Family::Inet, table)) }
    }

    /// Sorts out what the order of building left.
    fn finish(mut self) -> TableDump {
        // From the hooks to the entries.
        self.dump
            .chains
            .sort_by_key(|dump| (dump.chain.hook.is_none(), dump.chain.name.starts_with("allow-")));
        self.dump
    }

    /// Gives the rules that decide about published ports by the same entries.
    fn input(&mut self) -> Vec<Rule> {
        let mut rules = vec![
            RuleBuilder::new().input_is("lo").verdict(Verdict::Accept).comment("loopback"),
            // The place of bans: `jump bans`, before established flows, so that a ban ends them too.
        ];
        let mut families = vec![(IpFamily::V4, "input-ipv4")];
        if self.policy.ipv6 == Ipv6::Same {
            families.push((IpFamily::V6, "input-ipv6"));
        }
        let elements = families.iter().map(|(family, chain)| {
            Element::new([family.number()]).with_verdict(Verdict::Jump((*chain).to_owned()))
        });
        self.verdict_map("input-families", DataType::NFPROTO, 1, elements.collect());
        rules.push(RuleBuilder::new().family().dispatch("input-families").comment("by family"));
        let code = IcmpxCode::PortUnreachable;
        rules.extend(refusal(self.policy.inbound, code, "refuse what nothing allows"));
        self.base_chain("input", HookPoint::Input, Policy::Drop, rules);
        let services = self.services();
        for (family, chain) in families {
            self.input_of(family, chain, services.tcp, services.udp);
        }
        services.published
    }

    /// The chain of a family: spoofed loopback, states, protocols, the log.
    fn input_of(&mut self, family: IpFamily, chain: &str, tcp: bool, udp: bool) {
        let v6 = family == IpFamily::V6;
        let invalid = if v6 { Verdict::Goto("input-invalid-ipv6".to_owned()) } else { Verdict::Drop };
        let states = format!("input-states-{}", family.name());
        self.state_map(&states, invalid);
        let spoofed = "spoofed loopback";
        let mut rules = vec![
            RuleBuilder::new().source_is_loopback(family).verdict(Verdict::Drop).comment(spoofed),
            RuleBuilder::new().destination_is_loopback(family).verdict(Verdict::Drop).comment(spoofed),
            RuleBuilder::new().state().dispatch(&states).comment(ESTABLISHED_FIRST),
        ];
        let own = self.own_jump(RuleBuilder::new(), "input");
        let mut protocols = Vec::new();
        if v6 && own.is_some() {
            // What keeps IPv6 going is out of the reach of the policy's own rules.
            let jump = Verdict::Jump("input-icmpv6".to_owned());
            rules.push(RuleBuilder::new().protocol_is(protocol::ICMPV6).verdict(jump).comment("by protocol"));
            rules.push(dhcpv6());
            if self.policy.ping {
                protocols.push((protocol::ICMPV6, "input-ping-ipv6"));
                self.chain("input-ping-ipv6", vec![ping(family)]);
            }
        } else if v6 {
            protocols.push((protocol::ICMPV6, "input-icmpv6"));
        } else if self.policy.ping {
            protocols.push((protocol::ICMP, "input-icmp"));
        }
        if tcp {
            protocols.push((protocol::TCP, "input-tcp"));
        }
        rules.extend(own.clone());
        if v6 && own.is_none() {
            protocols.push((protocol::UDP, "input-udp-ipv6"));
        } else if udp {
            protocols.push((protocol::UDP, "input-udp"));
        }
        if !protocols.is_empty() {
            let map = format!("input-protocols-{}", family.name());
            let element = |(number, chain): &(u8, &str)| {
                Element::new([*number]).with_verdict(Verdict::Jump((*chain).to_owned()))
            };
            self.verdict_map(&map, DataType::INET_PROTOCOL, 1, protocols.iter().map(element).collect());
            rules.push(RuleBuilder::new().protocol().dispatch(&map).comment("by protocol"));
        }
        rules.extend(self.log_rule(RuleBuilder::new(), family, "INPUT"));
        self.chain(chain, rules);
        if v6 {
            self.input_icmpv6(self.policy.ping && own.is_none());
            if own.is_none() {
                self.input_udp_ipv6(udp);
            }
        } else if self.policy.ping {
            self.chain("input-icmp", vec![ping(family)]);
        }
    }

    fn input_icmpv6(&mut self, ping: bool) {
        let errors: Vec<_> = (1_u8..=4).map(|kind| Element::new([kind])).collect();
        self.set(Set::new("icmpv6-errors", DataType::ICMPV6_TYPE, 1), errors);
        let discovery = (133_u8..=136).map(|kind| Element::new([kind])).collect();
        self.set(Set::new("icmpv6-neighbours", DataType::ICMPV6_TYPE, 1), discovery);
        let listener = [130_u8, 131, 132, 143].map(|kind| Element::new([kind])).to_vec();
        self.set(Set::new("icmpv6-listeners", DataType::ICMPV6_TYPE, 1), listener);
        let accept_errors = RuleBuilder::new()
            .icmp_kind(IpFamily::V6)
            .among("icmpv6-errors")
            .verdict(Verdict::Accept)
            .comment("ICMPv6 errors (RFC 4890)");
        self.chain(
            "input-invalid-ipv6",
            vec![accept_errors.clone(), RuleBuilder::new().verdict(Verdict::Drop).comment("invalid")],
        );
        let mut rules = vec![
            accept_errors,
            RuleBuilder::new()
                .icmp_kind(IpFamily::V6)
                .among("icmpv6-neighbours")
                .hop_limit_is(255)
                .verdict(Verdict::Accept)
                .comment("neighbour discovery, from this link only (RFC 4861)"),
            RuleBuilder::new()
                .icmp_kind(IpFamily::V6)
                .among("icmpv6-listeners")
                .source_is_link_local()
                .verdict(Verdict::Accept)
                .comment("multicast listeners, from this link only (RFC 3810)"),
        ];
        if ping {
            rules.push(self::ping(IpFamily::V6));
        }
        self.chain("input-icmpv6", rules);
    }

    fn input_udp_ipv6(&mut self, udp: bool) {
        let mut rules = vec![dhcpv6()];
        if udp {
            rules.push(RuleBuilder::new().verdict(Verdict::Jump("input-udp".to_owned())).comment("by port"));
        }
        self.chain("input-udp-ipv6", rules);
    }

    /// IPv6 out of this host, when it is refused whole.
    ///
    /// The family is dispatched on before TCP is: `nft list` leaves the family out of a rule that has both and resets.
    fn output(&mut self) {
        let refused = "refuse IPv6";
        let mut rules = vec![
            RuleBuilder::new().output_is("lo").verdict(Verdict::Accept).comment("loopback"),
            RuleBuilder::new()
                .family_is(IpFamily::V6)
                .verdict(Verdict::Goto("output-ipv6".to_owned()))
                .comment(refused),
        ];
        rules.extend(self.own_output());
        self.base_chain("output", HookPoint::Output, Policy::Accept, rules);
        self.chain("output-ipv6", refusal(Refusal::Reject, IcmpxCode::PortUnreachable, refused));
    }

    fn log_rule(&self, builder: RuleBuilder, family: IpFamily, hook: &str) -> Option<Rule> {
        let rate = self.policy.log?;
        let program = match family {
            IpFamily::V4 => "iptables",
            IpFamily::V6 => "ip6tables",
        };
        let rule = builder
            .limit(u64::from(rate.count.clamp(1, HIGHEST_RATE)), rate.per.seconds(), 5)
            .log(&format!("{program}_{hook}_denied: "), LOG_LEVEL)
            .comment("log what is refused");
        Some(rule)
    }

    /// The families that are let in at all.
    fn families(&self) -> &'static [IpFamily] {
        match self.policy.ipv6 {
            Ipv6::Same => &[IpFamily::V4, IpFamily::V6],
            Ipv6::Reject => &[IpFamily::V4],
        }
    }

    fn state_map(&mut self, name: &str, invalid: Verdict) {
        let mut elements = vec![state_element(State::Invalid, invalid)];
        elements.extend(ANSWERED.map(|state| state_element(state, Verdict::Accept)));
        self.verdict_map(name, DataType::CT_STATE, 4, elements);
    }

    fn verdict_map(&mut self, name: &str, key: DataType, length: u32, elements: Vec<Element>) {
        self.set(Set::map(name, key, length, nf_tables::MapData::Verdict), elements);
    }

    fn set(&mut self, set: Set, elements: Vec<Element>) {
        self.dump.sets.push(SetDump { set, elements });
    }

    fn chain(&mut self, name: &str, rules: Vec<Rule>) {
        self.dump.chains.push(ChainDump { chain: Chain::regular(name), rules });
    }

    fn base_chain(&mut self, name: &str, point: HookPoint, policy: Policy, rules: Vec<Rule>) {
        self.dump.chains.push(ChainDump { chain: Chain::base(name, point, PRIORITY_FILTER, policy), rules });
    }
}

/// Of flows that exist.
const ANSWERED: [State; 2] = [State::Established, State::Related];

fn state_element(state: State, verdict: Verdict) -> Element {
    Element::new(state.bit().to_ne_bytes()).with_verdict(verdict)
}

fn dhcpv6() -> Rule {
    RuleBuilder::new()
        .udp_destination_is(546)
        .source_is_link_local()
        .destination_is_link_local()
        .verdict(Verdict::Accept)
        .comment("DHCPv6 answers, from this link only")
}

fn ping(family: IpFamily) -> Rule {
    let echo_request = match family {
        IpFamily::V4 => 8,
        IpFamily::V6 => 128,
    };
    RuleBuilder::new()
        .icmp_kind(family)
        .is(&[echo_request])
        .limit(u64::from(PINGS_PER_SECOND), 1, PINGS_PER_SECOND)
        .verdict(Verdict::Accept)
        .comment("ping")
}

/// The last rules of a base chain.
fn refusal(refusal: Refusal, code: IcmpxCode, comment: &str) -> Vec<Rule> {
    match refusal {
        Refusal::Reject => vec![
            RuleBuilder::new().protocol_is(protocol::TCP).counter().reject(Reject::TcpReset).comment(comment),
            RuleBuilder::new().counter().reject(Reject::Icmpx(code)).comment(comment),
        ],
        Refusal::Drop => vec![RuleBuilder::new().counter().verdict(Verdict::Drop).comment(comment)],
    }
}
