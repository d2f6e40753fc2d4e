//! One rule on all packets at once: which it matches, and what it does with them.
//!
//! This mirrors `machine/run.rs`, expression by expression: where that decides one packet, this splits the set of all. A
//! property test holds the two together on rulesets made at random. The matches of `x_tables` are not mirrored: there the
//! machine itself is asked (see `probe`).

use nf_tables::{
    Bitwise, BitwiseOp, Byteorder, CmpOp, Data, Expression, Family, Immediate, MetaKey, Nat, NatKind,
    ObjectKind, Objref, PayloadBase, PayloadWrite, RangeOp, Register, Verdict,
};

use super::Space;
use super::bdd::Bdd;
use super::changes::{Changes, Update};
use super::registers::{Answer, Bit, Registers, below, equals};
use crate::machine::{At, Effect, Program, effect, keeps_a_rate};
use crate::packet::{Hook, State};
use crate::statement::routing_length;

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

    pub(super) fn current(&self) -> &Changes {
        self.own.as_deref().unwrap_or(self.changes)
    }

    pub(super) fn current_state_known(&self) -> Bdd {
        self.current().state_known
    }

    pub(super) fn update(&mut self, update: Update) {
        let mut own = self.own.take().unwrap_or_else(|| Box::new(self.changes.clone()));
        own.apply(&mut self.space.arena, Bdd::TRUE, &update);
        self.own = Some(own);
        self.outcome.updates.push(update);
    }

    /// What is here ends so.
    pub(super) fn end(&mut self, effect: Effect<'a>) {
        self.end_of(self.here, effect);
    }

    pub(super) fn end_of(&mut self, set: Bdd, effect: Effect<'a>) {
        let set = self.space.arena.and(set, self.here);
        if !set.is_false() {
            self.here = self.space.arena.minus(self.here, set);
            self.outcome.effects.push((set, effect));
        }
    }

    /// Goes on with packets for which a match says yes, and with those for which it is not known, if it be so.
    pub(super) fn require(&mut self, answer: Answer, made_by: &[usize], nth: usize) {
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
    pub(super) fn depends(&mut self, nth: usize, usual: bool) {
        let so = self.space.opaque(self.program, self.at, nth, &[], usual);
        self.here = self.space.arena.and(self.here, so);
    }

    pub(super) fn depends_within(&mut self, set: Bdd, nth: usize, usual: bool) {
        let set = self.space.arena.and(set, self.here);
        if !set.is_false() {
            let so = self.space.opaque(self.program, self.at, nth, &[], usual);
            let not_so = self.space.arena.minus(set, so);
            self.here = self.space.arena.minus(self.here, not_so);
        }
    }

    pub(super) fn unknown(&mut self, dreg: Register, length: usize, nth: usize) {
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
    pub(super) fn label(&mut self, nth: usize, registers: &[Register]) {
        let mut made_by: Vec<usize> =
            registers.iter().flat_map(|&register| self.registers.made_by(register, 4)).collect();
        made_by.push(nth);
        let text = self.space.text(self.program, self.at, &made_by);
        self.update(Update::Label(self.here, text));
    }
}

/// The bits of a 32-bit number, as its bytes stand in a register in this machine's order.
pub(super) fn machine_order(number: &[Bit]) -> Vec<Bit> {
    machine_order_of_words(number)
}

/// The same for a row of them.
fn machine_order_of_words(words: &[Bit]) -> Vec<Bit> {
    if cfg!(target_endian = "big") {
        return words.to_vec();
    }
    words.chunks(32).flat_map(|word| word.chunks(8).rev().flatten().copied()).collect()
}
