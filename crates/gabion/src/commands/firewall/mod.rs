//! `gabion firewall`: one file a verb.

mod load;
mod show;

use host::Fact;
use nf_tables::{Connection, Ruleset};
use report::firewall::Legacy;

use crate::cli::FirewallVerb;
use crate::context::Context;
use crate::error::Failure;
use crate::exit::Exit;

pub(crate) fn run(context: &Context, verb: &FirewallVerb) -> Result<Exit, Failure> {
    match verb {
        FirewallVerb::Load => load::run(context),
        FirewallVerb::Show(options) => show::run(context, options),
    }
}

/// What the kernel says of its packet filter, in the words of a failure.
#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
pub(super) fn kernel(error: nf_tables::Error) -> Failure {
    Failure::Kernel(error.to_string())
}

/// Every table of the kernel.
pub(super) fn dump() -> Result<Ruleset, Failure> {
    Connection::open().and_then(|mut connection| connection.dump_ruleset()).map_err(kernel)
}

/// The legacy `x_tables` that are in use, with their rules where the host's own program prints them.
///
/// # Errors
/// Why it is not known whether any are.
pub(super) fn legacy() -> Result<Vec<Legacy>, String> {
    let names = match host::legacy_tables() {
        Fact::Known(names) => names,
        Fact::Unknown(why) => return Err(why),
    };
    let of = |family: &'static str| -> Option<Legacy> {
        let tables: Vec<String> = names
            .iter()
            .filter_map(|name| name.strip_prefix(family)?.strip_prefix(' '))
            .map(str::to_owned)
            .collect();
        let program = if family == "ip" { "iptables-legacy-save" } else { "ip6tables-legacy-save" };
        let rules = || Err(format!("`{program}` prints them"));
        (!tables.is_empty()).then(|| Legacy { family, rules: rules(), tables })
    };
    Ok(["ip", "ip6"].into_iter().filter_map(of).collect())
}
