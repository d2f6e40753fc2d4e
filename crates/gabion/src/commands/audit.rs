//! `gabion audit`: what is wrong, what decides it, what mends it.

use std::path::Path;

use host::{Facts, Image, Live};

use crate::cli;
use crate::context::{Context, Subject, read_capped};
use crate::error::Failure;
use crate::exit::Exit;

pub(crate) fn run(context: &Context, options: &cli::Audit) -> Result<Exit, Failure> {
    let Subject { facts, policy, .. } = subject(context, options)?;
    let audit = controls::audit(&facts, &policy);
    if context.output.json {
        context.output.value(&report::audit::json(&audit, &facts));
    } else {
        let view = context.output.view();
        context.output.text(&report::audit::text(&audit, &facts, view));
    }
    Ok(if audit.is_clean() { Exit::Clean } else { Exit::Findings })
}

fn subject(context: &Context, options: &cli::Audit) -> Result<Subject, Failure> {
    match (&options.root, &options.facts) {
        (Some(root), _) => {
            let image = Image::open(root)
                .map_err(|error| Failure::Malformed { path: root.clone(), problem: error.to_string() })?;
            context.subject(&image)
        }
        (None, Some(file)) => context.with_facts(saved(file)?),
        (None, None) => context.subject(&Live::open()?),
    }
}

/// Bytes of saved facts that are read at most.
const MOST_FACTS: u64 = 256 << 20;

fn saved(file: &Path) -> Result<Facts, Failure> {
    let text =
        read_capped(file, MOST_FACTS).map_err(|source| Failure::Read { path: file.to_owned(), source })?;
    serde_json::from_slice(text.as_bytes()).map_err(|error| Failure::Malformed {
        path: file.to_owned(),
        problem: format!("no saved facts: {error}"),
    })
}
