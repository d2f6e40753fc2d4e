//! The packet filter through the host's own iptables: for kernels without `nf_tables`, or where the policy wants it.

use host::Facts;
use host::facts::{Fact, IptablesVariant};
use packet_filter::FilterPolicy;
use policy::{Backend, Policy};

use super::PlanError;
use super::draft::{Draft, Reason, WantedFile};
use super::managers::{Rules, draw_edit, text_of};
use crate::action::{Action, Before, Owner, Risk};
use crate::hex::Sha256;
use crate::iptables::{Save, SavedIptables, has_ours, with_ours};

/// Our chains, as the boot service loads them.
pub const SAVED_IPTABLES: &str = "/var/lib/gabion/iptables.json";

/// How a file begins that holds our rules.
pub(super) const WRITTEN: &str = "# Written by gabion";

/// Where distributions keep the rules that a boot loads, for IPv4 and IPv6.
const DEBIAN: [&str; 2] = ["/etc/iptables/rules.v4", "/etc/iptables/rules.v6"];
const ARCH: [&str; 2] = ["/etc/iptables/iptables.rules", "/etc/iptables/ip6tables.rules"];
const RED_HAT: [&str; 2] = ["/etc/sysconfig/iptables", "/etc/sysconfig/ip6tables"];

/// What a plan looks at for them.
pub(super) const PATHS: [&str; 9] = [
    SAVED_IPTABLES,
    DEBIAN[0],
    DEBIAN[1],
    ARCH[0],
    ARCH[1],
    RED_HAT[0],
    RED_HAT[1],
    "/etc/iptables",
    "/etc/sysconfig",
];

/// Which iptables loads the policy; none where the kernel's `nf_tables` is spoken to directly.
pub(super) fn backend(facts: &Facts, policy: &Policy) -> Result<Option<IptablesVariant>, PlanError> {
    let firewall = &facts.firewall;
    match policy.firewall.backend {
        Backend::Auto if firewall.has_nf_tables == Fact::Known(false) => Ok(firewall.iptables),
        Backend::Nftables | Backend::Auto => Ok(None),
        Backend::Iptables => firewall.iptables.map(Some).ok_or_else(|| PlanError::Impossible {
            what: "firewall.backend is iptables, and this host has none".to_owned(),
            hint: "install it, or set firewall.backend to nftables".to_owned(),
        }),
    }
}

/// Our chains for both families.
pub(super) fn wanted(policy: &FilterPolicy, variant: IptablesVariant) -> SavedIptables {
    let (v4, v6) = packet_filter::iptables_save(policy);
    SavedIptables { variant, v4, v6 }
}

/// Saves our chains for the boot, in our own file and at the distribution's own place.
pub(super) fn draw_saved(draft: &mut Draft<'_>, wanted: &SavedIptables) -> Result<(), PlanError> {
    let mut contents = serde_json::to_vec_pretty(wanted).map_err(|error| PlanError::Impossible {
        what: "the rules to be saved".to_owned(),
        hint: error.to_string(),
    })?;
    contents.push(b'\n');
    let reason = Reason { why: "the rules that the next boot loads", controls: &["FW3"], risk: Risk::None };
    let file =
        |path: &str, contents, mode| WantedFile { path: path.into(), contents, mode, owner: Owner::Root };
    draft.file_shown_as(file(SAVED_IPTABLES, contents, 0o600), "the rules shown below", reason)?;
    for (path, text) in places(draft.facts).into_iter().zip([&wanted.v4, &wanted.v6]) {
        let contents = persisted(&text_of(draft, path), text);
        let reason = Reason { why: "the distribution's own place for rules of iptables", ..reason };
        draft.file(file(path, contents.into_bytes(), 0o640), reason)?;
    }
    Ok(())
}

fn places(facts: &Facts) -> [&'static str; 2] {
    let os = facts.system.os.known();
    let is = |name: &str| os.is_some_and(|os| os.id == name || os.like.iter().any(|like| like == name));
    if is("rhel") || is("fedora") || is("centos") {
        RED_HAT
    } else if is("arch") {
        ARCH
    } else {
        DEBIAN
    }
}

/// Our table `filter`, and the other tables that the file had.
fn persisted(old: &str, ours: &str) -> String {
    let mut text = format!("{WRITTEN}: the table filter.\n{ours}");
    let mut inside = false;
    for line in old.lines() {
        inside |= line.starts_with('*') && line != "*filter";
        if inside {
            text.push_str(line);
            text.push('\n');
        }
        inside &= line != "COMMIT";
    }
    text
}

/// Loads our chains, where the kernel has others.
pub(super) fn draw_load(
    draft: &mut Draft<'_>,
    wanted: &SavedIptables,
    rules: &mut Rules,
) -> Result<(), PlanError> {
    let flawed =
        |reason: String| PlanError::Impossible { what: "the rules for iptables".to_owned(), hint: reason };
    let before = rules.clone();
    for (ipv6, text) in [(false, &wanted.v4), (true, &wanted.v6)] {
        let ours = Save::parse(text).map_err(flawed)?;
        let now = rules.get(wanted.variant, ipv6);
        rules.set(wanted.variant, ipv6, with_ours(&now, Some(&ours)));
    }
    let reason = Reason {
        why: "inbound and forwarded packets are refused unless the policy allows them, in IPv4 and IPv6",
        controls: &["FW1", "FW2"],
        risk: Risk::CutOff,
    };
    draw_edit(draft, wanted.variant, &before, rules, reason);
    Ok(())
}

/// Takes out what the other way of loading left: our chains of iptables.
pub(super) fn draw_gone(draft: &mut Draft<'_>, rules: &mut Rules) -> Result<(), PlanError> {
    let reason = Reason {
        why: "the policy is loaded into nf_tables directly; our chains of iptables are not needed any more",
        controls: &["FW4"],
        risk: Risk::CutOff,
    };
    let before = rules.clone();
    rules.each(|save| {
        if has_ours(save) {
            *save = with_ours(save, None);
        }
    });
    for variant in [IptablesVariant::Nft, IptablesVariant::Legacy] {
        draw_edit(draft, variant, &before, rules, reason);
    }
    draw_removed(draft, SAVED_IPTABLES, reason)
}

/// Removes a file of ours, where it is there.
pub(super) fn draw_removed(draft: &mut Draft<'_>, path: &str, reason: Reason<'_>) -> Result<(), PlanError> {
    if draft.facts.file(path).entry().is_none() {
        return Ok(());
    }
    let Some(content) = draft.entry(path.as_ref())?.and_then(|entry| entry.content.as_ref()) else {
        return Err(PlanError::InTheWay { path: path.into() });
    };
    let before = Before::File(Sha256::of(&content.0));
    let reason = Reason { risk: Risk::None, ..reason };
    draft.step(Action::RemoveFile { path: path.into(), before }, String::new(), reason);
    Ok(())
}
