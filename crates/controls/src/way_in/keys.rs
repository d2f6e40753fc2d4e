//! The keys: the file that holds them, its modes, and whether sshd takes one of them.

use std::path::{Path, PathBuf};

use host::facts::Account;
use sshd_config::Keyword;

use super::{Attempt, Condition, Judged, Requirement};
use crate::authorized_keys::{self, AuthorizedKey, expiry_day};
use crate::judgement::NotKnown;
use crate::people::group_ids_of;
use crate::permissions::{Loose, describe, is_absent, look, loose_paths, may_read};
use crate::ssh::{Effective, addresses_match, keys_files};

/// A file in which sshd looks for the account's keys.
struct KeyFile {
    path: PathBuf,
    state: FileState,
}

enum FileState {
    /// Not there.
    Absent,
    /// Whether it is there, or what is in it, is not known.
    Unknown(String),
    /// This path keeps the account from reading it.
    Closed(PathBuf),
    /// sshd reads it as the account.
    Readable,
}

/// `AuthorizedKeysFile` leads to a file that sshd can open: it does so as the account, so a file of root with mode
/// 0600 is none (`user_key_allowed2` in auth2-pubkey.c).
pub(super) fn key_file(attempt: &Attempt<'_>) -> Judged {
    let name = Requirement::KeyFile;
    let user = &attempt.account.name;
    let effective = attempt.effective()?;
    let files = key_files(attempt, &effective)?;
    if let Some(file) = files.iter().find(|file| matches!(file.state, FileState::Readable)) {
        let shown = file.path.display().to_string();
        return Ok(Condition::yes(name, format!("the keys of {user} are in {shown}")).at(shown));
    }
    for file in &files {
        let shown = file.path.display();
        match &file.state {
            FileState::Closed(path) => {
                let what = format!("sshd cannot read {shown} as {user}");
                let place = look(attempt.facts, path)
                    .map_or_else(|_| path.display().to_string(), |e| describe(path, e));
                return Ok(Condition::no(name, what).at(place));
            }
            FileState::Unknown(reason) => {
                return Ok(Condition::unknown(
                    name,
                    format!("the keys of {user} are not known"),
                    reason.clone(),
                ));
            }
            FileState::Absent | FileState::Readable => {}
        }
    }
    if let Some(source) = other_source(&effective) {
        let reason = format!("{source} may give keys that are in no file");
        return Ok(Condition::unknown(name, format!("{user} has no file of keys"), reason)
            .at_all(effective.place(source)));
    }
    let places: Vec<String> = files.iter().map(|file| file.path.display().to_string()).collect();
    let what = match places.is_empty() {
        true => format!("sshd looks for the keys of {user} nowhere"),
        false => format!("{user} has no key: there is no {}", places.join(" and no ")),
    };
    Ok(Condition::no(name, what).at_all(effective.place(Keyword::AuthorizedKeysFile)))
}

/// `StrictModes` has nothing against a file of keys and the directories above it (`safe_path` in misc.c).
pub(super) fn key_file_modes(attempt: &Attempt<'_>) -> Judged {
    let name = Requirement::KeyFileModes;
    let user = &attempt.account.name;
    let effective = attempt.effective()?;
    if effective.is(Keyword::StrictModes, "no") {
        let what = "StrictModes is no, so modes do not matter to sshd";
        return Ok(Condition::yes(name, what).at_all(effective.place(Keyword::StrictModes)));
    }
    let files = readable(attempt, &effective)?;
    let mut judged = files.iter().map(|file| modes_of(attempt, file));
    let Some(first) = judged.next() else {
        return Ok(Condition::yes(
            name,
            format!("there is no file of keys of {user} whose modes could matter"),
        ));
    };
    let best = judged.fold(first, |best, next| if best.holds == super::Holds::Yes { best } else { next });
    Ok(best)
}

fn modes_of(attempt: &Attempt<'_>, file: &Path) -> Condition {
    let name = Requirement::KeyFileModes;
    let mut unknown = None;
    for loose in loose_paths(attempt.facts, file, attempt.account) {
        match loose {
            Loose::Unsafe { path, entry } => {
                let what =
                    format!("sshd ignores {} for the owner or mode of {}", file.display(), path.display());
                return Condition::no(name, what).at(describe(&path, &entry));
            }
            Loose::Unknown(reason) => unknown = Some(reason),
        }
    }
    match unknown {
        Some(reason) => {
            Condition::unknown(name, format!("the modes above {} are not known", file.display()), reason)
        }
        None => Condition::yes(name, format!("{} and what is above it are safe", file.display())),
    }
}

