//! What was imported, for people.

use std::fmt::Write as _;

use policy::Firewall;

use crate::ledger::Line;

/// The part `[firewall]` of a policy file.
#[must_use]
pub fn to_toml(firewall: &Firewall) -> String {
    policy::write::firewall_to_toml(firewall)
}

/// What became of each line, file by file.
#[must_use]
pub fn table(lines: &[Line]) -> String {
    let mut out = String::new();
    let mut file = "";
    let mut sorted: Vec<&Line> = lines.iter().collect();
    sorted.sort_by_key(|line| (&line.file, line.line));
    let width = sorted.iter().map(|line| line.line.to_string().len()).max().unwrap_or(1);
    for line in sorted {
        if line.file != file {
            file = &line.file;
            let _ = writeln!(out, "{file}");
        }
        let fates: Vec<String> = line.fates.iter().map(ToString::to_string).collect();
        let _ = writeln!(out, "{:>width$}  {}", line.line, line.text);
        let _ = writeln!(out, "{:>width$}    -> {}", "", fates.join("; "));
    }
    out
}
