//! systemd units: those of SSH, of firewall managers, and of this program itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::facts::{Fact, Unit};
use crate::{Host, Query};

use super::{Notes, asked};

const SSH: [&str; 4] = ["ssh.service", "sshd.service", "ssh.socket", "sshd.socket"];
/// Units that load firewall rules.
pub(super) const FIREWALL: [&str; 8] = [
    "firewalld.service",
    "ip6tables.service",
    "iptables.service",
    "netfilter-persistent.service",
    "nftables.service",
    "shorewall.service",
    "shorewall6.service",
    "ufw.service",
];
/// How the names of our own units begin.
const OURS: &str = "gabion-";
/// Where unit files are, the first one winning: systemd.unit(5).
const DIRECTORIES: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// A unit as systemd shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) unit: Unit,
    /// Its main process; 0 for none.
    pub(super) main_pid: u32,
}

/// Asks systemd, in one call. Nothing where systemd does not run.
pub(super) fn live(host: &dyn Host) -> Fact<Vec<Shown>> {
    if host.metadata(Path::new("/run/systemd/system")).is_err() {
        return Fact::Known(Vec::new());
    }
    let mut units: Vec<String> = SSH.iter().chain(&FIREWALL).map(|name| (*name).to_owned()).collect();
    units.extend(our_units(host));
    match asked(host, &Query::SystemctlShow { units }) {
        Ok(output) => Fact::Known(parse(&output.text())),
        Err(why) => Fact::Unknown(why),
    }
}

pub(super) fn facts(shown: Fact<Vec<Shown>>) -> Fact<Vec<Unit>> {
    match shown {
        Fact::Known(units) => Fact::Known(units.into_iter().map(|shown| shown.unit).collect()),
        Fact::Unknown(why) => Fact::Unknown(why),
    }
}

pub(super) fn of_ssh(units: &Fact<Vec<Unit>>) -> Fact<Vec<Unit>> {
    match units {
        Fact::Known(units) => {
            Fact::Known(units.iter().filter(|unit| SSH.contains(&unit.name.as_str())).cloned().collect())
        }
        Fact::Unknown(why) => Fact::Unknown(why.clone()),
    }
}

