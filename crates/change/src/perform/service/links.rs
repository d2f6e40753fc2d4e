//! What starts a service at boot, as names in directories: links of systemd, of `SysV` run levels and of `OpenRC`.
//!
//! They are changed here and not by `systemctl disable` or `update-rc.d`, so that each is kept before it is touched and
//! comes back as it was. Sources: systemctl(1), systemd.unit(5) `[Install]`, update-rc.d(8), rc-update(8).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::action::AtBoot;
use crate::error::{Error, Result};
use crate::originals::{kind_of, link_target};
use crate::root::Root;

/// Where the administrator's own units and links are.
const UNITS: &str = "/etc/systemd/system";
/// Where unit files are, the first one winning: systemd.unit(5).
const UNIT_DIRECTORIES: [&str; 5] = [
    UNITS,
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
const NOTHING: &str = "/dev/null";
const RUN_LEVELS: [&str; 5] = ["/etc/rc2.d", "/etc/rc3.d", "/etc/rc4.d", "/etc/rc5.d", "/etc/rcS.d"];
const OPEN_RC: &str = "/etc/runlevels";

/// What becomes of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Remove(PathBuf),
    Link(PathBuf, PathBuf),
}

impl Change {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Remove(path) | Self::Link(path, _) => path,
        }
    }
}

/// Whether a service starts at boot, by the names that there are.
pub(super) fn at_boot(root: &Root, unit: &str) -> Result<AtBoot> {
    if target_of(root, &mask(unit))?.is_some_and(|target| target == Path::new(NOTHING)) {
        return Ok(AtBoot::Masked);
    }
    let script = script_name(unit);
    let is_wanted = wants(root, unit)?.iter().any(|link| {
        link.parent() != Some(Path::new(UNITS)) // an alias alone starts nothing
    });
    let is_started = !run_level_links(root, script, 'S')?.is_empty() && !has_unit_file(root, unit);
    let enabled = is_wanted || is_started || !open_rc_links(root, script)?.is_empty();
    Ok(if enabled { AtBoot::Enabled } else { AtBoot::Disabled })
}

/// The changes that bring a service to that state; none where it is there.
pub(super) fn changes(root: &Root, unit: &str, to: AtBoot) -> Result<Vec<Change>> {
    let now = at_boot(root, unit)?;
    let mut changes = Vec::new();
    if now == to {
        return Ok(changes);
    }
    if now == AtBoot::Masked {
        changes.push(Change::Remove(mask(unit)));
    }
    let script = script_name(unit);
    match to {
        AtBoot::Masked => {
            changes.push(Change::Link(mask(unit), NOTHING.into()));
            changes.extend(switch_run_levels(root, script, 'S', 'K')?);
            changes.extend(open_rc_links(root, script)?.into_iter().map(Change::Remove));
        }
        AtBoot::Disabled => {
            changes.extend(wants(root, unit)?.into_iter().map(Change::Remove));
            changes.extend(switch_run_levels(root, script, 'S', 'K')?);
            changes.extend(open_rc_links(root, script)?.into_iter().map(Change::Remove));
        }
        AtBoot::Enabled => {
            changes.extend(install(root, unit)?);
            changes.extend(switch_run_levels(root, script, 'K', 'S')?);
            let init = PathBuf::from(format!("/etc/init.d/{script}"));
            if exists(root, OPEN_RC.as_ref())? && exists(root, &init)? {
                changes.push(Change::Link(format!("{OPEN_RC}/default/{script}").into(), init));
            }
        }
    }
    Ok(changes)
}

fn mask(unit: &str) -> PathBuf {
    Path::new(UNITS).join(unit)
}

pub(super) fn script_name(unit: &str) -> &str {
    unit.strip_suffix(".service").unwrap_or(unit)
}

fn has_unit_file(root: &Root, unit: &str) -> bool {
    unit_file(root, unit).is_some()
}

fn unit_file(root: &Root, unit: &str) -> Option<PathBuf> {
    let paths = UNIT_DIRECTORIES.iter().map(|directory| Path::new(directory).join(unit));
    let is_masked = |path: &PathBuf| {
        target_of(root, path).ok().flatten().is_some_and(|target| target == Path::new(NOTHING))
    };
    paths.into_iter().find(|path| matches!(exists(root, path), Ok(true)) && !is_masked(path))
}

