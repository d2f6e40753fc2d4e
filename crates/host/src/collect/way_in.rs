//! How the person that runs this came in: from our own process up to the login.

use std::net::IpAddr;
use std::path::Path;

use crate::facts::{Accounts, Fact, Via, WayIn};
use crate::process::{Proc, Stat};

use super::Notes;
use super::listeners::{self, Socket};

/// Ancestors that are walked at most.
const MOST_ANCESTORS: usize = 256;

/// A process above ours.
struct Ancestor {
    pid: u32,
    stat: Stat,
}

pub(super) fn live(proc: &Proc, accounts: &Accounts, notes: &mut Notes<'_>) -> Fact<WayIn> {
    find(proc, std::process::id(), accounts, notes)
}

fn find(proc: &Proc, pid: u32, accounts: &Accounts, notes: &mut Notes<'_>) -> Fact<WayIn> {
    let Some(ancestors) = ancestors(proc, pid) else {
        return Fact::Unknown("/proc does not show this very process".to_owned());
    };
    match by_sshd(proc, &ancestors, accounts) {
        Ok(Some(way)) => return Fact::Known(way),
        Ok(None) => {}
        Err(why) => notes.problem(Path::new("/proc"), None, why),
    }
    if let Some(way) = by_environment(proc, &ancestors, accounts) {
        return Fact::Known(way);
    }
    Fact::Known(console(proc, &ancestors, accounts))
}

/// Ourselves first, then each parent.
fn ancestors(proc: &Proc, pid: u32) -> Option<Vec<Ancestor>> {
    let mut found = vec![Ancestor { pid, stat: proc.stat(pid)? }];
    while let Some(last) = found.last() {
        let parent = last.stat.parent;
        if parent == 0 || found.len() == MOST_ANCESTORS {
            break;
        }
        let Some(stat) = proc.stat(parent) else { break };
        found.push(Ancestor { pid: parent, stat });
    }
    Some(found)
}

/// The nearest sshd above us, and the connection that it serves. The connection begins with the uppermost of its
/// processes, the one that the server started when the client came.
fn by_sshd(proc: &Proc, ancestors: &[Ancestor], accounts: &Accounts) -> Result<Option<WayIn>, String> {
    let Some(nearest) = ancestors.iter().position(|ancestor| is_session(proc, ancestor)) else {
        return Ok(None);
    };
    let chain: Vec<&Ancestor> =
        ancestors[nearest..].iter().take_while(|ancestor| is_session(proc, ancestor)).collect();
    let connections = listeners::established(proc)?;
    let mut served: Option<(&Socket, &Ancestor)> = None;
    for ancestor in &chain {
        // A process that runs as another user is not shown to us without privileges.
        let Ok(inodes) = proc.sockets(ancestor.pid) else {
            continue;
        };
        let wanted = served.map(|(socket, _)| socket.inode);
        let socket = connections.iter().find(|socket| {
            inodes.contains(&socket.inode) && wanted.is_none_or(|inode| inode == socket.inode)
        });
        if let Some(socket) = socket {
            served = Some((socket, ancestor));
        }
    }
    let Some((socket, top)) = served else {
        return Err("an sshd started this, but its connection could not be seen".to_owned());
    };
    if proc.real_user(top.pid) != Some(0) {
        return Err("an sshd that is not root's started this".to_owned());
    }
    let user = chain.first().and_then(|session| proc.real_user(session.pid));
    Ok(Some(WayIn {
        via: Via::Ssh {
            peer: socket.peer.ip().to_canonical(),
            peer_port: socket.peer.port(),
            local: socket.local.ip().to_canonical(),
            local_port: socket.local.port(),
        },
        user: user.and_then(|uid| name_of(uid, accounts)),
        started_ticks: Some(top.stat.started),
        session_pid: Some(top.pid),
    }))
}

/// A name that it gave itself, and, where it is shown, its program.
fn is_session(proc: &Proc, ancestor: &Ancestor) -> bool {
    let is_name = |name: &str| matches!(name, "sshd" | "sshd-session");
    let program = proc.program(ancestor.pid);
    let program =
        program.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    is_name(&ancestor.stat.comm) && program.is_none_or(|name| is_name(&name))
}

