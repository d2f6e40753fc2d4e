//! sshd's configuration, read from the facts.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use host::Facts;
use host::facts::{Account, FileFact};
use sshd_config::address::AddressList;
use sshd_config::pattern::{self, PatternList};
use sshd_config::{Configuration, Defaults, Error, Files, Keyword, ValueType, Version};

use crate::judgement::{NotKnown, Verdict};
use crate::people::groups_of;
use crate::permissions::resolve;
use crate::way_in::Connection;

/// The configuration of this host's sshd.
#[derive(Debug, Clone)]
pub(crate) struct Sshd {
    pub(crate) configuration: Configuration,
    release: String,
}

/// Why there is no configuration to judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unread {
    /// No SSH server is installed.
    NotInstalled,
    /// It could not be read.
    Unknown(String),
}

impl From<&Unread> for Verdict {
    fn from(unread: &Unread) -> Self {
        match unread {
            Unread::NotInstalled => Self::silent("no SSH server is installed"),
            Unread::Unknown(_) => NotKnown::from(unread).into(),
        }
    }
}

impl From<&Unread> for NotKnown {
    fn from(unread: &Unread) -> Self {
        match unread {
            Unread::NotInstalled => Self::new("there is no SSH server", "no SSH server is installed"),
            Unread::Unknown(reason) => Self::new("sshd's configuration is not known", reason.clone()),
        }
    }
}

/// Files that stand in place of the host's own: what a plan would write; `None` for one that it would take away.
pub(crate) type Overlay = BTreeMap<PathBuf, Option<Vec<u8>>>;

impl Sshd {
    /// Reads the configuration as this host's version of OpenSSH does.
    pub(crate) fn read(facts: &Facts) -> Result<Self, Unread> {
        Self::read_with(facts, Overlay::new())
    }

    /// The same, where some files were others.
    pub(crate) fn read_with(facts: &Facts, overlay: Overlay) -> Result<Self, Unread> {
        match &facts.ssh.program {
            host::Fact::Known(Some(_)) => {}
            host::Fact::Known(None) => return Err(Unread::NotInstalled),
            host::Fact::Unknown(reason) => return Err(Unread::Unknown(reason.clone())),
        }
        let release = match &facts.ssh.version {
            host::Fact::Known(text) => text.split(',').next().unwrap_or_default().trim().to_owned(),
            host::Fact::Unknown(reason) => return Err(Unread::Unknown(format!("its version: {reason}"))),
        };
        let version = Version::parse(&release)
            .ok_or_else(|| Unread::Unknown(format!("`{release}` is no version of OpenSSH")))?;
        let defaults = match facts.ssh.defaults.known() {
            Some(dump) => Defaults::from_dump(&release, version, dump),
            None => Defaults::for_version(version),
        };
        let files = HostFiles::new(facts, overlay);
        let configuration = Configuration::load_with(&files, files.main(), defaults);
        match configuration.problems().iter().find_map(|problem| files.hidden(&problem.error)) {
            Some(reason) => Err(Unread::Unknown(reason)),
            None => Ok(Self { configuration, release }),
        }
    }

    /// The version of OpenSSH that reads it.
    pub(crate) fn version(&self) -> Version {
        self.configuration.defaults().version()
    }

    /// What applies before there is a connection.
    pub(crate) fn at_start(&self) -> Effective {
        Effective { inner: self.configuration.at_start(), release: self.release.clone() }
    }

    /// What applies to a connection as sshd sees it.
    pub(crate) fn effective(&self, connection: &sshd_config::Connection) -> Effective {
        Effective { inner: self.configuration.effective(connection), release: self.release.clone() }
    }

    /// What applies to an account that comes in by a connection.
    pub(crate) fn for_login(
        &self,
        facts: &Facts,
        account: &Account,
        connection: &Connection,
    ) -> Result<Effective, NotKnown> {
        let seen = sshd_config::Connection {
            groups: groups_of(facts, account)?,
            local_address: Some(connection.local),
            local_port: Some(connection.local_port),
            ..sshd_config::Connection::of(&account.name, connection.peer)
        };
        Ok(self.effective(&seen))
    }
}

/// The values that apply, and what decides them.
#[derive(Debug, Clone)]
pub(crate) struct Effective {
    inner: sshd_config::Effective,
    release: String,
}

impl Effective {
    /// The value as `sshd -T` prints it; none where this version has no such keyword.
    pub(crate) fn text(&self, keyword: Keyword) -> Option<&str> {
        self.inner.known(keyword).map(sshd_config::Setting::text)
    }

    /// Whether the value is that one.
    pub(crate) fn is(&self, keyword: Keyword, value: &str) -> bool {
        self.text(keyword).is_some_and(|text| text.eq_ignore_ascii_case(value))
    }

    /// Every value of a list; the names of a list of algorithms.
    pub(crate) fn list(&self, keyword: Keyword) -> Vec<String> {
        let Some(setting) = self.inner.known(keyword) else {
            return Vec::new();
        };
        match keyword.value_type() {
            ValueType::Algorithms(_) => setting.names().map(str::to_owned).collect(),
            _ => setting.texts().filter(|text| !text.is_empty()).map(str::to_owned).collect(),
        }
    }

    /// A number.
    pub(crate) fn number(&self, keyword: Keyword) -> Option<u64> {
        self.inner.number(keyword)
    }

    /// The lines that decide, as `file:line`; the default where none does.
    pub(crate) fn place(&self, keyword: Keyword) -> Vec<String> {
        let origins = self.inner.known(keyword).map(sshd_config::Setting::values).unwrap_or_default();
        let mut places: Vec<String> =
            origins.iter().filter_map(|value| value.origin.as_ref()).map(ToString::to_string).collect();
        places.dedup();
        if places.is_empty() {
            places.push(format!("the default of {}", self.release));
        }
        places
    }

