//! ufw's configuration: the files that it loads, put together as `ufw-init` does (`ufw-init-functions`, `ufw_start`).

use std::collections::BTreeMap;

use iptables_syntax::extension::Comment;
use iptables_syntax::{ChainPolicy, Family, Match, Mode, SyntaxError, parse_rule, parse_save};

use crate::chains::{Chain, Chains, Step, read_into};
use crate::iptables::import;
use crate::ledger::{Fate, Ledger, LineId, UNSEEN};
use crate::{Imported, Options};

/// The files that [`ufw`] looks at, below the root; those that are not there are left out.
pub const UFW_FILES: [&str; 8] = [
    "etc/default/ufw",
    "etc/ufw/ufw.conf",
    "etc/ufw/before.rules",
    "etc/ufw/user.rules",
    "etc/ufw/after.rules",
    "etc/ufw/before6.rules",
    "etc/ufw/user6.rules",
    "etc/ufw/after6.rules",
];

/// Imports ufw's files: each with its name as in [`UFW_FILES`], and its text.
///
/// # Errors
/// A file of rules that cannot be understood, with its name.
pub fn ufw(files: &[(&str, &str)], options: &Options<'_>) -> Result<Imported, (String, SyntaxError)> {
    let mut ledger = Ledger::default();
    let mut settings = BTreeMap::new();
    for name in ["etc/default/ufw", "etc/ufw/ufw.conf"] {
        read_settings(name, text(files, name), &mut settings, &mut ledger);
    }
    let ipv6 = settings.get("IPV6").is_none_or(|(value, _)| value.eq_ignore_ascii_case("yes"));
    let mut chains = vec![family(files, Family::Ipv4, &settings, &mut ledger)?];
    chains.push(if ipv6 {
        family(files, Family::Ipv6, &settings, &mut ledger)?
    } else {
        without_ipv6(settings.get("IPV6").map(|(_, line)| *line))
    });
    let disabled = settings.get("ENABLED").is_some_and(|(value, _)| !value.eq_ignore_ascii_case("yes"));
    settle_settings(&settings, &mut ledger);
    let mut imported = import(chains, options, ledger);
    for allow in &mut imported.firewall.allow {
        if let Some(name) = allow.comment.as_deref().and_then(|comment| comment.strip_prefix("dapp_")) {
            allow.comment = Some(name.replace("%20", " "));
        }
    }
    if disabled {
        imported.notes.push("ufw is configured but not enabled".to_owned());
    }
    Ok(imported)
}

fn text<'f>(files: &[(&str, &'f str)], name: &str) -> &'f str {
    files.iter().find(|(file, _)| *file == name).map_or("", |(_, text)| *text)
}

type Settings = BTreeMap<String, (String, LineId)>;

/// Reads `KEY="value"` lines.
fn read_settings(name: &str, text: &str, settings: &mut Settings, ledger: &mut Ledger) {
    for (number, line) in text.lines().enumerate() {
        if let Some((key, value)) =
            line.trim().split_once('=').filter(|_| !line.trim_start().starts_with('#'))
        {
            let id = ledger.enter(&format!("/{name}"), number + 1, line);
            settings.insert(key.trim().to_owned(), (value.trim().trim_matches('"').to_owned(), id));
        }
    }
}

fn settle_settings(settings: &Settings, ledger: &mut Ledger) {
    for (key, (value, line)) in settings {
        let fate = match key.as_str() {
            "IPT_SYSCTL" => Fate::Elsewhere("kernel settings stay in that file".to_owned()),
            "IPT_MODULES" if !value.is_empty() => {
                Fate::Elsewhere("kernel modules are loaded as needed".to_owned())
            }
            "LOGLEVEL" => Fate::Setting("log".to_owned()),
            "IPV6" => Fate::Setting("ipv6".to_owned()),
            _ if !ledger.is_open(*line) => continue,
            "DEFAULT_INPUT_POLICY" | "DEFAULT_OUTPUT_POLICY" | "DEFAULT_FORWARD_POLICY" => continue,
            _ => Fate::Idle("it says how ufw itself works".to_owned()),
        };
        ledger.settle(*line, fate);
    }
}

/// ufw without IPv6: everything but loopback is dropped.
fn without_ipv6(line: Option<LineId>) -> Chains {
    let mut chains = Chains::new(Family::Ipv6);
    for (chain, rule) in
        [("INPUT", Some("-i lo -j ACCEPT")), ("FORWARD", None), ("OUTPUT", Some("-o lo -j ACCEPT"))]
    {
        chains
            .by_name
            .insert(chain.to_owned(), Chain { policy: Some((ChainPolicy::Drop, line)), steps: Vec::new() });
        if let Some(rule) = rule {
            push(&mut chains, chain, rule, UNSEEN);
        }
    }
    chains
}

