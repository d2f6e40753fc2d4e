//! `gabion rehearse`: a throwaway copy of this very machine, hardened and attacked.
//!
//! Three processes, so that nothing needs to be cleaned up: this one stays on the machine and only reads it; the *copy* stage
//! enters mount, process and network namespaces of its own and lays an overlay over the whole tree; the *inside* stage is process 1 of
//! the copy, and the attacker is a thread of it in yet another network namespace. When process 1 ends, in whatever way, the kernel takes
//! everything away.

mod copy;
mod inside;
mod outcome;
mod server;
mod stand_ins;
mod table;

use std::io::Write as _;
use std::process::{Command, Stdio};

use host::{Facts, Live};
use policy::Policy;
use serde::{Deserialize, Serialize};

use crate::cli;
use crate::context::{Context, Origin, Subject, need_root};
use crate::error::{Failure, usage};
use crate::exit::Exit;
use outcome::Outcome;

/// What the stages inside need to know of the machine outside.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Brief {
    policy: Policy,
    machine: Facts,
    up_to: u16,
    quiet: bool,
}

/// Ports up to this one are scanned unless all are asked for: with both families before and after, that is a second or two.
const UP_TO: u16 = 10_000;

pub(crate) fn run(context: &Context, options: &cli::Rehearse) -> Result<Exit, Failure> {
    need_root("rehearse")?;
    context.output.progress("Reading this machine. Nothing on it is changed.");
    let Subject { facts: machine, policy, origin } = context.subject(&Live::open()?)?;
    if let Origin::File(path) = &origin {
        context.output.progress(&format!("Policy: {}", path.display()));
    }
    let up_to = if options.all_ports { u16::MAX } else { UP_TO };
    let brief = Brief { policy, machine, up_to, quiet: context.output.json };
    let outcome = in_a_copy(&brief)?;
    if context.output.json {
        context.output.value(&outcome);
    } else {
        context.output.text(&table::text(&outcome, context.output.view()));
    }
    Ok(if outcome.holds() { Exit::Clean } else { Exit::Findings })
}

/// Starts the copy, waits for it and takes what it found.
#[allow(clippy::disallowed_methods, reason = "starts this very program in namespaces of its own")]
fn in_a_copy(brief: &Brief) -> Result<Outcome, Failure> {
    let stage = |why: String| Failure::Stage { what: "the rehearsal", why };
    let mut child = Command::new("/proc/self/exe")
        .args(["__rehearsal", "copy"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| stage(error.to_string()))?;
    let text = serde_json::to_vec(brief).map_err(|error| stage(error.to_string()))?;
    if let Some(mut input) = child.stdin.take() {
        // A stage that died closes the pipe; what it said on standard error stands above, its status is told below.
        let _told_below = input.write_all(&text);
    }
    let output = child.wait_with_output().map_err(|error| stage(error.to_string()))?;
    if !output.status.success() {
        return Err(stage(format!("the copy ended early ({}); this machine was not touched", output.status)));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| stage(format!("the copy gave no result: {error}")))
}

/// A stage of the rehearsal, in a process of its own.
pub(crate) fn stage(context: &Context, stage: &str) -> Result<Exit, Failure> {
    need_root("rehearse")?;
    match stage {
        "copy" => copy::run(),
        "inside" => inside::run(context),
        other => Err(usage(format!("there is no stage `{other}`"), "this is started by `gabion rehearse`")),
    }
}
