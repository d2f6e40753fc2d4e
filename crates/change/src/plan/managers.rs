//! Other programs that manage a packet filter: stood down, so that one policy decides, or left alone and told of.
//!
//! Ours is in force before theirs goes. What they have put into the kernel is taken out by us and not by their own commands,
//! which take out more than is theirs (`nft flush ruleset`). What cannot be told apart, or what no policy expresses, stays.

mod beside;
mod rules;

use host::facts::{Fact, FileFact, IptablesVariant, Manager};
use nf_tables::{Expression, Family, TableDump};
use packet_filter::FilterPolicy;
use policy::Policy;

use super::PlanError;
use super::draft::{Draft, Reason, WantedFile, unified_diff};
use super::iptables::WRITTEN;
use crate::action::{Action, AtBoot, Commands, IptablesEdit, IptablesEdits, Owner, Risk, ServiceState};
use crate::iptables::{Save, edit};
use crate::perform::touched_chains;

const UFW_CONF: &str = "/etc/ufw/ufw.conf";
const UFW_RULES: [&str; 2] = ["/etc/ufw/before.rules", "/etc/ufw/before6.rules"];
const NFTABLES_CONF: [&str; 3] = ["/etc/nftables.conf", "/etc/sysconfig/nftables.conf", "/etc/nftables.nft"];
const NFTABLES_DROP_IN: &str = "/etc/systemd/system/nftables.service.d/gabion.conf";

/// Has our ruleset loaded again whenever nftables.service has flushed all.
const NFTABLES_DROP_IN_TEXT: &str = "\
# Written by gabion: what nftables.service flushes is loaded again.
[Service]
ExecStartPost=-/usr/local/sbin/gabion firewall load
ExecReload=-/usr/local/sbin/gabion firewall load
ExecStopPost=-/usr/local/sbin/gabion firewall load
";

/// What a plan looks at of them.
pub(super) const PATHS: [&str; 8] = [
    UFW_CONF,
    UFW_RULES[0],
    UFW_RULES[1],
    NFTABLES_CONF[0],
    NFTABLES_CONF[1],
    NFTABLES_CONF[2],
    NFTABLES_DROP_IN,
    "/etc/systemd/system/nftables.service.d",
];

const WHY: &str =
    "one program decides about packets: the policy replaces this one's rules, and ours are in force before";
const REASON: Reason<'static> = Reason { why: WHY, controls: &["FW4"], risk: Risk::CutOff };

/// A manager that this program knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ufw,
    Firewalld,
    /// Rules in files that a unit loads through iptables-restore.
    Persistent {
        v4: Option<&'static str>,
        v6: Option<&'static str>,
    },
    Nftables,
}

impl Kind {
    fn is_persistent(self) -> bool {
        match self {
            Self::Persistent { .. } => true,
            Self::Ufw | Self::Firewalld | Self::Nftables => false,
        }
    }

    fn of(name: &str) -> Option<Self> {
        Some(match name.strip_suffix(".service").unwrap_or(name) {
            "ufw" => Self::Ufw,
            "firewalld" => Self::Firewalld,
            "netfilter-persistent" | "iptables-persistent" => {
                Self::Persistent { v4: Some("/etc/iptables/rules.v4"), v6: Some("/etc/iptables/rules.v6") }
            }
            "iptables" => Self::Persistent { v4: Some("/etc/sysconfig/iptables"), v6: None },
            "ip6tables" => Self::Persistent { v4: None, v6: Some("/etc/sysconfig/ip6tables") },
            "nftables" => Self::Nftables,
            _ => return None,
        })
    }
}

