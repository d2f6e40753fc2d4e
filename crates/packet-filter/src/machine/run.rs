//! One rule on one packet.

use nf_tables::{
    Bitwise, BitwiseOp, Byteorder, CmpOp, Data, Dynset, DynsetOp, Element, Expression, Fib, FibFlags,
    FibResult, Immediate, Lookup, MetaKey, Nat, NatKind, ObjectKind, Objref, Queue, QuotaFlags, RangeOp,
    Register, Reject, Target, Verdict,
};

use super::compat::{self, Matched};
use super::registers::{Registers, Tri};
use super::{At, Cause, Change, Walk};
use crate::facts::{Facts, Field, Need};
use crate::packet::State;
use crate::statement::{ct_length, fib_length, meta_length, routing_length};

/// What a rule does with the packet in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect<'a> {
    Continue,
    Accept,
    Drop,
    Reject(Reject),
    Queue(u16),
    Jump(&'a str),
    Goto(&'a str),
    Return,
}

/// How a rule matched.
pub(super) struct Outcome<'a> {
    /// What it does; one of these where it is not known which.
    pub(super) effects: Vec<Effect<'a>>,
    /// It matches whatever the unknown is.
    pub(super) certain: bool,
    /// On the main way it matches.
    pub(super) assumed: bool,
}

/// A rule while it runs.
struct Running {
    at: At,
    registers: Registers,
    certain: bool,
    assumed: bool,
    /// Loads of what is not known so far.
    unknown: Vec<Cause>,
}

impl Running {
    fn note_unknown<'a>(&mut self, cause: Cause, dreg: Register, length: usize) -> Step<'a> {
        if self.registers.value(dreg, length).all().is_none() {
            self.unknown.push(cause);
        }
        Step::Next
    }
}

/// How one expression went.
enum Step<'a> {
    Next,
    NoMatch,
    Ends(Vec<Effect<'a>>),
}

