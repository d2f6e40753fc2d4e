//! The files of authorised keys of every account that can log in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::facts::{Account, Accounts};

use super::Notes;
use super::ssh_config::Config;

/// Notes each file with its bytes, and every directory above it; gives the places by account.
pub(super) fn collect(
    notes: &mut Notes<'_>,
    accounts: &Accounts,
    config: &Config,
) -> BTreeMap<String, Vec<PathBuf>> {
    let users = accounts.users.known().map(Vec::as_slice).unwrap_or_default();
    let mut places: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for user in users.iter().filter(|user| user.can_log_in()) {
        notes.look_with_parents(&user.home);
        // sshd turns away an account whose shell is not there.
        notes.look_with_parents(user.login_shell());
        let found = places.entry(user.name.clone()).or_default();
        for pattern in &config.key_files {
            match expand(pattern, user) {
                Ok(path) if !found.contains(&path) => {
                    note(notes, user, &path);
                    found.push(path);
                }
                Ok(_) => {}
                Err(why) => {
                    let main =
                        config.files.first().map_or(Path::new("/etc/ssh/sshd_config"), PathBuf::as_path);
                    notes.problem(main, None, why);
                }
            }
        }
    }
    places
}

/// Reads one file. A link that leads out of the home could lay another's file open in ours, so its bytes are kept
/// only where it stays in the home or in /etc.
fn note(notes: &mut Notes<'_>, user: &Account, path: &Path) {
    notes.look_with_parents(path);
    let home = notes.host().resolve(&user.home).unwrap_or_else(|_| user.home.clone());
    let plain = notes.host().resolve(path).is_ok_and(|resolved| resolved == path);
    let _ = notes.read_if(path, |resolved, _| {
        if plain || resolved.starts_with(&home) || resolved.starts_with("/etc") {
            Ok(())
        } else {
            Err("a link out of the home directory, which is not followed")
        }
    });
}

/// The tokens of `AuthorizedKeysFile` (`sshd_config(5)`, TOKENS): `%%`, `%h`, `%U`, `%u`. A relative path starts at
/// the home.
fn expand(pattern: &str, user: &Account) -> Result<PathBuf, String> {
    let mut path = String::new();
    let mut characters = pattern.chars();
    while let Some(next) = characters.next() {
        if next != '%' {
            path.push(next);
            continue;
        }
        match characters.next() {
            Some('%') => path.push('%'),
            Some('h') => path.push_str(&user.home.to_string_lossy()),
            Some('u') => path.push_str(&user.name),
            Some('U') => path.push_str(&user.uid.to_string()),
            other => {
                let token = other.map(String::from).unwrap_or_default();
                return Err(format!("AuthorizedKeysFile {pattern}: %{token} is not known"));
            }
        }
    }
    Ok(user.home.join(path))
}

impl Account {
    /// The shell, `/bin/sh` where the field is empty (`passwd(5)`).
    fn login_shell(&self) -> &Path {
        if self.shell.as_os_str().is_empty() { Path::new("/bin/sh") } else { &self.shell }
    }

    /// Whether its shell lets anyone in: it is not `nologin` or `false`.
    pub fn can_log_in(&self) -> bool {
        let name = self.shell.file_name().map(|name| name.to_string_lossy());
        !matches!(name.as_deref(), Some("nologin" | "false" | "sync" | "halt" | "shutdown"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_expanded_as_sshd_does() {
        let user = Account {
            name: "bob".to_owned(),
            uid: 1000,
            gid: 1000,
            home: PathBuf::from("/home/bob"),
            shell: PathBuf::from("/bin/sh"),
            passwd_field_empty: false,
            line: 1,
        };
        for (pattern, expected) in [
            (".ssh/authorized_keys", Some("/home/bob/.ssh/authorized_keys")),
            ("/etc/ssh/keys/%u", Some("/etc/ssh/keys/bob")),
            ("%h/k%%%U", Some("/home/bob/k%1000")),
            ("%x", None),
            ("%", None),
        ] {
            assert_eq!(expand(pattern, &user).ok(), expected.map(PathBuf::from), "{pattern}");
        }
    }
}
