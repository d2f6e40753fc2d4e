//! One rule as one entry of a policy, where an entry says the same.

use iptables_syntax::extension::CtStates;
use iptables_syntax::{Family, Interface, Negatable, Rule};
use policy::{Allow, Forward};

use crate::shape::{Does, Shape, does};

/// The entry that lets in what this rule of `INPUT` lets in; `None` where the rule says more than an entry can, or refuses.
pub fn allow(rule: &Rule, family: Family) -> Option<Allow> {
    let shape = accepts(rule, family)?;
    if shape.input.is_some() || shape.output.is_some() || shape.destination.is_some() {
        return None;
    }
    Some(Allow {
        port: shape.port_specs()?,
        from: shape.source.into_iter().collect(),
        new_per_minute: shape.per_minute,
        comment: shape.comment.map(str::to_owned),
        ..Allow::default()
    })
}

/// The same of `FORWARD`.
pub fn forward(rule: &Rule, family: Family) -> Option<Forward> {
    let shape = accepts(rule, family)?;
    if shape.per_minute.is_some() {
        return None;
    }
    let entry = Forward {
        input: interface(shape.input)?,
        output: interface(shape.output)?,
        from: shape.source.into_iter().collect(),
        to: shape.destination.into_iter().collect(),
        port: match (shape.protocol, &shape.ports) {
            (None, None) => Vec::new(),
            _ => shape.port_specs()?,
        },
        comment: shape.comment.map(str::to_owned),
        ..Forward::default()
    };
    let says_something = entry != Forward { comment: entry.comment.clone(), ..Forward::default() };
    says_something.then_some(entry)
}

/// The shape of a rule that accepts whatever begins a flow and meets its other conditions.
fn accepts(rule: &Rule, family: Family) -> Option<Shape<'_>> {
    let shape = Shape::of(rule, family);
    let begins = shape.states.is_none_or(|states| states.contains(CtStates::NEW));
    let plain = !shape.other && !shape.syn && !shape.limited && !shape.near && shape.icmp.is_none();
    (begins && plain && does(rule.target.as_ref()) == Does::Accept).then_some(shape)
}

/// The interface as a policy writes it: nothing for any.
fn interface(condition: Option<&Negatable<Interface>>) -> Option<Vec<String>> {
    let Some(condition) = condition else { return Some(Vec::new()) };
    if condition.negated {
        return None;
    }
    let name = &condition.value.0;
    Some(vec![name.strip_suffix('+').map_or_else(|| name.clone(), |prefix| format!("{prefix}*"))])
}

#[cfg(test)]
mod tests {
    use iptables_syntax::{Mode, parse_rule};

    use super::*;

    fn rule(text: &str) -> Rule {
        parse_rule(text, Family::Ipv4, Mode::Strict).unwrap()
    }

    #[test]
    fn a_rule_for_ports_and_a_source_is_an_entry() {
        let rule = rule(
            "-s 10.0.0.0/8 -p tcp -m multiport --dports 80,8000:8010 -m comment --comment web -j ACCEPT",
        );
        let entry = allow(&rule, Family::Ipv4).unwrap();
        assert_eq!((entry.port.len(), entry.from.len(), entry.comment.as_deref()), (2, 1, Some("web")));
    }

    #[test]
    fn a_rule_that_asks_more_is_none() {
        for text in [
            "-p tcp --dport 22 -j DROP",
            "-p tcp --dport 22",
            "-p tcp --dport 22 --syn -j ACCEPT",
            "-p tcp --dport 22 -m conntrack --ctstate ESTABLISHED -j ACCEPT",
            "-p tcp --dport 22 -i eth0 -j ACCEPT",
            "-p tcp --dport 22 -m mac --mac-source 00:11:22:33:44:55 -j ACCEPT",
            "-p tcp --dport 22 -m limit --limit 3/min -j ACCEPT",
            "-p tcp -j ACCEPT",
            "-j ACCEPT",
        ] {
            assert_eq!(allow(&rule(text), Family::Ipv4), None, "{text}");
        }
        assert_eq!(forward(&rule("-j ACCEPT"), Family::Ipv4), None);
    }

    #[test]
    fn a_rule_between_interfaces_is_an_entry_of_forward() {
        let entry = forward(&rule("-i docker+ -o eth0 -d 192.0.2.0/24 -j ACCEPT"), Family::Ipv4).unwrap();
        assert_eq!(
            (entry.input[0].as_str(), entry.output[0].as_str(), entry.to.len()),
            ("docker*", "eth0", 1)
        );
    }
}
