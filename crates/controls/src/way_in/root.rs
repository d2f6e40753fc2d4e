//! Becoming root by sudo.

use host::facts::SudoDefault;

use super::{Attempt, Condition, Judged, Requirement};
use crate::people::{has_usable_password, sudo_of};

/// sudo lets the account run every command as root.
pub(super) fn sudo(attempt: &Attempt<'_>) -> Judged {
    let name = Requirement::Sudo;
    let user = &attempt.account.name;
    if attempt.account.uid == 0 {
        return Ok(Condition::yes(name, format!("{user} is root")));
    }
    let listing = sudo_of(attempt.facts, user)?;
    let condition = match (listing.all, listing.exceptions.as_slice()) {
        (true, _) => Condition::yes(name, format!("sudo lets {user} run everything")),
        (false, []) if listing.any => Condition::no(name, format!("sudo lets {user} run some commands only")),
        (false, []) => Condition::no(name, format!("sudo lets {user} run nothing as root")),
        (false, taken) => {
            Condition::no(name, format!("sudo lets {user} run everything but {}", taken.join(", ")))
        }
    };
    Ok(condition.at_all(listing.decided_by.clone()))
}

/// Where sudo asks for a password, there is one that can be typed: the account's own, or root's under `targetpw` and
/// `rootpw` (sudoers(5)).
pub(super) fn sudo_password(attempt: &Attempt<'_>) -> Judged {
    let name = Requirement::SudoPassword;
    let user = &attempt.account.name;
    if attempt.account.uid == 0 {
        return Ok(Condition::yes(name, format!("{user} is root")));
    }
    let listing = sudo_of(attempt.facts, user)?;
    if listing.no_password {
        let what = format!("sudo asks {user} for no password");
        return Ok(Condition::yes(name, what).at_all(listing.decided_by.clone()));
    }
    let other = ["targetpw", "rootpw"].into_iter().find_map(|setting| in_force(attempt, setting));
    let (whose, place) = match other {
        Some(default) => ("root", Some(format!("{} ({})", default.place, default.name))),
        None => (user.as_str(), None),
    };
    let condition = match has_usable_password(attempt.facts, whose)? {
        true => Condition::yes(name, format!("sudo asks for the password of {whose}, and there is one")),
        false => {
            Condition::no(name, format!("sudo asks for the password of {whose}, and there is none to type"))
        }
    };
    Ok(condition.at_all(place).at_all(listing.decided_by.clone()))
}

/// The last `Defaults` line about a setting that means this account, where it switches it on.
fn in_force<'a>(attempt: &'a Attempt<'_>, setting: &str) -> Option<&'a SudoDefault> {
    let scope = format!(":{}", attempt.account.name);
    let mut lines = attempt.facts.sudoers.defaults.iter().rev();
    let last = lines.find(|line| line.name == setting && (line.scope.is_empty() || line.scope == scope))?;
    (last.value == "true").then_some(last)
}
