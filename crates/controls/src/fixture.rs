//! Hosts for tests: facts by small builders.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use host::Fact;
use host::facts::{
    Account, Address, Content, Entry, EntryKind, Facts, FileFact, Group, Listener, Owner, PasswordState,
    Protocol, Server, Shadow, SudoListing, Unit, Via, WayIn,
};
use policy::{Admin, Password, Policy, Sudo};

/// The administrator of every host here.
pub(crate) const ADMIN: &str = "deploy";
pub(crate) const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f laptop";
/// `sshd -T` of Debian 12's OpenSSH over an empty configuration.
pub(crate) const DEFAULTS: &str = include_str!("fixture/openssh-9.2-defaults.txt");
/// Debian 12's own `sshd_config`, comments left out.
pub(crate) const DEBIAN_CONFIG: &str = "Include /etc/ssh/sshd_config.d/*.conf\n\
    KbdInteractiveAuthentication no\nUsePAM yes\nX11Forwarding yes\nPrintMotd no\n\
    AcceptEnv LANG LC_*\nSubsystem sftp /usr/lib/openssh/sftp-server\n";
pub(crate) const TODAY: i64 = 20_500;

/// A policy that names the administrator.
pub(crate) fn policy() -> Policy {
    let admin = Admin {
        name: ADMIN.to_owned(),
        keys: vec![KEY.to_owned()],
        password: Password::Keep,
        sudo: Sudo::Auto,
        shell: None,
    };
    Policy { admins: vec![admin], ..Policy::default() }
}

/// A Debian host with an administrator who has a key and sudo, before any policy was applied to its sshd and filter.
pub(crate) fn debian() -> Facts {
    let mut facts = Facts { today: TODAY, taken_at: "2026-02-16T00:00:00Z".to_owned(), ..Facts::default() };
    facts.accounts.groups = Fact::Known(Vec::new());
    facts.accounts.users = Fact::Known(Vec::new());
    facts.accounts.shadow = Fact::Known(Vec::new());
    facts.group("root", 0, &[]).group("sudo", 27, &[ADMIN]).group("shadow", 42, &[]);
    facts.user("root", 0, "/root", "/bin/bash").user("daemon", 1, "/usr/sbin", "/usr/sbin/nologin");
    facts.user(ADMIN, 1000, "/home/deploy", "/bin/bash");
    facts.directory("/", 0o755, 0).directory("/home", 0o755, 0).directory("/root", 0o700, 0);
    facts.directory("/home/deploy", 0o755, 1000).directory("/home/deploy/.ssh", 0o700, 1000);
    facts.file_with("/home/deploy/.ssh/authorized_keys", 0o600, 1000, &format!("{KEY}\n"));
    for absent in
        ["/home/deploy/.ssh/authorized_keys2", "/root/.ssh", "/root/.ssh/authorized_keys", "/etc/nologin"]
    {
        facts.files.insert(absent.into(), FileFact::Absent);
    }
    for (shell, mode) in [("/bin/bash", 0o755), ("/usr/sbin/nologin", 0o755), ("/bin/sh", 0o755)] {
        facts.file_with(shell, mode, 0, "");
    }
    facts.file_with("/etc/passwd", 0o644, 0, "").file_with("/etc/group", 0o644, 0, "");
    facts.file_with("/etc/shadow", 0o640, 0, "").file_with("/etc/gshadow", 0o640, 0, "");
    facts.file_with("/etc/sudoers", 0o440, 0, "");
    facts.sudoers.files = Fact::Known(vec!["/etc/sudoers".into()]);
    facts.sudoers.check = Fact::Known(None);
    facts.grant_sudo(ADMIN, true);
    facts.install_sshd();
    facts.network.addresses = Fact::Known(vec![
        address("lo", "127.0.0.1/8"),
        address("lo", "::1/128"),
        address("eth0", "192.0.2.10/24"),
        address("eth0", "2001:db8::10/64"),
    ]);
    facts.firewall.ruleset = Fact::Known(nf_tables::Ruleset::default());
    facts.firewall.legacy_tables = Fact::Known(Vec::new());
    facts.firewall.managers = Fact::Known(Vec::new());
    facts.way_in = Fact::Known(ssh_from("198.51.100.7", "192.0.2.10"));
    facts
}

/// The same host once the policy was applied to it.
pub(crate) fn secured() -> Facts {
    secured_by(&policy())
}

/// A Debian host to which a policy was applied.
pub(crate) fn secured_by(policy: &Policy) -> Facts {
    let mut facts = debian();
    apply_ssh(&mut facts, policy);
    apply_filter(&mut facts, policy);
    facts
}

