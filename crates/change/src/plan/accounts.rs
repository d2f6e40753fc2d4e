//! The administrators: account, group, keys, password, sudo.

use std::path::{Path, PathBuf};

use host::facts::{Account, Group, PasswordState};
use policy::{Admin, Password, Policy, Sudo};

use super::PlanError;
use super::draft::{Draft, Reason, WantedFile, known};
use crate::action::{Action, Owner, Risk, Secret, UserChange};
use crate::hex::Sha256;

/// Sorts behind the others: in sudoers the last rule that matches wins.
pub(super) const SUDOERS: &str = "/etc/sudoers.d/zz-gabion";

const SUDOERS_HEAD: &str = "# Written by gabion: the administrators of its policy.\n";

/// An age in days that no password reaches.
const NEVER_EXPIRES_FROM: i64 = 10_000;

pub(super) fn draw(draft: &mut Draft<'_>, policy: &Policy) -> Result<(), PlanError> {
    if policy.admins.is_empty() {
        draft.note("the policy names no [[admin]]: accounts are left as they are");
        return Ok(());
    }
    let group = draft.facts.system.admin_group.known().cloned();
    if group.is_none() {
        draft.note("no group may use sudo on this host: install sudo (on Debian: apt-get install sudo)");
    }
    let group = group.as_deref();
    let mut without_password = Vec::new();
    for admin in &policy.admins {
        let account = find(draft, &admin.name)?;
        let home = match account {
            Some(account) => existing(draft, admin, account, group)?,
            None => create(draft, admin, group)?,
        };
        draw_keys(draft, admin, &home)?;
        if !asks_for_password(draft, admin) {
            without_password.push(admin.name.as_str());
        }
    }
    if group.is_none() {
        return Ok(());
    }
    draw_sudoers(draft, &without_password)
}

fn find<'a>(draft: &Draft<'a>, name: &str) -> Result<Option<&'a Account>, PlanError> {
    let users = known(&draft.facts.accounts.users, "/etc/passwd")?;
    Ok(users.iter().find(|user| user.name == name))
}

fn create(draft: &mut Draft<'_>, admin: &Admin, group: Option<&str>) -> Result<PathBuf, PlanError> {
    let groups = known(&draft.facts.accounts.groups, "/etc/group")?;
    if groups.iter().any(|group| group.name == admin.name) {
        // useradd(8) makes a group of the account's own name, and refuses where there is one.
        return Err(PlanError::Impossible {
            what: format!("the account {} cannot be made, for there is a group of that name", admin.name),
            hint: "name another account in the policy, or remove the group (groupdel)".to_owned(),
        });
    }
    let home = Path::new("/home").join(&admin.name);
    let shell = admin.shell.clone().unwrap_or_else(|| default_shell(draft));
    let why = format!("{} administers this host instead of root", admin.name);
    let reason = Reason { why: &why, controls: &["US1", "US2"], risk: Risk::None };
    let in_group = group.map(|group| format!(", group {group}")).unwrap_or_default();
    let shows = format!("{}: home {}, shell {}{in_group}", admin.name, home.display(), shell.display());
    let action = Action::CreateUser {
        name: admin.name.clone(),
        shell,
        home: home.clone(),
        groups: group.map(str::to_owned).into_iter().collect(),
    };
    draft.step(action, shows, reason);
    if let Password::Hash(hash) = &admin.password {
        set_password(draft, &admin.name, hash);
    }
    Ok(home)
}

/// bash where the host has it, as people expect; otherwise sh.
fn default_shell(draft: &Draft<'_>) -> PathBuf {
    let shells = draft.facts.accounts.shells.known();
    let bash = shells.and_then(|shells| shells.iter().find(|shell| shell.ends_with("bin/bash")));
    bash.cloned().unwrap_or_else(|| PathBuf::from("/bin/sh"))
}

