//! The kernel's packet filter, and who else loads rules.

use std::path::Path;

use crate::facts::{Fact, FirewallFacts, Init, IptablesSave, IptablesVariant, Manager, System};
use crate::process::Proc;
use crate::query::find;
use crate::{Error, Host, Query};

use super::units::{self, Shown};
use super::{Notes, asked, not_running};

/// What the kernel said.
#[derive(Debug, Default)]
pub(super) struct Kernel {
    ruleset: Fact<nf_tables::Ruleset>,
    generation: Fact<u32>,
    has_nf_tables: Fact<bool>,
}

impl Kernel {
    pub(super) fn with(
        self,
        legacy_tables: Fact<Vec<String>>,
        managers: Fact<Vec<Manager>>,
        host: &dyn Host,
    ) -> FirewallFacts {
        let saves = saves(host, &self.ruleset, &legacy_tables);
        FirewallFacts {
            ruleset: self.ruleset,
            generation: self.generation,
            legacy_tables: in_use(legacy_tables, &saves),
            managers,
            iptables: variant(host),
            iptables_saves: saves,
            has_nf_tables: self.has_nf_tables,
        }
    }
}

/// Asks the kernel for every table.
pub(super) fn kernel() -> Kernel {
    let dump = || nf_tables::Connection::open()?.dump_ruleset();
    match dump() {
        Ok(ruleset) => Kernel {
            generation: Fact::Known(ruleset.generation),
            ruleset: Fact::Known(ruleset),
            has_nf_tables: Fact::Known(true),
        },
        Err(error) => {
            let why = error.to_string();
            Kernel {
                has_nf_tables: if is_missing(&error) {
                    Fact::Known(false)
                } else {
                    Fact::Unknown(why.clone())
                },
                ruleset: Fact::Unknown(why.clone()),
                generation: Fact::Unknown(why),
            }
        }
    }
}

pub(super) fn of_image() -> Kernel {
    let unknown = || not_running("the kernel");
    Kernel {
        ruleset: unknown(),
        generation: not_running("the kernel"),
        has_nf_tables: not_running("the kernel"),
    }
}

/// A kernel without netfilter's netlink has no such protocol, and one without `nf_tables` no such messages.
fn is_missing(error: &nf_tables::Error) -> bool {
    use netlink::Errno;
    let nf_tables::Error::Netlink(
        netlink::Error::System { errno, .. } | netlink::Error::Refused { errno, .. },
    ) = error
    else {
        return false;
    };
    matches!(*errno, Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT | Errno::INVAL | Errno::OPNOTSUPP)
}

/// What the host's `iptables` is, by where its name leads.
fn variant(host: &dyn Host) -> Option<IptablesVariant> {
    let program = host.resolve(&find(host, "iptables")?).ok()?;
    let is_nft = program.file_name()?.to_string_lossy().contains("nft");
    Some(if is_nft { IptablesVariant::Nft } else { IptablesVariant::Legacy })
}

/// Names of tables that iptables has; others are made by nft(8).
const TABLES: [&str; 5] = ["filter", "nat", "mangle", "raw", "security"];

/// Asks for the tables that the kernel has, in each variant and family.
fn saves(
    host: &dyn Host,
    ruleset: &Fact<nf_tables::Ruleset>,
    legacy: &Fact<Vec<String>>,
) -> Fact<Vec<IptablesSave>> {
    let mut saves = Vec::new();
    for ipv6 in [false, true] {
        let (family, word) =
            if ipv6 { (nf_tables::Family::Ip6, "ip6 ") } else { (nf_tables::Family::Ip, "ip ") };
        let of_nft = ruleset
            .known()
            .is_some_and(|ruleset| TABLES.iter().any(|name| ruleset.table(family, name).is_some()));
        let of_legacy =
            legacy.known().is_some_and(|tables| tables.iter().any(|table| table.starts_with(word)));
        let wanted = [(IptablesVariant::Nft, of_nft), (IptablesVariant::Legacy, of_legacy)];
        for variant in wanted.into_iter().filter_map(|(variant, is_there)| is_there.then_some(variant)) {
            match save(host, variant, ipv6) {
                Ok(text) => saves.push(IptablesSave { variant, ipv6, text }),
                Err(why) => return Fact::Unknown(why),
            }
        }
    }
    Fact::Known(saves)
}

fn save(host: &dyn Host, wanted: IptablesVariant, ipv6: bool) -> Result<String, String> {
    let named = Query::IptablesSave { variant: Some(wanted), ipv6 };
    match host.ask(&named) {
        // An old host has one iptables and no names for others.
        Err(Error::NoProgram(_)) if variant(host) == Some(wanted) => {
            asked(host, &Query::IptablesSave { variant: None, ipv6 }).map(|output| output.text())
        }
        Err(error) => Err(error.to_string()),
        Ok(output) if output.success() => Ok(output.text()),
        Ok(output) => Err(format!("{}: {}", named.program(), output.complaint())),
    }
}

/// A table that lets everything through decides nothing: the kernel keeps it for good once somebody has looked at it.
fn in_use(legacy: Fact<Vec<String>>, saves: &Fact<Vec<IptablesSave>>) -> Fact<Vec<String>> {
    let (Fact::Known(tables), Some(saves)) = (&legacy, saves.known()) else {
        return legacy;
    };
    let decides = |table: &&String| {
        let (family, name) = table.split_once(' ').unwrap_or((table, ""));
        let save = saves
            .iter()
            .find(|save| save.variant == IptablesVariant::Legacy && save.ipv6 == (family == "ip6"));
        save.is_none_or(|save| !lets_all_through(&save.text, name))
    };
    Fact::Known(tables.iter().filter(decides).cloned().collect())
}

/// Whether a table of iptables-save's text has no rule, and no policy but ACCEPT.
fn lets_all_through(text: &str, table: &str) -> bool {
    let lines = text.lines().skip_while(|line| line.strip_prefix('*') != Some(table)).skip(1);
    lines.take_while(|line| *line != "COMMIT").all(|line| {
        line.starts_with('#')
            || line.starts_with(':') && line.split(' ').nth(1).is_some_and(|policy| policy != "DROP")
    })
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
