//! A rule's expressions read as statements: what is loaded into registers is followed to where it is used.
//!
//! The text of a rule and the classes of the prover are both made from these.

use std::collections::BTreeMap;

use nf_tables::{
    Bitwise, BitwiseOp, CmpOp, Ct, Data, Dynset, Expression, Immediate, Lookup, MetaKey, Objref, PayloadBase,
    RangeOp, Register, Rule,
};

/// One thing that a rule does.
#[derive(Debug, Clone)]
pub(crate) enum Statement<'a> {
    /// Goes on where the value compares so.
    Compare { value: Operand<'a>, op: CmpOp, data: &'a [u8] },
    /// Goes on where the value is in the range, or not in it.
    Within { value: Operand<'a>, op: RangeOp, from: &'a [u8], to: &'a [u8] },
    /// Goes on where the value is in the set; a dispatch also decides.
    Lookup { value: Operand<'a>, lookup: &'a Lookup },
    /// Puts an element in a set.
    Dynset { key: Operand<'a>, data: Option<Operand<'a>>, dynset: &'a Dynset },
    /// Stores a value with the packet, its connection or in its bytes.
    Store { value: Operand<'a>, into: Target },
    /// Rewrites an address; the operands are address and port.
    Translate { expression: &'a Expression, address: Option<Operand<'a>>, port: Option<Operand<'a>> },
    /// Anything that needs no register.
    Plain(&'a Expression),
}

/// Where a [`Statement::Store`] goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Meta(MetaKey),
    Ct(nf_tables::CtKey),
    Payload(PayloadBase, u32, u32),
    Exthdr,
}

/// A value in registers: one or more parts, each from the start of a 4-byte slot.
#[derive(Debug, Clone, Default)]
pub(crate) struct Operand<'a> {
    pub(crate) parts: Vec<Part<'a>>,
}

/// One part of a value, and what was done to it.
#[derive(Debug, Clone)]
pub(crate) struct Part<'a> {
    pub(crate) source: Source<'a>,
    /// In bytes.
    pub(crate) length: usize,
    pub(crate) changes: Vec<Change<'a>>,
}

/// What is done to a part after it was loaded.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change<'a> {
    Bits(&'a BitwiseOp),
    Order,
}

/// Where a part comes from.
#[derive(Debug, Clone)]
pub(crate) enum Source<'a> {
    Meta(MetaKey),
    Ct(&'a Ct),
    Payload {
        base: PayloadBase,
        offset: u32,
        length: u32,
    },
    Constant(&'a [u8]),
    /// What the map that the parts are looked up in leads to.
    Mapped {
        key: Box<Operand<'a>>,
        map: &'a str,
    },
    /// Something that another expression loads.
    Loaded(&'a Expression),
    Missing,
}

/// The statements of a rule, in order. `key_length` tells how many bytes the keys of a set have.
pub(crate) fn statements<'a>(
    rule: &'a Rule,
    key_length: &dyn Fn(&str) -> Option<usize>,
) -> Vec<Statement<'a>> {
    let mut reader = Reader { slots: BTreeMap::new(), statements: Vec::new(), key_length };
    for expression in &rule.expressions {
        reader.read(expression);
    }
    reader.statements
}

struct Reader<'a, 'k> {
    slots: BTreeMap<u32, Part<'a>>,
    statements: Vec<Statement<'a>>,
    key_length: &'k dyn Fn(&str) -> Option<usize>,
}

impl<'a> Reader<'a, '_> {
    fn read(&mut self, expression: &'a Expression) {
        match expression {
            Expression::Meta(meta) => self.load(meta.dreg, Source::Meta(meta.key), meta_length(meta.key)),
            Expression::Ct(ct) => self.load(ct.dreg, Source::Ct(ct), ct_length(ct)),
            Expression::Payload(payload) => {
                let source =
                    Source::Payload { base: payload.base, offset: payload.offset, length: payload.length };
                self.load(payload.dreg, source, bytes(payload.length));
            }
            Expression::Exthdr(exthdr) => match (exthdr.dreg, exthdr.sreg) {
                (Some(dreg), _) => self.load(dreg, Source::Loaded(expression), bytes(exthdr.length)),
                (None, Some(sreg)) => {
                    let value = self.value(sreg, bytes(exthdr.length));
                    self.statements.push(Statement::Store { value, into: Target::Exthdr });
                }
                (None, None) => self.statements.push(Statement::Plain(expression)),
            },
            Expression::Fib(fib) => self.load(fib.dreg, Source::Loaded(expression), fib_length(fib)),
            Expression::Hash(hash) => self.load(hash.dreg, Source::Loaded(expression), 4),
            Expression::Numgen(numgen) => self.load(numgen.dreg, Source::Loaded(expression), 4),
            Expression::Routing(routing) => {
                self.load(routing.dreg, Source::Loaded(expression), routing_length(routing));
            }
            Expression::Socket(socket) => self.load(socket.dreg, Source::Loaded(expression), 4),
            Expression::Bitwise(bitwise) => self.change(bitwise),
            Expression::Byteorder(byteorder) => self.reorder(byteorder.sreg, byteorder.dreg),
            Expression::Immediate(Immediate { dreg, data: Data::Value(value) }) => {
                self.load(*dreg, Source::Constant(value), value.len());
            }
            Expression::Cmp(cmp) => {
                let value = self.value(cmp.sreg, cmp.data.len());
                self.statements.push(Statement::Compare { value, op: cmp.op, data: &cmp.data });
            }
            Expression::Range(range) => {
                let value = self.value(range.sreg, range.from.len());
                self.statements.push(Statement::Within {
                    value,
                    op: range.op,
                    from: &range.from,
                    to: &range.to,
                });
            }
            Expression::Lookup(lookup) => self.look_up(lookup),
            Expression::Dynset(dynset) => {
                let key = self.key(dynset.sreg_key, &dynset.set);
                let data = dynset.sreg_data.map(|register| self.everything_from(register));
                self.statements.push(Statement::Dynset { key, data, dynset });
            }
            Expression::MetaSet(set) => {
                let value = self.value(set.sreg, meta_length(set.key));
                self.statements.push(Statement::Store { value, into: Target::Meta(set.key) });
            }
            Expression::CtSet(set) => {
                let value = self.everything_from(set.sreg);
                self.statements.push(Statement::Store { value, into: Target::Ct(set.key) });
            }
            Expression::PayloadWrite(write) => {
                let value = self.value(write.sreg, bytes(write.length));
                let into = Target::Payload(write.base, write.offset, write.length);
                self.statements.push(Statement::Store { value, into });
            }
            Expression::Nat(nat) => self.translate(expression, nat.address_min, nat.port_min),
            Expression::Masquerade(masquerade) => self.translate(expression, None, masquerade.port_min),
            Expression::Redirect(redirect) => self.translate(expression, None, redirect.port_min),
            Expression::Objref(Objref::Named { .. } | Objref::Map { .. })
            | Expression::Immediate(_)
            | Expression::Connlimit(_)
            | Expression::Counter(_)
            | Expression::Limit(_)
            | Expression::Log(_)
            | Expression::Match(_)
            | Expression::Notrack(_)
            | Expression::Queue(_)
            | Expression::Quota(_)
            | Expression::Reject(_)
            | Expression::Target(_)
            | Expression::Unknown { .. } => self.statements.push(Statement::Plain(expression)),
        }
    }

    fn load(&mut self, register: Register, source: Source<'a>, length: usize) {
        if let Some(slot) = register.first_slot() {
            self.slots.insert(slot, Part { source, length, changes: Vec::new() });
        }
    }

    fn change(&mut self, bitwise: &'a Bitwise) {
        self.rework(bitwise.sreg, bitwise.dreg, Change::Bits(&bitwise.op));
    }

    fn reorder(&mut self, from: Register, to: Register) {
        self.rework(from, to, Change::Order);
    }

    fn rework(&mut self, from: Register, to: Register, change: Change<'a>) {
        let part = from.first_slot().and_then(|slot| self.slots.get(&slot)).cloned();
        if let (Some(mut part), Some(slot)) = (part, to.first_slot()) {
            part.changes.push(change);
            self.slots.insert(slot, part);
        }
    }

    fn look_up(&mut self, lookup: &'a Lookup) {
        let value = self.key(lookup.sreg, &lookup.set);
        match lookup.dreg {
            Some(register) if register != Register::VERDICT => {
                let source = Source::Mapped { key: Box::new(value), map: &lookup.set };
                self.load(register, source, 16);
            }
            Some(_) | None => self.statements.push(Statement::Lookup { value, lookup }),
        }
    }

    fn translate(&mut self, expression: &'a Expression, address: Option<Register>, port: Option<Register>) {
        let address = address.map(|register| self.everything_from(register));
        let port = port.map(|register| self.everything_from(register));
        self.statements.push(Statement::Translate { expression, address, port });
    }

    /// The key of a set.
    fn key(&self, register: Register, set: &str) -> Operand<'a> {
        match (self.key_length)(set) {
            Some(length) => self.value(register, length),
            None => self.everything_from(register),
        }
    }

    /// The parts that fill `length` bytes from the register on.
    fn value(&self, register: Register, length: usize) -> Operand<'a> {
        let mut parts = Vec::new();
        let (mut slot, mut left) = (register.first_slot().unwrap_or(0), length);
        while left > 0 {
            let mut part = self.part(slot);
            part.length = part.length.clamp(1, left);
            left -= part.length.next_multiple_of(4).min(left);
            slot += slots(part.length);
            parts.push(part);
        }
        Operand { parts }
    }

    /// The part at the register and those that follow without a gap.
    fn everything_from(&self, register: Register) -> Operand<'a> {
        let Some(mut slot) = register.first_slot() else {
            return Operand::default();
        };
        let mut parts = Vec::new();
        while let Some(part) = self.slots.get(&slot) {
            parts.push(part.clone());
            slot += slots(part.length);
        }
        Operand { parts }
    }

    fn part(&self, slot: u32) -> Part<'a> {
        let missing = Part { source: Source::Missing, length: 4, changes: Vec::new() };
        self.slots.get(&slot).cloned().unwrap_or(missing)
    }
}

