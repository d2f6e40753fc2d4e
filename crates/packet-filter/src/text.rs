//! Rulesets as people read them, in the manner of `nft`: `tcp dport 22 ct state new accept # allow ssh`.
//!
//! This is for plans and explanations and is not meant to be parsed back. What is not understood is printed as
//! `[name ...]`.

use std::fmt::Write as _;

use nf_tables::{
    Chain, ChainKind, CmpOp, CtDirection, CtKey, Data, Dynset, DynsetOp, Expression, Family, IcmpxCode,
    Limit, Log, Lookup, MapData, NatKind, Objref, Policy, QuotaFlags, RangeOp, Reject, Rule, Set, SetDump,
    SetFlags, TableDump, Verdict,
};

use crate::decide::operator;
use crate::statement::{Operand, Statement, Target, statements};

mod operand;
mod value;

use operand::Context;
pub(crate) use operand::Kind;
use value::{bytes_as, key_kinds};

/// A whole table.
#[must_use]
pub fn table(dump: &TableDump) -> String {
    let mut out = format!("table {} {{\n", dump.id());
    for set in dump.sets.iter().filter(|dump| !dump.set.flags.contains(SetFlags::ANONYMOUS)) {
        let _ = write!(out, "{}", indented(&self::set(set)));
    }
    for chain in &dump.chains {
        let _ = writeln!(out, "  chain {} {{", chain.chain.name);
        if let Some(head) = chain_head(&chain.chain) {
            let _ = writeln!(out, "    {head}");
        }
        for rule in &chain.rules {
            let _ = writeln!(out, "    {}", self::rule(dump, rule));
        }
        out.push_str("  }\n");
    }
    out.push_str("}\n");
    out
}

/// A rule of a table, on one line, with its comment.
#[must_use]
pub fn rule(dump: &TableDump, rule: &Rule) -> String {
    let mut text = rule_without_comment(dump, rule);
    if let Some(comment) = rule.comment() {
        let _ = write!(text, " # {comment}");
    }
    text
}

/// A set or map with its elements, on one or more lines.
#[must_use]
pub fn set(dump: &SetDump) -> String {
    let what = if dump.set.data.is_some() { "map" } else { "set" };
    let mut out = format!("{what} {} {{\n  {}\n", dump.set.name, set_head(&dump.set));
    let elements = elements(dump);
    if !elements.is_empty() {
        let _ = writeln!(out, "  elements = {{ {} }}", elements.join(", "));
    }
    out.push_str("}\n");
    out
}

/// What a set is, without its elements: its type, flags, timeout and size.
#[must_use]
pub fn set_head(set: &Set) -> String {
    let mut out = format!("type {}", value::type_name(set));
    match set.data {
        Some(MapData::Verdict) => out.push_str(" : verdict"),
        Some(MapData::Value { data_type, .. }) => {
            let _ = write!(out, " : {}", value::data_type_name(data_type));
        }
        Some(MapData::Object(_)) => out.push_str(" : object"),
        None => {}
    }
    let flags = [
        (SetFlags::CONSTANT, "constant"),
        (SetFlags::INTERVAL, "interval"),
        (SetFlags::TIMEOUT, "timeout"),
        (SetFlags::EVAL, "dynamic"),
    ];
    let flags: Vec<_> =
        flags.iter().filter(|(flag, _)| set.flags.contains(*flag)).map(|(_, name)| *name).collect();
    if !flags.is_empty() {
        let _ = write!(out, "; flags {}", flags.join(","));
    }
    if let Some(timeout) = set.timeout {
        let _ = write!(out, "; timeout {}s", timeout.as_secs());
    }
    if let Some(size) = set.size {
        let _ = write!(out, "; size {size}");
    }
    out
}

/// The elements of a set, each as `nft` writes it, sorted by key; ranges are joined.
#[must_use]
pub fn elements(dump: &SetDump) -> Vec<String> {
    let kinds = key_kinds(&dump.set);
    let contents = crate::contents::Contents::new(&dump.set, &dump.elements);
    let mut out = Vec::new();
    let all = contents.entries.iter().map(|entry| (Some(entry), entry.element));
    for (entry, element) in all.chain(contents.catch_all.map(|element| (None, element))) {
        let mut text = match entry {
            Some(entry) => value::entry(&kinds, entry),
            None => "*".to_owned(),
        };
        if let Some(comment) = element.comment() {
            let _ = write!(text, " comment \"{comment}\"");
        }
        match (&element.data, dump.set.data) {
            (Some(Data::Verdict(verdict)), _) => {
                let _ = write!(text, " : {}", self::verdict(verdict));
            }
            (Some(Data::Value(bytes)), Some(MapData::Value { data_type, .. })) => {
                let _ = write!(text, " : {}", bytes_as(value::kind_of(data_type, bytes.len()), bytes));
            }
            (Some(Data::Value(_)) | None, _) => {}
        }
        out.push(text);
    }
    out
}

