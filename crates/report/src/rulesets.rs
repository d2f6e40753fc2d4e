//! What is said of whole rulesets: whether two do the same, which rules never match.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use packet_filter::space::{Certainty, Comparison, IpFamily, Parting, Reach, Shadow, Shadowed};
use packet_filter::{Hook, RuleRef};
use serde_json::{Value, json};

use crate::page::{Page, Tone, View, counted};
use crate::safe;

/// Where a rule stands written, as `rules.v4:12`, and how; of the first or the second ruleset.
type Place<'a> = dyn Fn(usize, &RuleRef) -> Option<(String, String)> + 'a;
/// The same where there is one ruleset.
type OnePlace<'a> = dyn Fn(&RuleRef) -> Option<(String, String)> + 'a;

/// Two rulesets held against each other.
#[derive(Debug, Clone, Copy)]
pub struct Compared<'a> {
    /// What they are, as `the live kernel`.
    pub names: [&'a str; 2],
    /// What came of it.
    pub comparison: &'a Comparison,
    /// The one family that was compared, where it was one.
    pub family: Option<&'static str>,
    /// What of either could not be read, or was read with a guess.
    pub doubts: [&'a [String]; 2],
}

/// Who reaches what.
#[derive(Debug, Clone, Copy)]
pub struct Reached<'a> {
    /// What the ruleset is.
    pub what: &'a str,
    /// Where packets are looked at.
    pub hook: Hook,
    /// From where to what new flows are let through.
    pub rows: &'a [Reach],
    /// What of it could not be read, or was read with a guess.
    pub doubts: &'a [String],
}

/// Rules that never match.
#[derive(Debug, Clone, Copy)]
pub struct Unused<'a> {
    /// What the ruleset is.
    pub what: &'a str,
    /// How many rules it has.
    pub rules: usize,
    /// Those that never match.
    pub found: &'a [Shadowed],
    /// What of it could not be read, or was read with a guess.
    pub doubts: &'a [String],
}

/// The comparison as text: a verdict, then for each kind of difference a packet, what each does with it and by which rule.
#[must_use]
pub fn compared(compared: &Compared<'_>, place: &Place<'_>, view: View) -> String {
    let mut page = Page::new(view);
    let Compared { names, comparison, family, .. } = compared;
    let [first, second] = names.map(safe::line);
    let of = family.map(|family| format!("{family} ")).unwrap_or_default();
    if comparison.is_equal() {
        page.paragraph(
            0,
            Tone::Good,
            &format!("Equal: {first} and {second} do the same with every {of}packet."),
        );
    } else {
        let kinds = counted(comparison.disagreements.len(), "kind");
        page.paragraph(
            0,
            Tone::Bad,
            &format!("Different: {first} and {second} part on {kinds} of packets. One {of}packet of each:"),
        );
    }
    // What one lets in and the other does not comes first: how something is refused matters less.
    let (gravest, others): (Vec<&Parting>, Vec<&Parting>) =
        comparison.disagreements.iter().partition(|parting| parts_on_acceptance(parting));
    for (heading, partings) in
        [("Let through by one alone", gravest), ("Refused in another way, or changed otherwise", others)]
    {
        if partings.is_empty() {
            continue;
        }
        page.blank();
        page.paragraph(0, Tone::Strong, heading);
        partings.iter().for_each(|parting| write_parting(&mut page, parting, names, place));
    }
    doubts(&mut page, compared.doubts.iter().flat_map(|doubts| doubts.iter()));
    page.finish()
}

fn parts_on_acceptance(parting: &Parting) -> bool {
    parting.verdicts.0.is_accept() != parting.verdicts.1.is_accept()
}

fn write_parting(page: &mut Page, parting: &Parting, names: &[&str; 2], place: &Place<'_>) {
    page.blank();
    page.paragraph(2, Tone::Plain, &format!("{}: {}", parting.hook, parting.packet));
    for assumption in &parting.when {
        page.entry(4, 10, "if", Tone::Odd, &safe::line(&assumption.to_string()));
    }
    for (nth, (name, verdict)) in names.iter().zip(verdicts(parting)).enumerate() {
        let decision = [&parting.first, &parting.second][nth];
        page.entry(4, 10, verdict_word(nth), Tone::Quiet, &safe::line(name));
        let by = by(decision, &|rule| place(nth, rule));
        page.entry(4, 10, "", Tone::Plain, &format!("{verdict}, by {by}"));
    }
}

fn verdict_word(nth: usize) -> &'static str {
    ["first", "second"][nth]
}

