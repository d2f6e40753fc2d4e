//! Whether the kernel's packet filter is as it was applied, and what is not.

use change::firewall_state::Applied;
use controls::drift::{Drift, Kind};
use jiff::Timestamp;
use serde::Serialize;

use crate::page::{Page, Tone, View, counted};

/// What a look at the kernel found.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// 1; a reader refuses what it does not know.
    pub version: u32,
    /// Everything is as it was applied.
    pub as_applied: bool,
    /// The ruleset that it was compared with; none where nothing was ever applied.
    pub applied: Option<Applied>,
    /// What is not.
    pub drift: Vec<Drift>,
    /// How it was found out.
    pub check: Check,
}

/// How it was found out.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Check {
    /// The generation of the ruleset; none where the kernel could not be asked.
    pub generation: Option<u32>,
    /// The tables were not read: the generation has not moved since they were last found as applied.
    pub unmoved: bool,
    /// What asking for the generation and comparing it took, in microseconds.
    pub generation_us: u64,
    /// What everything took, in microseconds.
    pub total_us: u64,
}

/// The status as text: one line where all is as applied, else what is not, with what shows it and what to do.
#[must_use]
pub fn text(status: &Status, view: View) -> String {
    let mut page = Page::new(view);
    if status.as_applied {
        page.paragraph(0, Tone::Good, &format!("As applied {}.", when(status.applied.as_ref())));
        return page.finish();
    }
    match &status.applied {
        Some(applied) => {
            let things = counted(status.drift.len(), "thing");
            let are = if status.drift.len() == 1 { "is" } else { "are" };
            page.paragraph(0, Tone::Bad, &format!("{things} {are} not as applied {}:", when(Some(applied))));
        }
        None => page.paragraph(0, Tone::Bad, "Nothing that Gabion has applied can be compared with:"),
    }
    for drift in &status.drift {
        page.blank();
        page.paragraph(0, tone(drift.kind), &drift.what);
        drift.shown_by.iter().take(SHOWN).for_each(|line| page.paragraph(4, Tone::Quiet, line));
        if drift.shown_by.len() > SHOWN {
            page.paragraph(4, Tone::Quiet, &format!("and {} more", drift.shown_by.len() - SHOWN));
        }
    }
    page.blank();
    advice(status).into_iter().for_each(|line| page.paragraph(0, Tone::Plain, line));
    page.finish()
}

/// How many lines show one drift.
const SHOWN: usize = 8;

fn when(applied: Option<&Applied>) -> String {
    let Some(applied) = applied else { return "before".to_owned() };
    let at = applied.at.map_or_else(
        || "at a time that is not known".to_owned(),
        |at: Timestamp| format!("at {}", at.strftime("%Y-%m-%d %H:%M:%S UTC")),
    );
    let by = applied.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    let transaction = applied.transaction.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
    format!("{at}{by}{transaction}")
}

fn tone(kind: Kind) -> Tone {
    match kind {
        Kind::TableGone | Kind::Dormant | Kind::Ipv4Open | Kind::Ipv6Open | Kind::ForwardOpen => Tone::Worst,
        Kind::Unknown => Tone::Odd,
        _ => Tone::Bad,
    }
}

fn advice(status: &Status) -> Vec<&'static str> {
    let any = |wanted: fn(Kind) -> bool| status.drift.iter().any(|drift| wanted(drift.kind));
    let mut lines = Vec::new();
    if status.applied.is_none() {
        return vec!["`gabion apply` loads what the policy says."];
    }
    if any(Kind::is_ended_by_loading) {
        lines.push("`gabion firewall load` puts the applied ruleset back into the kernel.");
    }
    if any(|kind| matches!(kind, Kind::Saved | Kind::Boot | Kind::Program)) {
        lines.push("`gabion apply` puts back what loads it at boot.");
    }
    if any(Kind::is_foreign) {
        lines.push("`gabion firewall show --all` shows what others have put there; if it is wanted, `gabion firewall status --keep` takes it as known.");
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(drift: Vec<Drift>) -> Status {
        let applied = Applied {
            transaction: Some("20261122-a".to_owned()),
            at: "2026-11-22T10:00:00Z".parse().ok(),
            by: Some("deploy".to_owned()),
        };
        let as_applied = drift.is_empty();
        Status { version: 1, as_applied, applied: Some(applied), drift, check: Check::default() }
    }

    #[test]
    fn all_as_applied_is_one_line_that_says_since_when_and_by_whom() {
        let text = text(&status(Vec::new()), View::default());
        assert_eq!(text, "As applied at 2026-11-22 10:00:00 UTC by deploy (20261122-a).\n");
    }

    #[test]
    fn what_drifted_is_shown_with_what_shows_it_and_what_to_do() {
        let drift = vec![
            Drift::new(Kind::RuleAdded, "a rule in chain input is not gabion's", ["accept".to_owned()]),
            Drift::new(Kind::ForeignRefuses, "ip x c of nft can refuse packets", []),
        ];
        let text = text(&status(drift), View::default());
        assert!(text.starts_with("2 things are not as applied at 2026-11-22"), "{text}");
        assert!(text.contains("not gabion's\n    accept\n"), "{text}");
        assert!(text.contains("firewall load") && text.contains("status --keep"), "{text}");
    }
}
