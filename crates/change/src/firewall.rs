//! The packet filter as this crate needs it: kept, loaded, put back.

use nf_tables::{Connection, TableDump, TableId};
use packet_filter::Compiled;

use crate::error::{Error, Result};
use crate::iptables::{Save, SavedIptables, edit, with_ours};
use crate::program::Program;
use crate::root::Root;

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Firewall(error.to_string())
}

/// The kernel's generation id, which every change of any table raises.
pub(crate) fn generation() -> Result<u32> {
    Connection::open().and_then(|mut connection| connection.generation()).map_err(failed)
}

/// A table as the kernel has it, and the generation at which it had it; none where there is no such table.
pub(crate) fn dump(table: &TableId) -> Result<(u32, Option<TableDump>)> {
    let mut connection = Connection::open().map_err(failed)?;
    loop {
        let generation = connection.generation().map_err(failed)?;
        let dump = connection.dump_table(table).map_err(failed)?;
        if connection.generation().map_err(failed)? == generation {
            return Ok((generation, dump));
        }
    }
}

/// Loads a ruleset. With a generation, the kernel refuses if anyone has changed any table since.
pub(crate) fn load(ruleset: &Compiled, generation: Option<u32>) -> Result<()> {
    let mut connection = Connection::open().map_err(failed)?;
    packet_filter::load(&mut connection, ruleset, generation).map(drop).map_err(failed)
}

/// Puts a table back to what it was, or removes it where it was not there.
pub(crate) fn restore(table: &TableId, kept: Option<&TableDump>) -> Result<()> {
    let mut connection = Connection::open().map_err(failed)?;
    packet_filter::restore(&mut connection, table, kept, None).map(drop).map_err(failed)
}

/// Loads the ruleset that a transaction saved, at boot: whatever the kernel holds of ours is replaced in one batch.
///
/// # Errors
/// [`Error::Firewall`] with what the kernel says.
pub fn load_saved(ruleset: &Compiled) -> Result<()> {
    load(ruleset, None)
}

/// Loads the rules of iptables that a transaction saved, at boot: our own chains, and nobody else's are touched. Both
/// families are tested before the first is loaded.
///
/// # Errors
/// [`Error::Iptables`] where the text is none of ours, and what the host's programs say.
pub fn load_saved_iptables(text: &[u8]) -> Result<()> {
    let saved: SavedIptables =
        serde_json::from_slice(text).map_err(|error| Error::Iptables(error.to_string()))?;
    // Others may load theirs at the same moment.
    const ATTEMPTS: usize = 5;
    let root = Root::live()?;
    for _ in 0..ATTEMPTS {
        if load_iptables(&root, &saved)? == 0 {
            return Ok(());
        }
    }
    Ok(())
}

/// What loading the saved rules of iptables would change now, line by line as iptables-restore reads it, each with its
/// program; nothing where the kernel has them.
///
/// # Errors
/// The saved rules cannot be read, or the host's iptables-save does not answer.
pub fn iptables_drift(text: &[u8]) -> Result<Vec<String>> {
    let saved: SavedIptables =
        serde_json::from_slice(text).map_err(|error| Error::Iptables(error.to_string()))?;
    let root = Root::live()?;
    let mut lines = Vec::new();
    for (program, ipv6, text) in [("iptables", false, &saved.v4), ("ip6tables", true, &saved.v6)] {
        let question = Program::SaveIptables { variant: saved.variant, ipv6, counters: false };
        let now = Save::parse(&question.run(&root, None, b"")?.stdout).map_err(Error::Iptables)?;
        let ours = Save::parse(text).map_err(Error::Iptables)?;
        let needed = edit(&now, &with_ours(&now, Some(&ours))).unwrap_or_default();
        let changes = needed.lines().filter(|line| line.starts_with(['-', ':']));
        lines.extend(changes.map(|line| format!("{program} {line}")));
    }
    Ok(lines)
}

/// Loads what is not there yet; how many families that were.
fn load_iptables(root: &Root, saved: &SavedIptables) -> Result<usize> {
    let mut edits = Vec::new();
    for (ipv6, text) in [(false, &saved.v4), (true, &saved.v6)] {
        let program = Program::SaveIptables { variant: saved.variant, ipv6, counters: false };
        let now = Save::parse(&program.run(root, None, b"")?.stdout).map_err(Error::Iptables)?;
        let ours = Save::parse(text).map_err(Error::Iptables)?;
        edits.extend(edit(&now, &with_ours(&now, Some(&ours))).map(|text| (ipv6, text)));
    }
    for test in [true, false] {
        for (ipv6, text) in &edits {
            let (variant, ipv6) = (saved.variant, *ipv6);
            Program::RestoreIptables { variant, ipv6, test, noflush: true }.run(
                root,
                None,
                text.as_bytes(),
            )?;
        }
    }
    Ok(edits.len())
}