/// A terminal multiplexer outlives the login that started it, but its shells still say whose they are. Such a way
/// in has no start: it does not count as a new login.
fn by_environment(proc: &Proc, ancestors: &[Ancestor], accounts: &Accounts) -> Option<WayIn> {
    let (pid, via) = ancestors.iter().find_map(|ancestor| {
        let value = proc.variable(ancestor.pid, "SSH_CONNECTION")?;
        Some((ancestor.pid, connection(&value)?))
    })?;
    let uid = proc.login_user(pid).or_else(|| proc.real_user(pid));
    Some(WayIn {
        via,
        user: uid.and_then(|uid| name_of(uid, accounts)),
        started_ticks: None,
        session_pid: None,
    })
}

/// `PEER PEER_PORT LOCAL LOCAL_PORT`, as ssh(1) says of `SSH_CONNECTION`.
fn connection(value: &str) -> Option<Via> {
    let fields: Vec<&str> = value.split(' ').collect();
    let &[peer, peer_port, local, local_port] = fields.as_slice() else {
        return None;
    };
    // A link-local address carries its link after a percent sign.
    let address = |text: &str| -> Option<IpAddr> {
        let address: IpAddr = text.split('%').next()?.parse().ok()?;
        Some(address.to_canonical())
    };
    Some(Via::Ssh {
        peer: address(peer)?,
        peer_port: peer_port.parse().ok()?,
        local: address(local)?,
        local_port: local_port.parse().ok()?,
    })
}

fn console(proc: &Proc, ancestors: &[Ancestor], accounts: &Accounts) -> WayIn {
    let own = &ancestors[0];
    let leader = own.stat.session;
    let started = proc.stat(leader).map(|stat| stat.started);
    let uid = proc.login_user(own.pid).or_else(|| proc.real_user(leader)).or_else(|| proc.real_user(own.pid));
    WayIn {
        via: Via::Console,
        user: uid.and_then(|uid| name_of(uid, accounts)),
        started_ticks: started,
        session_pid: started.map(|_| leader),
    }
}

