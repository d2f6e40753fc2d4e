//! Files that are made from the program, and the check that they are current.

use std::path::Path;

use crate::process::{cargo, read, root, show};

/// Write the files, or only compare them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Write,
    Check,
}

/// A generated file and what of `cargo run` prints it. The program holds the schema, and so it is made first.
const FILES: &[(&str, &[&str])] = &[
    (
        "docs/src/reference/policy.schema.json",
        &["--package", "policy", "--features", "schema", "--example", "schema"],
    ),
    ("docs/src/reference/controls.md", &["--package", "gabion", "--", "__reference", "controls"]),
];

/// How many rules of iptables' own test suite hold.
const CONFORMANCE: &str = "docs/src/reference/conformance.md";

pub(crate) fn run(mode: Mode) -> Result<(), String> {
    let mut stale = Vec::new();
    let mut current = 0;
    let mut settle = |path: &'static str, text: &str| -> Result<(), String> {
        if settle(&root().join(path), text, mode)? {
            current += 1;
        } else {
            stale.push(path);
        }
        Ok(())
    };
    for (path, arguments) in FILES {
        let text = read(cargo().args(["run", "--quiet"]).args(*arguments))?;
        settle(path, &text)?;
    }
    match conformance()? {
        Ok(page) => settle(CONFORMANCE, &page)?,
        Err(why) => println!("SKIPPED {CONFORMANCE}: {why}"),
    }
    if stale.is_empty() {
        println!("generated files: {current} current");
        return Ok(());
    }
    Err(format!("not current: {}; run `cargo xtask generate`", stale.join(", ")))
}

/// The page that the conformance test writes; the inner error where the source of iptables is not to be had.
fn conformance() -> Result<Result<String, String>, String> {
    let page = root().join("target/conformance.md");
    let _there_may_be_none = std::fs::remove_file(&page);
    let words = ["test", "--quiet", "--package", "iptables-syntax", "--test", "conformance"];
    let mut command = cargo();
    command.args(words).env("IPTABLES_CONFORMANCE_PAGE", &page);
    let output = command.output().map_err(|error| format!("{}: {error}", show(&command)))?;
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if let Some(why) = said.lines().find_map(|line| line.trim().strip_prefix("no source: ")) {
        return Ok(Err(why.to_owned()));
    }
    if !output.status.success() {
        return Err(format!("{}: {}\n{said}", show(&command), output.status));
    }
    std::fs::read_to_string(&page).map(Ok).map_err(|error| format!("{}: {error}", page.display()))
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
