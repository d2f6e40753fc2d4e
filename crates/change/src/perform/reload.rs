//! Making programs read their files again. Undone by doing it once more, when all files are back.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Context, Earlier, Perform, Saved};
use crate::error::{Error, Result};
use crate::fault;
use crate::originals::{Keep, PutBack};
use crate::program::Program;
use crate::root::Root;

/// Names of the server's unit, by distribution.
const UNITS: [&str; 2] = ["ssh.service", "sshd.service"];
const SOCKETS: [&str; 2] = ["ssh.socket", "sshd.socket"];

pub(super) struct ReloadSsh<'a> {
    pub(super) program: &'a Path,
}

impl Perform for ReloadSsh<'_> {
    fn check(&self, context: &Context<'_>) -> Result<()> {
        // What runs as root at a path that the plan names must be root's.
        context.root.place(self.program)?.directory.require_trusted(0)
    }

    fn save(&self, _: &Context<'_>, _: &Keep<'_>) -> Result<Saved> {
        Ok(Saved::default())
    }

    fn act(&self, context: &Context<'_>, _: &PutBack<'_>, _: &Saved) -> Result<()> {
        if !context.root.is_live() {
            return Ok(());
        }
        test_configuration(context.root, self.program)?;
        reload(context.root, self.program)
    }

    fn undo(&self, context: &Context<'_>, _: &PutBack<'_>, _: &Saved) -> Result<Vec<String>> {
        if !context.root.is_live() {
            return Ok(Vec::new());
        }
        match test_configuration(context.root, self.program) {
            Ok(()) => reload(context.root, self.program).map(|()| Vec::new()),
            // A server that is told to read a configuration that it refuses ends: the one that runs is kept.
            Err(error) => Ok(vec![format!(
                "sshd was not reloaded, for it refuses the configuration that was there before ({error}); it runs on \
                 with the one that was undone"
            )]),
        }
    }

    fn is_reload(&self) -> bool {
        true
    }

    fn tell(&self, _: &mut Earlier) {}
}

pub(super) struct ReloadUnits;

impl Perform for ReloadUnits {
    fn check(&self, _: &Context<'_>) -> Result<()> {
        Ok(())
    }

    fn save(&self, _: &Context<'_>, _: &Keep<'_>) -> Result<Saved> {
        Ok(Saved::default())
    }

    fn act(&self, context: &Context<'_>, _: &PutBack<'_>, _: &Saved) -> Result<()> {
        if context.root.is_live() && runs_systemd() {
            Program::ReloadUnits.run(context.root, None, b"")?;
            fault::point("units: reloaded");
        }
        Ok(())
    }

    fn undo(&self, context: &Context<'_>, back: &PutBack<'_>, saved: &Saved) -> Result<Vec<String>> {
        self.act(context, back, saved).map(|()| Vec::new())
    }

    fn is_reload(&self) -> bool {
        true
    }

    fn tell(&self, _: &mut Earlier) {}
}

/// `sd_booted(3)`.
pub(crate) fn runs_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// Where sshd separates its privileges; systemd makes it when the server starts, so a server that is started by a
/// socket may find none yet (`sshd -t` then fails whatever the configuration says).
const SEPARATION: &str = "/run/sshd";

fn test_configuration(root: &Root, program: &Path) -> Result<()> {
    let test = Program::TestSshd { program };
    let output = test.output(root, None, b"")?;
    if output.status.success() {
        return Ok(());
    }
    if !output.text.contains(SEPARATION) || Path::new(SEPARATION).exists() {
        return Err(output.into_error());
    }
    fs::create_dir(SEPARATION).map_err(Error::io("create", SEPARATION))?;
    let result = test.run(root, None, b"").map(drop);
    let _ = fs::remove_dir(SEPARATION);
    result
}

