//! `gabion firewall load` and `show`.

use std::path::Path;

use nf_tables::Connection;
use packet_filter::Compiled;

use crate::cli::FirewallVerb;
use crate::context::{Context, need_root};
use crate::error::{Failure, usage};
use crate::exit::Exit;

pub(crate) fn run(context: &Context, verb: &FirewallVerb) -> Result<Exit, Failure> {
    match verb {
        FirewallVerb::Load => load(context),
        FirewallVerb::Show => show(context),
    }
}

/// What the boot unit does: nothing is read but the saved ruleset, no name is resolved, no interface needs to be there.
fn load(context: &Context) -> Result<Exit, Failure> {
    need_root("firewall load")?;
    let path = Path::new(change::plan::SAVED_RULESET);
    let bytes = std::fs::read(path).map_err(|source| Failure::Read { path: path.to_owned(), source })?;
    let compiled: Compiled = serde_json::from_slice(&bytes).map_err(|error| Failure::Malformed {
        path: path.to_owned(),
        problem: format!("no saved ruleset: {error}"),
    })?;
    change::load_saved_firewall(&compiled)?;
    if context.output.json {
        context.output.value(&serde_json::json!({ "version": 1, "state": "loaded" }));
    }
    context.output.progress("The packet filter is loaded.");
    Ok(Exit::Clean)
}

fn show(context: &Context) -> Result<Exit, Failure> {
    need_root("firewall show")?;
    let kernel = |error: nf_tables::Error| Failure::Kernel(error.to_string());
    let ruleset = Connection::open().and_then(|mut connection| connection.dump_ruleset()).map_err(kernel)?;
    let own = ruleset.tables.iter().find(|table| table.table.name == packet_filter::DEFAULT_TABLE);
    let own = own.ok_or_else(|| {
        usage("there is no table of gabion's in the kernel", "`gabion plan` shows what would be loaded")
    })?;
    if context.output.json {
        context.output.value(own);
    } else {
        context.output.text(&packet_filter::text::table(own));
    }
    Ok(Exit::Clean)
}
