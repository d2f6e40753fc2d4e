//! `gabion firewall`: one file a verb.

mod load;
mod show;

use crate::cli::FirewallVerb;
use crate::context::Context;
use crate::error::Failure;
use crate::exit::Exit;

pub(crate) fn run(context: &Context, verb: &FirewallVerb) -> Result<Exit, Failure> {
    match verb {
        FirewallVerb::Load => load::run(context),
        FirewallVerb::Show => show::run(context),
    }
}
