//! Lines that do not do what their writer hoped.

use std::collections::BTreeSet;
use std::path::Path;

use crate::configuration::{Configuration, Directive, Include, ScopeId};
use crate::glob::part_matches;
use crate::keyword::Keyword;
use crate::problem::{Error, Origin};
use crate::tree::Content;
use crate::value::Rule;

/// How the main file reads the drop-ins of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DropIns {
    /// No `Include` covers them: a drop-in has no effect.
    NotIncluded,
    /// The `Include` stands before every directive: the first drop-in wins.
    First(Origin),
    /// Directives stand before the `Include`, and win over what drop-ins say of the same keywords.
    After {
        /// The `Include`.
        include: Origin,
        /// What stands before it in the main part.
        earlier: Vec<Origin>,
    },
    /// The `Include` stands in a `Match` block: drop-ins apply to some connections only.
    InMatch(Origin),
}

/// Tells how a configuration reads a file that would be written as `path`, such as
/// `/etc/ssh/sshd_config.d/00-a.conf`. The file need not exist.
#[must_use]
pub fn drop_ins(configuration: &Configuration, path: &Path) -> DropIns {
    let main = configuration.main_path();
    let covers = |include: &&Include| &*include.origin.path == main && matches(&include.pattern, path);
    let mut covering = configuration.includes().iter().filter(covers);
    let Some(include) =
        covering.clone().find(|include| include.scope == ScopeId::MAIN).or_else(|| covering.next())
    else {
        return DropIns::NotIncluded;
    };
    if include.scope != ScopeId::MAIN {
        return DropIns::InMatch(include.origin.clone());
    }
    let earlier = &configuration.directives()[..include.directives_before];
    // A `Match` block of an earlier file ends with that file, so that the main part goes on behind it.
    let earlier: Vec<Origin> = earlier.iter().map(|directive| directive.origin.clone()).collect();
    if earlier.is_empty() {
        DropIns::First(include.origin.clone())
    } else {
        DropIns::After { include: include.origin.clone(), earlier }
    }
}

fn matches(pattern: &str, path: &Path) -> bool {
    let (pattern, path) = (Path::new(pattern), path);
    let parts = |path: &Path| -> Vec<String> {
        path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()
    };
    let (pattern, path) = (parts(pattern), parts(path));
    pattern.len() == path.len()
        && pattern.iter().zip(&path).all(|(pattern, part)| part_matches(part, pattern))
}

/// A directive that has no effect because another one decides wherever it would apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadowed {
    /// Which keyword.
    pub keyword: Keyword,
    /// The line without effect.
    pub line: Origin,
    /// The line that decides.
    pub by: Origin,
    /// Both say the same, so that nothing is lost.
    pub same: bool,
}

/// Every directive that another line always overrides. A line that is read more than once, because its file is
/// included more than once, counts only where no reading of it has an effect.
#[must_use]
pub fn shadowed(configuration: &Configuration) -> Vec<Shadowed> {
    let directives = configuration.directives();
    let mut found: Vec<Shadowed> = Vec::new();
    let mut effective = BTreeSet::new();
    for (index, directive) in directives.iter().enumerate().filter(|(_, line)| !line.assignments.is_empty()) {
        let rival = directives.iter().enumerate().find(|(at, other)| {
            other.keyword == directive.keyword
                && other.origin != directive.origin
                && overrides(configuration, other, *at < index, directive)
        });
        let Some((_, by)) = rival else {
            effective.insert(&directive.origin);
            continue;
        };
        let same = by.assignments == directive.assignments;
        let (line, by) = (directive.origin.clone(), by.origin.clone());
        if !found.iter().any(|known| known.line == line) {
            found.push(Shadowed { keyword: directive.keyword, line, by, same });
        }
    }
    found.retain(|shadowed| !effective.contains(&shadowed.line));
    found
}

/// Whether every slot that `directive` would fill is taken by `other` wherever `directive` applies.
fn overrides(configuration: &Configuration, other: &Directive, earlier: bool, directive: &Directive) -> bool {
    let in_main = |line: &Directive| line.scope == ScopeId::MAIN;
    if !covers(configuration, other.scope, directive.scope) || (in_main(other) && !in_main(directive)) {
        return false;
    }
    // A block that always applies wins over the main part, wherever it stands.
    let replaces = in_main(directive) && !in_main(other);
    directive.assignments.iter().all(|wanted| {
        other.assignments.iter().filter(|taken| taken.slot == wanted.slot).any(|taken| match wanted.rule {
            Rule::Append if directive.keyword == Keyword::Subsystem => {
                let name = |text: &str| text.split(' ').next().unwrap_or("").to_owned();
                earlier && !replaces && name(&taken.texts[0]) == name(&wanted.texts[0])
            }
            Rule::Append => false,
            Rule::First => replaces || earlier,
            Rule::Last => replaces || !earlier,
        })
    })
}

