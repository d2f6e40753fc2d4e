//! Gabion: secure a Linux server.
//!
//! `cli` is what may be typed, `commands` holds one file a verb, and everything that judges, plans or writes stands in the
//! libraries. Data goes to standard output, everything else to standard error.

mod attack;
mod cli;
mod commands;
mod context;
mod error;
mod exit;
mod import;
mod output;
mod rehearse;
mod rulesets;
mod suggest;
mod verify;

use std::process::ExitCode;

use clap::Parser as _;

use cli::Cli;
use context::Context;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = output::Output::new(&cli.global);
    let mut context = Context::new(&cli.global, output);
    let exit =
        commands::run(cli.verb, &mut context).unwrap_or_else(|failure| context.output.failure(&failure));
    exit.into()
}