    /// As the library has it.
    pub(crate) fn inner(&self) -> &sshd_config::Effective {
        &self.inner
    }
}

/// The configuration files among the facts. What sshd is given on its command line (`-o`) counts before every file,
/// so it is read as a file that includes the main one.
struct HostFiles<'a> {
    facts: &'a Facts,
    overlay: Overlay,
    /// Every path that is there, for globs.
    present: BTreeMap<PathBuf, Vec<u8>>,
    command_line: Option<(PathBuf, Vec<u8>)>,
}

impl<'a> HostFiles<'a> {
    fn new(facts: &'a Facts, overlay: Overlay) -> Self {
        let mut present = BTreeMap::new();
        for (path, fact) in &facts.files {
            let FileFact::Present(entry) = fact else { continue };
            let names = entry.names.iter().flatten().map(|name| path.join(name));
            present.extend(names.chain([path.clone()]).map(|path| (path, Vec::new())));
        }
        for (path, content) in &overlay {
            match content {
                Some(_) => present.insert(path.clone(), Vec::new()),
                None => present.remove(path),
            };
        }
        Self { facts, overlay, present, command_line: command_line(facts) }
    }

    fn main(&self) -> &Path {
        match &self.command_line {
            Some((path, _)) => path,
            None => &self.facts.ssh.main_file,
        }
    }

    /// Why a file that is there was not read by us, though sshd as root reads it.
    fn hidden(&self, error: &Error) -> Option<String> {
        let Error::Unreadable { path, .. } = error else {
            return None;
        };
        match self.facts.file(resolve(self.facts, path)) {
            FileFact::Present(entry) => Some(match &entry.content_unknown {
                Some(reason) => format!("{}: {reason}", path.display()),
                None => format!("{} was not read", path.display()),
            }),
            FileFact::Unreadable(reason) => Some(format!("{}: {reason}", path.display())),
            FileFact::NotLookedAt => Some(format!("{} was not looked at", path.display())),
            FileFact::Absent => None,
        }
    }
}

impl Files for HostFiles<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if let Some((own, text)) = &self.command_line
            && own == path
        {
            return Ok(text.clone());
        }
        if let Some(content) = self.overlay.get(path) {
            return content.clone().ok_or_else(|| io::ErrorKind::NotFound.into());
        }
        match self.facts.file(resolve(self.facts, path)) {
            FileFact::Absent | FileFact::NotLookedAt => Err(io::ErrorKind::NotFound.into()),
            FileFact::Unreadable(reason) => {
                Err(io::Error::new(io::ErrorKind::PermissionDenied, reason.clone()))
            }
            FileFact::Present(entry) => match &entry.content {
                Some(content) => Ok(content.0.clone()),
                None => Err(io::ErrorKind::PermissionDenied.into()),
            },
        }
    }

    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        self.present.glob(pattern)
    }
}

/// The `-o` options of the running server as lines of a configuration.
fn command_line(facts: &Facts) -> Option<(PathBuf, Vec<u8>)> {
    let server = facts.ssh.servers.known()?.first()?;
    let options = options(&server.argv);
    if options.is_empty() {
        return None;
    }
    let mut text = options.join("\n");
    text.push_str(&format!("\nInclude {}\n", facts.ssh.main_file.display()));
    Some((PathBuf::from(format!("/proc/{}/cmdline", server.pid)), text.into_bytes()))
}

/// The values of `-o` in an argument list; a server that shows its state in place of its arguments has them in one
/// text.
pub(crate) fn options(argv: &[String]) -> Vec<String> {
    let words: Vec<&str> = match argv {
        [one] => one.split_whitespace().collect(),
        many => many.iter().map(String::as_str).collect(),
    };
    let mut options = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        match word.strip_prefix("-o") {
            Some("") => options.extend(words.next().map(str::to_owned)),
            Some(option) => options.push(option.to_owned()),
            None => {}
        }
    }
    options
}

/// Whether a list of networks, addresses and patterns has an address in it. A list that sshd refuses has none.
pub(crate) fn addresses_match(list: &str, address: IpAddr) -> bool {
    AddressList::parse(list).is_ok_and(|list| list.includes(address))
}

/// Whether a text matches a pattern.
pub(crate) fn pattern_matches(text: &str, pattern: &str) -> bool {
    pattern::matches(text, pattern)
}

/// Whether an algorithm is in a list, whose names may be patterns.
pub(crate) fn name_in(list: &[String], name: &str) -> bool {
    PatternList::parse(&list.join(",")).includes(name)
}

/// The files in which sshd looks for an account's keys, from the values of `AuthorizedKeysFile`: `%h`, `%u`, `%U` and
/// `%%` expanded, relative paths taken from the home directory (`sshd_config(5)`).
pub(crate) fn keys_files(patterns: &[String], account: &Account) -> Vec<PathBuf> {
    let meant = patterns.iter().filter(|pattern| !pattern.eq_ignore_ascii_case("none"));
    meant.map(|pattern| account.home.join(expand(pattern, account))).collect()
}

fn expand(pattern: &str, account: &Account) -> String {
    let mut text = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match (c, c == '%') {
            (c, false) => text.push(c),
            (_, true) => match chars.next() {
                Some('h') => text.push_str(&account.home.to_string_lossy()),
                Some('u') => text.push_str(&account.name),
                Some('U') => text.push_str(&account.uid.to_string()),
                Some(other) => text.push(other),
                None => text.push('%'),
            },
        }
    }
    text
}
