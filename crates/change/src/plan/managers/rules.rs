//! Which of iptables' rules are a manager's.

use crate::iptables::{Save, Table, target};

/// How the names of chains begin that other programs put beside a manager's.
const OTHERS: [&str; 10] =
    ["DOCKER", "f2b-", "fail2ban-", "KUBE-", "CNI-", "cali-", "LIBVIRT_", "NETAVARK", "LXD", "gabion-"];
/// Interfaces for which other programs make rules in the built-in chains.
const INTERFACES: [&str; 6] = ["docker0", "br-", "virbr", "cni", "podman", "lxdbr"];

/// Takes out ufw's chains, the rules that lead to them, and the policies that it sets.
pub(super) fn take_out_ufw(save: &mut Save) {
    let is_ufws = |name: &str| name.starts_with("ufw-") || name.starts_with("ufw6-");
    for table in &mut save.tables {
        if !table.chains.iter().any(|chain| is_ufws(&chain.name)) {
            continue;
        }
        table.chains.retain(|chain| !is_ufws(&chain.name));
        for chain in &mut table.chains {
            chain.rules.retain(|rule| !target(rule).is_some_and(is_ufws));
        }
        open_policies(table);
    }
}

/// Takes out the rules that a file has, which somebody wrote into it with iptables-save. What others keep beside them
/// stays, though it may be in the file as well.
pub(super) fn take_out_file(save: &mut Save, file: &Save) -> Result<(), String> {
    let others = |name: &str, rule: &str| is_others(name) || is_of_others(rule);
    let translates = file.tables.iter().filter(|table| table.name != "filter").any(|table| {
        table.chains.iter().any(|chain| chain.rules.iter().any(|rule| !others(&chain.name, rule)))
    });
    if translates {
        return Err("has rules in other tables than filter, which no policy expresses".to_owned());
    }
    let Some(theirs) = file.table("filter") else {
        return Ok(());
    };
    let Some(table) = save.tables.iter_mut().find(|table| table.name == "filter") else {
        return Ok(());
    };
    let mut found = false;
    for chain in &mut table.chains {
        let Some(of_file) = theirs.chain(&chain.name) else { continue };
        let mut listed: Vec<&String> =
            of_file.rules.iter().filter(|rule| !others(&chain.name, rule)).collect();
        chain.rules.retain(|rule| match listed.iter().position(|other| *other == rule) {
            Some(at) => {
                listed.remove(at);
                found = true;
                false
            }
            None => true,
        });
    }
    let has_rules =
        theirs.chains.iter().any(|chain| chain.rules.iter().any(|rule| !others(&chain.name, rule)));
    if has_rules && !found && table.chains.iter().any(|chain| !chain.rules.is_empty()) {
        return Err(
            "and the kernel's rules have nothing in common, so that it cannot be told which are whose"
                .to_owned(),
        );
    }
    let is_idle = |table: &Table, name: &str| !table.chains.iter().any(|chain| chain.leads_to(name));
    loop {
        let empty = table.chains.iter().position(|chain| {
            let is_theirs =
                chain.policy.is_none() && theirs.chain(&chain.name).is_some() && !is_others(&chain.name);
            is_theirs && chain.rules.is_empty() && is_idle(table, &chain.name)
        });
        let Some(at) = empty else { break };
        table.chains.remove(at);
    }
    open_policies(table);
    Ok(())
}

/// A policy of DROP without the rules before it would refuse everything; ours decides now. Docker sets that of FORWARD.
fn open_policies(table: &mut Table) {
    let has_docker = table.chains.iter().any(|chain| chain.name.starts_with("DOCKER"));
    for chain in &mut table.chains {
        if chain.policy.is_some() && !(has_docker && chain.name == "FORWARD") {
            chain.policy = Some("ACCEPT".to_owned());
        }
    }
}

fn is_others(name: &str) -> bool {
    OTHERS.iter().any(|prefix| name.starts_with(prefix))
}

fn is_of_others(rule: &str) -> bool {
    let mut words = rule.split(' ').peekable();
    let mut on_interface = false;
    while let Some(word) = words.next() {
        on_interface |= matches!(word, "-i" | "-o")
            && words.peek().is_some_and(|name| INTERFACES.iter().any(|prefix| name.starts_with(prefix)));
    }
    on_interface || target(rule).is_some_and(is_others)
}
