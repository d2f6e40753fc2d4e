//! Asks the kernel's own ruleset what becomes of a packet, and why:
//! `cargo run -p packet-filter --example explain -- 198.51.100.7:40000 192.0.2.1:22`
//!
//! Needs the right to read the ruleset (`CAP_NET_ADMIN`). Without arguments, a sample policy is compiled and shown.

#![allow(clippy::print_stdout, reason = "an example prints")]

use nf_tables::Connection;
use packet_filter::{Allow, FilterPolicy, Hook, Machine, Packet, PortRange, compile, prove, text};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to] = arguments.as_slice() else {
        let mut ssh = Allow::new("ssh", [PortRange::tcp(22)]);
        ssh.new_per_minute = Some(30);
        let policy = FilterPolicy { allow: vec![ssh], ..FilterPolicy::default() };
        let compiled = compile(&policy);
        let start = std::time::Instant::now();
        let proof = prove(&policy, &compiled)?;
        println!("{}", text::table(compiled.table()));
        println!(
            "proven with {} classes of packets and {} decisions in {:?}",
            proof.packets,
            proof.nodes,
            start.elapsed()
        );
        return Ok(());
    };
    let ruleset = Connection::open()?.dump_ruleset()?;
    let packet = Packet::tcp(from.parse()?, to.parse()?)?.arriving_on("eth0");
    let decision = Machine::new(&ruleset.tables).decide_along(&[Hook::Prerouting, Hook::Input], &packet);
    println!("{packet}: {decision}");
    for rule in &decision.crossed {
        println!("  {rule}");
    }
    Ok(())
}
