//! Limits by `-m recent`: three rules that write a source down, refuse it where it was seen too often, and accept it.

use iptables_syntax::extension::{HashRate, Hashlimit, RecentAction};
use iptables_syntax::{Family, Match, Rate, Rule, Side, TimeUnit};

use crate::chains::Step;
use crate::ledger::{Fate, Ledger};
use crate::shape::{Does, does};

/// Puts a limit of new connections in the place of each such group: the policy counts in the same way for each source, at the
/// same rate, but lets as many in at once as in a minute.
pub(crate) fn resolve(steps: &[Step], family: Family, ledger: &mut Ledger) -> Vec<Step> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < steps.len() {
        let group = steps.get(at..at + 3).and_then(|group| per_minute(group).map(|rate| (group, rate)));
        let Some((group, (count, hits, seconds))) = group else {
            out.push(steps[at].clone());
            at += 1;
            continue;
        };
        let what = format!("{hits} in {seconds} seconds became new-per-minute = {count}");
        group.iter().for_each(|step| ledger.settle(step.line, Fate::Otherwise(what.clone())));
        let mut rule = group[2].rule.clone();
        rule.matches.push(Match::Hashlimit(Box::new(limit(count, at, family))));
        out.push(Step { line: group[2].line, words: rule.to_string(), rule });
        at += 3;
    }
    out
}

/// The rate of a group, if these three rules are one: so many a minute, made of so many hits in so many seconds.
fn per_minute(group: &[Step]) -> Option<(u32, u32, u32)> {
    let [set, update, accept] = group else { return None };
    let recent = |rule: &Rule| {
        rule.matches.iter().find_map(|matched| match matched {
            Match::Recent(recent) if recent.side == Side::Source && !recent.negated => {
                Some((**recent).clone())
            }
            _ => None,
        })
    };
    let (first, second) = (recent(&set.rule)?, recent(&update.rule)?);
    let is_group = first.action == RecentAction::Set
        && matches!(second.action, RecentAction::Update | RecentAction::Check)
        && first.name == second.name
        && does(set.rule.target.as_ref()) == Does::Count
        && matches!(does(update.rule.target.as_ref()), Does::Refuse { .. } | Does::Chain)
        && does(accept.rule.target.as_ref()) == Does::Accept
        && bare(&set.rule) == bare(&update.rule)
        && bare(&set.rule) == bare(&accept.rule);
    let (hits, seconds) = (second.hit_count?, second.seconds?);
    if !is_group || hits < 2 || seconds == 0 {
        return None;
    }
    // The packet that is refused has been counted already.
    let count = u64::from(hits - 1) * 60;
    Some((u32::try_from(count.div_ceil(u64::from(seconds))).ok()?, hits - 1, seconds))
}

/// The rule without its target, what it asks of `recent` and of the state.
fn bare(rule: &Rule) -> Rule {
    let is_kept = |matched: &&Match| {
        !matches!(matched, Match::Recent(_) | Match::Conntrack(_) | Match::State(_) | Match::Comment(_))
    };
    let matches = rule.matches.iter().filter(is_kept).cloned().collect();
    Rule { matches, target: None, ..rule.clone() }
}

/// So many new connections a minute from one source.
fn limit(count: u32, nth: usize, family: Family) -> Hashlimit {
    let full_mask = match family {
        Family::Ipv4 => 32,
        Family::Ipv6 => 128,
    };
    Hashlimit {
        name: format!("recent-{nth}"),
        above: false,
        rate: HashRate::Packets(Rate { packets: count, per: TimeUnit::Minute }),
        burst: Some(u64::from(count)),
        source_address: true,
        source_port: false,
        destination_address: false,
        destination_port: false,
        source_mask: match family {
            Family::Ipv4 => 32,
            Family::Ipv6 => 64,
        },
        destination_mask: full_mask,
        size: None,
        maximum: None,
        gc_interval: None,
        expire: None,
        rate_match: false,
        rate_interval: None,
        full_mask,
    }
}