impl<'a, F: Facts> Walk<'_, 'a, F> {
    /// Whether a rule before, of this base chain, may have let the packet through, unchanged by what follows there.
    fn may_have_been_accepted(&self) -> bool {
        self.ends.main.iter().chain(&self.ends.others).any(|end| matches!(end.effect, Effect::Accept))
    }

    /// `None` where the rule does not match. Pushes what a match depends on to the causes.
    pub(super) fn rule(&mut self, at: At, may_have_left: bool) -> Result<Option<Outcome<'a>>, Need> {
        let rule = self.program.rule(at);
        let here_for_certain = self.causes.is_empty() && !may_have_left && !self.may_have_been_accepted();
        let mut running =
            Running { at, registers: Registers::new(), certain: true, assumed: true, unknown: Vec::new() };
        for (nth, expression) in rule.expressions.iter().enumerate() {
            match self.step(&mut running, nth, expression, here_for_certain)? {
                Step::Next => {}
                Step::NoMatch => return Ok(None),
                Step::Ends(effects) => {
                    return Ok(Some(Outcome { effects, certain: running.certain, assumed: running.assumed }));
                }
            }
        }
        let effects = vec![Effect::Continue];
        Ok(Some(Outcome { effects, certain: running.certain, assumed: running.assumed }))
    }

    fn step(
        &mut self,
        running: &mut Running,
        nth: usize,
        expression: &'a Expression,
        here_for_certain: bool,
    ) -> Result<Step<'a>, Need> {
        let cause = Cause::Expression(running.at, nth);
        let for_certain = here_for_certain && running.certain;
        let registers = &mut running.registers;
        let mut load_unknown = |dreg: Register, length: usize| {
            registers.store_unknown(dreg, length);
            running.unknown.push(cause);
            Step::Next
        };
        Ok(match expression {
            Expression::Meta(meta) => {
                self.load_meta(registers, meta)?;
                running.note_unknown(cause, meta.dreg, meta_length(meta.key))
            }
            Expression::Ct(ct) => {
                if !self.load_ct(registers, ct)? {
                    return Ok(Step::NoMatch);
                }
                running.note_unknown(cause, ct.dreg, ct_length(ct))
            }
            Expression::Payload(payload) => {
                self.load_payload(registers, payload)?;
                running.note_unknown(cause, payload.dreg, usize::try_from(payload.length).unwrap_or(64))
            }
            Expression::Exthdr(exthdr) => match exthdr.dreg {
                Some(dreg) => load_unknown(dreg, usize::try_from(exthdr.length).unwrap_or(64)),
                None => Step::Next,
            },
            Expression::Fib(fib) => match self.destination_type()? {
                Some(kind) if asks_for_destination_type(fib) => {
                    registers.store(fib.dreg, &kind.to_ne_bytes());
                    Step::Next
                }
                Some(_) | None => load_unknown(fib.dreg, fib_length(fib)),
            },
            Expression::Routing(routing) => load_unknown(routing.dreg, routing_length(routing)),
            Expression::Hash(hash) => load_unknown(hash.dreg, 4),
            Expression::Numgen(numgen) => load_unknown(numgen.dreg, 4),
            Expression::Socket(socket) => load_unknown(socket.dreg, 4),
            Expression::Immediate(immediate) => immediate_step(registers, immediate),
            Expression::Bitwise(bitwise) => {
                change_bits(registers, bitwise);
                // What was not known before may be settled by the mask, as one bit of `ct status`.
                let length = usize::try_from(bitwise.length).unwrap_or(64);
                let is_settled = registers.value(bitwise.dreg, length).all().is_some();
                if let Some(&Cause::Expression(at, loaded)) = running.unknown.last()
                    && is_settled
                    && bitwise.sreg == bitwise.dreg
                    && (at, loaded + 1) == (running.at, nth)
                {
                    running.unknown.pop();
                }
                Step::Next
            }
            Expression::Byteorder(byteorder) => {
                change_order(registers, byteorder);
                Step::Next
            }
            Expression::Cmp(cmp) => {
                let value = registers.value(cmp.sreg, cmp.data.len());
                let matched = match cmp.op {
                    CmpOp::Eq => value.equals(&cmp.data),
                    CmpOp::Ne => value.equals(&cmp.data).not_if(true),
                    CmpOp::Lt => value.compare(&cmp.data).map_or(Tri::Maybe, |order| order.is_lt().into()),
                    CmpOp::Le => value.compare(&cmp.data).map_or(Tri::Maybe, |order| order.is_le().into()),
                    CmpOp::Gt => value.compare(&cmp.data).map_or(Tri::Maybe, |order| order.is_gt().into()),
                    CmpOp::Ge => value.compare(&cmp.data).map_or(Tri::Maybe, |order| order.is_ge().into()),
                };
                self.matched(running, matched, cause)
            }
            Expression::Range(range) => {
                let value = registers.value(range.sreg, range.from.len());
                let above = value.compare(&range.from).map_or(Tri::Maybe, |order| order.is_ge().into());
                let below = value.compare(&range.to).map_or(Tri::Maybe, |order| order.is_le().into());
                self.matched(running, above.and(below).not_if(range.op == RangeOp::NotIn), cause)
            }
            Expression::Lookup(lookup) => self.look_up(running, lookup, cause),
            Expression::Dynset(dynset) => self.dynset(running, dynset, cause),
            Expression::MetaSet(set) => {
                if set.key == MetaKey::Mark {
                    let mark = registers.value(set.sreg, 4).all().and_then(|bytes| bytes.try_into().ok());
                    self.changes.mark = change(for_certain, mark.map(u32::from_ne_bytes));
                }
                Step::Next
            }
            Expression::Notrack(_) => {
                self.changes.state = change(for_certain, Some(State::Untracked.bit()));
                Step::Next
            }
            Expression::PayloadWrite(write) => {
                self.write_payload(&running.registers, write, for_certain)?;
                Step::Next
            }
            Expression::CtSet(_) | Expression::Counter(_) | Expression::Log(_) => Step::Next,
            Expression::Limit(limit) => self.depends(running, cause, !limit.over),
            Expression::Connlimit(limit) => self.depends(running, cause, !limit.over),
            Expression::Quota(quota) => self.depends(running, cause, !quota.flags.contains(QuotaFlags::OVER)),
            Expression::Objref(objref) => match objref {
                Objref::Named {
                    kind: ObjectKind::COUNTER | ObjectKind::CT_HELPER | ObjectKind::CT_TIMEOUT,
                    ..
                } => Step::Next,
                Objref::Named { .. } | Objref::Map { .. } => self.depends(running, cause, true),
            },
            Expression::Reject(reject) => Step::Ends(vec![Effect::Reject(*reject)]),
            Expression::Queue(Queue { number, .. }) => Step::Ends(vec![Effect::Queue(*number)]),
            Expression::Nat(nat) => {
                self.translate(&running.registers, nat, for_certain);
                Step::Ends(vec![Effect::Accept])
            }
            Expression::Redirect(redirect) => {
                let port = |register| port_in(&running.registers, register);
                let (first, last) = (redirect.port_min.and_then(port), redirect.port_max.and_then(port));
                let port = first.filter(|_| redirect.port_max.is_none() || last == first);
                self.changes.published = change(for_certain, Some(()));
                self.changes.destination = Change::Unknown;
                if redirect.port_min.is_some() {
                    self.changes.destination_port = change(for_certain, port);
                }
                Step::Ends(vec![Effect::Accept])
            }
            Expression::Masquerade(_) => Step::Ends(vec![Effect::Accept]),
            Expression::Match(matched) => match self.compat_match(matched)? {
                Matched::Known(Tri::Yes) => Step::Next,
                Matched::Known(Tri::No) => Step::NoMatch,
                Matched::Known(Tri::Maybe) => self.depends(running, cause, false),
                Matched::Depends(assumed) => self.depends(running, cause, assumed),
            },
            Expression::Target(target) => self.target(running, target, cause, for_certain)?,
            Expression::Unknown { name, .. } => match name.as_str() {
                "last" | "dup" => Step::Next,
                _ => self.depends(running, cause, false),
            },
        })
    }

    /// Goes on with a match that may depend on what was loaded before.
    fn matched(&mut self, running: &mut Running, matched: Tri, cause: Cause) -> Step<'a> {
        let settled = if matched == Tri::Maybe { self.facts.lets_on(cause) } else { None };
        match settled.map_or(matched, Tri::from) {
            Tri::Yes => Step::Next,
            Tri::No => Step::NoMatch,
            Tri::Maybe => {
                self.causes.append(&mut running.unknown);
                running.certain = false;
                running.assumed = false;
                Step::Next
            }
        }
    }

    /// Goes on with a match that depends on `cause`, and on the main way is so.
    fn depends(&mut self, running: &mut Running, cause: Cause, assumed: bool) -> Step<'a> {
        match self.facts.lets_on(cause) {
            Some(true) => return Step::Next,
            Some(false) => return Step::NoMatch,
            None => {}
        }
        self.causes.push(cause);
        running.certain = false;
        running.assumed &= assumed;
        Step::Next
    }

    fn look_up(&mut self, running: &mut Running, lookup: &'a Lookup, cause: Cause) -> Step<'a> {
        let Some(contents) = self.program.tables[running.at.table].sets.get(lookup.set.as_str()) else {
            return self.depends(running, cause, false);
        };
        let length = usize::try_from(contents.set.key_length).unwrap_or(64);
        let value = running.registers.value(lookup.sreg, length);
        let elements: Vec<&'a Element> = match value.all() {
            Some(key) => contents.find(key).into_iter().collect(),
            None => contents.entries.iter().map(|entry| entry.element).chain(contents.catch_all).collect(),
        };
        let is_found = value.all().is_some();
        if let (false, None, false, Some(lets_on)) =
            (is_found, lookup.dreg, elements.is_empty(), self.facts.lets_on(cause))
        {
            return if lets_on { Step::Next } else { Step::NoMatch };
        }
        if !is_found && !elements.is_empty() {
            self.causes.append(&mut running.unknown);
            running.certain = false;
            running.assumed = false;
        }
        let mut is_in = if is_found { Tri::Yes } else { Tri::Maybe };
        // What an element carries may hold the packet up as well.
        let holds_up = |element: &&Element| element.expressions.iter().find_map(keeps_a_rate);
        if let Some(assumed) = elements.iter().find_map(holds_up) {
            self.depends(running, cause, assumed);
            is_in = Tri::Maybe;
        }
        match (lookup.dreg, elements.as_slice()) {
            (None, found) => {
                let is_in = if found.is_empty() { Tri::No } else { is_in };
                match is_in.not_if(lookup.inverse) {
                    Tri::No => Step::NoMatch,
                    Tri::Yes | Tri::Maybe => Step::Next,
                }
            }
            (Some(_), []) => Step::NoMatch,
            (Some(Register::VERDICT), found) => {
                let mut effects: Vec<Effect<'a>> = Vec::new();
                for element in found {
                    let Some(Data::Verdict(verdict)) = &element.data else {
                        continue;
                    };
                    if let Some(effect) = effect(verdict)
                        && !effects.contains(&effect)
                    {
                        effects.push(effect);
                    }
                }
                if effects.is_empty() { Step::Next } else { Step::Ends(effects) }
            }
            (Some(dreg), &[element]) if is_found => {
                match &element.data {
                    Some(Data::Value(value)) => running.registers.store(dreg, value),
                    Some(Data::Verdict(_)) | None => running.registers.store_unknown(dreg, 16),
                }
                Step::Next
            }
            (Some(dreg), _) => {
                running.registers.store_unknown(dreg, 16);
                running.unknown.push(cause);
                Step::Next
            }
        }
    }

    fn dynset(&mut self, running: &mut Running, dynset: &Dynset, cause: Cause) -> Step<'a> {
        let rate = dynset.expressions.iter().find_map(keeps_a_rate);
        match (dynset.op, rate) {
            // A set takes elements until it is full.
            (DynsetOp::Add | DynsetOp::Update, None) if dynset.inverse => self.depends(running, cause, false),
            (DynsetOp::Delete, _) | (DynsetOp::Add | DynsetOp::Update, None) => Step::Next,
            (DynsetOp::Add | DynsetOp::Update, Some(assumed)) => {
                self.depends(running, cause, assumed != dynset.inverse)
            }
        }
    }

    fn translate(&mut self, registers: &Registers, nat: &Nat, for_certain: bool) {
        if nat.kind == NatKind::Source {
            return;
        }
        if let Some(register) = nat.address_min {
            let length = if nat.family == nf_tables::Family::Ip6 { 16 } else { 4 };
            let address = |register| registers.value(register, length).all().map(big_endian);
            let first = address(register);
            let is_one = nat.address_max.is_none_or(|last| address(last) == first);
            self.changes.destination = change(for_certain, first.filter(|_| is_one));
        }
        self.changes.published = change(for_certain, Some(()));
        if let Some(register) = nat.port_min {
            let port = port_in(registers, register);
            let is_one = nat.port_max.is_none_or(|last| port_in(registers, last) == port);
            self.changes.destination_port = change(for_certain, port.filter(|_| is_one));
        }
    }

    /// A target of the old `x_tables`.
    fn target(
        &mut self,
        running: &mut Running,
        target: &Target,
        cause: Cause,
        for_certain: bool,
    ) -> Result<Step<'a>, Need> {
        Ok(match target.name.as_str() {
            name if compat::only_goes_on(name) => Step::Next,
            "CONNMARK" => {
                if compat::restores_mark(target) {
                    self.changes.mark = Change::Unknown;
                }
                Step::Next
            }
            "TTL" | "HL" => {
                self.changes.hop_limit = match compat::hop_limit(target, self.packet_field(Field::HopLimit)?)
                {
                    Some(value) if for_certain => Change::To(value),
                    Some(_) | None => Change::Unknown,
                };
                Step::Next
            }
            "MARK" => {
                let mark = self.mark()?.and_then(|mark| compat::mark(target, mark));
                self.changes.mark = change(for_certain, mark);
                Step::Next
            }
            "NOTRACK" => {
                self.changes.state = change(for_certain, Some(State::Untracked.bit()));
                Step::Next
            }
            "CT" if compat::takes_tracking_away(target) => {
                self.changes.state = change(for_certain, Some(State::Untracked.bit()));
                Step::Next
            }
            "CT" => {
                self.changes.state = Change::Unknown;
                Step::Next
            }
            "REJECT" => Step::Ends(vec![Effect::Reject(compat::reject(target, self.facts.is_ipv6()?))]),
            "DNAT" | "REDIRECT" | "NETMAP" => {
                self.changes.published = change(for_certain, Some(()));
                self.changes.destination = Change::Unknown;
                self.changes.destination_port = Change::Unknown;
                Step::Ends(vec![Effect::Accept])
            }
            "SNAT" | "MASQUERADE" => Step::Ends(vec![Effect::Accept]),
            "NFQUEUE" => Step::Ends(vec![Effect::Queue(compat::queue(target))]),
            _ => {
                self.depends(running, cause, true);
                Step::Ends(vec![Effect::Continue, Effect::Accept, Effect::Drop])
            }
        })
    }
}

