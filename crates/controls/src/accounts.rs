//! US: who may administer, and how.
//!
//! US1 and US2, whether the administrators can get in and become root, stand in [`crate::entrance`].

use host::Fact;
use host::facts::{PasswordState, Shadow};
use policy::{Admin, Sudo};

use crate::finding::Severity;
use crate::judgement::{Fault, Judged, NotKnown, Subject, Verdict};
use crate::people::{
    has_usable_password, known, passwd_place, shadow, shadow_of, shadow_place, shell_of, turns_away, users,
};
use crate::permissions::{Demand, check_path};

/// No password is as old as this in days, so an age beyond it never matters.
const NEVER: i64 = 10_000;

/// Only root has user id 0. Source: passwd(5).
pub(crate) fn us3_only_root_is_uid_0(subject: &Subject<'_>) -> Judged {
    let others = users(subject.facts)?.iter().filter(|user| user.uid == 0 && user.name != "root");
    let faults = others.map(|user| {
        Fault::new(format!("{} is root under another name (user id 0)", user.name))
            .decided_by(passwd_place(user))
            .ask(format!("give {} an id of its own, or remove it: userdel {}", user.name, user.name))
    });
    Ok(faults.collect::<Vec<_>>().into())
}

/// No account is let in without a password: neither passwd(5) nor shadow(5) has an empty password field.
/// Source: passwd(5), shadow(5).
pub(crate) fn us4_no_empty_password(subject: &Subject<'_>) -> Judged {
    let mut faults = Vec::new();
    for user in users(subject.facts)?.iter().filter(|user| user.passwd_field_empty) {
        faults.push(empty_password(&user.name, passwd_place(user)));
    }
    for entry in shadow(subject.facts)?.iter().filter(|entry| entry.password == PasswordState::Empty) {
        faults.push(empty_password(&entry.name, shadow_place(entry)));
    }
    Ok(faults.into())
}

fn empty_password(name: &str, place: String) -> Fault {
    Fault::new(format!("{name} needs no password"))
        .decided_by(place)
        .command(format!("passwd -l {name}"), format!("passwd -d {name}"))
}

/// The sudoers files are accepted by `visudo -c`, and only root can change them. Source: sudoers(5).
pub(crate) fn us5_sudoers_are_sound(subject: &Subject<'_>) -> Judged {
    let sudoers = &subject.facts.sudoers;
    let files = known(&sudoers.files, "the sudoers files")?;
    if files.is_empty() {
        return Ok(Verdict::silent("there are no sudoers files"));
    }
    let mut faults = Vec::new();
    match known(&sudoers.check, "what visudo says of the sudoers files") {
        Ok(None) => {}
        Ok(Some(complaint)) => faults.push(
            Fault::new(format!("visudo refuses the sudoers files: {}", complaint.trim()))
                .decided_by_all(files.iter().map(|file| file.display().to_string()))
                .ask("correct the line that it names with visudo"),
        ),
        // In an image there is nobody to ask: that its lines were not understood would be among the problems.
        Err(unknown) if subject.is_image() => faults.push(Fault::from(unknown).severity(Severity::Low)),
        Err(unknown) => faults.push(unknown.into()),
    }
    if !matches!(&sudoers.check, Fact::Known(None)) {
        let problems = subject.facts.problems.iter().filter(|problem| files.contains(&problem.path));
        faults.extend(problems.map(|problem| {
            let line = problem.line.map(|line| format!(":{line}")).unwrap_or_default();
            Fault::new(format!("a line of sudoers is not understood: {}", problem.what))
                .decided_by(format!("{}{line}", problem.path.display()))
                .ask("correct it with visudo")
        }));
    }
    for file in files {
        faults.extend(check_path(subject.facts, file, Demand::ROOT_ALONE_WRITES));
    }
    Ok(faults.into())
}

/// Only accounts that the policy means to are spared sudo's password: an `[[admin]]` with `sudo = "no-password"`, or
/// one without a usable password. Source: sudoers(5).
pub(crate) fn us6_sudo_without_password(subject: &Subject<'_>) -> Judged {
    if known(&subject.facts.sudoers.files, "the sudoers files")?.is_empty() {
        return Ok(Verdict::silent("there are no sudoers files"));
    }
    let mut faults = Vec::new();
    for (name, listing) in &subject.facts.sudo {
        let listing = match known(listing, &format!("what sudo grants {name}")) {
            Ok(listing) => listing,
            Err(unknown) => {
                faults.push(unknown.into());
                continue;
            }
        };
        let spared = listing.no_password || !listing.no_password_rules.is_empty();
        if name == "root" || !spared || may_be_spared(subject, name)? {
            continue;
        }
        let (severity, extent) = match listing.all && listing.no_password {
            true => (Severity::Medium, "everything"),
            false => (Severity::Low, "some commands"),
        };
        faults.push(
            Fault::new(format!("{name} may run {extent} as root without a password"))
                .severity(severity)
                .decided_by_all(listing.no_password_rules.iter().cloned())
                .ask(format!(
                    "take NOPASSWD out with visudo, or say sudo = \"no-password\" for {name} in the policy"
                )),
        );
    }
    Ok(faults.into())
}