/// Whether one scope applies wherever another does: each of its conditions always holds, or is one of the other's.
fn covers(configuration: &Configuration, wide: ScopeId, narrow: ScopeId) -> bool {
    let release = configuration.defaults().release();
    let narrow = configuration.conditions(narrow);
    let well_formed = wide == ScopeId::MAIN || configuration.scope(wide).condition.is_some();
    let conditions = configuration.conditions(wide);
    well_formed
        && conditions.iter().all(|condition| condition.holds_always(release) || narrow.contains(condition))
}

/// A directive inside a `Match` block that looks as if it was meant for everyone: the trap of appending a line to a
/// file that ends in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// The keyword as written.
    pub written: String,
    /// The line.
    pub line: Origin,
    /// The `Match` line of the block it fell into.
    pub block: Origin,
    /// What gives it away.
    pub reason: StrayReason,
}

/// What gives a stray directive away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StrayReason {
    /// sshd refuses it inside `Match`: it does not start.
    NotAllowedInMatch,
    /// It is indented less than the lines of the block before it.
    IndentedLess,
    /// A blank line or a comment at the left margin parts it from the block before it.
    SetApart,
}

/// Every directive that seems to have fallen into a `Match` block by accident. The first reason is certain; the
/// others are signs.
#[must_use]
pub fn stray(configuration: &Configuration) -> Vec<Stray> {
    let mut found = refused(configuration);
    for (index, scope) in configuration.scopes().iter().enumerate().skip(1) {
        let Some(block) = &scope.origin else { continue };
        let members: Vec<&Directive> = configuration
            .directives()
            .iter()
            .filter(|directive| directive.scope == ScopeId(index) && directive.origin.path == block.path)
            .collect();
        let Some(first) = members.first() else { continue };
        let mut reason = None;
        for pair in members.windows(2) {
            // One stray line makes strays of all that follow.
            reason = reason.or_else(|| sign(configuration, first, pair[0], pair[1]));
            if let Some(reason) = reason {
                let (written, line) = (pair[1].written.clone(), pair[1].origin.clone());
                found.push(Stray { written, line, block: block.clone(), reason });
            }
        }
    }
    found.sort_by(|a, b| a.line.cmp(&b.line));
    found
}

fn refused(configuration: &Configuration) -> Vec<Stray> {
    let strays = configuration.problems().iter().filter_map(|problem| {
        let (Error::NotInMatch(written), Some(line)) = (&problem.error, &problem.origin) else {
            return None;
        };
        let blocks = configuration.scopes().iter().filter_map(|scope| scope.origin.as_ref());
        let block =
            blocks.filter(|block| block.path == line.path && block.line < line.line).max_by_key(|b| b.line);
        // A file included from within a block has no `Match` line of its own.
        let block = block.unwrap_or(line).clone();
        let reason = StrayReason::NotAllowedInMatch;
        Some(Stray { written: written.clone(), line: line.clone(), block, reason })
    });
    strays.collect()
}

