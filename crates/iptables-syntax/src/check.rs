//! What the kernel refuses by the place of a rule: which targets and matches go into which table and chain.

use crate::{Command, Match, Rule, Target};

/// The tables of `iptables`.
pub const TABLES: [&str; 5] = ["filter", "nat", "mangle", "raw", "security"];

const CHAINS: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];

/// Whether the kernel takes the rule in a chain of a table. What a user's own chain is called from is not looked at.
///
/// # Errors
/// Why it does not.
pub fn rule(rule: &Rule, table: &str, chain: &str) -> Result<(), String> {
    let only = |name: &str, tables: &[&str], chains: &[&str]| {
        if !tables.is_empty() && !tables.contains(&table) {
            return Err(format!("{name} goes into the table {}, not into {table}", tables.join(" or ")));
        }
        if !chains.is_empty() && CHAINS.contains(&chain) && !chains.contains(&chain) {
            return Err(format!("{name} goes into the chain {}, not into {chain}", chains.join(" or ")));
        }
        Ok(())
    };
    for extension in &rule.matches {
        match extension {
            Match::Owner(_) => only("owner", &[], &["OUTPUT", "POSTROUTING"])?,
            Match::Mac(_) => only("mac", &[], &["PREROUTING", "INPUT", "FORWARD"])?,
            Match::Addrtype(it) if it.limit_input => {
                only("--limit-iface-in", &[], &["PREROUTING", "INPUT", "FORWARD"])?;
            }
            Match::Addrtype(it) if it.limit_output => {
                only("--limit-iface-out", &[], &["FORWARD", "OUTPUT", "POSTROUTING"])?;
            }
            Match::Rpfilter(_) => only("rpfilter", &["raw", "mangle"], &["PREROUTING"])?,
            Match::Socket(_) => only("socket", &[], &["PREROUTING", "INPUT"])?,
            _ => {}
        }
    }
    match &rule.target {
        Some(Target::Drop) if table == "nat" => {
            Err("the table nat is not for filtering: it takes no DROP".to_owned())
        }
        Some(Target::Dnat(_)) => only("DNAT", &["nat"], &["PREROUTING", "OUTPUT"]),
        Some(Target::Redirect(_)) => only("REDIRECT", &["nat"], &["PREROUTING", "OUTPUT"]),
        Some(Target::Snat(_)) => only("SNAT", &["nat"], &["INPUT", "POSTROUTING"]),
        Some(Target::Masquerade(_)) => only("MASQUERADE", &["nat"], &["POSTROUTING"]),
        Some(Target::Reject(_)) => only("REJECT", &["filter"], &["INPUT", "FORWARD", "OUTPUT"]),
        Some(Target::Ct(_) | Target::Notrack) => only("CT", &["raw"], &[]),
        Some(Target::Ttl(_)) => only("TTL", &["mangle"], &[]),
        Some(Target::Hl(_)) => only("HL", &["mangle"], &[]),
        _ => Ok(()),
    }
}

impl Command {
    /// The chain that it is for; `None`: all.
    pub fn chain(&self) -> Option<&str> {
        match self {
            Self::Append { chain }
            | Self::Insert { chain, .. }
            | Self::Replace { chain, .. }
            | Self::DeleteNumber { chain, .. }
            | Self::Delete { chain }
            | Self::Check { chain }
            | Self::Policy { chain, .. }
            | Self::NewChain { chain }
            | Self::Rename { chain, .. } => Some(chain),
            Self::Flush { chain } | Self::DeleteChain { chain } | Self::Zero { chain, .. } => {
                chain.as_deref()
            }
        }
    }

    /// Whether a rule stands behind it.
    pub fn takes_rule(&self) -> bool {
        matches!(
            self,
            Self::Append { .. }
                | Self::Insert { .. }
                | Self::Replace { .. }
                | Self::Delete { .. }
                | Self::Check { .. }
        )
    }
}
