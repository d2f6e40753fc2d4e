//! One rule on all packets at once: which it matches, and what it does with them.
//!
//! This mirrors `machine/run.rs`, expression by expression: where that decides one packet, this splits the set of all. A
//! property test holds the two together on rulesets made at random. The matches of `x_tables` are not mirrored: there the
//! machine itself is asked (see `probe`).

use nf_tables::{
    Bitwise, BitwiseOp, Byteorder, CmpOp, Ct, CtDirection, CtKey, Data, Dynset, DynsetOp, Expression, Family,
    Fib, Immediate, Lookup, Meta, MetaKey, Nat, NatKind, ObjectKind, Objref, Payload, PayloadBase,
    PayloadWrite, RangeOp, Register, Target, Verdict,
};

use super::bdd::Bdd;
use super::changes::{Changes, Update};
use super::registers::{Answer, Bit, Registers, below, bits_of, equals};
use super::{Space, lookup};
use crate::facts::{DNAT, Field, network_layout};
use crate::machine::{
    At, Effect, Program, asks_for_destination_type, effect, hop_limit, keeps_a_rate, mark_of, only_goes_on,
    queue, reject, restores_mark, takes_tracking_away,
};
use crate::packet::{Hook, State, protocol};
use crate::statement::{ct_length, fib_length, meta_length, routing_length};

/// What a rule does, for all packets, were they to come to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Outcome<'a> {
    /// Packets that it matches to its end.
    pub(super) matched: Option<Bdd>,
    /// What becomes of them; the sets are apart. Of the others nothing becomes.
    pub(super) effects: Vec<(Bdd, Effect<'a>)>,
    /// What it changes about packets, in order.
    pub(super) updates: Vec<Update>,
    /// Packets for which alone this holds, if not for all.
    pub(super) only_for: Option<Bdd>,
}

/// A rule at work.
pub(super) struct Rule<'s, 'p, 'a> {
    pub(super) space: &'s mut Space,
    pub(super) program: &'p Program<'a>,
    pub(super) hook: Hook,
    pub(super) changes: &'s Changes,
    pub(super) at: At,
    /// Packets that come to the rule now.
    pub(super) arrived: Bdd,
    /// Packets that have matched so far.
    pub(super) here: Bdd,
    pub(super) registers: Registers,
    /// What this rule has changed, over `changes`.
    pub(super) own: Option<Box<Changes>>,
    pub(super) outcome: Outcome<'a>,
}

