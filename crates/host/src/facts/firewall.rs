//! The kernel's packet filter as facts.

use serde::{Deserialize, Serialize};

use super::Fact;

/// The packet filter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FirewallFacts {
    /// Every `nf_tables` table of this network namespace.
    pub ruleset: Fact<nf_tables::Ruleset>,
    /// The kernel's generation id of that ruleset.
    pub generation: Fact<u32>,
    /// Tables of the legacy `x_tables` in use, as `ip filter`.
    pub legacy_tables: Fact<Vec<String>>,
    /// Other programs that manage a firewall and are active or enabled.
    pub managers: Fact<Vec<Manager>>,
}

/// A program that loads rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Manager {
    /// Unit or script, as `ufw.service`.
    pub name: String,
    /// It runs, or has run and stays active.
    pub active: bool,
    /// It starts at boot.
    pub enabled: bool,
}
