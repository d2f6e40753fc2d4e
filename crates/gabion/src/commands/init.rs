//! `gabion init`: a commented policy that fits this host.

use std::path::Path;

use host::Live;

use crate::cli;
use crate::context::{Context, collect, read_capped};
use crate::error::{Failure, usage};
use crate::exit::Exit;
use crate::import;
use crate::suggest::{Asked, suggest};

pub(crate) fn run(context: &Context, options: &cli::Init) -> Result<Exit, Failure> {
    let asked = Asked { names: options.admin.clone(), keys: read_keys(&options.key)? };
    let live = Live::open()?;
    let facts = collect(&live, None);
    let mut suggestion = suggest(&facts, &asked);
    import::adopt(&live, &facts, &mut suggestion);
    let text = policy::write::to_toml(&suggestion.policy, &suggestion.hints);
    // What is written must be readable: a name or key that was given on the command line is checked here.
    policy::parse(&text, &context.policy_file)?;
    for note in &suggestion.notes {
        context.output.note(note);
    }
    if options.print {
        if context.output.json {
            context.output.value(&serde_json::json!({
                "version": 1, "policy": suggestion.policy, "text": text, "notes": suggestion.notes,
            }));
        } else {
            context.output.text(&text);
        }
        return Ok(Exit::Clean);
    }
    let kept = change::policy_file::write(&context.policy_file, text.as_bytes(), options.force).map_err(|error| {
        usage(error.to_string(), "read it with `gabion policy check`, print the new one with `gabion init --print`, or use --force")
    })?;
    if context.output.json {
        context.output.value(&serde_json::json!({
            "version": 1, "policy-file": context.policy_file, "kept": kept, "policy": suggestion.policy,
            "notes": suggestion.notes,
        }));
        return Ok(Exit::Clean);
    }
    if let Some(kept) = kept {
        context.output.note(&format!("The old policy is kept as {}.", kept.display()));
    }
    context.output.text(&format!("wrote {}\n", context.policy_file.display()));
    context.output.note("Read it, then: gabion audit, gabion plan, gabion apply");
    Ok(Exit::Clean)
}

/// Bytes of a file of keys that are read at most.
const MOST_KEYS: u64 = 1 << 20;

/// Each `--key` is the key itself, or a file of keys.
fn read_keys(given: &[String]) -> Result<Vec<String>, Failure> {
    let mut keys = Vec::new();
    for word in given {
        if word.trim().contains(' ') {
            keys.push(word.trim().to_owned());
            continue;
        }
        let text = read_capped(Path::new(word), MOST_KEYS)
            .map_err(|source| Failure::Read { path: Path::new(word).to_owned(), source })?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        keys.extend(lines.map(str::to_owned));
    }
    Ok(keys)
}