fn verdicts(parting: &Parting) -> [String; 2] {
    let (first, second) = &parting.verdicts;
    if parting.changed_otherwise {
        return [format!("{first}"), format!("{second}, and changed otherwise")];
    }
    [first.to_string(), second.to_string()]
}

fn by(decision: &packet_filter::Decision, place: &OnePlace<'_>) -> String {
    match &decision.decided_by {
        packet_filter::DecidedBy::Rule(rule) => written(rule, place),
        other => safe::line(&other.to_string()).into_owned(),
    }
}

/// The rule as whoever wrote it wrote it, where that is known.
fn written(rule: &RuleRef, place: &OnePlace<'_>) -> String {
    match place(rule) {
        Some((place, text)) => safe::line(&format!("{place}: {text}")).into_owned(),
        None => safe::line(&rule.to_string()).into_owned(),
    }
}

/// The comparison for machines.
#[must_use]
pub fn compared_json(compared: &Compared<'_>, place: &Place<'_>) -> Value {
    let parting = |parting: &Parting| {
        let [first, second] = verdicts(parting);
        json!({
            "hook": parting.hook, "packet": parting.packet, "packet-text": parting.packet.to_string(),
            "when": parting.when.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "first": { "verdict": first, "by": by(&parting.first, &|rule| place(0, rule)) },
            "second": { "verdict": second, "by": by(&parting.second, &|rule| place(1, rule)) },
        })
    };
    json!({
        "version": crate::VERSION,
        "first": compared.names[0], "second": compared.names[1], "family": compared.family,
        "equal": compared.comparison.is_equal(),
        "differences": compared.comparison.disagreements.iter().map(parting).collect::<Vec<_>>(),
        "doubts": compared.doubts.concat(),
    })
}

/// Who reaches what, as a table.
#[must_use]
pub fn reached(reached: &Reached<'_>, view: View) -> String {
    let mut page = Page::new(view);
    let what = safe::line(reached.what);
    if reached.rows.is_empty() {
        page.paragraph(0, Tone::Good, &format!("{what} lets no new flow through at {}.", reached.hook));
    } else {
        page.paragraph(0, Tone::Strong, &format!("New flows that {what} lets through at {}:", reached.hook));
        page.blank();
        let rows: Vec<_> = reached.rows.iter().map(row).collect();
        page.table(0, &["", "services", "from", "to", "interface", "what it hangs on"], &rows);
    }
    doubts(&mut page, reached.doubts.iter());
    page.finish()
}

/// How many of a long list are named in a cell.
const NAMED: usize = 4;

fn row(reach: &Reach) -> Vec<(Tone, String)> {
    let any = |items: Vec<String>, whole: &str| match items.len() {
        0 => whole.to_owned(),
        count if count > NAMED => format!("{} and {} more", items[..NAMED].join(", "), count - NAMED),
        _ => items.join(", "),
    };
    let prefixes = |prefixes: &[IpNet]| {
        let texts = |prefixes: &[IpNet]| any(prefixes.iter().map(prefix_text).collect(), "anywhere");
        let others = without(prefixes);
        // Few are left out: that is how a person would say it.
        if !others.is_empty() && others.len() < prefixes.len() {
            format!("all but {}", texts(&others))
        } else {
            texts(prefixes)
        }
    };
    let family = match reach.family {
        Some(IpFamily::Ipv4) => "IPv4",
        Some(IpFamily::Ipv6) => "IPv6",
        None => "both",
    };
    let mut interfaces: Vec<String> = reach.input.iter().map(|name| format!("in {name}")).collect();
    interfaces.extend(reach.output.iter().map(|name| format!("out {name}")));
    let mut hangs: Vec<String> = reach.also.iter().map(|field| format!("for some {field} only")).collect();
    let (tone, word) = match reach.certainty {
        Certainty::Always => (Tone::Plain, None),
        Certainty::Usually => (Tone::Plain, Some("unless")),
        Certainty::Seldom => (Tone::Odd, Some("only if")),
    };
    hangs.extend(word.map(|word| format!("{word} {}", any(reach.depends_on.clone(), "something unknown"))));
    vec![
        (Tone::Quiet, family.to_owned()),
        (tone, any(reach.services.clone(), "anything")),
        (Tone::Plain, prefixes(&reach.from)),
        (Tone::Plain, prefixes(&reach.to)),
        (Tone::Plain, safe::line(&any(interfaces, "any")).into_owned()),
        (Tone::Quiet, safe::line(&hangs.join("; ")).into_owned()),
    ]
}

fn prefix_text(prefix: &IpNet) -> String {
    if prefix.prefix_len() == prefix.max_prefix_len() {
        prefix.addr().to_string()
    } else {
        prefix.to_string()
    }
}

