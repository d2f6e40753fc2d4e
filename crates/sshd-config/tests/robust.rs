//! Whatever bytes a host holds, every question gets an answer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use sshd_config::edit::{drop_ins, insert_above_first_match, shadowed, stray};
use sshd_config::tree::File;
use sshd_config::{Configuration, Connection, Constraint, Defaults, Keyword, Version};

const MAIN: &str = "/etc/ssh/sshd_config";

/// Asks everything there is to ask.
fn ask(main: &[u8], other: &[u8], version: Version) {
    let files =
        BTreeMap::from([(PathBuf::from(MAIN), main.to_vec()), ("/etc/ssh/d/x.conf".into(), other.to_vec())]);
    let configuration = Configuration::load_with(&files, MAIN, Defaults::for_version(version));
    let connection = Connection::of("root", "10.1.2.3".parse().expect("an address"));
    let effective = configuration.effective(&connection);
    for (keyword, _) in effective.iter() {
        let _ = effective.lines(keyword);
    }
    let _ = effective.admits(&connection);
    for problem in configuration.problems() {
        assert!(!problem.to_string().is_empty());
    }
    let lines = |path: &Path| configuration.file(path).map_or(0, |file| file.lines().len());
    for stray in stray(&configuration) {
        assert!(stray.line.line <= lines(&stray.line.path));
    }
    for shadowed in shadowed(&configuration) {
        assert_ne!(shadowed.line, shadowed.by);
    }
    let _ = drop_ins(&configuration, Path::new("/etc/ssh/d/00-a.conf"));
    let _ = configuration.for_some_connection(Keyword::PermitRootLogin, &Constraint::any());
    let edited = insert_above_first_match(&File::parse(main), "PermitRootLogin no\n");
    assert!(edited.len() >= main.len());
}

/// Lines made of words that matter, so that most are understood and some are not.
fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("Match"),
        Just("all"),
        Just("User"),
        Just("Address"),
        Just("Group"),
        Just("Include"),
        Just("d/*.conf"),
        Just("/etc/ssh/sshd_config"),
        Just("PermitRootLogin"),
        Just("yes"),
        Just("no"),
        Just("AllowUsers"),
        Just("root@10.*,!x"),
        Just("Subsystem"),
        Just("Port"),
        Just("22"),
        Just("*,!a*"),
        Just("10.0.0.0/8"),
        Just("Ciphers"),
        Just("-*"),
        Just("RekeyLimit"),
        Just("1G"),
        Just("IPQoS"),
        Just("="),
        Just("\""),
        Just("'"),
        Just("#"),
        Just("\\"),
        Just("é\u{0}"),
        Just("\n"),
        Just("\n"),
    ];
    proptest::collection::vec(word, 0..60).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn likely_text_is_answered(main in text(), other in text(), old in any::<bool>()) {
        ask(main.as_bytes(), other.as_bytes(), if old { Version::new(9, 2) } else { Version::new(10, 6) });
    }

    #[test]
    fn any_bytes_are_answered(main in proptest::collection::vec(any::<u8>(), 0..300)) {
        ask(&main, &main, Version::new(10, 0));
    }
}
