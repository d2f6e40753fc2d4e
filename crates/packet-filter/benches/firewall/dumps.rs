//! Real dumps of other people's firewalls: reading them, and questions about all packets.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use iptables_syntax::{Family, Mode, parse_save};
use packet_filter::Hook;
use packet_filter::iptables::translate;
use packet_filter::space::{compare_rulesets, shadowed};

use crate::Failed;
use crate::net::{has, least, median, must, read};
use crate::table::{Table, Target, Value};

/// Rules of a dump, up to which questions must be answered at once.
const MOST_RULES: usize = 600;
const AT_ONCE: Duration = Duration::from_millis(10);
const ROUNDS: usize = 9;
/// Rules that are read at once to see how many that are a second.
const RULES: usize = 50_000;

pub(crate) fn measure(table: &mut Table) -> Result<(), Failed> {
    let dumps = dumps()?;
    parser(table, &dumps)?;
    let (mut slowest, mut compared) = ([Duration::ZERO; 2], 0);
    for dump in &dumps {
        let (save, _) = parse_save(&std::fs::read(dump)?, Family::Ipv4, Mode::Lenient)?;
        let tables = translate(Some(&save), None).tables;
        let rules: usize = save.rules().count();
        let equal =
            compare_rulesets(&tables, &tables, &Hook::ALL).is_ok_and(|comparison| comparison.is_equal());
        let is_printed = save.to_string().as_bytes() == std::fs::read(dump)?;
        compared += usize::from(equal && is_printed && rules > 0);
        if rules <= MOST_RULES {
            let compare = least(ROUNDS, || {
                compare_rulesets(&tables, &tables, &Hook::ALL)
                    .map(drop)
                    .map_err(|error| error.to_string().into())
            })?;
            let shadow =
                least(ROUNDS, || shadowed(&tables).map(drop).map_err(|error| error.to_string().into()))?;
            println!(
                "  {rules:>4} rules: compare {compare:>9.2?}, shadowed {shadow:>9.2?}: {}",
                dump.file_name().unwrap_or_default().display()
            );
            slowest = [slowest[0].max(compare), slowest[1].max(shadow)];
        }
    }
    table.row(
        "compare, the slowest dump up to 600 rules",
        Value::Time(slowest[0]),
        Target::Within(AT_ONCE),
        [],
    );
    table.row("shadowed rules, the slowest up to 600", Value::Time(slowest[1]), Target::Within(AT_ONCE), []);
    let translated = dumps.iter().filter(|dump| is_translated(dump)).count();
    let peer = has("iptables-restore-translate").then(|| {
        ("iptables-restore-translate, then nft -c".to_owned(), Value::Count(translated, dumps.len()))
    });
    table.row(
        "dumps read, printed, equal to themselves",
        Value::Count(compared, dumps.len()),
        Target::All,
        peer,
    );
    Ok(())
}

/// The rules of all dumps again and again.
fn parser(table: &mut Table, dumps: &[PathBuf]) -> Result<(), Failed> {
    let texts = dumps.iter().map(std::fs::read).collect::<Result<Vec<_>, _>>()?;
    let (mut rules, mut best) = (0, f64::MAX);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        rules = 0;
        while rules < RULES {
            for text in &texts {
                rules += parse_save(text, Family::Ipv4, Mode::Lenient)?.0.rules().count();
            }
        }
        best = best.min(start.elapsed().as_secs_f64());
    }
    let ours = rules as f64 / best;
    let mut peers = Vec::new();
    for variant in ["nft", "legacy"] {
        let restore = format!("iptables-{variant}-restore");
        if has(&restore) {
            let (text, count) = simple_rules(RULES / 5);
            let time = median(3, || must(&[&restore, "--test"], &text))?;
            peers.push((format!("{restore} --test"), Value::Rate(count as f64 / time.as_secs_f64())));
        }
    }
    table.row("rules of dumps read a second, one core", Value::Rate(ours), Target::AtLeast(1e6), peers);
    Ok(())
}

fn simple_rules(count: usize) -> (String, usize) {
    let mut text = String::from("*filter\n:INPUT ACCEPT [0:0]\n");
    for nth in 0..count {
        let [.., a, b] = nth.to_be_bytes();
        text.push_str(&format!("-A INPUT -s 10.0.{a}.{b}/32 -p tcp -m tcp --dport 22 -j ACCEPT\n"));
    }
    (text + "COMMIT\n", count)
}

/// Whether the peers take the whole dump: no rule is turned into a comment, and nft takes what comes out.
fn is_translated(dump: &Path) -> bool {
    let Some(path) = dump.to_str() else { return false };
    let text = read(&["iptables-restore-translate", "-f", path]).unwrap_or_default();
    let dropped = text.lines().skip(1).any(|line| line.starts_with("# -"));
    !text.is_empty() && !dropped && must(&["nft", "-c", "-f", "-"], &text).is_ok()
}

fn dumps() -> Result<Vec<PathBuf>, Failed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../iptables-syntax/tests/dumps");
    let mut dumps: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    dumps.retain(|path| path.extension().is_some_and(|extension| extension == "rules"));
    dumps.sort_unstable();
    Ok(dumps)
}
