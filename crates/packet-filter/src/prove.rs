//! A ruleset held against its policy over all packets.
//!
//! Packets are split into classes that neither of the two tells apart (see `classes`), and one packet of each
//! combination of classes is decided by both. Fields are given a value only when one of the two asks for them, so what is
//! decided by the interface alone is one case and not millions. Since every match of a compiled ruleset is a range of
//! some field, agreement on these packets is agreement on all.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::classes::{Classes, Unsplittable, questions};
use crate::compile::Compiled;
use crate::decide::{Decision, Machine, uncertainty, verdict};
use crate::facts::{DNAT, Facts, Field, IPV6, Need, interface_name};
use crate::intent::{self, Answer, Ending, Manner};
use crate::machine::{Cause, Effect, End};
use crate::packet::{Addresses, Hook, Packet, Payload, State, protocol};
use crate::policy::FilterPolicy;

/// Evidence that a ruleset does what its policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// Classes of values, over all fields.
    pub classes: usize,
    /// Packets decided by both, each for all packets of its classes.
    pub packets: usize,
}

/// No [`Proof`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// A packet that the two decide differently.
    #[error("{0}")]
    Disagreement(Box<Disagreement>),
    /// A rule that does not match on ranges of fields, so that no finite number of packets speaks for all.
    #[error("rule {number} of chain {chain} does not match on ranges, so nothing can be proven")]
    NotProvable {
        /// Its chain.
        chain: String,
        /// Its place, from 1.
        number: usize,
    },
}

/// A packet that the policy and the ruleset decide differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// Where it is looked at.
    pub hook: Hook,
    /// The packet.
    pub packet: Packet,
    /// What the policy says.
    pub policy: Answer,
    /// What the ruleset says, and why.
    pub ruleset: Decision,
}

impl std::fmt::Display for Disagreement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { hook, packet, policy, ruleset } = self;
        write!(f, "{hook}: {packet}: the policy says {policy}, the ruleset {ruleset}")
    }
}

/// Decides whether `compiled` does what `policy` says, for every packet at every hook.
///
/// # Errors
/// A packet on which they disagree, or a rule that makes the question undecidable this way.
pub fn prove(policy: &FilterPolicy, compiled: &Compiled) -> Result<Proof, Unproven> {
    let table = compiled.table();
    let mut asked = questions(table)
        .map_err(|Unsplittable { chain, rule }| Unproven::NotProvable { chain, number: rule })?;
    asked.extend(intent::questions(policy));
    let classes = Classes::new(&asked);
    let mut prover = Prover {
        policy,
        machine: Machine::new([table]),
        classes: &classes,
        packet: Partial::default(),
        seen: BTreeSet::new(),
        packets: 0,
    };
    for hook in Hook::ALL {
        prover.explore(hook)?;
    }
    let count = |&(field, ipv6): &(Field, bool)| classes.of(field, ipv6).len();
    Ok(Proof { classes: prover.seen.iter().map(count).sum(), packets: prover.packets })
}

struct Prover<'a> {
    policy: &'a FilterPolicy,
    machine: Machine<'a>,
    classes: &'a Classes,
    packet: Partial,
    /// Fields that were asked for.
    seen: BTreeSet<(Field, bool)>,
    packets: usize,
}