/// Our own unit files, wherever they are.
fn our_units(host: &dyn Host) -> Vec<String> {
    let mut names: Vec<String> = DIRECTORIES
        .iter()
        .flat_map(|directory| host.list(Path::new(directory)).unwrap_or_default())
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name.starts_with(OURS) && (name.ends_with(".service") || name.ends_with(".timer")))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The blocks of `KEY=VALUE` lines that `systemctl show` prints. An alias of a unit that was shown already (sshd for
/// ssh) is left out.
fn parse(text: &str) -> Vec<Shown> {
    let mut units: Vec<Shown> = Vec::new();
    for block in text.split("\n\n") {
        let mut shown = Shown { unit: unit(""), main_pid: 0 };
        for (key, value) in block.lines().filter_map(|line| line.split_once('=')) {
            let unit = &mut shown.unit;
            match key {
                "Id" => value.clone_into(&mut unit.name),
                "LoadState" => unit.loaded = value == "loaded",
                "ActiveState" => value.clone_into(&mut unit.active),
                // A unit that is not there has no state.
                "UnitFileState" => unit.enabled = or_unknown(value),
                "Listen" => unit.listens.extend(listen(value)),
                "MainPID" => shown.main_pid = value.parse().unwrap_or(0),
                "StateChangeTimestamp" => unit.since = seconds(value).unwrap_or(0),
                _ => {}
            }
        }
        let known = units.iter().any(|other| other.unit.name == shown.unit.name);
        if !shown.unit.name.is_empty() && !known {
            units.push(shown);
        }
    }
    units
}

fn or_unknown(value: &str) -> String {
    if value.is_empty() { "unknown".to_owned() } else { value.to_owned() }
}

/// `0.0.0.0:22 (Stream)`: the address without the kind.
fn listen(value: &str) -> Option<String> {
    let address = value.split(" (").next().unwrap_or(value).trim();
    (!address.is_empty()).then(|| address.to_owned())
}

/// `Thu 2026-01-01 10:11:12 UTC`, since programs are asked with UTC as their time zone.
fn seconds(text: &str) -> Option<i64> {
    let (_weekday, rest) = text.split_once(' ')?;
    let time = rest.strip_suffix(" UTC")?.split('.').next()?;
    let time: jiff::civil::DateTime = time.replacen(' ', "T", 1).parse().ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

fn unit(name: &str) -> Unit {
    Unit {
        name: name.to_owned(),
        loaded: false,
        active: "unknown".to_owned(),
        enabled: "unknown".to_owned(),
        listens: Vec::new(),
        since: 0,
    }
}

/// What would be started: unit files, and the links that enable them.
pub(super) fn image(notes: &mut Notes<'_>) -> Fact<Vec<Shown>> {
    let wanted = wanted(notes);
    let mut names: Vec<String> = SSH.iter().chain(&FIREWALL).map(|name| (*name).to_owned()).collect();
    names.extend(our_units(notes.host()));
    let mut units = Vec::new();
    for name in names {
        let mut found = unit(&name);
        let file = DIRECTORIES.iter().map(|directory| Path::new(directory).join(&name)).find_map(|path| {
            let file = notes.host().metadata(&path).is_ok().then(|| notes.host().resolve(&path));
            file.map(|resolved| resolved.unwrap_or(path))
        });
        if let Some(file) = file {
            let _ = notes.read(&file);
            found.loaded = file != Path::new("/dev/null");
            found.enabled = if !found.loaded {
                "masked".to_owned()
            } else if wanted.contains_key(&name) {
                "enabled".to_owned()
            } else {
                "disabled".to_owned()
            };
            if Path::new(&name).extension().is_some_and(|extension| extension == "socket") {
                found.listens = listens(notes, &name, &file);
            }
        }
        units.push(Shown { unit: found, main_pid: 0 });
    }
    Fact::Known(units)
}

/// The units that some target wants, with the link that says so.
fn wanted(notes: &mut Notes<'_>) -> BTreeMap<String, PathBuf> {
    let base = Path::new("/etc/systemd/system");
    let mut wanted = BTreeMap::new();
    for directory in notes.list(base).unwrap_or_default() {
        if !(directory.ends_with(".wants") || directory.ends_with(".requires")) {
            continue;
        }
        let directory = base.join(directory);
        for name in notes.list(&directory).unwrap_or_default() {
            wanted.insert(name.clone(), directory.join(name));
        }
    }
    wanted
}

/// `ListenStream` of a socket unit and its drop-ins; an empty one takes back those before it.
fn listens(notes: &mut Notes<'_>, name: &str, file: &Path) -> Vec<String> {
    let mut files = vec![file.to_owned()];
    let mut drop_ins: BTreeMap<String, PathBuf> = BTreeMap::new();
    for directory in DIRECTORIES {
        let directory = Path::new(directory).join(format!("{name}.d"));
        for drop_in in notes.list(&directory).unwrap_or_default() {
            if Path::new(&drop_in).extension().is_some_and(|extension| extension == "conf") {
                let path = directory.join(&drop_in);
                drop_ins.entry(drop_in).or_insert(path);
            }
        }
    }
    files.extend(drop_ins.into_values());
    let mut listens = Vec::new();
    for path in files {
        let text = notes.read_text(&path).unwrap_or_default();
        for value in text.lines().filter_map(|line| line.trim().strip_prefix("ListenStream")) {
            match value.trim_start().strip_prefix('=').map(str::trim) {
                Some("") => listens.clear(),
                Some(value) => listens.push(value.to_owned()),
                None => {}
            }
        }
    }
    listens
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_blocks_of_systemctl_show_are_read() {
        let text = "Id=ssh.service\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\nMainPID=42\n\
                    StateChangeTimestamp=Thu 2026-01-01 00:00:12 UTC\n\n\
                    Id=ssh.service\nLoadState=loaded\n\n\
                    Id=ssh.socket\nLoadState=loaded\nActiveState=inactive\nUnitFileState=disabled\n\
                    Listen=0.0.0.0:22 (Stream)\nListen=[::]:22 (Stream)\nStateChangeTimestamp=\n\n\
                    Id=ufw.service\nLoadState=not-found\nActiveState=inactive\nUnitFileState=\n";
        let units = parse(text);
        assert_eq!(units.len(), 3);
        assert_eq!((units[0].main_pid, units[0].unit.since), (42, 1_767_225_612));
        assert_eq!(units[1].unit.listens, ["0.0.0.0:22", "[::]:22"]);
        assert!(!units[2].unit.loaded);
        assert_eq!(units[2].unit.enabled, "unknown");
    }

    proptest! {
        #[test]
        fn no_answer_panics(text in "(?s)[A-Za-z=\n :.0-9]{0,300}") {
            parse(&text);
            seconds(&text);
        }
    }
}
