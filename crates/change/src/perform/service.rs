//! Switching a service of the host: whether it runs, and whether it starts at boot.

mod links;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use links::Change;

use super::file::put_all_back;
use super::reload::runs_systemd;
use super::{Context, Earlier, Perform, Saved};
use crate::action::{AtBoot, Commands, Owner, ServiceState};
use crate::atomic;
use crate::attributes::{Attributes, Bits, Stamp};
use crate::error::{Error, Result};
use crate::fault;
use crate::originals::{Keep, PutBack, kind_of};
use crate::program::{Program, find};
use crate::root::Root;

pub(super) struct SwitchService<'a> {
    pub(super) unit: &'a str,
    pub(super) to: ServiceState,
    pub(super) before: ServiceState,
    pub(super) commands: Commands,
}

impl Perform for SwitchService<'_> {
    fn check(&self, context: &Context<'_>) -> Result<()> {
        self.check_name()?;
        if context.earlier.switches(self.unit) {
            return Ok(());
        }
        let found = ServiceState {
            active: match context.root.is_live() {
                true => is_active(context.root, self.unit)?.unwrap_or(self.before.active),
                // On an image nothing runs.
                false => self.before.active,
            },
            at_boot: links::at_boot(context.root, self.unit)?,
        };
        if found == self.before { Ok(()) } else { Err(context.stale(self.unit, self.before, found)) }
    }

    fn save(&self, context: &Context<'_>, keep: &Keep<'_>) -> Result<Saved> {
        let changes = links::changes(context.root, self.unit, self.to.at_boot)?;
        let mut saved = Saved::paths(keep, changes.iter().map(Change::path))?;
        for directory in missing_directories(context.root, &changes)? {
            saved.originals.push(keep.path(&directory)?);
            saved.keep_around(keep, &directory)?;
        }
        Ok(saved)
    }

    fn act(&self, context: &Context<'_>, _: &PutBack<'_>, _: &Saved) -> Result<()> {
        let root = context.root;
        let changes = links::changes(root, self.unit, self.to.at_boot)?;
        // A masked unit can be stopped, and forgets its commands only when systemd reads it again.
        if self.before.active && !self.to.active {
            self.run(root, Verb::Stop)?;
        }
        for directory in missing_directories(root, &changes)? {
            make_directory(context, &directory)?;
        }
        for change in &changes {
            let place = root.place(change.path())?;
            place.directory.require_trusted(rustix::process::geteuid().as_raw())?;
            match change {
                Change::Remove(_) => atomic::remove(&place)?,
                Change::Link(_, target) => atomic::symlink(&place, &context.tag, target, None)?,
            }
        }
        if self.to.active && !self.before.active {
            read_units_again(root)?;
            self.run(root, Verb::Start)?;
        }
        Ok(())
    }

    fn undo(&self, context: &Context<'_>, back: &PutBack<'_>, saved: &Saved) -> Result<Vec<String>> {
        let root = context.root;
        let is_running = root.is_live() && !context.boots;
        if is_running && !self.before.active && self.to.active {
            self.run(root, Verb::Stop)?;
        }
        let notes = put_all_back(back, saved, None)?;
        fault::point("service: links are back");
        // At boot, what starts services has not come to them yet: `settle_boot` has it look again.
        if is_running && self.before.active && !self.to.active {
            read_units_again(root)?;
            self.run(root, Verb::Start)?;
        }
        if is_running {
            Quiet::of(self.unit).end(root)?;
        }
        Ok(notes)
    }

    fn tell(&self, earlier: &mut Earlier) {
        earlier.services.push(self.unit.to_owned());
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Start,
    Stop,
}

impl SwitchService<'_> {
    /// A name that no program takes for an option or a path.
    fn check_name(&self) -> Result<()> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.@:\\".contains(c);
        if self.unit.is_empty() || self.unit.starts_with(['-', '.']) || !self.unit.chars().all(fits) {
            let what = "this is no name of a service".to_owned();
            return Err(Error::Service { unit: self.unit.to_owned(), what });
        }
        Ok(())
    }

    fn run(&self, root: &Root, verb: Verb) -> Result<()> {
        if !root.is_live() {
            return Ok(());
        }
        if !runs_systemd() {
            return self.run_script(root, verb);
        }
        let quiet = Quiet::of(self.unit);
        if self.commands == Commands::Skip {
            quiet.begin(root)?;
        }
        let unit = self.unit;
        match verb {
            Verb::Start => Program::StartUnit { unit }.run(root, None, b"")?,
            Verb::Stop => Program::StopUnit { unit }.run(root, None, b"")?,
        };
        if verb == Verb::Start && unit == FIREWALLD {
            wait_for_firewalld(root)?;
        }
        fault::point("service: switched");
        quiet.end(root)
    }

    /// Where there is no systemd, a script's commands are the whole service: to skip them is to leave it.
    fn run_script(&self, root: &Root, verb: Verb) -> Result<()> {
        let script = script_of(self.unit);
        if self.commands == Commands::Skip || !script.is_file() {
            return Ok(());
        }
        let word = match verb {
            Verb::Start => "start",
            Verb::Stop => "stop",
        };
        Program::InitScript { script: &script, verb: word }.run(root, None, b"")?;
        fault::point("service: switched");
        Ok(())
    }
}

