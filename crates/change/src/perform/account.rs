//! The files of the accounts: kept whole, put back whole, or line by line where others changed them meanwhile.

use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags, fcntl_lock, openat};
use rustix::io::Errno;

use super::{Context, Saved};
use crate::atomic::{self, Source, Times};
use crate::attributes::Attributes;
use crate::error::{Error, Result};
use crate::fault;
use crate::originals::{Keep, Original, PutBack, Was, kind_of};
use crate::program::Program;
use crate::root::{Place, Root};

/// The files that useradd(8) and usermod(8) change, in the order in which they are undone: who may log in first.
const FILES: [&str; 6] = ["shadow", "passwd", "gshadow", "group", "subuid", "subgid"];

/// A file of the accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AccountFile(&'static str);

impl AccountFile {
    /// Its name in /etc.
    pub(super) fn name(self) -> &'static str {
        self.0
    }
}

/// Keeps all files of the accounts and their backups (`passwd-`).
pub(super) fn save(keep: &Keep<'_>) -> Result<Saved> {
    let mut saved = Saved::default();
    for file in FILES {
        for path in [format!("/etc/{file}"), format!("/etc/{file}-")] {
            saved.originals.push(keep.path(path.as_ref())?);
        }
    }
    saved.keep_around(keep, "/etc/passwd".as_ref())?;
    saved.leftovers = leftovers(keep.root)?;
    Ok(saved)
}

/// Undoes what a step did to the files of the accounts. `strip` takes this step's doing out of a file's lines, given
/// the lines that the file had before.
pub(super) fn undo(
    back: &PutBack<'_>,
    saved: &Saved,
    who: &str,
    strip: impl Fn(AccountFile, Vec<String>, &[String]) -> Vec<String>,
) -> Result<Vec<String>> {
    let _lock = lock(back.root)?;
    sweep(back.root, saved)?;
    let mut notes = Vec::new();
    for file in FILES {
        let path = format!("/etc/{file}");
        let Some(original) =
            saved.originals.iter().find(|original| original.path.as_os_str() == path.as_str())
        else {
            continue;
        };
        atomic::remove_temporary(&back.root.place(&original.path)?, back.tag)?;
        let now = match back.root.read(&original.path) {
            Ok(bytes) => Some(split(&bytes)),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        };
        let before = kept_lines(back, original)?;
        let without = strip(AccountFile(file), now.clone().unwrap_or_default(), &before);
        if without == before {
            back.path(original, None)?;
            let backup =
                saved.originals.iter().find(|other| other.path.as_os_str() == format!("{path}-").as_str());
            if let Some(backup) = backup {
                back.path(backup, None)?;
            }
        } else {
            if now.as_ref() != Some(&without) {
                rewrite(back, original, &without)?;
            }
            notes
                .push(format!("{path}: changed by others meanwhile; only what was done to {who} was undone"));
        }
        fault::point("accounts: a file is undone");
    }
    saved.around.iter().try_for_each(|around| back.around(around))?;
    Ok(notes)
}

/// The lock that all programs that change accounts take: lckpwdf(3).
fn lock(root: &Root) -> Result<rustix::fd::OwnedFd> {
    let path = "/etc/.pwd.lock";
    let place = root.place(path.as_ref())?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = openat(&place.directory, &place.name, flags, Mode::RUSR | Mode::WUSR)
        .map_err(Error::os("open", path))?;
    // lckpwdf(3) itself gives up after 15 seconds.
    let until = Instant::now() + Duration::from_secs(15);
    loop {
        match fcntl_lock(&fd, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(fd),
            Err(Errno::ACCESS | Errno::AGAIN) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(error) => return Err(Error::os("lock", path)(error)),
        }
    }
}

/// What a killed account program leaves in /etc: lock files (`passwd.lock`, `passwd.1234`) and new versions that
/// never got their name (`passwd+`).
fn leftovers(root: &Root) -> Result<Vec<String>> {
    let names = root.directory("/etc".as_ref())?.names()?;
    let is_leftover = |name: &String| {
        FILES.iter().filter_map(|file| name.strip_prefix(file)).any(|rest| {
            let number = rest
                .strip_prefix('.')
                .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
            rest == ".lock" || rest == "+" || number
        })
    };
    Ok(names.into_iter().filter_map(|name| name.into_string().ok()).filter(is_leftover).collect())
}

/// Removes what was left since. With the lock held none of it is in use.
fn sweep(root: &Root, saved: &Saved) -> Result<()> {
    for name in leftovers(root)? {
        if !saved.leftovers.contains(&name) {
            atomic::remove(&root.directory("/etc".as_ref())?.place(name))?;
        }
    }
    Ok(())
}