/// Stands the others down, or says what it means that they stay. `rules` are those of iptables at this point of the plan,
/// and `keeps_files` says that the rules are kept in the files of iptables' own units, which are needed then.
pub(super) fn draw(
    draft: &mut Draft<'_>,
    policy: &Policy,
    wanted: &FilterPolicy,
    rules: &mut Rules,
    keeps_files: bool,
) -> Result<(), PlanError> {
    let Some(managers) = draft.facts.firewall.managers.known() else {
        return Ok(());
    };
    if !policy.firewall.exclusive {
        draw_nftables_guard(draft, managers)?;
        beside::note(draft, managers, wanted);
        return Ok(());
    }
    let mut left: Vec<(&Manager, String)> = Vec::new();
    let mut down: Vec<(&Manager, Kind)> = Vec::new();
    let mut tables: Vec<TableDump> = Vec::new();
    let before = rules.clone();
    for manager in managers {
        let Some(kind) = Kind::of(&manager.name) else {
            left.push((manager, "it is not known here".to_owned()));
            continue;
        };
        match take_out(draft, kind, rules, &mut tables) {
            // It loads our own rules at boot, out of its file.
            Ok(()) if keeps_files && kind.is_persistent() => {}
            Ok(()) => down.push((manager, kind)),
            Err(why) => left.push((manager, why)),
        }
    }
    draw_unloading(draft, tables);
    for variant in [IptablesVariant::Nft, IptablesVariant::Legacy] {
        draw_edit(draft, variant, &before, rules, REASON);
    }
    for (manager, kind) in &down {
        switch_off(draft, manager, *kind)?;
    }
    if !down.is_empty() {
        let reason = Reason { why: "systemd reads what starts at boot", risk: Risk::None, ..REASON };
        draft.step(Action::ReloadUnits, String::new(), reason);
    }
    for (manager, why) in &left {
        if Kind::of(&manager.name) == Some(Kind::Nftables) {
            draw_nftables_guard(draft, managers)?;
        }
        if !draft.is_empty() {
            draft.note(format!(
                "{} is left alone: {why}. A packet gets in only where both let it in",
                manager.name
            ));
        }
    }
    Ok(())
}

/// The rules of iptables at one point of a plan.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules(Vec<(IptablesVariant, bool, Save)>);

impl Rules {
    /// As they are now.
    pub(super) fn of(draft: &Draft<'_>) -> Result<Self, PlanError> {
        // Where they could not be read, it is told of when a manager cannot be stood down because of it.
        let saves = draft.facts.firewall.iptables_saves.known().map(Vec::as_slice).unwrap_or_default();
        let unknown = |reason| PlanError::Unknown { what: "the rules of iptables".to_owned(), reason };
        let parsed =
            saves.iter().map(|save| Ok((save.variant, save.ipv6, Save::parse(&save.text).map_err(unknown)?)));
        Ok(Self(parsed.collect::<Result<_, PlanError>>()?))
    }

    pub(super) fn get(&self, variant: IptablesVariant, ipv6: bool) -> Save {
        let found = self.0.iter().find(|(known, family, _)| *known == variant && *family == ipv6);
        found.map(|(_, _, save)| save.clone()).unwrap_or_default()
    }

    pub(super) fn set(&mut self, variant: IptablesVariant, ipv6: bool, save: Save) {
        self.0.retain(|(known, family, _)| *known != variant || *family != ipv6);
        self.0.push((variant, ipv6, save));
    }

    pub(super) fn each(&mut self, change: impl FnMut(&mut Save)) {
        self.0.iter_mut().map(|(_, _, save)| save).for_each(change);
    }
}

/// Takes out what one manager has put into the kernel; why that cannot be done.
fn take_out(
    draft: &Draft<'_>,
    kind: Kind,
    all: &mut Rules,
    unloaded: &mut Vec<TableDump>,
) -> Result<(), String> {
    match kind {
        Kind::Ufw => {
            known_rules(draft)?;
            if let Some(file) = UFW_RULES.iter().find(|path| has_nat(&text_of(draft, path))) {
                return Err(format!("{file} translates addresses, which no policy expresses"));
            }
            all.each(rules::take_out_ufw);
            Ok(())
        }
        Kind::Persistent { v4, v6 } => {
            known_rules(draft)?;
            let mut taken = all.clone();
            for (_, ipv6, save) in &mut taken.0 {
                let Some(path) = (if *ipv6 { v6 } else { v4 }) else { continue };
                if text_of(draft, path).starts_with(WRITTEN) {
                    continue;
                }
                let file = Save::parse(&text_of(draft, path)).map_err(|error| format!("{path}: {error}"))?;
                rules::take_out_file(save, &file).map_err(|why| format!("{path} {why}"))?;
            }
            *all = taken;
            Ok(())
        }
        Kind::Firewalld => {
            let found =
                tables(draft).iter().find(|table| table.table.name == "firewalld" && translates(table));
            found.map_or(Ok(()), |table| {
                Err(format!("table {} translates addresses, which no policy expresses", table.id()))
            })
        }
        Kind::Nftables => {
            unloaded.extend(nftables_own(draft, all)?);
            Ok(())
        }
    }
}

