//! Every rule of the `.t` files of the iptables source package, for the extensions that this crate knows: what iptables
//! accepts is parsed and printed as iptables prints it, what it refuses is refused with a reason.
//!
//! `IPTABLES_CONFORMANCE_PAGE=FILE` writes the result as a page of the book.
#![allow(clippy::disallowed_methods, reason = "the corpus is fetched, and a page may be written")]

mod source;

use std::fmt::Write as _;
use std::fs;

use iptables_syntax::{Family, Mode, parse_save};

/// The files, and the family whose program reads them.
const FILES: &[(&str, Family)] = &[
    ("iptables", Family::Ipv4),
    ("libxt_standard", Family::Ipv4),
    ("libip6t_standard", Family::Ipv6),
    ("libxt_addrtype", Family::Ipv4),
    ("libxt_comment", Family::Ipv4),
    ("libxt_connlimit", Family::Ipv4),
    ("libxt_connmark", Family::Ipv4),
    ("libxt_conntrack", Family::Ipv4),
    ("libxt_cpu", Family::Ipv4),
    ("libxt_dscp", Family::Ipv4),
    ("libxt_ecn", Family::Ipv4),
    ("libxt_hashlimit", Family::Ipv4),
    ("libip6t_hl", Family::Ipv6),
    ("libipt_icmp", Family::Ipv4),
    ("libip6t_icmp6", Family::Ipv6),
    ("libxt_iprange", Family::Ipv4),
    ("libxt_length", Family::Ipv4),
    ("libxt_limit", Family::Ipv4),
    ("libxt_mac", Family::Ipv4),
    ("libxt_mark", Family::Ipv4),
    ("libxt_multiport", Family::Ipv4),
    ("libxt_owner", Family::Ipv4),
    ("libxt_physdev", Family::Ipv4),
    ("libxt_pkttype", Family::Ipv4),
    ("libxt_policy", Family::Ipv4),
    ("libxt_quota", Family::Ipv4),
    ("libxt_recent", Family::Ipv4),
    ("libxt_rpfilter", Family::Ipv4),
    ("libxt_sctp", Family::Ipv4),
    ("libxt_set", Family::Ipv4),
    ("libxt_socket", Family::Ipv4),
    ("libxt_state", Family::Ipv4),
    ("libxt_statistic", Family::Ipv4),
    ("libxt_string", Family::Ipv4),
    ("libxt_tcp", Family::Ipv4),
    ("libxt_tcpmss", Family::Ipv4),
    ("libxt_time", Family::Ipv4),
    ("libxt_tos", Family::Ipv4),
    ("libipt_ttl", Family::Ipv4),
    ("libxt_u32", Family::Ipv4),
    ("libxt_udp", Family::Ipv4),
    ("libxt_CONNMARK", Family::Ipv4),
    ("libxt_CT", Family::Ipv4),
    ("libipt_DNAT", Family::Ipv4),
    ("libip6t_DNAT", Family::Ipv6),
    ("libip6t_HL", Family::Ipv6),
    ("libipt_LOG", Family::Ipv4),
    ("libip6t_LOG", Family::Ipv6),
    ("libxt_MARK", Family::Ipv4),
    ("libipt_MASQUERADE", Family::Ipv4),
    ("libip6t_MASQUERADE", Family::Ipv6),
    ("libxt_NFLOG", Family::Ipv4),
    ("libxt_NOTRACK", Family::Ipv4),
    ("libxt_REDIRECT", Family::Ipv4),
    ("libipt_REJECT", Family::Ipv4),
    ("libip6t_REJECT", Family::Ipv6),
    ("libxt_SET", Family::Ipv4),
    ("libipt_SNAT", Family::Ipv4),
    ("libip6t_SNAT", Family::Ipv6),
    ("libxt_TCPMSS", Family::Ipv4),
    ("libipt_TTL", Family::Ipv4),
];

/// What stays open, and why.
const OPEN: &[(&str, &str, &str)] = &[
    (
        "libxt_set",
        "-m set --match-set foo src,dst",
        "refused because the kernel has no set foo; the rule itself is right",
    ),
    (
        "libxt_SET",
        "-j SET --add-set foo src,dst",
        "refused because the kernel has no set foo; the rule itself is right",
    ),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    Accepted,
    Refused,
    /// The two back ends of iptables differ.
    Either,
}

struct Case {
    line: usize,
    table: String,
    chains: Vec<String>,
    rule: String,
    printed: String,
    expected: Expected,
}

/// The rule lines of a file: `rule;printed (= for the same);OK|FAIL[;back end]`.
fn cases(text: &str) -> Vec<Case> {
    let (mut table, mut chains, mut cases) = ("filter".to_owned(), Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        match line.as_bytes() {
            [] | [b'#' | b'@' | b'%', ..] => {}
            [b'*', ..] => table = line.get(1..).unwrap_or("").trim().to_owned(),
            [b':', ..] => chains = line.get(1..).unwrap_or("").trim().split(',').map(str::to_owned).collect(),
            _ => {
                let fields: Vec<_> = line.split(';').map(str::trim_end).collect();
                let [rule, printed, result, rest @ ..] = fields.as_slice() else {
                    panic!("line {} is no rule: {line}", index + 1);
                };
                cases.push(Case {
                    line: index + 1,
                    table: table.clone(),
                    chains: chains.clone(),
                    rule: (*rule).to_owned(),
                    printed: (*if *printed == "=" { rule } else { printed }).to_owned(),
                    expected: match *result {
                        "FAIL" if !rest.is_empty() => Expected::Either,
                        "FAIL" => Expected::Refused,
                        "OK" => Expected::Accepted,
                        other => panic!("line {} has the result {other}", index + 1),
                    },
                });
            }
        }
    }
    cases
}

