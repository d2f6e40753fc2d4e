//! The lines of `nft --debug=netlink` back into expressions.
//!
//! The lines do not tell how long a compared or stored value is: that follows from where the register was
//! loaded, or from what is done with it.

use std::collections::HashMap;
use std::time::Duration;

use nf_tables::*;

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
        if let Expression::Immediate(Immediate {
            dreg,
            data: Data::Value(bytes),
        }) = &mut head[at]
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
    let inner = text
        .strip_prefix("[ ")
        .and_then(|text| text.strip_suffix(" ]"))
        .unwrap_or(text);
    let mut words = Words {
        words: inner.split_whitespace().collect(),
        at: 0,
        line: inner,
    };
    let name = words.next()?;
    Ok(match name {
        "payload" => payload(&mut words)?,
        "meta" => match words.next()? {
            "load" => {
                let key = meta_key(words.next()?)?;
                words.expect("=>")?;
                Expression::Meta(Meta {
                    key,
                    dreg: words.register()?,
                })
            }
            "set" => {
                let key = meta_key(words.next()?)?;
                words.expect("with")?;
                Expression::MetaSet(MetaSet {
                    key,
                    sreg: words.register()?,
                })
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
            let op = if words.next()? == "eq" {
                RangeOp::In
            } else {
                RangeOp::NotIn
            };
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
            Expression::Counter(Counter {
                packets,
                bytes: words.number()?,
            })
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
            Expression::Connlimit(Connlimit {
                count,
                over: words.number::<u32>()? & 1 != 0,
            })
        }
        "quota" => {
            words.expect("bytes")?;
            let bytes = words.number()?;
            words.expect("consumed")?;
            let consumed = words.number()?;
            words.expect("flags")?;
            Expression::Quota(Quota {
                bytes,
                consumed,
                flags: QuotaFlags(words.number()?),
            })
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
            Expression::Routing(Routing {
                key,
                dreg: words.register()?,
            })
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
            Expression::Socket(SocketLookup {
                key,
                level: 0,
                dreg: words.register()?,
            })
        }
        "hash" => hash(&mut words)?,
        "numgen" => {
            let dreg = words.register()?;
            words.expect("=")?;
            let kind = if words.next()? == "inc" {
                NumgenKind::Incremental
            } else {
                NumgenKind::Random
            };
            words.expect("mod")?;
            let modulus = words.number()?;
            let offset = if words.next_is("offset") {
                words.number()?
            } else {
                0
            };
            Expression::Numgen(Numgen {
                kind,
                modulus,
                offset,
                dreg,
            })
        }
        _ => return words.unsupported(),
    })
}

/// The words of a line.
struct Words<'a> {
    words: Vec<&'a str>,
    at: usize,
    line: &'a str,
}

impl<'a> Words<'a> {
    fn unsupported<T>(&self) -> Parsed<T> {
        let name = self.words.first().copied().unwrap_or("an empty line");
        Err(Unsupported(name.to_owned()))
    }

    fn wrong<T>(&self) -> Parsed<T> {
        Err(Unsupported(format!("the form of [ {} ]", self.line)))
    }

    fn next(&mut self) -> Parsed<&'a str> {
        let Some(word) = self.words.get(self.at) else {
            return self.wrong();
        };
        self.at += 1;
        Ok(word)
    }

    fn expect(&mut self, word: &str) -> Parsed<()> {
        if self.next()? == word {
            Ok(())
        } else {
            self.wrong()
        }
    }

    /// Passes over `word` where it is next.
    fn next_is(&mut self, word: &str) -> bool {
        let is = self.words.get(self.at) == Some(&word);
        self.at += usize::from(is);
        is
    }

    fn number<T: TryFrom<u64>>(&mut self) -> Parsed<T> {
        let word = self.next()?.trim_end_matches([',', ')']);
        let parsed = match word.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => word.trim_end_matches('b').parse(),
        };
        match parsed.ok().and_then(|number| T::try_from(number).ok()) {
            Some(number) => Ok(number),
            None => self.wrong(),
        }
    }

    /// `reg 1`.
    fn register(&mut self) -> Parsed<Register> {
        self.expect("reg")?;
        self.register_number()
    }

    fn register_number(&mut self) -> Parsed<Register> {
        let number = self.number()?;
        Register::new(number).map_or_else(|| self.wrong(), Ok)
    }

    /// 32-bit words up to the first that is none.
    fn bytes(&mut self) -> Parsed<Vec<u8>> {
        let mut bytes = Vec::new();
        while self.words.get(self.at).is_some_and(|word| word.starts_with("0x")) {
            bytes.extend(self.number::<u32>()?.to_ne_bytes());
        }
        Ok(bytes)
    }
}

