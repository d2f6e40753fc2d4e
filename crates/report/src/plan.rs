//! A plan for a person, and as JSON.

use change::action::{Action, AtBoot, Before, Risk, ServiceState, UserChange};
use change::lockout::Refusal;
use change::plan::{Plan, Step};
use serde::{Deserialize, Serialize};

use crate::lockout;
use crate::page::{Page, Tone, View, counted};
pub use crate::touched::Touched;

/// The plan as text: each step with its reason and the exact change, then all that is touched, then what comes next.
pub fn text(plan: &Plan, view: View) -> String {
    let mut page = Page::new(view);
    if plan.is_empty() {
        page.paragraph(0, Tone::Good, "Nothing to do: this host is as its policy says.");
    }
    for (index, step) in plan.steps.iter().enumerate() {
        page.blank();
        write_step(&mut page, index + 1, step);
    }
    if !plan.is_empty() {
        page.blank();
        write_touched(&mut page, &Touched::by(plan));
    }
    for note in &plan.notes {
        page.blank();
        page.entry(0, 8, "note", Tone::Odd, note);
    }
    if !plan.is_empty() {
        page.blank();
        write_ending(&mut page, plan);
    }
    page.finish()
}

fn write_step(page: &mut Page, number: usize, step: &Step) {
    page.hanging(&format!("{number:>2}  "), Tone::Quiet, 4, Tone::Strong, &describe(&step.action));
    page.entry(4, 4, "why", Tone::Quiet, &step.why);
    if !step.controls.is_empty() {
        page.entry(4, 4, "for", Tone::Quiet, &step.controls.join(" "));
    }
    match step.risk {
        Risk::None => {}
        Risk::CutOff => page.entry(4, 4, "risk", Tone::Odd, "may cut off who is logged in"),
    }
    if !step.shows.trim().is_empty() {
        page.verbatim(6, step.shows.trim_end());
    }
}

fn write_touched(page: &mut Page, touched: &Touched) {
    page.paragraph(0, Tone::Strong, "Touches");
    let rows = [
        ("files", &touched.files),
        ("accounts", &touched.accounts),
        ("groups", &touched.groups),
        ("units", &touched.units),
        ("kernel", &touched.kernel),
    ];
    for (name, things) in rows {
        for (index, thing) in things.iter().enumerate() {
            page.entry(2, 8, if index == 0 { name } else { "" }, Tone::Quiet, thing);
        }
    }
}

fn write_ending(page: &mut Page, plan: &Plan) {
    let steps = counted(plan.steps.len(), "step");
    let risky = plan.steps.iter().filter(|step| step.risk == Risk::CutOff).count();
    let ending = if risky == 0 {
        format!("{steps}, none of which can cut off who is logged in. `gabion apply` makes the change.")
    } else {
        format!(
            "{steps}, {risky} of which may cut off who is logged in: `gabion apply` undoes them all unless \
             `gabion confirm` is run from a new login."
        )
    };
    page.paragraph(0, Tone::Plain, &ending);
}

/// What an action does, in a line without its reason.
pub fn describe(action: &Action) -> String {
    match action {
        Action::WriteFile { path, before: Before::Absent, mode, .. } => {
            format!("create {} (mode {mode:04o})", path.display())
        }
        Action::WriteFile { path, before: Before::File(_) | Before::Symlink(_), .. } => {
            format!("change {}", path.display())
        }
        Action::InstallProgram { path, .. } => format!("install this program as {}", path.display()),
        Action::MakeDirectory { path, mode, .. } => {
            format!("make directory {} (mode {mode:04o})", path.display())
        }
        Action::MakeSymlink { path, target, .. } => {
            format!("link {} to {}", path.display(), target.display())
        }
        Action::SetAttributes { path, mode, mode_before, .. } if mode == mode_before => {
            format!("change the owner of {}", path.display())
        }
        Action::SetAttributes { path, mode, mode_before, .. } => {
            format!("change the mode of {} from {mode_before:04o} to {mode:04o}", path.display())
        }
        Action::RemoveFile { path, .. } => format!("remove {}", path.display()),
        Action::CreateUser { name, .. } => format!("create account {name}"),
        Action::ChangeUser { name, change } => describe_change(name, change),
        Action::ReloadSsh { .. } => "reload the SSH server".to_owned(),
        Action::ReloadUnits => "have systemd read its units again".to_owned(),
        Action::SwitchService { unit, to, before, .. } => describe_switch(unit, *to, *before),
        Action::EditIptables { .. } => "change rules of iptables".to_owned(),
        Action::UnloadTable { before } => format!("take table {} out of the kernel", before.id()),
        Action::LoadFirewall { .. } => "load the packet filter".to_owned(),
        Action::ProveLogins { logins } => format!("try {} for real", counted(logins.len(), "login")),
    }
}

