//! The SSH server's configuration files, found by following `Include`, and the files that they name.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};

use sshd_config::{Configuration, Files, Keyword, ScopeId};

use crate::facts::Fact;
use crate::{Error, Host};

use super::Notes;

/// Files that are read at most.
const MOST_FILES: usize = 1000;

/// What the files say as far as other files go, in whatever `Match` block it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Config {
    /// The files in reading order.
    pub(super) files: Vec<PathBuf>,
    /// Every pattern of any `AuthorizedKeysFile`, and the default where it holds.
    pub(super) key_files: Vec<String>,
    /// Every `HostKey`.
    host_keys: Vec<PathBuf>,
    /// `PidFile`.
    pub(super) pid_file: PathBuf,
}

/// Reads the main file and all that it includes.
pub(super) fn collect(notes: &mut Notes<'_>, main: &Path) -> Config {
    let drop_ins = Path::new("/etc/ssh/sshd_config.d");
    notes.look_with_parents(drop_ins);
    let _ = notes.list(drop_ins);
    let noting = Noting { host: notes.host(), notes: RefCell::new(notes), read: RefCell::default() };
    let configuration = Configuration::load(&noting, main);
    let mut config = Config {
        files: noting.read.into_inner(),
        key_files: Vec::new(),
        host_keys: Vec::new(),
        pid_file: PathBuf::from("/run/sshd.pid"),
    };
    let mut default_holds = true;
    for directive in configuration.directives() {
        match directive.keyword {
            Keyword::AuthorizedKeysFile => {
                default_holds &= directive.scope != ScopeId::MAIN;
                config.add_key_files(&directive.arguments);
            }
            Keyword::HostKey => config.host_keys.extend(directive.arguments.first().map(PathBuf::from)),
            Keyword::PidFile => {
                config.pid_file = directive.arguments.first().map(PathBuf::from).unwrap_or_default();
            }
            _ => {}
        }
    }
    if default_holds {
        config.add_key_files(&[".ssh/authorized_keys", ".ssh/authorized_keys2"]);
    }
    config
}

/// The machine's files, each noted as it is read, with the directories above it and those that patterns look into.
struct Noting<'n, 'a> {
    host: &'a dyn Host,
    notes: RefCell<&'n mut Notes<'a>>,
    read: RefCell<Vec<PathBuf>>,
}

impl Files for Noting<'_, '_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut notes = self.notes.borrow_mut();
        let mut read = self.read.borrow_mut();
        if read.len() >= MOST_FILES {
            notes.problem(path, None, "too many files are included");
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        notes.look_with_parents(path);
        if !read.iter().any(|file| file == path) {
            read.push(path.to_owned());
        }
        match notes.read(path) {
            // sshd reads a directory as an empty file.
            Err(Error::NotAFile { kind: crate::Kind::Directory, .. }) => Ok(Vec::new()),
            Err(error) if error.is_absent() => Err(io::ErrorKind::NotFound.into()),
            read => read.map_err(io::Error::other),
        }
    }

    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        let mut notes = self.notes.borrow_mut();
        if let Some(directory) = Path::new(pattern).parent() {
            notes.look_with_parents(directory);
            let _ = notes.list(directory);
        }
        // A name that is not UTF-8 has been noted as a problem of its directory.
        self.host.glob(pattern).into_iter().filter(|path| path.to_str().is_some()).collect()
    }
}

impl Config {
    fn add_key_files<T: AsRef<str>>(&mut self, patterns: &[T]) {
        for pattern in patterns.iter().map(AsRef::as_ref) {
            if !pattern.eq_ignore_ascii_case("none") && !self.key_files.iter().any(|known| known == pattern) {
                self.key_files.push(pattern.to_owned());
            }
        }
    }

    /// Adds what `sshd -T` knows better: defaults that a vendor has changed.
    pub(super) fn learn(&mut self, dump: &Fact<String>) {
        for line in dump.known().map(String::as_str).unwrap_or_default().lines() {
            let Some((keyword, value)) = line.split_once(' ') else {
                continue;
            };
            // From 10.4 on it prints keywords in mixed case.
            match keyword.to_ascii_lowercase().as_str() {
                "authorizedkeysfile" => self.add_key_files(&value.split_whitespace().collect::<Vec<_>>()),
                "hostkey" => self.host_keys.push(PathBuf::from(value)),
                "pidfile" => self.pid_file = PathBuf::from(value),
                _ => {}
            }
        }
    }
}

/// Notes the host keys: of the private part the owner and mode, of the public part the bytes.
pub(super) fn host_keys(notes: &mut Notes<'_>, config: &Config) {
    let mut keys = config.host_keys.clone();
    keys.extend(notes.host().glob("/etc/ssh/ssh_host_*_key"));
    keys.retain(|path| path.is_absolute());
    keys.sort_unstable();
    keys.dedup();
    for private in keys {
        notes.look_with_parents(&private);
        let mut public = private.into_os_string();
        public.push(".pub");
        let _ = notes.read(Path::new(&public));
    }
}
