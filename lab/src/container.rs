//! A running host: systemd-nspawn around the disk's root, with systemd as its pid 1.

use crate::cgroup::{Cgroup, Frozen};
use crate::error::{Doing, Error, Result};
use crate::process::{Running, kill_hard};
use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long a boot may take until the host's systemd has finished its first transaction.
const BOOT_LIMIT: Duration = Duration::from_secs(240);
/// How long an orderly shutdown may take.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(240);

/// Enters the control groups named before `--`, then becomes the rest.
const ENTER_GROUPS: &str =
    r#"while [ "$1" != -- ]; do echo $$ > "$1" || exit 125; shift; done; shift; exec "$@""#;

/// A booted container.
#[derive(Debug)]
pub(crate) struct Container {
    supervisor: Running,
    leader: u32,
    cgroup: Cgroup,
    /// What a process in the host may do at most: the bounding set of its pid 1, as `setpriv` takes it.
    capabilities: String,
}

impl Container {
    /// Boots `root` in the network namespace at `network`; returns when its systemd says that it is up.
    pub(crate) fn boot(name: &str, root: &Path, network: &Path) -> Result<Self> {
        static BOOTS: AtomicU32 = AtomicU32::new(0);
        let notify = format!("{name}-{}", BOOTS.fetch_add(1, Ordering::Relaxed));
        let address = SocketAddr::from_abstract_name(&notify).doing("name a socket", &notify)?;
        let socket = UnixDatagram::bind_addr(&address).doing("bind a socket", &notify)?;

        let cgroup = Cgroup::named(name);
        cgroup.make()?;
        let mut command = in_groups(&cgroup.entrances()?);
        command
            .arg("systemd-nspawn")
            .args(["--quiet", "--boot", "--register=no", "--keep-unit", "--notify-ready=yes", "--console=pipe"])
            .args(["--capability=CAP_NET_ADMIN", "--resolv-conf=off", "--timezone=off", "--link-journal=no"])
            .arg(format!("--machine={name}"))
            .arg(format!("--network-namespace-path={}", network.display()))
            .arg("--directory")
            .arg(root)
            .env("NOTIFY_SOCKET", format!("@{notify}"))
            // As on a real host, /proc/sys/net is its own to write; the rest stays read-only.
            .env("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "network");
        let mut supervisor = Running::start(&mut command, b"")?;
        match await_ready(&mut supervisor, &socket) {
            Ok(leader) => {
                let capabilities = bounding_set(leader)?;
                Ok(Self { supervisor, leader, cgroup, capabilities })
            }
            Err(why) => {
                cgroup.kill()?;
                let console = format!("{}{}", supervisor.stdout(), supervisor.stderr());
                Err(Error::Boot { host: name.to_owned(), why, console })
            }
        }
    }

    /// The host's pid 1, as this machine counts.
    pub(crate) fn leader(&self) -> u32 {
        self.leader
    }

    /// A command in all namespaces of the host, as its root, in a plain environment.
    pub(crate) fn command(&self, words: &[&str]) -> Result<Command> {
        let mut command = in_groups(&self.cgroup.guest_entrances()?);
        command
            .args(["nsenter", "--all", &format!("--target={}", self.leader), "--"])
            .args(["setpriv", "--pdeathsig=KILL", &format!("--bounding-set={}", self.capabilities), "--"])
            .args(["env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"])
            .args(["HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/bash", "LANG=C.UTF-8"])
            .args(words);
        Ok(command)
    }

    /// Stops everything in it until the guard is dropped.
    pub(crate) fn freeze(&self) -> Result<Frozen> {
        self.cgroup.freeze()
    }

    /// Waits for the end of a host that shuts itself down; false where it still runs after `limit`.
    pub(crate) fn ended(&mut self, limit: Duration) -> Result<bool> {
        self.supervisor.wait(limit).map(|status| status.is_some())
    }

    /// Asks its systemd to shut down, and waits for it.
    pub(crate) fn shut_down(mut self) -> Result<()> {
        let mut command = self.command(&["systemctl", "--no-block", "poweroff"])?;
        let asked = crate::process::run(&mut command, b"", SHUTDOWN_LIMIT)?;
        if self.ended(SHUTDOWN_LIMIT)? {
            return Ok(());
        }
        Err(Error::TimedOut {
            command: "systemctl poweroff".into(),
            after: SHUTDOWN_LIMIT,
            output: asked.stderr,
        })
    }

    /// Ends it between two instructions: everything in it is killed and nothing is written out.
    pub(crate) fn cut(mut self) -> Result<()> {
        self.destroy()
    }

    fn destroy(&mut self) -> Result<()> {
        // The death of a pid namespace's first process takes all others along, in the kernel.
        kill_hard(self.leader)?;
        self.supervisor.kill()?;
        self.cgroup.kill()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        drop(self.destroy());
    }
}

fn in_groups(entrances: &[std::path::PathBuf]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", ENTER_GROUPS, "sh"]).args(entrances).arg("--").env("LC_ALL", "C.UTF-8");
    command
}

/// Reads the notifications of nspawn (`sd_notify(3)`) until the host is up; its leader, or what went wrong.
fn await_ready(supervisor: &mut Running, socket: &UnixDatagram) -> Result<u32, String> {
    let said = |error: std::io::Error| error.to_string();
    socket.set_read_timeout(Some(Duration::from_millis(100))).map_err(said)?;
    let deadline = Instant::now() + BOOT_LIMIT;
    let mut leader = None;
    let mut buffer = [0; 4096];
    while Instant::now() < deadline {
        let length = socket.recv(&mut buffer).unwrap_or(0);
        for line in String::from_utf8_lossy(&buffer[..length]).lines() {
            if let Some(pid) = line.strip_prefix("X_NSPAWN_LEADER_PID=") {
                leader = pid.parse().ok();
            }
            if line == "READY=1" {
                return leader.ok_or_else(|| "it is ready, but its pid 1 was never named".to_owned());
            }
        }
        if let Some(status) = supervisor.wait(Duration::ZERO).map_err(|error| error.to_string())? {
            return Err(format!("systemd-nspawn ended with {status}"));
        }
    }
    Err(format!("its systemd was not up after {BOOT_LIMIT:?}"))
}

/// The bounding set of the process `pid` in the words of `setpriv --bounding-set`.
fn bounding_set(pid: u32) -> Result<String> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).doing("read", &path)?;
    let mask = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let mask = mask.ok_or(Error::Malformed { what: "CapBnd", text: status })?;
    let held = (0..64).filter(|bit| mask >> bit & 1 == 1).map(|bit| format!(",+cap_{bit}"));
    Ok(format!("-all{}", held.collect::<String>()))
}
