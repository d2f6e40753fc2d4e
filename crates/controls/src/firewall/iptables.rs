//! A packet filter that is loaded through the host's own iptables.

use std::collections::BTreeSet;

use host::facts::IptablesVariant;
use serde::Deserialize;

use crate::iptables_text::canonical;
use crate::judgement::{Fault, Subject};

/// Where our chains are saved that the boot loads.
pub(super) const SAVED: &str = "/var/lib/gabion/iptables.json";
/// Units of iptables itself, which load what we have written into their files.
pub(super) const LOADERS: [&str; 3] =
    ["netfilter-persistent.service", "iptables.service", "ip6tables.service"];

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Saved {
    variant: IptablesVariant,
    v4: String,
    v6: String,
}

/// The saved chains are not those in force.
pub(super) fn lags_behind(subject: &Subject<'_>) -> Option<Fault> {
    if subject.is_image() {
        return None;
    }
    let unknown = |why: String| {
        Some(Fault::unknown("the ruleset of the next boot is not known", why).decided_by(SAVED).apply())
    };
    let bytes = subject.facts.file(SAVED).bytes().unwrap_or_default();
    let saved: Saved = match serde_json::from_slice(bytes) {
        Ok(saved) => saved,
        Err(error) => return unknown(format!("{SAVED}: {error}")),
    };
    let Some(saves) = subject.facts.firewall.iptables_saves.known() else {
        return unknown(subject.facts.firewall.iptables_saves.unknown().unwrap_or_default().to_owned());
    };
    for (ipv6, text) in [(false, &saved.v4), (true, &saved.v6)] {
        let live = saves.iter().find(|save| save.variant == saved.variant && save.ipv6 == ipv6);
        let live = live.map(|save| save.text.as_str()).unwrap_or_default();
        if rules(text) != rules(live) {
            let program = if ipv6 { "ip6tables" } else { "iptables" };
            let fault = Fault::new("the ruleset that the next boot loads is not the one in force");
            return Some(fault.decided_by(SAVED).decided_by(format!("{program}-save")).apply());
        }
    }
    None
}

/// The rules of our own chains and those that lead to them.
fn rules(text: &str) -> BTreeSet<String> {
    let ours = |line: &&str| line.starts_with("-A gabion-") || line.contains(" -j gabion-");
    text.lines().filter(ours).map(canonical).collect()
}
