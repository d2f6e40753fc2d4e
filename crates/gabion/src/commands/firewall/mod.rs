//! `gabion firewall`: one file a verb.

mod compare;
mod edit;
mod export;
mod import;
mod load;
mod show;
mod status;
mod trace;
mod watch;

use host::facts::IptablesVariant;
use host::{Fact, Host as _, Live, Query};
use nf_tables::{Connection, Ruleset};
use report::firewall::Legacy;

use crate::cli::FirewallVerb;
use crate::context::Context;
use crate::error::Failure;
use crate::exit::Exit;

use self::edit::Edit;

pub(crate) fn run(context: &Context, verb: &FirewallVerb) -> Result<Exit, Failure> {
    match verb {
        FirewallVerb::Append(rule) => edit::run(context, Edit::Append(rule)),
        FirewallVerb::Insert(rule) => edit::run(context, Edit::Insert(rule)),
        FirewallVerb::Replace(rule) => edit::run(context, Edit::Replace(rule)),
        FirewallVerb::Delete(line) => edit::run(context, Edit::Delete(line)),
        FirewallVerb::Compare(options) => compare::run(context, options),
        FirewallVerb::Reach(options) => compare::reach(context, options),
        FirewallVerb::Shadowed(options) => compare::unused(context, options),
        FirewallVerb::Load => load::run(context),
        FirewallVerb::Show(options) => show::run(context, options),
        FirewallVerb::Status(options) => status::run(context, options),
        FirewallVerb::Trace(options) => trace::run(context, options),
        FirewallVerb::Import(options) => import::run(context, options),
        FirewallVerb::Export(options) => export::run(context, options),
    }
}

/// What the kernel says of its packet filter, in the words of a failure.
#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
pub(super) fn kernel(error: nf_tables::Error) -> Failure {
    Failure::Kernel(error.to_string())
}

/// Every table of the kernel.
pub(crate) fn dump() -> Result<Ruleset, Failure> {
    Connection::open().and_then(|mut connection| connection.dump_ruleset()).map_err(kernel)
}

/// The legacy `x_tables` that are in use, with their rules where the host's own program prints them.
///
/// # Errors
/// Why it is not known whether any are.
pub(crate) fn legacy(live: &Live) -> Result<Vec<Legacy>, String> {
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
        let variant = Some(IptablesVariant::Legacy);
        let rules = || match live.ask(&Query::IptablesSave { variant, ipv6: family == "ip6" }) {
            Ok(output) if output.success() => Ok(output.text()),
            Ok(output) => Err(output.complaint()),
            Err(error) => Err(error.to_string()),
        };
        (!tables.is_empty()).then(|| Legacy { family, rules: rules(), tables })
    };
    Ok(["ip", "ip6"].into_iter().filter_map(of).collect())
}

/// The legacy `x_tables` in use, as `ip filter`; none where that is not known.
pub(super) fn legacy_names() -> Vec<String> {
    host::legacy_tables().known().cloned().unwrap_or_default()
}