/// What is wrong with how a case comes out.
fn judge(case: &Case, family: Family) -> Result<(), String> {
    for chain in &case.chains {
        let text = format!("*{}\n:{chain} ACCEPT [0:0]\n-A {chain} {}\nCOMMIT\n", case.table, case.rule);
        let result = parse_save(text.as_bytes(), family, Mode::Strict).map(|(save, oddities)| {
            assert!(oddities.is_empty() || !case.rule.contains("--"), "{oddities:?}");
            save.rules().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        });
        match (case.expected, result) {
            (Expected::Accepted, Ok(printed)) => {
                let wanted = format!("-A {chain} {}", case.printed);
                if printed.trim() != wanted.trim() {
                    return Err(format!("{} is printed as {printed}, not as {wanted}", case.rule));
                }
            }
            (Expected::Accepted, Err(error)) => return Err(format!("{} is refused: {error}", case.rule)),
            (Expected::Refused, Err(error)) if error.message().is_empty() => {
                return Err(format!("{} is refused without a reason", case.rule));
            }
            (Expected::Refused, Err(_)) | (Expected::Either, _) => {}
            (Expected::Refused, Ok(_)) => return Err(format!("{} is accepted in {chain}", case.rule)),
        }
    }
    Ok(())
}

#[derive(Default)]
struct Row {
    accepted: (usize, usize),
    refused: (usize, usize),
}

#[test]
fn every_rule_of_the_original_is_accepted_and_refused_as_there() {
    let directory = match source::extensions() {
        Ok(directory) => directory,
        Err(why) => {
            assert!(std::env::var_os("IPTABLES_CONFORMANCE_PAGE").is_none(), "no source: {why}");
            eprintln!("SKIPPED: {why}");
            return;
        }
    };
    let mut rows: Vec<(&str, Row)> = Vec::new();
    let mut wrong = String::new();
    let mut open = Vec::new();
    for (file, family) in FILES {
        let text = fs::read_to_string(directory.join(format!("{file}.t"))).expect(file);
        let mut row = Row::default();
        for case in cases(&text) {
            let counts = match case.expected {
                Expected::Refused => &mut row.refused,
                Expected::Accepted | Expected::Either => &mut row.accepted,
            };
            counts.1 += 1;
            match judge(&case, *family) {
                Ok(()) => counts.0 += 1,
                Err(_) if OPEN.iter().any(|(name, rule, _)| name == file && *rule == case.rule) => {
                    open.push((*file, case.rule));
                }
                Err(what) => writeln!(wrong, "{file}.t:{}: {what}", case.line).expect("a string"),
            }
        }
        rows.push((file, row));
    }
    if let Some(path) = std::env::var_os("IPTABLES_CONFORMANCE_PAGE") {
        fs::write(path, page(&rows)).expect("the page is written");
    }
    assert!(wrong.is_empty(), "{} cases\n{wrong}", wrong.lines().count());
    let expected: Vec<_> = OPEN.iter().map(|(file, rule, _)| (*file, (*rule).to_owned())).collect();
    assert_eq!(open, expected, "what is named as open is open");
}

/// The page of the book.
fn page(rows: &[(&str, Row)]) -> String {
    let mut page = String::from(
        "# Conformance: iptables rules\n\nEvery rule line of the `extensions/*.t` files of iptables 1.8.9 (the source package of Debian 12), for the extensions\n\
         that a server firewall uses. *Accepted*: iptables takes the rule, and it is parsed and printed as iptables prints it. *Refused*: iptables\n\
         refuses it, and so does the parser, with a reason and a place.\n\n\
         | file | accepted | refused |\n|---|---:|---:|\n",
    );
    let (mut accepted, mut refused) = ((0, 0), (0, 0));
    for (file, row) in rows {
        let cell = |(passed, all)| if all == 0 { "-".to_owned() } else { format!("{passed}/{all}") };
        writeln!(page, "| `{file}.t` | {} | {} |", cell(row.accepted), cell(row.refused)).expect("a string");
        accepted = (accepted.0 + row.accepted.0, accepted.1 + row.accepted.1);
        refused = (refused.0 + row.refused.0, refused.1 + row.refused.1);
    }
    let all = format!("| **all** | **{}/{}** | **{}/{}** |", accepted.0, accepted.1, refused.0, refused.1);
    writeln!(page, "{all}\n\nWhat stays open:\n").expect("a string");
    for (file, rule, why) in OPEN {
        writeln!(page, "- `{file}.t`: `{rule}`: {why}.").expect("a string");
    }
    page
}
