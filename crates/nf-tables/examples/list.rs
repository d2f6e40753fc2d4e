//! Prints the ruleset of this network namespace: every rule as the instructions that it is.
//!
//! Run it as root: `cargo run -p nf-tables --example list`, with `-v` to see elements one by one.
#![allow(clippy::print_stdout, reason = "it is what an example is for")]

use nf_tables::{ChainDump, Connection, Error, SetDump};

fn main() -> Result<(), Error> {
    let verbose = std::env::args().any(|argument| argument == "-v");
    let ruleset = Connection::open()?.dump_ruleset()?;
    println!("generation {}", ruleset.generation);
    for dump in &ruleset.tables {
        println!("table {}", dump.id());
        dump.sets.iter().for_each(|set| print_set(set, verbose));
        dump.chains.iter().for_each(print_chain);
    }
    Ok(())
}

fn print_set(dump: &SetDump, verbose: bool) {
    println!("  set {}: {} elements", dump.set.name, dump.elements.len());
    if verbose {
        for element in &dump.elements {
            let key: String = element.key.iter().map(|byte| format!("{byte:02x}")).collect();
            let data = element.data.as_ref().map(|data| format!(" : {data}")).unwrap_or_default();
            println!("    {key}{data}");
        }
    }
}

fn print_chain(dump: &ChainDump) {
    let hook = dump.chain.hook.as_ref().map_or_else(String::new, |hook| {
        format!(" at {:?}, priority {}, policy {:?}", hook.point, hook.priority, hook.policy)
    });
    println!("  chain {}{hook}", dump.chain.name);
    for rule in &dump.rules {
        let comment = rule.comment().map(|comment| format!(" \"{comment}\"")).unwrap_or_default();
        println!("    rule {}{comment}", rule.handle.unwrap_or_default());
        for expression in &rule.expressions {
            println!("      [ {expression} ]");
        }
    }
}