/// What makes a chain a base chain, if it is one.
#[must_use]
pub fn chain_head(chain: &Chain) -> Option<String> {
    let hook = chain.hook.as_ref()?;
    let kind = match hook.kind {
        ChainKind::Filter => "filter",
        ChainKind::Nat => "nat",
        ChainKind::Route => "route",
    };
    let point = match hook.point {
        nf_tables::HookPoint::Prerouting => "prerouting",
        nf_tables::HookPoint::Input => "input",
        nf_tables::HookPoint::Forward => "forward",
        nf_tables::HookPoint::Output => "output",
        nf_tables::HookPoint::Postrouting => "postrouting",
        nf_tables::HookPoint::Ingress => "ingress",
        nf_tables::HookPoint::Egress => "egress",
    };
    let policy = match hook.policy {
        Policy::Accept => "accept",
        Policy::Drop => "drop",
    };
    Some(format!("type {kind} hook {point} priority {}; policy {policy};", hook.priority))
}

pub(crate) fn rule_without_comment(dump: &TableDump, rule: &Rule) -> String {
    let key_length = |name: &str| dump.set(name).and_then(|dump| usize::try_from(dump.set.key_length).ok());
    let statements = statements(rule, &key_length);
    let mut context = Context::new(dump.table.family);
    let mut words: Vec<Word> = Vec::new();
    for statement in &statements {
        let mut needs = Vec::new();
        let text = words_of(dump, &context, statement, &mut needs);
        // `meta l4proto tcp` need not be said before `tcp dport 22`.
        for guard in needs {
            if let Some(word) = words.iter_mut().rev().find(|word| word.guard == Some(guard)) {
                word.implied = true;
            }
        }
        let guard = context.learn(statement);
        words.push(Word { text, guard, implied: false });
    }
    let said: Vec<_> = words.into_iter().filter(|word| !word.implied && !word.text.is_empty()).collect();
    said.into_iter().map(|word| word.text).collect::<Vec<_>>().join(" ")
}

/// One statement in words.
struct Word {
    text: String,
    /// What it makes sure of.
    guard: Option<Guard>,
    /// A later word says as much.
    implied: bool,
}

/// A comparison that only makes sure that a later one looks at the right header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    Family,
    Protocol,
}

fn words_of(
    dump: &TableDump,
    context: &Context,
    statement: &Statement<'_>,
    needs: &mut Vec<Guard>,
) -> String {
    match statement {
        Statement::Compare { value, op, data } => operand::comparison(context, value, *op, data, needs),
        Statement::Within { value, op, from, to } => {
            let (name, kinds) = operand::name(context, value, needs);
            let not = if *op == RangeOp::NotIn { "!= " } else { "" };
            let kind = kinds.first().copied().unwrap_or(Kind::Bytes);
            format!("{name} {not}{}-{}", bytes_as(kind, from), bytes_as(kind, to))
        }
        Statement::Lookup { value, lookup } => {
            let (name, kinds) = operand::name(context, value, needs);
            looked_up(dump, &name, &kinds, lookup)
        }
        Statement::Dynset { key, data, dynset } => {
            let (name, _) = operand::name(context, key, needs);
            let data = data.as_ref().map(|data| operand::name(context, data, &mut Vec::new()).0);
            dynset_text(&name, data.as_deref(), dynset)
        }
        Statement::Store { value, into } => {
            let (name, kinds) = operand::name(context, value, needs);
            let kinds = match into {
                // What is written is in the machine's order.
                Target::Meta(key) => vec![operand::meta_kind(*key)],
                Target::Ct(CtKey::Mark) => vec![Kind::Mark],
                Target::Ct(_) | Target::Payload(..) | Target::Exthdr => kinds,
            };
            let stored = operand::constant(value, &kinds).unwrap_or(name);
            match into {
                Target::Meta(key) => format!("{} set {stored}", operand::meta_name(*key)),
                Target::Ct(key) => format!("ct {key} set {stored}"),
                Target::Payload(base, offset, length) => {
                    format!(
                        "{} set {stored}",
                        operand::payload_name(context, *base, *offset, *length, needs).0
                    )
                }
                Target::Exthdr => format!("exthdr set {stored}"),
            }
        }
        Statement::Translate { expression, address, port } => {
            let named = |part: Option<&Operand<'_>>, kind: Kind| {
                part.map(|value| {
                    operand::constant(value, &[kind])
                        .unwrap_or_else(|| operand::name(context, value, &mut Vec::new()).0)
                })
            };
            translation(expression, named, address.as_ref(), port.as_ref())
        }
        Statement::Plain(expression) => self::expression(expression),
    }
}

