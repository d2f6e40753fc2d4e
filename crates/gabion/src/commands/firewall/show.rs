//! `gabion firewall show`: what the kernel runs.

use nf_tables::Connection;

use crate::context::{Context, need_root};
use crate::error::{Failure, usage};
use crate::exit::Exit;

pub(super) fn run(context: &Context) -> Result<Exit, Failure> {
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
