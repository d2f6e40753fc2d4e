//! The last step: real logins over loopback that show that what must work works, and what must be refused is refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use policy::{Admin, Policy};

use super::draft::{Draft, Reason};
use crate::action::{Action, LoginBy, LoginProof, Risk, UserChange};

/// Adds the proof where a step touches the SSH server or an administrator, and the host can be asked.
pub(super) fn draw(draft: &mut Draft<'_>, policy: &Policy) {
    let touches_logins = draft.any(|action| match action {
        Action::ReloadSsh { .. } | Action::CreateUser { .. } | Action::ChangeUser { .. } => true,
        Action::WriteFile { path, .. } | Action::SetAttributes { path, .. } => {
            path.ends_with("authorized_keys")
        }
        Action::InstallProgram { .. }
        | Action::MakeDirectory { .. }
        | Action::MakeSymlink { .. }
        | Action::RemoveFile { .. }
        | Action::ReloadUnits
        | Action::SwitchService { .. }
        | Action::EditIptables { .. }
        | Action::UnloadTable { .. }
        | Action::LoadFirewall { .. }
        | Action::ProveLogins { .. } => false,
    });
    if !touches_logins {
        return;
    }
    let programs = &draft.facts.system.programs;
    if ["ssh", "ssh-keygen"].iter().any(|name| !programs.contains_key(*name)) {
        draft.note("no SSH client on this host: real logins are not tried");
        return;
    }
    let servers = loopback_servers(draft);
    if servers.is_empty() {
        draft.note("no SSH server listens on loopback: real logins are not tried");
        return;
    }
    let mut logins = Vec::new();
    for server in &servers {
        logins.extend(policy.admins.iter().filter_map(|admin| by_key(draft, admin, *server)));
    }
    for server in &servers {
        if !policy.ssh.root_login {
            logins.push(root_by_key(*server));
        }
        if !policy.ssh.password_login {
            logins.extend(policy.admins.iter().map(|admin| by_password(&admin.name, *server)));
            logins.push(by_password("root", *server));
        }
    }
    if logins.is_empty() {
        return;
    }
    let shows = logins.iter().map(describe).collect::<Vec<_>>().join("\n");
    let reason = Reason {
        why: "real logins show that the way in works and that the others are closed",
        controls: &["US1", "US2", "SH1", "SH2", "SH5"],
        risk: Risk::CutOff,
    };
    draft.step(Action::ProveLogins { logins }, shows, reason);
}

/// Where sshd takes connections from this very host, one of each family.
fn loopback_servers(draft: &Draft<'_>) -> Vec<SocketAddr> {
    let listens: Vec<SocketAddr> = controls::ssh::listens(draft.facts);
    let reachable = |loopback: IpAddr| {
        let port = listens.iter().find_map(|socket| {
            let same_family = socket.is_ipv4() == loopback.is_ipv4();
            (same_family && (socket.ip().is_unspecified() || socket.ip() == loopback))
                .then_some(socket.port())
        });
        port.map(|port| SocketAddr::new(loopback, port))
    };
    let families = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    families.into_iter().filter(|address| has_address(draft, *address)).filter_map(reachable).collect()
}

fn has_address(draft: &Draft<'_>, wanted: IpAddr) -> bool {
    let addresses = draft.facts.network.addresses.known();
    addresses.is_some_and(|addresses| addresses.iter().any(|address| address.address.addr() == wanted))
}

fn by_key(draft: &Draft<'_>, admin: &Admin, server: SocketAddr) -> Option<LoginProof> {
    // A policy that lets an account in from some addresses alone says nothing about loopback.
    if !controls::ssh::admits(draft.facts, &admin.name, server) {
        return None;
    }
    let account = draft.facts.accounts.users.known()?.iter().find(|user| user.name == admin.name);
    let home = account.map_or_else(|| Path::new("/home").join(&admin.name), |account| account.home.clone());
    let without_password = draft.any(|action| {
        matches!(action, Action::WriteFile { path, contents, .. } if path.ends_with("zz-gabion")
            && String::from_utf8_lossy(&contents.0).lines().any(|line| line.starts_with(&format!("{} ", admin.name))))
    }) || draft.facts.sudo.get(&admin.name).and_then(|fact| fact.known()).is_some_and(|sudo| sudo.all && sudo.no_password);
    let has_sudo = draft.facts.system.programs.contains_key("sudo");
    let password_set = draft.any(|action| {
        matches!(action, Action::ChangeUser { name, change: UserChange::SetPasswordHash { .. } } if *name == admin.name)
    });
    Some(LoginProof {
        account: admin.name.clone(),
        server,
        by: LoginBy::Key { sudo_without_password: has_sudo.then_some(without_password && !password_set) },
        succeeds: true,
        authorized_keys: home.join(".ssh/authorized_keys"),
    })
}

fn root_by_key(server: SocketAddr) -> LoginProof {
    LoginProof {
        account: "root".to_owned(),
        server,
        by: LoginBy::Key { sudo_without_password: None },
        succeeds: false,
        authorized_keys: PathBuf::from("/root/.ssh/authorized_keys"),
    }
}

fn by_password(account: &str, server: SocketAddr) -> LoginProof {
    LoginProof {
        account: account.to_owned(),
        server,
        by: LoginBy::Password,
        succeeds: false,
        authorized_keys: PathBuf::new(),
    }
}

fn describe(login: &LoginProof) -> String {
    let by = match login.by {
        LoginBy::Key { .. } => "by key",
        LoginBy::Password => "by password",
    };
    let outcome = if login.succeeds { "succeeds" } else { "is refused" };
    format!("{} {by} at {} {outcome}", login.account, login.server)
}
