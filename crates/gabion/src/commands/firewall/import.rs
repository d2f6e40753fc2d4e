//! `gabion firewall import`: what another firewall is configured to do, as the part `[firewall]` of the policy.

use std::path::Path;

use firewall_import::{Imported, table, to_toml};
use host::{Facts, Image, Live};
use iptables_syntax::Family;
use policy::edit::{self, Entry, Section, Setting};

use crate::cli::ImportFirewall;
use crate::context::{Context, collect, read_capped};
use crate::error::{Failure, usage};
use crate::exit::Exit;
use crate::import;

/// Bytes of a file of rules that are read at most.
const MOST_RULES: u64 = 64 << 20;

pub(super) fn run(context: &Context, options: &ImportFirewall) -> Result<Exit, Failure> {
    let live = Live::open()?;
    let facts = collect(&live, None);
    let imported = read(options, &live, &facts)?;
    let proof = import::proof(&imported, &facts);
    if context.output.json {
        context.output.value(&serde_json::json!({
            "version": 1,
            "firewall": imported.firewall,
            "lines": lines(&imported),
            "notes": imported.notes,
            "proven": proof.as_ref().is_ok_and(firewall_import::Proof::holds),
            "proof": proof.as_ref().map_or_else(Clone::clone, ToString::to_string),
        }));
    } else {
        context.output.note(table(&imported.lines).trim_end());
        imported.notes.iter().for_each(|note| context.output.note(&format!("note: {note}")));
        match &proof {
            Ok(proof) => context.output.note(proof.to_string().trim_end()),
            Err(why) => {
                context.output.note(&format!("The policy was not compared with the old rules: {why}"));
            }
        }
    }
    if options.write {
        write(context, &imported)?;
    } else if !context.output.json {
        context.output.text(&to_toml(&imported.firewall));
    }
    let is_whole = proof.is_ok_and(|proof| proof.holds());
    let to_read =
        imported.lines.iter().flat_map(|line| &line.fates).any(firewall_import::Fate::needs_reading);
    Ok(if is_whole && !to_read { Exit::Clean } else { Exit::Findings })
}

fn read(options: &ImportFirewall, live: &Live, facts: &Facts) -> Result<Imported, Failure> {
    let at = |root: &Path| {
        Image::open(root)
            .map_err(|error| Failure::Malformed { path: root.into(), problem: error.to_string() })
    };
    if let Some(root) = &options.source.ufw {
        return import::ufw(&at(root)?, facts);
    }
    if let Some(root) = &options.source.firewalld {
        return import::firewalld(&at(root)?, facts);
    }
    if let Some(path) = &options.source.nft {
        let text =
            read_capped(path, MOST_RULES).map_err(|source| Failure::Read { path: path.clone(), source })?;
        return Ok(import::nft(&crate::rulesets::nft_tables(path, &text)?, facts));
    }
    if options.source.live {
        return import::live(live, facts);
    }
    let mut texts = Vec::new();
    for (family, file) in
        [(Family::Ipv4, &options.source.iptables), (Family::Ipv6, &options.source.ip6tables)]
    {
        if let Some(path) = file {
            let text = read_capped(path, MOST_RULES)
                .map_err(|source| Failure::Read { path: path.clone(), source })?;
            texts.push((family, path.display().to_string(), text.into_bytes()));
        }
    }
    import::saves(&texts, facts)
}

fn lines(imported: &Imported) -> Vec<serde_json::Value> {
    let line = |line: &firewall_import::Line| {
        let fates: Vec<String> = line.fates.iter().map(ToString::to_string).collect();
        serde_json::json!({ "file": line.file, "line": line.line, "text": line.text, "became": fates })
    };
    imported.lines.iter().map(line).collect()
}

/// Puts what was imported in the place of the entries and settings of `[firewall]`, and leaves the rest of the file as it is.
fn write(context: &Context, imported: &Imported) -> Result<(), Failure> {
    let path = &context.policy_file;
    let text = match read_capped(path, 1 << 20) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(usage(
                format!("there is no {}", path.display()),
                "`gabion init` writes one, and imports what it finds",
            ));
        }
        Err(source) => return Err(Failure::Read { path: path.clone(), source }),
    };
    let text = merged(&text, path, imported)?;
    let kept = change::policy_file::write(path, text.as_bytes(), true)
        .map_err(|error| usage(error.to_string(), "print it without --write, and put it there by hand"))?;
    if let Some(kept) = kept {
        context.output.note(&format!("The old policy is kept as {}.", kept.display()));
    }
    if !context.output.json {
        context.output.text(&format!("wrote {}\n", path.display()));
    }
    context.output.progress("Read it, then: gabion plan, gabion apply");
    Ok(())
}

