//! The lines of `nft --debug=netlink` back into expressions.
//!
//! The lines do not tell how long a compared or stored value is: that follows from where the register was
//! loaded, or from what is done with it.

use std::collections::HashMap;

use nf_tables::*;

mod length;
mod statement;
mod words;

use length::{cut, note_length, wanted_length};
use statement::{dynset, limit, log, nat, objref, queue, reject};
use words::Words;

/// Why a line could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unsupported(pub(crate) String);

type Parsed<T> = Result<T, Unsupported>;

/// Reads the lines of one rule.
pub(crate) fn rule(lines: &[String]) -> Parsed<Vec<Expression>> {
    let mut loaded = HashMap::new();
    let mut expressions = Vec::new();
    for text in lines {
        let expression = line(text, &loaded)?;
        note_length(&expression, &mut loaded);
        expressions.push(expression);
    }
    for at in 0..expressions.len() {
        let (head, rest) = expressions.split_at_mut(at + 1);
        if let Expression::Immediate(Immediate { dreg, data: Data::Value(bytes) }) = &mut head[at]
            && let Some(length) = rest.iter().find_map(|later| wanted_length(later, *dreg))
        {
            bytes.truncate(length);
        }
    }
    Ok(expressions)
}

fn line(text: &str, loaded: &HashMap<Register, usize>) -> Parsed<Expression> {
    // Not trimmed further: the prefix of a log may end with a space.
    let text = text.trim();
    let inner = text.strip_prefix("[ ").and_then(|text| text.strip_suffix(" ]")).unwrap_or(text);
    let mut words = Words { words: inner.split_whitespace().collect(), at: 0, line: inner };
    let name = words.next()?;
    Ok(match name {
        "payload" => payload(&mut words)?,
        "meta" => match words.next()? {
            "load" => {
                let key = meta_key(words.next()?)?;
                words.expect("=>")?;
                Expression::Meta(Meta { key, dreg: words.register()? })
            }
            "set" => {
                let key = meta_key(words.next()?)?;
                words.expect("with")?;
                Expression::MetaSet(MetaSet { key, sreg: words.register()? })
            }
            _ => return words.unsupported(),
        },
        "ct" => ct(&mut words)?,
        "cmp" => {
            let op = match words.next()? {
                "eq" => CmpOp::Eq,
                "neq" => CmpOp::Ne,
                "lt" => CmpOp::Lt,
                "lte" => CmpOp::Le,
                "gt" => CmpOp::Gt,
                "gte" => CmpOp::Ge,
                _ => return words.unsupported(),
            };
            let sreg = words.register()?;
            let data = cut(words.bytes()?, loaded.get(&sreg).copied());
            Expression::Cmp(Cmp { sreg, op, data })
        }
        "range" => {
            let op = if words.next()? == "eq" { RangeOp::In } else { RangeOp::NotIn };
            let sreg = words.register()?;
            let both = words.bytes()?;
            let (from, to) = both.split_at(both.len() / 2);
            let length = loaded.get(&sreg).copied();
            let (from, to) = (cut(from.to_vec(), length), cut(to.to_vec(), length));
            Expression::Range(Range { sreg, op, from, to })
        }
        "bitwise" => bitwise(&mut words, loaded)?,
        "byteorder" => byteorder(&mut words)?,
        "lookup" => lookup(&mut words)?,
        "immediate" => immediate(&mut words)?,
        "counter" => {
            words.expect("pkts")?;
            let packets = words.number()?;
            words.expect("bytes")?;
            Expression::Counter(Counter { packets, bytes: words.number()? })
        }
        "limit" => limit(&mut words)?,
        "log" => log(inner)?,
        "reject" => reject(&mut words)?,
        "dynset" => dynset(inner, loaded)?,
        "exthdr" => exthdr(&mut words)?,
        "fib" => fib(&mut words)?,
        "nat" | "masq" | "redir" => nat(name, &mut words)?,
        "objref" => objref(&mut words)?,
        "connlimit" => {
            words.expect("count")?;
            let count = words.number()?;
            words.expect("flags")?;
            Expression::Connlimit(Connlimit { count, over: words.number::<u32>()? & 1 != 0 })
        }
        "quota" => {
            words.expect("bytes")?;
            let bytes = words.number()?;
            words.expect("consumed")?;
            let consumed = words.number()?;
            words.expect("flags")?;
            Expression::Quota(Quota { bytes, consumed, flags: QuotaFlags(words.number()?) })
        }
        "notrack" => Expression::Notrack(Notrack {}),
        "queue" => queue(&mut words)?,
        "rt" => {
            words.expect("load")?;
            let key = match words.next()? {
                "classid" => RoutingKey::ClassId,
                "nexthop4" => RoutingKey::NextHop4,
                "nexthop6" => RoutingKey::NextHop6,
                "tcpmss" => RoutingKey::TcpMss,
                "ipsec" => RoutingKey::Ipsec,
                _ => return words.unsupported(),
            };
            words.expect("=>")?;
            Expression::Routing(Routing { key, dreg: words.register()? })
        }
        "socket" => {
            words.expect("load")?;
            let key = match words.next()? {
                "transparent" => SocketKey::Transparent,
                "mark" => SocketKey::Mark,
                "wildcard" => SocketKey::Wildcard,
                _ => return words.unsupported(),
            };
            words.expect("=>")?;
            Expression::Socket(SocketLookup { key, level: 0, dreg: words.register()? })
        }
        "hash" => hash(&mut words)?,
        "numgen" => {
            let dreg = words.register()?;
            words.expect("=")?;
            let kind = if words.next()? == "inc" { NumgenKind::Incremental } else { NumgenKind::Random };
            words.expect("mod")?;
            let modulus = words.number()?;
            let offset = if words.next_is("offset") { words.number()? } else { 0 };
            Expression::Numgen(Numgen { kind, modulus, offset, dreg })
        }
        _ => return words.unsupported(),
    })
}

