//! The facts as they will be once a plan is carried out.
//!
//! This is what lets the lock-out guard ask of a plan the same question that an audit asks of a host. A new action does not
//! compile until it says here what it changes.

mod iptables;

use std::path::{Path, PathBuf};

use host::Facts;
use host::facts::{Account, Content, Entry, EntryKind, Fact, FileFact, Group, PasswordState, Shadow};

use super::Plan;
use crate::action::{Action, AtBoot, Before, Owner, ServiceState, UserChange};
use crate::hex::Sha256;

impl Plan {
    /// Replaces in the facts what each step replaces on the host.
    pub fn project(&self, facts: &Facts) -> Facts {
        let mut projected = facts.clone();
        for step in &self.steps {
            apply(&mut projected, &step.action);
        }
        host::judge_sudo_again(&mut projected);
        projected
    }
}

fn apply(facts: &mut Facts, action: &Action) {
    match action {
        Action::WriteFile { path, contents, mode, owner, before } => {
            let kept = matches!(before, Before::File(_)).then(|| facts.file(path).entry().cloned()).flatten();
            let (uid, gid) = ids(facts, owner, kept.as_ref());
            let entry = Entry {
                kind: EntryKind::File,
                mode: *mode,
                uid,
                gid,
                size: contents.0.len() as u64,
                content: Some(Content(contents.0.clone())),
                ..Entry::default()
            };
            facts.put(path, entry);
        }
        Action::InstallProgram { path, .. } => {
            facts.put(path, Entry { kind: EntryKind::File, mode: 0o755, ..Entry::default() });
        }
        Action::MakeDirectory { path, mode, owner } => {
            let (uid, gid) = ids(facts, owner, None);
            // New, and so known to be empty: an `Include` or `@includedir` of it finds nothing.
            facts.put(path, Entry { names: Some(Vec::new()), ..directory(*mode, uid, gid) });
        }
        Action::MakeSymlink { path, target, .. } => {
            facts.put(
                path,
                Entry { kind: EntryKind::Symlink(target.clone()), mode: 0o777, ..Entry::default() },
            );
        }
        Action::SetAttributes { path, mode, owner, .. } => {
            if let Some(mut entry) = facts.file(path).entry().cloned() {
                (entry.uid, entry.gid) = ids(facts, owner, Some(&entry));
                entry.mode = *mode;
                facts.put(path, entry);
            }
        }
        Action::RemoveFile { path, .. } => facts.take(path),
        Action::CreateUser { name, shell, home, groups } => create_user(facts, name, shell, home, groups),
        Action::ChangeUser { name, change } => change_user(facts, name, change),
        Action::LoadFirewall { ruleset, .. } => {
            if let Fact::Known(now) = &mut facts.firewall.ruleset {
                let table = ruleset.table();
                now.tables.retain(|known| known.id() != table.id());
                now.tables.push(table.clone());
            }
        }
        Action::EditIptables { variant, edits } => iptables::edit(facts, *variant, edits),
        Action::UnloadTable { before } => {
            if let Fact::Known(now) = &mut facts.firewall.ruleset {
                now.tables.retain(|table| table.id() != before.id());
            }
        }
        Action::SwitchService { unit, to, .. } => switch_service(facts, unit, *to),
        Action::ReloadSsh { .. } | Action::ReloadUnits | Action::ProveLogins { .. } => {}
    }
}

fn switch_service(facts: &mut Facts, name: &str, to: ServiceState) {
    let at_boot = match to.at_boot {
        AtBoot::Enabled => "enabled",
        AtBoot::Disabled => "disabled",
        AtBoot::Masked => "masked",
    };
    if let Fact::Known(units) = &mut facts.system.units {
        for unit in units.iter_mut().filter(|unit| unit.name == name) {
            unit.loaded = to.at_boot != AtBoot::Masked;
            unit.active = if to.active { "active" } else { "inactive" }.to_owned();
            unit.enabled = at_boot.to_owned();
        }
    }
    if let Fact::Known(managers) = &mut facts.firewall.managers {
        for manager in managers.iter_mut().filter(|manager| manager.name == name) {
            manager.active = to.active;
            manager.enabled = to.at_boot == AtBoot::Enabled;
        }
        managers.retain(|manager| manager.active || manager.enabled);
    }
}

fn directory(mode: u32, uid: u32, gid: u32) -> Entry {
    Entry { kind: EntryKind::Directory, mode, uid, gid, ..Entry::default() }
}

fn ids(facts: &Facts, owner: &Owner, kept: Option<&Entry>) -> (u32, u32) {
    match owner {
        Owner::Keep => kept.map_or((0, 0), |entry| (entry.uid, entry.gid)),
        Owner::Root => (0, 0),
        Owner::Account(name) => {
            let users = facts.accounts.users.known();
            let user = users.and_then(|users| users.iter().find(|user| user.name == *name));
            // An account that is not there owns nothing: no real id, so that the guard sees it.
            user.map_or((u32::MAX, u32::MAX), |user| (user.uid, user.gid))
        }
    }
}