/// The file holds a key that sshd takes from this client: whole, of an algorithm in `PubkeyAcceptedAlgorithms`, not
/// shorter than `RequiredRSASize`, not expired, not bound to another address or to one command.
pub(super) fn key(attempt: &Attempt<'_>) -> Judged {
    let name = Requirement::Key;
    let user = &attempt.account.name;
    let effective = attempt.effective()?;
    let mut refused = Vec::new();
    let mut places = Vec::new();
    let files = readable(attempt, &effective)?;
    for file in &files {
        let entry = look(attempt.facts, file).ok();
        let bytes = entry.and_then(|entry| entry.content.as_ref()).map(|content| content.0.as_slice());
        let Some(bytes) = bytes else {
            let reason = format!("{} was not read", file.display());
            return Ok(Condition::unknown(name, format!("the keys of {user} are not known"), reason));
        };
        for key in authorized_keys::read(bytes) {
            let place = format!("{}:{}", file.display(), key.line);
            match objection(attempt, &effective, &key) {
                None => {
                    let kind = key.kind.unwrap_or_default();
                    return Ok(Condition::yes(name, format!("sshd takes a key of {user} ({kind})")).at(place));
                }
                Some(objection) => {
                    refused.push(objection);
                    places.push(place);
                }
            }
        }
    }
    let what = match refused.as_slice() {
        [] if files.is_empty() => format!("{user} has no key that could be judged"),
        [] => format!("the files of keys of {user} hold no key"),
        [one] => format!("the only key of {user} {one}"),
        [first, ..] => format!("sshd takes none of the {} keys of {user}: the first {first}", refused.len()),
    };
    if places.is_empty() {
        places = files.iter().map(|file| file.display().to_string()).collect();
    }
    Ok(match other_source(&effective) {
        Some(source) => Condition::unknown(name, what, format!("{source} may give others")),
        None => Condition::no(name, what),
    }
    .at_all(places))
}

/// Why sshd, or the administrator, could not use a key; as the end of a sentence that begins with "the key".
fn objection(attempt: &Attempt<'_>, effective: &Effective, key: &AuthorizedKey) -> Option<String> {
    let kind = match &key.kind {
        Ok(kind) => kind,
        Err(problem) => return Some(format!("is not read by sshd ({problem})")),
    };
    if let Some(option) = key.unknown_option() {
        return Some(format!("has an option that sshd does not know ({option})"));
    }
    if key.has("cert-authority") {
        return Some("signs other keys and lets nobody in itself".to_owned());
    }
    if key.has("command") {
        return Some("is bound to one command".to_owned());
    }
    if let Some(from) = key.option("from")
        && !addresses_match(from, attempt.connection.peer)
    {
        return Some(format!("is taken from {from} alone, which {} is not in", attempt.connection.peer));
    }
    if let Some(expiry) = key.option("expiry-time")
        && expiry_day(expiry).is_none_or(|day| day <= attempt.facts.today)
    {
        return Some(format!("expired ({expiry})"));
    }
    let accepted = effective.list(Keyword::PubkeyAcceptedAlgorithms);
    if !signatures(kind).iter().any(|name| crate::ssh::name_in(&accepted, name)) {
        return Some(format!("is {kind}, which PubkeyAcceptedAlgorithms leaves out"));
    }
    let least = effective.number(Keyword::RequiredRsaSize).unwrap_or(1024);
    if key.rsa_bits.is_some_and(|bits| u64::try_from(bits).is_ok_and(|bits| bits < least)) {
        return Some(format!("is RSA of fewer than {least} bits, which RequiredRSASize refuses"));
    }
    None
}

/// The signature algorithms by which a key of that type can be used.
fn signatures(kind: &str) -> Vec<&str> {
    match kind {
        "ssh-rsa" => vec!["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"],
        other => vec![other],
    }
}

/// A setting by which keys come from elsewhere than `AuthorizedKeysFile`.
fn other_source(effective: &Effective) -> Option<Keyword> {
    [Keyword::AuthorizedKeysCommand, Keyword::TrustedUserCaKeys]
        .into_iter()
        .find(|keyword| effective.text(*keyword).is_some_and(|value| !value.eq_ignore_ascii_case("none")))
}

fn readable(attempt: &Attempt<'_>, effective: &Effective) -> Result<Vec<PathBuf>, NotKnown> {
    let files = key_files(attempt, effective)?.into_iter();
    Ok(files.filter(|file| matches!(file.state, FileState::Readable)).map(|file| file.path).collect())
}

fn key_files(attempt: &Attempt<'_>, effective: &Effective) -> Result<Vec<KeyFile>, NotKnown> {
    let groups = group_ids_of(attempt.facts, attempt.account)?;
    let paths = keys_files(&effective.list(Keyword::AuthorizedKeysFile), attempt.account);
    Ok(paths
        .into_iter()
        .map(|path| KeyFile { state: state_of(attempt, &path, attempt.account, &groups), path })
        .collect())
}

fn state_of(attempt: &Attempt<'_>, path: &Path, account: &Account, groups: &[u32]) -> FileState {
    if is_absent(attempt.facts, path)
        || path.ancestors().skip(1).any(|parent| is_absent(attempt.facts, parent))
    {
        return FileState::Absent;
    }
    match look(attempt.facts, path) {
        Err(reason) => FileState::Unknown(reason),
        Ok(_) => match may_read(attempt.facts, path, account, groups) {
            Ok(()) => FileState::Readable,
            Err(closed) => FileState::Closed(closed),
        },
    }
}
