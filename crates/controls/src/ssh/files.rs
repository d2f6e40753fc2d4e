//! The files: syntax, lines without effect, owners and modes.

use std::path::{Path, PathBuf};

use host::facts::Account;
use sshd_config::dump::Dump;
use sshd_config::edit::{DropIns, StrayReason, drop_ins, shadowed, stray};
use sshd_config::{Keyword, Origin};

use super::desired::DROP_IN;
use super::rules::RULES;
use super::view::{Sshd, keys_files};
use crate::finding::Severity;
use crate::judgement::{Fault, Judged, Subject, Verdict};
use crate::people::users;
use crate::permissions::{Demand, Loose, check_path, describe, is_absent, loose_paths};

/// No line that would close a door is overridden by one that opens it. Source: `sshd_config(5)`: "for each keyword, the
/// first obtained value will be used".
pub(crate) fn sh25_nothing_shadowed(subject: &Subject<'_>) -> Judged {
    let sshd = subject.sshd()?;
    let mut faults = Vec::new();
    for line in shadowed(&sshd.configuration) {
        if line.same || line.by.path.as_ref() == Path::new(DROP_IN) {
            continue;
        }
        let closes = closes_a_door(sshd, line.keyword, &line.line);
        let severity = if closes { Severity::High } else { Severity::Info };
        let written = written(sshd, &line.line).unwrap_or_else(|| line.keyword.name().to_owned());
        let fault = Fault::new(format!("`{written}` has no effect: an earlier line decides"))
            .severity(severity)
            .decided_by(line.by.to_string())
            .decided_by(line.line.to_string());
        let is_mended = subject.applied().is_some_and(|applied| {
            shadowed(&applied.configuration)
                .iter()
                .any(|other| other.line == line.line && other.by.path.as_ref() == Path::new(DROP_IN))
        });
        faults.push(match is_mended {
            true => fault.apply(),
            false => fault.ask("take out the line that is not meant"),
        });
    }
    faults.extend(ours_without_effect(subject, sshd));
    Ok(faults.into())
}

/// A line as it stands in its file.
fn written(sshd: &Sshd, line: &Origin) -> Option<String> {
    let found = sshd.configuration.directives().iter().find(|directive| &directive.origin == line)?;
    Some(format!("{} {}", found.keyword.name(), found.arguments.join(" ")))
}

/// Whether a line without effect says what a rule wants, while what is effective does not.
fn closes_a_door(sshd: &Sshd, keyword: Keyword, line: &Origin) -> bool {
    let Some(rule) = RULES.iter().find(|rule| rule.keyword() == keyword) else {
        return false;
    };
    let written = sshd.configuration.directives().iter().find(|directive| &directive.origin == line);
    let says = written
        .is_some_and(|written| written.arguments.iter().any(|word| word.eq_ignore_ascii_case(rule.closed)));
    says && !sshd.at_start().is(keyword, rule.closed)
}

/// The drop-in is there and is not the first word.
fn ours_without_effect(subject: &Subject<'_>, sshd: &Sshd) -> Option<Fault> {
    subject.facts.file(DROP_IN).entry()?;
    let fault = |what: String, place: String| {
        Some(
            Fault::new(what)
                .decided_by(place)
                .ask("put `Include /etc/ssh/sshd_config.d/*.conf` first in the main file"),
        )
    };
    let main = sshd.configuration.main_path().display();
    match drop_ins(&sshd.configuration, Path::new(DROP_IN)) {
        DropIns::First(_) => None,
        DropIns::NotIncluded => fault(format!("{main} does not read {DROP_IN}"), main.to_string()),
        DropIns::InMatch(include) => {
            fault(format!("{DROP_IN} counts under a Match block alone"), include.to_string())
        }
        DropIns::After { include, earlier } => {
            let decides = |origin: &Origin| {
                let directives = sshd.configuration.directives();
                let keyword = directives.iter().find(|one| &one.origin == origin).map(|one| one.keyword);
                RULES.iter().any(|rule| Some(rule.keyword()) == keyword)
            };
            earlier
                .iter()
                .any(decides)
                .then(|| fault(format!("lines before it override {DROP_IN}"), include.to_string()))?
        }
    }
}

/// No line stands in a `Match` block by accident: the trap of appending to a file that ends in one.
/// Source: `sshd_config(5)` `Match`.
pub(crate) fn sh26_nothing_strayed(subject: &Subject<'_>) -> Judged {
    let sshd = subject.sshd()?;
    let mut faults = Vec::new();
    for stray in stray(&sshd.configuration) {
        let severity = match stray.reason {
            StrayReason::NotAllowedInMatch => Severity::High,
            StrayReason::IndentedLess | StrayReason::SetApart if is_needed(sshd, &stray.line) => {
                Severity::High
            }
            StrayReason::IndentedLess | StrayReason::SetApart => Severity::Info,
        };
        faults.push(
            Fault::new(format!(
                "{} counts under a Match block alone, and looks meant for everybody",
                stray.written
            ))
            .severity(severity)
            .decided_by(stray.line.to_string())
            .decided_by(stray.block.to_string())
            .ask("move it above the first Match"),
        );
    }
    Ok(faults.into())
}

/// Whether the stray line would have closed a door that is open without it.
fn is_needed(sshd: &Sshd, line: &Origin) -> bool {
    let written = sshd.configuration.directives().iter().find(|directive| &directive.origin == line);
    written.is_some_and(|directive| closes_a_door(sshd, directive.keyword, line))
}

