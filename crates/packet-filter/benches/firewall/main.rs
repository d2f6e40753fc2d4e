//! The packet filter beside its peers, in one run: `cargo xtask bench firewall`.
//!
//! Needs root, and runs in network namespaces of its own; ufw and firewalld run on throwaway hosts. A peer that is not installed
//! is left out. It ends with a table: what was measured, what it may be at most, and how many times as much the peers take.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "it prints what it measures, starts the peers, and divides counts"
)]

mod dumps;
mod hosts;
mod load;
mod net;
mod packets;
mod policies;
mod table;

use table::Table;

/// What stops a benchmark.
type Failed = Box<dyn std::error::Error>;

fn main() -> Result<(), Failed> {
    let mut table = Table::default();
    // The hosts are booted from this machine's own network namespace, which the rest leaves.
    let managers = hosts::reloads();
    net::leave_the_machines()?;
    load::measure(&mut table, &managers)?;
    packets::measure(&mut table)?;
    dumps::measure(&mut table)?;
    println!("{table}");
    let missed = table.missed();
    if missed == 0 { Ok(()) } else { Err(format!("{missed} targets were missed").into()) }
}
