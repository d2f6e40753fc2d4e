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

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use sshd_config::dump::Dump;
use sshd_config::{Configuration, Connection, Constraint, Defaults, Family, Keyword, Root, Version};

use support::generate::{Case, Generator};
use support::oracle::{Oracle, USERS, oracle};
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

/// Text that has misled readers of `sshd_config` before, ours or others.
const TRAPS: &[&str] = &[
    // The first line wins, in a drop-in too.
    "PermitRootLogin no\nPermitRootLogin yes\n",
    "Include /case/traps/d/*.conf\nPermitRootLogin no\n",
    "PermitRootLogin no\nInclude /case/traps/d/*.conf\n",
    // A block wins over the main part, and ends with its file.
    "PermitRootLogin no\nMatch Address 0.0.0.0/0\nPermitRootLogin yes\n",
    "Include /case/traps/blocks/*.conf\nX11Forwarding yes\nMatch User root\nX11Forwarding no\n",
    "Match User alice\nInclude /case/traps/blocks/*.conf\nPermitTTY no\n",
    "Match User root\nInclude /case/traps/blocks/*.conf\nPermitTTY no\n",
    "Match all\nPort 2222\nPermitRootLogin yes\nCiphers aes256-ctr\n",
    "PermitUserEnvironment yes\nMatch all\nPermitUserEnvironment FOO*\n",
    // Lists add up, but a block replaces them whole.
    "AllowUsers alice\nAllowUsers bob\nMatch User root\nAllowUsers root\n",
    "AcceptEnv A B\nAcceptEnv C\nMatch Group wheel\nAcceptEnv D\n",
    "Subsystem a /x\nSubsystem b /y\n",
    // The last line wins.
    "StreamLocalBindMask 0111\nStreamLocalBindMask 0222\nIPQoS af11\nIPQoS cs1\nMaxStartups 5\nMaxStartups 7:20:30\n",
    "UnusedConnectionTimeout 5\nUnusedConnectionTimeout none\n",
    // The whole rest of the line, its comment too.
    "ForceCommand \"a b\" c # d\nVersionAddendum x # y\n",
    "Match User root\nForceCommand none\nChrootDirectory NONE\nBanner None\n",
    // A quote that is never closed hides a line, or spoils it.
    "PermitRootLogin\"yes\nX11Forwarding yes\n",
    "PermitRootLogin 'yes\n",
    "=PermitRootLogin=yes\n= X11Forwarding yes\n\"PermitTTY\" no\n",
    "PermitRootLogin==yes\n",
    // Negation alone matches nothing.
    "Match User !alice\nPermitTTY no\n",
    "Match User *,!alice Address 10.0.0.0/8,!10.1.0.0/16\nPermitTTY no\n",
    "Match Group *,!staff\nPermitTTY no\n",
    "Match Host CLIENT.example.ORG\nPermitTTY no\n",
    "Match LocalPort 22 LocalAddress 10.0.0.0/8\nPermitTTY no\n",
    "Match User=root Address=10.1.2.3\nPermitTTY no\n",
    "Match User = root\nPermitTTY no\n",
    "Match All\nPermitTTY no\nMatch User root all\nPermitTTY yes\n",
    // What sshd refuses.
    "Match User root\nPort 22\n",
    "Match Address 10.0.0.1/8\nPermitTTY no\n",
    "Colour red\n",
    "AuthorizedKeysCommand /x\n",
    "PubkeyAuthentication no\nAuthenticationMethods publickey\n",
    "AuthenticationMethods publickey\nMatch User root\nAuthenticationMethods any\n",
    "AddressFamily inet\nListenAddress ::1\n",
    "Ciphers aes*\n",
    "HostKeyAlgorithms -*\nMatch User root\nPubkeyAcceptedAlgorithms -*\n",
    "Include\n",
    "Include /case/traps/self/*.conf\n",
    "Port 22 # a comment\nPort 2222 extra\n",
    // Names of old.
    "ChallengeResponseAuthentication no\nPubkeyAcceptedKeyTypes ssh-ed25519\nUseLogin yes\nRSAAuthentication yes\n",
    "Match User root\nUseLogin yes\n",
    "Match User root\nDSAAuthentication no\n",
];

