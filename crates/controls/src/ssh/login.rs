//! Whether the administrators, and they alone where the policy says so, may log in.

use host::Fact;
use policy::AllowLogin;
use sshd_config::{Constraint, Keyword};

use super::doors::faults;
use crate::finding::Severity;
use crate::judgement::{Fault, Judged, Subject, Verdict};
use crate::way_in::{Condition, Holds, Requirement};

/// Keys are taken, and `AuthenticationMethods` can be satisfied by one: in general, and for each administrator.
/// Source: `sshd_config(5)` `PubkeyAuthentication`, `AuthenticationMethods`.
pub(crate) fn sh5_public_key(subject: &Subject<'_>) -> Judged {
    let mut faults = faults(subject, "SH5")?;
    if faults.is_empty() {
        faults.extend(of_admins(subject, &[Requirement::PublicKeyLogin, Requirement::Methods]));
    }
    Ok(faults.into())
}

/// The lists let every administrator in; where the policy lets only administrators in, they let in nobody else.
/// Source: `sshd_config(5)` `AllowUsers`, `AllowGroups`, `DenyUsers`, `DenyGroups`.
pub(crate) fn sh10_allow_lists(subject: &Subject<'_>) -> Judged {
    subject.sshd()?;
    let mut faults = of_admins(subject, &[Requirement::AllowLists]);
    match subject.policy.ssh.allow {
        AllowLogin::Any => {}
        AllowLogin::Admins => faults.extend(strangers(subject)?),
    }
    Ok(faults.into())
}

/// The conditions of those names that some administrator fails, each with its account.
fn of_admins(subject: &Subject<'_>, names: &[Requirement]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (_, conditions) in subject.ways_in() {
        for condition in conditions.iter().filter(|condition| names.contains(&condition.name)) {
            faults.extend(fault(condition));
        }
    }
    faults
}

/// A condition that does not hold, as a fault for a person to mend.
pub(crate) fn fault(condition: &Condition) -> Option<Fault> {
    let fault = match &condition.holds {
        Holds::Yes => return None,
        Holds::No => Fault::new(condition.what.clone()),
        // A second factor is no fault; only that it cannot be tried from here must be said.
        Holds::Unknown(reason) if condition.name == Requirement::Methods => {
            Fault::unknown(condition.what.clone(), reason.clone()).severity(Severity::Low)
        }
        Holds::Unknown(reason) => Fault::unknown(condition.what.clone(), reason.clone()),
    };
    Some(fault.decided_by_all(condition.decided_by.iter().cloned()))
}

/// Who else than the administrators is let in by the lists.
fn strangers(subject: &Subject<'_>) -> Result<Option<Fault>, Verdict> {
    let sshd = subject.sshd()?;
    let open = strangers_of(sshd, subject);
    let Some((what, places)) = open else {
        return Ok(None);
    };
    let fault = Fault::new(what).severity(Severity::Medium).decided_by_all(places);
    let is_mended = subject.applied().is_some_and(|sshd| strangers_of(sshd, subject).is_none());
    Ok(Some(match is_mended {
        true => fault.apply(),
        false => {
            fault.ask("take the others out of AllowUsers, or let the policy allow any account that has a key")
        }
    }))
}

fn strangers_of(sshd: &super::Sshd, subject: &Subject<'_>) -> Option<(String, Vec<String>)> {
    let keywords = [Keyword::AllowUsers, Keyword::AllowGroups];
    let is_admin = |user: &str| subject.admins().iter().any(|admin| admin == user);
    for possibility in sshd.configuration.for_some_connection_of(&keywords, &Constraint::any()) {
        let [users, groups] = possibility.settings.as_slice() else {
            continue;
        };
        let name = |pattern: &str| pattern.split('@').next().unwrap_or(pattern).to_owned();
        let users_listed: Vec<String> = users.texts().filter(|text| !text.is_empty()).map(name).collect();
        let groups_listed: Vec<&str> = groups.texts().filter(|text| !text.is_empty()).collect();
        let stranger = users_listed.iter().find(|user| !is_admin(user));
        if let (false, Some(stranger)) = (users_listed.is_empty(), stranger) {
            let places = super::doors::places(sshd, users);
            return Some((format!("AllowUsers lets {stranger} in, who is no administrator"), places));
        }
        if users_listed.is_empty() && (groups_listed.is_empty() || !only_admins_in(subject, &groups_listed)) {
            let places = super::doors::places(sshd, if groups_listed.is_empty() { users } else { groups });
            return Some(("accounts that are no administrators may log in".to_owned(), places));
        }
    }
    None
}

fn only_admins_in(subject: &Subject<'_>, patterns: &[&str]) -> bool {
    let (Fact::Known(users), Fact::Known(_)) =
        (&subject.facts.accounts.users, &subject.facts.accounts.groups)
    else {
        return false;
    };
    users.iter().filter(|user| !subject.admins().contains(&user.name)).all(|user| {
        let groups = crate::people::groups_of(subject.facts, user).unwrap_or_default();
        !groups.iter().any(|group| patterns.iter().any(|pattern| super::pattern_matches(group, pattern)))
    })
}
