//! What sudo grants: the files, evaluated, and sudo itself for the administrators.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::facts::{Accounts, Fact, SudoDefault, SudoListing, Sudoers, System};
use crate::sudoers::{self, Machine, Policy, Subject};
use crate::{Host, Query};

use super::{Notes, Wanted};

/// Groups that distributions let use sudo, the most common first.
const ADMIN_GROUPS: [&str; 3] = ["sudo", "wheel", "admin"];
/// Settings that change what a rule means.
const TELLING_DEFAULTS: [&str; 9] = [
    "authenticate",
    "exempt_group",
    "passwd_tries",
    "requiretty",
    "rootpw",
    "runas_default",
    "runaspw",
    "targetpw",
    "timestamp_timeout",
];

/// `visudo -c`: nothing where it is content, else what it says.
pub(super) fn check(host: &dyn Host) -> Fact<Option<String>> {
    match host.ask(&Query::VisudoCheck) {
        Ok(output) if output.success() => Fact::Known(None),
        // Without privileges it cannot read what it is to check.
        Ok(output) if !rustix::process::geteuid().is_root() => Fact::Unknown(output.complaint()),
        Ok(output) => Fact::Known(Some(output.complaint())),
        Err(error) => Fact::Unknown(error.to_string()),
    }
}

/// `sudo -l -U NAME` for each.
pub(super) fn ask(host: &dyn Host, names: &[String]) -> BTreeMap<String, Result<SudoListing, String>> {
    let asked = names.iter().map(|name| {
        let listing = host.ask(&Query::SudoList { user: name.clone() }).map_err(|error| error.to_string());
        let listing = listing.and_then(|output| {
            sudoers::parse_listing(&output.text()).map_err(|why| match output.success() {
                true => why,
                false => format!("sudo: {}", output.complaint()),
            })
        });
        (name.clone(), listing)
    });
    asked.collect()
}

/// Reads the sudoers files; nothing where there are none.
pub(super) fn read(notes: &mut Notes<'_>, system: &System) -> Fact<Option<Policy>> {
    let hostname = system.hostname.known().map(String::as_str).unwrap_or_default();
    match sudoers::read(notes, hostname) {
        Ok(policy) => Fact::Known(policy),
        Err(error) => Fact::Unknown(error.to_string()),
    }
}

/// Says for every account that could be an administrator what sudo grants it, and finds the administrators' group.
pub(super) fn judge(
    notes: &mut Notes<'_>,
    policy: &Fact<Option<Policy>>,
    accounts: &Accounts,
    system: &mut System,
    wanted: &Wanted,
    check: Fact<Option<String>>,
    asked: &BTreeMap<String, Result<SudoListing, String>>,
) -> (BTreeMap<String, Fact<SudoListing>>, Sudoers) {
    let machine = Machine { hostname: system.hostname.known().cloned().unwrap_or_default() };
    let root = subject("root", accounts)
        .unwrap_or_else(|_| Subject { name: "root".to_owned(), ..Subject::default() });
    if let Fact::Known(Some(policy)) = policy {
        for (place, why) in &policy.errors {
            notes.problem(&place.file, (place.line > 0).then_some(place.line), why.clone());
        }
    }
    let by_files = |who: &Result<Subject, String>| match policy {
        Fact::Known(Some(policy)) => {
            sudoers::evaluate(policy, who.as_ref().map_err(Clone::clone)?, &root, &machine)
        }
        Fact::Known(None) => Ok(SudoListing::default()),
        Fact::Unknown(why) => Err(why.clone()),
    };
    let mut listings = BTreeMap::new();
    for name in candidates(accounts, wanted) {
        let listing = combine(notes, &name, by_files(&subject(&name, accounts)), asked.get(&name));
        listings.insert(name, listing);
    }
    system.admin_group = admin_group(accounts, |group| {
        let member = Subject { name: String::new(), uid: u32::MAX, groups: vec![group] };
        by_files(&Ok(member))
    });
    let facts = Sudoers {
        files: match policy {
            Fact::Known(policy) => {
                Fact::Known(policy.as_ref().map(|policy| policy.files.clone()).unwrap_or_default())
            }
            Fact::Unknown(why) => Fact::Unknown(why.clone()),
        },
        check,
        defaults: policy.known().and_then(Option::as_ref).map(telling_defaults).unwrap_or_default(),
    };
    (listings, facts)
}

