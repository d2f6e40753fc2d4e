//! The SSH server's configuration files, found by following `Include`, and the files that they name.

use std::path::{Path, PathBuf};

use crate::facts::Fact;

use super::Notes;

/// Files within files that sshd follows (`SERVCONF_MAX_DEPTH`).
const DEEPEST_INCLUDE: usize = 16;
/// Files that are read at most.
const MOST_FILES: usize = 1000;
/// Where a relative `Include` starts.
const DIRECTORY: &str = "/etc/ssh";

/// What the files say as far as other files go, in whatever `Match` block it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Config {
    /// The files in reading order.
    pub(super) files: Vec<PathBuf>,
    /// Every pattern of any `AuthorizedKeysFile`.
    pub(super) key_files: Vec<String>,
    /// Some `AuthorizedKeysFile` stands outside of every `Match`.
    key_files_are_set: bool,
    /// Every `HostKey`.
    host_keys: Vec<PathBuf>,
    /// `PidFile`.
    pub(super) pid_file: PathBuf,
}

/// Reads the main file and all that it includes.
pub(super) fn collect(notes: &mut Notes<'_>, main: &Path) -> Config {
    let mut config = Config {
        files: Vec::new(),
        key_files: Vec::new(),
        key_files_are_set: false,
        host_keys: Vec::new(),
        pid_file: PathBuf::from("/run/sshd.pid"),
    };
    notes.look_with_parents(main);
    let drop_ins = Path::new("/etc/ssh/sshd_config.d");
    notes.look_with_parents(drop_ins);
    let _ = notes.list(drop_ins);
    read(notes, &mut config, main, false, 0);
    if !config.key_files_are_set {
        config
            .key_files
            .extend([".ssh/authorized_keys", ".ssh/authorized_keys2"].map(str::to_owned));
    }
    config
}

fn read(notes: &mut Notes<'_>, config: &mut Config, path: &Path, in_match: bool, depth: usize) {
    if depth > DEEPEST_INCLUDE || config.files.len() >= MOST_FILES {
        notes.problem(path, None, "too many files are included");
        return;
    }
    notes.look_with_parents(path);
    if !config.files.iter().any(|file| file == path) {
        config.files.push(path.to_owned());
    }
    let Ok(text) = notes.read_text(path) else { return };
    let mut in_match = in_match;
    for line in text.lines() {
        let words = words(line);
        let Some((keyword, arguments)) = words.split_first() else {
            continue;
        };
        match keyword.to_ascii_lowercase().as_str() {
            "include" => {
                for pattern in arguments {
                    include(notes, config, pattern, in_match, depth);
                }
            }
            "match" => in_match = true,
            "authorizedkeysfile" => {
                config.key_files_are_set |= !in_match;
                config.add_key_files(arguments);
            }
            "hostkey" => config
                .host_keys
                .extend(arguments.iter().take(1).map(PathBuf::from)),
            "pidfile" => config.pid_file = arguments.first().map(PathBuf::from).unwrap_or_default(),
            _ => {}
        }
    }
}

fn include(notes: &mut Notes<'_>, config: &mut Config, pattern: &str, in_match: bool, depth: usize) {
    let pattern = Path::new(DIRECTORY).join(pattern);
    if let Some(directory) = pattern.parent() {
        notes.look_with_parents(directory);
        let _ = notes.list(directory);
    }
    for path in notes.host().glob(&pattern.to_string_lossy()) {
        read(notes, config, &path, in_match, depth + 1);
    }
}

/// The words of a line: blanks and one `=` after the keyword part them, double quotes hold them together, `#` at
/// the beginning of a word ends the line.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() && !rest.starts_with('#') {
        if let Some(quoted) = rest.strip_prefix('"') {
            let Some((word, after)) = quoted.split_once('"') else {
                break;
            };
            words.push(word.to_owned());
            rest = after.trim_start();
        } else {
            let end = rest
                .find(|c: char| c.is_whitespace() || (words.is_empty() && c == '='))
                .unwrap_or(rest.len());
            words.push(rest[..end].to_owned());
            rest = rest[end..].trim_start();
        }
        if words.len() == 1 {
            rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
        }
    }
    words
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_words_of_a_line_are_those_of_sshd() {
        for (line, expected) in [
            (
                "Include /a/*.conf \"/b c\" d # tail",
                vec!["Include", "/a/*.conf", "/b c", "d"],
            ),
            ("Port=22", vec!["Port", "22"]),
            ("  HostKey = \"/k\"", vec!["HostKey", "/k"]),
            ("# nothing", vec![]),
            (
                "AuthorizedKeysFile /k/%u=x",
                vec!["AuthorizedKeysFile", "/k/%u=x"],
            ),
        ] {
            assert_eq!(words(line), expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_panics(line in "(?s).{0,100}") {
            words(&line);
        }
    }
}
