//! How long commits and dumps take: 34 rules swapped by flush and refill, and 10,000 set elements.
//!
//! Run it as root: `cargo run --release -p nf-tables --example commit_latency`. It works in a network namespace
//! of its own, which goes with it, and prints medians and the least of all rounds.
#![allow(clippy::print_stdout, reason = "it prints what it measures")]

use std::time::{Duration, Instant};

use nf_tables::{
    Batch, Chain, ChainId, Cmp, CmpOp, Connection, Counter, DataType, Element, Error, Expression, Family,
    HookPoint, Immediate, MapData, Meta, MetaKey, Payload, PayloadBase, Policy, Register, Rule, Set, Table,
    TableId, Verdict,
};
use nix::sched::{CloneFlags, unshare};

const ROUNDS: usize = 200;
const RULES: u16 = 34;
const ELEMENTS: u32 = 10_000;

fn main() -> Result<(), Error> {
    if let Err(errno) = unshare(CloneFlags::CLONE_NEWNET) {
        println!("no network namespace of its own ({errno}): run it as root");
        return Ok(());
    }
    let table = TableId::new(Family::Inet, "latency");
    let mut connection = Connection::open()?;
    connection.commit(&base(&table))?;

    let swap = swap(&table);
    measure("swap of 34 rules, commit", || connection.commit(&swap))?;
    measure("generation", || connection.generation().map(drop))?;
    measure("dump of 34 rules", || connection.dump_table(&table).map(drop))?;

    let elements: Vec<_> = (0..ELEMENTS)
        .map(|number| {
            let address = 0x0a00_0000 + number;
            Element::new(address.to_be_bytes()).with_timeout(Duration::from_secs(3600))
        })
        .collect();
    let mut rest = elements.iter();
    measure("one more element, commit", || {
        let mut one = Batch::new();
        one.add_elements(&table, "bans", rest.next().map(std::slice::from_ref).unwrap_or_default());
        connection.commit(&one)
    })?;
    let mut add = Batch::new();
    add.add_elements(&table, "bans", &elements);
    let mut flush = Batch::new();
    flush.flush_set(&table, "bans");
    let mut took = Vec::new();
    for _ in 0..ROUNDS / 10 {
        connection.commit(&flush)?;
        let start = Instant::now();
        connection.commit(&add)?;
        took.push(start.elapsed());
    }
    report("10,000 elements, commit", &mut took);
    measure("dump of 10,000 elements", || connection.dump_elements(&table, "bans").map(drop))
}

fn measure(what: &str, mut act: impl FnMut() -> Result<(), Error>) -> Result<(), Error> {
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        act()?;
        took.push(start.elapsed());
    }
    report(what, &mut took);
    Ok(())
}

fn report(what: &str, took: &mut [Duration]) {
    took.sort();
    println!("{what:<28} median {:>10.1?}  least {:>10.1?}", took[took.len() / 2], took[0]);
}

fn base(table: &TableId) -> Batch {
    let mut batch = Batch::new();
    batch.add_table(&Table::new(table.family, table.name.clone()));
    let bans = Set::new("bans", DataType::IPV4_ADDRESS, 4).with_timeout(Duration::from_secs(3600));
    batch.add_set(table, &bans);
    batch.add_set(table, &Set::map("services", DataType::INET_SERVICE, 2, MapData::Verdict));
    for (name, point) in [("input", HookPoint::Input), ("forward", HookPoint::Forward)] {
        batch.add_chain(table, &Chain::base(name, point, 0, Policy::Accept));
    }
    batch
}

/// Both chains emptied and filled again, with the map, in one batch.
fn swap(table: &TableId) -> Batch {
    let chains = ["input", "forward"].map(|name| ChainId::new(table, name));
    let mut batch = Batch::new();
    for chain in &chains {
        batch.flush_chain(chain);
    }
    batch.flush_set(table, "services");
    let services =
        [22_u16, 80, 443].map(|port| Element::new(port.to_be_bytes()).with_verdict(Verdict::Accept));
    batch.add_elements(table, "services", &services);
    for number in 0..RULES {
        let rule = Rule::new(vec![
            Expression::Meta(Meta { key: MetaKey::L4Protocol, dreg: Register::R1 }),
            Expression::Cmp(Cmp { sreg: Register::R1, op: CmpOp::Eq, data: vec![6] }),
            Expression::Payload(Payload {
                dreg: Register::R1,
                base: PayloadBase::Transport,
                offset: 2,
                length: 2,
            }),
            Expression::Cmp(Cmp { sreg: Register::R1, op: CmpOp::Eq, data: number.to_be_bytes().to_vec() }),
            Expression::Counter(Counter::default()),
            Expression::Immediate(Immediate::verdict(Verdict::Accept)),
        ]);
        batch.append_rule(&chains[usize::from(number % 2)], &rule);
    }
    batch
}
