//! What /proc says of processes and their sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, Mode, OFlags, open, readlinkat};
use rustix::io::Errno;

/// Clock ticks a second in everything that /proc shows: `USER_HZ`, 100 on every architecture that this program is
/// built for.
const TICKS_PER_SECOND: u64 = 100;
/// Bytes of one /proc file that are read at most.
const CAP: u64 = 1 << 20;

/// A proc(5) file system.
#[derive(Debug, Clone)]
pub(crate) struct Proc {
    root: PathBuf,
}

/// The fields of `/proc/PID/stat` that matter here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stat {
    /// The name, which the process itself chooses.
    pub(crate) comm: String,
    /// The parent; 0 for none in this namespace.
    pub(crate) parent: u32,
    /// The session's leader.
    pub(crate) session: u32,
    /// When it started, in ticks since boot. A reload by exec leaves it as it was.
    pub(crate) started: u64,
}

/// Which processes hold which sockets.
#[derive(Debug, Clone, Default)]
pub(crate) struct Holders {
    /// Processes by the inode of each socket that was asked for.
    pub(crate) by_inode: BTreeMap<u64, Vec<u32>>,
    /// Processes that could not be looked into.
    pub(crate) unseen: usize,
}

impl Holders {
    /// The sockets of one process.
    pub(crate) fn sockets_of(&self, pid: u32) -> impl Iterator<Item = u64> {
        self.by_inode.iter().filter(move |(_, pids)| pids.contains(&pid)).map(|(inode, _)| *inode)
    }
}

impl Proc {
    /// This machine's.
    pub(crate) fn real() -> Self {
        Self { root: PathBuf::from("/proc") }
    }

    #[cfg(test)]
    pub(crate) fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Every process that is visible, in the order of its number.
    pub(crate) fn pids(&self) -> Result<Vec<u32>, Errno> {
        let mut pids = Vec::new();
        for entry in Dir::read_from(open_directory(&self.root)?)? {
            if let Some(pid) = entry?.file_name().to_str().ok().and_then(|name| name.parse().ok()) {
                pids.push(pid);
            }
        }
        pids.sort_unstable();
        Ok(pids)
    }

    /// A file of one process, as far as [`CAP`].
    pub(crate) fn read(&self, pid: u32, name: &str) -> Option<Vec<u8>> {
        read_some(&self.path(pid, name))
    }

    /// A file of /proc itself, as far as [`CAP`] times `megabytes`.
    pub(crate) fn read_global(&self, name: &str, megabytes: u64) -> Result<Vec<u8>, Errno> {
        read_up_to(&self.root.join(name), CAP.saturating_mul(megabytes))
    }

    pub(crate) fn stat(&self, pid: u32) -> Option<Stat> {
        parse_stat(&self.read(pid, "stat")?)
    }

    /// The program that it runs, without the kernel's note that the file has been replaced since.
    pub(crate) fn program(&self, pid: u32) -> Option<PathBuf> {
        let path = std::fs::read_link(self.path(pid, "exe")).ok()?;
        let bytes = path.as_os_str().as_bytes();
        let bytes = bytes.strip_suffix(b" (deleted)").unwrap_or(bytes);
        Some(PathBuf::from(std::ffi::OsStr::from_bytes(bytes)))
    }

    /// Its arguments as it shows them now.
    pub(crate) fn arguments(&self, pid: u32) -> Option<Vec<String>> {
        let bytes = self.read(pid, "cmdline")?;
        let text = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
        Some(text.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect())
    }

    /// A variable of the environment that it was started with.
    pub(crate) fn variable(&self, pid: u32, name: &str) -> Option<String> {
        let environment = self.read(pid, "environ")?;
        environment.split(|byte| *byte == 0).find_map(|entry| {
            let value = entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            Some(String::from_utf8_lossy(value).into_owned())
        })
    }

    /// Its real user.
    pub(crate) fn real_user(&self, pid: u32) -> Option<u32> {
        let status = String::from_utf8_lossy(&self.read(pid, "status")?).into_owned();
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        line.split_whitespace().next()?.parse().ok()
    }

    /// The user that logged in, by the audit subsystem; nothing where nobody did.
    pub(crate) fn login_user(&self, pid: u32) -> Option<u32> {
        let bytes = self.read(pid, "loginuid")?;
        let uid = std::str::from_utf8(&bytes).ok()?.trim().parse().ok()?;
        (uid != u32::MAX).then_some(uid)
    }