#[test]
fn traps_are_answered_as_sshd_does() {
    let extra = [
        ("/case/traps/d/50-cloud.conf", "PermitRootLogin yes\n"),
        (
            "/case/traps/blocks/a.conf",
            "MaxSessions 3\nMatch User root\nMaxAuthTries 2\nMatch Group wheel\nMaxAuthTries 4\n",
        ),
        ("/case/traps/self/x.conf", "Include /case/traps/self/*.conf\n"),
    ];
    for suite in ["bookworm", "trixie", "sid"] {
        let Some(oracle) = oracle(suite) else { continue };
        for trap in TRAPS {
            let main = "/case/traps/sshd_config".to_owned();
            let mut files: BTreeMap<_, _> =
                extra.iter().map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec())).collect();
            files.insert(main.clone().into(), format!("HostKey /etc/ssh/key\n{trap}").into_bytes());
            let case = Case { main, files };
            place(oracle, &case, "/case/traps");
            let ours = Configuration::load_with(&Root::new(&oracle.root), &case.main, oracle.defaults());
            for (user, groups) in USERS {
                let mut connection = Connection::of(user, "10.1.2.3".parse().unwrap());
                connection.groups = groups.iter().map(|group| (*group).to_owned()).collect();
                connection.host = Some("client.example.org".to_owned());
                connection.local_address = Some("10.9.9.9".parse().unwrap());
                connection.local_port = Some(22);
                let (_, difference) = compare(oracle, &ours, &case.main, &connection);
                assert_eq!(difference, None, "{suite}, user {user}:\n{trap}");
            }
        }
    }
}

#[test]
fn supported_algorithms_are_those_of_the_real_binaries() {
    let kinds = [
        ("cipher", Family::Cipher),
        ("mac", Family::Mac),
        ("kex", Family::Kex),
        ("HostKeyAlgorithms", Family::Key),
        ("sig", Family::Signature),
    ];
    for suite in ["bookworm", "trixie", "sid"] {
        let Some(oracle) = oracle(suite) else { continue };
        for (query, family) in kinds {
            let printed = oracle.run(&["/usr/bin/ssh", "-Q", query]).stdout;
            let printed = String::from_utf8(printed).unwrap();
            let ours = Defaults::for_version(oracle.version).algorithms(family).to_vec();
            assert_eq!(ours, printed.lines().collect::<Vec<_>>(), "{suite} {query}");
        }
    }
}

/// Every answer for a connection is among the answers for some connection.
#[test]
fn no_answer_is_missing_from_those_for_some_connection() {
    let keywords =
        [Keyword::PermitRootLogin, Keyword::PasswordAuthentication, Keyword::AllowUsers, Keyword::Banner];
    let (mut certain, mut asked) = (0, 0);
    for seed in 0..3_000 {
        let mut random = Random::new(seed);
        let mut generator = Generator::new(&mut random, Version::new(10, 0), "/case/any");
        generator.favour(&keywords);
        let case = generator.case();
        let configuration =
            Configuration::load_with(&case.files, &case.main, Defaults::for_version(Version::new(10, 0)));
        let resolves = configuration.at_start().is_yes(Keyword::UseDns);
        for keyword in keywords {
            let found = configuration.for_some_connection(keyword, &Constraint::any());
            for possibility in found.iter().filter(|possibility| possibility.certain) {
                let again = configuration.effective(&possibility.witness);
                assert_eq!(
                    again.get(keyword),
                    *possibility.setting(),
                    "seed {seed}: {}",
                    possibility.witness
                );
            }
            let exact = found.iter().all(|possibility| possibility.certain);
            for _ in 0..PROBES {
                let mut connection = generator.connection();
                if !resolves {
                    connection.host = connection.address.map(|address| address.to_string());
                }
                if connection.invalid_user {
                    connection.groups.clear();
                }
                let setting = configuration.effective(&connection).get(keyword);
                let known = found.iter().any(|possibility| *possibility.setting() == setting);
                assert!(
                    known || !exact,
                    "seed {seed}: {keyword} {:?} for {connection}: {found:?}",
                    setting.text()
                );
                asked += 1;
                certain += usize::from(known);
            }
        }
    }
    assert!(certain * 1000 >= asked * 999, "{certain} of {asked}");
}
