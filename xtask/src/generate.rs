//! Files that are made from the program, and the check that they are current.

use std::path::Path;

use crate::process::{cargo, read, root};

/// Write the files, or only compare them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Write,
    Check,
}

/// A generated file and the arguments of `gabion` that print it.
const FILES: &[(&str, &[&str])] = &[
    ("docs/src/reference/policy.schema.json", &["policy", "schema"]),
    ("docs/src/reference/controls.md", &["__reference", "controls"]),
];

pub(crate) fn run(mode: Mode) -> Result<(), String> {
    let mut stale = Vec::new();
    for (path, arguments) in FILES {
        let text = read(cargo().args(["run", "--quiet", "--package", "gabion", "--"]).args(*arguments))?;
        if !settle(&root().join(path), &text, mode)? {
            stale.push(*path);
        }
    }
    if stale.is_empty() {
        println!("generated files: {} current", FILES.len());
        return Ok(());
    }
    Err(format!("not current: {}; run `cargo xtask generate`", stale.join(", ")))
}

/// Brings a file up to date, or says whether it is.
fn settle(path: &Path, text: &str, mode: Mode) -> Result<bool, String> {
    let same = std::fs::read_to_string(path).is_ok_and(|now| now == text);
    if same || mode == Mode::Check {
        return Ok(same);
    }
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("wrote {}", path.display());
    Ok(true)
}
