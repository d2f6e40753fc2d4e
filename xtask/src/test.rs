//! Runs every test and ends with a plain count. A test that prints `SKIPPED:` counts as skipped, never as passed.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::process::{cargo, root, show};
use crate::setup;

/// What one run of the test programs came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    passed: usize,
    failed: Vec<String>,
    skipped: Vec<(String, String)>,
}

pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    let fast = words.contains(&"--fast");
    let filter: Vec<&str> = words.iter().copied().filter(|word| *word != "--fast").collect();
    setup::packages()?;
    let mut count = Count::default();
    let mut command = cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]);
    if fast {
        command.args(["--lib", "--bins", "--examples"]);
    }
    command.arg("--").arg("--show-output").args(&filter);
    let finished = watch(command, &mut count)?;
    for (test, reason) in &count.skipped {
        println!("SKIPPED {test}: {reason}");
    }
    for test in &count.failed {
        println!("FAILED {test}");
    }
    // The plain closing line.
    println!("{} passed, {} failed, {} skipped", count.passed, count.failed.len(), count.skipped.len());
    if finished && count.failed.is_empty() { Ok(()) } else { Err("the tests failed".to_owned()) }
}

/// Runs the tests, shows what a person wants to see of it, and counts.
fn watch(mut command: Command, count: &mut Count) -> Result<bool, String> {
    let shown = show(&command);
    let mut child = command
        .current_dir(root())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{shown}: {error}"))?;
    let stdout = child.stdout.take().expect("the output is piped");
    let mut reader = Reader::default();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.map_err(|error| format!("{shown}: {error}"))?;
        let line = String::from_utf8_lossy(&line);
        if reader.take(&line, count) {
            println!("{line}");
        }
    }
    let status = child.wait().map_err(|error| format!("{shown}: {error}"))?;
    Ok(status.success())
}

/// Reads the output of libtest, one line at a time.
#[derive(Debug, Default)]
struct Reader {
    /// The test whose captured output is being shown.
    section: Option<Section>,
    /// The sections that follow are of tests that failed.
    failures: bool,
}

#[derive(Debug)]
struct Section {
    test: String,
    skipped: bool,
}

impl Reader {
    /// Takes a line into account; says whether a person wants to see it.
    fn take(&mut self, line: &str, count: &mut Count) -> bool {
        if let Some((name, outcome)) = line.strip_prefix("test ").and_then(|rest| rest.rsplit_once(" ... ")) {
            // What is ignored is a benchmark, which is started by name: neither passed nor skipped.
            match outcome {
                "ok" => count.passed += 1,
                "FAILED" => count.failed.push(name.trim_end_matches(" - should panic").to_owned()),
                _ => {}
            }
            return true;
        }
        if line == "successes:" || line == "failures:" {
            self.failures = line == "failures:";
            self.section = None;
        } else if let Some(name) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" ----")) {
            self.section =
                Some(Section { test: name.trim_end_matches(" stdout").to_owned(), skipped: false });
        } else if line.starts_with("test result:") {
            self.section = None;
            return true;
        } else if let Some(reason) = line.strip_prefix("SKIPPED:") {
            self.skip(reason.trim(), count);
        }
        self.failures || line.starts_with("MEASURED:")
    }

    /// A passing test that says that it skipped did not pass.
    fn skip(&mut self, reason: &str, count: &mut Count) {
        if self.failures {
            return;
        }
        if let Some(section) = self.section.as_mut().filter(|section| !section.skipped) {
            section.skipped = true;
            count.skipped.push((section.test.clone(), reason.to_owned()));
            count.passed = count.passed.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Count, Reader};

    fn read(text: &str) -> Count {
        let (mut reader, mut count) = (Reader::default(), Count::default());
        for line in text.lines() {
            reader.take(line, &mut count);
        }
        count
    }

    #[test]
    fn a_test_that_says_skipped_does_not_count_as_passed() {
        let count = read(
            "running 2 tests\ntest a ... ok\ntest b ... ok\n\nsuccesses:\n\n---- b stdout ----\nSKIPPED: nft is missing\n\n\nsuccesses:\n    a\n    b\n\ntest result: ok. 2 passed",
        );
        assert_eq!(count.passed, 1);
        assert_eq!(count.skipped, [("b".to_owned(), "nft is missing".to_owned())]);
        assert!(count.failed.is_empty());
    }

    #[test]
    fn a_failure_counts_as_failed_once() {
        let count = read(
            "test a ... FAILED\n\nfailures:\n\n---- a stdout ----\nSKIPPED: nft is missing\nthread panicked\n\nfailures:\n    a\n",
        );
        assert_eq!((count.passed, count.failed.len(), count.skipped.len()), (0, 1, 0));
    }

    #[test]
    fn doc_tests_are_counted() {
        assert_eq!(read("test crates/x/src/lib.rs - (line 5) ... ok").passed, 1);
    }
}
