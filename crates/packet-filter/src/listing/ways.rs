//! Where a rule leads, and which packets get there.

use nf_tables::{
    CmpOp, Data, DataType, Expression, Immediate, MetaKey, PayloadBase, Rule, TableDump, Verdict,
};

use crate::contents::Contents;
use crate::packet::protocol;
use crate::policy::{PortRange, Transport};

/// Which packets get to a place.
#[derive(Debug, Clone, Default)]
pub(super) struct Reach {
    pub(super) ipv4: bool,
    pub(super) ipv6: bool,
    pub(super) transport: Option<Transport>,
    pub(super) ports: Vec<PortRange>,
}

/// A chain that a rule leads to, and who gets there.
pub(super) struct Way {
    pub(super) chain: String,
    pub(super) reach: Reach,
    /// The same rule also decides by itself.
    pub(super) beside_verdicts: bool,
}

pub(super) fn ways(dump: &TableDump, rule: &Rule, reach: &Reach) -> Vec<Way> {
    let mut ways = Vec::new();
    for expression in &rule.expressions {
        match expression {
            Expression::Immediate(Immediate { data: Data::Verdict(verdict), .. }) => {
                ways.extend(verdict.chain().map(|chain| Way {
                    chain: chain.to_owned(),
                    reach: reach.clone(),
                    beside_verdicts: false,
                }));
            }
            Expression::Lookup(lookup) if lookup.dreg.is_some() => {
                ways.extend(mapped(dump, &lookup.set, reach));
            }
            _ => {}
        }
    }
    ways
}

/// The chains that a verdict map leads to.
fn mapped(dump: &TableDump, set: &str, reach: &Reach) -> Vec<Way> {
    let Some(set) = dump.set(set) else { return Vec::new() };
    let contents = Contents::new(&set.set, &set.elements);
    let verdict = |data: &Option<Data>| match data {
        Some(Data::Verdict(verdict)) => Some(verdict.clone()),
        Some(Data::Value(_)) | None => None,
    };
    let beside_verdicts = set
        .elements
        .iter()
        .filter_map(|element| verdict(&element.data))
        .any(|verdict| verdict.chain().is_none());
    let mut ways: Vec<Way> = Vec::new();
    let entries = contents.entries.iter().map(|entry| (Some(entry), entry.element));
    for (entry, element) in entries.chain(contents.catch_all.map(|element| (None, element))) {
        let Some(Verdict::Jump(chain) | Verdict::Goto(chain)) = verdict(&element.data) else { continue };
        let mut reach = reach.clone();
        if let Some(entry) = entry {
            reach.keyed(set.set.key_type, &entry.first, &entry.last);
        }
        match ways.iter_mut().find(|way| way.chain == chain) {
            Some(way) => way.reach.join(reach),
            None => ways.push(Way { chain, reach, beside_verdicts }),
        }
    }
    ways
}

impl Reach {
    /// What being found under a key says of a packet.
    fn keyed(&mut self, key: DataType, first: &[u8], last: &[u8]) {
        match (key, first, last) {
            (DataType::NFPROTO, &[family], _) => self.family(family),
            (DataType::INET_PROTOCOL, &[protocol], _) => self.protocol(protocol),
            (DataType::INET_SERVICE, &[a, b], &[c, d]) => {
                if let Some(transport) = self.transport {
                    let (first, last) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                    self.ports = vec![PortRange { transport, first, last }];
                }
            }
            _ => {}
        }
    }

    fn family(&mut self, number: u8) {
        self.ipv4 &= number == 2;
        self.ipv6 &= number == 10;
    }

    fn protocol(&mut self, number: u8) {
        self.transport = match number {
            protocol::TCP => Some(Transport::Tcp),
            protocol::UDP => Some(Transport::Udp),
            _ => None,
        };
        self.ipv4 &= number != protocol::ICMPV6;
        self.ipv6 &= number != protocol::ICMP;
    }

    fn join(&mut self, other: Self) {
        self.ipv4 |= other.ipv4;
        self.ipv6 |= other.ipv6;
        for port in other.ports {
            match self.ports.last_mut() {
                Some(before) if before.last.checked_add(1) == Some(port.first) => before.last = port.last,
                _ => self.ports.push(port),
            }
        }
    }
}

/// The reach behind a rule's own comparisons of family, protocol and port.
pub(super) fn narrowed(rule: &Rule, reach: &Reach) -> Reach {
    let mut reach = reach.clone();
    for pair in rule.expressions.windows(2) {
        let [load, Expression::Cmp(cmp)] = pair else { continue };
        if cmp.op != CmpOp::Eq {
            continue;
        }
        match (load, cmp.data.as_slice()) {
            (Expression::Meta(meta), &[number]) if meta.key == MetaKey::NfProtocol => reach.family(number),
            (Expression::Meta(meta), &[number]) if meta.key == MetaKey::L4Protocol => reach.protocol(number),
            (Expression::Payload(payload), &[a, b])
                if payload.base == PayloadBase::Transport && payload.offset == 2 =>
            {
                reach.keyed(DataType::INET_SERVICE, &[a, b], &[a, b]);
            }
            _ => {}
        }
    }
    reach
}
