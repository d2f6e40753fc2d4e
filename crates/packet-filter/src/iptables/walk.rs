//! What becomes of a packet in the tables of a file, read from their rules and from nothing else: the second opinion on
//! [`translate`](super::translate) and the machine that runs what it makes.
//!
//! Each condition that is not known splits the packet's world in two, and both are followed.

use std::net::SocketAddr;

use iptables_syntax::extension::{ConnmarkTarget, Nat, RejectWith, TtlTarget};
use iptables_syntax::{ChainPolicy, PortRange, Save, Target};

use super::assemble::{Chain, Table, assemble};
use super::evaluate::{Held, held_by};
use super::hooks;
use crate::facts::{Facts, Field, Need};
use crate::packet::{Addresses, Hook, Packet, Payload, State};

/// What may become of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcomes {
    /// What becomes of it as long as rates are kept and what is not known does not match.
    pub main: Outcome,
    /// All that may become of it, in no order.
    pub possible: Vec<Outcome>,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It goes through.
    Accepted,
    /// It is dropped without a word.
    Dropped,
    /// It is dropped and the sender is told.
    Rejected(RejectWith),
    /// A program decides.
    Queued,
}

/// What becomes of a packet on its way over the hooks, in the tables of its family. Without a file, it is accepted.
#[must_use]
pub fn walk(v4: Option<&Save>, v6: Option<&Save>, way: &[Hook], packet: &Packet) -> Outcomes {
    let save = match packet.addresses {
        Addresses::Ipv4 { .. } => v4,
        Addresses::Ipv6 { .. } => v6,
    };
    let tables = save.map(assemble).unwrap_or_default();
    let mut worlds = vec![World { packet: packet.clone(), hidden: Vec::new(), main: true }];
    let mut ended = Vec::new();
    for &hook in way {
        let mut chains: Vec<_> = tables
            .iter()
            .flat_map(|table| table.chains.iter().map(move |chain| (table, chain)))
            .filter_map(|(table, chain)| {
                let (point, priority) = hooks::hook(table.name, chain.name)?;
                (point == hook.point()).then_some((priority, table, chain))
            })
            .collect();
        chains.sort_by_key(|(priority, ..)| *priority);
        for (_, table, chain) in chains {
            let mut walk = Walk { table, hook, ended: Vec::new() };
            let (through, around): (Vec<_>, Vec<_>) =
                worlds.into_iter().partition(|world| table.name != "nat" || world.opens_a_flow());
            let fell = walk.chain(chain, through, 0);
            let policy = match chain.policy {
                Some(ChainPolicy::Drop | ChainPolicy::Queue) => Outcome::Dropped,
                Some(ChainPolicy::Accept | ChainPolicy::Return) | None => Outcome::Accepted,
            };
            worlds = around;
            walk.ended.extend(fell.into_iter().map(|world| (policy, world)));
            for (outcome, world) in walk.ended {
                match outcome {
                    Outcome::Accepted => add(&mut worlds, world),
                    Outcome::Dropped | Outcome::Rejected(_) | Outcome::Queued => {
                        ended.push((outcome, world.main));
                    }
                }
            }
        }
    }
    ended.extend(worlds.into_iter().map(|world| (Outcome::Accepted, world.main)));
    let mut possible = Vec::new();
    for (outcome, _) in &ended {
        if !possible.contains(outcome) {
            possible.push(*outcome);
        }
    }
    let main = ended.iter().find(|(_, main)| *main).map_or(Outcome::Accepted, |(outcome, _)| *outcome);
    Outcomes { main, possible }
}

/// A packet of which rules have changed something, and of which something may no longer be known.
#[derive(Debug, Clone, PartialEq, Eq)]
struct World {
    packet: Packet,
    hidden: Vec<Field>,
    /// Every condition before went as it goes in the main.
    main: bool,
}

impl Facts for World {
    fn get(&self, field: Field) -> Result<Option<u128>, Need> {
        if self.hidden.contains(&field) { Ok(None) } else { self.packet.get(field) }
    }
}