/// The prefixes of the same family that are not among these, which do not overlap and are in order.
fn without(prefixes: &[IpNet]) -> Vec<IpNet> {
    let mut left: Vec<IpNet> = Vec::new();
    match prefixes.first() {
        None => return left,
        Some(IpNet::V4(_)) => left.push(Ipv4Net::default().into()),
        Some(IpNet::V6(_)) => left.push(Ipv6Net::default().into()),
    }
    for taken in prefixes {
        left = left.iter().flat_map(|whole| cut(*whole, taken)).collect();
    }
    left
}

/// What is left of a prefix without another: its halves, and theirs, down to the one that is taken.
fn cut(whole: IpNet, taken: &IpNet) -> Vec<IpNet> {
    if taken.contains(&whole) {
        return Vec::new();
    }
    if !whole.contains(taken) {
        return vec![whole];
    }
    let halves = whole.subnets(whole.prefix_len() + 1).into_iter().flatten();
    halves.flat_map(|half| cut(half, taken)).collect()
}

/// The same for machines.
#[must_use]
pub fn reached_json(reached: &Reached<'_>) -> Value {
    json!({
        "version": crate::VERSION, "ruleset": reached.what, "hook": reached.hook,
        "reached": reached.rows, "doubts": reached.doubts,
    })
}

/// The rules that never match, as text.
#[must_use]
pub fn unused(unused: &Unused<'_>, place: &OnePlace<'_>, view: View) -> String {
    let mut page = Page::new(view);
    let rules = counted(unused.rules, "rule");
    let what = safe::line(unused.what);
    match unused.found.len() {
        0 => page.paragraph(0, Tone::Good, &format!("Each of the {rules} of {what} matches some packet.")),
        count => page.paragraph(
            0,
            Tone::Bad,
            &format!("{count} of the {rules} of {what} can never match. Without them it does the same:"),
        ),
    }
    let (unreachable, others): (Vec<&Shadowed>, Vec<&Shadowed>) =
        unused.found.iter().partition(|shadowed| shadowed.why == Shadow::Unreachable);
    let mut chains: Vec<(String, usize)> = Vec::new();
    for shadowed in unreachable {
        let chain = format!("{} {}", shadowed.rule.table, shadowed.rule.chain);
        match chains.last_mut() {
            Some((last, count)) if *last == chain => *count += 1,
            _ => chains.push((chain, 1)),
        }
    }
    if !chains.is_empty() {
        page.blank();
        page.paragraph(0, Tone::Strong, "No packet comes into these chains");
        for (chain, count) in &chains {
            page.paragraph(2, Tone::Plain, &format!("{}: {}", safe::line(chain), counted(*count, "rule")));
        }
    }
    for shadowed in others {
        page.blank();
        page.paragraph(0, Tone::Strong, &written(&shadowed.rule, place));
        match &shadowed.why {
            Shadow::Hidden { by, count } => {
                for rule in by {
                    page.entry(2, 10, "hidden by", Tone::Quiet, &written(rule, place));
                }
                if *count > by.len() {
                    page.entry(2, 10, "", Tone::Quiet, &format!("and {} more", count - by.len()));
                }
            }
            why @ (Shadow::Impossible | Shadow::Unreachable | Shadow::Elsewhere) => {
                page.entry(2, 10, "since", Tone::Quiet, &why.to_string());
            }
        }
    }
    doubts(&mut page, unused.doubts.iter());
    page.finish()
}

/// The same for machines.
#[must_use]
pub fn unused_json(unused: &Unused<'_>, place: &OnePlace<'_>) -> Value {
    let one = |shadowed: &Shadowed| {
        let hiders = match &shadowed.why {
            Shadow::Hidden { by, .. } => by.iter().map(|rule| written(rule, place)).collect(),
            Shadow::Impossible | Shadow::Unreachable | Shadow::Elsewhere => Vec::new(),
        };
        json!({
            "rule": written(&shadowed.rule, place), "table": shadowed.rule.table.to_string(),
            "chain": shadowed.rule.chain, "number": shadowed.rule.number,
            "why": shadowed.why.to_string(), "hidden-by": hiders,
        })
    };
    json!({
        "version": crate::VERSION, "ruleset": unused.what, "rules": unused.rules,
        "shadowed": unused.found.iter().map(one).collect::<Vec<_>>(), "doubts": unused.doubts,
    })
}

fn doubts<'a>(page: &mut Page, doubts: impl Iterator<Item = &'a String>) {
    let mut doubts = doubts.peekable();
    if doubts.peek().is_some() {
        page.blank();
    }
    for doubt in doubts {
        page.entry(0, 6, "note", Tone::Odd, &safe::line(doubt));
    }
}
