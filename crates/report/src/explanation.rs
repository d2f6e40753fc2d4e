//! What becomes of one packet and why, in the words of whoever wrote the rules.

use packet_filter::listing::split_place;
use packet_filter::{DecidedBy, Decision, Packet, RuleRef};
use serde::Serialize;

use crate::page::{Page, Tone, View};

/// A packet and what becomes of it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Explanation {
    /// 1; a reader refuses what it does not know.
    pub version: u32,
    /// What was asked, as `the live kernel`.
    pub ruleset: String,
    /// The packet, in a line.
    pub packet: String,
    /// The hooks that it passes, in order.
    pub way: Vec<&'static str>,
    /// Where NAT rules send it instead of where it is addressed to; `null` where they do not, or that is not known.
    pub sent_to: Option<String>,
    /// `accepted`, `dropped`, `rejected`, or handed to a program.
    pub verdict: String,
    /// Whether nothing that is not known can turn that round.
    pub certain: bool,
    /// What it depends on, if not certain.
    pub depends_on: Vec<String>,
    /// What may become of it instead.
    pub otherwise: Vec<String>,
    /// Who had the last word.
    pub decided_by: Decider,
    /// The rules that it matched, in order.
    pub crossed: Vec<Crossed>,
    /// What of the ruleset is not understood, where that can matter.
    pub doubts: Vec<String>,
}

/// Who had the last word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decider {
    /// A rule.
    Rule(Crossed),
    /// The policy of a base chain, as `inet gabion input`.
    Policy(String),
    /// No rule sees such packets.
    Nobody,
}

/// A rule that a packet matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Crossed {
    /// Its table, as `inet gabion`.
    pub table: String,
    /// Its chain.
    pub chain: String,
    /// Its place there, from 1.
    pub number: usize,
    /// What it is for: its comment without the place.
    pub what: Option<String>,
    /// Where it stands written: the policy's line, or the file's.
    pub place: Option<String>,
    /// The rule itself.
    pub rule: String,
}

impl Crossed {
    /// Of a rule; `origin` is where it stands written and how, where that is known.
    #[must_use]
    pub fn new(rule: &RuleRef, origin: Option<(String, &str)>) -> Self {
        let (what, place) = match &rule.comment {
            Some(comment) => {
                let (what, place) = split_place(comment);
                (Some(what), place)
            }
            None => (None, None),
        };
        let (place, text) = match origin {
            Some((place, text)) => (Some(place), text.to_owned()),
            None => (place, rule.text.clone()),
        };
        Self {
            table: rule.table.to_string(),
            chain: rule.chain.clone(),
            number: rule.number,
            what,
            place,
            rule: text,
        }
    }
}

impl Explanation {
    /// Of a decision. `origin` tells where a rule stands written.
    #[must_use]
    pub fn new<'a>(
        ruleset: &str,
        packet: &Packet,
        decision: &Decision,
        origin: impl Fn(&RuleRef) -> Option<(String, &'a str)>,
    ) -> Self {
        let crossed = |rule: &RuleRef| Crossed::new(rule, origin(rule));
        Self {
            version: crate::VERSION,
            ruleset: ruleset.to_owned(),
            packet: packet.to_string(),
            way: Vec::new(),
            sent_to: None,
            verdict: decision.verdict.to_string(),
            certain: decision.certain,
            depends_on: decision.depends_on.iter().map(ToString::to_string).collect(),
            otherwise: decision.otherwise.iter().map(ToString::to_string).collect(),
            decided_by: match &decision.decided_by {
                DecidedBy::Rule(rule) => Decider::Rule(crossed(rule)),
                DecidedBy::Policy { table, chain } => Decider::Policy(format!("{table} {chain}")),
                DecidedBy::Nobody => Decider::Nobody,
            },
            crossed: decision.crossed.iter().map(crossed).collect(),
            doubts: Vec::new(),
        }
    }

    /// `accepted unless the limit of 30/minute per ip saddr is exceeded`.
    #[must_use]
    pub fn sentence(&self) -> String {
        match (self.certain, self.depends_on.as_slice()) {
            (true, _) | (false, []) => self.verdict.clone(),
            (false, [reason]) => format!("{} unless {reason}", self.verdict),
            (false, reasons) => {
                let otherwise = self.otherwise.join(" or ");
                format!("{}, or {otherwise}, depending on whether {}", self.verdict, reasons.join(", or "))
            }
        }
    }
}

