//! `gabion firewall trace`: which rule takes which packet, live.
//!
//! A table of our own marks the packets that are asked for, before every other table sees them. It belongs to the socket that
//! made it, so that the kernel takes it away with the process, however that ends (Linux 5.12).

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use controls::foreign::TRACE_TABLE;
use ipnet::IpNet;
use nf_tables::trace::{Heard, Step, Tracer};
use nf_tables::{
    Batch, Bitwise, Chain, ChainId, Cmp, CmpOp, Connection, Data, Errno, Expression, Family, HookPoint,
    Immediate, Limit, LimitKind, Meta, MetaKey, MetaSet, Payload, PayloadBase, Policy, Register, Rule, Table,
    TableFlags, TableId,
};
use report::trace::{Packet, Words};

use super::{dump, kernel};
use crate::cli;
use crate::context::{Context, need_root};
use crate::error::{Failure, usage};
use crate::exit::Exit;

/// Behind the reassembly of fragments, which have no ports (`NF_IP_PRI_CONNTRACK_DEFRAG` is -400), and before all tables
/// that people make (`NF_IP_PRI_RAW` is -300).
const PRIORITY: i32 = -390;
/// How many packets a second are followed at most: each is told in several messages.
const PACKETS_A_SECOND: u64 = 50;
/// How long one wait is, so that the end is noticed.
const TICK: Duration = Duration::from_millis(200);

pub(super) fn run(context: &Context, options: &cli::Trace) -> Result<Exit, Failure> {
    need_root("firewall trace")?;
    let marks = marks(options)?;
    // Both sockets are closed, and the table is gone, when this function is left, however that is.
    let mut tracer = Tracer::open().map_err(kernel)?;
    let _owner = mark(&marks, options.input.is_none())?;
    if !super::legacy_names().is_empty() {
        context.output.note("The legacy x_tables are in use: what their rules do is not told here.");
    }
    context.output.progress("Waiting for packets. (Ctrl-C ends it.)");
    let mut follow = Follow::new(context)?;
    let end = options.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds.into()));
    while end.is_none_or(|end| Instant::now() < end) {
        let left = end.map_or(TICK, |end| end.saturating_duration_since(Instant::now()).min(TICK));
        let steps = tracer.wait(left).map_err(kernel)?;
        // Only in silence, so that the way of the last packet is told to its end.
        if steps.is_empty() && follow.has_seen(options.count) {
            break;
        }
        for heard in steps {
            match heard {
                Heard::Step(step) => follow.tell(&step)?,
                Heard::Lost => {
                    context.output.note("Some steps were lost: there are more packets than can be told.");
                }
            }
        }
    }
    Ok(Exit::Clean)
}

/// What is told, and what was told already.
struct Follow<'a> {
    context: &'a Context,
    words: Words,
    links: Vec<(u32, String)>,
    last: Option<u32>,
    seen: u32,
    packets: HashMap<u32, Packet>,
}

/// How many packets are remembered, for their headers.
const REMEMBERED: usize = 10_000;

impl<'a> Follow<'a> {
    fn new(context: &'a Context) -> Result<Self, Failure> {
        let words = Words::new(&dump()?.tables);
        Ok(Self { context, words, links: links(), last: None, seen: 0, packets: HashMap::new() })
    }

    fn has_seen(&self, count: Option<u32>) -> bool {
        count.is_some_and(|count| self.seen >= count)
    }

    /// Keeps what a step tells of its packet; the table that marks it is told of first.
    fn remember(&mut self, step: &Step) {
        if self.packets.len() >= REMEMBERED {
            self.packets.clear();
        }
        self.seen = self.seen.saturating_add(u32::from(!self.packets.contains_key(&step.id)));
        if let Some(packet) = Packet::of(step) {
            self.packets.insert(step.id, packet);
        }
    }

    fn tell(&mut self, step: &Step) -> Result<(), Failure> {
        if !self.words.knows(step) {
            self.words = Words::new(&dump()?.tables);
        }
        self.remember(step);
        let Some(told) = self.words.told(step) else { return Ok(()) };
        let packet = self.packets.get(&step.id);
        if self.context.output.json {
            let headers = packet.map(|packet| packet.headers.as_str());
            self.context.output.value(&serde_json::json!({ "version": 1, "headers": headers, "step": told }));
            return Ok(());
        }
        if told.leads_on {
            return Ok(());
        }
        let view = self.context.output.view();
        let mut text = String::new();
        if let (true, Some(packet)) = (self.last.replace(step.id) != Some(step.id), packet) {
            let name = |index: u32| {
                let link = self.links.iter().find(|(number, _)| *number == index);
                link.map_or_else(|| format!("interface {index}"), |(_, name)| name.clone())
            };
            text = packet.text(step.id, name, view);
        }
        text.push_str(&told.text(view));
        self.context.output.text(&text);
        Ok(())
    }
}

fn links() -> Vec<(u32, String)> {
    let links = host::network().links.known().cloned().unwrap_or_default();
    links.into_iter().map(|link| (link.index, link.name)).collect()
}

