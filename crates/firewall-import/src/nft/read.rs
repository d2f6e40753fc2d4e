//! A rule's expressions as conditions on fields and what is done then.

use std::collections::BTreeMap;

use nf_tables::{
    BitwiseOp, CmpOp, CtKey, Data, ElementFlags, Expression, FibFlags, FibResult, Limit, LimitKind, Log,
    MetaKey, PayloadBase, RangeOp, Register, Reject, Rule, SetDump, SetFlags, TableDump, Verdict,
};

/// What a condition looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Meta(MetaKey),
    CtState,
    CtStatus,
    /// Offset and length in bytes.
    Network(u32, u32),
    Transport(u32, u32),
    /// Whether of the source; else of the destination.
    AddressType(bool),
}

/// A condition on one field: it is in one of the ranges, or in none of them.
#[derive(Debug, Clone)]
pub(super) struct Atom {
    pub(super) field: Field,
    /// What the field is masked with before.
    pub(super) mask: Option<Vec<u8>>,
    pub(super) negated: bool,
    pub(super) ranges: Vec<(Vec<u8>, Vec<u8>)>,
}

/// One of several ways to match.
#[derive(Debug, Clone, Default)]
pub(super) struct Branch {
    pub(super) atoms: Vec<Atom>,
    /// What a map of verdicts says.
    pub(super) verdict: Option<Verdict>,
}

/// A rule, read.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) atoms: Vec<Atom>,
    /// Of each, one branch matches.
    pub(super) choices: Vec<Vec<Branch>>,
    pub(super) limit: Option<Limit>,
    pub(super) log: Option<Log>,
    pub(super) end: Option<End>,
    /// An empty set is asked for a key: nothing matches.
    pub(super) empty: Option<String>,
}

/// What a rule ends with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Verdict(Verdict),
    Reject(Reject),
    /// The verdict of the branch.
    Map,
}

#[derive(Debug, Clone)]
struct Loaded {
    field: Field,
    length: usize,
    mask: Option<Vec<u8>>,
}

/// Reads a rule of a table; or names what of it is not understood.
pub(super) fn read(table: &TableDump, rule: &Rule) -> Result<Read, String> {
    let mut reader = Reader { table, loaded: BTreeMap::new(), read: Read::default() };
    rule.expressions.iter().try_for_each(|expression| reader.take(expression))?;
    Ok(reader.read)
}

struct Reader<'t> {
    table: &'t TableDump,
    /// By the first of the register's slots of 4 bytes.
    loaded: BTreeMap<u32, Loaded>,
    read: Read,
}

