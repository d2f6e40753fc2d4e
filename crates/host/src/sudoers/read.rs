//! The sudoers files in the order in which sudo reads them.

use std::path::{Path, PathBuf};

use crate::collect::Notes;
use crate::{Error, Kind};

use super::lines::{Content, split};
use super::{Place, Policy};

/// Files within files that are followed; sudo has the same limit.
const DEEPEST_INCLUDE: usize = 128;
/// Files that are read at most.
const MOST_FILES: usize = 1000;

/// Reads the main file and what it includes. Nothing where sudo has no configuration.
pub(crate) fn read(notes: &mut Notes<'_>, hostname: &str) -> Result<Option<Policy>, Error> {
    let mut policy = Policy::default();
    for main in ["/etc/sudoers", "/usr/etc/sudoers"] {
        match read_file(notes, &mut policy, Path::new(main), hostname, 0) {
            Ok(()) => return Ok(Some(policy)),
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn read_file(
    notes: &mut Notes<'_>,
    policy: &mut Policy,
    path: &Path,
    hostname: &str,
    depth: usize,
) -> Result<(), Error> {
    notes.look_with_parents(path);
    let text = notes.read_text(path)?;
    policy.files.push(path.to_owned());
    if let Some(why) = not_secure(notes, path) {
        policy.errors.push((Place { file: path.to_owned(), line: 0 }, why));
        return Ok(());
    }
    for line in split(&text) {
        let place = Place { file: path.to_owned(), line: line.number };
        match line.content {
            Content::Text(text) => policy.add_line(place, &text),
            Content::Include(_) | Content::IncludeDirectory(_)
                if depth == DEEPEST_INCLUDE || policy.files.len() >= MOST_FILES =>
            {
                policy.errors.push((place, "too many files are included".to_owned()));
            }
            Content::Include(target) => {
                let target = included(path, &target, hostname);
                if let Err(error) = read_file(notes, policy, &target, hostname, depth + 1) {
                    policy.errors.push((place, error.to_string()));
                }
            }
            Content::IncludeDirectory(target) => {
                read_directory(notes, policy, &place, &included(path, &target, hostname), hostname, depth);
            }
        }
    }
    Ok(())
}

/// Every file of a directory in the order of its bytes, but for names with a dot in them or a tilde at their end.
fn read_directory(
    notes: &mut Notes<'_>,
    policy: &mut Policy,
    place: &Place,
    directory: &Path,
    hostname: &str,
    depth: usize,
) {
    notes.look_with_parents(directory);
    let names = match notes.list(directory) {
        Ok(names) => names,
        // sudo takes a directory that is not there for an empty one.
        Err(error) if error.is_absent() => return,
        Err(error) => {
            policy.errors.push((place.clone(), error.to_string()));
            return;
        }
    };
    for name in names.iter().filter(|name| !name.contains('.') && !name.ends_with('~')) {
        let path = directory.join(name);
        let is_directory = notes
            .host()
            .resolve(&path)
            .and_then(|path| notes.host().metadata(&path))
            .is_ok_and(|found| found.kind == Kind::Directory);
        if is_directory {
            continue;
        }
        if let Err(error) = read_file(notes, policy, &path, hostname, depth + 1) {
            policy.errors.push((place.clone(), error.to_string()));
        }
    }
}

/// `%h` is the short host name; a relative path starts at the file that names it.
fn included(from: &Path, target: &str, hostname: &str) -> PathBuf {
    let short = hostname.split('.').next().unwrap_or(hostname);
    from.parent().unwrap_or(Path::new("/")).join(target.replace("%h", short))
}

/// Why sudo would not read the file: it must be root's, and nobody else may write it.
fn not_secure(notes: &Notes<'_>, path: &Path) -> Option<String> {
    let target = notes.host().resolve(path).ok()?;
    let found = notes.host().metadata(&target).ok()?;
    if found.uid != 0 && notes.host().source() == crate::Source::Live {
        return Some(format!("sudo does not read it: it belongs to user {}", found.uid));
    }
    if found.mode & 0o002 != 0 || (found.mode & 0o020 != 0 && found.gid != 0) {
        return Some("sudo does not read it: others than root may write it".to_owned());
    }
    None
}