/// Makes the table that marks the packets; it stays as long as the connection that is returned.
fn mark(marks: &[Vec<Expression>], and_own_packets: bool) -> Result<Connection, Failure> {
    let table = TableId::new(Family::Inet, TRACE_TABLE);
    let mut batch = Batch::new();
    batch.add_table(&Table { flags: TableFlags::OWNER, ..Table::new(Family::Inet, TRACE_TABLE) });
    let mut points = vec![("prerouting", HookPoint::Prerouting)];
    if and_own_packets {
        points.push(("output", HookPoint::Output));
    }
    for (name, point) in points {
        batch.add_chain(&table, &Chain::base(name, point, PRIORITY, Policy::Accept));
        for expressions in marks {
            batch.append_rule(&ChainId::new(&table, name), &Rule::new(expressions.clone()));
        }
    }
    let mut connection = Connection::open().map_err(kernel)?;
    match connection.commit(&batch) {
        Ok(()) => Ok(connection),
        Err(nf_tables::Error::Refused(refusals))
            if refusals.iter().any(|refusal| refusal.errno == Errno::PERM) =>
        {
            Err(usage("another `gabion firewall trace` runs", "wait for it to end, or end it"))
        }
        Err(nf_tables::Error::Refused(refusals))
            if refusals.iter().any(|one| matches!(one.errno, Errno::INVAL | Errno::OPNOTSUPP)) =>
        {
            let what = "this kernel has no tables that go with their owner: nothing would be sure to take the marks away";
            Err(usage(what, "Linux 5.12 has them"))
        }
        Err(error) => Err(kernel(error)),
    }
}

/// The rules that mark: one for each family that is asked for.
fn marks(options: &cli::Trace) -> Result<Vec<Vec<Expression>>, Failure> {
    let addresses = [options.from, options.to];
    let families = [Family::Ip, Family::Ip6].into_iter().filter(|family| {
        addresses.iter().flatten().all(|net| matches!(net, IpNet::V4(_)) == (*family == Family::Ip))
    });
    let marks: Vec<_> = families.map(|family| expressions(options, family)).collect();
    if marks.is_empty() {
        return Err(usage("--from and --to are of two families", "name two of one family"));
    }
    if (options.port.is_some() || options.source_port.is_some())
        && !matches!(options.protocol, Some(cli::TraceProtocol::Tcp | cli::TraceProtocol::Udp))
    {
        return Err(usage("only TCP and UDP have ports", "`gabion firewall trace tcp --port 22`"));
    }
    Ok(marks)
}

const KEY: Register = Register::R1;

fn expressions(options: &cli::Trace, family: Family) -> Vec<Expression> {
    let is_v4 = family == Family::Ip;
    let mut rule = meta_is(MetaKey::NfProtocol, vec![family.number()]);
    if let Some(protocol) = options.protocol {
        let number = match (protocol, is_v4) {
            (cli::TraceProtocol::Tcp, _) => 6,
            (cli::TraceProtocol::Udp, _) => 17,
            (cli::TraceProtocol::Icmp, true) => 1,
            (cli::TraceProtocol::Icmp, false) => 58,
        };
        rule.extend(meta_is(MetaKey::L4Protocol, vec![number]));
    }
    if let Some(name) = &options.input {
        let mut bytes = name.as_bytes().to_vec();
        bytes.resize(16, 0);
        rule.extend(meta_is(MetaKey::InputName, bytes));
    }
    let (source, destination) = if is_v4 { (12, 16) } else { (8, 24) };
    for (net, offset) in [(options.from, source), (options.to, destination)] {
        rule.extend(net.into_iter().flat_map(|net| address_in(net, offset)));
    }
    for (port, offset) in [(options.source_port, 0), (options.port, 2)] {
        if let Some(port) = port {
            rule.push(load(PayloadBase::Transport, offset, 2));
            rule.push(is(port.to_be_bytes().to_vec()));
        }
    }
    rule.push(Expression::Limit(Limit {
        rate: PACKETS_A_SECOND,
        seconds: 1,
        burst: 2 * u32::try_from(PACKETS_A_SECOND).unwrap_or(u32::MAX),
        kind: LimitKind::Packets,
        over: false,
    }));
    rule.push(Expression::Immediate(Immediate { dreg: KEY, data: Data::Value(vec![1]) }));
    rule.push(Expression::MetaSet(MetaSet { key: MetaKey::Trace, sreg: KEY }));
    rule
}

fn load(base: PayloadBase, offset: u32, length: u32) -> Expression {
    Expression::Payload(Payload { dreg: KEY, base, offset, length })
}

fn is(data: Vec<u8>) -> Expression {
    Expression::Cmp(Cmp { sreg: KEY, op: CmpOp::Eq, data })
}

fn meta_is(key: MetaKey, data: Vec<u8>) -> Vec<Expression> {
    vec![Expression::Meta(Meta { key, dreg: KEY }), is(data)]
}

fn address_in(net: IpNet, offset: u32) -> Vec<Expression> {
    let bytes = |address: IpAddr| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let network = bytes(net.network());
    let length = u32::try_from(network.len()).unwrap_or(16);
    let mask = Bitwise::mask(KEY, bytes(net.netmask()));
    vec![load(PayloadBase::Network, offset, length), Expression::Bitwise(mask), is(network)]
}
