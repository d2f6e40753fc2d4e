//! Other programs that manage a packet filter: stood down, so that one policy decides, or left alone and told of.
//!
//! Ours is in force before theirs goes. What they have put into the kernel is taken out by us and not by their own commands,
//! which take out more than is theirs (`nft flush ruleset`). What cannot be told apart, or what no policy expresses, stays.

mod beside;
mod rules;

use host::facts::{Fact, FileFact, IptablesSave, IptablesVariant, Manager};
use nf_tables::{ChainKind, Expression, Family, TableDump};
use packet_filter::FilterPolicy;
use policy::Policy;

use super::PlanError;
use super::draft::{Draft, Reason, WantedFile, unified_diff};
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
pub(super) const PATHS: [&str; 12] = [
    UFW_CONF,
    UFW_RULES[0],
    UFW_RULES[1],
    NFTABLES_CONF[0],
    NFTABLES_CONF[1],
    NFTABLES_CONF[2],
    NFTABLES_DROP_IN,
    "/etc/iptables/rules.v4",
    "/etc/iptables/rules.v6",
    "/etc/sysconfig/iptables",
    "/etc/sysconfig/ip6tables",
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

pub(super) fn draw(draft: &mut Draft<'_>, policy: &Policy, wanted: &FilterPolicy) -> Result<(), PlanError> {
    let Some(managers) = draft.facts.firewall.managers.known() else {
        return Ok(());
    };
    if !policy.firewall.exclusive {
        draw_nftables_guard(draft, managers)?;
        beside::note(draft, managers, wanted);
        return Ok(());
    }
    let mut standing = Standing::of(draft)?;
    let mut left: Vec<(&Manager, String)> = Vec::new();
    let mut down: Vec<(&Manager, Kind)> = Vec::new();
    for manager in managers {
        let kind = Kind::of(&manager.name);
        match kind.map_or(Err("it is not known here".to_owned()), |kind| standing.take_out(draft, kind)) {
            Ok(()) => down.extend(kind.map(|kind| (manager, kind))),
            Err(why) => left.push((manager, why)),
        }
    }
    standing.draw(draft)?;
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

/// The rules of others as they stand, and as they will.
struct Standing {
    saves: Vec<(IptablesSave, Save)>,
    tables: Vec<TableDump>,
}

impl Standing {
    fn of(draft: &Draft<'_>) -> Result<Self, PlanError> {
        let saves = match &draft.facts.firewall.iptables_saves {
            Fact::Known(saves) => saves.as_slice(),
            // Told where a manager cannot be stood down because of it.
            Fact::Unknown(_) => &[],
        };
        let parsed = saves.iter().map(|save| {
            let parsed = Save::parse(&save.text)
                .map_err(|reason| PlanError::Unknown { what: "the rules of iptables".to_owned(), reason })?;
            Ok((save.clone(), parsed))
        });
        Ok(Self { saves: parsed.collect::<Result<_, PlanError>>()?, tables: Vec::new() })
    }

    /// Takes out what one manager has put into the kernel; why that cannot be done.
    fn take_out(&mut self, draft: &Draft<'_>, kind: Kind) -> Result<(), String> {
        match kind {
            Kind::Ufw => {
                known_rules(draft)?;
                if let Some(file) = UFW_RULES.iter().find(|path| has_nat(&text_of(draft, path))) {
                    return Err(format!("{file} translates addresses, which no policy expresses"));
                }
                self.saves.iter_mut().for_each(|(_, save)| rules::take_out_ufw(save));
                Ok(())
            }
            Kind::Persistent { v4, v6 } => {
                known_rules(draft)?;
                let mut taken = Vec::new();
                for (save, parsed) in &self.saves {
                    let Some(path) = (if save.ipv6 { v6 } else { v4 }) else {
                        taken.push(parsed.clone());
                        continue;
                    };
                    let file =
                        Save::parse(&text_of(draft, path)).map_err(|error| format!("{path}: {error}"))?;
                    let mut without = parsed.clone();
                    rules::take_out_file(&mut without, &file).map_err(|why| format!("{path} {why}"))?;
                    taken.push(without);
                }
                self.saves.iter_mut().zip(taken).for_each(|((_, save), without)| *save = without);
                Ok(())
            }
            Kind::Firewalld => {
                let tables = tables(draft).iter().filter(|table| table.table.name == "firewalld");
                match tables.into_iter().find(|table| translates(table)) {
                    Some(table) => {
                        Err(format!("table {} translates addresses, which no policy expresses", table.id()))
                    }
                    None => Ok(()),
                }
            }
            Kind::Nftables => self.take_out_nftables(draft),
        }
    }

    /// The tables that the configuration of nftables.service names.
    fn take_out_nftables(&mut self, draft: &Draft<'_>) -> Result<(), String> {
        let text: String = NFTABLES_CONF.iter().map(|path| text_of(draft, path)).collect();
        if text.lines().any(|line| line.trim_start().starts_with("include")) {
            return Err("its configuration includes other files, which are not read".to_owned());
        }
        let mut taken = Vec::new();
        for (family, name) in tables_of(&text) {
            let Some(table) =
                tables(draft).iter().find(|table| table.id().family == family && table.table.name == name)
            else {
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
            if self.saves.iter().any(|(save, parsed)| {
                let of_family = if save.ipv6 { Family::Ip6 } else { Family::Ip };
                save.variant == IptablesVariant::Nft && of_family == family && parsed.table(&name).is_some()
            }) {
                return Err(format!("table {} is one that iptables works in as well", table.id()));
            }
            taken.push(table.clone());
        }
        self.tables.extend(taken);
        Ok(())
    }

    fn draw(self, draft: &mut Draft<'_>) -> Result<(), PlanError> {
        for table in self.tables {
            let old = packet_filter::text::table(&table);
            let shows =
                unified_diff(format!("kernel: table {}", table.id()).as_ref(), Some(old.as_bytes()), None);
            draft.step(Action::UnloadTable { before: Box::new(table) }, shows, REASON);
        }
        for variant in [IptablesVariant::Nft, IptablesVariant::Legacy] {
            let of_variant: Vec<_> = self.saves.iter().filter(|(save, _)| save.variant == variant).collect();
            let wanted = |ipv6: bool| of_variant.iter().find(|(save, _)| save.ipv6 == ipv6).map(|(_, to)| to);
            draw_edit(draft, variant, wanted(false), wanted(true), REASON)?;
        }
        Ok(())
    }
}

/// A step that brings iptables' tables to what they should be, where they are not.
pub(super) fn draw_edit(
    draft: &mut Draft<'_>,
    variant: IptablesVariant,
    v4: Option<&Save>,
    v6: Option<&Save>,
    reason: Reason<'_>,
) -> Result<(), PlanError> {
    let mut shows = String::new();
    let mut edit_of = |to: Option<&Save>, ipv6: bool| -> Result<Option<IptablesEdit>, PlanError> {
        let Some(to) = to else { return Ok(None) };
        let now = now(draft, variant, ipv6)?;
        let Some(text) = edit(&now, to) else { return Ok(None) };
        let before = touched_chains(&now, &text);
        let name = if ipv6 { "kernel: ip6tables" } else { "kernel: iptables" };
        let old = now.text();
        shows += &unified_diff(name.as_ref(), Some(old.as_bytes()), Some(to.text().as_bytes()));
        Ok(Some(IptablesEdit { text, before }))
    };
    let edits = IptablesEdits { v4: edit_of(v4, false)?, v6: edit_of(v6, true)? };
    if edits != IptablesEdits::default() {
        draft.step(Action::EditIptables { variant, edits }, shows, reason);
    }
    Ok(())
}

/// The tables of one variant and family as they are now.
pub(super) fn now(draft: &Draft<'_>, variant: IptablesVariant, ipv6: bool) -> Result<Save, PlanError> {
    let saves = draft.facts.firewall.iptables_saves.known().map(Vec::as_slice).unwrap_or_default();
    let save = saves.iter().find(|save| save.variant == variant && save.ipv6 == ipv6);
    let text = save.map(|save| save.text.as_str()).unwrap_or_default();
    Save::parse(text)
        .map_err(|reason| PlanError::Unknown { what: "the rules of iptables".to_owned(), reason })
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

fn text_of(draft: &Draft<'_>, path: &str) -> String {
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
        let is_nat = dump.chain.hook.as_ref().is_some_and(|hook| hook.kind == ChainKind::Nat);
        let changes = |expression: &Expression| {
            matches!(expression.name(), "nat" | "masq" | "redir" | "tproxy" | "fwd" | "dup")
        };
        let does = dump.rules.iter().any(|rule| rule.expressions.iter().any(changes));
        does || is_nat && !dump.rules.is_empty()
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
            (Some("ip"), Some(name)) => (Family::Ip, name),
            (Some("ip6"), Some(name)) => (Family::Ip6, name),
            (Some("inet"), Some(name)) => (Family::Inet, name),
            (Some("arp"), Some(name)) => (Family::Arp, name),
            (Some("bridge"), Some(name)) => (Family::Bridge, name),
            (Some("netdev"), Some(name)) => (Family::Netdev, name),
            // Without a family it is `ip`.
            (Some(name), _) => (Family::Ip, name),
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
