//! What other firewalls are configured to do, as the part `[firewall]` of a policy.
//!
//! Every line of the source is accounted for ([`Imported::lines`]): what the policy does by itself, which entry or rule it became,
//! and what is not taken over, and why. Nothing here reads files, asks the kernel or writes anything.
//!
//! [`prove`] holds the source against the compiled policy over all packets.
//!
//! ```
//! use firewall_import::{Fate, Options, iptables};
//! use iptables_syntax::{Family, Mode, parse_save};
//!
//! let text = b"*filter\n-A INPUT -i lo -j ACCEPT\n-A INPUT -p tcp --dport 443 -j ACCEPT\n-A INPUT -j DROP\nCOMMIT\n";
//! let (save, _) = parse_save(text, Family::Ipv4, Mode::Strict)?;
//! let imported = iptables(&[("rules.v4", &save)], &Options { ssh_ports: &[22], can_load: &|_, _| Ok(()) });
//! assert_eq!(imported.firewall.allow[0].service, ["https"]);
//! assert_eq!(imported.lines[1].fates, [Fate::Allow(1)]);
//! # Ok::<(), iptables_syntax::SyntaxError>(())
//! ```

mod builtin;
mod chains;
mod firewalld;
mod fold;
mod iptables;
mod ledger;
mod merge;
mod nft;
mod proof;
mod recent;
mod render;
mod shape;
mod single;
mod ufw;

use iptables_syntax::{Family, Rule};
use policy::Firewall;

pub use firewalld::{FIREWALLD_FILES, FIREWALLD_FOLDERS, FirewalldError, firewalld};
pub use iptables::iptables;
pub use ledger::{Fate, Line};
pub use nft::nft;
pub use proof::{Proof, prove};
pub use render::{table, to_toml};
pub use single::{allow, forward};
pub use ufw::{UFW_FILES, ufw};

/// What an import has to be told.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// The TCP ports on which the host's sshd listens: what `service = "ssh"` means.
    pub ssh_ports: &'a [u16],
    /// Whether a rule can be loaded, and if not, why: what cannot is kept with `active = false`.
    pub can_load: &'a dyn Fn(&Rule, Family) -> Result<(), String>,
}

/// What was made of a firewall's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The policy's part.
    pub firewall: Firewall,
    /// Every line of the source and what became of it.
    pub lines: Vec<Line>,
    /// What a person should know besides.
    pub notes: Vec<String>,
    /// The table `filter` that was imported, as `iptables-save` would print it: for IPv4, for IPv6, or for one alone.
    pub source: Vec<(Family, String)>,
    /// The tables of `nf_tables` that were imported, where those were the source: they are what is proven against.
    pub tables: Vec<nf_tables::TableDump>,
}
