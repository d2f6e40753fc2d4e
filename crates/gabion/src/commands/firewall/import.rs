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
    let mut inserted = Vec::new();
    inserted.extend(firewall.rule.iter().cloned().map(Entry::Rule));
    inserted.extend(firewall.allow.iter().cloned().map(Entry::Allow));
    inserted.extend(firewall.forward.iter().cloned().map(Entry::Forward));
    let olds = [
        (Section::Rule, before.rule.len()),
        (Section::Allow, before.allow.len()),
        (Section::Forward, before.forward.len()),
    ];
    let mut ends = olds;
    for entry in &inserted {
        let end = ends.iter_mut().find(|(section, _)| *section == entry.section());
        let at = end.map_or(0, |(_, end)| std::mem::replace(end, *end + 1));
        text = edit::insert(&text, at, entry).map_err(failed)?;
    }
    for (section, count) in olds {
        for index in (0..count).rev() {
            text = edit::remove(&text, section, index).map_err(failed)?;
        }
    }
    Ok(text)
}