impl Prover<'_> {
    fn explore(&mut self, hook: Hook) -> Result<(), Unproven> {
        match self.both(hook) {
            Ok((policy, ruleset)) => {
                self.packets += 1;
                if ruleset.as_ref() == Some(&policy) {
                    return Ok(());
                }
                let packet = self.packet.witness(hook);
                let ruleset = self.machine.decide(hook, &packet);
                Err(Unproven::Disagreement(Box::new(Disagreement { hook, packet, policy, ruleset })))
            }
            Err(Need(field)) => {
                let ipv6 = self.packet.is_ipv6().unwrap_or(false);
                self.seen.insert((field, ipv6));
                let classes = self.classes;
                for &value in classes.of(field, ipv6) {
                    self.packet.0[field.index()] = Some(value);
                    self.explore(hook)?;
                }
                self.packet.0[field.index()] = None;
                Ok(())
            }
        }
    }

    /// What both say; of the ruleset `None` where it depends on something that no policy speaks of.
    fn both(&self, hook: Hook) -> Result<(Answer, Option<Answer>), Need> {
        let policy = intent::answer(self.policy, hook, &self.packet)?;
        let ends = self.machine.0.run(&[hook], &self.packet)?;
        let Some(main) = &ends.main else {
            return Ok((policy, None));
        };
        if let Answer::Open { usual, possible } = &policy {
            let all: Option<BTreeSet<Ending>> = std::iter::once(main)
                .chain(&ends.others)
                .map(|end| self.ending(end))
                .collect::<Result<_, _>>()?;
            let is_meant =
                self.ending(main)? == Some(*usual) && all.is_some_and(|all| all.is_subset(possible));
            let ruleset = is_meant.then(|| policy.clone());
            return Ok((policy, ruleset));
        }
        let ruleset = match uncertainty(main, &ends.others) {
            None if verdict(&main.effect).is_accept() => Some(Answer::Accept),
            None => self.one_manner(std::iter::once(main).chain(&ends.others))?.map(Answer::Refuse),
            Some(uncertain) => {
                let rates: Option<BTreeSet<_>> =
                    uncertain.causes.iter().map(|&cause| self.rate(cause)).collect();
                let otherwise = self.one_manner(uncertain.otherwise.iter().copied())?;
                match (verdict(&main.effect).is_accept(), rates, otherwise) {
                    (true, Some(rates), Some(otherwise)) => Some(Answer::AcceptWithin { rates, otherwise }),
                    _ => None,
                }
            }
        };
        Ok((policy, ruleset))
    }

    /// `None` where it is none of those that a policy knows.
    fn ending(&self, end: &End<'_>) -> Result<Option<Ending>, Need> {
        if end.effect == Effect::Accept {
            return Ok(Some(Ending::Accept));
        }
        Ok(self.one_manner(std::iter::once(end))?.map(Ending::Refuse))
    }

    fn rate(&self, cause: Cause) -> Option<intent::Rate> {
        match cause {
            Cause::Expression(at, nth) => self.machine.rate(at, nth),
            Cause::Queue(_) | Cause::TooLong => None,
        }
    }

    /// How all of the ends refuse; `None` where they differ or do not.
    fn one_manner<'e>(&self, ends: impl Iterator<Item = &'e End<'e>>) -> Result<Option<Manner>, Need> {
        let mut manner = None;
        for end in ends {
            let this = match &end.effect {
                Effect::Drop => Manner::Silently,
                Effect::Reject(nf_tables::Reject::TcpReset) => {
                    let is_tcp = self.packet.get(Field::Protocol)? == Some(u128::from(protocol::TCP));
                    if is_tcp { Manner::Reset } else { Manner::Silently }
                }
                Effect::Reject(nf_tables::Reject::Icmp(_) | nf_tables::Reject::Icmpx(_)) => {
                    Manner::Unreachable
                }
                Effect::Accept
                | Effect::Continue
                | Effect::Return
                | Effect::Jump(_)
                | Effect::Goto(_)
                | Effect::Queue(_) => return Ok(None),
            };
            if manner.replace(this).is_some_and(|before| before != this) {
                return Ok(None);
            }
        }
        Ok(manner)
    }
}

/// A packet of which only some fields are settled.
#[derive(Debug, Default)]
struct Partial([Option<u128>; Field::COUNT]);

impl Facts for Partial {
    fn get(&self, field: Field) -> Result<Option<u128>, Need> {
        match field {
            Field::SourcePort
            | Field::DestinationPort
            | Field::TcpFlags
            | Field::OriginalPort
            | Field::IcmpKind
            | Field::IcmpCode => {
                let protocol = self.get(Field::Protocol)?;
                let known_as = if field == Field::OriginalPort { Field::DestinationPort } else { field };
                if !crate::facts::transport_layout(protocol.unwrap_or(0))
                    .iter()
                    .any(|(has, _)| *has == known_as)
                {
                    return Ok(None);
                }
            }
            _ => {}
        }
        // A class of addresses is one of a family.
        if matches!(field, Field::Source | Field::Destination | Field::OriginalDestination) {
            self.get(Field::Family)?;
        }
        match self.0[field.index()] {
            Some(value) => Ok(Some(value)),
            None => Err(Need(field)),
        }
    }
}