fn reload(root: &Root, program: &Path) -> Result<()> {
    if runs_systemd() && active(root, &SOCKETS)?.is_some() {
        return reload_behind_socket(root);
    }
    let masters = masters(program)?;
    let images: Vec<(Pid, Image)> = masters.iter().map(|pid| (*pid, Image::of(*pid))).collect();
    match active_unit(root)? {
        Some(unit) => {
            Program::ReloadUnit { unit }.run(root, None, b"")?;
        }
        None => masters
            .iter()
            .try_for_each(|pid| kill_process(*pid, Signal::HUP).map_err(Error::os("reload", program)))?,
    }
    fault::point("sshd: reloaded");
    images.iter().for_each(|(pid, before)| before.wait_for_another(*pid));
    Ok(())
}

/// A server that was given its socket by systemd loses it when it executes itself anew on SIGHUP: it listens at its own
/// ports then, and nobody answers at the socket's. A restart hands the socket over again, and sessions outlive it, for
/// such a unit has `KillMode=process`. One that is started for each connection reads the files by itself.
fn reload_behind_socket(root: &Root) -> Result<()> {
    // sshd-socket-generator(8) reads the ports out of sshd_config.
    Program::ReloadUnits.run(root, None, b"")?;
    if let Some(unit) = active_unit(root)? {
        Program::RestartUnit { unit }.run(root, None, b"")?;
    }
    fault::point("sshd: reloaded");
    Ok(())
}

fn active_unit(root: &Root) -> Result<Option<&'static str>> {
    if runs_systemd() { active(root, &UNITS) } else { Ok(None) }
}

fn active(root: &Root, units: &[&'static str]) -> Result<Option<&'static str>> {
    for unit in units {
        if (Program::UnitIsActive { unit }).output(root, None, b"")?.status.success() {
            return Ok(Some(unit));
        }
    }
    Ok(None)
}

/// The server processes that listen: they run this program, in our pid namespace (not a container's), under a parent
/// that does not, and with the configuration that `sshd -t` has tested.
fn masters(program: &Path) -> Result<Vec<Pid>> {
    let mut found = Vec::new();
    let ours = fs::read_link("/proc/self/ns/pid").ok();
    for entry in fs::read_dir("/proc").map_err(Error::io("list", "/proc"))?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw)
        else {
            continue;
        };
        let is_ours = fs::read_link(of(pid, "ns/pid")).ok() == ours;
        let other_configuration = command_line(pid).split([' ', '\0']).any(|word| word.starts_with("-f"));
        if is_ours
            && runs(pid, program)
            && !parent(pid).is_some_and(|pid| runs(pid, program))
            && !other_configuration
        {
            found.push(pid);
        }
    }
    Ok(found)
}

fn of(pid: Pid, what: &str) -> PathBuf {
    Path::new("/proc").join(pid.as_raw_nonzero().to_string()).join(what)
}

fn runs(pid: Pid, program: &Path) -> bool {
    let Ok(link) = fs::read_link(of(pid, "exe")) else {
        return false;
    };
    // An update may have replaced the file under the running server.
    let link = link.to_string_lossy();
    let path = Path::new(link.strip_suffix(" (deleted)").unwrap_or(&link)).to_owned();
    path == program || program.canonicalize().is_ok_and(|program| program == path)
}

fn parent(pid: Pid) -> Option<Pid> {
    let stat = fs::read_to_string(of(pid, "stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(1)?.parse().ok().and_then(Pid::from_raw)
}

fn command_line(pid: Pid) -> String {
    String::from_utf8_lossy(&fs::read(of(pid, "cmdline")).unwrap_or_default()).into_owned()
}

/// The program image that a process runs. A server that is told to reload executes itself anew: its process number
/// and start time stay, its image does not.
struct Image {
    /// auxv of proc(5): holds addresses that differ with every execve(2).
    auxv: Vec<u8>,
    announces: bool,
}

/// What OpenSSH puts into its title once it listens.
const LISTENER: &str = "[listener]";

impl Image {
    fn of(pid: Pid) -> Self {
        let announces = command_line(pid).contains(LISTENER);
        Self { auxv: fs::read(of(pid, "auxv")).unwrap_or_default(), announces }
    }

    /// Waits until the server runs anew and listens, so that a login after this meets the new configuration. Not
    /// for ever: a login that meets the old one is found by its proof.
    fn wait_for_another(&self, pid: Pid) {
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until {
            let now = Self::of(pid);
            if now.auxv != self.auxv && (now.announces || !self.announces) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