fn sign(
    configuration: &Configuration,
    first: &Directive,
    before: &Directive,
    this: &Directive,
) -> Option<StrayReason> {
    let file = configuration.file(&this.origin.path)?;
    let line = |origin: &Origin| &file.lines()[origin.line - 1];
    if line(&this.origin).indent() < line(&first.origin).indent() {
        return Some(StrayReason::IndentedLess);
    }
    // A file that is read twice goes on before where it stopped.
    let between = file.lines().get(before.origin.line..this.origin.line - 1)?;
    let apart = between.iter().any(|between| match between.content() {
        Content::Blank => true,
        Content::Comment => {
            between.indent() < line(&first.origin).indent() || line(&first.origin).indent() == 0
        }
        Content::Directive(_) | Content::Ignored => false,
    });
    // Lines that keep the block's indentation belong to it, blank line or not.
    (apart && line(&this.origin).indent() == 0).then_some(StrayReason::SetApart)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    fn load(files: &[(&str, &str)]) -> Configuration {
        let files: BTreeMap<PathBuf, Vec<u8>> =
            files.iter().map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec())).collect();
        Configuration::load(&files, "/etc/ssh/sshd_config")
    }

    const MAIN: &str = "/etc/ssh/sshd_config";
    const OURS: &str = "/etc/ssh/sshd_config.d/00-ours.conf";

    #[test]
    fn an_include_is_found_where_it_stands() {
        let include = "Include /etc/ssh/sshd_config.d/*.conf\n";
        let of = |text: &str| drop_ins(&load(&[(MAIN, text)]), Path::new(OURS));
        assert_eq!(of("Port 22\n"), DropIns::NotIncluded);
        assert!(
            matches!(of(&format!("# x\n{include}Port 22\n")), DropIns::First(origin) if origin.line == 2)
        );
        assert!(
            matches!(of(&format!("Port 22\n{include}")), DropIns::After { earlier, .. } if earlier.len() == 1)
        );
        assert!(matches!(of(&format!("Match User x\n{include}")), DropIns::InMatch(_)));
        assert!(matches!(of("Include sshd_config.d/*.conf\n"), DropIns::First(_)));
    }

    #[test]
    fn a_line_behind_another_of_its_keyword_is_shadowed() {
        let configuration = load(&[
            (MAIN, "Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin no\nPort 22\nPort 23\n"),
            ("/etc/ssh/sshd_config.d/50-cloud.conf", "PermitRootLogin yes\n"),
        ]);
        let found = shadowed(&configuration);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].line.to_string(), "/etc/ssh/sshd_config:2");
        assert_eq!(found[0].by.to_string(), "/etc/ssh/sshd_config.d/50-cloud.conf:1");
        assert!(!found[0].same);
    }

    #[test]
    fn a_line_read_twice_does_not_shadow_itself() {
        let twice = [(MAIN, "Include a\nInclude a\n"), ("/etc/ssh/a", "PermitRootLogin no\n")];
        assert_eq!(shadowed(&load(&twice)), []);
    }

    #[test]
    fn a_block_shadows_only_what_stands_under_the_same_condition() {
        let text =
            "PermitRootLogin no\nMatch User a\nPermitRootLogin yes\nMatch User b\nPermitRootLogin yes\n";
        assert!(shadowed(&load(&[(MAIN, text)])).is_empty());
        let twice =
            "Match User a\nPermitRootLogin yes\nMatch User a\nPermitRootLogin no\nMatch User a Host b\n";
        assert_eq!(shadowed(&load(&[(MAIN, twice)]))[0].line.line, 4);
        let all = "PermitRootLogin no\nMatch all\nPermitRootLogin yes\n";
        assert_eq!(shadowed(&load(&[(MAIN, all)]))[0].line.line, 1);
        let last = "IPQoS af21\nIPQoS cs1\n";
        let defaults = crate::Defaults::for_version(crate::Version::new(9, 2));
        let files = BTreeMap::from([(PathBuf::from(MAIN), last.as_bytes().to_vec())]);
        let old = Configuration::load_with(&files, MAIN, defaults);
        assert_eq!(shadowed(&old)[0].line.line, 1);
    }

    #[test]
    fn a_line_appended_behind_a_block_is_a_stray() {
        let of = |text: &str| {
            let strays = stray(&load(&[(MAIN, text)]));
            strays.iter().map(|s| (s.line.line, s.reason)).collect::<Vec<_>>()
        };
        let block = "Match User sftp\n    ForceCommand internal-sftp\n";
        assert_eq!(of(&format!("{block}PermitRootLogin no\n")), [(3, StrayReason::IndentedLess)]);
        assert_eq!(of(&format!("{block}Port 22\n")), [(3, StrayReason::NotAllowedInMatch)]);
        assert_eq!(of(&format!("{block}\n    PermitTTY no\n")), []);
        let flush = "Match User sftp\nForceCommand internal-sftp\nPermitTTY no\n";
        assert_eq!(of(flush), []);
        let appended = of(&format!("{flush}\n# hardening\nPermitRootLogin no\nX11Forwarding no\n"));
        assert_eq!(appended, [(6, StrayReason::SetApart), (7, StrayReason::SetApart)]);
    }

    #[test]
    fn a_file_that_includes_itself_under_a_match_is_read_without_a_panic() {
        // The second time, what stands above the block belongs to the block, and comes behind its last line.
        let text = "PermitTTY no\nMatch all\nX11Forwarding no\nInclude /etc/ssh/sshd_config\n";
        assert!(stray(&load(&[(MAIN, text)])).iter().all(|stray| stray.line.line <= 4));
    }
}
