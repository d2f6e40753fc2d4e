//! The account itself: shell, ages, lock.

use std::path::Path;

use host::facts::{EntryKind, PasswordState};
use sshd_config::Keyword;

use super::{Attempt, Condition, Judged, Requirement};
use crate::judgement::NotKnown;
use crate::people::{passwd_place, shadow_of, shadow_place, shell_of, turns_away};
use crate::permissions::{describe, is_absent, look};

/// sshd turns away an account whose shell is not there or cannot be run (`allowed_user` in auth.c); nologin(8) and
/// false(1) end the session.
pub(super) fn shell(attempt: &Attempt<'_>) -> Judged {
    let name = Requirement::Shell;
    let (account, shell) = (attempt.account, shell_of(attempt.account));
    let (user, shown, place) = (&account.name, shell.display(), passwd_place(account));
    if turns_away(&shell) {
        return Ok(
            Condition::no(name, format!("the shell of {user} is {shown}, which turns logins away")).at(place)
        );
    }
    if is_absent(attempt.facts, &shell) {
        return Ok(Condition::no(name, format!("the shell of {user}, {shown}, does not exist")).at(place));
    }
    let entry = look(attempt.facts, &shell).map_err(|reason| {
        NotKnown::new(format!("whether {user} has a shell that can be run is not known"), reason)
    })?;
    if entry.kind != EntryKind::File || entry.mode & 0o111 == 0 {
        let what = format!("the shell of {user}, {shown}, cannot be run");
        return Ok(Condition::no(name, what).at(place).at(describe(&shell, entry)));
    }
    Ok(Condition::yes(name, format!("the shell of {user} is {shown}")).at(place))
}

/// An account is shut from the day on that shadow(5) names.
pub(super) fn expiry(attempt: &Attempt<'_>) -> Judged {
    let name = Requirement::Expiry;
    let user = &attempt.account.name;
    let Some(entry) = shadow_of(attempt.facts, user)? else {
        return Ok(Condition::yes(name, format!("{user} has no entry in /etc/shadow that could expire")));
    };
    let today = attempt.facts.today;
    let condition = match entry.expires.filter(|day| *day >= 0) {
        Some(day) if day <= today => {
            let ago = today.saturating_sub(day);
            Condition::no(name, format!("the account {user} expired {ago} days ago"))
        }
        Some(_) | None => Condition::yes(name, format!("the account {user} has not expired")),
    };
    Ok(condition.at(shadow_place(entry)))
}

/// PAM ends a session, by key too, where the password is past its greatest age or must be changed
/// (`check_shadow_expiry` in `pam_unix`). Without PAM, sshd asks this of passwords alone (auth-shadow.c).
pub(super) fn password_age(attempt: &Attempt<'_>) -> Judged {
    let name = Requirement::PasswordAge;
    let user = &attempt.account.name;
    let Some(entry) = shadow_of(attempt.facts, user)? else {
        return Ok(Condition::yes(name, format!("{user} has no entry in /etc/shadow that could expire")));
    };
    let age = entry.last_change.map(|day| attempt.facts.today.saturating_sub(day));
    let too_old = match (entry.last_change, age, entry.max_age) {
        (Some(0), _, _) => Some(format!("{user} must change the password at the next login")),
        (Some(_), Some(age), Some(most)) if most >= 0 && age > most => {
            Some(format!("the password of {user} is {age} days old and expired after {most}"))
        }
        _ => None,
    };
    let condition = match too_old {
        Some(what) if uses_pam(attempt)? => Condition::no(name, what),
        Some(what) => {
            Condition::yes(name, format!("{what}, which does not matter to a key where UsePAM is no"))
        }
        None => Condition::yes(name, format!("the password of {user} has not expired")),
    };
    Ok(condition.at(shadow_place(entry)))
}

/// Without PAM, sshd takes a shadow password that begins with `!` for a locked account (`platform_locked_account`).
pub(super) fn lock(attempt: &Attempt<'_>) -> Judged {
    let name = Requirement::Lock;
    let user = &attempt.account.name;
    let entry = shadow_of(attempt.facts, user)?;
    let Some(entry) = entry.filter(|entry| entry.password == PasswordState::Locked) else {
        return Ok(Condition::yes(name, format!("{user} is not locked")));
    };
    if uses_pam(attempt)? {
        let what =
            format!("the password of {user} is locked, which does not matter to a key where UsePAM is yes");
        return Ok(Condition::yes(name, what).at(shadow_place(entry)));
    }
    let decided_by = attempt.effective()?.place(Keyword::UsePam);
    Ok(Condition::no(name, format!("{user} is locked, and UsePAM is no"))
        .at(shadow_place(entry))
        .at_all(decided_by))
}

/// /etc/nologin keeps everybody but root out (sshd(8), `pam_nologin(8)`).
pub(super) fn no_login(attempt: &Attempt<'_>) -> Judged {
    let name = Requirement::NoLogin;
    if attempt.account.uid == 0 {
        return Ok(Condition::yes(name, "/etc/nologin does not keep root out"));
    }
    let paths = ["/etc/nologin", "/run/nologin"].map(Path::new);
    for path in paths {
        if attempt.facts.file(path).entry().is_some() {
            let what = format!("{} keeps everybody but root out", path.display());
            return Ok(Condition::no(name, what).at(path.display().to_string()));
        }
    }
    if !is_absent(attempt.facts, paths[0]) {
        return Err(NotKnown::new("whether /etc/nologin exists is not known", "it was not looked at"));
    }
    Ok(Condition::yes(name, "there is no /etc/nologin"))
}

fn uses_pam(attempt: &Attempt<'_>) -> Result<bool, NotKnown> {
    Ok(attempt.effective()?.is(Keyword::UsePam, "yes"))
}
