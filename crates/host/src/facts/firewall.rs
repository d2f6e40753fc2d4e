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
    /// Which way of speaking to the kernel the host's `iptables` has; none where it is not installed.
    #[serde(default)]
    pub iptables: Option<IptablesVariant>,
    /// What iptables-save says, for each variant and family that has tables; nobody is asked where there are none.
    #[serde(default)]
    pub iptables_saves: Fact<Vec<IptablesSave>>,
    /// Whether the kernel has `nf_tables`.
    #[serde(default)]
    pub has_nf_tables: Fact<bool>,
}

/// Which of the kernel's two packet filters an `iptables` speaks to: xtables-nft(8), xtables-legacy(8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IptablesVariant {
    /// `nf_tables`: its tables are among those of `nft list ruleset`.
    Nft,
    /// The old `x_tables`.
    Legacy,
}

/// The tables of one family as iptables-save(8) prints them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct IptablesSave {
    /// Whose tables.
    pub variant: IptablesVariant,
    /// ip6tables-save.
    pub ipv6: bool,
    /// What it printed.
    pub text: String,
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