impl<'a> Rule<'_, '_, 'a> {
    pub(super) fn run(mut self) -> Outcome<'a> {
        let rule = self.program.rule(self.at);
        for (nth, expression) in rule.expressions.iter().enumerate() {
            self.step(nth, expression);
            if self.here.is_false() {
                break;
            }
        }
        let ended = self.outcome.effects.iter().map(|(set, _)| *set).chain([self.here]).collect();
        self.outcome.matched = Some(self.space.arena.union(ended));
        self.outcome
    }

    fn step(&mut self, nth: usize, expression: &'a Expression) {
        match expression {
            Expression::Meta(meta) => self.load_meta(nth, meta),
            Expression::Ct(ct) => self.load_ct(nth, ct),
            Expression::Payload(payload) => self.load_payload(nth, payload),
            Expression::Exthdr(exthdr) => {
                if let Some(dreg) = exthdr.dreg {
                    self.unknown(dreg, usize::try_from(exthdr.length).unwrap_or(64), nth);
                }
            }
            Expression::Fib(fib) => self.load_fib(nth, fib),
            Expression::Routing(routing) => self.unknown(routing.dreg, routing_length(routing), nth),
            Expression::Hash(hash) => self.unknown(hash.dreg, 4, nth),
            Expression::Numgen(numgen) => self.unknown(numgen.dreg, 4, nth),
            Expression::Socket(socket) => self.unknown(socket.dreg, 4, nth),
            Expression::Immediate(immediate) => self.immediate(nth, immediate),
            Expression::Bitwise(bitwise) => self.change_bits(nth, bitwise),
            Expression::Byteorder(byteorder) => self.change_order(nth, byteorder),
            Expression::Cmp(cmp) => {
                let bits = self.registers.value(cmp.sreg, cmp.data.len());
                let is_loopback_index = cmp.data == 1_u32.to_ne_bytes();
                let arena = &mut self.space.arena;
                let mut answer = match cmp.op {
                    CmpOp::Eq | CmpOp::Ne => equals(arena, &bits, &cmp.data),
                    CmpOp::Lt | CmpOp::Ge => below(arena, &bits, &cmp.data, false),
                    CmpOp::Le | CmpOp::Gt => below(arena, &bits, &cmp.data, true),
                };
                if matches!(cmp.op, CmpOp::Eq | CmpOp::Ne)
                    && is_loopback_index
                    && self.registers.is_interface(cmp.sreg)
                {
                    answer.unknown = Bdd::FALSE;
                }
                let answer = answer.not_if(arena, matches!(cmp.op, CmpOp::Ne | CmpOp::Ge | CmpOp::Gt));
                let made_by = self.registers.made_by(cmp.sreg, cmp.data.len());
                self.require(answer, &made_by, nth);
            }
            Expression::Range(range) => {
                let bits = self.registers.value(range.sreg, range.from.len());
                let arena = &mut self.space.arena;
                let under = below(arena, &bits, &range.from, false).not_if(arena, true);
                let over = below(arena, &bits, &range.to, true);
                let answer = under.and(arena, over).not_if(arena, range.op == RangeOp::NotIn);
                let made_by = self.registers.made_by(range.sreg, range.from.len());
                self.require(answer, &made_by, nth);
            }
            Expression::Lookup(lookup) => self.look_up(nth, lookup),
            Expression::Dynset(dynset) => self.dynset(nth, dynset),
            Expression::MetaSet(set) => {
                if set.key == MetaKey::Mark {
                    let bits = self.registers.value(set.sreg, 4);
                    self.update(Update::Mark(self.here, bits));
                }
            }
            Expression::Notrack(_) => self.update(Update::State(self.here, Some(State::Untracked))),
            Expression::PayloadWrite(write) => self.write_payload(write),
            Expression::CtSet(_) | Expression::Counter(_) | Expression::Log(_) => {}
            Expression::Limit(_) | Expression::Connlimit(_) | Expression::Quota(_) => {
                let goes_on = keeps_a_rate(expression).unwrap_or(true);
                self.depends(nth, goes_on);
            }
            Expression::Objref(objref) => match objref {
                Objref::Named {
                    kind: ObjectKind::COUNTER | ObjectKind::CT_HELPER | ObjectKind::CT_TIMEOUT,
                    ..
                } => {}
                Objref::Named { .. } | Objref::Map { .. } => self.depends(nth, true),
            },
            Expression::Reject(reject) => self.end(Effect::Reject(*reject)),
            Expression::Queue(queue) => self.end(Effect::Queue(queue.number)),
            Expression::Nat(nat) => self.translate(nth, nat),
            Expression::Redirect(redirect) => {
                self.update(Update::Published(self.here));
                self.update(Update::Destination(self.here, None));
                if let Some(register) = redirect.port_min {
                    let port = self.one_value(register, redirect.port_max, 2);
                    self.update(Update::Port(self.here, port));
                }
                self.end(Effect::Accept);
            }
            Expression::Masquerade(_) => {
                self.label(nth, &[]);
                self.end(Effect::Accept);
            }
            Expression::Match(matched) => {
                let current = self.own.as_deref().unwrap_or(self.changes);
                let probed = super::probe::compat_match(
                    self.space,
                    self.program,
                    self.hook,
                    current,
                    self.here,
                    matched,
                );
                self.here = self.space.arena.minus(self.here, probed.no);
                self.depends_within(probed.assumed_yes, nth, true);
                self.depends_within(probed.assumed_no, nth, false);
            }
            Expression::Target(target) => self.target(nth, target),
            Expression::Unknown { name, .. } => {
                if !matches!(name.as_str(), "last" | "dup") {
                    self.depends(nth, false);
                }
            }
        }
    }

    fn current(&self) -> &Changes {
        self.own.as_deref().unwrap_or(self.changes)
    }

    fn current_state_known(&self) -> Bdd {
        self.current().state_known
    }

    fn update(&mut self, update: Update) {
        let mut own = self.own.take().unwrap_or_else(|| Box::new(self.changes.clone()));
        own.apply(&mut self.space.arena, Bdd::TRUE, &update);
        self.own = Some(own);
        self.outcome.updates.push(update);
    }

    /// What is here ends so.
    fn end(&mut self, effect: Effect<'a>) {
        self.end_of(self.here, effect);
    }

    fn end_of(&mut self, set: Bdd, effect: Effect<'a>) {
        let set = self.space.arena.and(set, self.here);
        if !set.is_false() {
            self.here = self.space.arena.minus(self.here, set);
            self.outcome.effects.push((set, effect));
        }
    }

    /// Goes on with packets for which a match says yes, and with those for which it is not known, if it be so.
    fn require(&mut self, answer: Answer, made_by: &[usize], nth: usize) {
        let arena = &mut self.space.arena;
        let unknown = arena.and(self.here, answer.unknown);
        let yes = arena.and(self.here, answer.yes);
        self.here = if unknown.is_false() {
            yes
        } else {
            let so = self.space.opaque(self.program, self.at, nth, made_by, false);
            let maybe = self.space.arena.and(unknown, so);
            self.space.arena.or(yes, maybe)
        };
    }

    /// Goes on if something outside of the packet is so, which `usual`ly it is.
    fn depends(&mut self, nth: usize, usual: bool) {
        let so = self.space.opaque(self.program, self.at, nth, &[], usual);
        self.here = self.space.arena.and(self.here, so);
    }

    fn depends_within(&mut self, set: Bdd, nth: usize, usual: bool) {
        let set = self.space.arena.and(set, self.here);
        if !set.is_false() {
            let so = self.space.opaque(self.program, self.at, nth, &[], usual);
            let not_so = self.space.arena.minus(set, so);
            self.here = self.space.arena.minus(self.here, not_so);
        }
    }

    fn unknown(&mut self, dreg: Register, length: usize, nth: usize) {
        self.registers.store_unknown(dreg, length, &[nth]);
    }

    fn immediate(&mut self, nth: usize, immediate: &'a Immediate) {
        match &immediate.data {
            Data::Value(value) => self.registers.store_bytes(immediate.dreg, value, &[nth]),
            Data::Verdict(Verdict::Break) => self.here = Bdd::FALSE,
            Data::Verdict(verdict) => {
                if let Some(effect) = effect(verdict) {
                    self.end(effect);
                }
            }
        }
    }

    fn load_meta(&mut self, nth: usize, meta: &Meta) {
        let dreg = meta.dreg;
        let bits = match meta.key {
            MetaKey::InputName => self.space.name(Field::InputName),
            MetaKey::OutputName => self.space.name(Field::OutputName),
            MetaKey::NfProtocol => self.space.family(),
            MetaKey::L4Protocol => self.space.field(Field::Protocol, false),
            MetaKey::InputIndex => return self.load_index(nth, dreg, Field::InputName),
            MetaKey::OutputIndex => return self.load_index(nth, dreg, Field::OutputName),
            MetaKey::Protocol => {
                let ipv6 = self.space.is_ipv6();
                let ethertypes = 0x0800_u16.to_be_bytes().into_iter().zip(0x86dd_u16.to_be_bytes());
                let mut bits = Vec::new();
                for (v4, v6) in ethertypes {
                    for (v4, v6) in bits_of(v4).zip(bits_of(v6)) {
                        let (v4, v6) = (Bdd::constant(v4), Bdd::constant(v6));
                        bits.push(Bit::known(self.space.arena.ite(ipv6, v6, v4)));
                    }
                }
                bits
            }
            MetaKey::Mark => machine_order(&self.current().mark),
            _ => return self.unknown(dreg, meta_length(meta.key), nth),
        };
        self.registers.store(dreg, &bits, &[nth]);
    }

    /// An interface's index: 0 for none, 1 for loopback, and otherwise unknown, but not that of loopback.
    fn load_index(&mut self, nth: usize, dreg: Register, name: Field) {
        let loopback = self.space.name_is(name, crate::facts::interface_number("lo"));
        let none = self.space.name_is(name, 0);
        let known = self.space.arena.or(loopback, none);
        let mut bits = vec![Bit { value: Bdd::FALSE, known }; 31];
        bits.push(Bit { value: loopback, known });
        self.registers.store(dreg, &machine_order(&bits), &[nth]);
        self.registers.note_interface(dreg);
    }

    fn load_ct(&mut self, nth: usize, ct: &Ct) {
        if ct.key == CtKey::State {
            let bits = self.current().state_bits();
            self.registers.store(ct.dreg, &machine_order(&bits), &[nth]);
            return;
        }
        // Nothing but the state is to be had of a packet without a connection.
        let current = self.own.as_deref().unwrap_or(self.changes);
        let untracked = current.is_without_connection(&mut self.space.arena);
        self.here = self.space.arena.minus(self.here, untracked);
        let original = ct.direction == Some(CtDirection::Original);
        let ipv6 = self.space.is_ipv6();
        let bits = match ct.key {
            CtKey::L3Protocol => self.space.family(),
            CtKey::Protocol => {
                // What is related may be an error about a flow of another protocol.
                let related = self.current().is_state(State::Related);
                let related = self.space.arena.and(related, self.current_state_known());
                let bits = self.space.field(Field::Protocol, false);
                self.unknown_where(related, bits)
            }
            CtKey::Status => {
                let mut bits = vec![Bit::UNKNOWN; 32];
                let place = 31 - DNAT.trailing_zeros() as usize;
                bits[place] = self.current().published;
                machine_order(&bits)
            }
            CtKey::ProtocolDestination if original => self.space.original(Field::OriginalPort, false),
            CtKey::DestinationIp if original => {
                let bits = self.space.original(Field::OriginalDestination, false);
                self.unknown_where(ipv6, bits)
            }
            CtKey::DestinationIp6 if original => {
                let bits = self.space.original(Field::OriginalDestination, true);
                self.unknown_where(!ipv6, bits)
            }
            _ => vec![Bit::UNKNOWN; ct_length(ct) * 8],
        };
        self.registers.store(ct.dreg, &bits, &[nth]);
    }

    fn unknown_where(&mut self, set: Bdd, bits: Vec<Bit>) -> Vec<Bit> {
        bits.into_iter().map(|bit| Bit::UNKNOWN.or_else(&mut self.space.arena, set, bit)).collect()
    }

    fn load_payload(&mut self, nth: usize, payload: &Payload) {
        let (Ok(offset), Ok(length)) = (usize::try_from(payload.offset), usize::try_from(payload.length))
        else {
            return;
        };
        let length = length.min(64);
        let ipv6 = self.space.is_ipv6();
        let mut bits = vec![Bit::UNKNOWN; length * 8];
        match payload.base {
            PayloadBase::Network => {
                for (is_v6, condition) in [(false, !ipv6), (true, ipv6)] {
                    for &(field, at) in network_layout(is_v6) {
                        self.put_field(&mut bits, offset, field, at, is_v6, condition);
                    }
                }
            }
            PayloadBase::Transport => {
                let [tcp, udp, icmp, icmpv6] =
                    [protocol::TCP, protocol::UDP, protocol::ICMP, protocol::ICMPV6]
                        .map(|number| self.space.is(Field::Protocol, false, u128::from(number)));
                let ports = self.space.arena.or(tcp, udp);
                let messages = self.space.arena.or(icmp, icmpv6);
                for (field, at, condition) in [
                    (Field::SourcePort, 0, ports),
                    (Field::DestinationPort, 2, ports),
                    (Field::TcpFlags, 13, tcp),
                    (Field::IcmpKind, 0, messages),
                    (Field::IcmpCode, 1, messages),
                ] {
                    self.put_field(&mut bits, offset, field, at, false, condition);
                }
            }
            PayloadBase::Link | PayloadBase::Inner => {}
        }
        self.registers.store(payload.dreg, &bits, &[nth]);
    }

    /// Puts the part of a field, which stands at `at` in packets of `condition`, that a load from `offset` on takes.
    fn put_field(
        &mut self,
        bits: &mut [Bit],
        offset: usize,
        field: Field,
        at: usize,
        ipv6: bool,
        condition: Bdd,
    ) {
        let size = field.bytes(ipv6);
        if at >= offset + bits.len() / 8 || offset >= at + size {
            return;
        }
        // Only what is here counts.
        if self.space.arena.and(self.here, condition).is_false() {
            return;
        }
        let everywhere = self.space.arena.minus(self.here, condition).is_false();
        let condition = if everywhere { Bdd::TRUE } else { condition };
        let written = self.current().bytes;
        let value = self.packet_field(field, ipv6);
        for (nth, bit) in value.into_iter().enumerate() {
            let Some(place) = (at * 8 + nth).checked_sub(offset * 8).filter(|&place| place < bits.len())
            else {
                continue;
            };
            let arena = &mut self.space.arena;
            let bit = Bit { known: arena.minus(bit.known, written), ..bit };
            bits[place] = bit.or_else(arena, condition, bits[place]);
        }
    }

    /// A field of the packet's bytes, as address translation may have left it.
    fn packet_field(&mut self, field: Field, ipv6: bool) -> Vec<Bit> {
        match field {
            Field::Destination => self.current().destination[usize::from(ipv6)].clone(),
            Field::DestinationPort => self.current().port.clone(),
            Field::HopLimit => self.current().hop_limit.clone(),
            _ => self.space.field(field, ipv6),
        }
    }

    fn load_fib(&mut self, nth: usize, fib: &Fib) {
        if self.hook != Hook::Input || !asks_for_destination_type(fib) {
            return self.unknown(fib.dreg, fib_length(fib), nth);
        }
        let ipv6 = self.space.is_ipv6();
        let [v4, v6] = [false, true].map(|ipv6| self.packet_field(Field::Destination, ipv6));
        let arena = &mut self.space.arena;
        let class_d = equals(arena, &v4[..4], &[0xe0]);
        let multicast_v6 = equals(arena, &v6[..8], &[0xff]);
        let broadcast = equals(arena, &v4, &[0xff; 4]);
        let multicast = arena.ite(ipv6, multicast_v6.yes, class_d.yes);
        let broadcast = arena.minus(broadcast.yes, ipv6);
        let known_v4 = v4.iter().fold(Bdd::TRUE, |all, bit| arena.and(all, bit.known));
        let known_v6 = v6.iter().fold(Bdd::TRUE, |all, bit| arena.and(all, bit.known));
        let known = arena.ite(ipv6, known_v6, known_v4);
        // 2 local, 3 broadcast, 5 multicast.
        let mut bits = vec![Bit { value: Bdd::FALSE, known }; 29];
        bits.push(Bit { value: multicast, known });
        bits.push(Bit { value: !multicast, known });
        bits.push(Bit { value: arena.or(multicast, broadcast), known });
        self.registers.store(fib.dreg, &machine_order(&bits), &[nth]);
    }

    fn change_bits(&mut self, nth: usize, bitwise: &Bitwise) {
        let length = usize::try_from(bitwise.length).unwrap_or(64).min(Registers::left(bitwise.sreg));
        let bits = self.registers.value(bitwise.sreg, length);
        let out: Vec<Bit> = match &bitwise.op {
            BitwiseOp::MaskXor { mask, xor } => {
                let bit_of = |bytes: &[u8], at: usize| {
                    bytes.get(at / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1)
                };
                let changed =
                    bits.iter().enumerate().map(|(at, &bit)| match (bit_of(mask, at), bit_of(xor, at)) {
                        (false, xor) => Bit::constant(xor),
                        (true, false) => bit,
                        (true, true) => Bit { value: !bit.value, ..bit },
                    });
                changed.collect()
            }
            BitwiseOp::ShiftLeft(by) => self.shift(&bits, *by, true),
            BitwiseOp::ShiftRight(by) => self.shift(&bits, *by, false),
        };
        let mut made_by = self.registers.made_by(bitwise.sreg, length);
        made_by.push(nth);
        self.registers.store(bitwise.dreg, &out, &made_by);
    }

    /// Shifts as the kernel does it: over 32-bit words of the machine's order, the first the highest.
    fn shift(&mut self, bits: &[Bit], by: u32, left: bool) -> Vec<Bit> {
        let length = bits.len();
        let mut padded = bits.to_vec();
        padded.resize(length.next_multiple_of(32), Bit::ZERO);
        // Known as a whole or not at all.
        let known = bits.iter().fold(Bdd::TRUE, |all, bit| self.space.arena.and(all, bit.known));
        let words = machine_order_of_words(&padded);
        let by = usize::try_from(by).unwrap_or(usize::MAX);
        let shifted: Vec<Bit> = (0..words.len())
            .map(|at| {
                let from = if left { at.checked_add(by) } else { at.checked_sub(by) };
                let value = from.filter(|_| by < 32).and_then(|from| words.get(from));
                Bit {
                    value: value.map_or(Bdd::FALSE, |bit| bit.value),
                    known: if by < 32 { known } else { Bdd::FALSE },
                }
            })
            .collect();
        let mut out = machine_order_of_words(&shifted);
        out.truncate(length);
        out
    }

    fn change_order(&mut self, nth: usize, byteorder: &Byteorder) {
        let length = usize::try_from(byteorder.length).unwrap_or(64).min(Registers::left(byteorder.sreg));
        let size = usize::try_from(byteorder.size).unwrap_or(64).clamp(1, 64);
        let bits = self.registers.value(byteorder.sreg, length);
        let mut out = Vec::with_capacity(bits.len());
        for at in 0..length {
            let start = at - at % size;
            let mirrored = if cfg!(target_endian = "little") { start + size - 1 - at % size } else { at };
            for bit in 0..8 {
                out.push(bits.get(mirrored * 8 + bit).copied().unwrap_or(Bit::UNKNOWN));
            }
        }
        let mut made_by = self.registers.made_by(byteorder.sreg, length);
        made_by.push(nth);
        self.registers.store(byteorder.dreg, &out, &made_by);
    }

    fn look_up(&mut self, nth: usize, lookup: &'a Lookup) {
        let Some(contents) = self.program.tables[self.at.table].sets.get(lookup.set.as_str()) else {
            return self.depends(nth, false);
        };
        let length = usize::try_from(contents.set.key_length).unwrap_or(64).min(Registers::left(lookup.sreg));
        let key = self.registers.value(lookup.sreg, length);
        let made_by = self.registers.made_by(lookup.sreg, length);
        let known = key.iter().fold(Bdd::TRUE, |all, bit| self.space.arena.and(all, bit.known));
        let key: Vec<Bdd> = key.into_iter().map(|bit| bit.value).collect();
        let (groups, found) = lookup::groups(self.space, contents, &key, lookup.dreg.is_some());
        let mut unknown = self.space.arena.minus(self.here, known);
        if lookup.dreg.is_some() && !unknown.is_false() && !self.space.arena.intersects(unknown, self.arrived) {
            // Keys that no packet brings here need not be told from what they may be.
            self.outcome.only_for = Some(self.arrived);
            self.here = self.space.arena.and(self.here, known);
            unknown = Bdd::FALSE;
        }
        let is_empty = contents.entries.is_empty() && contents.catch_all.is_none();
        if lookup.dreg.is_none() {
            let yes = self.space.arena.and(found, known);
            let answer = Answer { yes, unknown: if is_empty { Bdd::FALSE } else { !known } };
            let held_up: Vec<_> =
                groups.iter().filter_map(|group| Some((group.set, group.keeps_a_rate?))).collect();
            let answer = answer.not_if(&mut self.space.arena, lookup.inverse);
            self.require(answer, &made_by, nth);
            if !lookup.inverse {
                for (set, usual) in held_up {
                    self.depends_within(set, nth, usual);
                }
            }
            return;
        }
        if unknown.is_false() || is_empty {
            self.here = self.space.arena.and(self.here, found);
        } else {
            // Which element it is, if any, is not known.
            let so = self.space.opaque(self.program, self.at, nth, &made_by, false);
            let may = self.space.arena.ite(known, found, so);
            self.here = self.space.arena.and(self.here, may);
        }
        for group in &groups {
            if let Some(usual) = group.keeps_a_rate {
                let set = self.space.arena.and(group.set, known);
                self.depends_within(set, nth, usual);
            }
        }
        if lookup.dreg == Some(Register::VERDICT) {
            self.dispatch(nth, &groups, known, &made_by);
        } else if let Some(dreg) = lookup.dreg {
            let mut bits = vec![Bit::UNKNOWN; 128];
            for group in &groups {
                let set = self.space.arena.and(group.set, known);
                let value = match group.element.data.as_ref() {
                    Some(Data::Value(value)) => value.as_slice(),
                    Some(Data::Verdict(_)) | None => continue,
                };
                bits.truncate(value.len().next_multiple_of(4).max(4) * 8);
                let bytes = value.iter().copied().chain(std::iter::repeat(0)).take(bits.len() / 8);
                for (at, value) in bytes.flat_map(bits_of).enumerate() {
                    bits[at] = Bit::constant(value).or_else(&mut self.space.arena, set, bits[at]);
                }
            }
            let mut made_by = made_by;
            made_by.push(nth);
            self.registers.store(dreg, &bits, &made_by);
        }
    }

    /// Ends as the elements of a verdict map say.
    fn dispatch(&mut self, nth: usize, groups: &[lookup::Group<'a>], known: Bdd, made_by: &[usize]) {
        let (here, unknown) = (self.here, self.space.arena.minus(self.here, known));
        let mut goes_on = vec![unknown];
        for group in groups {
            let set = self.space.arena.and(group.set, known);
            let set = self.space.arena.and(set, here);
            match &group.element.data {
                Some(Data::Verdict(verdict)) if !set.is_false() => match effect(verdict) {
                    Some(effect) => self.outcome.effects.push((set, effect)),
                    None => goes_on.push(set),
                },
                Some(_) | None => goes_on.push(set),
            }
        }
        self.here = self.space.arena.union(goes_on);
        if unknown.is_false() {
            return;
        }
        // One of the verdicts it must be: the last, unless something says it is one before.
        let mut verdicts: Vec<Effect<'a>> = Vec::new();
        for group in groups {
            if let Some(Data::Verdict(verdict)) = &group.element.data
                && let Some(effect) = effect(verdict)
                && !verdicts.contains(&effect)
            {
                verdicts.push(effect);
            }
        }
        let count = verdicts.len();
        let text = self.space.text_through(self.program, self.at, nth, made_by);
        for (which, effect) in verdicts.into_iter().enumerate() {
            let so = if which + 1 == count {
                Bdd::TRUE
            } else {
                self.space.one_of(&text, self.at, nth, which)
            };
            let set = self.space.arena.and(unknown, so);
            self.end_of(set, effect);
        }
    }

    fn dynset(&mut self, nth: usize, dynset: &Dynset) {
        let rate = dynset.expressions.iter().find_map(keeps_a_rate);
        match (dynset.op, rate) {
            (DynsetOp::Add | DynsetOp::Update, None) if dynset.inverse => self.depends(nth, false),
            (DynsetOp::Delete, _) | (DynsetOp::Add | DynsetOp::Update, None) => {}
            (DynsetOp::Add | DynsetOp::Update, Some(usual)) => self.depends(nth, usual != dynset.inverse),
        }
    }

    fn translate(&mut self, nth: usize, nat: &Nat) {
        if nat.kind == NatKind::Source {
            let registers: Vec<Register> = [nat.address_min, nat.address_max, nat.port_min, nat.port_max]
                .into_iter()
                .flatten()
                .collect();
            self.label(nth, &registers);
        } else {
            if let Some(register) = nat.address_min {
                let ipv6 = nat.family == Family::Ip6;
                let address = self.one_value(register, nat.address_max, if ipv6 { 16 } else { 4 });
                self.update(Update::Destination(self.here, Some((ipv6, address))));
            }
            self.update(Update::Published(self.here));
            if let Some(register) = nat.port_min {
                let port = self.one_value(register, nat.port_max, 2);
                self.update(Update::Port(self.here, port));
            }
        }
        self.end(Effect::Accept);
    }

    /// What the first register holds, where the last one holds the same; of a range it is not known which it will be.
    fn one_value(&mut self, first: Register, last: Option<Register>, length: usize) -> Vec<Bit> {
        let bits = self.registers.value(first, length);
        let Some(last) = last.filter(|&last| last != first) else { return bits };
        let last = self.registers.value(last, length);
        let arena = &mut self.space.arena;
        let mut differs = Bdd::FALSE;
        for (a, b) in bits.iter().zip(&last) {
            let differ = arena.xor(a.value, b.value);
            differs = arena.or(differs, differ);
            differs = arena.or(differs, !b.known);
        }
        self.unknown_where(differs, bits)
    }

    /// Of a hop limit it is known what becomes of it; after any other change, no byte is taken for known.
    fn write_payload(&mut self, write: &PayloadWrite) {
        let ipv6 = self.space.is_ipv6();
        let is_byte = write.base == PayloadBase::Network && write.length == 1;
        let of_family = match write.offset {
            7 if is_byte => ipv6,
            8 if is_byte => !ipv6,
            _ => Bdd::FALSE,
        };
        let hop_limit = self.space.arena.and(self.here, of_family);
        let other = self.space.arena.minus(self.here, of_family);
        if !hop_limit.is_false() {
            let value = self.registers.value(write.sreg, 1);
            self.update(Update::HopLimit(hop_limit, value));
        }
        if !other.is_false() {
            self.update(Update::Bytes(other));
        }
    }

    /// Notes a translation of the source, which no later rule sees.
    fn label(&mut self, nth: usize, registers: &[Register]) {
        let mut made_by: Vec<usize> =
            registers.iter().flat_map(|&register| self.registers.made_by(register, 4)).collect();
        made_by.push(nth);
        let text = self.space.text(self.program, self.at, &made_by);
        self.update(Update::Label(self.here, text));
    }

    /// A target of the old `x_tables`.
    fn target(&mut self, nth: usize, target: &Target) {
        match target.name.as_str() {
            name if only_goes_on(name) => {}
            "CONNMARK" => {
                if restores_mark(target) {
                    self.update(Update::Mark(self.here, vec![Bit::UNKNOWN; 32]));
                }
            }
            "MARK" => {
                let before = self.current().mark.clone();
                let bits = self.reworked(&before, |before| {
                    let before = u32::try_from(before).unwrap_or(0);
                    mark_of(target, before).map(u128::from)
                });
                self.update(Update::Mark(self.here, machine_order(&bits)));
            }
            "TTL" | "HL" => self.change_hop_limit(target),
            "NOTRACK" => self.update(Update::State(self.here, Some(State::Untracked))),
            "CT" => {
                let untracked = takes_tracking_away(target).then_some(State::Untracked);
                self.update(Update::State(self.here, untracked));
            }
            "REJECT" => {
                let ipv6 = self.space.is_ipv6();
                self.end_of(ipv6, Effect::Reject(reject(target, true)));
                self.end_of(!ipv6, Effect::Reject(reject(target, false)));
            }
            "DNAT" | "REDIRECT" | "NETMAP" => {
                self.update(Update::Published(self.here));
                self.update(Update::Destination(self.here, None));
                self.update(Update::Port(self.here, vec![Bit::UNKNOWN; 16]));
                self.end(Effect::Accept);
            }
            "NFQUEUE" => self.end(Effect::Queue(queue(target))),
            "SNAT" | "MASQUERADE" => {
                self.label(nth, &[]);
                self.end(Effect::Accept);
            }
            _ => {
                let text = self.space.text_through(self.program, self.at, nth, &[]);
                for (which, effect) in [(0, Effect::Accept), (1, Effect::Drop)] {
                    let so = self.space.one_of(&text, self.at, nth, which);
                    self.end_of(so, effect);
                }
                self.end(Effect::Continue);
            }
        }
    }
}

