//! Conditions that keep count: rates, and numbers of connections.

use std::time::Duration;

use iptables_syntax::extension::{Connlimit, HashRate, Hashlimit, Limit};
use iptables_syntax::{Family, Rate, Side};
use nf_tables::{
    Bitwise, DataType, Dynset, DynsetOp, Expression, LimitKind, Payload, PayloadBase, Register, Set, SetDump,
    SetFlags,
};

use super::Untranslatable;
use super::build::{Build, Built, KEY};

/// The most that a set holds that says nothing of its own (`nft` takes the same).
const SIZE: u32 = 65_535;

pub(super) fn limit(build: &mut Build<'_>, limit: &Limit) {
    build.push(Expression::Limit(packets(limit.rate, limit.burst, false)));
}

fn packets(rate: Rate, burst: u32, over: bool) -> nf_tables::Limit {
    nf_tables::Limit {
        rate: rate.packets.into(),
        seconds: rate.per.seconds().into(),
        burst,
        kind: LimitKind::Packets,
        over,
    }
}

pub(super) fn hashlimit(build: &mut Build<'_>, hashlimit: &Hashlimit) -> Built {
    if hashlimit.rate_match || hashlimit.rate_interval.is_some() {
        return Err(Untranslatable::new("-m hashlimit --hashlimit-rate-match"));
    }
    let burst = hashlimit.burst.map(|burst| u32::try_from(burst).unwrap_or(u32::MAX));
    let (limit, quiet) = match hashlimit.rate {
        HashRate::Packets(rate) => {
            (packets(rate, burst.unwrap_or(5), hashlimit.above), rate.per.seconds() * 1000)
        }
        HashRate::Bytes(rate) => {
            let limit = nf_tables::Limit {
                rate: rate.bytes_per_second(),
                seconds: 1,
                burst: burst.unwrap_or(0),
                kind: LimitKind::Bytes,
                over: hashlimit.above,
            };
            (limit, if burst.is_some() { 60_000 } else { 15_000 })
        }
    };
    let mut key = Key::new(build);
    if hashlimit.source_address {
        key.address(Side::Source, hashlimit.source_mask, "-m hashlimit")?;
    }
    if hashlimit.source_port {
        key.port(Side::Source);
    }
    if hashlimit.destination_address {
        key.address(Side::Destination, hashlimit.destination_mask, "-m hashlimit")?;
    }
    if hashlimit.destination_port {
        key.port(Side::Destination);
    }
    if key.fields.is_empty() {
        build.push(Expression::Limit(limit));
        return Ok(());
    }
    let expire = Duration::from_millis(hashlimit.expire.unwrap_or(quiet).into());
    let set = key.set(format!("hashlimit-{}", hashlimit.name));
    let set = Set { size: Some(hashlimit.maximum.unwrap_or(SIZE)), ..set }.with_timeout(expire);
    let name = set.name.clone();
    match build.sets.iter().find(|dump| dump.set.name == name) {
        None => build.sets.push(SetDump { set, elements: Vec::new() }),
        // Rules of one name share their counters.
        Some(shared) if shared.set == set => {}
        Some(_) => {
            return Err(Untranslatable::new(format!(
                "-m hashlimit --hashlimit-name {} which another rule uses otherwise",
                hashlimit.name
            )));
        }
    }
    build.push(meter(name, DynsetOp::Update, Expression::Limit(limit)));
    Ok(())
}

pub(super) fn connections(build: &mut Build<'_>, connlimit: Connlimit) -> Built {
    let mut key = Key::new(build);
    key.address(connlimit.side, connlimit.mask, "-m connlimit")?;
    let set = key.set(String::new());
    let name = build.fresh_name("connlimit");
    let set = Set { name: name.clone(), size: Some(SIZE), ..set };
    build.sets.push(SetDump { set, elements: Vec::new() });
    let count = nf_tables::Connlimit { count: connlimit.limit, over: connlimit.above };
    build.push(meter(name, DynsetOp::Add, Expression::Connlimit(count)));
    Ok(())
}

fn meter(set: String, op: DynsetOp, counts: Expression) -> Expression {
    Expression::Dynset(Dynset {
        set,
        set_id: None,
        op,
        sreg_key: KEY,
        sreg_data: None,
        timeout: None,
        inverse: false,
        expressions: vec![counts],
    })
}

/// What is counted apart: fields that are loaded one behind the other.
struct Key<'b, 's> {
    build: &'b mut Build<'s>,
    fields: Vec<(DataType, u32)>,
    slot: u32,
}

impl<'b, 's> Key<'b, 's> {
    fn new(build: &'b mut Build<'s>) -> Self {
        Self { build, fields: Vec::new(), slot: 0 }
    }

    fn load(&mut self, base: PayloadBase, offset: u32, length: u32, kind: DataType) -> Register {
        let dreg = Register::slot(self.slot).unwrap_or(KEY);
        self.build.push(Expression::Payload(Payload { dreg, base, offset, length }));
        self.fields.push((kind, length));
        self.slot += length.div_ceil(4);
        dreg
    }

    fn address(&mut self, side: Side, prefix: u8, part: &str) -> Built {
        let (length, at, kind) = match (self.build.family(part)?, side) {
            (Family::Ipv4, Side::Source) => (4, 12, DataType::IPV4_ADDRESS),
            (Family::Ipv4, Side::Destination) => (4, 16, DataType::IPV4_ADDRESS),
            (Family::Ipv6, Side::Source) => (16, 8, DataType::IPV6_ADDRESS),
            (Family::Ipv6, Side::Destination) => (16, 24, DataType::IPV6_ADDRESS),
        };
        let register = self.load(PayloadBase::Network, at, length, kind);
        if u32::from(prefix) < length * 8 {
            let ones = !u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
            let mask = &ones.to_be_bytes()[..usize::try_from(length).unwrap_or(16)];
            self.build.push(Expression::Bitwise(Bitwise::mask(register, mask)));
        }
        Ok(())
    }

    fn port(&mut self, side: Side) {
        let at = if side == Side::Source { 0 } else { 2 };
        self.load(PayloadBase::Transport, at, 2, DataType::INET_SERVICE);
    }

    /// A set that rules fill, keyed by what was loaded.
    fn set(&self, name: String) -> Set {
        let (kind, length) = match self.fields.as_slice() {
            &[(kind, length)] => (kind, length),
            fields => {
                let kinds: Vec<DataType> = fields.iter().map(|(kind, _)| *kind).collect();
                (DataType::concatenation(&kinds), self.slot * 4)
            }
        };
        Set::new(name, kind, length).with_flags(SetFlags::EVAL)
    }
}
