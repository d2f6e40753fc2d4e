//! The packet filter: the compiled ruleset saved, loaded at boot and loaded now.

use packet_filter::{Compiled, FilterPolicy};
use policy::{Ipv6, Policy};

use super::PlanError;
use super::boot::Service;
use super::draft::{Draft, Reason, WantedFile, known, unified_diff};
use super::iptables;
use super::managers::{self, Rules};
use crate::action::{Action, Owner, Risk};

/// The compiled ruleset, as the boot service loads it.
pub const SAVED: &str = "/var/lib/gabion/firewall.json";
pub(super) const NAME: &str = "gabion-firewall";
pub(super) const UNIT: &str = "/etc/systemd/system/gabion-firewall.service";
pub(super) const LINK: &str = "/etc/systemd/system/sysinit.target.wants/gabion-firewall.service";
pub(super) const SCRIPT: &str = "/etc/init.d/gabion-firewall";
/// getaddrinfo's order of addresses, gai.conf(5).
pub(super) const GAI_CONF: &str = "/etc/gai.conf";

/// Before the network is up; nothing is stopped by stopping it, so that a stop never opens the host.
const UNIT_TEXT: &str = "\
# Written by gabion.
[Unit]
Description=Load the packet filter
Documentation=man:gabion(8)
DefaultDependencies=no
RequiresMountsFor=/var/lib/gabion /usr/local/sbin
After=local-fs.target gabion-recover.service netfilter-persistent.service
Before=network-pre.target sysinit.target shutdown.target
Wants=network-pre.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/gabion firewall load
ExecReload=/usr/local/sbin/gabion firewall load

[Install]
WantedBy=sysinit.target
";

/// The line that has IPv4 tried first, so that APT and others do not wait for refused IPv6 connections.
const PREFER_IPV4: &str = "precedence ::ffff:0:0/96  100";

pub(super) fn draw(draft: &mut Draft<'_>, policy: &Policy) -> Result<(), PlanError> {
    let wanted = controls::filter::filter_policy(policy, draft.facts).map_err(|error| {
        PlanError::Impossible { what: "the firewall's policy".to_owned(), hint: error.to_string() }
    })?;
    let mut rules = Rules::of(draft)?;
    let through = iptables::backend(draft.facts, policy)?.map(|variant| iptables::wanted(&wanted, variant));
    let compiled = packet_filter::compile(&wanted);
    match &through {
        Some(saved) => iptables::draw_saved(draft, saved)?,
        None => draw_saved(draft, &compiled)?,
    }
    let service = Service {
        name: NAME,
        unit: UNIT,
        unit_text: UNIT_TEXT,
        link: LINK,
        script: SCRIPT,
        summary: "load the packet filter",
        command: "firewall load",
    };
    let reason = Reason {
        why: "the packet filter is in force before the network is up",
        controls: &["FW3"],
        risk: Risk::None,
    };
    service.draw(draft, reason)?;
    if policy.firewall.ipv6 == Ipv6::Reject {
        draw_prefer_ipv4(draft)?;
    }
    if let Some(saved) = &through {
        iptables::draw_load(draft, saved, &mut rules)?;
        draw_gone(draft, &compiled)?;
    } else {
        draw_load(draft, &wanted, compiled)?;
        iptables::draw_gone(draft, &mut rules)?;
    }
    managers::draw(draft, policy, &wanted, &mut rules, through.is_some())
}

/// Takes out what the other way of loading left: our table of `nf_tables`.
fn draw_gone(draft: &mut Draft<'_>, compiled: &Compiled) -> Result<(), PlanError> {
    let id = compiled.table().id();
    let reason = Reason {
        why: "the policy is loaded through iptables; our table of nf_tables is not needed any more",
        controls: &["FW4"],
        risk: Risk::CutOff,
    };
    let ruleset = draft.facts.firewall.ruleset.known();
    if let Some(table) = ruleset.and_then(|ruleset| ruleset.table(id.family, &id.name)) {
        draft.step(Action::UnloadTable { before: Box::new(table.clone()) }, String::new(), reason);
    }
    iptables::draw_removed(draft, SAVED, reason)
}

fn draw_saved(draft: &mut Draft<'_>, compiled: &Compiled) -> Result<(), PlanError> {
    let mut contents = serde_json::to_vec_pretty(compiled).map_err(|error| PlanError::Impossible {
        what: "the compiled ruleset".to_owned(),
        hint: error.to_string(),
    })?;
    contents.push(b'\n');
    let reason = Reason { why: "the ruleset that the next boot loads", controls: &["FW3"], risk: Risk::None };
    let wanted = WantedFile { path: SAVED.into(), contents, mode: 0o600, owner: Owner::Root };
    draft.file_shown_as(wanted, "the compiled ruleset shown below", reason)?;
    Ok(())
}

fn draw_load(draft: &mut Draft<'_>, wanted: &FilterPolicy, compiled: Compiled) -> Result<(), PlanError> {
    let facts = draft.facts;
    let ruleset = known(&facts.firewall.ruleset, "the kernel's ruleset")?;
    let id = compiled.table().id();
    let now = ruleset.table(id.family, &id.name);
    if now.is_some_and(|table| packet_filter::compare_loaded(&compiled, table).is_empty()) {
        return Ok(());
    }
    prove(wanted, &compiled)?;
    let (old, new) = (now.map(packet_filter::text::table), packet_filter::text::table(compiled.table()));
    let shows = unified_diff(
        "kernel: table inet gabion".as_ref(),
        old.as_deref().map(str::as_bytes),
        Some(new.as_bytes()),
    );
    let action = Action::LoadFirewall {
        ruleset: Box::new(compiled),
        generation: facts.firewall.generation.known().copied(),
    };
    let reason = Reason {
        why: "inbound and forwarded packets are refused unless the policy allows them, in IPv4 and IPv6",
        controls: &["FW1", "FW2"],
        risk: Risk::CutOff,
    };
    draft.step(action, shows, reason);
    Ok(())
}

/// No ruleset is planned that was not shown to do what the policy says, over all packets.
fn prove(wanted: &FilterPolicy, compiled: &Compiled) -> Result<(), PlanError> {
    packet_filter::prove(wanted, compiled).map(drop).map_err(|problem| PlanError::Impossible {
        what: "the compiled ruleset was not shown to do what the policy says".to_owned(),
        hint: format!("{problem}; this is a flaw of gabion, please report it with the policy"),
    })
}

fn draw_prefer_ipv4(draft: &mut Draft<'_>) -> Result<(), PlanError> {
    let now = match draft.entry(GAI_CONF.as_ref())? {
        Some(entry) => entry.content.as_ref().map(|content| content.0.clone()).unwrap_or_default(),
        None => Vec::new(),
    };
    let text = String::from_utf8_lossy(&now);
    let is_set = |line: &str| line.split_whitespace().eq(PREFER_IPV4.split_whitespace());
    if text.lines().any(is_set) {
        return Ok(());
    }
    let mut contents = now.clone();
    if !contents.is_empty() && !contents.ends_with(b"\n") {
        contents.push(b'\n');
    }
    contents.extend_from_slice(PREFER_IPV4.as_bytes());
    contents.push(b'\n');
    let mode = draft.entry(GAI_CONF.as_ref())?.map_or(0o644, |entry| entry.mode);
    let wanted = WantedFile { path: GAI_CONF.into(), contents, mode, owner: Owner::Keep };
    let why = "IPv6 is refused: APT and others try IPv4 first instead of waiting";
    draft.file(wanted, Reason { why, controls: &[], risk: Risk::None })?;
    Ok(())
}
