//! What a collector noted down: files as it saw them, and what it did not understand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::facts::{Content, Entry, EntryKind, FileFact, Problem};
use crate::{Error, Host, Kind, Metadata};

/// Files whose bytes are secrets.
const SECRET_FILES: [&str; 5] =
    ["/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/security/opasswd"];

/// The notes of one collector.
pub(crate) struct Notes<'a> {
    host: &'a dyn Host,
    pub(crate) files: BTreeMap<PathBuf, FileFact>,
    pub(crate) problems: Vec<Problem>,
}

impl<'a> Notes<'a> {
    pub(crate) fn new(host: &'a dyn Host) -> Self {
        Self { host, files: BTreeMap::new(), problems: Vec::new() }
    }

    pub(crate) fn host(&self) -> &'a dyn Host {
        self.host
    }

    /// Notes a thing that was not understood.
    pub(crate) fn problem(&mut self, path: &Path, line: Option<usize>, what: impl Into<String>) {
        let path = PathBuf::from(path.to_string_lossy().into_owned());
        self.problems.push(Problem { path, line, what: what.into() });
    }

    /// Notes what stands at a path, without its bytes.
    pub(crate) fn look(&mut self, path: &Path) -> Result<Metadata, Error> {
        if let Some(absent) = self.not_utf8(path) {
            return Err(absent);
        }
        let found = self.host.metadata(path);
        let fact = match &found {
            Ok(metadata) => FileFact::Present(self.entry(path, *metadata)),
            Err(error) if error.is_absent() => FileFact::Absent,
            Err(error) => FileFact::Unreadable(error.to_string()),
        };
        let resolved = fact.entry().and_then(|entry| entry.resolved.clone());
        self.merge(path.to_owned(), fact);
        if let Some(resolved) = resolved
            && !self.files.contains_key(&resolved)
        {
            let _ = self.look(&resolved);
        }
        found
    }

    /// Notes what stands at a path and above it, up to the root.
    pub(crate) fn look_with_parents(&mut self, path: &Path) {
        let _ = self.look(path);
        for above in path.ancestors().skip(1) {
            if !self.files.contains_key(above) {
                let _ = self.look(above);
            }
        }
        self.look_behind_links(path);
    }

    /// Notes what stands above a path once the links on the way are followed, as far as there is anything.
    fn look_behind_links(&mut self, path: &Path) {
        let there = path.ancestors().find_map(|above| Some((above, self.host.resolve(above).ok()?)));
        let Some((_, real)) = there.filter(|(above, real)| above != real) else { return };
        for above in real.ancestors() {
            if !self.files.contains_key(above) {
                let _ = self.look(above);
            }
        }
    }

    /// Notes a file with its bytes, and gives the bytes.
    pub(crate) fn read(&mut self, path: &Path) -> Result<Vec<u8>, Error> {
        self.read_if(path, |_, _| Ok(()))
    }

    /// As [`Notes::read`], but the bytes are kept only where `may_keep` allows it of the resolved path; they are
    /// given back all the same.
    pub(crate) fn read_if(
        &mut self,
        path: &Path,
        may_keep: impl Fn(&Path, &[u8]) -> Result<(), &'static str>,
    ) -> Result<Vec<u8>, Error> {
        self.look(path)?;
        let resolved =
            self.files.get(path).and_then(FileFact::entry).and_then(|entry| entry.resolved.clone());
        let target = resolved.unwrap_or_else(|| path.to_owned());
        let bytes = self.host.read(path);
        let content = match &bytes {
            Ok(bytes) => match not_secret(&target, bytes).and_then(|()| may_keep(&target, bytes)) {
                Ok(()) => Ok(Content(bytes.clone())),
                Err(why) => Err(why.to_owned()),
            },
            Err(error) => Err(error.to_string()),
        };
        for path in [path, target.as_path()] {
            if let Some(FileFact::Present(entry)) = self.files.get_mut(path) {
                match &content {
                    Ok(content) => entry.content = Some(content.clone()),
                    Err(why) => entry.content_unknown = Some(why.clone()),
                }
            }
        }
        bytes
    }

    /// Notes a directory with the names in it, and gives those that are UTF-8.
    pub(crate) fn list(&mut self, path: &Path) -> Result<Vec<String>, Error> {
        self.look(path)?;
        let mut names = Vec::new();
        for name in self.host.list(path)? {
            match name.into_string() {
                Ok(name) => names.push(name),
                Err(name) => {
                    self.problem(&path.join(name), None, "a name that is not UTF-8 was left out");
                }
            }
        }
        if let Some(FileFact::Present(entry)) = self.files.get_mut(path) {
            entry.names = Some(names.clone());
        }
        Ok(names)
    }

    /// Reads a file of lines, notes it, and gives its text: bytes that are not UTF-8 are noted and replaced.
    pub(crate) fn read_text(&mut self, path: &Path) -> Result<String, Error> {
        let bytes = self.read(path)?;
        Ok(self.text_of(path, &bytes))
    }

    /// The text of bytes that were read from a path.
    pub(crate) fn text_of(&mut self, path: &Path, bytes: &[u8]) -> String {
        if std::str::from_utf8(bytes).is_err() {
            let line = bytes.split(|byte| *byte == b'\n').position(|line| std::str::from_utf8(line).is_err());
            self.problem(path, line.map(|line| line + 1), "not UTF-8");
        }
        String::from_utf8_lossy(bytes).into_owned()
    }

    fn merge(&mut self, path: PathBuf, new: FileFact) {
        let Some(old) = self.files.get_mut(&path) else {
            self.files.insert(path, new);
            return;
        };
        match (old, new) {
            (FileFact::Present(old), FileFact::Present(new)) => {
                let (content, names) = (old.content.take().or(new.content), old.names.take().or(new.names));
                let content_unknown = old.content_unknown.take().or(new.content_unknown);
                *old = Entry { content, names, content_unknown, ..new };
            }
            (old, new) => *old = new,
        }
    }

    fn entry(&self, path: &Path, metadata: Metadata) -> Entry {
        let Metadata { kind, mode, uid, gid, size, mtime } = metadata;
        let mut resolved = None;
        let kind = match kind {
            Kind::File => EntryKind::File,
            Kind::Directory => EntryKind::Directory,
            Kind::Other => EntryKind::Other,
            Kind::Symlink => {
                resolved = self.host.resolve(path).ok().filter(|path| path.to_str().is_some());
                let target = self.host.read_link(path).unwrap_or_default();
                EntryKind::Symlink(PathBuf::from(target.to_string_lossy().into_owned()))
            }
        };
        Entry { kind, mode, uid, gid, size, mtime, resolved, ..Entry::default() }
    }

    /// Facts are JSON, whose texts are UTF-8: another path is noted as a problem, and not looked at.
    fn not_utf8(&mut self, path: &Path) -> Option<Error> {
        if path.to_str().is_some() {
            return None;
        }
        self.problem(path, None, "a path that is not UTF-8 was not looked at");
        Some(Error::System { path: path.to_owned(), errno: rustix::io::Errno::ILSEQ })
    }
}

/// Whether bytes may be kept.
fn not_secret(path: &Path, bytes: &[u8]) -> Result<(), &'static str> {
    if SECRET_FILES.iter().any(|secret| path == Path::new(secret)) {
        return Err("password hashes are not kept");
    }
    if bytes.windows(16).any(|window| window == b"PRIVATE KEY-----") {
        return Err("a private key is not kept");
    }
    if path == Path::new("/etc/passwd") && holds_hashes(bytes) {
        return Err("password hashes stand in it, which are not kept");
    }
    Ok(())
}

/// Whether a passwd(5) has hashes in place of `x`.
fn holds_hashes(bytes: &[u8]) -> bool {
    let second_fields =
        bytes.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b':').nth(1));
    second_fields.into_iter().any(|field| field.len() >= 13)
}
