//! What holds for every rule and for any bytes.
//!
//! `IPTABLES_FUZZ_SECONDS=N` mutates dumps and rules for N seconds; the seed is printed, and `IPTABLES_FUZZ_SEED` repeats it.

mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use iptables_syntax::{Family, Mode, parse_command, parse_rule, parse_rules, parse_save};
use proptest::prelude::*;

const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];
const MODES: [Mode; 2] = [Mode::Strict, Mode::Lenient];

/// Everything that may be asked of any bytes; what parses must print equal, and its rules must print stable.
fn exercise(bytes: &[u8]) {
    for family in FAMILIES {
        for mode in MODES {
            match parse_save(bytes, family, mode) {
                Ok((save, _)) => {
                    assert!(save.to_bytes() == bytes, "not printed equal");
                    let _ = save.tables();
                    for line in save.rules() {
                        stable(&line.rule, family);
                    }
                }
                Err(error) => assert!(error.line() > 0 && error.column() > 0 && !error.message().is_empty()),
            }
            let text = String::from_utf8_lossy(bytes);
            for line in text.lines() {
                let _ = parse_rule(line, family, mode);
                let _ = parse_rules(line, family, mode);
                let _ = parse_command(line, family, mode);
            }
        }
    }
}

/// What a rule prints parses to a rule that prints the same.
fn stable(rule: &iptables_syntax::Rule, family: Family) {
    let printed = rule.to_string();
    let again = match parse_rule(&printed, family, Mode::Lenient) {
        Ok(again) => again,
        Err(error) => panic!("{printed}\n{error}"),
    };
    assert_eq!(again.to_string(), printed);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_generated_rule_is_the_same_after_printing((_, text) in support::rule(Family::Ipv4)) {
        round_trip(&text, Family::Ipv4);
    }

    #[test]
    fn a_generated_ipv6_rule_is_the_same_after_printing((_, text) in support::rule(Family::Ipv6)) {
        round_trip(&text, Family::Ipv6);
    }

    #[test]
    fn any_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        exercise(&bytes);
    }

    #[test]
    fn any_text_of_the_alphabet_of_rules_does_not_panic(text in "[-!a-zA-Z0-9:*/.,\"'\\\\ \n\\[\\]=+#|]{0,200}") {
        exercise(text.as_bytes());
    }
}

fn round_trip(text: &str, family: Family) {
    // A rule that is refused is refused for good: what a match needs was not generated.
    let Ok(rule) = parse_rule(text, family, Mode::Strict) else { return };
    let printed = rule.to_string();
    let again = parse_rule(&printed, family, Mode::Strict);
    assert_eq!(again.as_ref().map(ToString::to_string), Ok(printed.clone()), "{text}");
    assert_eq!(again, Ok(rule), "{text}\n{printed}");
}

/// The seeds of the fuzzer: the dumps, and lines of every extension.
fn corpus() -> Vec<Vec<u8>> {
    use proptest::strategy::ValueTree;
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dumps");
    let entries = fs::read_dir(directory).expect("the dumps are there");
    let mut corpus: Vec<_> = entries
        .flatten()
        .filter_map(|entry| fs::read(entry.path()).ok())
        .flat_map(|text| text.chunks(2000).map(<[u8]>::to_vec).collect::<Vec<_>>())
        .collect();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for family in FAMILIES {
        let strategy = support::rule(family);
        for _ in 0..300 {
            let (table, rule) = strategy.new_tree(&mut runner).expect("a rule").current();
            corpus.push(format!("*{table}\n:T - [0:0]\n-A T {rule}\nCOMMIT\n").into_bytes());
        }
    }
    corpus
}

/// xorshift64*: enough for this, and repeatable.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 16).unwrap_or(0) % limit.max(1)
    }
}

/// Bytes that mean something to the parser.
const TOKENS: &[&[u8]] = &[
    b"!",
    b" ",
    b"\"",
    b"\\",
    b"'",
    b"\n",
    b"-",
    b"--",
    b"=",
    b",",
    b":",
    b"/",
    b"[",
    b"]",
    b"0x",
    b"-1",
    b"4294967296",
    b"-m ",
    b"-j ",
    b"-p tcp ",
    b"-A X ",
    b"COMMIT\n",
    b"*nat\n",
    b":X - [0:0]\n",
    b"\xff",
    b"\xc3\xa9",
    b"\0",
    b"\t",
    b"-m u32 --u32 ",
    b"18446744073709551616",
    b"&&",
    b"@",
    b"<<",
    b"|",
    b"255.255.255.255/0",
    b"::/0",
    b"+",
    b"b/s",
    b"/day",
];

fn mutate(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len() + 1);
        match random.below(5) {
            0 => bytes.truncate(at),
            1 => {
                let token = TOKENS[random.below(TOKENS.len())];
                bytes.splice(at..at, token.iter().copied());
            }
            2 if at < bytes.len() => bytes[at] = random.next().to_le_bytes()[0],
            3 => {
                let end = (at + random.below(20)).min(bytes.len());
                bytes.drain(at..end);
            }
            _ => {
                let other = &corpus[random.below(corpus.len())];
                let start = random.below(other.len());
                let end = (start + random.below(80)).min(other.len());
                bytes.splice(at..at, other[start..end].iter().copied());
            }
        }
    }
    bytes
}

#[test]
fn mutated_rulesets_do_not_panic_and_what_parses_prints_equal() {
    let variable = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seed = variable("IPTABLES_FUZZ_SEED").unwrap_or(0x5eed_0001).max(1);
    let seconds = variable("IPTABLES_FUZZ_SECONDS");
    let corpus = corpus();
    let mut random = Random(seed);
    let start = Instant::now();
    let mut count = 0_u64;
    while seconds.map_or(count < 1_000, |seconds| start.elapsed() < Duration::from_secs(seconds)) {
        let input = mutate(&mut random, &corpus);
        let result = std::panic::catch_unwind(|| exercise(&input));
        assert!(result.is_ok(), "seed {seed}, input {count}: {:?}", String::from_utf8_lossy(&input));
        count += 1;
    }
    println!("seed {seed}: {count} inputs");
}
