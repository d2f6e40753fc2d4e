//! Rules of iptables as they will be: in iptables-save's text, and in the kernel's tables where they are the same.

use host::Facts;
use host::facts::{Fact, IptablesSave, IptablesVariant};
use nf_tables::{ChainDump, Family, Policy, TableDump};

use crate::action::{IptablesEdit, IptablesEdits};
use crate::iptables::{Save, Table};

pub(super) fn edit(facts: &mut Facts, variant: IptablesVariant, edits: &IptablesEdits) {
    for (ipv6, edit) in [(false, &edits.v4), (true, &edits.v6)] {
        if let Some(edit) = edit {
            edit_family(facts, variant, ipv6, edit);
        }
    }
}

fn edit_family(facts: &mut Facts, variant: IptablesVariant, ipv6: bool, edit: &IptablesEdit) {
    let Fact::Known(saves) = &mut facts.firewall.iptables_saves else {
        return;
    };
    let is_it = |save: &&mut IptablesSave| save.variant == variant && save.ipv6 == ipv6;
    let before = match saves.iter_mut().find(is_it).map(|save| Save::parse(&save.text)) {
        Some(Ok(before)) => before,
        Some(Err(_)) => return,
        None => Save::default(),
    };
    let mut after = before.clone();
    if after.apply(&edit.text).is_err() {
        return;
    }
    saves.retain(|save| save.variant != variant || save.ipv6 != ipv6);
    saves.push(IptablesSave { variant, ipv6, text: after.text() });
    match variant {
        IptablesVariant::Nft => edit_kernel(facts, ipv6, &before, &after),
        IptablesVariant::Legacy => edit_legacy(facts, ipv6, &after),
    }
}

/// A table that has nothing but ACCEPT in it decides nothing.
fn edit_legacy(facts: &mut Facts, ipv6: bool, after: &Save) {
    let Fact::Known(tables) = &mut facts.firewall.legacy_tables else {
        return;
    };
    let family = if ipv6 { "ip6" } else { "ip" };
    for table in &after.tables {
        let name = format!("{family} {}", table.name);
        tables.retain(|known| *known != name);
        if !table.is_empty() {
            tables.push(name);
        }
    }
}

/// One rule of iptables is one of the kernel's, in the same place: what goes, goes by its number.
fn edit_kernel(facts: &mut Facts, ipv6: bool, before: &Save, after: &Save) {
    let family = if ipv6 { Family::Ip6 } else { Family::Ip };
    let Fact::Known(ruleset) = &mut facts.firewall.ruleset else {
        return;
    };
    let has_new = |table: &Table| {
        let was = before.table(&table.name);
        table.chains.iter().any(|chain| {
            let was = was.and_then(|was| was.chain(&chain.name));
            was.is_none_or(|was| !is_part(&chain.rules, &was.rules))
        })
    };
    if after.tables.iter().any(has_new) {
        match tables(ipv6, &after.text()) {
            Ok(tables) => {
                ruleset.tables.retain(|table| tables.iter().all(|new| new.id() != table.id()));
                ruleset.tables.extend(tables);
            }
            Err(why) => facts.firewall.ruleset = Fact::Unknown(why),
        }
        return;
    }
    for table in &mut ruleset.tables {
        let id = table.id();
        let (Some(was), Some(will)) = (before.table(&id.name), after.table(&id.name)) else {
            continue;
        };
        if id.family == family {
            edit_table(table, was, will);
        }
    }
}

/// What the kernel makes of iptables-save's text.
fn tables(ipv6: bool, text: &str) -> Result<Vec<TableDump>, String> {
    let family = if ipv6 { iptables_syntax::Family::Ipv6 } else { iptables_syntax::Family::Ipv4 };
    let (save, _) = iptables_syntax::parse_save(text.as_bytes(), family, iptables_syntax::Mode::Lenient)
        .map_err(|error| error.to_string())?;
    let both = if ipv6 { (None, Some(&save)) } else { (Some(&save), None) };
    Ok(packet_filter::iptables::translate(both.0, both.1).tables)
}

/// Whether nothing was added and the order is the same.
fn is_part(will: &[String], was: &[String]) -> bool {
    let mut was = was.iter();
    will.iter().all(|rule| was.any(|other| other == rule))
}

fn edit_table(table: &mut TableDump, was: &Table, will: &Table) {
    table
        .chains
        .retain(|chain| will.chain(&chain.chain.name).is_some() || was.chain(&chain.chain.name).is_none());
    for dump in &mut table.chains {
        let name = dump.chain.name.clone();
        if let (Some(was), Some(will)) = (was.chain(&name), will.chain(&name)) {
            take_out(dump, &was.rules, &will.rules);
            set_policy(dump, will.policy.as_deref());
        }
    }
}

fn take_out(dump: &mut ChainDump, was: &[String], will: &[String]) {
    // Otherwise the kernel and iptables-save do not speak of the same rules.
    if dump.rules.len() != was.len() {
        return;
    }
    let mut left = will.iter().peekable();
    let mut number = 0;
    dump.rules.retain(|_| {
        let stays = left.peek() == Some(&&was[number]);
        number += 1;
        if stays {
            left.next();
        }
        stays
    });
}

fn set_policy(dump: &mut ChainDump, policy: Option<&str>) {
    let Some(hook) = &mut dump.chain.hook else { return };
    match policy {
        Some("ACCEPT") => hook.policy = Policy::Accept,
        Some("DROP") => hook.policy = Policy::Drop,
        Some(_) | None => {}
    }
}
