//! The policy's own rules: a chain for each of theirs, and jumps to those that run by themselves.

use iptables_syntax::{Family, Rule};
use nf_tables::{Counter, Data, DataType, Expression, HookPoint, Policy, Verdict};

use super::rules::{IpFamily, RuleBuilder};
use super::{ANSWERED, Builder, ESTABLISHED_FIRST, state_element};
use crate::iptables::expressions;
use crate::policy::Ipv6;
use crate::rules::PolicyRule;

impl Builder<'_> {
    /// The chains of all rules.
    pub(super) fn own_chains(&mut self) {
        let rules = &self.policy.rules;
        for chain in rules.chains() {
            let mut kernel_rules = Vec::new();
            for rule in rules.of(chain) {
                kernel_rules.extend(self.own(rule));
            }
            self.chain(&own_chain(chain), kernel_rules);
        }
    }

    /// The jump to the rules of a base chain, where there are any.
    pub(super) fn own_jump(&self, builder: RuleBuilder, chain: &str) -> Option<nf_tables::Rule> {
        self.policy.rules.of(chain).next()?;
        Some(builder.verdict(Verdict::Jump(own_chain(chain))).comment("rules of the policy"))
    }

    /// The rules of what this host sends: after what goes to itself, and answers.
    pub(super) fn own_output(&mut self) -> Vec<nf_tables::Rule> {
        let by_family = match self.policy.ipv6 {
            Ipv6::Same => RuleBuilder::new(),
            Ipv6::Reject => RuleBuilder::new().family_is(IpFamily::V4),
        };
        let Some(jump) = self.own_jump(by_family, "output") else {
            return Vec::new();
        };
        let answered = ANSWERED.map(|state| state_element(state, Verdict::Accept));
        self.verdict_map("output-states", DataType::CT_STATE, 4, answered.to_vec());
        vec![RuleBuilder::new().state().dispatch("output-states").comment(ESTABLISHED_FIRST), jump]
    }

    pub(super) fn output_of_own_rules(&mut self) {
        let own = self.own_output();
        if !own.is_empty() {
            let mut rules =
                vec![RuleBuilder::new().output_is("lo").verdict(Verdict::Accept).comment("loopback")];
            rules.extend(own);
            self.base_chain("output", HookPoint::Output, Policy::Accept, rules);
        }
    }

    /// The kernel's rules for one of the policy's: one for both families where it is the same in both.
    fn own(&mut self, rule: &PolicyRule) -> Vec<nf_tables::Rule> {
        let is_same = rule.ipv4 == rule.ipv6 && self.policy.ipv6 == Ipv6::Same;
        let mut made = Vec::new();
        if is_same && rule.ipv4.iter().all(|one| expressions(one, None, &mut Vec::new()).is_ok()) {
            made.extend(rule.ipv4.iter().filter_map(|one| self.one(one, None)));
        } else {
            made.extend(rule.ipv4.iter().filter_map(|one| self.one(one, Some(Family::Ipv4))));
            if self.policy.ipv6 == Ipv6::Same {
                made.extend(rule.ipv6.iter().filter_map(|one| self.one(one, Some(Family::Ipv6))));
            }
        }
        let label = rule.label();
        made.into_iter().map(|expressions| nf_tables::Rule::new(expressions).with_comment(&label)).collect()
    }

    /// A rule that counts what it matches, and then does what it says. [`Rules`](crate::Rules) holds none that cannot be made.
    fn one(&mut self, rule: &Rule, family: Option<Family>) -> Option<Vec<Expression>> {
        let conditions = Rule { target: None, ..rule.clone() };
        let mut made = expressions(&conditions, family, &mut self.dump.sets).ok()?;
        made.push(Expression::Counter(Counter::default()));
        // What the target needs to be sure of, the conditions may have settled: the protocol and the family.
        let settled = Rule { protocol: rule.protocol, ..Rule::default() };
        let before = expressions(&settled, family, &mut Vec::new()).ok()?;
        let decided = Rule { target: rule.target.clone(), ..settled };
        let target = expressions(&decided, family, &mut Vec::new()).ok()?;
        made.extend(target.into_iter().skip(before.len()).map(into_own_chain));
        Some(made)
    }
}

/// The name of a chain of the policy's in the table.
fn own_chain(chain: &str) -> String {
    format!("rule-{chain}")
}

fn into_own_chain(expression: Expression) -> Expression {
    let Expression::Immediate(mut immediate) = expression else {
        return expression;
    };
    if let Data::Verdict(Verdict::Jump(chain) | Verdict::Goto(chain)) = &mut immediate.data {
        *chain = own_chain(chain);
    }
    Expression::Immediate(immediate)
}
