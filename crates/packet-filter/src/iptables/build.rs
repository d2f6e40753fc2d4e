//! A rule that grows, condition by condition. What is loaded stands in register 1 for the next comparison.

use iptables_syntax::Family;
use nf_tables::{
    Bitwise, BitwiseOp, Byteorder, ByteorderOp, Cmp, CmpOp, Ct, CtDirection, CtKey, DataType, Element,
    Expression, Lookup, Meta, MetaKey, Payload, PayloadBase, Range, RangeOp, Register, Set, SetDump,
    SetFlags,
};

use super::Untranslatable;
use crate::facts::{IPV4, IPV6};
use crate::ranges::Ranges;

/// What came of a part of a rule.
pub(super) type Built = Result<(), Untranslatable>;

/// Where values are loaded to.
pub(super) const KEY: Register = Register::R1;

/// A rule that grows.
pub(super) struct Build<'s> {
    /// Of which packets; `None`: of both families.
    pub(super) family: Option<Family>,
    /// What `-p` makes sure of.
    protocol: Option<u8>,
    pub(super) expressions: Vec<Expression>,
    /// The sets of the table, to which the rule adds its own.
    pub(super) sets: &'s mut Vec<SetDump>,
}

impl<'s> Build<'s> {
    pub(super) fn new(family: Option<Family>, sets: &'s mut Vec<SetDump>) -> Self {
        Self { family, protocol: None, expressions: Vec::new(), sets }
    }

    /// Leaves nothing behind of a part that cannot be made.
    pub(super) fn attempt(&mut self, make: impl FnOnce(&mut Self) -> Built) -> Built {
        let before = (self.expressions.len(), self.sets.len(), self.protocol);
        let made = make(self);
        if made.is_err() {
            self.expressions.truncate(before.0);
            self.sets.truncate(before.1);
            self.protocol = before.2;
        }
        made
    }

    pub(super) fn push(&mut self, expression: Expression) {
        self.expressions.push(expression);
    }

    /// The family, where the rule is of one.
    pub(super) fn family(&self, part: &str) -> Result<Family, Untranslatable> {
        self.family.ok_or_else(|| Untranslatable::new(format!("{part} is not the same in IPv4 and IPv6")))
    }

    /// In a table of both families: goes on where the packet is of this one.
    pub(super) fn guard_family(&mut self, family: Family) {
        let number = if family == Family::Ipv6 { IPV6 } else { IPV4 };
        self.meta(MetaKey::NfProtocol);
        self.is(false, &[u8::try_from(number).unwrap_or(0)]);
    }

    /// Goes on where the transport protocol is this one.
    pub(super) fn protocol(&mut self, negated: bool, number: u8) {
        if !negated {
            self.protocol = Some(number);
        }
        self.meta(MetaKey::L4Protocol);
        self.is(negated, &[number]);
    }

    /// Makes sure that the transport protocol is this one, as a match of its header needs it.
    pub(super) fn within_protocol(&mut self, number: u8) {
        if self.protocol != Some(number) {
            self.protocol(false, number);
        }
    }

    pub(super) fn meta(&mut self, key: MetaKey) {
        self.push(Expression::Meta(Meta { key, dreg: KEY }));
    }

    pub(super) fn ct(&mut self, key: CtKey, direction: Option<CtDirection>) {
        self.push(Expression::Ct(Ct { key, direction, dreg: KEY }));
    }

    pub(super) fn network(&mut self, offset: u32, length: u32) {
        self.push(Expression::Payload(Payload { dreg: KEY, base: PayloadBase::Network, offset, length }));
    }

    pub(super) fn transport(&mut self, offset: u32, length: u32) {
        self.push(Expression::Payload(Payload { dreg: KEY, base: PayloadBase::Transport, offset, length }));
    }

    /// Goes on where what was loaded is this, or is not.
    pub(super) fn is(&mut self, negated: bool, data: &[u8]) {
        self.compare(if negated { CmpOp::Ne } else { CmpOp::Eq }, data);
    }

    pub(super) fn compare(&mut self, op: CmpOp, data: &[u8]) {
        self.push(Expression::Cmp(Cmp { sreg: KEY, op, data: data.to_vec() }));
    }