/// sudo's own answer decides; the files say by which line.
fn combine(
    notes: &mut Notes<'_>,
    name: &str,
    by_files: Result<SudoListing, String>,
    by_sudo: Option<&Result<SudoListing, String>>,
) -> Fact<SudoListing> {
    match (by_files, by_sudo) {
        (Ok(listing), None | Some(Err(_))) => Fact::Known(listing),
        (Ok(listing), Some(Ok(said)))
            if (listing.all, listing.no_password) == (said.all, said.no_password) =>
        {
            Fact::Known(SudoListing { confirmed_by_sudo: true, ..listing })
        }
        (Ok(_), Some(Ok(said))) => {
            let what = format!("sudo -l says otherwise of {name} than these files do, read by this program");
            notes.problem(Path::new("/etc/sudoers"), None, what);
            Fact::Known(SudoListing { confirmed_by_sudo: true, ..said.clone() })
        }
        (Err(_), Some(Ok(said))) => Fact::Known(SudoListing { confirmed_by_sudo: true, ..said.clone() }),
        (Err(why), None | Some(Err(_))) => Fact::Unknown(why),
    }
}

/// Accounts that can log in, and those that were asked for.
fn candidates(accounts: &Accounts, wanted: &Wanted) -> BTreeSet<String> {
    let users = accounts.users.known().map(Vec::as_slice).unwrap_or_default();
    let mut names: BTreeSet<String> =
        users.iter().filter(|user| user.can_log_in()).map(|user| user.name.clone()).collect();
    names.extend(wanted.admins.iter().filter(|name| users.iter().any(|user| user.name == **name)).cloned());
    names
}

fn subject(name: &str, accounts: &Accounts) -> Result<Subject, String> {
    let known = |fact: Option<&str>| fact.unwrap_or_default().to_owned();
    let users = accounts.users.known().ok_or_else(|| known(accounts.users.unknown()))?;
    let groups = accounts.groups.known().ok_or_else(|| known(accounts.groups.unknown()))?;
    let user =
        users.iter().find(|user| user.name == name).ok_or_else(|| format!("there is no account {name}"))?;
    let mut member_of: Vec<(String, u32)> = groups
        .iter()
        .filter(|group| group.gid == user.gid || group.members.iter().any(|member| member == name))
        .map(|group| (group.name.clone(), group.gid))
        .collect();
    if !member_of.iter().any(|(_, gid)| *gid == user.gid) {
        member_of.push((String::new(), user.gid));
    }
    Ok(Subject { name: name.to_owned(), uid: user.uid, groups: member_of })
}

/// The first group whose members may run everything as root.
fn admin_group(
    accounts: &Accounts,
    grants: impl Fn((String, u32)) -> Result<SudoListing, String>,
) -> Fact<String> {
    let groups = match &accounts.groups {
        Fact::Known(groups) => groups,
        Fact::Unknown(why) => return Fact::Unknown(why.clone()),
    };
    for name in ADMIN_GROUPS {
        let Some(group) = groups.iter().find(|group| group.name == name) else {
            continue;
        };
        match grants((group.name.clone(), group.gid)) {
            Ok(listing) if listing.all => return Fact::Known(name.to_owned()),
            Ok(_) => {}
            Err(why) => return Fact::Unknown(why),
        }
    }
    Fact::Unknown("no group of sudo, wheel and admin may run everything by the sudoers files".to_owned())
}

fn telling_defaults(policy: &Policy) -> Vec<SudoDefault> {
    let telling = policy.defaults.iter().filter(|setting| TELLING_DEFAULTS.contains(&setting.name.as_str()));
    telling
        .map(|setting| SudoDefault {
            name: setting.name.clone(),
            value: setting.value.clone(),
            scope: setting.written_scope.clone(),
            place: setting.place.to_string(),
        })
        .collect()
}