const FIREWALLD: &str = "firewalld.service";

/// It is on the bus, and counts as started, before it has loaded its rules.
fn wait_for_firewalld(root: &Root) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(30);
    while Instant::now() < until {
        match Program::FirewalldState.output(root, None, b"") {
            Ok(output) if !output.status.success() => std::thread::sleep(Duration::from_millis(100)),
            // Without its client there is nobody to ask.
            Ok(_) | Err(Error::NoProgram { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    let what = "it has not loaded its rules within 30 s".to_owned();
    Err(Error::Service { unit: FIREWALLD.to_owned(), what })
}

/// Whether a service runs; none where the host cannot say.
fn is_active(root: &Root, unit: &str) -> Result<Option<bool>> {
    if runs_systemd() {
        let asked = Program::UnitIsActive { unit }.output(root, None, b"")?;
        return Ok(Some(asked.status.success()));
    }
    let script = script_of(unit);
    if !script.is_file() {
        return Ok(Some(false));
    }
    // A script that knows no `status` says what it takes, with an exit code of its own.
    Ok(None)
}

fn script_of(unit: &str) -> PathBuf {
    Path::new("/etc/init.d").join(links::script_name(unit))
}

fn read_units_again(root: &Root) -> Result<()> {
    if root.is_live() && runs_systemd() && find("systemctl").is_some() {
        Program::ReloadUnits.run(root, None, b"")?;
    }
    Ok(())
}

/// A drop-in that takes a unit its commands while its state is switched. It stands below /run, so that no reboot sees it.
struct Quiet {
    directory: PathBuf,
    file: PathBuf,
}

/// The conditions are taken too: a unit that they kept from starting would not become active again.
const QUIET: &str = "\
# Written by gabion, for a moment.
[Unit]
ConditionPathExists=
[Service]
ExecStartPre=
ExecStart=
ExecStart=/bin/true
ExecStartPost=
ExecReload=
ExecStop=
ExecStopPost=
";

impl Quiet {
    fn of(unit: &str) -> Self {
        let directory = Path::new("/run/systemd/system").join(format!("{unit}.d"));
        Self { file: directory.join("zz-gabion-quiet.conf"), directory }
    }

    fn begin(&self, root: &Root) -> Result<()> {
        std::fs::create_dir_all(&self.directory).map_err(Error::io("create", &self.directory))?;
        std::fs::write(&self.file, QUIET).map_err(Error::io("write", &self.file))?;
        read_units_again(root)?;
        fault::point("service: quiet");
        Ok(())
    }

    /// Nothing being there is as good.
    fn end(&self, root: &Root) -> Result<()> {
        match std::fs::remove_file(&self.file) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io("remove", &self.file)(error)),
        }
        // Others' drop-ins may be in it.
        let _ = std::fs::remove_dir(&self.directory);
        read_units_again(root)
    }
}

/// Directories of links that are not there yet.
fn missing_directories(root: &Root, changes: &[Change]) -> Result<Vec<PathBuf>> {
    let mut missing: Vec<PathBuf> = Vec::new();
    for change in changes {
        let Change::Link(path, _) = change else { continue };
        let Some(directory) = path.parent().filter(|directory| !missing.iter().any(|one| one == directory))
        else {
            continue;
        };
        let is_there = match root.place(directory) {
            Ok(place) => kind_of(&place)?.is_some(),
            Err(error) if error.is_not_found() => false,
            Err(error) => return Err(error),
        };
        if !is_there {
            missing.push(directory.to_owned());
        }
    }
    Ok(missing)
}

fn make_directory(context: &Context<'_>, path: &Path) -> Result<()> {
    let place = context.root.place(path)?;
    let (uid, gid) = context.owner(&Owner::Keep, None)?;
    place.directory.require_trusted(uid)?;
    let now = Stamp { seconds: 0, nanoseconds: 0 };
    let wanted = Attributes {
        mode: Bits(0o755),
        uid,
        gid,
        modified: now,
        accessed: now,
        xattrs: std::collections::BTreeMap::default(),
    };
    atomic::directory(&place, &context.tag, &wanted)
}

/// What is left to be done for a service whose switching was undone at boot: the boot had counted what starts before.
pub(crate) fn settle(root: &Root, unit: &str, to: ServiceState, before: ServiceState) {
    if to.at_boot == before.at_boot {
        return;
    }
    let program = match before.at_boot {
        AtBoot::Enabled => Program::QueueStart { unit },
        AtBoot::Disabled | AtBoot::Masked => Program::QueueStop { unit },
    };
    // It is the next boot's otherwise.
    let _ = program.run(root, None, b"");
}