/// Writes the drop-in.
pub(crate) fn apply_ssh(facts: &mut Facts, policy: &Policy) {
    let desired = crate::ssh::desired(policy, facts).unwrap();
    if desired.drop_in_is_read_first {
        facts.drop_in("00-gabion.conf", &desired.text);
    } else {
        let main = desired.main_file(facts.file("/etc/ssh/sshd_config").bytes().unwrap());
        facts.sshd_config(&String::from_utf8(main).unwrap());
    }
}

/// Loads the ruleset and saves it for the boot.
pub(crate) fn apply_filter(facts: &mut Facts, policy: &Policy) {
    let compiled = packet_filter::compile(&crate::filter::filter_policy(policy, facts).unwrap());
    load(facts, compiled.table().clone());
    facts.directory("/var/lib/gabion", 0o700, 0);
    facts.file_with(crate::firewall::SAVED, 0o600, 0, &serde_json::to_string(&compiled).unwrap());
    facts.system.units = Fact::Known(vec![unit("gabion-firewall.service", "active", "enabled", &[])]);
}

/// Puts one table into the kernel.
pub(crate) fn load(facts: &mut Facts, table: nf_tables::TableDump) {
    facts.firewall.ruleset = Fact::Known(nf_tables::Ruleset { generation: 2, tables: vec![table] });
}

pub(crate) fn unit(name: &str, active: &str, enabled: &str, listens: &[&str]) -> Unit {
    Unit {
        name: name.to_owned(),
        loaded: true,
        active: active.to_owned(),
        enabled: enabled.to_owned(),
        listens: listens.iter().map(|&listen| listen.to_owned()).collect(),
        since: 0,
    }
}

/// A session over SSH.
pub(crate) fn ssh_from(peer: &str, local: &str) -> WayIn {
    let (peer, local) = (peer.parse().unwrap(), local.parse().unwrap());
    let via = Via::Ssh { peer, peer_port: 50_000, local, local_port: 22 };
    WayIn { via, user: Some("root".to_owned()), started_ticks: Some(1), session_pid: Some(99) }
}

pub(crate) fn address(link: &str, text: &str) -> Address {
    Address { link: link.to_owned(), address: text.parse().unwrap() }
}

pub(crate) fn listener(protocol: Protocol, local: &str, port: u16, program: &str) -> Listener {
    let address: IpAddr = local.parse().unwrap();
    let owner =
        Owner { pid: 7, name: program.to_owned(), program: Some(Path::new("/usr/sbin").join(program)) };
    Listener { protocol, address, port, v6_only: address.is_ipv6(), link: None, owners: vec![owner] }
}

/// Small changes to the facts of a host.
pub(crate) trait Build {
    fn user(&mut self, name: &str, uid: u32, home: &str, shell: &str) -> &mut Self;
    fn group(&mut self, name: &str, gid: u32, members: &[&str]) -> &mut Self;
    fn directory(&mut self, path: &str, mode: u32, uid: u32) -> &mut Self;
    fn file_with(&mut self, path: &str, mode: u32, uid: u32, text: &str) -> &mut Self;
    fn grant_sudo(&mut self, name: &str, no_password: bool) -> &mut Self;
    fn shadow_of(&mut self, name: &str) -> &mut Shadow;
    fn entry(&mut self, path: &str) -> &mut Entry;
    fn sshd_config(&mut self, text: &str) -> &mut Self;
    fn drop_in(&mut self, name: &str, text: &str) -> &mut Self;
    fn install_sshd(&mut self) -> &mut Self;
}

impl Build for Facts {
    fn user(&mut self, name: &str, uid: u32, home: &str, shell: &str) -> &mut Self {
        let Fact::Known(users) = &mut self.accounts.users else { panic!("users") };
        users.push(Account {
            name: name.to_owned(),
            uid,
            gid: uid,
            home: home.into(),
            shell: shell.into(),
            passwd_field_empty: false,
            line: users.len() + 1,
        });
        let Fact::Known(shadow) = &mut self.accounts.shadow else { panic!("shadow") };
        shadow.push(Shadow {
            name: name.to_owned(),
            password: if uid < 1000 { PasswordState::Impossible } else { PasswordState::Locked },
            last_change: Some(TODAY - 400),
            max_age: Some(99_999),
            inactive: None,
            expires: None,
            line: shadow.len() + 1,
        });
        if uid != 0 {
            self.group(name, uid, &[]);
        }
        self
    }

    fn group(&mut self, name: &str, gid: u32, members: &[&str]) -> &mut Self {
        let Fact::Known(groups) = &mut self.accounts.groups else { panic!("groups") };
        let members = members.iter().map(|&member| member.to_owned()).collect();
        groups.push(Group { name: name.to_owned(), gid, members, line: groups.len() + 1 });
        self
    }

