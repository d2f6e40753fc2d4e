//! Real dumps of firewalls (`dumps/`, under a BSD licence of its own).

use std::fs;
use std::path::Path;

use iptables_syntax::{Family, Mode, Oddity, Save, parse_save};

fn dumps() -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dumps");
    let mut dumps: Vec<_> = fs::read_dir(directory)
        .expect("the dumps are there")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rules"))
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, fs::read(path).expect("a dump"))
        })
        .collect();
    dumps.sort();
    dumps
}

fn parse(name: &str, bytes: &[u8]) -> (Save, Vec<Oddity>) {
    match parse_save(bytes, Family::Ipv4, Mode::Lenient) {
        Ok(parsed) => parsed,
        Err(error) => panic!("{name}: {error}\n{}", error.source_line()),
    }
}

#[test]
fn every_real_dump_parses_and_prints_equal() {
    let dumps = dumps();
    assert_eq!(dumps.len(), 16);
    for (name, bytes) in dumps {
        let (save, oddities) = parse(&name, &bytes);
        assert!(save.to_bytes() == bytes, "{name} is printed otherwise");
        let commands = bytes.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"-A")).count();
        assert_eq!(save.rules().count(), commands, "{name}: a rule is lost");
        for oddity in oddities {
            println!("{name}: {oddity}");
        }
    }
}