fn existing(
    draft: &mut Draft<'_>,
    admin: &Admin,
    account: &Account,
    group: Option<&str>,
) -> Result<PathBuf, PlanError> {
    if let Some(group) = group {
        join_group(draft, admin, account, group)?;
    }
    if let Some(shell) = admin.shell.as_ref().filter(|shell| **shell != account.shell) {
        let shell = shell.clone();
        change(draft, admin, UserChange::SetShell { shell }, "the policy names this shell", &["US1"]);
    }
    draw_password(draft, admin)?;
    for (path, mode) in [(account.home.clone(), 0o022), (account.home.join(".ssh"), 0o022)] {
        tighten(draft, &path, mode, &admin.name)?;
    }
    Ok(account.home.clone())
}

fn join_group(draft: &mut Draft<'_>, admin: &Admin, account: &Account, group: &str) -> Result<(), PlanError> {
    let groups = known(&draft.facts.accounts.groups, "/etc/group")?;
    let is_member = |row: &Group| row.gid == account.gid || row.members.contains(&account.name);
    if !groups.iter().any(|row| row.name == group && is_member(row)) {
        let why = format!("{} becomes root through sudo", admin.name);
        change(draft, admin, UserChange::AddToGroup { group: group.to_owned() }, &why, &["US2"]);
    }
    Ok(())
}

fn change(draft: &mut Draft<'_>, admin: &Admin, change: UserChange, why: &str, controls: &[&str]) {
    let shows = match &change {
        UserChange::AddToGroup { group } => format!("{}: group {group}", admin.name),
        UserChange::LockPassword => format!("{}: password locked", admin.name),
        UserChange::SetPasswordHash { .. } => format!("{}: password set to the policy's hash", admin.name),
        UserChange::SetShell { shell } => format!("{}: shell {}", admin.name, shell.display()),
        UserChange::NeverExpirePassword => format!("{}: the password does not expire", admin.name),
    };
    let action = Action::ChangeUser { name: admin.name.clone(), change };
    draft.step(action, shows, Reason { why, controls, risk: Risk::None });
}

fn draw_password(draft: &mut Draft<'_>, admin: &Admin) -> Result<(), PlanError> {
    let rows = known(&draft.facts.accounts.shadow, "/etc/shadow")?;
    let Some(row) = rows.iter().find(|row| row.name == admin.name) else {
        return Ok(());
    };
    match (&admin.password, &row.password) {
        (Password::Locked, PasswordState::Usable { .. } | PasswordState::Empty) => {
            change(draft, admin, UserChange::LockPassword, "the policy locks this password", &["US4"]);
        }
        (Password::Keep, PasswordState::Empty) => {
            change(draft, admin, UserChange::LockPassword, "an empty password lets anybody in", &["US4"]);
        }
        (Password::Hash(hash), PasswordState::Usable { digest, .. })
            if *digest == Sha256::of(hash.as_bytes()).to_string() => {}
        (Password::Hash(hash), _) => set_password(draft, &admin.name, hash),
        (Password::Locked, PasswordState::Locked | PasswordState::Impossible)
        | (
            Password::Keep,
            PasswordState::Locked | PasswordState::Impossible | PasswordState::Usable { .. },
        ) => {}
    }
    if row.max_age.is_some_and(|days| (0..NEVER_EXPIRES_FROM).contains(&days)) || row.last_change == Some(0) {
        let why = "an expired password shuts out a login by key as well";
        change(draft, admin, UserChange::NeverExpirePassword, why, &["US7"]);
    }
    Ok(())
}

fn set_password(draft: &mut Draft<'_>, name: &str, hash: &str) {
    let action = Action::ChangeUser {
        name: name.to_owned(),
        change: UserChange::SetPasswordHash { hash: Secret(hash.to_owned()) },
    };
    let reason =
        Reason { why: "the policy gives this account a password", controls: &["US2"], risk: Risk::None };
    draft.step(action, format!("{name}: password set to the policy's hash"), reason);
}