fn slots(length: usize) -> u32 {
    u32::try_from(length.div_ceil(4)).unwrap_or(16).max(1)
}

fn bytes(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX).min(64)
}

/// How many bytes the kernel loads for a meta key (`nft_meta_get_init`).
pub(crate) const fn meta_length(key: MetaKey) -> usize {
    match key {
        MetaKey::Protocol
        | MetaKey::InputType
        | MetaKey::OutputType
        | MetaKey::BridgePortVlan
        | MetaKey::BridgeVlanProtocol => 2,
        MetaKey::NfProtocol
        | MetaKey::L4Protocol
        | MetaKey::PacketType
        | MetaKey::Day
        | MetaKey::SecurityPath => 1,
        MetaKey::InputName
        | MetaKey::OutputName
        | MetaKey::BridgeInputName
        | MetaKey::BridgeOutputName
        | MetaKey::InputKind
        | MetaKey::OutputKind
        | MetaKey::SlaveName => 16,
        MetaKey::Time => 8,
        MetaKey::Length
        | MetaKey::Priority
        | MetaKey::Mark
        | MetaKey::InputIndex
        | MetaKey::OutputIndex
        | MetaKey::SocketUser
        | MetaKey::SocketGroup
        | MetaKey::Trace
        | MetaKey::RouteClass
        | MetaKey::SecurityMark
        | MetaKey::Cpu
        | MetaKey::InputGroup
        | MetaKey::OutputGroup
        | MetaKey::Cgroup
        | MetaKey::Random
        | MetaKey::Hour
        | MetaKey::SlaveIndex
        | MetaKey::Other(_) => 4,
    }
}