impl Partial {
    /// A whole packet of these classes.
    fn witness(&self, hook: Hook) -> Packet {
        let value = |field: Field| self.0[field.index()];
        let small = |field: Field, default: u8| {
            value(field).and_then(|value| u8::try_from(value).ok()).unwrap_or(default)
        };
        let port = |field: Field, default: u16| {
            value(field).and_then(|value| u16::try_from(value).ok()).unwrap_or(default)
        };
        let addresses = if value(Field::Family) == Some(IPV6) {
            let address = |field, default: u128| Ipv6Addr::from_bits(value(field).unwrap_or(default));
            Addresses::Ipv6 {
                source: address(Field::Source, 0x2001_0db8 << 96 | 7),
                destination: address(Field::Destination, 0x2001_0db8 << 96 | 1),
            }
        } else {
            let address = |field, default: u32| {
                let bits = value(field).and_then(|value| u32::try_from(value).ok());
                Ipv4Addr::from_bits(bits.unwrap_or(default))
            };
            Addresses::Ipv4 {
                source: address(Field::Source, 0xc633_6407),
                destination: address(Field::Destination, 0xc000_0201),
            }
        };
        let (source, destination) = (port(Field::SourcePort, 40_000), port(Field::DestinationPort, 9));
        let (kind, code) = (small(Field::IcmpKind, 0), small(Field::IcmpCode, 0));
        let payload = match small(Field::Protocol, protocol::UDP) {
            protocol::TCP => {
                Payload::Tcp { source, destination, flags: small(Field::TcpFlags, crate::packet::SYN) }
            }
            protocol::UDP => Payload::Udp { source, destination },
            protocol::ICMP => Payload::Icmp { kind, code },
            protocol::ICMPV6 => Payload::Icmpv6 { kind, code },
            other => Payload::Other(other),
        };
        let state = State::ALL.into_iter().find(|state| value(Field::State) == Some(u128::from(state.bit())));
        let interface = |field: Field, has: bool| match value(field) {
            Some(number) => interface_name(number),
            None => has.then(|| "eth0".to_owned()),
        };
        Packet {
            input: interface(Field::InputName, crate::facts::has_input(hook)),
            output: interface(Field::OutputName, crate::facts::has_output(hook)),
            addresses,
            payload,
            state: state.unwrap_or(State::New),
            hop_limit: small(Field::HopLimit, 64),
            mark: value(Field::Mark).and_then(|mark| u32::try_from(mark).ok()).unwrap_or(0),
            published_from: (value(Field::Status) == Some(DNAT)).then(|| self.original()),
        }
    }
}

impl Partial {
    /// Where a published packet was addressed to.
    fn original(&self) -> SocketAddr {
        let value = |field: Field| self.0[field.index()];
        let address = value(Field::OriginalDestination);
        let address: IpAddr = if value(Field::Family) == Some(IPV6) {
            Ipv6Addr::from_bits(address.unwrap_or(0x2001_0db8 << 96 | 2)).into()
        } else {
            let bits = address.and_then(|value| u32::try_from(value).ok());
            Ipv4Addr::from_bits(bits.unwrap_or(0xc000_0202)).into()
        };
        let port = value(Field::OriginalPort).and_then(|value| u16::try_from(value).ok());
        SocketAddr::new(address, port.unwrap_or(9))
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let manner = |manner: &Manner| match manner {
            Manner::Silently => "drop",
            Manner::Reset => "reject with a reset",
            Manner::Unreachable => "reject",
        };
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Open { usual, possible } => {
                let ending = |ending: &Ending| match ending {
                    Ending::Accept => "accept",
                    Ending::Refuse(how) => manner(how),
                };
                let others: Vec<_> = possible.iter().filter(|other| *other != usual).map(ending).collect();
                write!(f, "{}, or {}", ending(usual), others.join(", or "))
            }
            Self::Refuse(how) => f.write_str(manner(how)),
            Self::AcceptWithin { rates, otherwise } => {
                let rates: Vec<_> = rates.iter().map(ToString::to_string).collect();
                write!(f, "accept within {}, else {}", rates.join(" or "), manner(otherwise))
            }
        }
    }
}