impl Reader<'_> {
    fn take(&mut self, expression: &Expression) -> Result<(), String> {
        let ended = self.read.end.is_some();
        match expression {
            Expression::Counter(_) => return Ok(()),
            _ if ended => return Err("something stands behind its verdict".to_owned()),
            Expression::Meta(meta) => {
                let length = match meta.key {
                    MetaKey::InputName | MetaKey::OutputName => 16,
                    MetaKey::NfProtocol | MetaKey::L4Protocol | MetaKey::PacketType => 1,
                    MetaKey::Protocol => 2,
                    MetaKey::InputIndex | MetaKey::OutputIndex | MetaKey::Mark => 4,
                    _ => return Err(no_equal("this part of `meta`")),
                };
                self.load(meta.dreg, Field::Meta(meta.key), length);
            }
            Expression::Ct(ct) => {
                let field = match (ct.key, ct.direction) {
                    (CtKey::State, None) => Field::CtState,
                    (CtKey::Status, None) => Field::CtStatus,
                    (key, _) => return Err(no_equal(&format!("`ct {key}`"))),
                };
                self.load(ct.dreg, field, 4);
            }
            Expression::Payload(payload) => {
                let field = match payload.base {
                    PayloadBase::Network => Field::Network(payload.offset, payload.length),
                    PayloadBase::Transport => Field::Transport(payload.offset, payload.length),
                    PayloadBase::Link | PayloadBase::Inner => {
                        return Err(no_equal("a look at other headers"));
                    }
                };
                self.load(payload.dreg, field, usize::try_from(payload.length).unwrap_or(usize::MAX));
            }
            Expression::Fib(fib) => {
                let of_source = match (fib.result, fib.flags) {
                    (FibResult::AddressType, FibFlags::SOURCE) => true,
                    (FibResult::AddressType, FibFlags::DESTINATION) => false,
                    _ => return Err(no_equal("this question to the routing table (`fib`)")),
                };
                self.load(fib.dreg, Field::AddressType(of_source), 4);
            }
            Expression::Bitwise(bitwise) => {
                let loaded = self.single(bitwise.sreg)?;
                let BitwiseOp::MaskXor { mask, xor } = &bitwise.op else {
                    return Err(no_equal("a shift"));
                };
                if loaded.mask.is_some() || xor.iter().any(|&byte| byte != 0) {
                    return Err(no_equal("what is done to the bits of a field"));
                }
                if let Some(slot) = bitwise.dreg.first_slot() {
                    self.loaded.insert(slot, Loaded { mask: Some(mask.clone()), ..loaded });
                }
            }
            Expression::Cmp(cmp) => {
                let loaded = self.single(cmp.sreg)?;
                let highest = vec![0xff; cmp.data.len()];
                let lowest = vec![0; cmp.data.len()];
                let (negated, range) = match cmp.op {
                    CmpOp::Eq => (false, (cmp.data.clone(), cmp.data.clone())),
                    CmpOp::Ne => (true, (cmp.data.clone(), cmp.data.clone())),
                    CmpOp::Ge => (false, (cmp.data.clone(), highest)),
                    CmpOp::Lt => (true, (cmp.data.clone(), highest)),
                    CmpOp::Le => (false, (lowest, cmp.data.clone())),
                    CmpOp::Gt => (true, (lowest, cmp.data.clone())),
                };
                self.condition(&loaded, negated, vec![range])?;
            }
            Expression::Range(range) => {
                let loaded = self.single(range.sreg)?;
                let negated = range.op == RangeOp::NotIn;
                self.condition(&loaded, negated, vec![(range.from.clone(), range.to.clone())])?;
            }
            Expression::Lookup(lookup) => {
                let set = self.table.set(&lookup.set).ok_or("its set is not there")?;
                self.look_up(set, lookup.sreg, lookup.inverse, lookup.dreg)?;
            }
            Expression::Limit(limit) if limit.kind == LimitKind::Packets && !limit.over => {
                if self.read.limit.replace(limit.clone()).is_some() {
                    return Err("it has two limits".to_owned());
                }
            }
            Expression::Limit(_) => return Err(no_equal("a limit on bytes, or one that matches above it")),
            Expression::Log(log) => {
                if self.read.log.replace(log.clone()).is_some() {
                    return Err("it logs twice".to_owned());
                }
            }
            Expression::Immediate(immediate) => match &immediate.data {
                Data::Verdict(verdict) => self.read.end = Some(End::Verdict(verdict.clone())),
                Data::Value(_) => return Err(no_equal("a value of its own")),
            },
            Expression::Reject(reject) => self.read.end = Some(End::Reject(*reject)),
            Expression::Dynset(dynset) => {
                return Err(format!("it puts elements into the set {}", dynset.set));
            }
            other => return Err(no_equal(&format!("`{}`", other.name()))),
        }
        Ok(())
    }

    fn load(&mut self, register: Register, field: Field, length: usize) {
        if let Some(slot) = register.first_slot() {
            self.loaded.insert(slot, Loaded { field, length, mask: None });
        }
    }

    fn single(&self, register: Register) -> Result<Loaded, String> {
        let slot = register.first_slot().ok_or("a register that holds no value")?;
        self.loaded.get(&slot).cloned().ok_or_else(|| "a register that holds no value".to_owned())
    }

    /// The fields that stand one behind another from a register on.
    fn several(&self, register: Register, bytes: u32) -> Result<Vec<Loaded>, String> {
        let first = register.first_slot().ok_or("a register that holds no value")?;
        let end = first + bytes.div_ceil(4);
        let mut slot = first;
        let mut fields = Vec::new();
        while slot < end {
            let loaded = self.loaded.get(&slot).cloned().ok_or("a register that holds no value")?;
            slot += u32::try_from(loaded.length.div_ceil(4).max(1)).unwrap_or(u32::MAX - end);
            fields.push(loaded);
        }
        Ok(fields)
    }

    fn condition(
        &mut self,
        loaded: &Loaded,
        negated: bool,
        ranges: Vec<(Vec<u8>, Vec<u8>)>,
    ) -> Result<(), String> {
        self.no_limit_yet()?;
        let is_name = matches!(loaded.field, Field::Meta(MetaKey::InputName | MetaKey::OutputName));
        if !is_name && ranges.iter().any(|(first, _)| first.len() != loaded.length) {
            return Err(no_equal("a comparison with a part of a field"));
        }
        // `dport >= 1 dport <= 9` is one range.
        if let (Some(before), [(first, last)], false) =
            (self.read.atoms.last_mut(), ranges.as_slice(), negated)
            && (before.field, &before.mask, before.negated) == (loaded.field, &loaded.mask, false)
            && let [(lowest, highest)] = before.ranges.as_mut_slice()
            && !is_name
            && first.max(lowest) <= last.min(highest)
        {
            *lowest = first.max(lowest).clone();
            *highest = last.min(highest).clone();
            return Ok(());
        }
        self.read.atoms.push(Atom { field: loaded.field, mask: loaded.mask.clone(), negated, ranges });
        Ok(())
    }

    /// What is counted by a limit, or logged, is what all conditions match.
    fn no_limit_yet(&self) -> Result<(), String> {
        match (&self.read.limit, &self.read.log) {
            (None, None) => Ok(()),
            _ => Err("a condition stands behind its limit or its log".to_owned()),
        }
    }

    fn look_up(
        &mut self,
        dump: &SetDump,
        register: Register,
        inverse: bool,
        dreg: Option<Register>,
    ) -> Result<(), String> {
        let set = &dump.set;
        if set.flags.contains(SetFlags::EVAL) || set.flags.contains(SetFlags::TIMEOUT) {
            return Err(format!("the set {} is filled while it is in use", set.name));
        }
        let is_map = dreg.is_some();
        if dreg.is_some_and(|dreg| dreg != Register::VERDICT) {
            return Err(no_equal("a map to values"));
        }
        if is_map && (self.read.limit.is_some() || self.read.log.is_some()) {
            return Err("a map of verdicts stands behind its limit or its log".to_owned());
        }
        if dump.elements.iter().any(|element| element.flags.contains(ElementFlags::CATCH_ALL)) {
            return Err(format!("the set {} has an element for all other keys", set.name));
        }
        self.no_limit_yet()?;
        let keys = packet_filter::key_ranges(dump);
        if keys.is_empty() && !inverse {
            self.read.empty.get_or_insert_with(|| set.name.clone());
        }
        let fields = self.several(register, set.key_length)?;
        if let ([field], false) = (fields.as_slice(), is_map) {
            let ranges = keys.into_iter().map(|(first, last, _)| (first, last)).collect();
            return self.condition(field, inverse, ranges);
        }
        if inverse {
            return Err(no_equal("a set of several fields with `!=`"));
        }
        let mut branches = Vec::new();
        for (first, last, element) in keys {
            let mut at = 0;
            let mut branch = Branch::default();
            for field in &fields {
                let length = field.length;
                let part = |key: &[u8]| key.get(at..at + length).map(<[u8]>::to_vec);
                let range = part(&first).zip(part(&last)).ok_or("a key that is too short")?;
                at += length.next_multiple_of(4);
                branch.atoms.push(Atom {
                    field: field.field,
                    mask: field.mask.clone(),
                    negated: false,
                    ranges: vec![range],
                });
            }
            branch.verdict = match &element.data {
                Some(Data::Verdict(verdict)) => Some(verdict.clone()),
                _ if is_map => return Err("a map without a verdict".to_owned()),
                _ => None,
            };
            branches.push(branch);
        }
        if is_map {
            self.read.end = Some(End::Map);
        }
        self.read.choices.push(branches);
        Ok(())
    }
}

fn no_equal(what: &str) -> String {
    format!("rules of the policy have no equal of {what}")
}
