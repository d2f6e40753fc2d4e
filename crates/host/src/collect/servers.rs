//! Running sshd masters: processes that listen, told apart from the sessions that they started.

use std::path::{Path, PathBuf};

use crate::Host;
use crate::facts::{Fact, Server, Started};
use crate::process::Proc;

use super::listeners::Sockets;
use super::ssh_config::Config;
use super::units::Shown;

/// A process that listens and runs sshd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Master {
    pub(super) pid: u32,
    pub(super) program: PathBuf,
    pub(super) argv: Vec<String>,
    pub(super) real_user: Option<u32>,
    listens: Vec<std::net::SocketAddr>,
    /// Start of the process, seconds since the epoch.
    started: i64,
}

/// Finds them. A session that forwards ports listens too, but its parent is an sshd.
pub(super) fn masters(proc: &Proc, sockets: &Sockets) -> Fact<Vec<Master>> {
    if let Err(why) = &sockets.listening {
        return Fact::Unknown(why.clone());
    }
    let mut pids: Vec<u32> = sockets.holders.by_inode.values().flatten().copied().collect();
    pids.sort_unstable();
    pids.dedup();
    let masters: Vec<Master> = pids.into_iter().filter_map(|pid| master(proc, sockets, pid)).collect();
    if masters.is_empty() && sockets.unseen > 0 {
        return Fact::Unknown(format!("{} processes could not be looked into", sockets.unseen));
    }
    Fact::Known(masters)
}

fn master(proc: &Proc, sockets: &Sockets, pid: u32) -> Option<Master> {
    let program = proc.program(pid).filter(|path| is_sshd(path))?;
    let listens = sockets.listens(pid);
    let stat = proc.stat(pid)?;
    let child_of_sshd = proc.program(stat.parent).is_some_and(|path| is_sshd(&path));
    if listens.is_empty() || child_of_sshd {
        return None;
    }
    Some(Master {
        pid,
        program,
        argv: original_arguments(proc.arguments(pid).unwrap_or_default()),
        real_user: proc.real_user(pid),
        listens,
        started: proc.seconds(stat.started).unwrap_or(0),
    })
}

fn is_sshd(program: &Path) -> bool {
    program.file_name().is_some_and(|name| name == "sshd")
}

/// Since 8.2 a master shows `sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups` in place of its arguments,
/// which stand in there joined by spaces.
fn original_arguments(shown: Vec<String>) -> Vec<String> {
    let title = shown.first().map(|first| first.trim_end_matches('\0'));
    let inner =
        title.and_then(|title| title.strip_prefix("sshd: ")).and_then(|rest| rest.split_once(" [listener]"));
    match inner {
        Some((arguments, _)) => arguments.split(' ').map(str::to_owned).collect(),
        None => shown,
    }
}

/// Finds out when each last read its configuration. The process's own start says nothing of a reload, since sshd
/// then executes itself anew under the same number; its pid file is written again, and its unit changes its state.
pub(super) fn finish(
    masters: Fact<Vec<Master>>,
    proc: &Proc,
    units: &Fact<Vec<Shown>>,
    config: &Config,
    host: &dyn Host,
) -> Fact<Vec<Server>> {
    let masters = match masters {
        Fact::Known(masters) => masters,
        Fact::Unknown(why) => return Fact::Unknown(why),
    };
    let units = units.known().map(Vec::as_slice).unwrap_or_default();
    let server = |master: Master| {
        let by_process = (master.started, Started::Process);
        let by_file = pid_file_time(host, &config.pid_file, master.pid).map(|time| (time, Started::PidFile));
        let by_unit = unit_of(proc, units, master.pid).map(|time| (time, Started::Unit));
        let later = [by_file, by_unit].into_iter().flatten().filter(|(time, _)| *time >= master.started);
        let (started, started_by) = later.max_by_key(|(time, _)| *time).unwrap_or(by_process);
        Server { pid: master.pid, argv: master.argv, started, started_by, listens: master.listens }
    };
    Fact::Known(masters.into_iter().map(server).collect())
}

/// When the pid file was written, where it names this process.
fn pid_file_time(host: &dyn Host, path: &Path, pid: u32) -> Option<i64> {
    let text = host.read(path).ok()?;
    let named: u32 = std::str::from_utf8(&text).ok()?.trim().parse().ok()?;
    let path = host.resolve(path).ok()?;
    (named == pid).then(|| host.metadata(&path).map(|found| found.mtime).ok()).flatten()
}

fn unit_of(proc: &Proc, units: &[Shown], pid: u32) -> Option<i64> {
    let ours = |shown: &&Shown| {
        shown.main_pid == pid
            || proc.stat(pid).is_some_and(|stat| stat.parent != 1 && shown.main_pid == stat.parent)
    };
    let found = units.iter().filter(|shown| shown.main_pid != 0 && shown.unit.since != 0).find(ours)?;
    Some(found.unit.since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_taken_out_of_the_title_of_a_listener() {
        let title = vec!["sshd: /usr/sbin/sshd -D -p 2222 [listener] 0 of 10-100 startups".to_owned()];
        assert_eq!(original_arguments(title), ["/usr/sbin/sshd", "-D", "-p", "2222"]);
        let plain = vec!["/usr/sbin/sshd".to_owned(), "-D".to_owned()];
        assert_eq!(original_arguments(plain.clone()), plain);
    }
}
