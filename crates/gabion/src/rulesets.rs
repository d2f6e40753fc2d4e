//! Rulesets that a person names: the live kernel, what a policy would load, or files.

use std::path::{Path, PathBuf};

use host::Live;
use iptables_syntax::{Family, Mode, Save};
use nf_tables::{Ruleset, TableDump};
use packet_filter::iptables::{Origin, Translated, translate};
use packet_filter::{Compiled, RuleRef};

use crate::commands::firewall;
use crate::context::{Context, read_capped};
use crate::error::{Failure, usage};

/// Bytes of a ruleset's file that are read at most.
const MOST: u64 = 64 << 20;
/// What is added to the name of a table of the old `x_tables`, which may be that of an `nf_tables` one.
const LEGACY: &str = " (legacy)";

/// Tables, and where their rules stand written.
#[derive(Debug, Default)]
pub(crate) struct Rulesets {
    /// What they are, as `the live kernel`.
    pub(crate) what: String,
    pub(crate) tables: Vec<TableDump>,
    origins: Vec<(PathBuf, Origin)>,
    /// Matches that are not understood: a decision that they can change says so.
    pub(crate) doubts: Vec<String>,
    /// What could not be read, or was read with a guess.
    pub(crate) unread: Vec<String>,
}

impl Rulesets {
    /// What the kernel runs: `nf_tables`, and the old `x_tables` as their own program prints them.
    pub(crate) fn live() -> Result<Self, Failure> {
        let mut rulesets =
            Self { what: "the live kernel".to_owned(), tables: firewall::dump()?.tables, ..Self::default() };
        match firewall::legacy(&Live::open()?) {
            Ok(legacy) => legacy.iter().for_each(|legacy| rulesets.add_legacy(legacy)),
            Err(why) => {
                rulesets.unread.push(format!("whether the legacy x_tables are in use is not known: {why}"));
            }
        }
        Ok(rulesets)
    }

    fn add_legacy(&mut self, legacy: &report::firewall::Legacy) {
        let family = if legacy.family == "ip" { Family::Ipv4 } else { Family::Ipv6 };
        let save = legacy.rules.as_ref().map_err(Clone::clone).and_then(|text| {
            let read = iptables_syntax::parse_save(text.as_bytes(), family, Mode::Lenient);
            read.map(|(save, _)| save).map_err(|error| error.to_string())
        });
        let save = match save {
            Ok(save) => save,
            Err(why) => {
                let tables = legacy.tables.join(", ");
                self.unread.push(format!(
                    "legacy x_tables of {} are in use ({tables}) and not seen: {why}",
                    legacy.family
                ));
                return;
            }
        };
        let mut translated = translated(&save, family);
        for dump in &mut translated.tables {
            dump.table.name.push_str(LEGACY);
        }
        for origin in &mut translated.origins {
            origin.table.name.push_str(LEGACY);
        }
        let program = format!("{}tables-legacy-save", legacy.family);
        self.add(Path::new(&program), translated);
    }

    /// What the policy would load.
    pub(crate) fn policy(context: &Context) -> Result<Self, Failure> {
        let subject = context.subject(&Live::open()?)?;
        let wanted = controls::filter::filter_policy(&subject.policy, &subject.facts)
            .map_err(|error| usage(format!("the firewall's policy: {error}"), ""))?;
        let tables = vec![packet_filter::compile(&wanted).table().clone()];
        let what = match &subject.origin {
            crate::context::Origin::File(path) => format!("the policy {}", path.display()),
            crate::context::Origin::Suggested => "the policy that `gabion init` would write".to_owned(),
        };
        Ok(Self { what, tables, ..Self::default() })
    }

    /// What the files hold, together: iptables-save text, one file a family; text for nft; or a ruleset that Gabion saved.
    pub(crate) fn files(paths: &[PathBuf]) -> Result<Self, Failure> {
        let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        let mut rulesets = Self { what: names.join(" and "), ..Self::default() };
        for path in paths {
            rulesets.add_file(path)?;
        }
        Ok(rulesets)
    }

    fn add_file(&mut self, path: &Path) -> Result<(), Failure> {
        let malformed = |problem: String| Failure::Malformed { path: path.to_owned(), problem };
        let text =
            read_capped(path, MOST).map_err(|source| Failure::Read { path: path.to_owned(), source })?;
        if text.trim_start().starts_with(['{', '[']) {
            self.tables.extend(saved(&text).map_err(malformed)?);
            return Ok(());
        }
        if !text.lines().any(|line| line.trim_start().starts_with('*')) {
            self.tables.extend(nft_tables(path, &text)?);
            return Ok(());
        }
        let family = family_of(path, &text);
        let read = iptables_syntax::parse_save(text.as_bytes(), family, Mode::Lenient);
        let (save, oddities) = read.map_err(|error| malformed(error.to_string()))?;
        self.unread.extend(oddities.iter().map(|oddity| format!("{}: {oddity}", path.display())));
        self.add(path, translated(&save, family));
        Ok(())
    }

    fn add(&mut self, path: &Path, translated: Translated) {
        let Translated { tables, origins, doubts } = translated;
        self.tables.extend(tables);
        self.origins.extend(origins.into_iter().map(|origin| (path.to_owned(), origin)));
        let doubt = |doubt: &packet_filter::iptables::Doubt| {
            format!("{}:{}: `{}` may or may not match", path.display(), doubt.line, doubt.what)
        };
        self.doubts.extend(doubts.iter().map(doubt));
    }

