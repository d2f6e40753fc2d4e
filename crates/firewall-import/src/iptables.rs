//! `iptables-save` and `ip6tables-save`.

use iptables_syntax::Save;

use crate::chains::{Chains, read};
use crate::fold::{Way, fold};
use crate::ledger::Ledger;
use crate::merge::{FamilyPart, merge};
use crate::{Imported, Options};

/// Imports the rules of both families, each with the name of its file; one of them alone stands for both.
#[must_use]
pub fn iptables(files: &[(&str, &Save)], options: &Options<'_>) -> Imported {
    let mut ledger = Ledger::default();
    let chains: Vec<Chains> = files.iter().map(|(name, save)| read(save, name, &mut ledger)).collect();
    import(chains, options, ledger)
}

/// Imports chains of one or both families.
pub(crate) fn import(chains: Vec<Chains>, options: &Options<'_>, mut ledger: Ledger) -> Imported {
    let parts: Vec<FamilyPart> = chains
        .into_iter()
        .map(|mut chains| {
            chains.settle_names(&mut ledger);
            let folded = Way::ALL.map(|way| fold(&chains, way, &mut ledger));
            FamilyPart { chains, folded }
        })
        .collect();
    merge(&parts, options, ledger)
}
