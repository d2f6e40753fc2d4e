//! Lines that do something with a packet.

use std::collections::HashMap;
use std::time::Duration;

use nf_tables::*;

use super::words::Words;
use super::{Parsed, line};

pub(super) fn limit(words: &mut Words<'_>) -> Parsed<Expression> {
    words.expect("rate")?;
    let Some((rate, unit)) = words.next()?.split_once('/') else {
        return words.wrong();
    };
    let Ok(rate) = rate.parse() else {
        return words.wrong();
    };
    let seconds = match unit {
        "second" => 1,
        "minute" => 60,
        "hour" => 3_600,
        "day" => 86_400,
        "week" => 604_800,
        _ => return words.wrong(),
    };
    words.expect("burst")?;
    let burst = words.number()?;
    words.expect("type")?;
    let kind = if words.next()? == "packets" { LimitKind::Packets } else { LimitKind::Bytes };
    words.expect("flags")?;
    let over = words.number::<u32>()? & 1 != 0;
    Ok(Expression::Limit(Limit { rate, seconds, burst, kind, over }))
}

const LOG_FLAGS: [(u32, &str); 5] =
    [(1, "tcpseq"), (2, "tcpopt"), (4, "ipopt"), (8, "uid"), (32, "macdecode")];

pub(super) fn log(inner: &str) -> Parsed<Expression> {
    let mut rest = inner.strip_prefix("log").unwrap_or(inner);
    let mut log = Log::default();
    if let Some(prefixed) = rest.strip_prefix(" prefix ") {
        let end = [" group ", " level ", " flags "].iter().filter_map(|word| prefixed.rfind(word)).min();
        let (prefix, tail) = prefixed.split_at(end.unwrap_or(prefixed.len()));
        log.prefix = Some(prefix.to_owned());
        rest = tail;
    }
    let mut words = Words { words: rest.split_whitespace().collect(), at: 0, line: inner };
    while words.at < words.words.len() {
        match words.next()? {
            "group" => log.group = Some(words.number()?),
            "snaplen" => log.snaplen = Some(words.number()?).filter(|&number| number != 0),
            "qthreshold" => log.threshold = Some(words.number()?).filter(|&number| number != 0),
            "level" => log.level = Some(words.number()?),
            name => match LOG_FLAGS.iter().find(|flag| flag.1 == name) {
                Some((flag, _)) => log.flags = Some(log.flags.unwrap_or(0) | flag),
                None => return words.wrong(),
            },
        }
    }
    Ok(Expression::Log(log))
}

pub(super) fn reject(words: &mut Words<'_>) -> Parsed<Expression> {
    words.expect("type")?;
    let kind: u32 = words.number()?;
    words.expect("code")?;
    let code = words.number()?;
    Ok(Expression::Reject(match (kind, code) {
        (0, code) => Reject::Icmp(code),
        (1, _) => Reject::TcpReset,
        (2, 0) => Reject::Icmpx(IcmpxCode::NoRoute),
        (2, 1) => Reject::Icmpx(IcmpxCode::PortUnreachable),
        (2, 2) => Reject::Icmpx(IcmpxCode::HostUnreachable),
        (2, 3) => Reject::Icmpx(IcmpxCode::AdminProhibited),
        _ => return words.wrong(),
    }))
}

pub(super) fn dynset(inner: &str, loaded: &HashMap<Register, usize>) -> Parsed<Expression> {
    let (head, expressions) = match inner.split_once(" expr [") {
        Some((head, tail)) => {
            let tail = tail.trim_end_matches([']', ' ']);
            let parts = tail.split("] expr [").map(|part| line(&format!("[ {} ]", part.trim()), loaded));
            (head, parts.collect::<Parsed<Vec<_>>>()?)
        }
        None => (inner, Vec::new()),
    };
    let mut words = Words { words: head.split_whitespace().collect(), at: 1, line: inner };
    let op = match words.next()? {
        "add" => DynsetOp::Add,
        "update" => DynsetOp::Update,
        "delete" => DynsetOp::Delete,
        _ => return words.unsupported(),
    };
    words.expect("reg_key")?;
    let sreg_key = words.register_number()?;
    words.expect("set")?;
    let set = words.next()?.to_owned();
    let (mut sreg_data, mut timeout) = (None, None);
    while words.at < words.words.len() {
        match words.next()? {
            "sreg_data" => sreg_data = Some(words.register_number()?),
            "timeout" => {
                let Ok(number) = words.next()?.trim_end_matches("ms").parse() else {
                    return words.wrong();
                };
                timeout = Some(Duration::from_millis(number));
            }
            _ => return words.wrong(),
        }
    }
    let inverse = false;
    Ok(Expression::Dynset(Dynset {
        set,
        set_id: None,
        op,
        sreg_key,
        sreg_data,
        timeout,
        inverse,
        expressions,
    }))
}

pub(super) fn nat(name: &str, words: &mut Words<'_>) -> Parsed<Expression> {
    let (mut kind, mut family) = (NatKind::Source, Family::Ip);
    if name == "nat" {
        kind = if words.next()? == "snat" { NatKind::Source } else { NatKind::Destination };
        family = if words.next()? == "ip" { Family::Ip } else { Family::Ip6 };
    }
    let (mut address_min, mut address_max, mut port_min, mut port_max) = (None, None, None, None);
    let mut flags = NatFlags::NONE;
    while words.at < words.words.len() {
        match words.next()? {
            "addr_min" => address_min = Some(words.register()?),
            "addr_max" => address_max = Some(words.register()?),
            "proto_min" => port_min = Some(words.register()?),
            "proto_max" => port_max = Some(words.register()?),
            "flags" => flags = NatFlags(words.number()?),
            _ => return words.wrong(),
        }
    }
    Ok(match name {
        "nat" => Expression::Nat(Nat { kind, family, address_min, address_max, port_min, port_max, flags }),
        "masq" => Expression::Masquerade(Masquerade { flags, port_min, port_max }),
        _ => Expression::Redirect(Redirect { port_min, port_max, flags }),
    })
}

pub(super) fn objref(words: &mut Words<'_>) -> Parsed<Expression> {
    if words.next_is("sreg") {
        let sreg = words.register_number()?;
        words.expect("set")?;
        let set = words.next()?.to_owned();
        return Ok(Expression::Objref(Objref::Map { sreg, set, set_id: None }));
    }
    words.expect("type")?;
    let kind = ObjectKind(words.number()?);
    words.expect("name")?;
    Ok(Expression::Objref(Objref::Named { kind, name: words.next()?.to_owned() }))
}

pub(super) fn queue(words: &mut Words<'_>) -> Parsed<Expression> {
    let mut queue = Queue { number: 0, total: 1, flags: QueueFlags::NONE, sreg: None };
    if words.next_is("sreg_qnum") {
        queue.sreg = Some(words.register()?);
    } else {
        words.expect("num")?;
        let numbers = words.next()?;
        let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
        let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) else {
            return words.wrong();
        };
        queue.number = first;
        queue.total = last - first + 1;
    }
    if words.next_is("bypass") {
        queue.flags |= QueueFlags::BYPASS;
    }
    if words.next_is("fanout") {
        queue.flags |= QueueFlags::FANOUT;
    }
    Ok(Expression::Queue(queue))
}