impl World {
    /// Tables of type nat see the first packet of a connection alone.
    fn opens_a_flow(&self) -> bool {
        self.hidden.contains(&Field::State) || self.packet.state == State::New
    }

    fn hide(&mut self, field: Field) {
        if !self.hidden.contains(&field) {
            self.hidden.push(field);
        }
    }

    fn show(&mut self, field: Field) {
        self.hidden.retain(|hidden| *hidden != field);
    }

    fn marked(&mut self, mask: u32, value: u32) {
        self.packet.mark = self.packet.mark & !mask ^ value;
        if mask == u32::MAX {
            self.show(Field::Mark);
        }
    }

    fn published(&mut self) {
        let port = match self.packet.payload {
            Payload::Tcp { destination, .. } | Payload::Udp { destination, .. } => destination,
            Payload::Icmp { .. } | Payload::Icmpv6 { .. } | Payload::Other(_) => 0,
        };
        let original = SocketAddr::new(self.packet.addresses.destination(), port);
        self.packet.published_from.get_or_insert(original);
    }

    fn change_port(&mut self, ports: Option<PortRange>) {
        let Some(ports) = ports else { return };
        if let Payload::Tcp { destination, .. } | Payload::Udp { destination, .. } = &mut self.packet.payload
        {
            *destination = ports.first;
        }
        if !ports.is_one() {
            self.hide(Field::DestinationPort);
        }
    }

    fn sent_to(&mut self, nat: &Nat) {
        self.published();
        if let Some(range) = nat.addresses {
            if let Ok(addresses) = Addresses::new(self.packet.addresses.source(), range.first) {
                self.packet.addresses = addresses;
            }
            if !range.is_one() {
                self.hide(Field::Destination);
            }
        }
        match nat.ports {
            Some(ports) if ports.base.is_some() => self.hide(Field::DestinationPort),
            ports => self.change_port(ports.map(|ports| ports.range)),
        }
    }
}

fn add(worlds: &mut Vec<World>, world: World) {
    match worlds.iter_mut().find(|known| known.packet == world.packet && known.hidden == world.hidden) {
        Some(known) => known.main |= world.main,
        None => worlds.push(world),
    }
}

/// A table while packets go through it.
struct Walk<'t, 'a> {
    table: &'t Table<'a>,
    hook: Hook,
    ended: Vec<(Outcome, World)>,
}

/// What a target does.
enum Next {
    GoOn,
    Leave,
    Jump,
    Goto,
    End(Outcome),
    /// One of: it goes on, it is accepted, it is dropped.
    Open,
}

/// `iptables-restore` refuses loops, so that a way is no longer than there are chains.
const DEPTH: usize = 1000;

impl<'a> Walk<'_, 'a> {
    /// Gives the worlds that come to the end of the chain, or return from it.
    fn chain(&mut self, chain: &Chain<'a>, mut worlds: Vec<World>, depth: usize) -> Vec<World> {
        let mut left = Vec::new();
        if depth == DEPTH {
            return worlds;
        }
        for entry in &chain.rules {
            let mut next = Vec::new();
            for world in worlds {
                let held = held_by(entry.rule, self.hook, &world)
                    .unwrap_or_else(|Need(_)| unreachable!("a whole packet needs nothing more"));
                let (matched, unmatched) = match held {
                    Held::No => (None, Some(world)),
                    Held::Yes => (Some(world), None),
                    Held::Depends { assumed } => {
                        let with = |main| World { main, ..world.clone() };
                        (Some(with(world.main && assumed)), Some(with(world.main && !assumed)))
                    }
                };
                if let Some(world) = unmatched {
                    add(&mut next, world);
                }
                if let Some(world) = matched {
                    self.apply(entry.rule.target.as_ref(), world, &mut next, &mut left, depth);
                }
            }
            worlds = next;
        }
        for world in left {
            add(&mut worlds, world);
        }
        worlds
    }

    fn apply(
        &mut self,
        target: Option<&Target>,
        mut world: World,
        next: &mut Vec<World>,
        left: &mut Vec<World>,
        depth: usize,
    ) {
        let Some(target) = target else { return add(next, world) };
        match happens(target, &mut world) {
            Next::GoOn => add(next, world),
            Next::Leave => add(left, world),
            Next::End(outcome) => self.ended.push((outcome, world)),
            Next::Open => {
                let aside = World { main: false, ..world.clone() };
                self.ended.push((Outcome::Accepted, aside.clone()));
                self.ended.push((Outcome::Dropped, aside));
                add(next, world);
            }
            way @ (Next::Jump | Next::Goto) => {
                let (Target::Jump(name) | Target::Goto(name)) = target else { return };
                let Some(chain) = self.table.chains.iter().find(|chain| chain.name == name) else { return };
                let into = if matches!(way, Next::Jump) { next } else { left };
                for world in self.chain(chain, vec![world], depth + 1) {
                    add(into, world);
                }
            }
        }
    }
}