fn rewrite(back: &PutBack<'_>, original: &Original, lines: &[String]) -> Result<()> {
    let place = back.root.place(&original.path)?;
    let file = place.open_file()?;
    let attributes = Attributes::of(&file).map_err(Error::os("read the attributes of", &original.path))?;
    atomic::replace(&place, back.tag, Source::Bytes(&join(lines)), &attributes, Times::Now)
}

fn kept_lines(back: &PutBack<'_>, original: &Original) -> Result<Vec<String>> {
    match &original.was {
        Was::File { copy, .. } => {
            let path = back.kept.join(copy);
            Ok(split(&std::fs::read(&path).map_err(Error::io("read", &path))?))
        }
        Was::Absent | Was::Symlink { .. } | Was::Directory { .. } | Was::Attributes { .. } => Ok(Vec::new()),
    }
}

/// Makes what an account program did last over a power cut: it syncs its files, but neither their directory nor a home.
pub(super) fn sync_all(root: &Root) -> Result<()> {
    let directory = root.directory("/".as_ref())?;
    rustix::fs::syncfs(&directory).map_err(Error::os("sync", "/"))?;
    // A home of its own may stand on a file system of its own.
    match root.directory("/home".as_ref()) {
        Ok(home) => rustix::fs::syncfs(&home).map_err(Error::os("sync", "/home")),
        Err(_) => Ok(()),
    }
}

/// User and primary group of an account.
pub(super) fn ids(context: &Context<'_>, name: &str) -> Result<(u32, u32)> {
    let missing = || Error::NoSuchAccount { name: name.to_owned() };
    let local = entry(context.root, name)?;
    let line = match local {
        Some(line) => line,
        None if context.root.is_live() => {
            let output =
                Program::LookUpAccount { name }.run(context.root, None, b"").map_err(|_| missing())?;
            output.text.lines().next().unwrap_or_default().to_owned()
        }
        None => return Err(missing()),
    };
    let mut fields = line.split(':').skip(2).map(str::parse);
    match (fields.next(), fields.next()) {
        (Some(Ok(uid)), Some(Ok(gid))) => Ok((uid, gid)),
        _ => Err(missing()),
    }
}

/// The account's line in /etc/passwd.
pub(super) fn entry(root: &Root, name: &str) -> Result<Option<String>> {
    let bytes = root.read("/etc/passwd")?;
    Ok(split(&bytes).into_iter().find(|line| key(line) == name))
}

/// What a user or group may be called, so that no program mistakes it for an option, a field or another file:
/// the names that useradd(8) takes by default, and a little more.
pub(super) fn check_name(name: &str) -> Result<()> {
    let first = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let good = name.len() <= 32
        && name.bytes().next().is_some_and(|byte| first(byte) || byte.is_ascii_uppercase())
        && name.bytes().all(rest);
    if good { Ok(()) } else { Err(Error::BadName { name: name.to_owned() }) }
}

/// The first field of a line.
pub(super) fn key(line: &str) -> &str {
    line.split(':').next().unwrap_or_default()
}

/// The line with this first field.
pub(super) fn find<'a>(lines: &'a [String], wanted: &str) -> Option<&'a str> {
    lines.iter().map(String::as_str).find(|line| key(line) == wanted)
}

/// Takes `name` out of the comma-separated lists of a line of group(5) or gshadow(5), where the line did not have it
/// before.
pub(super) fn without_member(line: &str, before: &str, name: &str) -> String {
    let before: Vec<&str> = before.split(':').collect();
    let field = |(index, field): (usize, &str)| {
        let had = before.get(index).is_some_and(|field| field.split(',').any(|member| member == name));
        if index < 2 || had {
            return field.to_owned();
        }
        field.split(',').filter(|member| *member != name).collect::<Vec<_>>().join(",")
    };
    line.split(':').enumerate().map(field).collect::<Vec<_>>().join(":")
}

/// Lines as text, every byte as the character of the same number (ISO 8859-1), so that bytes that are not UTF-8 in a
/// comment field come back as they were: [`join`].
fn split(bytes: &[u8]) -> Vec<String> {
    let text: String = bytes.iter().copied().map(char::from).collect();
    text.split_terminator('\n').map(str::to_owned).collect()
}

fn join(lines: &[String]) -> Vec<u8> {
    let bytes =
        |line: &String| line.chars().chain(['\n']).filter_map(|c| u8::try_from(c).ok()).collect::<Vec<u8>>();
    lines.iter().flat_map(bytes).collect()
}

/// Whether a place holds a regular file of no bytes.
pub(super) fn is_empty_file(place: &Place) -> Result<bool> {
    if kind_of(place)? != Some(rustix::fs::FileType::RegularFile) {
        return Ok(false);
    }
    let file = place.open_file()?;
    Ok(file.metadata().map_err(Error::io("look at", &place.path))?.len() == 0)
}
