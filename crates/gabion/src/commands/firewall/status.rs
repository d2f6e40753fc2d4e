//! `gabion firewall status`: whether what the kernel runs is what was applied last. It reads the kernel, not a file.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use change::action::Action;
use change::firewall_state::{self, Applied, Scene};
use change::{Past, Root, State};
use controls::drift::{BOOT_LINKS, Drift, Kind, Seen, drift, drift_beside_iptables, effects_of_others};
use host::{Fact, Host, Live};
use nf_tables::monitor::Monitor;
use nf_tables::{Connection, TableDump};
use packet_filter::{Compiled, compare};
use report::firewall_status::{Check, Status};

use super::{dump, kernel, watch};
use crate::cli;
use crate::context::{Context, need_root};
use crate::error::Failure;
use crate::exit::Exit;

/// What the boot unit starts.
const PROGRAM: &str = "/usr/local/sbin/gabion";

pub(super) fn run(context: &Context, options: &cli::FirewallStatus) -> Result<Exit, Failure> {
    need_root("firewall status")?;
    if options.keep {
        return keep(context);
    }
    // Before the first look, so that nothing changes unheard between the two.
    let mut monitor = if options.watch { Some(Monitor::open().map_err(kernel)?) } else { None };
    let status = look()?;
    tell(context, &status);
    match &mut monitor {
        None => Ok(if status.as_applied { Exit::Clean } else { Exit::Findings }),
        Some(monitor) => follow(context, monitor),
    }
}

fn tell(context: &Context, status: &Status) {
    if context.output.json {
        context.output.value(status);
    } else {
        context.output.text(&report::firewall_status::text(status, context.output.view()));
    }
}

/// Stays, and tells each commit with who made it, and what the status is after it.
fn follow(context: &Context, monitor: &mut Monitor) -> Result<Exit, Failure> {
    context.output.progress("Watching. (Ctrl-C ends it.)");
    loop {
        let commits = monitor.wait(Duration::from_secs(3600)).map_err(kernel)?;
        if commits.is_empty() {
            continue;
        }
        commits.iter().for_each(|commit| watch::tell(context, commit));
        tell(context, &look()?);
    }
}

/// Takes what others do now as known.
fn keep(context: &Context) -> Result<Exit, Failure> {
    let effects = effects_of_others(&dump()?.tables);
    firewall_state::keep_known_effects(&effects)?;
    if context.output.json {
        context.output.value(&serde_json::json!({ "version": 1, "known": effects }));
    } else if effects.is_empty() {
        context.output.text("Nobody else does anything to packets.\n");
    } else {
        let lines: String = effects.iter().map(|effect| format!("known: {effect}\n")).collect();
        context.output.text(&report::safe::block(&lines));
    }
    Ok(Exit::Clean)
}

/// Compares the kernel with what was applied. The tables are read only where their generation has moved since they were
/// last found as applied; all else is looked at every time.
fn look() -> Result<Status, Failure> {
    let begun = Instant::now();
    let scene = Scene::now();
    let checked = firewall_state::checked(&scene);
    let mut connection = Connection::open().map_err(kernel)?;
    let asked = Instant::now();
    let generation = connection.generation().map_err(kernel)?;
    let unmoved = checked.filter(|checked| checked.generation == generation);
    let generation_us = micros(asked);
    let is_unmoved = unmoved.is_some();
    let tables = match unmoved {
        Some(checked) => Tables { generation, applied: Some(checked.applied), drift: Vec::new() },
        None => read(&mut connection, scene)?,
    };
    let mut drift = tables.drift;
    // A host whose own rules stand among the legacy ones has been told of those.
    let with_iptables = Path::new(change::plan::SAVED_IPTABLES).exists();
    beside_the_tables(&mut drift, &Live::open()?, with_iptables);
    let as_applied = drift.is_empty() && tables.applied.is_some();
    let generation = Some(tables.generation);
    let check = Check { generation, unmoved: is_unmoved, generation_us, total_us: micros(begun) };
    Ok(Status { version: report::VERSION, as_applied, applied: tables.applied, drift, check })
}

/// What the kernel's tables say.
struct Tables {
    generation: u32,
    applied: Option<Applied>,
    drift: Vec<Drift>,
}