/// Changes the packet as the target does, and gives where it goes.
fn happens(target: &Target, world: &mut World) -> Next {
    match target {
        Target::Accept | Target::Snat(_) | Target::Masquerade(_) => Next::End(Outcome::Accepted),
        Target::Drop => Next::End(Outcome::Dropped),
        Target::Reject(reject) => Next::End(Outcome::Rejected(reject.with)),
        Target::Queue => Next::End(Outcome::Queued),
        Target::Return => Next::Leave,
        Target::Jump(_) => Next::Jump,
        Target::Goto(_) => Next::Goto,
        Target::Mark(mark) => {
            world.marked(mark.xmark.mask, mark.xmark.value);
            Next::GoOn
        }
        Target::Connmark(ConnmarkTarget::Restore { .. }) => {
            if ![State::Invalid, State::Untracked].contains(&world.packet.state) {
                world.hide(Field::Mark);
            }
            Next::GoOn
        }
        Target::Notrack => {
            world.packet.state = State::Untracked;
            Next::GoOn
        }
        Target::Ct(ct) => {
            if ct.notrack {
                world.packet.state = State::Untracked;
            }
            if ct.zone.is_some_and(|zone| zone.number.is_none()) {
                world.hide(Field::State);
            }
            Next::GoOn
        }
        Target::Dnat(nat) => {
            world.sent_to(nat);
            Next::End(Outcome::Accepted)
        }
        Target::Redirect(to) => {
            world.published();
            world.hide(Field::Destination);
            world.change_port(to.ports);
            Next::End(Outcome::Accepted)
        }
        Target::Ttl(change) | Target::Hl(change) => {
            let now = &mut world.packet.hop_limit;
            *now = match *change {
                TtlTarget::Set(value) => value,
                TtlTarget::Increase(by) => now.saturating_add(by),
                TtlTarget::Decrease(by) => now.saturating_sub(by),
            };
            Next::GoOn
        }
        Target::Connmark(ConnmarkTarget::Set(_) | ConnmarkTarget::Save { .. })
        | Target::Log(_)
        | Target::Nflog(_)
        | Target::Set(_)
        | Target::Tcpmss(_) => Next::GoOn,
        Target::Unknown(unknown) => match unknown.name.as_str() {
            "NFQUEUE" => Next::End(Outcome::Queued),
            "NETMAP" => {
                world.published();
                world.hide(Field::Destination);
                Next::End(Outcome::Accepted)
            }
            "AUDIT" | "CHECKSUM" | "CLASSIFY" | "CONNSECMARK" | "DSCP" | "ECN" | "HMARK" | "IDLETIMER"
            | "LED" | "RATEEST" | "SECMARK" | "TCPOPTSTRIP" | "TEE" | "TOS" | "TRACE" | "ULOG" => Next::GoOn,
            _ => Next::Open,
        },
    }
}