/// The explanation as text: the packet, the verdict, who decided, then the rules crossed.
#[must_use]
pub fn text(explanation: &Explanation, view: View) -> String {
    let mut page = Page::new(view);
    page.paragraph(0, Tone::Plain, &format!("{}, for {}", explanation.packet, explanation.ruleset));
    if let Some(to) = &explanation.sent_to {
        page.paragraph(0, Tone::Odd, &format!("NAT rules send it to {to}"));
    }
    let tone = match (explanation.verdict.as_str(), explanation.certain) {
        ("accepted", true) => Tone::Good,
        ("dropped" | "rejected", true) => Tone::Bad,
        _ => Tone::Odd,
    };
    page.blank();
    page.paragraph(0, tone, &explanation.sentence());
    match &explanation.decided_by {
        Decider::Rule(rule) => write_rule(&mut page, "by", rule),
        Decider::Policy(chain) => {
            page.entry(2, 7, "by", Tone::Quiet, &format!("the policy of {chain}: no rule of it decided"));
        }
        Decider::Nobody => page.entry(2, 7, "by", Tone::Quiet, "no rule: none sees such packets"),
    }
    page.blank();
    if !explanation.crossed.is_empty() {
        let row = |rule: &Crossed| {
            vec![
                (Tone::Quiet, format!("{} {} {}", rule.table, rule.chain, rule.number)),
                (Tone::Quiet, rule.place.clone().unwrap_or_else(|| "-".to_owned())),
                (Tone::Plain, described(rule)),
            ]
        };
        let told = explanation.crossed.iter().filter(|rule| !only_leads_on(rule));
        let rows: Vec<_> = told.map(row).collect();
        page.table(0, &["rule crossed", "written at", "what it says"], &rows);
    }
    if !explanation.doubts.is_empty() {
        page.blank();
        page.paragraph(0, Tone::Odd, "Not understood, or not known:");
        explanation.doubts.iter().take(DOUBTS).for_each(|doubt| page.paragraph(2, Tone::Quiet, doubt));
        let more = explanation.doubts.len().saturating_sub(DOUBTS);
        if more > 0 {
            page.paragraph(2, Tone::Quiet, &format!("and {more} more"));
        }
    }
    page.finish()
}

/// Whether a rule of ours only finds the chain that decides.
fn only_leads_on(rule: &Crossed) -> bool {
    rule.what.as_deref().is_some_and(|what| ["by family", "by protocol", "by port"].contains(&what))
}

/// How many doubts are told.
const DOUBTS: usize = 6;

fn write_rule(page: &mut Page, key: &str, rule: &Crossed) {
    let place = rule.place.as_ref().map(|place| format!("{place}  ")).unwrap_or_default();
    page.entry(2, 7, key, Tone::Quiet, &format!("{place}{} {} rule {}", rule.table, rule.chain, rule.number));
    page.entry(2, 7, "", Tone::Quiet, &described(rule));
}

fn described(rule: &Crossed) -> String {
    match &rule.what {
        Some(what) if !rule.rule.contains(what.as_str()) => format!("{} # {what}", rule.rule),
        _ => rule.rule.clone(),
    }
}

#[cfg(test)]
mod tests {
    use packet_filter::{Allow, FilterPolicy, Hook, PortRange, compile, decide};

    use super::*;

    fn explained(port: u16) -> Explanation {
        let mut ssh = Allow::new("ssh", [PortRange::tcp(22)]);
        ssh.place = Some("policy.toml:5".to_owned());
        ssh.new_per_minute = Some(30);
        let compiled = compile(&FilterPolicy { allow: vec![ssh], ..FilterPolicy::default() });
        let to = format!("192.0.2.1:{port}").parse().unwrap();
        let packet = Packet::tcp("203.0.113.9:50000".parse().unwrap(), to).unwrap().arriving_on("eth0");
        let decision = decide(&[compiled.table().clone()], Hook::Input, &packet);
        Explanation::new("the policy", &packet, &decision, |_| None)
    }

    #[test]
    fn an_accepted_packet_names_the_policys_line_and_what_it_depends_on() {
        let explanation = explained(22);
        assert!(explanation.sentence().starts_with("accepted unless the limit of 30/minute per "));
        let text = text(&explanation, View::default());
        assert!(text.contains("by       policy.toml:5  inet gabion allow-ssh rule 1"), "{text}");
        assert!(text.starts_with("tcp 203.0.113.9:50000 -> 192.0.2.1:22 in by eth0, new, for the policy\n"));
    }

    #[test]
    fn a_refused_packet_names_the_rule_that_refuses() {
        let explanation = explained(23);
        assert_eq!((explanation.sentence().as_str(), explanation.certain), ("rejected", true));
        let Decider::Rule(rule) = &explanation.decided_by else { panic!("{explanation:?}") };
        assert_eq!(rule.what.as_deref(), Some("refuse what nothing allows"));
    }
}
