//! The kernel's packet filter, and who else loads rules.

use std::path::Path;

use crate::facts::{Fact, FirewallFacts, Init, Manager, System};
use crate::process::Proc;

use super::units::{self, Shown};
use super::{Notes, not_running};

/// What the kernel said.
#[derive(Debug, Default)]
pub(super) struct Kernel {
    ruleset: Fact<nf_tables::Ruleset>,
    generation: Fact<u32>,
}

impl Kernel {
    pub(super) fn with(
        self,
        legacy_tables: Fact<Vec<String>>,
        managers: Fact<Vec<Manager>>,
    ) -> FirewallFacts {
        FirewallFacts { ruleset: self.ruleset, generation: self.generation, legacy_tables, managers }
    }
}

/// Asks the kernel for every table.
pub(super) fn kernel() -> Kernel {
    let dump = || nf_tables::Connection::open()?.dump_ruleset();
    match dump() {
        Ok(ruleset) => Kernel { generation: Fact::Known(ruleset.generation), ruleset: Fact::Known(ruleset) },
        Err(error) => {
            let why = error.to_string();
            Kernel { ruleset: Fact::Unknown(why.clone()), generation: Fact::Unknown(why) }
        }
    }
}

pub(super) fn of_image() -> Kernel {
    Kernel { ruleset: not_running("the kernel"), generation: not_running("the kernel") }
}

/// Tables of the legacy `x_tables`, one for each name the kernel lists; its module not being loaded means none.
pub(super) fn legacy(proc: &Proc) -> Fact<Vec<String>> {
    let mut tables = Vec::new();
    for (family, name) in [("ip", "ip_tables_names"), ("ip6", "ip6_tables_names")] {
        match proc.read_global(&format!("self/net/{name}"), 1) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                tables.extend(
                    text.lines().filter(|line| !line.is_empty()).map(|table| format!("{family} {table}")),
                );
            }
            Err(rustix::io::Errno::NOENT) => {}
            Err(errno) => return Fact::Unknown(format!("/proc/net/{name}: {errno}")),
        }
    }
    Fact::Known(tables)
}

/// The managers that are active or start at boot.
pub(super) fn managers(
    notes: &mut Notes<'_>,
    units: &Fact<Vec<Shown>>,
    system: &System,
) -> Fact<Vec<Manager>> {
    let units = match (units, system.init.known()) {
        (_, Some(Init::OpenRc | Init::SysV | Init::Upstart)) => {
            return Fact::Known(started_by_scripts(notes));
        }
        (Fact::Known(units), _) => units,
        (Fact::Unknown(why), _) => return Fact::Unknown(why.clone()),
    };
    let ufw_is_off = ufw_is_off(notes);
    let firewalls = units.iter().map(|shown| &shown.unit).filter(|unit| {
        let is_firewall = units::FIREWALL.contains(&unit.name.as_str());
        unit.loaded && is_firewall && !(ufw_is_off && unit.name == "ufw.service")
    });
    let managers = firewalls.map(|unit| Manager {
        name: unit.name.clone(),
        active: matches!(unit.active.as_str(), "active" | "reloading" | "activating"),
        enabled: matches!(unit.enabled.as_str(), "enabled" | "enabled-runtime"),
    });
    Fact::Known(managers.filter(|manager| manager.active || manager.enabled).collect())
}

/// Debian enables and starts ufw.service with the package; only this file makes it load rules.
fn ufw_is_off(notes: &mut Notes<'_>) -> bool {
    let text = notes.read_text(Path::new("/etc/ufw/ufw.conf")).unwrap_or_default();
    let last = text.lines().filter_map(|line| line.trim().strip_prefix("ENABLED=")).next_back();
    last.is_some_and(|value| !value.trim_matches(['"', '\'']).eq_ignore_ascii_case("yes"))
}

/// Links of the run levels: `OpenRC`'s by name, those of init scripts as `S20name`.
fn started_by_scripts(notes: &mut Notes<'_>) -> Vec<Manager> {
    let levels = ["/etc/runlevels/boot", "/etc/runlevels/default", "/etc/rcS.d", "/etc/rc2.d", "/etc/rc3.d"];
    let mut managers: Vec<Manager> = Vec::new();
    for level in levels.map(Path::new) {
        for link in notes.list(level).unwrap_or_default() {
            let script = link
                .strip_prefix('S')
                .map_or(link.as_str(), |rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
            let is_firewall =
                units::FIREWALL.iter().any(|unit| unit.strip_suffix(".service") == Some(script));
            if is_firewall && managers.iter().all(|manager| manager.name != script) {
                managers.push(Manager { name: script.to_owned(), active: false, enabled: true });
            }
        }
    }
    managers
}