/// Reads the tables whole, and keeps that they are as applied where they are.
fn read(connection: &mut Connection, scene: Scene) -> Result<Tables, Failure> {
    let mut drift = Vec::new();
    let ruleset = connection.dump_ruleset().map_err(kernel)?;
    if let Ok(rules) = std::fs::read(change::plan::SAVED_IPTABLES) {
        let applied = beside_others(&mut drift, &ruleset.tables, &rules)?;
        // Rules of iptables may have no generation: they are read every time.
        firewall_state::forget_checked();
        return Ok(Tables { generation: ruleset.generation, applied: Some(applied), drift });
    }
    let applied = compared(&mut drift, &ruleset.tables)?;
    match &applied {
        Some(applied) if drift.is_empty() => {
            // Only the time that the next look takes depends on it.
            let _kept = firewall_state::keep_checked(scene, ruleset.generation, applied.clone());
        }
        Some(_) | None => firewall_state::forget_checked(),
    }
    Ok(Tables { generation: ruleset.generation, applied, drift })
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Our rules among those of iptables, on a host that loads them so.
fn beside_others(found: &mut Vec<Drift>, tables: &[TableDump], rules: &[u8]) -> Result<Applied, Failure> {
    match change::iptables_drift(rules) {
        Ok(lines) if lines.is_empty() => {}
        Ok(lines) => {
            let what = "our rules of iptables are not as they were applied; to have them again would take";
            found.push(Drift::new(Kind::IptablesChanged, what, lines));
        }
        Err(error) => {
            let what = "whether iptables has our rules is not known";
            found.push(Drift::new(Kind::Unknown, what, [error.to_string()]));
        }
    }
    let known = known(found);
    found.extend(drift_beside_iptables(tables, &known));
    Ok(newest(|action| matches!(action, Action::EditIptables { .. }).then_some(()))?
        .map_or_else(Applied::default, |(applied, ())| applied))
}

fn known(found: &mut Vec<Drift>) -> BTreeSet<String> {
    firewall_state::known_effects().unwrap_or_else(|error| {
        let what = "what others are known to do could not be read";
        found.push(Drift::new(Kind::Unknown, what, [error.to_string()]));
        BTreeSet::new()
    })
}

/// The tables beside the ruleset that was applied; gives who applied it, where anybody did.
fn compared(found: &mut Vec<Drift>, tables: &[TableDump]) -> Result<Option<Applied>, Failure> {
    let known = known(found);
    let (journalled, saved) = (journalled()?, saved());
    let (applied, ruleset) = match (journalled, saved) {
        (Some((applied, journalled)), Ok(saved)) => {
            let differences = compare(Some(journalled.table()), Some(saved.table()));
            if !differences.is_empty() {
                let what = "the saved ruleset, which the next boot loads, is not the one that was applied";
                found.push(Drift::new(Kind::Saved, what, differences.iter().map(ToString::to_string)));
            }
            (applied, journalled)
        }
        (Some((applied, journalled)), Err(why)) => {
            found.push(Drift::new(
                Kind::Saved,
                "the saved ruleset, which the next boot loads, is gone",
                [why],
            ));
            (applied, journalled)
        }
        (None, Ok(saved)) => (Applied::default(), saved),
        (None, Err(why)) => {
            found.push(Drift::new(Kind::Saved, "no ruleset was ever applied here", [why]));
            return Ok(None);
        }
    };
    found.extend(drift(&Seen { applied: ruleset.table(), tables, known: &known }));
    Ok(Some(applied))
}

/// The newest transaction in force that loaded a ruleset.
fn journalled() -> Result<Option<(Applied, Compiled)>, Failure> {
    newest(|action| match action {
        Action::LoadFirewall { ruleset, .. } => Some(*ruleset),
        _ => None,
    })
}

/// The newest transaction in force that holds such an action, and what is asked of that.
fn newest<T>(of: impl Fn(Action) -> Option<T>) -> Result<Option<(Applied, T)>, Failure> {
    let root = Root::live()?;
    let past = change::history(&root)?;
    for past in past.into_iter().rev().filter(in_force) {
        let Ok(plan) = change::plan_of(&root, &past.id) else { continue };
        let found = plan.steps.into_iter().find_map(|step| of(step.action));
        if let Some(found) = found {
            let applied = Applied {
                transaction: Some(past.id.to_string()),
                at: past.began.map(|moment| moment.wall),
                by: Some(past.about.who).filter(|who| !who.is_empty()),
            };
            return Ok(Some((applied, found)));
        }
    }
    Ok(None)
}

fn in_force(past: &Past) -> bool {
    match past.state {
        State::Applying | State::Pending { .. } | State::Confirmed { .. } => true,
        State::Undoing { .. } | State::RolledBack { .. } | State::RollbackFailed | State::Damaged => false,
    }
}

fn saved() -> Result<Compiled, String> {
    let path = change::plan::SAVED_RULESET;
    let bytes = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("{path}: {error}"))
}

/// What counts and has no generation: the legacy tables, and what loads ours at boot.
fn beside_the_tables(found: &mut Vec<Drift>, live: &Live, with_iptables: bool) {
    match host::legacy_tables() {
        Fact::Known(tables) if tables.is_empty() || with_iptables => {}
        Fact::Known(tables) => {
            let what =
                "rules of the legacy x_tables are in use, which run beside ours and can refuse packets";
            found.push(Drift::new(Kind::Legacy, what, [tables.join(", ")]));
        }
        Fact::Unknown(why) => {
            let what = "whether the legacy x_tables are in use is not known";
            found.push(Drift::new(Kind::Unknown, what, [why]));
        }
    }
    let is_file = |path: &Path| {
        let real = live.resolve(path);
        real.and_then(|path| live.metadata(&path)).ok().filter(|found| found.kind == host::Kind::File)
    };
    if !BOOT_LINKS.iter().any(|link| is_file(Path::new(link)).is_some()) {
        let what = "nothing loads the ruleset at boot: neither gabion-firewall.service nor an init script is enabled";
        found.push(Drift::new(
            Kind::Boot,
            what,
            BOOT_LINKS.iter().map(|link| format!("{link} leads to no file")),
        ));
    }
    if is_file(Path::new(PROGRAM)).is_none_or(|found| found.mode & 0o100 == 0) {
        let what = "the program that loads the ruleset at boot is missing";
        found.push(Drift::new(Kind::Program, what, [PROGRAM.to_owned()]));
    }
}