impl Rule<'_, '_, '_> {
    /// What a target of `x_tables` makes of a mark: each bit is kept, turned or set, whatever the others are, so what it makes of
    /// all ones and of all zeros says it all. `None`: it is not known.
    fn reworked(&mut self, before: &[Bit], change: impl Fn(u128) -> Option<u128>) -> Vec<Bit> {
        let width = before.len();
        let (Some(zeros), Some(ones)) = (change(0), change((1 << width) - 1)) else {
            return vec![Bit::UNKNOWN; width];
        };
        // A mark is known as a whole or not at all.
        let known = before.iter().fold(Bdd::TRUE, |all, bit| self.space.arena.and(all, bit.known));
        let after = before.iter().enumerate().map(|(nth, bit)| {
            let of = |number: u128| number >> (width - 1 - nth) & 1 == 1;
            let value = match (of(zeros), of(ones)) {
                (false, false) => Bdd::FALSE,
                (true, true) => Bdd::TRUE,
                (false, true) => bit.value,
                (true, false) => !bit.value,
            };
            Bit { value, known }
        });
        after.collect()
    }

    /// What `TTL` and `HL` make of each hop limit.
    fn change_hop_limit(&mut self, target: &Target) {
        let before = self.current().hop_limit.clone();
        let values: Vec<Bdd> = before.iter().map(|bit| bit.value).collect();
        let known = before.iter().fold(Bdd::TRUE, |all, bit| self.space.arena.and(all, bit.known));
        let mut after = match hop_limit(target, None) {
            // Whatever it was.
            Some(value) => constant_byte(value),
            None => vec![Bit::UNKNOWN; 8],
        };
        if hop_limit(target, None).is_none() {
            for value in 0..=255_u128 {
                let Some(becomes) = hop_limit(target, Some(value)) else { break };
                let is = super::fields::within(&mut self.space.arena, &values, &[(value, value)]);
                let is = self.space.arena.and(is, known);
                for (bit, new) in after.iter_mut().zip(constant_byte(becomes)) {
                    *bit = new.or_else(&mut self.space.arena, is, *bit);
                }
            }
        }
        self.update(Update::HopLimit(self.here, after));
    }
}

fn constant_byte(value: u128) -> Vec<Bit> {
    bits_of(u8::try_from(value).unwrap_or(255)).map(Bit::constant).collect()
}

/// The bits of a 32-bit number, as its bytes stand in a register in this machine's order.
fn machine_order(number: &[Bit]) -> Vec<Bit> {
    machine_order_of_words(number)
}

/// The same for a row of them.
fn machine_order_of_words(words: &[Bit]) -> Vec<Bit> {
    if cfg!(target_endian = "big") {
        return words.to_vec();
    }
    words.chunks(32).flat_map(|word| word.chunks(8).rev().flatten().copied()).collect()
}
