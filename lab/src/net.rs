//! Network namespaces that are provably not this machine's own, and the wire between two of them.

use crate::error::{Doing, Error, Result};
use crate::process::{must, must_with, tool};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::thread;

/// The host's address in the network between host and outside (RFC 5737, TEST-NET-2), in a /24.
pub const HOST_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
/// The outside's own address and the host's default gateway.
pub const OUTSIDE_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// The host's IPv6 address (RFC 3849), in a /64.
pub const HOST_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x51, 0, 0, 0, 0, 2);
/// The outside's own IPv6 address and the host's default gateway.
pub const OUTSIDE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x51, 0, 0, 0, 0, 1);

/// The interface in the host.
pub const HOST_INTERFACE: &str = "eth0";
/// The interface in the outside.
pub const OUTSIDE_INTERFACE: &str = "out0";

/// The IP versions that the wire between host and outside carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Families {
    /// IPv4 and IPv6.
    Both,
    /// IPv4 alone; the host keeps its loopback and link-local IPv6.
    V4,
    /// IPv6 alone; the host keeps its IPv4 loopback.
    V6,
}

impl Families {
    fn v4(self) -> bool {
        self != Self::V6
    }

    fn v6(self) -> bool {
        self != Self::V4
    }
}

/// Proof that a network namespace is neither the machine's nor the one this process was started in.
///
/// The machine's is that of pid 1. Where pid 1 may not be looked at, it is that of the kernel's own threads, which
/// never leave the initial namespace. Where neither can be read, nothing is taken as isolated.
///
/// Everything in the lab that changes a network takes one, so that no test can touch the machine's.
#[derive(Debug)]
pub struct IsolatedNet {
    handle: File,
    inode: u64,
}

impl IsolatedNet {
    /// Opens the namespace file at `path` (`/proc/PID/ns/net`, or a file of `/run/netns`).
    ///
    /// # Errors
    /// [`Error::NotIsolated`] where it is the machine's, this process's, or cannot be compared with them.
    pub fn open(path: &Path) -> Result<Self> {
        let refuse = |why| Err(Error::NotIsolated { namespace: path.display().to_string(), why });
        let handle = File::open(path).doing("open", path)?;
        let found = handle.metadata().doing("stat", path)?;
        let Ok(own) = fs::metadata(format!("/proc/{}/ns/net", process::id())) else {
            return refuse("the namespace of this process cannot be read");
        };
        let machine: Vec<_> = [PID_1, KERNEL_THREADS].into_iter().filter_map(network_of).collect();
        if machine.is_empty() {
            return refuse("the namespace of this machine cannot be read");
        }
        if found.dev() != own.dev() {
            return refuse("not a namespace file");
        }
        if machine.contains(&found.ino()) {
            return refuse("it is the network of this machine");
        }
        if found.ino() == own.ino() {
            return refuse("it is the network this process runs in");
        }
        Ok(Self { handle, inode: found.ino() })
    }

    /// The namespace that the process `pid` is in.
    ///
    /// # Errors
    /// As [`IsolatedNet::open`].
    pub fn of_process(pid: u32) -> Result<Self> {
        Self::open(Path::new(&format!("/proc/{pid}/ns/net")))
    }

    /// The namespace's inode number, as `readlink /proc/PID/ns/net` shows it.
    #[must_use]
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// A command that runs `program` in this network, with the files and processes of the machine.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        // nsenter and not `ip netns exec`: that one copies the mount table, and a long-lived copy pins the disks.
        let net = format!("--net=/proc/{}/fd/{}", process::id(), self.handle.as_raw_fd());
        tool("nsenter", &[&net, "--", program])
    }

    /// Runs `work` on a thread that is in this network.
    ///
    /// # Errors
    /// Where the thread cannot enter it.
    ///
    /// # Panics
    /// Where `work` does.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let network = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(self.handle.as_fd(), network)?;
                Ok::<T, rustix::io::Errno>(work())
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
        .doing("enter the network namespace", format!("net:[{}]", self.inode))
    }

    /// Sets sysctls below `/proc/sys/net`, given as `ipv4/ip_forward`.
    ///
    /// # Errors
    /// Where the kernel refuses one.
    pub fn set_sysctls(&self, settings: &[(&str, &str)]) -> Result<()> {
        self.within(|| {
            settings.iter().try_for_each(|(name, value)| {
                let path = Path::new("/proc/sys/net").join(name);
                fs::write(&path, value).doing("write", path)
            })
        })?
    }

    /// Runs an `ip -batch` script here.
    ///
    /// # Errors
    /// With the line that failed.
    pub fn ip_batch(&self, script: &str) -> Result<()> {
        must_with(self.command("ip").args(["-batch", "-"]), script.as_bytes()).map(drop)
    }
}

const PID_1: &str = "/proc/1/ns/net";
/// The parent of all kernel threads, in the initial namespaces.
const KERNEL_THREADS: &str = "/proc/2/ns/net";

/// The inode of a namespace file; for pid 2 only where that is a kernel thread, as it is not in a container.
fn network_of(path: &str) -> Option<u64> {
    const PF_KTHREAD: u64 = 0x0020_0000;
    if path == KERNEL_THREADS {
        // proc_pid_stat(5): after the name in parentheses come state, parent, group, session, tty, tpgid, flags.
        let stat = fs::read_to_string("/proc/2/stat").ok()?;
        let flags = stat.rsplit_once(") ")?.1.split(' ').nth(6)?.parse::<u64>().ok()?;
        (flags & PF_KTHREAD != 0).then_some(())?;
    }
    Some(fs::metadata(path).ok()?.ino())
}