/// Bytes of words, cut to the length of what they are compared with; a shorter value is a name's beginning.
fn cut(mut bytes: Vec<u8>, length: Option<usize>) -> Vec<u8> {
    match length {
        Some(length) if bytes.len() >= length => bytes.truncate(length),
        Some(_) => {
            while bytes.last() == Some(&0) {
                bytes.pop();
            }
        }
        None => {}
    }
    bytes
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
            Ok(Expression::Payload(Payload {
                dreg: words.register()?,
                base,
                offset,
                length,
            }))
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
        Some(if words.next()? == "original" {
            CtDirection::Original
        } else {
            CtDirection::Reply
        })
    } else {
        None
    };
    Ok(match what {
        "load" => Expression::Ct(Ct {
            key,
            direction,
            dreg: register,
        }),
        _ => Expression::CtSet(CtSet {
            key,
            direction,
            sreg: register,
        }),
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
            BitwiseOp::MaskXor {
                mask: cut(mask, length),
                xor: cut(words.bytes()?, length),
            }
        }
        "<<" | ">>" => {
            let Ok(bits) = mask.try_into().map(u32::from_ne_bytes) else {
                return words.wrong();
            };
            if operator == "<<" {
                BitwiseOp::ShiftLeft(bits)
            } else {
                BitwiseOp::ShiftRight(bits)
            }
        }
        _ => return words.unsupported(),
    };
    let length = match &op {
        BitwiseOp::MaskXor { mask, .. } => mask.len(),
        BitwiseOp::ShiftLeft(_) | BitwiseOp::ShiftRight(_) => length.unwrap_or(4),
    };
    Ok(Expression::Bitwise(Bitwise {
        sreg,
        dreg,
        length: u32::try_from(length).unwrap(),
        op,
    }))
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
    Ok(Expression::Byteorder(Byteorder {
        sreg,
        dreg,
        op,
        length: words.number()?,
        size,
    }))
}

fn lookup(words: &mut Words<'_>) -> Parsed<Expression> {
    let sreg = words.register()?;
    words.expect("set")?;
    let set = words.next()?.to_owned();
    let dreg = if words.next_is("dreg") {
        Some(words.register_number()?)
    } else {
        None
    };
    let inverse = words.next_is("0x1");
    Ok(Expression::Lookup(Lookup {
        set,
        set_id: None,
        sreg,
        dreg,
        inverse,
    }))
}

fn immediate(words: &mut Words<'_>) -> Parsed<Expression> {
    let dreg = words.register()?;
    if dreg != Register::VERDICT {
        return Ok(Expression::Immediate(Immediate {
            dreg,
            data: Data::Value(words.bytes()?),
        }));
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
            if jump == "jump" {
                Verdict::Jump(chain)
            } else {
                Verdict::Goto(chain)
            }
        }
        _ => return words.wrong(),
    };
    Ok(Expression::Immediate(Immediate::verdict(verdict)))
}

fn limit(words: &mut Words<'_>) -> Parsed<Expression> {
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
    let kind = if words.next()? == "packets" {
        LimitKind::Packets
    } else {
        LimitKind::Bytes
    };
    words.expect("flags")?;
    let over = words.number::<u32>()? & 1 != 0;
    Ok(Expression::Limit(Limit {
        rate,
        seconds,
        burst,
        kind,
        over,
    }))
}

const LOG_FLAGS: [(u32, &str); 5] = [
    (1, "tcpseq"),
    (2, "tcpopt"),
    (4, "ipopt"),
    (8, "uid"),
    (32, "macdecode"),
];