/// The first id from 1000 on that nobody has: close enough to what useradd picks, and equal in what matters.
fn free_id(taken: impl Iterator<Item = u32>) -> u32 {
    let taken: std::collections::BTreeSet<u32> = taken.collect();
    (1000..60_000).find(|id| !taken.contains(id)).unwrap_or(60_000)
}

fn create_user(facts: &mut Facts, name: &str, shell: &Path, home: &Path, groups: &[String]) {
    let today = facts.today;
    let (Fact::Known(users), Fact::Known(rows)) = (&mut facts.accounts.users, &mut facts.accounts.groups)
    else {
        return;
    };
    let uid = free_id(users.iter().map(|user| user.uid));
    let gid = free_id(rows.iter().map(|row| row.gid));
    users.push(Account {
        name: name.to_owned(),
        uid,
        gid,
        home: home.to_owned(),
        shell: shell.to_owned(),
        passwd_field_empty: false,
        line: users.len() + 1,
    });
    for row in rows.iter_mut().filter(|row| groups.contains(&row.name)) {
        row.members.push(name.to_owned());
    }
    rows.push(Group { name: name.to_owned(), gid, members: Vec::new(), line: rows.len() + 1 });
    if let Fact::Known(shadow) = &mut facts.accounts.shadow {
        let line = shadow.len() + 1;
        shadow.push(Shadow {
            name: name.to_owned(),
            password: PasswordState::Locked,
            last_change: Some(today),
            max_age: Some(99_999),
            inactive: None,
            expires: None,
            line,
        });
    }
    facts.put(home, directory(0o755, uid, gid));
}

fn change_user(facts: &mut Facts, name: &str, change: &UserChange) {
    let today = facts.today;
    match change {
        UserChange::AddToGroup { group } => {
            if let Fact::Known(rows) = &mut facts.accounts.groups {
                for row in rows.iter_mut().filter(|row| row.name == *group) {
                    row.members.push(name.to_owned());
                }
            }
        }
        UserChange::SetShell { shell } => {
            if let Fact::Known(users) = &mut facts.accounts.users {
                for user in users.iter_mut().filter(|user| user.name == name) {
                    user.shell.clone_from(shell);
                }
            }
        }
        UserChange::LockPassword => with_shadow(facts, name, |row| row.password = PasswordState::Locked),
        UserChange::SetPasswordHash { hash } => with_shadow(facts, name, |row| {
            row.password = PasswordState::Usable {
                method: hash.0.split('$').nth(1).unwrap_or("des").to_owned(),
                digest: Sha256::of(hash.0.as_bytes()).to_string(),
            };
            row.last_change = Some(today);
        }),
        UserChange::NeverExpirePassword => with_shadow(facts, name, |row| {
            row.max_age = None;
            row.last_change = row.last_change.filter(|day| *day != 0).or(Some(today));
        }),
    }
}

fn with_shadow(facts: &mut Facts, name: &str, mut change: impl FnMut(&mut Shadow)) {
    if let Fact::Known(rows) = &mut facts.accounts.shadow {
        rows.iter_mut().filter(|row| row.name == name).for_each(&mut change);
    }
}

/// Writing to the files of a set of facts.
trait Edit {
    fn put(&mut self, path: &Path, entry: Entry);
    fn take(&mut self, path: &Path);
}

impl Edit for Facts {
    fn put(&mut self, path: &Path, entry: Entry) {
        // Whoever looks through a link on the way, as `/home -> /data/home`, looks at the path behind it.
        if let Some(real) = behind_links(self, path) {
            self.files.insert(real.clone(), FileFact::Present(entry.clone()));
            list(self, &real, true);
        }
        self.files.insert(path.to_owned(), FileFact::Present(entry));
        list(self, path, true);
    }

    fn take(&mut self, path: &Path) {
        self.files.insert(path.to_owned(), FileFact::Absent);
        list(self, path, false);
    }
}

/// The path with a link above it followed; none where there is no link.
fn behind_links(facts: &Facts, path: &Path) -> Option<PathBuf> {
    let link = |above: &&Path| {
        facts.file(above).entry().is_some_and(|entry| matches!(entry.kind, EntryKind::Symlink(_)))
    };
    let above = path.ancestors().skip(1).find(link)?;
    let real = facts.file(above).entry()?.resolved.as_ref()?;
    Some(real.join(path.strip_prefix(above).ok()?))
}

/// Keeps the listing of the directory above a path true: includes with globs are resolved from it.
fn list(facts: &mut Facts, path: &Path, there: bool) {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return;
    };
    let Some(FileFact::Present(directory)) = facts.files.get_mut(parent) else {
        return;
    };
    let Some(names) = &mut directory.names else { return };
    names.retain(|known| known != name);
    if there {
        names.push(name.to_owned());
        names.sort();
    }
}
