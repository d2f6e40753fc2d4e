//! Distribution, init system, kernel, programs.

use std::collections::BTreeMap;
use std::path::Path;

use crate::facts::{Fact, Init, OsRelease, PackageManager, System};
use crate::{Error, Host, Source, query};

use super::{Notes, not_running};

/// Programs that plans and reports name.
const PROGRAMS: [&str; 48] = [
    "adduser",
    "addgroup",
    "apk",
    "apt-get",
    "authselect",
    "chage",
    "chpasswd",
    "dnf",
    "dnf5",
    "doas",
    "dpkg",
    "firewall-cmd",
    "gpasswd",
    "groupadd",
    "initctl",
    "ip",
    "ip6tables",
    "ip6tables-save",
    "iptables",
    "iptables-save",
    "journalctl",
    "nft",
    "openrc-run",
    "pacman",
    "passwd",
    "ping",
    "rc-service",
    "rc-update",
    "restorecon",
    "rpm",
    "service",
    "setsid",
    "ssh",
    "ssh-keygen",
    "sshd",
    "sudo",
    "sulogin",
    "systemctl",
    "systemd-run",
    "ufw",
    "unattended-upgrade",
    "update-rc.d",
    "useradd",
    "userdel",
    "usermod",
    "visudo",
    "yum",
    "zypper",
];

pub(super) fn collect(notes: &mut Notes<'_>) -> System {
    let host = notes.host();
    System {
        hostname: hostname(notes),
        os: os_release(notes),
        kernel: kernel(host),
        init: init(host),
        packages: packages(host),
        admin_group: Fact::default(),
        programs: PROGRAMS
            .iter()
            .filter_map(|name| query::find(host, name).map(|path| ((*name).to_owned(), path)))
            .collect(),
        units: Fact::default(),
    }
}

fn hostname(notes: &mut Notes<'_>) -> Fact<String> {
    let configured = notes.read_text(Path::new("/etc/hostname"));
    if notes.host().source() == Source::Live {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        return Fact::Known(name);
    }
    match configured {
        Ok(text) => match text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))
        {
            Some(name) => Fact::Known(name.to_owned()),
            None => Fact::Unknown("/etc/hostname is empty".to_owned()),
        },
        Err(error) => Fact::Unknown(error.to_string()),
    }
}

fn kernel(host: &dyn Host) -> Fact<String> {
    match host.source() {
        Source::Live => Fact::Known(rustix::system::uname().release().to_string_lossy().into_owned()),
        Source::Image => not_running("the kernel"),
    }
}

fn os_release(notes: &mut Notes<'_>) -> Fact<OsRelease> {
    let text = notes
        .read_text(Path::new("/etc/os-release"))
        .or_else(|_| notes.read_text(Path::new("/usr/lib/os-release")));
    match text {
        Ok(text) => Fact::Known(parse_os_release(&text)),
        Err(error) => Fact::Unknown(error.to_string()),
    }
}

/// os-release(5): shell assignments, values with or without quotes.
fn parse_os_release(text: &str) -> OsRelease {
    let values: BTreeMap<&str, String> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim(), unquoted(value.trim())))
        .collect();
    let value = |key: &str| values.get(key).filter(|value| !value.is_empty()).cloned();
    let id = value("ID").unwrap_or_else(|| "linux".to_owned());
    OsRelease {
        like: value("ID_LIKE").unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
        version: value("VERSION_ID"),
        name: value("PRETTY_NAME").or_else(|| value("NAME")).unwrap_or_else(|| id.clone()),
        id,
    }
}

fn unquoted(value: &str) -> String {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|value| value.strip_suffix(quote)) {
            return inner.replace("\\\"", "\"").replace("\\$", "$").replace("\\`", "`").replace("\\\\", "\\");
        }
    }
    value.to_owned()
}

fn init(host: &dyn Host) -> Fact<Init> {
    match host.source() {
        Source::Live => running_init(host),
        Source::Image => installed_init(host),
    }
}

/// What runs as process 1. The directories that an init system leaves in /run are not enough: a copy of the
/// machine that a rehearsal starts sees them too.
fn running_init(host: &dyn Host) -> Fact<Init> {
    let there = |path: &str| host.metadata(Path::new(path)).is_ok();
    let name = match host.read(Path::new("/proc/1/comm")) {
        Ok(bytes) => Some(String::from_utf8_lossy(&bytes).trim().to_owned()),
        // Hidden by the mount option hidepid.
        Err(Error::NotFound(_) | Error::Denied(_)) => None,
        Err(error) => return Fact::Unknown(error.to_string()),
    };
    let may_be = |wanted: &str| name.as_deref().is_none_or(|name| name == wanted);
    Fact::Known(if may_be("systemd") && there("/run/systemd/system") {
        Init::Systemd
    } else if !(may_be("init") || may_be("openrc-init")) {
        Init::None
    } else if there("/run/openrc") {
        Init::OpenRc
    } else if there("/sbin/initctl") && !host.glob("/etc/init/*.conf").is_empty() {
        Init::Upstart
    } else if there("/etc/inittab") && there("/etc/init.d") {
        Init::SysV
    } else {
        Init::None
    })
}

/// What /sbin/init leads to.
fn installed_init(host: &dyn Host) -> Fact<Init> {
    let there = |path: &str| host.metadata(Path::new(path)).is_ok();
    let program = match host.resolve(Path::new("/sbin/init")) {
        Ok(program) => program.to_string_lossy().into_owned(),
        Err(error) if error.is_absent() => return Fact::Known(Init::None),
        Err(error) => return Fact::Unknown(error.to_string()),
    };
    Fact::Known(if program.contains("systemd") {
        Init::Systemd
    } else if program.contains("openrc") || there("/sbin/openrc") {
        Init::OpenRc
    } else if program.contains("upstart") || !host.glob("/etc/init/*.conf").is_empty() {
        Init::Upstart
    } else if there("/etc/init.d") {
        Init::SysV
    } else {
        Init::None
    })
}

/// By the database that is in use, since package managers are installed on foreign distributions too.
fn packages(host: &dyn Host) -> Fact<PackageManager> {
    let there = |path: &str| host.metadata(Path::new(path)).is_ok();
    let has = |program: &str| query::find(host, program).is_some();
    if there("/var/lib/dpkg/status") && has("apt-get") {
        Fact::Known(PackageManager::Apt)
    } else if there("/var/lib/pacman/local") && has("pacman") {
        Fact::Known(PackageManager::Pacman)
    } else if (there("/lib/apk/db") || there("/usr/lib/apk/db")) && has("apk") {
        Fact::Known(PackageManager::Apk)
    } else if has("zypper") {
        Fact::Known(PackageManager::Zypper)
    } else if has("dnf") || has("dnf5") {
        Fact::Known(PackageManager::Dnf)
    } else if has("yum") {
        Fact::Known(PackageManager::Yum)
    } else {
        Fact::Unknown("no package manager was found that is known".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn os_release_is_read_with_and_without_quotes() {
        let text = "# x\nID=rocky\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID='9.4'\nPRETTY_NAME=\"Rocky \\\"9\\\"\"\n";
        let os = parse_os_release(text);
        assert_eq!(
            (os.id.as_str(), os.version.as_deref(), os.name.as_str()),
            ("rocky", Some("9.4"), "Rocky \"9\"")
        );
        assert_eq!(os.like, ["rhel", "centos", "fedora"]);
        assert_eq!(parse_os_release("").id, "linux");
    }

    proptest! {
        #[test]
        fn no_os_release_panics(text in "(?s).{0,200}") {
            parse_os_release(&text);
        }
    }
}
