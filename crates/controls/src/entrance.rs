//! US1 and US2: whether the administrators get in, and become root.

use crate::judgement::{Fault, Judged, Subject, Verdict};
use crate::ssh::condition_fault;
use crate::way_in::{Condition, Requirement, gets_in};

/// The conditions that US1 reports itself; the others belong to the control that says more of them.
fn is_of_login(name: Requirement) -> bool {
    match name {
        Requirement::Account
        | Requirement::Shell
        | Requirement::Expiry
        | Requirement::PasswordAge
        | Requirement::Lock
        | Requirement::NoLogin
        | Requirement::KeyFile
        | Requirement::KeyFileModes
        | Requirement::Key
        | Requirement::Tries
        | Requirement::Session => true,
        Requirement::PublicKeyLogin
        | Requirement::Methods
        | Requirement::AllowLists
        | Requirement::RootLogin
        | Requirement::Port
        | Requirement::PacketFilter
        | Requirement::Sudo
        | Requirement::SudoPassword => false,
    }
}

/// Every administrator can log in by key over SSH, and at least one can also become root: every condition of the way
/// in holds. Source: sshd(8) `LOGIN PROCESS`, `AUTHORIZED_KEYS FILE FORMAT`; shadow(5).
pub(crate) fn us1_a_way_in(subject: &Subject<'_>) -> Judged {
    let ways = subject.ways_in();
    if ways.is_empty() {
        crate::people::users(subject.facts)?;
        return Ok(nobody(subject).into());
    }
    let mut faults: Vec<Fault> = Vec::new();
    for (name, conditions) in ways {
        let mut own: Vec<Fault> = conditions
            .iter()
            .filter(|condition| is_of_login(condition.name))
            .filter_map(|condition| of_admin(subject, name, condition))
            .collect();
        faults.append(&mut own);
    }
    if faults.is_empty() && !ways.iter().any(|(_, conditions)| gets_in(&in_force(subject, conditions))) {
        faults.push(nobody_gets_in(subject));
    }
    Ok(faults.into())
}

/// The conditions that count: an image that does not run has no packet filter in force.
fn in_force(subject: &Subject<'_>, conditions: &[Condition]) -> Vec<Condition> {
    let counts =
        |condition: &&Condition| !(subject.is_image() && condition.name == Requirement::PacketFilter);
    conditions.iter().filter(counts).cloned().collect()
}

/// Every administrator may run everything as root, and sudo asks for no password that cannot be typed.
/// Source: sudoers(5).
pub(crate) fn us2_a_way_to_root(subject: &Subject<'_>) -> Judged {
    if subject.ways_in().is_empty() {
        crate::people::users(subject.facts)?;
        return Ok(Verdict::silent("nobody administers this host: see US1"));
    }
    let mut faults = Vec::new();
    for (name, conditions) in subject.ways_in() {
        let of_root =
            |condition: &&Condition| matches!(condition.name, Requirement::Sudo | Requirement::SudoPassword);
        // Where sudo grants nothing, what it would ask for does not matter.
        let first =
            conditions.iter().filter(of_root).find_map(|condition| of_admin(subject, name, condition));
        faults.extend(first);
    }
    Ok(faults.into())
}

fn of_admin(subject: &Subject<'_>, name: &str, condition: &Condition) -> Option<Fault> {
    let fault = condition_fault(condition)?;
    let is_drawn = subject.policy.admins.iter().any(|admin| admin.name == name)
        && is_drawn(subject, name, condition.name);
    Some(if is_drawn { fault.apply() } else { fault.ask(advice(name, condition.name)) })
}

/// Whether the planner mends it for an administrator of the policy.
fn is_drawn(subject: &Subject<'_>, name: &str, requirement: Requirement) -> bool {
    let admin = subject.policy.admins.iter().find(|admin| admin.name == name);
    let has_keys = admin.is_some_and(|admin| !admin.keys.is_empty());
    match requirement {
        Requirement::Account | Requirement::PasswordAge | Requirement::KeyFileModes | Requirement::Sudo => {
            true
        }
        Requirement::SudoPassword => admin.is_some_and(|admin| admin.sudo != policy::Sudo::Password),
        Requirement::KeyFile | Requirement::Key => has_keys,
        Requirement::Shell => admin.is_some_and(|admin| admin.shell.is_some()),
        Requirement::Expiry
        | Requirement::Lock
        | Requirement::NoLogin
        | Requirement::PublicKeyLogin
        | Requirement::Methods
        | Requirement::AllowLists
        | Requirement::RootLogin
        | Requirement::Tries
        | Requirement::Session
        | Requirement::Port
        | Requirement::PacketFilter => false,
    }
}

fn advice(name: &str, requirement: Requirement) -> String {
    match requirement {
        Requirement::Account => format!("create it: useradd -m {name}"),
        Requirement::Shell => format!("give it a shell: usermod -s /bin/bash {name}"),
        Requirement::Expiry => format!("let it live on: chage -E -1 {name}"),
        Requirement::PasswordAge => {
            format!("set a new password, or take the age away: chage -M -1 -d -1 {name}")
        }
        Requirement::Lock => format!("unlock it with a password (passwd {name}), or set UsePAM yes"),
        Requirement::NoLogin => "remove /etc/nologin".to_owned(),
        Requirement::KeyFile | Requirement::Key => {
            format!("put a key into the policy, or: gabion ssh install-key {name}@HOST from your own machine")
        }
        Requirement::KeyFileModes => {
            format!("take write permission from others on the home and .ssh of {name}")
        }
        Requirement::Tries => "set MaxAuthTries to 3 or more".to_owned(),
        Requirement::Session => format!("leave {name} out of the Match block that confines it"),
        Requirement::Sudo => format!("let it use sudo: usermod -aG sudo {name} (on RHEL: wheel)"),
        Requirement::SudoPassword => {
            format!("set a password (passwd {name}), or sudo = \"no-password\" in the policy")
        }
        Requirement::PublicKeyLogin
        | Requirement::Methods
        | Requirement::AllowLists
        | Requirement::RootLogin
        | Requirement::Port
        | Requirement::PacketFilter => "see the finding about the SSH server or the packet filter".to_owned(),
    }
}

fn nobody(subject: &Subject<'_>) -> Fault {
    let unknown = subject.facts.sudo.values().find_map(|listing| listing.unknown());
    match unknown {
        Some(reason) => Fault::unknown("who administers this host is not known", reason),
        None => Fault::new("no account but root administers this host")
            .decided_by("/etc/passwd")
            .ask("name one in the policy: [[admin]] with name and keys, then gabion apply"),
    }
}

/// The conditions of other controls that keep everybody out, in one line.
fn nobody_gets_in(subject: &Subject<'_>) -> Fault {
    let ways = subject.ways_in().iter();
    let failing = ways.filter_map(|(_, conditions)| {
        let conditions = in_force(subject, conditions);
        conditions.iter().find_map(|condition| Some((condition.what.clone(), condition_fault(condition)?)))
    });
    let (reasons, faults): (Vec<String>, Vec<Fault>) = failing.unzip();
    let what = format!("nobody gets in by key and becomes root: {}", reasons.join("; "));
    let advice = "see the findings about the SSH server, sudo and the packet filter";
    match faults.into_iter().next() {
        Some(fault) => fault.about(what).ask(advice),
        None => Fault::new(what).ask(advice),
    }
}