fn change<T>(for_certain: bool, value: Option<T>) -> Change<T> {
    match value {
        Some(value) if for_certain => Change::To(value),
        Some(_) | None => Change::Unknown,
    }
}

fn immediate_step<'a>(registers: &mut Registers, immediate: &'a Immediate) -> Step<'a> {
    match &immediate.data {
        Data::Value(value) => {
            registers.store(immediate.dreg, value);
            Step::Next
        }
        Data::Verdict(verdict) => match verdict {
            Verdict::Break => Step::NoMatch,
            _ => effect(verdict).map_or(Step::Next, |effect| Step::Ends(vec![effect])),
        },
    }
}

/// `None` for a verdict that only goes on with the rule.
pub(crate) fn effect(verdict: &Verdict) -> Option<Effect<'_>> {
    Some(match verdict {
        Verdict::Accept => Effect::Accept,
        Verdict::Drop => Effect::Drop,
        Verdict::Queue(number) => Effect::Queue(*number),
        Verdict::Jump(chain) => Effect::Jump(chain),
        Verdict::Goto(chain) => Effect::Goto(chain),
        Verdict::Return => Effect::Return,
        Verdict::Break => Effect::Continue,
        Verdict::Continue => return None,
    })
}

/// For an expression that lets only so much by: whether it goes on as long as that is kept.
pub(crate) fn keeps_a_rate(expression: &Expression) -> Option<bool> {
    match expression {
        Expression::Limit(limit) => Some(!limit.over),
        Expression::Connlimit(limit) => Some(!limit.over),
        Expression::Quota(quota) => Some(!quota.flags.contains(QuotaFlags::OVER)),
        _ => None,
    }
}

