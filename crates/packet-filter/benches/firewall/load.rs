//! Loading rules, and comparing them with what the kernel holds.

use std::time::Duration;

use nf_tables::{Batch, ChainId, Connection, SetFlags};
use packet_filter::{Compiled, FilterPolicy, compare_loaded, compile, iptables_save, load, nft_text, unload};

use crate::Failed;
use crate::net::{has, median, must, read};
use crate::policies::{MANY, rules, sources, usual};
use crate::table::{Table, Target, Value};

const ROUNDS: usize = 51;
const PEER_ROUNDS: usize = 9;

/// What the hosts' firewall managers take, by name.
pub(crate) type Managers = Vec<(String, Duration)>;

pub(crate) fn measure(table: &mut Table, managers: &Managers) -> Result<(), Failed> {
    let few = [1, 1000].map(usual);
    let many = [sources(MANY), sources(MANY)];
    let compiled = few.each_ref().map(compile);
    let name = format!("{} rules", rules(&compiled[0]));
    subject(table, &name, &few, Duration::from_millis(1), Duration::from_millis(5), managers)?;
    subject(
        table,
        "10,000 sources",
        &many,
        Duration::from_millis(20),
        Duration::from_millis(100),
        &Vec::new(),
    )
}

/// The same policy by everybody.
fn subject(
    table: &mut Table,
    name: &str,
    policies: &[FilterPolicy; 2],
    commit_within: Duration,
    plan_within: Duration,
    managers: &Managers,
) -> Result<(), Failed> {
    let compiled = policies.each_ref().map(compile);
    let mut connection = Connection::open()?;
    load(&mut connection, &compiled[0], None)?;
    let swap = whole(&compiled[0]);
    let commit = median(ROUNDS, || Ok(connection.commit(&swap)?))?;
    let mut turn = compiled.iter().cycle();
    let whole_load = median(ROUNDS, || {
        turn.next().map_or(Ok(()), |compiled| Ok(load(&mut connection, compiled, None).map(drop)?))
    })?;
    load(&mut connection, &compiled[0], None)?;
    let plan = median(ROUNDS, || {
        let held = connection.dump_table(&compiled[0].table().id())?.ok_or("the table is gone")?;
        let differences = compare_loaded(&compiled[0], &held);
        if differences.is_empty() { Ok(()) } else { Err(format!("it differs: {}", differences[0]).into()) }
    })?;
    unload(&mut connection, &compiled[0].table().id(), None)?;

    let (loads, readings) = peers(&compiled[0], &policies[0])?;
    let loads = loads.into_iter().chain(managers.iter().cloned());
    let values =
        |times: Vec<(String, Duration)>| times.into_iter().map(|(name, time)| (name, Value::Time(time)));
    table.row(
        format!("commit of {name}"),
        Value::Time(commit),
        Target::Within(commit_within),
        values(loads.collect()),
    );
    table.row(format!("load of {name}, read before and after"), Value::Time(whole_load), Target::None, []);
    table.row(
        format!("difference to the kernel, {name}"),
        Value::Time(plan),
        Target::Within(plan_within),
        values(readings),
    );
    Ok(())
}

/// Every chain and every list emptied and filled again in one batch.
fn whole(compiled: &Compiled) -> Batch {
    let dump = compiled.table();
    let id = dump.id();
    let mut batch = Batch::new();
    for chain in &dump.chains {
        batch.flush_chain(&ChainId::new(&id, chain.chain.name.clone()));
    }
    for set in dump.sets.iter().filter(|set| !set.set.flags.contains(SetFlags::EVAL)) {
        batch.flush_set(&id, &set.set.name);
        batch.add_elements(&id, &set.set.name, &set.elements);
    }
    for chain in &dump.chains {
        for rule in &chain.rules {
            batch.append_rule(&ChainId::new(&id, chain.chain.name.clone()), rule);
        }
    }
    batch
}

/// Loading and reading by the programs that are there; the two families of iptables count as one.
#[allow(clippy::type_complexity, reason = "two lists of names and times")]
fn peers(
    compiled: &Compiled,
    policy: &FilterPolicy,
) -> Result<(Vec<(String, Duration)>, Vec<(String, Duration)>), Failed> {
    let (mut loads, mut readings) = (Vec::new(), Vec::new());
    if has("nft") {
        let text = nft_text(compiled);
        loads.push(("nft -f".to_owned(), median(PEER_ROUNDS, || must(&["nft", "-f", "-"], &text))?));
        readings.push((
            "nft -j list ruleset".to_owned(),
            median(PEER_ROUNDS, || read(&["nft", "-j", "list", "ruleset"]).map(drop))?,
        ));
        must(&["nft", "flush", "ruleset"], "")?;
    }
    let (v4, v6) = iptables_save(policy);
    for variant in ["nft", "legacy"] {
        let tool = |family: &str, what: &str| format!("{family}tables-{variant}-{what}");
        if !has(&tool("ip", "restore")) {
            continue;
        }
        let time = median(PEER_ROUNDS, || {
            must(&[&tool("ip", "restore")], &v4)?;
            must(&[&tool("ip6", "restore")], &v6)
        })?;
        loads.push((format!("iptables-{variant}-restore pair"), time));
        let time = median(PEER_ROUNDS, || {
            read(&[&tool("ip", "save")])?;
            read(&[&tool("ip6", "save")]).map(drop)
        })?;
        readings.push((format!("iptables-{variant}-save pair"), time));
        for family in ["ip", "ip6"] {
            must(
                &[&format!("{family}tables-{variant}-restore")],
                "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\nCOMMIT\n",
            )?;
        }
    }
    must(&["nft", "flush", "ruleset"], "")?;
    Ok((loads, readings))
}
