//! What other firewalls of a host are configured to do, read and put into the policy's words.

use std::path::Path;

use firewall_import::{FIREWALLD_FILES, FIREWALLD_FOLDERS, Imported, Options, UFW_FILES};
use host::facts::IptablesVariant;
use host::{Facts, Host, Query};
use iptables_syntax::{Family, Mode, Rule, Save, parse_save};
use packet_filter::{FilterPolicy, compile};
use policy::Policy;

use crate::error::{Failure, usage};

/// Imports files of `iptables-save` and `ip6tables-save`, each with its name and text.
///
/// # Errors
/// A text that is none.
pub(crate) fn saves(texts: &[(Family, String, Vec<u8>)], facts: &Facts) -> Result<Imported, Failure> {
    let mut saves: Vec<(&str, Save)> = Vec::new();
    let mut oddities = Vec::new();
    for (family, name, text) in texts {
        let (save, odd) = parse_save(text, *family, Mode::Lenient).map_err(|error| Failure::Malformed {
            path: name.into(),
            problem: format!("{error}\n{}", error.source_line()),
        })?;
        oddities.extend(odd.into_iter().map(|oddity| format!("{name}: {oddity}")));
        saves.push((name, save));
    }
    let saves: Vec<(&str, &Save)> = saves.iter().map(|(name, save)| (*name, save)).collect();
    let mut imported = with_options(facts, |options| firewall_import::iptables(&saves, options));
    imported.notes.extend(oddities);
    Ok(imported)
}

/// Imports what the kernel runs now, as the host's own `iptables-save` prints it; of two backends the one with rules.
///
/// # Errors
/// There is no such program, or there are no rules.
pub(crate) fn live(host: &dyn Host, facts: &Facts) -> Result<Imported, Failure> {
    let ask = |variant: Option<IptablesVariant>, ipv6: bool| -> Option<Vec<u8>> {
        let output = host.ask(&Query::IptablesSave { variant, ipv6 }).ok().filter(host::Output::success)?;
        let text = output.text();
        text.lines().any(|line| line.starts_with("-A ")).then(|| text.into_bytes())
    };
    let variants = [None, Some(IptablesVariant::Nft), Some(IptablesVariant::Legacy)];
    for variant in variants {
        let texts: Vec<(Family, String, Vec<u8>)> = [(Family::Ipv4, false), (Family::Ipv6, true)]
            .into_iter()
            .filter_map(|(family, ipv6)| {
                let name = if ipv6 { "ip6tables-save" } else { "iptables-save" };
                Some((family, name.to_owned(), ask(variant, ipv6)?))
            })
            .collect();
        if !texts.is_empty() {
            return saves(&texts, facts);
        }
    }
    Err(usage("no rules of iptables are loaded", "`gabion firewall show --all` shows what is"))
}

/// Imports ufw's files of a host, or of a tree of files.
///
/// # Errors
/// There are none, or one cannot be understood.
pub(crate) fn ufw(host: &dyn Host, facts: &Facts) -> Result<Imported, Failure> {
    let files: Vec<(&str, String)> =
        UFW_FILES.iter().filter_map(|name| Some((*name, text(host, &format!("/{name}"))?))).collect();
    if !files.iter().any(|(name, _)| name.ends_with(".rules")) {
        return Err(usage("there is no configuration of ufw", "name its root: `--ufw DIR`"));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    with_options(facts, |options| firewall_import::ufw(&files, options)).map_err(|(file, error)| {
        Failure::Malformed { path: file.into(), problem: format!("{error}\n{}", error.source_line()) }
    })
}

/// Imports firewalld's files of a host, or of a tree of files.
///
/// # Errors
/// There are none, or one cannot be understood.
pub(crate) fn firewalld(host: &dyn Host, facts: &Facts) -> Result<Imported, Failure> {
    let mut files: Vec<(String, String)> = Vec::new();
    let found = FIREWALLD_FOLDERS.iter().flat_map(|folder| host.glob(&format!("/{folder}/*.xml")));
    let fixed = FIREWALLD_FILES.iter().map(|name| Path::new("/").join(name));
    for path in found.chain(fixed) {
        let name = path.to_string_lossy().trim_start_matches('/').to_owned();
        files.extend(text(host, &format!("/{name}")).map(|text| (name, text)));
    }
    if !files.iter().any(|(name, _)| name.contains("/zones/")) {
        return Err(usage("there is no configuration of firewalld", "name its root: `--firewalld DIR`"));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    with_options(facts, |options| firewall_import::firewalld(&files, options))
        .map_err(|error| Failure::Malformed { path: error.file.into(), problem: error.problem })
}

fn text(host: &dyn Host, path: &str) -> Option<String> {
    host.read(Path::new(path)).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn with_options<T>(facts: &Facts, run: impl FnOnce(&Options<'_>) -> T) -> T {
    let ssh_ports = controls::filter::ssh_ports(facts);
    let can_load = |rule: &Rule, family: Family| {
        packet_filter::iptables::expressions(rule, Some(family), &mut Vec::new())
            .map(drop)
            .map_err(|error| error.to_string())
    };
    run(&Options { ssh_ports: &ssh_ports, can_load: &can_load })
}

/// What the policy would be with what was imported, and how it compares with the source; or why that is not known.
pub(crate) fn proof(imported: &Imported, facts: &Facts) -> Result<firewall_import::Proof, String> {
    let policy = Policy { firewall: imported.firewall.clone(), ..Policy::default() };
    let filter: FilterPolicy =
        controls::filter::filter_policy(&policy, facts).map_err(|error| error.to_string())?;
    firewall_import::prove(imported, compile(&filter).table()).map_err(|error| error.to_string())
}
