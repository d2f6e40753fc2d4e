//! `gabion policy check` and `gabion policy schema`.

use crate::cli::PolicyVerb;
use crate::context::Context;
use crate::error::{Failure, usage};
use crate::exit::Exit;

pub(crate) fn run(context: &Context, verb: &PolicyVerb) -> Result<Exit, Failure> {
    match verb {
        PolicyVerb::Schema => {
            context.output.value(&policy::schema());
            Ok(Exit::Clean)
        }
        PolicyVerb::Check => check(context),
    }
}

fn check(context: &Context) -> Result<Exit, Failure> {
    let Some(policy) = context.policy()? else {
        return Err(usage(
            format!("there is no {}", context.policy_file.display()),
            "write one with `gabion init`",
        ));
    };
    if context.output.json {
        context.output.value(&serde_json::json!({ "version": 1, "policy": policy }));
    } else {
        context.output.text(&format!("{}: no mistakes\n", context.policy_file.display()));
    }
    Ok(Exit::Clean)
}