/// The links by which other units want this one, and its other names.
fn wants(root: &Root, unit: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for name in names(root, UNITS.as_ref())? {
        let path = Path::new(UNITS).join(&name);
        let folder = [".wants", ".requires", ".upholds"].iter().any(|suffix| name.ends_with(suffix));
        if folder {
            let link = path.join(unit);
            if target_of(root, &link)?.is_some() {
                found.push(link);
            }
        } else if name != unit {
            let is_alias = target_of(root, &path)?
                .is_some_and(|target| target.file_name().is_some_and(|file| file == unit));
            if is_alias {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// The links that `[Install]` of the unit's file asks for.
fn install(root: &Root, unit: &str) -> Result<Vec<Change>> {
    let Some(file) = unit_file(root, unit) else {
        return Ok(Vec::new());
    };
    let text = String::from_utf8_lossy(&root.read(&file)?).into_owned();
    let mut section = "";
    let mut changes = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| section == "[Install]") else {
            continue;
        };
        let suffix = match key.trim() {
            "WantedBy" => ".wants",
            "RequiredBy" => ".requires",
            "Alias" => "",
            _ => continue,
        };
        for word in value.split_whitespace() {
            let path = match suffix {
                "" => Path::new(UNITS).join(word),
                _ => Path::new(UNITS).join(format!("{word}{suffix}")).join(unit),
            };
            changes.push(Change::Link(path, file.clone()));
        }
    }
    if changes.is_empty() {
        return Err(Error::Service {
            unit: unit.to_owned(),
            what: format!("{} does not say what it is wanted by", file.display()),
        });
    }
    Ok(changes)
}

/// `S20name` or `K20name` of the run levels.
fn run_level_links(root: &Root, script: &str, sign: char) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for level in RUN_LEVELS {
        let is_its = |name: &String| {
            let rest = name.strip_prefix(sign).unwrap_or_default();
            rest.get(..2).is_some_and(|number| number.chars().all(|c| c.is_ascii_digit()))
                && rest.get(2..) == Some(script)
        };
        let links = names(root, level.as_ref())?.into_iter().filter(is_its);
        found.extend(links.map(|name| Path::new(level).join(name)));
    }
    Ok(found)
}

fn switch_run_levels(root: &Root, script: &str, from: char, to: char) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    for link in run_level_links(root, script, from)? {
        let name = link.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let other = link.with_file_name(format!("{to}{}", &name[1..]));
        if let Some(target) = target_of(root, &link)? {
            changes.push(Change::Link(other, target));
        }
        changes.push(Change::Remove(link));
    }
    Ok(changes)
}

fn open_rc_links(root: &Root, script: &str) -> Result<Vec<PathBuf>> {
    let levels = names(root, OPEN_RC.as_ref())?;
    let links = levels.iter().map(|level| Path::new(OPEN_RC).join(level).join(script));
    let links: BTreeSet<PathBuf> = links.collect();
    let mut found = Vec::new();
    for link in links {
        if target_of(root, &link)?.is_some() {
            found.push(link);
        }
    }
    Ok(found)
}

/// The names in a directory that are UTF-8; none where it is not there.
fn names(root: &Root, path: &Path) -> Result<Vec<String>> {
    match root.directory(path) {
        Ok(directory) => {
            Ok(directory.names()?.into_iter().filter_map(|name| name.into_string().ok()).collect())
        }
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotADirectory => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Where a link leads; none where the path is no link.
fn target_of(root: &Root, path: &Path) -> Result<Option<PathBuf>> {
    let place = match root.place(path) {
        Ok(place) => place,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotADirectory => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    match kind_of(&place)? {
        Some(FileType::Symlink) => link_target(&place).map(Some),
        _ => Ok(None),
    }
}

fn exists(root: &Root, path: &Path) -> Result<bool> {
    match root.place(path) {
        Ok(place) => Ok(kind_of(&place)?.is_some()),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}
