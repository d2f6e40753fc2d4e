//! Generated rules, loaded by the installed iptables in a network namespace of its own and printed by `iptables-save`.
//!
//! `IPTABLES_RULES=N` loads N rules of each family instead of 150.
#![allow(clippy::disallowed_methods, reason = "the original is asked in a namespace of its own")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test says how much it compared")]

mod support;

use std::io::Write;
use std::process::{Command, Stdio};

use iptables_syntax::{Family, Mode, parse_save};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// For each line `table rule`: what `iptables-save` prints of it, or `FAIL` and the reason.
const SCRIPT: &str = r#"
while IFS= read -r line; do
    table=${line%% *}
    rule=${line#* }
    if reason=$(printf '*%s\n:T - [0:0]\n:web - [0:0]\n-A T %s\nCOMMIT\n' "$table" "$rule" | $PROGRAM-restore 2>&1); then
        $PROGRAM-save -t "$table" | sed -n 's/^-A T/OK -A T/p'
    else
        printf 'FAIL %s\n' "$reason" | head -1
    fi
done
"#;

fn rules(family: Family, count: usize) -> Vec<(&'static str, String)> {
    let seed = match family {
        Family::Ipv4 => [4; 32],
        Family::Ipv6 => [6; 32],
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = support::rule(family);
    (0..count).map(|_| strategy.new_tree(&mut runner).expect("a rule").current()).collect()
}

/// One answer for each rule, or why nobody answers.
fn ask(program: &str, rules: &[(&str, String)]) -> Result<Vec<String>, String> {
    let mut child = Command::new("unshare")
        .args(["-n", "sh", "-c", SCRIPT])
        .env("PROGRAM", program)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut input = child.stdin.take().expect("a pipe");
    let text: String = rules.iter().map(|(table, rule)| format!("{table} {rule}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    writer.join().expect("the writer").map_err(|error| error.to_string())?;
    let answers: Vec<_> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    if answers.len() == rules.len() {
        Ok(answers)
    } else {
        Err(format!(
            "{} answers to {} rules: {}",
            answers.len(),
            rules.len(),
            String::from_utf8_lossy(&output.stderr)
        ))
    }
}

fn compare(program: &str, family: Family) {
    let count = std::env::var("IPTABLES_RULES").ok().and_then(|count| count.parse().ok()).unwrap_or(150);
    let mut all = vec![("filter", "-j ACCEPT".to_owned())];
    match ask(program, &all) {
        Ok(answers) if answers == ["OK -A T -j ACCEPT"] => {}
        other => {
            eprintln!("not run: {program} answers {other:?}");
            return;
        }
    }
    all.extend(rules(family, count));
    let answers = ask(program, &all).expect("the original answers");
    let (mut loaded, mut refused, mut wrong) = (0, 0, String::new());
    for ((table, rule), answer) in all.iter().zip(&answers) {
        let text = format!("*{table}\n:T - [0:0]\n:web - [0:0]\n-A T {rule}\nCOMMIT\n");
        let ours = parse_save(text.as_bytes(), family, Mode::Strict)
            .map(|(save, _)| save.rules().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
        match (answer.strip_prefix("OK "), ours) {
            (Some(theirs), Ok(ours)) if theirs == ours => loaded += 1,
            (Some(theirs), ours) => {
                wrong += &format!("{table} {rule}\n    original {theirs}\n    ours     {ours:?}\n");
            }
            (None, Err(_)) => refused += 1,
            (None, Ok(_)) => {
                wrong += &format!("{table} {rule}\n    original {answer}\n    ours     accepted\n");
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} rules\n{wrong}", wrong.lines().count() / 3, all.len());
    println!("{program}: {loaded} loaded and printed alike, {refused} refused by both");
    assert!(loaded * 10 > all.len() * 8, "only {loaded} rules were loaded");
}

#[test]
fn iptables_prints_generated_rules_as_this_crate_does() {
    compare("iptables-nft", Family::Ipv4);
}

#[test]
fn ip6tables_prints_generated_rules_as_this_crate_does() {
    compare("ip6tables-nft", Family::Ipv6);
}

#[test]
fn legacy_iptables_prints_generated_rules_as_this_crate_does() {
    compare("iptables-legacy", Family::Ipv4);
}

#[test]
fn legacy_ip6tables_prints_generated_rules_as_this_crate_does() {
    compare("ip6tables-legacy", Family::Ipv6);
}