fn may_be_spared(subject: &Subject<'_>, name: &str) -> Result<bool, NotKnown> {
    match subject.policy.admins.iter().find(|admin| admin.name == name) {
        Some(Admin { sudo: Sudo::NoPassword, .. }) => Ok(true),
        Some(Admin { sudo: Sudo::Password, .. }) => Ok(false),
        Some(Admin { sudo: Sudo::Auto, .. }) => Ok(!has_usable_password(subject.facts, name)?),
        None => Ok(subject.policy.admins.is_empty() && !has_usable_password(subject.facts, name)?),
    }
}

/// The password of an administrator who has none to type cannot expire: sshd would ask for a change that nobody can
/// make, even after a login by key. Source: shadow(5), chage(1).
pub(crate) fn us7_no_expiry_trap(subject: &Subject<'_>) -> Judged {
    shadow(subject.facts)?;
    if subject.admins().is_empty() {
        return Ok(Verdict::silent("nobody administers this host: see US1"));
    }
    let mut faults = Vec::new();
    for name in subject.admins() {
        let Some(entry) = shadow_of(subject.facts, name)? else {
            continue;
        };
        if matches!(entry.password, PasswordState::Usable { .. }) {
            continue;
        }
        if let Some(max_age) = entry.max_age.filter(|age| (0..NEVER).contains(age)) {
            faults.push(expiring(subject, entry, max_age));
        }
        if entry.last_change == Some(0) {
            let fault = Fault::new(format!("{name} must change a password that it does not have"))
                .decided_by(shadow_place(entry));
            faults.push(match is_of_policy(subject, name) {
                true => fault.apply(),
                false => fault.command(format!("chage -d -1 {name}"), format!("chage -d 0 {name}")),
            });
        }
    }
    Ok(faults.into())
}

fn is_of_policy(subject: &Subject<'_>, name: &str) -> bool {
    subject.policy.admins.iter().any(|admin| admin.name == name)
}

fn expiring(subject: &Subject<'_>, entry: &Shadow, max_age: i64) -> Fault {
    let name = &entry.name;
    let fault =
        Fault::new(format!("the password of {name}, who has none to type, expires after {max_age} days"))
            .decided_by(shadow_place(entry));
    match is_of_policy(subject, name) {
        true => fault.apply(),
        false => fault.command(format!("chage -M -1 {name}"), format!("chage -M {max_age} {name}")),
    }
}

/// System accounts (user ids below 1000 but root's) have no shell, except the few whose shell is their purpose.
/// Source: login.defs(5) `UID_MIN`; CIS Debian 12 5.4.2.7.
pub(crate) fn us10_system_accounts_have_no_shell(subject: &Subject<'_>) -> Judged {
    let least = match subject.facts.accounts.login_defs.known().and_then(|defs| defs.get("UID_MIN")) {
        Some(text) => text.parse().unwrap_or(1000),
        None => 1000,
    };
    let mut faults = Vec::new();
    for user in users(subject.facts)?.iter().filter(|user| user.uid != 0 && user.uid < least) {
        if !turns_away(&shell_of(user)) && has_usable_password(subject.facts, &user.name)? {
            faults.push(
                Fault::new(format!("the system account {} has a shell and a password", user.name))
                    .decided_by(passwd_place(user))
                    .command(
                        format!("usermod -s /usr/sbin/nologin {}", user.name),
                        format!("usermod -s {} {}", shell_of(user).display(), user.name),
                    ),
            );
        }
    }
    Ok(faults.into())
}

/// The account files belong to root, nobody else writes them, and nobody but root and the group `shadow` reads the
/// password hashes. Source: passwd(5), shadow(5); CIS Debian 12 7.1.1 to 7.1.8.
#[expect(clippy::unnecessary_wraps, reason = "every control answers in this form")]
pub(crate) fn us11_account_files(subject: &Subject<'_>) -> Judged {
    let files = [
        ("/etc/passwd", Demand::ROOT_ALONE_WRITES),
        ("/etc/group", Demand::ROOT_ALONE_WRITES),
        ("/etc/shadow", Demand::SECRET),
        ("/etc/gshadow", Demand::SECRET.where_present()),
        ("/etc/passwd-", Demand::ROOT_ALONE_WRITES.where_present()),
        ("/etc/group-", Demand::ROOT_ALONE_WRITES.where_present()),
        ("/etc/shadow-", Demand::SECRET.where_present()),
        ("/etc/gshadow-", Demand::SECRET.where_present()),
    ];
    let faults =
        files.into_iter().flat_map(|(path, demand)| check_path(subject.facts, path.as_ref(), demand));
    Ok(faults.collect::<Vec<_>>().into())
}

#[cfg(test)]
mod tests;
