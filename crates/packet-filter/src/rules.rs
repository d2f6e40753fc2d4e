//! Rules of the policy's own, in the words of iptables: which of them can be had, and in which chains.

use std::collections::{BTreeMap, BTreeSet};

use iptables_syntax::{AddressSpec, Family, Match, Rule, Target};

use crate::intent::rules::{MASK_RANGES, mark_under_mask, ranges_of_mask};
use crate::iptables::{Untranslatable, expressions};
use crate::policy::label;

/// The chains whose rules run by themselves.
pub const BASE_CHAINS: [&str; 3] = ["input", "forward", "output"];

/// How deep jumps from one chain of one's own to the next may go. The kernel takes 16, of which the table itself needs some.
const DEPTH: usize = 10;

/// A rule of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRule {
    /// `input`, `forward`, `output`, or a chain of one's own, to which another rule jumps.
    pub chain: String,
    /// The rule as it is for IPv4: several where it lists addresses, none where it is not for IPv4.
    pub ipv4: Vec<Rule>,
    /// The same for IPv6.
    pub ipv6: Vec<Rule>,
    /// The rule as the policy has it.
    pub text: String,
    /// The administrator's own words.
    pub comment: Option<String>,
    /// Where it stands, such as `policy.toml:31`.
    pub place: Option<String>,
}

impl PolicyRule {
    /// What a kernel rule that serves this one says of itself: `-s 203.0.113.0/24 -j DROP (policy.toml:31)`.
    #[must_use]
    pub fn label(&self) -> String {
        label(&self.text, self.comment.as_deref(), self.place.as_deref())
    }

    /// The rule in the packets of one family.
    #[must_use]
    pub fn of(&self, family: Family) -> &[Rule] {
        match family {
            Family::Ipv4 => &self.ipv4,
            Family::Ipv6 => &self.ipv6,
        }
    }

    fn all(&self) -> impl Iterator<Item = (Family, &Rule)> {
        let of = |family| self.of(family).iter().map(move |rule| (family, rule));
        of(Family::Ipv4).chain(of(Family::Ipv6))
    }
}

/// Rules that `nf_tables` can have as they are, in the order in which they run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules(Vec<PolicyRule>);

/// Why a rule cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct RuleProblem {
    /// Which rule, from 0.
    pub index: usize,
    /// What is wrong with it.
    pub what: String,
}

impl Rules {
    /// The rules, if every one of them can be had.
    ///
    /// # Errors
    /// The first that cannot.
    pub fn new(rules: Vec<PolicyRule>) -> Result<Self, RuleProblem> {
        for (index, rule) in rules.iter().enumerate() {
            let problem = |what| RuleProblem { index, what };
            for (family, one) in rule.all() {
                fits_chain(rule, one).and_then(|()| decides(one, &rules)).map_err(problem)?;
                if has_holes(one) {
                    return Err(problem("a mask with so many holes cannot be proven".to_owned()));
                }
                expressions(one, Some(family), &mut Vec::new()).map_err(|Untranslatable { part }| {
                    problem(format!("nf_tables has no equal of `{part}`"))
                })?;
            }
        }
        let rules = Self(rules);
        rules.check_jumps()?;
        Ok(rules)
    }

    /// The rules for a host that loads them through its `iptables-restore`, which has more of them than `nf_tables` has.
    ///
    /// # Errors
    /// The first that decides by something other than a packet's fate, or jumps to nowhere or in a circle.
    pub fn for_iptables(rules: Vec<PolicyRule>) -> Result<Self, RuleProblem> {
        for (index, rule) in rules.iter().enumerate() {
            for (_, one) in rule.all() {
                let checked = fits_chain(rule, one).and_then(|()| decides(one, &rules));
                checked.map_err(|what| RuleProblem { index, what })?;
            }
        }
        let rules = Self(rules);
        rules.check_jumps()?;
        Ok(rules)
    }

    /// All of them.
    #[must_use]
    pub fn as_slice(&self) -> &[PolicyRule] {
        &self.0
    }

    /// Those of a chain.
    pub(crate) fn of<'r>(&'r self, chain: &'r str) -> impl Iterator<Item = &'r PolicyRule> {
        self.0.iter().filter(move |rule| rule.chain == chain)
    }

    /// The chains that have rules, those that run by themselves first.
    pub(crate) fn chains(&self) -> Vec<&str> {
        let mut chains: Vec<&str> =
            BASE_CHAINS.into_iter().filter(|chain| self.of(chain).next().is_some()).collect();
        for rule in &self.0 {
            if !chains.contains(&rule.chain.as_str()) {
                chains.push(&rule.chain);
            }
        }
        chains
    }

