//! What sshd's configuration says of this account from this client.

use sshd_config::Keyword;

use super::{Attempt, Condition, Judged, Requirement};
use crate::people::{groups_of, has_usable_password};
use crate::ssh::{Effective, addresses_match, pattern_matches};

/// `PubkeyAuthentication` is on.
pub(super) fn public_key_login(attempt: &Attempt<'_>) -> Judged {
    let name = Requirement::PublicKeyLogin;
    let effective = attempt.effective()?;
    let condition = match effective.is(Keyword::PubkeyAuthentication, "yes") {
        true => Condition::yes(name, "PubkeyAuthentication is yes"),
        false => Condition::no(name, format!("PubkeyAuthentication is no for {}", attempt.account.name)),
    };
    Ok(condition.at_all(effective.place(Keyword::PubkeyAuthentication)))
}

/// One list of `AuthenticationMethods` is satisfied by one key, or by a key and a password that there is. What a
/// second factor behind `keyboard-interactive` asks is not known here.
pub(super) fn methods(attempt: &Attempt<'_>) -> Judged {
    let name = Requirement::Methods;
    let effective = attempt.effective()?;
    let lists = effective.list(Keyword::AuthenticationMethods);
    let mut best = Satisfied::No;
    for list in &lists {
        best = best.max(satisfied(attempt, &effective, list)?);
    }
    let (user, shown) = (&attempt.account.name, lists.join(" "));
    let condition = match best {
        Satisfied::Yes => Condition::yes(name, format!("a key satisfies AuthenticationMethods ({shown})")),
        Satisfied::Perhaps => {
            let reason = "what PAM asks behind keyboard-interactive is not known".to_owned();
            Condition::unknown(
                name,
                format!("AuthenticationMethods asks {user} for more than a key ({shown})"),
                reason,
            )
        }
        Satisfied::No => {
            Condition::no(name, format!("{user} cannot satisfy AuthenticationMethods by a key ({shown})"))
        }
    };
    Ok(condition.at_all(effective.place(Keyword::AuthenticationMethods)))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Satisfied {
    No,
    Perhaps,
    Yes,
}

fn satisfied(
    attempt: &Attempt<'_>,
    effective: &Effective,
    list: &str,
) -> Result<Satisfied, crate::judgement::NotKnown> {
    if list == "any" {
        return Ok(Satisfied::Yes);
    }
    let mut worst = Satisfied::Yes;
    let mut keys = 0;
    for method in list.split(',') {
        // `keyboard-interactive:pam` names a device.
        let method = method.split(':').next().unwrap_or(method);
        let one = match method {
            "publickey" => {
                keys += 1;
                if keys == 1 { Satisfied::Yes } else { Satisfied::Perhaps }
            }
            "password" => {
                let on = effective.is(Keyword::PasswordAuthentication, "yes");
                if on && has_usable_password(attempt.facts, &attempt.account.name)? {
                    Satisfied::Yes
                } else {
                    Satisfied::No
                }
            }
            "keyboard-interactive" if effective.is(Keyword::KbdInteractiveAuthentication, "yes") => {
                Satisfied::Perhaps
            }
            _ => Satisfied::No,
        };
        worst = worst.min(one);
    }
    // A list without a key at all is no way in by key.
    Ok(if keys == 0 { Satisfied::No } else { worst })
}

/// `DenyUsers`, `AllowUsers`, `DenyGroups`, `AllowGroups`, in that order (`allowed_user` in auth.c).
pub(super) fn allow_lists(attempt: &Attempt<'_>) -> Judged {
    let name = Requirement::AllowLists;
    let effective = attempt.effective()?;
    let user = &attempt.account.name;
    let refused =
        |keyword: Keyword, what: String| Ok(Condition::no(name, what).at_all(effective.place(keyword)));
    let user_in = |list: &[String]| list.iter().any(|pattern| user_matches(attempt, pattern));

    let denied = effective.list(Keyword::DenyUsers);
    if user_in(&denied) {
        return refused(Keyword::DenyUsers, format!("DenyUsers keeps {user} out ({})", denied.join(" ")));
    }
    let allowed = effective.list(Keyword::AllowUsers);
    if !allowed.is_empty() && !user_in(&allowed) {
        return refused(Keyword::AllowUsers, format!("AllowUsers leaves {user} out ({})", allowed.join(" ")));
    }
    let (denied, allowed) = (effective.list(Keyword::DenyGroups), effective.list(Keyword::AllowGroups));
    if !denied.is_empty() || !allowed.is_empty() {
        let groups = groups_of(attempt.facts, attempt.account)?;
        let any_in =
            |list: &[String]| groups.iter().any(|group| list.iter().any(|p| pattern_matches(group, p)));
        if any_in(&denied) {
            return refused(
                Keyword::DenyGroups,
                format!("DenyGroups keeps {user} out ({})", denied.join(" ")),
            );
        }
        if !allowed.is_empty() && !any_in(&allowed) {
            return refused(
                Keyword::AllowGroups,
                format!("AllowGroups leaves {user} out ({})", allowed.join(" ")),
            );
        }
    }
    Ok(Condition::yes(name, format!("the Allow and Deny lists let {user} in")))
}

/// `USER` or `USER@HOST`, both patterns, the host a network too (`match_user` in match.c).
fn user_matches(attempt: &Attempt<'_>, pattern: &str) -> bool {
    match pattern.split_once('@') {
        None => pattern_matches(&attempt.account.name, pattern),
        Some((user, host)) => {
            pattern_matches(&attempt.account.name, user) && addresses_match(host, attempt.connection.peer)
        }
    }
}

/// `PermitRootLogin`, where the account is root: a key is taken unless it says `no`, or asks for a forced command.
pub(super) fn root_login(attempt: &Attempt<'_>) -> Judged {
    let name = Requirement::RootLogin;
    let user = &attempt.account.name;
    if attempt.account.uid != 0 {
        return Ok(Condition::yes(name, format!("{user} is not root")));
    }
    let effective = attempt.effective()?;
    let value = effective.text(Keyword::PermitRootLogin).unwrap_or("no");
    let takes_keys = matches!(value, "yes" | "prohibit-password" | "without-password");
    let what = format!("PermitRootLogin is {value}");
    let condition = if takes_keys { Condition::yes(name, what) } else { Condition::no(name, what) };
    Ok(condition.at_all(effective.place(Keyword::PermitRootLogin)))
}

/// `MaxAuthTries` leaves at least one try.
pub(super) fn tries(attempt: &Attempt<'_>) -> Judged {
    let name = Requirement::Tries;
    let effective = attempt.effective()?;
    let condition = match effective.number(Keyword::MaxAuthTries) {
        Some(tries) if tries >= 1 => Condition::yes(name, format!("MaxAuthTries is {tries}")),
        Some(tries) => {
            Condition::no(name, format!("MaxAuthTries is {tries}: sshd refuses before the first key"))
        }
        None => Condition::unknown(name, "MaxAuthTries is not known", "it has no number"),
    };
    Ok(condition.at_all(effective.place(Keyword::MaxAuthTries)))
}

/// What is given is a shell on this host: `ForceCommand` would run another program, `ChrootDirectory` leads elsewhere,
/// and `RefuseConnection` ends it (`sshd_config(5)`).
pub(super) fn session(attempt: &Attempt<'_>) -> Judged {
    let name = Requirement::Session;
    let user = &attempt.account.name;
    let effective = attempt.effective()?;
    let set = |keyword| {
        effective.text(keyword).filter(|value| !value.is_empty() && !value.eq_ignore_ascii_case("none"))
    };
    let condition = if effective.is(Keyword::RefuseConnection, "yes") {
        let what = format!("RefuseConnection ends every session of {user}");
        Condition::no(name, what).at_all(effective.place(Keyword::RefuseConnection))
    } else if let Some(command) = set(Keyword::ForceCommand) {
        let what = format!("{user} gets no shell: ForceCommand is {command}");
        Condition::no(name, what).at_all(effective.place(Keyword::ForceCommand))
    } else if let Some(directory) = set(Keyword::ChrootDirectory) {
        let what = format!("the session of {user} is confined to {directory}");
        Condition::unknown(name, what, "what is in that directory is not known")
            .at_all(effective.place(Keyword::ChrootDirectory))
    } else {
        Condition::yes(name, format!("{user} gets a shell"))
    };
    Ok(condition)
}
