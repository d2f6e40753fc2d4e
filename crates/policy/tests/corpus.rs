//! Whole policy files: those that hold, those that are odd, and those that do not, each with what is said of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

use std::fs;
use std::path::{Path, PathBuf};

use policy::{Parsed, PolicyError, parse_with_places};

/// Every file of `tests/<directory>`, as name and text.
fn corpus(directory: &str) -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(directory);
    let mut files: Vec<PathBuf> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no files in {}", directory.display());
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(path).unwrap())
    };
    files.into_iter().map(read).collect()
}

fn parse(text: &str) -> Result<Parsed, PolicyError> {
    parse_with_places(text, Path::new("policy.toml"))
}

/// Compares with `<directory>/<name>.snap`, which stands beside the policy.
fn expect(directory: &str, name: &str, rendered: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(directory);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, rendered));
}

#[test]
fn valid_policies_hold_without_a_word() {
    for (name, text) in corpus("valid") {
        let parsed = parse(&text).unwrap_or_else(|error| panic!("{name}:\n{error}"));
        assert_eq!(parsed.warnings, [], "{name}");
    }
}

#[test]
fn valid_policies_mean_what_stands_beside_them() {
    for (name, text) in corpus("valid") {
        let policy = parse(&text).unwrap().policy;
        expect("valid", &name, &serde_json::to_string_pretty(&policy).unwrap());
    }
}

#[test]
fn a_policy_passed_on_as_json_still_knows_its_lines() {
    let text = "[[firewall.allow]]\nservice = \"ssh\"\n\n[[firewall.allow]]\nservice = \"http\"\n";
    let policy = parse(text).unwrap().policy;
    assert_eq!(policy.firewall.allow[1].line, 4);
    let passed_on: policy::Policy = serde_json::from_str(&serde_json::to_string(&policy).unwrap()).unwrap();
    assert_eq!(passed_on, policy);
}

#[test]
fn no_policy_file_says_its_own_lines() {
    let error = parse("[[firewall.allow]]\nservice = \"ssh\"\nline = 7\n").unwrap_err();
    assert_eq!(error.problems[0].message, "unknown key `line` in [[firewall.allow]]");
}

#[test]
fn odd_policies_hold_with_a_warning_at_its_place() {
    for (name, text) in corpus("odd") {
        let parsed = parse(&text).unwrap_or_else(|error| panic!("{name}:\n{error}"));
        assert_ne!(parsed.warnings, [], "{name}");
        expect("odd", &name, &policy::render(Path::new("policy.toml"), &text, &parsed.warnings, false));
    }
}

#[test]
fn invalid_policies_say_where_they_err_and_what_was_meant() {
    for (name, text) in corpus("invalid") {
        let error = parse(&text).expect_err(&name);
        expect("invalid", &name, &error.render(false));
    }
}

#[test]
fn errors_as_json_carry_every_place() {
    for (name, text) in corpus("invalid") {
        let error = parse(&text).unwrap_err();
        let json = serde_json::to_value(&error).unwrap();
        assert_eq!(json["file"], "policy.toml");
        for problem in json["problems"].as_array().unwrap() {
            let line = problem["line"].as_u64().unwrap();
            assert!((1..=text.lines().count() as u64 + 1).contains(&line), "{name}: line {line}");
            assert!(problem["column"].as_u64().unwrap() >= 1, "{name}");
            assert!(!problem["message"].as_str().unwrap().is_empty(), "{name}");
        }
    }
}

#[test]
fn no_secret_pasted_by_mistake_is_shown_again() {
    let pasted = [
        ("private-key", "b3BlbnNzaC1rZXk"),
        ("private-key-unquoted", "b3BlbnNzaC1rZXk"),
        ("clear-password", "correct horse"),
    ];
    for (name, secret) in pasted {
        let text = fs::read_to_string(format!("{}/tests/invalid/{name}.toml", env!("CARGO_MANIFEST_DIR")));
        let error = parse(&text.unwrap()).unwrap_err();
        let json = serde_json::to_string(&error).unwrap();
        for shown in [error.render(false), error.render(true), error.to_string(), json] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[test]
fn control_characters_of_the_file_never_reach_the_terminal() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/invalid/hostile-text.toml"));
    let rendered = parse(&text.unwrap()).unwrap_err().render(false);
    assert!(!rendered.contains(|c: char| c.is_control() && c != '\n'), "{rendered:?}");
    assert!(!rendered.contains('\u{202e}'), "{rendered:?}");
}
