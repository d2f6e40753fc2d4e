//! Long runs of the tests that try random cases; the same tests run briefly with the others.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::process::{cargo, run as start};

/// Packets for each generated ruleset, and the tests that each send so many: see `crates/packet-filter/tests/iptables_kernel.rs`.
const PACKETS_FOR_EACH_RULESET: u64 = 100;
const TESTS: u64 = 3;
/// What the issue of the packet filter asks for.
const PACKETS: u64 = 100_000;

/// Decides random packets by random rulesets beside the kernel: `kernel [PACKETS [SEED]]`. One that is decided otherwise fails it.
pub(crate) fn kernel(words: &[&str]) -> Result<(), String> {
    let number = |word: &&str| word.parse::<u64>().map_err(|_| format!("`{word}` is no number"));
    let packets = words.first().map(number).transpose()?.unwrap_or(PACKETS);
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs());
    let seed = words.get(1).map(number).transpose()?.unwrap_or_else(now);
    let rulesets = packets.div_ceil(PACKETS_FOR_EACH_RULESET * TESTS);
    println!("{packets} packets, {rulesets} rulesets in each of {TESTS} tests, seed {seed}");
    start(
        cargo()
            .args(["test", "--release", "--package", "packet-filter", "--test", "iptables_kernel", "--"])
            .args(["decided_as_the_kernel_does", "--nocapture"])
            .env("GABION_CASES", rulesets.to_string())
            .env("GABION_SEED", seed.to_string())
            // A run that cannot load rulesets proves nothing.
            .env("CI", "true"),
    )
}
