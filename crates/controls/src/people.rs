//! Accounts, groups and passwords looked up by name.

use std::path::{Path, PathBuf};

use host::Fact;
use host::facts::{Account, Facts, Group, PasswordState, Shadow, SudoListing};

use crate::judgement::NotKnown;

/// The value of a fact, or the fault that it is not known.
pub(crate) fn known<'f, T>(fact: &'f Fact<T>, what: &str) -> Result<&'f T, NotKnown> {
    match fact {
        Fact::Known(value) => Ok(value),
        Fact::Unknown(reason) => Err(NotKnown::new(format!("{what} could not be read"), reason.clone())),
    }
}

/// All accounts of passwd(5).
pub(crate) fn users(facts: &Facts) -> Result<&[Account], NotKnown> {
    known(&facts.accounts.users, "/etc/passwd").map(Vec::as_slice)
}

/// All entries of shadow(5).
pub(crate) fn shadow(facts: &Facts) -> Result<&[Shadow], NotKnown> {
    known(&facts.accounts.shadow, "/etc/shadow").map(Vec::as_slice)
}

/// All groups of group(5).
pub(crate) fn groups(facts: &Facts) -> Result<&[Group], NotKnown> {
    known(&facts.accounts.groups, "/etc/group").map(Vec::as_slice)
}

/// An account by its name. The first line of a name counts, as in getpwnam(3).
pub(crate) fn account<'f>(facts: &'f Facts, name: &str) -> Result<Option<&'f Account>, NotKnown> {
    Ok(users(facts)?.iter().find(|user| user.name == name))
}

/// The shadow(5) entry of a name.
pub(crate) fn shadow_of<'f>(facts: &'f Facts, name: &str) -> Result<Option<&'f Shadow>, NotKnown> {
    Ok(shadow(facts)?.iter().find(|entry| entry.name == name))
}

/// The names of all groups that an account is in, the primary one first.
pub(crate) fn groups_of(facts: &Facts, account: &Account) -> Result<Vec<String>, NotKnown> {
    let groups = groups(facts)?;
    let primary = groups.iter().filter(|group| group.gid == account.gid);
    let others =
        groups.iter().filter(|group| group.gid != account.gid && group.members.contains(&account.name));
    Ok(primary.chain(others).map(|group| group.name.clone()).collect())
}

/// The ids of all groups that an account is in.
pub(crate) fn group_ids_of(facts: &Facts, account: &Account) -> Result<Vec<u32>, NotKnown> {
    let others =
        groups(facts)?.iter().filter(|group| group.members.contains(&account.name)).map(|group| group.gid);
    Ok(std::iter::once(account.gid).chain(others).collect())
}

/// Whether a password can be typed that this account would be let in by.
pub(crate) fn has_usable_password(facts: &Facts, name: &str) -> Result<bool, NotKnown> {
    Ok(shadow_of(facts, name)?.is_some_and(|entry| match entry.password {
        PasswordState::Usable { .. } => true,
        PasswordState::Empty | PasswordState::Locked | PasswordState::Impossible => false,
    }))
}

/// What sudo grants a name.
pub(crate) fn sudo_of<'f>(facts: &'f Facts, name: &str) -> Result<&'f SudoListing, NotKnown> {
    match facts.sudo.get(name) {
        Some(listing) => known(listing, &format!("what sudo grants {name}")),
        None => Err(NotKnown::new(format!("what sudo grants {name} could not be read"), "was not looked at")),
    }
}

/// The login shell, `/bin/sh` where the field is empty (passwd(5)).
pub(crate) fn shell_of(account: &Account) -> PathBuf {
    if account.shell.as_os_str().is_empty() { PathBuf::from("/bin/sh") } else { account.shell.clone() }
}

/// Whether a shell turns every login away: nologin(8), false(1), or one of the commands that the base system has for
/// accounts of their own, which do one thing and end.
pub(crate) fn turns_away(shell: &Path) -> bool {
    matches!(
        shell.file_name().and_then(|name| name.to_str()),
        Some("nologin" | "false" | "sync" | "halt" | "shutdown")
    )
}

/// `/etc/passwd:LINE`.
pub(crate) fn passwd_place(account: &Account) -> String {
    format!("/etc/passwd:{}", account.line)
}

/// `/etc/shadow:LINE`.
pub(crate) fn shadow_place(entry: &Shadow) -> String {
    format!("/etc/shadow:{}", entry.line)
}
