//! `gabion firewall export`: the policy's rules for hosts that this program does not run on.

use host::Live;
use packet_filter::{compile, iptables_save, nft_text};

use crate::cli::{ExportFirewall, ExportFormat};
use crate::context::{Context, Subject};
use crate::error::{Failure, usage};
use crate::exit::Exit;

pub(super) fn run(context: &Context, options: &ExportFirewall) -> Result<Exit, Failure> {
    let Subject { facts, policy, .. } = context.subject(&Live::open()?)?;
    let filter = controls::filter::filter_policy(&policy, &facts)
        .map_err(|error| usage(error.to_string(), "mend the policy: `gabion policy check`"))?;
    let text = match options.format {
        ExportFormat::Iptables => iptables_save(&filter).0,
        ExportFormat::Ip6tables => iptables_save(&filter).1,
        ExportFormat::Nft => nft_text(&compile(&filter)),
    };
    if context.output.json {
        context.output.value(&serde_json::json!({ "version": 1, "text": text }));
    } else {
        context.output.text(&text);
    }
    Ok(Exit::Clean)
}