fn translation<T>(
    expression: &Expression,
    named: impl Fn(Option<&T>, Kind) -> Option<String>,
    address: Option<&T>,
    port: Option<&T>,
) -> String {
    let (verb, kind) = match expression {
        Expression::Nat(nat) => {
            let verb = if nat.kind == NatKind::Source { "snat" } else { "dnat" };
            (verb, if nat.family == Family::Ip6 { Kind::Ipv6 } else { Kind::Ipv4 })
        }
        Expression::Masquerade(_) => ("masquerade", Kind::Ipv4),
        Expression::Redirect(_) => ("redirect", Kind::Ipv4),
        _ => return self::expression(expression),
    };
    match (named(address, kind), named(port, Kind::Port)) {
        (None, None) => verb.to_owned(),
        (Some(address), None) => format!("{verb} to {address}"),
        (address, Some(port)) => format!("{verb} to {}:{port}", address.unwrap_or_default()),
    }
}

fn looked_up(dump: &TableDump, name: &str, kinds: &[Kind], lookup: &Lookup) -> String {
    let not = if lookup.inverse { "!= " } else { "" };
    let vmap = if lookup.dreg.is_some() { "vmap " } else { "" };
    match dump.set(&lookup.set).filter(|set| set.set.flags.contains(SetFlags::ANONYMOUS)) {
        Some(set) => {
            let mut typed = set.clone();
            value::lend_kinds(&mut typed.set, kinds);
            format!("{name} {vmap}{not}{{ {} }}", elements(&typed).join(", "))
        }
        None => format!("{name} {vmap}{not}@{}", lookup.set),
    }
}

fn dynset_text(key: &str, data: Option<&str>, dynset: &Dynset) -> String {
    let verb = match dynset.op {
        DynsetOp::Add => "add",
        DynsetOp::Update => "update",
        DynsetOp::Delete => "delete",
    };
    let mut text = format!("{verb} @{} {{ {key}", dynset.set);
    if let Some(timeout) = dynset.timeout.filter(|timeout| !timeout.is_zero()) {
        let _ = write!(text, " timeout {}s", timeout.as_secs());
    }
    for inner in &dynset.expressions {
        let _ = write!(text, " {}", expression(inner));
    }
    if let Some(data) = data {
        let _ = write!(text, " : {data}");
    }
    text.push_str(" }");
    text
}

/// What the elements are keyed by that a rule puts into a set, such as `ip saddr`.
pub(crate) fn dynset_key(dump: &TableDump, rule: &Rule, dynset: &Dynset) -> String {
    let key_length = |name: &str| dump.set(name).and_then(|dump| usize::try_from(dump.set.key_length).ok());
    let mut context = Context::new(dump.table.family);
    for statement in &statements(rule, &key_length) {
        if let Statement::Dynset { key, dynset: this, .. } = statement
            && std::ptr::eq(*this, dynset)
        {
            return operand::name(&context, key, &mut Vec::new()).0;
        }
        context.learn(statement);
    }
    format!("@{}", dynset.set)
}