/// The chains of one family as ufw loads them.
fn family(
    files: &[(&str, &str)],
    family: Family,
    settings: &Settings,
    ledger: &mut Ledger,
) -> Result<Chains, (String, SyntaxError)> {
    let six = if family == Family::Ipv6 { "6" } else { "" };
    let mut chains = Chains::new(family);
    for way in ["input", "output", "forward"] {
        skeleton(&mut chains, way, six, settings);
    }
    for kind in ["before", "after", "user"] {
        let name = format!("etc/ufw/{kind}{six}.rules");
        let text = text(files, &name);
        let (save, _) = parse_save(text.as_bytes(), family, Mode::Lenient)
            .map_err(|error| (format!("/{name}"), error))?;
        let first = ledger.lines.len();
        read_into(&mut chains, &save, &format!("/{name}"), ledger);
        if kind == "user" {
            comments(&mut chains, text, first, ledger);
        }
    }
    for way in ["input", "output", "forward"] {
        push(&mut chains, &format!("ufw{six}-before-{way}"), &format!("-j ufw{six}-user-{way}"), UNSEEN);
    }
    not_local(&mut chains, six, ledger);
    Ok(chains)
}

/// The jumps from a built-in chain, and what its policy is.
fn skeleton(chains: &mut Chains, way: &str, six: &str, settings: &Settings) {
    let key = format!("DEFAULT_{}_POLICY", way.to_uppercase());
    let by_default = if way == "output" { "ACCEPT" } else { "DROP" };
    let (policy, line) =
        settings.get(&key).map_or((by_default, None), |(policy, line)| (policy.as_str(), Some(*line)));
    let chain_policy = if policy == "ACCEPT" { ChainPolicy::Accept } else { ChainPolicy::Drop };
    let built_in = way.to_uppercase();
    chains.by_name.insert(built_in.clone(), Chain { policy: Some((chain_policy, line)), steps: Vec::new() });
    for part in ["before-logging", "before", "after", "after-logging", "reject", "track"] {
        push(chains, &built_in, &format!("-j ufw{six}-{part}-{way}"), UNSEEN);
        chains.by_name.entry(format!("ufw{six}-{part}-{way}")).or_default();
    }
    if policy == "REJECT" {
        push(chains, &format!("ufw{six}-reject-{way}"), "-j REJECT", line.unwrap_or(UNSEEN));
    }
    push(chains, &format!("ufw{six}-skip-to-policy-{way}"), &format!("-j {policy}"), UNSEEN);
    for empty in ["logging-deny", "logging-allow"] {
        chains.by_name.entry(format!("ufw{six}-{empty}")).or_default();
    }
}

fn push(chains: &mut Chains, chain: &str, words: &str, line: LineId) {
    if let Ok(rule) = parse_rule(words, chains.family, Mode::Strict) {
        chains.push(chain, Step { line, rule, words: words.to_owned() });
    }
}

/// The comments of rules, which ufw keeps in lines of its own: `### tuple ### allow tcp 22 ... comment=48657820`.
fn comments(chains: &mut Chains, text: &str, first: LineId, ledger: &Ledger) {
    let mut of_line: BTreeMap<usize, String> = BTreeMap::new();
    let mut current = None;
    for (number, line) in text.lines().enumerate() {
        if let Some(tuple) = line.strip_prefix("### tuple ###") {
            current = tuple.split_whitespace().find_map(|word| unhex(word.strip_prefix("comment=")?));
        } else if let (true, Some(comment)) = (line.starts_with("-A"), &current) {
            of_line.insert(number + 1, comment.clone());
        }
    }
    for step in chains.by_name.values_mut().flat_map(|chain| &mut chain.steps) {
        let own = ledger.lines.get(step.line).filter(|_| step.line >= first);
        let Some(comment) = own.and_then(|own| of_line.get(&own.line)) else { continue };
        step.rule.matches.push(Match::Comment(Comment { text: comment.clone() }));
        step.words = step.rule.to_string();
    }
}

fn unhex(text: &str) -> Option<String> {
    let digits: Vec<u32> = text.chars().map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let bytes =
        digits.chunks_exact(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1])).collect::<Result<_, _>>();
    String::from_utf8(bytes.ok()?).ok()
}

/// `ufw-not-local` drops what is for none of this host's addresses, nor multicast nor broadcast: the kernel hands over no such
/// packet, so it goes where it is as ufw brings it.
fn not_local(chains: &mut Chains, six: &str, ledger: &mut Ledger) {
    let name = format!("ufw{six}-not-local");
    let stock = [
        "-m addrtype --dst-type LOCAL -j RETURN".to_owned(),
        "-m addrtype --dst-type MULTICAST -j RETURN".to_owned(),
        "-m addrtype --dst-type BROADCAST -j RETURN".to_owned(),
        format!("-m limit --limit 3/min --limit-burst 10 -j ufw{six}-logging-deny"),
        "-j DROP".to_owned(),
    ];
    let Some(chain) = chains.chain(&name) else { return };
    if !chain.steps.iter().map(|step| &step.words).eq(&stock) {
        return;
    }
    let what = "the input chain sees packets for this host, multicast and broadcast alone";
    for step in &chain.steps {
        ledger.settle(step.line, Fate::BuiltIn(what.to_owned()));
    }
    let jump = format!("-j {name}");
    for chain in chains.by_name.values_mut() {
        for step in chain.steps.iter().filter(|step| step.words == jump) {
            ledger.settle(step.line, Fate::BuiltIn(what.to_owned()));
        }
        chain.steps.retain(|step| step.words != jump);
    }
}