/// The tables that the configuration of nftables.service names.
fn nftables_own(draft: &Draft<'_>, all: &Rules) -> Result<Vec<TableDump>, String> {
    let text: String = NFTABLES_CONF.iter().map(|path| text_of(draft, path)).collect();
    if text.lines().any(|line| line.trim_start().starts_with("include")) {
        return Err("its configuration includes other files, which are not read".to_owned());
    }
    let mut taken = Vec::new();
    for (family, name) in tables_of(&text) {
        let mut found = tables(draft).iter();
        let Some(table) = found.find(|table| table.id().family == family && table.table.name == name) else {
            continue;
        };
        if translates(table) {
            return Err(format!("table {} translates addresses, which no policy expresses", table.id()));
        }
        if !table.objects.is_empty() {
            return Err(format!(
                "table {} has counters or quotas of its own, whose state would be lost",
                table.id()
            ));
        }
        let is_iptables = all.0.iter().any(|(variant, ipv6, save)| {
            let of_family = if *ipv6 { Family::Ip6 } else { Family::Ip };
            *variant == IptablesVariant::Nft && of_family == family && save.table(&name).is_some()
        });
        if is_iptables {
            return Err(format!("table {} is one that iptables works in as well", table.id()));
        }
        taken.push(table.clone());
    }
    Ok(taken)
}

fn draw_unloading(draft: &mut Draft<'_>, tables: Vec<TableDump>) {
    for table in tables {
        let old = packet_filter::text::table(&table);
        let shows =
            unified_diff(format!("kernel: table {}", table.id()).as_ref(), Some(old.as_bytes()), None);
        draft.step(Action::UnloadTable { before: Box::new(table) }, shows, REASON);
    }
}

/// A step that brings the rules of one variant from one state to another, where they differ.
pub(super) fn draw_edit(
    draft: &mut Draft<'_>,
    variant: IptablesVariant,
    before: &Rules,
    after: &Rules,
    reason: Reason<'_>,
) {
    let mut shows = String::new();
    let mut edit_of = |ipv6: bool| {
        let (now, to) = (before.get(variant, ipv6), after.get(variant, ipv6));
        let text = edit(&now, &to)?;
        let name = if ipv6 { "kernel: ip6tables" } else { "kernel: iptables" };
        shows += &unified_diff(name.as_ref(), Some(now.text().as_bytes()), Some(to.text().as_bytes()));
        Some(IptablesEdit { before: touched_chains(&now, &text), text })
    };
    let edits = IptablesEdits { v4: edit_of(false), v6: edit_of(true) };
    if edits != IptablesEdits::default() {
        draft.step(Action::EditIptables { variant, edits }, shows, reason);
    }
}

fn known_rules(draft: &Draft<'_>) -> Result<(), String> {
    match &draft.facts.firewall.iptables_saves {
        Fact::Known(_) => Ok(()),
        Fact::Unknown(why) => Err(format!("its rules could not be read ({why})")),
    }
}

/// Stops a manager, and has nothing start it again.
fn switch_off(draft: &mut Draft<'_>, manager: &Manager, kind: Kind) -> Result<(), PlanError> {
    let Manager { name, active, enabled } = manager;
    let at_boot = if *enabled { AtBoot::Enabled } else { AtBoot::Disabled };
    let commands = match kind {
        Kind::Firewalld => Commands::Run,
        Kind::Ufw | Kind::Persistent { .. } | Kind::Nftables => Commands::Skip,
    };
    let action = Action::SwitchService {
        unit: name.clone(),
        to: ServiceState { active: false, at_boot: AtBoot::Masked },
        before: ServiceState { active: *active, at_boot },
        commands,
    };
    draft.step(action, String::new(), REASON);
    if kind == Kind::Ufw {
        disable_ufw(draft)?;
    }
    Ok(())
}