    /// No jump leads back to where it came from, nor too deep.
    fn check_jumps(&self) -> Result<(), RuleProblem> {
        let mut depths: BTreeMap<&str, usize> = BTreeMap::new();
        for chain in self.chains() {
            self.depth(chain, &mut BTreeSet::new(), &mut depths)?;
        }
        Ok(())
    }

    /// How many chains deep jumps lead from a chain.
    fn depth<'r>(
        &'r self,
        chain: &'r str,
        above: &mut BTreeSet<&'r str>,
        known: &mut BTreeMap<&'r str, usize>,
    ) -> Result<usize, RuleProblem> {
        if let Some(&depth) = known.get(chain) {
            return Ok(depth);
        }
        above.insert(chain);
        let mut deepest = 0;
        for (index, rule) in self.0.iter().enumerate().filter(|(_, rule)| rule.chain == chain) {
            for target in rule.all().filter_map(|(_, one)| leads_to(one)) {
                if above.contains(target) {
                    let what = format!("the jump to `{target}` leads back to where it came from");
                    return Err(RuleProblem { index, what });
                }
                let depth = 1 + self.depth(target, above, known)?;
                if depth > DEPTH {
                    return Err(RuleProblem { index, what: format!("jumps go deeper than {DEPTH} chains") });
                }
                deepest = deepest.max(depth);
            }
        }
        above.remove(chain);
        known.insert(chain, deepest);
        Ok(deepest)
    }
}

/// The chain that a rule jumps to.
fn leads_to(rule: &Rule) -> Option<&str> {
    match &rule.target {
        Some(Target::Jump(chain) | Target::Goto(chain)) => Some(chain),
        _ => None,
    }
}

/// As iptables has it: what comes in has no way out yet, and what this host sends did not come in.
fn fits_chain(rule: &PolicyRule, one: &Rule) -> Result<(), String> {
    if rule.chain == "input" && one.output.is_some() {
        return Err("a packet to this host leaves by no interface: `-o` has no place in `input`".to_owned());
    }
    if rule.chain == "output" && one.input.is_some() {
        return Err(
            "a packet from this host came in by no interface: `-i` has no place in `output`".to_owned()
        );
    }
    Ok(())
}

/// Whether a mask makes more ranges of addresses or marks than can be told apart.
fn has_holes(one: &Rule) -> bool {
    let of_address = |address: &AddressSpec| match address {
        AddressSpec::V4 { mask, .. } => ranges_of_mask(mask.to_bits().into(), 32),
        AddressSpec::V6 { mask, .. } => ranges_of_mask(mask.to_bits(), 128),
        AddressSpec::Name(_) => 0,
    };
    let addresses =
        [&one.source, &one.destination].into_iter().flatten().map(|named| of_address(&named.value));
    let marks = one.matches.iter().map(|matched| match matched {
        Match::Mark(mark) if mark_under_mask(one).is_none() => {
            ranges_of_mask(mark.mark.value.mask.into(), 32)
        }
        Match::Conntrack(conntrack) => {
            conntrack.original_destination.as_ref().map_or(0, |named| of_address(&named.value))
        }
        _ => 0,
    });
    addresses.chain(marks).any(|ranges| ranges > MASK_RANGES)
}

/// Whether the target is one that rules of a policy may have.
fn decides(one: &Rule, rules: &[PolicyRule]) -> Result<(), String> {
    match &one.target {
        None
        | Some(
            Target::Accept
            | Target::Drop
            | Target::Return
            | Target::Reject(_)
            | Target::Log(_)
            | Target::Nflog(_)
            | Target::Mark(_),
        ) => Ok(()),
        Some(Target::Jump(chain) | Target::Goto(chain)) => {
            if BASE_CHAINS.iter().any(|base| base.eq_ignore_ascii_case(chain)) {
                Err(format!("`{chain}` is no chain to jump to"))
            } else if rules.iter().any(|rule| rule.chain == *chain) {
                Ok(())
            } else {
                Err(format!(
                    "there is no target and no chain `{chain}`: no active rule of the policy is in it"
                ))
            }
        }
        Some(
            Target::Queue
            | Target::Connmark(_)
            | Target::Ct(_)
            | Target::Dnat(_)
            | Target::Hl(_)
            | Target::Masquerade(_)
            | Target::Notrack
            | Target::Redirect(_)
            | Target::Set(_)
            | Target::Snat(_)
            | Target::Tcpmss(_)
            | Target::Ttl(_)
            | Target::Unknown(_),
        ) => {
            let only = Rule { target: one.target.clone(), ..Rule::default() };
            let target = only.to_string();
            Err(format!(
                "`{}` has no place here: a rule decides by ACCEPT, DROP, REJECT, RETURN, LOG, NFLOG, MARK or a chain",
                target.trim()
            ))
        }
    }
}
