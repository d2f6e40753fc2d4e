//! `gabion firewall compare`, `reach` and `shadowed`: what is asked of whole rulesets, over all packets.

use nf_tables::{Chain, ChainDump, Family, HookPoint, Policy, Table, TableDump};
use packet_filter::Hook;
use packet_filter::space::{self, TooIntricate, compare_rulesets, shadowed};
use report::rulesets::{Compared, Reached, Unused};

use crate::cli::{CompareFirewall, IpFamily, ReachFirewall, ReachHook, ShadowedFirewall};
use crate::context::{Context, need_root};
use crate::error::{Failure, usage};
use crate::exit::Exit;
use crate::rulesets::Rulesets;

/// Where a filter decides; address translation and marks are compared where they matter to it.
const FILTERS: [Hook; 3] = [Hook::Input, Hook::Forward, Hook::Output];

pub(super) fn run(context: &Context, options: &CompareFirewall) -> Result<Exit, Failure> {
    let (mut first, mut second) = (named(context, &options.first)?, named(context, &options.second)?);
    let alone = options.family.or_else(|| common_family(&first.tables, &second.tables));
    if let Some(family) = alone {
        let shut = shut(if family == IpFamily::Ipv4 { Family::Ip6 } else { Family::Ip });
        first.tables.push(shut.clone());
        second.tables.push(shut);
    }
    let hooks: &[Hook] = if options.all_hooks { &Hook::ALL } else { &FILTERS };
    let comparison = compare_rulesets(&first.tables, &second.tables, hooks).map_err(too_intricate)?;
    let compared = Compared {
        names: [&first.what, &second.what],
        comparison: &comparison,
        family: alone.map(|family| if family == IpFamily::Ipv4 { "IPv4" } else { "IPv6" }),
        doubts: [&first.unread, &second.unread],
    };
    let place = |nth: usize, rule: &packet_filter::RuleRef| {
        [&first, &second][nth].origin(rule).map(|(place, text)| (place, text.to_owned()))
    };
    if context.output.json {
        context.output.value(&report::rulesets::compared_json(&compared, &place));
    } else {
        context.output.text(&report::rulesets::compared(&compared, &place, context.output.view()));
    }
    Ok(if comparison.is_equal() { Exit::Clean } else { Exit::Findings })
}

pub(super) fn unused(context: &Context, options: &ShadowedFirewall) -> Result<Exit, Failure> {
    let rulesets = named(context, &options.ruleset)?;
    let found = shadowed(&rulesets.tables).map_err(too_intricate)?;
    let rules = rulesets.tables.iter().flat_map(|table| &table.chains).map(|chain| chain.rules.len()).sum();
    let unused = Unused { what: &rulesets.what, rules, found: &found, doubts: &rulesets.unread };
    let place =
        |rule: &packet_filter::RuleRef| rulesets.origin(rule).map(|(place, text)| (place, text.to_owned()));
    if context.output.json {
        context.output.value(&report::rulesets::unused_json(&unused, &place));
    } else {
        context.output.text(&report::rulesets::unused(&unused, &place, context.output.view()));
    }
    Ok(if found.is_empty() { Exit::Clean } else { Exit::Findings })
}

pub(super) fn reach(context: &Context, options: &ReachFirewall) -> Result<Exit, Failure> {
    let rulesets = named(context, &options.ruleset)?;
    let hook = match options.hook {
        ReachHook::Input => Hook::Input,
        ReachHook::Forward => Hook::Forward,
        ReachHook::Output => Hook::Output,
    };
    let rows = space::reach(&rulesets.tables, hook).map_err(too_intricate)?;
    let reached = Reached { what: &rulesets.what, hook, rows: &rows, doubts: &rulesets.unread };
    if context.output.json {
        context.output.value(&report::rulesets::reached_json(&reached));
    } else {
        context.output.text(&report::rulesets::reached(&reached, context.output.view()));
    }
    Ok(Exit::Clean)
}

/// The ruleset that a word names: `live`, `policy`, or a file (or two, one for each family, with a comma between).
pub(super) fn named(context: &Context, word: &str) -> Result<Rulesets, Failure> {
    match word {
        "live" => {
            need_root("firewall")?;
            Rulesets::live()
        }
        "policy" => Rulesets::policy(context),
        files => Rulesets::files(&files.split(',').map(Into::into).collect::<Vec<_>>()),
    }
}

/// The one family that both speak of, where one of them does not speak of the other.
fn common_family(first: &[TableDump], second: &[TableDump]) -> Option<IpFamily> {
    let speaks = |tables: &[TableDump], family: Family| {
        tables.iter().any(|table| matches!(table.table.family, Family::Inet) || table.table.family == family)
    };
    let both = |family| speaks(first, family) && speaks(second, family);
    match (both(Family::Ip), both(Family::Ip6)) {
        (true, false) => Some(IpFamily::Ipv4),
        (false, true) => Some(IpFamily::Ipv6),
        (true, true) | (false, false) => None,
    }
}

/// A table that drops a family everywhere: put beside both rulesets, it leaves the family out of the comparison.
fn shut(family: Family) -> TableDump {
    let mut dump = TableDump::new(Table::new(family, "left out"));
    let points = [
        HookPoint::Prerouting,
        HookPoint::Input,
        HookPoint::Forward,
        HookPoint::Output,
        HookPoint::Postrouting,
    ];
    for point in points {
        let chain = Chain::base(packet_filter::listing::point_name(point), point, i32::MIN, Policy::Drop);
        dump.chains.push(ChainDump { chain, rules: Vec::new() });
    }
    dump
}

pub(super) fn too_intricate(error: TooIntricate) -> Failure {
    usage(error.to_string(), "`gabion explain` answers for one packet at a time")
}
