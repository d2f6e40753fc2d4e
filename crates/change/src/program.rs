//! The one door through which this crate starts programs: a closed list, absolute paths, no shell, a cleared
//! environment, a time limit, and what they said kept for the error.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use host::facts::IptablesVariant;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::time::Timespec;

use crate::error::{Error, Result};
use crate::journal::{Lock, TransactionId};
use crate::root::Root;

/// A program with its arguments.
#[derive(Debug)]
pub(crate) enum Program<'a> {
    /// useradd(8): a login account with a home directory.
    AddUser { name: &'a str, home: &'a Path, shell: &'a Path, groups: &'a [String] },
    /// usermod(8): a supplementary group more.
    AddToGroup { name: &'a str, group: &'a str },
    /// usermod(8): lock the password.
    LockPassword { name: &'a str },
    /// usermod(8): the login shell.
    SetShell { name: &'a str, shell: &'a Path },
    /// chpasswd(8) with a hash on stdin, so that it is in no list of processes.
    SetPasswordHash,
    /// chage(1): the password never expires.
    NeverExpire { name: &'a str },
    /// `sshd -t`.
    TestSshd { program: &'a Path },
    /// `systemctl daemon-reload`.
    ReloadUnits,
    /// `systemctl reload UNIT`.
    ReloadUnit { unit: &'a str },
    /// `systemctl restart UNIT`.
    RestartUnit { unit: &'a str },
    /// `systemctl is-active --quiet UNIT`.
    UnitIsActive { unit: &'a str },
    /// `systemctl stop UNIT`.
    StopUnit { unit: &'a str },
    /// `systemctl start UNIT`.
    StartUnit { unit: &'a str },
    /// `systemctl start --no-block UNIT`: when its turn comes.
    QueueStart { unit: &'a str },
    /// `systemctl stop --no-block UNIT`.
    QueueStop { unit: &'a str },
    /// `firewall-cmd --state`: success when firewalld has loaded its rules.
    FirewalldState,
    /// An init script below /etc/init.d with `start` or `stop`.
    InitScript { script: &'a Path, verb: &'a str },
    /// systemd-run(1): a transient timer that rolls a transaction back.
    StartTimer { unit: &'a str, seconds: u64, program: &'a Path, id: &'a TransactionId },
    /// ssh-keygen(1): an Ed25519 pair without a passphrase at a path.
    MakeKey { path: &'a Path },
    /// ssh(1) to this very host, asking nothing, with these options.
    Login { arguments: &'a [OsString] },
    /// `sudo -l -U NAME`, as root.
    ListSudo { name: &'a str },
    /// getent(1): an account that is not in /etc/passwd.
    LookUpAccount { name: &'a str },
    /// iptables-save(8).
    SaveIptables { variant: IptablesVariant, ipv6: bool, counters: bool },
    /// iptables-restore(8), with the rules on its standard input.
    RestoreIptables { variant: IptablesVariant, ipv6: bool, test: bool, noflush: bool },
    /// restorecon(8), where `SELinux` labels files.
    RestoreLabel { path: &'a Path },
}

/// What a program that ended with success wrote.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: ExitStatus,
    /// stdout and stderr, as they came.
    pub(crate) text: String,
    /// stdout alone.
    pub(crate) stdout: String,
    path: PathBuf,
}

/// Where programs are looked for. `PATH` is not asked: it is the caller's.
const DIRECTORIES: &[&str] = &["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Rules may be many.
const MOST_READ: u64 = 64 << 20;

const PATIENCE: Duration = Duration::from_secs(60);

/// The end of what a program wrote is what tells; the rest is left out of an error.
const MOST_OUTPUT: usize = 2000;

impl Program<'_> {
    /// Starts it, waits, and takes anything but success for an error.
    pub(crate) fn run(&self, root: &Root, lock: Option<&Lock>, input: &[u8]) -> Result<Output> {
        let output = self.output(root, lock, input)?;
        if output.status.success() { Ok(output) } else { Err(output.into_error()) }
    }

    /// Starts it and waits for what it says. Whoever holds `lock` lends it to the program, so that recovery waits
    /// for the program when this process is killed.
    pub(crate) fn output(&self, root: &Root, lock: Option<&Lock>, input: &[u8]) -> Result<Output> {
        let path = self.path()?;
        let mut command = Command::new(&path);
        command.args(self.arguments(root)).env_clear().env("LC_ALL", "C").current_dir("/");
        command.env("PATH", DIRECTORIES.join(":"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut start = || command.spawn().map_err(Error::io("start", &path));
        let child = match lock {
            Some(lock) => lock.inherited(&mut start)?,
            None => start()?,
        };
        wait(child, &path, input)
    }

    fn path(&self) -> Result<PathBuf> {
        let name = match self {
            Self::AddUser { .. } => "useradd",
            Self::AddToGroup { .. } | Self::LockPassword { .. } | Self::SetShell { .. } => "usermod",
            Self::SetPasswordHash => "chpasswd",
            Self::NeverExpire { .. } => "chage",
            Self::TestSshd { program } => return Ok((*program).to_owned()),
            Self::InitScript { script, .. } => return Ok((*script).to_owned()),
            Self::ReloadUnits
            | Self::ReloadUnit { .. }
            | Self::RestartUnit { .. }
            | Self::UnitIsActive { .. }
            | Self::StopUnit { .. }
            | Self::StartUnit { .. }
            | Self::QueueStart { .. }
            | Self::QueueStop { .. } => "systemctl",
            Self::FirewalldState => "firewall-cmd",
            Self::StartTimer { .. } => "systemd-run",
            Self::MakeKey { .. } => "ssh-keygen",
            Self::Login { .. } => "ssh",
            Self::ListSudo { .. } => "sudo",
            Self::LookUpAccount { .. } => "getent",
            Self::RestoreLabel { .. } => "restorecon",
            Self::SaveIptables { variant, ipv6, .. } => return iptables(*variant, *ipv6, "save"),
            Self::RestoreIptables { variant, ipv6, .. } => return iptables(*variant, *ipv6, "restore"),
        };
        find(name).ok_or(Error::NoProgram { program: name })
    }

    fn arguments(&self, root: &Root) -> Vec<OsString> {
        match self {
            Self::AddUser { name, home, shell, groups } => {
                let mut arguments = prefix(root);
                arguments.extend(list(["--no-log-init", "--create-home", "--home-dir"]));
                arguments.extend([home.into(), "--shell".into(), shell.into()]);
                if !groups.is_empty() {
                    arguments.extend(list(["--groups", &groups.join(",")]));
                }
                if !root.is_live() {
                    // --prefix leaves this one to the machine's own.
                    arguments.extend(["--skel".into(), root.outside("/etc/skel").into()]);
                }
                arguments.extend(list(["--", name]));
                arguments
            }
            Self::AddToGroup { name, group } => {
                [prefix(root), list(["--append", "--groups", group, "--", name])].concat()
            }
            Self::LockPassword { name } => [prefix(root), list(["--lock", "--", name])].concat(),
            Self::SetShell { name, shell } => {
                [prefix(root), list(["--shell"]), vec![shell.into()], list(["--", name])].concat()
            }
            Self::SetPasswordHash => [chroot(root), list(["--encrypted"])].concat(),
            Self::NeverExpire { name } => [chroot(root), list(["--maxdays", "-1", "--", name])].concat(),
            Self::TestSshd { .. } => list(["-t"]),
            Self::ReloadUnits => list(["daemon-reload"]),
            Self::ReloadUnit { unit } => list(["reload", "--", unit]),
            Self::RestartUnit { unit } => list(["restart", "--", unit]),
            Self::UnitIsActive { unit } => list(["is-active", "--quiet", "--", unit]),
            Self::StopUnit { unit } => list(["stop", "--", unit]),
            Self::StartUnit { unit } => list(["start", "--", unit]),
            Self::QueueStart { unit } => list(["start", "--no-block", "--", unit]),
            Self::QueueStop { unit } => list(["stop", "--no-block", "--", unit]),
            Self::FirewalldState => list(["--state"]),
            Self::InitScript { verb, .. } => list([*verb]),
            Self::StartTimer { unit, seconds, program, id } => {
                let unit = format!("--unit={unit}");
                let after = format!("--on-active={seconds}s");
                let description = format!("--description=Undo {id} unless it is confirmed");
                let mut arguments = list([&unit, &after, "--timer-property=AccuracySec=1s", &description]);
                arguments.extend(list(["--property=Type=oneshot", "--"]));
                arguments.push(program.into());
                arguments.extend(list(["rollback", id.as_str(), "--because", "unconfirmed"]));
                arguments
            }
            Self::MakeKey { path } => {
                [list(["-q", "-t", "ed25519", "-N", "", "-C", "gabion", "-f"]), vec![path.into()]].concat()
            }
            Self::Login { arguments } => arguments.to_vec(),
            Self::ListSudo { name } => list(["-n", "-l", "-U", name]),
            Self::LookUpAccount { name } => list(["passwd", name]),
            Self::SaveIptables { counters, .. } => list(counters.then_some("--counters")),
            Self::RestoreIptables { test, noflush, .. } => {
                list([test.then_some("--test"), noflush.then_some("--noflush")].into_iter().flatten())
            }
            Self::RestoreLabel { path } => [list(["-F", "--"]), vec![path.into()]].concat(),
        }
    }
}

impl Output {
    /// As the error that a failed program is.
    pub(crate) fn into_error(self) -> Error {
        let start = self.text.len().saturating_sub(MOST_OUTPUT);
        let start = (start..self.text.len()).find(|at| self.text.is_char_boundary(*at)).unwrap_or(0);
        Error::Program {
            program: self.path,
            status: self.status.to_string(),
            output: self.text[start..].trim().to_owned(),
        }
    }
}

/// The absolute path of a program of this host.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    DIRECTORIES.iter().map(|directory| Path::new(directory).join(name)).find(|path| path.is_file())
}

/// The program of iptables for one variant and family; hosts that have only one have it by the plain name.
fn iptables(variant: IptablesVariant, ipv6: bool, verb: &str) -> Result<PathBuf> {
    let family = if ipv6 { "ip6tables" } else { "iptables" };
    let kind = match variant {
        IptablesVariant::Nft => "nft",
        IptablesVariant::Legacy => "legacy",
    };
    let found = find(&format!("{family}-{kind}-{verb}")).or_else(|| find(&format!("{family}-{verb}")));
    found.ok_or(Error::NoProgram { program: if ipv6 { "ip6tables" } else { "iptables" } })
}

/// For useradd(8) and usermod(8) on an image.
fn prefix(root: &Root) -> Vec<OsString> {
    if root.is_live() { Vec::new() } else { vec!["--prefix".into(), root.path().into()] }
}

/// For chpasswd(8) and chage(1) on an image.
fn chroot(root: &Root) -> Vec<OsString> {
    if root.is_live() { Vec::new() } else { vec!["--root".into(), root.path().into()] }
}

fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<OsString> {
    words.into_iter().map(Into::into).collect()
}

fn wait(mut child: Child, path: &Path, input: &[u8]) -> Result<Output> {
    let stdin = child.stdin.take();
    let stdout = child.stdout.take();
    let stderr = child.stderr.take();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // A program that does not read its input ends with its own status; that is what is told.
            let _ = stdin.map(|mut pipe| pipe.write_all(input));
        });
        let read = |pipe: Option<Box<dyn std::io::Read + Send>>| {
            scope.spawn(move || {
                let mut bytes = Vec::new();
                let _ = pipe.map(|pipe| pipe.take(MOST_READ).read_to_end(&mut bytes));
                bytes
            })
        };
        let stdout = read(stdout.map(|pipe| Box::new(pipe) as _));
        let stderr = read(stderr.map(|pipe| Box::new(pipe) as _));
        let ended = wait_until(&mut child, Instant::now() + PATIENCE).map_err(Error::io("wait for", path))?;
        let mut bytes = stdout.join().unwrap_or_default();
        let stdout = String::from_utf8_lossy(&bytes).into_owned();
        bytes.extend(stderr.join().unwrap_or_default());
        // sshd ends its lines as a terminal in raw mode wants them.
        let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
        match ended {
            Some(status) => Ok(Output { status, text, stdout, path: path.to_owned() }),
            None => Err(Error::Program {
                program: path.to_owned(),
                status: format!("timed out after {} s", PATIENCE.as_secs()),
                output: text,
            }),
        }
    })
}

/// The status, or none where the time ran out and the program was killed.
fn wait_until(child: &mut Child, until: Instant) -> std::io::Result<Option<ExitStatus>> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let handle = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        match &handle {
            Some(handle) => {
                let timeout = Timespec::try_from(left).unwrap_or_default();
                let _ = poll(&mut [PollFd::new(handle, PollFlags::IN)], Some(&timeout));
            }
            None => std::thread::sleep(left.min(Duration::from_millis(10))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_program_says_what_it_wrote() {
        let root = Root::live().unwrap();
        let error = Program::LookUpAccount { name: "no-such-account" }.run(&root, None, b"").unwrap_err();
        assert!(matches!(error, Error::Program { .. }), "{error}");
        let output = Program::LookUpAccount { name: "root" }.run(&root, None, b"").unwrap();
        assert!(output.text.starts_with("root:"), "{}", output.text);
    }

    #[test]
    fn an_image_is_never_mistaken_for_the_machine() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::at(directory.path()).unwrap();
        let programs = [
            Program::AddUser { name: "a", home: "/home/a".as_ref(), shell: "/bin/sh".as_ref(), groups: &[] },
            Program::AddToGroup { name: "a", group: "b" },
            Program::LockPassword { name: "a" },
            Program::SetShell { name: "a", shell: "/bin/sh".as_ref() },
            Program::SetPasswordHash,
            Program::NeverExpire { name: "a" },
        ];
        for program in programs {
            let arguments = program.arguments(&root);
            assert!(arguments[0] == "--prefix" || arguments[0] == "--root", "{program:?}");
            assert_eq!(arguments[1], root.path().as_os_str(), "{program:?}");
            assert!(!program.arguments(&Root::live().unwrap()).contains(&root.path().into()), "{program:?}");
        }
    }
}