    fn directory(&mut self, path: &str, mode: u32, uid: u32) -> &mut Self {
        let entry = Entry { kind: EntryKind::Directory, mode, uid, gid: uid, ..Entry::default() };
        self.files.insert(path.into(), FileFact::Present(entry));
        self
    }

    fn file_with(&mut self, path: &str, mode: u32, uid: u32, text: &str) -> &mut Self {
        let content = Some(Content(text.as_bytes().to_vec()));
        let entry =
            Entry { kind: EntryKind::File, mode, uid, gid: uid, content, mtime: 1000, ..Entry::default() };
        self.files.insert(path.into(), FileFact::Present(entry));
        self
    }

    fn grant_sudo(&mut self, name: &str, no_password: bool) -> &mut Self {
        let place = "/etc/sudoers:27".to_owned();
        let listing = SudoListing {
            all: true,
            any: true,
            no_password,
            no_password_rules: if no_password { vec![place.clone()] } else { Vec::new() },
            decided_by: Some(place),
            ..SudoListing::default()
        };
        self.sudo.insert(name.to_owned(), Fact::Known(listing));
        self
    }

    fn shadow_of(&mut self, name: &str) -> &mut Shadow {
        let Fact::Known(shadow) = &mut self.accounts.shadow else { panic!("shadow") };
        shadow.iter_mut().find(|entry| entry.name == name).unwrap()
    }

    fn entry(&mut self, path: &str) -> &mut Entry {
        match self.files.get_mut(Path::new(path)) {
            Some(FileFact::Present(entry)) => entry,
            other => panic!("{path}: {other:?}"),
        }
    }

    fn sshd_config(&mut self, text: &str) -> &mut Self {
        self.file_with("/etc/ssh/sshd_config", 0o644, 0, text)
    }

    fn drop_in(&mut self, name: &str, text: &str) -> &mut Self {
        let path = format!("/etc/ssh/sshd_config.d/{name}");
        self.file_with(&path, 0o644, 0, text);
        let names = self.entry("/etc/ssh/sshd_config.d").names.get_or_insert_default();
        names.push(name.to_owned());
        names.sort();
        names.dedup();
        let path = PathBuf::from(path);
        if !self.ssh.config_files.contains(&path) {
            self.ssh.config_files.push(path);
        }
        self
    }

    fn install_sshd(&mut self) -> &mut Self {
        self.directory("/etc", 0o755, 0).directory("/etc/ssh", 0o755, 0);
        self.directory("/etc/ssh/sshd_config.d", 0o755, 0).sshd_config(DEBIAN_CONFIG);
        self.entry("/etc/ssh/sshd_config.d").names = Some(Vec::new());
        self.ssh.program = Fact::Known(Some("/usr/sbin/sshd".into()));
        self.ssh.version = Fact::Known("OpenSSH_9.2p1 Debian-2+deb12u7".to_owned());
        self.ssh.main_file = "/etc/ssh/sshd_config".into();
        self.ssh.config_files = vec!["/etc/ssh/sshd_config".into()];
        self.ssh.defaults = Fact::Known(DEFAULTS.to_owned());
        self.ssh.units = Fact::Known(Vec::new());
        self.ssh.servers = Fact::Known(vec![Server {
            pid: 7,
            argv: vec!["/usr/sbin/sshd".to_owned(), "-D".to_owned()],
            started: 2000,
            started_by: host::facts::Started::Unit,
            listens: vec!["0.0.0.0:22".parse().unwrap(), "[::]:22".parse().unwrap()],
        }]);
        self.network.listeners = Fact::Known(vec![
            listener(Protocol::Tcp, "0.0.0.0", 22, "sshd"),
            listener(Protocol::Tcp, "::", 22, "sshd"),
        ]);
        self
    }
}

/// What one control says of a host: the findings, or the reason why it is silent.
pub(crate) fn judge(id: &str, facts: &Facts, policy: &Policy) -> Result<Vec<crate::Finding>, String> {
    let control = crate::catalogue().iter().find(|control| control.id.0 == id).unwrap();
    match control.judge(&crate::judgement::Subject::new(facts, policy)) {
        crate::judgement::Verdict::Silent(reason) => Err(reason),
        crate::judgement::Verdict::Judged(faults) => {
            Ok(faults.into_iter().map(|fault| fault.of(control)).collect())
        }
    }
}

/// Asserts that a control holds.
#[track_caller]
pub(crate) fn assert_holds(id: &str, facts: &Facts, policy: &Policy) {
    assert_eq!(judge(id, facts, policy), Ok(Vec::new()));
}

/// The one finding of a control.
#[track_caller]
pub(crate) fn only(id: &str, facts: &Facts, policy: &Policy) -> crate::Finding {
    let mut findings = judge(id, facts, policy).unwrap();
    assert_eq!(findings.len(), 1, "{id}: {findings:#?}");
    findings.remove(0)
}
