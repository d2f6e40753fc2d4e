//! From facts and a policy to an ordered list of actions.
//!
//! Pure: nothing is read or written here. Drawing a plan twice from the same facts gives the same plan, and drawing one from the
//! facts that it leads to gives an empty one.

mod accounts;
mod boot;
mod diff;
mod draft;
mod edit;
mod firewall;
mod iptables;
mod managers;
mod project;
mod proof;
mod ssh;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use host::Facts;
use policy::Policy;
use serde::{Deserialize, Serialize};

use crate::action::{Action, Before, Risk};
use crate::hex::Sha256;
pub use boot::PROGRAM;
use draft::Draft;

pub use edit::{EditPlan, PolicyEdit};
pub use firewall::SAVED as SAVED_RULESET;
pub use iptables::SAVED_IPTABLES;

/// An ordered list of actions, drawn from one set of facts and one policy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Plan {
    /// In the order in which they are done; undone in reverse.
    pub steps: Vec<Step>,
    /// What the person should know beside it: what is left alone and why.
    pub notes: Vec<String>,
}

/// One action with its reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// Why, in a line, for the person who reads the plan.
    pub why: String,
    /// The controls it answers, as `SH1`.
    pub controls: Vec<String>,
    /// Unified diff or other text that shows the exact change; empty where the action says it all.
    pub shows: String,
    /// Whether it can cut off who is logged in.
    pub risk: Risk,
}

/// This program, as a plan needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// SHA-256 of the running executable.
    pub digest: Sha256,
    /// What stands now where it is to be installed, [`PROGRAM`].
    pub installed: Before,
}

/// Why no plan could be drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A thing that the plan would replace could not be looked at.
    #[error("{what} could not be read: {reason}")]
    Unknown {
        /// What.
        what: String,
        /// Why not.
        reason: String,
    },
    /// A path that the plan would write holds something else than a regular file.
    #[error("{path} is no regular file; move it out of the way and draw the plan again")]
    InTheWay {
        /// Where.
        path: PathBuf,
    },
    /// The policy cannot be met on this host.
    #[error("{what}: {hint}")]
    Impossible {
        /// What cannot be.
        what: String,
        /// What to do about it.
        hint: String,
    },
}

impl Plan {
    /// Draws the plan that brings a host to its policy: as few actions as that takes, none where it is there already.
    ///
    /// # Errors
    /// What the plan would replace could not be read, or the policy cannot be met.
    pub fn draw(facts: &Facts, policy: &Policy, program: &Program) -> Result<Self, PlanError> {
        let mut draft = Draft::new(facts);
        accounts::draw(&mut draft, policy)?;
        firewall::draw(&mut draft, policy)?;
        ssh::draw(&mut draft, policy)?;
        if draft.is_empty() {
            return Ok(draft.finish());
        }
        proof::draw(&mut draft, policy);
        // What undoes the transaction at the next boot must stand before anything else is done.
        let mut plan = Draft::new(facts);
        boot::draw_recovery(&mut plan, program)?;
        plan.append(draft);
        plan.keep_last(|action| *action == Action::ReloadUnits);
        Ok(plan.finish())
    }

    /// Nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether any step can cut off who is logged in, so that a confirmation is wanted.
    pub fn can_cut_off(&self) -> bool {
        self.steps.iter().any(|step| step.risk == Risk::CutOff)
    }
}

/// Every path that a plan for this policy may look at or replace, for the collector of facts.
pub fn managed_paths(policy: &Policy) -> Vec<PathBuf> {
    let fixed = [
        PROGRAM,
        boot::RECOVER_UNIT,
        boot::RECOVER_LINK,
        boot::RECOVER_SCRIPT,
        firewall::SAVED,
        firewall::UNIT,
        firewall::LINK,
        firewall::SCRIPT,
        firewall::GAI_CONF,
        ssh::DROP_IN,
        accounts::SUDOERS,
        "/etc/sudoers.d",
        "/etc/ssh/sshd_config.d",
        "/etc/systemd/system/sysinit.target.wants",
        "/usr/local/sbin",
        "/home",
        "/root/.ssh",
        "/root/.ssh/authorized_keys",
    ];
    let mut paths: Vec<PathBuf> =
        fixed.iter().chain(&managers::PATHS).chain(&iptables::PATHS).map(PathBuf::from).collect();
    for runlevel in boot::RUNLEVEL_LINKS {
        paths.extend([boot::RECOVER_NAME, firewall::NAME].map(|name| boot::runlevel_link(runlevel, name)));
    }
    for admin in &policy.admins {
        let home = Path::new("/home").join(&admin.name);
        paths.extend([home.clone(), home.join(".ssh"), home.join(".ssh/authorized_keys")]);
    }
    paths
}

/// The shells that a plan for this policy may give to an account, for the collector of facts.
pub fn shells(policy: &Policy) -> Vec<PathBuf> {
    let usual = ["/bin/bash", "/usr/bin/bash", "/bin/sh"].map(PathBuf::from);
    policy.admins.iter().filter_map(|admin| admin.shell.clone()).chain(usual).collect()
}