fn log(inner: &str) -> Parsed<Expression> {
    let mut rest = inner.strip_prefix("log").unwrap_or(inner);
    let mut log = Log::default();
    if let Some(prefixed) = rest.strip_prefix(" prefix ") {
        let end = [" group ", " level ", " flags "]
            .iter()
            .filter_map(|word| prefixed.rfind(word))
            .min();
        let (prefix, tail) = prefixed.split_at(end.unwrap_or(prefixed.len()));
        log.prefix = Some(prefix.to_owned());
        rest = tail;
    }
    let mut words = Words {
        words: rest.split_whitespace().collect(),
        at: 0,
        line: inner,
    };
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

fn reject(words: &mut Words<'_>) -> Parsed<Expression> {
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

fn dynset(inner: &str, loaded: &HashMap<Register, usize>) -> Parsed<Expression> {
    let (head, expressions) = match inner.split_once(" expr [") {
        Some((head, tail)) => {
            let tail = tail.trim_end_matches([']', ' ']);
            let parts = tail
                .split("] expr [")
                .map(|part| line(&format!("[ {} ]", part.trim()), loaded));
            (head, parts.collect::<Parsed<Vec<_>>>()?)
        }
        None => (inner, Vec::new()),
    };
    let mut words = Words {
        words: head.split_whitespace().collect(),
        at: 1,
        line: inner,
    };
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
    let mut exthdr = Exthdr {
        op,
        kind: 0,
        offset: 0,
        length: 0,
        present: false,
        dreg: None,
        sreg: None,
    };
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
    Ok(Expression::Fib(Fib {
        flags,
        result,
        dreg: words.register()?,
    }))
}

fn nat(name: &str, words: &mut Words<'_>) -> Parsed<Expression> {
    let (mut kind, mut family) = (NatKind::Source, Family::Ip);
    if name == "nat" {
        kind = if words.next()? == "snat" {
            NatKind::Source
        } else {
            NatKind::Destination
        };
        family = if words.next()? == "ip" {
            Family::Ip
        } else {
            Family::Ip6
        };
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
        "nat" => Expression::Nat(Nat {
            kind,
            family,
            address_min,
            address_max,
            port_min,
            port_max,
            flags,
        }),
        "masq" => Expression::Masquerade(Masquerade {
            flags,
            port_min,
            port_max,
        }),
        _ => Expression::Redirect(Redirect {
            port_min,
            port_max,
            flags,
        }),
    })
}

fn objref(words: &mut Words<'_>) -> Parsed<Expression> {
    if words.next_is("sreg") {
        let sreg = words.register_number()?;
        words.expect("set")?;
        let set = words.next()?.to_owned();
        return Ok(Expression::Objref(Objref::Map {
            sreg,
            set,
            set_id: None,
        }));
    }
    words.expect("type")?;
    let kind = ObjectKind(words.number()?);
    words.expect("name")?;
    Ok(Expression::Objref(Objref::Named {
        kind,
        name: words.next()?.to_owned(),
    }))
}

fn queue(words: &mut Words<'_>) -> Parsed<Expression> {
    let mut queue = Queue {
        number: 0,
        total: 1,
        flags: QueueFlags::NONE,
        sreg: None,
    };
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

/// `hash reg 1 = jhash(reg 2, 8, 0xdeadbeef) % mod 2 offset 100`.
fn hash(words: &mut Words<'_>) -> Parsed<Expression> {
    let dreg = words.register()?;
    words.expect("=")?;
    let kind = match words.next()? {
        "jhash(reg" => {
            let sreg = words.register_number()?;
            let length = words.number()?;
            let seed: u32 = words.number()?;
            HashKind::Jenkins {
                sreg,
                length,
                seed: Some(seed).filter(|&seed| seed != 0),
            }
        }
        "symhash()" => HashKind::Symmetric,
        _ => return words.unsupported(),
    };
    words.expect("%")?;
    words.expect("mod")?;
    let modulus = words.number()?;
    let offset = if words.next_is("offset") {
        words.number()?
    } else {
        0
    };
    Ok(Expression::Hash(Hash {
        kind,
        modulus,
        offset,
        dreg,
    }))
}

fn meta_length(key: MetaKey) -> usize {
    match key {
        MetaKey::NfProtocol
        | MetaKey::L4Protocol
        | MetaKey::PacketType
        | MetaKey::Day
        | MetaKey::SecurityPath
        | MetaKey::Trace => 1,
        MetaKey::Protocol
        | MetaKey::InputType
        | MetaKey::OutputType
        | MetaKey::BridgePortVlan
        | MetaKey::BridgeVlanProtocol => 2,
        MetaKey::Time => 8,
        MetaKey::InputName
        | MetaKey::OutputName
        | MetaKey::BridgeInputName
        | MetaKey::BridgeOutputName
        | MetaKey::InputKind
        | MetaKey::OutputKind
        | MetaKey::SlaveName => 16,
        _ => 4,
    }
}

fn ct_length(key: CtKey) -> Option<usize> {
    match key {
        CtKey::Direction | CtKey::L3Protocol | CtKey::Protocol => Some(1),
        CtKey::Zone | CtKey::ProtocolSource | CtKey::ProtocolDestination => Some(2),
        CtKey::Packets | CtKey::Bytes | CtKey::AveragePacket => Some(8),
        CtKey::Helper | CtKey::Labels | CtKey::SourceIp6 | CtKey::DestinationIp6 => Some(16),
        // As long as the table's addresses are.
        CtKey::Source | CtKey::Destination => None,
        _ => Some(4),
    }
}

/// Notes how many bytes an expression puts into its register.
fn note_length(expression: &Expression, loaded: &mut HashMap<Register, usize>) {
    let size = |length: u32| usize::try_from(length).ok();
    let (register, length) = match expression {
        Expression::Payload(load) => (load.dreg, size(load.length)),
        Expression::Meta(load) => (load.dreg, Some(meta_length(load.key))),
        Expression::Ct(load) => (load.dreg, ct_length(load.key)),
        Expression::Exthdr(Exthdr {
            dreg: Some(dreg),
            present,
            length,
            ..
        }) => (*dreg, if *present { Some(1) } else { size(*length) }),
        Expression::Fib(fib) => {
            let length = match fib.result {
                FibResult::OutputName => 16,
                FibResult::OutputIndex | FibResult::AddressType => 4,
            };
            (fib.dreg, Some(length))
        }
        Expression::Routing(load) => {
            let length = match load.key {
                RoutingKey::ClassId | RoutingKey::NextHop4 => 4,
                RoutingKey::NextHop6 => 16,
                RoutingKey::TcpMss => 2,
                RoutingKey::Ipsec => 1,
            };
            (load.dreg, Some(length))
        }
        Expression::Socket(load) => {
            let length = match load.key {
                SocketKey::Transparent | SocketKey::Wildcard => 1,
                SocketKey::Mark => 4,
                SocketKey::CgroupV2 => 8,
            };
            (load.dreg, Some(length))
        }
        Expression::Bitwise(bitwise) => (bitwise.dreg, size(bitwise.length)),
        Expression::Hash(hash) => (hash.dreg, Some(4)),
        Expression::Numgen(numgen) => (numgen.dreg, Some(4)),
        Expression::Lookup(Lookup { dreg: Some(dreg), .. }) => (*dreg, None),
        _ => return,
    };
    match length {
        Some(length) => loaded.insert(register, length),
        None => loaded.remove(&register),
    };
}

/// How many bytes of `register` the expression reads, if it reads it.
fn wanted_length(expression: &Expression, register: Register) -> Option<usize> {
    let is = |candidate: Option<Register>| candidate == Some(register);
    match expression {
        Expression::Nat(nat) if is(nat.address_min) || is(nat.address_max) => {
            Some(if nat.family == Family::Ip { 4 } else { 16 })
        }
        Expression::Nat(Nat {
            port_min, port_max, ..
        })
        | Expression::Masquerade(Masquerade {
            port_min, port_max, ..
        })
        | Expression::Redirect(Redirect {
            port_min, port_max, ..
        }) if is(*port_min) || is(*port_max) => Some(2),
        Expression::MetaSet(set) if set.sreg == register => Some(meta_length(set.key)),
        Expression::CtSet(set) if set.sreg == register => ct_length(set.key),
        Expression::PayloadWrite(write) if write.sreg == register => usize::try_from(write.length).ok(),
        Expression::Exthdr(write) if is(write.sreg) => usize::try_from(write.length).ok(),
        Expression::Queue(queue) if is(queue.sreg) => Some(2),
        _ => None,
    }
}
