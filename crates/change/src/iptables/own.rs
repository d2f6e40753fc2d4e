//! Our own chains among those of others: all begin with `gabion-`, and each built-in chain has one jump to them.

use serde::{Deserialize, Serialize};

use controls::iptables_text::canonical;
use host::facts::IptablesVariant;

use super::{Chain, OURS, Save, Table, target};

/// What the boot loads: our own chains as iptables-save writes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct SavedIptables {
    pub(crate) variant: IptablesVariant,
    pub(crate) v4: String,
    pub(crate) v6: String,
}

/// Chains of programs that ban addresses: what they refuse is refused before ours lets anything in.
const BANS: [&str; 4] = ["f2b-", "fail2ban-", "sshguard", "crowdsec"];

/// The tables with our chains as `ours` has them, and without those that it has not; none of `ours` takes all out.
pub(crate) fn with_ours(now: &Save, ours: Option<&Save>) -> Save {
    let mut save = without_ours(now);
    let Some(wanted) = ours.and_then(|ours| ours.table("filter")) else {
        return save;
    };
    let at = save.tables.iter().position(|table| table.name == "filter").unwrap_or_else(|| {
        save.tables.push(empty_filter());
        save.tables.len() - 1
    });
    let table = &mut save.tables[at];
    for chain in &wanted.chains {
        if chain.name.starts_with(OURS) {
            let held = now.table("filter").and_then(|table| table.chain(&chain.name));
            table.chains.push(held.filter(|held| is_same(held, chain)).unwrap_or(chain).clone());
            continue;
        }
        let jumps = chain.rules.iter().filter(|rule| target(rule).is_some_and(|name| name.starts_with(OURS)));
        let built_in = table.chain_mut(&chain.name);
        let is_ban = |rule: &String| {
            target(rule).is_some_and(|name| BANS.iter().any(|prefix| name.starts_with(prefix)))
        };
        let behind = built_in.rules.iter().take_while(|rule| is_ban(rule)).count();
        for (place, jump) in jumps.enumerate() {
            built_in.rules.insert(behind + place, jump.clone());
        }
    }
    let places: Vec<String> = now.table("filter").map(names).unwrap_or_default();
    let place = |chain: &Chain| places.iter().position(|name| *name == chain.name).unwrap_or(places.len());
    table.chains.sort_by_key(place);
    save
}

fn names(table: &Table) -> Vec<String> {
    table.chains.iter().map(|chain| chain.name.clone()).collect()
}

/// The kernel prints our rules in its own way.
fn is_same(held: &Chain, wanted: &Chain) -> bool {
    let both = held.rules.iter().zip(&wanted.rules);
    held.rules.len() == wanted.rules.len()
        && both.into_iter().all(|(one, other)| canonical(one) == canonical(other))
}

fn without_ours(now: &Save) -> Save {
    let mut save = now.clone();
    for table in &mut save.tables {
        table.chains.retain(|chain| !chain.name.starts_with(OURS));
        for chain in &mut table.chains {
            chain.rules.retain(|rule| !target(rule).is_some_and(|name| name.starts_with(OURS)));
        }
    }
    save
}

/// Whether the kernel has our chains.
pub(crate) fn has_ours(now: &Save) -> bool {
    now.tables.iter().any(|table| table.chains.iter().any(|chain| chain.name.starts_with(OURS)))
}

fn empty_filter() -> Table {
    let chain =
        |name: &str| Chain { name: name.to_owned(), policy: Some("ACCEPT".to_owned()), rules: Vec::new() };
    Table { name: "filter".to_owned(), chains: ["INPUT", "FORWARD", "OUTPUT"].map(chain).into() }
}
