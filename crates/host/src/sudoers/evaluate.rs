//! What the sudoers files grant one account: the last rule that matches decides.

use crate::facts::SudoListing;
use crate::glob;

use super::{Alias, AliasKind, Command, Granted, Member, Name, Place, Policy, RunAs, Scope, Setting, What};

/// Aliases within aliases that are followed.
const DEEPEST_ALIAS: usize = 32;

/// Who asks, or whom a command would run as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) uid: u32,
    /// Primary and supplementary groups, by name (where it has one) and number.
    pub(crate) groups: Vec<(String, u32)>,
}

/// Where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    /// As `hostname` says it.
    pub(crate) hostname: String,
}

/// Why nothing can be said.
type Unsure = String;

/// Says what the files grant `who` on this machine, with regard to root.
pub(crate) fn evaluate(
    policy: &Policy,
    who: &Subject,
    root: &Subject,
    machine: &Machine,
) -> Result<SudoListing, Unsure> {
    if let Some((place, why)) = policy.errors.first() {
        return Err(format!("{place}: {why}"));
    }
    let look = Look { policy, who, root, machine };
    let password_by_default = look.password_by_default()?;
    let run_as_default = look.setting("runas_default")?.map(|setting| setting.value.clone());
    let mut verdict = Verdict::default();
    for rule in &policy.rules {
        if look.who_matches(&rule.users, who, AliasKind::User, 0)? != Some(true) {
            continue;
        }
        for grant in &rule.grants {
            if look.host_matches(&grant.hosts, 0)? != Some(true) {
                continue;
            }
            for command in &grant.commands {
                if command.time_limited {
                    return Err(format!("{}: a rule that holds for a time only", rule.place));
                }
                let as_root = look.runs_as_root(command.run_as.as_ref(), run_as_default.as_deref())?;
                let no_password = command.no_password.unwrap_or(!password_by_default);
                look.judge(&command.granted, &rule.place, as_root, no_password, &mut verdict, 0)?;
            }
        }
    }
    Ok(verdict.listing())
}

/// What a listing of `sudo -l` grants with regard to root: its lines hold for the account and machine already.
pub(super) fn evaluate_listed(
    commands: &[Command],
    password_by_default: bool,
) -> Result<SudoListing, Unsure> {
    let policy = Policy::default();
    let root = Subject { name: "root".to_owned(), uid: 0, groups: vec![("root".to_owned(), 0)] };
    let machine = Machine::default();
    let look = Look { policy: &policy, who: &root, root: &root, machine: &machine };
    let place = Place { file: "sudo -l".into(), line: 0 };
    let mut verdict = Verdict::default();
    for command in commands {
        let as_root = look.runs_as_root(command.run_as.as_ref(), None)?;
        let no_password = command.no_password.unwrap_or(!password_by_default);
        look.judge(&command.granted, &place, as_root, no_password, &mut verdict, 0)?;
    }
    Ok(verdict.listing())
}

/// What has been found so far, in reading order.
#[derive(Debug, Default)]
struct Verdict {
    all: Option<(Place, bool)>,
    any: bool,
    no_password_rules: Vec<String>,
    exceptions: Vec<String>,
}

impl Verdict {
    fn listing(self) -> SudoListing {
        let granted = self.all.as_ref().is_some_and(|_| self.exceptions.is_empty());
        SudoListing {
            all: granted,
            no_password: granted && self.all.as_ref().is_some_and(|(_, no_password)| *no_password),
            decided_by: self.all.map(|(place, _)| place.to_string()),
            any: self.any,
            no_password_rules: self.no_password_rules,
            exceptions: self.exceptions,
            confirmed_by_sudo: false,
        }
    }
}

struct Look<'a> {
    policy: &'a Policy,
    who: &'a Subject,
    root: &'a Subject,
    machine: &'a Machine,
}