/// Whether the routing table is only asked what kind of address the destination is.
pub(crate) fn asks_for_destination_type(fib: &Fib) -> bool {
    fib.result == FibResult::AddressType && fib.flags == FibFlags::DESTINATION
}

fn change_bits(registers: &mut Registers, bitwise: &Bitwise) {
    let length = usize::try_from(bitwise.length).unwrap_or(64).min(64);
    let value = registers.value(bitwise.sreg, length);
    let mut out = [0; 64];
    let length = value.bytes.len();
    let mut known = 0;
    match &bitwise.op {
        BitwiseOp::MaskXor { mask, xor } => {
            known = value.known_under(mask);
            for (at, byte) in value.bytes.iter().enumerate() {
                let (mask, xor) = (mask.get(at).copied().unwrap_or(0), xor.get(at).copied().unwrap_or(0));
                out[at] = byte & mask ^ xor;
            }
        }
        BitwiseOp::ShiftLeft(bits) | BitwiseOp::ShiftRight(bits) => {
            if let Some(bytes) = value.all() {
                let left = matches!(bitwise.op, BitwiseOp::ShiftLeft(_));
                shift(bytes, *bits, &mut out, left);
                known = u64::MAX;
            }
        }
    }
    registers.store_partly(bitwise.dreg, &out[..length], known);
}