/// One expression by itself.
pub(crate) fn expression(expression: &Expression) -> String {
    match expression {
        Expression::Immediate(immediate) => match &immediate.data {
            Data::Verdict(verdict) => self::verdict(verdict),
            Data::Value(_) => format!("[{expression}]"),
        },
        Expression::Counter(_) => "counter".to_owned(),
        Expression::Limit(limit) => self::limit(limit),
        Expression::Log(log) => self::log(log),
        Expression::Reject(reject) => self::reject(*reject),
        Expression::Notrack(_) => "notrack".to_owned(),
        Expression::Queue(queue) => queue.to_string(),
        Expression::Connlimit(limit) => {
            format!("ct count {}{}", if limit.over { "over " } else { "" }, limit.count)
        }
        Expression::Quota(quota) => {
            let over = if quota.flags.contains(QuotaFlags::OVER) { "over " } else { "" };
            format!("quota {over}{} bytes", quota.bytes)
        }
        Expression::Objref(Objref::Named { name, .. }) => format!("object \"{name}\""),
        Expression::Objref(Objref::Map { set, .. }) => format!("object from @{set}"),
        Expression::Match(matched) => format!("[xt match {}]", matched.name),
        Expression::Target(target) => format!("[xt target {}]", target.name),
        Expression::Meta(meta) => operand::meta_name(meta.key),
        // A match of `iptables`, word for word.
        Expression::Unknown { name, data } if data.is_empty() && name.starts_with('-') => name.clone(),
        Expression::Unknown { name, .. } => format!("[{name} ...]"),
        Expression::Bitwise(_)
        | Expression::Byteorder(_)
        | Expression::Cmp(_)
        | Expression::Ct(_)
        | Expression::CtSet(_)
        | Expression::Dynset(_)
        | Expression::Exthdr(_)
        | Expression::Fib(_)
        | Expression::Hash(_)
        | Expression::Lookup(_)
        | Expression::Masquerade(_)
        | Expression::MetaSet(_)
        | Expression::Nat(_)
        | Expression::Numgen(_)
        | Expression::Payload(_)
        | Expression::PayloadWrite(_)
        | Expression::Range(_)
        | Expression::Redirect(_)
        | Expression::Routing(_)
        | Expression::Socket(_) => format!("[{expression}]"),
    }
}

fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accept => "accept".to_owned(),
        Verdict::Drop => "drop".to_owned(),
        Verdict::Queue(number) => format!("queue num {number}"),
        Verdict::Continue => "continue".to_owned(),
        Verdict::Break => "break".to_owned(),
        Verdict::Jump(chain) => format!("jump {chain}"),
        Verdict::Goto(chain) => format!("goto {chain}"),
        Verdict::Return => "return".to_owned(),
    }
}

fn limit(limit: &Limit) -> String {
    let unit = match limit.seconds {
        1 => "second".to_owned(),
        60 => "minute".to_owned(),
        3_600 => "hour".to_owned(),
        86_400 => "day".to_owned(),
        604_800 => "week".to_owned(),
        other => format!("{other}s"),
    };
    let over = if limit.over { "over " } else { "" };
    match limit.kind {
        nf_tables::LimitKind::Packets => {
            let burst = if limit.burst == 0 { 5 } else { limit.burst };
            format!("limit rate {over}{}/{unit} burst {burst} packets", limit.rate)
        }
        nf_tables::LimitKind::Bytes => {
            let burst =
                if limit.burst == 0 { String::new() } else { format!(" burst {} bytes", limit.burst) };
            format!("limit rate {over}{} bytes/{unit}{burst}", limit.rate)
        }
    }
}

fn log(log: &Log) -> String {
    const LEVELS: [&str; 9] = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug", "audit"];
    let mut text = "log".to_owned();
    if let Some(prefix) = &log.prefix {
        let _ = write!(text, " prefix \"{prefix}\"");
    }
    if let Some(group) = log.group {
        let _ = write!(text, " group {group}");
    } else if let Some(name) = log.level.and_then(|level| LEVELS.get(usize::try_from(level).ok()?)) {
        let _ = write!(text, " level {name}");
    }
    text
}

fn reject(reject: Reject) -> String {
    match reject {
        Reject::TcpReset => "reject with tcp reset".to_owned(),
        Reject::Icmp(code) => format!("reject with icmp code {code}"),
        Reject::Icmpx(code) => {
            let name = match code {
                IcmpxCode::NoRoute => "no-route",
                IcmpxCode::PortUnreachable => "port-unreachable",
                IcmpxCode::HostUnreachable => "host-unreachable",
                IcmpxCode::AdminProhibited => "admin-prohibited",
            };
            format!("reject with icmpx {name}")
        }
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

pub(crate) fn direction(direction: Option<CtDirection>) -> &'static str {
    match direction {
        None => "",
        Some(CtDirection::Original) => "original ",
        Some(CtDirection::Reply) => "reply ",
    }
}

/// Whether a comparison is for equality.
pub(crate) const fn is_equality(op: CmpOp) -> bool {
    matches!(op, CmpOp::Eq)
}