/// How many bytes the kernel loads for a ct key (`nft_ct_get_init`).
pub(crate) const fn ct_length(ct: &Ct) -> usize {
    use nf_tables::CtKey;
    match ct.key {
        CtKey::Direction | CtKey::L3Protocol | CtKey::Protocol => 1,
        CtKey::ProtocolSource | CtKey::ProtocolDestination | CtKey::Zone => 2,
        CtKey::Packets | CtKey::Bytes | CtKey::AveragePacket => 8,
        CtKey::Helper | CtKey::Labels | CtKey::SourceIp6 | CtKey::DestinationIp6 => 16,
        CtKey::State
        | CtKey::Status
        | CtKey::Mark
        | CtKey::SecurityMark
        | CtKey::Expiration
        | CtKey::Source
        | CtKey::Destination
        | CtKey::EventMask
        | CtKey::SourceIp
        | CtKey::DestinationIp
        | CtKey::Id
        | CtKey::Other(_) => 4,
    }
}

pub(crate) const fn fib_length(fib: &nf_tables::Fib) -> usize {
    match fib.result {
        nf_tables::FibResult::OutputName => 16,
        nf_tables::FibResult::OutputIndex | nf_tables::FibResult::AddressType => 4,
    }
}

pub(crate) const fn routing_length(routing: &nf_tables::Routing) -> usize {
    match routing.key {
        nf_tables::RoutingKey::NextHop6 => 16,
        nf_tables::RoutingKey::TcpMss => 2,
        nf_tables::RoutingKey::Ipsec => 1,
        nf_tables::RoutingKey::ClassId | nf_tables::RoutingKey::NextHop4 => 4,
    }
}
