//! `gabion apply`: make the change as a transaction that undoes itself unless it is confirmed.

use std::io::{BufRead as _, IsTerminal as _};
use std::time::Duration;

use change::plan::Plan;
use change::{
    About, Because, Confirm, Moment, Outcome, Progress, Root, State, Transaction, TransactionId, lockout,
};
use host::facts::{Via, WayIn};
use serde_json::{Value, json};

use super::plan::draw;
use crate::cli;
use crate::context::{Context, Origin, Subject, need_root};
use crate::error::{Failure, usage};
use crate::exit::Exit;

/// How long a change made over SSH waits for its confirmation.
const OVER_SSH: u32 = 120;

pub(crate) fn run(context: &Context, options: &cli::Apply) -> Result<Exit, Failure> {
    need_root("apply")?;
    let (subject, plan) = draw(context)?;
    if plan.is_empty() {
        return Ok(nothing_to_do(context, &plan));
    }
    lockout::judge(&subject.facts, &plan, &subject.policy).map_err(Failure::LockOut)?;
    carry_out(context, options, &subject, plan)
}

/// Makes a change that the guard has passed: shows it, asks, applies it, and waits for its confirmation where it needs one.
pub(crate) fn carry_out(
    context: &Context,
    options: &cli::Apply,
    subject: &Subject,
    plan: Plan,
) -> Result<Exit, Failure> {
    if !context.output.json {
        context.output.text(&report::plan::text(&plan, context.output.view()));
    }
    let confirm = confirmation(context, options, subject);
    if !options.yes && !agreed(context)? {
        context.output.note("Nothing was changed.");
        return Ok(Exit::Clean);
    }
    let root = Root::live()?;
    let about = about(subject);
    let what: Vec<String> = plan.steps.iter().map(|step| report::plan::describe(&step.action)).collect();
    let transaction = Transaction::begin(&root, plan, &about)?;
    let id = transaction.id().clone();
    let outcome = transaction.apply(confirm, &mut |progress| show(context, progress, &what))?;
    finish(context, options, subject, &root, &id, outcome)
}

fn nothing_to_do(context: &Context, plan: &Plan) -> Exit {
    let pending = Root::live().and_then(|root| change::pending(&root)).ok().flatten();
    if context.output.json {
        context.output.value(&json!({
            "version": 1, "state": "nothing-to-do", "notes": plan.notes,
            "waits-for-confirmation": pending.map(|id| id.to_string()),
        }));
    } else {
        context.output.text("Nothing to do: this host is as its policy says.\n");
        pending.iter().for_each(|id| {
            context.output.note(&format!(
                "But {id} waits for its confirmation, and undoes itself without one: `gabion confirm`."
            ));
        });
        plan.notes.iter().for_each(|note| context.output.note(&format!("note: {note}")));
    }
    Exit::Clean
}

/// Whether the change must be confirmed, and within which time.
fn confirmation(context: &Context, options: &cli::Apply, subject: &Subject) -> Confirm {
    let over_ssh = subject.facts.way_in.known().is_none_or(|way_in| matches!(way_in.via, Via::Ssh { .. }));
    match (options.confirm_within, over_ssh) {
        (Some(seconds), _) => Confirm::Within(Duration::from_secs(seconds.into())),
        (None, true) => Confirm::Within(Duration::from_secs(OVER_SSH.into())),
        (None, false) => {
            context.output.note("You are not here over SSH: no confirmation is needed. (`--confirm-within` asks for one all the same.)");
            Confirm::NotNeeded
        }
    }
}

/// Asks once, where there is somebody to ask.
fn agreed(context: &Context) -> Result<bool, Failure> {
    let can_ask = std::io::stdin().is_terminal() && std::io::stderr().is_terminal() && !context.output.json;
    if !can_ask {
        return Ok(true);
    }
    context.output.ask("Apply this? [y/N] ");
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|error| usage(format!("reading the answer: {error}"), ""))?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

fn about(subject: &Subject) -> About {
    let policy = match &subject.origin {
        Origin::File(path) => std::fs::read(path).ok().map(|bytes| change::hex::Sha256::of(&bytes)),
        Origin::Suggested => None,
    };
    let way_in = subject.facts.way_in.known().cloned();
    let who =
        way_in.as_ref().and_then(|way_in: &WayIn| way_in.user.clone()).unwrap_or_else(|| "root".to_owned());
    About { who, policy, way_in }
}

