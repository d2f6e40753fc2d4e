//! A table as text that `nft -f` loads.

use std::fmt::Write as _;

use nf_tables::{Cmp, Expression, MetaKey, Reject, Rule, SetFlags};

use crate::compile::Compiled;
use crate::text;

/// The table as a file for `nft -f`, which replaces a table of the same name in one step and leaves all others.
///
/// What has no words in `nft`'s language (matches of `x_tables`) stands in brackets, and `nft` refuses the file;
/// [`compile`](crate::compile()) makes no such rule.
#[must_use]
pub fn nft_text(compiled: &Compiled) -> String {
    let dump = compiled.table();
    let id = dump.id();
    // The first line makes the second one possible where there is no such table yet.
    let mut out = format!("table {id}\ndelete table {id}\n\ntable {id} {{\n");
    for set in dump.sets.iter().filter(|dump| !dump.set.flags.contains(SetFlags::ANONYMOUS)) {
        let kind = if set.set.data.is_some() { "map" } else { "set" };
        let _ = writeln!(out, "\t{kind} {} {{\n\t\t{}", set.set.name, text::set_head(&set.set));
        let elements = text::elements(set);
        if !elements.is_empty() {
            let _ = writeln!(out, "\t\telements = {{ {} }}", elements.join(",\n\t\t\t"));
        }
        out.push_str("\t}\n\n");
    }
    for chain in &dump.chains {
        let _ = writeln!(out, "\tchain {} {{", chain.chain.name);
        if let Some(head) = text::chain_head(&chain.chain) {
            let _ = writeln!(out, "\t\t{head}");
        }
        for rule in &chain.rules {
            let _ = write!(out, "\t\t{}", with_reason(rule, text::rule_without_comment(dump, rule)));
            if let Some(comment) = rule.comment() {
                let _ = write!(out, " comment \"{}\"", comment.replace('"', "'"));
            }
            out.push('\n');
        }
        out.push_str("\t}\n\n");
    }
    out.truncate(out.trim_end().len());
    out.push_str("\n}\n");
    out
}

/// `nft` takes the reason of a rejection by its name, of which each family has its own.
fn with_reason(rule: &Rule, text: String) -> String {
    const IPV4: [(u8, &str); 7] = [
        (0, "net-unreachable"),
        (1, "host-unreachable"),
        (2, "prot-unreachable"),
        (3, "port-unreachable"),
        (9, "net-prohibited"),
        (10, "host-prohibited"),
        (13, "admin-prohibited"),
    ];
    const IPV6: [(u8, &str); 6] = [
        (0, "no-route"),
        (1, "admin-prohibited"),
        (3, "addr-unreachable"),
        (4, "port-unreachable"),
        (5, "policy-fail"),
        (6, "reject-route"),
    ];
    let code = rule.expressions.iter().find_map(|expression| match expression {
        Expression::Reject(Reject::Icmp(code)) => Some(*code),
        _ => None,
    });
    let Some(code) = code else { return text };
    let (family, names) = if is_ipv6(rule) { ("icmpv6", &IPV6[..]) } else { ("icmp", &IPV4[..]) };
    match names.iter().find(|(number, _)| *number == code) {
        Some((_, name)) => {
            text.replace(&format!("reject with icmp code {code}"), &format!("reject with {family} {name}"))
        }
        None => text,
    }
}

/// Whether the rule asks for IPv6.
fn is_ipv6(rule: &Rule) -> bool {
    const NFPROTO_IPV6: u8 = 10;
    rule.expressions.windows(2).any(|pair| {
        let [Expression::Meta(meta), Expression::Cmp(Cmp { data, .. })] = pair else { return false };
        meta.key == MetaKey::NfProtocol && *data == [NFPROTO_IPV6]
    })
}