    /// Keeps the bits of the mask, unless it has them all.
    pub(super) fn mask(&mut self, mask: &[u8]) {
        if mask.iter().any(|&byte| byte != 0xff) {
            self.push(Expression::Bitwise(Bitwise::mask(KEY, mask)));
        }
    }

    /// `(loaded & !mask) ^ value`.
    pub(super) fn replace_bits(&mut self, mask: u32, value: u32) {
        let op =
            BitwiseOp::MaskXor { mask: (!mask).to_ne_bytes().to_vec(), xor: value.to_ne_bytes().to_vec() };
        self.push(Expression::Bitwise(Bitwise { sreg: KEY, dreg: KEY, length: 4, op }));
    }

    /// Goes on where one of these bits of a number of the machine's order is set, or where none is.
    pub(super) fn has_bit(&mut self, negated: bool, bits: u32) {
        self.push(Expression::Bitwise(Bitwise::mask(KEY, bits.to_ne_bytes())));
        self.is(!negated, &[0; 4]);
    }

    /// Brings a number of the machine's order, of four bytes, into the order in which it can be compared.
    pub(super) fn in_network_order(&mut self) {
        self.push(Expression::Byteorder(Byteorder {
            sreg: KEY,
            dreg: KEY,
            op: ByteorderOp::HostToNetwork,
            length: 4,
            size: 4,
        }));
    }

    /// Goes on where what was loaded, in network order, is from `first` to `last`, or is not.
    pub(super) fn within(&mut self, negated: bool, first: &[u8], last: &[u8]) {
        if first == last {
            return self.is(negated, first);
        }
        let highest = last.iter().all(|&byte| byte == 0xff);
        match (highest, negated) {
            (true, false) => self.compare(CmpOp::Ge, first),
            (true, true) => self.compare(CmpOp::Lt, first),
            (false, _) => self.push(Expression::Range(Range {
                sreg: KEY,
                op: if negated { RangeOp::NotIn } else { RangeOp::In },
                from: first.to_vec(),
                to: last.to_vec(),
            })),
        }
    }

    /// Goes on where what was loaded, in network order, is in one of the ranges, or in none.
    pub(super) fn among(&mut self, negated: bool, kind: DataType, length: usize, ranges: &Ranges) {
        let bytes = |number: u128| number.to_be_bytes()[16 - length..].to_vec();
        match ranges.as_slice() {
            // Nothing is in an empty list.
            [] if negated => {}
            [] => self.never(),
            &[(first, last)] => self.within(negated, &bytes(first), &bytes(last)),
            ranges => {
                let is_interval = ranges.iter().any(|(first, last)| first != last);
                let elements = ranges.iter().flat_map(|&(first, last)| {
                    if is_interval {
                        Element::range(&bytes(first), &bytes(last))
                    } else {
                        vec![Element::new(bytes(first))]
                    }
                });
                let mut set = Set::new("", kind, u32::try_from(length).unwrap_or(0));
                if is_interval {
                    set = set.with_flags(SetFlags::INTERVAL);
                }
                let elements = elements.collect();
                self.look_up(negated, set, elements);
            }
        }
    }

    /// Goes on where what was loaded is in a set of this rule's own, or is not.
    pub(super) fn look_up(&mut self, negated: bool, set: Set, elements: Vec<Element>) {
        let name = self.fresh_name("__set");
        let set = Set { name: name.clone(), ..set.with_flags(SetFlags::ANONYMOUS | SetFlags::CONSTANT) };
        self.sets.push(SetDump { set, elements });
        self.push(Expression::Lookup(Lookup { inverse: negated, ..Lookup::contains(name, KEY) }));
    }

    /// A name that no set of the table has.
    pub(super) fn fresh_name(&self, pattern: &str) -> String {
        let taken = |name: &String| self.sets.iter().any(|dump| dump.set.name == *name);
        let mut names = (self.sets.len()..).map(|number| format!("{pattern}{number}"));
        names.find(|name| !taken(name)).unwrap_or_default()
    }

    /// Nothing gets past this.
    pub(super) fn never(&mut self) {
        self.meta(MetaKey::NfProtocol);
        self.is(false, &[0]);
    }
}
