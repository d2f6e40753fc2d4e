//! Everything that is checked without running the program.

use std::path::PathBuf;
use std::process::Command;

use crate::process::{cargo, root, run as start};
use crate::{budget, generate, links};

fn run_all(steps: &[(&str, &[&str])]) -> Result<(), String> {
    for (what, words) in steps {
        println!("lint: {what}");
        start(cargo().args(*words).env("RUSTDOCFLAGS", "-D warnings"))?;
    }
    Ok(())
}

/// fmt, clippy, docs, budget, generated files.
pub(crate) fn run() -> Result<(), String> {
    run_all(&[
        ("fmt", &["fmt", "--all", "--check"]),
        ("clippy", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]),
        ("docs", &["doc", "--workspace", "--no-deps", "--quiet", "--document-private-items"]),
    ])?;
    budget::check()?;
    links::check()?;
    generate::run(generate::Mode::Check)
}

/// Licences, bans and sources. Installs cargo-deny below `target/` where the machine has none.
pub(crate) fn deny() -> Result<(), String> {
    let own = root().join("target/tools/bin/cargo-deny");
    let program = if crate::process::has_program("cargo-deny") { PathBuf::from("cargo-deny") } else { own };
    if program.is_absolute() && !program.exists() {
        println!("Installing cargo-deny into target/tools");
        start(
            cargo()
                .args(["install", "cargo-deny", "--locked", "--quiet", "--debug", "--root"])
                .arg(root().join("target/tools")),
        )?;
    }
    start(Command::new(program).current_dir(root()).args([
        "--log-level",
        "error",
        "check",
        "bans",
        "licenses",
        "sources",
    ]))
}
