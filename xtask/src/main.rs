//! The workspace's own tasks: `cargo xtask test | lint | deny | dist | generate | bench | fuzz`.
//!
//! What a continuous integration run does is here and not in its script, so that a person can do the same.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "runs on a developer's machine, starts programs and writes generated files"
)]

mod bench;
mod budget;
mod dist;
mod fuzz;
mod generate;
mod links;
mod lint;
mod process;
mod setup;
mod test;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask test [--fast] [FILTER]   set up what the tests need and run them all; --fast leaves the booted hosts out
cargo xtask lint                     fmt, clippy, docs, dependency budget, generated files
cargo xtask deny                     licences, bans, sources (installs cargo-deny into target/ where it is missing)
cargo xtask generate [--check]       files made from the program: policy schema, control reference, the README's capture
cargo xtask dist [--target T]        the static binary, and its size
cargo xtask bench audit|firewall     ratios beside the peers, in one run
cargo xtask fuzz kernel [N [SEED]]   N random packets (100,000) through random rulesets, decided by us and by the kernel
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["test", rest @ ..] => test::run(rest),
        ["lint"] => lint::run(),
        ["deny"] => lint::deny(),
        ["generate"] => generate::run(generate::Mode::Write),
        ["generate", "--check"] => generate::run(generate::Mode::Check),
        ["dist"] => dist::run(dist::DEFAULT_TARGET),
        ["dist", "--target", target] => dist::run(target),
        ["bench", what] => bench::run(what),
        ["fuzz", "kernel", rest @ ..] => fuzz::kernel(rest),
        ["help" | "--help" | "-h"] | [] => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(format!("unknown task `{}`\n\n{HELP}", other.join(" "))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
