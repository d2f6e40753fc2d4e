//! What a packet costs: a flood of datagrams over a virtual link, whose receiving side runs within the sender's system call.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Instant;

use nf_tables::Connection;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use packet_filter::{Allow, FilterPolicy, PortRange, compile, load, unload};

use crate::Failed;
use crate::net::{Outside, has, must};
use crate::policies::{MANY, PORT, source, sources};
use crate::table::{Table, Target, Value};

const HOST: Ipv4Addr = Ipv4Addr::new(10, 255, 0, 1);
/// Not of any list.
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 254, 0, 1);
const ROUNDS: usize = 15;
/// Packets of a round, where each costs little and where each costs much.
const FAST: u32 = 20_000;
const SLOW: u32 = 1_000;
/// How many times the cost of a packet at an empty firewall it may be.
const MOST: f64 = 1.25;

/// Behind everything: nothing reaches a socket, so that only the rules differ.
const END: &str = "table inet end { chain input { type filter hook input priority 300; policy drop; }; }";

pub(crate) fn measure(table: &mut Table) -> Result<(), Failed> {
    let outside = Outside::join(&format!("{HOST}/8"), &format!("{}/8", source(MANY - 1)))?;
    outside.run(|| {
        must(&["ip", "addr", "add", &format!("{STRANGER}/8"), "dev", "eth0"], "")
            .map_err(|error| error.to_string())
    })??;
    must(&["nft", "-f", "-"], END)?;
    let open = FilterPolicy { allow: vec![Allow::new("all", [PortRange::udp(PORT)])], ..sources(0) };
    for (what, sender, empty) in [("allowed", source(MANY - 1), open), ("denied", STRANGER, sources(0))] {
        let base = ours(&outside, &empty, sender)?;
        let many = ours(&outside, &sources(MANY), sender)?;
        let mut peers = vec![("an empty firewall".to_owned(), Value::PerPacket(base))];
        peers.extend(linear(&outside, sender)?);
        let what = format!("a packet {what} by 10,000 sources");
        table.row(what, Value::PerPacket(many), Target::Times(MOST, base), peers);
    }
    Ok(())
}

fn ours(outside: &Outside, policy: &FilterPolicy, sender: Ipv4Addr) -> Result<f64, Failed> {
    let mut connection = Connection::open()?;
    let compiled = compile(policy);
    load(&mut connection, &compiled, None)?;
    let cost = flood(outside, sender, FAST)?;
    unload(&mut connection, &compiled.table().id(), None)?;
    Ok(cost)
}

/// One rule for each source, as the peers write them.
fn linear(outside: &Outside, sender: Ipv4Addr) -> Result<Vec<(String, Value)>, Failed> {
    let mut costs = Vec::new();
    let mut text =
        String::from("table inet linear { chain input { type filter hook input priority 0; policy drop;\n");
    for nth in 0..MANY {
        writeln!(text, "ip saddr {} udp dport {PORT} accept", source(nth))?;
    }
    must(&["nft", "-f", "-"], &format!("{text} }}; }}"))?;
    costs.push(("nft, a rule each".to_owned(), Value::PerPacket(flood(outside, sender, SLOW)?)));
    must(&["nft", "delete", "table", "inet", "linear"], "")?;
    for variant in ["nft", "legacy"] {
        let restore = format!("iptables-{variant}-restore");
        if !has(&restore) {
            continue;
        }
        let mut text = String::from("*filter\n:INPUT DROP\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\n");
        for nth in 0..MANY {
            writeln!(text, "-A INPUT -s {} -p udp --dport {PORT} -j ACCEPT", source(nth))?;
        }
        must(&[&restore], &format!("{text}COMMIT\n"))?;
        costs.push((format!("iptables-{variant}"), Value::PerPacket(flood(outside, sender, SLOW)?)));
        must(&[&restore], "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\nCOMMIT\n")?;
    }
    Ok(costs)
}

/// The least of several rounds, in nanoseconds a packet.
fn flood(outside: &Outside, sender: Ipv4Addr, packets: u32) -> Result<f64, Failed> {
    let measured = outside.run(move || -> std::io::Result<f64> {
        let mut one = CpuSet::new();
        one.set(0)?;
        sched_setaffinity(Pid::from_raw(0), &one)?;
        let socket = UdpSocket::bind((sender, 0))?;
        socket.connect(SocketAddr::new(HOST.into(), PORT))?;
        let mut least = f64::MAX;
        for _ in 0..=ROUNDS {
            let start = Instant::now();
            for _ in 0..packets {
                socket.send(b"eighteen bytes long")?;
            }
            least = least.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(packets));
        }
        Ok(least)
    })?;
    Ok(measured?)
}