impl Look<'_> {
    fn judge(
        &self,
        granted: &Granted,
        place: &Place,
        as_root: bool,
        no_password: bool,
        verdict: &mut Verdict,
        depth: usize,
    ) -> Result<(), Unsure> {
        match &granted.what {
            What::All if granted.negated => {
                if as_root {
                    (verdict.all, verdict.any) = (None, false);
                    verdict.exceptions.clear();
                }
            }
            What::All => {
                if as_root {
                    verdict.all = Some((place.clone(), no_password));
                    verdict.exceptions.clear();
                }
                verdict.grant(place, no_password);
            }
            What::Text(text) if granted.negated => {
                if as_root && verdict.all.is_some() && !verdict.exceptions.contains(text) {
                    verdict.exceptions.push(text.clone());
                }
            }
            What::Text(text) => {
                if as_root {
                    verdict.exceptions.retain(|exception| exception != text);
                }
                verdict.grant(place, no_password);
            }
            What::Alias(name) => {
                too_deep(depth, name)?;
                let key = (AliasKind::Command, name.clone());
                if let Some(Alias::Commands(commands)) = self.policy.aliases.get(&key) {
                    for command in commands {
                        let command = Granted {
                            negated: command.negated != granted.negated,
                            what: command.what.clone(),
                        };
                        self.judge(&command, place, as_root, no_password, verdict, depth + 1)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The last member that matches decides; nothing where none does.
    fn who_matches(
        &self,
        list: &[Member],
        subject: &Subject,
        kind: AliasKind,
        depth: usize,
    ) -> Result<Option<bool>, Unsure> {
        for member in list.iter().rev() {
            let hit = match &member.name {
                Name::All => true,
                Name::Word(name) => *name == subject.name,
                Name::Id(uid) => *uid == subject.uid,
                Name::Group(group) => subject.groups.iter().any(|(name, _)| name == group),
                Name::GroupId(gid) => subject.groups.iter().any(|(_, number)| number == gid),
                Name::Netgroup(name) => return Err(format!("a rule for the netgroup {name}")),
                Name::ForeignGroup(name) => return Err(format!("a rule for the group {name} of a plugin")),
                Name::Alias(name) => {
                    too_deep(depth, name)?;
                    match self.policy.aliases.get(&(kind, name.clone())) {
                        Some(Alias::Members(inner)) => {
                            match self.who_matches(inner, subject, kind, depth + 1)? {
                                Some(allowed) => return Ok(Some(allowed != member.negated)),
                                None => false,
                            }
                        }
                        // As in sudo: a name in capitals that is no alias is a user.
                        Some(Alias::Commands(_)) | None => *name == subject.name,
                    }
                }
            };
            if hit {
                return Ok(Some(!member.negated));
            }
        }
        Ok(None)
    }

    fn host_matches(&self, list: &[Member], depth: usize) -> Result<Option<bool>, Unsure> {
        for member in list.iter().rev() {
            let hit = match &member.name {
                Name::All => true,
                Name::Word(name) => self.is_this_host(name)?,
                Name::Netgroup(name) => return Err(format!("a rule for the netgroup {name}")),
                Name::Alias(name) => {
                    too_deep(depth, name)?;
                    match self.policy.aliases.get(&(AliasKind::Host, name.clone())) {
                        Some(Alias::Members(inner)) => match self.host_matches(inner, depth + 1)? {
                            Some(allowed) => return Ok(Some(allowed != member.negated)),
                            None => false,
                        },
                        Some(Alias::Commands(_)) | None => self.is_this_host(name)?,
                    }
                }
                Name::Id(_) | Name::Group(_) | Name::GroupId(_) | Name::ForeignGroup(_) => false,
            };
            if hit {
                return Ok(Some(!member.negated));
            }
        }
        Ok(None)
    }

    fn is_this_host(&self, pattern: &str) -> Result<bool, Unsure> {
        let address = pattern.split('/').next().unwrap_or(pattern);
        if address.parse::<std::net::IpAddr>().is_ok() {
            return Err(format!("a rule for the machine with address {pattern}"));
        }
        if self.machine.hostname.is_empty() {
            return Err(format!("a rule for the machine {pattern}, and this one's name is not known"));
        }
        let full = self.machine.hostname.to_ascii_lowercase();
        let short = full.split('.').next().unwrap_or(&full);
        let pattern = pattern.to_ascii_lowercase();
        let name = if pattern.contains('.') { full.as_str() } else { short };
        Ok(glob::matches(pattern.as_bytes(), name.as_bytes()))
    }

    fn runs_as_root(&self, run_as: Option<&RunAs>, default: Option<&str>) -> Result<bool, Unsure> {
        match run_as {
            None => Ok(matches!(default, None | Some("root" | "#0"))),
            // `(:group)` keeps the user.
            Some(list) if list.users.is_empty() => Ok(self.who.uid == 0),
            Some(list) => Ok(self.who_matches(&list.users, self.root, AliasKind::RunAs, 0)? == Some(true)),
        }
    }

    fn password_by_default(&self) -> Result<bool, Unsure> {
        let exempt = self.setting("exempt_group")?;
        if exempt.is_some_and(|group| self.who.groups.iter().any(|(name, _)| *name == group.value)) {
            return Ok(false);
        }
        Ok(self.setting("authenticate")?.is_none_or(|setting| setting.value != "false"))
    }

    /// The last setting of that name that holds for this account, machine and root.
    fn setting(&self, name: &str) -> Result<Option<&Setting>, Unsure> {
        let mut found = None;
        for setting in self.policy.defaults.iter().filter(|setting| setting.name == name) {
            let holds = match &setting.scope {
                Scope::Everyone => true,
                Scope::Users(list) => self.who_matches(list, self.who, AliasKind::User, 0)? == Some(true),
                Scope::Hosts(list) => self.host_matches(list, 0)? == Some(true),
                Scope::RunAs(list) => self.who_matches(list, self.root, AliasKind::RunAs, 0)? == Some(true),
                Scope::Commands => false,
            };
            if holds {
                found = Some(setting);
            }
        }
        Ok(found)
    }
}

impl Verdict {
    fn grant(&mut self, place: &Place, no_password: bool) {
        self.any = true;
        let place = place.to_string();
        if no_password && !self.no_password_rules.contains(&place) {
            self.no_password_rules.push(place);
        }
    }
}

fn too_deep(depth: usize, alias: &str) -> Result<(), Unsure> {
    if depth < DEEPEST_ALIAS { Ok(()) } else { Err(format!("the alias {alias} leads back to itself")) }
}
