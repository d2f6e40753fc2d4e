//! All that a plan touches, in one look.

use std::path::Path;

use change::action::{Action, Before, UserChange};
use change::plan::Plan;
use serde::{Deserialize, Serialize};

/// All that a plan touches, each thing once, in the order of its steps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Touched {
    /// Paths, with `(new)` or `(removed)`.
    pub files: Vec<String>,
    /// Accounts, with `(new)`.
    pub accounts: Vec<String>,
    /// Groups that get a member.
    pub groups: Vec<String>,
    /// Services reloaded, and units that are written or enabled.
    pub units: Vec<String>,
    /// What is loaded into the kernel.
    pub kernel: Vec<String>,
}

impl Touched {
    /// What a plan touches.
    pub fn by(plan: &Plan) -> Self {
        let mut touched = Self::default();
        for step in &plan.steps {
            touched.add(&step.action);
        }
        touched
    }

    fn add(&mut self, action: &Action) {
        match action {
            Action::WriteFile { path, before, .. }
            | Action::InstallProgram { path, before, .. }
            | Action::MakeSymlink { path, before, .. } => {
                self.file(path, if *before == Before::Absent { " (new)" } else { "" });
            }
            Action::MakeDirectory { path, .. } => self.file(path, " (new)"),
            Action::SetAttributes { path, .. } => self.file(path, ""),
            Action::RemoveFile { path, .. } => self.file(path, " (removed)"),
            Action::CreateUser { name, groups, .. } => {
                once(&mut self.accounts, format!("{name} (new)"));
                groups.iter().for_each(|group| once(&mut self.groups, group.clone()));
            }
            Action::ChangeUser { name, change } => {
                if !self.accounts.contains(&format!("{name} (new)")) {
                    once(&mut self.accounts, name.clone());
                }
                if let UserChange::AddToGroup { group } = change {
                    once(&mut self.groups, group.clone());
                }
            }
            Action::ReloadSsh { .. } => once(&mut self.units, "the SSH server (reloaded)".to_owned()),
            Action::EditIptables { .. } => once(&mut self.kernel, "rules of iptables".to_owned()),
            Action::UnloadTable { before } => {
                once(&mut self.kernel, format!("table {} (removed)", before.id()));
            }
            Action::SwitchService { unit, to, .. } => once(&mut self.units, format!("{unit} ({to})")),
            Action::LoadFirewall { .. } => once(&mut self.kernel, "the packet filter".to_owned()),
            // A key of the moment, taken away again; and units are named where they are written.
            Action::ProveLogins { .. } | Action::ReloadUnits => {}
        }
    }

    fn file(&mut self, path: &Path, suffix: &str) {
        once(&mut self.files, format!("{}{suffix}", path.display()));
        if let Some(unit) = unit_name(path) {
            once(&mut self.units, unit);
        }
    }
}

/// The unit that a path under a unit directory of systemd writes or enables.
fn unit_name(path: &Path) -> Option<String> {
    const KINDS: [&str; 6] = ["service", "socket", "timer", "target", "path", "mount"];
    let is_unit = path.extension().is_some_and(|kind| KINDS.iter().any(|known| kind == *known));
    let in_systemd = path.components().any(|part| part.as_os_str() == "systemd");
    (is_unit && in_systemd).then(|| path.file_name().map(|name| name.to_string_lossy().into_owned()))?
}

fn once(things: &mut Vec<String>, thing: String) {
    if !things.contains(&thing) {
        things.push(thing);
    }
}
