//! Compiled rulesets and their policies.

#[path = "support/policies.rs"]
mod policies;

use packet_filter::{compile, prove, text};

#[test]
fn every_policy_is_proven() {
    for (name, policy) in policies::all() {
        let compiled = compile(&policy);
        let start = std::time::Instant::now();
        let proof = prove(&policy, &compiled).unwrap_or_else(|error| panic!("{name}: {error}"));
        println!("{name}: {proof:?} in {:?}", start.elapsed());
        println!("{}", text::table(compiled.table()));
    }
}