/// Takes write permission from everybody but the owner: with it, sshd ignores the keys below.
fn tighten(draft: &mut Draft<'_>, path: &Path, forbidden: u32, name: &str) -> Result<(), PlanError> {
    let Some(entry) = draft.entry(path)? else {
        return Ok(());
    };
    if entry.mode & forbidden == 0 {
        return Ok(());
    }
    let mode = entry.mode & !forbidden;
    let why = format!("sshd ignores the keys of {name} while others may write here");
    draft.attributes(
        path,
        mode,
        &Owner::Keep,
        Reason { why: &why, controls: &["SH29"], risk: Risk::None },
    )?;
    Ok(())
}

/// Adds the policy's keys to what is there; takes none away.
fn draw_keys(draft: &mut Draft<'_>, admin: &Admin, home: &Path) -> Result<(), PlanError> {
    let path = home.join(".ssh/authorized_keys");
    let now = match draft.entry(&path)? {
        Some(entry) => entry.content.as_ref().map(|content| content.0.clone()).unwrap_or_default(),
        None => Vec::new(),
    };
    let missing = missing_keys(&now, &admin.keys);
    let present = draft.entry(&path)?.is_some();
    if missing.is_empty() && !present {
        return Ok(());
    }
    let mut contents = now;
    if !contents.is_empty() && !contents.ends_with(b"\n") {
        contents.push(b'\n');
    }
    if missing.is_empty() {
        tighten(draft, &path, 0o022, &admin.name)?;
        return Ok(());
    }
    for key in missing {
        contents.extend_from_slice(key.trim().as_bytes());
        contents.push(b'\n');
    }
    let why = format!("{} logs in by key", admin.name);
    let wanted = WantedFile { path, contents, mode: 0o600, owner: Owner::Account(admin.name.clone()) };
    draft.file(wanted, Reason { why: &why, controls: &["US1", "SH29"], risk: Risk::None })?;
    Ok(())
}

/// The keys that are not in the file yet, told apart by their blob and not by their comment.
fn missing_keys<'k>(now: &[u8], keys: &'k [String]) -> Vec<&'k str> {
    let text = String::from_utf8_lossy(now);
    let present = |blob: &str| {
        text.lines()
            .filter(|line| !line.trim_start().starts_with('#'))
            .any(|line| line.split_whitespace().any(|word| word == blob))
    };
    let blob = |key: &str| key.split_whitespace().nth(1).map(str::to_owned);
    keys.iter().map(String::as_str).filter(|key| blob(key).is_none_or(|blob| !present(&blob))).collect()
}

/// Whether sudo will ask this admin for a password.
fn asks_for_password(draft: &Draft<'_>, admin: &Admin) -> bool {
    match admin.sudo {
        Sudo::Password => true,
        Sudo::NoPassword => false,
        Sudo::Auto => match &admin.password {
            Password::Hash(_) => true,
            Password::Locked => false,
            Password::Keep => has_usable_password(draft, &admin.name),
        },
    }
}

fn has_usable_password(draft: &Draft<'_>, name: &str) -> bool {
    let rows = draft.facts.accounts.shadow.known();
    let row = rows.and_then(|rows| rows.iter().find(|row| row.name == name));
    row.is_some_and(|row| matches!(row.password, PasswordState::Usable { .. }))
}

fn draw_sudoers(draft: &mut Draft<'_>, without_password: &[&str]) -> Result<(), PlanError> {
    let path = PathBuf::from(SUDOERS);
    if without_password.is_empty() && draft.entry(&path)?.is_none() {
        return Ok(());
    }
    let mut text = SUDOERS_HEAD.to_owned();
    for name in without_password {
        text.push_str(&format!("{name} ALL=(ALL:ALL) NOPASSWD: ALL\n"));
    }
    let wanted = WantedFile { path, contents: text.into_bytes(), mode: 0o440, owner: Owner::Root };
    let why = "an account without a password cannot be asked for one";
    draft.file(wanted, Reason { why, controls: &["US2"], risk: Risk::None })?;
    Ok(())
}