/// Two namespaces joined by a veth pair: the host's, and the outside.
#[derive(Debug)]
pub(crate) struct Wire {
    name: String,
    families: Families,
    inside: IsolatedNet,
    outside: IsolatedNet,
}

impl Wire {
    /// Makes both namespaces, named after `name`, joins and addresses them.
    pub(crate) fn lay(name: &str, families: Families) -> Result<Self> {
        let outside_name = outside_name(name);
        let outside = add_namespace(&outside_name)?;
        let inside = add_namespace(name)?;
        let wire = Self { name: name.to_owned(), families, inside, outside };
        wire.prepare_outside()?;
        wire.join()?;
        Ok(wire)
    }

    /// A new, empty network for the host, as after a power cycle: no rule, no connection, no sysctl survives.
    pub(crate) fn renew(&mut self) -> Result<()> {
        self.outside.ip_batch(&format!("link del {OUTSIDE_INTERFACE}\n"))?;
        remove_namespace(&self.name)?;
        self.inside = add_namespace(&self.name)?;
        self.join()
    }

    pub(crate) fn families(&self) -> Families {
        self.families
    }

    pub(crate) fn inside(&self) -> &IsolatedNet {
        &self.inside
    }

    pub(crate) fn outside(&self) -> &IsolatedNet {
        &self.outside
    }

    /// The file of the host's namespace, for programs that take a path.
    pub(crate) fn inside_path(&self) -> PathBuf {
        namespace_path(&self.name)
    }

    /// Makes `address` one that the outside can send from and gets answers at.
    ///
    /// Outside the subnet every address is delivered locally already; within it, the host asks for its link address.
    pub(crate) fn adopt(&self, address: IpAddr) -> Result<()> {
        let line = match address {
            IpAddr::V4(v4) if v4 != OUTSIDE_V4 && v4.octets()[..3] == HOST_V4.octets()[..3] => {
                format!("address replace {v4}/32 dev {OUTSIDE_INTERFACE}\n")
            }
            IpAddr::V6(v6) if v6 != OUTSIDE_V6 && v6.segments()[..4] == HOST_V6.segments()[..4] => {
                format!("address replace {v6}/128 dev {OUTSIDE_INTERFACE} nodad\n")
            }
            IpAddr::V4(_) | IpAddr::V6(_) => return Ok(()),
        };
        self.outside.ip_batch(&line)
    }

    fn prepare_outside(&self) -> Result<()> {
        self.outside.set_sysctls(&[
            ("ipv4/ip_nonlocal_bind", "1"),
            ("ipv6/ip_nonlocal_bind", "1"),
            ("ipv4/conf/all/rp_filter", "0"),
            ("ipv4/conf/default/rp_filter", "0"),
            ("ipv6/conf/default/accept_dad", "0"),
            ("ipv4/ping_group_range", "0 0"),
        ])?;
        // "Any IP": the outside takes every address for its own, so a test may send from whichever it likes.
        self.outside.ip_batch(
            "link set lo up\n\
             route add local 0.0.0.0/0 dev lo table main\n\
             route add local ::/0 dev lo table main\n",
        )
    }

    fn join(&self) -> Result<()> {
        self.inside.set_sysctls(&[("ipv6/conf/default/accept_dad", "0")])?;
        let mut outside = format!(
            "link add {OUTSIDE_INTERFACE} type veth peer name {HOST_INTERFACE} netns {}\n\
             link set {OUTSIDE_INTERFACE} up\n",
            self.name
        );
        let mut inside = format!("link set lo up\nlink set {HOST_INTERFACE} up\n");
        if self.families.v4() {
            outside += &format!("address add {OUTSIDE_V4}/24 dev {OUTSIDE_INTERFACE}\n");
            inside += &format!(
                "address add {HOST_V4}/24 dev {HOST_INTERFACE}\nroute add default via {OUTSIDE_V4}\n"
            );
        }
        if self.families.v6() {
            outside += &format!("address add {OUTSIDE_V6}/64 dev {OUTSIDE_INTERFACE} nodad\n");
            inside += &format!(
                "address add {HOST_V6}/64 dev {HOST_INTERFACE} nodad\nroute add default via {OUTSIDE_V6}\n"
            );
        }
        self.outside.ip_batch(&outside)?;
        self.inside.ip_batch(&inside)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        drop(remove_namespace(&self.name));
        drop(remove_namespace(&outside_name(&self.name)));
    }
}

/// The name of the outside that belongs to the host `name`.
pub(crate) fn outside_name(name: &str) -> String {
    format!("{name}-outside")
}

/// Where iproute2 keeps the namespace `name`.
pub(crate) fn namespace_path(name: &str) -> PathBuf {
    Path::new("/run/netns").join(name)
}

fn add_namespace(name: &str) -> Result<IsolatedNet> {
    must(&mut tool("ip", &["netns", "add", name]))?;
    IsolatedNet::open(&namespace_path(name))
}

/// Removes the namespace `name`; one that is not there is no error.
pub(crate) fn remove_namespace(name: &str) -> Result<()> {
    if namespace_path(name).exists() {
        must(&mut tool("ip", &["netns", "del", name]))?;
    }
    Ok(())
}