/// sshd accepts its configuration, and reads it as it is read here. Source: sshd(8) `-t`, `-T`.
pub(crate) fn sh27_syntax(subject: &Subject<'_>) -> Judged {
    let sshd = subject.sshd()?;
    let mut faults: Vec<Fault> = Vec::new();
    for problem in sshd.configuration.problems() {
        let place = problem.origin.as_ref().map(ToString::to_string);
        let fault = Fault::new(problem.error.to_string())
            .decided_by_all(place)
            .ask("correct the line, then: sshd -t");
        faults.push(if problem.is_fatal() { fault } else { fault.severity(Severity::Info) });
    }
    if faults.is_empty()
        && let Some(dump) = subject.facts.ssh.dump.known()
    {
        let start = sshd.at_start();
        let differences = Dump::parse(dump).compare(start.inner());
        faults.extend(differences.into_iter().filter(|difference| is_told(subject, difference.keyword)).map(
            |difference| {
                let (name, dumped) = (difference.keyword.name(), difference.dumped.join(" "));
                Fault::new(format!("sshd takes {name} for `{dumped}`, which its files do not explain"))
                    .severity(Severity::Medium)
                    .decided_by_all(start.place(difference.keyword))
                    .ask("compare `sshd -T` with the file, and tell the authors of gabion")
            },
        ));
    }
    Ok(Verdict::Judged(faults))
}

/// Host keys default to what is there, and what the running server was given by `-o` is not asked of `sshd -T`.
fn is_told(subject: &Subject<'_>, keyword: Keyword) -> bool {
    let servers = subject.facts.ssh.servers.known().map(Vec::as_slice).unwrap_or_default();
    let plain = servers.iter().all(|server| super::view::options(&server.argv).is_empty());
    plain && !matches!(keyword, Keyword::HostKey | Keyword::HostKeyAgent)
}

/// Only root writes sshd's configuration, and the directories that it is in. Source: `sshd_config(5)` `FILES`.
pub(crate) fn sh28_config_files(subject: &Subject<'_>) -> Judged {
    subject.sshd()?;
    let facts = subject.facts;
    let mut paths: Vec<PathBuf> = vec![facts.ssh.main_file.clone()];
    paths.extend(facts.ssh.config_files.iter().cloned());
    let directories: Vec<PathBuf> =
        paths.iter().filter_map(|path| path.parent().map(Path::to_path_buf)).collect();
    paths.extend(directories);
    paths.extend(
        facts
            .files
            .contains_key(Path::new(DROP_IN))
            .then(|| PathBuf::from(DROP_IN))
            .filter(|path| !is_absent(facts, path)),
    );
    paths.sort();
    paths.dedup();
    let faults = paths.iter().flat_map(|path| check_path(facts, path, Demand::ROOT_ALONE_WRITES));
    Ok(faults.collect::<Vec<_>>().into())
}

/// Nobody but the account itself and root writes a file of authorised keys or a directory above it, up to the home
/// directory. Source: sshd(8) `FILES`; `safe_path` in OpenSSH's misc.c.
pub(crate) fn sh29_authorized_keys(subject: &Subject<'_>) -> Judged {
    let sshd = subject.sshd()?;
    let patterns = sshd.at_start().list(Keyword::AuthorizedKeysFile);
    let mut faults: Vec<Fault> = Vec::new();
    for account in users(subject.facts)?.iter().filter(|user| user.can_log_in()) {
        let mut files = keys_files(&patterns, account);
        files.extend(subject.facts.ssh.authorized_keys.get(&account.name).into_iter().flatten().cloned());
        files.sort();
        files.dedup();
        let mut loose: Vec<Loose> = Vec::new();
        for file in files.iter().filter(|file| !is_nowhere(subject, file)) {
            let found = loose_paths(subject.facts, file, account);
            loose.extend(found.into_iter().filter(|one| !loose.contains(one)).collect::<Vec<_>>());
        }
        // One path that is not known says it for all.
        let unknown = loose.iter().find(|one| matches!(one, Loose::Unknown(_)));
        let unsafe_ones = loose.iter().filter(|one| matches!(one, Loose::Unsafe { .. }));
        faults.extend(unsafe_ones.chain(unknown).map(|one| loose_fault(subject, account, one)));
    }
    Ok(faults.into())
}

/// Whether there is no such file, for sure.
fn is_nowhere(subject: &Subject<'_>, file: &Path) -> bool {
    file.ancestors().any(|path| is_absent(subject.facts, path))
}

fn loose_fault(subject: &Subject<'_>, account: &Account, loose: &Loose) -> Fault {
    let name = &account.name;
    let (path, entry) = match loose {
        Loose::Unknown(reason) => {
            let what = format!("who may write the keys of {name} is not known");
            return Fault::unknown(what, reason.clone()).decided_by(account.home.display().to_string());
        }
        Loose::Unsafe { path, entry } => (path, entry),
    };
    let shown = path.display();
    let is_owner = entry.uid == 0 || entry.uid == account.uid;
    let how = match is_owner {
        true => "is writable by more than its owner".to_owned(),
        false => format!("belongs to user id {}", entry.uid),
    };
    let fault = Fault::new(format!("others may change the keys of {name}: {shown} {how}"))
        .decided_by(describe(path, entry));
    let is_drawn = subject.policy.admins.iter().any(|admin| &admin.name == name);
    let mode = entry.mode & !0o022;
    match (is_owner, is_drawn) {
        (true, true) => fault.apply(),
        (true, false) => {
            fault.command(format!("chmod {mode:04o} {shown}"), format!("chmod {:04o} {shown}", entry.mode))
        }
        (false, _) => fault.command(format!("chown {name} {shown}"), format!("chown {} {shown}", entry.uid)),
    }
}