fn merged(text: &str, path: &Path, imported: &Imported) -> Result<String, Failure> {
    let failed = |error: edit::EditError| usage(error.to_string(), "change the policy by hand");
    let before = policy::parse(text, path)?.firewall;
    let firewall = &imported.firewall;
    let mut text = text.to_owned();
    for setting in [
        Setting::Inbound(firewall.inbound),
        Setting::Forwarded(firewall.forwarded),
        Setting::Ping(firewall.ping),
        Setting::Ipv6(firewall.ipv6),
        Setting::Log(firewall.log),
    ] {
        text = edit::set(&text, setting).map_err(failed)?;
    }
    // The new entries first: a list that is empty in between would be another policy.
    let rules = firewall.rule.iter().cloned().map(Entry::Rule).collect();
    let allows = firewall.allow.iter().cloned().map(Entry::Allow).collect();
    let forwards = firewall.forward.iter().cloned().map(Entry::Forward).collect();
    let lists: [(Section, usize, Vec<Entry>); 3] = [
        (Section::Rule, before.rule.len(), rules),
        (Section::Allow, before.allow.len(), allows),
        (Section::Forward, before.forward.len(), forwards),
    ];
    for (_, old, entries) in &lists {
        text = in_any_order(text, entries.len(), |text, nth, done| {
            let place = old + done.iter().filter(|&&other| other < nth).count();
            edit::insert(text, place, &entries[nth])
        })?;
    }
    for (section, old, _) in &lists {
        text = in_any_order(text, *old, |text, nth, done| {
            let place = nth - done.iter().filter(|&&other| other < nth).count();
            edit::remove(text, *section, place)
        })?;
    }
    Ok(text)
}

/// Makes so many edits, each as soon as the policy would be one with it: a rule may jump only to a chain that is there.
fn in_any_order(
    mut text: String,
    count: usize,
    edit: impl Fn(&str, usize, &[usize]) -> Result<String, edit::EditError>,
) -> Result<String, Failure> {
    let mut left: Vec<usize> = (0..count).collect();
    let mut done: Vec<usize> = Vec::new();
    while !left.is_empty() {
        let mut last = None;
        let before = done.len();
        left.retain(|&nth| match edit(&text, nth, &done) {
            Ok(edited) => {
                text = edited;
                done.push(nth);
                false
            }
            Err(error) => {
                last = Some(error);
                true
            }
        });
        if let (Some(error), true) = (last, done.len() == before) {
            return Err(usage(error.to_string(), "print it without --write, and put it there by hand"));
        }
    }
    Ok(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by it")]
mod tests {
    use policy::{Allow, Firewall, Policy, Rule};

    use super::*;

    fn rule(chain: &str, words: &str) -> Rule {
        Rule { chain: chain.to_owned(), rule: words.to_owned(), ..Rule::default() }
    }

    #[test]
    fn what_is_imported_takes_the_place_of_the_entries_and_leaves_the_rest_of_the_file() {
        let text = "# mine\n[ssh]\nroot-login = false # keep\n\n[firewall]\nping = true # yes\n\n[[firewall.allow]]\nservice = \"http\"\n\n[[firewall.rule]]\nchain = \"input\"\nrule = \"-j old\"\n\n[[firewall.rule]]\nchain = \"old\"\nrule = \"-p tcp --dport 9 -j DROP\"\n";
        // A jump before the chain that it leads to, as iptables-save prints them.
        let firewall = Firewall {
            ping: false,
            rule: vec![
                rule("input", "-s 192.0.2.0/24 -j deeper"),
                rule("deeper", "-j last"),
                rule("last", "-j DROP"),
            ],
            allow: vec![Allow { service: vec!["https".to_owned()], ..Allow::default() }],
            ..Policy::default().firewall
        };
        let imported = firewall_import::iptables(
            &[],
            &firewall_import::Options { ssh_ports: &[22], can_load: &|_, _| Ok(()) },
        );
        let imported = Imported { firewall: firewall.clone(), ..imported };
        let path = Path::new("policy.toml");
        let once = merged(text, path, &imported).unwrap();
        assert!(
            once.starts_with("# mine\n[ssh]\nroot-login = false # keep\n\n[firewall]\nping = false # yes\n"),
            "{once}"
        );
        let mut read = policy::parse(&once, path).unwrap().firewall;
        read.rule.iter_mut().for_each(|rule| rule.line = 0);
        read.allow.iter_mut().for_each(|allow| allow.line = 0);
        assert_eq!(read, firewall, "{once}");
        assert_eq!(merged(&once, path, &imported).unwrap(), once);
    }
}