fn payload(words: &mut Words<'_>) -> Parsed<Expression> {
    let base = |words: &mut Words<'_>| {
        words.expect("@")?;
        let base = match words.next()? {
            "link" => PayloadBase::Link,
            "network" => PayloadBase::Network,
            "transport" => PayloadBase::Transport,
            "inner" => PayloadBase::Inner,
            _ => return words.unsupported(),
        };
        words.expect("header")?;
        words.expect("+")?;
        Ok((base, words.number()?))
    };
    match words.next()? {
        "load" => {
            let length = words.number()?;
            let (base, offset) = base(words)?;
            words.expect("=>")?;
            Ok(Expression::Payload(Payload { dreg: words.register()?, base, offset, length }))
        }
        "write" => {
            let sreg = words.register()?;
            words.expect("=>")?;
            let length = words.number()?;
            let (base, offset) = base(words)?;
            words.expect("csum_type")?;
            let checksum_kind = words.number()?;
            words.expect("csum_off")?;
            let checksum_offset = words.number()?;
            words.expect("csum_flags")?;
            Ok(Expression::PayloadWrite(PayloadWrite {
                sreg,
                base,
                offset,
                length,
                checksum_kind,
                checksum_offset,
                checksum_flags: words.number()?,
            }))
        }
        _ => words.unsupported(),
    }
}

fn meta_key(name: &str) -> Parsed<MetaKey> {
    (0..64)
        .map(MetaKey::from)
        .find(|key| key.to_string() == name)
        .ok_or_else(|| Unsupported(format!("meta {name}")))
}

fn ct_key(name: &str) -> Parsed<CtKey> {
    (0..64)
        .map(CtKey::from)
        .find(|key| key.to_string() == name)
        .ok_or_else(|| Unsupported(format!("ct {name}")))
}

fn ct(words: &mut Words<'_>) -> Parsed<Expression> {
    let what = words.next()?;
    let key = ct_key(words.next()?)?;
    words.expect(if what == "load" { "=>" } else { "with" })?;
    let register = words.register()?;
    words.next_is(",");
    let direction = if words.next_is("dir") {
        Some(if words.next()? == "original" { CtDirection::Original } else { CtDirection::Reply })
    } else {
        None
    };
    Ok(match what {
        "load" => Expression::Ct(Ct { key, direction, dreg: register }),
        _ => Expression::CtSet(CtSet { key, direction, sreg: register }),
    })
}

fn bitwise(words: &mut Words<'_>, loaded: &HashMap<Register, usize>) -> Parsed<Expression> {
    let dreg = words.register()?;
    words.expect("=")?;
    words.expect("(")?;
    let sreg = words.register()?;
    let operator = words.next()?;
    let mask = words.bytes()?;
    words.expect(")")?;
    let length = loaded.get(&sreg).copied();
    let op = match operator {
        "&" => {
            words.expect("^")?;
            BitwiseOp::MaskXor { mask: cut(mask, length), xor: cut(words.bytes()?, length) }
        }
        "<<" | ">>" => {
            let Ok(bits) = mask.try_into().map(u32::from_ne_bytes) else {
                return words.wrong();
            };
            if operator == "<<" { BitwiseOp::ShiftLeft(bits) } else { BitwiseOp::ShiftRight(bits) }
        }
        _ => return words.unsupported(),
    };
    let length = match &op {
        BitwiseOp::MaskXor { mask, .. } => mask.len(),
        BitwiseOp::ShiftLeft(_) | BitwiseOp::ShiftRight(_) => length.unwrap_or(4),
    };
    Ok(Expression::Bitwise(Bitwise { sreg, dreg, length: u32::try_from(length).unwrap(), op }))
}

