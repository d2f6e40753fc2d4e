//! What other firewalls of a host are configured to do, read and put into the policy's words.

use std::path::Path;

use firewall_import::{FIREWALLD_FILES, FIREWALLD_FOLDERS, Fate, Imported, Options, UFW_FILES};
use host::facts::{IptablesSave, IptablesVariant};
use host::{Facts, Host, Query};
use iptables_syntax::{Family, Mode, Rule, Save, parse_save};
use nf_tables::TableDump;
use packet_filter::{FilterPolicy, compile};
use policy::{Allow, Firewall, Policy};

use crate::commands::firewall;
use crate::error::{Failure, usage};
use crate::suggest::Suggestion;

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
            let mut imported = saves(&texts, facts)?;
            // That some cannot be asked for is no reason not to take the others.
            for table in foreign_tables().unwrap_or_default() {
                imported.notes.push(format!(
                    "the table {} of nf_tables is loaded besides; it was not taken over: unload the rules of iptables, or import its file with --nft",
                    table.id()
                ));
            }
            return Ok(imported);
        }
    }
    let tables = foreign_tables()?;
    if tables.is_empty() {
        return Err(usage(
            "no rules of iptables or nf_tables are loaded",
            "`gabion firewall show --all` shows what is",
        ));
    }
    Ok(nft(&tables, facts))
}

/// Imports tables of `nf_tables`.
pub(crate) fn nft(tables: &[TableDump], facts: &Facts) -> Imported {
    with_options(facts, |options| firewall_import::nft(tables, options))
}

/// The tables in the kernel that are neither ours nor those of `iptables-nft`.
fn foreign_tables() -> Result<Vec<TableDump>, Failure> {
    use nf_tables::Family::{Ip, Ip6};
    let of_iptables = ["filter", "nat", "mangle", "raw", "security"];
    let is_foreign = |table: &TableDump| {
        let id = table.id();
        let has_its_chains = table.chains.iter().all(|chain| {
            let name = &chain.chain.name;
            chain.chain.hook.is_none() || name.chars().all(|letter| letter.is_ascii_uppercase())
        });
        let is_iptables =
            matches!(id.family, Ip | Ip6) && of_iptables.contains(&id.name.as_str()) && has_its_chains;
        id.name != packet_filter::DEFAULT_TABLE && !is_iptables
    };
    Ok(firewall::dump()?.tables.into_iter().filter(is_foreign).collect())
}

/// Imports ufw's files of a host, or of a tree of files.
///
/// # Errors
/// There are none, or one cannot be understood.
pub(crate) fn ufw(host: &dyn Host, facts: &Facts) -> Result<Imported, Failure> {
    let mut files: Vec<(&str, String)> = Vec::new();
    for name in UFW_FILES {
        files.extend(text(host, &format!("/{name}"))?.map(|text| (name, text)));
    }
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
        files.extend(text(host, &format!("/{name}"))?.map(|text| (name, text)));
    }
    if !files.iter().any(|(name, _)| name.contains("/zones/")) {
        return Err(usage("there is no configuration of firewalld", "name its root: `--firewalld DIR`"));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    with_options(facts, |options| firewall_import::firewalld(&files, options))
        .map_err(|error| Failure::Malformed { path: error.file.into(), problem: error.problem })
}

/// More than any list of addresses that a person or a program keeps in such a file.
const MOST_BYTES: u64 = 64 << 20;

/// A file's text, where there is one: what is there and cannot be read must not pass for nothing.
fn text(host: &dyn Host, path: &str) -> Result<Option<String>, Failure> {
    match host.read_at_most(Path::new(path), MOST_BYTES) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(host::Error::NotFound(_) | host::Error::NotRecorded(_)) => Ok(None),
        Err(error) => Err(usage(
            format!("not every file of the firewall's configuration can be read: {error}"),
            "nothing is imported without it",
        )),
    }
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

/// Puts what the host's own firewall lets in into a suggested policy, where there is one that is in use.
pub(crate) fn adopt(host: &dyn Host, facts: &Facts, suggestion: &mut Suggestion) {
    let managers = facts.firewall.managers.known().map(Vec::as_slice).unwrap_or_default();
    let in_use = |start: &str| managers.iter().find(|manager| manager.name.starts_with(start));
    let found = [
        ("ufw", "--ufw"),
        ("firewalld", "--firewalld"),
        ("netfilter-persistent", "--live"),
        ("iptables", "--live"),
    ]
    .into_iter()
    .find_map(|(start, option)| in_use(start).map(|manager| (manager.name.clone(), start, option)));
    let Some((name, start, option)) = found else { return };
    let imported = match start {
        "ufw" => ufw(host, facts),
        "firewalld" => firewalld(host, facts),
        _ => loaded(facts),
    };
    let Suggestion { policy, notes, .. } = suggestion;
    let adopted = imported.map_err(|failure| failure.to_string()).and_then(|imported| {
        let firewall = with_suggested(imported.firewall.clone(), &policy.firewall);
        let candidate = Policy { firewall, ..policy.clone() };
        controls::filter::filter_policy(&candidate, facts).map_err(|error| error.to_string())?;
        Ok((imported, candidate))
    });
    match adopted {
        Ok((imported, candidate)) => {
            *policy = candidate;
            let to_read =
                imported.lines.iter().filter(|line| line.fates.iter().any(Fate::needs_reading)).count();
            notes.push(format!(
                "{name}: what it lets in is in the policy; {to_read} of its {} lines are not as they were: `gabion firewall import {option}` lists them",
                imported.lines.len()
            ));
            notes.extend(imported.notes);
        }
        Err(why) => notes.push(format!("{name}: its rules were not taken over: {why}")),
    }
}

/// The rules of iptables as they were found loaded.
fn loaded(facts: &Facts) -> Result<Imported, Failure> {
    let all = facts.firewall.iptables_saves.known().map(Vec::as_slice).unwrap_or_default();
    let has_rules = |save: &&IptablesSave| save.text.lines().any(|line| line.starts_with("-A "));
    let variant = all.iter().find(has_rules).map(|save| save.variant);
    let texts: Vec<(Family, String, Vec<u8>)> = all
        .iter()
        .filter(|save| Some(save.variant) == variant)
        .map(|save| {
            let (family, name) =
                if save.ipv6 { (Family::Ipv6, "ip6tables-save") } else { (Family::Ipv4, "iptables-save") };
            (family, name.to_owned(), save.text.clone().into_bytes())
        })
        .collect();
    if texts.is_empty() {
        return Err(usage("no rules of iptables are loaded", ""));
    }
    saves(&texts, facts)
}

/// What was imported, and of what was suggested the way in by SSH and what containers need.
fn with_suggested(mut imported: Firewall, suggested: &Firewall) -> Firewall {
    let names_ssh = |allow: &Allow| allow.service.iter().any(|name| name == "ssh");
    if !imported.allow.iter().any(names_ssh) {
        imported.allow.extend(suggested.allow.iter().filter(|allow| names_ssh(allow)).cloned());
    }
    imported.allow.extend(suggested.allow.iter().filter(|allow| allow.service.is_empty()).cloned());
    imported.forward.extend(suggested.forward.iter().cloned());
    imported
}