fn name_of(uid: u32, accounts: &Accounts) -> Option<String> {
    accounts.users.known()?.iter().find(|user| user.uid == uid).map(|user| user.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Live;
    use crate::facts::Account;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    /// A /proc made of files.
    struct Fixture {
        root: tempfile::TempDir,
    }

    impl Fixture {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(root.path().join("self/net")).unwrap();
            let word = |bytes: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(bytes));
            let line = |inode: u32, state: &str| {
                let (local, peer) = (word([192, 0, 2, 1]), word([203, 0, 113, 9]));
                format!("  0: {local}:0016 {peer}:C350 {state} 0:0 0:0 0 0 0 {inode} 1 x\n")
            };
            let table = format!("header\n{}{}", line(700, "0A"), line(701, "01"));
            std::fs::write(root.path().join("self/net/tcp"), table).unwrap();
            Self { root }
        }

        fn process(
            &self,
            pid: u32,
            parent: u32,
            comm: &str,
            program: &str,
            uid: u32,
            sockets: &[u32],
        ) -> &Self {
            let directory = self.root.path().join(pid.to_string());
            std::fs::create_dir_all(directory.join("fd")).unwrap();
            let started = pid * 100;
            let stat =
                format!("{pid} ({comm}) S {parent} 0 {pid} 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 {started} 0\n");
            std::fs::write(directory.join("stat"), stat).unwrap();
            std::fs::write(directory.join("status"), format!("Name:\tx\nUid:\t{uid}\t{uid}\t0\t0\n"))
                .unwrap();
            std::fs::write(directory.join("environ"), "").unwrap();
            symlink(program, directory.join("exe")).unwrap();
            for (number, inode) in sockets.iter().enumerate() {
                symlink(format!("socket:[{inode}]"), directory.join(format!("fd/{number}"))).unwrap();
            }
            self
        }

        fn environment(&self, pid: u32, text: &str) -> &Self {
            std::fs::write(self.root.path().join(pid.to_string()).join("environ"), text).unwrap();
            self
        }

        fn way_in(&self, pid: u32) -> WayIn {
            let host = Live::open().unwrap();
            let mut notes = Notes::new(&host);
            let user = |name: &str, uid| Account {
                name: name.to_owned(),
                uid,
                gid: uid,
                home: PathBuf::from("/"),
                shell: PathBuf::from("/bin/sh"),
                passwd_field_empty: false,
                line: 1,
            };
            let users = Fact::Known(vec![user("root", 0), user("deploy", 1000)]);
            let accounts = Accounts { users, ..Accounts::default() };
            match find(&Proc::at(self.root.path()), pid, &accounts, &mut notes) {
                Fact::Known(way) => way,
                Fact::Unknown(why) => panic!("{why}"),
            }
        }
    }

    fn over_ssh() -> Via {
        Via::Ssh {
            peer: "203.0.113.9".parse().unwrap(),
            peer_port: 50_000,
            local: "192.0.2.1".parse().unwrap(),
            local_port: 22,
        }
    }

    #[test]
    fn below_sudo_the_connection_and_its_start_are_found_and_the_master_is_not_taken_for_it() {
        let proc = Fixture::new();
        proc.process(1, 0, "systemd", "/usr/lib/systemd/systemd", 0, &[])
            .process(10, 1, "sshd", "/usr/sbin/sshd", 0, &[700])
            .process(20, 10, "sshd", "/usr/sbin/sshd", 0, &[701])
            .process(21, 20, "sshd", "/usr/sbin/sshd", 1000, &[701])
            .process(22, 21, "bash", "/bin/bash", 1000, &[])
            .process(23, 22, "sudo", "/usr/bin/sudo", 0, &[])
            .process(24, 23, "gabion", "/usr/bin/gabion", 0, &[]);
        let expected = WayIn {
            via: over_ssh(),
            user: Some("deploy".to_owned()),
            started_ticks: Some(2000),
            session_pid: Some(20),
        };
        assert_eq!(proc.way_in(24), expected);
    }

    #[test]
    fn a_session_of_its_own_program_is_found_too() {
        let proc = Fixture::new();
        proc.process(10, 1, "sshd", "/usr/sbin/sshd", 0, &[700])
            .process(20, 10, "sshd-session", "/usr/lib/openssh/sshd-session", 0, &[701])
            .process(24, 20, "gabion", "/usr/bin/gabion", 0, &[]);
        let way = proc.way_in(24);
        assert_eq!((way.via, way.user.as_deref(), way.session_pid), (over_ssh(), Some("root"), Some(20)));
    }

    #[test]
    fn a_process_that_only_calls_itself_sshd_is_no_way_in() {
        let proc = Fixture::new();
        proc.process(20, 1, "sshd", "/tmp/evil", 1000, &[701]).process(24, 20, "gabion", "/g", 0, &[]);
        assert_eq!(proc.way_in(24).via, Via::Console);
    }

    #[test]
    fn an_sshd_that_a_user_started_is_no_new_login() {
        let proc = Fixture::new();
        proc.process(20, 1, "sshd", "/usr/sbin/sshd", 1000, &[701]).process(24, 20, "gabion", "/g", 0, &[]);
        assert_eq!(proc.way_in(24).via, Via::Console);
    }

    #[test]
    fn in_a_multiplexer_the_environment_says_who_but_not_since_when() {
        let proc = Fixture::new();
        proc.process(1, 0, "systemd", "/usr/lib/systemd/systemd", 0, &[])
            .process(30, 1, "tmux: server", "/usr/bin/tmux", 1000, &[])
            .process(31, 30, "bash", "/bin/bash", 1000, &[])
            .process(32, 31, "sudo", "/usr/bin/sudo", 0, &[])
            .environment(31, "A=b\0SSH_CONNECTION=203.0.113.9 50000 192.0.2.1 22\0")
            .process(33, 32, "gabion", "/g", 0, &[]);
        let way = proc.way_in(33);
        assert_eq!((way.via, way.user.as_deref()), (over_ssh(), Some("deploy")));
        assert_eq!((way.started_ticks, way.session_pid), (None, None));
    }

    #[test]
    fn link_local_and_mapped_addresses_are_read() {
        let Some(Via::Ssh { peer, local, .. }) = connection("fe80::1%eth0 50000 ::ffff:192.0.2.1 22") else {
            panic!("not understood");
        };
        assert_eq!((peer.to_string().as_str(), local.to_string().as_str()), ("fe80::1", "192.0.2.1"));
        for wrong in ["", "a b c d", "::1 1 ::1", "::1 70000 ::1 1", "::1 1 ::1 1 1"] {
            assert_eq!(connection(wrong), None, "{wrong}");
        }
    }
}