/// As the kernel does it: over 32-bit words of the machine's order, the first the highest.
fn shift(bytes: &[u8], bits: u32, out: &mut [u8; 64], left: bool) {
    let words: Vec<u32> = bytes
        .chunks(4)
        .map(|chunk| {
            let mut word = [0; 4];
            word[..chunk.len()].copy_from_slice(chunk);
            u32::from_ne_bytes(word)
        })
        .collect();
    for at in 0..words.len() {
        let neighbour =
            if left { words.get(at + 1) } else { at.checked_sub(1).and_then(|before| words.get(before)) };
        let neighbour = neighbour.copied().unwrap_or(0);
        let other = 32_u32.saturating_sub(bits);
        let word = if left {
            words[at].checked_shl(bits).unwrap_or(0) | neighbour.checked_shr(other).unwrap_or(0)
        } else {
            words[at].checked_shr(bits).unwrap_or(0) | neighbour.checked_shl(other).unwrap_or(0)
        };
        out[at * 4..at * 4 + 4].copy_from_slice(&word.to_ne_bytes());
    }
}

fn change_order(registers: &mut Registers, byteorder: &Byteorder) {
    let length = usize::try_from(byteorder.length).unwrap_or(64).min(64);
    let size = usize::try_from(byteorder.size).unwrap_or(64).clamp(1, 64);
    let value = registers.value(byteorder.sreg, length);
    let (mut out, mut known) = ([0; 64], 0_u64);
    for (at, out) in out.iter_mut().enumerate().take(value.bytes.len()) {
        let start = at - at % size;
        let mirrored = if cfg!(target_endian = "little") { start + size - 1 - at % size } else { at };
        if let Some(byte) = value.bytes.get(mirrored) {
            *out = *byte;
            known |= u64::from(value.is_known_at(mirrored)) << at;
        }
    }
    let length = value.bytes.len();
    registers.store_partly(byteorder.dreg, &out[..length], known);
}

fn port_in(registers: &Registers, register: Register) -> Option<u16> {
    registers.value(register, 2).all().and_then(|bytes| bytes.try_into().ok()).map(u16::from_be_bytes)
}

fn big_endian(bytes: &[u8]) -> u128 {
    bytes.iter().fold(0, |number, &byte| number << 8 | u128::from(byte))
}