fn show(context: &Context, progress: Progress, what: &[String]) {
    let name = |step: usize| what.get(step).map_or("", String::as_str);
    let total = what.len();
    match progress {
        Progress::Armed => {
            context.output.progress("The timer that undoes it stands, outside of this session.");
        }
        Progress::Doing(step) => context.output.progress(&format!("{:>2}/{total} {}", step + 1, name(step))),
        Progress::Done(_) => {}
        Progress::Undoing(step) => {
            context.output.progress(&format!("undoing {:>2}/{total} {}", step + 1, name(step)));
        }
    }
}

fn finish(
    context: &Context,
    options: &cli::Apply,
    subject: &Subject,
    root: &Root,
    id: &TransactionId,
    outcome: Outcome,
) -> Result<Exit, Failure> {
    match outcome {
        Outcome::Confirmed => {
            tell(context, id, "confirmed", &json!({}));
            context.output.progress(&format!("Done. `gabion rollback {id}` undoes it."));
            Ok(Exit::Clean)
        }
        Outcome::Pending { deadline } => {
            let_the_tick_pass();
            tell(context, id, "pending", &json!({ "deadline": deadline.wall }));
            context.output.progress(&how_to_confirm(subject, &deadline));
            if options.no_wait { Ok(Exit::Clean) } else { wait(context, root, id) }
        }
        Outcome::RolledBack { step, error, notes } => {
            tell(
                context,
                id,
                "rolled-back",
                &json!({ "step": step + 1, "error": error.to_string(), "notes": notes }),
            );
            context.output.note(&format!("step {} failed: {error}", step + 1));
            notes.iter().for_each(|note| context.output.note(&format!("note: {note}")));
            context.output.note("Everything is as it was before.");
            Ok(Exit::RolledBack)
        }
        Outcome::RollbackFailed { step, error, failures } => {
            tell(context, id, "rollback-failed", &json!({ "step": step + 1, "error": error.to_string() }));
            context.output.note(&format!("step {} failed: {error}", step + 1));
            super::rollback::tell_failures(context, id, &failures);
            Ok(Exit::RollbackFailed)
        }
    }
}

/// A login counts as newer than the change by the clock tick in which it began: whoever logs in at once is newer too.
fn let_the_tick_pass() {
    std::thread::sleep(Duration::from_millis(2_000 / rustix::param::clock_ticks_per_second()));
}

/// The state of the transaction and what else is known, for `--json`.
fn tell(context: &Context, id: &TransactionId, state: &str, more: &Value) {
    if !context.output.json {
        return;
    }
    let mut document = json!({ "version": 1, "transaction": id.to_string(), "state": state });
    if let (Some(document), Some(more)) = (document.as_object_mut(), more.as_object()) {
        document.extend(more.clone());
    }
    context.output.value(&document);
}

fn how_to_confirm(subject: &Subject, deadline: &Moment) -> String {
    let admin = subject.policy.admins.first().map_or("an administrator", |admin| admin.name.as_str());
    let seconds = deadline.millis_after(&Moment::now()).div_ceil(1000);
    let at = deadline.wall.strftime("%H:%M:%S UTC");
    format!(
        "\nApplied. It undoes itself in {seconds} seconds, at {at}, unless you confirm it.\n\
         Keep this session. In another window, log in anew as {admin} and run:\n\n    sudo gabion confirm\n"
    )
}

/// Stays until the change is confirmed or undone. The timer does not depend on it: it may be interrupted at any time.
fn wait(context: &Context, root: &Root, id: &TransactionId) -> Result<Exit, Failure> {
    context.output.progress("Waiting for the confirmation. (Ctrl-C ends the waiting; the timer goes on.)");
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let past = change::history(root)?.into_iter().find(|past| past.id == *id);
        match past.map(|past| past.state) {
            Some(State::Pending { .. } | State::Applying | State::Undoing { .. }) => {}
            Some(State::Confirmed { .. }) => {
                context.output.progress("Confirmed: the change stays.");
                return Ok(Exit::Clean);
            }
            Some(State::RolledBack { because }) => {
                let why = match because {
                    Because::Unconfirmed => "nobody confirmed it in time",
                    Because::Asked => "somebody rolled it back",
                    Because::Failed | Because::Interrupted | Because::Recovered => "it was cut off",
                };
                context.output.progress(&format!("Undone: {why}. Everything is as it was before."));
                return Ok(Exit::NotConfirmed);
            }
            Some(State::RollbackFailed | State::Damaged) | None => return Ok(Exit::RollbackFailed),
        }
    }
}
