//! A policy as text for hosts that this program does not run on.
//!
//! [`iptables_save`] gives the pair of files that `iptables-restore` and `ip6tables-restore` load, and [`nft_text`] what
//! `nft -f` loads. Both let through what `docs/src/firewall-semantics.md` says, as the compiled table does.

mod iptables;
mod nft;

pub use iptables::{IptablesExport, iptables_export, iptables_save};
pub use nft::nft_text;
