//! The lock-out guard: refuses a plan that would shut its author out, before anything is done.
//!
//! It does not know the planner. It asks of the facts as they would be what an audit asks of a host: would this account, from
//! this address, by its key, get in and become root?

use std::net::IpAddr;

use controls::way_in::{Condition, Connection, Holds};
use host::Facts;
use policy::Policy;
use serde::Serialize;

use crate::plan::Plan;

/// Why a plan is refused: for each account that could have been the way in, what stands in its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Refusal {
    /// From where the administrator would have to get in.
    pub from: Option<IpAddr>,
    /// What stands in whose way.
    pub accounts: Vec<Shut>,
}

/// One account and the conditions that keep it out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Shut {
    /// The account.
    pub account: String,
    /// What does not hold, or is not known to hold.
    pub because: Vec<Condition>,
    /// The steps of the plan, counted from one, without which it would hold.
    pub steps: Vec<usize>,
}

/// Says whether an administrator still gets in once a plan is carried out.
///
/// One administrator of the policy must pass every condition. Where the session belongs to an administrator, that very one must,
/// from the address that it comes from. What is unknown does not pass.
///
/// # Errors
/// Nobody would get in, or the one who asks would not; the reasons by account.
pub fn judge(facts: &Facts, plan: &Plan, policy: &Policy) -> Result<(), Refusal> {
    if !plan.can_cut_off() {
        return Ok(());
    }
    let way_in = facts.way_in.known();
    let connection = way_in.and_then(Connection::of);
    let projected = plan.project(facts);
    let mut candidates = controls::admins(&projected, policy);
    if let Some(own) = way_in.and_then(|way_in| way_in.user.clone()).filter(|user| candidates.contains(user))
    {
        candidates = vec![own];
    }
    let mut accounts = Vec::new();
    for account in candidates {
        let because = failing(&projected, &account, connection.as_ref());
        if because.is_empty() {
            return Ok(());
        }
        let steps = guilty(facts, plan, &account, connection.as_ref(), &because);
        accounts.push(Shut { account, because, steps });
    }
    Err(Refusal { from: connection.map(|connection| connection.peer), accounts })
}

/// The conditions that do not hold, or are not known to.
fn failing(facts: &Facts, account: &str, connection: Option<&Connection>) -> Vec<Condition> {
    let conditions = controls::way_in::judge(facts, account, connection);
    conditions.into_iter().filter(|condition| condition.holds != Holds::Yes).collect()
}

/// The steps without any one of which fewer of the conditions would fail, and no other.
fn guilty(
    facts: &Facts,
    plan: &Plan,
    account: &str,
    connection: Option<&Connection>,
    because: &[Condition],
) -> Vec<usize> {
    let without = |index: usize| {
        let mut fewer = plan.clone();
        fewer.steps.remove(index);
        failing(&fewer.project(facts), account, connection)
    };
    let mends = |index: &usize| {
        let left = without(*index);
        let known = |other: &Condition| because.iter().any(|condition| condition.name == other.name);
        left.len() < because.len() && left.iter().all(known)
    };
    (0..plan.steps.len()).filter(mends).map(|index| index + 1).collect()
}
