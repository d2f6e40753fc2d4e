//! A rehearsal as a person reads it: before and after, side by side, and what to do next.

use std::fmt::Write as _;

use report::View;

use super::outcome::{Findings, Outcome};

pub(super) fn text(outcome: &Outcome, view: View) -> String {
    let mut text = report::verification::text(&outcome.attack, view);
    text.push('\n');
    line(&mut text, "findings before", &findings(outcome.findings_before));
    line(&mut text, "findings after", &findings(outcome.findings_after));
    for left in &outcome.findings_left {
        line(&mut text, "  left for you", left);
    }
    line(&mut text, "steps", &outcome.steps.to_string());
    let again = if outcome.second_plan_is_empty { "nothing to do" } else { "it still finds something to do" };
    line(&mut text, "a second plan", again);
    if outcome.undo_left.is_empty() {
        line(&mut text, "undone", "every managed file, account and rule was as before, byte for byte");
    } else {
        line(&mut text, "undone", "these differ from before:");
        for left in &outcome.undo_left {
            line(&mut text, "", left);
        }
    }
    for note in &outcome.notes {
        line(&mut text, "note", note);
    }
    text.push('\n');
    match (&outcome.refused_here, outcome.holds()) {
        (_, false) => {
            text.push_str("The copy did not become what the policy says: see the differences above.\n");
        }
        (Some(reason), true) => {
            let _infallible =
                writeln!(text, "On this machine itself `gabion apply` would refuse for now:\n{reason}");
        }
        (None, true) => text.push_str("It holds. On this machine itself: gabion plan, gabion apply\n"),
    }
    text.push_str("This machine was not touched; the copy is gone.\n");
    text
}

fn line(text: &mut String, name: &str, value: &str) {
    let _infallible = writeln!(text, "{name:<16} {}", report::safe::line(value));
}

fn findings(findings: Findings) -> String {
    let Findings { critical, high, medium, low, passed } = findings;
    format!("{critical} critical, {high} high, {medium} medium, {low} low; {passed} passed")
}
