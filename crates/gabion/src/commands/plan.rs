//! `gabion plan`: the exact change that `apply` would make.

use change::lockout;
use change::plan::Plan;
use host::Live;

use crate::context::{Context, Subject, need_root};
use crate::error::Failure;
use crate::exit::Exit;

pub(crate) fn run(context: &Context) -> Result<Exit, Failure> {
    need_root("plan")?;
    let (subject, plan) = draw(context)?;
    let refusal = lockout::judge(&subject.facts, &plan, &subject.policy).err();
    if context.output.json {
        // The one document holds the refusal as well.
        context.output.value(&report::plan::json(&plan, refusal.as_ref()));
        if let Some(refusal) = refusal {
            context.output.note(report::lockout::text(&refusal).trim_end());
            return Ok(Exit::Usage);
        }
    } else {
        context.output.text(&report::plan::text(&plan, context.output.view()));
        if let Some(refusal) = refusal {
            return Err(Failure::LockOut(refusal));
        }
    }
    Ok(if plan.is_empty() { Exit::Clean } else { Exit::Findings })
}

/// Reads the host and draws the plan for it.
pub(crate) fn draw(context: &Context) -> Result<(Subject, Plan), Failure> {
    let subject = context.subject(&Live::open()?)?;
    let program = change::this_program()?;
    let plan = Plan::draw(&subject.facts, &subject.policy, &program)?;
    Ok((subject, plan))
}
