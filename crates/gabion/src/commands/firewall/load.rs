//! `gabion firewall load`: what the boot unit does.

use std::path::Path;

use packet_filter::Compiled;

use crate::context::{Context, need_root};
use crate::error::Failure;
use crate::exit::Exit;

/// Nothing is read but the saved ruleset, no name is resolved, no interface needs to be there.
pub(super) fn run(context: &Context) -> Result<Exit, Failure> {
    need_root("firewall load")?;
    let path = Path::new(change::plan::SAVED_RULESET);
    match std::fs::read(change::plan::SAVED_IPTABLES) {
        Ok(rules) => change::load_saved_iptables(&rules)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => load_ruleset(path)?,
        Err(source) => {
            return Err(Failure::Read { path: change::plan::SAVED_IPTABLES.into(), source });
        }
    }
    if context.output.json {
        context.output.value(&serde_json::json!({ "version": 1, "state": "loaded" }));
    }
    context.output.progress("The packet filter is loaded.");
    Ok(Exit::Clean)
}

fn load_ruleset(path: &Path) -> Result<(), Failure> {
    let bytes = std::fs::read(path).map_err(|source| Failure::Read { path: path.to_owned(), source })?;
    let compiled: Compiled = serde_json::from_slice(&bytes).map_err(|error| Failure::Malformed {
        path: path.to_owned(),
        problem: format!("no saved ruleset: {error}"),
    })?;
    Ok(change::load_saved_firewall(&compiled)?)
}
