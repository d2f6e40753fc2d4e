//! `gabion firewall show`: what the kernel runs, and whose it is.

use host::Live;
use report::firewall::{Ip, Shown};

use super::{dump, legacy};
use crate::cli::{IpFamily, ShowFirewall};
use crate::context::{Context, need_root};
use crate::error::{Failure, usage};
use crate::exit::Exit;

pub(super) fn run(context: &Context, options: &ShowFirewall) -> Result<Exit, Failure> {
    need_root("firewall show")?;
    let ruleset = dump()?;
    let legacy = legacy(&Live::open()?).unwrap_or_else(|why| {
        context.output.note(&format!("whether the legacy x_tables are in use is not known: {why}"));
        Vec::new()
    });
    let shown = Shown {
        tables: &ruleset.tables,
        legacy: &legacy,
        family: options.family.map(|family| match family {
            IpFamily::Ipv4 => Ip::V4,
            IpFamily::Ipv6 => Ip::V6,
        }),
        chain: options.chain.as_deref(),
        all: options.all,
    };
    if context.output.json {
        context.output.value(&report::firewall::json(&shown, ruleset.generation));
        return Ok(Exit::Clean);
    }
    let text = report::firewall::text(&shown, context.output.view());
    if text.is_empty() {
        let name = options.chain.as_deref().unwrap_or_default();
        return Err(usage(
            format!("no table has a chain {name:?}"),
            "`gabion firewall show --all` shows every chain",
        ));
    }
    context.output.text(&text);
    Ok(Exit::Clean)
}