fn describe_switch(unit: &str, to: ServiceState, before: ServiceState) -> String {
    let run = match (before.active, to.active) {
        (false, true) => Some("start"),
        (true, false) => Some("stop"),
        (false, false) | (true, true) => None,
    };
    let boot = (before.at_boot != to.at_boot).then_some(match to.at_boot {
        AtBoot::Enabled => "enable",
        AtBoot::Disabled => "disable",
        AtBoot::Masked => "mask",
    });
    let verbs: Vec<&str> = run.into_iter().chain(boot).collect();
    format!("{} {unit}", if verbs.is_empty() { "leave".to_owned() } else { verbs.join(" and ") })
}

fn describe_change(name: &str, change: &UserChange) -> String {
    match change {
        UserChange::AddToGroup { group } => format!("add account {name} to group {group}"),
        UserChange::LockPassword => format!("lock the password of {name}"),
        UserChange::SetPasswordHash { .. } => format!("set the password of {name}"),
        UserChange::SetShell { shell } => format!("set the shell of {name} to {}", shell.display()),
        UserChange::NeverExpirePassword => format!("let the password of {name} never expire"),
    }
}

/// A plan as JSON, version 1. Contents and secrets are not in it; it cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Document {
    /// 1; a reader refuses what it does not know.
    pub version: u32,
    /// Whether `apply` will wait for a confirmation.
    pub can_cut_off: bool,
    /// Why `apply` would refuse it; null where it would not.
    pub refused: Option<lockout::Document>,
    /// In the order in which they are done.
    pub steps: Vec<StepDocument>,
    /// All that the steps touch.
    pub touched: Touched,
    /// What the person should know beside it.
    pub notes: Vec<String>,
}

/// A step in [`Document`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepDocument {
    /// From 1.
    pub number: usize,
    /// The kind of action, as `write-file`.
    pub action: String,
    /// What it does, in a line.
    pub what: String,
    /// Why, in a line.
    pub why: String,
    /// The controls it answers.
    pub controls: Vec<String>,
    /// Whether it may cut off who is logged in.
    pub risk: Risk,
    /// The exact change, as a unified diff where it is of a file.
    pub shows: String,
}

/// The plan for `--json`.
pub fn json(plan: &Plan, refusal: Option<&Refusal>) -> Document {
    let step = |(index, step): (usize, &Step)| StepDocument {
        number: index + 1,
        action: kind(&step.action).to_owned(),
        what: describe(&step.action),
        why: step.why.clone(),
        controls: step.controls.clone(),
        risk: step.risk,
        shows: step.shows.clone(),
    };
    Document {
        version: crate::VERSION,
        can_cut_off: plan.can_cut_off(),
        refused: refusal.map(lockout::json),
        steps: plan.steps.iter().enumerate().map(step).collect(),
        touched: Touched::by(plan),
        notes: plan.notes.clone(),
    }
}

/// The name of an action's kind, the same as in a saved plan.
fn kind(action: &Action) -> &'static str {
    match action {
        Action::WriteFile { .. } => "write-file",
        Action::InstallProgram { .. } => "install-program",
        Action::MakeDirectory { .. } => "make-directory",
        Action::MakeSymlink { .. } => "make-symlink",
        Action::SetAttributes { .. } => "set-attributes",
        Action::RemoveFile { .. } => "remove-file",
        Action::CreateUser { .. } => "create-user",
        Action::ChangeUser { .. } => "change-user",
        Action::ReloadSsh { .. } => "reload-ssh",
        Action::ReloadUnits => "reload-units",
        Action::SwitchService { .. } => "switch-service",
        Action::EditIptables { .. } => "edit-iptables",
        Action::UnloadTable { .. } => "unload-table",
        Action::LoadFirewall { .. } => "load-firewall",
        Action::ProveLogins { .. } => "prove-logins",
    }
}