    /// When a process started, in seconds since the epoch, from its ticks.
    pub(crate) fn seconds(&self, ticks: u64) -> Option<i64> {
        let stat = self.read_global("stat", 8).ok()?;
        let text = String::from_utf8_lossy(&stat);
        let boot: i64 = text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
        boot.checked_add_unsigned(ticks / TICKS_PER_SECOND)
    }

    /// The inodes of the sockets that a process holds.
    pub(crate) fn sockets(&self, pid: u32) -> Result<Vec<u64>, Errno> {
        let directory = open_directory(&self.path(pid, "fd"))?;
        let mut found = Vec::new();
        let mut buffer = Vec::with_capacity(64);
        for entry in Dir::read_from(&directory)? {
            let Ok(target) = readlinkat(directory.as_fd(), entry?.file_name(), buffer) else {
                buffer = Vec::new();
                continue;
            };
            if let Some(inode) = socket_inode(target.to_bytes()) {
                found.push(inode);
            }
            buffer = target.into_bytes();
        }
        Ok(found)
    }

    /// Looks once through every process for those that hold one of these sockets.
    pub(crate) fn holders(&self, wanted: &BTreeSet<u64>) -> Result<Holders, Errno> {
        let mut holders = Holders::default();
        for pid in self.pids()? {
            match self.sockets(pid) {
                Ok(inodes) => {
                    for inode in inodes.into_iter().filter(|inode| wanted.contains(inode)) {
                        let pids = holders.by_inode.entry(inode).or_default();
                        if pids.last() != Some(&pid) {
                            pids.push(pid);
                        }
                    }
                }
                // It has ended meanwhile.
                Err(Errno::NOENT | Errno::SRCH) => {}
                Err(_) => holders.unseen += 1,
            }
        }
        Ok(holders)
    }

    fn path(&self, pid: u32, name: &str) -> PathBuf {
        self.root.join(pid.to_string()).join(name)
    }
}

/// `socket:[123]`.
fn socket_inode(target: &[u8]) -> Option<u64> {
    let digits = target.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The name stands in parentheses and may hold any byte, parentheses and line feeds too: the last one closes it.
fn parse_stat(bytes: &[u8]) -> Option<Stat> {
    let open = bytes.iter().position(|byte| *byte == b'(')?;
    let close = bytes.iter().rposition(|byte| *byte == b')')?;
    let comm = String::from_utf8_lossy(bytes.get(open + 1..close)?).into_owned();
    let rest = std::str::from_utf8(bytes.get(close + 1..)?).ok()?;
    // proc(5) numbers from 1; what follows the name is field 3.
    let field = |number: usize| rest.split_ascii_whitespace().nth(number - 3);
    Some(Stat {
        comm,
        parent: field(4)?.parse().ok()?,
        session: field(6)?.parse().ok()?,
        started: field(22)?.parse().ok()?,
    })
}

fn open_directory(path: &Path) -> Result<OwnedFd, Errno> {
    open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn read_some(path: &Path) -> Option<Vec<u8>> {
    read_up_to(path, CAP).ok()
}

fn read_up_to(path: &Path, cap: u64) -> Result<Vec<u8>, Errno> {
    let file = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut bytes = Vec::new();
    let read = std::fs::File::from(file).take(cap).read_to_end(&mut bytes);
    read.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let line = b"42 (a) b (c)) S 7 42 40 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 99887 1 2\n";
        let stat = parse_stat(line).unwrap();
        assert_eq!(stat, Stat { comm: "a) b (c)".to_owned(), parent: 7, session: 40, started: 99_887 });
    }

    #[test]
    fn this_process_holds_the_socket_that_it_opened() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let link =
            std::fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&listener)));
        let inode = socket_inode(link.unwrap().as_os_str().as_bytes()).unwrap();
        let holders = Proc::real().holders(&BTreeSet::from([inode])).unwrap();
        assert_eq!(holders.by_inode[&inode], [std::process::id()]);
    }

    proptest! {
        #[test]
        fn no_stat_line_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            parse_stat(&bytes);
            socket_inode(&bytes);
        }
    }
}
