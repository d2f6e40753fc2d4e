//! Parts of the facts by themselves: what follows from files, evaluated anew, and the way in.

use std::collections::BTreeMap;

use super::{Notes, Wanted, accounts, firewall, listeners, network as net, sudo, way_in as session};
use crate::facts::{Fact, Facts, Network, WayIn};
use crate::process::Proc;
use crate::{Host, Recorded};

/// Evaluates anew what sudo grants, from the files and accounts that stand in the facts: for facts that were
/// changed to what they will be. Nothing is asked of the machine, and sudo's own answers, which were about the old
/// files, are left out.
pub fn judge_sudo_again(facts: &mut Facts) {
    let names = facts.accounts.users.known().map(Vec::as_slice).unwrap_or_default();
    let wanted = Wanted { admins: names.iter().map(|user| user.name.clone()).collect(), ..Wanted::default() };
    let recorded = Recorded::new(facts.clone());
    let mut notes = Notes::new(&recorded);
    let mut system = facts.system.clone();
    let policy = sudo::read(&mut notes, &system);
    let check = facts.sudoers.check.clone();
    let nobody_asked = BTreeMap::new();
    let (listings, sudoers) =
        sudo::judge(&mut notes, &policy, &facts.accounts, &mut system, &wanted, check, &nobody_asked);
    facts.sudo = listings;
    facts.sudoers = sudoers;
    facts.system.admin_group = system.admin_group;
}

/// How the person that runs this came in, and nothing else.
pub fn way_in(host: &dyn Host) -> Fact<WayIn> {
    let mut notes = Notes::new(host);
    let accounts = accounts::collect(&mut notes);
    session::live(&Proc::real(), &accounts, &mut notes)
}

/// Tables of the legacy `x_tables` in use, as `ip filter`, and nothing else.
pub fn legacy_tables() -> Fact<Vec<String>> {
    firewall::legacy(&Proc::real())
}

/// Links, addresses, routes and listening sockets, and nothing else.
pub fn network() -> Network {
    net::live(&listeners::live(&Proc::real()))
}