    /// Where a rule stands written, as `rules.v4:12`, and how.
    pub(crate) fn origin(&self, rule: &RuleRef) -> Option<(String, &str)> {
        let is_it = |origin: &Origin| {
            origin.number == rule.number && origin.chain == rule.chain && origin.table == rule.table
        };
        let (path, origin) = self.origins.iter().find(|(_, origin)| is_it(origin))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Some((format!("{name}:{}", origin.line), origin.text.trim()))
    }
}

/// The tables of a text in the language of nft, as nft itself loads them in a throwaway network namespace.
pub(crate) fn nft_tables(path: &Path, text: &str) -> Result<Vec<TableDump>, Failure> {
    let malformed = |problem: String| Failure::Malformed { path: path.to_owned(), problem };
    if !is_nft(text) {
        let problem = "neither what iptables-save prints (it has no line such as `*filter`) nor text for nft (no line such as `table inet filter`) nor a ruleset that gabion saved";
        return Err(malformed(problem.to_owned()));
    }
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let beside = absolute.parent().unwrap_or(Path::new("/"));
    match probe::nft_ruleset(text, beside) {
        Ok(ruleset) => Ok(ruleset.tables),
        Err(probe::NftError::Refused { line: Some(line), complaint }) => {
            Err(Failure::Malformed { path: format!("{}:{line}", path.display()).into(), problem: complaint })
        }
        Err(error) => Err(malformed(error.to_string())),
    }
}

/// Whether some line begins as statements of nft do.
fn is_nft(text: &str) -> bool {
    let begins = ["table ", "add ", "include ", "define ", "flush ", "create ", "insert "];
    text.starts_with("#!") && text.lines().next().is_some_and(|line| line.contains("nft"))
        || text.lines().any(|line| begins.iter().any(|begin| line.trim_start().starts_with(begin)))
}

fn translated(save: &Save, family: Family) -> Translated {
    match family {
        Family::Ipv4 => translate(Some(save), None),
        Family::Ipv6 => translate(None, Some(save)),
    }
}

/// IPv6 where the program that wrote it, its name or its addresses say so.
fn family_of(path: &Path, text: &str) -> Family {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let by_name = ["v6", "ip6tables", "ipv6"].iter().any(|part| name.contains(part));
    let by_text = text.lines().any(|line| {
        let is_comment = line.starts_with('#');
        is_comment && line.contains("ip6tables-save")
            || !is_comment && (line.contains("icmp6") || line.contains("ipv6-icmp") || has_ipv6_address(line))
    });
    if by_name || by_text { Family::Ipv6 } else { Family::Ipv4 }
}

fn has_ipv6_address(line: &str) -> bool {
    let is_address = |word: &str| {
        let address = word.split('/').next().unwrap_or_default();
        address.contains(':') && address.parse::<std::net::Ipv6Addr>().is_ok()
    };
    line.split(' ').any(is_address)
}

/// A ruleset that Gabion saved: for the boot, or with `firewall show --all --json`.
fn saved(text: &str) -> Result<Vec<TableDump>, String> {
    if let Ok(compiled) = serde_json::from_slice::<Compiled>(text.as_bytes()) {
        return Ok(vec![compiled.table().clone()]);
    }
    if let Ok(tables) = serde_json::from_slice::<Vec<TableDump>>(text.as_bytes()) {
        return Ok(tables);
    }
    serde_json::from_slice::<Ruleset>(text.as_bytes()).map(|ruleset| ruleset.tables).map_err(|_| {
        "JSON, but neither the saved ruleset of the boot nor what `gabion firewall show --all --json` prints".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(name: &str, text: &str) -> Family {
        family_of(Path::new(name), text)
    }

    #[test]
    fn a_text_for_nft_is_told_from_other_texts() {
        for text in ["table inet filter {\n}\n", "#!/usr/sbin/nft -f\n", "# mine\n  flush ruleset\n"] {
            assert!(is_nft(text), "{text}");
        }
        for text in ["", "# a table of mine\n", "[firewall]\ninbound = \"drop\"\n", "-A INPUT -j DROP\n"] {
            assert!(!is_nft(text), "{text}");
        }
    }

    #[test]
    fn the_family_of_a_file_is_told_by_its_writer_its_name_or_its_addresses() {
        assert_eq!(family("a", "*filter\n-A INPUT -s 192.0.2.0/24 -j DROP\nCOMMIT\n"), Family::Ipv4);
        assert_eq!(family("a", "# Generated by ip6tables-save v1.8.9\n*filter\nCOMMIT\n"), Family::Ipv6);
        assert_eq!(family("a", "*filter\n-A INPUT -s 2001:db8::/32 -j DROP\nCOMMIT\n"), Family::Ipv6);
        assert_eq!(family("rules.v6", "*filter\nCOMMIT\n"), Family::Ipv6);
        assert_eq!(
            family(
                "a",
                "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m mac --mac-source 00:11:22:33:44:55 -j DROP\n"
            ),
            Family::Ipv4
        );
    }
}