/// `byteorder reg 1 = hton(reg 1, 2, 4)`.
fn byteorder(words: &mut Words<'_>) -> Parsed<Expression> {
    let dreg = words.register()?;
    words.expect("=")?;
    let op = match words.next()? {
        "hton(reg" => ByteorderOp::HostToNetwork,
        "ntoh(reg" => ByteorderOp::NetworkToHost,
        _ => return words.unsupported(),
    };
    let sreg = words.register_number()?;
    let size = words.number()?;
    Ok(Expression::Byteorder(Byteorder { sreg, dreg, op, length: words.number()?, size }))
}

fn lookup(words: &mut Words<'_>) -> Parsed<Expression> {
    let sreg = words.register()?;
    words.expect("set")?;
    let set = words.next()?.to_owned();
    let dreg = if words.next_is("dreg") { Some(words.register_number()?) } else { None };
    let inverse = words.next_is("0x1");
    Ok(Expression::Lookup(Lookup { set, set_id: None, sreg, dreg, inverse }))
}

fn immediate(words: &mut Words<'_>) -> Parsed<Expression> {
    let dreg = words.register()?;
    if dreg != Register::VERDICT {
        return Ok(Expression::Immediate(Immediate { dreg, data: Data::Value(words.bytes()?) }));
    }
    let verdict = match words.next()? {
        "accept" => Verdict::Accept,
        "drop" => Verdict::Drop,
        "continue" => Verdict::Continue,
        "break" => Verdict::Break,
        "return" => Verdict::Return,
        jump @ ("jump" | "goto") => {
            words.expect("->")?;
            let chain = words.next()?.to_owned();
            if jump == "jump" { Verdict::Jump(chain) } else { Verdict::Goto(chain) }
        }
        _ => return words.wrong(),
    };
    Ok(Expression::Immediate(Immediate::verdict(verdict)))
}

/// `exthdr load ipv6 1b @ 0 + 0 present => reg 1`, `exthdr write tcpopt reg 1 => 2b @ 2 + 2`.
fn exthdr(words: &mut Words<'_>) -> Parsed<Expression> {
    let what = words.next()?;
    let op = if words.next_is("tcpopt") {
        ExthdrOp::TcpOption
    } else if words.next_is("ipv4") {
        ExthdrOp::Ipv4Option
    } else if words.next_is("sctp") {
        words.expect("chunk")?;
        ExthdrOp::SctpChunk
    } else {
        words.next_is("ipv6");
        ExthdrOp::Ipv6
    };
    let mut exthdr = Exthdr { op, kind: 0, offset: 0, length: 0, present: false, dreg: None, sreg: None };
    match what {
        "reset" => {
            exthdr.kind = words.number()?;
            return Ok(Expression::Exthdr(exthdr));
        }
        "write" => {
            exthdr.sreg = Some(words.register()?);
            words.expect("=>")?;
        }
        _ => {}
    }
    exthdr.length = words.number()?;
    words.expect("@")?;
    exthdr.kind = words.number()?;
    words.expect("+")?;
    exthdr.offset = words.number()?;
    exthdr.present = words.next_is("present");
    if what == "load" {
        words.expect("=>")?;
        exthdr.dreg = Some(words.register()?);
    }
    Ok(Expression::Exthdr(exthdr))
}

fn fib(words: &mut Words<'_>) -> Parsed<Expression> {
    let mut flags = FibFlags::NONE;
    loop {
        flags |= match words.next()? {
            "saddr" => FibFlags::SOURCE,
            "daddr" => FibFlags::DESTINATION,
            "mark" => FibFlags::MARK,
            "iif" => FibFlags::INPUT,
            "oif" => FibFlags::OUTPUT,
            _ => return words.wrong(),
        };
        if !words.next_is(".") {
            break;
        }
    }
    let result = match words.next()? {
        "oif" => FibResult::OutputIndex,
        "oifname" => FibResult::OutputName,
        "type" => FibResult::AddressType,
        _ => return words.wrong(),
    };
    if words.next_is("present") {
        flags |= FibFlags::PRESENT;
    }
    words.expect("=>")?;
    Ok(Expression::Fib(Fib { flags, result, dreg: words.register()? }))
}

/// `hash reg 1 = jhash(reg 2, 8, 0xdeadbeef) % mod 2 offset 100`.
fn hash(words: &mut Words<'_>) -> Parsed<Expression> {
    let dreg = words.register()?;
    words.expect("=")?;
    let kind = match words.next()? {
        "jhash(reg" => {
            let sreg = words.register_number()?;
            let length = words.number()?;
            let seed: u32 = words.number()?;
            HashKind::Jenkins { sreg, length, seed: Some(seed).filter(|&seed| seed != 0) }
        }
        "symhash()" => HashKind::Symmetric,
        _ => return words.unsupported(),
    };
    words.expect("%")?;
    words.expect("mod")?;
    let modulus = words.number()?;
    let offset = if words.next_is("offset") { words.number()? } else { 0 };
    Ok(Expression::Hash(Hash { kind, modulus, offset, dreg }))
}
