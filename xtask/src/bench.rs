//! Benchmarks: ratios beside the peers, in one run.

use crate::process::{cargo, run as start};

/// Runs one benchmark program; the peers are measured beside us in the same run.
pub(crate) fn run(what: &str) -> Result<(), String> {
    match what {
        "audit" => start(cargo().args([
            "test",
            "--release",
            "--package",
            "gabion",
            "--test",
            "bench_audit",
            "--",
            "--ignored",
            "--nocapture",
        ])),
        "firewall" => {
            start(cargo().args(["bench", "--quiet", "--package", "packet-filter", "--bench", "firewall"]))
        }
        other => Err(format!("unknown benchmark `{other}`: audit, firewall")),
    }
}
