//! What holds between keys: each alone is right, and together they are not.

use std::collections::BTreeMap;

use crate::model::{Admin, Allow, AllowLogin, Ipv6, Password, Policy, Rule, Sudo};
use crate::nearest::nearest;
use crate::places::Places;
use crate::problem::Problem;

/// Every contradiction of the policy, and what is odd about it as a warning.
pub(crate) fn across_fields(policy: &Policy, places: &Places) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, admin) in policy.admins.iter().enumerate() {
        problems.extend(unusable_sudo(admin, index, places));
        problems.extend(repeated_keys(admin, index, places));
    }
    problems.extend(repeated_admins(&policy.admins, places));
    problems.extend(nobody_may_log_in(policy, places));
    for (index, allow) in policy.firewall.allow.iter().enumerate() {
        problems.extend(refused_family(allow, index, policy.firewall.ipv6, places));
    }
    for (index, rule) in policy.firewall.rule.iter().enumerate().filter(|(_, rule)| rule.active) {
        problems.extend(jump_to_nowhere(rule, index, &policy.firewall.rule, places));
    }
    problems.extend(repeated_allows(&policy.firewall.allow, places));
    problems
}

fn unusable_sudo(admin: &Admin, index: usize, places: &Places) -> Option<Problem> {
    let unusable = admin.password == Password::Locked && admin.sudo == Sudo::Password;
    unusable.then(|| {
        let at = places.span(&[&format!("admin[{index}].sudo"), &format!("admin[{index}]")]);
        Problem::error(
            at,
            "sudo would ask for a password that is locked: this account could never become root",
        )
        .help("write `sudo = \"auto\"` or `sudo = \"no-password\"`, or give the account a password hash")
    })
}

fn repeated_keys(admin: &Admin, index: usize, places: &Places) -> Vec<Problem> {
    repeats(&admin.keys)
        .map(|(again, first)| {
            let at = places.span(&[&format!("admin[{index}].keys[{again}]")]);
            Problem::warning(
                at,
                format!("this key stands here twice, as number {} and {}", first + 1, again + 1),
            )
        })
        .collect()
}

fn repeated_admins(admins: &[Admin], places: &Places) -> Vec<Problem> {
    let names: Vec<&str> = admins.iter().map(|admin| admin.name.as_str()).collect();
    repeats(&names)
        .filter(|(again, _)| !names[*again].is_empty())
        .map(|(again, first)| {
            let at = places.span(&[&format!("admin[{again}].name")]);
            let line = places.line(&format!("admin[{first}].name")).unwrap_or_default();
            Problem::error(at, format!("the admin `{}` stands here twice", names[again]))
                .label(format!("first on line {line}"))
                .help("write all its keys in one entry")
        })
        .collect()
}

fn nobody_may_log_in(policy: &Policy, places: &Places) -> Option<Problem> {
    let nobody =
        policy.ssh.allow == AllowLogin::Admins && policy.admins.is_empty() && places.get("admin").is_none();
    nobody.then(|| {
        Problem::error(
            places.span(&["ssh.allow"]),
            "`allow = \"admins\"` without any [[admin]]: nobody could log in",
        )
        .help("add an [[admin]], or write `allow = \"any\"`")
    })
}

fn refused_family(allow: &Allow, index: usize, ipv6: Ipv6, places: &Places) -> Option<Problem> {
    if ipv6 == Ipv6::Same || allow.from.is_empty() {
        return None;
    }
    let sixes = allow.from.iter().filter(|net| net.addr().is_ipv6()).count();
    let at = || places.span(&[&format!("firewall.allow[{index}].from"), &format!("firewall.allow[{index}]")]);
    if sixes == allow.from.len() {
        let message = "only IPv6 may come in here, and `ipv6 = \"reject\"` refuses all of it";
        return Some(Problem::error(at(), message).help("remove the entry, or write `ipv6 = \"same\"`"));
    }
    (sixes > 0).then(|| Problem::warning(at(), "`ipv6 = \"reject\"` refuses the IPv6 sources of this entry"))
}

fn jump_to_nowhere(rule: &Rule, index: usize, rules: &[Rule], places: &Places) -> Option<Problem> {
    let families = rule.families().ok()?;
    let chains: Vec<&str> = rules.iter().filter(|rule| rule.active).map(|rule| rule.chain.as_str()).collect();
    let target = families.jumps().find(|target| !chains.contains(target))?;
    let at = places.span(&[&format!("firewall.rule[{index}].rule"), &format!("firewall.rule[{index}]")]);
    let problem = Problem::error(at, format!("there is no target and no chain `{target}`"));
    Some(match nearest(target, chains.iter().copied().chain(TARGETS)) {
        Some(meant) => problem.label(format!("did you mean `{meant}`?")),
        None => problem.help(format!("write a [[firewall.rule]] with `chain = \"{target}\"`")),
    })
}

const TARGETS: [&str; 6] = ["ACCEPT", "DROP", "REJECT", "RETURN", "LOG", "MARK"];

fn repeated_allows(allows: &[Allow], places: &Places) -> Vec<Problem> {
    let alike: Vec<Allow> =
        allows.iter().map(|allow| Allow { comment: None, line: 0, ..allow.clone() }).collect();
    let mut problems = Vec::new();
    for (again, allow) in alike.iter().enumerate() {
        // An entry whose ports were all wrong is empty here, and has been reported.
        let is_empty = allow.service.is_empty() && allow.port.is_empty();
        if let Some(first) = alike[..again].iter().position(|earlier| earlier == allow && !is_empty) {
            let at = places.span(&[&format!("firewall.allow[{again}]")]);
            let message = format!("this entry says what the one on line {} says", allows[first].line);
            problems.push(Problem::warning(at, message));
        }
    }
    problems
}

/// Each item that stands earlier already, with the place of its first.
fn repeats<T: Ord>(items: &[T]) -> impl Iterator<Item = (usize, usize)> + '_ {
    let mut first: BTreeMap<&T, usize> = BTreeMap::new();
    let mut repeats = Vec::new();
    for (index, item) in items.iter().enumerate() {
        match first.get(item) {
            Some(earlier) => repeats.push((index, *earlier)),
            None => {
                first.insert(item, index);
            }
        }
    }
    repeats.into_iter()
}
