//! The same configuration and connection asked of the real `sshd -T -C` and of this crate.
//!
//! `GABION_CONFORMANCE_CASES` sets the number of cases for each OpenSSH (2,000 unless told; CI asks 10,000),
//! `GABION_CONFORMANCE_SEED` the seed. Where no sshd can be had the tests say `SKIPPED`; where `CI=true` they fail.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stderr,
    unreachable_pub,
    reason = "a test: the original runs in a tree of its own under target/, and what was seen is told"
)]

mod support;

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use sshd_config::dump::Dump;
use sshd_config::{Configuration, Connection, Defaults, Root};

use support::generate::{Case, Generator};
use support::oracle::{Oracle, oracle};
use support::random::Random;

const PROBES: usize = 4;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

#[derive(Default)]
struct Tally {
    cases: AtomicUsize,
    accepted: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

/// Asks both sides and describes how they differ.
fn compare(
    oracle: &Oracle,
    ours: &Configuration,
    main: &str,
    connection: &Connection,
) -> (bool, Option<String>) {
    let theirs = oracle.ask(main, connection);
    let effective = ours.effective(connection);
    let refused =
        ours.problems().iter().filter(|p| p.is_fatal()).chain(effective.problems()).map(ToString::to_string);
    let refused: Vec<String> = refused.collect();
    match (theirs, refused.is_empty()) {
        (Err(_), false) => (false, None),
        // Whether a host name can be resolved no text tells.
        (Err(theirs), true) if theirs.contains("bad addr or host") => (false, None),
        (Err(theirs), true) => (false, Some(format!("sshd refuses, we do not: {}", theirs.trim()))),
        (Ok(_), false) => (true, Some(format!("we refuse, sshd does not: {}", refused.join("; ")))),
        (Ok(text), true) => {
            let dump = Dump::parse(&text);
            let mut differences: Vec<String> = dump
                .compare(&effective)
                .iter()
                .map(|d| format!("{}: sshd {:?}, we {:?}", d.keyword, d.dumped, d.computed))
                .collect();
            differences.extend(dump.unknown().iter().map(|line| format!("sshd prints {line:?}")));
            (true, (!differences.is_empty()).then(|| differences.join("\n")))
        }
    }
}

fn place(oracle: &Oracle, case: &Case, dir: &str) {
    let _ = fs::remove_dir_all(oracle.root.join(&dir[1..]));
    for (path, bytes) in &case.files {
        let path = oracle.root.join(path.strip_prefix("/").unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn describe(case: &Case, connection: &Connection, seed: u64, what: &str) -> String {
    let files = case
        .files
        .iter()
        .map(|(path, bytes)| format!("--- {}\n{:?}\n", path.display(), String::from_utf8_lossy(bytes)));
    let files = files.collect::<String>().replace("\\n", "\n");
    format!("seed {seed}, -C {}\n{what}\n{files}", connection.to_test_spec())
}

fn one_configuration(oracle: &Oracle, defaults: &Defaults, seed: u64, dir: &str, tally: &Tally) {
    let mut random = Random::new(seed);
    let mut generator = Generator::new(&mut random, oracle.version, dir);
    let case = generator.case();
    place(oracle, &case, dir);
    let ours = Configuration::load_with(&Root::new(&oracle.root), &case.main, defaults.clone());
    for _ in 0..PROBES {
        let connection = generator.connection();
        let (accepted, difference) = compare(oracle, &ours, &case.main, &connection);
        tally.cases.fetch_add(1, Ordering::Relaxed);
        tally.accepted.fetch_add(usize::from(accepted), Ordering::Relaxed);
        if let Some(what) = difference {
            tally.failures.lock().unwrap().push(describe(&case, &connection, seed, &what));
        }
        // What sshd refuses for one connection it mostly refuses for all.
        if !accepted {
            break;
        }
    }
}

fn conforms(suite: &'static str) {
    let Some(oracle) = oracle(suite) else { return };
    let wanted = usize::try_from(setting("GABION_CONFORMANCE_CASES", 2_000)).unwrap();
    let seed = setting("GABION_CONFORMANCE_SEED", 20_260_101);
    let defaults = oracle.defaults();
    let tally = Tally::default();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let dir = format!("/case/{}-{thread}", std::process::id());
            let (tally, next, defaults) = (&tally, &next, &defaults);
            scope.spawn(move || {
                while tally.cases.load(Ordering::Relaxed) < wanted {
                    let index = next.fetch_add(1, Ordering::Relaxed) as u64;
                    one_configuration(oracle, defaults, seed.wrapping_add(index), &dir, tally);
                }
                let _ = fs::remove_dir_all(oracle.root.join(&dir[1..]));
            });
        }
    });
    let failures = tally.failures.into_inner().unwrap();
    let (cases, accepted) = (tally.cases.into_inner(), tally.accepted.into_inner());
    eprintln!(
        "{} {}: seed {seed}, {cases} cases, {accepted} taken by sshd, {} differ",
        oracle.suite,
        oracle.version,
        failures.len()
    );
    for failure in failures.iter().take(usize::try_from(setting("GABION_CONFORMANCE_SHOW", 5)).unwrap()) {
        eprintln!("{failure}");
    }
    assert!(failures.is_empty(), "{} of {cases} cases differ", failures.len());
    assert!(accepted * 2 > cases, "too few cases are taken by sshd to mean much: {accepted} of {cases}");
}

#[test]
fn equal_to_sshd_of_bookworm() {
    conforms("bookworm");
}

#[test]
fn equal_to_sshd_of_trixie() {
    conforms("trixie");
}

#[test]
fn equal_to_sshd_of_sid() {
    conforms("sid");
}

#[test]
fn built_in_defaults_are_those_of_the_real_binaries() {
    for suite in ["bookworm", "trixie", "sid"] {
        let Some(oracle) = oracle(suite) else { continue };
        let ours = Configuration::load_with(
            &Root::new(&oracle.root),
            Path::new("/dev/null"),
            Defaults::for_version(oracle.version),
        );
        let mut dump = oracle.recorded_defaults();
        for kind in ["rsa", "ecdsa", "ed25519"] {
            dump += &format!("hostkey /etc/ssh/ssh_host_{kind}_key\n");
        }
        assert_eq!(Dump::parse(&dump).compare(&ours.effective(&Connection::default())), [], "{suite}");
    }
}