/// So that `ufw status` tells the truth, and `ufw reload` does nothing.
fn disable_ufw(draft: &mut Draft<'_>) -> Result<(), PlanError> {
    let Some(entry) = draft.entry(UFW_CONF.as_ref())? else {
        return Ok(());
    };
    let text = text_of(draft, UFW_CONF);
    let line = |line: &str| {
        let is_switch = line.trim_start().starts_with("ENABLED=");
        if is_switch { "ENABLED=no\n".to_owned() } else { format!("{line}\n") }
    };
    let contents: String = text.lines().map(line).collect();
    if contents != text {
        let wanted = WantedFile {
            path: UFW_CONF.into(),
            contents: contents.into_bytes(),
            mode: entry.mode,
            owner: Owner::Keep,
        };
        draft.file(wanted, Reason { risk: Risk::None, ..REASON })?;
    }
    Ok(())
}

/// nftables.service flushes every table when it is started, reloaded or stopped: ours is loaded again behind it.
fn draw_nftables_guard(draft: &mut Draft<'_>, managers: &[Manager]) -> Result<(), PlanError> {
    if managers.iter().all(|manager| manager.name != "nftables.service") {
        return Ok(());
    }
    let wanted = WantedFile {
        path: NFTABLES_DROP_IN.into(),
        contents: NFTABLES_DROP_IN_TEXT.into(),
        mode: 0o644,
        owner: Owner::Root,
    };
    let why = "nftables.service flushes every table that there is: ours is loaded again behind it";
    let reason = Reason { why, controls: &["FW3"], risk: Risk::None };
    if draft.file(wanted, reason)? {
        draft.step(Action::ReloadUnits, String::new(), reason);
    }
    Ok(())
}

pub(super) fn text_of(draft: &Draft<'_>, path: &str) -> String {
    match draft.facts.file(path) {
        FileFact::Present(entry) => {
            let bytes = entry.content.as_ref().map(|content| content.0.as_slice()).unwrap_or_default();
            String::from_utf8_lossy(bytes).into_owned()
        }
        FileFact::Absent | FileFact::Unreadable(_) | FileFact::NotLookedAt => String::new(),
    }
}

fn tables<'a>(draft: &Draft<'a>) -> &'a [TableDump] {
    draft.facts.firewall.ruleset.known().map(|ruleset| ruleset.tables.as_slice()).unwrap_or_default()
}

/// Whether a text of iptables-restore has rules in the table `nat`.
fn has_nat(text: &str) -> bool {
    let nat = text.lines().map(str::trim).skip_while(|line| *line != "*nat");
    nat.take_while(|line| *line != "COMMIT").any(|line| line.starts_with("-A") || line.starts_with("-I"))
}

/// Whether a table changes where packets go.
fn translates(table: &TableDump) -> bool {
    table.chains.iter().any(|dump| {
        let changes = |expression: &Expression| {
            matches!(expression.name(), "nat" | "masq" | "redir" | "tproxy" | "fwd" | "dup")
        };
        dump.rules.iter().any(|rule| rule.expressions.iter().any(changes))
    })
}

/// The tables that a configuration of nft(8) declares.
fn tables_of(text: &str) -> Vec<(Family, String)> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut words =
            line.split(|c: char| c.is_whitespace() || c == '{' || c == ';').filter(|word| !word.is_empty());
        let mut first = words.next();
        if matches!(first, Some("add" | "create")) {
            first = words.next();
        }
        if first != Some("table") {
            continue;
        }
        let (family, name) = match (words.next(), words.next()) {
            (Some("ip6"), Some(name)) => (Family::Ip6, name),
            (Some("inet"), Some(name)) => (Family::Inet, name),
            (Some("arp"), Some(name)) => (Family::Arp, name),
            (Some("bridge"), Some(name)) => (Family::Bridge, name),
            (Some("netdev"), Some(name)) => (Family::Netdev, name),
            // Without a family it is `ip`.
            (Some("ip"), Some(name)) | (Some(name), _) => (Family::Ip, name),
            (None, _) => continue,
        };
        if !found.iter().any(|(known, other)| *known == family && other == name) {
            found.push((family, name.to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests;
